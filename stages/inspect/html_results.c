#include "stages/inspect/html_results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"
#include "stages/inspect/html_compare.h"

enum { MOST_CURVES = DVG_CHART_COLOURS, MOST_RANKS = 50 };

// ---- reading

static double real_of(const struct dvg_run_result *x, const char *name) {
  const struct dvg_described_attribute *a = dvg_described(&x->file, name, DVG_VALUE_REAL);
  return a ? a->real : NAN;
}

static int64_t int_of(const struct dvg_run_result *x, const char *name) {
  const struct dvg_described_attribute *a = dvg_described(&x->file, name, DVG_VALUE_INT);
  return a ? a->integer : -1;
}

static const char *text_of(const struct dvg_run_result *x, const char *name) {
  const struct dvg_described_attribute *a = dvg_described(&x->file, name, DVG_VALUE_TEXT);
  return a ? a->text : "";
}

static enum dvg_status load_column(double **out, int64_t *n, const struct dvg_artifact *a, const char *name) {
  int64_t dims[1] = {-1};
  DVG_TRY(dvg_artifact_load(a, name, DVG_F64, 1, dims, (void **)out));
  *n = dims[0];
  return DVG_OK;
}

// Of the replicates that the evaluation stored.
static enum dvg_status read_intervals(struct dvg_run_result *x, const struct dvg_artifact *a) {
  double *replicate = NULL;
  int64_t n = -1, dims[2] = {x->n_fars, -1};
  enum dvg_status status = DVG_OK;
  if (!dvg_artifact_has(a, "bootstrap_tar") || !dvg_artifact_has(a, "bootstrap_rank_1")) return DVG_OK;
  DVG_TRY_GOTO(load_column(&replicate, &n, a, "bootstrap_rank_1"));
  DVG_TRY_GOTO(dvg_interval_of(&x->rank_1_interval, replicate, n, x->confidence));
  dvg_free(&replicate);
  DVG_TRY_GOTO(dvg_artifact_load(a, "bootstrap_tar", DVG_F64, 2, dims, (void **)&replicate));
  for (int64_t f = 0; f < x->n_fars; f++)
    DVG_TRY_GOTO(dvg_interval_of(&x->interval[f], replicate + f * dims[1], dims[1], x->confidence));
done:
  dvg_free(&replicate);
  return status;
}

// The cumulative match characteristic from the places of the probes' people, as stages/evaluate/report_plots.c
// has it.
static enum dvg_status read_match(struct dvg_run_result *x, const struct dvg_artifact *a) {
  int64_t dims[1] = {-1}, *place = NULL, n_asked = 0, n_right = 0;
  const int64_t n_gallery = int_of(x, "gallery_images");
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_artifact_load(a, "place", DVG_I64, 1, dims, (void **)&place));
  x->n_ranks = n_gallery < MOST_RANKS ? n_gallery : MOST_RANKS;
  if (x->n_ranks < 0) x->n_ranks = 0;
  DVG_TRY_GOTO(DVG_NEW(&x->match, x->n_ranks, "rank rates"));
  for (int64_t i = 0; i < dims[0]; i++) {
    n_asked += place[i] > 0;
    if (place[i] > 0 && place[i] <= x->n_ranks) x->match[place[i] - 1]++;
  }
  for (int64_t k = 0; k < x->n_ranks; k++) {
    n_right += (int64_t)x->match[k];
    x->match[k] = n_asked > 0 ? (double)n_right / (double)n_asked : NAN;
  }
done:
  dvg_free(&place);
  return status;
}

static enum dvg_status read_protocol(struct dvg_run_result *x, const struct dvg_artifact *a) {
  int64_t n = -1;
  if (!dvg_artifact_has(a, "roc_far")) return DVG_OK; // of pairs alone
  x->rank_1 = real_of(x, "rank_1");
  DVG_TRY(load_column(&x->far, &x->n_fars, a, "far"));
  DVG_TRY(load_column(&x->tar, &n, a, "tar"));
  if (n != x->n_fars || n > DVG_MAX_FARS) return DVG_ERROR_INPUT;
  DVG_TRY(load_column(&x->roc_far, &x->n_roc, a, "roc_far"));
  DVG_TRY(load_column(&x->roc_tar, &n, a, "roc_tar"));
  if (n != x->n_roc) return DVG_ERROR_INPUT;
  DVG_TRY(read_intervals(x, a));
  return read_match(x, a);
}

static void result_free(struct dvg_run_result *x) {
  dvg_description_free(&x->file);
  dvg_free(&x->label);
  dvg_free(&x->far);
  dvg_free(&x->tar);
  dvg_free(&x->roc_far);
  dvg_free(&x->roc_tar);
  dvg_free(&x->match);
}

static enum dvg_status make_label(struct dvg_run_result *x, const struct dvg_run_stage *s) {
  const char *name = text_of(x, "name"), *fold = strstr(s->name, "/fold-");
  if (fold) return dvg_text(&x->label, "%.200s%s%s", name, name[0] ? ", " : "", name[0] ? fold + 1 : s->name);
  return dvg_text(&x->label, "%s", name[0] ? name : s->name);
}

static enum dvg_status read_result(struct dvg_run_result *x, const char *path, const struct dvg_run_stage *s) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, path, "evaluation", 2));
  enum dvg_status status = dvg_describe(&x->file, a);
  dvg_log_quiet(1);
  const char *confidence = status == DVG_OK ? strstr(x->file.settings, "confidence = ") : NULL;
  x->confidence = confidence ? strtod(confidence + strlen("confidence = "), NULL) : 0.95;
  if (status == DVG_OK) status = make_label(x, s);
  if (status == DVG_OK) status = read_protocol(x, a);
  dvg_artifact_close(&a);
  return status;
}

enum dvg_status dvg_results_read(struct dvg_run_results *all, const struct dvg_run *r) {
  *all = (struct dvg_run_results){.n = 0};
  for (int64_t i = 0; i < r->n; i++) {
    char *path = NULL;
    if (r->stage[i].kind != DVG_RUN_EVALUATION || !r->stage[i].digest[0]) continue;
    DVG_TRY(DVG_GROW(&all->result, all->n, "results"));
    struct dvg_run_result *x = &all->result[all->n];
    *x = (struct dvg_run_result){.stage = i, .rank_1 = NAN, .rank_1_interval = {NAN, NAN}};
    for (int f = 0; f < DVG_MAX_FARS; f++) x->interval[f] = (struct dvg_interval){NAN, NAN};
    DVG_TRY(dvg_text(&path, "%s/evaluation.h5", r->stage[i].path));
    dvg_log_quiet(1);
    enum dvg_status status = read_result(x, path, &r->stage[i]);
    dvg_log_quiet(0);
    dvg_free(&path);
    if (status == DVG_OK) all->n++;
    else result_free(x);
    if (status == DVG_ERROR_MEMORY) return status;
  }
  return DVG_OK;
}

void dvg_results_free(struct dvg_run_results *all) {
  for (int64_t i = 0; i < all->n; i++) result_free(&all->result[i]);
  dvg_free(&all->result);
  all->n = 0;
}

double dvg_result_tar(const struct dvg_run_result *x, double far, struct dvg_interval *interval) {
  for (int64_t f = 0; f < x->n_fars; f++) {
    if (fabs(x->far[f] - far) > 1e-9 * far) continue;
    if (interval) *interval = x->interval[f];
    return x->tar[f];
  }
  return NAN;
}

// ---- the table

// FARs that at least one evaluation could measure, largest first.
static int find_fars(double *far, const struct dvg_run_results *all) {
  int n = 0;
  for (int64_t i = 0; i < all->n; i++)
    for (int64_t f = 0; f < all->result[i].n_fars && n < DVG_MAX_FARS; f++) {
      const double x = all->result[i].far[f];
      int at = n, known = isnan(all->result[i].tar[f]);
      for (int k = 0; k < n; k++) known |= fabs(far[k] - x) <= 1e-9 * x;
      if (known) continue;
      while (at > 0 && far[at - 1] < x) at--;
      memmove(far + at + 1, far + at, (size_t)(n++ - at) * sizeof *far);
      far[at] = x;
    }
  return n;
}

static void put_rate(FILE *to, double rate, const struct dvg_interval *i) {
  if (isnan(rate)) {
    fputs("<td class=\"n none\">\u2013</td>", to);
    return;
  }
  fprintf(to, "<td class=\"n\">%.1f\u202f%%", 100 * rate);
  if (i && !isnan(i->low)) {
    fprintf(to, "<small>%.1f \u2013 %.1f</small>", 100 * i->low, 100 * i->high);
    fprintf(to,
            "<svg class=\"span\" viewBox=\"0 0 100 6\" aria-hidden=\"true\"><path d=\"M0 3H100\"/><path "
            "class=\"in\" d=\"M%.1f 3H%.1f\"/><circle cx=\"%.1f\" cy=\"3\" r=\"2.5\"/></svg>",
            100 * i->low, 100 * i->high, 100 * rate);
  }
  fputs("</td>", to);
}

static int has_protocol(const struct dvg_run_result *x) {
  return x->roc_far != NULL;
}

static void put_row(FILE *to, const struct dvg_run_result *x, int colour, const double *far, int n_fars,
                    const struct dvg_run *r) {
  char a[DVG_FIGURE], b[DVG_FIGURE];
  const char *name = r->stage[x->stage].name;
  fputs("<tr><th scope=\"row\">", to);
  if (colour < MOST_CURVES) fprintf(to, "<i class=\"c%d\"></i>", colour);
  fprintf(to, "<a href=\"#stage-%lld\">", (long long)x->stage);
  dvg_html_put(to, x->label);
  fputs("</a><small>", to);
  if (strcmp(name, x->label) != 0) dvg_html_put(to, name);
  if (strcmp(name, x->label) != 0) fputs(": ", to);
  fprintf(to, "%s ", dvg_say_count(a, int_of(x, "probe_images")));
  dvg_html_put(to, text_of(x, "probe_domain"));
  fprintf(to, " probes, %s ", dvg_say_count(b, int_of(x, "gallery_images")));
  dvg_html_put(to, text_of(x, "gallery_domain"));
  fputs(" in the gallery</small></th>", to);
  put_rate(to, x->rank_1, &x->rank_1_interval);
  for (int f = 0; f < n_fars; f++) {
    struct dvg_interval i = {NAN, NAN};
    const double tar = dvg_result_tar(x, far[f], &i);
    put_rate(to, tar, &i);
  }
  put_rate(to, real_of(x, "eer"), NULL);
  if (isnan(real_of(x, "auc"))) fputs("<td class=\"n none\">\u2013</td></tr>\n", to);
  else fprintf(to, "<td class=\"n\">%.4f</td></tr>\n", real_of(x, "auc"));
}

static enum dvg_status put_table(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r) {
  double far[DVG_MAX_FARS + 1];
  const int n_fars = find_fars(far, all);
  const struct dvg_run_result *first = NULL;
  char text[DVG_FIGURE];
  fputs(
      "<div class=\"wide\"><table class=\"results\"><thead><tr><th>recogniser</th><th class=\"n\">rank-1</th>",
      to);
  for (int f = 0; f < n_fars; f++)
    fprintf(to, "<th class=\"n\">TAR <small>at FAR %g\u202f%%</small></th>", 100 * far[f]);
  fputs("<th class=\"n\">EER</th><th class=\"n\">AUC</th></tr></thead><tbody>\n", to);
  for (int64_t i = 0, colour = 0; i < all->n; i++) {
    const struct dvg_run_result *x = &all->result[i];
    if (!has_protocol(x)) continue;
    if (!first) first = x;
    put_row(to, x, (int)colour++, far, n_fars, r);
  }
  DVG_TRY(dvg_html_fold_means(to, all, r, far, n_fars));
  fputs("</tbody></table></div>\n<p class=\"hint\">", to);
  if (first && !isnan(first->rank_1_interval.low))
    fprintf(to,
            "Small figures: the middle %g\u202f%% of %s bootstrap replicates over the people of the probes. ",
            100 * first->confidence, dvg_say_count(text, int_of(first, "bootstrap")));
  if (first) {
    fputs("FAR convention: ", to);
    dvg_html_put(to, text_of(first, "far_convention"));
    fputs(".", to);
  }
  fputs("</p>\n", to);
  return DVG_OK;
}

// ---- curves

struct curves {
  int n;
  struct dvg_chart_curve curve[MOST_CURVES];
  double *memory[MOST_CURVES]; // of x and y
};

static void curves_free(struct curves *c) {
  for (int i = 0; i < c->n; i++) dvg_free(&c->memory[i]);
}

static enum dvg_status begin_curve(struct curves *c, double **x, double **y, const char *name, int64_t room) {
  DVG_TRY(DVG_NEW(&c->memory[c->n], 2 * room, "a curve"));
  *x = c->memory[c->n];
  *y = *x + room;
  c->curve[c->n++] = (struct dvg_chart_curve){name, *x, *y, 0};
  return DVG_OK;
}

// TAR jumps where a genuine score is reached: steps.
static enum dvg_status add_roc(struct curves *c, const struct dvg_run_result *r, const char *name) {
  double *x, *y;
  int64_t n = 0;
  DVG_TRY(begin_curve(c, &x, &y, name, 2 * r->n_roc + 1));
  for (int64_t i = 0; i < r->n_roc; i++) {
    if (i > 0 && r->roc_tar[i] != r->roc_tar[i - 1]) {
      x[n] = r->roc_far[i];
      y[n++] = r->roc_tar[i - 1];
    }
    x[n] = r->roc_far[i];
    y[n++] = r->roc_tar[i];
  }
  c->curve[c->n - 1].n = n;
  return DVG_OK;
}

static enum dvg_status add_match(struct curves *c, const struct dvg_run_result *r, const char *name) {
  double *x, *y;
  DVG_TRY(begin_curve(c, &x, &y, name, r->n_ranks + 1));
  for (int64_t k = 0; k < r->n_ranks; k++) {
    x[k] = (double)k + 1;
    y[k] = r->match[k];
  }
  c->curve[c->n - 1].n = r->n_ranks;
  return DVG_OK;
}

static double least_far(const struct dvg_run_results *all) {
  double least = 0.1;
  for (int64_t i = 0; i < all->n; i++)
    for (int64_t k = 0; k < all->result[i].n_roc; k++)
      if (all->result[i].roc_far[k] > 0) least = fmin(least, all->result[i].roc_far[k]);
  return least;
}

static enum dvg_status put_curves(FILE *to, const struct dvg_run_results *all) {
  struct curves roc = {.n = 0}, match = {.n = 0};
  enum dvg_status status = DVG_OK;
  for (int64_t i = 0; i < all->n && roc.n < MOST_CURVES; i++) {
    const struct dvg_run_result *x = &all->result[i];
    if (!has_protocol(x)) continue;
    DVG_TRY_GOTO(add_roc(&roc, x, x->label));
    DVG_TRY_GOTO(add_match(&match, x, x->label));
  }
  const struct dvg_chart a = {.title = "ROC: true accepts",
                              .x_label = "false accept rate",
                              .log_x = 1,
                              .percent = 1,
                              .is_steps = 1,
                              .is_broad = 1,
                              .x_min = least_far(all),
                              .x_max = 1,
                              .y_min = 0,
                              .y_max = 1,
                              .curve = roc.curve,
                              .n_curves = roc.n};
  const struct dvg_chart b = {.title = "CMC: probes found",
                              .x_label = "among the first k of the gallery",
                              .percent = 1,
                              .is_steps = 1,
                              .is_broad = 1,
                              .x_min = 1,
                              .x_max = NAN,
                              .y_min = NAN,
                              .y_max = 1,
                              .curve = match.curve,
                              .n_curves = match.n};
  fputs("<div class=\"charts two\">\n", to);
  dvg_html_chart(to, &a);
  dvg_html_chart(to, &b);
  fputs("</div>\n", to);
done:
  curves_free(&roc);
  curves_free(&match);
  return status;
}

enum dvg_status dvg_html_results(FILE *to, const struct dvg_run_results *all, const struct dvg_run *r) {
  int64_t n = 0;
  for (int64_t i = 0; i < all->n; i++) n += has_protocol(&all->result[i]);
  if (n == 0) return DVG_OK;
  fputs("<section id=\"results\"><h2>Recognition</h2>\n", to);
  DVG_TRY(put_table(to, all, r));
  DVG_TRY(put_curves(to, all));
  DVG_TRY(dvg_html_differences(to, all, r));
  fputs("</section>\n", to);
  return DVG_OK;
}

// ---- pairs

static void put_quality(FILE *to, const struct dvg_run_result *x, const char *name, const char *what,
                        int percent) {
  char text[DVG_FIGURE];
  const double value = real_of(x, name);
  if (isnan(value)) return;
  if (percent)
    fprintf(to, "<tr><th scope=\"row\">%s</th><td class=\"n\">%.2f\u202f%%</td></tr>\n", what, 100 * value);
  else
    fprintf(to, "<tr><th scope=\"row\">%s</th><td class=\"n\">%s</td></tr>\n", what,
            dvg_say_value(text, value));
}

int dvg_results_judge_pairs(const struct dvg_run_results *all) {
  for (int64_t i = 0; i < all->n; i++)
    if (int_of(&all->result[i], "pairs_items") >= 0) return 1;
  return 0;
}

// "pairs_to_identity_NIR" and the like: one for each domain.
static void put_by_domain(FILE *to, const struct dvg_run_result *x, const char *prefix, const char *what) {
  for (int64_t i = 0; i < x->file.n_attributes; i++) {
    const struct dvg_described_attribute *a = &x->file.attribute[i];
    if (a->kind != DVG_VALUE_REAL || strncmp(a->name, prefix, strlen(prefix)) != 0) continue;
    char text[DVG_FIGURE];
    fprintf(to, "<tr><th scope=\"row\">%s ", what);
    dvg_html_put(to, a->name + strlen(prefix));
    fprintf(to, "</th><td class=\"n\">%s</td></tr>\n", dvg_say_value(text, a->real));
  }
}

void dvg_html_qualities(FILE *to, const struct dvg_run_results *all) {
  for (int64_t i = 0; i < all->n; i++) {
    const struct dvg_run_result *x = &all->result[i];
    char text[DVG_FIGURE];
    if (int_of(x, "pairs_items") < 0) continue;
    fputs("<h3>Pairs as seen by ", to);
    dvg_html_put(to, x->label);
    fprintf(to,
            "</h3>\n<table class=\"plain\"><tbody>\n<tr><th scope=\"row\">pairs looked at</th><td "
            "class=\"n\">%s</td></tr>\n",
            dvg_say_count(text, int_of(x, "pairs_sampled")));
    put_quality(to, x, "pairs_ms", "mean cosine within a pair (MS)", 0);
    put_quality(to, x, "pairs_mis", "mean cosine between identities (MIS)", 0);
    put_quality(to, x, "pairs_mis_intended", "the same of their intended embeddings", 0);
    put_by_domain(to, x, "pairs_to_identity_", "mean cosine to the identity,");
    put_quality(to, x, "pairs_nearest", "mean cosine to the nearest other sample", 0);
    put_quality(to, x, "pairs_leak", "mean cosine to the nearest training identity", 0);
    put_quality(to, x, "pairs_leaks", "pairs nearer to one than the stated share of impostors", 1);
    put_by_domain(to, x, "pairs_frechet_", "Frechet distance to the training identities,");
    fputs("</tbody></table>\n", to);
  }
}
