// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC11). A number is a pure function of (seed, stream, item, draw), never of rank, thread or time, so any
// rank can make any item's numbers. One `struct dvg_rng` walks the draws of one item.
#ifndef DVG_BASE_RNG_H
#define DVG_BASE_RNG_H

#include <stdint.h>

// What a number is used for. Never renumber: stored results depend on it. Each stochastic choice has its own.
enum dvg_stream {
  DVG_STREAM_WEIGHTS = 1,     // item: hash of the parameter's name (dvg_rng_name)
  DVG_STREAM_SHUFFLE = 2,     // item: epoch
  DVG_STREAM_CROP = 3,        // item: step * batch + place
  DVG_STREAM_DROPOUT = 4,     // item: step * batch + place
  DVG_STREAM_NOISE = 5,       // identity noise n of a training step; item: step * batch + place
  DVG_STREAM_ATTRIBUTE = 6,   // attribute noise, reparameterisation; item: step * batch + place
  DVG_STREAM_DERANGE = 7,     // item: step; of the recogniser: step * micro-batches of a step + micro-batch
  DVG_STREAM_PARTNER = 8,     // the other domain's image of a pair; item: step * batch + place; generation: pair number * 64 + attempt
  DVG_STREAM_PAIR_IDENTITY = 9,   // generation; item: pair number * 64 + attempt
  DVG_STREAM_PAIR_ATTRIBUTE = 10, // generation; item: pair number * 64 + attempt
  DVG_STREAM_TOY_PERSON = 11, // item: person
  DVG_STREAM_TOY_IMAGE = 12,  // item: person * 2^20 + image
  DVG_STREAM_TOY_DOMAIN = 13, // item: person * 2^20 + image
  DVG_STREAM_SPLIT = 14,      // item: 0
  DVG_STREAM_TEST = 15,       // tests
  DVG_STREAM_JITTER = 16,     // changes of a real image; item: as DVG_STREAM_CROP
  DVG_STREAM_JITTER_PAIR = 17, // changes of a generated image; item: (step * pairs + place) * 2 + domain
  DVG_STREAM_BOOTSTRAP = 18,  // drawn people; item: replicate
  DVG_STREAM_JUDGE = 19,      // how the generator's judge sees an image; item: (step * batch + place) * 4 + which of its images
  DVG_STREAM_REAL_PAIR = 20   // images, crops and changes of a real pair; item: micro-batch * real pairs in one + place
};

struct dvg_rng {
  uint64_t seed, item;
  uint32_t stream, block; // block: number of the next 128 bits
  uint32_t out[4];
  int left; // how many of out[] are unused
};

void dvg_rng_init(struct dvg_rng *r, uint64_t seed, enum dvg_stream stream, uint64_t item);
uint32_t dvg_rng_u32(struct dvg_rng *r);
// Uniform in [0, 1), a multiple of 2^-24.
float dvg_rng_uniform(struct dvg_rng *r);
// Uniform in [a, b).
float dvg_rng_between(struct dvg_rng *r, float a, float b);
// Standard normal (Box-Muller, in double; one value per two draws).
float dvg_rng_normal(struct dvg_rng *r);
void dvg_rng_normals(struct dvg_rng *r, float *out, int64_t n);
// Uniform integer in [0, n), n >= 1, without modulo bias.
int64_t dvg_rng_below(struct dvg_rng *r, int64_t n);
// out[0..n) = a uniform permutation of 0..n-1 (Fisher-Yates).
void dvg_rng_permutation(struct dvg_rng *r, int64_t *out, int64_t n);
// out[0..n) = a uniform cyclic permutation (Sattolo): out[i] != i for n >= 2; out[0] = 0 for n = 1.
void dvg_rng_derangement(struct dvg_rng *r, int64_t *out, int64_t n);
// A 64-bit number for a name (FNV-1a), to be used as an item.
uint64_t dvg_rng_name(const char *name);
// The Philox4x32-10 block function itself, for its published test vectors.
void dvg_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
