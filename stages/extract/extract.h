// dvg-extract, stage 1: identity features of a large face set, in shards.
//
// Shards: schema "features", version 1. Attributes: first, the number of the shard's first item; width and size
// of the recogniser. Datasets:
//     feature   (n,L) f32    unit vectors, L = 256
//     identity  (n) i64      of the source (io/source.h)
//     source    (n) i64      row in the images file; for another source the place of the list's row, file, record or
//                            member in it, from 0, lines of a header and comments counted for a list
// With --embeddings the features are those of another program, L as it has them, made unit vectors (stages/embeddings.h). They have no width, size and
// source_sha256, and the digest of all of that file's features stands for the weights in the lineage: take all sets that are to go together from one file.
//
// An item is a place among the images of the source that are taken (all, or those of one domain), in its order.
// Images that are not from an images file (--list, --folder, --rec, --tar) are read in place by the rank that makes
// the shard. The digest of such a source in the lineage is that of its table (dvg_source_digest), which doesn't
// notice a changed pixel in a file of the same size; each shard therefore has the attribute source_sha256, the
// SHA-256 of the lines "sha256\n" of the image files that it was made from.
#ifndef DVG_STAGES_EXTRACT_H
#define DVG_STAGES_EXTRACT_H

#include "stages/stage.h"

extern const struct dvg_stage dvg_extract;

#endif
