// Exact reduction of gradients: the same bits for every number of ranks and every assignment of micro-batches.
//
// Each micro-batch's gradient (float32, computed by one rank with one BLAS thread) is rounded to 64-bit fixed point with
// DVG_REDUCE_BITS fractional bits and added as an integer; integer sums are exact in any order. Each rank gets the sums of its own slices (mpi/slices.h),
// rounded to float32 once: it is the one that updates these weights. Range: |value| < 2^(62 - DVG_REDUCE_BITS) / micro-batches; beyond it, NaN and infinity
// are DVG_ERROR_NUMERIC with the name of the tensor.
//
// A step: clear; for each of the rank's micro-batches but the last, add; for the last, add_terms, then advance as its backward completes the gradient from the
// end to the beginning; finish. advance sends what is complete while the backward goes on: buckets go from the last to the first, each rank's slice of one
// straight to its owner. A rank on which something failed, or without a micro-batch, takes part with what it has.
#ifndef DVG_MPI_REDUCE_H
#define DVG_MPI_REDUCE_H

#include <stdint.h>

#include "common/base/status.h"
#include "mpi/slices.h"

enum { DVG_REDUCE_BITS = 44 };

// Where a tensor lies in the flat gradient, for messages.
struct dvg_reduce_span {
  const char *name; // borrowed
  int64_t first, count;
};

struct dvg_reduce {
  const struct dvg_slices *slices; // borrowed: the gradient's n values
  int64_t n, n_terms;      // gradient values; scalar terms (losses)
  int64_t *sum;            // n + n_terms, owned
  int64_t n_micro;         // micro-batches in a global batch, for the range check
  const struct dvg_reduce_span *spans; // borrowed; n_spans of them cover [0, n)
  int64_t n_spans;
  const char *where;       // borrowed, or NULL: begins the messages of dvg_reduce_add
  const char *const *term_names; // borrowed (n_terms), or NULL: for the messages
  int64_t ready, begun, done;      // buckets, from the last on: complete here; on their way; summed
  struct dvg_reduce_exchange *exchange; // owned: those on their way
};

// Not collective.
DVG_CHECKED enum dvg_status dvg_reduce_create(struct dvg_reduce *r, const struct dvg_slices *slices, int64_t n_terms, int64_t n_micro,
                                              const struct dvg_reduce_span *spans, int64_t n_spans);
void dvg_reduce_free(struct dvg_reduce *r);

// Not collective. Forgets all: the beginning of a step.
void dvg_reduce_clear(struct dvg_reduce *r);
// Not collective. Adds one micro-batch's gradient (n floats) and loss terms (n_terms doubles).
DVG_CHECKED enum dvg_status dvg_reduce_add(struct dvg_reduce *r, const float *gradient, const double *terms);
// Not collective. The terms alone: the beginning of the last micro-batch.
DVG_CHECKED enum dvg_status dvg_reduce_add_terms(struct dvg_reduce *r, const double *terms);
// Not collective. What dvg_reduce_add would say to these, adding nothing.
DVG_CHECKED enum dvg_status dvg_reduce_check(const struct dvg_reduce *r, const float *gradient, const double *terms);
// Not collective, but communicates. gradient[first, n) of the last micro-batch is complete: adds what is new of it, and sends the buckets that are
// complete. gradient NULL: there is nothing to add. What fails is not added; call on, with NULL: the others wait for this rank's part.
DVG_CHECKED enum dvg_status dvg_reduce_advance(struct dvg_reduce *r, const float *gradient, int64_t first);
// Collective. gradient (n): this rank's slices = sums over all micro-batches of all ranks, the rest is left as it is; terms (n_terms) = sums, on all ranks.
void dvg_reduce_finish(struct dvg_reduce *r, const struct dvg_world *w, float *gradient, double *terms);

// Not collective. Room for 2 n floats, which is free between dvg_reduce_finish and the next dvg_reduce_clear.
float *dvg_reduce_room(struct dvg_reduce *r);

#endif
