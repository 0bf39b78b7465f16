// --plan: what memory a rank of this very run needs, told before it begins to work.
//
// A stage sets up all that a run sets up, networks, planned graphs, optimiser and sums, and then, in place of the first step or shard, tells what is there and
// ends well. So nothing is predicted by a formula of its own: figures are those of the memory itself, by what it was asked for (common/base/alloc.h). It takes
// as much memory as it tells, on as many ranks as it is started with, and writes nothing. Steps allocate nothing of weight behind that point.
#ifndef DVG_STAGES_PLAN_H
#define DVG_STAGES_PLAN_H

#include "mpi/world.h"

#define DVG_PLAN_HELP "tell parameters, memory of a rank by what it is for, and size of a checkpoint; end before any work, write nothing"

struct dvg_plan {
  const char *name;          // of the phase or stage
  int64_t n_values, n_trained; // parameters of all networks; those that are trained, 0: none
  int64_t checkpoint_bytes;  // 0: there are none
  int64_t n_checkpoints;     // that are kept
};
// Collective. Tells the plan: memory is that of the rank that has the most.
void dvg_plan_say(const struct dvg_world *w, const struct dvg_plan *plan);

// Collective. What the plan is held against: tells the peak of memory of the largest rank.
void dvg_plan_say_peak(const struct dvg_world *w, const char *name);

#endif
