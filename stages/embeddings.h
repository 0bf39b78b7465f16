// Embeddings that another program made, of images that this one knows by their names: what --distill and --embeddings read.
//
// An HDF5 file with the dataset `feature` (n,L) of floats, any L, an embedding a row, and, where the rows aren't those of the images file in its order, `path` (n): whose
// each is, by the name that the image has in its images file or source.
#ifndef DVG_STAGES_EMBEDDINGS_H
#define DVG_STAGES_EMBEDDINGS_H

#include "io/artifact.h"
#include "io/source.h"

// Not collective. row[i] = the row of `path` that is names[i], of n_rows features; DVG_ERROR_INPUT for a name that isn't there, or
// is there twice.
DVG_CHECKED enum dvg_status dvg_embeddings_match(int64_t *row, const struct dvg_artifact *a, char *const *names, int64_t n, int64_t n_rows);

struct dvg_embeddings {
  struct dvg_artifact *file; // NULL: none
  int64_t n_rows, width;     // of `feature`
  int64_t *row;              // (n) of the items taken
};

// Not collective. Opens the file, and finds the rows of the source's items[0..n): by `path`, or, without it, of an images file by place. Close with
// dvg_embeddings_close, also after a failure.
DVG_CHECKED enum dvg_status dvg_embeddings_open(struct dvg_embeddings *e, const char *path, const struct dvg_source *s,
                                                const int64_t *items, int64_t n);
void dvg_embeddings_close(struct dvg_embeddings *e);
// Not collective. The digest of all features, whosever they are. All are read.
DVG_CHECKED enum dvg_status dvg_embeddings_digest(char digest[DVG_DIGEST_TEXT], const struct dvg_embeddings *e);
// Not collective. x (width) = the embedding of the i-th item taken, made a unit vector; DVG_ERROR_INPUT naming the row where it has no direction.
DVG_CHECKED enum dvg_status dvg_embeddings_read(float *x, const struct dvg_embeddings *e, int64_t i);

#endif
