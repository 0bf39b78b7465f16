// Intervals and comparisons: by hand, and replicates against a slow version that really draws people.
#include <math.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "stages/evaluate/difference.h"
#include "tests/check.h"

static void near(double got, double want) {
  CU_ASSERT_TRUE(fabs(got - want) <= 1e-12);
}

// ---- replicates: scores of a few people, in steps of 1/64 so that many are equal

enum { PEOPLE = 7, GENUINE = 5, IMPOSTORS = 40 };

struct scores {
  float genuine[PEOPLE][GENUINE], impostor[PEOPLE][IMPOSTORS];
};

static void draw_scores(struct scores *s, int64_t steps, uint64_t seed) {
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_TEST, 0);
  for (int p = 0; p < PEOPLE; p++) {
    for (int i = 0; i < GENUINE; i++)
      s->genuine[p][i] = (float)dvg_rng_below(&r, steps) / (float)steps * 0.7f + 0.2f;
    for (int i = 0; i < IMPOSTORS; i++)
      s->impostor[p][i] = (float)dvg_rng_below(&r, steps) / (float)steps * 0.7f;
  }
}

static void count_people(struct dvg_people *people, struct dvg_tally *t, const struct scores *s) {
  CHECK_OK(dvg_tally_create(t, s->genuine[0], PEOPLE * GENUINE));
  CHECK_OK(dvg_people_create(people, t, PEOPLE));
  const int64_t width = people->n_knots + 1;
  for (int p = 0; p < PEOPLE; p++) {
    dvg_tally_add(t, s->impostor[p], IMPOSTORS, people->impostor + p * width, people->knots_at);
    for (int i = 0; i < GENUINE; i++)
      people->genuine[p * width + people->knots_at[dvg_tally_reached(t, s->genuine[p][i])]]++;
    people->asked[p] = GENUINE;
    people->right[p] = p % (GENUINE + 1);
  }
  dvg_people_finish(people);
}

// The tally of the drawn people's own scores.
static double slow_replicate(const struct scores *s, const int64_t *weight, double far) {
  float genuine[PEOPLE * PEOPLE * GENUINE];
  int64_t n = 0;
  struct dvg_tally t;
  for (int p = 0; p < PEOPLE; p++)
    for (int64_t k = 0; k < weight[p]; k++)
      for (int i = 0; i < GENUINE; i++) genuine[n++] = s->genuine[p][i];
  CHECK_OK(dvg_tally_create(&t, genuine, n));
  for (int p = 0; p < PEOPLE; p++)
    for (int64_t k = 0; k < weight[p]; k++) dvg_tally_add(&t, s->impostor[p], IMPOSTORS, NULL, NULL);
  dvg_tally_finish(&t);
  const double tar = dvg_tally_at_far(&t, far).tar;
  dvg_tally_free(&t);
  return tar;
}

static void replicates(void) {
  static const double far[] = {0.3, 0.1, 0.02, 0.0036};
  for (uint64_t seed = 1; seed <= 20; seed++) {
    struct scores s;
    struct dvg_tally t;
    struct dvg_people people;
    draw_scores(&s, seed % 2 ? 64 : 1 << 20, seed);
    count_people(&people, &t, &s);
    CU_ASSERT_EQUAL(people.n_knots, t.n_levels); // few scores: all of them, so the replicates are exact
    int64_t *counters = NULL, weight[PEOPLE] = {0}, right = 0;
    CHECK_OK(DVG_NEW(&counters, 2 * (people.n_knots + 1), "counters"));
    struct dvg_rng r;
    dvg_rng_init(&r, seed, DVG_STREAM_TEST, 1);
    for (int i = 0; i < PEOPLE; i++) weight[dvg_rng_below(&r, PEOPLE)]++;
    for (int p = 0; p < PEOPLE; p++) right += weight[p] * (p % (GENUINE + 1));
    double rank_1, tar[4];
    dvg_bootstrap_replicate(&rank_1, tar, &people, weight, far, 4, counters);
    near(rank_1, (double)right / (PEOPLE * GENUINE));
    for (int f = 0; f < 4; f++) near(tar[f], slow_replicate(&s, weight, far[f]));
    dvg_free(&counters);
    dvg_people_free(&people);
    dvg_tally_free(&t);
  }
}

// More genuine scores than knots: never above the exact TAR, and at most one knot's share below.
static void few_knots(void) {
  enum { N = 5000 };
  float *genuine = NULL, *impostor = NULL;
  CHECK_OK(DVG_NEW(&genuine, N, "scores"));
  CHECK_OK(DVG_NEW(&impostor, N, "scores"));
  struct dvg_rng r;
  dvg_rng_init(&r, 3, DVG_STREAM_TEST, 2);
  for (int i = 0; i < N; i++) {
    genuine[i] = dvg_rng_between(&r, -0.2f, 1);
    impostor[i] = dvg_rng_between(&r, -1, 0.5f);
  }
  struct dvg_tally t;
  struct dvg_people people;
  CHECK_OK(dvg_tally_create(&t, genuine, N));
  CHECK_OK(dvg_people_create(&people, &t, 1));
  CU_ASSERT_EQUAL(people.n_knots, DVG_MAX_KNOTS);
  dvg_tally_add(&t, impostor, N, people.impostor, people.knots_at);
  for (int i = 0; i < N; i++) people.genuine[people.knots_at[dvg_tally_reached(&t, genuine[i])]]++;
  dvg_people_finish(&people);
  dvg_tally_finish(&t);
  int64_t counters[2 * (DVG_MAX_KNOTS + 1)], weight = 1;
  for (double far = 0.0002; far < 1; far *= 1.7) {
    double rank_1, tar, exact = dvg_tally_at_far(&t, far).tar;
    dvg_bootstrap_replicate(&rank_1, &tar, &people, &weight, &far, 1, counters);
    CU_ASSERT_TRUE(isnan(rank_1)); // nobody was asked
    CU_ASSERT_TRUE(tar <= exact && tar >= exact - 2.0 / DVG_MAX_KNOTS);
  }
  dvg_people_free(&people);
  dvg_tally_free(&t);
  dvg_free(&genuine);
  dvg_free(&impostor);
}

// ---- what replicates say

static void intervals(void) {
  double value[21];
  struct dvg_interval i;
  for (int k = 0; k < 21; k++) value[k] = (k * 8) % 21; // 0 .. 20 in another order
  CHECK_OK(dvg_interval_of(&i, value, 21, 0.8));        // 10 % of 21 on either side: two values
  near(i.low, 2), near(i.high, 18);
  CHECK_OK(dvg_interval_of(&i, value, 21, 0.95)); // half a value: none
  near(i.low, 0), near(i.high, 20);
  value[0] = NAN; // the value 0
  CHECK_OK(dvg_interval_of(&i, value, 21, 0.95));
  near(i.low, 1), near(i.high, 20);
  CHECK_OK(dvg_interval_of(&i, value, 1, 0.95));
  CU_ASSERT_TRUE(isnan(i.low) && isnan(i.high));
  CHECK_OK(dvg_interval_of(&i, NULL, 0, 0.95));
  CU_ASSERT_TRUE(isnan(i.low) && isnan(i.high));
}

static void p_values(void) {
  const double difference[] = {1, 2, 3, -1, 0, 5, NAN, 4, 6, 7};
  near(dvg_difference_p(difference, 10), 2.0 * (2 + 1) / (9 + 1)); // -1 and 0 are not above, of nine
  const double one_side[] = {1, 1, 1};
  near(dvg_difference_p(one_side, 3), 2.0 / 4);
  const double none[] = {0, 0, 0};
  near(dvg_difference_p(none, 3), 1);
  CU_ASSERT_TRUE(isnan(dvg_difference_p(difference + 6, 1)));
}

static void mcnemar(void) {
  near(dvg_mcnemar_p(0, 0), 1);
  near(dvg_mcnemar_p(0, 10), 2.0 / 1024);
  near(dvg_mcnemar_p(1, 5), 2.0 * (1 + 6) / 64);
  near(dvg_mcnemar_p(5, 1), dvg_mcnemar_p(1, 5));
  near(dvg_mcnemar_p(3, 3), 1);
  // Many: the normal distribution with a continuity correction, 2 Phi(-(|b-c|-1)/sqrt(b+c)).
  const double z = (5200 - 4800 - 1) / sqrt(10000);
  CU_ASSERT_TRUE(fabs(dvg_mcnemar_p(4800, 5200) / erfc(z / sqrt(2)) - 1) < 1e-2);
}

// (0.1 - 0.2) / 2, and of three replicates (0.1 - 0.2) / 2, (0.2 + 0.1) / 2, (0 - 0.3) / 2.
static void mean_difference(void) {
  const double here[] = {0.5, 0.7}, there[] = {0.4, 0.9};
  const double one[] = {0.5, 0.6, 0.4}, its_other[] = {0.4, 0.4, 0.4};
  const double two[] = {0.7, 0.8, 0.6}, twos_other[] = {0.9, 0.7, 0.9};
  const double *const of_here[] = {one, two}, *const of_there[] = {its_other, twos_other};
  struct dvg_difference d;
  CHECK_OK(dvg_difference_mean(&d, here, there, of_here, of_there, 2, 3, 0.95));
  near(d.value, -0.05);
  near(d.interval.low, -0.15), near(d.interval.high, 0.15);
  near(d.p, 1);
  CHECK_OK(dvg_difference_mean(&d, here, there, of_here, of_there, 1, 3, 0.95));
  near(d.value, 0.1);
  near(d.interval.low, 0), near(d.interval.high, 0.2);
  near(d.p, 2.0 * (1 + 1) / (3 + 1)); // one of them is not above 0
  CHECK_OK(dvg_difference_mean(&d, here, there, NULL, NULL, 2, 0, 0.95));
  near(d.value, -0.05);
  CU_ASSERT_TRUE(isnan(d.interval.low) && isnan(d.interval.high) && isnan(d.p));
}

const struct dvg_test dvg_tests[] = {{"replicates", replicates}, {"few knots", few_knots},
                                     {"intervals", intervals},   {"p-values", p_values},
                                     {"McNemar", mcnemar},       {"mean difference", mean_difference},
                                     {NULL, NULL}};
