#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/generate/generate.h"

enum { BATCH = DVG_GENERATE_BATCH };

// The encoder of one domain with its style, and its nodes.
struct encoder {
  struct dvg_params params;
  struct dvg_graph *graph;
  int image, z, style;
  int64_t size, code, n_style;
};

static enum dvg_status build(struct encoder *e, const struct dvg_weights *f, const char *domain) {
  char lower[64], prefix[96];
  dvg_weights_domain(lower, sizeof lower, domain);
  snprintf(prefix, sizeof prefix, "encoder.%s.", lower);
  e->size = f->model.size;
  e->code = dvg_model_code(f->model);
  e->n_style = dvg_style_values(f->model);
  DVG_TRY(dvg_graph_create(&e->graph));
  e->image = dvg_graph_input(e->graph, "image", BATCH, 3, e->size, e->size);
  e->z = dvg_encoder(e->graph, (struct dvg_scope){&e->params, prefix}, f->model, e->image);
  e->style = dvg_encoder_style(e->graph, (struct dvg_scope){&e->params, prefix}, f->model, e->z);
  dvg_graph_keep(e->graph, e->z);
  dvg_graph_keep(e->graph, e->style);
  return DVG_OK;
}

// codes (count, code + n_style) of the images rows[0..count).
static enum dvg_status encode(struct encoder *e, const struct dvg_image_set *set, const int64_t *rows,
                              int64_t count, float *codes) {
  unsigned char *pixels;
  DVG_TRY(DVG_NEW(&pixels, set->H * set->W * set->C, "image"));
  enum dvg_status status = DVG_OK;
  int64_t values = 3 * e->size * e->size, width = e->code + e->n_style;
  float *x = dvg_graph_values(e->graph, e->image);
  for (int64_t first = 0; first < count; first += BATCH) {
    int64_t n = count - first < BATCH ? count - first : BATCH;
    memset(x, 0, (size_t)(BATCH * values) * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
      DVG_TRY_GOTO(dvg_image_set_read(set, rows[first + i], 1, pixels));
      dvg_image_to_planes(x + i * values, pixels, set->H, set->W, set->C, 3, (set->H - e->size) / 2,
                          (set->W - e->size) / 2, e->size);
    }
    dvg_graph_forward(e->graph);
    for (int64_t i = 0; i < n; i++) {
      float *code = codes + (first + i) * width;
      memcpy(code, dvg_graph_values(e->graph, e->z) + i * e->code, (size_t)e->code * sizeof *code);
      memcpy(code + e->code, dvg_graph_values(e->graph, e->style) + i * e->n_style,
             (size_t)e->n_style * sizeof *code);
    }
  }
done:
  dvg_free(&pixels);
  return status;
}

struct listing {
  struct dvg_bank *bank;
  const struct dvg_image_set *set;
  const char *domain;
  int64_t size;
};

static enum dvg_status list_rows(void *context) {
  const struct listing *l = context;
  struct dvg_bank *b = l->bank;
  const struct dvg_image_set *set = l->set;
  const char *domain = l->domain;
  int64_t size = l->size;
  int index;
  DVG_TRY(dvg_image_set_domain(set, domain, &index));
  if (set->H < size || set->W < size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than the generator's %lld",
                    dvg_artifact_path(set->file), (long long)set->W, (long long)set->H, (long long)size);
  DVG_TRY(DVG_NEW(&b->row, set->N, "bank rows"));
  DVG_TRY(DVG_NEW(&b->place, set->N, "bank rows"));
  for (int64_t i = 0; i < set->N; i++) {
    b->place[i] = set->domain[i] == index ? b->n : -1;
    if (set->domain[i] == index) b->row[b->n++] = i;
  }
  return b->n > 0
             ? DVG_OK
             : dvg_fail(DVG_ERROR_INPUT, "%s: has no image of domain %s", dvg_artifact_path(set->file), domain);
}

// Shares the encoding out: each rank an equal run of whole batches, then all get all.
static enum dvg_status encode_shared(struct dvg_bank *b, const struct dvg_world *w, struct encoder *e,
                                     const struct dvg_image_set *set) {
  int64_t width = e->code + e->n_style, share = ((b->n + BATCH - 1) / BATCH + w->size - 1) / w->size * BATCH;
  int64_t first = w->rank * share < b->n ? w->rank * share : b->n,
          count = b->n - first < share ? b->n - first : share;
  float *mine = NULL, *all = NULL;
  enum dvg_status status = DVG_NEW(&mine, share * width, "attribute codes");
  if (status == DVG_OK) status = DVG_NEW(&all, share * w->size * width, "attribute codes");
  if (status == DVG_OK) status = DVG_NEW(&b->z, b->n * e->code, "attribute codes");
  if (status == DVG_OK) status = DVG_NEW(&b->style, b->n * e->n_style, "styles");
  if (status == DVG_OK) status = encode(e, set, b->row + first, count, mine);
  status = dvg_world_agree(w, status);
  if (status == DVG_OK) {
    dvg_world_allgather(w, all, mine, (size_t)(share * width) * sizeof *mine);
    for (int64_t i = 0; i < b->n; i++) {
      memcpy(b->z + i * e->code, all + i * width, (size_t)e->code * sizeof *all);
      memcpy(b->style + i * e->n_style, all + i * width + e->code, (size_t)e->n_style * sizeof *all);
    }
  }
  dvg_free(&mine);
  dvg_free(&all);
  return status;
}

enum dvg_status dvg_bank_create(struct dvg_bank *b, const struct dvg_world *w,
                                const struct dvg_weights *generator, const struct dvg_image_set *set,
                                const char *domain) {
  struct encoder e = {.graph = NULL};
  dvg_params_init(&e.params);
  *b = (struct dvg_bank){.n_style = dvg_style_values(generator->model)};
  struct listing l = {b, set, domain, generator->model.size};
  enum dvg_status status = dvg_world_root_first(w, list_rows, &l);
  if (status == DVG_OK) status = build(&e, generator, domain);
  status = dvg_world_agree(w, status);
  if (status == DVG_OK) status = dvg_weights_check(&e.params, "", generator, w, 1);
  if (status == DVG_OK) status = dvg_world_agree(w, dvg_graph_plan(e.graph, 0));
  if (status == DVG_OK) status = dvg_weights_load(&e.params, "", generator, w, 1);
  if (status == DVG_OK) status = encode_shared(b, w, &e, set);
  dvg_graph_free(&e.graph);
  dvg_params_free(&e.params);
  if (status != DVG_OK) dvg_bank_free(b);
  return status;
}

void dvg_bank_free(struct dvg_bank *b) {
  dvg_free(&b->row);
  dvg_free(&b->place);
  dvg_free(&b->z);
  dvg_free(&b->style);
}
