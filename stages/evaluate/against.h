// Two recognisers on the same probes and gallery: this evaluation against an earlier one.
//
// Rank-1: the difference, McNemar's exact test on the probes that just one of the two gets right, and the
// interval of the paired bootstrap over people. TAR at each FAR: difference, interval and p-value of the paired
// bootstrap. Differences are this one's value less the other's; McNemar takes probes as independent, the
// bootstrap takes people so.
#ifndef DVG_STAGES_EVALUATE_AGAINST_H
#define DVG_STAGES_EVALUATE_AGAINST_H

#include "stages/evaluate/difference.h"
#include "stages/evaluate/past.h"

struct dvg_against {
  struct dvg_past past;
  // after dvg_against_compare
  struct dvg_difference rank_1, tar[DVG_MAX_FARS]; // of the FARs of this evaluation
  int64_t only_here, only_there;                   // probes at rank 1 for one of the two alone
  double mcnemar_p;
};

void dvg_against_free(struct dvg_against *a);

// Not collective. With this evaluation's results: places of the probes, rates at the FARs and replicates.
DVG_CHECKED enum dvg_status dvg_against_compare(struct dvg_against *a, const int64_t *place, double rank_1, const double *far,
                                                const double *tar, const struct dvg_bootstrap *b, double part);

void dvg_against_print(const struct dvg_against *a, const double *far, int n_fars);
void dvg_against_json(struct dvg_json *j, const struct dvg_against *a, const double *far, int n_fars);

#endif
