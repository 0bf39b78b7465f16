// Metrics of a recognition protocol: pure arithmetic on scores, exact, in memory that grows with the genuine
// scores only.
//
// A score is the cosine of a probe and a gallery image: genuine when both show one person, impostor otherwise.
// A threshold s accepts all scores >= s; FAR(s) is the share of impostor scores accepted, TAR(s) the share of
// genuine ones, FRR = 1 - TAR.
//
// Everything asked here depends on the impostors only through how many of them lie at, and between, the
// distinct genuine scores. So the genuine scores are sorted once, impostor scores are counted against them as
// they come (any order, any number, on many ranks), and the counters, being integers, are added: the same
// result for every number of ranks, with no list of the impostor scores.
//
// Conventions (SPEC 4):
//   TAR at FAR t  the conservative one: TAR at the last (lowest) threshold with FAR <= t; no interpolation. A t
//   below 1/impostors can't be
//                 told from 0 and is refused. The other convention in use takes the first threshold with FAR >
//                 t.
//   EER           where the ROC polyline through the points (FAR, TAR) of all thresholds meets FAR = FRR;
//   linear in between. AUC           Mann-Whitney: the share of (genuine, impostor) pairs in the right order, a
//   tie counting one half. rank-k        per image: a probe is right at k if one of the k most similar gallery
//   images shows its person. Ties count against it: an
//                 equally similar image of another person comes first.
#ifndef DVG_STAGES_EVALUATE_METRICS_H
#define DVG_STAGES_EVALUATE_METRICS_H

#include <stdint.h>

#include "common/base/status.h"

struct dvg_tally {
  int64_t n_genuine, n_levels;
  float *level;      // (n_levels) the distinct genuine scores, ascending
  int64_t *genuine;  // (n_levels) genuine scores >= level j
  int64_t *impostor; // (2 n_levels + 1) counters: [2j + 1] equal to level j, [2j] between level j-1 and level
                     // j. To be summed over ranks
  int32_t *search;   // first level of each bucket of a table over [-1, 1]
  // after dvg_tally_finish
  int64_t n_impostor;
  int64_t *accepted; // (n_levels) impostor scores >= level j
};

// Not collective. n genuine scores, finite, in any order; 1 <= n < 2^31. Free with dvg_tally_free.
DVG_CHECKED enum dvg_status dvg_tally_create(struct dvg_tally *t, const float *genuine, int64_t n);
void dvg_tally_free(struct dvg_tally *t);
// Number of counters in t->impostor.
int64_t dvg_tally_counters(const struct dvg_tally *t);
// Counts n finite impostor scores. Where `group` is given, also group[group_of[m]] for each score that reaches
// m levels.
void dvg_tally_add(struct dvg_tally *t, const float *impostor, int64_t n, int64_t *group,
                   const int32_t *group_of);
// How many levels a finite score reaches: 0 to n_levels.
int64_t dvg_tally_reached(const struct dvg_tally *t, float score);
// After all impostors are counted (and the counters summed over ranks), before the questions below.
void dvg_tally_finish(struct dvg_tally *t);

// Both need at least one impostor score; NaN without.
double dvg_tally_auc(const struct dvg_tally *t);
double dvg_tally_eer(const struct dvg_tally *t);

// Whether a FAR can be measured with n impostor scores: 1/n <= far <= 1.
int dvg_far_measurable(double far, int64_t n_impostor);

struct dvg_operating_point {
  double far;       // asked for
  double far_there; // FAR at `threshold`, <= far
  double tar;
  double threshold; // the lowest genuine score that is accepted: all thresholds from the one of `far` up to
                    // here have this TAR. NaN: none is
};
// TAR at FAR `far`, which must be measurable (or 0: what is right before the first impostor).
struct dvg_operating_point dvg_tally_at_far(const struct dvg_tally *t, double far);
// By the other convention: TAR at the first (highest) of all scores with FAR > far as a threshold; all are
// accepted where there is none.
struct dvg_operating_point dvg_tally_beyond_far(const struct dvg_tally *t, double far);

// A ROC of few points: the operating points at 0, 1, 2 ... impostors accepted, growing by at most 1/28 (64
// points a decade) up to all of them. *points has *n of them, ascending in FAR; the caller frees with dvg_free.
DVG_CHECKED enum dvg_status dvg_tally_roc(struct dvg_operating_point **points, int64_t *n,
                                          const struct dvg_tally *t);

// Share of the n places (1-based; 0: no gallery image, left out) that are <= k. NaN when none is left.
double dvg_rank_rate(const int64_t *place, int64_t n, int64_t k);

#endif
