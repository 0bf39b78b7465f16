// dvg-evaluate: recognition protocol and quality of a generated pair set.
//
// With --pairs, if all of them are looked at (--pairs-sample 0): scores.h5, a row a pair, for --where; see pair_scores.h.
//
// Output, in the folder --out (with --protocol: in a folder fold-NAME of it for each fold; and folds.tsv, the folds' metrics with mean and
// deviation, and those as metrics.json in --out itself):
//   evaluation.h5  schema "evaluation", version 2; see report.h
//   metrics.json   the metrics on one line
//   roc.tsv        the ROC (far, tar, threshold), roc.png; cmc.tsv (rank, rate), cmc.png; scores.png
//   (histograms)
#ifndef DVG_STAGES_EVALUATE_EVALUATE_H
#define DVG_STAGES_EVALUATE_EVALUATE_H

#include "stages/stage.h"

struct dvg_evaluate {
  const char *gallery_features, *probe_features, *images, *gallery_images, *probe_images, *weights, *gallery_domain, *probe_domain, *far, *pairs,
      *out, *name, *against, *mean_of, *protocol, *training;
  int64_t gallery_per_person, gallery_choice, benchmark, far_convention, bootstrap, seed, pairs_sample, store_scores;
  double confidence, leak_far;
};
enum { DVG_FAR_WITHIN, DVG_FAR_BEYOND }; // far_convention

extern const struct dvg_stage dvg_stage_evaluate;

// Collective.
enum dvg_status dvg_evaluate_run(const struct dvg_options *o, const struct dvg_world *w);

#endif
