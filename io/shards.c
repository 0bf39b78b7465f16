// Sharded sets: describing, finding what is missing, indexing, verifying.
#include "io/shards.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { MAX_SHARDS = 1000000 }; // six digits in the name

static const char index_name[] = "index.h5";

enum dvg_status dvg_shards_create(struct dvg_shards *out, const char *folder, int64_t n_items,
                                  int64_t per_shard) {
  if (n_items < 1 || per_shard < 1 || (n_items - 1) / per_shard + 1 > MAX_SHARDS)
    return dvg_fail(DVG_ERROR_USAGE, "%s: %lld items cannot be cut into shards of %lld: 1 to %d shards", folder,
                    (long long)n_items, (long long)per_shard, MAX_SHARDS);
  struct dvg_shards s = {.n_items = n_items, .per_shard = per_shard, .n_shards = (n_items - 1) / per_shard + 1};
  DVG_TRY(dvg_path_make_folder(folder));
  DVG_TRY(dvg_text(&s.folder, "%s", folder));
  *out = s;
  return DVG_OK;
}

void dvg_shards_free(struct dvg_shards *s) {
  dvg_free(&s->folder);
  *s = (struct dvg_shards){0};
}

enum dvg_status dvg_shards_path(char **path, const struct dvg_shards *s, int64_t shard) {
  return dvg_text(path, "%s/shard-%06lld.h5", s->folder, (long long)shard);
}

int64_t dvg_shards_first(const struct dvg_shards *s, int64_t shard) {
  return shard * s->per_shard;
}

int64_t dvg_shards_rows(const struct dvg_shards *s, int64_t shard) {
  int64_t left = s->n_items - shard * s->per_shard;
  return left < s->per_shard ? left : s->per_shard;
}

// ---- what is pending

// Whether the text attribute of a shard is what it should be. DVG_ERROR_INPUT, said, if it is another.
static enum dvg_status check_attribute(const struct dvg_artifact *a, const char *name, const char *wanted) {
  char *has = NULL;
  DVG_TRY(dvg_artifact_get_text(a, name, &has));
  enum dvg_status status = DVG_OK;
  if (strcmp(has, wanted) != 0) {
    // The first line that differs says more than the whole.
    size_t n = 0, line = 0;
    for (; has[n] && has[n] == wanted[n]; n++)
      if (has[n] == '\n') line = n + 1;
    status = dvg_fail(DVG_ERROR_INPUT,
                      "%s: was made with other %s (there '%.*s', now '%.*s'): choose another folder",
                      dvg_artifact_path(a), name, (int)strcspn(has + line, "\n"), has + line,
                      (int)strcspn(wanted + line, "\n"), wanted + line);
  }
  dvg_free(&has);
  return status;
}

struct row_check {
  const struct dvg_artifact *a;
  int64_t rows;
  int same;
};

static enum dvg_status check_rows(const char *name, int is_attribute, void *context) {
  struct row_check *c = context;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (is_attribute) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(c->a, name, NULL, &n_dims, dims));
  if (n_dims < 1 || dims[0] != c->rows) c->same = 0;
  return DVG_OK;
}

static enum dvg_status check_shard(const struct dvg_shards *s, int64_t shard, const char *path,
                                   const char *schema, int64_t version, const char *settings,
                                   const char *inputs, unsigned char *pending) {
  struct dvg_artifact *a = NULL;
  *pending = 1;
  if (!dvg_path_exists(path)) return DVG_OK;
  // Any schema first: a good file of another kind is not ours to overwrite, a damaged one is, and no error.
  dvg_log_quiet(1);
  enum dvg_status opened = dvg_artifact_open(&a, path, NULL, 0);
  dvg_log_quiet(0);
  if (opened != DVG_OK) {
    dvg_warn("%s: not readable, will be made again", path);
    return DVG_OK;
  }
  dvg_artifact_close(&a);
  DVG_TRY(dvg_artifact_open(&a, path, schema, version));
  struct row_check rows = {a, dvg_shards_rows(s, shard), 1};
  enum dvg_status status = check_attribute(a, "settings", settings);
  if (status == DVG_OK && inputs) status = check_attribute(a, "inputs", inputs);
  if (status == DVG_OK && dvg_artifact_each(a, check_rows, &rows) != DVG_OK) rows.same = 0;
  if (status == DVG_OK && rows.same) *pending = 0;
  else if (status == DVG_OK) dvg_warn("%s: not of %lld rows, will be made again", path, (long long)rows.rows);
  dvg_artifact_close(&a);
  return status;
}

enum dvg_status dvg_shards_pending(const struct dvg_shards *s, const char *schema, int64_t version,
                                   const char *settings, const char *inputs, unsigned char *pending) {
  for (int64_t k = 0; k < s->n_shards; k++) {
    char *path = NULL;
    DVG_TRY(dvg_shards_path(&path, s, k));
    enum dvg_status status = check_shard(s, k, path, schema, version, settings, inputs, &pending[k]);
    dvg_free(&path);
    if (status != DVG_OK) return status;
  }
  return DVG_OK;
}

int dvg_shards_is_damaged(const struct dvg_shards *s, int64_t shard) {
  struct dvg_artifact *a = NULL;
  char *path = NULL;
  if (dvg_shards_path(&path, s, shard) != DVG_OK) return 1;
  dvg_log_quiet(1); // no error: it is made again
  int bad = dvg_artifact_open(&a, path, NULL, 0) != DVG_OK || dvg_artifact_verify(a) != DVG_OK;
  dvg_log_quiet(0);
  if (bad) dvg_warn("%s: its content is not that of its digest, will be made again", path);
  dvg_artifact_close(&a);
  dvg_free(&path);
  return bad;
}

// ---- the index

struct index {
  const struct dvg_shards *s;
  struct dvg_artifact *out;         // index.h5
  const struct dvg_artifact *first; // shard 0
  char **files, **digests;          // names and content digests of all shards
  int64_t *firsts, *rows;
};

static enum dvg_status alloc_index(struct index *x) {
  int64_t n = x->s->n_shards;
  DVG_TRY(DVG_NEW(&x->files, n, "shards"));
  DVG_TRY(DVG_NEW(&x->digests, n, "shards"));
  DVG_TRY(DVG_NEW(&x->firsts, n, "shards"));
  DVG_TRY(DVG_NEW(&x->rows, n, "shards"));
  for (int64_t k = 0; k < n; k++) {
    DVG_TRY(dvg_text(&x->files[k], "shard-%06lld.h5", (long long)k));
    x->firsts[k] = dvg_shards_first(x->s, k);
    x->rows[k] = dvg_shards_rows(x->s, k);
  }
  return DVG_OK;
}

static void free_index(struct index *x) {
  for (int64_t k = 0; k < x->s->n_shards; k++) {
    if (x->files) dvg_free(&x->files[k]);
    if (x->digests) dvg_free(&x->digests[k]);
  }
  dvg_free(&x->files);
  dvg_free(&x->digests);
  dvg_free(&x->firsts);
  dvg_free(&x->rows);
}

struct comparison {
  const struct dvg_artifact *first, *other;
  int64_t rows;
};

// Each dataset of the first shard has its equal in the other, with that one's number of rows.
static enum dvg_status compare_dataset(const char *name, int is_attribute, void *context) {
  struct comparison *c = context;
  enum dvg_type type, other_type;
  int n_dims, other_n_dims;
  int64_t dims[DVG_MAX_DIMS], other_dims[DVG_MAX_DIMS];
  if (is_attribute) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(c->first, name, &type, &n_dims, dims));
  DVG_TRY(dvg_artifact_shape(c->other, name, &other_type, &other_n_dims, other_dims));
  int same = type == other_type && n_dims == other_n_dims && n_dims > 0 && other_dims[0] == c->rows;
  for (int i = 1; same && i < n_dims; i++) same = dims[i] == other_dims[i];
  if (!same)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is not %lld rows as in %s", dvg_artifact_path(c->other), name,
                    (long long)c->rows, dvg_artifact_path(c->first));
  return DVG_OK;
}

// Looks at every shard, and computes the root digest over theirs.
static enum dvg_status gather_shards(struct index *x, const char *schema, struct dvg_artifact **first,
                                     char root[DVG_DIGEST_TEXT]) {
  struct dvg_digest d = {0};
  struct dvg_artifact *a = NULL;
  char *path = NULL;
  enum dvg_status status;
  int64_t version = 0;
  DVG_TRY_GOTO(dvg_digest_begin(&d));
  for (int64_t k = 0; k < x->s->n_shards; k++) {
    char line[DVG_DIGEST_TEXT + 32];
    DVG_TRY_GOTO(dvg_shards_path(&path, x->s, k));
    DVG_TRY_GOTO(dvg_artifact_open(&a, path, k ? schema : NULL, version));
    if (k == 0) {
      DVG_TRY_GOTO(dvg_artifact_get_int(a, "dvg_version", &version));
      *first = a;
      if (strcmp(dvg_artifact_schema(a), schema) != 0) {
        status =
            dvg_fail(DVG_ERROR_INPUT, "%s: is a '%s' file, not '%s'", path, dvg_artifact_schema(a), schema);
        a = NULL;
        goto done;
      }
    }
    struct comparison c = {*first, a, x->rows[k]};
    status = dvg_artifact_each(*first, compare_dataset, &c);
    if (status == DVG_OK) status = dvg_text(&x->digests[k], "%s", dvg_artifact_digest(a));
    if (k == 0) a = NULL; // stays open as *first
    if (status != DVG_OK) goto done;
    int n = snprintf(line, sizeof line, "%lld %s\n", (long long)k, x->digests[k]);
    DVG_TRY_GOTO(dvg_digest_add(&d, line, (size_t)n));
    dvg_artifact_close(&a);
    dvg_free(&path);
  }
  status = dvg_digest_end(&d, root);
done:
  dvg_digest_drop(&d);
  dvg_artifact_close(&a);
  dvg_free(&path);
  return status;
}

static enum dvg_status show_dataset(const char *name, int is_attribute, void *context) {
  struct index *x = context;
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (is_attribute) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(x->first, name, &type, &n_dims, dims));
  dims[0] = x->s->n_items;
  return dvg_artifact_write_virtual(x->out, name, type, n_dims, dims, x->s->n_shards, x->files, x->rows);
}

static enum dvg_status write_index(struct index *x, const char *path, const char *schema, const char *program,
                                   const char *settings, const char *root) {
  int64_t n = x->s->n_shards;
  DVG_TRY(dvg_artifact_create(&x->out, path, "index", 1, program, settings));
  DVG_TRY(dvg_artifact_set_text(x->out, "shard_schema", schema));
  DVG_TRY(dvg_artifact_set_int(x->out, "items", x->s->n_items));
  DVG_TRY(dvg_artifact_set_int(x->out, "items_per_shard", x->s->per_shard));
  DVG_TRY(dvg_artifact_set_text(x->out, "root_sha256", root));
  DVG_TRY(dvg_artifact_each(x->first, show_dataset, x));
  DVG_TRY(dvg_artifact_write(x->out, "shard_sha256", DVG_TEXT, 1, &n, x->digests));
  DVG_TRY(dvg_artifact_write(x->out, "shard_first", DVG_I64, 1, &n, x->firsts));
  DVG_TRY(dvg_artifact_write(x->out, "shard_rows", DVG_I64, 1, &n, x->rows));
  return dvg_artifact_commit(&x->out, NULL);
}

enum dvg_status dvg_shards_index(const struct dvg_shards *s, const char *schema, const char *program,
                                 const char *settings, char root[DVG_DIGEST_TEXT]) {
  struct index x = {.s = s};
  struct dvg_artifact *first = NULL;
  char *path = NULL, digest[DVG_DIGEST_TEXT];
  enum dvg_status status;
  DVG_TRY_GOTO(alloc_index(&x));
  DVG_TRY_GOTO(gather_shards(&x, schema, &first, digest));
  x.first = first;
  DVG_TRY_GOTO(dvg_text(&path, "%s/%s", s->folder, index_name));
  DVG_TRY_GOTO(write_index(&x, path, schema, program, settings, digest));
  if (root) memcpy(root, digest, sizeof digest);
done:
  dvg_artifact_discard(&x.out);
  dvg_artifact_close(&first);
  free_index(&x);
  dvg_free(&path);
  return status;
}
