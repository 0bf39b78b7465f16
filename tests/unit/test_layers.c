// Layers against naive double references and central differences, `add` 0 and 1, odd sizes, in place, ties,
// NaN. Buffers are of the exact size, so the address sanitizer sees any step outside.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/layers.h"
#include "tests/check.h"

// One float operation or two, on values of a few units: 1e-6. Where more add up, the test says its own.
static const double tight = 1e-6;

// ---- buffers that live until the end of a test

enum { MAX_BUFFERS = 512 };
static void *buffers[MAX_BUFFERS];
static int n_buffers;

static void *fresh(size_t bytes) {
  void *p = calloc(bytes ? bytes : 1, 1);
  if (!p || n_buffers == MAX_BUFFERS) abort();
  return buffers[n_buffers++] = p;
}
static void done(void) {
  while (n_buffers > 0) free(buffers[--n_buffers]);
}
static float *floats(int64_t n) {
  return fresh((size_t)n * sizeof(float));
}
static double *doubles(int64_t n) {
  return fresh((size_t)n * sizeof(double));
}
static float *normals(int64_t n, uint64_t seed, float scale) {
  float *x = floats(n);
  dvg_test_fill(x, n, seed, scale);
  return x;
}
// Away from 0, where the rectifiers have their kink: 0.5 or more on either side.
static float *two_sided(int64_t n, uint64_t seed) {
  float *x = normals(n, seed, 0.3f);
  for (int64_t i = 0; i < n; i++) x[i] += x[i] > 0 ? 0.5f : -0.5f;
  return x;
}
// No two values nearer than 0.05, in an irregular order: no ties, no kink within a difference quotient.
static float *spread(int64_t n) {
  float *x = floats(n);
  for (int64_t i = 0; i < n; i++) x[i] = 0.05f * (float)(i * 7919 % 2003 - 1000);
  return x;
}
static float *copy(const float *x, int64_t n) {
  return memcpy(floats(n), x, (size_t)n * sizeof *x);
}
// want += base: what a backward with `add` must leave.
static double *onto(const float *base, const double *want, int64_t n) {
  double *sum = doubles(n);
  for (int64_t i = 0; i < n; i++) sum[i] = (base ? (double)base[i] : 0.0) + want[i];
  return sum;
}

// A backward is called with gradients that hold `base`: with add they are kept, without they are overwritten.
#define CHECK_BACKWARD(what, dx_want, n, tolerance, call)                                                      \
  do {                                                                                                         \
    const float *base = normals(n, 99, 1.0f);                                                                  \
    for (int add = 0; add <= 1; add++) {                                                                       \
      float *dx = copy(base, n);                                                                               \
      call;                                                                                                    \
      CHECK_CLOSE(add ? what " backward, add" : what " backward", dx, onto(add ? base : NULL, dx_want, n), n,  \
                  tolerance);                                                                                  \
    }                                                                                                          \
  } while (0)

// ---- difference quotients of sum r y(x)

struct probe {
  const float *x, *r, *style; // style: or logvar, or eps
  float *y, *spare;
  double *stats;
  int64_t N, C, H, W, n_out;
  float slope;
};
static double total(const struct probe *p) {
  double sum = 0;
  for (int64_t i = 0; i < p->n_out; i++) sum += (double)p->r[i] * (double)p->y[i];
  return sum;
}
// y has an error of about 1e-7 of itself, so a quotient over h has 1e-7 / h of it, times the values that one
// input moves.
static const double h = 1e-2, rough = 2e-3;

// ---- max-feature-map

static double of_mfm(void *context) {
  struct probe *p = context;
  dvg_mfm_forward(p->y, p->x, p->N, p->C, p->H * p->W);
  return total(p);
}

static void mfm_case(int64_t N, int64_t C, int64_t S) {
  const int64_t half = C * S, n = N * half;
  float *x = normals(2 * n, 1, 1.0f), *y = floats(n), *dy = normals(n, 2, 1.0f);
  double *want = doubles(n), *dwant = doubles(2 * n);
  for (int64_t i = 0; i < N; i++)
    for (int64_t j = 0; j < half; j++) {
      const int64_t a = 2 * i * half + j, b = a + half, at = i * half + j;
      want[at] = (double)(x[a] >= x[b] ? x[a] : x[b]);
      dwant[x[a] >= x[b] ? a : b] = (double)dy[at];
    }
  dvg_mfm_forward(y, x, N, C, S);
  CHECK_CLOSE("mfm", y, want, n, 0);
  CHECK_BACKWARD("mfm", dwant, 2 * n, tight, dvg_mfm_backward(dx, dy, x, N, C, S, add));
  float *apart = spread(2 * n), *dx = floats(2 * n);
  struct probe p = {.x = apart, .r = dy, .y = y, .N = N, .C = C, .H = 1, .W = S, .n_out = n};
  dvg_mfm_backward(dx, dy, apart, N, C, S, 0);
  CU_ASSERT_TRUE(dvg_check_gradient("mfm gradient", dx, apart, 2 * n, h, rough, of_mfm, &p));
  done();
}

static void mfm(void) {
  mfm_case(1, 1, 1);
  mfm_case(2, 3, 35);
  mfm_case(3, 4, 16);
  mfm_case(1, 5, 67);
}

static void mfm_tie_and_nan(void) {
  const float x[6] = {1, NAN, 2, 1, 2, NAN}, dy[3] = {5, 6, 7};
  float y[3], dx[6];
  dvg_mfm_forward(y, x, 1, 1, 3);
  CU_ASSERT_EQUAL(y[0], 1);
  CU_ASSERT_TRUE(isnan(y[1]));
  CU_ASSERT_TRUE(isnan(y[2]));
  dvg_mfm_backward(dx, dy, x, 1, 1, 3, 0);
  CU_ASSERT_EQUAL(dx[0], 5);
  CU_ASSERT_EQUAL(dx[3], 0);
  // The same in the vectorised body, at every lane.
  for (int64_t at = 0; at < 80; at++) {
    float *wide = normals(80, 3, 1.0f), *out = floats(40);
    wide[at] = NAN;
    dvg_mfm_forward(out, wide, 1, 1, 40);
    for (int64_t j = 0; j < 40; j++) CU_ASSERT_EQUAL(!isnan(out[j]), j != at % 40);
  }
  done();
}

// ---- pool

static double of_pool(void *context) {
  struct probe *p = context;
  dvg_pool_forward(p->y, p->x, p->N, p->H, p->W);
  return total(p);
}

static void pool_case(int64_t planes, int64_t H, int64_t W) {
  const int64_t n = planes * H * W, m = planes * (H / 2) * (W / 2);
  float *x = normals(n, 4, 1.0f), *y = floats(m), *dy = normals(m, 5, 1.0f);
  double *want = doubles(m), *dwant = doubles(n);
  for (int64_t o = 0; o < m; o++) {
    const int64_t i = o % (W / 2), j = o / (W / 2) % (H / 2), k = o / (W / 2) / (H / 2);
    int64_t best = -1;
    for (int64_t q = 0; q < 4; q++) {
      const int64_t at = (k * H + 2 * j + q / 2) * W + 2 * i + q % 2;
      want[o] += 0.25 * (double)x[at];
      dwant[at] += 0.25 * (double)dy[o];
      if (best < 0 || x[at] > x[best]) best = at;
    }
    want[o] += (double)x[best];
    dwant[best] += (double)dy[o];
  }
  dvg_pool_forward(y, x, planes, H, W);
  CHECK_CLOSE("pool", y, want, m, tight);
  CHECK_BACKWARD("pool", dwant, n, tight, dvg_pool_backward(dx, dy, x, planes, H, W, add));
  float *apart = spread(n), *dx = floats(n);
  struct probe p = {.x = apart, .r = dy, .y = y, .N = planes, .H = H, .W = W, .n_out = m};
  dvg_pool_backward(dx, dy, apart, planes, H, W, 0);
  CU_ASSERT_TRUE(dvg_check_gradient("pool gradient", dx, apart, n, h, 5 * rough, of_pool, &p)); // values to 50
  done();
}

static void pool(void) {
  pool_case(1, 2, 2);
  pool_case(3, 5, 7);
  pool_case(2, 4, 33);
  pool_case(1, 9, 64);
  pool_case(2, 1, 1); // no output at all; the gradient is 0
  pool_case(1, 3, 1);
}

static void pool_tie_and_nan(void) {
  // Each way of sharing the maximum of four places: the first of them gets the gradient.
  for (int bits = 1; bits < 16; bits++) {
    float x[4], dx[4], dy = 4;
    for (int q = 0; q < 4; q++) x[q] = bits >> q & 1 ? 2.0f : 1.0f;
    dvg_pool_backward(dx, &dy, x, 1, 2, 2, 0);
    const int first = bits & 1 ? 0 : bits & 2 ? 1 : bits & 4 ? 2 : 3;
    for (int q = 0; q < 4; q++) CU_ASSERT_EQUAL(dx[q], q == first ? 5 : 1);
  }
  for (int64_t at = 0; at < 4 * 40; at++) {
    float *x = normals(4 * 40, 6, 1.0f), *y = floats(40);
    x[at] = NAN;
    dvg_pool_forward(y, x, 1, 2, 80);
    for (int64_t j = 0; j < 40; j++) CU_ASSERT_EQUAL(!isnan(y[j]), j != at % 80 / 2);
  }
  done();
}

// ---- norm

// All in double, straight from the formula. dx and dstyle may be NULL.
static void norm_reference(double *y, double *dx, double *dstyle, const float *x, const float *dy,
                           const float *style, int64_t stride, int64_t N, int64_t C, int64_t S, double slope) {
  for (int64_t i = 0; i < N; i++)
    for (int64_t c = 0; c < C; c++) {
      const int64_t at = (i * C + c) * S;
      const double shift = style ? (double)style[i * stride + c] : 0,
                   scale = style ? (double)style[i * stride + C + c] : 1;
      double mean = 0, variance = 0, sum_g = 0, sum_gu = 0;
      for (int64_t j = at; j < at + S; j++) mean += (double)x[j] / (double)S;
      for (int64_t j = at; j < at + S; j++) variance += pow((double)x[j] - mean, 2) / (double)S;
      const double inverse = 1 / sqrt(variance + 1e-5);
      for (int64_t j = at; j < at + S; j++) {
        const double u = ((double)x[j] - mean) * inverse, v = scale * u + shift;
        if (y) y[j] = v > 0 ? v : slope * v;
        if (!dx) continue;
        const double g = (double)dy[j] * (v > 0 ? 1 : slope);
        sum_g += g;
        sum_gu += g * u;
      }
      if (!dx) continue;
      for (int64_t j = at; j < at + S; j++) {
        const double u = ((double)x[j] - mean) * inverse;
        const double g = (double)dy[j] * (scale * u + shift > 0 ? 1 : slope);
        dx[j] = scale * inverse * (g - sum_g / (double)S - u * sum_gu / (double)S);
      }
      if (!style) continue;
      dstyle[i * stride + c] += sum_g;
      dstyle[i * stride + C + c] += sum_gu;
    }
}

static void norm_case(const float *x, int64_t N, int64_t C, int64_t S, int styled, float slope,
                      double tolerance) {
  const int64_t n = N * C * S, stride = 2 * C + 3, n_style = N * stride;
  float *style = NULL, *y = floats(n), *dy = normals(n, 8, 1.0f);
  double *stats = doubles(2 * N * C), *sum_stats = doubles(2 * N * C);
  if (styled) {
    style = normals(n_style, 9, 0.3f);
    for (int64_t i = 0; i < n_style; i++) style[i] += i % stride < C ? 0.2f : 1.0f;
  }
  double *want = doubles(n), *dwant = doubles(n), *style_want = doubles(n_style);
  norm_reference(want, dwant, style_want, x, dy, style, stride, N, C, S, (double)slope);
  dvg_norm_forward(y, stats, x, style, stride, N, C, S, slope);
  CHECK_CLOSE("norm", y, want, n, tolerance);
  const float *onto_this = normals(n, 11, 1.0f);
  float *sum = floats(n);
  dvg_norm_add_forward(sum, sum_stats, 0, onto_this, x, style, stride, N, C, S, slope);
  float *in_place = copy(x, n);
  dvg_norm_forward(in_place, sum_stats, in_place, style, stride, N, C, S, slope);
  CU_ASSERT_EQUAL(memcmp(in_place, y, (size_t)n * sizeof *y), 0);
  dvg_add(y, onto_this, y, n);
  CU_ASSERT_EQUAL(memcmp(sum, y, (size_t)n * sizeof *y), 0);
  CU_ASSERT_EQUAL(memcmp(sum_stats, stats, (size_t)(2 * N * C) * sizeof *stats), 0);
  for (int64_t plane = 0; plane < N * C; plane++) { // sums that somebody else has taken
    sum_stats[2 * plane] = sum_stats[2 * plane + 1] = 0;
    for (int64_t j = plane * S; j < (plane + 1) * S; j++) {
      sum_stats[2 * plane] += (double)x[j];
      sum_stats[2 * plane + 1] += (double)x[j] * (double)x[j];
    }
  }
  dvg_norm_add_forward(sum, sum_stats, 1, NULL, x, style, stride, N, C, S, slope);
  CHECK_CLOSE("norm from sums", sum, want, n, tolerance);
  const float *before = normals(n_style, 10, 1.0f);
  for (int64_t run = 0; run < 2; run++) { // dstyle always adds, and leaves alone what is between the rows
    float *dstyle = copy(before, n_style);
    float *dx = floats(n);
    dvg_norm_backward(dx, dstyle, dy, x, stats, style, stride, N, C, S, slope, (int)run);
    CHECK_CLOSE("norm dstyle", dstyle, onto(before, style_want, n_style), n_style, tolerance);
  }
  CHECK_BACKWARD("norm", dwant, n, tolerance,
                 dvg_norm_backward(dx, NULL, dy, x, stats, style, stride, N, C, S, slope, add));
}

static void norm(void) {
  for (int styled = 0; styled <= 1; styled++) {
    norm_case(normals(7 * 35, 11, 1.0f), 1, 7, 35, styled, 0.2f, 3e-6);
    norm_case(normals(2 * 3 * 64, 12, 2.0f), 2, 3, 64, styled, 1.0f, 3e-6);
    norm_case(normals(3 * 2 * 1023, 13, 1.0f), 3, 2, 1023, styled, 0.2f, 3e-6);
    norm_case(normals(4 * 3, 14, 1.0f), 4, 3, 1, styled, 0.2f, 3e-6); // one place: variance 0, x - mean 0
    norm_case(normals(2 * 2 * 4, 15, 1.0f), 2, 2, 4, styled, 0.2f, 3e-6);
    done();
  }
}

// Around 1e3 a float mean is 3e-5 off; times 1/deviation that would be an error of 3e-4 ... 1e-2. It may not
// show.
static void norm_large_mean(void) {
  const float deviations[3] = {0.1f, 0.01f, 0.003f};
  for (int k = 0; k < 3; k++)
    for (int styled = 0; styled <= 1; styled++) {
      const int64_t N = 2, C = 3, S = 1000, n = N * C * S;
      float *x = normals(n, 16, deviations[k]);
      for (int64_t i = 0; i < n; i++) x[i] += (i / S % 2 ? -1e3f : 1e3f) + (float)(i / S);
      norm_case(x, N, C, S, styled, 0.2f, 3e-6);
      done();
    }
}

static void norm_statistics(void) {
  const float x[4] = {1, 2, 3, 6}; // mean 3, biased variance (4+1+0+9)/4 = 3.5
  float y[4];
  double stats[2];
  dvg_norm_forward(y, stats, x, NULL, 0, 1, 1, 4, 1.0f);
  CU_ASSERT_DOUBLE_EQUAL(stats[0], 3, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(stats[1], 1 / sqrt(3.50001), 1e-15);
}

static double of_norm(void *context) {
  struct probe *p = context;
  dvg_norm_forward(p->y, p->stats, p->x, p->style, 2 * p->C, p->N, p->C, p->H * p->W, p->slope);
  return total(p);
}

static void norm_gradient(void) {
  const int64_t N = 2, C = 3, S = 21, n = N * C * S, n_style = N * 2 * C;
  float *x = two_sided(n, 17), *dy = normals(n, 18, 1.0f), *style = normals(n_style, 19, 0.05f);
  for (int64_t i = 0; i < n_style; i++) style[i] += i % (2 * C) < C ? 0.0f : 1.5f;
  for (int styled = 0; styled <= 1; styled++) {
    struct probe p = {.x = x,
                      .r = dy,
                      .style = styled ? style : NULL,
                      .y = floats(n),
                      .stats = doubles(2 * N * C),
                      .N = N,
                      .C = C,
                      .H = 1,
                      .W = S,
                      .n_out = n,
                      .slope = 0.2f};
    of_norm(&p);
    float *dx = floats(n), *dstyle = floats(n_style);
    dvg_norm_backward(dx, dstyle, dy, x, p.stats, p.style, 2 * C, N, C, S, p.slope, 0);
    CU_ASSERT_TRUE(dvg_check_gradient("norm gradient", dx, x, n, h, rough, of_norm, &p));
    if (styled)
      CU_ASSERT_TRUE(dvg_check_gradient("style gradient", dstyle, style, n_style, h, rough, of_norm, &p));
  }
  done();
}

static void norm_nan(void) {
  float *x = normals(2 * 40, 20, 1.0f), *y = floats(80);
  double *stats = doubles(4);
  x[17] = NAN;
  dvg_norm_forward(y, stats, x, NULL, 0, 1, 2, 40, 0.2f);
  for (int64_t j = 0; j < 80; j++) CU_ASSERT_EQUAL(!isnan(y[j]), j >= 40); // its plane, and no other
  done();
}

// ---- elementwise

static void leaky_relu(void) {
  const int64_t sizes[3] = {1, 37, 1000};
  for (int k = 0; k < 3; k++) {
    const int64_t n = sizes[k];
    const float slope = 0.2f;
    float *x = two_sided(n, 21), *y = floats(n), *dy = normals(n, 22, 1.0f);
    x[0] = 0;
    double *want = doubles(n), *dwant = doubles(n);
    for (int64_t i = 0; i < n; i++) {
      want[i] = x[i] > 0 ? (double)x[i] : (double)slope * (double)x[i];
      dwant[i] = x[i] > 0 ? (double)dy[i] : (double)slope * (double)dy[i];
    }
    dvg_leaky_relu_forward(y, x, n, slope);
    CHECK_CLOSE("leaky relu", y, want, n, tight);
    CHECK_BACKWARD("leaky relu", dwant, n, tight, dvg_leaky_relu_backward(dx, dy, y, n, slope, add));
    dvg_leaky_relu_forward(x, x, n, slope);
    CU_ASSERT_EQUAL(memcmp(x, y, (size_t)n * sizeof *x), 0);
    dvg_leaky_relu_backward(dy, dy, y, n, slope, 0);
    CHECK_CLOSE("leaky relu backward in place", dy, dwant, n, tight);
    x[n / 2] = NAN;
    dvg_leaky_relu_forward(y, x, n, slope);
    for (int64_t i = 0; i < n; i++) CU_ASSERT_EQUAL(!isnan(y[i]), i != n / 2);
    done();
  }
}

static double of_leaky_relu(void *context) {
  struct probe *p = context;
  dvg_leaky_relu_forward(p->y, p->x, p->n_out, p->slope);
  return total(p);
}
static double of_sigmoid(void *context) {
  struct probe *p = context;
  dvg_sigmoid_forward(p->y, p->x, p->n_out);
  return total(p);
}

static void elementwise_gradients(void) {
  const int64_t n = 101;
  float *x = two_sided(n, 23), *r = normals(n, 24, 1.0f), *dx = floats(n);
  struct probe p = {.x = x, .r = r, .y = floats(n), .n_out = n, .slope = 0.1f};
  of_leaky_relu(&p);
  dvg_leaky_relu_backward(dx, r, p.y, n, p.slope, 0);
  CU_ASSERT_TRUE(dvg_check_gradient("leaky relu gradient", dx, x, n, h, rough, of_leaky_relu, &p));
  of_sigmoid(&p);
  dvg_sigmoid_backward(dx, r, p.y, n, 0);
  CU_ASSERT_TRUE(dvg_check_gradient("sigmoid gradient", dx, x, n, h, rough, of_sigmoid, &p));
  done();
}

static void sigmoid(void) {
  const int64_t n = 20001;
  float *x = floats(n), *y = floats(n), *dy = normals(n, 25, 1.0f);
  double *want = doubles(n), *dwant = doubles(n);
  for (int64_t i = 0; i < n; i++) x[i] = (float)(i - 10000) * 0.0111f; // -111 ... 111
  for (int64_t i = 0; i < n; i++) want[i] = 1 / (1 + exp(-(double)x[i]));
  for (int64_t i = 0; i < n; i++) dwant[i] = (double)dy[i] * want[i] * (1 - want[i]);
  dvg_sigmoid_forward(y, x, n);
  CHECK_CLOSE("sigmoid", y, want, n, 2e-7);
  for (int64_t i = 0; i < n; i++) // the small ones too: relative to themselves
    CU_ASSERT_TRUE(fabs((double)y[i] - want[i]) <= 5e-7 * want[i] || x[i] < -86);
  CHECK_BACKWARD("sigmoid", dwant, n, tight, dvg_sigmoid_backward(dx, dy, y, n, add));
  dvg_sigmoid_forward(x, x, n);
  CU_ASSERT_EQUAL(memcmp(x, y, (size_t)n * sizeof *x), 0);
  const float edge[8] = {3.4e38f, -3.4e38f, INFINITY, -INFINITY, NAN, 0, -0.0f, 1e-30f};
  float out[8];
  dvg_sigmoid_forward(out, edge, 8);
  CU_ASSERT_TRUE(out[0] == 1 && out[1] == 0 && out[2] == 1 && out[3] == 0 && isnan(out[4]));
  CU_ASSERT_TRUE(out[5] == 0.5f && out[6] == 0.5f && out[7] == 0.5f);
  done();
}

static void add(void) {
  for (int64_t n = 1; n <= 67; n += 33) {
    float *a = normals(n, 26, 1.0f), *b = normals(n, 27, 1.0f), *y = floats(n);
    double *want = doubles(n);
    for (int64_t i = 0; i < n; i++) want[i] = (double)a[i] + (double)b[i];
    dvg_add(y, a, b, n);
    CHECK_CLOSE("add", y, want, n, tight);
    float *onto_a = copy(a, n), *onto_b = copy(b, n), *accumulated = copy(a, n);
    dvg_add(onto_a, onto_a, b, n);
    CHECK_CLOSE("add onto the first", onto_a, want, n, tight);
    dvg_add(onto_b, a, onto_b, n);
    CHECK_CLOSE("add onto the second", onto_b, want, n, tight);
    dvg_accumulate(accumulated, b, n);
    CHECK_CLOSE("accumulate", accumulated, want, n, tight);
  }
  done();
}

// ---- rows of unit length

static double of_l2(void *context) {
  struct probe *p = context;
  dvg_l2_forward(p->y, p->spare, p->x, p->N, p->C);
  return total(p);
}

static void l2_case(int64_t N, int64_t C) {
  const int64_t n = N * C;
  float *x = two_sided(n, 28), *y = floats(n), *norms = floats(N), *dy = normals(n, 29, 1.0f),
        *gradient = floats(n);
  double *want = doubles(n), *dwant = doubles(n), *lengths = doubles(N);
  for (int64_t i = 0; i < N; i++) {
    double square = 0, along = 0;
    for (int64_t j = i * C; j < (i + 1) * C; j++) square += (double)x[j] * (double)x[j];
    lengths[i] = sqrt(square);
    for (int64_t j = i * C; j < (i + 1) * C; j++)
      along += (want[j] = (double)x[j] / lengths[i]) * (double)dy[j];
    for (int64_t j = i * C; j < (i + 1) * C; j++) dwant[j] = ((double)dy[j] - want[j] * along) / lengths[i];
  }
  dvg_l2_forward(y, norms, x, N, C);
  CHECK_CLOSE("l2", y, want, n, 1e-7);
  CHECK_CLOSE("l2 norms", norms, lengths, N, 1e-7);
  CHECK_BACKWARD("l2", dwant, n, tight, dvg_l2_backward(dx, dy, y, norms, N, C, add));
  struct probe p = {.x = x, .r = dy, .y = y, .spare = norms, .N = N, .C = C, .n_out = n};
  dvg_l2_backward(gradient, dy, y, norms, N, C, 0);
  CU_ASSERT_TRUE(dvg_check_gradient("l2 gradient", gradient, x, n, h, rough, of_l2, &p));
  done();
}

static void l2(void) {
  l2_case(1, 1);
  l2_case(3, 7);
  l2_case(2, 256);
}

static void l2_edges(void) {
  const float x[8] = {0, 0, 5e-13f, 0, 3e30f, 4e30f, NAN, 1}, dy[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float y[8], norms[4], dx[8];
  dvg_l2_forward(y, norms, x, 4, 2);
  const double want[6] = {0, 0, 0.5, 0, 0.6, 0.8}; // the square of 1e30 has no place in float
  CHECK_CLOSE("l2 edges", y, want, 6, 1e-7);
  CU_ASSERT_TRUE(norms[0] == 1e-12f && norms[1] == 1e-12f && isnan(norms[3]) && isnan(y[6]) && isnan(y[7]));
  dvg_l2_backward(dx, dy, y, norms, 4, 2, 0);
  const double dwant[4] = {1e12, 2e12, 3e12, 4e12};
  CHECK_CLOSE("l2 edges backward", dx, dwant, 4, tight);
}

// ---- dropout

static void dropout(void) {
  const int64_t N = 3, C = 1001, n = N * C;
  const uint64_t items[3] = {7, 1000000007, 3};
  const double rate = 0.3;
  float *x = normals(n, 30, 1.0f), *y = floats(n), *mask = floats(n), *dy = normals(n, 31, 1.0f);
  dvg_dropout_forward(y, mask, x, items, 5, N, C, rate);
  double *want = doubles(n), *dwant = doubles(n);
  for (int64_t i = 0; i < n; i++) {
    CU_ASSERT_TRUE(mask[i] == 0 || mask[i] == (float)(1 / 0.7));
    want[i] = (double)x[i] * (double)mask[i];
    dwant[i] = (double)dy[i] * (double)mask[i];
  }
  CHECK_CLOSE("dropout", y, want, n, tight);
  CHECK_BACKWARD("dropout", dwant, n, tight, dvg_dropout_backward(dx, dy, mask, n, add));
  for (int64_t i = 0; i < N; i++) { // by its own stream, draw j for column j
    struct dvg_rng rng;
    dvg_rng_init(&rng, 5, DVG_STREAM_DROPOUT, items[i]);
    for (int64_t j = 0; j < C; j++) CU_ASSERT_EQUAL(mask[i * C + j] == 0, (double)dvg_rng_uniform(&rng) < rate);
  }
  // Each item alone, and a part of its columns alone, has the mask that it had among the others.
  for (int64_t i = 0; i < N; i++)
    for (int64_t part = 1; part <= C; part += 500) {
      float *alone = floats(part), *out = floats(part);
      dvg_dropout_forward(out, alone, x, items + i, 5, 1, part, rate);
      CU_ASSERT_EQUAL(memcmp(alone, mask + i * C, (size_t)part * sizeof *alone), 0);
    }
  float *other = floats(n);
  dvg_dropout_forward(y, other, x, items, 6, N, C, rate);
  CU_ASSERT_NOT_EQUAL(memcmp(other, mask, (size_t)n * sizeof *mask), 0);    // another seed
  CU_ASSERT_NOT_EQUAL(memcmp(mask, mask + C, (size_t)C * sizeof *mask), 0); // another item
  dvg_dropout_forward(y, mask, x, items, 5, N, C, 0.0);
  for (int64_t i = 0; i < n; i++) CU_ASSERT_TRUE(mask[i] == 1 && y[i] == x[i]);
  done();
}

static void dropout_keep_rate(void) {
  const int64_t N = 100, C = 1000, n = N * C;
  uint64_t items[100];
  for (uint64_t i = 0; i < 100; i++) items[i] = i;
  float *x = normals(n, 32, 1.0f), *y = floats(n), *mask = floats(n);
  const double rates[3] = {0.1, 0.5, 0.9};
  for (int k = 0; k < 3; k++) {
    dvg_dropout_forward(y, mask, x, items, 8, N, C, rates[k]);
    double kept = 0;
    for (int64_t i = 0; i < n; i++) kept += mask[i] != 0;
    const double deviation = sqrt(rates[k] * (1 - rates[k]) / (double)n);
    CU_ASSERT_TRUE(fabs(kept / (double)n - (1 - rates[k])) <= 4 * deviation);
  }
  done();
}

// ---- grayscale, concatenation, reparameterisation

// own: with weights of each image's own.
static void gray_case(int64_t N, int64_t S, int own) {
  const float luma[3] = {0.299f, 0.587f, 0.114f};
  float *x = normals(3 * N * S, 33, 1.0f), *y = floats(N * S), *dy = normals(N * S, 34, 1.0f);
  float *weights = own ? normals(3 * N, 35, 1.0f) : NULL;
  double *want = doubles(N * S), *dwant = doubles(3 * N * S);
  for (int64_t i = 0; i < N; i++)
    for (int64_t c = 0; c < 3; c++)
      for (int64_t j = 0; j < S; j++) {
        const double weight = own ? (double)weights[3 * i + c] : (double)luma[c];
        want[i * S + j] += weight * (double)x[(3 * i + c) * S + j];
        dwant[(3 * i + c) * S + j] = weight * (double)dy[i * S + j];
      }
  dvg_gray_forward(y, x, weights, N, S);
  CHECK_CLOSE("gray", y, want, N * S, tight);
  CHECK_BACKWARD("gray", dwant, 3 * N * S, tight, dvg_gray_backward(dx, dy, weights, N, S, add));
  done();
}

static void gray(void) {
  for (int own = 0; own <= 1; own++) {
    gray_case(1, 1, own);
    gray_case(3, 35, own);
    gray_case(2, 64, own);
  }
}

// A plane as a function of real places: each pixel's value times how near it is, by hat functions; the edge goes on.
static double hat(double distance) {
  return fabs(distance) < 1 ? 1 - fabs(distance) : 0;
}
static double inside(double x, int64_t n) {
  return fmin(fmax(x, 0), (double)(n - 1));
}

static void warp_case(int64_t N, int64_t C, int64_t H, int64_t W, float reach) {
  const int64_t n = N * C * H * W;
  float *x = normals(n, 41, 1.0f), *y = floats(n), *dy = normals(n, 42, 1.0f), *maps = normals(6 * N, 43, reach);
  float *base = normals(n, 44, 1.0f), *dx = copy(base, n);
  double *want = doubles(n), *dwant = doubles(n);
  for (int64_t k = 0; k < N; k++) maps[6 * k] += 1, maps[6 * k + 4] += 1;
  for (int64_t p = 0; p < N * C; p++)
    for (int64_t i = 0; i < H; i++)
      for (int64_t j = 0; j < W; j++) {
        const float *m = maps + p / C * 6;
        const double u = (double)j - 0.5 * (double)(W - 1), v = (double)i - 0.5 * (double)(H - 1);
        const double across = inside((double)m[0] * u + (double)m[1] * v + (double)m[2] + 0.5 * (double)(W - 1), W);
        const double down = inside((double)m[3] * u + (double)m[4] * v + (double)m[5] + 0.5 * (double)(H - 1), H);
        for (int64_t r = 0; r < H; r++)
          for (int64_t q = 0; q < W; q++) {
            const double weight = hat(down - (double)r) * hat(across - (double)q);
            want[(p * H + i) * W + j] += weight * (double)x[(p * H + r) * W + q];
            dwant[(p * H + r) * W + q] += weight * (double)dy[(p * H + i) * W + j];
          }
      }
  dvg_warp_forward(y, x, maps, N, C, H, W);
  CHECK_CLOSE("warp", y, want, n, 2e-5); // places of up to 20 pixels, rounded at 1e-6
  dvg_warp_backward(dx, dy, maps, N, C, H, W);
  CHECK_CLOSE("warp backward", dx, onto(base, dwant, n), n, 2e-4); // a pixel at the edge gathers those beyond it
  done();
}

static void warp(void) {
  warp_case(1, 1, 1, 1, 1.0f);
  warp_case(2, 3, 5, 7, 0.0f);
  warp_case(3, 1, 9, 6, 0.2f);
  warp_case(2, 2, 8, 8, 3.0f); // far beyond the edges
}

// By hand: half a pixel to the right, one down; and the four corners of a quarter turn.
static void warp_by_hand(void) {
  const float x[6] = {1, 2, 4, 10, 20, 40}, maps[6] = {1, 0, 0.5f, 0, 1, 1}, want[6] = {15, 30, 40, 15, 30, 40};
  const float square[4] = {1, 2, 3, 4}, turn[6] = {0, -1, 0, 1, 0, 0}, turned[4] = {2, 4, 1, 3};
  float y[6];
  dvg_warp_forward(y, x, maps, 1, 1, 2, 3);
  for (int i = 0; i < 6; i++) CU_ASSERT_EQUAL(y[i], want[i]);
  dvg_warp_forward(y, square, turn, 1, 1, 2, 2);
  for (int i = 0; i < 4; i++) CU_ASSERT_EQUAL(y[i], turned[i]);
}

// A map that is no number reads no memory beyond the image.
static void warp_nan(void) {
  float *x = normals(12, 45, 1.0f), *y = floats(12), *dx = floats(12), maps[6] = {1, 0, NAN, 0, INFINITY, 0};
  dvg_warp_forward(y, x, maps, 1, 1, 3, 4);
  dvg_warp_backward(dx, y, maps, 1, 1, 3, 4);
  CU_ASSERT(isfinite(y[0]));
  done();
}

static void concat_case(int64_t N, int64_t C1, int64_t C2) {
  const int64_t C = C1 + C2, n1 = N * C1, n2 = N * C2;
  float *a = normals(n1, 35, 1.0f), *b = normals(n2, 36, 1.0f), *y = floats(N * C),
        *dy = normals(N * C, 37, 1.0f);
  double *want = doubles(N * C), *da_want = doubles(n1), *db_want = doubles(n2);
  for (int64_t i = 0; i < N; i++) {
    for (int64_t j = 0; j < C1; j++) {
      want[i * C + j] = (double)a[i * C1 + j];
      da_want[i * C1 + j] = (double)dy[i * C + j];
    }
    for (int64_t j = 0; j < C2; j++) {
      want[i * C + C1 + j] = (double)b[i * C2 + j];
      db_want[i * C2 + j] = (double)dy[i * C + C1 + j];
    }
  }
  dvg_concat_forward(y, a, b, N, C1, C2);
  CHECK_CLOSE("concat", y, want, N * C, 0);
  // Each side alone, and both with different flags: one side's flag must not reach the other.
  CHECK_BACKWARD("concat first", da_want, n1, tight, dvg_concat_backward(dx, NULL, dy, N, C1, C2, add, 0));
  CHECK_BACKWARD("concat second", db_want, n2, tight, dvg_concat_backward(NULL, dx, dy, N, C1, C2, 1, add));
  for (int add_a = 0; add_a <= 1; add_a++) {
    float *da = copy(a, n1), *db = copy(b, n2);
    dvg_concat_backward(da, db, dy, N, C1, C2, add_a, !add_a);
    CHECK_CLOSE("concat both, first", da, onto(add_a ? a : NULL, da_want, n1), n1, tight);
    CHECK_CLOSE("concat both, second", db, onto(add_a ? NULL : b, db_want, n2), n2, tight);
  }
  done();
}

static void concat(void) {
  concat_case(1, 1, 1);
  concat_case(3, 5, 2);
  concat_case(2, 3, 33);
  concat_case(2, 4, 0);
}

struct reparam {
  float *z, *mu, *logvar, *eps, *r;
  int64_t n;
};
static double of_reparam(void *context) {
  struct reparam *p = context;
  dvg_reparam_forward(p->z, p->mu, p->logvar, p->eps, p->n);
  double sum = 0;
  for (int64_t i = 0; i < p->n; i++) sum += (double)p->r[i] * (double)p->z[i];
  return sum;
}

static void reparam(void) {
  const int64_t n = 53;
  struct reparam p = {
      floats(n), normals(n, 38, 1.0f), normals(n, 39, 1.0f), normals(n, 40, 1.0f), normals(n, 41, 1.0f), n};
  float *dmu = floats(n), *dlogvar = floats(n);
  dvg_reparam_backward(dmu, dlogvar, p.r, p.logvar, p.eps, n, 0);
  CU_ASSERT_TRUE(dvg_check_gradient("mu gradient", dmu, p.mu, n, h, rough, of_reparam, &p));
  CU_ASSERT_TRUE(dvg_check_gradient("logvar gradient", dlogvar, p.logvar, n, h, rough, of_reparam, &p));
  p.logvar[0] = -25, p.logvar[1] = 25, p.logvar[2] = -20, p.logvar[3] = 20, p.eps[1] = 1e-3f;
  double *want = doubles(n), *dmu_want = doubles(n), *dl_want = doubles(n);
  for (int64_t i = 0; i < n; i++) {
    const double l = fmax(-20, fmin(20, (double)p.logvar[i])), e = (double)p.eps[i], r = (double)p.r[i];
    want[i] = (double)p.mu[i] + exp(l / 2) * e;
    dmu_want[i] = r;
    dl_want[i] =
        i < 2 ? 0 : r * e * 0.5 * exp(l / 2); // no gradient through the clamp; its ends belong to the inside
  }
  of_reparam(&p);
  CHECK_CLOSE("reparam", p.z, want, n, tight);
  const float *base = normals(n, 42, 1.0f);
  for (int sum = 0; sum <= 1; sum++) {
    memcpy(dmu, base, (size_t)n * sizeof *dmu);
    memcpy(dlogvar, base, (size_t)n * sizeof *dlogvar);
    dvg_reparam_backward(dmu, dlogvar, p.r, p.logvar, p.eps, n, sum);
    if (!sum) CU_ASSERT_TRUE(dlogvar[2] != 0 && dlogvar[3] != 0); // too small to show among the others
    CHECK_CLOSE("reparam dmu", dmu, onto(sum ? base : NULL, dmu_want, n), n, tight);
    CHECK_CLOSE("reparam dlogvar", dlogvar, onto(sum ? base : NULL, dl_want, n), n, tight);
  }
  p.logvar[5] = NAN;
  of_reparam(&p);
  dvg_reparam_backward(dmu, dlogvar, p.r, p.logvar, p.eps, n, 0);
  CU_ASSERT_TRUE(isnan(p.z[5]) && isnan(dlogvar[5]));
  done();
}

const struct dvg_test dvg_tests[] = {{"mfm", mfm},
                                     {"mfm: ties and NaN", mfm_tie_and_nan},
                                     {"pool", pool},
                                     {"pool: ties and NaN", pool_tie_and_nan},
                                     {"norm", norm},
                                     {"norm: large mean", norm_large_mean},
                                     {"norm: statistics", norm_statistics},
                                     {"norm: difference quotients", norm_gradient},
                                     {"norm: NaN", norm_nan},
                                     {"leaky relu", leaky_relu},
                                     {"elementwise: difference quotients", elementwise_gradients},
                                     {"sigmoid", sigmoid},
                                     {"add, accumulate", add},
                                     {"l2", l2},
                                     {"l2: edges", l2_edges},
                                     {"dropout", dropout},
                                     {"dropout: keep rate", dropout_keep_rate},
                                     {"gray", gray},
                                     {"warp", warp},
                                     {"warp: by hand", warp_by_hand},
                                     {"warp: no numbers", warp_nan},
                                     {"concat", concat},
                                     {"reparam", reparam},
                                     {NULL, NULL}};
