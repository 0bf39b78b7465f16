// Embeddings of images by a recogniser F: the centre crop of its size, gray, in fixed batches, L2-normalised.
#ifndef DVG_STAGES_EMBED_H
#define DVG_STAGES_EMBED_H

#include "io/images.h"
#include "stages/weights.h"

struct dvg_embedder {
  struct dvg_weights file;
  struct dvg_params params;
  struct dvg_graph *graph;
  int64_t batch;
  int image, embedding; // nodes: (batch,1,size,size) in [0,1] -> (batch,256) unit vectors
};

enum { DVG_EMBED_BATCH = 16 };

// Collective. Loads F from a weight file ("lightcnn29v2"). Free with dvg_embedder_free.
DVG_CHECKED enum dvg_status dvg_embedder_create(struct dvg_embedder *e, const struct dvg_world *w, const char *weights);
void dvg_embedder_free(struct dvg_embedder *e);

// Not collective, piece by piece: puts the centre crop of an image (H,W,C) into row i < e->batch; DVG_ERROR_INPUT if it is smaller than the crop. Then
// out (count,256) = embeddings of the first `count` rows, to be looked at with dvg_embed_bad.
DVG_CHECKED enum dvg_status dvg_embed_put(struct dvg_embedder *e, int64_t i, const unsigned char *pixels, int64_t H, int64_t W, int64_t C);
void dvg_embed_run(struct dvg_embedder *e, int64_t count, float *out);

// Not collective. out (count,256) = embeddings of the images rows[0..count) of the set. An image's result does not depend on the others. An image
// without embedding (the network gives a zero vector or NaN) is DVG_ERROR_NUMERIC naming set, row and image.
DVG_CHECKED enum dvg_status dvg_embed_rows(struct dvg_embedder *e, const struct dvg_image_set *set, const int64_t *rows, int64_t count,
                                           float *out);
// Collective. The same, shared out over the ranks; every rank gets all of `out`.
DVG_CHECKED enum dvg_status dvg_embed_shared(struct dvg_embedder *e, const struct dvg_world *w, const struct dvg_image_set *set,
                                             const int64_t *rows, int64_t count, float *out);
// Not collective. That n embeddings are finite and of length 1: the index of the first that is not, or -1.
int64_t dvg_embed_bad(const float *embedding, int64_t n);
// Not collective. The same for images in memory: pixels (count,H,W,C). An image without embedding is DVG_ERROR_NUMERIC naming F's file.
DVG_CHECKED enum dvg_status dvg_embed_pixels(struct dvg_embedder *e, const unsigned char *pixels, int64_t count, int64_t H, int64_t W,
                                             int64_t C, float *out);
// The same for a caller who knows the images' names: *bad = the first one without embedding, of which nothing is said, or -1.
DVG_CHECKED enum dvg_status dvg_embed_pixels_find(struct dvg_embedder *e, const unsigned char *pixels, int64_t count, int64_t H, int64_t W,
                                                  int64_t C, float *out, int64_t *bad);

// Collective. Opens a packed image set on rank 0, then on all. Messages come once.
DVG_CHECKED enum dvg_status dvg_stage_open_images(struct dvg_image_set *set, const struct dvg_world *w, const char *path);

#endif
