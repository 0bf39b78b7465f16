// What the benchmark programs share.
#ifndef DVG_TESTS_BENCH_MEDIAN_H
#define DVG_TESTS_BENCH_MEDIAN_H

#include <stdint.h>
#include <stdlib.h>

static inline int dvg_by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// The upper one of the two in the middle; sorts the n values.
static inline double dvg_median(double *values, int64_t n) {
  qsort(values, (size_t)n, sizeof *values, dvg_by_value);
  return values[n / 2];
}

#endif
