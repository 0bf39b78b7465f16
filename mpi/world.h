// The runtime: the only place that starts, agrees, aborts and ends MPI. Outside this folder nobody includes mpi.h.
//
// Rules that keep jobs from hanging: after a step that can fail on some ranks, all ranks call dvg_world_agree before the next
// collective; branches around a collective hang on agreed values only; ranks without work take part with nothing.
#ifndef DVG_MPI_WORLD_H
#define DVG_MPI_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct dvg_world {
  int rank, size;
};

// Collective. Starts MPI and the log (dvg_log_setup), holds BLAS to one thread and lets it take its work space, watches SIGTERM, SIGUSR1 and SIGINT.
void dvg_world_init(struct dvg_world *w, const char *program, int *argc, char ***argv);

// Collective. Ends MPI after all ranks have agreed on their status, to which a standard output that couldn't be written belongs; returns the exit code of the program.
int dvg_world_finish(const struct dvg_world *w, enum dvg_status status);

// Collective. The worst status of all ranks: DVG_OK only if it is so on each. An error beats DVG_STOPPED.
DVG_CHECKED enum dvg_status dvg_world_agree(const struct dvg_world *w, enum dvg_status status);

// Collective. Runs `open(context)` on rank 0 first, and on the others only if it went well there: a missing or broken
// shared file is named once instead of once a rank. Returns the agreed status.
DVG_CHECKED enum dvg_status dvg_world_root_first(const struct dvg_world *w, enum dvg_status (*open)(void *), void *context);

// Not collective. Where agreement is impossible: says why with rank and host, ends all ranks within seconds, exit code `status`.
_Noreturn void dvg_world_abort(const struct dvg_world *w, enum dvg_status status, const char *why);

// Collective. Whether any rank was signalled to stop.
int dvg_world_stop_requested(const struct dvg_world *w);

// Not collective. Whether this rank was signalled to stop, or, in dvg_distribute_tasks, another rank was or failed. Ranks may
// differ, so never branch around a collective on it.
int dvg_world_stop_flag(void);

// Collective. Copies `n_bytes` (any size) from `root` to all ranks.
void dvg_world_broadcast(const struct dvg_world *w, void *data, size_t n_bytes, int root);

// Collective. Sums over ranks in place; integers, so the result does not depend on the order.
void dvg_world_sum(const struct dvg_world *w, int64_t *values, int64_t n);
// Collective. Sums over ranks in place, by MPI in its own order: other bits on another number of ranks. No result may come of it; it is what the exact
// sum (mpi/reduce.h) is measured against.
void dvg_world_sum_inexact(const struct dvg_world *w, float *values, int64_t n);
// Collective. Largest value over ranks.
int64_t dvg_world_max(const struct dvg_world *w, int64_t value);

// Collective. Rank r gives `n_bytes` each; rank 0 gets all, in rank order, in `all` (size * n_bytes; others: NULL).
void dvg_world_gather(const struct dvg_world *w, void *all, const void *mine, size_t n_bytes);
// Collective. The same with the result on every rank.
void dvg_world_allgather(const struct dvg_world *w, void *all, const void *mine, size_t n_bytes);

// Collective.
void dvg_world_barrier(const struct dvg_world *w);

#endif
