#include "stages/evaluate/report_folds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { MAX_METRICS = DVG_RANKS + 2 + DVG_MAX_FARS };

struct metric {
  char name[40];
  double *value; // (folds)
  struct dvg_mean all;
};

struct dvg_mean dvg_mean_of(const double *value, int64_t n) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) sum += value[i];
  const double mean = sum / (double)n;
  for (int64_t i = 0; i < n; i++) squares += (value[i] - mean) * (value[i] - mean);
  return (struct dvg_mean){mean, n > 1 ? sqrt(squares / (double)(n - 1)) : NAN};
}

// The metrics in the order of the columns; returns how many.
static int name_metrics(struct metric *m, const struct dvg_report *r) {
  int n = 0;
  for (int k = 0; k < DVG_RANKS; k++)
    snprintf(m[n++].name, sizeof m->name, "rank_%lld", (long long)dvg_report_ranks[k]);
  for (int f = 0; f < r->n_fars; f++) snprintf(m[n++].name, sizeof m->name, "tar_at_far_%g", r->far[f]);
  snprintf(m[n++].name, sizeof m->name, "eer");
  snprintf(m[n++].name, sizeof m->name, "auc");
  return n;
}

static void take_values(struct metric *m, const struct dvg_report *r, int64_t fold) {
  for (int k = 0; k < DVG_RANKS; k++) (m++)->value[fold] = r->rank_rate[k];
  for (int f = 0; f < r->n_fars; f++) (m++)->value[fold] = r->at[f].tar;
  (m++)->value[fold] = r->eer;
  m->value[fold] = r->auc;
}

// A cell; empty where there is no value.
static void put_real(FILE *to, double value) {
  if (isnan(value)) fputc('\t', to);
  else fprintf(to, "\t%.9g", value);
}

static void put_table(FILE *to, const struct metric *m, int n_metrics, const struct dvg_folds *folds) {
  fputs("fold", to);
  for (int k = 0; k < n_metrics; k++) fprintf(to, "\t%s", m[k].name);
  for (int64_t i = 0; i < folds->n; i++) {
    fprintf(to, "\n%s", folds->list[i].name);
    for (int k = 0; k < n_metrics; k++) put_real(to, m[k].value[i]);
  }
  fputs("\nmean", to);
  for (int k = 0; k < n_metrics; k++) put_real(to, m[k].all.mean);
  fputs("\ndeviation", to);
  for (int k = 0; k < n_metrics; k++) put_real(to, m[k].all.deviation);
  fputc('\n', to);
}

static enum dvg_status write_table(const struct metric *m, int n_metrics, const struct dvg_folds *folds,
                                   const char *folder) {
  char *text = NULL, *path = NULL;
  size_t n_bytes;
  FILE *to = open_memstream(&text, &n_bytes);
  if (!to) return dvg_fail(DVG_ERROR_MEMORY, "no memory for the table of folds");
  put_table(to, m, n_metrics, folds);
  const int good = !ferror(to);
  enum dvg_status status =
      fclose(to) == 0 && good ? DVG_OK : dvg_fail(DVG_ERROR_MEMORY, "no memory for the table of folds");
  if (status == DVG_OK) status = dvg_text(&path, "%s/folds.tsv", folder);
  if (status == DVG_OK) status = dvg_path_write_text(path, text);
  free(text);
  dvg_free(&path);
  return status;
}

static enum dvg_status write_json(const struct metric *m, int n_metrics, const struct dvg_report *r,
                                  int64_t n_folds, const char *folder) {
  struct dvg_json j;
  char *text = NULL, *path = NULL;
  dvg_json_begin(&j);
  dvg_json_text(&j, "name", r->settings->name);
  dvg_json_int(&j, "folds", n_folds);
  dvg_json_text(&j, "far_convention", dvg_report_convention(r->settings));
  for (int k = 0; k < n_metrics; k++) {
    dvg_json_open(&j, m[k].name, '{');
    dvg_json_real(&j, "mean", m[k].all.mean);
    dvg_json_real(&j, "deviation", m[k].all.deviation);
    dvg_json_close(&j, '}');
  }
  DVG_TRY(dvg_json_end(&j, &text));
  enum dvg_status status = dvg_text(&path, "%s/metrics.json", folder);
  if (status == DVG_OK) status = dvg_path_write_text(path, text);
  dvg_free(&text);
  dvg_free(&path);
  return status;
}

static void print_folds(const struct metric *m, int n_metrics, int64_t n_folds) {
  dvg_info("%lld fold%s      mean +- deviation", (long long)n_folds, n_folds == 1 ? "" : "s");
  for (int k = 0; k < n_metrics; k++)
    if (!isnan(m[k].all.mean))
      dvg_info("%-18s %8.3f +- %.3f %%", m[k].name, 100 * m[k].all.mean, 100 * m[k].all.deviation);
}

enum dvg_status dvg_report_folds(const struct dvg_report *report, const struct dvg_folds *folds,
                                 const char *folder) {
  struct metric m[MAX_METRICS];
  double *values = NULL;
  const int n_metrics = name_metrics(m, &report[0]);
  DVG_TRY(DVG_NEW(&values, n_metrics * folds->n, "metrics of folds"));
  for (int k = 0; k < n_metrics; k++) m[k].value = values + k * folds->n;
  for (int64_t i = 0; i < folds->n; i++) take_values(m, &report[i], i);
  for (int k = 0; k < n_metrics; k++) m[k].all = dvg_mean_of(m[k].value, folds->n);
  enum dvg_status status = write_table(m, n_metrics, folds, folder);
  if (status == DVG_OK) status = write_json(m, n_metrics, &report[0], folds->n, folder);
  if (status == DVG_OK) print_folds(m, n_metrics, folds->n);
  dvg_free(&values);
  return status;
}
