#include "stages/inspect/html_compare.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"

enum { MOST_METRICS = 1 << 20 };

// ---- folds

// Bytes of the name of the evaluation that a fold belongs to, "evaluation/fold-1"; 0: it is none.
static size_t parent_length(const struct dvg_run_result *x, const struct dvg_run *r) {
  const char *name = r->stage[x->stage].name, *fold = strstr(name, "/fold-");
  return fold ? (size_t)(fold - name) : 0;
}

static int same_parent(const struct dvg_run_result *a, const struct dvg_run_result *b,
                       const struct dvg_run *r) {
  const size_t n = parent_length(a, r);
  return n > 0 && n == parent_length(b, r) && strncmp(r->stage[a->stage].name, r->stage[b->stage].name, n) == 0;
}

static void put_mean(FILE *to, const double *value, int64_t n) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) sum += value[i];
  for (int64_t i = 0; i < n; i++) squares += (value[i] - sum / (double)n) * (value[i] - sum / (double)n);
  if (isnan(sum)) fputs("<td class=\"n none\">\u2013</td>", to);
  else
    fprintf(to, "<td class=\"n\">%.1f\u202f%%<small>\u00b1 %.1f</small></td>", 100 * sum / (double)n,
            100 * sqrt(squares / (double)(n - 1)));
}

// Of the evaluation whose first fold is result `first`; `value` has room for all results.
static void put_fold_mean(FILE *to, const struct dvg_run_results *all, int64_t first, const struct dvg_run *r,
                          const double *far, int n_fars, double *value) {
  const struct dvg_run_result *x = &all->result[first];
  int64_t n = 0;
  for (int64_t i = first; i < all->n; i++)
    if (same_parent(x, &all->result[i], r)) value[n++] = all->result[i].rank_1;
  if (n < 2) return;
  fprintf(to, "<tr><th scope=\"row\">mean of %lld folds<small>", (long long)n);
  dvg_html_put_n(to, r->stage[x->stage].name, parent_length(x, r));
  fputs("</small></th>", to);
  put_mean(to, value, n);
  for (int f = 0; f < n_fars; f++) {
    n = 0;
    for (int64_t i = first; i < all->n; i++)
      if (same_parent(x, &all->result[i], r)) value[n++] = dvg_result_tar(&all->result[i], far[f], NULL);
    put_mean(to, value, n);
  }
  fputs("<td></td><td></td></tr>\n", to);
}

enum dvg_status dvg_html_fold_means(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r,
                                    const double *far, int n_fars) {
  double *value = NULL;
  DVG_TRY(DVG_NEW(&value, all->n, "folds"));
  for (int64_t i = 0; i < all->n; i++) {
    int is_first = parent_length(&all->result[i], r) > 0;
    for (int64_t k = 0; k < i && is_first; k++) is_first = !same_parent(&all->result[i], &all->result[k], r);
    if (is_first) put_fold_mean(to, all, i, r, far, n_fars, value);
  }
  dvg_free(&value);
  return DVG_OK;
}

// ---- differences

static double number_of(const cJSON *o, const char *name) {
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);
  return cJSON_IsNumber(x) ? x->valuedouble : NAN;
}

static void put_p(FILE *to, double p) {
  if (isnan(p)) fputs("<td></td></tr>\n", to);
  else fprintf(to, "<td class=\"n\">%.3g</td></tr>\n", p);
}

// A row of a difference in points with its interval and p-value; nothing for one that is unknown.
static void put_difference(FILE *to, const cJSON *x, const char *what, double far) {
  const double value = number_of(x, "difference"), low = number_of(x, "low"), high = number_of(x, "high");
  if (isnan(value)) return;
  fprintf(to, "<tr><th scope=\"row\">%s", what);
  if (!isnan(far)) fprintf(to, " %.4g\u202f%%", 100 * far);
  fprintf(to, "</th><td class=\"n\">%+.1f</td>", 100 * value);
  if (isnan(low) || isnan(high)) fputs("<td></td>", to);
  else fprintf(to, "<td class=\"n\">%+.1f to %+.1f</td>", 100 * low, 100 * high);
  put_p(to, number_of(x, "p"));
}

static void put_against(FILE *to, const cJSON *against, const char *label) {
  const cJSON *name = cJSON_GetObjectItemCaseSensitive(against, "name"), *x,
              *mcnemar = cJSON_GetObjectItemCaseSensitive(against, "mcnemar");
  fputs("<h3>", to);
  dvg_html_put(to, label);
  fputs(" against ", to);
  dvg_html_put(to, cJSON_IsString(name) && name->valuestring[0] ? name->valuestring : "another");
  fputs("</h3>\n<table><thead><tr><th></th><th class=\"n\">points</th><th class=\"n\">interval</th><th "
        "class=\"n\">p</th>"
        "</tr></thead><tbody>\n",
        to);
  put_difference(to, cJSON_GetObjectItemCaseSensitive(against, "rank_1"), "rank-1", NAN);
  const double here = number_of(mcnemar, "only_here"), there = number_of(mcnemar, "only_there");
  if (here >= 0 && there >= 0) {
    fprintf(to,
            "<tr><th scope=\"row\">probes right for one alone (McNemar)</th><td class=\"n\">%.0f : "
            "%.0f</td><td></td>",
            here, there);
    put_p(to, number_of(mcnemar, "p"));
  }
  cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(against, "tar_at_far"))
      put_difference(to, x, "TAR at FAR", x->string ? strtod(x->string, NULL) : NAN);
  fputs("</tbody></table>\n", to);
}

enum dvg_status dvg_html_differences(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r) {
  for (int64_t i = 0; i < all->n; i++) {
    char *path = NULL, *text = NULL;
    DVG_TRY(dvg_text(&path, "%s/metrics.json", r->stage[all->result[i].stage].path));
    dvg_log_quiet(1);
    enum dvg_status status = dvg_path_exists(path) ? dvg_path_read_text(path, MOST_METRICS, &text) : DVG_OK;
    dvg_log_quiet(0);
    cJSON *metrics = status == DVG_OK && text ? cJSON_Parse(text) : NULL;
    const cJSON *against = cJSON_GetObjectItemCaseSensitive(metrics, "against");
    if (cJSON_IsObject(against)) put_against(to, against, all->result[i].label);
    cJSON_Delete(metrics);
    dvg_free(&text);
    dvg_free(&path);
    if (status == DVG_ERROR_MEMORY) return status;
  }
  return DVG_OK;
}
