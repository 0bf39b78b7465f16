#include "stages/evaluate/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/sheet.h"
#include "stages/json.h"

const int64_t dvg_report_ranks[DVG_RANKS] = {1, 5, 10};

static const char convention[] = "conservative: the last threshold with FAR <= t";

enum dvg_status dvg_report_fill(struct dvg_report *r) {
  if (!r->protocol) return DVG_OK;
  const struct dvg_tally *t = &r->scores->tally;
  for (int i = 0; i < DVG_RANKS; i++)
    r->rank_rate[i] = dvg_report_ranks[i] <= r->protocol->gallery.n
                          ? dvg_rank_rate(r->scores->place, r->protocol->probes.n, dvg_report_ranks[i])
                          : NAN;
  r->eer = dvg_tally_eer(t);
  r->auc = dvg_tally_auc(t);
  for (int i = 0; i < r->n_fars; i++)
    r->at[i] = dvg_far_measurable(r->far[i], t->n_impostor)
                   ? dvg_tally_at_far(t, r->far[i])
                   : (struct dvg_operating_point){r->far[i], NAN, NAN, NAN};
  return dvg_tally_roc(&r->roc, &r->n_roc, t);
}

void dvg_report_free(struct dvg_report *r) {
  dvg_free(&r->roc);
}

// ---- for people

static void print_protocol(const struct dvg_report *r) {
  const struct dvg_protocol *p = r->protocol;
  const struct dvg_evaluate *s = r->settings;
  dvg_info("gallery      %s: %lld images of %lld people", s->gallery_domain, (long long)p->gallery.n,
           (long long)p->n_gallery_people);
  dvg_info("probes       %s: %lld images of %lld people", s->probe_domain, (long long)p->probes.n,
           (long long)p->n_probe_people);
  if (p->n_strangers)
    dvg_info("             %lld probes show people without gallery image: left out of rank-k, impostors all "
             "the same",
             (long long)p->n_strangers);
  dvg_info("scores       %lld genuine, %lld impostor", (long long)p->n_genuine, (long long)p->n_impostor);
  for (int i = 0; i < DVG_RANKS; i++) {
    char label[32];
    snprintf(label, sizeof label, "rank-%lld", (long long)dvg_report_ranks[i]);
    if (isnan(r->rank_rate[i]))
      dvg_info("%-12s n/a: the gallery has %lld images", label, (long long)p->gallery.n);
    else
      dvg_info("%-12s %7.3f %%%s", label, 100 * r->rank_rate[i],
               i ? "" : "   (per image, ties against the probe)");
  }
  dvg_info("TAR at FAR   (%s)", convention);
  for (int i = 0; i < r->n_fars; i++) {
    const struct dvg_operating_point *at = &r->at[i];
    if (isnan(at->tar))
      dvg_info("  %-10g n/a: needs more impostors (%.0f, there are %lld)", r->far[i],
               ceil(1 / r->far[i] - 1e-6), (long long)p->n_impostor);
    else if (isnan(at->threshold))
      dvg_info("  %-10g %7.3f %%   no genuine score is accepted", r->far[i], 100 * at->tar);
    else dvg_info("  %-10g %7.3f %%   threshold %.4f", r->far[i], 100 * at->tar, at->threshold);
  }
  dvg_info("EER          %7.3f %%", 100 * r->eer);
  dvg_info("AUC          %9.5f", r->auc);
}

static void print_quality(const struct dvg_pair_quality *q) {
  dvg_info("pairs        %lld of %lld, %lld identities", (long long)q->n_sampled, (long long)q->n_items,
           (long long)q->n_identities);
  if (!isnan(q->ms)) dvg_info("MS           %8.4f    mean cosine within a pair", q->ms);
  if (!isnan(q->mis))
    dvg_info("MIS          %8.4f    mean cosine between different identities in %s (their intended embeddings: "
             "%.4f)",
             q->mis, q->domain[0], q->mis_intended);
  for (int d = 0; d < q->n_domains; d++)
    dvg_info("to identity  %8.4f    mean cosine of %s to the intended identity", q->to_identity[d],
             q->domain[d]);
}

void dvg_report_print(const struct dvg_report *r) {
  if (r->settings->name[0]) dvg_info("evaluation   %s", r->settings->name);
  if (r->protocol) print_protocol(r);
  if (r->quality) print_quality(r->quality);
}

// ---- evaluation.h5

struct whole {
  const char *name;
  int64_t value;
};

static enum dvg_status set_wholes(struct dvg_artifact *a, const struct whole *list) {
  for (; list->name; list++) DVG_TRY(dvg_artifact_set_int(a, list->name, list->value));
  return DVG_OK;
}

// Metrics without a value have no attribute.
static enum dvg_status set_real(struct dvg_artifact *a, const char *name, double value) {
  return isnan(value) ? DVG_OK : dvg_artifact_set_real(a, name, value);
}

static enum dvg_status write_attributes(struct dvg_artifact *a, const struct dvg_report *r) {
  const struct dvg_protocol *p = r->protocol;
  DVG_TRY(dvg_artifact_set_text(a, "gallery_domain", r->settings->gallery_domain));
  DVG_TRY(dvg_artifact_set_text(a, "probe_domain", r->settings->probe_domain));
  DVG_TRY(dvg_artifact_set_text(a, "far_convention", convention));
  DVG_TRY(set_wholes(a, (struct whole[]){{"gallery_images", p->gallery.n},
                                         {"gallery_people", p->n_gallery_people},
                                         {"probe_images", p->probes.n},
                                         {"probe_people", p->n_probe_people},
                                         {"probes_without_gallery", p->n_strangers},
                                         {"genuine", p->n_genuine},
                                         {"impostor", p->n_impostor},
                                         {NULL, 0}}));
  char name[64];
  for (int i = 0; i < DVG_RANKS; i++) {
    snprintf(name, sizeof name, "rank_%lld", (long long)dvg_report_ranks[i]);
    DVG_TRY(set_real(a, name, r->rank_rate[i]));
  }
  for (int i = 0; i < r->n_fars; i++) {
    snprintf(name, sizeof name, "tar_at_far_%g", r->far[i]);
    DVG_TRY(set_real(a, name, r->at[i].tar));
  }
  DVG_TRY(set_real(a, "eer", r->eer));
  return set_real(a, "auc", r->auc);
}

static enum dvg_status write_column(struct dvg_artifact *a, const char *name, enum dvg_type type, int64_t n,
                                    const void *data) {
  return dvg_artifact_write(a, name, type, 1, &n, data);
}

static enum dvg_status write_roc(struct dvg_artifact *a, const struct dvg_report *r) {
  double *column = NULL;
  DVG_TRY(DVG_NEW(&column, 3 * r->n_roc, "the ROC"));
  double *far = column, *tar = far + r->n_roc, *threshold = tar + r->n_roc;
  for (int64_t i = 0; i < r->n_roc; i++) {
    far[i] = r->roc[i].far;
    tar[i] = r->roc[i].tar;
    threshold[i] = r->roc[i].threshold;
  }
  enum dvg_status status = write_column(a, "roc_far", DVG_F64, r->n_roc, far);
  if (status == DVG_OK) status = write_column(a, "roc_tar", DVG_F64, r->n_roc, tar);
  if (status == DVG_OK) status = write_column(a, "roc_threshold", DVG_F64, r->n_roc, threshold);
  dvg_free(&column);
  return status;
}

static enum dvg_status write_quality(struct dvg_artifact *a, const struct dvg_pair_quality *q) {
  DVG_TRY(set_wholes(a, (struct whole[]){{"pairs_items", q->n_items},
                                         {"pairs_sampled", q->n_sampled},
                                         {"pairs_identities", q->n_identities},
                                         {NULL, 0}}));
  DVG_TRY(set_real(a, "pairs_ms", q->ms));
  DVG_TRY(set_real(a, "pairs_mis", q->mis));
  DVG_TRY(set_real(a, "pairs_mis_intended", q->mis_intended));
  for (int d = 0; d < q->n_domains; d++) {
    char name[DVG_DOMAIN_TEXT + 32];
    snprintf(name, sizeof name, "pairs_to_identity_%s", q->domain[d]);
    DVG_TRY(set_real(a, name, q->to_identity[d]));
  }
  return DVG_OK;
}

enum dvg_status dvg_report_write(struct dvg_artifact *a, const struct dvg_report *r) {
  DVG_TRY(dvg_artifact_set_text(a, "name", r->settings->name));
  DVG_TRY(dvg_artifact_set_int(a, "seed", r->settings->seed));
  if (r->quality) DVG_TRY(write_quality(a, r->quality));
  if (!r->protocol) return DVG_OK;
  const struct dvg_side *g = &r->protocol->gallery, *q = &r->protocol->probes;
  DVG_TRY(write_attributes(a, r));
  DVG_TRY(write_roc(a, r));
  DVG_TRY(write_column(a, "histogram_genuine", DVG_I64, DVG_SCORE_BINS, r->scores->genuine_bins));
  DVG_TRY(write_column(a, "histogram_impostor", DVG_I64, DVG_SCORE_BINS, r->scores->impostor_bins));
  DVG_TRY(write_column(a, "place", DVG_I64, q->n, r->scores->place));
  DVG_TRY(write_column(a, "gallery_row", DVG_I64, g->n, g->row));
  DVG_TRY(write_column(a, "gallery_person", DVG_I64, g->n, g->person));
  DVG_TRY(write_column(a, "probe_row", DVG_I64, q->n, q->row));
  return write_column(a, "probe_person", DVG_I64, q->n, q->person);
}

// ---- metrics.json

static void json_protocol(struct dvg_json *j, const struct dvg_report *r) {
  const struct dvg_protocol *p = r->protocol;
  dvg_json_text(j, "gallery_domain", r->settings->gallery_domain);
  dvg_json_text(j, "probe_domain", r->settings->probe_domain);
  dvg_json_int(j, "gallery_images", p->gallery.n);
  dvg_json_int(j, "gallery_people", p->n_gallery_people);
  dvg_json_int(j, "probe_images", p->probes.n);
  dvg_json_int(j, "probe_people", p->n_probe_people);
  dvg_json_int(j, "probes_without_gallery", p->n_strangers);
  dvg_json_int(j, "genuine", p->n_genuine);
  dvg_json_int(j, "impostor", p->n_impostor);
  char key[32];
  for (int i = 0; i < DVG_RANKS; i++) {
    snprintf(key, sizeof key, "rank_%lld", (long long)dvg_report_ranks[i]);
    dvg_json_real(j, key, r->rank_rate[i]);
  }
  dvg_json_text(j, "far_convention", convention);
  dvg_json_open(j, "tar_at_far", '{');
  for (int i = 0; i < r->n_fars; i++) {
    snprintf(key, sizeof key, "%g", r->far[i]);
    dvg_json_real(j, key, r->at[i].tar);
  }
  dvg_json_close(j, '}');
  dvg_json_open(j, "threshold_at_far", '{');
  for (int i = 0; i < r->n_fars; i++) {
    snprintf(key, sizeof key, "%g", r->far[i]);
    dvg_json_real(j, key, r->at[i].threshold);
  }
  dvg_json_close(j, '}');
  dvg_json_real(j, "eer", r->eer);
  dvg_json_real(j, "auc", r->auc);
}

static void json_quality(struct dvg_json *j, const struct dvg_pair_quality *q) {
  dvg_json_open(j, "pairs", '{');
  dvg_json_int(j, "items", q->n_items);
  dvg_json_int(j, "sampled", q->n_sampled);
  dvg_json_int(j, "identities", q->n_identities);
  dvg_json_real(j, "ms", q->ms);
  dvg_json_real(j, "mis", q->mis);
  dvg_json_real(j, "mis_intended", q->mis_intended);
  dvg_json_open(j, "to_identity", '{');
  for (int d = 0; d < q->n_domains; d++) dvg_json_real(j, q->domain[d], q->to_identity[d]);
  dvg_json_close(j, '}');
  dvg_json_close(j, '}');
}

static enum dvg_status write_json(const struct dvg_report *r, const char *path) {
  struct dvg_json j;
  dvg_json_begin(&j);
  dvg_json_text(&j, "name", r->settings->name);
  if (r->protocol) json_protocol(&j, r);
  if (r->quality) json_quality(&j, r->quality);
  char *text = NULL;
  DVG_TRY(dvg_json_end(&j, &text));
  enum dvg_status status = dvg_path_write_text(path, text);
  dvg_free(&text);
  return status;
}

// ---- roc.tsv and the plots

static enum dvg_status write_tsv(const struct dvg_report *r, const char *path) {
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
static enum dvg_status plot_roc(const struct dvg_report *r, const char *path) {
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

static enum dvg_status plot_scores(const struct dvg_report *r, const char *path) {
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

// evaluation.h5 goes first: after a kill it must not stand beside files of another run.
static enum dvg_status remove_file(const char *folder, const char *name) {
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/%s", folder, name));
  enum dvg_status status = dvg_path_remove(path);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_report_files(const struct dvg_report *r, const char *folder) {
  static const struct {
    const char *name;
    enum dvg_status (*write)(const struct dvg_report *, const char *);
    int of_protocol;
  } files[] = {{"metrics.json", write_json, 0},
               {"roc.tsv", write_tsv, 1},
               {"roc.png", plot_roc, 1},
               {"scores.png", plot_scores, 1}};
  DVG_TRY(remove_file(folder, "evaluation.h5"));
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    if (files[i].of_protocol && !r->protocol) {
      DVG_TRY(remove_file(folder, files[i].name));
      continue;
    }
    char *path = NULL;
    DVG_TRY(dvg_text(&path, "%s/%s", folder, files[i].name));
    enum dvg_status status = files[i].write(r, path);
    dvg_free(&path);
    DVG_TRY(status);
  }
  return DVG_OK;
}
