// A flat array of n values shared out over the ranks (weights, gradients, the optimiser's state).
//
// The array is cut into buckets, and each bucket into one slice a rank. A bucket is what is communicated at once: so a part of the array can be on its way
// while the rest is still computed. A rank owns its slice of every bucket; an array of the owned values alone holds them packed, bucket after bucket.
#ifndef DVG_MPI_SLICES_H
#define DVG_MPI_SLICES_H

#include <stdint.h>

#include "common/base/status.h"
#include "mpi/world.h"

enum { DVG_BUCKET = 1 << 20 }; // values: 8 MB of exact sums, some ms of any network

struct dvg_slice {
  int64_t first, count; // of the flat array; may be empty
  int64_t place;        // of the first one in the owner's packed array
};

struct dvg_slices {
  int64_t n, bucket, n_buckets; // values, values of a bucket (the last one may have fewer), buckets
  int64_t n_own, longest;       // values that this rank owns; values of the longest slice
  int rank, size;
  int *count, *at; // owned (size each): room for MPI's tables
};

// Not collective. Buckets of about `bucket` values (> 0): a multiple of the ranks, and slices of whole cache lines.
DVG_CHECKED enum dvg_status dvg_slices_create(struct dvg_slices *s, const struct dvg_world *w, int64_t n, int64_t bucket);
void dvg_slices_free(struct dvg_slices *s);

// Not collective. The slice of `bucket` that `rank` owns.
struct dvg_slice dvg_slices_at(const struct dvg_slices *s, int64_t bucket, int rank);

// Collective. all (n): each rank's own slices go to all others, in place.
void dvg_slices_share(const struct dvg_slices *s, float *all);
// Collective. all (n; used on rank 0) = everybody's packed `own` (n_own).
void dvg_slices_gather(const struct dvg_slices *s, float *all, const float *own);
// Collective. The other way.
void dvg_slices_scatter(const struct dvg_slices *s, float *own, const float *all);

#endif
