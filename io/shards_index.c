// The index of a sharded set, in one level or two: see shards.h.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"

enum dvg_status dvg_shard_sums_create(struct dvg_shard_sums *sums, const struct dvg_shards *s) {
  int64_t n = s->n_shards + dvg_shards_groups(s);
  *sums = (struct dvg_shard_sums){.n_words = (n * DVG_DIGEST_TEXT + 7) / 8};
  DVG_TRY(dvg_alloc((void **)&sums->shard, sums->n_words, 8, "digests of shards"));
  sums->group = sums->shard + s->n_shards;
  return DVG_OK;
}

void dvg_shard_sums_free(struct dvg_shard_sums *sums) {
  dvg_free(&sums->shard);
}

static enum dvg_status index_path(char **path, const struct dvg_shards *s) {
  return dvg_text(path, "%s/index.h5", s->folder);
}

enum dvg_status dvg_shards_index_begin(const struct dvg_shards *s) {
  char *path = NULL;
  if (dvg_shards_groups(s) == 1) return DVG_OK;
  DVG_TRY(index_path(&path, s));
  enum dvg_status status = dvg_path_remove(path);
  dvg_free(&path);
  return status;
}

// Shard 0, which all others are like.
static enum dvg_status open_first(struct dvg_artifact **first, const struct dvg_shards *s, const char *schema,
                                  int64_t *version) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_shards_path(&path, s, 0));
  enum dvg_status status = dvg_artifact_open(&a, path, NULL, 0);
  if (status == DVG_OK) status = dvg_artifact_get_int(a, "dvg_version", version);
  if (status == DVG_OK && strcmp(dvg_artifact_schema(a), schema) != 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is a '%s' file, not '%s'", path, dvg_artifact_schema(a), schema);
  if (status == DVG_OK) *first = a;
  else dvg_artifact_close(&a);
  dvg_free(&path);
  return status;
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

static enum dvg_status look_at_shard(const struct dvg_shards *s, int64_t shard,
                                     const struct dvg_artifact *first, const char *schema, int64_t version,
                                     char digest[DVG_DIGEST_TEXT]) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_shards_path(&path, s, shard));
  enum dvg_status status = dvg_artifact_open(&a, path, schema, version);
  struct comparison c = {first, a, dvg_shards_rows(s, shard)};
  if (status == DVG_OK) status = dvg_artifact_each(first, compare_dataset, &c);
  if (status == DVG_OK) memcpy(digest, dvg_artifact_digest(a), DVG_DIGEST_TEXT);
  dvg_artifact_close(&a);
  dvg_free(&path);
  return status;
}

// The parts that a virtual dataset shows in order: shards, or groups of shards.
struct parts {
  struct dvg_artifact *out;         // the index
  const struct dvg_artifact *first; // shard 0
  int64_t n, n_items, *rows;
  char (*name)[DVG_SHARD_NAME], **file; // file: pointers to the names
  int marked;
};

static enum dvg_status alloc_parts(struct parts *p, int64_t n) {
  p->n = n;
  DVG_TRY(DVG_NEW(&p->rows, n, "parts of an index"));
  DVG_TRY(DVG_NEW(&p->name, n, "parts of an index"));
  DVG_TRY(DVG_NEW(&p->file, n, "parts of an index"));
  for (int64_t k = 0; k < n; k++) p->file[k] = p->name[k];
  return DVG_OK;
}

static void free_parts(struct parts *p) {
  dvg_free(&p->rows);
  dvg_free(&p->name);
  dvg_free(&p->file);
}

static enum dvg_status show_dataset(const char *name, int is_attribute, void *context) {
  struct parts *p = context;
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (is_attribute) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(p->first, name, &type, &n_dims, dims));
  dims[0] = p->n_items;
  return dvg_artifact_write_virtual(p->out, name, type, n_dims, dims, p->n, p->file, p->rows, p->marked);
}

static void group_name(char name[DVG_SHARD_NAME], int64_t group) {
  snprintf(name, DVG_SHARD_NAME, "group-%03lld.h5", (long long)group);
}

static int64_t group_first(const struct dvg_shards *s, int64_t group) { // a shard
  return group * s->per_group;
}

static int64_t group_shards(const struct dvg_shards *s, int64_t group) {
  int64_t left = s->n_shards - group_first(s, group);
  return left < s->per_group ? left : s->per_group;
}

static int64_t group_items(const struct dvg_shards *s, int64_t group) {
  int64_t first = group_first(s, group), last = first + group_shards(s, group) - 1;
  return dvg_shards_first(s, last) + dvg_shards_rows(s, last) - dvg_shards_first(s, first);
}

static enum dvg_status take_shards(struct parts *p, const struct dvg_shards *s, int64_t group) {
  DVG_TRY(alloc_parts(p, group_shards(s, group)));
  p->n_items = group_items(s, group);
  for (int64_t k = 0; k < p->n; k++) {
    dvg_shards_name(p->name[k], s->per_group, group_first(s, group) + k);
    p->rows[k] = dvg_shards_rows(s, group_first(s, group) + k);
  }
  return DVG_OK;
}

static enum dvg_status take_groups(struct parts *p, const struct dvg_shards *s) {
  DVG_TRY(alloc_parts(p, dvg_shards_groups(s)));
  p->n_items = s->n_items;
  for (int64_t g = 0; g < p->n; g++) {
    group_name(p->name[g], g);
    p->rows[g] = group_items(s, g);
  }
  return DVG_OK;
}

static enum dvg_status write_group(const struct dvg_shards *s, int64_t group, const struct dvg_artifact *first,
                                   const char *schema, const char *program, const char *settings,
                                   char digest[DVG_DIGEST_TEXT]) {
  struct parts p = {.first = first, .marked = 1};
  char *path = NULL, name[DVG_SHARD_NAME];
  enum dvg_status status;
  group_name(name, group);
  DVG_TRY_GOTO(take_shards(&p, s, group));
  DVG_TRY_GOTO(dvg_text(&path, "%s/%s", s->folder, name));
  DVG_TRY_GOTO(dvg_artifact_create(&p.out, path, "index-group", 1, program, settings));
  DVG_TRY_GOTO(dvg_artifact_set_text(p.out, "shard_schema", schema));
  DVG_TRY_GOTO(dvg_artifact_set_int(p.out, "first", dvg_shards_first(s, group_first(s, group))));
  DVG_TRY_GOTO(dvg_artifact_set_int(p.out, "items", p.n_items));
  DVG_TRY_GOTO(dvg_artifact_each(first, show_dataset, &p));
  DVG_TRY_GOTO(dvg_artifact_commit(&p.out, digest));
done:
  dvg_artifact_discard(&p.out);
  free_parts(&p);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_shards_index_group(const struct dvg_shards *s, int64_t group, const char *schema,
                                       const char *program, const char *settings, struct dvg_shard_sums *sums) {
  struct dvg_artifact *first = NULL;
  int64_t version, from = group_first(s, group);
  DVG_TRY(open_first(&first, s, schema, &version));
  enum dvg_status status = DVG_OK;
  for (int64_t k = from; k < from + group_shards(s, group) && status == DVG_OK; k++)
    status = look_at_shard(s, k, first, schema, version, sums->shard[k]);
  if (status == DVG_OK && dvg_shards_groups(s) > 1)
    status = write_group(s, group, first, schema, program, settings, sums->group[group]);
  dvg_artifact_close(&first);
  return status;
}

enum dvg_status dvg_shards_root(char root[DVG_DIGEST_TEXT], int64_t n_shards, char *const *digest) {
  struct dvg_digest d = {0};
  char line[DVG_DIGEST_TEXT + 32];
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_digest_begin(&d));
  for (int64_t k = 0; k < n_shards; k++) {
    int n = snprintf(line, sizeof line, "%lld %.64s\n", (long long)k, digest[k]);
    DVG_TRY_GOTO(dvg_digest_add(&d, line, (size_t)n));
  }
  status = dvg_digest_end(&d, root);
done:
  dvg_digest_drop(&d);
  return status;
}

// What index.h5 says of each shard.
struct tables {
  char **digest, **group_digest;
  int64_t *first, *rows;
};

static enum dvg_status fill_tables(struct tables *t, const struct dvg_shards *s,
                                   const struct dvg_shard_sums *sums) {
  int64_t n = s->n_shards, n_groups = dvg_shards_groups(s);
  DVG_TRY(DVG_NEW(&t->digest, n, "shards"));
  DVG_TRY(DVG_NEW(&t->group_digest, n_groups, "groups of shards"));
  DVG_TRY(DVG_NEW(&t->first, n, "shards"));
  DVG_TRY(DVG_NEW(&t->rows, n, "shards"));
  for (int64_t k = 0; k < n; k++) {
    t->digest[k] = sums->shard[k];
    t->first[k] = dvg_shards_first(s, k);
    t->rows[k] = dvg_shards_rows(s, k);
  }
  for (int64_t g = 0; g < n_groups; g++) t->group_digest[g] = sums->group[g];
  return DVG_OK;
}

static void free_tables(struct tables *t) {
  dvg_free(&t->digest);
  dvg_free(&t->group_digest);
  dvg_free(&t->first);
  dvg_free(&t->rows);
}

static enum dvg_status write_index(struct parts *p, const struct dvg_shards *s, const struct tables *t,
                                   const char *schema, const char *root) {
  int64_t n = s->n_shards, n_groups = dvg_shards_groups(s);
  DVG_TRY(dvg_artifact_set_text(p->out, "shard_schema", schema));
  DVG_TRY(dvg_artifact_set_int(p->out, "items", s->n_items));
  DVG_TRY(dvg_artifact_set_int(p->out, "items_per_shard", s->per_shard));
  DVG_TRY(dvg_artifact_set_text(p->out, "root_sha256", root));
  if (n_groups > 1) DVG_TRY(dvg_artifact_set_int(p->out, "shards_per_group", s->per_group));
  DVG_TRY(dvg_artifact_each(p->first, show_dataset, p));
  DVG_TRY(dvg_artifact_write(p->out, "shard_sha256", DVG_TEXT, 1, &n, t->digest));
  DVG_TRY(dvg_artifact_write(p->out, "shard_first", DVG_I64, 1, &n, t->first));
  DVG_TRY(dvg_artifact_write(p->out, "shard_rows", DVG_I64, 1, &n, t->rows));
  if (n_groups > 1)
    DVG_TRY(dvg_artifact_write(p->out, "group_sha256", DVG_TEXT, 1, &n_groups, t->group_digest));
  return dvg_artifact_commit(&p->out, NULL);
}

enum dvg_status dvg_shards_index_end(const struct dvg_shards *s, const char *schema, const char *program,
                                     const char *settings, const struct dvg_shard_sums *sums,
                                     char root[DVG_DIGEST_TEXT]) {
  struct parts p = {.marked = dvg_shards_groups(s) > 1};
  struct tables t = {0};
  struct dvg_artifact *first = NULL;
  char *path = NULL, digest[DVG_DIGEST_TEXT];
  int64_t version;
  enum dvg_status status;
  DVG_TRY_GOTO(open_first(&first, s, schema, &version));
  p.first = first;
  DVG_TRY_GOTO(fill_tables(&t, s, sums));
  DVG_TRY_GOTO(dvg_shards_root(digest, s->n_shards, t.digest));
  DVG_TRY_GOTO(p.marked ? take_groups(&p, s) : take_shards(&p, s, 0));
  DVG_TRY_GOTO(index_path(&path, s));
  DVG_TRY_GOTO(dvg_artifact_create(&p.out, path, "index", 1, program, settings));
  DVG_TRY_GOTO(write_index(&p, s, &t, schema, digest));
  if (root) memcpy(root, digest, sizeof digest);
done:
  dvg_artifact_discard(&p.out);
  dvg_artifact_close(&first);
  free_parts(&p);
  free_tables(&t);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_shards_index(const struct dvg_shards *s, const char *schema, const char *program,
                                 const char *settings, char root[DVG_DIGEST_TEXT]) {
  struct dvg_shard_sums sums = {0};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_shard_sums_create(&sums, s));
  DVG_TRY_GOTO(dvg_shards_index_begin(s));
  for (int64_t g = 0; g < dvg_shards_groups(s); g++)
    DVG_TRY_GOTO(dvg_shards_index_group(s, g, schema, program, settings, &sums));
  DVG_TRY_GOTO(dvg_shards_index_end(s, schema, program, settings, &sums, root));
done:
  dvg_shard_sums_free(&sums);
  return status;
}
