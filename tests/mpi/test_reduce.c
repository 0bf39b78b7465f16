// mpi/reduce: the same bits for every number of ranks and every assignment; overflow and NaN are found and
// named.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "mpi/reduce.h"
#include "tests/check.h"

enum { N = 5000, N_TERMS = 3, N_MICRO = 13 };

static const struct dvg_reduce_span spans[] = {
    {"conv1.weight", 0, 4000}, {"conv1.bias", 4000, 1}, {"fc.weight", 4001, 999}};
enum { N_SPANS = 3 };

// Micro-batch m's gradient and terms: values of very different sizes, which floating-point sums would round by
// order.
static void micro_batch(float *gradient, double *terms, int m) {
  struct dvg_rng r;
  dvg_rng_init(&r, 11, DVG_STREAM_TEST, (uint64_t)m);
  for (int i = 0; i < N; i++) gradient[i] = dvg_rng_normal(&r) * exp2f(dvg_rng_between(&r, -30, 12));
  for (int t = 0; t < N_TERMS; t++) terms[t] = (double)dvg_rng_normal(&r) * 10 + 1.0 / 3;
}

// The exact sum of the rounded values, computed here another way: in 128-bit integers from llrint of long
// doubles.
static void expect(float *gradient, double *terms, int n_micro) {
  static __int128 sum[N + N_TERMS];
  memset(sum, 0, sizeof sum);
  float *g = malloc(N * sizeof *g);
  double t[N_TERMS];
  for (int m = 0; m < n_micro; m++) {
    micro_batch(g, t, m);
    for (int i = 0; i < N; i++) sum[i] += llrintl(ldexpl((long double)g[i], DVG_REDUCE_BITS));
    for (int k = 0; k < N_TERMS; k++) sum[N + k] += llrintl(ldexpl((long double)t[k], DVG_REDUCE_BITS));
  }
  for (int i = 0; i < N; i++) gradient[i] = (float)ldexp((double)(int64_t)sum[i], -DVG_REDUCE_BITS);
  for (int k = 0; k < N_TERMS; k++) terms[k] = ldexp((double)(int64_t)sum[N + k], -DVG_REDUCE_BITS);
  free(g);
}

// Buckets of about `bucket` values: several, of which the last is shorter.
static enum dvg_status create_in(struct dvg_reduce *r, struct dvg_slices *s, const struct dvg_world *w,
                                 int64_t n_micro, int64_t bucket) {
  DVG_TRY(dvg_slices_create(s, w, N, bucket));
  return dvg_reduce_create(r, s, N_TERMS, n_micro, spans, N_SPANS);
}
static enum dvg_status create(struct dvg_reduce *r, struct dvg_slices *s, int64_t n_micro) {
  return create_in(r, s, dvg_test_world(), n_micro, 700);
}
static void release(struct dvg_reduce *r, struct dvg_slices *s) {
  dvg_reduce_free(r);
  dvg_slices_free(s);
}
static void finish(struct dvg_reduce *r, const struct dvg_world *w, float *g, double *t) {
  dvg_reduce_finish(r, w, g, t);
  dvg_slices_share(r->slices, g);
}

// As a backward does that completes uneven pieces of the gradient from the end to the beginning; what is not
// complete is not to be looked at.
static void advance_in_pieces(struct dvg_reduce *r, const float *g, const double *t) {
  float *partial = malloc(N * sizeof *partial);
  for (int i = 0; i < N; i++) partial[i] = NAN;
  CHECK_OK(dvg_reduce_add_terms(r, t));
  for (int first = N, piece = 1; first > 0; piece = piece * 7 % 1009 + 1) {
    int next = first - piece > 0 ? first - piece : 0;
    memcpy(partial + next, g + next, (size_t)(first - next) * sizeof *g);
    first = next;
    CHECK_OK(dvg_reduce_advance(r, partial, first));
  }
  free(partial);
}

// All micro-batches, dealt by (a * m + b) mod size, are summed; the bits must be those of expect(). The last
// `advanced` of each rank come piece by piece.
static void sum_is_exact_in(int64_t bucket, int n_micro, int a, int b, int advanced) {
  const struct dvg_world *w = dvg_test_world();
  struct dvg_slices s;
  struct dvg_reduce r;
  float *g = malloc(N * sizeof *g), *want = malloc(N * sizeof *want);
  double t[N_TERMS] = {0}, want_t[N_TERMS];
  CHECK_OK(dvg_world_agree(w, create_in(&r, &s, w, N_MICRO, bucket)));
  for (int step = 0; step < 2; step++) { // the second one: nothing of the first is left
    int left = 0;
    dvg_reduce_clear(&r);
    for (int m = 0; m < n_micro; m++) left += (a * m + b) % w->size == w->rank;
    for (int m = 0; m < n_micro; m++) {
      if ((a * m + b) % w->size != w->rank) continue;
      micro_batch(g, t, m);
      if (--left == 0 && advanced) advance_in_pieces(&r, g, t);
      else CHECK_OK(dvg_reduce_add(&r, g, t));
    }
    memset(g, 0xff, N * sizeof *g);
    finish(&r, w, g, t);
    expect(want, want_t, n_micro);
    CU_ASSERT_EQUAL(memcmp(g, want, N * sizeof *g), 0);
    CU_ASSERT_EQUAL(memcmp(t, want_t, sizeof t), 0);
  }
  free(g);
  free(want);
  release(&r, &s);
}

static void sum_is_exact(int n_micro, int a, int b) {
  sum_is_exact_in(700, n_micro, a, b, 0);
  sum_is_exact_in(700, n_micro, a, b, 1);
  sum_is_exact_in(1, n_micro, a, b, 1);       // a cache line a rank
  sum_is_exact_in(1 << 20, n_micro, a, b, 1); // all in one
}

static void sums_do_not_depend_on_ranks(void) {
  sum_is_exact(N_MICRO, 1, 0);
  sum_is_exact(N_MICRO, 1, 1);
  sum_is_exact(N_MICRO, 3, 2);
  sum_is_exact(N_MICRO, 0, 0); // all on rank 0
}

static void fewer_micro_batches_than_ranks(void) {
  sum_is_exact(2, 1, 0);
  sum_is_exact(1, 1, 2);
  sum_is_exact(0, 1, 0);
}

// Gradients of the usual size come back as accurate as float32 itself.
static void sums_are_accurate(void) {
  float *g = malloc(N * sizeof *g), *got = malloc(N * sizeof *got);
  double *exact = calloc(N, sizeof *exact), terms[N_TERMS] = {0};
  struct dvg_world alone = {0, 1};
  struct dvg_slices s;
  struct dvg_reduce r;
  CHECK_OK(create_in(&r, &s, &alone, N_MICRO, 700));
  for (int m = 0; m < N_MICRO; m++) {
    dvg_test_fill(g, N, (uint64_t)m, 1e-3f);
    for (int i = 0; i < N; i++) exact[i] += (double)g[i];
    CHECK_OK(dvg_reduce_add(&r, g, terms));
  }
  finish(&r, &alone, got, terms);
  for (int i = 0; i < N; i++) exact[i] *= 1e3, got[i] *= 1e3f;
  CHECK_CLOSE("sum", got, exact, N, 1.3e-7); // two roundings to float32: 2^-23
  release(&r, &s);
  free(g);
  free(got);
  free(exact);
}

// ---- refusals

static void refused(int64_t at, float value, const char *part) {
  struct dvg_slices s;
  struct dvg_reduce r;
  float *g = calloc(N, sizeof *g);
  double t[N_TERMS] = {0};
  CHECK_OK(create(&r, &s, 4));
  g[at] = value;
  dvg_test_listen();
  CU_ASSERT_EQUAL(dvg_reduce_add(&r, g, t), DVG_ERROR_NUMERIC);
  CU_ASSERT_TRUE(dvg_test_heard_line(part));
  free(g);
  release(&r, &s);
}

static void bad_values_are_named(void) {
  refused(0, NAN, "gradient of conv1.weight is not a number at 0");
  refused(3999, NAN, "gradient of conv1.weight is not a number at 3999");
  refused(4000, -NAN, "gradient of conv1.bias is not a number at 0");
  refused(4001, INFINITY, "gradient of fc.weight is infinite at 0");
  refused(N - 1, -INFINITY, "gradient of fc.weight is infinite at 998");
  refused(2500, 1e30f, "gradient of conv1.weight overflows at 2500: 1e+30 is not within +-65536");
  refused(2500, 65536, "gradient of conv1.weight overflows at 2500"); // 2^18 / 4 micro-batches
  refused(2500, -65536, "gradient of conv1.weight overflows at 2500");
}

static void bad_terms_are_named(void) {
  struct dvg_slices s;
  struct dvg_reduce r;
  float *g = calloc(N, sizeof *g);
  CHECK_OK(create(&r, &s, 4));
  dvg_test_listen();
  CU_ASSERT_EQUAL(dvg_reduce_add(&r, g, (double[]){0, (double)NAN, 0}), DVG_ERROR_NUMERIC);
  CU_ASSERT_TRUE(dvg_test_heard_line("loss term is not a number at 1"));
  dvg_test_listen();
  CU_ASSERT_EQUAL(dvg_reduce_add(&r, g, (double[]){0, 0, -1e9}), DVG_ERROR_NUMERIC);
  CU_ASSERT_TRUE(dvg_test_heard_line("loss term overflows at 2"));
  free(g);
  release(&r, &s);
}

// The largest values that are let in fill the range without wrapping, however many ranks they come from.
static void the_full_range_does_not_wrap(void) {
  const struct dvg_world *w = dvg_test_world();
  enum { MICRO = 4 };
  struct dvg_slices s;
  struct dvg_reduce r;
  float *g = malloc(N * sizeof *g), largest = nextafterf(65536, 0);
  double t[N_TERMS] = {(double)largest, -(double)largest, 0};
  CHECK_OK(dvg_world_agree(w, create(&r, &s, MICRO)));
  for (int i = 0; i < N; i++) g[i] = i % 2 ? largest : -largest;
  for (int m = 0; m < MICRO; m++)
    if (m % w->size == w->rank) CHECK_OK(dvg_reduce_add(&r, g, t));
  finish(&r, w, g, t);
  CU_ASSERT_EQUAL(g[0], -MICRO * largest);
  CU_ASSERT_EQUAL(g[N - 1], MICRO * largest);
  CU_ASSERT_EQUAL(t[0], MICRO * (double)largest);
  free(g);
  release(&r, &s);
}

static void an_error_on_one_rank_ends_all(void) {
  const struct dvg_world *w = dvg_test_world();
  struct dvg_slices s;
  struct dvg_reduce r;
  float *g = calloc(N, sizeof *g);
  double t[N_TERMS] = {0};
  CHECK_OK(dvg_world_agree(w, create(&r, &s, 4)));
  if (w->rank == w->size - 1) g[7] = NAN;
  dvg_test_listen();
  enum dvg_status mine = dvg_reduce_add(&r, g, t);
  dvg_test_heard();
  CU_ASSERT_EQUAL(mine, w->rank == w->size - 1 ? DVG_ERROR_NUMERIC : DVG_OK);
  CU_ASSERT_EQUAL(dvg_world_agree(w, mine), DVG_ERROR_NUMERIC);
  dvg_reduce_finish(&r, w, g, t); // ends, whatever the sums are
  free(g);
  release(&r, &s);
}

// A value that goes wrong while buckets are on their way: the rank says so, takes part to the end, and the next
// step is well again.
static void an_error_on_the_way(void) {
  const struct dvg_world *w = dvg_test_world();
  struct dvg_slices s;
  struct dvg_reduce r;
  float *g = calloc(N, sizeof *g), *want = malloc(N * sizeof *want);
  double t[N_TERMS] = {0}, want_t[N_TERMS];
  CHECK_OK(dvg_world_agree(w, create(&r, &s, N_MICRO)));
  const int bad = w->rank == w->size - 1;
  if (bad) g[2500] = NAN;
  enum dvg_status status = DVG_OK;
  dvg_log_quiet(1);
  for (int first = N - 100; first >= 0; first -= 100) {
    enum dvg_status one = dvg_reduce_advance(&r, status == DVG_OK ? g : NULL, first);
    if (status == DVG_OK) status = one;
  }
  dvg_log_quiet(0);
  CU_ASSERT_EQUAL(status, bad ? DVG_ERROR_NUMERIC : DVG_OK);
  dvg_reduce_finish(&r, w, g, t);
  dvg_reduce_clear(&r);
  micro_batch(g, t, 0);
  if (w->rank == 0) advance_in_pieces(&r, g, t);
  finish(&r, w, g, t);
  expect(want, want_t, 1);
  CU_ASSERT_EQUAL(memcmp(g, want, N * sizeof *g), 0);
  CU_ASSERT_EQUAL(memcmp(t, want_t, sizeof t), 0);
  free(g);
  free(want);
  release(&r, &s);
}

const struct dvg_test dvg_tests[] = {{"sums do not depend on ranks", sums_do_not_depend_on_ranks},
                                     {"fewer micro-batches than ranks", fewer_micro_batches_than_ranks},
                                     {"sums are accurate", sums_are_accurate},
                                     {"bad values are named", bad_values_are_named},
                                     {"bad terms are named", bad_terms_are_named},
                                     {"the full range does not wrap", the_full_range_does_not_wrap},
                                     {"an error on one rank ends all", an_error_on_one_rank_ends_all},
                                     {"an error while buckets are on their way", an_error_on_the_way},
                                     {NULL, NULL}};
