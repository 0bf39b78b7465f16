// Every operation of common/nn/conv.h against sums in double, on every kernel table that this CPU runs.
//
// Inputs are allocated to the float, at addresses that are not a vector's multiple, so that AddressSanitizer
// sees any overread. Outputs and scratch end in a guard pattern. Scratch starts as NaN: nothing may depend on
// what was there.
//
// limit: 120 seconds; takes: 9 seconds
#include "common/nn/conv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/layers.h"
#include "tests/check.h"

// Winograd: sums of products of transformed values, whose rounding is that of numbers some times larger than
// the result; DESIGN.md has 1-4e-6 of the largest output, small channel counts (a small largest output) up to
// 1e-5.
#define WINOGRAD_TOLERANCE 1e-5
// Eight bits of mantissa: 2^-9 of those numbers; 0.045 is the most that was seen, among few outputs.
#define BFLOAT16_TOLERANCE 0.06
// Plain sums of up to some thousand products: sqrt(n) * 2^-24 of typical size, and margin.
#define SUM_TOLERANCE 4e-6

#define GUARD 64 // floats
static const float guard_value = 1234.5f;

// ---- arrays

struct array {
  float *at;
  void *memory;
  int64_t n, guard;
};

static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

// n normal values ending exactly where the memory ends, one float behind a 16-byte boundary.
static struct array input(int64_t n, uint64_t seed) {
  struct array a = {NULL, must(malloc((size_t)(n + 1) * sizeof(float))), n, 0};
  a.at = (float *)a.memory + 1;
  dvg_test_fill(a.at, n, seed, 1.0f);
  return a;
}

// The same, followed by a guard.
static struct array output(int64_t n, uint64_t seed) {
  struct array a = {NULL, must(malloc((size_t)(n + 1 + GUARD) * sizeof(float))), n, GUARD};
  a.at = (float *)a.memory + 1;
  dvg_test_fill(a.at, n, seed, 1.0f);
  for (int64_t i = 0; i < GUARD; i++) a.at[n + i] = guard_value;
  return a;
}

// NaN on a 64-byte boundary, followed by a guard.
static struct array scratch_of(int64_t n) {
  const size_t bytes = (size_t)(n + GUARD) * sizeof(float);
  struct array a = {NULL, must(aligned_alloc(64, (bytes + 63) / 64 * 64)), n, GUARD};
  a.at = a.memory;
  for (int64_t i = 0; i < n; i++) a.at[i] = NAN;
  for (int64_t i = 0; i < GUARD; i++) a.at[n + i] = guard_value;
  return a;
}

static int guard_holds(const struct array *a) {
  for (int64_t i = 0; i < a->guard; i++)
    if (a->at[a->n + i] != guard_value) return 0;
  return 1;
}

static void drop(struct array *a) {
  CU_ASSERT_TRUE(guard_holds(a));
  free(a->memory);
}

static double *doubles_of(const float *x, int64_t n) {
  double *d = must(malloc((size_t)n * sizeof(double)));
  for (int64_t i = 0; i < n; i++) d[i] = x ? (double)x[i] : 0.0;
  return d;
}

// ---- the reference

struct sums {
  double *y, *dx, *dw, *db;
};

// All four results of one image and one pair of channels, by walking over the pairs of places that a weight
// connects.
static void reference_plane(struct sums *r, const struct dvg_conv *s, const float *x, const float *w,
                            const float *dy, int64_t x_at, int64_t y_at, int64_t w_at) {
  const int64_t P = dvg_conv_P(s), Q = dvg_conv_Q(s), k = s->kernel;
  // A transposed convolution is the ordinary one with input and output exchanged.
  const int64_t outer_h = s->transposed ? s->H : P, outer_w = s->transposed ? s->W : Q;
  const int64_t inner_h = s->transposed ? P : s->H, inner_w = s->transposed ? Q : s->W;
  for (int64_t p = 0; p < outer_h; p++)
    for (int64_t q = 0; q < outer_w; q++)
      for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++) {
          const int64_t h = p * s->stride - s->pad + i, v = q * s->stride - s->pad + j;
          if (h < 0 || h >= inner_h || v < 0 || v >= inner_w) continue;
          const int64_t outer = p * outer_w + q, inner = h * inner_w + v;
          const int64_t xi = x_at + (s->transposed ? outer : inner),
                        yi = y_at + (s->transposed ? inner : outer);
          const int64_t wi = w_at + i * k + j;
          r->y[yi] += (double)x[xi] * (double)w[wi];
          r->dx[xi] += (double)dy[yi] * (double)w[wi];
          r->dw[wi] += (double)dy[yi] * (double)x[xi];
        }
}

static void reference(struct sums *r, const struct dvg_conv *s, const float *x, const float *w,
                      const float *bias, const float *dy, int64_t N) {
  const int64_t places = s->H * s->W, outputs = dvg_conv_P(s) * dvg_conv_Q(s), kk = s->kernel * s->kernel;
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < s->K; k++) {
      const int64_t y_at = (n * s->K + k) * outputs;
      for (int64_t c = 0; c < s->C; c++)
        reference_plane(r, s, x, w, dy, (n * s->C + c) * places, y_at,
                        (s->transposed ? c * s->K + k : k * s->C + c) * kk);
      for (int64_t p = 0; p < outputs; p++) {
        r->y[y_at + p] += (double)bias[k];
        r->db[k] += (double)dy[y_at + p];
      }
    }
}

// ---- one shape, all operations

static void check_forward(const struct dvg_conv *s, const char *name, const struct array *x,
                          const struct array *w, const struct array *bias, const double *want, int64_t N,
                          double tolerance) {
  const int64_t outputs = dvg_conv_P(s) * dvg_conv_Q(s), n_y = N * s->K * outputs;
  struct array y = output(n_y, 11), scratch = scratch_of(dvg_conv_scratch(s, N)),
               u = output(dvg_conv_packed(s, 0), 12);
  dvg_conv_pack(s, u.at, w->at, 0);
  dvg_conv_forward(s, y.at, x->at, w->at, u.at, bias->at, N, scratch.at);
  char what[160];
  snprintf(what, sizeof what, "%s forward", name);
  CHECK_CLOSE(what, y.at, want, n_y, tolerance);

  // Without a bias: the same, minus the bias.
  double *unbiased = must(malloc((size_t)n_y * sizeof(double)));
  for (int64_t i = 0; i < n_y; i++) unbiased[i] = want[i] - (double)bias->at[i / outputs % s->K];
  dvg_conv_forward(s, y.at, x->at, w->at, u.at, NULL, N, scratch.at);
  snprintf(what, sizeof what, "%s forward without bias", name);
  CHECK_CLOSE(what, y.at, unbiased, n_y, tolerance);
  free(unbiased);
  drop(&y), drop(&scratch), drop(&u);
}

// The same values bit by bit; their sums are those of the values. Squares cancel nothing, so their error is that of the additions.
static void check_sums(const struct dvg_conv *s, const char *name, const struct array *x, const struct array *w, const struct array *bias,
                       int64_t N) {
  const int64_t n_packed = dvg_conv_packed(s, DVG_FILTERS_FORWARD), places = s->H * s->W, n_y = N * s->K * places;
  if (n_packed == 0) return;
  struct array y = output(n_y, 23), want = output(n_y, 24), u = output(n_packed, 25), scratch = scratch_of(dvg_conv_scratch(s, N));
  double *sums = must(malloc((size_t)(2 * N * s->K + 1) * sizeof(double)));
  for (int64_t i = 0; i <= 2 * N * s->K; i++) sums[i] = 1e9;
  dvg_conv_pack(s, u.at, w->at, DVG_FILTERS_FORWARD);
  dvg_conv_forward(s, want.at, x->at, w->at, u.at, bias->at, N, scratch.at);
  dvg_conv_forward_sums(s, y.at, sums, x->at, u.at, bias->at, N, scratch.at);
  CU_ASSERT_EQUAL(memcmp(y.at, want.at, (size_t)n_y * sizeof(float)), 0);
  CU_ASSERT_TRUE(sums[2 * N * s->K] == 1e9);
  int64_t n_wrong = 0;
  for (int64_t plane = 0; plane < N * s->K; plane++) {
    double sum = 0, magnitude = 0, square = 0;
    for (int64_t p = plane * places; p < (plane + 1) * places; p++) {
      sum += (double)y.at[p];
      magnitude += fabs((double)y.at[p]);
      square += (double)y.at[p] * (double)y.at[p];
    }
    n_wrong += !(fabs(sums[2 * plane] - sum) <= 1e-13 * magnitude) || !(fabs(sums[2 * plane + 1] - square) <= 1e-13 * square);
  }
  if (n_wrong) printf("%s: sums of %lld planes are wrong\n", name, (long long)n_wrong);
  CU_ASSERT_EQUAL(n_wrong, 0);
  free(sums);
  drop(&y), drop(&want), drop(&u), drop(&scratch);
}

// The same bits as the maximum of the two halves after the convolution; a NaN in an image or in either half is
// seen.
static void check_mfm(const struct dvg_conv *s, const char *name, struct array *x, const struct array *w,
                      const struct array *bias, int64_t N) {
  const int64_t n_packed = dvg_conv_packed(s, DVG_FILTERS_MFM), places = dvg_conv_P(s) * dvg_conv_Q(s), half = s->K / 2 * places;
  if (!dvg_conv_joins_mfm(s)) return;
  struct array y = output(2 * N * half, 18), want = output(N * half, 19), got = output(N * half, 20),
               u = output(dvg_conv_packed(s, DVG_FILTERS_FORWARD), 21), joint = output(n_packed, 22),
               scratch = scratch_of(dvg_conv_scratch(s, N));
  dvg_conv_pack(s, u.at, w->at, DVG_FILTERS_FORWARD);
  dvg_conv_pack(s, joint.at, w->at, DVG_FILTERS_MFM);
  float spare, *const nan_at[4] = {&spare, x->at, bias->at, bias->at + s->K / 2};
  for (int k = 0; k < 4; k++) {
    const float kept = k > 0 ? *nan_at[k] : 0;
    *nan_at[k] = NAN;
    dvg_conv_forward(s, y.at, x->at, w->at, u.at, bias->at, N, scratch.at);
    dvg_mfm_forward(want.at, y.at, N, s->K / 2, places);
    dvg_conv_forward_mfm(s, &(struct dvg_conv_maximum){.y = got.at}, x->at, w->at, joint.at, bias->at, N, scratch.at);
    int64_t n_wrong = 0, n_nan = 0;
    for (int64_t i = 0; i < N * half; i++) {
      n_nan += isnan(got.at[i]) != 0;
      n_wrong += isnan(want.at[i]) ? !isnan(got.at[i]) : memcmp(&got.at[i], &want.at[i], sizeof(float)) != 0;
    }
    if (n_wrong || (n_nan > 0) != (k > 0)) printf("%s: %lld of the maxima differ\n", name, (long long)n_wrong);
    CU_ASSERT_EQUAL(n_wrong, 0);
    CU_ASSERT_EQUAL(n_nan > 0, k > 0);
    *nan_at[k] = kept;
  }
  drop(&y), drop(&want), drop(&got), drop(&u), drop(&joint), drop(&scratch);
}

// With the winners that the forward kept: the same bits as the maximum's backward and the convolution's two, one after the other.
static void check_mfm_backward(const struct dvg_conv *s, const char *name, const struct array *x, const struct array *w,
                               const struct array *bias, int64_t N) {
  const int64_t n_winner = dvg_conv_winner_bytes(s, N, 0), places = dvg_conv_P(s) * dvg_conv_Q(s), half = s->K / 2 * places,
                n_x = N * s->C * s->H * s->W, n_w = s->K * s->C * s->kernel * s->kernel;
  if (n_winner == 0) return;
  CU_ASSERT_EQUAL(n_winner, N * half);
  struct array y = output(2 * N * half, 26), maximum = output(N * half, 27), dy = input(N * half, 28), whole = output(2 * N * half, 29),
               forward = output(dvg_conv_packed(s, DVG_FILTERS_FORWARD), 30), joint = output(dvg_conv_packed(s, DVG_FILTERS_MFM), 31),
               backward = output(dvg_conv_packed(s, DVG_FILTERS_BACKWARD), 32), scratch = scratch_of(dvg_conv_scratch(s, N)),
               dx = output(n_x, 33), dx_want = output(n_x, 33), dw = output(n_w, 34), dw_want = output(n_w, 34), db = output(s->K, 35),
               db_want = output(s->K, 35);
  signed char *winner = must(malloc((size_t)n_winner + 1));
  memset(winner, 77, (size_t)n_winner + 1);
  dvg_conv_pack(s, forward.at, w->at, DVG_FILTERS_FORWARD);
  dvg_conv_pack(s, joint.at, w->at, DVG_FILTERS_MFM);
  dvg_conv_pack(s, backward.at, w->at, DVG_FILTERS_BACKWARD);
  dvg_conv_forward(s, y.at, x->at, w->at, forward.at, bias->at, N, scratch.at);
  dvg_conv_forward_mfm(s, &(struct dvg_conv_maximum){.y = maximum.at, .winner = winner}, x->at, w->at, joint.at, bias->at, N, scratch.at);
  CU_ASSERT_EQUAL(winner[n_winner], 77);
  dvg_mfm_backward(whole.at, dy.at, y.at, N, s->K / 2, places, 0);
  for (int add = 0; add <= 1; add++) {
    dvg_conv_backward_data(s, dx_want.at, whole.at, w->at, backward.at, N, add, scratch.at);
    dvg_conv_backward_data_mfm(s, dx.at, &(struct dvg_conv_gradient){dy.at, winner, 0}, w->at, backward.at, N, add, scratch.at);
    const int same = memcmp(dx.at, dx_want.at, (size_t)n_x * sizeof(float)) == 0;
    if (!same) printf("%s: the data's gradient through the maximum differs\n", name);
    CU_ASSERT_TRUE(same);
  }
  dvg_conv_backward_weight(s, dw_want.at, db_want.at, x->at, whole.at, N, scratch.at);
  dvg_conv_backward_weight_mfm(s, dw.at, db.at, x->at, &(struct dvg_conv_gradient){dy.at, winner, 0}, N, scratch.at);
  CU_ASSERT_EQUAL(memcmp(dw.at, dw_want.at, (size_t)n_w * sizeof(float)), 0);
  CU_ASSERT_EQUAL(memcmp(db.at, db_want.at, (size_t)s->K * sizeof(float)), 0);
  free(winner);
  drop(&y), drop(&maximum), drop(&dy), drop(&whole), drop(&forward), drop(&joint), drop(&backward), drop(&scratch), drop(&dx), drop(&dx_want),
      drop(&dw), drop(&dw_want), drop(&db), drop(&db_want);
}

// With a base: the same bits as adding the maximum to it, in memory of its own or in place, and the same winners.
static void check_mfm_base(const struct dvg_conv *s, const char *name, const struct array *x, const struct array *w, const struct array *bias,
                           int64_t N) {
  const int64_t n_packed = dvg_conv_packed(s, DVG_FILTERS_MFM), n_y = N * (s->K / 2) * s->H * s->W, n_winner = dvg_conv_winner_bytes(s, N, 0);
  if (n_packed == 0) return;
  struct array want = output(n_y, 36), got = output(n_y, 37), base = input(n_y, 38), joint = output(n_packed, 39),
               scratch = scratch_of(dvg_conv_scratch(s, N));
  signed char *winner = must(calloc((size_t)n_winner + 1, 2)), *without = winner + n_winner;
  dvg_conv_pack(s, joint.at, w->at, DVG_FILTERS_MFM);
  dvg_conv_forward_mfm(s, &(struct dvg_conv_maximum){want.at, NULL, 0, n_winner ? without : NULL}, x->at, w->at, joint.at, bias->at, N, scratch.at);
  dvg_add(want.at, base.at, want.at, n_y);
  for (int in_place = 0; in_place <= 1; in_place++) {
    if (in_place) memcpy(got.at, base.at, (size_t)n_y * sizeof(float));
    const struct dvg_conv_maximum y = {got.at, in_place ? got.at : base.at, 0, n_winner ? winner : NULL};
    dvg_conv_forward_mfm(s, &y, x->at, w->at, joint.at, bias->at, N, scratch.at);
    const int same = memcmp(got.at, want.at, (size_t)n_y * sizeof(float)) == 0;
    if (!same) printf("%s: the maximum added to a base differs\n", name);
    CU_ASSERT_TRUE(same);
    CU_ASSERT_EQUAL(memcmp(winner, without, (size_t)n_winner), 0);
  }
  free(winner);
  drop(&want), drop(&got), drop(&base), drop(&joint), drop(&scratch);
}

// A pooled maximum, forward and backward: the same bits as all steps one after the other. Once with a NaN in the image, and once with ties
// everywhere, where the weights are zero.
static void check_mfm_pool(const struct dvg_conv *s, const char *name, const struct array *x, const struct array *w, const struct array *bias,
                           int64_t N) {
  if (!dvg_conv_joins_pool(s)) return;
  const int64_t P = dvg_conv_P(s), Q = dvg_conv_Q(s), half = N * (s->K / 2) * P * Q, n_y = half / 4, n_x = N * s->C * s->H * s->W,
                n_w = s->C * s->K * s->kernel * s->kernel, n_winner = dvg_conv_winner_bytes(s, N, 1);
  struct array y = output(2 * half, 40), maximum = output(half, 41), want = output(n_y, 42), got = output(n_y, 43), dy = input(n_y, 44),
               dmaximum = output(half, 45), whole = output(2 * half, 46), dx = output(n_x, 47), dx_want = output(n_x, 47), dw = output(n_w, 48),
               dw_want = output(n_w, 48), db = output(s->K, 49), db_want = output(s->K, 49), weight = output(n_w, 50),
               forward = output(dvg_conv_packed(s, DVG_FILTERS_FORWARD), 51), joint = output(dvg_conv_packed(s, DVG_FILTERS_MFM), 52),
               backward = output(dvg_conv_packed(s, DVG_FILTERS_BACKWARD), 53), scratch = scratch_of(dvg_conv_scratch(s, N));
  signed char *winner = must(malloc((size_t)n_winner + 1));
  CU_ASSERT_TRUE(n_winner == 0 || n_winner == n_y);
  for (int round = 0; round < 3; round++) {
    const float kept = x->at[0];
    if (round == 1) x->at[0] = NAN;
    for (int64_t i = 0; i < n_w; i++) weight.at[i] = round == 2 ? 0 : w->at[i];
    memset(winner, 77, (size_t)n_winner + 1);
    dvg_conv_pack(s, forward.at, weight.at, DVG_FILTERS_FORWARD);
    dvg_conv_pack(s, joint.at, weight.at, DVG_FILTERS_MFM);
    dvg_conv_pack(s, backward.at, weight.at, DVG_FILTERS_BACKWARD);
    dvg_conv_forward(s, y.at, x->at, weight.at, forward.at, bias->at, N, scratch.at);
    dvg_mfm_forward(maximum.at, y.at, N, s->K / 2, P * Q);
    dvg_pool_forward(want.at, maximum.at, N * (s->K / 2), P, Q);
    const struct dvg_conv_maximum to = {got.at, NULL, 1, n_winner ? winner : NULL};
    dvg_conv_forward_mfm(s, &to, x->at, weight.at, joint.at, bias->at, N, scratch.at);
    CU_ASSERT_EQUAL(winner[n_winner], 77);
    int64_t n_wrong = 0, n_nan = 0;
    for (int64_t i = 0; i < n_y; i++) {
      n_nan += isnan(want.at[i]) != 0;
      n_wrong += isnan(want.at[i]) ? !isnan(got.at[i]) : memcmp(&got.at[i], &want.at[i], sizeof(float)) != 0;
    }
    if (n_wrong || (n_nan > 0) != (round == 1)) printf("%s: %lld of the pooled maxima differ\n", name, (long long)n_wrong);
    CU_ASSERT_EQUAL(n_wrong, 0);
    CU_ASSERT_EQUAL(n_nan > 0, round == 1);
    x->at[0] = kept;
    if (n_winner == 0 || round == 1) continue;
    dvg_pool_backward(dmaximum.at, dy.at, maximum.at, N * (s->K / 2), P, Q, 0);
    dvg_mfm_backward(whole.at, dmaximum.at, y.at, N, s->K / 2, P * Q, 0);
    const struct dvg_conv_gradient gradient = {dy.at, winner, 1};
    for (int add = 0; add <= 1; add++) {
      dvg_conv_backward_data(s, dx_want.at, whole.at, weight.at, backward.at, N, add, scratch.at);
      dvg_conv_backward_data_mfm(s, dx.at, &gradient, weight.at, backward.at, N, add, scratch.at);
      CU_ASSERT_EQUAL(memcmp(dx.at, dx_want.at, (size_t)n_x * sizeof(float)), 0);
    }
    dvg_conv_backward_weight(s, dw_want.at, db_want.at, x->at, whole.at, N, scratch.at);
    dvg_conv_backward_weight_mfm(s, dw.at, db.at, x->at, &gradient, N, scratch.at);
    CU_ASSERT_EQUAL(memcmp(dw.at, dw_want.at, (size_t)n_w * sizeof(float)), 0);
    CU_ASSERT_EQUAL(memcmp(db.at, db_want.at, (size_t)s->K * sizeof(float)), 0);
  }
  free(winner);
  struct array *all[] = {&y,       &maximum, &want,    &got,    &dy,     &dmaximum, &whole, &dx,       &dx_want,
                         &dw,      &dw_want, &db,      &db_want, &weight, &forward,  &joint, &backward, &scratch};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) drop(all[i]);
}

static void check_backward_data(const struct dvg_conv *s, const char *name, const struct array *dy,
                                const struct array *w, double *want, int64_t N, double tolerance) {
  const int64_t n_x = N * s->C * s->H * s->W;
  struct array dx = output(n_x, 13), scratch = scratch_of(dvg_conv_scratch(s, N)),
               u = output(dvg_conv_packed(s, 1), 14);
  char what[160];
  dvg_conv_pack(s, u.at, w->at, 1);
  for (int64_t i = 0; i < n_x; i++) dx.at[i] = NAN; // overwritten, not added to
  dvg_conv_backward_data(s, dx.at, dy->at, w->at, u.at, N, 0, scratch.at);
  snprintf(what, sizeof what, "%s backward data", name);
  CHECK_CLOSE(what, dx.at, want, n_x, tolerance);

  dvg_test_fill(dx.at, n_x, 15, 1.0f);
  double *sum = doubles_of(dx.at, n_x);
  for (int64_t i = 0; i < n_x; i++) sum[i] += want[i];
  dvg_conv_backward_data(s, dx.at, dy->at, w->at, u.at, N, 1, scratch.at);
  snprintf(what, sizeof what, "%s backward data, added", name);
  CHECK_CLOSE(what, dx.at, sum, n_x, tolerance);
  free(sum);
  drop(&dx), drop(&scratch), drop(&u);
}

static void check_backward_weight(const struct dvg_conv *s, const char *name, const struct array *x,
                                  const struct array *dy, const struct sums *want, int64_t n_w, int64_t N,
                                  double tolerance) {
  struct array dw = output(n_w, 16), db = output(s->K, 17), scratch = scratch_of(dvg_conv_scratch(s, N));
  double *dw_sum = doubles_of(dw.at, n_w), *db_sum = doubles_of(db.at, s->K);
  char what[160];
  for (int64_t i = 0; i < n_w; i++) dw_sum[i] += want->dw[i];
  for (int64_t i = 0; i < s->K; i++) db_sum[i] += want->db[i];
  dvg_conv_backward_weight(s, dw.at, db.at, x->at, dy->at, N, scratch.at);
  snprintf(what, sizeof what, "%s backward weight", name);
  CHECK_CLOSE(what, dw.at, dw_sum, n_w, tolerance);
  snprintf(what, sizeof what, "%s backward bias", name);
  // a sum of n normal values passes through numbers as large as sqrt(n), whatever it ends at
  const double n_terms = (double)(N * dvg_conv_P(s) * dvg_conv_Q(s));
  CHECK_CLOSE(what, db.at, db_sum, s->K, fmax(SUM_TOLERANCE, 1e-6 * sqrt(n_terms)));

  for (int64_t i = 0; i < n_w; i++) dw_sum[i] += want->dw[i];
  dvg_conv_backward_weight(s, dw.at, NULL, x->at, dy->at, N, scratch.at);
  snprintf(what, sizeof what, "%s backward weight, twice, without bias", name);
  CHECK_CLOSE(what, dw.at, dw_sum, n_w, tolerance);
  free(dw_sum), free(db_sum);
  drop(&dw), drop(&db), drop(&scratch);
}

static const char *const kernel_tables[] = {"generic", "avx2", "avx512", "avx512_bf16"};
enum { N_TABLES = 4, BFLOAT16_TABLE = 3 };

static void check_shape(const struct dvg_conv *s, int64_t N) {
  const int64_t n_x = N * s->C * s->H * s->W, n_y = N * s->K * dvg_conv_P(s) * dvg_conv_Q(s);
  const int64_t n_w = s->C * s->K * s->kernel * s->kernel;
  const int is_winograd = s->kernel == 3 && s->stride == 1 && s->pad == 1;
  struct array x = input(n_x, 1), w = input(n_w, 2), bias = input(s->K, 3), dy = input(n_y, 4);
  struct sums want = {doubles_of(NULL, n_y), doubles_of(NULL, n_x), doubles_of(NULL, n_w),
                      doubles_of(NULL, s->K)};
  reference(&want, s, x.at, w.at, bias.at, dy.at, N);
  for (int t = 0; t < N_TABLES; t++) {
    if (!dvg_conv_use_kernels(kernel_tables[t])) continue;
    const double tolerance = is_winograd ? WINOGRAD_TOLERANCE : SUM_TOLERANCE;
    const double rounded = is_winograd && t == BFLOAT16_TABLE ? BFLOAT16_TOLERANCE : tolerance;
    char name[96];
    snprintf(name, sizeof name, "%s%d->%d %dx%d k%d s%d p%d N%d %s", s->transposed ? "transposed " : "",
             (int)s->C, (int)s->K, (int)s->H, (int)s->W, (int)s->kernel, (int)s->stride, (int)s->pad, (int)N,
             kernel_tables[t]);
    check_forward(s, name, &x, &w, &bias, want.y, N, rounded);
    check_mfm(s, name, &x, &w, &bias, N);
    check_sums(s, name, &x, &w, &bias, N);
    check_mfm_base(s, name, &x, &w, &bias, N);
    check_mfm_pool(s, name, &x, &w, &bias, N);
    check_mfm_backward(s, name, &x, &w, &bias, N);
    check_backward_data(s, name, &dy, &w, want.dx, N, rounded);
    check_backward_weight(s, name, &x, &dy, &want, n_w, N, tolerance);
  }
  dvg_conv_use_kernels(NULL);
  free(want.y), free(want.dx), free(want.dw), free(want.db);
  drop(&x), drop(&w), drop(&bias), drop(&dy);
}

// ---- the tests

static void winograd_odd_sizes(void) {
  static const int64_t sizes[][2] = {{1, 1}, {1, 9}, {2, 3}, {3, 2},  {4, 4},  {5, 7},
                                     {7, 5}, {8, 8}, {9, 1}, {13, 9}, {17, 33}};
  static const int64_t channels[][2] = {{1, 1},   {1, 33}, {3, 5},  {5, 3},  {7, 13},
                                        {12, 24}, {5, 70}, {31, 1}, {32, 31}, {5, 64}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t j = 0; j < sizeof channels / sizeof *channels; j++)
      for (int64_t N = 1; N <= 3; N += 2)
        check_shape(&(struct dvg_conv){channels[j][0], sizes[i][0], sizes[i][1], channels[j][1], 3, 1, 1, 0},
                    N);
}

// Channels of the nets, sizes that make several blocks of tiles, of several images, and a last short one.
static void winograd_net_shapes(void) {
  static const struct {
    struct dvg_conv s;
    int64_t N;
  } cases[] = {
      {{48, 16, 16, 96, 3, 1, 1, 0}, 1}, {{96, 8, 8, 192, 3, 1, 1, 0}, 3},   {{128, 8, 8, 256, 3, 1, 1, 0}, 1},
      {{64, 16, 16, 64, 3, 1, 1, 0}, 3}, {{32, 64, 32, 32, 3, 1, 1, 0}, 1},  {{12, 64, 64, 24, 3, 1, 1, 0}, 3},
      {{24, 32, 32, 48, 3, 1, 1, 0}, 3}, {{13, 12, 12, 33, 3, 1, 1, 0}, 11}, {{8, 300, 5, 4, 3, 1, 1, 0}, 1},
      {{4, 3, 290, 8, 3, 1, 1, 0}, 3},   {{16, 8, 8, 24, 3, 1, 1, 0}, 33},   {{192, 4, 4, 40, 3, 1, 1, 0}, 5},
      {{5, 6, 10, 64, 3, 1, 1, 0}, 3},   {{2, 2, 2, 32, 3, 1, 1, 0}, 5},     {{4, 30, 34, 64, 3, 1, 1, 0}, 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_shape(&cases[i].s, cases[i].N);
}

static void pointwise(void) {
  static const int64_t sizes[][2] = {{1, 1}, {2, 3}, {5, 7}, {13, 9}, {17, 33}};
  static const int64_t channels[][2] = {{1, 1}, {1, 7}, {3, 1}, {12, 24}, {31, 33}, {48, 96}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t j = 0; j < sizeof channels / sizeof *channels; j++)
      for (int64_t N = 1; N <= 3; N += 2)
        check_shape(&(struct dvg_conv){channels[j][0], sizes[i][0], sizes[i][1], channels[j][1], 1, 1, 0, 0},
                    N);
  // more than a block of the product each way: of channels, of places, of both in the gradient of the weights
  check_shape(&(struct dvg_conv){300, 7, 41, 29, 1, 1, 0, 0}, 1);
  check_shape(&(struct dvg_conv){29, 7, 41, 300, 1, 1, 0, 0}, 1);
}

static void columns(void) {
  static const int64_t sizes[][2] = {{1, 1}, {2, 3}, {5, 7}, {8, 8}, {13, 9}, {17, 33}};
  static const int64_t channels[][2] = {{1, 1}, {1, 24}, {3, 5}, {12, 7}, {31, 33}};
  static const int64_t kernels[][3] = {{5, 1, 2}, {3, 2, 1}, {1, 2, 0}, {3, 1, 2},
                                       {2, 3, 1}, {4, 2, 1}, {3, 3, 2}, {1, 1, 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t j = 0; j < sizeof channels / sizeof *channels; j++)
      for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
        for (int64_t N = 1; N <= 3; N += 2) {
          struct dvg_conv s = {channels[j][0], sizes[i][0],   sizes[i][1],   channels[j][1],
                               kernels[k][0],  kernels[k][1], kernels[k][2], 0};
          if (s.H + 2 * s.pad >= s.kernel && s.W + 2 * s.pad >= s.kernel) check_shape(&s, N);
        }
  check_shape(&(struct dvg_conv){1, 128, 128, 24, 5, 1, 2, 0},
              1);                                               // the recogniser's first layer, several strips
  check_shape(&(struct dvg_conv){3, 70, 64, 8, 5, 1, 2, 0}, 3);  // the encoders' first layer, a last short strip
  check_shape(&(struct dvg_conv){4, 76, 102, 6, 3, 2, 1, 0}, 2); // rows of no whole vector, pooled
  check_shape(&(struct dvg_conv){128, 8, 8, 64, 3, 2, 1, 0}, 19); // many images a strip, and a last short one
}

// A kernel whose columns leave no place inside of the image, on one side or both.
static void columns_beyond_the_image(void) {
  check_shape(&(struct dvg_conv){2, 1, 1, 3, 5, 1, 4, 0}, 2);
  check_shape(&(struct dvg_conv){2, 2, 1, 3, 3, 4, 3, 0}, 2);
}

static void transposed(void) {
  static const int64_t sizes[][2] = {{1, 1}, {2, 3}, {4, 4}, {5, 7}, {17, 33}};
  static const int64_t channels[][2] = {{1, 1}, {3, 5}, {13, 12}, {32, 31}, {64, 32}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t j = 0; j < sizeof channels / sizeof *channels; j++)
      for (int64_t N = 1; N <= 3; N += 2)
        check_shape(&(struct dvg_conv){channels[j][0], sizes[i][0], sizes[i][1], channels[j][1], 2, 2, 0, 1},
                    N);
}

// An image's output must have the same bits alone and among others; so must a repeated call.
static void images_are_independent(void) {
  static const struct dvg_conv shapes[] = {{12, 16, 16, 24, 3, 1, 1, 0}, {33, 9, 13, 31, 3, 1, 1, 0},
                                           {32, 64, 64, 16, 3, 1, 1, 0}, {33, 9, 13, 31, 1, 1, 0, 0},
                                           {33, 9, 13, 31, 3, 2, 1, 0},  {5, 33, 31, 13, 2, 2, 0, 1}};
  const int64_t N = 7;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int t = 0; t < N_TABLES; t++) {
      const struct dvg_conv *s = &shapes[i];
      if (!dvg_conv_use_kernels(kernel_tables[t])) continue;
      const int64_t n_x = s->C * s->H * s->W, n_y = s->K * dvg_conv_P(s) * dvg_conv_Q(s);
      struct array x = input(N * n_x, 5), w = input(s->C * s->K * s->kernel * s->kernel, 6),
                   bias = input(s->K, 7);
      struct array all = output(N * n_y, 0), one = output(n_y, 0), again = output(N * n_y, 0);
      struct array u = output(dvg_conv_packed(s, 0), 0), scratch = scratch_of(dvg_conv_scratch(s, N));
      struct array small = scratch_of(dvg_conv_scratch(s, 1));
      dvg_conv_pack(s, u.at, w.at, 0);
      dvg_conv_forward(s, all.at, x.at, w.at, u.at, bias.at, N, scratch.at);
      dvg_conv_forward(s, again.at, x.at, w.at, u.at, bias.at, N, scratch.at);
      CU_ASSERT_EQUAL(memcmp(all.at, again.at, (size_t)(N * n_y) * sizeof(float)), 0);
      for (int64_t n = 0; n < N; n++) {
        dvg_conv_forward(s, one.at, x.at + n * n_x, w.at, u.at, bias.at, 1, small.at);
        CU_ASSERT_EQUAL(memcmp(one.at, all.at + n * n_y, (size_t)n_y * sizeof(float)), 0);
      }
      drop(&x), drop(&w), drop(&bias), drop(&all), drop(&one), drop(&again), drop(&u), drop(&scratch),
          drop(&small);
    }
  dvg_conv_use_kernels(NULL);
}

static void linear(void) {
  static const int64_t sizes[][3] = {{1, 1, 1},   {1, 7, 3},     {3, 1, 5},
                                     {5, 31, 33}, {16, 256, 48}, {7, 100, 257}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const int64_t N = sizes[i][0], C = sizes[i][1], K = sizes[i][2];
    // a linear map is a 1x1 convolution of images of one place
    const struct dvg_conv s = {C, 1, 1, K, 1, 1, 0, 0};
    struct array x = input(N * C, 1), w = input(K * C, 2), bias = input(K, 3), dy = input(N * K, 4);
    struct array y = output(N * K, 5), dx = output(N * C, 6), dw = output(K * C, 7), db = output(K, 8);
    struct sums want = {doubles_of(NULL, N * K), doubles_of(dx.at, N * C), doubles_of(dw.at, K * C),
                        doubles_of(db.at, K)};
    reference(&want, &s, x.at, w.at, bias.at, dy.at, N);
    dvg_linear_forward(y.at, x.at, w.at, bias.at, N, C, K);
    CHECK_CLOSE("linear forward", y.at, want.y, N * K, SUM_TOLERANCE);
    dvg_linear_backward_data(dx.at, dy.at, w.at, N, C, K, 1);
    CHECK_CLOSE("linear backward data, added", dx.at, want.dx, N * C, SUM_TOLERANCE);
    dvg_linear_backward_weight(dw.at, db.at, x.at, dy.at, N, C, K);
    CHECK_CLOSE("linear backward weight", dw.at, want.dw, K * C, SUM_TOLERANCE);
    CHECK_CLOSE("linear backward bias", db.at, want.db, K, SUM_TOLERANCE);

    // once more, without bias and overwriting: the sums change by what was there
    dvg_test_fill(dx.at, N * C, 6, 1.0f);
    for (int64_t n = 0; n < N * C; n++) want.dx[n] -= (double)dx.at[n], dx.at[n] = NAN;
    for (int64_t n = 0; n < N * K; n++) want.y[n] -= (double)bias.at[n % K], y.at[n] = NAN;
    dvg_linear_forward(y.at, x.at, w.at, NULL, N, C, K);
    CHECK_CLOSE("linear forward without bias", y.at, want.y, N * K, SUM_TOLERANCE);
    dvg_linear_backward_data(dx.at, dy.at, w.at, N, C, K, 0);
    CHECK_CLOSE("linear backward data", dx.at, want.dx, N * C, SUM_TOLERANCE);
    dvg_linear_backward_weight(dw.at, NULL, x.at, dy.at, N, C, K);
    free(want.y), free(want.dx), free(want.dw), free(want.db);
    drop(&x), drop(&w), drop(&bias), drop(&dy), drop(&y), drop(&dx), drop(&dw), drop(&db);
  }
}

static void kernel_tables_by_name(void) {
  CU_ASSERT_TRUE(dvg_conv_use_kernels("generic"));
  CU_ASSERT_STRING_EQUAL(dvg_conv_kernels(), "generic");
  CU_ASSERT_FALSE(dvg_conv_use_kernels("abacus"));
  CU_ASSERT_STRING_EQUAL(dvg_conv_kernels(), "generic");
  CU_ASSERT_TRUE(dvg_conv_use_kernels(NULL));
  printf("kernels: %s\n", dvg_conv_kernels());
}

const struct dvg_test dvg_tests[] = {
    {"kernel tables by name", kernel_tables_by_name},
    {"winograd, odd sizes", winograd_odd_sizes},
    {"winograd, shapes of the nets", winograd_net_shapes},
    {"images are independent", images_are_independent},
    {"1x1", pointwise},
    {"im2col", columns},
    {"im2col beyond the image", columns_beyond_the_image},
    {"transposed", transposed},
    {"linear", linear},
    {NULL, NULL},
};
