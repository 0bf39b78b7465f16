// The trainings of a run: their loss curves and the last sheet of images that each drew.
#ifndef DVG_STAGES_INSPECT_HTML_TRAINING_H
#define DVG_STAGES_INSPECT_HTML_TRAINING_H

#include <stdio.h>

#include "stages/inspect/run_scan.h"

// A section of the page; nothing without trainings.
DVG_CHECKED enum dvg_status dvg_html_trainings(FILE *to, const struct dvg_run *r);

#endif
