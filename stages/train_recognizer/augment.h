// Random changes of a training image that leave its person alone: what a camera and a lamp do.
#ifndef DVG_STAGES_TRAIN_RECOGNIZER_AUGMENT_H
#define DVG_STAGES_TRAIN_RECOGNIZER_AUGMENT_H

#include <stdint.h>

#include "common/base/rng.h"

// Not collective. Mirrors a gray image (size x size) left to right.
void dvg_augment_mirror(float *image, int64_t size);

// Not collective. Changes exposure, tone curve, side light and sensor noise of a gray image (size x size, values in [0, 1], which they stay in), in
// this order, each drawn from `r`; `strength` in [0, 1], 0 leaves the image as it is:
//     x <- x (1 + a),  x <- x + c x (1 - x),  x <- x (1 + u X + v Y), X and Y in [-1, 1] across the image,  x <- x + sigma N(0, 1)
// a, u, v in +-0.4 strength, c in +-0.8 strength (monotone), sigma in [0, 0.06 strength).
void dvg_augment_jitter(float *image, int64_t size, double strength, struct dvg_rng *r);

#endif
