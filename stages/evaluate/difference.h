// What changed from one evaluation to another in one figure.
#ifndef DVG_STAGES_EVALUATE_DIFFERENCE_H
#define DVG_STAGES_EVALUATE_DIFFERENCE_H

#include "stages/evaluate/bootstrap.h"
#include "stages/json.h"

struct dvg_difference {
  double value; // this one's less the other's; NaN: unknown
  struct dvg_interval interval;
  double p; // NaN without replicates
};

// Not collective. The mean of `n` differences here[i] - there[i] of one figure, each with n_replicates replicates: replicate b of the mean is the mean of
// theirs, so evaluations that draw the same people in it (same probes and seed) are taken together as they are, and those of other people as
// independent. With n = 1 the paired bootstrap. `part` is the part of the replicates within the interval.
DVG_CHECKED enum dvg_status dvg_difference_mean(struct dvg_difference *d, const double *here, const double *there,
                                                const double *const *here_replicates, const double *const *there_replicates, int64_t n,
                                                int64_t n_replicates, double part);

void dvg_difference_print(const char *label, const struct dvg_difference *d);
void dvg_difference_json(struct dvg_json *j, const char *key, const struct dvg_difference *d);

#endif
