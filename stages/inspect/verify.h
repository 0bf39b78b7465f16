// Whether a sharded set is what it says: digests, and, of pairs, the ledger.
#ifndef DVG_STAGES_INSPECT_VERIFY_H
#define DVG_STAGES_INSPECT_VERIFY_H

#include "mpi/world.h"

// Collective. Recomputes all digests, shared out over the ranks, and names every shard that is missing or damaged. Of pairs (stages/ledger.h), finished or not,
// it then says what became of those requested (with `speak`), and checks that each pair number has one row, and that no pair draws on revoked images.
// DVG_ERROR_INPUT or DVG_ERROR_IO for a set that isn't complete and intact.
DVG_CHECKED enum dvg_status dvg_verify_set(const char *folder, const struct dvg_world *w, int speak);

#endif
