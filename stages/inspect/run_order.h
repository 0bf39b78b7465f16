// The second half of a run's scan: what follows from what, in which order, and what the job's log tells.
#ifndef DVG_STAGES_INSPECT_RUN_ORDER_H
#define DVG_STAGES_INSPECT_RUN_ORDER_H

#include "stages/inspect/run_scan.h"

// Not collective. Sorts the stages so that each stands after those it was made from, and finds the edges by the
// digests of the stages' `inputs`. Takes ranks and times of stages from DIR/log, in which jobs keep what their
// programs say; and the number of items of an unfinished set of features from its images.
DVG_CHECKED enum dvg_status dvg_run_connect(struct dvg_run *r);

#endif
