#include "stages/embeddings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/features.h"

struct named_row {
  const char *name;
  int64_t row;
};

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct named_row *)a)->name, ((const struct named_row *)b)->name);
}

enum dvg_status dvg_embeddings_match(int64_t *row, const struct dvg_artifact *a, char *const *names, int64_t n,
                                     int64_t n_rows) {
  char **paths = NULL;
  int64_t n_paths;
  struct named_row *table = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_artifact_load_text(a, "path", &n_paths, &paths));
  if (n_paths != n_rows)
    DVG_TRY_GOTO(dvg_fail(DVG_ERROR_INPUT, "%s: has %lld paths for %lld features", dvg_artifact_path(a),
                          (long long)n_paths, (long long)n_rows));
  DVG_TRY_GOTO(DVG_NEW(&table, n_paths, "names of embeddings"));
  for (int64_t i = 0; i < n_paths; i++) table[i] = (struct named_row){paths[i], i};
  qsort(table, (size_t)n_paths, sizeof *table, by_name);
  for (int64_t i = 0; i < n; i++) {
    const struct named_row key = {names[i], 0},
                           *hit = bsearch(&key, table, (size_t)n_paths, sizeof *table, by_name);
    if (!hit)
      DVG_TRY_GOTO(
          dvg_fail(DVG_ERROR_INPUT, "%s: has no embedding of image %s", dvg_artifact_path(a), names[i]));
    if ((hit > table && by_name(hit - 1, hit) == 0) || (hit + 1 < table + n_paths && by_name(hit + 1, hit) == 0))
      DVG_TRY_GOTO(
          dvg_fail(DVG_ERROR_INPUT, "%s: has several embeddings of image %s", dvg_artifact_path(a), names[i]));
    row[i] = hit->row;
  }
done:
  dvg_free(&paths);
  dvg_free(&table);
  return status;
}

static enum dvg_status match(struct dvg_embeddings *e, const struct dvg_source *s, const int64_t *items, int64_t n) {
  const char *path = dvg_artifact_path(e->file);
  if (dvg_artifact_has(e->file, "path")) {
    char **names = NULL;
    DVG_TRY(dvg_source_names(&names, s, items, n));
    enum dvg_status status = dvg_embeddings_match(e->row, e->file, names, n, e->n_rows);
    dvg_free(&names);
    return status;
  }
  if (s->kind != DVG_SOURCE_IMAGES)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no dataset 'path' to say whose its features are", path);
  if (s->set.N != e->n_rows)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has %lld features for %lld images, and no paths to match them", path,
                    (long long)e->n_rows, (long long)s->set.N);
  for (int64_t i = 0; i < n; i++) e->row[i] = s->place[items[i]];
  return DVG_OK;
}

enum dvg_status dvg_embeddings_open(struct dvg_embeddings *e, const char *path, const struct dvg_source *s,
                                    const int64_t *items, int64_t n) {
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  enum dvg_type type;
  *e = (struct dvg_embeddings){.file = NULL};
  DVG_TRY(dvg_artifact_open_foreign(&e->file, path));
  DVG_TRY(dvg_artifact_shape(e->file, "feature", &type, &n_dims, dims));
  if ((type != DVG_F32 && type != DVG_F64) || n_dims != 2 || dims[1] < 1 || dims[1] > DVG_FEATURE_MAX_WIDTH)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'feature' is no set of vectors of up to %d floats", path,
                    DVG_FEATURE_MAX_WIDTH);
  e->n_rows = dims[0];
  e->width = dims[1];
  DVG_TRY(DVG_NEW(&e->row, n, "rows of embeddings"));
  return match(e, s, items, n);
}

void dvg_embeddings_close(struct dvg_embeddings *e) {
  dvg_artifact_close(&e->file);
  dvg_free(&e->row);
}

enum dvg_status dvg_embeddings_digest(char digest[DVG_DIGEST_TEXT], const struct dvg_embeddings *e) {
  enum { ROWS = 256 };
  struct dvg_digest d = {0};
  float *x = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&x, ROWS * e->width, "embeddings"));
  DVG_TRY_GOTO(dvg_digest_begin(&d));
  DVG_TRY_GOTO(dvg_digest_add(&d, &e->width, sizeof e->width));
  for (int64_t first = 0; first < e->n_rows; first += ROWS) {
    const int64_t n = e->n_rows - first < ROWS ? e->n_rows - first : ROWS;
    DVG_TRY_GOTO(dvg_artifact_read(e->file, "feature", DVG_F32, first, n, x));
    DVG_TRY_GOTO(dvg_digest_add(&d, x, (size_t)(n * e->width) * sizeof *x));
  }
  DVG_TRY_GOTO(dvg_digest_end(&d, digest));
done:
  dvg_digest_drop(&d);
  dvg_free(&x);
  return status;
}

enum dvg_status dvg_embeddings_read(float *x, const struct dvg_embeddings *e, int64_t i) {
  double squares = 0;
  DVG_TRY(dvg_artifact_read(e->file, "feature", DVG_F32, e->row[i], 1, x));
  for (int64_t k = 0; k < e->width; k++) squares += (double)x[k] * x[k];
  if (!(squares > 0) || !isfinite(squares))
    return dvg_fail(DVG_ERROR_INPUT, "%s: feature %lld has no direction: it is zero, or not finite",
                    dvg_artifact_path(e->file), (long long)e->row[i]);
  for (int64_t k = 0; k < e->width; k++) x[k] = (float)(x[k] / sqrt(squares));
  return DVG_OK;
}
