#include "stages/embed.h"

#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

static enum dvg_status build(struct dvg_embedder *e) {
  DVG_TRY(dvg_graph_create(&e->graph));
  e->image = dvg_graph_input(e->graph, "image", e->batch, 1, e->file.model.size, e->file.model.size);
  struct dvg_scope s = {&e->params, ""};
  e->embedding = dvg_graph_l2(e->graph, dvg_lightcnn(e->graph, s, e->file.model, e->image));
  dvg_graph_keep(e->graph, e->embedding);
  return DVG_OK;
}

enum dvg_status dvg_embedder_create(struct dvg_embedder *e, const struct dvg_world *w, const char *weights) {
  *e = (struct dvg_embedder){.batch = DVG_EMBED_BATCH};
  dvg_params_init(&e->params);
  DVG_TRY(dvg_weights_describe(&e->file, w, weights, "lightcnn29v2"));
  enum dvg_status status = dvg_world_agree(w, build(e));
  if (status == DVG_OK) status = dvg_weights_check(&e->params, "", &e->file, w, 1);
  if (status == DVG_OK) status = dvg_world_agree(w, dvg_graph_plan(e->graph, 0));
  if (status == DVG_OK) status = dvg_weights_load(&e->params, "", &e->file, w, 1);
  if (status != DVG_OK) dvg_embedder_free(e);
  return status;
}

void dvg_embedder_free(struct dvg_embedder *e) {
  dvg_graph_free(&e->graph);
  dvg_params_free(&e->params);
}

enum dvg_status dvg_embed_put(struct dvg_embedder *e, int64_t i, const unsigned char *pixels, int64_t H,
                              int64_t W, int64_t C) {
  int64_t size = e->file.model.size;
  if (H < size || W < size)
    return dvg_fail(DVG_ERROR_INPUT, "images of %lld x %lld are smaller than the %lld x %lld that %s takes",
                    (long long)W, (long long)H, (long long)size, (long long)size, e->file.path);
  float *planes = dvg_graph_values(e->graph, e->image) + i * size * size;
  dvg_image_to_planes(planes, pixels, H, W, C, 1, (H - size) / 2, (W - size) / 2, size);
  return DVG_OK;
}

// The rest of the batch is zeroed: results must not depend on what an earlier one left there.
void dvg_embed_run(struct dvg_embedder *e, int64_t count, float *out) {
  int64_t pixels = e->file.model.size * e->file.model.size;
  float *x = dvg_graph_values(e->graph, e->image);
  memset(x + count * pixels, 0, (size_t)((e->batch - count) * pixels) * sizeof *x);
  dvg_graph_forward(e->graph);
  memcpy(out, dvg_graph_values(e->graph, e->embedding), (size_t)(count * DVG_CODE) * sizeof *out);
}

int64_t dvg_embed_bad(const float *embedding, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t k = 0; k < DVG_CODE; k++)
      sum += (double)embedding[i * DVG_CODE + k] * embedding[i * DVG_CODE + k];
    if (!(fabs(sum - 1) <= 1e-3)) return i; // true for NaN as well
  }
  return -1;
}

static enum dvg_status check_rows(const struct dvg_image_set *set, const int64_t *rows, int64_t count,
                                  const float *embedding) {
  int64_t i = dvg_embed_bad(embedding, count);
  if (i < 0) return DVG_OK;
  char **names = NULL;
  int64_t n_names = 0;
  DVG_TRY(dvg_artifact_load_text(set->file, "name", &n_names, &names));
  enum dvg_status status = dvg_fail(
      DVG_ERROR_NUMERIC,
      "%s: image %lld (%s) has no embedding: the network gives a vector without length or NaN",
      dvg_artifact_path(set->file), (long long)rows[i], rows[i] < n_names ? names[rows[i]] : "without name");
  dvg_free(&names);
  return status;
}

static enum dvg_status embed_unchecked(struct dvg_embedder *e, const struct dvg_image_set *set,
                                       const int64_t *rows, int64_t count, float *out) {
  unsigned char *pixels;
  DVG_TRY(DVG_NEW(&pixels, set->H * set->W * set->C, "image"));
  enum dvg_status status = DVG_OK;
  for (int64_t first = 0; first < count; first += e->batch) {
    int64_t n = count - first < e->batch ? count - first : e->batch;
    for (int64_t i = 0; i < n; i++) {
      DVG_TRY_GOTO(dvg_image_set_read(set, rows[first + i], 1, pixels));
      DVG_TRY_GOTO(dvg_embed_put(e, i, pixels, set->H, set->W, set->C));
    }
    dvg_embed_run(e, n, out + first * DVG_CODE);
  }
done:
  dvg_free(&pixels);
  return status;
}

enum dvg_status dvg_embed_rows(struct dvg_embedder *e, const struct dvg_image_set *set, const int64_t *rows,
                               int64_t count, float *out) {
  DVG_TRY(embed_unchecked(e, set, rows, count, out));
  return check_rows(set, rows, count, out);
}

enum dvg_status dvg_embed_pixels_find(struct dvg_embedder *e, const unsigned char *pixels, int64_t count,
                                      int64_t H, int64_t W, int64_t C, float *out, int64_t *bad) {
  for (int64_t first = 0; first < count; first += e->batch) {
    int64_t n = count - first < e->batch ? count - first : e->batch;
    for (int64_t i = 0; i < n; i++) DVG_TRY(dvg_embed_put(e, i, pixels + (first + i) * H * W * C, H, W, C));
    dvg_embed_run(e, n, out + first * DVG_CODE);
  }
  *bad = dvg_embed_bad(out, count);
  return DVG_OK;
}

enum dvg_status dvg_embed_pixels(struct dvg_embedder *e, const unsigned char *pixels, int64_t count, int64_t H,
                                 int64_t W, int64_t C, float *out) {
  int64_t bad;
  DVG_TRY(dvg_embed_pixels_find(e, pixels, count, H, W, C, out, &bad));
  if (bad < 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_NUMERIC, "%s: gives an image no embedding: a vector without length or NaN",
                  e->file.path);
}

enum dvg_status dvg_embed_shared(struct dvg_embedder *e, const struct dvg_world *w,
                                 const struct dvg_image_set *set, const int64_t *rows, int64_t count,
                                 float *out) {
  // Each rank takes an equal run of whole batches, so that all ranks contribute pieces of one size to the
  // gathering.
  int64_t n_batches = (count + e->batch - 1) / e->batch, share = (n_batches + w->size - 1) / w->size * e->batch;
  int64_t first = w->rank * share < count ? w->rank * share : count,
          n = count - first < share ? count - first : share;
  float *mine = NULL, *all = NULL;
  enum dvg_status status = DVG_NEW(&mine, share * DVG_CODE, "embeddings");
  if (status == DVG_OK) status = DVG_NEW(&all, share * w->size * DVG_CODE, "embeddings");
  if (status == DVG_OK) status = embed_unchecked(e, set, rows + first, n, mine);
  status = dvg_world_agree(w, status);
  if (status == DVG_OK) {
    dvg_world_allgather(w, all, mine, (size_t)(share * DVG_CODE) * sizeof *mine);
    memcpy(out, all, (size_t)(count * DVG_CODE) * sizeof *out);
    // All ranks have the same vectors: rank 0 speaks.
    status = dvg_world_agree(w, w->rank == 0 ? check_rows(set, rows, count, out) : DVG_OK);
  }
  dvg_free(&mine);
  dvg_free(&all);
  return status;
}

struct opening {
  struct dvg_image_set *set;
  const char *path;
};
static enum dvg_status open_set(void *context) {
  struct opening *o = context;
  return dvg_image_set_open(o->set, o->path);
}

enum dvg_status dvg_stage_open_images(struct dvg_image_set *set, const struct dvg_world *w, const char *path) {
  struct opening o = {set, path};
  return dvg_world_root_first(w, open_set, &o);
}
