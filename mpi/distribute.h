// Work distribution: fixed blocks of item numbers, whoever computes them.
#ifndef DVG_MPI_DISTRIBUTE_H
#define DVG_MPI_DISTRIBUTE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "mpi/world.h"

// Collective. Items [0, n_items) in blocks of `block` items; block b is computed by rank b mod size with
//     compute(out, first, count, context)     // count records of record_bytes each
// and handed to rank 0's `consume(first, count, records, context)` in ascending order of the item number, so that one writer
// can write one file in one order. At most one block a rank is in memory, plus one on rank 0 for each rank.
// A failure on any rank ends the work on all with that status, a signal with DVG_STOPPED. `consume` may be NULL on other ranks.
struct dvg_ordered_work {
  int64_t n_items, block;
  size_t record_bytes;
  enum dvg_status (*compute)(void *records, int64_t first, int64_t count, void *context);
  enum dvg_status (*consume)(int64_t first, int64_t count, const void *records, void *context);
  void *context;
  const char *what; // for progress: "images"; NULL: none
};
DVG_CHECKED enum dvg_status dvg_distribute_ordered(const struct dvg_world *w, const struct dvg_ordered_work *work);

// Collective. Runs task(i, context) for each i in [0, n) with pending[i] != 0 (the same on all ranks) on one of the ranks. Each begins with a share
// known to all, then asks rank 0 for more, at first several tasks at a time, towards the end one: when it begins its last one as long as many are left,
// then shortly before that is over, so a slow rank does not hold up the rest. Rank 0 runs tasks as well; it answers between them and whenever its task
// asks dvg_world_stop_flag, and the others ask then, so a long task asks that now and then, after equal stretches of work. When a task fails or a signal
// arrives on any rank, all take no more tasks, and dvg_world_stop_flag is true on all: a long task then returns DVG_STOPPED. Returns the agreed status:
// DVG_STOPPED if pending tasks are left by a signal. `what` is for progress; NULL: none.
DVG_CHECKED enum dvg_status dvg_distribute_tasks(const struct dvg_world *w, int64_t n, const unsigned char *pending,
                                                 enum dvg_status (*task)(int64_t i, void *context), void *context,
                                                 const char *what);

#endif
