// What the bodies of common/nn share to be fast and exact on every CPU; not for use elsewhere.
#ifndef DVG_NN_LANES_H
#define DVG_NN_LANES_H

#include <stdint.h>
#include <string.h>

// Functions so marked are compiled for AVX2 and AVX-512 too and chosen when the program is loaded: half and
// less of the time where the data is in cache. The bits are the same: registers are wider, but products and
// sums are not contracted (-ffp-contract=off), and sums go through LANES. Not where the choice can't work: the
// loader makes it before the address and thread sanitizers have set up their memory. tests/unit/test_wide_*.c
// set WIDE to one instruction set and compare.
#if defined(WIDE)
#elif defined(__x86_64__) && defined(__GLIBC__) && defined(__OPTIMIZE__) && !defined(__clang__) &&             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif
// A body that takes a flag as a constant, so that each clone has one loop per value of it.
#define INLINE static inline __attribute__((always_inline))

// A long sum is kept as LANES partial sums, element i in lane i mod LANES: that is what lets gcc vectorise it
// without -ffast-math, in one order whatever the register width.
enum { LANES = 16 };

INLINE double lanes_total(double *lane) {
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int k = 0; k < width; k++) lane[k] += lane[k + width];
  return lane[0];
}

INLINE double lanes_dot(const float *a, const float *b, int64_t n) {
  double lane[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += (double)a[i + k] * (double)b[i + k];
  for (int k = 0; i + k < n; k++) lane[k] += (double)a[i + k] * (double)b[i + k];
  return lanes_total(lane);
}

// yes where x > 0, else (NaN too) no. Chosen as bits: of a choice between floats gcc makes a branch around the
// arithmetic that follows (without -ffast-math it may not do arithmetic in vain), and then doesn't vectorise.
INLINE float where_positive(float x, float yes, float no) {
  uint32_t yes_bits, no_bits;
  memcpy(&yes_bits, &yes, sizeof yes);
  memcpy(&no_bits, &no, sizeof no);
  const uint32_t all = -(uint32_t)(x > 0), bits = (yes_bits & all) | (no_bits & ~all);
  float chosen;
  memcpy(&chosen, &bits, sizeof bits);
  return chosen;
}

// exp(x) for x <= 0 within 2e-7 of itself, 0 below -87, NaN for NaN; vectorises where expf is a call.
// x = n ln 2 + r with |r| <= ln 2 / 2; Taylor to r^7 leaves 5e-9.
INLINE float exp_nonpositive(float x) {
  const float magic = 0x1.8p23f; // adding it leaves a float whose low bits are the rounded integer
  const float lowest = -87.0f, within = where_positive(lowest - x, lowest, x);
  const float shifted = within * 0x1.715476p0f + magic;
  const float n = shifted - magic;
  // ln 2 in two parts, the first short, so that n times it is exact.
  const float r = (within - n * 0x1.63p-1f) + n * 0x1.bd0106p-13f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  uint32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = ((bits - 0x4b400000u + 127u) << 23) & ~-(uint32_t)(x < lowest); // the bits of 2^n
  float power;
  memcpy(&power, &bits, sizeof power);
  return p * power;
}

#endif
