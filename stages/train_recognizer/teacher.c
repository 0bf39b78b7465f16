#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/train_recognizer/train_recognizer.h"

struct named_row {
  const char *name;
  int64_t row;
};

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct named_row *)a)->name, ((const struct named_row *)b)->name);
}

// row[i] = the teacher's row of image i of the set, by name.
static enum dvg_status match_names(int64_t *row, const struct dvg_artifact *a, const struct dvg_image_set *set,
                                   int64_t n_rows) {
  char **paths = NULL, **names = NULL;
  int64_t n_paths, n_names;
  struct named_row *table = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_artifact_load_text(a, "path", &n_paths, &paths));
  if (n_paths != n_rows)
    DVG_TRY_GOTO(dvg_fail(DVG_ERROR_INPUT, "%s: has %lld paths for %lld features", dvg_artifact_path(a),
                          (long long)n_paths, (long long)n_rows));
  DVG_TRY_GOTO(dvg_artifact_load_text(set->file, "name", &n_names, &names));
  DVG_TRY_GOTO(DVG_NEW(&table, n_paths, "teacher's names"));
  for (int64_t i = 0; i < n_paths; i++) table[i] = (struct named_row){paths[i], i};
  qsort(table, (size_t)n_paths, sizeof *table, by_name);
  for (int64_t i = 0; i < set->N; i++) {
    const struct named_row key = {names[i], 0},
                           *hit = bsearch(&key, table, (size_t)n_paths, sizeof *table, by_name);
    if (!hit)
      DVG_TRY_GOTO(
          dvg_fail(DVG_ERROR_INPUT, "%s: has no embedding of image %s", dvg_artifact_path(a), names[i]));
    row[i] = hit->row;
  }
done:
  dvg_free(&paths);
  dvg_free(&names);
  dvg_free(&table);
  return status;
}

// Subtracts the mean of all rows and scales each to unit length.
static void center_and_normalize(float *x, int64_t N, int64_t C) {
  for (int64_t c = 0; c < C; c++) {
    double mean = 0;
    for (int64_t i = 0; i < N; i++) mean += x[i * C + c];
    mean /= (double)N;
    for (int64_t i = 0; i < N; i++) x[i * C + c] -= (float)mean;
  }
  for (int64_t i = 0; i < N; i++) {
    double squares = 0;
    for (int64_t c = 0; c < C; c++) squares += (double)x[i * C + c] * x[i * C + c];
    float scale = (float)(1 / sqrt(squares + 1e-24));
    for (int64_t c = 0; c < C; c++) x[i * C + c] *= scale;
  }
}

enum dvg_status dvg_teacher_read(struct dvg_teacher *t, const char *path, const struct dvg_image_set *set) {
  struct dvg_artifact *a = NULL;
  float *all = NULL;
  int64_t dims[2] = {-1, -1}, *row = NULL;
  enum dvg_status status;
  *t = (struct dvg_teacher){.C = 0};
  DVG_TRY(dvg_artifact_open_foreign(&a, path));
  DVG_TRY_GOTO(dvg_artifact_load(a, "feature", DVG_F32, 2, dims, (void **)&all));
  DVG_TRY_GOTO(DVG_NEW(&row, set->N, "teacher's rows"));
  if (dvg_artifact_has(a, "path")) DVG_TRY_GOTO(match_names(row, a, set, dims[0]));
  else if (dims[0] != set->N)
    DVG_TRY_GOTO(dvg_fail(DVG_ERROR_INPUT, "%s: has %lld features for %lld images, and no paths to match them",
                          path, (long long)dims[0], (long long)set->N));
  else
    for (int64_t i = 0; i < set->N; i++) row[i] = i;
  t->C = dims[1];
  DVG_TRY_GOTO(DVG_NEW(&t->target, set->N * t->C, "teacher's embeddings"));
  for (int64_t i = 0; i < set->N; i++)
    memcpy(t->target + i * t->C, all + row[i] * t->C, (size_t)t->C * sizeof *all);
  for (int64_t i = 0; i < set->N * t->C; i++)
    if (!isfinite(t->target[i]))
      DVG_TRY_GOTO(
          dvg_fail(DVG_ERROR_INPUT, "%s: feature of image %lld is not finite", path, (long long)(i / t->C)));
  DVG_TRY_GOTO(dvg_digest_of(t->digest, t->target, (size_t)(set->N * t->C) * sizeof *t->target));
  center_and_normalize(t->target, set->N, t->C);
done:
  if (status != DVG_OK) dvg_free(&t->target);
  dvg_free(&row);
  dvg_free(&all);
  dvg_artifact_close(&a);
  return status;
}
