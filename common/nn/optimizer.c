#include "common/nn/optimizer.h"

#include <assert.h>
#include <math.h>

#include "common/nn/lanes.h"

WIDE void dvg_sgd_step(const struct dvg_sgd *o, float *restrict w, float *restrict v,
                       const float *restrict grad, int64_t n) {
  const float rate = (float)o->rate, momentum = (float)o->momentum, decay = (float)o->weight_decay;
  for (int64_t i = 0; i < n; i++) {
    const float g = grad[i] + decay * w[i];
    v[i] = momentum * v[i] + g;
    w[i] -= rate * v[i];
  }
}

WIDE void dvg_adam_step(const struct dvg_adam *o, float *restrict w, float *restrict m, float *restrict v,
                        const float *restrict grad, int64_t n, int64_t step) {
  assert(step >= 1);
  const float beta1 = (float)o->beta1, beta2 = (float)o->beta2, decay = (float)o->weight_decay,
              eps = (float)o->eps;
  const float rest1 = (float)(1.0 - o->beta1),
              rest2 = (float)(1.0 - o->beta2); // before rounding: 1 - 0.999f is off by 1e-5
  const float rate = (float)(o->rate / (1.0 - pow(o->beta1, (double)step)));
  const float root = (float)(1.0 / sqrt(1.0 - pow(o->beta2, (double)step)));
  for (int64_t i = 0; i < n; i++) {
    const float g = grad[i] + decay * w[i];
    m[i] = beta1 * m[i] + rest1 * g;
    v[i] = beta2 * v[i] + rest2 * g * g;
    w[i] -= rate * m[i] / (sqrtf(v[i]) * root + eps);
  }
}
