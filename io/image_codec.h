// The decoders behind dvg_image_decode. Private to io/image*.c.
#ifndef DVG_IO_IMAGE_CODEC_H
#define DVG_IO_IMAGE_CODEC_H

#include "io/image.h"

DVG_CHECKED enum dvg_status dvg_png_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                                           const char *name);
DVG_CHECKED enum dvg_status dvg_jpeg_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                                            const char *name);
// `bytes` begin with P and one of 2, 3, 5, 6.
DVG_CHECKED enum dvg_status dvg_pnm_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                                           const char *name);
DVG_CHECKED enum dvg_status dvg_bmp_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                                           const char *name);
// The size that a header claims, against what is allowed and against the fewest bytes that so many pixels can
// be packed into: a lie must not make us allocate.
DVG_CHECKED enum dvg_status dvg_image_check_size(int64_t H, int64_t W, int64_t least_bytes, size_t n_bytes,
                                                 const char *name);

#endif
