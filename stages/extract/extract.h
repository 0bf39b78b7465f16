// dvg-extract, stage 1: identity features of a large face set, in shards.
//
// Shards: schema "features", version 1. Attributes: first, the number of the shard's first item; width and size
// of the recogniser. Datasets:
//     feature   (n,256) f32  unit vectors
//     identity  (n) i64      of the images file
//     source    (n) i64      row in the images file
// An item is a place among the selected rows of the images file (all, or those of one domain), in the file's
// order.
#ifndef DVG_STAGES_EXTRACT_H
#define DVG_STAGES_EXTRACT_H

#include "stages/stage.h"

extern const struct dvg_stage dvg_extract;

#endif
