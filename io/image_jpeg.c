// JPEG through libjpeg-turbo. Its errors jump back by longjmp: what must survive lives behind a pointer. Its
// warnings (premature end of file, corrupt data) mean that pixels were made up: they count as errors.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/image_codec.h"

enum {
  MAX_SCANS = 100,
  MAX_LIBRARY_BYTES = 1 << 30,
  PIXELS_PER_BYTE = 16384, // an empty block of 64 pixels takes a bit; arithmetic coding can do with less
};

struct failure {
  struct jpeg_error_mgr manager; // first: libjpeg's pointer to it is a pointer to this
  jmp_buf back;
  char cause[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr codec) {
  struct failure *f = (struct failure *)codec->err;
  codec->err->format_message(codec, f->cause);
  longjmp(f->back, 1);
}

// level -1 is a warning; the others are traces.
static void on_message(j_common_ptr codec, int level) {
  if (level < 0) on_error(codec);
}

static void say_nothing(j_common_ptr codec) {
  (void)codec;
}

static struct jpeg_error_mgr *catch_errors(struct failure *f) {
  jpeg_std_error(&f->manager);
  f->manager.error_exit = on_error;
  f->manager.emit_message = on_message;
  f->manager.output_message = say_nothing;
  return &f->manager;
}

struct reader {
  struct jpeg_decompress_struct codec;
  struct jpeg_progress_mgr progress;
  struct failure failure;
  const char *name;
  struct dvg_image image;
  unsigned char *row; // one line of CMYK
};

// A progressive file may have thousands of scans of nothing, each a pass over all pixels.
static void limit_scans(j_common_ptr codec) {
  struct jpeg_decompress_struct *d = (struct jpeg_decompress_struct *)codec;
  if (d->input_scan_number <= MAX_SCANS) return;
  struct failure *f = (struct failure *)codec->err;
  snprintf(f->cause, sizeof f->cause, "more than %d scans", MAX_SCANS);
  longjmp(f->back, 1);
}

// Adobe's CMYK is stored inverted (255: no ink), which makes the product of ink and black the colour itself;
// plain CMYK (0: no ink) is inverted first.
static void cmyk_to_rgb(unsigned char *out, const unsigned char *in, int64_t n, int inverted) {
  for (int64_t i = 0; i < n; i++) {
    int k = inverted ? in[4 * i + 3] : 255 - in[4 * i + 3];
    for (int c = 0; c < 3; c++) {
      int v = inverted ? in[4 * i + c] : 255 - in[4 * i + c];
      out[3 * i + c] = (unsigned char)((v * k + 127) / 255);
    }
  }
}

static enum dvg_status read_pixels(struct reader *r, const unsigned char *bytes, size_t n_bytes) {
  struct jpeg_decompress_struct *d = &r->codec;
  if (setjmp(r->failure.back))
    return dvg_fail(DVG_ERROR_INPUT, "%s: not a readable JPEG: %s", r->name, r->failure.cause);
  jpeg_create_decompress(d);
  d->mem->max_memory_to_use = MAX_LIBRARY_BYTES;
  r->progress.progress_monitor = limit_scans;
  d->progress = &r->progress;
  jpeg_mem_src(d, bytes, n_bytes);
  jpeg_read_header(d, TRUE);
  DVG_TRY(dvg_image_check_size(d->image_height, d->image_width,
                               (int64_t)d->image_height * d->image_width / PIXELS_PER_BYTE, n_bytes, r->name));
  int is_cmyk = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
  if (is_cmyk) d->out_color_space = JCS_CMYK;
  else d->out_color_space = d->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  d->dct_method = JDCT_ISLOW; // the same pixels with and without vector units
  jpeg_start_decompress(d);
  int64_t W = d->output_width;
  DVG_TRY(dvg_image_create(&r->image, d->output_height, W, d->out_color_space == JCS_GRAYSCALE ? 1 : 3));
  if (is_cmyk) DVG_TRY(dvg_alloc((void **)&r->row, 4 * W, 1, r->name));
  while (d->output_scanline < d->output_height) {
    unsigned char *out = r->image.pixels + (int64_t)d->output_scanline * W * r->image.C;
    JSAMPROW line = is_cmyk ? r->row : out;
    jpeg_read_scanlines(d, &line, 1);
    if (is_cmyk) cmyk_to_rgb(out, r->row, W, d->saw_Adobe_marker);
  }
  jpeg_finish_decompress(d);
  return DVG_OK;
}

enum dvg_status dvg_jpeg_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                                const char *name) {
  struct reader *r = NULL;
  DVG_TRY(DVG_NEW(&r, 1, "JPEG"));
  r->name = name;
  r->codec.err = catch_errors(&r->failure);
  enum dvg_status status = read_pixels(r, bytes, n_bytes);
  jpeg_destroy_decompress(&r->codec);
  if (status == DVG_OK) *image = r->image;
  else dvg_image_free(&r->image);
  dvg_free(&r->row);
  dvg_free(&r);
  return status;
}

// ---- writing

struct writer {
  struct jpeg_compress_struct codec;
  struct failure failure;
  unsigned char *bytes; // libjpeg's own memory
  unsigned long n_bytes;
};

static enum dvg_status write_pixels(struct writer *w, const struct dvg_image *image, int quality) {
  if (setjmp(w->failure.back)) return dvg_fail(DVG_ERROR_INTERNAL, "cannot make a JPEG: %s", w->failure.cause);
  jpeg_create_compress(&w->codec);
  jpeg_mem_dest(&w->codec, &w->bytes, &w->n_bytes);
  w->codec.image_width = (JDIMENSION)image->W;
  w->codec.image_height = (JDIMENSION)image->H;
  w->codec.input_components = (int)image->C;
  w->codec.in_color_space = image->C == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&w->codec);
  jpeg_set_quality(&w->codec, quality, TRUE);
  w->codec.dct_method = JDCT_ISLOW;
  jpeg_start_compress(&w->codec, TRUE);
  while (w->codec.next_scanline < w->codec.image_height) {
    JSAMPROW line = image->pixels + (int64_t)w->codec.next_scanline * image->W * image->C;
    jpeg_write_scanlines(&w->codec, &line, 1);
  }
  jpeg_finish_compress(&w->codec);
  return DVG_OK;
}

enum dvg_status dvg_image_encode_jpeg(const struct dvg_image *image, int quality, unsigned char **bytes,
                                      size_t *n_bytes) {
  if (quality < 1 || quality > 100)
    return dvg_fail(DVG_ERROR_INTERNAL, "JPEG quality %d is not in 1..100", quality);
  struct writer *w = NULL;
  DVG_TRY(DVG_NEW(&w, 1, "JPEG"));
  w->codec.err = catch_errors(&w->failure);
  enum dvg_status status = write_pixels(w, image, quality);
  jpeg_destroy_compress(&w->codec);
  unsigned char *copy = NULL;
  if (status == DVG_OK) status = dvg_alloc((void **)&copy, (int64_t)w->n_bytes, 1, "JPEG");
  if (status == DVG_OK) {
    memcpy(copy, w->bytes, w->n_bytes);
    *bytes = copy;
    *n_bytes = w->n_bytes;
  }
  free(w->bytes);
  dvg_free(&w);
  return status;
}
