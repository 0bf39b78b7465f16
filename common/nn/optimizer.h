// Optimisers on flat arrays of n parameters, in PyTorch's form of the formulas.
#ifndef DVG_NN_OPTIMIZER_H
#define DVG_NN_OPTIMIZER_H

#include <stdint.h>

struct dvg_sgd {
  double rate, momentum, weight_decay;
};
// g = grad + weight_decay w; v = momentum v + g; w = w - rate v. (The first step of PyTorch, v = g, is the same with v = 0.)
void dvg_sgd_step(const struct dvg_sgd *o, float *w, float *v, const float *grad, int64_t n);

struct dvg_adam {
  double rate, beta1, beta2, eps, weight_decay; // weight_decay: added to the gradient (not AdamW)
};
// Kingma, Ba, ICLR 2015, with bias correction; `step` counts from 1.
//     m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2; w -= rate m/(1-beta1^step) / (sqrt(v/(1-beta2^step)) + eps)
void dvg_adam_step(const struct dvg_adam *o, float *w, float *m, float *v, const float *grad, int64_t n, int64_t step);

#endif
