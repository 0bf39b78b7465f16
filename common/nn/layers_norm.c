// Instance norm, plain or adaptive, with LeakyReLU.
//
// A plane's mean is a double; x - mean is formed as (x - centre) - rest with centre the mean rounded to float,
// for x - centre is (nearly) exact where x is close to a large mean, while x - mean in float would lose half an
// ulp of the mean.
#include <math.h>

#include "common/nn/lanes.h"
#include "common/nn/layers.h"

static const double variance_floor = 1e-5;

// sums[0] = sum x, sums[1] = sum x^2.
WIDE static void plane_powers(double sums[2], const float *restrict x, int64_t S) {
  double plain[LANES] = {0}, square[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= S; j += LANES)
    for (int k = 0; k < LANES; k++) {
      const double v = (double)x[j + k];
      plain[k] += v;
      square[k] += v * v;
    }
  for (int k = 0; j + k < S; k++) {
    const double v = (double)x[j + k];
    plain[k] += v;
    square[k] += v * v;
  }
  sums[0] = lanes_total(plain);
  sums[1] = lanes_total(square);
}

WIDE static double plane_centred_square(const float *restrict x, double mean, int64_t S) {
  double lane[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= S; j += LANES)
    for (int k = 0; k < LANES; k++) {
      const double d = (double)x[j + k] - mean;
      lane[k] += d * d;
    }
  for (int k = 0; j + k < S; k++) {
    const double d = (double)x[j + k] - mean;
    lane[k] += d * d;
  }
  return lanes_total(lane);
}

// From the sums of x and x^2 where that is exact enough: squares of floats are exact in double, so E x^2 - mean^2
// loses 1e-16 of mean^2, which is 1e-10 of the variance down to the bound. Below it, a pass over x - mean.
static void plane_moments(double *mean, double *variance, const double sums[2], const float *x, int64_t S) {
  *mean = sums[0] / (double)S;
  *variance = sums[1] / (double)S - *mean * *mean;
  if (*variance < 1e-6 * *mean * *mean) *variance = plane_centred_square(x, *mean, S) / (double)S;
}

// Whether mean - centre matters: it is at most 2^-24 of the mean, below this bound 2.4e-7 of a deviation, which
// is less than what the arithmetic in float does.
static int needs_rest(float centre, float inverse) {
  return !(fabsf(centre * inverse) < 4.0f);
}

// The affine map of one plane before the LeakyReLU: gain (x - centre) + offset. Forward and backward make it
// from the same numbers, so they agree on each sign.
struct affine {
  float centre, gain, offset, slope;
  double rest, inverse; // mean - centre where it matters; 1 / deviation
};

// stats: mean and 1 / deviation.
static struct affine affine_of(const double stats[2], float shift, float scale, float slope) {
  const float centre = (float)stats[0], inverse = (float)stats[1];
  const double rest = needs_rest(centre, inverse) ? stats[0] - (double)centre : 0.0;
  const double gain = (double)scale * (double)inverse;
  return (struct affine){centre, (float)gain, (float)((double)shift - rest * gain), slope, rest, (double)inverse};
}

INLINE float applied(float x, struct affine f) {
  const float v = f.gain * (x - f.centre) + f.offset;
  return v * where_positive(v, 1.0f, f.slope);
}

// y may be x, so neither is `restrict`; ivdep says that no other overlap is meant.
WIDE static void plane_apply(float *y, const float *x, struct affine f, int64_t S) {
  _Pragma("GCC ivdep") for (int64_t j = 0; j < S; j++) y[j] = applied(x[j], f);
}

WIDE static void plane_apply_add(float *y, const float *base, const float *x, struct affine f, int64_t S) {
  _Pragma("GCC ivdep") for (int64_t j = 0; j < S; j++) y[j] = base[j] + applied(x[j], f);
}

void dvg_norm_forward(float *y, double *stats, const float *x, const float *style, int64_t style_stride,
                      int64_t N, int64_t C, int64_t S, float slope) {
  dvg_norm_add_forward(y, stats, 0, NULL, x, style, style_stride, N, C, S, slope);
}

void dvg_norm_add_forward(float *y, double *stats, int summed, const float *base, const float *x,
                          const float *style, int64_t style_stride, int64_t N, int64_t C, int64_t S,
                          float slope) {
  for (int64_t i = 0; i < N; i++)
    for (int64_t c = 0; c < C; c++) {
      const int64_t plane = i * C + c;
      const float shift = style ? style[i * style_stride + c] : 0.0f;
      const float scale = style ? style[i * style_stride + C + c] : 1.0f;
      double mean, variance;
      if (!summed) plane_powers(stats + 2 * plane, x + plane * S, S);
      plane_moments(&mean, &variance, stats + 2 * plane, x + plane * S, S);
      stats[2 * plane] = mean;
      stats[2 * plane + 1] = 1.0 / sqrt(variance + variance_floor);
      const struct affine f = affine_of(stats + 2 * plane, shift, scale, slope);
      if (base) plane_apply_add(y + plane * S, base + plane * S, x + plane * S, f, S);
      else plane_apply(y + plane * S, x + plane * S, f, S);
    }
}

// The gradient behind the LeakyReLU.
INLINE float behind(float dy, float from_centre, struct affine f) {
  return dy * where_positive(f.gain * from_centre + f.offset, 1.0f, f.slope);
}

// sums[0] = sum g, sums[1] = sum g (x - centre), with g the gradient behind the LeakyReLU.
WIDE static void plane_sums(double sums[2], const float *restrict dy, const float *restrict x, struct affine f,
                            int64_t S) {
  double plain[LANES] = {0}, weighted[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= S; j += LANES)
    for (int k = 0; k < LANES; k++) {
      const float d = x[j + k] - f.centre, g = behind(dy[j + k], d, f);
      plain[k] += (double)g;
      weighted[k] += (double)(g * d);
    }
  for (int k = 0; j + k < S; k++) {
    const float d = x[j + k] - f.centre, g = behind(dy[j + k], d, f);
    plain[k] += (double)g;
    weighted[k] += (double)(g * d);
  }
  sums[0] = lanes_total(plain);
  sums[1] = lanes_total(weighted);
}

// dx = gain g + tilt (x - centre) + level
INLINE void plane_gradient(float *restrict dx, const float *restrict dy, const float *restrict x,
                           struct affine f, float tilt, float level, int64_t S, int add) {
  for (int64_t j = 0; j < S; j++) {
    const float d = x[j] - f.centre, g = behind(dy[j], d, f);
    const float out = f.gain * g + (tilt * d + level);
    dx[j] = add ? dx[j] + out : out;
  }
}

WIDE static void plane_gradient_set(float *dx, const float *dy, const float *x, struct affine f, float tilt,
                                    float level, int64_t S) {
  plane_gradient(dx, dy, x, f, tilt, level, S, 0);
}

WIDE static void plane_gradient_add(float *dx, const float *dy, const float *x, struct affine f, float tilt,
                                    float level, int64_t S) {
  plane_gradient(dx, dy, x, f, tilt, level, S, 1);
}

// With u = (x - mean) inverse and g the gradient behind the LeakyReLU:
//     dshift = sum g,  dscale = sum g u,  dx = scale inverse (g - dshift/S - u dscale/S)
void dvg_norm_backward(float *dx, float *dstyle, const float *dy, const float *x, const double *stats,
                       const float *style, int64_t style_stride, int64_t N, int64_t C, int64_t S, float slope,
                       int add) {
  for (int64_t i = 0; i < N; i++)
    for (int64_t c = 0; c < C; c++) {
      const int64_t plane = i * C + c;
      const float *px = x + plane * S, *pdy = dy + plane * S;
      const float shift = style ? style[i * style_stride + c] : 0.0f;
      const float scale = style ? style[i * style_stride + C + c] : 1.0f;
      const struct affine f = affine_of(stats + 2 * plane, shift, scale, slope);
      double sums[2];
      plane_sums(sums, pdy, px, f, S);
      const double dshift = sums[0], dscale = (sums[1] - f.rest * sums[0]) * f.inverse;
      if (style && dstyle) {
        dstyle[i * style_stride + c] += (float)dshift;
        dstyle[i * style_stride + C + c] += (float)dscale;
      }
      const double tilt = -(double)f.gain * dscale / (double)S * f.inverse;
      const double level = -(double)f.gain * dshift / (double)S - tilt * f.rest;
      (add ? plane_gradient_add : plane_gradient_set)(dx + plane * S, pdy, px, f, (float)tilt, (float)level, S);
    }
}
