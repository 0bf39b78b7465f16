#include "stages/extract/extract.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"
#include "mpi/distribute.h"
#include "stages/embed.h"

enum { VERSION = 1 };

struct settings {
  char *images, *weights, *domain, *out;
  int64_t per_shard;
};

static const struct dvg_option options[] = {
    DVG_OPTION_PATH(struct settings, images, "images", NULL, "images file (.h5), made by dvg-prepare"),
    DVG_OPTION_PATH(struct settings, weights, "weights", NULL, "weights of the recogniser (lightcnn29v2)"),
    DVG_OPTION_TEXT(struct settings, domain, "domain", "", "take images of this domain only; none: all"),
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "folder for the shards"),
    DVG_OPTION_INT(struct settings, per_shard, "per-shard", "8192", 1, INT64_C(1) << 30,
                   "images of a shard, which is the work of one rank"),
    DVG_OPTION_END};

struct job {
  const struct settings *s;
  const struct dvg_world *w;
  struct dvg_image_set set;
  struct dvg_embedder embedder;
  struct dvg_lineage lineage;
  int64_t *rows, n_rows;
  struct dvg_shards shards;
  unsigned char *pending; // (n_shards)
  float *features;        // (per_shard,256) of the shard at work
  int64_t *identity;      // (per_shard)
};

// ---- inputs

// Whether the set has the images that are asked for. All ranks see the same.
static enum dvg_status select_rows(struct job *j) {
  const struct dvg_image_set *set = &j->set;
  int domain = -1;
  if (*j->s->domain) DVG_TRY(dvg_image_set_domain(set, j->s->domain, &domain));
  DVG_TRY(DVG_NEW(&j->rows, set->N, "selected rows"));
  for (int64_t i = 0; i < set->N; i++)
    if (domain < 0 || set->domain[i] == domain) j->rows[j->n_rows++] = i;
  if (j->n_rows == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no image%s%s", j->s->images, domain < 0 ? "" : " of the domain ",
                    j->s->domain);
  int64_t size = j->embedder.file.model.size;
  if (set->H < size || set->W < size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than the %lld x %lld that %s takes",
                    j->s->images, (long long)set->W, (long long)set->H, (long long)size, (long long)size,
                    j->s->weights);
  return DVG_OK;
}

static enum dvg_status describe_shards(void *context) {
  struct job *j = context;
  return dvg_shards_create(&j->shards, j->s->out, j->n_rows, j->s->per_shard);
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

static enum dvg_status embed_shard(struct job *j, int64_t shard) {
  int64_t first = dvg_shards_first(&j->shards, shard), n = dvg_shards_rows(&j->shards, shard);
  for (int64_t i = 0; i < n; i += j->embedder.batch) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    int64_t count = n - i < j->embedder.batch ? n - i : j->embedder.batch;
    DVG_TRY(dvg_embed_rows(&j->embedder, &j->set, j->rows + first + i, count, j->features + i * DVG_CODE));
  }
  for (int64_t i = 0; i < n; i++) j->identity[i] = j->set.identity[j->rows[first + i]];
  return DVG_OK;
}

static enum dvg_status fill_shard(struct dvg_artifact *a, const struct job *j, int64_t shard) {
  int64_t first = dvg_shards_first(&j->shards, shard), n = dvg_shards_rows(&j->shards, shard);
  const int64_t feature[] = {n, DVG_CODE};
  DVG_TRY(dvg_artifact_set_int(a, "first", first));
  DVG_TRY(dvg_artifact_set_real(a, "width", j->embedder.file.model.width));
  DVG_TRY(dvg_artifact_set_int(a, "size", j->embedder.file.model.size));
  DVG_TRY(dvg_artifact_write(a, "feature", DVG_F32, 2, feature, j->features));
  DVG_TRY(dvg_artifact_write(a, "identity", DVG_I64, 1, &n, j->identity));
  return dvg_artifact_write(a, "source", DVG_I64, 1, &n, j->rows + first);
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

// Collective.
static enum dvg_status make_shards(struct job *j, int64_t *n_made) {
  int64_t room = j->s->per_shard < j->n_rows ? j->s->per_shard : j->n_rows;
  enum dvg_status status = DVG_NEW(&j->features, room * DVG_CODE, "features");
  if (status == DVG_OK) status = DVG_NEW(&j->identity, room, "identities");
  DVG_TRY(dvg_world_agree(j->w, status));
  *n_made = 0;
  for (int64_t k = 0; k < j->shards.n_shards; k++)
    if (j->pending[k]) *n_made += dvg_shards_rows(&j->shards, k);
  return dvg_distribute_tasks(j->w, j->shards.n_shards, j->pending, make_shard, j, "shards");
}

// ---- all of it

static enum dvg_status run_job(struct job *j, const struct dvg_options *o) {
  double started = dvg_seconds();
  int64_t n_made;
  char root[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_stage_open_images(&j->set, j->w, j->s->images));
  DVG_TRY(dvg_embedder_create(&j->embedder, j->w, j->s->weights));
  dvg_log_quiet(j->w->rank != 0); // all ranks see the same set
  enum dvg_status status = select_rows(j);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(j->w, status));
  DVG_TRY(dvg_world_agree(j->w, dvg_lineage_init(&j->lineage, o)));
  dvg_lineage_add(&j->lineage, "images", j->s->images, dvg_artifact_digest(j->set.file));
  dvg_lineage_add(&j->lineage, "weights", j->s->weights, j->embedder.file.digest);
  DVG_TRY(find_pending(j));
  DVG_TRY(make_shards(j, &n_made));
  DVG_TRY(dvg_stage_index(j->w, &j->shards, "features", &j->lineage, root));
  double seconds = dvg_seconds() - started;
  dvg_info("%s: %lld images in %lld shards, %lld of them now in %.1f s, %.1f a second, root digest %s",
           j->s->out, (long long)j->n_rows, (long long)j->shards.n_shards, (long long)n_made, seconds,
           seconds > 0 ? (double)n_made / seconds : 0.0, root);
  return DVG_OK;
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct job j = {.s = o->values, .w = w};
  enum dvg_status status = run_job(&j, o);
  dvg_embedder_free(&j.embedder);
  dvg_image_set_close(&j.set);
  dvg_lineage_free(&j.lineage);
  dvg_shards_free(&j.shards);
  dvg_free(&j.rows);
  dvg_free(&j.pending);
  dvg_free(&j.features);
  dvg_free(&j.identity);
  return status;
}

const struct dvg_stage dvg_extract = {.program = "dvg-extract",
                                      .summary = "stage 1: identity features of an images file, in shards",
                                      .options = options,
                                      .settings_bytes = sizeof(struct settings),
                                      .run = run};
