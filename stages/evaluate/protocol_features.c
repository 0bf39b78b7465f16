// Gallery and probes from features that dvg-extract left.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/evaluate/protocol.h"

enum { AT_ONCE = 65536 }; // rows of a column read by one call

// ---- people by number

static int ascending(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// *list = the n_list different ones of n identities, ascending; the caller frees.
static enum dvg_status different(int64_t **list, int64_t *n_list, const int64_t *identity, int64_t n) {
  DVG_TRY(DVG_NEW(list, n, "numbers of people"));
  memcpy(*list, identity, (size_t)n * sizeof **list);
  qsort(*list, (size_t)n, sizeof **list, ascending);
  *n_list = 0;
  for (int64_t i = 0; i < n; i++)
    if (i == 0 || (*list)[i] != (*list)[*n_list - 1]) (*list)[(*n_list)++] = (*list)[i];
  return DVG_OK;
}

// number[i] = which one of the list identity[i] is, or -1.
static void find_all(int64_t *number, const int64_t *identity, int64_t n, const int64_t *list, int64_t n_list) {
  for (int64_t i = 0; i < n; i++) {
    const int64_t *found = bsearch(&identity[i], list, (size_t)n_list, sizeof *list, ascending);
    number[i] = found ? found - list : -1;
  }
}

// ---- a side

static enum dvg_status read_column(int64_t *column, const struct dvg_features *f,
                                   enum dvg_status (*read)(int64_t *, const struct dvg_features *, int64_t,
                                                           int64_t)) {
  for (int64_t first = 0; first < f->n; first += AT_ONCE)
    DVG_TRY(read(column + first, f, first, f->n - first < AT_ONCE ? f->n - first : AT_ONCE));
  return DVG_OK;
}

// side->person becomes `identity` of the features: numbers of people follow.
static enum dvg_status take_side(struct dvg_side *side, const struct dvg_features *f) {
  side->features = f;
  side->path = f->folder;
  side->n = f->n;
  snprintf(side->digest, sizeof side->digest, "%s", dvg_shard_reader_digest(f->reader));
  DVG_TRY(dvg_features_input(side->images_digest, f, "images"));
  DVG_TRY(DVG_NEW(&side->row, side->n, "rows of images"));
  DVG_TRY(DVG_NEW(&side->person, side->n, "people of images"));
  DVG_TRY(read_column(side->row, f, dvg_features_sources));
  return read_column(side->person, f, dvg_features_people);
}

// The probes' features stay in memory.
static enum dvg_status load_probes(struct dvg_protocol *p) {
  struct dvg_side *q = &p->probes;
  const int64_t n_padded = (q->n + DVG_TILE_PROBES - 1) / DVG_TILE_PROBES * DVG_TILE_PROBES;
  DVG_TRY(dvg_alloc((void **)&q->embedding, n_padded, (size_t)p->width * sizeof(float), "features of probes"));
  for (int64_t first = 0; first < q->n; first += DVG_TILE_GALLERY) {
    const int64_t n = q->n - first < DVG_TILE_GALLERY ? q->n - first : DVG_TILE_GALLERY;
    float *x = q->embedding + first * p->width;
    DVG_TRY(dvg_features_load(x, q->features, first, n));
    DVG_TRY(dvg_features_check(x, q->features, first, n));
  }
  return DVG_OK;
}

// ---- the protocol

static enum dvg_status check_alike(const struct dvg_protocol *p) {
  const struct dvg_features *g = &p->features[0], *q = &p->features[1];
  char weights[2][DVG_DIGEST_TEXT];
  if (g->width != q->width)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has features of %lld values, %s of %lld", q->folder,
                    (long long)q->width, g->folder, (long long)g->width);
  DVG_TRY(dvg_features_input(weights[0], g, "weights"));
  DVG_TRY(dvg_features_input(weights[1], q, "weights"));
  if (strcmp(weights[0], weights[1]) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: was made with other weights (%.12s...) than %s (%.12s...)", q->folder,
                    weights[1], g->folder, weights[0]);
  if (strcmp(dvg_shard_reader_digest(g->reader), dvg_shard_reader_digest(q->reader)) == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s and %s are the same features: each probe would find itself", g->folder,
                    q->folder);
  return DVG_OK;
}

static enum dvg_status number_people(struct dvg_protocol *p) {
  struct dvg_side *g = &p->gallery, *q = &p->probes;
  int64_t *in_gallery = NULL, *in_probes = NULL, *of_probes = NULL, n_gallery = 0, n_probes = 0;
  enum dvg_status status;
  DVG_TRY_GOTO(different(&in_gallery, &n_gallery, g->person, g->n));
  DVG_TRY_GOTO(different(&in_probes, &n_probes, q->person, q->n));
  DVG_TRY_GOTO(DVG_NEW(&of_probes, q->n, "people of probes"));
  find_all(of_probes, q->person, q->n, in_probes, n_probes);
  find_all(q->person, q->person, q->n, in_gallery, n_gallery);
  find_all(g->person, g->person, g->n, in_gallery, n_gallery);
  status = dvg_protocol_count(p, n_gallery, of_probes, n_probes);
done:
  dvg_free(&in_gallery);
  dvg_free(&in_probes);
  dvg_free(&of_probes);
  return status;
}

static enum dvg_status choose_all(void *context) {
  struct dvg_protocol *p = context;
  const struct dvg_features *g = &p->features[0], *q = &p->features[1];
  p->width = g->width;
  DVG_TRY(check_alike(p));
  DVG_TRY(take_side(&p->gallery, g));
  DVG_TRY(take_side(&p->probes, q));
  DVG_TRY(number_people(p));
  if (p->n_genuine == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: no probe shows a person of the gallery, %s", q->folder, g->folder);
  if (p->n_impostor == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s and %s show one person only: nobody to mistake", g->folder, q->folder);
  return load_probes(p);
}

enum dvg_status dvg_protocol_of_features(struct dvg_protocol *p, const struct dvg_world *w, const char *gallery,
                                         const char *probes) {
  *p = (struct dvg_protocol){.width = 0};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_features_open_any(&p->features[0], w, gallery));
  DVG_TRY_GOTO(dvg_features_open_any(&p->features[1], w, probes));
  DVG_TRY_GOTO(dvg_world_root_first(w, choose_all, p));
  if (w->rank == 0 && strcmp(p->gallery.images_digest, p->probes.images_digest) != 0)
    dvg_warn("gallery and probes are features of different sources: people are matched by their number, which "
             "must be given alike in both");
done:
  if (status != DVG_OK) dvg_protocol_free(p);
  return status;
}

enum dvg_status dvg_protocol_gallery_tile(const float **tile, float *room, const struct dvg_protocol *p,
                                          int64_t column, int checked) {
  const struct dvg_side *g = &p->gallery;
  if (g->embedding) {
    *tile = g->embedding + column * p->width;
    return DVG_OK;
  }
  const int64_t n = g->n - column < DVG_TILE_GALLERY ? g->n - column : DVG_TILE_GALLERY;
  DVG_TRY(dvg_features_load(room, g->features, column, n));
  memset(room + n * p->width, 0, (size_t)((DVG_TILE_GALLERY - n) * p->width) * sizeof *room);
  if (checked) DVG_TRY(dvg_features_check(room, g->features, column, n));
  *tile = room;
  return DVG_OK;
}
