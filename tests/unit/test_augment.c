// Changes of training images: the formula against a double reference that draws the same numbers, range, mirror.
#include <math.h>
#include <string.h>

#include "stages/train_recognizer/augment.h"
#include "tests/check.h"

enum { SIZE = 9 };

static void fill(float *x) {
  for (int i = 0; i < SIZE * SIZE; i++) x[i] = (float)(i * 37 % 101) / 100;
}

static struct dvg_rng draws(uint64_t item) {
  struct dvg_rng r;
  dvg_rng_init(&r, 5, DVG_STREAM_TEST, item);
  return r;
}

static void mirrors(void) {
  float odd[3 * 3], even[2 * 2] = {1, 2, 3, 4};
  for (int i = 0; i < 9; i++) odd[i] = (float)i;
  const double want_odd[9] = {2, 1, 0, 5, 4, 3, 8, 7, 6}, want_even[4] = {2, 1, 4, 3};
  dvg_augment_mirror(odd, 3);
  dvg_augment_mirror(even, 2);
  CHECK_CLOSE("odd size", odd, want_odd, 9, 0);
  CHECK_CLOSE("even size", even, want_even, 4, 0);
}

static double unit(double x) {
  return fmin(1, fmax(0, x));
}

static void jitter_reference(void) {
  for (uint64_t item = 0; item < 20; item++) {
    float x[SIZE * SIZE];
    double want[SIZE * SIZE], strength = 0.05 * (double)(item + 1);
    fill(x);
    struct dvg_rng r = draws(item);
    const double a = dvg_rng_between(&r, -0.4f, 0.4f) * strength, c = dvg_rng_between(&r, -0.8f, 0.8f) * strength;
    const double u = dvg_rng_between(&r, -0.4f, 0.4f) * strength, v = dvg_rng_between(&r, -0.4f, 0.4f) * strength;
    const double sigma = dvg_rng_between(&r, 0, 0.06f) * strength;
    for (int i = 0; i < SIZE * SIZE; i++) {
      const double X = (i % SIZE - 4) / 4.0, Y = (i / SIZE - 4) / 4.0, bright = unit((double)x[i] * (1 + a));
      const double lit = unit((bright + c * bright * (1 - bright)) * (1 + u * X + v * Y));
      want[i] = unit(lit + sigma * dvg_rng_normal(&r));
    }
    r = draws(item);
    dvg_augment_jitter(x, SIZE, strength, &r);
    CHECK_CLOSE("jitter", x, want, SIZE * SIZE, 1e-6); // a handful of roundings of values up to 1.4
  }
}

static void strength_0_leaves_all(void) {
  float x[SIZE * SIZE], before[SIZE * SIZE];
  fill(x);
  memcpy(before, x, sizeof x);
  struct dvg_rng r = draws(0);
  dvg_augment_jitter(x, SIZE, 0, &r);
  CU_ASSERT_TRUE(!memcmp(x, before, sizeof x));
}

// The strongest changes stay in the range, and do change.
static void stays_in_range(void) {
  int64_t changed = 0;
  for (uint64_t item = 0; item < 200; item++) {
    float x[SIZE * SIZE], before[SIZE * SIZE];
    fill(x);
    memcpy(before, x, sizeof x);
    struct dvg_rng r = draws(item);
    dvg_augment_jitter(x, SIZE, 1, &r);
    for (int i = 0; i < SIZE * SIZE; i++) {
      CU_ASSERT_TRUE(x[i] >= 0 && x[i] <= 1);
      changed += fabsf(x[i] - before[i]) > 0.01f;
    }
  }
  CU_ASSERT_TRUE(changed > 200 * SIZE * SIZE / 2);
}

const struct dvg_test dvg_tests[] = {{"mirror", mirrors},
                                     {"jitter: reference", jitter_reference},
                                     {"jitter: strength 0", strength_0_leaves_all},
                                     {"jitter: range", stays_in_range},
                                     {NULL, NULL}};
