// What several trainings gain in the mean: evaluations of recognisers that were trained alike, with other seeds say, each against another one of the
// same images. One training differs from the next by chance, as one group of people tested does from the next: here is both.
//
// mean.json in the folder: the digests of the evaluations, `here` and `there`, and for rank_1 and each FAR that all have measured `each` difference and
// their `mean`: difference, low, high and p (difference.h).
#ifndef DVG_STAGES_EVALUATE_GAINS_H
#define DVG_STAGES_EVALUATE_GAINS_H

#include "common/base/status.h"

// Not collective. Folders of evaluations, comma separated, as many of the one as of the other, the i-th with the i-th; prints and writes out/mean.json.
DVG_CHECKED enum dvg_status dvg_gains_mean(const char *here, const char *there, const char *out, double part);

#endif
