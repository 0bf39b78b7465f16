// Sharded sets: describing, finding what is missing.
#include "io/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { MAX_SHARDS = 1000000 }; // six digits in the name

enum dvg_status dvg_shards_create(struct dvg_shards *out, const char *folder, int64_t n_items,
                                  int64_t per_shard) {
  if (n_items < 1 || per_shard < 1 || (n_items - 1) / per_shard + 1 > MAX_SHARDS)
    return dvg_fail(DVG_ERROR_USAGE, "%s: %lld items cannot be cut into shards of %lld: 1 to %d shards", folder,
                    (long long)n_items, (long long)per_shard, MAX_SHARDS);
  struct dvg_shards s = {.n_items = n_items,
                         .per_shard = per_shard,
                         .n_shards = (n_items - 1) / per_shard + 1,
                         .per_group = DVG_SHARDS_PER_GROUP};
  DVG_TRY(dvg_path_make_folder(folder));
  DVG_TRY(dvg_text(&s.folder, "%s", folder));
  *out = s;
  return DVG_OK;
}

void dvg_shards_free(struct dvg_shards *s) {
  dvg_free(&s->folder);
  *s = (struct dvg_shards){0};
}

enum dvg_status dvg_shards_set_part(struct dvg_shards *s, const char *text) {
  int64_t part = 0, n_parts = 0;
  int end = 0;
  if (*text && (strspn(text, "0123456789/") != strlen(text) ||
                sscanf(text, "%" SCNd64 "/%" SCNd64 "%n", &part, &n_parts, &end) != 2 || text[end] ||
                part < 1 || part > n_parts || n_parts > MAX_SHARDS))
    return dvg_fail(DVG_ERROR_USAGE, "--part %s: is not I/N with 1 <= I <= N <= %d", text, MAX_SHARDS);
  s->part = part;
  s->n_parts = n_parts;
  return DVG_OK;
}

int dvg_shards_in_part(const struct dvg_shards *s, int64_t shard) {
  return s->n_parts == 0 || shard % s->n_parts == s->part - 1;
}

int64_t dvg_shards_of_part(const struct dvg_shards *s) {
  return s->n_parts == 0 ? s->n_shards : (s->n_shards + s->n_parts - s->part) / s->n_parts;
}

void dvg_shards_name(char name[DVG_SHARD_NAME], int64_t per_group, int64_t shard) {
  int64_t group = shard / (per_group > 0 ? per_group : DVG_SHARDS_PER_GROUP); // as a file may say
  int n = group > 0 ? snprintf(name, DVG_SHARD_NAME, "group-%03lld/", (long long)group) : 0;
  snprintf(name + n, (size_t)(DVG_SHARD_NAME - n), "shard-%06lld.h5", (long long)shard);
}

enum dvg_status dvg_shards_path(char **path, const struct dvg_shards *s, int64_t shard) {
  char name[DVG_SHARD_NAME];
  dvg_shards_name(name, s->per_group, shard);
  return dvg_text(path, "%s/%s", s->folder, name);
}

int64_t dvg_shards_first(const struct dvg_shards *s, int64_t shard) {
  return shard * s->per_shard;
}

int64_t dvg_shards_rows(const struct dvg_shards *s, int64_t shard) {
  int64_t left = s->n_items - shard * s->per_shard;
  return left < s->per_shard ? left : s->per_shard;
}

int64_t dvg_shards_groups(const struct dvg_shards *s) {
  return (s->n_shards - 1) / s->per_group + 1;
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
  int64_t is_version;
  if (strcmp(dvg_artifact_schema(a), schema) != 0 ||
      dvg_artifact_get_int(a, "dvg_version", &is_version) != DVG_OK || is_version != version) {
    dvg_artifact_close(&a);
    DVG_TRY(dvg_artifact_open(&a, path, schema, version)); // says what it is
  }
  struct row_check rows = {a, dvg_shards_rows(s, shard), 1};
  enum dvg_status status = check_attribute(a, "settings", settings);
  if (status == DVG_OK && inputs) status = check_attribute(a, "inputs", inputs);
  if (status == DVG_OK && dvg_artifact_each(a, check_rows, &rows) != DVG_OK) rows.same = 0;
  if (status == DVG_OK && rows.same) *pending = 0;
  else if (status == DVG_OK) dvg_warn("%s: not of %lld rows, will be made again", path, (long long)rows.rows);
  dvg_artifact_close(&a);
  return status;
}

enum dvg_status dvg_shards_is_pending(const struct dvg_shards *s, int64_t shard, const char *schema,
                                      int64_t version, const char *settings, const char *inputs,
                                      unsigned char *pending) {
  char *path = NULL;
  DVG_TRY(dvg_shards_path(&path, s, shard));
  enum dvg_status status = check_shard(s, shard, path, schema, version, settings, inputs, pending);
  dvg_free(&path);
  return status;
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
