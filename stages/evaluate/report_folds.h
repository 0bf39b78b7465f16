// What the folds of a protocol have in common.
#ifndef DVG_STAGES_EVALUATE_REPORT_FOLDS_H
#define DVG_STAGES_EVALUATE_REPORT_FOLDS_H

#include "stages/evaluate/folds.h"
#include "stages/evaluate/report.h"

// Mean and deviation of n values: that of a sample, over n - 1. NaN where a value is; the deviation of one value too.
struct dvg_mean {
  double mean, deviation;
};
struct dvg_mean dvg_mean_of(const double *value, int64_t n);

// Rank 0. From one report a fold: folds.tsv (a line a fold, then mean and deviation) and metrics.json (the same two) in the folder; says the latter.
DVG_CHECKED enum dvg_status dvg_report_folds(const struct dvg_report *report, const struct dvg_folds *folds, const char *folder);

#endif
