#include "stages/evaluate/pair_scores.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/embed.h"

enum { ROWS = 64, COLUMNS = 512, BINS = 1 << 20, MOST_TRAINING = 20000, C = DVG_CODE };

// LAPACK, in OpenBLAS: eigenvalues w, ascending, and vectors (columns of a) of a symmetric matrix.
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
                   double *work, const int *lwork, int *info);

static int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Calls visit for each block of cosines (rows of a, rows of b): block[i * COLUMNS + j] is that of a's first + i
// with b's column + j.
static void each_block(const float *a, int64_t n_a, const float *b, int64_t n_b,
                       void (*visit)(void *, const float *, int64_t, int64_t, int64_t, int64_t),
                       void *context) {
  static float block[ROWS * COLUMNS];
  for (int64_t first = 0; first < n_a; first += ROWS)
    for (int64_t column = 0; column < n_b; column += COLUMNS) {
      const int64_t rows = at_most(n_a - first, ROWS), columns = at_most(n_b - column, COLUMNS);
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)columns, C, 1, a + first * C, C,
                  b + column * C, C, 0, block, COLUMNS);
      visit(context, block, first, rows, column, columns);
    }
}

// ---- training identities

struct impostors {
  const int64_t *person;
  int64_t *bin, n; // (BINS) over [-1, 1]; each pair is counted twice
};

static void count_impostors(void *context, const float *block, int64_t first, int64_t rows, int64_t column,
                            int64_t columns) {
  struct impostors *m = context;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      if (m->person[first + i] == m->person[column + j]) continue;
      const double at = ((double)block[i * COLUMNS + j] + 1) * (BINS / 2);
      m->bin[at <= 0 ? 0 : at_most((int64_t)at, BINS - 1)]++;
      m->n++;
    }
}

// The lower bound of the lowest bin from which on no more than the share `far` lies.
static enum dvg_status find_threshold(struct dvg_training *t, const char *folder) {
  struct impostors m = {.person = t->person};
  DVG_TRY(DVG_NEW(&m.bin, BINS, "cosines of different people"));
  each_block(t->feature, t->n, t->feature, t->n, count_impostors, &m);
  t->n_different = m.n / 2;
  int64_t above = 0, bin = BINS;
  while (bin > 0 && (double)(above + m.bin[bin - 1]) <= t->far * (double)m.n) above += m.bin[--bin];
  t->threshold = (double)bin / (BINS / 2) - 1;
  dvg_free(&m.bin);
  if ((double)t->n_different * t->far < 1)
    return dvg_fail(DVG_ERROR_INPUT, "%s: a FAR of %g needs %.0f pairs of different people, there are %lld",
                    folder, t->far, ceil(1 / t->far), (long long)t->n_different);
  return DVG_OK;
}

static enum dvg_status read_all(struct dvg_training *t, const struct dvg_features *f) {
  t->n = at_most(f->n, MOST_TRAINING);
  DVG_TRY(dvg_alloc((void **)&t->feature, t->n, C * sizeof *t->feature, "training identities"));
  DVG_TRY(DVG_NEW(&t->person, t->n, "training identities"));
  DVG_TRY(dvg_features_people(t->person, f, 0, t->n));
  for (int64_t i = 0; i < t->n; i++) DVG_TRY(dvg_features_read(t->feature + i * C, f, i));
  snprintf(t->digest, sizeof t->digest, "%s", dvg_shard_reader_digest(f->reader));
  return find_threshold(t, f->folder);
}

enum dvg_status dvg_training_read(struct dvg_training *t, const struct dvg_world *w, const char *folder,
                                  double far) {
  struct dvg_features f = {.reader = NULL};
  *t = (struct dvg_training){.far = far};
  DVG_TRY(dvg_features_open(&f, w, folder));
  enum dvg_status status = dvg_world_agree(w, w->rank == 0 ? read_all(t, &f) : DVG_OK);
  dvg_features_close(&f);
  if (status != DVG_OK) dvg_training_free(t);
  return status;
}

void dvg_training_free(struct dvg_training *t) {
  dvg_free(&t->feature);
  dvg_free(&t->person);
}

// ---- scores

static float cosine(const float *a, const float *b) {
  double sum = 0;
  for (int k = 0; k < C; k++) sum += (double)a[k] * (double)b[k];
  return (float)sum;
}

struct largest {
  float *value; // (rows of a) so far
  int others;   // a and b are one: none is compared with itself
};

static void take_largest(void *context, const float *block, int64_t first, int64_t rows, int64_t column,
                         int64_t columns) {
  const struct largest *l = context;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      if (!(l->others && first + i == column + j) && block[i * COLUMNS + j] > l->value[first + i])
        l->value[first + i] = block[i * COLUMNS + j];
}

static enum dvg_status new_column(float **column, int64_t n, float value) {
  DVG_TRY(DVG_NEW(column, n, "scores of pairs"));
  for (int64_t i = 0; i < n; i++) (*column)[i] = value;
  return DVG_OK;
}

static enum dvg_status fill(struct dvg_pair_scores *s, const float *vector, int n_domains,
                            const struct dvg_training *training) {
  const int64_t n = s->n;
  const float *image = vector + n * C;
  if (n_domains > 1) DVG_TRY(new_column(&s->cos_pair, n, 0));
  for (int64_t i = 0; s->cos_pair && i < n; i++) s->cos_pair[i] = cosine(image + i * C, image + (n + i) * C);
  DVG_TRY(new_column(&s->nearest, n, -1));
  if (training) DVG_TRY(new_column(&s->leak, n, -1));
  for (int d = 0; d < n_domains; d++) {
    const float *of_domain = image + d * n * C;
    DVG_TRY(new_column(&s->cos[d], n, 0));
    for (int64_t i = 0; i < n; i++) s->cos[d][i] = cosine(of_domain + i * C, vector + i * C);
    each_block(of_domain, n, of_domain, n, take_largest, &(struct largest){s->nearest, 1});
    if (training)
      each_block(of_domain, n, training->feature, training->n, take_largest, &(struct largest){s->leak, 0});
  }
  return DVG_OK;
}

enum dvg_status dvg_pair_scores_of(struct dvg_pair_scores *s, const float *vector, int n_domains, int64_t n,
                                   const struct dvg_training *training) {
  *s = (struct dvg_pair_scores){.n = n};
  enum dvg_status status = fill(s, vector, n_domains, training);
  if (status != DVG_OK) dvg_pair_scores_free(s);
  return status;
}

void dvg_pair_scores_free(struct dvg_pair_scores *s) {
  dvg_free(&s->cos_pair);
  dvg_free(&s->nearest);
  dvg_free(&s->leak);
  for (int d = 0; d < DVG_PAIR_DOMAINS; d++) dvg_free(&s->cos[d]);
  s->n = 0;
}

static enum dvg_status write_column(struct dvg_artifact *a, const char *name, const float *value,
                                    const struct dvg_ledger *l, int64_t n_items) {
  float *row = NULL;
  if (!value) return DVG_OK;
  DVG_TRY(new_column(&row, n_items, NAN));
  for (int64_t k = 0; k < l->n_written; k++) row[dvg_ledger_item(l, k)] = value[k];
  enum dvg_status status = dvg_artifact_write(a, name, DVG_F32, 1, &n_items, row);
  dvg_free(&row);
  return status;
}

enum dvg_status dvg_pair_scores_write(struct dvg_artifact *a, const struct dvg_pair_scores *s,
                                      const struct dvg_ledger *l, char (*domain)[DVG_DOMAIN_TEXT],
                                      int n_domains, int64_t n_items, const char *pairs_digest) {
  DVG_TRY(dvg_artifact_set_text(a, "pairs_digest", pairs_digest));
  DVG_TRY(write_column(a, "cos_pair", s->cos_pair, l, n_items));
  DVG_TRY(write_column(a, "nearest", s->nearest, l, n_items));
  DVG_TRY(write_column(a, "leak", s->leak, l, n_items));
  for (int d = 0; d < n_domains; d++) {
    char name[DVG_DOMAIN_TEXT + 8];
    snprintf(name, sizeof name, "cos_%s", domain[d]);
    DVG_TRY(write_column(a, name, s->cos[d], l, n_items));
  }
  return DVG_OK;
}

// ---- Frechet distance

static void moments(double *mean, double *covariance, const float *x, int64_t n) {
  memset(mean, 0, C * sizeof *mean);
  memset(covariance, 0, (size_t)C * C * sizeof *covariance);
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < C; k++) mean[k] += (double)x[i * C + k] / (double)n;
  double row[C];
  for (int64_t i = 0; i < n; i++) {
    for (int k = 0; k < C; k++) row[k] = (double)x[i * C + k] - mean[k];
    cblas_dsyr(CblasRowMajor, CblasUpper, C, 1 / (double)(n - 1), row, 1, covariance, C);
  }
  for (int i = 0; i < C; i++)
    for (int j = 0; j < i; j++) covariance[i * C + j] = covariance[j * C + i];
}

// Eigenvalues of the symmetric a, ascending; with `vectors` its rows become the eigenvectors.
static enum dvg_status eigen(double *value, double *a, int vectors) {
  static double work[64 * C];
  const int n = C, room = 64 * C;
  int info = 0;
  dsyev_(vectors ? "V" : "N", "U", &n, a, &n, value, work, &room, &info);
  return info == 0 ? DVG_OK
                   : dvg_fail(DVG_ERROR_NUMERIC, "Frechet distance: eigenvalues don't converge (%d)", info);
}

// The trace of (S1 S2)^(1/2) is that of (R S2 R)^(1/2), R = S1^(1/2), which is symmetric: the sum of its roots
// of eigenvalues.
static enum dvg_status trace_of_root(double *trace, double *s1, const double *s2, double *root,
                                     double *product) {
  double value[C];
  DVG_TRY(eigen(value, s1, 1));
  for (int k = 0; k < C; k++) { // the k-th row times the fourth root, so that R = product' product
    const double scale = sqrt(sqrt(value[k] > 0 ? value[k] : 0));
    for (int i = 0; i < C; i++) product[k * C + i] = s1[k * C + i] * scale;
  }
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, C, C, C, 1, product, C, product, C, 0, root, C);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, C, C, C, 1, root, C, s2, C, 0, product, C);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, C, C, C, 1, product, C, root, C, 0, s1, C);
  DVG_TRY(eigen(value, s1, 0));
  *trace = 0;
  for (int k = 0; k < C; k++) *trace += sqrt(value[k] > 0 ? value[k] : 0);
  return DVG_OK;
}

enum dvg_status dvg_frechet(double *distance, const float *a, int64_t n_a, const float *b, int64_t n_b) {
  double *s = NULL, mean[2][C], trace;
  *distance = NAN;
  if (n_a < 2 || n_b < 2) return DVG_OK;
  DVG_TRY(DVG_NEW(&s, 4 * (int64_t)C * C, "covariances"));
  double *s1 = s, *s2 = s + C * C;
  moments(mean[0], s1, a, n_a);
  moments(mean[1], s2, b, n_b);
  double sum = 0;
  for (int k = 0; k < C; k++)
    sum += (mean[0][k] - mean[1][k]) * (mean[0][k] - mean[1][k]) + s1[k * C + k] + s2[k * C + k];
  enum dvg_status status = trace_of_root(&trace, s1, s2, s + 2 * C * C, s + 3 * C * C);
  if (status == DVG_OK) *distance = sum - 2 * trace;
  dvg_free(&s);
  return status;
}
