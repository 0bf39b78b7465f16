// Losses. Each returns weight * sum over rows (double) and adds weight * gradient to the given gradients; a gradient
// pointer may be NULL: not needed. A mean over a batch of B is a weight of 1/B: the batch may be spread over many calls.
#ifndef DVG_NN_LOSSES_H
#define DVG_NN_LOSSES_H

#include <stdint.h>

// sum |a - b| over n values. The gradient at a tie is 0.
double dvg_loss_l1(float *da, float *db, const float *a, const float *b, int64_t n, double weight);

// sum over N rows of <a_i, b_i>: the cosine where rows are unit vectors.
double dvg_loss_dot(float *da, float *db, const float *a, const float *b, int64_t N, int64_t C, double weight);

// sum over rows of |<a_i, b_i>| (SPEC: angular orthogonal loss).
double dvg_loss_abs_dot(float *da, float *db, const float *a, const float *b, int64_t N, int64_t C, double weight);

// sum over rows of relu(<a_i, b_idx(i)> - margin): the push of the contrastive loss.
double dvg_loss_hinge_dot(float *da, float *db, const float *a, const float *b, const int64_t *idx, int64_t N, int64_t C,
                          double margin, double weight);

// Softmax cross-entropy: sum over rows of log sum_k exp(x_ik) - x_i,label(i); x (N,K), labels in [0,K).
double dvg_loss_softmax(float *dx, const float *x, const int64_t *labels, int64_t N, int64_t K, double weight);

// KL(N(mu, exp(logvar)) || N(0, 1)) summed over n values: 1/2 sum (mu^2 + exp(logvar) - logvar - 1); logvar clamped to [-20, 20].
double dvg_loss_kl(float *dmu, float *dlogvar, const float *mu, const float *logvar, int64_t n, double weight);

// sum of softplus(sign x) = log(1 + exp(sign x)) over n values, sign 1 or -1: with logits x, the logistic loss of those that should be negative (1) or
// positive (-1). No overflow for any finite x.
double dvg_loss_softplus(float *dx, const float *x, int64_t n, double sign, double weight);

#endif
