#include "stages/generate/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "io/shards.h"
#include "io/sheet.h"
#include "mpi/distribute.h"

#define S struct dvg_generate_settings
static const struct dvg_option options[] = {
    DVG_OPTION_PATH(S, generator, "generator", NULL, "weights of the dual generator"),
    DVG_OPTION_PATH(S, sampler, "sampler", NULL, "weights of the identity sampler"),
    DVG_OPTION_PATH(S, bank, "bank", NULL,
                    "image set whose images lend their attributes (pose, light, expression ...)"),
    DVG_OPTION_PATH(S, recognizer, "recognizer", "",
                    "weights of a recogniser that scores the pairs; \"\": no scores"),
    DVG_OPTION_TEXT(S, domain, "domain", NULL, "the first domain, as named in the bank"),
    DVG_OPTION_TEXT(S, visible, "visible", "VIS", "the second domain"),
    DVG_OPTION_PATH(S, out, "out", NULL, "folder for the shards"),
    DVG_OPTION_CHOICE(
        S, attributes, "attributes", "person", "person|any",
        "whose attributes the images of a pair get: those of one person's two images, or of any two"),
    DVG_OPTION_INT(S, count, "count", "100000", 1, 9e15, "pairs to make"),
    DVG_OPTION_INT(S, per_shard, "per-shard", "1000", 1, 1e9, "pairs in a shard"),
    DVG_OPTION_INT(S, seed, "seed", "1", 0, 9e15, "seed of identities and attributes"),
    DVG_OPTION_END};
#undef S

enum { BATCH = 8, SCHEMA_VERSION = 1, MAX_ATTEMPTS = 64 };

struct job {
  const struct dvg_generate_settings *set;
  const struct dvg_world *w;
  const struct dvg_lineage *lineage;
  struct dvg_weights generator, sampler;
  struct dvg_image_set bank_images;
  struct dvg_bank bank[2];
  struct dvg_pairs people; // who is in both domains of the bank, for --attributes person
  struct dvg_embedder scorer;
  struct dvg_shards shards;
  const char *domain[2];
  // one graph for a batch of identities, one for their images in each domain
  struct dvg_params sampler_params, decoder_params;
  struct dvg_graph *sampling, *painting[2];
  int noise, sampled, identity[2], z[2], style[2], image[2];
};

// One batch of pairs on its way into a shard.
struct batch {
  int64_t first, from, count; // number of its first pair; rows that belong to the shard: [from, from + count)
  unsigned char *pixels[2];   // (BATCH,size,size,3)
  int64_t attribute[2][BATCH], number[BATCH]; // attribute: rows of the bank's image set
  float identity[BATCH * DVG_CODE], embedding[2][BATCH * DVG_CODE];
  float cos_pair[BATCH], cos_identity[2][BATCH];
  unsigned char fate[BATCH];
  int32_t attempt[BATCH];
};

static enum dvg_status build(struct job *j) {
  DVG_TRY(dvg_graph_create(&j->sampling));
  j->noise = dvg_graph_input(j->sampling, "noise", BATCH, DVG_CODE, 1, 1);
  j->sampled =
      dvg_identity_sampler(j->sampling, (struct dvg_scope){&j->sampler_params, ""}, j->sampler.model, j->noise);
  dvg_graph_keep(j->sampling, j->sampled);
  for (int d = 0; d < 2; d++) {
    char lower[64];
    dvg_weights_domain(lower, sizeof lower, j->domain[d]);
    DVG_TRY(dvg_graph_create(&j->painting[d]));
    struct dvg_graph *g = j->painting[d];
    struct dvg_scope s = {&j->decoder_params, "decoder."};
    j->identity[d] = dvg_graph_input(g, "identity", BATCH, DVG_CODE, 1, 1);
    j->z[d] = dvg_graph_input(g, "z", BATCH, DVG_CODE, 1, 1);
    j->style[d] = dvg_graph_input(g, "style", BATCH, dvg_style_values(j->generator.model), 1, 1);
    j->image[d] = dvg_decoder_head(g, s, lower,
                                   dvg_decoder(g, s, j->generator.model, j->identity[d], j->z[d], j->style[d]));
    dvg_graph_keep(g, j->image[d]);
  }
  return DVG_OK;
}

// After build: the second graph adds its head to the parameters of the first.
static enum dvg_status plan(struct job *j) {
  DVG_TRY(dvg_graph_plan(j->sampling, 0));
  for (int d = 0; d < 2; d++) DVG_TRY(dvg_graph_plan(j->painting[d], 0));
  return DVG_OK;
}

// ---- one batch

// The rows of the bank's image set that lend pair `number` its attributes.
static void draw_attributes(const struct job *j, int64_t number, int64_t row[2]) {
  uint64_t seed = (uint64_t)j->set->seed, item = (uint64_t)number * MAX_ATTEMPTS;
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_PAIR_ATTRIBUTE, item);
  if (j->set->attributes == DVG_ATTRIBUTES_PERSON)
    dvg_pairs_draw(&j->people, &j->bank_images, dvg_rng_below(&r, j->people.n_items), seed, item, row);
  else
    for (int d = 0; d < 2; d++) row[d] = j->bank[d].row[dvg_rng_below(&r, j->bank[d].n)];
}

static void sample_identities(struct job *j, struct batch *b) {
  float *noise = dvg_graph_values(j->sampling, j->noise);
  for (int64_t i = 0; i < BATCH; i++) {
    struct dvg_rng r;
    int64_t row[2];
    b->number[i] = b->first + i;
    b->attempt[i] = 0;
    b->fate[i] = 0;
    dvg_rng_init(&r, (uint64_t)j->set->seed, DVG_STREAM_PAIR_IDENTITY, (uint64_t)b->number[i] * MAX_ATTEMPTS);
    dvg_rng_normals(&r, noise + i * DVG_CODE, DVG_CODE);
    draw_attributes(j, b->number[i], row);
    for (int d = 0; d < 2; d++) b->attribute[d][i] = row[d];
  }
  dvg_graph_forward(j->sampling);
  memcpy(b->identity, dvg_graph_values(j->sampling, j->sampled), sizeof b->identity);
}

// Planar floats in [0,1] to interleaved bytes.
static void to_bytes(unsigned char *out, const float *planes, int64_t places) {
  for (int64_t s = 0; s < places; s++)
    for (int64_t c = 0; c < 3; c++) out[s * 3 + c] = (unsigned char)lrintf(255 * planes[c * places + s]);
}

static void paint(struct job *j, struct batch *b, int d) {
  const struct dvg_bank *bank = &j->bank[d];
  struct dvg_graph *g = j->painting[d];
  int64_t places = j->generator.model.size * j->generator.model.size;
  memcpy(dvg_graph_values(g, j->identity[d]), b->identity, sizeof b->identity);
  for (int64_t i = 0; i < BATCH; i++) {
    int64_t k = bank->place[b->attribute[d][i]];
    memcpy(dvg_graph_values(g, j->z[d]) + i * DVG_CODE, bank->z + k * DVG_CODE, DVG_CODE * sizeof(float));
    memcpy(dvg_graph_values(g, j->style[d]) + i * bank->n_style, bank->style + k * bank->n_style,
           (size_t)bank->n_style * sizeof(float));
  }
  dvg_graph_forward(g);
  const float *planes = dvg_graph_values(g, j->image[d]);
  for (int64_t i = 0; i < BATCH; i++) to_bytes(b->pixels[d] + i * places * 3, planes + i * places * 3, places);
}

static float cosine(const float *a, const float *b) {
  double sum = 0;
  for (int64_t c = 0; c < DVG_CODE; c++) sum += (double)a[c] * b[c];
  return (float)sum;
}

static enum dvg_status score(struct job *j, struct batch *b) {
  int64_t size = j->generator.model.size;
  for (int d = 0; d < 2; d++) {
    DVG_TRY(dvg_embed_pixels(&j->scorer, b->pixels[d], BATCH, size, size, 3, b->embedding[d]));
    for (int64_t i = 0; i < BATCH; i++)
      b->cos_identity[d][i] = cosine(b->embedding[d] + i * DVG_CODE, b->identity + i * DVG_CODE);
  }
  for (int64_t i = 0; i < BATCH; i++)
    b->cos_pair[i] = cosine(b->embedding[0] + i * DVG_CODE, b->embedding[1] + i * DVG_CODE);
  return DVG_OK;
}

// ---- one shard

static enum dvg_status define(struct job *j, struct dvg_artifact *a, int64_t n) {
  int64_t size = j->generator.model.size, images[] = {n, size, size, 3}, codes[] = {n, DVG_CODE};
  char name[96];
  DVG_TRY(dvg_artifact_set_text(a, "domain", j->domain[0]));
  DVG_TRY(dvg_artifact_set_text(a, "visible", j->domain[1]));
  for (int d = 0; d < 2; d++) {
    snprintf(name, sizeof name, "image_%s", j->domain[d]);
    DVG_TRY(dvg_artifact_define(a, name, DVG_U8, 4, images));
    snprintf(name, sizeof name, "attribute_%s", j->domain[d]);
    DVG_TRY(dvg_artifact_define(a, name, DVG_I64, 1, &n));
    snprintf(name, sizeof name, "cos_%s", j->domain[d]);
    if (j->scorer.graph) DVG_TRY(dvg_artifact_define(a, name, DVG_F32, 1, &n));
  }
  if (j->scorer.graph) DVG_TRY(dvg_artifact_define(a, "cos_pair", DVG_F32, 1, &n));
  DVG_TRY(dvg_artifact_define(a, "identity", DVG_F32, 2, codes));
  DVG_TRY(dvg_artifact_define(a, "number", DVG_I64, 1, &n));
  DVG_TRY(dvg_artifact_define(a, "fate", DVG_U8, 1, &n));
  return dvg_artifact_define(a, "attempt", DVG_I32, 1, &n);
}

static enum dvg_status append(struct job *j, struct dvg_artifact *a, const struct batch *b) {
  int64_t from = b->from, bytes = j->generator.model.size * j->generator.model.size * 3;
  char name[96];
  for (int d = 0; d < 2; d++) {
    snprintf(name, sizeof name, "image_%s", j->domain[d]);
    DVG_TRY(dvg_artifact_append(a, name, b->count, b->pixels[d] + from * bytes));
    snprintf(name, sizeof name, "attribute_%s", j->domain[d]);
    DVG_TRY(dvg_artifact_append(a, name, b->count, b->attribute[d] + from));
    snprintf(name, sizeof name, "cos_%s", j->domain[d]);
    if (j->scorer.graph) DVG_TRY(dvg_artifact_append(a, name, b->count, b->cos_identity[d] + from));
  }
  if (j->scorer.graph) DVG_TRY(dvg_artifact_append(a, "cos_pair", b->count, b->cos_pair + from));
  DVG_TRY(dvg_artifact_append(a, "identity", b->count, b->identity + from * DVG_CODE));
  DVG_TRY(dvg_artifact_append(a, "number", b->count, b->number + from));
  DVG_TRY(dvg_artifact_append(a, "fate", b->count, b->fate + from));
  return dvg_artifact_append(a, "attempt", b->count, b->attempt + from);
}

// Batches lie on fixed borders of the pair number, wherever the shard begins: the last bits of a matrix product
// may depend on the place of a row in it. The first and the last batch of a shard are computed whole and cut.
static enum dvg_status fill_shard(struct job *j, struct dvg_artifact *a, struct batch *b, int64_t shard) {
  int64_t first = dvg_shards_first(&j->shards, shard), end = first + dvg_shards_rows(&j->shards, shard);
  DVG_TRY(define(j, a, end - first));
  for (b->first = first / BATCH * BATCH; b->first < end; b->first += BATCH) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    b->from = first > b->first ? first - b->first : 0;
    b->count = (end - b->first < BATCH ? end - b->first : BATCH) - b->from;
    sample_identities(j, b);
    for (int d = 0; d < 2; d++) paint(j, b, d);
    if (j->scorer.graph) DVG_TRY(score(j, b));
    DVG_TRY(append(j, a, b));
  }
  return DVG_OK;
}

static enum dvg_status make_shard(int64_t shard, void *context) {
  struct job *j = context;
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  struct batch *b = NULL;
  int64_t bytes = BATCH * j->generator.model.size * j->generator.model.size * 3;
  enum dvg_status status = DVG_NEW(&b, 1, "batch of pairs");
  for (int d = 0; d < 2 && status == DVG_OK; d++) status = DVG_NEW(&b->pixels[d], bytes, "batch of pairs");
  if (status == DVG_OK) status = dvg_shards_path(&path, &j->shards, shard);
  if (status == DVG_OK) status = dvg_lineage_create(&a, path, "pairs", SCHEMA_VERSION, j->lineage);
  if (status == DVG_OK) status = fill_shard(j, a, b, shard);
  if (status == DVG_OK) status = dvg_artifact_commit(&a, NULL);
  dvg_artifact_discard(&a);
  for (int d = 0; b && d < 2; d++) dvg_free(&b->pixels[d]);
  dvg_free(&b);
  dvg_free(&path);
  return status;
}

// ---- the stage

static enum dvg_status check_domains(const struct job *j) {
  char asked[256], wanted[256];
  snprintf(asked, sizeof asked, "%s,%s", j->domain[0], j->domain[1]);
  dvg_weights_domain(wanted, sizeof wanted, asked);
  if (strcmp(wanted, j->generator.domains) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: paints the domains %s, but %s are asked for", j->generator.path,
                    j->generator.domains, wanted);
  return DVG_OK;
}

static enum dvg_status check_scorer(const struct job *j) {
  int64_t takes = j->scorer.file.model.size, size = j->generator.model.size;
  if (takes > size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: takes images of size %lld, but %s paints %lld", j->scorer.file.path,
                    (long long)takes, j->generator.path, (long long)size);
  return DVG_OK;
}

static enum dvg_status find_people(void *context) {
  struct job *j = context;
  return dvg_pairs_find(&j->people, &j->bank_images, j->domain[0], j->domain[1]);
}

static enum dvg_status load(struct job *j, struct dvg_lineage *lineage) {
  const struct dvg_generate_settings *set = j->set;
  DVG_TRY(dvg_weights_describe(&j->generator, j->w, set->generator, "generator"));
  DVG_TRY(dvg_weights_describe(&j->sampler, j->w, set->sampler, "identity_sampler"));
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? check_domains(j) : DVG_OK));
  DVG_TRY(dvg_stage_open_images(&j->bank_images, j->w, set->bank));
  for (int d = 0; d < 2; d++)
    DVG_TRY(dvg_bank_create(&j->bank[d], j->w, &j->generator, &j->bank_images, j->domain[d]));
  if (set->attributes == DVG_ATTRIBUTES_PERSON) {
    DVG_TRY(dvg_world_root_first(j->w, find_people, j));
    dvg_info("attributes of %lld people in both %s and %s; %lld people in one of them only are left out",
             (long long)j->people.n_people, j->domain[0], j->domain[1], (long long)j->people.n_one_domain);
  }
  DVG_TRY(dvg_world_agree(j->w, build(j)));
  DVG_TRY(dvg_weights_check(&j->sampler_params, "", &j->sampler, j->w, 1));
  DVG_TRY(dvg_weights_check(&j->decoder_params, "", &j->generator, j->w, 1));
  DVG_TRY(dvg_world_agree(j->w, plan(j)));
  DVG_TRY(dvg_weights_load(&j->sampler_params, "", &j->sampler, j->w, 1));
  DVG_TRY(dvg_weights_load(&j->decoder_params, "", &j->generator, j->w, 1));
  dvg_lineage_add(lineage, "generator", set->generator, j->generator.digest);
  dvg_lineage_add(lineage, "sampler", set->sampler, j->sampler.digest);
  dvg_lineage_add(lineage, "bank", set->bank, dvg_artifact_digest(j->bank_images.file));
  if (!set->recognizer[0]) return DVG_OK;
  DVG_TRY(dvg_embedder_create(&j->scorer, j->w, set->recognizer));
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? check_scorer(j) : DVG_OK));
  dvg_lineage_add(lineage, "recognizer", set->recognizer, j->scorer.file.digest);
  return DVG_OK;
}

static enum dvg_status describe_shards(void *context) {
  struct job *j = context;
  return dvg_shards_create(&j->shards, j->set->out, j->set->count, j->set->per_shard);
}

static enum dvg_status generate(struct job *j, struct dvg_lineage *lineage) {
  unsigned char *pending = NULL;
  double start = dvg_seconds();
  DVG_TRY(load(j, lineage));
  DVG_TRY(dvg_world_root_first(j->w, describe_shards, j)); // makes the folder
  enum dvg_status status = dvg_world_agree(j->w, DVG_NEW(&pending, j->shards.n_shards, "shards to make"));
  if (status == DVG_OK)
    status = dvg_stage_find_pending(pending, j->w, &j->shards, "pairs", SCHEMA_VERSION, lineage);
  if (status == DVG_OK)
    status = dvg_distribute_tasks(j->w, j->shards.n_shards, pending, make_shard, j, "shards");
  if (status == DVG_OK) {
    char root[DVG_DIGEST_TEXT] = "";
    status = dvg_stage_index(j->w, &j->shards, "pairs", lineage, root);
    if (status == DVG_OK)
      dvg_info("%s: %lld pairs in %lld shards, %.1f s, root digest %s", j->set->out, (long long)j->set->count,
               (long long)j->shards.n_shards, dvg_seconds() - start, root);
  }
  dvg_free(&pending);
  return status;
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct dvg_lineage lineage;
  struct job j = {.set = o->values, .w = w, .lineage = &lineage};
  j.domain[0] = j.set->domain, j.domain[1] = j.set->visible;
  dvg_params_init(&j.sampler_params);
  dvg_params_init(&j.decoder_params);
  enum dvg_status status = dvg_world_agree(w, dvg_lineage_init(&lineage, o));
  if (status == DVG_OK) status = generate(&j, &lineage);
  dvg_lineage_free(&lineage);
  for (int d = 0; d < 2; d++) {
    dvg_bank_free(&j.bank[d]);
    dvg_graph_free(&j.painting[d]);
  }
  dvg_graph_free(&j.sampling);
  dvg_params_free(&j.sampler_params);
  dvg_params_free(&j.decoder_params);
  dvg_pairs_free(&j.people);
  dvg_embedder_free(&j.scorer);
  dvg_image_set_close(&j.bank_images);
  dvg_shards_free(&j.shards);
  return status;
}

const struct dvg_stage dvg_stage_generate = {
    "dvg-generate",
    "stage 4: paints pairs of sampled identities in both domains, in shards",
    options,
    NULL,
    sizeof(struct dvg_generate_settings),
    run};
