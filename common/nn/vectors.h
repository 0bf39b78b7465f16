// Vectors of floats, as wide as the instruction set that a file is compiled for has them; for the kernels
// alone.
#ifndef DVG_NN_VECTORS_H
#define DVG_NN_VECTORS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define LANE_NUMBERS                                                                                           \
  { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }
#elif defined(__AVX2__)
#define LANES 8
#define LANE_NUMBERS                                                                                           \
  { 0, 1, 2, 3, 4, 5, 6, 7 }
#else
#define LANES 4
#define LANE_NUMBERS                                                                                           \
  { 0, 1, 2, 3 }
#endif
#define PANEL (2 * LANES)
#if defined(__AVX512BF16__)
#include <immintrin.h>
#define BFLOAT16 1
#else
#define BFLOAT16 0
#endif

// vec may sit at any float's address: user arrays are aligned no better. (Unaligned instructions cost nothing
// on aligned data.)
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_in_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int lanes_int __attribute__((vector_size(4 * LANES)));
typedef signed char lanes_byte __attribute__((vector_size(LANES)));
typedef signed char lanes_byte_in_memory __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef double wide_vec __attribute__((vector_size(8 * LANES))); // the same lanes in double

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define ROLLED _Pragma("GCC unroll 1") // where unrolling would need more pointers than there are registers

INLINE vec load(const float *p) {
  return *(const vec_in_memory *)p;
}
INLINE void store(float *p, vec v) {
  *(vec_in_memory *)p = v;
}
// Lanes of yes where the mask is all ones, of no where it is zero.
INLINE vec choose(lanes_int mask, vec yes, vec no) {
  return (vec)(((lanes_int)yes & mask) | ((lanes_int)no & ~mask));
}
// The comparison of a max-feature-map, dvg_mfm_forward's: a tie counts for the first, a NaN wins.
INLINE lanes_int first_wins(vec first, vec second) {
  return (first >= second) | (first != first);
}
// A mask from a byte a lane. (gcc 12 makes scalars of the conversion.)
INLINE lanes_int load_bytes(const signed char *from) {
#if LANES >= 8
  lanes_int mask;
  __asm__("vpmovsxbd %1, %0" : "=v"(mask) : "m"(*(const lanes_byte_in_memory *)from));
  return mask;
#else
  return __builtin_convertvector((lanes_byte) * (const lanes_byte_in_memory *)from, lanes_int);
#endif
}
// A byte a lane of a mask.
INLINE void store_bytes(signed char *to, lanes_int mask) {
  *(lanes_byte_in_memory *)to = __builtin_convertvector(mask, lanes_byte);
}
// A product that is rounded before it is added to something: the kernels are compiled to contract the two,
// layers.c is not.
INLINE vec rounded(vec v) {
  __asm__("" : "+m"(v));
  return v;
}

// ---- places of channels: a place is a float, which holds one channel's number or, with BFLOAT16, that of an even
// channel and, in its upper half, of the next one

#define PLACE_OF(channel) (BFLOAT16 ? (channel) / 2 : (channel))
#define PLACES(channels) (BFLOAT16 ? ((channels) + 1) / 2 : (channels))
#if BFLOAT16
// LANES channels.
INLINE void store_paired(float *to, vec v) {
  const __m256bh half = _mm512_cvtneps_pbh((__m512)v);
  memcpy(to, &half, sizeof half);
}
// One channel, for each lane in a place of its own: an even one, with zero for the odd one, or that.
INLINE void store_of_pair(float *to, vec v, int odd) {
  const lanes_int half = (lanes_int)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
  store(to, (vec)(odd ? (half << 16) | (lanes_int)load(to) : half));
}
// sum + both products of a place with that of each lane.
INLINE vec add_products(vec sum, const float *place, vec places) {
  int bits;
  memcpy(&bits, place, sizeof bits);
  return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(bits), (__m512bh)places);
}
#else
#define store_paired store
INLINE void store_of_pair(float *to, vec v, int odd) {
  (void)odd;
  store(to, v);
}
#endif

INLINE int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
INLINE int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}
INLINE int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

// Swaps the upper half of the lanes of row i with the lower half of row i + step, within groups of 2 * step
// lanes and rows.
INLINE void exchange_blocks(vec *r, const int step) {
  const lanes_int lane = LANE_NUMBERS, upper = (lane & step) != 0;
  const lanes_int low = (~upper & lane) | (upper & (lane - step + LANES));
  const lanes_int high = (~upper & (lane + step)) | (upper & (lane + LANES));
  UNROLL for (int pair = 0; pair < LANES / 2; pair++) {
    const int i = pair / step * 2 * step + pair % step;
    const vec a = r[i], b = r[i + step];
    r[i] = __builtin_shuffle(a, b, low);
    r[i + step] = __builtin_shuffle(a, b, high);
  }
}

// Transposes LANES x LANES: 4 x 4 blocks by the shuffles that stay within 128 bits (the cheap ones), then the
// blocks.
INLINE void transpose(vec *r) {
  const lanes_int lane = LANE_NUMBERS, quarter = lane & ~3, place = lane & 3;
  const lanes_int zip_low = quarter + (place >> 1) + (place & 1) * LANES, zip_high = zip_low + 2;
  const lanes_int pair_low = quarter + (place & 1) + (place >> 1) * LANES, pair_high = pair_low + 2;
  UNROLL for (int i = 0; i < LANES; i += 4) {
    const vec a = __builtin_shuffle(r[i], r[i + 1], zip_low), b = __builtin_shuffle(r[i], r[i + 1], zip_high);
    const vec c = __builtin_shuffle(r[i + 2], r[i + 3], zip_low),
              d = __builtin_shuffle(r[i + 2], r[i + 3], zip_high);
    r[i] = __builtin_shuffle(a, c, pair_low);
    r[i + 1] = __builtin_shuffle(a, c, pair_high);
    r[i + 2] = __builtin_shuffle(b, d, pair_low);
    r[i + 3] = __builtin_shuffle(b, d, pair_high);
  }
  if (LANES >= 16) exchange_blocks(r, 8);
  if (LANES >= 8) exchange_blocks(r, 4);
}

#endif
