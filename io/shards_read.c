// Reading sharded sets: rows are taken from the shards themselves, not through the index's virtual datasets, so
// that a missing, damaged or exchanged shard is an error and not a block of zeros.
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"

// Trainers read single rows from all over a set, and opening a file takes ten times as long as reading a row. An
// open one takes 0.7 MB.
enum { OPEN_SHARDS = 64 };

struct dvg_shard_reader {
  struct dvg_shards s;
  struct dvg_artifact *first;
  char *schema, *root;
  char **digests; // one block
  int64_t version, clock;
  struct {
    struct dvg_artifact *file;
    int64_t shard, used;
  } open[OPEN_SHARDS];
};

// The index's tables against its own attributes.
static enum dvg_status check_index(struct dvg_shard_reader *r, const struct dvg_artifact *index) {
  int64_t n = -1, n_digests = 0, *firsts = NULL, *rows = NULL;
  const char *path = dvg_artifact_path(index);
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_artifact_get_int(index, "items", &r->s.n_items));
  DVG_TRY_GOTO(dvg_artifact_get_int(index, "items_per_shard", &r->s.per_shard));
  r->s.per_group = DVG_SHARDS_PER_GROUP;
  if (dvg_artifact_has_attribute(index, "shards_per_group"))
    DVG_TRY_GOTO(dvg_artifact_get_int(index, "shards_per_group", &r->s.per_group));
  DVG_TRY_GOTO(dvg_artifact_get_text(index, "root_sha256", &r->root));
  DVG_TRY_GOTO(dvg_artifact_load_text(index, "shard_sha256", &n_digests, &r->digests));
  DVG_TRY_GOTO(dvg_artifact_load(index, "shard_first", DVG_I64, 1, &n, (void **)&firsts));
  DVG_TRY_GOTO(dvg_artifact_load(index, "shard_rows", DVG_I64, 1, &n, (void **)&rows));
  if (r->s.n_items < 1 || r->s.per_shard < 1 || r->s.per_group < 1 || n != n_digests ||
      n != (r->s.n_items - 1) / r->s.per_shard + 1) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: its number of shards and its number of items do not fit", path);
    goto done;
  }
  r->s.n_shards = n;
  for (int64_t k = 0; k < n; k++)
    if (firsts[k] != dvg_shards_first(&r->s, k) || rows[k] != dvg_shards_rows(&r->s, k)) {
      status =
          dvg_fail(DVG_ERROR_INPUT, "%s: shard %lld does not have the rows it should have", path, (long long)k);
      goto done;
    }
done:
  dvg_free(&firsts);
  dvg_free(&rows);
  return status;
}

// A shard that the index knows: the same file, by its digest.
static enum dvg_status open_shard(struct dvg_artifact **out, const struct dvg_shard_reader *r, int64_t shard) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_shards_path(&path, &r->s, shard));
  enum dvg_status status = dvg_artifact_open(&a, path, r->schema, r->version);
  if (status == DVG_OK && strcmp(dvg_artifact_digest(a), r->digests[shard]) != 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is not the shard that index.h5 was made of", path);
  if (status == DVG_OK) *out = a;
  else dvg_artifact_close(&a);
  dvg_free(&path);
  return status;
}

int64_t dvg_shard_reader_check(const struct dvg_shard_reader *r, int64_t first, int64_t step) {
  int64_t bad = -1;
  dvg_log_quiet(1);
  for (int64_t k = first; k < r->s.n_shards && bad < 0; k += step) {
    struct dvg_artifact *a = NULL;
    if (open_shard(&a, r, k) != DVG_OK) bad = k;
    dvg_artifact_close(&a);
  }
  dvg_log_quiet(0);
  return bad;
}

enum dvg_status dvg_shard_reader_say(const struct dvg_shard_reader *r, int64_t shard) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(open_shard(&a, r, shard));
  dvg_artifact_close(&a);
  return DVG_OK;
}

static enum dvg_status open_index(struct dvg_shard_reader *r, const char *folder, const char *schema) {
  char *path = NULL, *has = NULL;
  struct dvg_artifact *index = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&r->s.folder, "%s", folder));
  DVG_TRY_GOTO(dvg_text(&path, "%s/index.h5", folder));
  DVG_TRY_GOTO(dvg_artifact_open(&index, path, "index", 1));
  DVG_TRY_GOTO(dvg_artifact_get_text(index, "shard_schema", &has));
  if (schema && strcmp(has, schema) != 0) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is a set of '%s' shards, not '%s'", path, has, schema);
    goto done;
  }
  r->schema = has;
  has = NULL;
  status = check_index(r, index);
done:
  dvg_artifact_close(&index);
  dvg_free(&path);
  dvg_free(&has);
  return status;
}

// Who reads rows makes room for them by the shapes in the first shard: these are believed if the bytes are
// there.
static enum dvg_status check_first(const char *name, int is_attribute, void *context) {
  const struct dvg_shard_reader *r = context;
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS], rows = dvg_shards_rows(&r->s, 0);
  if (is_attribute) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(r->first, name, &type, &n_dims, dims));
  if (n_dims < 1 || dims[0] != rows)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is not %lld rows, as index.h5 says", dvg_artifact_path(r->first),
                    name, (long long)rows);
  return type == DVG_TEXT ? DVG_OK : dvg_artifact_read(r->first, name, type, 0, 0, NULL);
}

enum dvg_status dvg_shard_reader_open(struct dvg_shard_reader **out, const char *folder, const char *schema,
                                      int64_t version) {
  struct dvg_shard_reader *r = NULL;
  DVG_TRY(DVG_NEW(&r, 1, "a shard reader"));
  r->version = version;
  enum dvg_status status = open_index(r, folder, schema);
  if (status == DVG_OK) status = open_shard(&r->first, r, 0);
  if (status == DVG_OK) status = dvg_artifact_each(r->first, check_first, r);
  if (status == DVG_OK) *out = r;
  else dvg_shard_reader_close(&r);
  return status;
}

void dvg_shard_reader_close(struct dvg_shard_reader **reader) {
  struct dvg_shard_reader *r = *reader;
  if (!r) return;
  for (int i = 0; i < OPEN_SHARDS; i++) dvg_artifact_close(&r->open[i].file);
  dvg_artifact_close(&r->first);
  dvg_free(&r->schema);
  dvg_free(&r->root);
  dvg_free(&r->digests);
  dvg_shards_free(&r->s);
  dvg_free(reader);
}

int64_t dvg_shard_reader_items(const struct dvg_shard_reader *r) {
  return r->s.n_items;
}
const char *dvg_shard_reader_digest(const struct dvg_shard_reader *r) {
  return r->root;
}
const struct dvg_artifact *dvg_shard_reader_first(const struct dvg_shard_reader *r) {
  return r->first;
}

// A shard from those that are kept open; the one that was unused for longest makes room.
static enum dvg_status take_shard(const struct dvg_artifact **file, struct dvg_shard_reader *r, int64_t shard) {
  if (shard == 0) {
    *file = r->first;
    return DVG_OK;
  }
  int oldest = 0;
  for (int i = 0; i < OPEN_SHARDS; i++) {
    if (r->open[i].file && r->open[i].shard == shard) {
      r->open[i].used = ++r->clock;
      *file = r->open[i].file;
      return DVG_OK;
    }
    if (r->open[i].used < r->open[oldest].used) oldest = i;
  }
  dvg_artifact_close(&r->open[oldest].file);
  DVG_TRY(open_shard(&r->open[oldest].file, r, shard));
  r->open[oldest].shard = shard;
  r->open[oldest].used = ++r->clock;
  *file = r->open[oldest].file;
  return DVG_OK;
}

enum dvg_status dvg_shard_reader_read(struct dvg_shard_reader *r, const char *name, enum dvg_type type,
                                      int64_t first, int64_t count, void *data) {
  static const size_t bytes[] = {1, 4, 8, 4, 8};
  if (first < 0 || count < 0 || first > r->s.n_items || count > r->s.n_items - first)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has %lld items; %lld from %lld on were wanted", r->s.folder,
                    (long long)r->s.n_items, (long long)count, (long long)first);
  if (type == DVG_TEXT)
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s': text is not read by rows", r->s.folder, name);
  int n_dims;
  int64_t dims[DVG_MAX_DIMS], row_values = 1;
  DVG_TRY(dvg_artifact_shape(r->first, name, NULL, &n_dims, dims));
  for (int i = 1; i < n_dims; i++) row_values *= dims[i];
  char *out = data;
  while (count > 0) {
    int64_t shard = first / r->s.per_shard, start = first - dvg_shards_first(&r->s, shard);
    int64_t n = dvg_shards_rows(&r->s, shard) - start;
    if (n > count) n = count;
    const struct dvg_artifact *file;
    DVG_TRY(take_shard(&file, r, shard));
    int other_n_dims;
    int64_t other[DVG_MAX_DIMS];
    DVG_TRY(dvg_artifact_shape(file, name, NULL, &other_n_dims, other));
    int same = other_n_dims == n_dims;
    for (int i = 1; same && i < n_dims; i++) same = other[i] == dims[i];
    if (!same) // the rows would not fit into `data`
      return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' has rows of another shape than in the first shard",
                      dvg_artifact_path(file), name);
    DVG_TRY(dvg_artifact_read(file, name, type, start, n, out));
    out += (size_t)(n * row_values) * bytes[type];
    first += n;
    count -= n;
  }
  return DVG_OK;
}

static enum dvg_status verify_root(const struct dvg_shard_reader *r) {
  char root[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_shards_root(root, r->s.n_shards, r->digests));
  if (strcmp(root, r->root) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s/index.h5: the root digest does not follow from the shards'",
                    r->s.folder);
  return DVG_OK;
}

static enum dvg_status verify_index(const struct dvg_shard_reader *r, const char *path) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(verify_root(r));
  DVG_TRY(dvg_artifact_open(&a, path, "index", 1));
  enum dvg_status status = dvg_artifact_verify_alone(a);
  dvg_artifact_close(&a);
  return status;
}

static enum dvg_status verify_group(const struct dvg_shard_reader *r, int64_t group, const char *digest) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_text(&path, "%s/group-%03lld.h5", r->s.folder, (long long)group));
  enum dvg_status status = dvg_artifact_open(&a, path, "index-group", 1);
  if (status == DVG_OK && strcmp(dvg_artifact_digest(a), digest) != 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is not the group that index.h5 was made of", path);
  if (status == DVG_OK) status = dvg_artifact_verify_alone(a);
  dvg_artifact_close(&a);
  dvg_free(&path);
  return status;
}

static enum dvg_status verify_groups(const struct dvg_shard_reader *r, const char *path, int rank, int size) {
  struct dvg_artifact *a = NULL;
  char **digest = NULL;
  int64_t n = 0, n_groups = dvg_shards_groups(&r->s);
  if (n_groups == 1) return DVG_OK;
  DVG_TRY(dvg_artifact_open(&a, path, "index", 1));
  enum dvg_status status = dvg_artifact_load_text(a, "group_sha256", &n, &digest);
  if (status == DVG_OK && n != n_groups)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: its number of groups and its number of shards do not fit", path);
  for (int64_t g = rank; g < n_groups && status == DVG_OK; g += size) status = verify_group(r, g, digest[g]);
  dvg_artifact_close(&a);
  dvg_free(&digest);
  return status;
}

enum dvg_status dvg_shards_verify_share(const char *folder, int rank, int size) {
  struct dvg_shard_reader *r = NULL;
  struct dvg_artifact *a = NULL;
  char *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&r, 1, "a shard reader"));
  DVG_TRY_GOTO(open_index(r, folder, NULL));
  DVG_TRY_GOTO(dvg_text(&path, "%s/index.h5", folder));
  status = verify_groups(r, path, rank, size); // bad ones keep nobody from looking at the shards
  dvg_free(&r->schema);                        // the digest tells more than schema and version
  for (int64_t k = rank; k < r->s.n_shards; k += size) {
    enum dvg_status found = open_shard(&a, r, k);
    if (found == DVG_OK) found = dvg_artifact_verify(a);
    dvg_artifact_close(&a);
    if (found != DVG_OK) status = found; // and the others are looked at too
  }
done:
  dvg_shard_reader_close(&r);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_shards_verify_index(const char *folder) {
  struct dvg_shard_reader *r = NULL;
  char *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&r, 1, "a shard reader"));
  DVG_TRY_GOTO(open_index(r, folder, NULL));
  DVG_TRY_GOTO(dvg_text(&path, "%s/index.h5", folder));
  status = verify_index(r, path);
done:
  dvg_shard_reader_close(&r);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_shards_verify(const char *folder, int rank, int size) {
  DVG_TRY(dvg_shards_verify_share(folder, rank, size));
  return rank == 0 ? dvg_shards_verify_index(folder) : DVG_OK;
}
