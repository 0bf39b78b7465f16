#include "stages/evaluate/pair_scores.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/embed.h"

enum { ROWS = 64, COLUMNS = 512, BLOCK = 8 * COLUMNS, BINS = 1 << 20, MOST_TRAINING = 20000, C = DVG_CODE };

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

// Cosines mean something between embeddings by the same weights alone.
static enum dvg_status check_judge(const struct dvg_features *f, const struct dvg_weights *judge) {
  DVG_TRY(dvg_features_check_code(f, DVG_CODE, judge->path));
  return dvg_features_check_input(f, "weights", judge->path, judge->digest);
}

enum dvg_status dvg_training_read(struct dvg_training *t, const struct dvg_world *w, const char *folder,
                                  double far, const struct dvg_weights *judge) {
  struct dvg_features f = {.reader = NULL};
  *t = (struct dvg_training){.far = far};
  DVG_TRY(dvg_features_open(&f, w, folder));
  enum dvg_status status = w->rank == 0 ? check_judge(&f, judge) : DVG_OK;
  if (status == DVG_OK && w->rank == 0) status = read_all(t, &f);
  status = dvg_world_agree(w, status);
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

// The largest cosine of each vector of one set to those of another. Rows of the one are shared out in whole tiles, and all
// ranks take the others block by block, so that every product is of the shape and place that one rank alone gives it.
struct search {
  int64_t first, n_own; // rows that are this rank's
  int64_t column;       // where the block begins
  int others;           // the sets are one: no vector is compared with itself
  float *own, *block;   // (n_own, C), (BLOCK, C); of rank 0 neither: it has all
  float *best;          // (n_own) so far
  int64_t *bits;        // (rows) of all ranks' results: integers, to be summed
};

static void take_largest(void *context, const float *block, int64_t first, int64_t rows, int64_t column,
                         int64_t columns) {
  const struct search *s = context;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      if (!(s->others && s->first + first + i == s->column + column + j) &&
          block[i * COLUMNS + j] > s->best[first + i])
        s->best[first + i] = block[i * COLUMNS + j];
}

static int64_t first_row(const struct dvg_world *w, int rank, int64_t n) {
  const int64_t n_tiles = (n + ROWS - 1) / ROWS;
  return at_most((int64_t)((__int128)n_tiles * rank / w->size) * ROWS, n);
}

static enum dvg_status search_create(struct search *s, const struct dvg_world *w, int64_t n) {
  s->first = first_row(w, w->rank, n);
  s->n_own = first_row(w, w->rank + 1, n) - s->first;
  DVG_TRY(DVG_NEW(&s->best, s->n_own, "scores of pairs"));
  DVG_TRY(DVG_NEW(&s->bits, n, "scores of pairs"));
  for (int64_t i = 0; i < s->n_own; i++) s->best[i] = -1;
  if (w->rank == 0) return DVG_OK;
  DVG_TRY(dvg_alloc((void **)&s->own, s->n_own, C * sizeof *s->own, "embeddings of pairs"));
  return dvg_alloc((void **)&s->block, BLOCK, C * sizeof *s->block, "embeddings of pairs");
}

static void search_free(struct search *s) {
  dvg_free(&s->own);
  dvg_free(&s->block);
  dvg_free(&s->best);
  dvg_free(&s->bits);
}

// Collective. Every rank gets its rows of a.
static void hand_out(struct search *s, const struct dvg_world *w, float *a, int64_t n) {
  for (int64_t at = 0; at < n && w->size > 1; at += BLOCK) {
    const int64_t count = at_most(n - at, BLOCK);
    dvg_world_broadcast(w, w->rank == 0 ? a + at * C : s->block, (size_t)(count * C) * sizeof *a, 0);
    for (int64_t i = at; i < at + count && w->rank > 0; i++)
      if (i >= s->first && i < s->first + s->n_own)
        memcpy(s->own + (i - s->first) * C, s->block + (i - at) * C, C * sizeof *a);
  }
}

// Collective. Rank 0 has the vectors a (n_a, C) and b (n_b, C), the others NULL. value (n_a) is raised to what is found, on all
// ranks; `others`: b is a.
static enum dvg_status raise_to_largest(float *value, const struct dvg_world *w, float *a, int64_t n_a, float *b,
                                        int64_t n_b, int others) {
  struct search s = {.others = others};
  enum dvg_status status = dvg_world_agree(w, search_create(&s, w, n_a));
  if (status != DVG_OK) goto done;
  hand_out(&s, w, a, n_a);
  for (s.column = 0; s.column < n_b; s.column += BLOCK) {
    const int64_t count = at_most(n_b - s.column, BLOCK);
    float *block = w->rank == 0 ? b + s.column * C : s.block;
    dvg_world_broadcast(w, block, (size_t)(count * C) * sizeof *b, 0);
    each_block(w->rank == 0 ? a : s.own, s.n_own, block, count, take_largest, &s);
  }
  for (int64_t i = 0; i < s.n_own; i++) {
    uint32_t bits;
    memcpy(&bits, &s.best[i], sizeof bits);
    s.bits[s.first + i] = bits;
  }
  dvg_world_sum(w, s.bits, n_a);
  for (int64_t i = 0; i < n_a; i++) {
    const uint32_t bits = (uint32_t)s.bits[i];
    float best;
    memcpy(&best, &bits, sizeof best);
    if (best > value[i]) value[i] = best;
  }
done:
  search_free(&s);
  return status;
}

static enum dvg_status new_column(float **column, int64_t n, float value) {
  DVG_TRY(DVG_NEW(column, n, "scores of pairs"));
  for (int64_t i = 0; i < n; i++) (*column)[i] = value;
  return DVG_OK;
}

// Rank 0: what needs no search.
static enum dvg_status fill_own(struct dvg_pair_scores *s, const float *vector, int n_domains) {
  const int64_t n = s->n;
  const float *image = vector + n * C;
  if (n_domains > 1) DVG_TRY(new_column(&s->cos_pair, n, 0));
  for (int64_t i = 0; s->cos_pair && i < n; i++) s->cos_pair[i] = cosine(image + i * C, image + (n + i) * C);
  for (int d = 0; d < n_domains; d++) {
    DVG_TRY(new_column(&s->cos[d], n, 0));
    for (int64_t i = 0; i < n; i++) s->cos[d][i] = cosine(image + (d * n + i) * C, vector + i * C);
  }
  return DVG_OK;
}

static enum dvg_status fill(struct dvg_pair_scores *s, const struct dvg_world *w, float *vector, int n_domains,
                            const struct dvg_training *training) {
  const int64_t n = s->n;
  int64_t n_training = training && w->rank == 0 ? training->n : 0;
  dvg_world_broadcast(w, &n_training, sizeof n_training, 0);
  enum dvg_status status = new_column(&s->nearest, n, -1);
  if (status == DVG_OK && n_training > 0) status = new_column(&s->leak, n, -1);
  if (status == DVG_OK && w->rank == 0) status = fill_own(s, vector, n_domains);
  DVG_TRY(dvg_world_agree(w, status));
  for (int d = 0; d < n_domains; d++) {
    float *image = w->rank == 0 ? vector + (1 + d) * n * C : NULL;
    DVG_TRY(raise_to_largest(s->nearest, w, image, n, image, n, 1));
    if (n_training > 0)
      DVG_TRY(raise_to_largest(s->leak, w, image, n, w->rank == 0 ? training->feature : NULL, n_training, 0));
  }
  return DVG_OK;
}

enum dvg_status dvg_pair_scores_of(struct dvg_pair_scores *s, const struct dvg_world *w, float *vector,
                                   int n_domains, int64_t n, const struct dvg_training *training) {
  *s = (struct dvg_pair_scores){.n = n};
  enum dvg_status status = fill(s, w, vector, n_domains, training);
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
