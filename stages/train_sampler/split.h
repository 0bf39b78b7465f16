// Who is trained on and who is held out.
#ifndef DVG_STAGES_TRAIN_SAMPLER_SPLIT_H
#define DVG_STAGES_TRAIN_SAMPLER_SPLIT_H

#include <stdint.h>

#include "common/base/status.h"

struct dvg_split {
  int64_t n_items, *item;          // features of the people trained on, ascending
  int64_t n_people[2], *people[2]; // first feature of each person trained on [0], held out [1], ascending
};

// Not collective. identity[0..n): whose each feature is, any numbers. Holds out the part `held_out` of the people, rounded, drawn from (seed, DVG_STREAM_SPLIT): the same
// for any order of the features. DVG_ERROR_MEMORY. Free with dvg_split_free.
DVG_CHECKED enum dvg_status dvg_split_of(struct dvg_split *s, const int64_t *identity, int64_t n, double held_out, uint64_t seed);
void dvg_split_free(struct dvg_split *s);

#endif
