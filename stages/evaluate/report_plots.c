#include "stages/evaluate/report_plots.h"

#include <math.h>
#include <stdio.h>

#include "common/base/alloc.h"
#include "io/sheet.h"

// ---- roc.tsv and the plots

enum dvg_status dvg_report_roc_tsv(const struct dvg_report *r, const char *path) {
  char *text = NULL, *row;
  enum { ROW_BYTES = 96 };
  DVG_TRY(DVG_NEW(&text, (r->n_roc + 1) * ROW_BYTES, "the ROC"));
  row = text + snprintf(text, ROW_BYTES, "far\ttar\tthreshold\n");
  for (int64_t i = 0; i < r->n_roc; i++) {
    const struct dvg_operating_point *p = &r->roc[i];
    row += snprintf(row, ROW_BYTES, "%.9g\t%.9g\t", p->far, p->tar);
    row += isnan(p->threshold) ? snprintf(row, 8, "\n") : snprintf(row, 32, "%.9g\n", p->threshold);
  }
  enum dvg_status status = dvg_path_write_text(path, text);
  dvg_free(&text);
  return status;
}

// Between two measured FARs the TAR of the lower one holds: steps.
enum dvg_status dvg_report_roc_plot(const struct dvg_report *r, const char *path) {
  double *x = NULL;
  DVG_TRY(DVG_NEW(&x, 4 * r->n_roc, "a plot"));
  double *y = x + 2 * r->n_roc;
  int64_t n = 0;
  for (int64_t i = 0; i < r->n_roc; i++) {
    if (i > 0 && r->roc[i].tar != r->roc[i - 1].tar) {
      x[n] = r->roc[i].far;
      y[n++] = r->roc[i - 1].tar;
    }
    x[n] = r->roc[i].far;
    y[n++] = r->roc[i].tar;
  }
  char name[160];
  snprintf(name, sizeof name, "AUC %.5f, EER %.2f %%", r->auc, 100 * r->eer);
  struct dvg_curve curve = {name, x, y, n};
  struct dvg_plot plot = {.title = r->settings->name[0] ? r->settings->name : "ROC",
                          .x_label = "FAR",
                          .y_label = "TAR",
                          .log_x = 1,
                          .x_min = r->n_roc > 1 ? r->roc[1].far : 0.1,
                          .x_max = 1,
                          .y_min = 0,
                          .y_max = 1,
                          .curves = &curve,
                          .n_curves = 1};
  enum dvg_status status = dvg_plot_write(&plot, path);
  dvg_free(&x);
  return status;
}

// A histogram's outline, in % of its scores, `group` bins a step; *top grows to its highest step.
static int64_t outline(double *x, double *y, double *top, const int64_t *bins, int64_t total, int64_t first,
                       int64_t end, int64_t group) {
  int64_t n = 0;
  for (int64_t b = first; b < end; b += group) {
    int64_t count = 0;
    for (int64_t k = b; k < b + group && k < DVG_SCORE_BINS; k++) count += bins[k];
    double share = 100 * (double)count / (double)total;
    if (share > *top) *top = share;
    for (int side = 0; side < 2; side++) {
      x[n] = (double)(b + side * group) * 2 / DVG_SCORE_BINS - 1;
      y[n++] = share;
    }
  }
  return n;
}

enum dvg_status dvg_report_scores_plot(const struct dvg_report *r, const char *path) {
  enum { MAX_STEPS = 80 };
  static const int64_t groups[] = {1, 2, 5, 10, 20, 25};
  const int64_t *genuine = r->scores->genuine_bins, *impostor = r->scores->impostor_bins;
  int64_t first = 0, end = DVG_SCORE_BINS, group = 1; // the range that has scores
  while (first + 1 < end && genuine[first] + impostor[first] == 0) first++;
  while (end - 1 > first && genuine[end - 1] + impostor[end - 1] == 0) end--;
  for (size_t i = 0; i < sizeof groups / sizeof *groups && (end - first) / group > MAX_STEPS; i++)
    group = groups[i];
  first = (first > group ? first - group : 0) / group * group; // an empty step on either side
  end = (end + 2 * group - 1) / group * group;
  if (end > DVG_SCORE_BINS) end = DVG_SCORE_BINS;
  double x[2][2 * DVG_SCORE_BINS], y[2][2 * DVG_SCORE_BINS], top = 0;
  struct dvg_curve curves[] = {{"genuine", x[0], y[0], 0}, {"impostor", x[1], y[1], 0}};
  curves[0].n = outline(x[0], y[0], &top, genuine, r->protocol->n_genuine, first, end, group);
  curves[1].n = outline(x[1], y[1], &top, impostor, r->protocol->n_impostor, first, end, group);
  char title[256];
  snprintf(title, sizeof title, "%.180s%sscores, in steps of %g", r->settings->name,
           r->settings->name[0] ? ": " : "", 2.0 * (double)group / DVG_SCORE_BINS);
  struct dvg_plot plot = {.title = title,
                          .x_label = "cosine",
                          .y_label = "% of its kind",
                          .x_min = x[0][0],
                          .x_max = x[0][curves[0].n - 1],
                          .y_min = 0,
                          .y_max = 1.05 * top,
                          .curves = curves,
                          .n_curves = 2};
  return dvg_plot_write(&plot, path);
}

// ---- cumulative match characteristic

// rate[k - 1] = rank-k rate for k = 1 .. n.
static void match_rates(double *rate, int64_t n, const struct dvg_report *r) {
  const int64_t n_probes = r->protocol->probes.n, *place = r->scores->place;
  int64_t n_asked = 0, n_right = 0;
  for (int64_t i = 0; i < n_probes; i++) {
    n_asked += place[i] > 0;
    if (place[i] > 0 && place[i] <= n) rate[place[i] - 1]++;
  }
  for (int64_t k = 0; k < n; k++) {
    n_right += (int64_t)rate[k];
    rate[k] = (double)n_right / (double)n_asked;
  }
}

static int64_t n_ranks(const struct dvg_report *r, int64_t most) {
  return r->protocol->gallery.n < most ? r->protocol->gallery.n : most;
}

enum dvg_status dvg_report_cmc_tsv(const struct dvg_report *r, const char *path) {
  enum { ROW_BYTES = 48 };
  const int64_t n = n_ranks(r, 1000);
  double *rate = NULL;
  char *text = NULL, *row;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&rate, n, "rank rates"));
  DVG_TRY_GOTO(DVG_NEW(&text, (n + 1) * ROW_BYTES, "rank rates"));
  match_rates(rate, n, r);
  row = text + snprintf(text, ROW_BYTES, "rank\trate\n");
  for (int64_t k = 0; k < n; k++) row += snprintf(row, ROW_BYTES, "%lld\t%.9g\n", (long long)k + 1, rate[k]);
  status = dvg_path_write_text(path, text);
done:
  dvg_free(&rate);
  dvg_free(&text);
  return status;
}

enum dvg_status dvg_report_cmc_plot(const struct dvg_report *r, const char *path) {
  enum { MOST = 50 };
  const int64_t n = n_ranks(r, MOST);
  double rank[MOST], rate[MOST] = {0};
  match_rates(rate, n, r);
  for (int64_t k = 0; k < n; k++) rank[k] = (double)k + 1;
  char name[64];
  snprintf(name, sizeof name, "rank-1 %.2f %%", 100 * rate[0]);
  struct dvg_curve curve = {name, rank, rate, n};
  struct dvg_plot plot = {.title = r->settings->name[0] ? r->settings->name : "CMC",
                          .x_label = "rank",
                          .y_label = "probes found",
                          .x_min = 1,
                          .x_max = n > 1 ? (double)n : 2,
                          .y_min = 0,
                          .y_max = 1,
                          .curves = &curve,
                          .n_curves = 1};
  return dvg_plot_write(&plot, path);
}
