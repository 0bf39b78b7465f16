// Two recognisers on the same probes and gallery: this evaluation against an earlier one, `evaluation.h5` of a
// folder.
//
// Rank-1: the difference, McNemar's exact test on the probes that just one of the two gets right, and the
// interval of the paired bootstrap over people. TAR at each FAR: difference, interval and p-value of the paired
// bootstrap. Differences are this one's value less the other's; McNemar takes probes as independent, the
// bootstrap takes people so.
#ifndef DVG_STAGES_EVALUATE_AGAINST_H
#define DVG_STAGES_EVALUATE_AGAINST_H

#include "stages/evaluate/bootstrap.h"
#include "stages/evaluate/protocol.h"
#include "stages/json.h"

enum { DVG_MAX_FARS = 16 };

struct dvg_difference {
  double value; // NaN: unknown
  struct dvg_interval interval;
  double p;
};

struct dvg_against {
  // the other evaluation
  char *name, digest[DVG_DIGEST_TEXT];
  int64_t n_probes, *place;
  double rank_1, tar[DVG_MAX_FARS]; // of the FARs asked for here; NaN: not measured there
  struct dvg_bootstrap bootstrap;   // its replicates, in the order of the FARs asked for here
  // after dvg_against_compare
  struct dvg_difference rank_1_difference, tar_difference[DVG_MAX_FARS];
  int64_t only_here, only_there; // probes at rank 1 for one of the two alone
  double mcnemar_p;
};

// What must be alike for two evaluations to be compared.
struct dvg_against_terms {
  const struct dvg_protocol *protocol;
  uint64_t seed;
  int64_t n_replicates;
  const char *far_convention;
  const double *far; // (n_fars) at most DVG_MAX_FARS
  int n_fars;
};

// Not collective. Reads `folder`/evaluation.h5; DVG_ERROR_INPUT where it is of other images, another seed,
// number of replicates or convention. Free with dvg_against_free.
DVG_CHECKED enum dvg_status dvg_against_open(struct dvg_against *a, const char *folder,
                                             const struct dvg_against_terms *terms);
void dvg_against_free(struct dvg_against *a);

// Not collective. With this evaluation's results: places of the probes, rates and replicates.
DVG_CHECKED enum dvg_status dvg_against_compare(struct dvg_against *a, const int64_t *place, double rank_1,
                                                const double *tar, const struct dvg_bootstrap *b, double part);

void dvg_against_print(const struct dvg_against *a, const double *far, int n_fars);
void dvg_against_json(struct dvg_json *j, const struct dvg_against *a, const double *far, int n_fars);

#endif
