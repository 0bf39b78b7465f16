#include "stages/train_sampler/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/nn/conv.h"
#include "io/artifact.h"
#include "io/sheet.h"

enum { REAL, SAMPLED, KINDS, NEIGHBOURS = DVG_IDENTITY_NEIGHBOURS };

// LAPACK, in OpenBLAS: eigenvalues w, ascending, and vectors (columns of a) of a symmetric matrix.
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
                   double *work, const int *lwork, int *info);

// ---- cosines

// cosines (a.n, b.n) of all pairs, by one matrix product. The caller frees them.
static enum dvg_status cosines_of(float **cosines, struct dvg_identities a, struct dvg_identities b,
                                  int64_t C) {
  DVG_TRY(DVG_NEW(cosines, a.n * b.n, "cosines"));
  dvg_linear_forward(*cosines, a.x, b.x, NULL, a.n, C, b.n);
  return DVG_OK;
}

// nearest[i] = largest cosine of a's i-th to one of the first `among` of b; where both are the same, of those that
// follow it, in a circle.
static enum dvg_status find_nearest(double **nearest, struct dvg_identities a, struct dvg_identities b,
                                    int64_t among, int64_t C) {
  const int same = a.x == b.x;
  float *cosines = NULL;
  DVG_TRY(cosines_of(&cosines, a, b, C));
  enum dvg_status status = DVG_NEW(nearest, a.n, "nearest identities");
  for (int64_t i = 0; status == DVG_OK && i < a.n; i++) {
    (*nearest)[i] = -1;
    for (int64_t k = 0; k < among; k++) {
      const int64_t other = same ? (i + 1 + k) % b.n : k;
      (*nearest)[i] = fmax((*nearest)[i], (double)cosines[i * b.n + other]);
    }
  }
  dvg_free(&cosines);
  return status;
}

static void summarize(double *mean, double *largest, const double *x, int64_t n) {
  double sum = 0;
  *largest = -1;
  for (int64_t i = 0; i < n; i++) sum += x[i], *largest = fmax(*largest, x[i]);
  *mean = sum / (double)n;
}

static int descending(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

// Share of the real ones with one of `others` nearer than their NEIGHBOURS-th nearest real neighbour.
static enum dvg_status find_coverage(double *coverage, struct dvg_identities real, struct dvg_identities others,
                                     int64_t C) {
  float *among = NULL, *to = NULL;
  int64_t n_covered = 0;
  enum dvg_status status;
  DVG_TRY_GOTO(cosines_of(&among, real, real, C));
  DVG_TRY_GOTO(cosines_of(&to, real, others, C));
  for (int64_t i = 0; i < real.n; i++) {
    float *row = among + i * real.n, largest = -1;
    row[i] = -2; // itself is no neighbour
    qsort(row, (size_t)real.n, sizeof *row, descending);
    for (int64_t k = 0; k < others.n; k++) largest = fmaxf(largest, to[i * others.n + k]);
    n_covered += largest > row[NEIGHBOURS - 1];
  }
  *coverage = (double)n_covered / (double)real.n;
done:
  dvg_free(&among);
  dvg_free(&to);
  return status;
}

// ---- variances

// covariance (C,C) of the rows.
static enum dvg_status find_covariance(double *covariance, struct dvg_identities a, int64_t C) {
  double *mean = NULL, *row = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&mean, C, "mean identity"));
  DVG_TRY_GOTO(DVG_NEW(&row, C, "identity"));
  memset(covariance, 0, (size_t)(C * C) * sizeof *covariance);
  for (int64_t i = 0; i < a.n; i++)
    for (int64_t c = 0; c < C; c++) mean[c] += (double)a.x[i * C + c] / (double)a.n;
  for (int64_t i = 0; i < a.n; i++) {
    for (int64_t c = 0; c < C; c++) row[c] = (double)a.x[i * C + c] - mean[c];
    for (int64_t c = 0; c < C; c++)
      for (int64_t d = 0; d < C; d++) covariance[c * C + d] += row[c] * row[d] / (double)a.n;
  }
done:
  dvg_free(&mean);
  dvg_free(&row);
  return status;
}

// vectors (C,C): a row a principal direction, that of the least variance first; from a covariance in the same
// place.
static enum dvg_status find_directions(double *vectors, int64_t C) {
  int n = (int)C, info = 0, room = 34 * n; // work: at least 3 n - 1, of use (blocks + 2) n
  double *values = NULL, *work = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&values, C, "variances"));
  DVG_TRY_GOTO(DVG_NEW(&work, room, "principal directions"));
  dsyev_("V", "U", &n, vectors, &n, values, work, &room, &info);
  if (info != 0)
    status = dvg_fail(DVG_ERROR_NUMERIC, "principal directions of %d values: no convergence (%d)", n, info);
done:
  dvg_free(&values);
  dvg_free(&work);
  return status;
}

// variance[k] = v_k' covariance v_k, the last direction first.
static void project_variances(double *variance, const double *covariance, const double *vectors, int64_t C) {
  for (int64_t k = 0; k < C; k++) {
    const double *v = vectors + (C - 1 - k) * C;
    variance[k] = 0;
    for (int64_t c = 0; c < C; c++)
      for (int64_t d = 0; d < C; d++) variance[k] += v[c] * covariance[c * C + d] * v[d];
  }
}

// (tr S)^2 / tr S^2, which is (sum v)^2 / sum v^2 of its eigenvalues v.
static double count_directions(const double *covariance, int64_t C) {
  double trace = 0, squares = 0;
  for (int64_t c = 0; c < C; c++) trace += covariance[c * C + c];
  for (int64_t i = 0; i < C * C; i++) squares += covariance[i] * covariance[i];
  return squares > 0 ? trace * trace / squares : 0;
}

static enum dvg_status compare_variances(struct dvg_identity_report *r, const struct dvg_identities *all) {
  int64_t C = r->C;
  double *covariance = NULL, *vectors = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&covariance, C * C, "covariance"));
  DVG_TRY_GOTO(DVG_NEW(&vectors, C * C, "principal directions"));
  for (int k = 0; k < KINDS; k++) {
    struct dvg_identity_kind *kind = &r->kind[k];
    DVG_TRY_GOTO(DVG_NEW(&kind->variance, C, "variances"));
    DVG_TRY_GOTO(find_covariance(covariance, all[k], C));
    if (k == REAL) {
      memcpy(vectors, covariance, (size_t)(C * C) * sizeof *vectors);
      DVG_TRY_GOTO(find_directions(vectors, C));
    }
    project_variances(kind->variance, covariance, vectors, C);
    kind->directions = count_directions(covariance, C);
  }
done:
  dvg_free(&covariance);
  dvg_free(&vectors);
  return status;
}

// ---- the report

static enum dvg_status fill(struct dvg_identity_report *r, const struct dvg_identities *all,
                            struct dvg_identities training) {
  for (int k = 0; k < KINDS; k++) {
    struct dvg_identity_kind *kind = &r->kind[k];
    int is_training = all[k].x == training.x;
    // As many for both kinds: among more, the nearest is nearer.
    int64_t others = (all[k].n < all[REAL].n ? all[k].n : all[REAL].n) - 1;
    DVG_TRY(dvg_spread_of(&kind->spread, all[k].x, all[k].n, r->C));
    DVG_TRY(find_nearest(&kind->nearest, all[k], all[k], others, r->C));
    DVG_TRY(find_nearest(&kind->training, all[k], training, training.n - is_training, r->C));
    summarize(&kind->nearest_mean, &kind->nearest_largest, kind->nearest, all[k].n);
    summarize(&kind->training_mean, &kind->training_largest, kind->training, all[k].n);
    if (is_training) kind->coverage = 1;
    else DVG_TRY(find_coverage(&kind->coverage, all[REAL], k == REAL ? training : all[k], r->C));
  }
  return compare_variances(r, all);
}

enum dvg_status dvg_identity_report_of(struct dvg_identity_report *r, struct dvg_identities real,
                                       struct dvg_identities sampled, struct dvg_identities training,
                                       int64_t C) {
  const struct dvg_identities all[KINDS] = {real, sampled};
  *r = (struct dvg_identity_report){.C = C, .n = {real.n, sampled.n}, .n_training = training.n};
  if (real.n <= NEIGHBOURS || sampled.n < 2 || training.n < 2)
    return dvg_fail(DVG_ERROR_INPUT,
                    "%lld real, %lld sampled and %lld training identities are too few to compare",
                    (long long)real.n, (long long)sampled.n, (long long)training.n);
  enum dvg_status status = fill(r, all, training);
  if (status != DVG_OK) dvg_identity_report_free(r);
  return status;
}

void dvg_identity_report_free(struct dvg_identity_report *r) {
  for (int k = 0; k < KINDS; k++) {
    dvg_free(&r->kind[k].nearest);
    dvg_free(&r->kind[k].training);
    dvg_free(&r->kind[k].variance);
  }
}

// ---- files

static void put_line(FILE *f, const char *name, double real, double sampled) {
  fprintf(f, "%s\t%.6g\t%.6g\n", name, real, sampled);
}

static void put_numbers(FILE *f, const struct dvg_identity_report *r) {
  const struct dvg_identity_kind *a = &r->kind[REAL], *b = &r->kind[SAMPLED];
  fprintf(f, "number\treal\tsampled\n");
  put_line(f, "identities", (double)r->n[REAL], (double)r->n[SAMPLED]);
  put_line(f, "training_identities", (double)r->n_training, (double)r->n_training);
  put_line(f, "cosine_mean", a->spread.mean, b->spread.mean);
  put_line(f, "cosine_deviation", a->spread.deviation, b->spread.deviation);
  put_line(f, "nearest_mean", a->nearest_mean, b->nearest_mean);
  put_line(f, "nearest_largest", a->nearest_largest, b->nearest_largest);
  put_line(f, "training_mean", a->training_mean, b->training_mean);
  put_line(f, "training_largest", a->training_largest, b->training_largest);
  put_line(f, "coverage", a->coverage, b->coverage);
  put_line(f, "directions", a->directions, b->directions);
}

static void put_variances(FILE *f, const struct dvg_identity_report *r) {
  fprintf(f, "direction\treal\tsampled\n");
  for (int64_t k = 0; k < r->C; k++)
    fprintf(f, "%lld\t%.9g\t%.9g\n", (long long)(k + 1), r->kind[REAL].variance[k],
            r->kind[SAMPLED].variance[k]);
}

static enum dvg_status write_table(const struct dvg_identity_report *r, const char *folder, const char *name,
                                   void (*put)(FILE *, const struct dvg_identity_report *)) {
  char *text = NULL, *path = NULL;
  size_t n_bytes = 0;
  FILE *f = open_memstream(&text, &n_bytes);
  if (!f) return dvg_fail(DVG_ERROR_MEMORY, "no memory for a table");
  put(f, r);
  enum dvg_status status = fclose(f) == 0 ? DVG_OK : dvg_fail(DVG_ERROR_MEMORY, "no memory for a table");
  if (status == DVG_OK) status = dvg_text(&path, "%s/%s", folder, name);
  if (status == DVG_OK) status = dvg_path_write_text(path, text);
  free(text);
  dvg_free(&path);
  return status;
}

// Histograms over [-1, 1] of the cosines of both kinds.
static enum dvg_status plot_cosines(const char *path, const char *title, const double *real, int64_t n_real,
                                    const double *sampled, int64_t n_sampled) {
  struct dvg_spread of[KINDS] = {0};
  const double *x[KINDS] = {real, sampled};
  const int64_t n[KINDS] = {n_real, n_sampled};
  for (int k = 0; k < KINDS; k++)
    for (int64_t i = 0; i < n[k]; i++) dvg_spread_count(&of[k], x[k][i], 1 / (double)n[k]);
  return dvg_spread_plot(path, title, &of[REAL], &of[SAMPLED]);
}

static enum dvg_status plot_variances(const char *path, const struct dvg_identity_report *r) {
  double *direction = NULL;
  DVG_TRY(DVG_NEW(&direction, r->C, "directions"));
  for (int64_t k = 0; k < r->C; k++) direction[k] = (double)(k + 1);
  struct dvg_curve curves[] = {{"real identities", direction, r->kind[REAL].variance, r->C},
                               {"sampled identities", direction, r->kind[SAMPLED].variance, r->C}};
  struct dvg_plot plot = {.title = "variance along the real identities' principal directions",
                          .x_label = "direction",
                          .y_label = "variance",
                          .log_x = 1,
                          .curves = curves,
                          .n_curves = KINDS};
  enum dvg_status status = dvg_plot_write(&plot, path);
  dvg_free(&direction);
  return status;
}

static enum dvg_status plot_all(const struct dvg_identity_report *r, const char *folder) {
  const struct dvg_identity_kind *a = &r->kind[REAL], *b = &r->kind[SAMPLED];
  char path[1200];
  snprintf(path, sizeof path, "%s/identities-cosines.png", folder);
  DVG_TRY(dvg_spread_plot(path, "cosines between pairs of identities", &a->spread, &b->spread));
  snprintf(path, sizeof path, "%s/identities-nearest.png", folder);
  DVG_TRY(plot_cosines(path, "cosine to the nearest other identity", a->nearest, r->n[REAL], b->nearest,
                       r->n[SAMPLED]));
  snprintf(path, sizeof path, "%s/identities-training.png", folder);
  DVG_TRY(plot_cosines(path, "cosine to the nearest training identity", a->training, r->n[REAL], b->training,
                       r->n[SAMPLED]));
  snprintf(path, sizeof path, "%s/identities-variance.png", folder);
  return plot_variances(path, r);
}

enum dvg_status dvg_identity_report_write(const struct dvg_identity_report *r, const char *folder) {
  DVG_TRY(write_table(r, folder, "identities.tsv", put_numbers));
  DVG_TRY(write_table(r, folder, "identities-variance.tsv", put_variances));
  return plot_all(r, folder);
}
