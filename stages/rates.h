// Learning rates and weights of losses over the steps of a training.
#ifndef DVG_STAGES_RATES_H
#define DVG_STAGES_RATES_H

#include <math.h>
#include <stdint.h>

// From `rate` down to `rate * final` along half a cosine; final 1: constant.
static inline double dvg_rate_cosine(double rate, double final, int64_t step, int64_t n_steps) {
  return rate * (final + (1 - final) * 0.5 * (1 + cos(3.14159265358979 * (double)step / (double)n_steps)));
}

// What a rate found at batches of `found` items becomes at batches of `batch`, where the noise of the gradient is smaller: SGD's grows as the batch (Goyal et
// al., arXiv 1706.02677), Adam's as its root (Malladi et al., NeurIPS 2022). found 0: as it is.
static inline double dvg_rate_for_batch(double rate, int64_t found, int64_t batch, int is_adam) {
  if (found == 0) return rate;
  const double ratio = (double)batch / (double)found;
  return rate * (is_adam ? sqrt(ratio) : ratio);
}

// From 0 up to `value` along a line over the first `n_warm` steps, then constant.
static inline double dvg_rate_warmup(double value, int64_t step, double n_warm) {
  return value * (n_warm > 0 ? fmin(1, (double)step / n_warm) : 1);
}

#endif
