// Images: PNG (libpng), JPEG (libjpeg-turbo), PGM, PPM and BMP in, PNG out, resampling, alignment.
#ifndef DVG_IO_IMAGE_H
#define DVG_IO_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct dvg_image {
  int64_t H, W, C;       // C: 1 gray or 3 RGB
  unsigned char *pixels; // (H,W,C), owned
};
enum { DVG_IMAGE_MAX_SIDE = 16384 }; // larger ones are refused before anything is allocated

void dvg_image_free(struct dvg_image *image);
DVG_CHECKED enum dvg_status dvg_image_create(struct dvg_image *image, int64_t H, int64_t W, int64_t C);

// Reads a PNG (gray, RGB, RGBA, gray+alpha, palette, 1-16 bit, interlaced; alpha is composed over white, 16 bit rounded to 8) or a JPEG
// (gray, YCbCr, CMYK; the EXIF orientation is not applied), a PGM or PPM (P2, P3, P5, P6; any maximum, scaled to 255) or a BMP (1, 4, 8, 24, 32 bit, RLE8;
// gray if all colours of its palette are; alpha is ignored) from a file or from memory. `name` is for messages. Truncated or corrupt data is
// DVG_ERROR_INPUT naming file and cause, never a half-filled image. The caller frees with dvg_image_free.
DVG_CHECKED enum dvg_status dvg_image_read(struct dvg_image *image, const char *path);
DVG_CHECKED enum dvg_status dvg_image_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes, const char *name);

// Writes PNG atomically (temporary name, rename).
DVG_CHECKED enum dvg_status dvg_image_write_png(const struct dvg_image *image, const char *path);
// PNG, lossless, or JPEG, quality 1..100, into new memory (dvg_free): for exports and tests.
DVG_CHECKED enum dvg_status dvg_image_encode_png(const struct dvg_image *image, unsigned char **bytes, size_t *n_bytes);
DVG_CHECKED enum dvg_status dvg_image_encode_jpeg(const struct dvg_image *image, int quality, unsigned char **bytes, size_t *n_bytes);

// Channels: gray = 0.299 R + 0.587 G + 0.114 B rounded; gray to RGB by replication.
DVG_CHECKED enum dvg_status dvg_image_convert(struct dvg_image *out, const struct dvg_image *in, int64_t C);
// Area-averaging for shrinking, bilinear for enlarging.
DVG_CHECKED enum dvg_status dvg_image_resize(struct dvg_image *out, const struct dvg_image *in, int64_t H, int64_t W);

// Five landmarks in pixels, where pixel i covers [i, i+1) and has its centre at i + 0.5: left eye, right eye, nose tip, left and right mouth corner (left/right as seen), x then y.
enum { DVG_LANDMARKS = 10 };
// The recogniser's crop (SPEC 4) of size x size, defined at 144: eyes level, eye midpoint at (72, 48), 48 px from eye midpoint to mouth midpoint;
// a similarity transform (rotation from the eyes, scale from eye midpoint to mouth midpoint), sampled with an anti-aliasing kernel of the shrink
// factor; places outside the source repeat its edge. `moved` (or NULL): the landmarks in the crop. DVG_ERROR_INPUT for landmarks that no crop follows
// from: not finite, far outside the image, coincident, or a mouth above the eyes (left and right swapped). `name` is for messages.
DVG_CHECKED enum dvg_status dvg_image_align(struct dvg_image *out, float moved[DVG_LANDMARKS], const struct dvg_image *in,
                                            const float landmarks[DVG_LANDMARKS], int64_t size, const char *name);

// The same crop from ArcFace's crop of 112 x 112, in which MS-Celeb and InsightFace's sets come: the transform that takes ArcFace's five template
// points (as they stand in InsightFace's face_align.py, at pixel centres: 0.5 is added here) to the crop above: scale 1.17975 at 144, a turn of 0.32
// degrees, eye midpoint (56.413, 52.099) to (72, 48). The crop of 144 shows more than the one of 112 has: its bottom 25 rows and 5 to 7 columns at
// either side repeat the edge; the top 11 rows of the source are cut off. `landmarks` (or NULL) are moved in place.
DVG_CHECKED enum dvg_status dvg_image_from_arcface(struct dvg_image *out, float *landmarks, const struct dvg_image *in, int64_t size,
                                                   const char *name);

#endif
