#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/embeddings.h"
#include "stages/train_recognizer/train_recognizer.h"

// row[i] = the teacher's row of image i of the set, by name.
static enum dvg_status match_names(int64_t *row, const struct dvg_artifact *a, const struct dvg_image_set *set,
                                   int64_t n_rows) {
  char **names = NULL;
  int64_t n_names;
  DVG_TRY(dvg_artifact_load_text(set->file, "name", &n_names, &names));
  enum dvg_status status = dvg_embeddings_match(row, a, names, n_names, n_rows);
  dvg_free(&names);
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
