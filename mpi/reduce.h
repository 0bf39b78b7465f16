// Exact reduction of gradients: the same bits for every number of ranks and every assignment of micro-batches.
//
// Each micro-batch's gradient (float32, computed by one rank with one BLAS thread) is rounded to 64-bit fixed point with
// DVG_REDUCE_BITS fractional bits and added as an integer; integer sums are exact in any order, and so is MPI_Allreduce on them.
// The sum is then rounded to float32 once. Range: |value| < 2^(62 - DVG_REDUCE_BITS) / micro-batches; beyond it, NaN and infinity
// are DVG_ERROR_NUMERIC with the name of the tensor.
#ifndef DVG_MPI_REDUCE_H
#define DVG_MPI_REDUCE_H

#include <stdint.h>

#include "common/base/status.h"
#include "mpi/world.h"

enum { DVG_REDUCE_BITS = 44 };

// Where a tensor lies in the flat gradient, for messages.
struct dvg_reduce_span {
  const char *name; // borrowed
  int64_t first, count;
};

struct dvg_reduce {
  int64_t n, n_terms;      // gradient values; scalar terms (losses)
  int64_t *sum;            // n + n_terms, owned
  int64_t n_micro;         // micro-batches in a global batch, for the range check
  const struct dvg_reduce_span *spans; // borrowed; n_spans of them cover [0, n)
  int64_t n_spans;
  const char *where;       // borrowed, or NULL: begins the messages of dvg_reduce_add
  const char *const *term_names; // borrowed (n_terms), or NULL: for the messages
};

// Not collective.
DVG_CHECKED enum dvg_status dvg_reduce_create(struct dvg_reduce *r, int64_t n, int64_t n_terms, int64_t n_micro,
                                              const struct dvg_reduce_span *spans, int64_t n_spans);
void dvg_reduce_free(struct dvg_reduce *r);

// Not collective. Forgets all: the beginning of a step.
void dvg_reduce_clear(struct dvg_reduce *r);
// Not collective. Adds one micro-batch's gradient (n floats) and loss terms (n_terms doubles).
DVG_CHECKED enum dvg_status dvg_reduce_add(struct dvg_reduce *r, const float *gradient, const double *terms);
// Collective. grad (n), terms (n_terms) = sums over all micro-batches of all ranks.
DVG_CHECKED enum dvg_status dvg_reduce_finish(struct dvg_reduce *r, const struct dvg_world *w, float *gradient, double *terms);

#endif
