// PNG through libpng. A libpng error jumps back by longjmp, so whatever must survive the jump lives in a struct
// that is reached through a pointer, not in local variables.
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/image_codec.h"

enum { MAX_DEFLATE = 1040 }; // bytes that come out of one byte: 1032, and some air

struct reader {
  const char *name;
  const unsigned char *bytes;
  size_t n_bytes, at;
  char cause[128];
  png_structp png;
  png_infop info;
  png_bytep *rows;
  unsigned char *raw; // (H,W,n_channels), alpha included
  int64_t H, W, n_channels;
};

static void on_error(png_structp png, png_const_charp text) {
  struct reader *r = png_get_error_ptr(png);
  snprintf(r->cause, sizeof r->cause, "%s", text);
  png_longjmp(png, 1);
}

// Warnings are about things that do not matter to pixels (text chunks, colour profiles).
static void on_warning(png_structp png, png_const_charp text) {
  (void)png, (void)text;
}

static void give_bytes(png_structp png, png_bytep out, size_t n) {
  struct reader *r = png_get_io_ptr(png);
  if (n > r->n_bytes - r->at) png_error(png, "truncated");
  memcpy(out, r->bytes + r->at, n);
  r->at += n;
}

// Asks libpng for 8-bit gray, gray+alpha, RGB or RGBA, whatever the file has.
static void ask_for_bytes(struct reader *r) {
  int color = png_get_color_type(r->png, r->info), depth = png_get_bit_depth(r->png, r->info);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(r->png);
  if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(r->png);
  if (png_get_valid(r->png, r->info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(r->png);
  if (depth == 16) png_set_scale_16(r->png);
  png_set_interlace_handling(r->png);
  png_read_update_info(r->png, r->info);
}

// All of libpng's calls that may jump. The status of what is not libpng's is returned.
static enum dvg_status read_pixels(struct reader *r) {
  if (setjmp(png_jmpbuf(r->png)))
    return dvg_fail(DVG_ERROR_INPUT, "%s: not a readable PNG: %s", r->name, r->cause);
  png_set_user_limits(r->png, DVG_IMAGE_MAX_SIDE, DVG_IMAGE_MAX_SIDE);
  png_set_chunk_malloc_max(r->png, 16 << 20);
  png_set_chunk_cache_max(r->png, 256);
  png_set_read_fn(r->png, r, give_bytes);
  png_read_info(r->png, r->info);
  r->H = png_get_image_height(r->png, r->info);
  r->W = png_get_image_width(r->png, r->info);
  int64_t bits = png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
  DVG_TRY(dvg_image_check_size(r->H, r->W, r->H * r->W * bits / 8 / MAX_DEFLATE, r->n_bytes, r->name));
  ask_for_bytes(r);
  r->n_channels = png_get_channels(r->png, r->info);
  if (png_get_bit_depth(r->png, r->info) != 8 ||
      png_get_rowbytes(r->png, r->info) != (size_t)(r->W * r->n_channels))
    return dvg_fail(DVG_ERROR_INPUT, "%s: a PNG of unknown kind", r->name);
  DVG_TRY(dvg_alloc((void **)&r->raw, r->H * r->W * r->n_channels, 1, r->name));
  DVG_TRY(DVG_NEW(&r->rows, r->H, r->name));
  for (int64_t y = 0; y < r->H; y++) r->rows[y] = r->raw + y * r->W * r->n_channels;
  png_read_image(r->png, r->rows);
  png_read_end(r->png, NULL); // up to IEND: a file that lacks its end is refused
  return DVG_OK;
}

// alpha over white, rounded: (a v + (255 - a) 255) / 255.
static void compose(struct dvg_image *out, const struct reader *r) {
  int64_t C = out->C;
  for (int64_t i = 0; i < r->H * r->W; i++) {
    const unsigned char *p = r->raw + i * r->n_channels;
    int alpha = r->n_channels == C ? 255 : p[C];
    for (int64_t c = 0; c < C; c++)
      out->pixels[i * C + c] = (unsigned char)((alpha * p[c] + (255 - alpha) * 255 + 127) / 255);
  }
}

enum dvg_status dvg_png_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                               const char *name) {
  struct reader *r = NULL;
  DVG_TRY(DVG_NEW(&r, 1, "PNG"));
  r->name = name;
  r->bytes = bytes;
  r->n_bytes = n_bytes;
  r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
  if (r->png) r->info = png_create_info_struct(r->png);
  enum dvg_status status =
      r->info ? read_pixels(r) : dvg_fail(DVG_ERROR_MEMORY, "%s: no memory for libpng", name);
  struct dvg_image made = {0};
  if (status == DVG_OK) status = dvg_image_create(&made, r->H, r->W, r->n_channels < 3 ? 1 : 3);
  if (status == DVG_OK) {
    compose(&made, r);
    *image = made;
  }
  png_destroy_read_struct(&r->png, &r->info, NULL);
  dvg_free(&r->rows);
  dvg_free(&r->raw);
  dvg_free(&r);
  return status;
}

// ---- writing

struct writer {
  unsigned char *bytes;
  size_t n, room;
  enum dvg_status status;
  char cause[128];
  png_structp png;
  png_infop info;
};

static void on_write_error(png_structp png, png_const_charp text) {
  struct writer *w = png_get_error_ptr(png);
  snprintf(w->cause, sizeof w->cause, "%s", text);
  png_longjmp(png, 1);
}

static void take_bytes(png_structp png, png_bytep bytes, size_t n) {
  struct writer *w = png_get_io_ptr(png);
  if (w->n + n > w->room) {
    unsigned char *larger = NULL;
    size_t room = 2 * (w->n + n) + 4096;
    w->status = dvg_alloc((void **)&larger, (int64_t)room, 1, "PNG");
    if (w->status != DVG_OK) png_error(png, "no memory");
    if (w->n) memcpy(larger, w->bytes, w->n);
    dvg_free(&w->bytes);
    w->bytes = larger;
    w->room = room;
  }
  memcpy(w->bytes + w->n, bytes, n);
  w->n += n;
}

static void flush_nothing(png_structp png) {
  (void)png;
}

static enum dvg_status write_pixels(struct writer *w, const struct dvg_image *image) {
  if (setjmp(png_jmpbuf(w->png)))
    return w->status != DVG_OK ? w->status : dvg_fail(DVG_ERROR_INTERNAL, "libpng: %s", w->cause);
  png_set_write_fn(w->png, w, take_bytes, flush_nothing);
  png_set_IHDR(w->png, w->info, (png_uint_32)image->W, (png_uint_32)image->H, 8,
               image->C == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  png_write_info(w->png, w->info);
  for (int64_t y = 0; y < image->H; y++) png_write_row(w->png, image->pixels + y * image->W * image->C);
  png_write_end(w->png, NULL);
  return DVG_OK;
}

enum dvg_status dvg_image_encode_png(const struct dvg_image *image, unsigned char **bytes, size_t *n_bytes) {
  struct writer *w = NULL;
  DVG_TRY(DVG_NEW(&w, 1, "PNG"));
  w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w, on_write_error, on_warning);
  if (w->png) w->info = png_create_info_struct(w->png);
  enum dvg_status status =
      w->info ? write_pixels(w, image) : dvg_fail(DVG_ERROR_MEMORY, "no memory for libpng");
  if (status == DVG_OK) {
    *bytes = w->bytes;
    *n_bytes = w->n;
    w->bytes = NULL;
  }
  png_destroy_write_struct(&w->png, &w->info);
  dvg_free(&w->bytes);
  dvg_free(&w);
  return status;
}

enum dvg_status dvg_image_write_png(const struct dvg_image *image, const char *path) {
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  DVG_TRY(dvg_image_encode_png(image, &bytes, &n_bytes));
  enum dvg_status status = dvg_path_write_bytes(path, bytes, n_bytes);
  dvg_free(&bytes);
  return status;
}
