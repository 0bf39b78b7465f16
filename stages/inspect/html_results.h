// The recognition results of a run, from its files of evaluations: as a table with intervals, ROC and CMC; and what was measured of generated pairs.
#ifndef DVG_STAGES_INSPECT_HTML_RESULTS_H
#define DVG_STAGES_INSPECT_HTML_RESULTS_H

#include <stdio.h>

#include "stages/evaluate/report.h"
#include "stages/inspect/describe.h"
#include "stages/inspect/run_scan.h"

struct dvg_run_result {
  int64_t stage;
  char *label;                 // the name it was given, or its stage's; of a fold also which
  struct dvg_description file; // its attributes
  double confidence;           // of the intervals
  double rank_1;               // NaN: no protocol was asked for
  struct dvg_interval rank_1_interval, interval[DVG_MAX_FARS];
  int64_t n_fars, n_roc, n_ranks;
  double *far, *tar;         // (n_fars) tar NaN: not enough impostors
  double *roc_far, *roc_tar; // (n_roc)
  double *match;             // (n_ranks) rank-k rates
};
struct dvg_run_results {
  int64_t n;
  struct dvg_run_result *result;
};

// Not collective. Reads all evaluations of a run; one that can't be read is left out. Free with dvg_results_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_results_read(struct dvg_run_results *all, const struct dvg_run *r);
void dvg_results_free(struct dvg_run_results *all);

// TAR at a FAR; NaN where it wasn't measured.
double dvg_result_tar(const struct dvg_run_result *x, double far, struct dvg_interval *interval);

// Whether any evaluation looked at generated pairs.
int dvg_results_judge_pairs(const struct dvg_run_results *all);

// Sections of the page; nothing where there is nothing.
DVG_CHECKED enum dvg_status dvg_html_results(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r);
void dvg_html_qualities(FILE *to, const struct dvg_run_results *all);

#endif
