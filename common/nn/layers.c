#include "common/nn/layers.h"

#include <math.h>
#include <string.h>

#include "common/nn/lanes.h"

// Comparisons are written so that a NaN in the input reaches the output: it must be seen, not lost in a
// maximum. Choices are between values at hand, never between computations: gcc would keep a branch and not
// vectorise.

// ---- max-feature-map

INLINE int first_wins(float a, float b) {
  return (a >= b) | (a != a);
} // NaN in either: the NaN wins

WIDE void dvg_mfm_forward(float *y, const float *x, int64_t N, int64_t C, int64_t S) {
  const int64_t half = C * S;
  for (int64_t i = 0; i < N; i++) {
    float *restrict out = y + i * half;
    const float *restrict a = x + 2 * i * half, *restrict b = a + half;
    for (int64_t j = 0; j < half; j++) out[j] = first_wins(a[j], b[j]) ? a[j] : b[j];
  }
}

INLINE void mfm_backward(float *dx, const float *dy, const float *x, int64_t N, int64_t half, int add) {
  for (int64_t i = 0; i < N; i++) {
    const float *restrict d = dy + i * half;
    const float *restrict a = x + 2 * i * half, *restrict b = a + half;
    float *restrict da = dx + 2 * i * half, *restrict db = da + half;
    for (int64_t j = 0; j < half; j++) {
      const int first = first_wins(a[j], b[j]);
      const float to_a = first ? d[j] : 0.0f, to_b = first ? 0.0f : d[j];
      da[j] = add ? da[j] + to_a : to_a;
      db[j] = add ? db[j] + to_b : to_b;
    }
  }
}

WIDE void dvg_mfm_backward(float *dx, const float *dy, const float *x, int64_t N, int64_t C, int64_t S,
                           int add) {
  if (add) mfm_backward(dx, dy, x, N, C * S, 1);
  else mfm_backward(dx, dy, x, N, C * S, 0);
}

// ---- pool: maximum + mean of 2x2

WIDE void dvg_pool_forward(float *y, const float *x, int64_t planes, int64_t H, int64_t W) {
  const int64_t h = H / 2, w = W / 2;
  for (int64_t row = 0; row < planes * h; row++) {
    float *restrict out = y + row * w;
    const float *restrict top = x + (row / h * H + row % h * 2) * W, *restrict low = top + W;
    for (int64_t j = 0; j < w; j++) {
      const float a = top[2 * j], b = top[2 * j + 1], c = low[2 * j], d = low[2 * j + 1];
      const float ab = a > b ? a : b, cd = c > d ? c : d;
      out[j] = (ab > cd ? ab : cd) + 0.25f * ((a + b) + (c + d)); // a NaN comes through the mean
    }
  }
}

INLINE void pool_backward(float *dx, const float *dy, const float *x, int64_t planes, int64_t H, int64_t W,
                          int add) {
  const int64_t h = H / 2, w = W / 2;
  for (int64_t row = 0; row < planes * h; row++) {
    const int64_t at = (row / h * H + row % h * 2) * W;
    const float *restrict grad = dy + row * w;
    const float *restrict top = x + at, *restrict low = top + W;
    float *restrict dtop = dx + at, *restrict dlow = dtop + W;
    for (int64_t j = 0; j < w; j++) {
      const float a = top[2 * j], b = top[2 * j + 1], c = low[2 * j], d = low[2 * j + 1];
      const float g = grad[j], mean = 0.25f * g;
      const float ab = a > b ? a : b, cd = c > d ? c : d;
      // Strictly greater is what the later one must be: a tie counts for the first.
      const float to_low = where_positive(cd - ab, g, 0.0f), to_top = where_positive(cd - ab, 0.0f, g);
      const float da = mean + where_positive(b - a, 0.0f, to_top),
                  db = mean + where_positive(b - a, to_top, 0.0f);
      const float dc = mean + where_positive(d - c, 0.0f, to_low),
                  dd = mean + where_positive(d - c, to_low, 0.0f);
      dtop[2 * j] = add ? dtop[2 * j] + da : da;
      dtop[2 * j + 1] = add ? dtop[2 * j + 1] + db : db;
      dlow[2 * j] = add ? dlow[2 * j] + dc : dc;
      dlow[2 * j + 1] = add ? dlow[2 * j + 1] + dd : dd;
    }
    if (!add && W % 2) dtop[W - 1] = dlow[W - 1] = 0.0f;
  }
  if (!add && H % 2)
    for (int64_t i = 0; i < planes; i++) memset(dx + ((i + 1) * H - 1) * W, 0, (size_t)W * sizeof *dx);
}

WIDE void dvg_pool_backward(float *dx, const float *dy, const float *x, int64_t planes, int64_t H, int64_t W,
                            int add) {
  if (add) pool_backward(dx, dy, x, planes, H, W, 1);
  else pool_backward(dx, dy, x, planes, H, W, 0);
}

// ---- a max-feature-map that is pooled

enum { CODES = 64 };

INLINE uint32_t mask_positive(float x) {
  return -(uint32_t)(x > 0);
}

// `n` codes of two rows. The comparisons are dvg_pool_backward's; loops of one type each, which vectorise.
INLINE void pool_codes_of(signed char *restrict code, const float *restrict top, const float *restrict low,
                          const signed char *restrict won_top, const signed char *restrict won_low, int64_t n) {
  uint32_t largest[CODES];
  for (int64_t j = 0; j < n; j++) {
    const float a = top[2 * j], b = top[2 * j + 1], c = low[2 * j], d = low[2 * j + 1];
    const float ab = a > b ? a : b, cd = c > d ? c : d;
    const uint32_t is_low = mask_positive(cd - ab), in_top = mask_positive(b - a),
                   in_low = mask_positive(d - c);
    largest[j] = (16 & in_top & ~is_low) | (32 & is_low) | (16 & in_low & is_low);
  }
  for (int64_t j = 0; j < n; j++)
    code[j] = (signed char)((won_top[2 * j] & 1) | (won_top[2 * j + 1] & 2) | (won_low[2 * j] & 4) |
                            (won_low[2 * j + 1] & 8));
  for (int64_t j = 0; j < n; j++) code[j] = (signed char)((uint32_t)code[j] | largest[j]);
}

WIDE void dvg_pool_mfm_codes(signed char *code, const float *maximum, const signed char *winner, int64_t H,
                             int64_t W) {
  for (int64_t i = 0; i < H / 2; i++)
    for (int64_t j = 0; j < W / 2; j += CODES) {
      const int64_t at = 2 * i * W + 2 * j;
      pool_codes_of(code + i * (W / 2) + j, maximum + at, maximum + at + W, winner + at, winner + at + W,
                    W / 2 - j < CODES ? W / 2 - j : CODES);
    }
}

INLINE float where(uint32_t mask, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits &= mask;
  memcpy(&value, &bits, sizeof value);
  return value;
}

WIDE void dvg_pool_mfm_backward(float *restrict first, float *restrict second, const float *restrict dy,
                                const signed char *restrict code, int64_t H, int64_t W) {
  for (int64_t i = 0; i < H / 2; i++)
    for (int r = 0; r < 2; r++) {
      float *restrict a = first + (2 * i + r) * W, *restrict b = second + (2 * i + r) * W;
      for (int64_t j = 0; j < W / 2; j++) {
        const float g = dy[i * (W / 2) + j], mean = 0.25f * g;
        const uint32_t bits = (uint32_t)code[i * (W / 2) + j], largest = bits >> 4, at = 2 * (uint32_t)r;
        const float left = mean + where(-(uint32_t)(largest == at), g),
                    right = mean + where(-(uint32_t)(largest == at + 1), g);
        const uint32_t won_left = -(bits >> at & 1), won_right = -(bits >> (at + 1) & 1);
        a[2 * j] = where(won_left, left), a[2 * j + 1] = where(won_right, right);
        b[2 * j] = where(~won_left, left), b[2 * j + 1] = where(~won_right, right);
      }
    }
}

// ---- elementwise. Where the output may be an input itself, `ivdep` says what restrict can't: element i needs
// element i alone.

WIDE void dvg_leaky_relu_forward(float *y, const float *x, int64_t n, float slope) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * where_positive(x[i], 1.0f, slope);
}

WIDE void dvg_leaky_relu_backward(float *dx, const float *dy, const float *y, int64_t n, float slope, int add) {
  if (add) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * where_positive(y[i], 1.0f, slope);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * where_positive(y[i], 1.0f, slope);
  }
}

WIDE void dvg_sigmoid_forward(float *y, const float *x, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float e = exp_nonpositive(-fabsf(x[i])), q = 1.0f / (1.0f + e);
    y[i] = q * where_positive(x[i], 1.0f, e);
  }
}

WIDE void dvg_sigmoid_backward(float *dx, const float *dy, const float *y, int64_t n, int add) {
  if (add) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * (y[i] * (1.0f - y[i]));
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * (y[i] * (1.0f - y[i]));
  }
}

WIDE void dvg_add(float *y, const float *a, const float *b, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

WIDE void dvg_accumulate(float *y, const float *x, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

// ---- rows of unit length

static const double shortest = 1e-12;

WIDE void dvg_l2_forward(float *y, float *norms, const float *x, int64_t N, int64_t C) {
  for (int64_t i = 0; i < N; i++) {
    const float *restrict in = x + i * C;
    float *restrict out = y + i * C;
    double norm = sqrt(lanes_dot(in, in, C));
    if (norm < shortest) norm = shortest;
    norms[i] = (float)norm;
    for (int64_t j = 0; j < C; j++) out[j] = (float)((double)in[j] / norm);
  }
}

// d(x/|x|) = (dx - y <y, dx>) / |x|; below the shortest length the divisor is a constant and the second term is
// gone.
INLINE void l2_backward(float *dx, const float *dy, const float *y, const float *norms, int64_t N, int64_t C,
                        int add) {
  for (int64_t i = 0; i < N; i++) {
    const float *restrict grad = dy + i * C, *restrict unit = y + i * C;
    float *restrict out = dx + i * C;
    const double along = norms[i] <= (float)shortest ? 0.0 : lanes_dot(grad, unit, C);
    const double inverse = 1.0 / (double)norms[i];
    for (int64_t j = 0; j < C; j++) {
      const float d = (float)(((double)grad[j] - along * (double)unit[j]) * inverse);
      out[j] = add ? out[j] + d : d;
    }
  }
}

WIDE void dvg_l2_backward(float *dx, const float *dy, const float *y, const float *norms, int64_t N, int64_t C,
                          int add) {
  if (add) l2_backward(dx, dy, y, norms, N, C, 1);
  else l2_backward(dx, dy, y, norms, N, C, 0);
}

// ---- dropout

void dvg_dropout_forward(float *y, float *mask, const float *x, const uint64_t *items, uint64_t seed, int64_t N,
                         int64_t C, double rate) {
  const float kept = (float)(1.0 / (1.0 - rate));
  for (int64_t i = 0; i < N; i++) {
    struct dvg_rng rng;
    dvg_rng_init(&rng, seed, DVG_STREAM_DROPOUT, items[i]);
    for (int64_t j = 0; j < C; j++) {
      const float m = (double)dvg_rng_uniform(&rng) < rate ? 0.0f : kept;
      mask[i * C + j] = m;
      y[i * C + j] = x[i * C + j] * m;
    }
  }
}

void dvg_dropout_backward(float *restrict dx, const float *restrict dy, const float *restrict mask, int64_t n,
                          int add) {
  if (add)
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * mask[i];
  else
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * mask[i];
}

// ---- grayscale

static const float luma[3] = {0.299f, 0.587f, 0.114f};

WIDE void dvg_gray_forward(float *y, const float *x, const float *weights, int64_t N, int64_t S) {
  for (int64_t i = 0; i < N; i++) {
    const float *restrict r = x + 3 * i * S, *restrict g = r + S, *restrict b = g + S;
    const float *w = weights ? weights + 3 * i : luma;
    const float red = w[0], green = w[1], blue = w[2];
    float *restrict out = y + i * S;
    for (int64_t j = 0; j < S; j++) out[j] = red * r[j] + green * g[j] + blue * b[j];
  }
}

WIDE void dvg_gray_backward(float *dx, const float *dy, const float *weights, int64_t N, int64_t S, int add) {
  for (int64_t k = 0; k < 3 * N; k++) {
    const float *restrict grad = dy + k / 3 * S;
    float *restrict out = dx + k * S;
    const float weight = weights ? weights[k] : luma[k % 3];
    if (add)
      for (int64_t j = 0; j < S; j++) out[j] += weight * grad[j];
    else
      for (int64_t j = 0; j < S; j++) out[j] = weight * grad[j];
  }
}

// ---- concatenation

void dvg_concat_forward(float *y, const float *a, const float *b, int64_t N, int64_t C1, int64_t C2) {
  for (int64_t i = 0; i < N; i++) {
    float *row = y + i * (C1 + C2);
    if (C1 > 0) memcpy(row, a + i * C1, (size_t)C1 * sizeof *row);
    if (C2 > 0) memcpy(row + C1, b + i * C2, (size_t)C2 * sizeof *row);
  }
}

static void give_back(float *restrict d, const float *restrict dy, int64_t N, int64_t C, int64_t stride,
                      int add) {
  for (int64_t i = 0; i < N; i++) {
    if (add)
      for (int64_t j = 0; j < C; j++) d[i * C + j] += dy[i * stride + j];
    else
      for (int64_t j = 0; j < C; j++) d[i * C + j] = dy[i * stride + j];
  }
}

void dvg_concat_backward(float *da, float *db, const float *dy, int64_t N, int64_t C1, int64_t C2, int add_a,
                         int add_b) {
  if (da) give_back(da, dy, N, C1, C1 + C2, add_a);
  if (db) give_back(db, dy + C1, N, C2, C1 + C2, add_b);
}

// ---- reparameterisation

static float deviation(float logvar) {
  const float clamped = logvar < -20.0f ? -20.0f : logvar > 20.0f ? 20.0f : logvar;
  return expf(0.5f * clamped);
}

void dvg_reparam_forward(float *z, const float *mu, const float *logvar, const float *eps, int64_t n) {
  for (int64_t i = 0; i < n; i++) z[i] = mu[i] + deviation(logvar[i]) * eps[i];
}

void dvg_reparam_backward(float *dmu, float *dlogvar, const float *dz, const float *logvar, const float *eps,
                          int64_t n, int add) {
  for (int64_t i = 0; i < n; i++) {
    const int clamped = logvar[i] < -20.0f || logvar[i] > 20.0f;
    const float d = clamped ? 0.0f : dz[i] * eps[i] * 0.5f * deviation(logvar[i]);
    dmu[i] = add ? dmu[i] + dz[i] : dz[i];
    dlogvar[i] = add ? dlogvar[i] + d : d;
  }
}
