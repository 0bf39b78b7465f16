// Windows bitmaps: a file header of 14 bytes, a header that begins with its own size, a palette, rows of pixels
// padded to 4 bytes. Little endian; bottom row first, unless the height is negative.
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/image_codec.h"

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, MAX_HEADER = 256 };
enum { PLAIN, RLE8, RLE4, BITFIELDS };

struct reader {
  const char *name;
  const unsigned char *bytes, *pixels, *end; // pixels: where they begin
  int64_t H, W, bits, compression;
  int is_core, is_top_down, is_gray;
  int64_t n_colors;
  unsigned char palette[256][3]; // RGB
  int shift[3];                  // of red, green and blue in a pixel of 32 bits
};

static int64_t u16(const unsigned char *p) {
  return p[0] | p[1] << 8;
}

static int64_t u32(const unsigned char *p) {
  return (int64_t)p[0] | (int64_t)p[1] << 8 | (int64_t)p[2] << 16 | (int64_t)p[3] << 24;
}

static enum dvg_status bad(const struct reader *r, const char *what) {
  return dvg_fail(DVG_ERROR_INPUT, "%s: not a readable BMP: %s", r->name, what);
}

static enum dvg_status take_sizes(struct reader *r, const unsigned char *h) {
  if (r->is_core) {
    r->W = u16(h + 4);
    r->H = u16(h + 6);
    r->bits = u16(h + 10);
    return DVG_OK;
  }
  r->W = (int32_t)u32(h + 4);
  r->H = (int32_t)u32(h + 8);
  r->bits = u16(h + 14);
  r->compression = u32(h + 16);
  r->is_top_down = r->H < 0;
  if (r->H < 0) r->H = -r->H;
  int good = r->compression == PLAIN || (r->compression == RLE8 && r->bits == 8 && !r->is_top_down) ||
             (r->compression == BITFIELDS && r->bits == 32);
  return good ? DVG_OK : bad(r, "a compression that is not known here (known: none, RLE8, 32-bit fields)");
}

// The three masks of a 32-bit pixel must be whole bytes.
static enum dvg_status take_fields(struct reader *r, const unsigned char *masks) {
  for (int c = 0; c < 3; c++) {
    int64_t mask = u32(masks + 4 * c);
    for (r->shift[c] = 0; r->shift[c] < 32 && mask != INT64_C(0xff) << r->shift[c]; r->shift[c] += 8) continue;
    if (r->shift[c] == 32) return bad(r, "colour fields that are no bytes");
  }
  return DVG_OK;
}

static enum dvg_status take_palette(struct reader *r, const unsigned char *at, int64_t n_used) {
  int64_t most = INT64_C(1) << r->bits, entry = r->is_core ? 3 : 4;
  r->n_colors = n_used ? n_used : most;
  if (r->n_colors > most) return bad(r, "more colours than its bits can tell");
  // Some writers name all colours but store fewer: as many as there is room for.
  if (r->n_colors > (r->pixels - at) / entry) r->n_colors = (r->pixels - at) / entry;
  r->is_gray = 1;
  for (int64_t i = 0; i < r->n_colors; i++, at += entry) {
    for (int c = 0; c < 3; c++) r->palette[i][c] = at[2 - c];
    r->is_gray &= at[0] == at[1] && at[1] == at[2];
  }
  return r->n_colors > 0 ? DVG_OK : bad(r, "no palette");
}

static enum dvg_status take_headers(struct reader *r, size_t n_bytes) {
  if (n_bytes < FILE_HEADER + CORE_HEADER) return bad(r, "truncated");
  const unsigned char *h = r->bytes + FILE_HEADER;
  int64_t offset = u32(r->bytes + 10), n_header = u32(h), n = (int64_t)n_bytes;
  r->is_core = n_header == CORE_HEADER;
  if (!r->is_core && (n_header < INFO_HEADER || n_header > MAX_HEADER)) return bad(r, "an unknown header");
  if (n < FILE_HEADER + n_header) return bad(r, "truncated");
  DVG_TRY(take_sizes(r, h));
  if (r->compression == BITFIELDS && n_header > INFO_HEADER && n_header < INFO_HEADER + 12)
    return bad(r, "an unknown header");
  if (r->bits != 1 && r->bits != 4 && r->bits != 8 && r->bits != 24 && r->bits != 32)
    return bad(r, "not 1, 4, 8, 24 or 32 bits a pixel");
  // The masks follow the header of 40 bytes, and lie within the longer ones.
  int64_t first = FILE_HEADER + n_header + (r->compression == BITFIELDS && n_header == INFO_HEADER ? 12 : 0);
  if (offset < first || offset > n) return bad(r, "its pixels are not within the file");
  r->pixels = r->bytes + offset;
  r->shift[0] = 16;
  r->shift[1] = 8;
  if (r->compression == BITFIELDS) DVG_TRY(take_fields(r, h + INFO_HEADER));
  if (r->bits <= 8) DVG_TRY(take_palette(r, r->bytes + first, r->is_core ? 0 : u32(h + 32)));
  return DVG_OK;
}

static unsigned char *row_of(struct dvg_image *image, const struct reader *r, int64_t y) {
  return image->pixels + (r->is_top_down ? y : r->H - 1 - y) * r->W * image->C;
}

static enum dvg_status put_color(unsigned char *out, int64_t C, const struct reader *r, int64_t index) {
  if (index >= r->n_colors) return bad(r, "a colour that is not in its palette");
  for (int64_t c = 0; c < C; c++) out[c] = r->palette[index][c];
  return DVG_OK;
}

static enum dvg_status take_row(unsigned char *out, int64_t C, const struct reader *r,
                                const unsigned char *row) {
  for (int64_t x = 0; x < r->W; x++, out += C) {
    if (r->bits <= 8) {
      int64_t bit = x * r->bits;
      DVG_TRY(put_color(out, C, r, row[bit / 8] >> (8 - r->bits - bit % 8) & ((1 << r->bits) - 1)));
    } else if (r->bits == 24) {
      for (int c = 0; c < 3; c++) out[c] = row[3 * x + 2 - c];
    } else {
      int64_t pixel = u32(row + 4 * x);
      for (int c = 0; c < 3; c++) out[c] = (unsigned char)(pixel >> r->shift[c]);
    }
  }
  return DVG_OK;
}

static enum dvg_status take_rows(struct dvg_image *image, const struct reader *r) {
  int64_t stride = (r->W * r->bits + 31) / 32 * 4;
  for (int64_t y = 0; y < r->H; y++)
    DVG_TRY(take_row(row_of(image, r, y), image->C, r, r->pixels + y * stride));
  return DVG_OK;
}

// Runs of `n` equal pixels (n > 0), or after a 0: 0 the end of a row, 1 that of the image, 2 a jump to the
// right and up, n > 2 pixels as they are, padded to 2 bytes. What is jumped over has the first colour.
struct run {
  const unsigned char *at;
  int64_t x, y;
};

static enum dvg_status put_run(struct dvg_image *image, const struct reader *r, struct run *t,
                               const unsigned char *colors, int64_t n, int64_t step) {
  if (n > r->W - t->x || t->y >= r->H) return bad(r, "a run beyond the end of its row");
  unsigned char *out = row_of(image, r, t->y) + t->x * image->C;
  for (int64_t i = 0; i < n; i++) DVG_TRY(put_color(out + i * image->C, image->C, r, colors[i * step]));
  t->x += n;
  return DVG_OK;
}

static enum dvg_status take_escape(struct dvg_image *image, const struct reader *r, struct run *t, int64_t n) {
  if (n == 0) {
    t->x = 0;
    t->y++;
    return DVG_OK;
  }
  int64_t n_bytes = n == 2 ? 2 : n + n % 2;
  if (n_bytes > r->end - t->at) return bad(r, "truncated");
  const unsigned char *given = t->at;
  t->at += n_bytes;
  if (n > 2) return put_run(image, r, t, given, n, 1);
  t->x += given[0];
  t->y += given[1];
  return t->x > r->W || t->y >= r->H ? bad(r, "a jump out of the image") : DVG_OK;
}

static enum dvg_status take_runs(struct dvg_image *image, const struct reader *r) {
  struct run t = {.at = r->pixels};
  for (int64_t i = 0; i < r->H * r->W; i++) DVG_TRY(put_color(image->pixels + i * image->C, image->C, r, 0));
  while (r->end - t.at >= 2) {
    int64_t n = t.at[0], value = t.at[1];
    t.at += 2;
    if (n == 0 && value == 1) return DVG_OK;
    DVG_TRY(n > 0 ? put_run(image, r, &t, t.at - 1, n, 0) : take_escape(image, r, &t, value));
  }
  return bad(r, "truncated");
}

// The fewest bytes of the pixels. Of runs 2 for 255 pixels, jumps left aside: an image that is mostly jumped
// over is refused as truncated.
static int64_t least_bytes(const struct reader *r) {
  if (r->H > DVG_IMAGE_MAX_SIDE || r->W > DVG_IMAGE_MAX_SIDE || r->W < 1) return 0; // refused anyway
  return r->compression == RLE8 ? r->H * r->W * 2 / 255 : (r->W * r->bits + 31) / 32 * 4 * r->H;
}

static enum dvg_status read_image(struct dvg_image *image, struct reader *r, size_t n_bytes) {
  DVG_TRY(take_headers(r, n_bytes));
  DVG_TRY(dvg_image_check_size(r->H, r->W, least_bytes(r), (size_t)(r->end - r->pixels), r->name));
  struct dvg_image made = {0};
  DVG_TRY(dvg_image_create(&made, r->H, r->W, r->is_gray ? 1 : 3));
  enum dvg_status status = r->compression == RLE8 ? take_runs(&made, r) : take_rows(&made, r);
  if (status == DVG_OK) *image = made;
  else dvg_image_free(&made);
  return status;
}

enum dvg_status dvg_bmp_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                               const char *name) {
  struct reader r = {.name = name, .bytes = bytes, .end = bytes + n_bytes};
  return read_image(image, &r, n_bytes);
}
