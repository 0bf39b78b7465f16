// Where the ranks run: hosts, the cores they may use, whether they get into each other's way.
#ifndef DVG_MPI_PLACEMENT_H
#define DVG_MPI_PLACEMENT_H

#include "mpi/world.h"

// Collective. Says in one line how many ranks run on how many hosts and cores, with how many BLAS threads, and whether each is bound to a core of
// its own. A core is what the threads of one core are together; a rank may use those of its affinity (sched_getaffinity).
//
// Warns, once for all ranks, where some number of ranks may use fewer cores than they are: more ranks than cores on a host, or several bound to
// one core. Where the launcher was told to allow that (mpirun --oversubscribe) it is a line of information instead, unless these ranks are
// crowded on cores while their host has others.
//
// Says also where OpenBLAS has kernels that suit this CPU better than those it has chosen: it takes its oldest ones on a CPU that is newer than itself.
void dvg_placement_say(const struct dvg_world *w);

// Not collective. The value of OPENBLAS_CORETYPE that suits this CPU better than `core`, which OpenBLAS calls its choice (openblas_get_corename); NULL: none.
const char *dvg_placement_better_blas(const char *core);

#endif
