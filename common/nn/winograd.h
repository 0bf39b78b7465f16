// Winograd F(4x4,3x3) kernels, and the product of matrices for all other convolutions: one table of functions
// per instruction set, all compiled from winograd_kernels.c. Internal to conv.c. A 3x3 convolution, stride 1,
// padding 1, on plain NCHW arrays of any size.
#ifndef DVG_NN_WINOGRAD_H
#define DVG_NN_WINOGRAD_H

#include <stdint.h>

#include "common/nn/conv.h"

// One convolution: N images of H x W with `in` channels become N images of H x W with `out` channels.
// For the gradient of the data the roles swap: `in` counts the channels of dy, `out` those of dx.
struct winograd_shape {
  int64_t in, out, H, W, N;
};

// What becomes of the outputs: they are y (N,out,H,W), or y (N,out/2,H,W) is the larger of the first and the second half of the
// channels (max-feature-map), a NaN before all.
enum winograd_use { WINOGRAD_ALL, WINOGRAD_MFM };

// A max-feature-map keeps for its backward where the first channel won: a byte for each value, all ones or zeros,
// [image][LANES channels][place][lane]. With it, half of the channels of dy stand for all: each value belongs to
// the channel that won, the other one has zero. One that is pooled (layers.h; H and W even) keeps a byte for each value of the pool instead,
// laid out likewise: bits 0 to 3: whether the first channel won at each of its four places; bits 4 and 5: which of the maxima is the largest.
struct winograd_input {
  const float *at;           // (N,channels,H,W), or with
  const signed char *winner; // (N,channels/2,H,W), or (N,channels/2,H/2,W/2) with `pool`; or NULL
  int pool;
};
struct winograd_output {
  enum winograd_use use;
  float *at;
  int pool; // a max-feature-map is pooled: y (N,out/2,H/2,W/2)
  const float *base; // of y's shape: is added to what y gets; may be y itself, or NULL; not with a pool
  double *sums; // (N,out,2) += the sums of y and y^2 over each plane; only without a base, or NULL
  signed char *winner; // is written; only of a max-feature-map, or NULL
};

// Row-major; stored transposed, its rows are the columns of what is meant. With a winner (a byte for each value of `at`, all
// ones or zeros) it is the gradient of a maximum: the rows 0 .. half-1 of what is meant are the stored ones where the first
// channel won, else zero, and the rows half .. 2 half-1 where it didn't. A transposed matrix has no winner.
// With offsets, `row` doesn't count: the value of a stored row i and column j is at[row_at[i] + column_at[j]] (im2col without writing it
// down); for b alone.
struct matrix {
  const float *at;
  int64_t row; // floats from one stored row to the next
  int transposed;
  const signed char *winner; // or NULL
  int64_t winner_row, half;
  const int32_t *row_at, *column_at; // or NULL
};

// c (m x n) = or += a (m x k) b (k x n), + bias (m, or NULL) to each column. Each sum's order depends on k alone.
struct product {
  float *c;
  int64_t c_row; // floats from one row of c to the next
  struct matrix a, b;
  int64_t m, n, k;
  int add;
  const float *bias;
};

struct winograd_kernels {
  const char *name;
  // Floats of filters in the transform domain, and that transform. weight is (K, C, 3, 3); DVG_FILTERS_BACKWARD
  // prepares the filters for the gradient of the data: in = K, out = C, turned by 180 degrees; DVG_FILTERS_MFM
  // for WINOGRAD_MFM.
  int64_t (*packed_floats)(int64_t in, int64_t out, enum dvg_filters use);
  void (*pack)(float *packed, const float *weight, int64_t in, int64_t out, enum dvg_filters use);
  // Floats of scratch for `convolve` and for `weight_gradient`.
  int64_t (*convolve_floats)(const struct winograd_shape *s);
  int64_t (*gradient_floats)(const struct winograd_shape *s);
  // Bytes of the winners of a max-feature-map over `channels` channels of N images of H x W; 0: it can't keep them.
  int64_t (*winner_bytes)(int64_t channels, int64_t H, int64_t W, int64_t N);
  // y = x (N,in,H,W) * packed + bias (out, or NULL).
  void (*convolve)(const struct winograd_shape *s, const struct winograd_output *y, struct winograd_input x,
                   const float *packed, const float *bias, float *scratch);
  // dweight (out,in,3,3) += gradient; dbias (out, or NULL) += sums of dy (N,out,H,W).
  void (*weight_gradient)(const struct winograd_shape *s, float *dweight, float *dbias, const float *x,
                          struct winograd_input dy, float *scratch);
  // The product that the other convolutions are made of, and the floats of scratch it needs.
  int64_t (*multiply_floats)(void);
  void (*multiply)(const struct product *p, float *scratch);
  // The same, but c (m/2 x n) is the larger of the first and the second half of the rows, a NaN before all; winner (m/2 x n, rows
  // winner_row bytes apart; NULL: not wanted) gets all ones where the first one won, else zeros. k is at most multiply_larger_depth,
  // a is not transposed, add is 0.
  int64_t (*multiply_larger_depth)(void);
  void (*multiply_larger)(const struct product *p, signed char *winner, int64_t winner_row, float *scratch);
};

extern const struct winograd_kernels dvg_winograd_generic;
extern const struct winograd_kernels dvg_winograd_avx2;
extern const struct winograd_kernels dvg_winograd_avx512;
extern const struct winograd_kernels dvg_winograd_avx512_bf16;

#endif
