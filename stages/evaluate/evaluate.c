#include "stages/evaluate/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/evaluate/gains.h"
#include "stages/evaluate/report.h"
#include "stages/evaluate/report_folds.h"

enum { FIRST, RANDOM, MAX_STORED = 10000000 };
enum { NO_BENCHMARK, CASIA };

static const struct dvg_option options[] = {
    DVG_OPTION_PATH(struct dvg_evaluate, images, "images", "",
                    "packed images that have both gallery and probes"),
    DVG_OPTION_PATH(struct dvg_evaluate, gallery_images, "gallery-images", "",
                    "packed images of the gallery [--images]"),
    DVG_OPTION_PATH(struct dvg_evaluate, probe_images, "probe-images", "",
                    "packed images of the probes [--images]"),
    DVG_OPTION_PATH(struct dvg_evaluate, gallery_features, "gallery-features", "",
                    "folder of features (dvg-extract) of the gallery, in place of images"),
    DVG_OPTION_PATH(struct dvg_evaluate, probe_features, "probe-features", "",
                    "folder of features, by the same weights, of the probes"),
    DVG_OPTION_PATH(struct dvg_evaluate, pairs, "pairs", "",
                    "folder of a generated pair set, to judge its quality"),
    DVG_OPTION_PATH(struct dvg_evaluate, weights, "weights", "",
                    "weight file of the recogniser (lightcnn29v2): for images and pairs"),
    DVG_OPTION_PATH(struct dvg_evaluate, out, "out", NULL, "folder for the results"),
    DVG_OPTION_TEXT(struct dvg_evaluate, name, "name", "", "title of this evaluation"),
    DVG_OPTION_TEXT(struct dvg_evaluate, gallery_domain, "gallery-domain", "VIS",
                    "domain of the gallery images; of features just a name"),
    DVG_OPTION_TEXT(struct dvg_evaluate, probe_domain, "probe-domain", "NIR", "domain of the probe images"),
    DVG_OPTION_INT(struct dvg_evaluate, gallery_per_person, "gallery-per-person", "0", 0, 1000000,
                   "gallery images a person; 0: all"),
    DVG_OPTION_CHOICE(struct dvg_evaluate, gallery_choice, "gallery-choice", "first", "first|random",
                      "which ones: the first of the file, or drawn with the seed"),
    DVG_OPTION_TEXT(
        struct dvg_evaluate, far, "far", "",
        "FARs to report, comma separated, each at least 1/impostors [0.1 to 1e-05, as far as possible]"),
    DVG_OPTION_PATH(struct dvg_evaluate, protocol, "protocol", "",
                    "list of gallery and probes in folds (fold, gallery or probe, image; divided by tabs), in "
                    "place of the domains"),
    DVG_OPTION_CHOICE(struct dvg_evaluate, benchmark, "benchmark", "none", "none|casia-nir-vis-2",
                      "a published protocol whose numbers of folds and images --protocol must have"),
    DVG_OPTION_CHOICE(struct dvg_evaluate, far_convention, "far-convention", "conservative",
                      "conservative|liberal",
                      "TAR at the last threshold with FAR <= t, or at the first with FAR > t"),
    DVG_OPTION_INT(struct dvg_evaluate, bootstrap, "bootstrap", "1000", 0, 1000000,
                   "replicates of the bootstrap over people, for intervals; 0: none"),
    DVG_OPTION_REAL(struct dvg_evaluate, confidence, "confidence", "0.95", 0.5, 0.999,
                    "part of the replicates within an interval"),
    DVG_OPTION_PATH(struct dvg_evaluate, against, "against", "",
                    "folder of an evaluation of another recogniser on the same images, to compare with"),
    DVG_OPTION_TEXT(
        struct dvg_evaluate, mean_of, "mean-of", "",
        "folders of evaluations, comma separated: nothing is evaluated, but what they have gained, each "
        "against its own of as many folders --against, is given in the mean (other seeds, say)"),
    DVG_OPTION_INT(struct dvg_evaluate, pairs_sample, "pairs-sample", "10000", 0, 9e15,
                   "pairs of the set to look at, evenly spread; 0: all"),
    DVG_OPTION_PATH(
        struct dvg_evaluate, training, "training", "",
        "folder of features, by the same weights, of the people trained on: how near pairs come to them"),
    DVG_OPTION_REAL(struct dvg_evaluate, leak_far, "leak-far", "0.001", 1e-9, 0.5,
                    "share of the pairs of different people trained on that may reach the threshold of a leak"),
    DVG_OPTION_FLAG(struct dvg_evaluate, store_scores, "store-scores", "yes",
                    "keep all scores in evaluation.h5 (if at most 10 million)"),
    DVG_OPTION_INT(struct dvg_evaluate, seed, "seed", "1", 0, 9e15, "seed of all random choices"),
    DVG_OPTION_END};

const struct dvg_stage dvg_stage_evaluate = {.program = "dvg-evaluate",
                                             .summary = "recognition protocol, quality of a generated pair set",
                                             .options = options,
                                             .settings_bytes = sizeof(struct dvg_evaluate),
                                             .run = dvg_evaluate_run};

// ---- settings

// Whether gallery and probes are features, which go with no choice of images.
static enum dvg_status check_features(const struct dvg_evaluate *s) {
  if (!s->gallery_features[0] || !s->probe_features[0])
    return dvg_fail(DVG_ERROR_USAGE, "--gallery-features and --probe-features need each other");
  if (s->images[0] || s->gallery_images[0] || s->probe_images[0])
    return dvg_fail(DVG_ERROR_USAGE, "--gallery-features come in place of images: give the one or the other");
  if (s->protocol[0]) return dvg_fail(DVG_ERROR_USAGE, "--protocol lists images: it goes with no features");
  if (s->gallery_per_person)
    return dvg_fail(DVG_ERROR_USAGE, "--gallery-per-person chooses images: of features all are taken");
  if (s->weights[0] && !s->pairs[0])
    return dvg_fail(DVG_ERROR_USAGE, "--weights are for images and pairs: features are made already");
  return DVG_OK;
}

static int of_features(const struct dvg_evaluate *s) {
  return s->gallery_features[0] || s->probe_features[0];
}

// Which files hold gallery and probes; NULL, NULL: no protocol is asked for.
static enum dvg_status choose_paths(const struct dvg_evaluate *s, const char **gallery, const char **probes) {
  if (of_features(s)) {
    *gallery = s->gallery_features;
    *probes = s->probe_features;
    return check_features(s);
  }
  *gallery = s->gallery_images[0] ? s->gallery_images : s->images;
  *probes = s->probe_images[0] ? s->probe_images : s->images;
  if (!(*gallery)[0] && !(*probes)[0]) {
    *gallery = *probes = NULL;
    if (!s->pairs[0])
      return dvg_fail(DVG_ERROR_USAGE,
                      "nothing to evaluate: give --images (or --gallery-images and --probe-images), "
                      "--gallery-features and --probe-features, or --pairs");
    return DVG_OK;
  }
  if (!(*gallery)[0]) return dvg_fail(DVG_ERROR_USAGE, "--probe-images needs --gallery-images (or --images)");
  if (!(*probes)[0]) return dvg_fail(DVG_ERROR_USAGE, "--gallery-images needs --probe-images (or --images)");
  return DVG_OK;
}

// r->far from the option; the usual ones when it is empty.
static enum dvg_status choose_fars(struct dvg_report *r, const char *text) {
  if (!text[0]) text = "1e-1,1e-2,1e-3,1e-4,1e-5";
  for (const char *at = text;;) {
    char *end;
    double far = strtod(at, &end);
    if (end == at || (*end && *end != ',') || !(far > 0 && far <= 1))
      return dvg_fail(DVG_ERROR_USAGE, "--far %s: '%.*s' is no rate in (0, 1]", text, (int)strcspn(at, ","),
                      at);
    if (r->n_fars == DVG_MAX_FARS)
      return dvg_fail(DVG_ERROR_USAGE, "--far %s: more than %d rates", text, DVG_MAX_FARS);
    r->far[r->n_fars++] = far;
    if (!*end) return DVG_OK;
    at = end + 1;
  }
}

// A FAR that was asked for by name must be measurable: known from the labels, before anything is computed.
static enum dvg_status check_fars(const struct dvg_report *r) {
  if (!r->settings->far[0]) return DVG_OK;
  for (int i = 0; i < r->n_fars; i++)
    if (!dvg_far_measurable(r->far[i], r->protocol->n_impostor))
      return dvg_fail(DVG_ERROR_USAGE, "--far %g needs %.0f impostor scores, there are %lld", r->far[i],
                      ceil(1 / r->far[i] - 1e-6), (long long)r->protocol->n_impostor);
  return DVG_OK;
}

// Says on rank 0 what all ranks find alike.
static enum dvg_status said_once(const struct dvg_world *w, enum dvg_status (*check)(const struct dvg_report *),
                                 const struct dvg_report *r) {
  return dvg_world_agree(w, w->rank == 0 ? check(r) : DVG_OK);
}

// ---- writing

struct output {
  const struct dvg_options *options;
  const char *weights_digest;
  struct dvg_artifact *file; // rank 0
  int store;
};

// Rank 0: evaluation.h5 with everything but the scores, which follow from all ranks.
static enum dvg_status begin_file(struct output *out, const struct dvg_report *r) {
  const struct dvg_evaluate *s = r->settings;
  struct dvg_lineage l;
  char *path = NULL;
  DVG_TRY(dvg_lineage_init(&l, out->options));
  enum dvg_status status;
  if (s->weights[0]) dvg_lineage_add(&l, "weights", s->weights, out->weights_digest);
  if (r->protocol) {
    const struct dvg_side *g = &r->protocol->gallery, *q = &r->protocol->probes;
    const int one = g->set && g->set == q->set;
    dvg_lineage_add(&l, one ? "images" : "gallery", g->path, g->digest);
    if (!one) dvg_lineage_add(&l, "probes", q->path, q->digest);
  }
  if (r->quality) dvg_lineage_add(&l, "pairs", s->pairs, r->quality->digest);
  if (r->training) dvg_lineage_add(&l, "training", s->training, r->training->digest);
  if (r->against) dvg_lineage_add(&l, "against", s->against, r->against->past.digest);
  DVG_TRY_GOTO(dvg_text(&path, "%s/evaluation.h5", r->out));
  DVG_TRY_GOTO(dvg_lineage_create(&out->file, path, "evaluation", 2, &l));
  DVG_TRY_GOTO(dvg_report_write(out->file, r));
  if (out->store)
    status = dvg_artifact_define(out->file, "score", DVG_F32, 2,
                                 (int64_t[]){r->protocol->probes.n, r->protocol->gallery.n});
done:
  dvg_free(&path);
  dvg_lineage_free(&l);
  return status;
}

// Rank 0. The scores of all pairs, beside evaluation.h5; without them what was there goes.
static enum dvg_status write_scores(const struct output *out, const struct dvg_report *r) {
  const struct dvg_evaluate *s = r->settings;
  struct dvg_pair_quality *q = r->quality;
  struct dvg_artifact *a = NULL;
  struct dvg_lineage l;
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/scores.h5", r->out));
  enum dvg_status status = dvg_path_remove(path);
  if (status != DVG_OK || !q || q->scores.n == 0) {
    dvg_free(&path);
    return status;
  }
  status = dvg_lineage_init(&l, out->options);
  if (status == DVG_OK) {
    dvg_lineage_add(&l, "weights", s->weights, out->weights_digest);
    dvg_lineage_add(&l, "pairs", s->pairs, q->digest);
    if (r->training) dvg_lineage_add(&l, "training", s->training, r->training->digest);
    status = dvg_lineage_create(&a, path, "scores", 1, &l);
    if (status == DVG_OK)
      status = dvg_pair_scores_write(a, &q->scores, &q->ledger, q->domain, q->n_domains, q->n_set, q->digest);
    if (status == DVG_OK) status = dvg_artifact_commit(&a, NULL);
    dvg_artifact_discard(&a);
    dvg_lineage_free(&l);
  }
  dvg_free(&path);
  return status;
}

// Collective. evaluation.h5 last: where it is, the rest is there too.
static enum dvg_status write_results(const struct dvg_options *o, const struct dvg_world *w,
                                     const struct dvg_report *r, const struct dvg_embedder *e) {
  const struct dvg_evaluate *s = r->settings;
  const struct dvg_protocol *p = r->protocol;
  struct output out = {.options = o, .weights_digest = e->file.digest};
  out.store = s->store_scores && p && p->probes.n <= MAX_STORED / p->gallery.n;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? begin_file(&out, r) : DVG_OK));
  if (out.store) DVG_TRY_GOTO(dvg_scores_store(out.file, "score", w, p));
  status = w->rank == 0 ? dvg_report_files(r, r->out) : DVG_OK;
  if (status == DVG_OK && w->rank == 0) status = write_scores(&out, r);
  if (status == DVG_OK && w->rank == 0) status = dvg_artifact_commit(&out.file, NULL);
  status = dvg_world_agree(w, status);
done:
  dvg_artifact_discard(&out.file);
  return status;
}

// ---- the protocols: one by the domains, or one a fold

struct recognition {
  const struct dvg_options *options;
  const struct dvg_world *w;
  struct dvg_folds folds;
  int64_t n;                     // protocols; 0: recognition is not asked for
  struct dvg_protocol *protocol; // (n)
  struct dvg_report *report;     // (n)
  struct dvg_against *against;   // (n) rank 0
  const char *gallery, *probes;  // paths
};

static enum dvg_status open_against(struct recognition *c, int64_t i) {
  struct dvg_report *r = &c->report[i];
  const struct dvg_evaluate *s = r->settings;
  const struct dvg_side *g = &r->protocol->gallery, *q = &r->protocol->probes;
  const struct dvg_past_terms terms = {.gallery_digest = g->images_digest,
                                       .probe_digest = q->images_digest,
                                       .far_convention = dvg_report_convention(s),
                                       .gallery_row = g->row,
                                       .probe_row = q->row,
                                       .n_gallery = g->n,
                                       .n_probes = q->n,
                                       .seed = s->seed,
                                       .n_replicates = s->bootstrap};
  char *folder = NULL;
  if (!s->against[0]) return DVG_OK;
  if (c->folds.n > 0) DVG_TRY(dvg_text(&folder, "%s/fold-%s", s->against, c->folds.list[i].name));
  enum dvg_status status = dvg_past_open(&c->against[i].past, folder ? folder : s->against);
  if (status == DVG_OK) status = dvg_past_check(&c->against[i].past, &terms);
  dvg_free(&folder);
  if (status == DVG_OK) r->against = &c->against[i];
  return status;
}

static enum dvg_status read_folds(void *context) {
  struct recognition *c = context;
  const struct dvg_evaluate *s = c->options->values;
  struct dvg_image_set set[2] = {{.file = NULL}, {.file = NULL}};
  const int same = strcmp(c->gallery, c->probes) == 0;
  enum dvg_status status = dvg_image_set_open(&set[0], c->gallery);
  if (status == DVG_OK && !same) status = dvg_image_set_open(&set[1], c->probes);
  if (status == DVG_OK) status = dvg_folds_read(&c->folds, s->protocol, &set[0], same ? &set[0] : &set[1]);
  if (status == DVG_OK && s->benchmark == CASIA) status = dvg_folds_check_casia(&c->folds, s->protocol);
  for (int i = 0; i < 2; i++) dvg_image_set_close(&set[i]);
  return status;
}

// Collective. Who is compared with whom, and whether what is asked for can be said of it: before anything is
// computed.
static enum dvg_status recognition_create(struct recognition *c, const struct dvg_report *like) {
  const struct dvg_evaluate *s = c->options->values;
  struct dvg_protocol_options asked = {.gallery_path = c->gallery,
                                       .probe_path = c->probes,
                                       .gallery_domain = s->gallery_domain,
                                       .probe_domain = s->probe_domain,
                                       .per_person = s->gallery_per_person,
                                       .at_random = s->gallery_choice == RANDOM,
                                       .seed = (uint64_t)s->seed};
  if (s->protocol[0]) DVG_TRY(dvg_world_root_first(c->w, read_folds, c));
  const int64_t n = c->folds.n > 0 ? c->folds.n : 1;
  enum dvg_status status = DVG_NEW(&c->protocol, n, "protocols");
  if (status == DVG_OK) status = DVG_NEW(&c->report, n, "reports");
  if (status == DVG_OK) status = DVG_NEW(&c->against, n, "comparisons");
  DVG_TRY(dvg_world_agree(c->w, status));
  for (int64_t i = 0; i < n; i++) {
    struct dvg_report *r = &c->report[i];
    c->n = i + 1; // to be freed, whatever becomes of it
    *r = *like;
    if (c->folds.n > 0) asked.fold = &c->folds.list[i];
    if (of_features(s)) DVG_TRY(dvg_protocol_of_features(&c->protocol[i], c->w, c->gallery, c->probes));
    else DVG_TRY(dvg_protocol_create(&c->protocol[i], c->w, &asked));
    r->protocol = &c->protocol[i];
    DVG_TRY(said_once(c->w, check_fars, r));
    DVG_TRY(dvg_world_agree(c->w, c->w->rank == 0 ? open_against(c, i) : DVG_OK));
  }
  return DVG_OK;
}

static void recognition_free(struct recognition *c) {
  for (int64_t i = 0; i < c->n; i++) {
    dvg_report_free(&c->report[i]);
    dvg_against_free(&c->against[i]);
    dvg_protocol_free(&c->protocol[i]);
  }
  dvg_free(&c->protocol);
  dvg_free(&c->report);
  dvg_free(&c->against);
  dvg_folds_free(&c->folds);
}

// Collective. From embeddings to files in r->out.
static enum dvg_status evaluate_protocol(const struct recognition *c, struct dvg_report *r,
                                         const struct dvg_embedder *e) {
  const struct dvg_evaluate *s = r->settings;
  struct dvg_scores scores = {.place = NULL};
  struct dvg_bootstrap bootstrap = {.n = 0};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_scores_create(&scores, c->w, r->protocol));
  r->scores = &scores;
  DVG_TRY_GOTO(dvg_bootstrap_create(&bootstrap, c->w, &scores.people, r->far, r->n_fars,
                                    r->protocol->n_impostor, (uint64_t)s->seed, s->bootstrap));
  r->bootstrap = &bootstrap;
  DVG_TRY_GOTO(dvg_world_agree(c->w, dvg_report_fill(r)));
  DVG_TRY_GOTO(write_results(c->options, c->w, r, e));
  dvg_report_print(r);
done:
  dvg_bootstrap_free(&bootstrap);
  dvg_scores_free(&scores);
  r->scores = NULL;
  r->bootstrap = NULL;
  return status;
}

// Collective. Each fold in a folder of its own, then what they have in common.
static enum dvg_status evaluate_folds(const struct recognition *c, const struct dvg_embedder *e) {
  const struct dvg_evaluate *s = c->options->values;
  DVG_TRY(dvg_world_agree(c->w, c->w->rank == 0 ? dvg_report_clear(s->out) : DVG_OK));
  for (int64_t i = 0; i < c->n; i++) {
    struct dvg_report *r = &c->report[i];
    char *folder = NULL;
    DVG_TRY(dvg_text(&folder, "%s/fold-%s", s->out, c->folds.list[i].name));
    r->out = folder;
    dvg_info("fold %s", c->folds.list[i].name);
    enum dvg_status status = dvg_world_agree(c->w, c->w->rank == 0 ? dvg_path_make_folder(folder) : DVG_OK);
    if (status == DVG_OK) status = evaluate_protocol(c, r, e);
    r->out = NULL;
    dvg_free(&folder);
    DVG_TRY(status);
  }
  return dvg_world_agree(c->w, c->w->rank == 0 ? dvg_report_folds(c->report, &c->folds, s->out) : DVG_OK);
}

// ---- the run

static enum dvg_status check_settings(struct recognition *c, struct dvg_report *r) {
  const struct dvg_evaluate *s = r->settings;
  if (s->mean_of[0]) {
    if (s->images[0] || s->gallery_images[0] || s->probe_images[0] || of_features(s) || s->pairs[0])
      return dvg_fail(DVG_ERROR_USAGE, "--mean-of is of evaluations that are there: it goes with no images");
    return s->against[0] ? DVG_OK : dvg_fail(DVG_ERROR_USAGE, "--mean-of needs --against");
  }
  DVG_TRY(choose_paths(s, &c->gallery, &c->probes));
  DVG_TRY(choose_fars(r, s->far));
  if (!s->weights[0] && (s->pairs[0] || !of_features(s)))
    return dvg_fail(DVG_ERROR_USAGE, "--weights is missing: images and pairs need a recogniser");
  if (s->against[0] && !c->gallery)
    return dvg_fail(DVG_ERROR_USAGE, "--against compares recognition: it needs --images too");
  if (s->protocol[0] && !c->gallery)
    return dvg_fail(DVG_ERROR_USAGE, "--protocol lists images: it needs --images too");
  if (s->training[0] && !s->pairs[0])
    return dvg_fail(DVG_ERROR_USAGE, "--training is for --pairs, which are not given");
  if (s->protocol[0] && s->pairs[0])
    return dvg_fail(DVG_ERROR_USAGE, "--protocol and --pairs are evaluated each in a run of its own");
  if (s->benchmark != NO_BENCHMARK && !s->protocol[0])
    return dvg_fail(DVG_ERROR_USAGE, "--benchmark checks a list: it needs --protocol");
  return DVG_OK;
}

enum dvg_status dvg_evaluate_run(const struct dvg_options *o, const struct dvg_world *w) {
  const struct dvg_evaluate *s = o->values;
  struct dvg_report r = {.settings = s, .out = s->out};
  struct recognition c = {.options = o, .w = w};
  struct dvg_pair_quality quality = {.n_items = 0};
  struct dvg_training training = {.n = 0};
  struct dvg_embedder embedder = {.graph = NULL};
  dvg_log_quiet(w->rank != 0); // the settings are the same on all ranks
  enum dvg_status status = check_settings(&c, &r);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(w, status));
  if (s->mean_of[0]) {
    DVG_TRY(dvg_stage_make_folder(w, s->out));
    status = w->rank == 0 ? dvg_gains_mean(s->mean_of, s->against, s->out, s->confidence) : DVG_OK;
    return dvg_world_agree(w, status);
  }

  if (c.gallery) DVG_TRY_GOTO(recognition_create(&c, &r));
  DVG_TRY_GOTO(dvg_stage_make_folder(w, s->out));
  if (s->weights[0]) DVG_TRY_GOTO(dvg_embedder_create(&embedder, w, s->weights));
  // All inputs are looked at before the first image is embedded: the protocols' here, the pairs in their turn,
  // which is first.
  for (int64_t i = 0; i < c.n; i++) DVG_TRY_GOTO(dvg_protocol_check(&c.protocol[i], w, &embedder));
  if (s->pairs[0]) {
    if (s->training[0]) {
      DVG_TRY_GOTO(dvg_training_read(&training, w, s->training, s->leak_far, &embedder.file));
      r.training = &training;
    }
    DVG_TRY_GOTO(dvg_pair_quality(&quality, w, &embedder, s->pairs, s->pairs_sample, r.training));
    r.quality = &quality;
  }
  if (c.n > 0) DVG_TRY_GOTO(dvg_protocols_embed(c.protocol, c.n, w, &embedder));
  if (c.folds.n > 0) {
    DVG_TRY_GOTO(evaluate_folds(&c, &embedder));
    dvg_info("written      %s/folds.tsv", s->out);
  } else if (c.n > 0) {
    c.report[0].quality = r.quality;
    c.report[0].training = r.training;
    DVG_TRY_GOTO(evaluate_protocol(&c, &c.report[0], &embedder));
    dvg_info("written      %s/evaluation.h5", s->out);
  } else {
    DVG_TRY_GOTO(write_results(o, w, &r, &embedder));
    dvg_report_print(&r);
    dvg_info("written      %s/evaluation.h5", s->out);
  }
done:
  recognition_free(&c);
  dvg_pair_quality_free(&quality);
  dvg_training_free(&training);
  dvg_embedder_free(&embedder);
  return status;
}
