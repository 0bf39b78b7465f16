// Learning rates and weights of losses over the steps of a training.
#ifndef DVG_STAGES_RATES_H
#define DVG_STAGES_RATES_H

#include <math.h>
#include <stdint.h>

// From `rate` down to `rate * final` along half a cosine; final 1: constant.
static inline double dvg_rate_cosine(double rate, double final, int64_t step, int64_t n_steps) {
  return rate * (final + (1 - final) * 0.5 * (1 + cos(3.14159265358979 * (double)step / (double)n_steps)));
}

// From 0 up to `value` along a line over the first `n_warm` steps, then constant.
static inline double dvg_rate_warmup(double value, int64_t step, double n_warm) {
  return value * (n_warm > 0 ? fmin(1, (double)step / n_warm) : 1);
}

#endif
