// Convolutions and linear maps, float32, plain NCHW, one thread.
//
// 3x3 stride 1 pad 1: Winograd F(4x4,3x3) (Lavin, Gray: "Fast algorithms for convolutional neural networks", CVPR
// 2016) with the points 0, +-5/8, +-3/2, infinity and a register-tile product of our own. The same product, straight for 1x1,
// through im2col for the rest (5x5, stride 2), and for the 2x2 stride 2 transposed convolution. Linear maps: OpenBLAS.
// Letters: N images, C input channels, H x W input size, K output channels, P x Q output size.
// No function allocates: the caller gives `scratch` of dvg_conv_scratch floats, 64-byte aligned.
#ifndef DVG_NN_CONV_H
#define DVG_NN_CONV_H

#include <stdint.h>

struct dvg_conv {
  int64_t C, H, W, K;
  int64_t kernel, stride, pad;
  int transposed; // kernel 2, stride 2, pad 0 only; weights are (C, K, 2, 2) then, else (K, C, kernel, kernel)
};

// Output size: P = (H + 2 pad - kernel) / stride + 1, transposed 2H.
int64_t dvg_conv_P(const struct dvg_conv *s);
int64_t dvg_conv_Q(const struct dvg_conv *s);

// Floats of scratch that any of the functions below needs for a batch of N.
int64_t dvg_conv_scratch(const struct dvg_conv *s, int64_t N);

// Filters prepared once an update: for dvg_conv_forward, dvg_conv_backward_data, dvg_conv_forward_mfm.
enum dvg_filters { DVG_FILTERS_FORWARD, DVG_FILTERS_BACKWARD, DVG_FILTERS_MFM, DVG_N_FILTERS };
// Floats needed; 0: this shape uses the weights as they are and `packed` is ignored, or has no such function.
int64_t dvg_conv_packed(const struct dvg_conv *s, enum dvg_filters use);
void dvg_conv_pack(const struct dvg_conv *s, float *packed, const float *weight, enum dvg_filters use);

// y (N,K,P,Q) = x (N,C,H,W) * weight + bias (K, or NULL).
void dvg_conv_forward(const struct dvg_conv *s, float *y, const float *x, const float *weight, const float *packed,
                      const float *bias, int64_t N, float *scratch);

// dvg_conv_forward, bit by bit, and sums (N,K,2) = the sums of y and of y^2 over each plane, taken while y is in the L1 cache: for shapes whose
// dvg_conv_packed(s, DVG_FILTERS_FORWARD) is not 0. An image's sums don't depend on the other images.
void dvg_conv_forward_sums(const struct dvg_conv *s, float *y, double *sums, const float *x, const float *packed, const float *bias, int64_t N,
                           float *scratch);

// What follows a convolution, for shapes that join it, with the bits of dvg_conv_forward, dvg_mfm_forward, dvg_pool_forward and dvg_add in steps but
// without writing down what is in between:
//     y (N,K/2,P,Q) = base + maximum, or y (N,K/2,P/2,Q/2) = pooled maximum
struct dvg_conv_maximum {
  float *y;
  const float *base;   // (N,K/2,P,Q), where dvg_conv_packed(s, DVG_FILTERS_MFM) is not 0 and not with a pool; may be y; NULL: none
  int pool;
  signed char *winner; // gets what the two functions below need; NULL: not wanted
};
int dvg_conv_joins_mfm(const struct dvg_conv *s);
int dvg_conv_joins_pool(const struct dvg_conv *s); // the maximum and its pool
// packed: for DVG_FILTERS_MFM.
void dvg_conv_forward_mfm(const struct dvg_conv *s, const struct dvg_conv_maximum *y, const float *x, const float *weight, const float *packed,
                          const float *bias, int64_t N, float *scratch);

// Bytes of `winner` for a batch of N, a byte for each value of y; 0: this shape has none (3x3 stride 1 with K / 2 no multiple of the vectors'
// length, or one that doesn't join), and not these two functions: dvg_pool_backward if pooled, dvg_mfm_backward, and then
// dvg_conv_backward_data or dvg_conv_backward_weight, bit by bit, without writing down what is in between.
struct dvg_conv_gradient {
  const float *dy; // of y
  const signed char *winner;
  int pool;
};
int64_t dvg_conv_winner_bytes(const struct dvg_conv *s, int64_t N, int pool);
void dvg_conv_backward_data_mfm(const struct dvg_conv *s, float *dx, const struct dvg_conv_gradient *dy, const float *weight, const float *packed,
                                int64_t N, int add, float *scratch);
void dvg_conv_backward_weight_mfm(const struct dvg_conv *s, float *dweight, float *dbias, const float *x, const struct dvg_conv_gradient *dy,
                                  int64_t N, float *scratch);

// dx = gradient with respect to x; added to dx when `add`, else dx is overwritten.
void dvg_conv_backward_data(const struct dvg_conv *s, float *dx, const float *dy, const float *weight,
                            const float *packed, int64_t N, int add, float *scratch);

// dweight += gradient with respect to the weights; dbias (K, or NULL) += sum of dy over images and places.
void dvg_conv_backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x, const float *dy,
                              int64_t N, float *scratch);

// The instruction set that the Winograd kernels were dispatched to: "avx512", "avx2", "generic", or "avx512_bf16".
const char *dvg_conv_kernels(void);

// Chooses another set for tests and comparisons (NULL: the best); 0 if this program or CPU can't run it (nothing changes then). The environment
// variable DVG_KERNELS does the same at the first use of this file's functions; a name that can't run is ignored there.
// Scratch sizes and packed filters belong to one set: ask and pack again afterwards. Not thread-safe.
int dvg_conv_use_kernels(const char *name);

// Less precision for more speed: from now on 3x3 convolutions of stride 1 (and their gradients of the data) round the two factors of each product in the
// transform domain to bfloat16, 8 bits of mantissa; sums, transforms and all else stay float32. 0 if this CPU has no instructions for it (AVX512_BF16); nothing
// changes then. Never chosen by itself. Scratch and packed filters as above.
int dvg_conv_use_bfloat16(void);

// y (N,K) = x (N,C) weight^T (K,C) + bias (K or NULL), and its gradients, by OpenBLAS. `add` as above; weights' always add.
void dvg_linear_forward(float *y, const float *x, const float *weight, const float *bias, int64_t N, int64_t C, int64_t K);
void dvg_linear_backward_data(float *dx, const float *dy, const float *weight, int64_t N, int64_t C, int64_t K, int add);
void dvg_linear_backward_weight(float *dweight, float *dbias, const float *x, const float *dy, int64_t N, int64_t C, int64_t K);

#endif
