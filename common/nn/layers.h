// Layers without convolutions, float32, plain NCHW, one thread, no allocation.
//
// Letters: N images, C channels, H x W size, S = H W places of one channel. A `_backward` turns the gradient dy of the
// output into the gradient dx of the input; with `add` it is added to dx, else dx is overwritten. Gradients of
// weights always add. Outputs may not overlap inputs, but for the functions that say so.
#ifndef DVG_NN_LAYERS_H
#define DVG_NN_LAYERS_H

#include <stdint.h>

#include "common/base/rng.h"

// Max-feature-map (Wu, He, Sun, Tan: "A light CNN for deep face representation with noisy labels", TIFS 2018):
// y (N,C,S) = elementwise maximum of the first and the second half of the channels of x (N,2C,S). A tie counts for the first.
void dvg_mfm_forward(float *y, const float *x, int64_t N, int64_t C, int64_t S);
void dvg_mfm_backward(float *dx, const float *dy, const float *x, int64_t N, int64_t C, int64_t S, int add);

// y (planes,H/2,W/2) = 2x2 maximum + 2x2 mean, stride 2, of x (planes,H,W); an odd last row or column is dropped.
// A tie of the maximum counts for the first in row order.
void dvg_pool_forward(float *y, const float *x, int64_t planes, int64_t H, int64_t W);
void dvg_pool_backward(float *dx, const float *dy, const float *x, int64_t planes, int64_t H, int64_t W, int add);

// The pool of a max-feature-map, of one plane, H and W even. A byte a pooled value says where its gradient goes: bits 0 to 3 whether the first
// channel won at each of its four places, bits 4 and 5 which of the four is the largest.
// code (H/2,W/2) of the maxima and their winners (H,W), all ones where the first channel won, else 0.
void dvg_pool_mfm_codes(signed char *code, const float *maximum, const signed char *winner, int64_t H, int64_t W);
// dvg_pool_backward and then dvg_mfm_backward, bit by bit: first and second (H,W), the gradients of both channels, from dy (H/2,W/2).
void dvg_pool_mfm_backward(float *first, float *second, const float *dy, const signed char *code, int64_t H, int64_t W);

// Instance norm, optionally adaptive (Huang, Belongie: AdaIN, ICCV 2017), then LeakyReLU of `slope` (1: none):
//     y = lrelu(scale * (x - mean) / sqrt(variance + 1e-5) + shift)
// mean and biased variance over the S places of each channel of each image, computed so that no precision is lost for large means.
// style: rows of N images, `style_stride` floats apart; in a row C shifts, then C scales; NULL: shift 0, scale 1.
// y may be x where no backward follows. stats (N,C,2) keeps mean and 1/sqrt(variance + 1e-5) for the backward, which adds to dstyle (laid out as style).
void dvg_norm_forward(float *y, double *stats, const float *x, const float *style, int64_t style_stride, int64_t N,
                      int64_t C, int64_t S, float slope);
// y = base + what dvg_norm_forward gives, in the same pass and with the same bits as dvg_add of the two. base (N,C,S); NULL: none.
// summed: stats holds the sums of x and x^2 over each plane already (dvg_conv_forward_sums), and they are not taken again.
void dvg_norm_add_forward(float *y, double *stats, int summed, const float *base, const float *x, const float *style, int64_t style_stride,
                          int64_t N, int64_t C, int64_t S, float slope);
void dvg_norm_backward(float *dx, float *dstyle, const float *dy, const float *x, const double *stats, const float *style,
                       int64_t style_stride, int64_t N, int64_t C, int64_t S, float slope, int add);

// y = x for x > 0, else slope x. The backward needs y alone (slope > 0). y may be x; dx may be dy when not `add`.
void dvg_leaky_relu_forward(float *y, const float *x, int64_t n, float slope);
void dvg_leaky_relu_backward(float *dx, const float *dy, const float *y, int64_t n, float slope, int add);

// y = 1 / (1 + exp(-x)), no overflow for any finite x. y may be x.
void dvg_sigmoid_forward(float *y, const float *x, int64_t n);
void dvg_sigmoid_backward(float *dx, const float *dy, const float *y, int64_t n, int add);

// Rows of C: y = x / max(|x|, 1e-12). norms (N) keeps max(|x|, 1e-12).
void dvg_l2_forward(float *y, float *norms, const float *x, int64_t N, int64_t C);
void dvg_l2_backward(float *dx, const float *dy, const float *y, const float *norms, int64_t N, int64_t C, int add);

// Inverted dropout of rate in [0, 1): y = x mask, mask 0 or 1/(1-rate); row i draws its mask from (seed, DVG_STREAM_DROPOUT, items[i]).
// The backward is dx = dy mask. mask (N,C) is an output.
void dvg_dropout_forward(float *y, float *mask, const float *x, const uint64_t *items, uint64_t seed, int64_t N, int64_t C, double rate);
void dvg_dropout_backward(float *dx, const float *dy, const float *mask, int64_t n, int add);

// y (N,1,S) = 0.299 R + 0.587 G + 0.114 B of x (N,3,S) (ITU-R BT.601 luma); weights (N,3): an image's own in their place, or NULL.
void dvg_gray_forward(float *y, const float *x, const float *weights, int64_t N, int64_t S);
void dvg_gray_backward(float *dx, const float *dy, const float *weights, int64_t N, int64_t S, int add);

// y (N,C,H,W) = x (N,C,H,W) seen through an affine map of each image, bilinear; beyond its edge an image goes on as at the edge. Row (a, b, c, d, e, f) of
// maps (N,6), in pixels from the middle of the image: y at (u, v) is x at (a u + b v + c, d u + e v + f), u across, v down. The backward adds to dx.
void dvg_warp_forward(float *y, const float *x, const float *maps, int64_t N, int64_t C, int64_t H, int64_t W);
void dvg_warp_backward(float *dx, const float *dy, const float *maps, int64_t N, int64_t C, int64_t H, int64_t W);

// Concatenation along the channels: row i of y (N, C1+C2) = row i of a (N, C1), then row i of b (N, C2).
void dvg_concat_forward(float *y, const float *a, const float *b, int64_t N, int64_t C1, int64_t C2);
// da or db may be NULL: not needed.
void dvg_concat_backward(float *da, float *db, const float *dy, int64_t N, int64_t C1, int64_t C2, int add_a, int add_b);

// Reparameterisation (Kingma, Welling, ICLR 2014): z = mu + exp(logvar / 2) eps; logvar is clamped to [-20, 20].
void dvg_reparam_forward(float *z, const float *mu, const float *logvar, const float *eps, int64_t n);
void dvg_reparam_backward(float *dmu, float *dlogvar, const float *dz, const float *logvar, const float *eps, int64_t n, int add);

// y = a + b; y may be a or b. y += x.
void dvg_add(float *y, const float *a, const float *b, int64_t n);
void dvg_accumulate(float *y, const float *x, int64_t n);

#endif
