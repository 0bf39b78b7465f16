#include "stages/train_generator/train_generator.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "io/sheet.h"
#include "stages/rates.h"

#define S struct dvg_generator_settings
static const struct dvg_option options[] = {
    DVG_OPTION_PATH(S, images, "images", NULL, "image set with people seen in both domains"),
    DVG_OPTION_PATH(S, recognizer, "recognizer", NULL, "weights of the frozen recogniser F"),
    DVG_OPTION_PATH(S, sampler, "sampler", "", "weights of the identity sampler F_s"),
    DVG_OPTION_PATH(S, identities, "identities", "",
                    "folder of real identities' features, from dvg-extract, to use in place of --sampler"),
    DVG_OPTION_PATH(S, image_features, "image-features", "",
                    "folder of another recogniser's features of --images, of any length, to take as identities in "
                    "place of the embeddings by --recognizer"),
    DVG_OPTION_TEXT(S, domain, "domain", NULL,
                    "the modality to pair with visible light, as named in the image set (NIR, SKETCH, ...)"),
    DVG_OPTION_TEXT(S, visible, "visible", "VIS", "the domain whose images give the identity"),
    DVG_TRAIN_OPTIONS(S, train),
    DVG_OPTION_REAL(S, width, "width", "1", 0.01, 16, "multiplier of the networks' channels"),
    DVG_OPTION_INT(S, size, "size", "128", 32, 1024,
                   "side of the generated images, a multiple of 32; that of the recogniser"),
    DVG_OPTION_INT(S, epochs, "epochs", "5", 1, 1e9, "passes over the images"),
    DVG_OPTION_INT(S, steps, "steps", "0", 0, 1e12, "steps; 0: as many as the epochs give"),
    DVG_OPTION_INT(S, batch, "batch", "8", 1, 65536, "pairs in a step"),
    DVG_OPTION_INT(S, micro_batch, "micro-batch", "2", 1, 4096,
                   "pairs computed at once by one rank; must divide the batch"),
    DVG_OPTION_REAL(S, rate, "rate", "0.0002", 0, 10, "learning rate (Adam, 0.5, 0.999)"),
    DVG_OPTION_REAL(S, final_rate, "final-rate", "1", 0, 1,
                    "part of the rate that is left at the end (cosine decay); 1: constant"),
    DVG_OPTION_INT(S, rate_batch, "rate-batch", "0", 0, 1e9,
                   "the batch that --rate was found at: at another --batch it grows as their ratio's root; 0: "
                   "--rate as it is"),
    DVG_OPTION_INT(S, rate_warmup, "rate-warmup", "0", 0, 1e12, "steps over which the rate rises from 0"),
    DVG_OPTION_REAL(S, orthogonal, "orthogonal", "50", 0, 1e6, "weight of the angular orthogonal loss"),
    DVG_OPTION_REAL(S, pixel, "pixel", "100", 0, 1e6, "weight of the pixel loss"),
    DVG_OPTION_REAL(S, pixel_swapped, "pixel-swapped", "0.1", 0, 1e6,
                    "part of it for images with another person's identity (--batch 1 exchanges nothing)"),
    DVG_OPTION_REAL(S, pixel_sampled, "pixel-sampled", "0.1", 0, 1e6,
                    "part of it for images with a sampled identity"),
    DVG_OPTION_REAL(S, identity, "identity", "0.1", 0, 1e6, "weight of the identity-preserving loss"),
    DVG_OPTION_REAL(S, identity_domain, "identity-domain", "1", 0, 1e6,
                    "part of it for the images of --domain: less where the recogniser knows it badly"),
    DVG_OPTION_REAL(S, identity_pair, "identity-pair", "0.05", 0, 1e6,
                    "part of it between the two images of a pair"),
    DVG_OPTION_REAL(S, identity_sampled, "identity-sampled", "1", 0, 1e6,
                    "part of it for images with a sampled identity"),
    DVG_OPTION_REAL(S, judge_jitter, "judge-jitter", "0", 0, 1,
                    "strength of random changes of place, size, turn and colour filter that F sees each image through"),
    DVG_OPTION_REAL(S, kl, "kl", "0", 0, 1e6,
                    "weight of the attribute codes' KL divergence from N(0, I), which makes the encoders "
                    "variational; 0: they give the code itself"),
    DVG_OPTION_REAL(S, kl_warmup, "kl-warmup", "0.2", 0, 1,
                    "part of the steps over which the KL weight rises from 0"),
    DVG_OPTION_REAL(S, adversarial, "adversarial", "0", 0, 1e6,
                    "weight of the adversarial loss of images with a sampled identity; 0: no discriminators"),
    DVG_OPTION_REAL(S, discriminator_rate, "discriminator-rate", "1", 0, 1000,
                    "what the discriminators' learning rate is, times --rate"),
    DVG_OPTION_END};
#undef S

static const char *const preset_public[] = {NULL}; // the table's defaults are those of the public code
static const char *const preset_paper[] = {"kl", "0.002",         "adversarial", "0.1", "pixel-swapped",
                                           "0",  "pixel-sampled", "0",           NULL};
static const struct dvg_preset presets[] = {{"public", preset_public}, {"paper", preset_paper}, {NULL, NULL}};

struct job {
  const struct dvg_generator_settings *set;
  const struct dvg_world *w;
  struct dvg_image_set images;
  struct dvg_pairs pairs;
  struct dvg_epochs epochs;
  struct dvg_weights recognizer, sampler;
  struct dvg_features identities; // in place of the sampler; else reader NULL
  struct dvg_features foreign;    // --image-features, or reader NULL
  struct dvg_generator_step step;
  float *identity;       // (N,256): F's embedding of every visible image of the set that is in a pair
  int64_t code;          // values of a code
  float *foreign_code;   // (N,code): the foreign feature of each of these, or NULL
  unsigned char *pixels; // one image
  int64_t *other;        // (batch): whose identity each member of a batch takes over
  int64_t n_steps;
};

static int uses_sampler(const struct job *j) {
  return j->set->sampler[0] != 0;
}

static int is_foreign(const struct job *j) {
  return j->set->image_features[0] != 0;
}

// The identity code of a visible image.
static const float *code_of(const struct job *j, int64_t row) {
  return (is_foreign(j) ? j->foreign_code : j->identity) + row * j->code;
}

// ---- inputs of a micro-batch

static enum dvg_status put_image(struct job *j, int node, int64_t place, int64_t row) {
  int64_t size = j->set->size, H = j->images.H, W = j->images.W;
  float *planes = dvg_graph_values(j->step.graph, node) + place * 3 * size * size;
  DVG_TRY(dvg_image_set_read(&j->images, row, 1, j->pixels));
  dvg_image_to_planes(planes, j->pixels, H, W, j->images.C, 3, (H - size) / 2, (W - size) / 2, size);
  return DVG_OK;
}

static void draw_pair(struct job *j, int64_t place, int64_t row[2]) {
  dvg_pairs_draw(&j->pairs, &j->images, dvg_epochs_item(&j->epochs, place), (uint64_t)j->set->train.seed,
                 (uint64_t)place, row);
}

// The identities of the batch, exchanged among its members.
static void fill_swapped(struct job *j, int64_t step, int64_t micro) {
  const struct dvg_generator_settings *set = j->set;
  float *swapped = dvg_graph_values(j->step.graph, j->step.swapped);
  struct dvg_rng r;
  dvg_rng_init(&r, (uint64_t)set->train.seed, DVG_STREAM_DERANGE, (uint64_t)step);
  dvg_rng_derangement(&r, j->other, set->batch);
  for (int64_t i = 0; i < set->micro_batch; i++) {
    int64_t row[2];
    draw_pair(j, step * set->batch + j->other[micro * set->micro_batch + i], row);
    memcpy(swapped + i * j->code, code_of(j, row[1]), (size_t)j->code * sizeof *swapped);
  }
}

// The noise of variational encoders for row i.
static void fill_eps(struct job *j, int64_t i, int64_t place) {
  struct dvg_rng r;
  dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_ATTRIBUTE, (uint64_t)place);
  for (int d = 0; d < 2; d++)
    dvg_rng_normals(&r, dvg_graph_values(j->step.graph, j->step.eps[d]) + i * j->code, j->code);
}

// A way to see an image: turned, scaled and moved about its middle, through a colour filter whose parts sum to 1.
static void draw_glance(float *map, float *color, double strength, int64_t size, struct dvg_rng *r) {
  static const float luma[3] = {0.299f, 0.587f, 0.114f};
  const float s = (float)strength, reach = s * (float)size / 16;
  const float turn = dvg_rng_between(r, -0.14f * s, 0.14f * s);
  const float scale = expf(dvg_rng_between(r, -0.08f * s, 0.08f * s));
  map[0] = map[4] = scale * cosf(turn);
  map[1] = -scale * sinf(turn), map[3] = scale * sinf(turn);
  map[2] = dvg_rng_between(r, -reach, reach), map[5] = dvg_rng_between(r, -reach, reach);
  float sum = 0;
  for (int c = 0; c < 3; c++) sum += color[c] = luma[c] + s * dvg_rng_uniform(r);
  for (int c = 0; c < 3; c++) color[c] /= sum;
}

// How F sees the four images of row i: reconstructed and sampled, in both domains.
static void fill_judge(struct job *j, int64_t i, int64_t place) {
  const struct dvg_generator_settings *set = j->set;
  float *maps = dvg_graph_values(j->step.graph, j->step.judge_maps);
  float *colors = dvg_graph_values(j->step.graph, j->step.judge_colors);
  for (int64_t k = 0; k < 4; k++) {
    struct dvg_rng r;
    dvg_rng_init(&r, (uint64_t)set->train.seed, DVG_STREAM_JUDGE, (uint64_t)(place * 4 + k));
    const int64_t row = k * set->micro_batch + i;
    draw_glance(maps + 6 * row, colors + 3 * row, set->judge_jitter, set->size, &r);
  }
}

static void warm_up(struct job *j, int64_t step) {
  double weight = dvg_rate_warmup(j->set->kl, step, j->set->kl_warmup * (double)j->n_steps);
  for (int d = 0; d < 2; d++) dvg_graph_set_weight(j->step.graph, j->step.kl_term[d], weight);
}

// Where the identity of row i that nobody of the training pairs has comes from: noise for the sampler, or a
// real face.
static enum dvg_status fill_new_identity(struct job *j, int64_t i, int64_t place) {
  const struct dvg_generator_step *s = &j->step;
  struct dvg_rng r;
  dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_NOISE, (uint64_t)place);
  if (s->identity_sampled >= 0)
    return dvg_features_read(dvg_graph_values(s->graph, s->identity_sampled) + i * j->code, &j->identities,
                             dvg_rng_below(&r, j->identities.n));
  dvg_rng_normals(&r, dvg_graph_values(s->graph, s->noise) + i * DVG_CODE, DVG_CODE);
  return DVG_OK;
}

static enum dvg_status fill(void *job, int64_t step, int64_t micro) {
  struct job *j = job;
  const struct dvg_generator_settings *set = j->set;
  float *f = dvg_graph_values(j->step.graph, j->step.identity);
  float *photograph = dvg_graph_values(j->step.graph, j->step.photograph);
  for (int64_t i = 0; i < set->micro_batch; i++) {
    int64_t place = step * set->batch + micro * set->micro_batch + i, row[2];
    draw_pair(j, place, row);
    for (int d = 0; d < 2; d++) DVG_TRY(put_image(j, j->step.image[d], i, row[d]));
    memcpy(photograph + i * DVG_CODE, j->identity + row[1] * DVG_CODE, DVG_CODE * sizeof *f);
    memcpy(f + i * j->code, code_of(j, row[1]), (size_t)j->code * sizeof *f);
    DVG_TRY(fill_new_identity(j, i, place));
    if (j->set->kl > 0) fill_eps(j, i, place);
    if (j->step.judge_maps >= 0) fill_judge(j, i, place);
  }
  if (j->set->kl > 0) warm_up(j, step);
  if (j->step.swapped >= 0) fill_swapped(j, step, micro);
  return DVG_OK;
}

static double rate_at(void *job, int64_t step) {
  const struct job *j = job;
  const struct dvg_generator_settings *set = j->set;
  const double rate = dvg_rate_for_batch(set->rate, set->rate_batch, set->batch, 1);
  return dvg_rate_warmup(dvg_rate_cosine(rate, set->final_rate, step, j->n_steps), step + 1,
                         (double)set->rate_warmup);
}

// ---- what people see

enum { SHEET_ROWS = 8 };

static enum dvg_status sheet(void *job, int64_t step, const char *path) {
  static const char *const columns[] = {"input", "reconstructed", "sampled", "swapped"};
  struct job *j = job;
  const struct dvg_generator_step *s = &j->step;
  int64_t m = j->set->micro_batch, size = j->set->size, values = 3 * size * size;
  int64_t n_micro = j->set->batch / m, rows = j->set->batch < SHEET_ROWS ? j->set->batch : SHEET_ROWS;
  const char *names[2] = {j->set->domain, j->set->visible};
  struct dvg_sheet *sheet;
  char title[128], caption[64];
  snprintf(title, sizeof title, "dual generator after %lld steps", (long long)step);
  int n_columns = s->swapped < 0 ? 3 : 4;
  DVG_TRY(dvg_sheet_create(&sheet, rows, 2 * n_columns, size, size, title));
  enum dvg_status status = DVG_OK;
  for (int64_t micro = 0; micro < n_micro && micro * m < rows; micro++) {
    DVG_TRY_GOTO(fill(j, 0, micro)); // the first batch each time, so that sheets can be compared
    dvg_graph_forward(s->graph);
    for (int d = 0; d < 2; d++) {
      const int nodes[] = {s->image[d], s->reconstructed[d], s->sampled[d], s->exchanged[d]};
      for (int k = 0; k < n_columns; k++) {
        snprintf(caption, sizeof caption, "%.20s %s", names[d], columns[k]);
        dvg_sheet_column(sheet, 2 * k + d, caption);
        for (int64_t i = 0; i < m && micro * m + i < rows; i++)
          dvg_sheet_cell_f32(sheet, micro * m + i, 2 * k + d, dvg_graph_values(s->graph, nodes[k]) + i * values,
                             3);
      }
    }
  }
  status = dvg_sheet_write(sheet, path);
done:
  dvg_sheet_free(&sheet);
  return status;
}

static enum dvg_status dump(void *job, struct dvg_artifact *a) {
  struct job *j = job;
  DVG_TRY(dvg_write_tensors(a, "frozen/recognizer", &j->step.recognizer, j->step.recognizer.value, 0,
                            j->step.recognizer.n_values));
  DVG_TRY(dvg_write_tensors(a, "frozen/sampler", &j->step.sampler, j->step.sampler.value, 0,
                            j->step.sampler.n_values));
  DVG_TRY(dvg_artifact_set_int(a, "size", j->set->size));
  DVG_TRY(dvg_artifact_set_real(a, "width", j->set->width));
  DVG_TRY(dvg_artifact_set_int(a, "batch", j->set->batch));
  DVG_TRY(dvg_artifact_set_real(a, "recognizer_width", j->recognizer.model.width));
  if (uses_sampler(j)) DVG_TRY(dvg_artifact_set_real(a, "sampler_width", j->sampler.model.width));
  DVG_TRY(dvg_artifact_set_text(a, "domain", j->set->domain));
  if (is_foreign(j)) DVG_TRY(dvg_artifact_set_int(a, "code", j->code));
  return dvg_artifact_set_text(a, "visible", j->set->visible);
}

// ---- the stage

static enum dvg_status check_settings(const struct dvg_generator_settings *set) {
  if (set->batch % set->micro_batch)
    return dvg_fail(DVG_ERROR_USAGE, "--micro-batch %lld does not divide --batch %lld",
                    (long long)set->micro_batch, (long long)set->batch);
  if (set->size % 32)
    return dvg_fail(DVG_ERROR_USAGE, "--size %lld is no multiple of 32", (long long)set->size);
  if (!set->sampler[0] == !set->identities[0])
    return dvg_fail(DVG_ERROR_USAGE, "give one source of new identities, --sampler or --identities");
  return strcasecmp(set->domain, set->visible) == 0 // parameters carry them in lower case
             ? dvg_fail(DVG_ERROR_USAGE, "--domain and --visible are both %s, whatever the case", set->domain)
             : DVG_OK;
}

// Whether all identities are of one length, and, as far as their lineage says, of one recogniser.
static enum dvg_status check_codes(const struct job *j) {
  const struct dvg_generator_settings *set = j->set;
  const char *codes = is_foreign(j) ? set->image_features : set->recognizer;
  if (uses_sampler(j) && j->sampler.model.code != j->code)
    return dvg_fail(DVG_ERROR_INPUT, "%s: gives identities of %lld values, but those of %s have %lld%s", set->sampler,
                    (long long)j->sampler.model.code, codes, (long long)j->code,
                    is_foreign(j) ? "" : " (--image-features takes others)");
  if (!uses_sampler(j)) DVG_TRY(dvg_features_check_code(&j->identities, j->code, codes));
  char digest[DVG_DIGEST_TEXT];
  snprintf(digest, sizeof digest, "%s", j->recognizer.digest);
  if (is_foreign(j)) {
    DVG_TRY(dvg_features_check_input(&j->foreign, "images", set->images, dvg_artifact_digest(j->images.file)));
    DVG_TRY(dvg_features_input(digest, &j->foreign, "weights"));
  }
  return uses_sampler(j) ? dvg_weights_check_recognizer(&j->sampler, codes, digest)
                         : dvg_features_check_input(&j->identities, "weights", codes, digest);
}

// Whether the inputs fit the settings and each other; finds the people to train on.
static enum dvg_status check_inputs(void *job) {
  struct job *j = job;
  const struct dvg_generator_settings *set = j->set;
  if (j->recognizer.model.size != set->size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: takes images of size %lld, but --size is %lld", j->recognizer.path,
                    (long long)j->recognizer.model.size, (long long)set->size);
  if (j->images.H < set->size || j->images.W < set->size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than --size %lld", set->images,
                    (long long)j->images.W, (long long)j->images.H, (long long)set->size);
  DVG_TRY(check_codes(j));
  return dvg_pairs_find(&j->pairs, &j->images, set->domain, set->visible);
}

// F's embeddings of the visible images, once for the whole training.
static enum dvg_status embed_identities(struct job *j) {
  struct dvg_embedder e;
  int64_t *rows = NULL, n = 0;
  float *out = NULL;
  DVG_TRY(dvg_embedder_create(&e, j->w, j->set->recognizer));
  enum dvg_status status = DVG_NEW(&rows, j->pairs.n_items, "visible rows");
  if (status == DVG_OK) status = DVG_NEW(&out, j->pairs.n_items * DVG_CODE, "embeddings");
  if (status == DVG_OK) status = DVG_NEW(&j->identity, j->images.N * DVG_CODE, "embeddings");
  status = dvg_world_agree(j->w, status);
  for (int64_t i = 0; status == DVG_OK && i < j->pairs.n_items; i++)
    if (j->images.domain[j->pairs.item[i]] == j->pairs.domain[1]) rows[n++] = j->pairs.item[i];
  if (status == DVG_OK) status = dvg_embed_shared(&e, j->w, &j->images, rows, n, out);
  for (int64_t i = 0; status == DVG_OK && i < n; i++)
    memcpy(j->identity + rows[i] * DVG_CODE, out + i * DVG_CODE, DVG_CODE * sizeof *out);
  dvg_free(&rows);
  dvg_free(&out);
  dvg_embedder_free(&e);
  return status;
}

// Takes the features into their images' rows; has[row] = 1 where there is one.
static enum dvg_status place_features(struct job *j, const int64_t *source, unsigned char *has) {
  for (int64_t i = 0; i < j->foreign.n; i++) {
    if (source[i] < 0 || source[i] >= j->images.N)
      return dvg_fail(DVG_ERROR_INPUT, "%s: feature %lld is of image %lld of %lld", j->foreign.folder, (long long)i,
                      (long long)source[i], (long long)j->images.N);
    DVG_TRY(dvg_features_read(j->foreign_code + source[i] * j->code, &j->foreign, i));
    has[source[i]] = 1;
  }
  for (int64_t i = 0; i < j->pairs.n_items; i++) {
    const int64_t row = j->pairs.item[i];
    if (j->images.domain[row] == j->pairs.domain[1] && !has[row])
      return dvg_fail(DVG_ERROR_INPUT, "%s: has no feature of image %lld of %s", j->foreign.folder, (long long)row,
                      j->set->images);
  }
  return DVG_OK;
}

static enum dvg_status read_foreign(void *job) {
  struct job *j = job;
  int64_t *source = NULL;
  unsigned char *has = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&source, j->foreign.n, "images of features"));
  DVG_TRY_GOTO(DVG_NEW(&has, j->images.N, "images of features"));
  DVG_TRY_GOTO(DVG_NEW(&j->foreign_code, j->images.N * j->code, "features of images"));
  DVG_TRY_GOTO(dvg_features_sources(source, &j->foreign, 0, j->foreign.n));
  status = place_features(j, source, has);
done:
  dvg_free(&source);
  dvg_free(&has);
  return status;
}

// Collective.
static enum dvg_status load_foreign(struct job *j) {
  if (!is_foreign(j)) return DVG_OK;
  DVG_TRY(dvg_world_root_first(j->w, read_foreign, j));
  dvg_info("identities are the %lld values of %s; %s judges images of the pairs by its own embeddings, and those of "
           "sampled identities against each other alone",
           (long long)j->code, j->set->image_features, j->set->recognizer);
  return DVG_OK;
}

static enum dvg_status load(struct job *j) {
  const struct dvg_generator_settings *set = j->set;
  DVG_TRY(dvg_weights_describe(&j->recognizer, j->w, set->recognizer, "lightcnn29v2"));
  if (uses_sampler(j)) DVG_TRY(dvg_weights_describe(&j->sampler, j->w, set->sampler, "identity_sampler"));
  else DVG_TRY(dvg_features_open(&j->identities, j->w, set->identities));
  if (is_foreign(j)) DVG_TRY(dvg_features_open(&j->foreign, j->w, set->image_features));
  j->code = is_foreign(j) ? j->foreign.width : DVG_CODE;
  DVG_TRY(dvg_stage_open_images(&j->images, j->w, set->images));
  DVG_TRY(dvg_world_root_first(j->w, check_inputs, j));
  dvg_info("%lld people in both %s and %s, %lld images; %lld people in one of them only are left out",
           (long long)j->pairs.n_people, set->domain, set->visible, (long long)j->pairs.n_items,
           (long long)j->pairs.n_one_domain);
  enum dvg_status status = DVG_NEW(&j->pixels, j->images.H * j->images.W * j->images.C, "image");
  if (status == DVG_OK) status = DVG_NEW(&j->other, set->batch, "exchange of identities");
  if (status == DVG_OK) status = dvg_epochs_init(&j->epochs, (uint64_t)set->train.seed, j->pairs.n_items);
  if (status == DVG_OK)
    status = dvg_generator_build(&j->step, set, j->recognizer.model, uses_sampler(j) ? &j->sampler.model : NULL,
                                 is_foreign(j) ? j->code : 0);
  DVG_TRY(dvg_world_agree(j->w, status));
  DVG_TRY(dvg_weights_check(&j->step.recognizer, "", &j->recognizer, j->w, 1));
  if (uses_sampler(j)) DVG_TRY(dvg_weights_check(&j->step.sampler, "", &j->sampler, j->w, 1));
  DVG_TRY(dvg_world_agree(j->w, dvg_graph_plan(j->step.graph, 1)));
  DVG_TRY(dvg_weights_load(&j->step.recognizer, "", &j->recognizer, j->w, 1));
  if (uses_sampler(j)) DVG_TRY(dvg_weights_load(&j->step.sampler, "", &j->sampler, j->w, 1));
  DVG_TRY(load_foreign(j));
  return embed_identities(j);
}

static enum dvg_status save(struct job *j, const struct dvg_lineage *lineage) {
  char path[1100], digest[DVG_DIGEST_TEXT];
  struct dvg_weights f = {.net = "generator",
                          .model = {j->set->width, j->set->size, j->code},
                          .foreign = is_foreign(j),
                          .variational = j->set->kl > 0,
                          .without = "discriminator."};
  char domains[256];
  snprintf(domains, sizeof domains, "%s,%s", j->set->domain, j->set->visible);
  dvg_weights_domain(f.domains, sizeof f.domains, domains);
  snprintf(path, sizeof path, "%s/generator.h5", j->set->train.out);
  DVG_TRY(dvg_weights_save(path, &j->step.params, "", &f, lineage, digest));
  dvg_info("%s: %s", path, digest);
  return DVG_OK;
}

static enum dvg_status train(struct job *j, struct dvg_lineage *lineage) {
  const struct dvg_generator_settings *set = j->set;
  DVG_TRY(load(j));
  dvg_lineage_add(lineage, "images", set->images, dvg_artifact_digest(j->images.file));
  dvg_lineage_add(lineage, "recognizer", set->recognizer, j->recognizer.digest);
  if (uses_sampler(j)) dvg_lineage_add(lineage, "sampler", set->sampler, j->sampler.digest);
  else dvg_lineage_add(lineage, "identities", set->identities, dvg_shard_reader_digest(j->identities.reader));
  if (is_foreign(j))
    dvg_lineage_add(lineage, "image-features", set->image_features, dvg_shard_reader_digest(j->foreign.reader));
  int64_t per_epoch = j->pairs.n_items / set->batch;
  j->n_steps = set->steps ? set->steps : set->epochs * (per_epoch > 0 ? per_epoch : 1);
  DVG_TRY(dvg_train_check_dump(j->w, &set->train, j->n_steps));
  dvg_info("%.2f M parameters; %.0f MB for a micro-batch of %lld pairs", (double)j->step.params.n_values / 1e6,
           (double)dvg_graph_bytes(j->step.graph) / 1e6, (long long)set->micro_batch);
  dvg_params_initialize(&j->step.params, (uint64_t)set->train.seed);
  dvg_params_share(&j->step.params, j->w);
  struct dvg_trainer t = {.world = j->w,
                          .settings = &set->train,
                          .lineage = lineage,
                          .name = "generator",
                          .result = "generator.h5",
                          .graph = j->step.graph,
                          .params = &j->step.params,
                          .n_steps = j->n_steps,
                          .n_micro = set->batch / set->micro_batch,
                          .optimizer = DVG_ADAM,
                          .adam = {.beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8},
                          .apart = set->discriminator_rate != 1 ? "discriminator." : NULL,
                          .apart_rate = set->discriminator_rate,
                          .job = j,
                          .rate = rate_at,
                          .fill = fill,
                          .sheet = sheet,
                          .dump = dump};
  DVG_TRY(dvg_trainer_run(&t, NULL));
  if (set->train.plan) return DVG_OK;
  return dvg_world_agree(j->w, j->w->rank == 0 ? save(j, lineage) : DVG_OK);
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct dvg_lineage lineage;
  struct job j = {.set = o->values, .w = w};
  dvg_log_quiet(w->rank != 0); // the same outcome on all ranks
  enum dvg_status status = check_settings(j.set);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(w, status));
  DVG_TRY(dvg_train_begin(w, &j.set->train));
  status = dvg_world_agree(w, dvg_lineage_init(&lineage, o));
  if (status == DVG_OK) status = train(&j, &lineage);
  dvg_lineage_free(&lineage);
  dvg_generator_free(&j.step);
  dvg_pairs_free(&j.pairs);
  dvg_epochs_free(&j.epochs);
  dvg_image_set_close(&j.images);
  dvg_features_close(&j.identities);
  dvg_features_close(&j.foreign);
  dvg_free(&j.identity);
  dvg_free(&j.foreign_code);
  dvg_free(&j.pixels);
  dvg_free(&j.other);
  return status;
}

const struct dvg_stage dvg_stage_train_generator = {
    "dvg-train-generator",
    "stage 3: trains the dual generator on the few real pairs and on sampled identities",
    options,
    presets,
    sizeof(struct dvg_generator_settings),
    run};
