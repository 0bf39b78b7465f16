// The one-dimensional transforms of Winograd F(4,3), for the points 0, +-A, +-B and infinity; for winograd_kernels.c
// alone.
#ifndef DVG_NN_WINOGRAD_TRANSFORMS_H
#define DVG_NN_WINOGRAD_TRANSFORMS_H

#include "common/nn/vectors.h"

#define A 0.625f
#define B 1.5f
#define A2 (A * A)
#define B2 (B * B)
// 1 / derivative of x (x^2 - A^2) (x^2 - B^2) at the points
#define SCALE_0 (1 / (A2 * B2))
#define SCALE_A (1 / (2 * A2 * (A2 - B2)))
#define SCALE_B (1 / (2 * B2 * (B2 - A2)))

// 6 inputs -> 6: coefficients of the polynomials that vanish at all points but one.
INLINE void transform_data(vec *out, const vec *d) {
  const vec even_a = d[4] - d[2] * B2, odd_a = d[3] - d[1] * B2;
  const vec even_b = d[4] - d[2] * A2, odd_b = d[3] - d[1] * A2;
  out[0] = (d[4] - d[2] * (A2 + B2)) + d[0] * (A2 * B2);
  out[1] = even_a + odd_a * A;
  out[2] = even_a - odd_a * A;
  out[3] = even_b + odd_b * B;
  out[4] = even_b - odd_b * B;
  out[5] = (d[5] - d[3] * (A2 + B2)) + d[1] * (A2 * B2);
}

// 6 -> 4 outputs: powers of the points.
INLINE void transform_inverse(vec *out, const vec *m) {
  const vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  out[0] = m[0] + sum_a + sum_b;
  out[1] = difference_a * A + difference_b * B;
  out[2] = sum_a * A2 + sum_b * B2;
  out[3] = (m[5] + difference_a * (A2 * A)) + difference_b * (B2 * B);
}

// 4 gradients of outputs -> 6: the transpose of transform_inverse.
INLINE void transform_gradient(vec *out, const vec *y) {
  const vec even_a = y[0] + y[2] * A2, odd_a = y[1] + y[3] * A2;
  const vec even_b = y[0] + y[2] * B2, odd_b = y[1] + y[3] * B2;
  out[0] = y[0];
  out[1] = even_a + odd_a * A;
  out[2] = even_a - odd_a * A;
  out[3] = even_b + odd_b * B;
  out[4] = even_b - odd_b * B;
  out[5] = y[3];
}

// 3 weights -> 6: the filter's values at the points, scaled.
INLINE void transform_filter(vec *out, const vec *g) {
  const vec even_a = (g[0] + g[2] * A2) * SCALE_A, odd_a = g[1] * (A * SCALE_A);
  const vec even_b = (g[0] + g[2] * B2) * SCALE_B, odd_b = g[1] * (B * SCALE_B);
  out[0] = g[0] * SCALE_0;
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = g[2];
}

// 6 -> 3 gradients of weights: the transpose of transform_filter.
INLINE void transform_filter_gradient(vec *out, const vec *u) {
  const vec sum_a = (u[1] + u[2]) * SCALE_A, difference_a = (u[1] - u[2]) * (A * SCALE_A);
  const vec sum_b = (u[3] + u[4]) * SCALE_B, difference_b = (u[3] - u[4]) * (B * SCALE_B);
  out[0] = u[0] * SCALE_0 + sum_a + sum_b;
  out[1] = difference_a + difference_b;
  out[2] = sum_a * A2 + sum_b * B2 + u[5];
}

#endif
