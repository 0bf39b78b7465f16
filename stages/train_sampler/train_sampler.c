#include "stages/train_sampler/train_sampler.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "stages/epoch.h"
#include "stages/features.h"
#include "stages/rates.h"
#include "stages/train_sampler/report.h"
#include "stages/train_sampler/split.h"
#include "stages/weights.h"

#define S struct dvg_sampler_settings
static const struct dvg_option options[] = {
    DVG_OPTION_PATH(S, features, "features", NULL, "folder of identity features, from dvg-extract"),
    DVG_TRAIN_OPTIONS(S, train),
    DVG_OPTION_REAL(S, width, "width", "1", 0.01, 16, "multiplier of the networks' layer sizes"),
    DVG_OPTION_INT(S, epochs, "epochs", "45", 1, 1e9, "passes over the features, at most"),
    DVG_OPTION_INT(S, batch, "batch", "256", 1, 1e6, "features in a step"),
    DVG_OPTION_INT(S, micro_batch, "micro-batch", "64", 1, 1e6,
                   "features computed at once; must divide the batch"),
    DVG_OPTION_REAL(S, rate, "rate", "0.001", 0, 10, "learning rate (Adam)"),
    DVG_OPTION_REAL(S, final_rate, "final-rate", "0.01", 0, 1,
                    "part of the rate that is left at the end (cosine decay); 1: constant"),
    DVG_OPTION_REAL(S, kl, "kl", "0.0005", 0, 1e6, "weight of the KL term"),
    DVG_OPTION_REAL(S, kl_warmup, "kl-warmup", "5", 0, 1e9, "epochs over which the KL weight rises from 0"),
    DVG_OPTION_REAL(S, held_out, "held-out", "0", 0, 0.9,
                    "part of the people whose features are not trained on but compared with"),
    DVG_OPTION_REAL(
        S, spread_tolerance, "spread-tolerance", "0.02", 0, 1,
        "end early when mean and deviation of the cosines between sampled identities are this near to "
        "those of real ones; 0: never"),
    DVG_OPTION_END};
#undef S

enum { N_SPREAD = 1000 }; // identities whose pairwise cosines are compared

struct job {
  const struct dvg_sampler_settings *set;
  const struct dvg_world *w;
  struct dvg_features features;
  int64_t steps_per_epoch;
  struct dvg_split split;
  struct dvg_epochs epochs;
  struct dvg_sampler_step step; // the VAE
  struct dvg_graph *sampling;   // its decoder alone, on N_SPREAD rows
  int noise, sampled;
  struct dvg_spread real, now;
};

enum dvg_status dvg_sampler_build(struct dvg_sampler_step *s, const struct dvg_sampler_settings *set,
                                  int64_t code) {
  int64_t m = set->micro_batch;
  struct dvg_model model = {set->width, 32, code};
  struct dvg_scope encoder = {&s->params, "encoder."}, decoder = {&s->params, "sampler."};
  double scale = 1 / (double)set->batch;
  int mean, log_variance;
  dvg_params_init(&s->params);
  DVG_TRY(dvg_graph_create(&s->graph));
  s->feature = dvg_graph_input(s->graph, "feature", m, code, 1, 1);
  s->eps = dvg_graph_input(s->graph, "eps", m, DVG_CODE, 1, 1);
  dvg_identity_encoder(s->graph, encoder, model, s->feature, &mean, &log_variance);
  int noise = dvg_graph_reparam(s->graph, mean, log_variance, s->eps);
  int reconstructed = dvg_identity_sampler(s->graph, decoder, model, noise);
  dvg_graph_loss_dot(s->graph, "cosine", reconstructed, s->feature, scale, -1);
  dvg_graph_loss_kl(s->graph, "kl", mean, log_variance, scale, set->kl);
  return DVG_OK;
}

void dvg_sampler_free(struct dvg_sampler_step *s) {
  dvg_graph_free(&s->graph);
  dvg_params_free(&s->params);
}

static enum dvg_status build(struct job *j) {
  struct dvg_model model = {j->set->width, 32, j->features.width};
  struct dvg_scope decoder = {&j->step.params, "sampler."};
  DVG_TRY(dvg_sampler_build(&j->step, j->set, j->features.width));
  DVG_TRY(dvg_graph_plan(j->step.graph, 1));

  DVG_TRY(dvg_graph_create(&j->sampling));
  j->noise = dvg_graph_input(j->sampling, "noise", N_SPREAD, DVG_CODE, 1, 1);
  j->sampled = dvg_identity_sampler(j->sampling, decoder, model, j->noise);
  dvg_graph_keep(j->sampling, j->sampled);
  return dvg_graph_plan(j->sampling, 0);
}

static double rate_at(void *job, int64_t step) {
  struct job *j = job;
  return dvg_rate_cosine(j->set->rate, j->set->final_rate, step, j->set->epochs * j->steps_per_epoch);
}

static enum dvg_status fill(void *job, int64_t step, int64_t micro) {
  struct job *j = job;
  float *feature = dvg_graph_values(j->step.graph, j->step.feature);
  float *eps = dvg_graph_values(j->step.graph, j->step.eps);
  for (int64_t i = 0; i < j->set->micro_batch; i++) {
    int64_t k = step * j->set->batch + micro * j->set->micro_batch + i;
    int64_t item = j->split.item[dvg_epochs_item(&j->epochs, k)];
    DVG_TRY(dvg_features_read(feature + i * j->features.width, &j->features, item));
    struct dvg_rng r;
    dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_ATTRIBUTE, (uint64_t)k);
    dvg_rng_normals(&r, eps + i * DVG_CODE, DVG_CODE);
  }
  double warmup = j->set->kl_warmup * (double)j->steps_per_epoch;
  dvg_graph_set_weight(j->step.graph, 1, dvg_rate_warmup(j->set->kl, step, warmup));
  return DVG_OK;
}

// The first features of up to N_SPREAD people, those held out (1) or trained on (0). The caller frees out->x.
static enum dvg_status read_people(struct dvg_identities *out, const struct job *j, int held) {
  const struct dvg_split *s = &j->split;
  float *x = NULL;
  int64_t n = s->n_people[held] < N_SPREAD ? s->n_people[held] : N_SPREAD;
  enum dvg_status status = DVG_NEW(&x, n * j->features.width, "features");
  for (int64_t i = 0; i < n && status == DVG_OK; i++)
    status = dvg_features_read(x + i * j->features.width, &j->features, s->people[held][i]);
  *out = (struct dvg_identities){x, n};
  if (status != DVG_OK) dvg_free(&x);
  return status;
}

static void forget(struct dvg_identities *all) {
  float *x = (float *)all->x;
  dvg_free(&x);
}

// Whose identities the sampled ones are compared with: of people that were held out, if any.
static int reference(const struct job *j) {
  return j->split.n_people[1] > 0;
}

static enum dvg_status split_people(struct job *j) {
  int64_t *identity = NULL;
  enum dvg_status status = DVG_NEW(&identity, j->features.n, "identities");
  if (status == DVG_OK) status = dvg_features_people(identity, &j->features, 0, j->features.n);
  if (status == DVG_OK)
    status = dvg_split_of(&j->split, identity, j->features.n, j->set->held_out, (uint64_t)j->set->train.seed);
  dvg_free(&identity);
  return status;
}

// Shares people out, and measures the spread of the real identities.
static enum dvg_status measure_real(void *job) {
  struct job *j = job;
  struct dvg_identities real;
  DVG_TRY(split_people(j));
  int64_t n = j->split.n_people[reference(j)], rest = j->split.n_people[0];
  if (rest < 2) return dvg_fail(DVG_ERROR_INPUT, "%s: holds fewer than two people", j->set->features);
  if (n < 2 || (j->set->held_out > 0 && n <= DVG_IDENTITY_NEIGHBOURS))
    return dvg_fail(
        DVG_ERROR_INPUT, "%s: --held-out %g leaves %lld people to compare with, more than %d are needed",
        j->set->features, j->set->held_out, (long long)j->split.n_people[1], DVG_IDENTITY_NEIGHBOURS);
  DVG_TRY(read_people(&real, j, reference(j)));
  enum dvg_status status = dvg_spread_of(&j->real, real.x, real.n, j->features.width);
  forget(&real);
  return status;
}

static enum dvg_status measure_sampled(struct job *j) {
  struct dvg_rng r;
  for (int64_t i = 0; i < N_SPREAD; i++) {
    dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_NOISE, (uint64_t)i);
    dvg_rng_normals(&r, dvg_graph_values(j->sampling, j->noise) + i * DVG_CODE, DVG_CODE);
  }
  dvg_graph_forward(j->sampling);
  return dvg_spread_of(&j->now, dvg_graph_values(j->sampling, j->sampled), N_SPREAD, j->features.width);
}

// At the end of an epoch past the warm-up: rank 0 looks at the spread and decides for all.
static enum dvg_status after_step(void *job, int64_t step, int *finished) {
  struct job *j = job;
  if (step % j->steps_per_epoch != 0) return DVG_OK;
  enum dvg_status status = DVG_OK;
  if (j->w->rank == 0) status = measure_sampled(j);
  DVG_TRY(dvg_world_agree(j->w, status));
  if (j->w->rank == 0) {
    int warm = (double)step >= j->set->kl_warmup * (double)j->steps_per_epoch;
    *finished = warm && dvg_spread_is_near(&j->now, &j->real, j->set->spread_tolerance);
    dvg_info("  epoch %lld: cosines between sampled identities %.3f +- %.3f, real ones %.3f +- %.3f%s",
             (long long)(step / j->steps_per_epoch), j->now.mean, j->now.deviation, j->real.mean,
             j->real.deviation, *finished ? ": near enough, done" : "");
  }
  dvg_world_broadcast(j->w, finished, sizeof *finished, 0);
  return DVG_OK;
}

static enum dvg_status sheet(void *job, int64_t step, const char *path) {
  struct job *j = job;
  (void)step;
  DVG_TRY(measure_sampled(j));
  return dvg_spread_plot(path, "cosines between pairs of identities", &j->real, &j->now);
}

// The decoder alone: the encoder stays in the checkpoint.
static enum dvg_status save(struct job *j, const struct dvg_lineage *lineage) {
  char path[1100], digest[DVG_DIGEST_TEXT];
  struct dvg_weights f = {.net = "identity_sampler", .model = {j->set->width, 32, j->features.width}};
  snprintf(path, sizeof path, "%s/sampler.h5", j->set->train.out);
  DVG_TRY(dvg_weights_save(path, &j->step.params, "sampler.", &f, lineage, digest));
  dvg_info("%s: %s", path, digest);
  return DVG_OK;
}

// How the sampled identities compare with real ones, beside the weights.
static enum dvg_status report(struct job *j) {
  struct dvg_identities real = {0}, training = {0};
  struct dvg_identity_report r = {0};
  enum dvg_status status;
  if (j->split.n_people[reference(j)] <= DVG_IDENTITY_NEIGHBOURS) {
    dvg_info("too few people for a report on the identities");
    return DVG_OK;
  }
  DVG_TRY_GOTO(read_people(&training, j, 0));
  if (reference(j)) DVG_TRY_GOTO(read_people(&real, j, 1));
  DVG_TRY_GOTO(measure_sampled(j));
  struct dvg_identities sampled = {dvg_graph_values(j->sampling, j->sampled), N_SPREAD};
  DVG_TRY_GOTO(dvg_identity_report_of(&r, reference(j) ? real : training, sampled, training, j->features.width));
  DVG_TRY_GOTO(dvg_identity_report_write(&r, j->set->train.out));
  dvg_info(
      "identities, real and sampled: nearest other %.3f, %.3f; nearest trained on %.3f, %.3f; coverage %.2f, "
      "%.2f; directions %.1f, %.1f",
      r.kind[0].nearest_mean, r.kind[1].nearest_mean, r.kind[0].training_mean, r.kind[1].training_mean,
      r.kind[0].coverage, r.kind[1].coverage, r.kind[0].directions, r.kind[1].directions);
done:
  dvg_identity_report_free(&r);
  forget(&real);
  forget(&training);
  return status;
}

// Whose features they are: identities of one recogniser mean nothing to another.
static enum dvg_status add_recognizer(struct dvg_lineage *lineage, const struct dvg_features *f) {
  char digest[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_features_input(digest, f, "weights"));
  dvg_lineage_add(lineage, "recognizer", "recognizer", digest);
  return DVG_OK;
}

static enum dvg_status train(struct job *j, struct dvg_lineage *lineage) {
  const struct dvg_sampler_settings *set = j->set;
  DVG_TRY(dvg_features_open(&j->features, j->w, set->features));
  dvg_lineage_add(lineage, "features", set->features, dvg_shard_reader_digest(j->features.reader));
  DVG_TRY(dvg_world_agree(j->w, add_recognizer(lineage, &j->features)));
  DVG_TRY(dvg_world_root_first(j->w, measure_real, j));
  j->steps_per_epoch = (j->split.n_items + set->batch - 1) / set->batch;
  DVG_TRY(dvg_train_check_dump(j->w, &set->train, set->epochs * j->steps_per_epoch));
  enum dvg_status status = dvg_epochs_init(&j->epochs, (uint64_t)set->train.seed, j->split.n_items);
  DVG_TRY(dvg_world_agree(j->w, status));
  DVG_TRY(dvg_world_agree(j->w, build(j)));
  dvg_params_initialize(&j->step.params, (uint64_t)set->train.seed);
  dvg_params_share(&j->step.params, j->w);
  struct dvg_trainer t = {.world = j->w,
                          .settings = &set->train,
                          .lineage = lineage,
                          .name = "sampler",
                          .result = "sampler.h5",
                          .graph = j->step.graph,
                          .params = &j->step.params,
                          .n_steps = set->epochs * j->steps_per_epoch,
                          .n_micro = set->batch / set->micro_batch,
                          .optimizer = DVG_ADAM,
                          .adam = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
                          .job = j,
                          .rate = rate_at,
                          .fill = fill,
                          .sheet = sheet,
                          .after_step = after_step};
  DVG_TRY(dvg_trainer_run(&t, NULL));
  if (set->train.plan) return DVG_OK;
  enum dvg_status saved = DVG_OK;
  if (j->w->rank == 0) saved = save(j, lineage);
  if (j->w->rank == 0 && saved == DVG_OK) saved = report(j);
  return dvg_world_agree(j->w, saved);
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct dvg_lineage lineage;
  struct job j = {.set = o->values, .w = w};
  if (j.set->batch % j.set->micro_batch)
    return w->rank != 0 ? DVG_ERROR_USAGE
                        : dvg_fail(DVG_ERROR_USAGE, "--micro-batch %lld does not divide --batch %lld",
                                   (long long)j.set->micro_batch, (long long)j.set->batch);
  DVG_TRY(dvg_train_begin(w, &j.set->train));
  enum dvg_status status = dvg_world_agree(w, dvg_lineage_init(&lineage, o));
  if (status == DVG_OK) status = train(&j, &lineage);
  dvg_lineage_free(&lineage);
  dvg_sampler_free(&j.step);
  dvg_graph_free(&j.sampling);
  dvg_epochs_free(&j.epochs);
  dvg_split_free(&j.split);
  dvg_features_close(&j.features);
  return status;
}

const struct dvg_stage dvg_stage_train_sampler = {
    "dvg-train-sampler",
    "stage 2: trains the identity sampler, a VAE on identity features",
    options,
    NULL,
    sizeof(struct dvg_sampler_settings),
    run};
