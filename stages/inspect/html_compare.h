// What more a run's evaluations say about each other: the mean over the folds of a protocol, and differences to another evaluation.
#ifndef DVG_STAGES_INSPECT_HTML_COMPARE_H
#define DVG_STAGES_INSPECT_HTML_COMPARE_H

#include "stages/inspect/html_results.h"

// Rows of the table of results, a protocol each: mean and standard deviation (with n - 1) over its folds at rank 1 and the FARs.
DVG_CHECKED enum dvg_status dvg_html_fold_means(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r, const double *far,
                                                int n_fars);

// A table for each evaluation that was made --against another one, from its metrics.json. Nothing where there is none.
DVG_CHECKED enum dvg_status dvg_html_differences(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r);

#endif
