// The recognition metrics: by hand on tiny sets, against a quadratic version in doubles on random scores.
#include <math.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "stages/evaluate/metrics.h"
#include "stages/evaluate/pairs.h"
#include "stages/evaluate/protocol.h"
#include "tests/check.h"

static void start(struct dvg_tally *t, const float *genuine, int64_t n_genuine, const float *impostor,
                  int64_t n) {
  CHECK_OK(dvg_tally_create(t, genuine, n_genuine));
  dvg_tally_add(t, impostor, n, NULL, NULL);
  dvg_tally_finish(t);
}
#define COUNT(x) ((int64_t)(sizeof(x) / sizeof *(x)))
#define START(t, genuine, impostor) start(t, genuine, COUNT(genuine), impostor, COUNT(impostor))

static void near(double got, double want) {
  CU_ASSERT_TRUE(fabs(got - want) <= 1e-12);
}

// ---- the slow versions: every question answered by counting over all scores

static double share(const float *x, int64_t n, double threshold) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += (double)x[i] >= threshold;
  return (double)count / (double)n;
}

static double slow_auc(const float *g, int64_t n_g, const float *m, int64_t n_m) {
  double sum = 0;
  for (int64_t i = 0; i < n_g; i++)
    for (int64_t j = 0; j < n_m; j++) sum += g[i] > m[j] ? 1 : g[i] == m[j] ? 0.5 : 0;
  return sum / ((double)n_g * (double)n_m);
}

// All scores as thresholds, and one above all.
static double *thresholds(const float *g, int64_t n_g, const float *m, int64_t n_m) {
  double *all = NULL;
  CHECK_OK(DVG_NEW(&all, n_g + n_m + 1, "thresholds"));
  for (int64_t i = 0; i < n_g; i++) all[i] = g[i];
  for (int64_t j = 0; j < n_m; j++) all[n_g + j] = m[j];
  all[n_g + n_m] = INFINITY;
  return all;
}

static double slow_tar(const float *g, int64_t n_g, const float *m, int64_t n_m, double far) {
  double *all = thresholds(g, n_g, m, n_m), last = INFINITY;
  for (int64_t i = 0; i <= n_g + n_m; i++)
    if (all[i] < last && share(m, n_m, all[i]) <= far) last = all[i];
  double tar = share(g, n_g, last);
  dvg_free(&all);
  return tar;
}

// The highest of all scores with FAR > far.
static double slow_beyond(const float *g, int64_t n_g, const float *m, int64_t n_m, double far) {
  double *all = thresholds(g, n_g, m, n_m), first = -INFINITY;
  for (int64_t i = 0; i <= n_g + n_m; i++)
    if (all[i] > first && share(m, n_m, all[i]) > far) first = all[i];
  double tar = share(g, n_g, first);
  dvg_free(&all);
  return tar;
}

static int descending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

static double slow_eer(const float *g, int64_t n_g, const float *m, int64_t n_m) {
  double *all = thresholds(g, n_g, m, n_m), eer = NAN;
  qsort(all, (size_t)(n_g + n_m + 1), sizeof *all, descending);
  double far = 0, frr = 1;
  for (int64_t i = 0; i <= n_g + n_m; i++) {
    double next_far = share(m, n_m, all[i]), next_frr = 1 - share(g, n_g, all[i]);
    if (next_far >= next_frr) { // the two lines cross on the way here
      double here = frr - far, there = next_far - next_frr;
      eer = far + (here + there > 0 ? here / (here + there) * (next_far - far) : 0);
      break;
    }
    far = next_far;
    frr = next_frr;
  }
  dvg_free(&all);
  return eer;
}

// ---- tests

static void separates_perfectly(void) {
  const float genuine[] = {0.9f, 0.8f}, impostor[] = {0.1f, -0.2f, 0.3f, 0};
  struct dvg_tally t;
  START(&t, genuine, impostor);
  CU_ASSERT_EQUAL(t.n_impostor, 4);
  CU_ASSERT_EQUAL(dvg_tally_auc(&t), 1);
  CU_ASSERT_EQUAL(dvg_tally_eer(&t), 0);
  struct dvg_operating_point p = dvg_tally_at_far(&t, 0.25);
  CU_ASSERT_EQUAL(p.tar, 1);
  CU_ASSERT_EQUAL(p.far_there, 0);
  CU_ASSERT_EQUAL(p.threshold, (double)0.8f);
  dvg_tally_free(&t);
}

static void fails_perfectly(void) {
  const float genuine[] = {-0.5f, -0.6f}, impostor[] = {0.1f, 0.2f};
  struct dvg_tally t;
  START(&t, genuine, impostor);
  CU_ASSERT_EQUAL(dvg_tally_auc(&t), 0);
  CU_ASSERT_EQUAL(dvg_tally_eer(&t), 1);
  struct dvg_operating_point p = dvg_tally_at_far(&t, 0.5);
  CU_ASSERT_EQUAL(p.tar, 0);
  CU_ASSERT_TRUE(isnan(p.threshold)); // no genuine score passes
  CU_ASSERT_EQUAL(dvg_tally_at_far(&t, 1).tar, 1);
  dvg_tally_free(&t);
}

// Genuine 0.8 0.6 0.4, impostors 0.7 0.5 0.3 0.1: pairs in order 4 + 3 + 2 of 12. Down the thresholds (FAR,
// TAR) is (0, 1/3) (1/4, 1/3) (1/4, 2/3) (1/2, 2/3) (1/2, 1): FAR = 1 - TAR on the way from (1/4, 2/3) to (1/2,
// 2/3), at 1/3.
static void interleaved_by_hand(void) {
  const float genuine[] = {0.4f, 0.8f, 0.6f}, impostor[] = {0.1f, 0.7f, 0.3f, 0.5f};
  struct dvg_tally t;
  START(&t, genuine, impostor);
  near(dvg_tally_auc(&t), 9.0 / 12);
  near(dvg_tally_eer(&t), 1.0 / 3);
  near(dvg_tally_at_far(&t, 0).tar, 1.0 / 3);
  near(dvg_tally_at_far(&t, 0.24).tar, 1.0 / 3);
  near(dvg_tally_at_far(&t, 0.25).tar, 2.0 / 3); // FAR <= t: the bound itself belongs to it
  near(dvg_tally_at_far(&t, 0.49).tar, 2.0 / 3);
  near(dvg_tally_at_far(&t, 0.49).threshold, 0.6f);
  near(dvg_tally_at_far(&t, 0.5).tar, 1);
  near(dvg_tally_at_far(&t, 1).tar, 1);
  near(dvg_tally_beyond_far(&t, 0.24).tar, 1.0 / 3); // at 0.7, the first impostor
  near(dvg_tally_beyond_far(&t, 0.25).tar, 2.0 / 3); // at 0.5
  near(dvg_tally_beyond_far(&t, 0.25).threshold, 0.6f);
  near(dvg_tally_beyond_far(&t, 0.5).tar, 1); // at 0.3
  near(dvg_tally_beyond_far(&t, 1).tar, 1);   // nowhere
  dvg_tally_free(&t);
}

// All scores alike: a coin.
static void ties_count_half(void) {
  const float genuine[] = {0.5f, 0.5f}, impostor[] = {0.5f, 0.5f, 0.5f};
  struct dvg_tally t;
  START(&t, genuine, impostor);
  near(dvg_tally_auc(&t), 0.5);
  near(dvg_tally_eer(&t), 0.5);
  near(dvg_tally_at_far(&t, 0.9).tar, 0); // no threshold lies between equal scores
  near(dvg_tally_at_far(&t, 1).tar, 1);
  dvg_tally_free(&t);
}

// Genuine 0.5 0.5 0.2, impostors 0.5 0.1: 2 * (1/2 + 1) + 1 of 6. (0, 0) (1/2, 2/3) (1/2, 1): FAR = FRR at 0 +
// l/2 = 1 - 2l/3, l = 6/7.
static void a_tie_is_a_slope(void) {
  const float genuine[] = {0.5f, 0.2f, 0.5f}, impostor[] = {0.1f, 0.5f};
  struct dvg_tally t;
  START(&t, genuine, impostor);
  near(dvg_tally_auc(&t), 4.0 / 6);
  near(dvg_tally_eer(&t), 3.0 / 7);
  near(dvg_tally_at_far(&t, 0.49).tar, 0);
  near(dvg_tally_at_far(&t, 0.5).tar, 1);
  dvg_tally_free(&t);
}

static void few_impostors_refuse(void) {
  CU_ASSERT_TRUE(dvg_far_measurable(0.01, 100));
  CU_ASSERT_FALSE(dvg_far_measurable(0.01, 99));
  CU_ASSERT_TRUE(dvg_far_measurable(1e-5, 100000));
  CU_ASSERT_FALSE(dvg_far_measurable(0.1, 0));
  CU_ASSERT_FALSE(dvg_far_measurable(0, 100));
  CU_ASSERT_FALSE(dvg_far_measurable(1.5, 100));
  CU_ASSERT_FALSE(dvg_far_measurable(NAN, 100));
}

// k of n impostors is a FAR of k/n to the last bit: 0.29 * 100 isn't 29.
static void bounds_are_met_exactly(void) {
  enum { N = 100 };
  float impostor[N], genuine[N];
  for (int i = 0; i < N; i++) {
    impostor[i] = (float)(N - i) / N;           // descending
    genuine[i] = (float)(N - i) / N - 0.5f / N; // right below impostor i
  }
  struct dvg_tally t;
  START(&t, genuine, impostor);
  int n_wrong = 0;
  for (int k = 1; k <= N; k++) n_wrong += fabs(dvg_tally_at_far(&t, k / 100.0).tar - k / 100.0) > 1e-12;
  CU_ASSERT_EQUAL(n_wrong, 0);
  dvg_tally_free(&t);
}

static void no_impostors_no_answer(void) {
  const float genuine[] = {0.5f};
  struct dvg_tally t;
  start(&t, genuine, 1, NULL, 0);
  CU_ASSERT_TRUE(isnan(dvg_tally_auc(&t)));
  CU_ASSERT_TRUE(isnan(dvg_tally_eer(&t)));
  dvg_tally_free(&t);
}

// Scores outside [-1, 1], where the search table ends, and at its bounds.
static void scores_at_the_edges(void) {
  const float genuine[] = {1.0000002f, 1, -1, -1.0000002f, 0}, impostor[] = {1.5f, 1, 0.99999994f, -1, -3, 0};
  struct dvg_tally t;
  START(&t, genuine, impostor);
  near(dvg_tally_auc(&t), slow_auc(genuine, 5, impostor, 6));
  near(dvg_tally_eer(&t), slow_eer(genuine, 5, impostor, 6));
  dvg_tally_free(&t);
}

// Against the slow versions; coarse scores, so that there are many ties.
static void agrees_with_brute_force(void) {
  enum { N_GENUINE = 61, N_IMPOSTOR = 307 };
  static const double fars[] = {1.0 / N_IMPOSTOR, 0.004, 0.01, 0.029, 0.05, 0.1, 0.25, 0.5, 0.9, 1};
  float genuine[N_GENUINE], impostor[N_IMPOSTOR];
  double worst = 0;
  for (uint64_t round = 0; round < 60; round++) {
    struct dvg_rng r;
    dvg_rng_init(&r, 7, DVG_STREAM_TEST, round);
    float steps = round % 3 == 0 ? 5 : round % 3 == 1 ? 50 : 1e6f, shift = 0.1f * (float)(round % 7);
    int64_t n_genuine = 1 + dvg_rng_below(&r, N_GENUINE), n_impostor = 1 + dvg_rng_below(&r, N_IMPOSTOR);
    for (int64_t i = 0; i < n_genuine; i++)
      genuine[i] = roundf((0.3f * dvg_rng_normal(&r) + shift) * steps) / steps;
    for (int64_t i = 0; i < n_impostor; i++) impostor[i] = roundf(0.3f * dvg_rng_normal(&r) * steps) / steps;
    struct dvg_tally t;
    start(&t, genuine, n_genuine, impostor, n_impostor);
    worst = fmax(worst, fabs(dvg_tally_auc(&t) - slow_auc(genuine, n_genuine, impostor, n_impostor)));
    worst = fmax(worst, fabs(dvg_tally_eer(&t) - slow_eer(genuine, n_genuine, impostor, n_impostor)));
    for (int64_t i = 0; i < COUNT(fars); i++) {
      if (!dvg_far_measurable(fars[i], n_impostor)) continue;
      struct dvg_operating_point p = dvg_tally_beyond_far(&t, fars[i]);
      worst = fmax(worst, fabs(p.tar - slow_beyond(genuine, n_genuine, impostor, n_impostor, fars[i])));
      if (!isnan(p.threshold)) worst = fmax(worst, fabs(p.tar - share(genuine, n_genuine, p.threshold)));
      p = dvg_tally_at_far(&t, fars[i]);
      worst = fmax(worst, fabs(p.tar - slow_tar(genuine, n_genuine, impostor, n_impostor, fars[i])));
      if (isnan(p.threshold)) continue;
      worst = fmax(worst, fabs(p.far_there - share(impostor, n_impostor, p.threshold)));
      worst = fmax(worst, fabs(p.tar - share(genuine, n_genuine, p.threshold)));
    }
    dvg_tally_free(&t);
  }
  if (!(worst <= 1e-12)) printf("  largest difference %.3g\n", worst);
  CU_ASSERT_TRUE(worst <= 1e-12); // quotients of integers below 2^53: a few roundings
}

// Counted in two halves and added: what ranks do.
static void halves_add_up(void) {
  const float genuine[] = {0.4f, 0.8f, 0.6f, 0.4f}, impostor[] = {0.1f, 0.7f, 0.4f, 0.5f, 0.8f, 0.9f, 0.3f};
  struct dvg_tally whole, left, right;
  START(&whole, genuine, impostor);
  CHECK_OK(dvg_tally_create(&left, genuine, 4));
  CHECK_OK(dvg_tally_create(&right, genuine, 4));
  dvg_tally_add(&left, impostor, 3, NULL, NULL);
  dvg_tally_add(&right, impostor + 3, 4, NULL, NULL);
  for (int64_t i = 0; i < dvg_tally_counters(&left); i++) left.impostor[i] += right.impostor[i];
  dvg_tally_finish(&left);
  CU_ASSERT_EQUAL(dvg_tally_auc(&whole), dvg_tally_auc(&left));
  CU_ASSERT_EQUAL(dvg_tally_eer(&whole), dvg_tally_eer(&left));
  dvg_tally_free(&whole);
  dvg_tally_free(&left);
  dvg_tally_free(&right);
}

static void roc_is_monotone_and_complete(void) {
  enum { N_GENUINE = 500, N_IMPOSTOR = 20000 };
  float *genuine = NULL, *impostor = NULL;
  CHECK_OK(DVG_NEW(&genuine, N_GENUINE, "scores"));
  CHECK_OK(DVG_NEW(&impostor, N_IMPOSTOR, "scores"));
  dvg_test_fill(genuine, N_GENUINE, 1, 0.2f);
  dvg_test_fill(impostor, N_IMPOSTOR, 2, 0.2f);
  for (int i = 0; i < N_GENUINE; i++) genuine[i] += 0.3f;
  struct dvg_tally t;
  start(&t, genuine, N_GENUINE, impostor, N_IMPOSTOR);
  struct dvg_operating_point *roc = NULL;
  int64_t n = 0;
  CHECK_OK(dvg_tally_roc(&roc, &n, &t));
  CU_ASSERT_TRUE(n > 100 && n < 400);
  CU_ASSERT_EQUAL(roc[0].far, 0);
  CU_ASSERT_EQUAL(roc[1].far, 1.0 / N_IMPOSTOR);
  CU_ASSERT_EQUAL(roc[n - 1].far, 1);
  CU_ASSERT_EQUAL(roc[n - 1].tar, 1);
  int n_wrong = 0;
  for (int64_t i = 1; i < n; i++) {
    n_wrong += !(roc[i].far > roc[i - 1].far) || roc[i].tar < roc[i - 1].tar;
    n_wrong += roc[i].tar != dvg_tally_at_far(&t, roc[i].far).tar;
  }
  CU_ASSERT_EQUAL(n_wrong, 0);
  dvg_free(&roc);
  dvg_tally_free(&t);
  dvg_free(&genuine);
  dvg_free(&impostor);
}

static void rank_rates(void) {
  const int64_t place[] = {1, 3, 0, 5, 6, 1, 0}; // 0: left out
  near(dvg_rank_rate(place, 7, 1), 2.0 / 5);
  near(dvg_rank_rate(place, 7, 5), 4.0 / 5);
  near(dvg_rank_rate(place, 7, 10), 1);
  CU_ASSERT_TRUE(isnan(dvg_rank_rate(place + 2, 1, 1)));
}

static void embeddings_are_checked(void) {
  static float e[3 * DVG_CODE];
  e[0] = e[DVG_CODE + 7] = 1;
  e[2 * DVG_CODE] = 0.6f;
  e[2 * DVG_CODE + 9] = -0.8f;
  CU_ASSERT_EQUAL(dvg_embed_bad(e, 3), -1);
  e[DVG_CODE + 7] = 0; // a zero vector
  CU_ASSERT_EQUAL(dvg_embed_bad(e, 3), 1);
  e[3] = NAN;
  CU_ASSERT_EQUAL(dvg_embed_bad(e, 3), 0);
  e[3] = INFINITY;
  CU_ASSERT_EQUAL(dvg_embed_bad(e, 3), 0);
}

// Against the mean over all pairs of items whose identities differ.
static void mis_of_pairs(void) {
  enum { N = 40, IDENTITIES = 11 };
  static float vector[N * DVG_CODE];
  int64_t same[N];
  dvg_test_fill(vector, N * DVG_CODE, 3, 0.1f);
  for (int i = 0; i < N; i++) same[i] = i * 7 % IDENTITIES;
  double sum = 0, mis = 0;
  int64_t n_pairs = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < i; j++) {
      if (same[i] == same[j]) continue;
      for (int k = 0; k < DVG_CODE; k++) sum += (double)vector[i * DVG_CODE + k] * vector[j * DVG_CODE + k];
      n_pairs++;
    }
  CHECK_OK(dvg_pair_mis(&mis, vector, DVG_CODE, same, N, IDENTITIES));
  CU_ASSERT_TRUE(fabs(mis - sum / (double)n_pairs) <= 1e-10);
  for (int i = 0; i < N; i++) same[i] = 0;
  CHECK_OK(dvg_pair_mis(&mis, vector, DVG_CODE, same, N, 1));
  CU_ASSERT_TRUE(isnan(mis));
}

const struct dvg_test dvg_tests[] = {{"separates perfectly", separates_perfectly},
                                     {"fails perfectly", fails_perfectly},
                                     {"interleaved, by hand", interleaved_by_hand},
                                     {"ties count half", ties_count_half},
                                     {"a tie is a slope of the ROC", a_tie_is_a_slope},
                                     {"too few impostors for a FAR", few_impostors_refuse},
                                     {"bounds are met exactly", bounds_are_met_exactly},
                                     {"no impostors, no answer", no_impostors_no_answer},
                                     {"scores at the edges", scores_at_the_edges},
                                     {"agrees with brute force", agrees_with_brute_force},
                                     {"halves add up", halves_add_up},
                                     {"ROC is monotone and complete", roc_is_monotone_and_complete},
                                     {"rank rates", rank_rates},
                                     {"embeddings are checked", embeddings_are_checked},
                                     {"MIS of pairs", mis_of_pairs},
                                     {NULL, NULL}};
