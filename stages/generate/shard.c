// Files of pairs: the columns of the ledger, made or taken over row by row.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "stages/generate/generate.h"

enum { BATCH = DVG_GENERATE_BATCH, MAX_COLUMNS = 16 };

struct column {
  char name[96];
  enum dvg_type type;
  int n_dims;
  int64_t dims[4]; // of a row, from dims[1] on
  void *data;      // (BATCH) rows of the batch
  size_t row_bytes;
};

struct file {
  const struct dvg_pair_rows *rows;
  struct dvg_artifact *old; // or NULL
  int64_t old_rows;
  int64_t size;              // of the images
  int is_scored, has_person; // has_person: identities are real people's features
  int is_foreign;            // they are another recogniser's, whose cosines to the images there are not
  struct dvg_batch batch;
  struct column column[MAX_COLUMNS];
  int n_columns;
};

// ---- columns

static void add_column(struct file *f, const char *name, const char *domain, enum dvg_type type, void *data,
                       size_t row_bytes) {
  struct column *c = &f->column[f->n_columns++];
  *c = (struct column){.type = type, .n_dims = 1, .data = data, .row_bytes = row_bytes};
  snprintf(c->name, sizeof c->name, "%s%.80s", name, domain);
}

static void list_columns(struct file *f) {
  struct dvg_batch *b = &f->batch;
  const char *domain[2] = {f->rows->set->domain, f->rows->set->visible};
  for (int d = 0; d < 2; d++) {
    add_column(f, "image_", domain[d], DVG_U8, b->pixels[d], (size_t)(f->size * f->size * 3));
    struct column *image = &f->column[f->n_columns - 1];
    image->n_dims = 4, image->dims[1] = image->dims[2] = f->size, image->dims[3] = 3;
    add_column(f, "attribute_", domain[d], DVG_I64, b->attribute[d], sizeof b->attribute[d][0]);
    add_column(f, "person_", domain[d], DVG_I64, b->person[d], sizeof b->person[d][0]);
    if (f->is_scored && !f->is_foreign)
      add_column(f, "cos_", domain[d], DVG_F32, b->cos_identity[d], sizeof(float));
  }
  if (f->is_scored) add_column(f, "cos_pair", "", DVG_F32, b->cos_pair, sizeof(float));
  add_column(f, "identity", "", DVG_F32, b->identity, (size_t)b->code * sizeof(float));
  f->column[f->n_columns - 1].n_dims = 2, f->column[f->n_columns - 1].dims[1] = b->code;
  add_column(f, "identity_item", "", DVG_I64, b->identity_item, sizeof b->identity_item[0]);
  if (f->has_person)
    add_column(f, "identity_person", "", DVG_I64, b->identity_person, sizeof b->identity_person[0]);
  add_column(f, "number", "", DVG_I64, b->number, sizeof b->number[0]);
  add_column(f, "fate", "", DVG_U8, b->fate, 1);
  add_column(f, "reason", "", DVG_U8, b->reason, 1);
  add_column(f, "attempt", "", DVG_I32, b->attempt, sizeof b->attempt[0]);
}

static enum dvg_status define(struct file *f, struct dvg_artifact *a, int64_t n) {
  DVG_TRY(dvg_artifact_set_text(a, "domain", f->rows->set->domain));
  DVG_TRY(dvg_artifact_set_text(a, "visible", f->rows->set->visible));
  DVG_TRY(dvg_artifact_set_int(a, "seed", f->rows->set->seed));
  DVG_TRY(dvg_artifact_set_text(a, "identity_source", f->has_person ? "features" : "noise"));
  if (f->is_foreign) DVG_TRY(dvg_artifact_set_int(a, "foreign", 1));
  if (!dvg_generate_uses_bank(f->rows->set)) DVG_TRY(dvg_artifact_set_text(a, "attribute_source", "noise"));
  DVG_TRY(dvg_artifact_set_int(a, "identity_stream", DVG_STREAM_PAIR_IDENTITY));
  DVG_TRY(dvg_artifact_set_int(a, "attribute_stream", DVG_STREAM_PAIR_ATTRIBUTE));
  for (int k = 0; k < f->n_columns; k++) {
    f->column[k].dims[0] = n;
    DVG_TRY(
        dvg_artifact_define(a, f->column[k].name, f->column[k].type, f->column[k].n_dims, f->column[k].dims));
  }
  return DVG_OK;
}

// ---- rows of an old file

// Whether the open file has the columns that there should be.
static int has_columns(const struct file *f) {
  for (int k = 0; k < f->n_columns; k++) {
    int n_dims;
    int64_t dims[DVG_MAX_DIMS];
    if (!dvg_artifact_has(f->old, f->column[k].name)) return 0;
    if (dvg_artifact_shape(f->old, f->column[k].name, NULL, &n_dims, dims) != DVG_OK) return 0;
    if (n_dims != f->column[k].n_dims || dims[0] != f->old_rows) return 0;
    for (int i = 1; i < n_dims; i++)
      if (dims[i] != f->column[k].dims[i]) return 0;
  }
  return 1;
}

// Opens an old file if it is intact: what it has need not be made. Whatever is wrong with it is no error, and
// has been said.
static void open_old(struct file *f, const char *path) {
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (!path || !dvg_path_exists(path)) return;
  dvg_log_quiet(1);
  int good = dvg_artifact_open(&f->old, path, "pairs", DVG_PAIRS_VERSION) == DVG_OK &&
             dvg_artifact_verify(f->old) == DVG_OK &&
             dvg_artifact_shape(f->old, "number", NULL, &n_dims, dims) == DVG_OK && n_dims == 1;
  dvg_log_quiet(0);
  if (good) f->old_rows = dims[0];
  else dvg_artifact_close(&f->old);
}

// Without a painter the old file alone says how large the images are.
static enum dvg_status take_shape(struct file *f, const char *path) {
  char name[96];
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  const struct dvg_painter *p = f->rows->painter;
  if (p) {
    f->size = p->generator.model.size;
    f->is_scored = p->scorer.graph != NULL;
    f->has_person = p->identities.reader != NULL;
    f->is_foreign = p->generator.foreign != 0;
    f->batch.code = dvg_model_code(p->generator.model);
    return DVG_OK;
  }
  if (!f->old) return dvg_fail(DVG_ERROR_INPUT, "%s: is missing or damaged: repair the set first", path);
  snprintf(name, sizeof name, "image_%.80s", f->rows->set->domain);
  DVG_TRY(dvg_artifact_shape(f->old, name, NULL, &n_dims, dims));
  if (n_dims != 4 || dims[1] != dims[2] || dims[3] != 3)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is no set of square images", path, name);
  f->size = dims[1];
  DVG_TRY(dvg_artifact_shape(f->old, "identity", NULL, &n_dims, dims));
  if (n_dims != 2 || dims[1] < 1 || dims[1] > DVG_MAX_CODE)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'identity' is no set of vectors of up to %d values", path, DVG_MAX_CODE);
  f->batch.code = dims[1];
  f->is_foreign = dvg_artifact_has_attribute(f->old, "foreign");
  f->is_scored = dvg_artifact_has(f->old, "cos_pair");
  f->has_person = dvg_artifact_has(f->old, "identity_person");
  return DVG_OK;
}

static int draws_on_revoked(const struct file *f, int64_t i) {
  const struct dvg_batch *b = &f->batch;
  if (f->rows->revoked.mode == DVG_REVOKED_NONE || b->fate[i] != DVG_FATE_WRITTEN) return 0;
  return dvg_revocation_hits(&f->rows->revoked, (int64_t[]){b->attribute[0][i], b->attribute[1][i]},
                             f->has_person ? b->identity_person[i] : -1);
}

// Reads what the old file has of the batch's rows; todo[i] = 1 for those that it hasn't.
static enum dvg_status take_old(struct file *f, int64_t first, unsigned char *todo) {
  struct dvg_batch *b = &f->batch;
  int64_t row = b->first + b->from - first, n = f->old_rows - row < b->count ? f->old_rows - row : b->count;
  memset(todo, 0, BATCH);
  memset(todo + b->from, 1, (size_t)b->count);
  if (!f->old || n <= 0) return DVG_OK;
  for (int k = 0; k < f->n_columns; k++) {
    const struct column *c = &f->column[k];
    DVG_TRY(
        dvg_artifact_read(f->old, c->name, c->type, row, n, (char *)c->data + (size_t)b->from * c->row_bytes));
  }
  for (int64_t i = b->from; i < b->from + n; i++) {
    int known = b->number[i] == b->first + i; // and what draws on no image of the bank is no row of ours
    for (int d = 0; d < 2; d++)
      known = known && (dvg_generate_uses_bank(f->rows->set)
                            ? b->attribute[d][i] >= 0 && b->attribute[d][i] < f->rows->n_images
                            : b->attribute[d][i] == -1);
    todo[i] = !known;
  }
  return DVG_OK;
}

// ---- one file

static enum dvg_status fill_batch(struct file *f, int64_t first, const char *path) {
  struct dvg_batch *b = &f->batch;
  unsigned char todo[BATCH];
  DVG_TRY(take_old(f, first, todo));
  for (int64_t i = b->from; i < b->from + b->count; i++) {
    if (todo[i] || !draws_on_revoked(f, i)) continue;
    if (f->rows->revoked.mode == DVG_REVOKED_DROP) dvg_batch_drop(b, i, f->size);
    else todo[i] = 1;
  }
  if (!memchr(todo, 1, BATCH)) return DVG_OK;
  if (!f->rows->painter) return dvg_fail(DVG_ERROR_INPUT, "%s: lacks pairs: repair the set first", path);
  return dvg_painter_paint(f->rows->painter, b, todo);
}

static enum dvg_status fill(struct file *f, struct dvg_artifact *a, const char *path, int64_t first,
                            int64_t n) {
  struct dvg_batch *b = &f->batch;
  int64_t end = first + n;
  DVG_TRY(define(f, a, n));
  for (b->first = first / BATCH * BATCH; b->first < end; b->first += BATCH) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    b->from = first > b->first ? first - b->first : 0;
    b->count = (end - b->first < BATCH ? end - b->first : BATCH) - b->from;
    DVG_TRY(fill_batch(f, first, path));
    for (int k = 0; k < f->n_columns; k++) {
      const struct column *c = &f->column[k];
      DVG_TRY(dvg_artifact_append(a, c->name, b->count, (char *)c->data + (size_t)b->from * c->row_bytes));
    }
  }
  return DVG_OK;
}

enum dvg_status dvg_pairs_write(const struct dvg_pair_rows *rows, const char *path, const char *old,
                                int64_t first, int64_t n) {
  struct dvg_artifact *a = NULL;
  struct file *f = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&f, 1, "batch of pairs"));
  f->rows = rows;
  open_old(f, old);
  DVG_TRY_GOTO(take_shape(f, path));
  for (int d = 0; d < 2; d++)
    DVG_TRY_GOTO(DVG_NEW(&f->batch.pixels[d], BATCH * f->size * f->size * 3, "batch of pairs"));
  DVG_TRY_GOTO(DVG_NEW(&f->batch.identity, BATCH * f->batch.code, "batch of pairs"));
  list_columns(f);
  if (f->old && !has_columns(f)) dvg_artifact_close(&f->old);
  DVG_TRY_GOTO(dvg_lineage_create(&a, path, "pairs", DVG_PAIRS_VERSION, rows->lineage));
  DVG_TRY_GOTO(fill(f, a, path, first, n));
  status = dvg_artifact_commit(&a, NULL);
done:
  dvg_artifact_discard(&a);
  if (f) {
    dvg_artifact_close(&f->old);
    for (int d = 0; d < 2; d++) dvg_free(&f->batch.pixels[d]);
    dvg_free(&f->batch.identity);
  }
  dvg_free(&f);
  return status;
}

// ---- who drew on what

struct sources {
  unsigned char *fate;
  int64_t *number, *attribute[2];
  int64_t *item, *person; // of identities; NULL: nobody's
};

static enum dvg_status load_sources(struct sources *s, int64_t *n, const struct dvg_artifact *a,
                                    const char *const domain[2]) {
  char name[96];
  *n = -1;
  DVG_TRY(dvg_artifact_load(a, "fate", DVG_U8, 1, n, (void **)&s->fate));
  DVG_TRY(dvg_artifact_load(a, "number", DVG_I64, 1, n, (void **)&s->number));
  for (int d = 0; d < 2; d++) {
    snprintf(name, sizeof name, "attribute_%.80s", domain[d]);
    DVG_TRY(dvg_artifact_load(a, name, DVG_I64, 1, n, (void **)&s->attribute[d]));
  }
  if (!dvg_artifact_has(a, "identity_person")) return DVG_OK;
  DVG_TRY(dvg_artifact_load(a, "identity_item", DVG_I64, 1, n, (void **)&s->item));
  return dvg_artifact_load(a, "identity_person", DVG_I64, 1, n, (void **)&s->person);
}

static void print_source(FILE *out, int64_t number, const char *domain, int64_t row,
                         const struct dvg_image_set *images, char **names) {
  fprintf(out, "%lld\t%s\t%lld\t%s\t%s\n", (long long)number, domain, (long long)row, names[row],
          images->person[images->identity[row]]);
}

static enum dvg_status find_in(int64_t *n_found, FILE *listing, const struct dvg_artifact *a,
                               const char *const domain[2], const struct dvg_image_set *images, char **names,
                               const struct dvg_revocation *revoked) {
  struct sources s = {0};
  int64_t n;
  enum dvg_status status;
  DVG_TRY_GOTO(load_sources(&s, &n, a, domain));
  *n_found = 0;
  for (int64_t i = 0; i < n; i++) {
    int found = 0;
    if (s.person && s.fate[i] == DVG_FATE_WRITTEN &&
        dvg_revocation_hits(revoked, (int64_t[]){-1, -1}, s.person[i])) {
      found = 1;
      if (listing)
        fprintf(listing, "%lld\tidentity\t%lld\t-\t#%lld\n", (long long)s.number[i], (long long)s.item[i],
                (long long)s.person[i]);
    }
    for (int d = 0; d < 2 && revoked->image; d++) {
      int64_t row = s.attribute[d][i];
      if (row < 0 || row >= images->N) {
        status = dvg_fail(DVG_ERROR_INPUT, "%s: row %lld has its attributes from an image that the bank hasn't",
                          dvg_artifact_path(a), (long long)i);
        goto done;
      }
      if (s.fate[i] != DVG_FATE_WRITTEN || !revoked->image[row]) continue;
      found = 1;
      if (listing) print_source(listing, s.number[i], domain[d], row, images, names);
    }
    *n_found += found;
  }
done:
  dvg_free(&s.fate);
  dvg_free(&s.number);
  dvg_free(&s.item);
  dvg_free(&s.person);
  for (int d = 0; d < 2; d++) dvg_free(&s.attribute[d]);
  return status;
}

enum dvg_status dvg_pairs_find_revoked(int64_t *n_found, FILE *listing, const char *path,
                                       const char *const domain[2], const struct dvg_image_set *images,
                                       char **names, const struct dvg_revocation *revoked) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, path, "pairs", DVG_PAIRS_VERSION));
  enum dvg_status status = find_in(n_found, listing, a, domain, images, names, revoked);
  dvg_artifact_close(&a);
  return status;
}
