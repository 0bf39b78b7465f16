// The tables and plots of a protocol's results, each into the file `path`. Rank 0 only; after dvg_report_fill.
#ifndef DVG_STAGES_EVALUATE_REPORT_PLOTS_H
#define DVG_STAGES_EVALUATE_REPORT_PLOTS_H

#include "stages/evaluate/report.h"

// The ROC: far, tar, threshold a line; and as a plot with FAR in decades.
DVG_CHECKED enum dvg_status dvg_report_roc_tsv(const struct dvg_report *r, const char *path);
DVG_CHECKED enum dvg_status dvg_report_roc_plot(const struct dvg_report *r, const char *path);
// Histograms of genuine and impostor scores.
DVG_CHECKED enum dvg_status dvg_report_scores_plot(const struct dvg_report *r, const char *path);
// The cumulative match characteristic: the rank-k rate for k up to 1000 (the plot: 50) or the size of the
// gallery.
DVG_CHECKED enum dvg_status dvg_report_cmc_tsv(const struct dvg_report *r, const char *path);
DVG_CHECKED enum dvg_status dvg_report_cmc_plot(const struct dvg_report *r, const char *path);

#endif
