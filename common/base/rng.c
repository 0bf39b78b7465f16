#include "common/base/rng.h"

#include <math.h>

enum { ROUNDS = 10 };

void dvg_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u; // the golden ratio and sqrt(3) - 1, as in the paper
    k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void dvg_rng_init(struct dvg_rng *r, uint64_t seed, enum dvg_stream stream, uint64_t item) {
  *r = (struct dvg_rng){.seed = seed, .item = item, .stream = (uint32_t)stream};
}

uint32_t dvg_rng_u32(struct dvg_rng *r) {
  if (r->left == 0) {
    uint32_t counter[4] = {r->block++, r->stream, (uint32_t)r->item, (uint32_t)(r->item >> 32)};
    uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
    dvg_philox(r->out, counter, key);
    r->left = 4;
  }
  return r->out[4 - r->left--];
}

float dvg_rng_uniform(struct dvg_rng *r) {
  return (float)(dvg_rng_u32(r) >> 8) * 0x1p-24f;
}

float dvg_rng_between(struct dvg_rng *r, float a, float b) {
  return a + (b - a) * dvg_rng_uniform(r);
}

float dvg_rng_normal(struct dvg_rng *r) {
  double u = ((double)dvg_rng_u32(r) + 1) * 0x1p-32; // (0, 1]: its logarithm is finite
  double v = (double)dvg_rng_u32(r) * 0x1p-32;
  return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

void dvg_rng_normals(struct dvg_rng *r, float *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = dvg_rng_normal(r);
}

int64_t dvg_rng_below(struct dvg_rng *r, int64_t n) {
  uint64_t range = (uint64_t)n, limit = UINT64_MAX - UINT64_MAX % range; // a multiple of n: no bias below it
  uint64_t v;
  do {
    v = (uint64_t)dvg_rng_u32(r) << 32;
    v |= dvg_rng_u32(r);
  } while (v >= limit);
  return (int64_t)(v % range);
}

static void shuffle(struct dvg_rng *r, int64_t *out, int64_t n, int64_t exclude_self) {
  for (int64_t i = 0; i < n; i++) out[i] = i;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = dvg_rng_below(r, i + 1 - exclude_self), t = out[i];
    out[i] = out[j];
    out[j] = t;
  }
}

void dvg_rng_permutation(struct dvg_rng *r, int64_t *out, int64_t n) {
  shuffle(r, out, n, 0);
}

void dvg_rng_derangement(struct dvg_rng *r, int64_t *out, int64_t n) {
  shuffle(r, out, n, 1);
}

uint64_t dvg_rng_name(const char *name) {
  uint64_t h = 0xcbf29ce484222325u;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
  return h;
}
