// How certain a metric is: the bootstrap over people (Efron, "Bootstrap methods: another look at the
// jackknife", Annals of Statistics 1979; of people and not of images or scores, as those of one person depend
// on each other).
//
// A replicate draws as many people as there are among the probes, with replacement, and takes all probes of
// each with all their scores, as often as the person was drawn; the gallery stays. Thresholds are found anew in
// each replicate. For that it is enough to know of each person how many genuine and impostor scores reach each
// of some thresholds, the knots: genuine scores at even steps of their order, or all of them where there are
// few. So a replicate's TAR is that of the last knot with FAR <= t, at most 1/knots below the exact one.
//
// Replicate b draws from (seed, DVG_STREAM_BOOTSTRAP, b): two evaluations of the same probes with one seed draw
// the same people, so the differences of their replicates are those of a paired bootstrap.
#ifndef DVG_STAGES_EVALUATE_BOOTSTRAP_H
#define DVG_STAGES_EVALUATE_BOOTSTRAP_H

#include "mpi/world.h"
#include "stages/evaluate/metrics.h"

enum { DVG_MAX_KNOTS = 512 };

struct dvg_people {
  int64_t n, n_knots;
  // (n, n_knots + 1) scores that reach the lowest k knots and no more; after dvg_people_finish that many or
  // more. To be summed over ranks before.
  int64_t *genuine, *impostor;
  int64_t *right, *asked; // (n) probes at rank 1, probes with a gallery image
  int32_t *knots_at;      // (n_levels + 1) how many knots are among the lowest so many levels
};

// Not collective. For `n` people and the genuine scores of t. Free with dvg_people_free.
DVG_CHECKED enum dvg_status dvg_people_create(struct dvg_people *p, const struct dvg_tally *t, int64_t n);
void dvg_people_free(struct dvg_people *p);
void dvg_people_finish(struct dvg_people *p);

struct dvg_interval {
  double low, high; // NaN: unknown
};

struct dvg_bootstrap {
  int64_t n; // replicates; 0: none were asked for
  int n_fars;
  double *rank_1; // (n) NaN where no drawn probe has a gallery image
  double *tar;    // (n_fars, n) NaN where the impostors are too few for that FAR
};

// Collective. After dvg_people_finish, with the same counters on all ranks; the result is the same on all, for
// every number of them. Free with dvg_bootstrap_free.
DVG_CHECKED enum dvg_status dvg_bootstrap_create(struct dvg_bootstrap *b, const struct dvg_world *w,
                                                 const struct dvg_people *p, const double *far, int n_fars,
                                                 int64_t n_impostor, uint64_t seed, int64_t n);
void dvg_bootstrap_free(struct dvg_bootstrap *b);

// Not collective. One replicate in which person i counts weight[i] times; counters has room for 2 n_knots + 2.
void dvg_bootstrap_replicate(double *rank_1, double *tar, const struct dvg_people *p, const int64_t *weight,
                             const double *far, int n_fars, int64_t *counters);

// The middle `part` of n values, between the order statistics number floor(n (1-part)/2) from either end; NaN
// values count for nothing. NaN, NaN where none is left.
DVG_CHECKED enum dvg_status dvg_interval_of(struct dvg_interval *i, const double *value, int64_t n,
                                            double part);

// Two-sided p-value of n replicates of a difference for "there is none": twice the smaller share on one side of
// zero (zeros on both), each with one added so that it is never 0 (Davison, Hinkley, "Bootstrap methods and
// their application", 1997).
double dvg_difference_p(const double *difference, int64_t n);

// McNemar's test (Psychometrika 1947), exact: two-sided p-value of `one` against `other` among the cases where
// two recognisers disagree, for "either is right equally often". 1 where they never disagree.
double dvg_mcnemar_p(int64_t one, int64_t other);

#endif
