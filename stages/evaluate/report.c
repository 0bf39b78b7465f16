#include "stages/evaluate/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/evaluate/report_plots.h"
#include "stages/json.h"

const int64_t dvg_report_ranks[DVG_RANKS] = {1, 5, 10};

const char *dvg_report_convention(const struct dvg_evaluate *s) {
  return s->far_convention == DVG_FAR_BEYOND ? "liberal: the first threshold with FAR > t"
                                             : "conservative: the last threshold with FAR <= t";
}

// Of the replicates. Without any: unknown.
static enum dvg_status fill_intervals(struct dvg_report *r) {
  const struct dvg_bootstrap *b = r->bootstrap;
  const double part = r->settings->confidence;
  DVG_TRY(dvg_interval_of(&r->rank_1_interval, b->rank_1, b->n, part));
  for (int f = 0; f < r->n_fars; f++) DVG_TRY(dvg_interval_of(&r->interval[f], b->tar + f * b->n, b->n, part));
  return DVG_OK;
}

static enum dvg_status fill_against(struct dvg_report *r) {
  double tar[DVG_MAX_FARS];
  if (!r->against) return DVG_OK;
  for (int f = 0; f < r->n_fars; f++) tar[f] = r->at[f].tar;
  return dvg_against_compare(r->against, r->scores->place, r->rank_rate[0], r->far, tar, r->bootstrap,
                             r->settings->confidence);
}

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
                   ? r->settings->far_convention == DVG_FAR_BEYOND ? dvg_tally_beyond_far(t, r->far[i])
                                                                   : dvg_tally_at_far(t, r->far[i])
                   : (struct dvg_operating_point){r->far[i], NAN, NAN, NAN};
  DVG_TRY(fill_intervals(r));
  DVG_TRY(fill_against(r));
  return dvg_tally_roc(&r->roc, &r->n_roc, t);
}

void dvg_report_free(struct dvg_report *r) {
  dvg_free(&r->roc);
}

// ---- for people

// "   [90.1, 93.4]" behind a rate; nothing where there is no interval.
static const char *interval_text(char text[48], struct dvg_interval i) {
  if (isnan(i.low)) text[0] = 0;
  else snprintf(text, 48, "   [%.3f, %.3f]", 100 * i.low, 100 * i.high);
  return text;
}

static void print_protocol(const struct dvg_report *r) {
  const struct dvg_protocol *p = r->protocol;
  const struct dvg_evaluate *s = r->settings;
  char interval[48];
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
      dvg_info("%-12s %7.3f %%%s%s", label, 100 * r->rank_rate[i],
               i ? "" : interval_text(interval, r->rank_1_interval),
               i ? "" : "   (per image, ties against the probe)");
  }
  dvg_info("TAR at FAR   (%s)", dvg_report_convention(s));
  for (int i = 0; i < r->n_fars; i++) {
    const struct dvg_operating_point *at = &r->at[i];
    if (isnan(at->tar))
      dvg_info("  %-10g n/a: needs more impostors (%.0f, there are %lld)", r->far[i],
               ceil(1 / r->far[i] - 1e-6), (long long)p->n_impostor);
    else if (isnan(at->threshold))
      dvg_info("  %-10g %7.3f %%   no genuine score is accepted", r->far[i], 100 * at->tar);
    else
      dvg_info("  %-10g %7.3f %%%s   threshold %.4f", r->far[i], 100 * at->tar,
               interval_text(interval, r->interval[i]), at->threshold);
  }
  if (r->bootstrap->n > 0)
    dvg_info("             [%g %% of %lld replicates of a bootstrap over the %lld people of the probes]",
             100 * s->confidence, (long long)r->bootstrap->n, (long long)p->n_probe_people);
  dvg_info("EER          %7.3f %%", 100 * r->eer);
  dvg_info("AUC          %9.5f", r->auc);
}

static void print_quality(const struct dvg_pair_quality *q, const struct dvg_training *t) {
  dvg_info("pairs        %lld of %lld, %lld identities", (long long)q->n_sampled, (long long)q->n_items,
           (long long)q->n_identities);
  if (!isnan(q->ms)) dvg_info("MS           %8.4f    mean cosine within a pair", q->ms);
  if (!isnan(q->mis))
    dvg_info("MIS          %8.4f    mean cosine between different identities in %s (their intended embeddings: "
             "%.4f)",
             q->mis, q->domain[0], q->mis_intended);
  for (int d = 0; d < q->n_domains; d++)
    if (!isnan(q->to_identity[d]))
      dvg_info("to identity  %8.4f    mean cosine of %s to the intended identity", q->to_identity[d],
               q->domain[d]);
  if (!isnan(q->nearest)) dvg_info("nearest      %8.4f    mean cosine to the nearest other sample", q->nearest);
  if (!t) return;
  dvg_info("leak         %8.4f    mean cosine to the nearest of %lld training identities", q->leak,
           (long long)t->n);
  dvg_info("             %7.3f %%   of the pairs are at %.4f or beyond, which %g of the pairs of different "
           "training people reach",
           100 * q->n_leaks, t->threshold, t->far);
  for (int d = 0; d < q->n_domains; d++)
    if (!isnan(q->frechet[d]))
      dvg_info(
          "Frechet      %8.4f    distance of %s to the training identities, in this recogniser's embeddings",
          q->frechet[d], q->domain[d]);
}

void dvg_report_print(const struct dvg_report *r) {
  if (r->settings->name[0]) dvg_info("evaluation   %s", r->settings->name);
  if (r->protocol) print_protocol(r);
  if (r->against) dvg_against_print(r->against, r->far, r->n_fars);
  if (r->quality) print_quality(r->quality, r->training);
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
  DVG_TRY(dvg_artifact_set_text(a, "far_convention", dvg_report_convention(r->settings)));
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
  DVG_TRY(dvg_artifact_set_text(a, "gallery_digest", p->gallery.images_digest));
  DVG_TRY(dvg_artifact_set_text(a, "probe_digest", p->probes.images_digest));
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

static enum dvg_status write_rates(struct dvg_artifact *a, const struct dvg_report *r) {
  const struct dvg_bootstrap *b = r->bootstrap;
  double tar[DVG_MAX_FARS];
  for (int f = 0; f < r->n_fars; f++) tar[f] = r->at[f].tar;
  DVG_TRY(write_column(a, "far", DVG_F64, r->n_fars, r->far));
  DVG_TRY(write_column(a, "tar", DVG_F64, r->n_fars, tar));
  DVG_TRY(dvg_artifact_set_int(a, "bootstrap", b->n));
  if (b->n == 0) return DVG_OK;
  DVG_TRY(write_column(a, "bootstrap_rank_1", DVG_F64, b->n, b->rank_1));
  return dvg_artifact_write(a, "bootstrap_tar", DVG_F64, 2, (int64_t[]){b->n_fars, b->n}, b->tar);
}

static enum dvg_status write_quality(struct dvg_artifact *a, const struct dvg_pair_quality *q,
                                     const struct dvg_training *t) {
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
    snprintf(name, sizeof name, "pairs_frechet_%s", q->domain[d]);
    DVG_TRY(set_real(a, name, q->frechet[d]));
  }
  DVG_TRY(set_real(a, "pairs_nearest", q->nearest));
  DVG_TRY(set_real(a, "pairs_leak", q->leak));
  DVG_TRY(set_real(a, "pairs_leaks", q->n_leaks));
  DVG_TRY(set_real(a, "leak_far", t ? t->far : NAN));
  DVG_TRY(set_real(a, "leak_threshold", t ? t->threshold : NAN));
  return DVG_OK;
}

enum dvg_status dvg_report_write(struct dvg_artifact *a, const struct dvg_report *r) {
  DVG_TRY(dvg_artifact_set_text(a, "name", r->settings->name));
  DVG_TRY(dvg_artifact_set_int(a, "seed", r->settings->seed));
  if (r->quality) DVG_TRY(write_quality(a, r->quality, r->training));
  if (!r->protocol) return DVG_OK;
  const struct dvg_side *g = &r->protocol->gallery, *q = &r->protocol->probes;
  DVG_TRY(write_attributes(a, r));
  DVG_TRY(write_roc(a, r));
  DVG_TRY(write_rates(a, r));
  DVG_TRY(write_column(a, "histogram_genuine", DVG_I64, DVG_SCORE_BINS, r->scores->genuine_bins));
  DVG_TRY(write_column(a, "histogram_impostor", DVG_I64, DVG_SCORE_BINS, r->scores->impostor_bins));
  DVG_TRY(write_column(a, "place", DVG_I64, q->n, r->scores->place));
  DVG_TRY(write_column(a, "gallery_row", DVG_I64, g->n, g->row));
  DVG_TRY(write_column(a, "gallery_person", DVG_I64, g->n, g->person));
  DVG_TRY(write_column(a, "probe_row", DVG_I64, q->n, q->row));
  return write_column(a, "probe_person", DVG_I64, q->n, q->person);
}

// ---- metrics.json

static void json_interval(struct dvg_json *j, const char *key, struct dvg_interval i) {
  dvg_json_open(j, key, '[');
  dvg_json_real(j, NULL, i.low);
  dvg_json_real(j, NULL, i.high);
  dvg_json_close(j, ']');
}

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
  dvg_json_text(j, "far_convention", dvg_report_convention(r->settings));
  dvg_json_open(j, "tar_at_far", '{');
  for (int i = 0; i < r->n_fars; i++) {
    snprintf(key, sizeof key, "%g", r->far[i]);
    dvg_json_real(j, key, r->at[i].tar);
  }
  dvg_json_close(j, '}');
  dvg_json_int(j, "bootstrap", r->bootstrap->n);
  json_interval(j, "rank_1_interval", r->rank_1_interval);
  dvg_json_open(j, "tar_at_far_interval", '{');
  for (int i = 0; i < r->n_fars; i++) {
    snprintf(key, sizeof key, "%g", r->far[i]);
    json_interval(j, key, r->interval[i]);
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

static void json_quality(struct dvg_json *j, const struct dvg_pair_quality *q, const struct dvg_training *t) {
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
  dvg_json_real(j, "nearest", q->nearest);
  dvg_json_real(j, "leak", q->leak);
  dvg_json_real(j, "leaks", q->n_leaks);
  dvg_json_real(j, "leak_far", t ? t->far : NAN);
  dvg_json_real(j, "leak_threshold", t ? t->threshold : NAN);
  dvg_json_open(j, "frechet", '{');
  for (int d = 0; d < q->n_domains; d++) dvg_json_real(j, q->domain[d], q->frechet[d]);
  dvg_json_close(j, '}');
  dvg_json_close(j, '}');
}

static enum dvg_status write_json(const struct dvg_report *r, const char *path) {
  struct dvg_json j;
  dvg_json_begin(&j);
  dvg_json_text(&j, "name", r->settings->name);
  if (r->protocol) json_protocol(&j, r);
  if (r->against) dvg_against_json(&j, r->against, r->far, r->n_fars);
  if (r->quality) json_quality(&j, r->quality, r->training);
  char *text = NULL;
  DVG_TRY(dvg_json_end(&j, &text));
  enum dvg_status status = dvg_path_write_text(path, text);
  dvg_free(&text);
  return status;
}

// ---- the folder

// evaluation.h5 goes first: after a kill it must not stand beside files of another run.
static enum dvg_status remove_file(const char *folder, const char *name) {
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/%s", folder, name));
  enum dvg_status status = dvg_path_remove(path);
  dvg_free(&path);
  return status;
}

static const struct {
  const char *name;
  enum dvg_status (*write)(const struct dvg_report *, const char *);
  int of_protocol;
} files[] = {{"metrics.json", write_json, 0},     {"roc.tsv", dvg_report_roc_tsv, 1},
             {"roc.png", dvg_report_roc_plot, 1}, {"cmc.tsv", dvg_report_cmc_tsv, 1},
             {"cmc.png", dvg_report_cmc_plot, 1}, {"scores.png", dvg_report_scores_plot, 1}};

enum dvg_status dvg_report_clear(const char *folder) {
  DVG_TRY(remove_file(folder, "evaluation.h5"));
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) DVG_TRY(remove_file(folder, files[i].name));
  return DVG_OK;
}

enum dvg_status dvg_report_files(const struct dvg_report *r, const char *folder) {
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
