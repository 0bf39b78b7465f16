// Learning rates over the steps of a training.
#ifndef DVG_STAGES_RATES_H
#define DVG_STAGES_RATES_H

#include <math.h>
#include <stdint.h>

// From `rate` down to `rate * final` along half a cosine; final 1: constant.
static inline double dvg_rate_cosine(double rate, double final, int64_t step, int64_t n_steps) {
  return rate * (final + (1 - final) * 0.5 * (1 + cos(3.14159265358979 * (double)step / (double)n_steps)));
}

#endif
