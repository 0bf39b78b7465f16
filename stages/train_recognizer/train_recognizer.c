#include "stages/train_recognizer/train_recognizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "io/sheet.h"
#include "stages/rates.h"
#include "stages/train_recognizer/augment.h"
#include "stages/train_recognizer/real_pairs.h"

#define S struct dvg_recognizer_settings
static const struct dvg_option options[] = {
    DVG_OPTION_PATH(S, images, "images", NULL, "image set of real people"),
    DVG_OPTION_FLAG(S, pretrain, "pretrain", "0", "train on the visible domain alone"),
    DVG_OPTION_PATH(S, start, "start", "",
                    "weights to start from; \"\": new ones, made from data (--pretrain only)"),
    DVG_OPTION_PATH(S, pairs, "pairs", "", "folder of generated pairs, from dvg-generate"),
    DVG_OPTION_TEXT(S, where, "where", "", DVG_WHERE_HELP),
    DVG_OPTION_PATH(S, scores, "scores", "", DVG_SCORES_HELP),
    DVG_OPTION_TEXT(S, domain, "domain", "",
                    "the other domain, as named in images and pairs; \"\" with --pretrain"),
    DVG_OPTION_TEXT(S, visible, "visible", "VIS", "the visible domain"),
    DVG_OPTION_PATH(S, distill, "distill", "",
                    "HDF5 file with embeddings `feature` of the images by another network (--pretrain)"),
    DVG_TRAIN_OPTIONS(S, train),
    DVG_OPTION_REAL(S, width, "width", "0", 0, 16,
                    "multiplier of the network's channels; 0: that of --start, 1 for new weights"),
    DVG_OPTION_INT(S, size, "size", "0", 0, 1024,
                   "side of the input, a multiple of 32; 0: that of --start, 128 for new weights"),
    DVG_OPTION_INT(S, head_epochs, "head-epochs", "4", 0, 1e6,
                   "phase I: passes over the real images that train the classifier alone"),
    DVG_OPTION_INT(S, head_batch, "head-batch", "128", 1, 65536, "phase I: real images in a step"),
    DVG_OPTION_REAL(S, head_rate, "head-rate", "0.001", 0, 10, "phase I: learning rate"),
    DVG_OPTION_INT(S, epochs, "epochs", "15", 1, 1e6,
                   "passes over the generated pairs, or over the images where there are none"),
    DVG_OPTION_INT(S, steps, "steps", "0", 0, 1e12, "steps; 0: as many as the epochs give"),
    DVG_OPTION_INT(S, batch, "batch", "64", 1, 65536, "real images in a step"),
    DVG_OPTION_INT(S, generated, "generated", "64", 0, 65536, "pairs in a step"),
    DVG_OPTION_REAL(S, real_pairs, "real-pairs", "0", 0, 1,
                    "part of these that are real: a person's images in both domains; 1: without --pairs"),
    DVG_OPTION_INT(S, micro_batch, "micro-batch", "8", 1, 4096,
                   "real images computed at once by one rank; must divide the batches"),
    DVG_OPTION_CHOICE(S, optimizer, "optimizer", "sgd", "sgd|adam", "optimiser"),
    DVG_OPTION_REAL(S, rate, "rate", "0.001", 0, 10, "learning rate"),
    DVG_OPTION_REAL(S, momentum, "momentum", "0.9", 0, 1, "of SGD"),
    DVG_OPTION_REAL(S, weight_decay, "weight-decay", "0.0002", 0, 1, "of either optimiser"),
    DVG_OPTION_CHOICE(S, schedule, "schedule", "step", "step|cosine", "how the rate falls"),
    DVG_OPTION_REAL(S, rate_drop, "rate-drop", "0.457305", 0, 1, "schedule step: factor at each drop"),
    DVG_OPTION_REAL(S, rate_drop_every, "rate-drop-every", "5", 0.001, 1e6,
                    "schedule step: epochs between drops"),
    DVG_OPTION_REAL(S, final_rate, "final-rate", "0.01", 0, 1,
                    "schedule cosine: part of the rate left at the end"),
    DVG_OPTION_INT(S, rate_batch, "rate-batch", "0", 0, 1e9,
                   "the batch that --rate was found at: at another --batch it grows as their ratio (sgd) or its "
                   "root (adam); 0: --rate as it is"),
    DVG_OPTION_INT(S, rate_warmup, "rate-warmup", "0", 0, 1e12, "steps over which the rate rises from 0"),
    DVG_OPTION_REAL(S, labels, "labels", "1", 0, 1e6, "pretrain: weight of the classification loss"),
    DVG_OPTION_REAL(S, distill_weight, "distill-weight", "1", 0, 1e6, "pretrain: weight of the teacher's loss"),
    DVG_OPTION_REAL(
        S, length, "length", "0.001", 0, 1e6,
        "distill: weight of the embeddings' half squared length, which the teacher's loss leaves free"),
    DVG_OPTION_CHOICE(S, contrast, "contrast", "public", "both|public|pull|none", "what is asked of pairs"),
    DVG_OPTION_REAL(S, contrast_weight, "contrast-weight", "0.001", 0, 1e6, "weight of the contrastive loss"),
    DVG_OPTION_REAL(S, push, "push", "0.1", 0, 1e6, "part of it for the pushing of different identities"),
    DVG_OPTION_REAL(S, margin, "margin", "0.5", -1, 1,
                    "cosine below which different identities are not pushed"),
    DVG_OPTION_FLAG(S, flip, "flip", "0", "mirror real images at random"),
    DVG_OPTION_REAL(S, jitter, "jitter", "0", 0, 1,
                    "strength of random changes of exposure, tone, side light and noise"),
    DVG_OPTION_END};
#undef S

static const char *const preset_public[] = {NULL}; // the table's defaults are those of the public code
static const char *const preset_paper[] = {"contrast", "both", NULL};
static const struct dvg_preset presets[] = {{"public", preset_public}, {"paper", preset_paper}, {NULL, NULL}};

enum { PRETRAIN, HEAD, ALL };
#define PHASE_SHIFT 40 // places of the phases' random numbers lie apart

struct job {
  const struct dvg_recognizer_settings *set;
  const struct dvg_world *w;
  struct dvg_image_set images;
  struct dvg_weights start;
  struct dvg_model model;
  struct dvg_shard_reader *pairs;
  struct dvg_ledger ledger;     // which pairs are there to be learnt from: rejected ones have no images
  struct dvg_selected selected; // of --where
  int64_t n_pairs, pair_size, pair_channels, n_rows, *row, n_both, n_one_domain, steps_per_epoch, n_steps;
  struct dvg_epochs real_epochs, pair_epochs;
  struct dvg_real_pairs real_pairs;
  struct dvg_teacher teacher;
  struct dvg_params params;
  struct dvg_recognizer_phase phase;
  unsigned char *pixels, *pair_pixels;
};

// ---- inputs of a micro-batch

static float *plane_of(struct job *j, int64_t i) {
  return dvg_graph_values(j->phase.graph, j->phase.image) + i * j->model.size * j->model.size;
}

// A random crop of an image of the set.
static enum dvg_status read_crop(struct job *j, float *plane, int64_t row, struct dvg_rng *r) {
  const int64_t size = j->model.size;
  int64_t top = dvg_rng_below(r, j->images.H - size + 1), left = dvg_rng_below(r, j->images.W - size + 1);
  DVG_TRY(dvg_image_set_read(&j->images, row, 1, j->pixels));
  dvg_image_to_planes(plane, j->pixels, j->images.H, j->images.W, j->images.C, 1, top, left, size);
  return DVG_OK;
}

// Real image i of the micro-batch.
static enum dvg_status fill_real(struct job *j, int64_t i, int64_t place) {
  const struct dvg_recognizer_phase *p = &j->phase;
  int64_t size = j->model.size, row = j->row[dvg_epochs_item(&j->real_epochs, place)];
  uint64_t item = ((uint64_t)p->index << PHASE_SHIFT) + (uint64_t)place;
  struct dvg_rng r;
  dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_CROP, item);
  DVG_TRY(read_crop(j, plane_of(j, i), row, &r));
  if (j->set->flip && dvg_rng_below(&r, 2)) dvg_augment_mirror(plane_of(j, i), size);
  dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_JITTER, item);
  dvg_augment_jitter(plane_of(j, i), size, j->set->jitter, &r);
  if (p->label >= 0) dvg_graph_integer_values(p->graph, p->label)[i] = j->images.identity[row];
  if (p->item >= 0) dvg_graph_integer_values(p->graph, p->item)[i] = (int64_t)item;
  if (p->target >= 0)
    memcpy(dvg_graph_values(p->graph, p->target) + i * j->teacher.C, j->teacher.target + row * j->teacher.C,
           (size_t)j->teacher.C * sizeof(float));
  return DVG_OK;
}

// Image d of pair i of the micro-batch: they stand behind the real images.
static float *pair_plane(struct job *j, int64_t i, int d) {
  return plane_of(j, j->phase.real + d * j->phase.pairs + i);
}

// The first pairs of a micro-batch are the real ones.
static enum dvg_status fill_real_pair(struct job *j, int64_t i, int64_t micro) {
  struct dvg_rng r;
  int64_t row[2];
  dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_REAL_PAIR,
               (uint64_t)(micro * j->phase.real_pairs + i));
  dvg_real_pairs_draw(&j->real_pairs, micro, i, &r, row);
  for (int d = 0; d < 2; d++) {
    DVG_TRY(read_crop(j, pair_plane(j, i, d), row[d], &r));
    if (j->set->flip && dvg_rng_below(&r, 2)) dvg_augment_mirror(pair_plane(j, i, d), j->model.size);
    dvg_augment_jitter(pair_plane(j, i, d), j->model.size, j->set->jitter, &r);
  }
  return DVG_OK;
}

static enum dvg_status fill_generated(struct job *j, int64_t i, int64_t place) {
  const char *domain[2] = {j->set->domain, j->set->visible};
  int64_t k = dvg_ledger_item(&j->ledger, dvg_epochs_item(&j->pair_epochs, place)),
          offset = (j->pair_size - j->model.size) / 2;
  for (int d = 0; d < 2; d++) {
    char name[96];
    snprintf(name, sizeof name, "image_%.80s", domain[d]);
    DVG_TRY(dvg_shard_reader_read(j->pairs, name, DVG_U8, k, 1, j->pair_pixels));
    dvg_image_to_planes(pair_plane(j, i, d), j->pair_pixels, j->pair_size, j->pair_size, j->pair_channels, 1,
                        offset, offset, j->model.size);
    struct dvg_rng r;
    dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_JITTER_PAIR, 2 * (uint64_t)place + (uint64_t)d);
    dvg_augment_jitter(pair_plane(j, i, d), j->model.size, j->set->jitter, &r);
  }
  return DVG_OK;
}

static enum dvg_status fill(void *job, int64_t step, int64_t micro) {
  struct job *j = job;
  const struct dvg_recognizer_phase *p = &j->phase;
  for (int64_t i = 0; i < p->real; i++) DVG_TRY(fill_real(j, i, step * p->batch + micro * p->real + i));
  const int64_t number = step * p->n_micro + micro, n_generated = p->pairs - p->real_pairs;
  for (int64_t i = 0; i < p->real_pairs; i++) DVG_TRY(fill_real_pair(j, i, number));
  for (int64_t i = 0; i < n_generated; i++)
    DVG_TRY(fill_generated(j, p->real_pairs + i, number * n_generated + i));
  if (p->negative >= 0) {
    struct dvg_rng r;
    dvg_rng_init(&r, (uint64_t)j->set->train.seed, DVG_STREAM_DERANGE, (uint64_t)number);
    dvg_rng_derangement(&r, dvg_graph_integer_values(p->graph, p->negative), p->pairs);
  }
  return DVG_OK;
}

static double scheduled_rate(const struct job *j, double rate, int64_t step) {
  const struct dvg_recognizer_settings *set = j->set;
  if (set->schedule == DVG_SCHEDULE_COSINE) return dvg_rate_cosine(rate, set->final_rate, step, j->n_steps);
  double drops = floor((double)step / (set->rate_drop_every * (double)j->steps_per_epoch));
  return rate * pow(set->rate_drop, drops);
}

static double rate_at(void *job, int64_t step) {
  const struct job *j = job;
  const struct dvg_recognizer_settings *set = j->set;
  if (j->phase.index == HEAD) return set->head_rate;
  const double rate = dvg_rate_for_batch(set->rate, set->rate_batch, set->batch, set->optimizer != 0);
  return dvg_rate_warmup(scheduled_rate(j, rate, step), step + 1, (double)set->rate_warmup);
}

enum { SHEET_ROWS = 8 };

static int64_t at_most_a_sheet(int64_t rows) {
  return rows < SHEET_ROWS ? rows : SHEET_ROWS;
}

// What the network sees: real crops, pairs.
static enum dvg_status sheet(void *job, int64_t step, const char *path) {
  struct job *j = job;
  const struct dvg_recognizer_phase *p = &j->phase;
  int64_t n_real = at_most_a_sheet(p->real), n_pairs = at_most_a_sheet(p->pairs);
  struct dvg_sheet *s;
  char title[96];
  snprintf(title, sizeof title, "%s: the first micro-batch (seen at step %lld)", p->name, (long long)step);
  DVG_TRY(fill(j, 0, 0));
  DVG_TRY(dvg_sheet_create(&s, n_real > n_pairs ? n_real : n_pairs, n_pairs ? 3 : 1, j->model.size,
                           j->model.size, title));
  dvg_sheet_column(s, 0, "real");
  for (int64_t i = 0; i < n_real; i++) dvg_sheet_cell_f32(s, i, 0, plane_of(j, i), 1);
  for (int d = 0; d < 2 && n_pairs; d++) {
    dvg_sheet_column(s, 1 + d, d ? j->set->visible : j->set->domain);
    for (int64_t i = 0; i < n_pairs; i++) dvg_sheet_cell_f32(s, i, 1 + d, pair_plane(j, i, d), 1);
  }
  enum dvg_status status = dvg_sheet_write(s, path);
  dvg_sheet_free(&s);
  return status;
}

static enum dvg_status dump(void *job, struct dvg_artifact *a) {
  const struct job *j = job;
  DVG_TRY(dvg_artifact_set_int(a, "size", j->model.size));
  DVG_TRY(dvg_artifact_set_real(a, "width", j->model.width));
  DVG_TRY(dvg_artifact_set_int(a, "seed", j->set->train.seed));
  DVG_TRY(dvg_artifact_set_int(a, "batch", j->phase.batch));
  DVG_TRY(dvg_artifact_set_int(a, "pairs", j->phase.pairs * j->phase.n_micro));
  return dvg_artifact_set_real(a, "margin", j->set->margin);
}

// ---- checks and loading

static int contrasts(const struct dvg_recognizer_settings *set) {
  return !set->pretrain && set->contrast != DVG_CONTRAST_NONE && set->generated > 0;
}

static int uses_generated(const struct dvg_recognizer_settings *set) {
  return contrasts(set) && set->pairs[0] && set->real_pairs < 1;
}

static int uses_pairs(const struct dvg_recognizer_settings *set) {
  return uses_generated(set) || (contrasts(set) && set->real_pairs > 0);
}

// Of a micro-batch of phase II.
static int64_t count_pairs(const struct dvg_recognizer_settings *set) {
  return uses_pairs(set) ? set->generated / (set->batch / set->micro_batch) : 0;
}

static int64_t count_real_pairs(const struct dvg_recognizer_settings *set) {
  return llround(set->real_pairs * (double)count_pairs(set));
}

static enum dvg_status check_real_pairs(const struct dvg_recognizer_settings *set) {
  if (set->real_pairs <= 0) return DVG_OK;
  if (!contrasts(set))
    return dvg_fail(DVG_ERROR_USAGE,
                    "--real-pairs are not used with --pretrain, --contrast none or --generated 0");
  if (set->real_pairs < 1 && !set->pairs[0])
    return dvg_fail(DVG_ERROR_USAGE, "--real-pairs %g leaves a part for --pairs, which are not given",
                    set->real_pairs);
  if (set->real_pairs < 1 && (count_real_pairs(set) == 0 || count_real_pairs(set) == count_pairs(set)))
    return dvg_fail(DVG_ERROR_USAGE, "--real-pairs %g of %lld pairs in a micro-batch are none, or all",
                    set->real_pairs, (long long)count_pairs(set));
  return DVG_OK;
}

static enum dvg_status check_settings(const struct dvg_recognizer_settings *set) {
  int64_t n_micro = set->batch / set->micro_batch;
  if (set->batch % set->micro_batch)
    return dvg_fail(DVG_ERROR_USAGE, "--micro-batch %lld does not divide --batch %lld",
                    (long long)set->micro_batch, (long long)set->batch);
  if (!set->pretrain && set->head_epochs && set->head_batch % set->micro_batch)
    return dvg_fail(DVG_ERROR_USAGE, "--micro-batch %lld does not divide --head-batch %lld",
                    (long long)set->micro_batch, (long long)set->head_batch);
  if (uses_pairs(set) && set->generated % n_micro)
    return dvg_fail(DVG_ERROR_USAGE, "--generated %lld can't be shared out over %lld micro-batches",
                    (long long)set->generated, (long long)n_micro);
  if (uses_pairs(set) && set->generated / n_micro < 2 && set->contrast != DVG_CONTRAST_PULL)
    return dvg_fail(DVG_ERROR_USAGE, "--generated %lld gives one pair a micro-batch: no negative to push",
                    (long long)set->generated);
  if (set->size % 32)
    return dvg_fail(DVG_ERROR_USAGE, "--size %lld is no multiple of 32", (long long)set->size);
  if (set->width > 0 && set->width < 0.01)
    return dvg_fail(DVG_ERROR_USAGE, "--width %g is less than 0.01", set->width);
  DVG_TRY(check_real_pairs(set));
  if ((set->where[0] || set->scores[0]) && !uses_generated(set))
    return dvg_fail(DVG_ERROR_USAGE, "--where and --scores choose among --pairs, which are not used");
  if (set->pairs[0] && !uses_generated(set))
    return dvg_fail(DVG_ERROR_USAGE,
                    "--pairs are not used with --pretrain, --contrast none, --generated 0 or --real-pairs 1");
  if (!set->pretrain && !set->start[0])
    return dvg_fail(DVG_ERROR_USAGE, "--start is needed without --pretrain: the recogniser to train further");
  if (!set->pretrain && !set->domain[0])
    return dvg_fail(DVG_ERROR_USAGE, "--domain is needed without --pretrain");
  if (!set->pretrain && strcasecmp(set->domain, set->visible) == 0)
    return dvg_fail(DVG_ERROR_USAGE, "--domain and --visible are both %s, whatever the case", set->domain);
  if (!set->pretrain && set->distill[0]) return dvg_fail(DVG_ERROR_USAGE, "--distill goes with --pretrain");
  if (set->pretrain && set->labels <= 0 && !set->distill[0])
    return dvg_fail(DVG_ERROR_USAGE, "--labels 0 without --distill leaves nothing to learn");
  return DVG_OK;
}

// How many people are in both domains, and in one only.
static enum dvg_status count_people(struct job *j, int visible) {
  unsigned char *seen;
  DVG_TRY(DVG_NEW(&seen, j->images.n_people, "marks of people"));
  for (int64_t i = 0; i < j->n_rows; i++)
    seen[j->images.identity[j->row[i]]] |= j->images.domain[j->row[i]] == visible ? 1 : 2;
  for (int64_t k = 0; k < j->images.n_people; k++) {
    j->n_both += seen[k] == 3;
    j->n_one_domain += seen[k] == 1 || seen[k] == 2;
  }
  dvg_free(&seen);
  return DVG_OK;
}

// The rows to train on, of the visible domain or of both, and what the teacher says of them.
static enum dvg_status list_rows(void *job) {
  struct job *j = job;
  int domain[2] = {-1, -1};
  if (j->images.H < j->model.size || j->images.W < j->model.size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than the network's %lld",
                    j->set->images, (long long)j->images.W, (long long)j->images.H, (long long)j->model.size);
  DVG_TRY(dvg_image_set_domain(&j->images, j->set->visible, &domain[1]));
  if (!j->set->pretrain) DVG_TRY(dvg_image_set_domain(&j->images, j->set->domain, &domain[0]));
  DVG_TRY(DVG_NEW(&j->row, j->images.N, "rows"));
  for (int64_t i = 0; i < j->images.N; i++)
    if (j->images.domain[i] == domain[0] || j->images.domain[i] == domain[1]) j->row[j->n_rows++] = i;
  if (j->n_rows == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no image of the domains to train on", j->set->images);
  DVG_TRY(count_people(j, domain[1]));
  if (count_real_pairs(j->set) > 0)
    DVG_TRY(dvg_real_pairs_init(&j->real_pairs, &j->images, j->set->domain, j->set->visible,
                                count_real_pairs(j->set), (uint64_t)j->set->train.seed + 2));
  return j->set->distill[0] ? dvg_teacher_read(&j->teacher, j->set->distill, &j->images) : DVG_OK;
}

static enum dvg_status open_pairs(void *job) {
  struct job *j = job;
  DVG_TRY(dvg_shard_reader_open(&j->pairs, j->set->pairs, "pairs", DVG_PAIRS_VERSION));
  const char *domain[2] = {j->set->domain, j->set->visible};
  for (int d = 0; d < 2; d++) {
    char name[96];
    enum dvg_type type;
    int n_dims;
    int64_t dims[DVG_MAX_DIMS];
    snprintf(name, sizeof name, "image_%.80s", domain[d]);
    DVG_TRY(dvg_artifact_shape(dvg_shard_reader_first(j->pairs), name, &type, &n_dims, dims));
    if (type != DVG_U8 || n_dims != 4 || dims[1] != dims[2] || dims[1] > DVG_IMAGE_MAX_SIDE ||
        (dims[3] != 1 && dims[3] != 3))
      return dvg_fail(DVG_ERROR_INPUT, "%s: %s is no set of square images", j->set->pairs, name);
    if (dims[1] < j->model.size)
      return dvg_fail(DVG_ERROR_INPUT, "%s: images of size %lld are smaller than the network's %lld",
                      j->set->pairs, (long long)dims[1], (long long)j->model.size);
    if (d > 0 && (dims[1] != j->pair_size || dims[3] != j->pair_channels)) // one buffer serves both
      return dvg_fail(DVG_ERROR_INPUT, "%s: images are %lld x %lld x %lld in %s, but %lld x %lld x %lld in %s",
                      j->set->pairs, (long long)j->pair_size, (long long)j->pair_size,
                      (long long)j->pair_channels, domain[0], (long long)dims[1], (long long)dims[1],
                      (long long)dims[3], domain[1]);
    j->pair_size = dims[1], j->pair_channels = dims[3];
  }
  DVG_TRY(dvg_ledger_read(&j->ledger, j->pairs, j->set->pairs));
  if (j->ledger.n_rejected > 0)
    dvg_info("%s: %lld pairs; %lld were rejected", j->set->pairs, (long long)j->ledger.n_written,
             (long long)j->ledger.n_rejected);
  DVG_TRY(dvg_ledger_select(&j->selected, &j->ledger, j->pairs, j->set->pairs, j->set->where, j->set->scores));
  j->n_pairs = j->ledger.n_written;
  if (j->set->where[0])
    dvg_info("%s: %lld pairs fulfil '%s', %lld don't", j->set->pairs, (long long)j->n_pairs, j->set->where,
             (long long)j->selected.n_left_out);
  return DVG_OK;
}

static enum dvg_status check_start(const struct job *j) {
  const struct dvg_model *have = &j->start.model;
  if (j->set->width > 0 && j->set->width != have->width)
    return dvg_fail(DVG_ERROR_USAGE, "%s: has width %g, but --width is %g", j->start.path, have->width,
                    j->set->width);
  if (j->set->size > 0 && j->set->size != have->size)
    return dvg_fail(DVG_ERROR_USAGE, "%s: has size %lld, but --size is %lld", j->start.path,
                    (long long)have->size, (long long)j->set->size);
  return DVG_OK;
}

static enum dvg_status choose_model(struct job *j) {
  const struct dvg_recognizer_settings *set = j->set;
  j->model = (struct dvg_model){set->width > 0 ? set->width : 1, set->size > 0 ? set->size : 128, DVG_CODE};
  if (!set->start[0]) return DVG_OK;
  DVG_TRY(dvg_weights_describe(&j->start, j->w, set->start, "lightcnn29v2"));
  j->model = j->start.model;
  return dvg_world_agree(j->w, j->w->rank == 0 ? check_start(j) : DVG_OK);
}

static enum dvg_status load(struct job *j, struct dvg_lineage *lineage) {
  const struct dvg_recognizer_settings *set = j->set;
  DVG_TRY(choose_model(j));
  DVG_TRY(dvg_stage_open_images(&j->images, j->w, set->images));
  DVG_TRY(dvg_world_root_first(j->w, list_rows, j));
  if (!set->pretrain)
    dvg_info("%lld people in both %s and %s, %lld in one of them only, who are trained on as well; %lld images",
             (long long)j->n_both, set->domain, set->visible, (long long)j->n_one_domain, (long long)j->n_rows);
  if (uses_generated(set)) {
    DVG_TRY(dvg_world_root_first(j->w, open_pairs, j));
    DVG_TRY(dvg_stage_check_shards(j->w, j->pairs));
  }
  dvg_lineage_add(lineage, "images", set->images, dvg_artifact_digest(j->images.file));
  if (set->start[0]) dvg_lineage_add(lineage, "start", set->start, j->start.digest);
  if (set->distill[0]) dvg_lineage_add(lineage, "teacher", set->distill, j->teacher.digest);
  if (j->pairs) dvg_lineage_add(lineage, "pairs", set->pairs, dvg_shard_reader_digest(j->pairs));
  if (j->selected.scores_digest[0]) dvg_lineage_add(lineage, "scores", set->scores, j->selected.scores_digest);
  enum dvg_status status = DVG_NEW(&j->pixels, j->images.H * j->images.W * j->images.C, "image");
  if (status == DVG_OK)
    status = DVG_NEW(&j->pair_pixels, j->pair_size * j->pair_size * j->pair_channels, "pair image");
  if (status == DVG_OK) status = dvg_epochs_init(&j->real_epochs, (uint64_t)set->train.seed, j->n_rows);
  if (status == DVG_OK && j->pairs)
    status = dvg_epochs_init(&j->pair_epochs, (uint64_t)set->train.seed + 1, j->n_pairs);
  return dvg_world_agree(j->w, status);
}

// ---- phases

// New weights come from data: plain random ones hardly move at first in a network without batch norm.
static enum dvg_status initialize(struct job *j) {
  dvg_params_initialize(&j->params, (uint64_t)j->set->train.seed);
  if (j->set->start[0]) DVG_TRY(dvg_weights_load(&j->params, "recognizer.", &j->start, j->w, 1));
  else {
    DVG_TRY(dvg_world_agree(j->w, fill(j, 0, 0)));
    DVG_TRY(dvg_world_agree(j->w, dvg_graph_initialize_by_data(j->phase.graph)));
  }
  dvg_params_share(&j->params, j->w);
  return DVG_OK;
}

static int64_t epoch_steps(const struct job *j, int index) {
  const struct dvg_recognizer_settings *set = j->set;
  const int64_t n_generated = set->generated - count_real_pairs(set) * (set->batch / set->micro_batch);
  int64_t steps = index == ALL && j->pairs ? j->n_pairs / n_generated
                                           : j->n_rows / (index == HEAD ? set->head_batch : set->batch);
  return steps < 1 ? 1 : steps;
}

static int64_t phase_steps(const struct job *j, int index) {
  const struct dvg_recognizer_settings *set = j->set;
  if (index != HEAD && set->steps) return set->steps;
  return (index == HEAD ? set->head_epochs : set->epochs) * epoch_steps(j, index);
}

static enum dvg_status run_phase(struct job *j, const struct dvg_lineage *lineage, const char *name, int index,
                                 int first) {
  const struct dvg_recognizer_settings *set = j->set;
  int64_t batch = index == HEAD ? set->head_batch : set->batch, n_micro = batch / set->micro_batch;
  dvg_graph_free(&j->phase.graph);
  j->phase = (struct dvg_recognizer_phase){
      .name = name, .index = index, .batch = batch, .n_micro = n_micro, .real = set->micro_batch};
  if (index == ALL) j->phase.pairs = count_pairs(set), j->phase.real_pairs = count_real_pairs(set);
  j->steps_per_epoch = epoch_steps(j, index);
  j->n_steps = phase_steps(j, index);
  DVG_TRY(dvg_world_agree(
      j->w, dvg_recognizer_build(&j->phase, &j->params, set, j->model, j->images.n_people, j->teacher.C)));
  if (first && set->start[0]) DVG_TRY(dvg_weights_check(&j->params, "recognizer.", &j->start, j->w, 1));
  DVG_TRY(dvg_world_agree(j->w, dvg_graph_plan(j->phase.graph, 1)));
  dvg_info("%s: %lld steps of %lld images and %lld pairs; %.2f M parameters; %.0f MB for a micro-batch", name,
           (long long)j->n_steps, (long long)batch, (long long)(j->phase.pairs * n_micro),
           (double)j->params.n_values / 1e6, (double)dvg_graph_bytes(j->phase.graph) / 1e6);
  if (first) DVG_TRY(initialize(j));
  struct dvg_trainer t = {
      .world = j->w,
      .settings = &set->train,
      .lineage = lineage,
      .name = name,
      .result = "recognizer.h5",
      .graph = j->phase.graph,
      .params = &j->params,
      .n_steps = j->n_steps,
      .n_micro = n_micro,
      .optimizer = set->optimizer ? DVG_ADAM : DVG_SGD,
      .sgd = {.momentum = set->momentum, .weight_decay = set->weight_decay},
      .adam = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = set->weight_decay},
      .job = j,
      .rate = rate_at,
      .fill = fill,
      .sheet = sheet,
      .dump = dump};
  return dvg_trainer_run(&t, NULL);
}

static enum dvg_status save(struct job *j, const struct dvg_lineage *lineage) {
  char path[1100], digest[DVG_DIGEST_TEXT];
  struct dvg_weights f = {.net = "lightcnn29v2", .model = j->model};
  snprintf(path, sizeof path, "%s/recognizer.h5", j->set->train.out);
  DVG_TRY(dvg_weights_save(path, &j->params, "recognizer.", &f, lineage, digest));
  dvg_info("%s: %s", path, digest);
  return DVG_OK;
}

static enum dvg_status train(struct job *j, struct dvg_lineage *lineage) {
  DVG_TRY(load(j, lineage));
  int pretrain = j->set->pretrain != 0, head = !pretrain && j->set->head_epochs > 0;
  int64_t n_steps = phase_steps(j, pretrain ? PRETRAIN : ALL), n_head = head ? phase_steps(j, HEAD) : 0;
  DVG_TRY(dvg_train_check_dump(j->w, &j->set->train, n_steps > n_head ? n_steps : n_head));
  if (pretrain) DVG_TRY(run_phase(j, lineage, "pretrain", PRETRAIN, 1));
  else {
    if (head) DVG_TRY(run_phase(j, lineage, "phase1", HEAD, 1));
    DVG_TRY(run_phase(j, lineage, "phase2", ALL, !head));
  }
  if (j->set->train.plan) return DVG_OK;
  return dvg_world_agree(j->w, j->w->rank == 0 ? save(j, lineage) : DVG_OK);
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct dvg_lineage lineage;
  struct job j = {.set = o->values, .w = w};
  dvg_params_init(&j.params);
  dvg_log_quiet(w->rank != 0);
  enum dvg_status status = check_settings(j.set);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(w, status));
  DVG_TRY(dvg_train_begin(w, &j.set->train));
  status = dvg_world_agree(w, dvg_lineage_init(&lineage, o));
  if (status == DVG_OK) status = train(&j, &lineage);
  dvg_lineage_free(&lineage);
  dvg_graph_free(&j.phase.graph);
  dvg_params_free(&j.params);
  dvg_epochs_free(&j.real_epochs);
  dvg_epochs_free(&j.pair_epochs);
  dvg_real_pairs_free(&j.real_pairs);
  dvg_shard_reader_close(&j.pairs);
  dvg_ledger_free(&j.ledger);
  dvg_image_set_close(&j.images);
  dvg_free(&j.teacher.target);
  dvg_free(&j.row);
  dvg_free(&j.pixels);
  dvg_free(&j.pair_pixels);
  return status;
}

const struct dvg_stage dvg_stage_train_recognizer = {
    "dvg-train-recognizer",
    "stage 5: trains the recogniser on real images and generated pairs (or, --pretrain, on visible images)",
    options,
    presets,
    sizeof(struct dvg_recognizer_settings),
    run};
