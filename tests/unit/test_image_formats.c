// PGM, PPM and BMP: every kind against pixels computed by hand, damage, headers that lie.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/image.h"
#include "tests/check.h"

struct bytes {
  unsigned char at[1 << 14];
  size_t n;
};
static struct bytes file;

static void add(const void *bytes, size_t n) {
  memcpy(file.at + file.n, bytes, n);
  file.n += n;
}

static void add_byte(int value) {
  file.at[file.n++] = (unsigned char)value;
}

static void add_little(int64_t value, int n) {
  for (int i = 0; i < n; i++) add_byte((int)(value >> (8 * i) & 255));
}

// Decodes a copy of just that length, so that the address sanitizer sees what is read beyond.
static enum dvg_status decode(struct dvg_image *image, size_t n) {
  unsigned char *copy = malloc(n ? n : 1);
  memcpy(copy, file.at, n);
  enum dvg_status status = dvg_image_decode(image, copy, n, "test");
  free(copy);
  return status;
}

// Refused, with a message that has `said` in it.
static void refused(size_t n, const char *said) {
  struct dvg_image image = {0};
  dvg_test_listen();
  enum dvg_status status = decode(&image, n);
  const char *heard = dvg_test_heard();
  CU_ASSERT_EQUAL(status, DVG_ERROR_INPUT);
  CU_ASSERT_PTR_NULL(image.pixels);
  int right = strstr(heard, said) && strstr(heard, "test: ");
  if (!right) printf("wanted '%s', heard: %s", said, heard);
  CU_ASSERT_TRUE(right);
}

static void refused_text(const char *text, const char *said) {
  file.n = 0;
  add(text, strlen(text));
  refused(file.n, said);
}

// ---- PGM and PPM

enum { W = 5, H = 3 };

static int sample_at(int i, int most) {
  return (int)((unsigned)i * 2654435761u % (unsigned)(most + 1));
}

static void make_pnm(int kind, int most) {
  char text[64];
  int n = W * H * (kind % 3 == 0 ? 3 : 1);
  file.n = 0;
  add(text, (size_t)sprintf(text, "P%d # a comment\n%d # 7\n#\n\t%d\r\n%d\n", kind, W, H, most));
  for (int i = 0; i < n; i++) {
    int v = sample_at(i, most);
    if (kind < 4) add(text, (size_t)sprintf(text, i % 4 ? "%d " : "%d\n# more\n", v));
    else if (most > 255) add_byte(v >> 8), add_byte(v & 255);
    else add_byte(v);
  }
}

static void pnm_kinds(void) {
  static const int kinds[] = {2, 3, 5, 6}, mosts[] = {1, 100, 255, 256, 1023, 65535};
  for (int k = 0; k < 4; k++)
    for (int m = 0; m < 6; m++) {
      struct dvg_image image = {0};
      int n_bad = 0, C = kinds[k] % 3 == 0 ? 3 : 1;
      make_pnm(kinds[k], mosts[m]);
      CHECK_OK(decode(&image, file.n));
      CU_ASSERT_TRUE_FATAL(image.H == H && image.W == W && image.C == C);
      for (int i = 0; i < H * W * C; i++)
        n_bad += image.pixels[i] != (int)(sample_at(i, mosts[m]) * 255.0 / mosts[m] + 0.5);
      CU_ASSERT_EQUAL(n_bad, 0);
      dvg_image_free(&image);
    }
}

static void pnm_refusals(void) {
  for (int kind = 5; kind <= 6; kind++)
    for (int most = 255; most <= 65535; most += 65280) {
      make_pnm(kind, most);
      for (size_t n = 3; n < file.n; n++) refused(n, "");
    }
  make_pnm(3, 255);
  for (size_t n = 3; n + 12 < file.n; n++) {
    struct dvg_image image = {0};
    dvg_log_quiet(1);
    CU_ASSERT_EQUAL(decode(&image, n), DVG_ERROR_INPUT);
    dvg_log_quiet(0);
  }
  refused_text("P5\n2 2\n255\nabc", "is truncated: 2 x 2 pixels cannot be in 3 bytes");
  refused_text("P5\n-2 2\n255\nabcd", "something else where a number must be");
  refused_text("P5\n0 2\n255\nabcd", "without pixels");
  refused_text("P5\n2 2\n0\nabcd", "a maximum of 0");
  refused_text("P5\n2 2\n65536\nabcd", "a maximum above 65535");
  refused_text("P5\n2 2\n3\n\x1\x2\x3\x4", "a value above the maximum");
  refused_text("P2\n2 2\n3\n1 2 3 4", "a value above the maximum");
  refused_text("P2\n2 2\n3\n1 2 3 1x", "something else within a number");
  refused_text("P5 16385 1 255 ", "are too many");
  refused_text("P5 1 99999999999999999999 255 ", "a height beyond all bounds");
  refused_text("P5 16384 16384 255 abcd", "is truncated");
  refused_text("P3 16384 16384 255 1 2 3 4", "is truncated");
  refused_text("P4 8 8 abcdefgh", "neither PNG nor JPEG, PGM, PPM or BMP");
}

// ---- BMP

static int color_of(int index, int channel, int is_gray) {
  return is_gray ? (index * 83 + 7) % 256 : (index * 37 + channel * 91) % 256;
}

static int index_at(int y, int x, int bits) {
  return sample_at(y * W + x, bits > 8 ? 255 : (1 << bits) - 1);
}

// The header sizes 12 (core), 40, 56 and 124; n_colors 0: all.
struct kind {
  int bits, header, top_down, gray, n_colors, fields;
};

static void make_headers(const struct kind *k, int64_t width, int64_t height, int compression) {
  int n_colors = k->bits > 8 ? 0 : k->n_colors ? k->n_colors : 1 << k->bits;
  int masks = k->fields && k->header == 40 ? 12 : 0;
  file.n = 0;
  add("BM", 2);
  add_little(0, 4); // the size of the file, which some writers leave out
  add_little(0, 4);
  add_little(14 + k->header + masks + n_colors * (k->header == 12 ? 3 : 4), 4);
  add_little(k->header, 4);
  if (k->header == 12) {
    add_little(width, 2);
    add_little(height, 2);
    add_little(1, 2);
    add_little(k->bits, 2);
  } else {
    add_little(width, 4);
    add_little(k->top_down ? -height : height, 4);
    add_little(1, 2);
    add_little(k->bits, 2);
    add_little(k->fields ? 3 : compression, 4);
    for (int i = 0; i < 3; i++) add_little(0, 4);
    add_little(k->n_colors, 4);
    add_little(0, 4);
    for (int c = 0; c < 3 && (masks || k->header > 40); c++) add_little(INT64_C(0xff) << (8 * c + 8), 4);
    while (file.n < (size_t)(14 + k->header)) add_byte(0);
  }
  for (int i = 0; i < n_colors; i++) {
    for (int c = 2; c >= 0; c--) add_byte(color_of(i, c, k->gray));
    if (k->header > 12) add_byte(0);
  }
}

static void make_bmp(const struct kind *k) {
  make_headers(k, W, H, 0);
  for (int j = 0; j < H; j++) {
    int y = k->top_down ? j : H - 1 - j, used = 0, bits = 0;
    size_t begin = file.n;
    for (int x = 0; x < W; x++) {
      int v = index_at(y, x, k->bits);
      if (k->bits <= 8) {
        bits = bits << k->bits | v;
        used += k->bits;
        if (used == 8 || x == W - 1) add_byte(bits << (8 - used)), used = bits = 0;
      } else if (k->fields) {
        add_byte(200); // red, green and blue lie above it
        for (int c = 0; c < 3; c++) add_byte(color_of(v, c, 0));
      } else {
        for (int c = 2; c >= 0; c--) add_byte(color_of(v, c, 0));
        if (k->bits == 32) add_byte(200);
      }
    }
    while ((file.n - begin) % 4) add_byte(0xee);
  }
}

static void check_bmp(const struct kind *k) {
  struct dvg_image image = {0};
  int n_bad = 0;
  CHECK_OK(decode(&image, file.n));
  CU_ASSERT_TRUE_FATAL(image.H == H && image.W == W && image.C == (k->gray ? 1 : 3));
  for (int i = 0; i < H * W; i++)
    for (int c = 0; c < image.C; c++)
      n_bad += image.pixels[i * image.C + c] != color_of(index_at(i / W, i % W, k->bits), c, k->gray);
  CU_ASSERT_EQUAL(n_bad, 0);
  dvg_image_free(&image);
}

static const struct kind kinds[] = {{1, 40, 0, 0, 0, 0},  {4, 40, 0, 0, 0, 0},   {8, 40, 0, 0, 0, 0},
                                    {8, 40, 1, 1, 0, 0},  {8, 12, 0, 1, 0, 0},   {1, 12, 0, 0, 0, 0},
                                    {24, 12, 0, 0, 0, 0}, {24, 40, 0, 0, 0, 0},  {24, 56, 1, 0, 0, 0},
                                    {32, 40, 0, 0, 0, 0}, {32, 124, 1, 0, 0, 0}, {32, 40, 0, 0, 0, 1},
                                    {32, 56, 1, 0, 0, 1}, {4, 124, 1, 1, 16, 0}};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static void bmp_kinds(void) {
  for (int k = 0; k < N_KINDS; k++) {
    make_bmp(&kinds[k]);
    check_bmp(&kinds[k]);
    for (size_t n = 2; n < file.n; n++) refused(n, k % 2 ? "" : "test");
  }
}

static void bmp_runs(void) {
  static const struct kind kind = {8, 40, 0, 1, 4, 0};
  // Bottom row first: five pixels as they are and a byte to pad them; two equal ones; a jump; one.
  static const unsigned char runs[] = {0, 5, 1, 2, 3, 2, 3, 9, 0, 0, 2, 1, 0, 2, 1, 1, 1, 3, 0, 0, 0, 1};
  static const unsigned char want[15] = {0, 0, 0, 3, 0, 1, 1, 0, 0, 0, 1, 2, 3, 2, 3};
  struct dvg_image image = {0};
  make_headers(&kind, W, H, 1);
  add(runs, sizeof runs);
  CHECK_OK(decode(&image, file.n));
  CU_ASSERT_TRUE_FATAL(image.H == H && image.W == W && image.C == 1);
  for (int i = 0; i < 15; i++) CU_ASSERT_EQUAL(image.pixels[i], color_of(want[i], 0, 1));
  dvg_image_free(&image);
  for (size_t n = 2; n < file.n; n++) refused(n, "");
  static const struct {
    const char *bytes, *said;
    size_t n;
  } bad[] = {{"\x06\x01\x00\x01", "a run beyond the end of its row", 4},
             {"\x05\x01\x01\x01\x00\x01", "a run beyond the end of its row", 6},
             {"\x00\x02\x06\x00\x00\x01", "a jump out of the image", 6},
             {"\x00\x02\x00\x03\x00\x01", "a jump out of the image", 6},
             {"\x00\x00\x00\x00\x00\x00\x01\x01\x00\x01", "a run beyond the end", 10},
             {"\x00\x04\x01\x01\x01", "truncated", 5},
             {"\x02\x04\x00\x01", "a colour that is not in its palette", 4}};
  for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
    make_headers(&kind, W, H, 1);
    add(bad[k].bytes, bad[k].n);
    refused(file.n, bad[k].said);
  }
}

static void bmp_refusals(void) {
  static const struct kind gray = {8, 40, 0, 1, 0, 0}, few = {4, 40, 0, 0, 3, 0}, rgb = {24, 40, 0, 0, 0, 0},
                           odd = {16, 40, 0, 0, 0, 0}, fields = {32, 40, 0, 0, 0, 1}, top = {8, 40, 1, 1, 0, 0};
  static const int64_t sides[] = {0, 16384, 16385, INT64_C(1) << 30, INT32_MAX};
  for (int k = 0; k < 5; k++)
    for (int runs = 0; runs < 2; runs++) {
      make_headers(&gray, sides[k], sides[k], runs);
      for (int i = 0; i < 100; i++) add_byte(0);
      refused(file.n, k == 0 ? "without pixels" : k == 1 ? "is truncated" : "are too many");
    }
  make_headers(&gray, -5, 3, 0);
  refused(file.n, "without pixels");
  make_headers(&top, 5, INT64_C(1) << 31, 0); // the height that has no positive
  refused(file.n, "are too many");
  make_headers(&top, W, H, 1);
  refused(file.n, "a compression that is not known here");
  make_headers(&rgb, W, H, 2);
  refused(file.n, "a compression that is not known here");
  make_headers(&odd, W, H, 0);
  refused(file.n, "not 1, 4, 8, 24 or 32 bits");
  make_bmp(&few);
  refused(file.n, "a colour that is not in its palette");
  make_bmp(&gray);
  file.at[46] = 1, file.at[47] = 1; // 257 colours
  refused(file.n, "more colours than its bits");
  make_bmp(&gray);
  file.at[10] = 54; // no room for a palette
  file.at[11] = 0;
  refused(file.n, "no palette");
  file.at[13] = 0x7f;
  refused(file.n, "its pixels are not within the file");
  make_bmp(&gray);
  file.at[14] = 41, file.at[30] = 3, file.at[28] = 32;
  refused(file.n, "an unknown header");
  make_bmp(&fields);
  file.at[54] = 1;
  refused(file.n, "colour fields that are no bytes");
}

static void damaged_never_crashes(void) {
  struct dvg_image got = {0};
  int n_refused = 0;
  dvg_log_quiet(1);
  for (int k = 0; k < N_KINDS + 2; k++) {
    if (k < N_KINDS) make_bmp(&kinds[k]);
    else make_pnm(k - N_KINDS + 2, 255);
    for (size_t i = 2; i < file.n; i++)
      for (int v = 1; v < 256; v = 2 * v + 1) {
        file.at[i] ^= (unsigned char)v;
        enum dvg_status status = decode(&got, file.n);
        if (status == DVG_OK) dvg_image_free(&got);
        else n_refused++;
        CU_ASSERT_TRUE(status == DVG_OK || status == DVG_ERROR_INPUT);
        file.at[i] ^= (unsigned char)v;
      }
  }
  dvg_log_quiet(0);
  CU_ASSERT_TRUE(n_refused > 2000);
  CU_ASSERT_TRUE(dvg_peak_memory() < (int64_t)500 << 20);
}

const struct dvg_test dvg_tests[] = {{"pnm kinds", pnm_kinds},
                                     {"pnm refusals", pnm_refusals},
                                     {"bmp kinds", bmp_kinds},
                                     {"bmp runs", bmp_runs},
                                     {"bmp refusals", bmp_refusals},
                                     {"damaged never crashes", damaged_never_crashes},
                                     {NULL, NULL}};
