#include "common/nn/losses.h"

#include <assert.h>
#include <math.h>

#include "common/nn/lanes.h"

// Gradients are formed so that a NaN in the input is a NaN in them too.

WIDE static double l1_sum(const float *restrict a, const float *restrict b, int64_t n) {
  double lane[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += (double)fabsf(a[i + k] - b[i + k]);
  for (int k = 0; i + k < n; k++) lane[k] += (double)fabsf(a[i + k] - b[i + k]);
  return lanes_total(lane);
}

// d += w sign(a - b)
WIDE static void l1_gradient(float *restrict d, const float *restrict a, const float *restrict b, int64_t n,
                             float w) {
  for (int64_t i = 0; i < n; i++) {
    const float difference = a[i] - b[i];
    d[i] += difference > 0 ? w : difference < 0 ? -w : difference; // the last: 0 or NaN
  }
}

double dvg_loss_l1(float *da, float *db, const float *a, const float *b, int64_t n, double weight) {
  if (da) l1_gradient(da, a, b, n, (float)weight);
  if (db) l1_gradient(db, a, b, n, -(float)weight);
  return weight * l1_sum(a, b, n);
}

WIDE static double row_dot(const float *a, const float *b, int64_t C) {
  return lanes_dot(a, b, C);
}

// d += w x; d may be NULL
WIDE static void row_add(float *restrict d, const float *restrict x, float w, int64_t C) {
  if (!d) return;
  for (int64_t j = 0; j < C; j++) d[j] += w * x[j];
}

static float *row_of(float *d, int64_t i, int64_t C) {
  return d ? d + i * C : NULL;
}

double dvg_loss_dot(float *da, float *db, const float *a, const float *b, int64_t N, int64_t C, double weight) {
  double sum = 0;
  for (int64_t i = 0; i < N; i++) {
    const float *ai = a + i * C, *bi = b + i * C;
    sum += row_dot(ai, bi, C);
    row_add(row_of(da, i, C), bi, (float)weight, C);
    row_add(row_of(db, i, C), ai, (float)weight, C);
  }
  return weight * sum;
}

double dvg_loss_abs_dot(float *da, float *db, const float *a, const float *b, int64_t N, int64_t C,
                        double weight) {
  double sum = 0;
  for (int64_t i = 0; i < N; i++) {
    const float *ai = a + i * C, *bi = b + i * C;
    const double dot = row_dot(ai, bi, C);
    const double sign = dot > 0 ? 1.0 : dot < 0 ? -1.0 : dot; // the last: 0 or NaN
    sum += fabs(dot);
    row_add(row_of(da, i, C), bi, (float)(weight * sign), C);
    row_add(row_of(db, i, C), ai, (float)(weight * sign), C);
  }
  return weight * sum;
}

double dvg_loss_hinge_dot(float *da, float *db, const float *a, const float *b, const int64_t *idx, int64_t N,
                          int64_t C, double margin, double weight) {
  double sum = 0;
  for (int64_t i = 0; i < N; i++) {
    const float *ai = a + i * C, *bi = b + idx[i] * C;
    const double excess = row_dot(ai, bi, C) - margin;
    if (excess <= 0) continue; // NaN goes on
    sum += excess;
    row_add(row_of(da, i, C), bi, (float)weight, C);
    row_add(row_of(db, idx[i], C), ai, (float)weight, C);
  }
  return weight * sum;
}

WIDE static float row_max(const float *restrict x, int64_t K) {
  float lane[LANES];
  for (int k = 0; k < LANES; k++) lane[k] = x[0];
  int64_t j = 0;
  for (; j + LANES <= K; j += LANES)
    for (int k = 0; k < LANES; k++) lane[k] = lane[k] < x[j + k] ? x[j + k] : lane[k];
  for (int k = 0; j + k < K; k++) lane[k] = lane[k] < x[j + k] ? x[j + k] : lane[k];
  float max = lane[0];
  for (int k = 1; k < LANES; k++) max = max < lane[k] ? lane[k] : max;
  return max;
}

// sum exp(x - max), in doubles; the exponential itself is good to 2e-7.
WIDE static double row_exp_sum(const float *restrict x, float max, int64_t K) {
  double lane[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= K; j += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += (double)exp_nonpositive(x[j + k] - max);
  for (int k = 0; j + k < K; k++) lane[k] += (double)exp_nonpositive(x[j + k] - max);
  return lanes_total(lane);
}

// dx += w exp(x - max)
WIDE static void row_exp_add(float *restrict dx, const float *restrict x, float max, float w, int64_t K) {
  for (int64_t j = 0; j < K; j++) dx[j] += w * exp_nonpositive(x[j] - max);
}

double dvg_loss_softmax(float *dx, const float *x, const int64_t *labels, int64_t N, int64_t K, double weight) {
  double loss = 0;
  for (int64_t i = 0; i < N; i++) {
    assert(labels[i] >= 0 && labels[i] < K);
    const float *xi = x + i * K;
    const float max = row_max(xi, K);
    const double sum = row_exp_sum(xi, max, K);
    loss += log(sum) + ((double)max - (double)xi[labels[i]]);
    if (!dx) continue;
    row_exp_add(dx + i * K, xi, max, (float)(weight / sum), K);
    dx[i * K + labels[i]] -= (float)weight;
  }
  return weight * loss;
}

double dvg_loss_kl(float *dmu, float *dlogvar, const float *mu, const float *logvar, int64_t n, double weight) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    const double m = (double)mu[i], l = (double)logvar[i];
    const int clamped = l < -20 || l > 20;
    const double v = l < -20 ? -20 : l > 20 ? 20 : l;
    sum += 0.5 * (m * m + (expm1(v) - v)); // expm1: near v = 0 the terms cancel
    if (dmu) dmu[i] += (float)(weight * m);
    if (dlogvar && !clamped) dlogvar[i] += (float)(weight * 0.5 * expm1(v));
  }
  return weight * sum;
}

double dvg_loss_softplus(float *dx, const float *x, int64_t n, double sign, double weight) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    const double s = sign * (double)x[i], e = exp(-fabs(s)); // the small one of exp(s) and exp(-s)
    sum += (s > 0 ? s : 0) + log1p(e);
    if (dx) dx[i] += (float)(weight * sign * (s > 0 ? 1 : e) / (1 + e));
  }
  return weight * sum;
}
