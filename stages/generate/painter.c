// The networks, and a batch of pairs made with them: attempts, scores, what is accepted.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "stages/generate/generate.h"

enum { BATCH = DVG_GENERATE_BATCH };

// ---- the networks

static int uses_sampler(const struct dvg_painter *p) {
  return p->set->sampler[0] != 0;
}

// Values of an identity, and of an attribute code.
static int64_t code_of(const struct dvg_painter *p) {
  return dvg_model_code(p->generator.model);
}

static enum dvg_status build_sampling(struct dvg_painter *p) {
  DVG_TRY(dvg_graph_create(&p->sampling));
  p->noise = dvg_graph_input(p->sampling, "noise", BATCH, DVG_CODE, 1, 1);
  p->sampled =
      dvg_identity_sampler(p->sampling, (struct dvg_scope){&p->sampler_params, ""}, p->sampler.model, p->noise);
  dvg_graph_keep(p->sampling, p->sampled);
  return DVG_OK;
}

// The bank has codes with their styles; one of the prior gets its style here.
static enum dvg_status build_painting(struct dvg_painter *p, int d) {
  char lower[64], prefix[96];
  dvg_weights_domain(lower, sizeof lower, p->domain[d]);
  snprintf(prefix, sizeof prefix, "encoder.%s.", lower);
  DVG_TRY(dvg_graph_create(&p->painting[d]));
  struct dvg_graph *g = p->painting[d];
  struct dvg_scope s = {&p->decoder_params, "decoder."}, encoder = {&p->decoder_params, prefix};
  struct dvg_model m = p->generator.model;
  p->identity[d] = dvg_graph_input(g, "identity", BATCH, code_of(p), 1, 1);
  int z = p->z[d] = dvg_graph_input(g, "z", BATCH, code_of(p), 1, 1), style;
  if (dvg_generate_uses_bank(p->set))
    style = p->style[d] = dvg_graph_input(g, "style", BATCH, dvg_style_values(m), 1, 1);
  else {
    z = dvg_graph_l2(g, z);
    style = dvg_encoder_style(g, encoder, m, z);
  }
  p->image[d] = dvg_decoder_head(g, s, lower, dvg_decoder(g, s, m, p->identity[d], z, style));
  dvg_graph_keep(g, p->image[d]);
  return DVG_OK;
}

static enum dvg_status build(struct dvg_painter *p) {
  if (uses_sampler(p)) DVG_TRY(build_sampling(p));
  for (int d = 0; d < 2; d++) DVG_TRY(build_painting(p, d));
  return DVG_NEW(&p->f, BATCH * code_of(p), "identities");
}

// After build: the second graph adds its head to the parameters of the first.
static enum dvg_status plan(struct dvg_painter *p) {
  if (uses_sampler(p)) DVG_TRY(dvg_graph_plan(p->sampling, 0));
  for (int d = 0; d < 2; d++) {
    DVG_TRY(dvg_graph_plan(p->painting[d], 0));
    DVG_TRY(DVG_NEW(&p->pixels[d], BATCH * p->generator.model.size * p->generator.model.size * 3,
                    "batch of pairs"));
  }
  return DVG_OK;
}

// Whether F_s, or the features in its place, gives what G takes: codes of its length and, as far as their lineage
// says, of the recogniser that it was trained with.
static enum dvg_status check_code(const struct dvg_painter *p) {
  const struct dvg_weights *g = &p->generator;
  const int is_known = g->recognizer[0] && !g->foreign;
  if (!uses_sampler(p)) {
    DVG_TRY(dvg_features_check_code(&p->identities, code_of(p), g->path));
    return is_known ? dvg_features_check_input(&p->identities, "weights", g->path, g->recognizer) : DVG_OK;
  }
  if (p->sampler.model.code != code_of(p))
    return dvg_fail(DVG_ERROR_INPUT, "%s: gives identities of %lld values, but %s takes %lld", p->sampler.path,
                    (long long)p->sampler.model.code, g->path, (long long)code_of(p));
  return is_known ? dvg_weights_check_recognizer(&p->sampler, g->path, g->recognizer) : DVG_OK;
}

static enum dvg_status check_generator(const struct dvg_painter *p) {
  char asked[256], wanted[256];
  snprintf(asked, sizeof asked, "%s,%s", p->domain[0], p->domain[1]);
  dvg_weights_domain(wanted, sizeof wanted, asked);
  if (strcmp(wanted, p->generator.domains) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: paints the domains %s, but %s are asked for", p->generator.path,
                    p->generator.domains, wanted);
  if (!dvg_generate_uses_bank(p->set) && !p->generator.variational)
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: was trained without --kl: its attributes have no prior to be drawn from",
                    p->generator.path);
  return check_code(p);
}

static enum dvg_status check_scorer(const struct dvg_painter *p) {
  int64_t takes = p->scorer.file.model.size, size = p->generator.model.size;
  if (takes > size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: takes images of size %lld, but %s paints %lld", p->scorer.file.path,
                    (long long)takes, p->generator.path, (long long)size);
  return DVG_OK;
}

static enum dvg_status find_people(void *context) {
  struct dvg_painter *p = context;
  return dvg_pairs_find(&p->people, p->images, p->domain[0], p->domain[1]);
}

static enum dvg_status load_bank(struct dvg_painter *p, const struct dvg_world *w) {
  for (int d = 0; d < 2; d++) DVG_TRY(dvg_bank_create(&p->bank[d], w, &p->generator, p->images, p->domain[d]));
  if (p->set->attributes == DVG_ATTRIBUTES_PERSON) {
    DVG_TRY(dvg_world_root_first(w, find_people, p));
    dvg_info("attributes of %lld people in both %s and %s; %lld people in one of them only are left out",
             (long long)p->people.n_people, p->domain[0], p->domain[1], (long long)p->people.n_one_domain);
  }
  return DVG_OK;
}

static enum dvg_status load_people(void *context) {
  struct dvg_painter *p = context;
  DVG_TRY(DVG_NEW(&p->identity_people, p->identities.n, "people of identities"));
  return dvg_features_people(p->identity_people, &p->identities, 0, p->identities.n);
}

static enum dvg_status load(struct dvg_painter *p, const struct dvg_world *w) {
  DVG_TRY(dvg_weights_describe(&p->generator, w, p->set->generator, "generator"));
  if (uses_sampler(p)) DVG_TRY(dvg_weights_describe(&p->sampler, w, p->set->sampler, "identity_sampler"));
  else {
    DVG_TRY(dvg_features_open(&p->identities, w, p->set->identities));
    DVG_TRY(dvg_world_root_first(w, load_people, p));
  }
  DVG_TRY(dvg_world_agree(w, w->rank == 0 ? check_generator(p) : DVG_OK));
  if (dvg_generate_uses_bank(p->set)) DVG_TRY(load_bank(p, w));
  DVG_TRY(dvg_world_agree(w, build(p)));
  if (uses_sampler(p)) DVG_TRY(dvg_weights_check(&p->sampler_params, "", &p->sampler, w, 1));
  DVG_TRY(dvg_weights_check(&p->decoder_params, "", &p->generator, w, 1));
  DVG_TRY(dvg_world_agree(w, plan(p)));
  if (uses_sampler(p)) DVG_TRY(dvg_weights_load(&p->sampler_params, "", &p->sampler, w, 1));
  DVG_TRY(dvg_weights_load(&p->decoder_params, "", &p->generator, w, 1));
  if (!p->set->recognizer[0]) return DVG_OK;
  DVG_TRY(dvg_embedder_create(&p->scorer, w, p->set->recognizer));
  return dvg_world_agree(w, w->rank == 0 ? check_scorer(p) : DVG_OK);
}

enum dvg_status dvg_painter_create(struct dvg_painter *p, const struct dvg_world *w,
                                   const struct dvg_generate_settings *set, const struct dvg_image_set *images,
                                   struct dvg_lineage *lineage) {
  *p = (struct dvg_painter){
      .set = set, .images = images, .domain = {set->domain, set->visible}, .style = {-1, -1}};
  dvg_params_init(&p->sampler_params);
  dvg_params_init(&p->decoder_params);
  DVG_TRY(load(p, w));
  dvg_lineage_add(lineage, "generator", set->generator, p->generator.digest);
  if (uses_sampler(p)) dvg_lineage_add(lineage, "sampler", set->sampler, p->sampler.digest);
  else dvg_lineage_add(lineage, "identities", set->identities, dvg_shard_reader_digest(p->identities.reader));
  if (dvg_generate_uses_bank(p->set))
    dvg_lineage_add(lineage, "bank", set->bank, dvg_artifact_digest(images->file));
  if (p->scorer.graph) dvg_lineage_add(lineage, "recognizer", set->recognizer, p->scorer.file.digest);
  return DVG_OK;
}

void dvg_painter_free(struct dvg_painter *p) {
  for (int d = 0; d < 2; d++) {
    dvg_bank_free(&p->bank[d]);
    dvg_graph_free(&p->painting[d]);
    dvg_free(&p->pixels[d]);
  }
  dvg_graph_free(&p->sampling);
  dvg_params_free(&p->sampler_params);
  dvg_params_free(&p->decoder_params);
  dvg_pairs_free(&p->people);
  dvg_features_close(&p->identities);
  dvg_free(&p->identity_people);
  dvg_free(&p->f);
  dvg_embedder_free(&p->scorer);
}

// ---- one attempt at some pairs of a batch

// Planar floats in [0,1] to interleaved bytes.
static void to_bytes(unsigned char *out, const float *planes, int64_t places) {
  for (int64_t s = 0; s < places; s++)
    for (int64_t c = 0; c < 3; c++) out[s * 3 + c] = (unsigned char)lrintf(255 * planes[c * places + s]);
}

// What row i's present attempt is drawn with.
static uint64_t item_of(const struct dvg_batch *b, int64_t i) {
  return (uint64_t)b->number[i] * DVG_MAX_ATTEMPTS + (uint64_t)b->attempt[i];
}

// from[i]: the row whose noise and attributes place i gets; its own, or, where there is nothing to make, that
// of a row that is made.
static enum dvg_status find_identities(struct dvg_painter *p, const struct dvg_batch *b, const int64_t *from) {
  if (!uses_sampler(p)) {
    for (int64_t i = 0; i < BATCH; i++)
      DVG_TRY(dvg_features_read(p->f + i * code_of(p), &p->identities, b->identity_item[from[i]]));
    return DVG_OK;
  }
  float *noise = dvg_graph_values(p->sampling, p->noise);
  for (int64_t i = 0; i < BATCH; i++) {
    struct dvg_rng r;
    dvg_rng_init(&r, (uint64_t)p->set->seed, DVG_STREAM_PAIR_IDENTITY, (uint64_t)b->identity_item[from[i]]);
    dvg_rng_normals(&r, noise + i * DVG_CODE, DVG_CODE);
  }
  dvg_graph_forward(p->sampling);
  memcpy(p->f, dvg_graph_values(p->sampling, p->sampled), sizeof(float) * BATCH * (size_t)code_of(p));
  return DVG_OK;
}

// Codes and styles of the bank's images.
static void take_attributes(struct dvg_painter *p, const struct dvg_batch *b, const int64_t *from, int d) {
  const struct dvg_bank *bank = &p->bank[d];
  const int64_t code = code_of(p);
  float *z = dvg_graph_values(p->painting[d], p->z[d]), *style = dvg_graph_values(p->painting[d], p->style[d]);
  for (int64_t i = 0; i < BATCH; i++) {
    int64_t k = bank->place[b->attribute[d][from[i]]];
    memcpy(z + i * code, bank->z + k * code, (size_t)code * sizeof *z);
    memcpy(style + i * bank->n_style, bank->style + k * bank->n_style, (size_t)bank->n_style * sizeof *style);
  }
}

// Codes of the prior: of a row's numbers domain 0 takes the first, domain 1 those behind.
static void draw_attributes(struct dvg_painter *p, const struct dvg_batch *b, const int64_t *from, int d) {
  float *z = dvg_graph_values(p->painting[d], p->z[d]);
  for (int64_t i = 0; i < BATCH; i++) {
    struct dvg_rng r;
    dvg_rng_init(&r, (uint64_t)p->set->seed, DVG_STREAM_PAIR_ATTRIBUTE, item_of(b, from[i]));
    for (int k = 0; k <= d; k++) dvg_rng_normals(&r, z + i * code_of(p), code_of(p));
  }
}

static void paint(struct dvg_painter *p, const struct dvg_batch *b, const int64_t *from, int d) {
  struct dvg_graph *g = p->painting[d];
  int64_t places = p->generator.model.size * p->generator.model.size;
  memcpy(dvg_graph_values(g, p->identity[d]), p->f, sizeof(float) * BATCH * (size_t)code_of(p));
  (dvg_generate_uses_bank(p->set) ? take_attributes : draw_attributes)(p, b, from, d);
  dvg_graph_forward(g);
  const float *planes = dvg_graph_values(g, p->image[d]);
  for (int64_t i = 0; i < BATCH; i++) to_bytes(p->pixels[d] + i * places * 3, planes + i * places * 3, places);
}

static float cosine(const float *a, const float *b) {
  double sum = 0;
  for (int64_t c = 0; c < DVG_CODE; c++) sum += (double)a[c] * b[c];
  return (float)sum;
}

static enum dvg_status score(struct dvg_painter *p, struct dvg_batch *b, const unsigned char *active) {
  int64_t size = p->generator.model.size;
  float embedding[2][BATCH * DVG_CODE];
  for (int d = 0; d < 2; d++) {
    DVG_TRY(dvg_embed_pixels(&p->scorer, p->pixels[d], BATCH, size, size, 3, embedding[d]));
    for (int64_t i = 0; i < BATCH; i++)
      if (active[i] && !p->generator.foreign) b->cos_identity[d][i] = cosine(embedding[d] + i * DVG_CODE, b->identity + i * DVG_CODE);
  }
  for (int64_t i = 0; i < BATCH; i++)
    if (active[i]) b->cos_pair[i] = cosine(embedding[0] + i * DVG_CODE, embedding[1] + i * DVG_CODE);
  return DVG_OK;
}

// The present attempt of each active row: identity, images, scores.
static enum dvg_status try_once(struct dvg_painter *p, struct dvg_batch *b, const unsigned char *active) {
  int64_t lead = 0, from[BATCH], bytes = p->generator.model.size * p->generator.model.size * 3;
  while (!active[lead]) lead++;
  for (int64_t i = 0; i < BATCH; i++) from[i] = active[i] ? i : lead;
  DVG_TRY(find_identities(p, b, from));
  for (int d = 0; d < 2; d++) paint(p, b, from, d);
  for (int64_t i = 0; i < BATCH; i++) {
    if (!active[i]) continue;
    memcpy(b->identity + i * b->code, p->f + i * b->code, (size_t)b->code * sizeof(float));
    for (int d = 0; d < 2; d++) memcpy(b->pixels[d] + i * bytes, p->pixels[d] + i * bytes, (size_t)bytes);
  }
  return p->scorer.graph ? score(p, b, active) : DVG_OK;
}

// ---- attempt after attempt

struct attempts {
  unsigned char active[BATCH];    // to be painted
  unsigned char replacing[BATCH]; // the pair there would be drew on a revoked image: another is looked for
};

static int is_checked(const struct dvg_painter *p) {
  return p->set->min_consistency > -1;
}

static int is_revoked(const struct dvg_painter *p, const struct dvg_batch *b, int64_t i) {
  return p->revoked.mode != DVG_REVOKED_NONE &&
         dvg_revocation_hits(&p->revoked, (int64_t[]){b->attribute[0][i], b->attribute[1][i]}, b->identity_person[i]);
}

void dvg_batch_drop(struct dvg_batch *b, int64_t i, int64_t size) {
  for (int d = 0; d < 2; d++) {
    memset(b->pixels[d] + i * size * size * 3, 0, (size_t)(size * size * 3));
    b->cos_identity[d][i] = 0;
  }
  memset(b->identity + i * b->code, 0, (size_t)b->code * sizeof(float));
  b->cos_pair[i] = 0;
  b->fate[i] = DVG_FATE_REJECTED;
  b->reason[i] = DVG_REASON_REVOKED;
}

static void reject(const struct dvg_painter *p, struct dvg_batch *b, int64_t i) {
  int64_t bytes = p->generator.model.size * p->generator.model.size * 3;
  for (int d = 0; d < 2; d++) memset(b->pixels[d] + i * bytes, 0, (size_t)bytes);
  b->fate[i] = DVG_FATE_REJECTED;
  b->reason[i] = DVG_REASON_INCONSISTENT;
}

// The sources of row i's identity and attributes at its present attempt.
static void draw(const struct dvg_painter *p, struct dvg_batch *b, int64_t i) {
  uint64_t seed = (uint64_t)p->set->seed, item = item_of(b, i);
  int64_t row[2] = {-1, -1};
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_PAIR_IDENTITY, item);
  b->identity_item[i] = uses_sampler(p) ? (int64_t)item : dvg_rng_below(&r, p->identities.n);
  b->identity_person[i] = uses_sampler(p) ? -1 : p->identity_people[b->identity_item[i]];
  dvg_rng_init(&r, seed, DVG_STREAM_PAIR_ATTRIBUTE, item);
  if (p->set->attributes == DVG_ATTRIBUTES_PERSON)
    dvg_pairs_draw(&p->people, p->images, dvg_rng_below(&r, p->people.n_items), seed, item, row);
  else if (dvg_generate_uses_bank(p->set))
    for (int d = 0; d < 2; d++) row[d] = p->bank[d].row[dvg_rng_below(&r, p->bank[d].n)];
  for (int d = 0; d < 2; d++) {
    b->attribute[d][i] = row[d];
    b->person[d][i] = row[d] < 0 ? -1 : p->images->identity[row[d]];
  }
}

// Goes to the next attempt that is to be painted, from the present one on; or ends the row. Whether a pair that
// is checked would ever have been written shows only when it is painted, revoked or not; so the others' fates
// don't depend on what is revoked.
static void choose(const struct dvg_painter *p, struct dvg_batch *b, struct attempts *a, int64_t i) {
  int64_t size = p->generator.model.size;
  a->active[i] = 0;
  for (; b->attempt[i] < DVG_MAX_ATTEMPTS; b->attempt[i]++) {
    draw(p, b, i);
    if (!is_revoked(p, b, i) || (is_checked(p) && !a->replacing[i])) {
      a->active[i] = 1;
      return;
    }
    if (p->revoked.mode == DVG_REVOKED_DROP) {
      dvg_batch_drop(b, i, size);
      return;
    }
    a->replacing[i] = 1;
  }
  b->attempt[i] = DVG_MAX_ATTEMPTS - 1; // all draw on revoked images, or are inconsistent
  dvg_batch_drop(b, i, size);
}

// What the scores of row i's attempt mean.
static void judge(const struct dvg_painter *p, struct dvg_batch *b, struct attempts *a, int64_t i) {
  int good = !is_checked(p) || b->cos_pair[i] >= (float)p->set->min_consistency, revoked = is_revoked(p, b, i);
  a->active[i] = 0;
  if (good && !revoked) {
    b->fate[i] = DVG_FATE_WRITTEN;
    b->reason[i] = DVG_REASON_NONE;
  } else if (good && p->revoked.mode == DVG_REVOKED_DROP) {
    dvg_batch_drop(b, i, p->generator.model.size);
  } else if (!good && !a->replacing[i] && b->attempt[i] + 1 >= p->set->attempts) {
    reject(p, b, i);
  } else {
    if (good) a->replacing[i] = 1;
    b->attempt[i]++;
    choose(p, b, a, i);
  }
}

enum dvg_status dvg_painter_paint(struct dvg_painter *p, struct dvg_batch *b, const unsigned char *todo) {
  struct attempts a = {0};
  for (int64_t i = 0; i < BATCH; i++) {
    if (!todo[i]) continue;
    b->number[i] = b->first + i;
    b->attempt[i] = 0;
    choose(p, b, &a, i);
  }
  while (memchr(a.active, 1, BATCH)) {
    struct attempts now = a;
    DVG_TRY(try_once(p, b, now.active));
    for (int64_t i = 0; i < BATCH; i++)
      if (now.active[i]) judge(p, b, &a, i);
  }
  return DVG_OK;
}
