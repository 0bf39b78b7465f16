// Images in memory: creating, reading by format, channels, resampling to another size.
#include "io/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/image_codec.h"

static const int64_t max_file_bytes = (int64_t)256 << 20;
void dvg_image_free(struct dvg_image *image) {
  dvg_free(&image->pixels);
  *image = (struct dvg_image){0};
}

enum dvg_status dvg_image_create(struct dvg_image *image, int64_t H, int64_t W, int64_t C) {
  if (H < 1 || W < 1 || H > DVG_IMAGE_MAX_SIDE || W > DVG_IMAGE_MAX_SIDE || (C != 1 && C != 3))
    return dvg_fail(DVG_ERROR_INTERNAL, "no image has %lld x %lld pixels of %lld channels", (long long)H,
                    (long long)W, (long long)C);
  struct dvg_image made = {.H = H, .W = W, .C = C};
  DVG_TRY(dvg_alloc((void **)&made.pixels, H * W * C, 1, "an image"));
  *image = made;
  return DVG_OK;
}

enum dvg_status dvg_image_check_size(int64_t H, int64_t W, int64_t least_bytes, size_t n_bytes,
                                     const char *name) {
  if (H < 1 || W < 1) return dvg_fail(DVG_ERROR_INPUT, "%s: an image without pixels", name);
  if (H > DVG_IMAGE_MAX_SIDE || W > DVG_IMAGE_MAX_SIDE)
    return dvg_fail(DVG_ERROR_INPUT, "%s: %lld x %lld pixels are too many, %d x %d at most", name, (long long)W,
                    (long long)H, DVG_IMAGE_MAX_SIDE, DVG_IMAGE_MAX_SIDE);
  if (least_bytes > (int64_t)n_bytes)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is truncated: %lld x %lld pixels cannot be in %zu bytes", name,
                    (long long)W, (long long)H, n_bytes);
  return DVG_OK;
}

enum dvg_status dvg_image_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                                 const char *name) {
  static const unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (n_bytes == 0) return dvg_fail(DVG_ERROR_INPUT, "%s: is empty", name);
  if (n_bytes >= sizeof png && memcmp(bytes, png, sizeof png) == 0)
    return dvg_png_decode(image, bytes, n_bytes, name);
  if (n_bytes >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
    return dvg_jpeg_decode(image, bytes, n_bytes, name);
  if (n_bytes >= 3 && bytes[0] == 'P' && strchr("2356", bytes[1]) && bytes[1])
    return dvg_pnm_decode(image, bytes, n_bytes, name);
  if (n_bytes >= 2 && bytes[0] == 'B' && bytes[1] == 'M') return dvg_bmp_decode(image, bytes, n_bytes, name);
  return dvg_fail(DVG_ERROR_INPUT, "%s: neither PNG nor JPEG, PGM, PPM or BMP", name);
}

enum dvg_status dvg_image_read(struct dvg_image *image, const char *path) {
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  DVG_TRY(dvg_path_read_bytes(path, max_file_bytes, &bytes, &n_bytes));
  enum dvg_status status = dvg_image_decode(image, bytes, n_bytes, path);
  dvg_free(&bytes);
  return status;
}

enum dvg_status dvg_image_convert(struct dvg_image *out, const struct dvg_image *in, int64_t C) {
  struct dvg_image made;
  DVG_TRY(dvg_image_create(&made, in->H, in->W, C));
  int64_t n = in->H * in->W;
  const unsigned char *p = in->pixels;
  if (C == in->C) memcpy(made.pixels, p, (size_t)(n * C));
  else if (C == 1)
    for (int64_t i = 0; i < n; i++)
      made.pixels[i] = (unsigned char)((299 * p[3 * i] + 587 * p[3 * i + 1] + 114 * p[3 * i + 2] + 500) / 1000);
  else
    for (int64_t i = 0; i < 3 * n; i++) made.pixels[i] = p[i / 3];
  *out = made;
  return DVG_OK;
}

// ---- resizing: two passes, each a sum over a few neighbours

// Which source places make up one output place, and their weights.
struct taps {
  int64_t first, n;
  float *weight;
};

// Pixel i covers [i, i+1). Shrinking: each source pixel counts by how much of it lies under the output pixel.
// Enlarging: linear between pixel centres, the edge repeated.
static enum dvg_status make_taps(struct taps **out, float **weights, int64_t n_out, int64_t n_in) {
  double scale = (double)n_in / (double)n_out;
  int64_t room = (int64_t)ceil(scale) + 2;
  DVG_TRY(DVG_NEW(out, n_out, "resampling"));
  DVG_TRY(DVG_NEW(weights, n_out * room, "resampling"));
  for (int64_t i = 0; i < n_out; i++) {
    struct taps *t = &(*out)[i];
    t->weight = *weights + i * room;
    if (n_in > n_out) {
      double from = (double)i * scale, to = (double)(i + 1) * scale;
      t->first = (int64_t)from;
      for (int64_t k = t->first; k < n_in && (double)k < to; k++) {
        double low = (double)k > from ? (double)k : from, high = (double)(k + 1) < to ? (double)(k + 1) : to;
        t->weight[t->n++] = (float)((high - low) / scale);
      }
    } else {
      double center = ((double)i + 0.5) * scale - 0.5;
      if (center < 0) center = 0;
      if (center > (double)(n_in - 1)) center = (double)(n_in - 1);
      t->first = (int64_t)center;
      double part = center - (double)t->first;
      t->weight[0] = (float)(1 - part);
      t->weight[1] = (float)part;
      t->n = part > 0 ? 2 : 1;
    }
  }
  return DVG_OK;
}

static void resize_rows(float *out, const struct dvg_image *in, const struct taps *columns, int64_t W) {
  for (int64_t y = 0; y < in->H; y++)
    for (int64_t x = 0; x < W; x++)
      for (int64_t c = 0; c < in->C; c++) {
        const unsigned char *p = in->pixels + (y * in->W + columns[x].first) * in->C + c;
        float sum = 0;
        for (int64_t k = 0; k < columns[x].n; k++) sum += columns[x].weight[k] * (float)p[k * in->C];
        out[(y * W + x) * in->C + c] = sum;
      }
}

static void resize_columns(struct dvg_image *out, const float *in, const struct taps *rows) {
  int64_t n = out->W * out->C;
  for (int64_t y = 0; y < out->H; y++)
    for (int64_t x = 0; x < n; x++) {
      float sum = 0;
      for (int64_t k = 0; k < rows[y].n; k++) sum += rows[y].weight[k] * in[(rows[y].first + k) * n + x];
      out->pixels[y * n + x] = (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : lrintf(sum));
    }
}

enum dvg_status dvg_image_resize(struct dvg_image *out, const struct dvg_image *in, int64_t H, int64_t W) {
  struct taps *rows = NULL, *columns = NULL;
  float *row_weights = NULL, *column_weights = NULL, *between = NULL;
  struct dvg_image made = {0};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_image_create(&made, H, W, in->C));
  DVG_TRY_GOTO(make_taps(&rows, &row_weights, H, in->H));
  DVG_TRY_GOTO(make_taps(&columns, &column_weights, W, in->W));
  DVG_TRY_GOTO(DVG_NEW(&between, in->H * W * in->C, "resampling"));
  resize_rows(between, in, columns, W);
  resize_columns(&made, between, rows);
  *out = made;
  made.pixels = NULL;
done:
  dvg_image_free(&made);
  dvg_free(&between);
  dvg_free(&rows);
  dvg_free(&columns);
  dvg_free(&row_weights);
  dvg_free(&column_weights);
  return status;
}
