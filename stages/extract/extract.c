#include "stages/extract/extract.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"
#include "mpi/distribute.h"
#include "stages/embed.h"
#include "stages/embeddings.h"
#include "stages/intake.h"
#include "stages/plan.h"
#include "stages/precision.h"

enum { VERSION = 1, MAX_WHERE = 4096 };

struct settings {
  char *images, *list, *folder, *rec, *tar, *landmarks, *weights, *embeddings, *domain, *where, *out, *part;
  int64_t fit, skip_bad, per_shard, precision, plan;
};

static const struct dvg_option options[] = {
    DVG_SOURCE_OPTIONS(struct settings),
    DVG_OPTION_PATH(struct settings, weights, "weights", "", "weights of the recogniser (lightcnn29v2)"),
    DVG_OPTION_PATH(struct settings, embeddings, "embeddings", "",
                    "in place of --weights: HDF5 file of another recogniser's embeddings of these images, of any length "
                    "(datasets feature (n,L) and, unless in the images file's order, path (n))"),
    DVG_OPTION_TEXT(struct settings, domain, "domain", "", "take images of this domain only; none: all"),
    DVG_OPTION_TEXT(struct settings, where, "where", "",
                    "rows to take, by columns of a TSV: column=value[,value...][;column=value]"),
    DVG_OPTION_CHOICE(
        struct settings, fit, "fit", "none", DVG_FIT_CHOICES,
        "what to do with images of another size than the network's (128, cut out of 144; or 64, of 72); "
        "none: an error"),
    DVG_OPTION_FLAG(struct settings, skip_bad, "skip-bad", "0",
                    "leave out files that can't be read or aligned (listed in bad.txt)"),
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "folder for the shards"),
    DVG_OPTION_INT(struct settings, per_shard, "per-shard", "8192", 1, INT64_C(1) << 30,
                   "images of a shard, which is the work of one rank"),
    DVG_OPTION_CHOICE(struct settings, precision, "precision", "float32", DVG_PRECISION_CHOICES, DVG_PRECISION_HELP),
    DVG_OPTION_PATH(struct settings, part, "part", "", DVG_PART_HELP),
    DVG_OPTION_LOCAL_FLAG(struct settings, plan, "plan", "no", DVG_PLAN_HELP),
    DVG_OPTION_END};

struct job {
  const struct settings *s;
  const struct dvg_world *w;
  struct dvg_intake in;
  struct dvg_embedder embedder;     // graph NULL with --embeddings
  struct dvg_embeddings embeddings; // file NULL with --weights
  int64_t width;                    // values of a feature
  struct dvg_lineage lineage;
  struct dvg_shards shards;
  unsigned char *pending;     // (n_shards)
  float *features;            // (per_shard,width) of the shard at work
  int64_t *identity, *place;  // (per_shard)
  char read[DVG_DIGEST_TEXT]; // digest of the files that the shard at work was made from
  int64_t bad_item;           // one that could not be made into a frame, which was not said yet; or -1
};

// ---- inputs

static int takes_embeddings(const struct job *j) {
  return j->s->embeddings[0] != 0;
}

static enum dvg_status check_settings(const struct job *j) {
  const struct settings *s = j->s;
  if (!s->weights[0] == !s->embeddings[0])
    return dvg_fail(DVG_ERROR_USAGE, "give one source of features, --weights or --embeddings");
  if (takes_embeddings(j) && (s->fit != DVG_FIT_NONE || s->landmarks[0] || s->skip_bad))
    return dvg_fail(DVG_ERROR_USAGE, "--fit, --landmarks and --skip-bad are for images that are looked at: --embeddings "
                                     "has the features already");
  return DVG_OK;
}

static enum dvg_status open_embeddings(void *context) {
  struct job *j = context;
  return dvg_embeddings_open(&j->embeddings, j->s->embeddings, &j->in.source, j->in.items, j->in.n_items);
}

// Collective. The network, or what another one gave.
static enum dvg_status open_recognizer(struct job *j) {
  if (!takes_embeddings(j)) {
    j->width = DVG_CODE;
    DVG_TRY(dvg_precision_choose(j->w, j->s->precision));
    return dvg_embedder_create(&j->embedder, j->w, j->s->weights);
  }
  DVG_TRY(dvg_world_root_first(j->w, open_embeddings, j));
  j->width = j->embeddings.width;
  return DVG_OK;
}

// Collective.
static enum dvg_status open_source(struct job *j) {
  const struct settings *s = j->s;
  const struct dvg_source_choice choice = {.images = s->images,
                                           .list = s->list,
                                           .folder = s->folder,
                                           .rec = s->rec,
                                           .tar = s->tar,
                                           .filter = {.domains = s->domain, .where = s->where},
                                           .landmarks = s->landmarks};
  if (*s->landmarks && s->fit != DVG_FIT_NONE && s->fit != DVG_FIT_LANDMARKS)
    return dvg_world_agree(
        j->w, j->w->rank == 0
                  ? dvg_fail(DVG_ERROR_USAGE, "--landmarks aligns: --fit must be landmarks, or be left out")
                  : DVG_ERROR_USAGE);
  return dvg_intake_open(&j->in, j->w, &choice);
}

// The network takes a crop of the recogniser's frame, which is larger by an eighth. A packed set was made to
// measure.
static enum dvg_status choose_frame(struct job *j) {
  const struct dvg_source *source = &j->in.source;
  struct dvg_framing *f = &j->in.framing;
  int64_t size = j->embedder.file.model.size;
  f->fit = *j->s->landmarks ? DVG_FIT_LANDMARKS : (enum dvg_fit)j->s->fit;
  f->size = f->fit == DVG_FIT_CENTER_CROP ? size : size * 9 / 8;
  if (f->fit != DVG_FIT_NONE) return DVG_OK;
  f->network = size;
  if (source->kind != DVG_SOURCE_IMAGES) return DVG_OK;
  f->network = f->size = 0;
  if (source->set.H >= size && source->set.W >= size) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than the %lld x %lld that %s takes",
                  source->path, (long long)source->set.W, (long long)source->set.H, (long long)size,
                  (long long)size, j->s->weights);
}

static enum dvg_status digest_landmarks(char digest[DVG_DIGEST_TEXT], const char *path) {
  unsigned char *bytes = NULL;
  size_t n_bytes;
  DVG_TRY(dvg_path_read_bytes(path, INT64_C(1) << 30, &bytes, &n_bytes));
  enum dvg_status status = dvg_digest_of(digest, bytes, n_bytes);
  dvg_free(&bytes);
  return status;
}

// Collective. Rank 0 computes the digests of what is the same for all.
static enum dvg_status add_inputs(struct job *j, const struct dvg_options *o) {
  char digests[3][DVG_DIGEST_TEXT] = {"", "", ""};
  enum dvg_status status = DVG_OK;
  if (j->w->rank == 0)
    status = dvg_source_digest(digests[0], &j->in.source, j->in.items, j->in.sizes, j->in.n_items);
  if (j->w->rank == 0 && status == DVG_OK && *j->s->landmarks)
    status = digest_landmarks(digests[1], j->s->landmarks);
  if (j->w->rank == 0 && status == DVG_OK && takes_embeddings(j))
    status = dvg_embeddings_digest(digests[2], &j->embeddings);
  DVG_TRY(dvg_world_agree(j->w, status));
  dvg_world_broadcast(j->w, digests, sizeof digests, 0);
  DVG_TRY(dvg_world_agree(j->w, dvg_lineage_init(&j->lineage, o)));
  dvg_lineage_add(&j->lineage, "images", j->in.source.path, digests[0]);
  if (*j->s->landmarks) dvg_lineage_add(&j->lineage, "landmarks", j->s->landmarks, digests[1]);
  if (takes_embeddings(j)) dvg_lineage_add(&j->lineage, "weights", j->s->embeddings, digests[2]);
  else dvg_lineage_add(&j->lineage, "weights", j->s->weights, j->embedder.file.digest);
  return DVG_OK;
}

static enum dvg_status describe_shards(void *context) {
  struct job *j = context;
  DVG_TRY(dvg_shards_create(&j->shards, j->s->out, j->in.n_items, j->s->per_shard));
  return dvg_shards_set_part(&j->shards, j->s->part);
}

// Collective. Which shards are to be made.
static enum dvg_status find_pending(struct job *j) {
  DVG_TRY(dvg_world_root_first(j->w, describe_shards, j));
  int64_t n = j->shards.n_shards;
  DVG_TRY(dvg_world_agree(j->w, DVG_NEW(&j->pending, n, "pending shards")));
  DVG_TRY(dvg_stage_find_pending(j->pending, j->w, &j->shards, "features", VERSION, &j->lineage));
  int64_t n_pending = 0;
  for (int64_t k = 0; k < n; k++) n_pending += j->pending[k];
  if (n_pending > 0 && n_pending < j->w->size)
    dvg_info("%lld shards for %d ranks: a smaller --per-shard would give all of them work",
             (long long)n_pending, j->w->size);
  return DVG_OK;
}

// ---- shards

// Ranks meet bad files in any order: the first of them is said at the end, see say_bad.
static enum dvg_status put_item(struct job *j, int64_t row, int64_t item, struct dvg_digest *read) {
  struct dvg_image frame;
  struct dvg_frame_note note;
  enum dvg_status status = dvg_intake_frame(&frame, &note, &j->in, item);
  if (status == DVG_OK && note.problem != DVG_PROBLEM_NONE) status = DVG_ERROR_INPUT;
  if (status != DVG_OK) {
    j->bad_item = item;
    return status;
  }
  status = dvg_embed_put(&j->embedder, row, frame.pixels, frame.H, frame.W, frame.C);
  dvg_image_free(&frame);
  if (status == DVG_OK) status = dvg_digest_add(read, note.digest, sizeof note.digest - 1);
  return status == DVG_OK ? dvg_digest_add(read, "\n", 1) : status;
}

static enum dvg_status check_embeddings(const struct job *j, const int64_t *items, int64_t n,
                                        const float *out) {
  char where[MAX_WHERE];
  int64_t i = dvg_embed_bad(out, n);
  if (i < 0) return DVG_OK;
  dvg_source_where(where, sizeof where, &j->in.source, items[i]);
  return dvg_fail(DVG_ERROR_NUMERIC, "%s: has no embedding: the network gives a vector without length or NaN",
                  where);
}

// Rows of --embeddings.
static enum dvg_status take_items(struct job *j, int64_t first, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    DVG_TRY(dvg_embeddings_read(j->features + i * j->width, &j->embeddings, first + i));
  return dvg_world_stop_flag() ? DVG_STOPPED : DVG_OK;
}

static enum dvg_status embed_items(struct job *j, int64_t first, int64_t n, struct dvg_digest *read) {
  const int64_t *items = j->in.items + first;
  for (int64_t i = 0; i < n; i += j->embedder.batch) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    int64_t count = n - i < j->embedder.batch ? n - i : j->embedder.batch;
    float *out = j->features + i * DVG_CODE;
    for (int64_t k = 0; k < count; k++) DVG_TRY(put_item(j, k, items[i + k], read));
    dvg_embed_run(&j->embedder, count, out);
    DVG_TRY(check_embeddings(j, items + i, count, out));
  }
  return DVG_OK;
}

static void name_items(struct job *j, int64_t first, int64_t n) {
  const int64_t *items = j->in.items + first;
  for (int64_t i = 0; i < n; i++) {
    j->identity[i] = j->in.source.identity[items[i]];
    j->place[i] = j->in.source.place[items[i]];
  }
}

static enum dvg_status embed_shard(struct job *j, int64_t shard) {
  const int64_t first = dvg_shards_first(&j->shards, shard), n = dvg_shards_rows(&j->shards, shard);
  struct dvg_digest read = {0};
  name_items(j, first, n);
  if (takes_embeddings(j)) return take_items(j, first, n);
  DVG_TRY(dvg_digest_begin(&read));
  enum dvg_status status = embed_items(j, first, n, &read);
  if (status == DVG_OK) status = dvg_digest_end(&read, j->read);
  dvg_digest_drop(&read);
  return status;
}

static enum dvg_status fill_shard(struct dvg_artifact *a, const struct job *j, int64_t shard) {
  int64_t first = dvg_shards_first(&j->shards, shard), n = dvg_shards_rows(&j->shards, shard);
  const int64_t feature[] = {n, j->width};
  DVG_TRY(dvg_artifact_set_int(a, "first", first));
  if (!takes_embeddings(j)) {
    DVG_TRY(dvg_artifact_set_real(a, "width", j->embedder.file.model.width));
    DVG_TRY(dvg_artifact_set_int(a, "size", j->embedder.file.model.size));
  }
  // The lineage of an images file tells its content already; that of another source only its table.
  if (j->in.source.kind != DVG_SOURCE_IMAGES && !takes_embeddings(j))
    DVG_TRY(dvg_artifact_set_text(a, "source_sha256", j->read));
  DVG_TRY(dvg_artifact_write(a, "feature", DVG_F32, 2, feature, j->features));
  DVG_TRY(dvg_artifact_write(a, "identity", DVG_I64, 1, &n, j->identity));
  return dvg_artifact_write(a, "source", DVG_I64, 1, &n, j->place);
}

static enum dvg_status make_shard(int64_t shard, void *context) {
  struct job *j = context;
  struct dvg_artifact *a = NULL;
  char *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(embed_shard(j, shard));
  DVG_TRY_GOTO(dvg_shards_path(&path, &j->shards, shard));
  DVG_TRY_GOTO(dvg_lineage_create(&a, path, "features", VERSION, &j->lineage));
  DVG_TRY_GOTO(fill_shard(a, j, shard));
  DVG_TRY_GOTO(dvg_artifact_commit(&a, NULL));
done:
  dvg_artifact_discard(&a);
  dvg_free(&path);
  return status;
}

// Collective. Of what the ranks met, the first in the source's order is said, by the rank that met it.
static enum dvg_status say_bad(const struct job *j, enum dvg_status status) {
  int64_t mine = j->bad_item < 0 ? INT64_MAX : j->bad_item;
  int64_t first = -dvg_world_max(j->w, -mine);
  if (first == INT64_MAX) return status;
  return dvg_world_agree(j->w, mine == first ? dvg_intake_say(&j->in, first, status) : status);
}

// Collective. Room for a shard.
static enum dvg_status reserve(struct job *j) {
  int64_t room = j->s->per_shard < j->in.n_items ? j->s->per_shard : j->in.n_items;
  enum dvg_status status = DVG_NEW(&j->features, room * j->width, "features");
  if (status == DVG_OK) status = DVG_NEW(&j->identity, room, "identities");
  if (status == DVG_OK) status = DVG_NEW(&j->place, room, "items");
  return dvg_world_agree(j->w, status);
}

// Collective.
static enum dvg_status say_plan(struct job *j) {
  DVG_TRY(reserve(j));
  dvg_plan_say(j->w, &(struct dvg_plan){.name = "extraction", .n_values = j->embedder.params.n_values});
  return DVG_OK;
}

// Collective.
static enum dvg_status make_shards(struct job *j, int64_t *n_made) {
  DVG_TRY(reserve(j));
  *n_made = 0;
  for (int64_t k = 0; k < j->shards.n_shards; k++)
    if (j->pending[k]) *n_made += dvg_shards_rows(&j->shards, k);
  enum dvg_status status = dvg_distribute_tasks(j->w, j->shards.n_shards, j->pending, make_shard, j, "shards");
  return status == DVG_OK || status == DVG_STOPPED ? status : say_bad(j, status);
}

// The names of the files that were left out.
static enum dvg_status write_bad(const struct job *j) {
  struct dvg_bytes text = {0};
  char **names = NULL, *path = NULL;
  enum dvg_status status;
  if (j->in.n_bad == 0) return DVG_OK;
  DVG_TRY_GOTO(dvg_source_names(&names, &j->in.source, j->in.bad, j->in.n_bad));
  for (int64_t i = 0; i < j->in.n_bad; i++) {
    DVG_TRY_GOTO(dvg_bytes_append(&text, names[i], strlen(names[i]), "names of bad files"));
    DVG_TRY_GOTO(dvg_bytes_append(&text, "\n", 1, "names of bad files"));
  }
  DVG_TRY_GOTO(dvg_text(&path, "%s/bad.txt", j->s->out));
  DVG_TRY_GOTO(dvg_path_write_bytes(path, text.data, text.n));
done:
  dvg_bytes_free(&text);
  dvg_free(&names);
  dvg_free(&path);
  return status;
}

// ---- all of it

static enum dvg_status run_job(struct job *j, const struct dvg_options *o) {
  double started = dvg_seconds();
  int64_t n_made;
  char root[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? dvg_shards_set_part(&j->shards, j->s->part) : DVG_OK));
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? check_settings(j) : DVG_OK));
  DVG_TRY(open_source(j));
  DVG_TRY(open_recognizer(j));
  dvg_log_quiet(j->w->rank != 0); // all ranks see the same set
  enum dvg_status status = takes_embeddings(j) ? DVG_OK : choose_frame(j);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(j->w, status));
  if (j->s->plan) return say_plan(j);
  DVG_TRY(dvg_intake_check(&j->in, (int)j->s->skip_bad));
  DVG_TRY(add_inputs(j, o));
  DVG_TRY(find_pending(j));
  DVG_TRY(make_shards(j, &n_made));
  if (j->shards.n_parts > 0) {
    dvg_stage_end_part(&j->shards);
    return DVG_OK;
  }
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? write_bad(j) : DVG_OK));
  DVG_TRY(dvg_stage_index(j->w, &j->shards, "features", &j->lineage, root));
  dvg_plan_say_peak(j->w, "extraction");
  double seconds = dvg_seconds() - started;
  dvg_info("%s: %lld images in %lld shards, %lld of them now in %.1f s, %.1f a second, root digest %s",
           j->s->out, (long long)j->in.n_items, (long long)j->shards.n_shards, (long long)n_made, seconds,
           seconds > 0 ? (double)n_made / seconds : 0.0, root);
  return DVG_OK;
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct job j = {.s = o->values, .w = w, .bad_item = -1};
  enum dvg_status status = run_job(&j, o);
  dvg_embedder_free(&j.embedder);
  dvg_embeddings_close(&j.embeddings);
  dvg_intake_close(&j.in);
  dvg_lineage_free(&j.lineage);
  dvg_shards_free(&j.shards);
  dvg_free(&j.pending);
  dvg_free(&j.features);
  dvg_free(&j.identity);
  dvg_free(&j.place);
  return status;
}

const struct dvg_stage dvg_extract = {.program = "dvg-extract",
                                      .summary = "stage 1: identity features of a face set, in shards",
                                      .options = options,
                                      .settings_bytes = sizeof(struct settings),
                                      .run = run};
