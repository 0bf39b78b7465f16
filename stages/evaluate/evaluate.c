#include "stages/evaluate/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/evaluate/report.h"

enum { FIRST, RANDOM, MAX_STORED = 10000000 };

static const struct dvg_option options[] = {
    DVG_OPTION_PATH(struct dvg_evaluate, images, "images", "",
                    "packed images that have both gallery and probes"),
    DVG_OPTION_PATH(struct dvg_evaluate, gallery_images, "gallery-images", "",
                    "packed images of the gallery [--images]"),
    DVG_OPTION_PATH(struct dvg_evaluate, probe_images, "probe-images", "",
                    "packed images of the probes [--images]"),
    DVG_OPTION_PATH(struct dvg_evaluate, pairs, "pairs", "",
                    "folder of a generated pair set, to judge its quality"),
    DVG_OPTION_PATH(struct dvg_evaluate, weights, "weights", NULL,
                    "weight file of the recogniser (lightcnn29v2)"),
    DVG_OPTION_PATH(struct dvg_evaluate, out, "out", NULL, "folder for the results"),
    DVG_OPTION_TEXT(struct dvg_evaluate, name, "name", "", "title of this evaluation"),
    DVG_OPTION_TEXT(struct dvg_evaluate, gallery_domain, "gallery-domain", "VIS",
                    "domain of the gallery images"),
    DVG_OPTION_TEXT(struct dvg_evaluate, probe_domain, "probe-domain", "NIR", "domain of the probe images"),
    DVG_OPTION_INT(struct dvg_evaluate, gallery_per_person, "gallery-per-person", "0", 0, 1000000,
                   "gallery images a person; 0: all"),
    DVG_OPTION_CHOICE(struct dvg_evaluate, gallery_choice, "gallery-choice", "first", "first|random",
                      "which ones: the first of the file, or drawn with the seed"),
    DVG_OPTION_TEXT(
        struct dvg_evaluate, far, "far", "",
        "FARs to report, comma separated, each at least 1/impostors [0.1 to 1e-05, as far as possible]"),
    DVG_OPTION_CHOICE(struct dvg_evaluate, far_convention, "far-convention", "conservative",
                      "conservative|liberal",
                      "TAR at the last threshold with FAR <= t, or at the first with FAR > t"),
    DVG_OPTION_INT(struct dvg_evaluate, bootstrap, "bootstrap", "1000", 0, 1000000,
                   "replicates of the bootstrap over people, for intervals; 0: none"),
    DVG_OPTION_REAL(struct dvg_evaluate, confidence, "confidence", "0.95", 0.5, 0.999,
                    "part of the replicates within an interval"),
    DVG_OPTION_PATH(struct dvg_evaluate, against, "against", "",
                    "folder of an evaluation of another recogniser on the same images, to compare with"),
    DVG_OPTION_INT(struct dvg_evaluate, pairs_sample, "pairs-sample", "10000", 0, 9e15,
                   "pairs of the set to look at, evenly spread; 0: all"),
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

// Which files hold gallery and probes; NULL, NULL: no protocol is asked for.
static enum dvg_status choose_paths(const struct dvg_evaluate *s, const char **gallery, const char **probes) {
  *gallery = s->gallery_images[0] ? s->gallery_images : s->images;
  *probes = s->probe_images[0] ? s->probe_images : s->images;
  if (!(*gallery)[0] && !(*probes)[0]) {
    *gallery = *probes = NULL;
    if (!s->pairs[0])
      return dvg_fail(DVG_ERROR_USAGE,
                      "nothing to evaluate: give --images (or --gallery-images and --probe-images) or "
                      "--pairs");
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

static enum dvg_status open_against(struct dvg_report *r, struct dvg_against *a) {
  const struct dvg_evaluate *s = r->settings;
  if (!s->against[0]) return DVG_OK;
  const struct dvg_against_terms terms = {.protocol = r->protocol,
                                          .seed = (uint64_t)s->seed,
                                          .n_replicates = s->bootstrap,
                                          .far_convention = dvg_report_convention(s),
                                          .far = r->far,
                                          .n_fars = r->n_fars};
  DVG_TRY(dvg_against_open(a, s->against, &terms));
  r->against = a;
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
  dvg_lineage_add(&l, "weights", s->weights, out->weights_digest);
  if (r->protocol) {
    const struct dvg_side *g = &r->protocol->gallery, *q = &r->protocol->probes;
    const char *path_g = dvg_artifact_path(g->set->file), *path_q = dvg_artifact_path(q->set->file);
    dvg_lineage_add(&l, g->set == q->set ? "images" : "gallery", path_g, dvg_artifact_digest(g->set->file));
    if (g->set != q->set) dvg_lineage_add(&l, "probes", path_q, dvg_artifact_digest(q->set->file));
  }
  if (r->quality) dvg_lineage_add(&l, "pairs", s->pairs, r->quality->digest);
  if (r->against) dvg_lineage_add(&l, "against", s->against, r->against->digest);
  DVG_TRY_GOTO(dvg_text(&path, "%s/evaluation.h5", s->out));
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
  status = w->rank == 0 ? dvg_report_files(r, s->out) : DVG_OK;
  if (status == DVG_OK && w->rank == 0) status = dvg_artifact_commit(&out.file, NULL);
  status = dvg_world_agree(w, status);
done:
  dvg_artifact_discard(&out.file);
  return status;
}

// ---- the run

enum dvg_status dvg_evaluate_run(const struct dvg_options *o, const struct dvg_world *w) {
  const struct dvg_evaluate *s = o->values;
  struct dvg_report r = {.settings = s};
  struct dvg_protocol protocol = {.same_set = 0};
  struct dvg_scores scores = {.place = NULL};
  struct dvg_bootstrap bootstrap = {.n = 0};
  struct dvg_against against = {.name = NULL}; // rank 0
  struct dvg_pair_quality quality;
  struct dvg_embedder embedder = {.graph = NULL};
  const char *gallery, *probes;
  dvg_log_quiet(w->rank != 0); // the settings are the same on all ranks
  enum dvg_status status = choose_paths(s, &gallery, &probes);
  if (status == DVG_OK) status = choose_fars(&r, s->far);
  if (status == DVG_OK && s->against[0] && !gallery)
    status = dvg_fail(DVG_ERROR_USAGE, "--against compares recognition: it needs --images too");
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(w, status));

  struct dvg_protocol_options asked = {.gallery_path = gallery,
                                       .probe_path = probes,
                                       .gallery_domain = s->gallery_domain,
                                       .probe_domain = s->probe_domain,
                                       .per_person = s->gallery_per_person,
                                       .at_random = s->gallery_choice == RANDOM,
                                       .seed = (uint64_t)s->seed};
  if (gallery) {
    DVG_TRY_GOTO(dvg_protocol_create(&protocol, w, &asked));
    r.protocol = &protocol;
    DVG_TRY_GOTO(said_once(w, check_fars, &r));
    DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? open_against(&r, &against) : DVG_OK));
  }
  DVG_TRY_GOTO(dvg_stage_make_folder(w, s->out));
  DVG_TRY_GOTO(dvg_embedder_create(&embedder, w, s->weights));
  // All inputs are looked at before the first image is embedded: the protocol's here, the pairs in their turn,
  // which is first.
  if (gallery) DVG_TRY_GOTO(dvg_protocol_check(&protocol, w, &embedder));
  if (s->pairs[0]) {
    DVG_TRY_GOTO(dvg_pair_quality(&quality, w, &embedder, s->pairs, s->pairs_sample));
    r.quality = &quality;
  }
  if (gallery) {
    DVG_TRY_GOTO(dvg_protocol_embed(&protocol, w, &embedder));
    DVG_TRY_GOTO(dvg_scores_create(&scores, w, &protocol));
    r.scores = &scores;
    DVG_TRY_GOTO(dvg_bootstrap_create(&bootstrap, w, &scores.people, r.far, r.n_fars, protocol.n_impostor,
                                      (uint64_t)s->seed, s->bootstrap));
    r.bootstrap = &bootstrap;
  }
  DVG_TRY_GOTO(dvg_world_agree(w, dvg_report_fill(&r)));
  DVG_TRY_GOTO(write_results(o, w, &r, &embedder));
  dvg_report_print(&r);
  dvg_info("written      %s/evaluation.h5", s->out);
done:
  dvg_report_free(&r);
  dvg_against_free(&against);
  dvg_bootstrap_free(&bootstrap);
  dvg_scores_free(&scores);
  dvg_protocol_free(&protocol);
  dvg_embedder_free(&embedder);
  return status;
}
