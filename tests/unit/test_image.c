// Images: every kind of PNG against pixels computed by hand, JPEG round trips, damage, resampling, alignment.
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/image.h"
#include "tests/check.h"

enum { W = 19, H = 13 }; // of the PNGs made here

struct bytes {
  unsigned char at[1 << 17];
  size_t n;
};
static struct bytes file;

static void take(png_structp png, png_bytep bytes, size_t n) {
  struct bytes *b = png_get_io_ptr(png);
  if (b->n + n > sizeof b->at) png_error(png, "the test's memory is too small");
  memcpy(b->at + b->n, bytes, n);
  b->n += n;
}

static void flush(png_structp png) {
  (void)png;
}

// A raw sample of the test picture, `depth` bits.
static unsigned sample_at(int y, int x, int channel, int depth) {
  unsigned v = (unsigned)(y * 7919 + x * 104729 + channel * 15485863) * 2654435761u;
  return v >> (32 - depth);
}

static int count_channels(int color) {
  return color == PNG_COLOR_TYPE_RGB          ? 3
         : color == PNG_COLOR_TYPE_RGBA       ? 4
         : color == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                              : 1;
}

static void palette_entry(int i, png_color *color, png_byte *alpha) {
  *color = (png_color){(png_byte)(i * 37), (png_byte)(255 - i * 11), (png_byte)(i * i)};
  *alpha = (png_byte)(i * 50);
}

// tRNS: for palettes the alpha of the first three entries; for gray and RGB the colour of pixel (0, 0).
static void make_png(struct bytes *out, int color, int depth, int interlaced, int with_trns) {
  out->n = 0;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, out, take, flush);
  png_set_IHDR(png, info, W, H, depth, color, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_color palette[256];
  png_byte alpha[256];
  for (int i = 0; i < 256; i++) palette_entry(i, &palette[i], &alpha[i]);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 1 << depth);
  png_color_16 clear = {.gray = (png_uint_16)sample_at(0, 0, 0, depth),
                        .red = (png_uint_16)sample_at(0, 0, 0, depth),
                        .green = (png_uint_16)sample_at(0, 0, 1, depth),
                        .blue = (png_uint_16)sample_at(0, 0, 2, depth)};
  if (with_trns) png_set_tRNS(png, info, alpha, 1 << depth > 3 ? 3 : 1 << depth, &clear);
  png_write_info(png, info);
  int n_channels = count_channels(color);
  static unsigned char rows[H][W * 8];
  png_bytep pointers[H];
  memset(rows, 0, sizeof rows);
  for (int y = 0; y < H; y++) {
    pointers[y] = rows[y];
    for (int i = 0; i < W * n_channels; i++) {
      unsigned v = sample_at(y, i / n_channels, i % n_channels, depth);
      if (depth == 16) {
        rows[y][2 * i] = (unsigned char)(v >> 8);
        rows[y][2 * i + 1] = (unsigned char)v;
      } else {
        rows[y][i * depth / 8] |= (unsigned char)(v << (8 - depth - i * depth % 8));
      }
    }
  }
  png_write_image(png, pointers);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
}

// What a pixel must become: `rgb` gets 1 or 3 values.
static void expected_pixel(int rgb[3], int y, int x, int color, int depth, int with_trns) {
  int n = color == PNG_COLOR_TYPE_RGB || color == PNG_COLOR_TYPE_RGBA ? 3 : 1, is_clear = with_trns;
  double alpha = 1, most = (1 << depth) - 1;
  if (color == PNG_COLOR_TYPE_PALETTE) {
    png_color entry;
    png_byte a;
    int i = (int)sample_at(y, x, 0, depth);
    palette_entry(i, &entry, &a);
    if (with_trns && i < 3) alpha = a / 255.0;
    int v[3] = {entry.red, entry.green, entry.blue};
    for (int c = 0; c < 3; c++) rgb[c] = (int)lrint(alpha * v[c] + (1 - alpha) * 255);
    return;
  }
  for (int c = 0; c < n; c++) is_clear = is_clear && sample_at(y, x, c, depth) == sample_at(0, 0, c, depth);
  if (color & PNG_COLOR_MASK_ALPHA) alpha = rint(sample_at(y, x, n, depth) / most * 255) / 255;
  if (is_clear) alpha = 0;
  for (int c = 0; c < n; c++)
    rgb[c] = (int)lrint(alpha * rint(sample_at(y, x, c, depth) / most * 255) + (1 - alpha) * 255);
}

static const struct {
  int color, depth, trns;
} kinds[] = {
    {PNG_COLOR_TYPE_GRAY, 1, 0},       {PNG_COLOR_TYPE_GRAY, 2, 0},    {PNG_COLOR_TYPE_GRAY, 4, 0},
    {PNG_COLOR_TYPE_GRAY, 8, 0},       {PNG_COLOR_TYPE_GRAY, 16, 0},   {PNG_COLOR_TYPE_GRAY, 4, 1},
    {PNG_COLOR_TYPE_GRAY, 8, 1},       {PNG_COLOR_TYPE_PALETTE, 1, 0}, {PNG_COLOR_TYPE_PALETTE, 2, 1},
    {PNG_COLOR_TYPE_PALETTE, 4, 0},    {PNG_COLOR_TYPE_PALETTE, 8, 0}, {PNG_COLOR_TYPE_PALETTE, 8, 1},
    {PNG_COLOR_TYPE_RGB, 8, 0},        {PNG_COLOR_TYPE_RGB, 16, 0},    {PNG_COLOR_TYPE_RGB, 8, 1},
    {PNG_COLOR_TYPE_RGBA, 8, 0},       {PNG_COLOR_TYPE_RGBA, 16, 0},   {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0},
    {PNG_COLOR_TYPE_GRAY_ALPHA, 16, 0}};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static void png_kinds(void) {
  for (int k = 0; k < 2 * N_KINDS; k++) {
    int color = kinds[k / 2].color, depth = kinds[k / 2].depth, trns = kinds[k / 2].trns;
    make_png(&file, color, depth, k % 2, trns);
    struct dvg_image image = {0};
    CHECK_OK(dvg_image_decode(&image, file.at, file.n, "test.png"));
    int C = color == PNG_COLOR_TYPE_GRAY || color == PNG_COLOR_TYPE_GRAY_ALPHA ? 1 : 3, n_bad = 0, rgb[3];
    CU_ASSERT_TRUE_FATAL(image.H == H && image.W == W && image.C == C);
    for (int i = 0; i < H * W; i++) {
      expected_pixel(rgb, i / W, i % W, color, depth, trns);
      for (int c = 0; c < C; c++) n_bad += image.pixels[i * C + c] != rgb[c];
    }
    if (n_bad)
      fprintf(stderr, "colour type %d, %d bits, tRNS %d: %d values differ\n", color, depth, trns, n_bad);
    CU_ASSERT_EQUAL(n_bad, 0);
    dvg_image_free(&image);
  }
}

static void refused(const unsigned char *bytes, size_t n, const char *name) {
  struct dvg_image image = {0};
  dvg_log_quiet(1);
  enum dvg_status status = dvg_image_decode(&image, bytes, n, name);
  dvg_log_quiet(0);
  CU_ASSERT_EQUAL(status, DVG_ERROR_INPUT);
  CU_ASSERT_PTR_NULL(image.pixels);
  dvg_image_free(&image);
}

// A smooth picture, which JPEG keeps well.
static void make_image(struct dvg_image *image, int64_t rows, int64_t columns, int64_t C) {
  CHECK_OK(dvg_image_create(image, rows, columns, C));
  for (int64_t y = 0; y < rows; y++)
    for (int64_t x = 0; x < columns; x++)
      for (int64_t c = 0; c < C; c++)
        image->pixels[(y * columns + x) * C + c] = (unsigned char)lrint(
            127 + 100 * sin(0.11 * (double)x + (double)c) * cos(0.07 * (double)y - (double)c));
}

static void truncated_is_an_error(void) {
  for (int k = 0; k < 4; k++) {
    make_png(&file, k == 0 ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_PALETTE, 8, k % 2, k > 0);
    for (size_t n = 0; n < file.n; n++) refused(file.at, n, "short.png");
  }
  struct dvg_image image;
  make_image(&image, 40, 56, 3);
  unsigned char *jpeg = NULL;
  size_t n_bytes = 0;
  CHECK_OK(dvg_image_encode_jpeg(&image, 90, &jpeg, &n_bytes));
  for (size_t n = 0; n + 2 < n_bytes; n++) refused(jpeg, n, "short.jpg");
  dvg_free(&jpeg);
  dvg_image_free(&image);
}

static void damaged_never_crashes(void) {
  struct dvg_image image, got = {0};
  make_image(&image, 24, 24, 3);
  unsigned char *jpeg = NULL;
  size_t n_bytes = 0;
  CHECK_OK(dvg_image_encode_jpeg(&image, 80, &jpeg, &n_bytes));
  make_png(&file, PNG_COLOR_TYPE_RGB, 8, 1, 1);
  dvg_log_quiet(1);
  int n_refused = 0;
  for (int k = 0; k < 4000; k++) {
    unsigned char *bytes = k % 2 ? jpeg : file.at;
    size_t n = k % 2 ? n_bytes : file.n, at = (size_t)(k / 2) * 2654435761u % n;
    unsigned char kept = bytes[at];
    bytes[at] ^= (unsigned char)(1 + k % 255);
    enum dvg_status status = dvg_image_decode(&got, bytes, n, "damaged");
    if (status == DVG_OK) dvg_image_free(&got);
    else n_refused++;
    CU_ASSERT_TRUE(status == DVG_OK || status == DVG_ERROR_INPUT || status == DVG_ERROR_MEMORY);
    bytes[at] = kept;
  }
  dvg_log_quiet(0);
  CU_ASSERT_TRUE(n_refused > 1500); // nearly every damaged PNG for its CRC, some JPEGs
  dvg_free(&jpeg);
  dvg_image_free(&image);
}

// A PNG header's sides, with the chunk's CRC made right so that the lie is believed.
static void set_sides(struct bytes *png, unsigned side) {
  for (int i = 0; i < 4; i++) png->at[16 + i] = png->at[20 + i] = (unsigned char)(side >> (24 - 8 * i));
  unsigned long crc = 0xffffffff;
  for (int i = 12; i < 29; i++) {
    crc ^= png->at[i];
    for (int b = 0; b < 8; b++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  crc ^= 0xffffffff;
  for (int i = 0; i < 4; i++) png->at[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
}

// Headers that claim far more pixels than their bytes can hold; and sides beyond the limit.
static void lying_headers(void) {
  static const unsigned sides[] = {0, 16384, 16385, 1 << 30, 0x7fffffff, 0xffffffff};
  for (int k = 0; k < 6; k++) {
    make_png(&file, PNG_COLOR_TYPE_RGBA, 8, 0, 0);
    set_sides(&file, sides[k]);
    refused(file.at, file.n, "lie.png");
  }
  struct dvg_image image;
  make_image(&image, 16, 16, 1);
  unsigned char *jpeg = NULL;
  size_t n_bytes = 0;
  CHECK_OK(dvg_image_encode_jpeg(&image, 90, &jpeg, &n_bytes));
  for (int value = 0x3f; value <= 0xff; value += 0xc0) {
    for (size_t i = 0; i + 9 < n_bytes; i++)
      if (jpeg[i] == 0xff && jpeg[i + 1] == 0xc0) memset(jpeg + i + 5, value, 4);
    refused(jpeg, n_bytes, "lie.jpg");
  }
  dvg_free(&jpeg);
  dvg_image_free(&image);
  CU_ASSERT_TRUE(dvg_peak_memory() < (int64_t)500 << 20); // and nothing was allocated for them
  refused((const unsigned char *)"GIF89a....", 10, "a.gif");
  refused((const unsigned char *)"", 0, "nothing");
}

static int largest_difference(const struct dvg_image *a, const struct dvg_image *b) {
  if (a->H != b->H || a->W != b->W || a->C != b->C) return 1000;
  int most = 0;
  for (int64_t i = 0; i < a->H * a->W * a->C; i++)
    if (abs(a->pixels[i] - b->pixels[i]) > most) most = abs(a->pixels[i] - b->pixels[i]);
  return most;
}

static void jpeg_round_trip(void) {
  for (int C = 1; C <= 3; C += 2) {
    struct dvg_image image, back = {0};
    make_image(&image, 37, 51, C);
    unsigned char *jpeg = NULL;
    size_t n_bytes = 0;
    CHECK_OK(dvg_image_encode_jpeg(&image, 98, &jpeg, &n_bytes));
    CHECK_OK(dvg_image_decode(&back, jpeg, n_bytes, "test.jpg"));
    CU_ASSERT_TRUE(largest_difference(&image, &back) <= (C == 1 ? 3 : 9)); // chroma at half the resolution
    dvg_free(&jpeg);
    dvg_image_free(&image);
    dvg_image_free(&back);
  }
}

// CMYK and YCCK, with Adobe's marker (inverted) and without.
static void jpeg_cmyk(void) {
  static const int ink[4] = {128, 0, 255, 51}; // half cyan, no magenta, full yellow, a fifth black
  for (int k = 0; k < 3; k++) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr manager;
    unsigned char *bytes = NULL, line[64];
    unsigned long n_bytes = 0;
    c.err = jpeg_std_error(&manager);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n_bytes);
    c.image_width = c.image_height = 16;
    c.input_components = 4;
    c.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, k == 1 ? JCS_YCCK : JCS_CMYK);
    c.write_Adobe_marker = k < 2;
    jpeg_set_quality(&c, 100, TRUE);
    jpeg_start_compress(&c, TRUE);
    JSAMPROW row = line;
    for (int i = 0; i < 64; i++) line[i] = (unsigned char)(k < 2 ? 255 - ink[i % 4] : ink[i % 4]);
    while (c.next_scanline < 16) jpeg_write_scanlines(&c, &row, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    struct dvg_image image = {0};
    CHECK_OK(dvg_image_decode(&image, bytes, n_bytes, "cmyk.jpg"));
    CU_ASSERT_TRUE_FATAL(image.H == 16 && image.C == 3);
    for (int i = 0; i < 3; i++) {
      int want = (255 - ink[i]) * (255 - ink[3]) / 255;
      CU_ASSERT_TRUE(abs(image.pixels[(5 * 16 + 5) * 3 + i] - want) <= 3);
    }
    dvg_image_free(&image);
    free(bytes);
  }
}

static void png_round_trip(void) {
  char path[512], part[520];
  snprintf(path, sizeof path, "%s/folder/image.png", dvg_test_folder());
  snprintf(part, sizeof part, "%s.part", path);
  for (int C = 1; C <= 3; C += 2) {
    struct dvg_image image, back = {0};
    make_image(&image, 33, 65, C);
    CHECK_OK(dvg_image_write_png(&image, path));
    CHECK_OK(dvg_image_read(&back, path));
    CU_ASSERT_EQUAL(largest_difference(&image, &back), 0);
    CU_ASSERT_FALSE(dvg_path_exists(part));
    dvg_image_free(&image);
    dvg_image_free(&back);
  }
  struct dvg_image image, none = {0};
  make_image(&image, 4, 4, 1);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_image_write_png(&image, "/proc/none/image.png"), DVG_ERROR_IO);
  CU_ASSERT_EQUAL(dvg_image_read(&none, "/nowhere/image.png"), DVG_ERROR_IO);
  CU_ASSERT_EQUAL(dvg_image_read(&none, dvg_test_folder()), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  dvg_image_free(&image);
}

static void converts(void) {
  struct dvg_image rgb, gray = {0}, back = {0};
  make_image(&rgb, 9, 7, 3);
  rgb.pixels[0] = rgb.pixels[1] = 0; // 0.114 * 250 = 28.5 is rounded up
  rgb.pixels[2] = 250;
  CHECK_OK(dvg_image_convert(&gray, &rgb, 1));
  CHECK_OK(dvg_image_convert(&back, &gray, 3));
  for (int i = 0; i < 63; i++) {
    const unsigned char *p = rgb.pixels + 3 * i;
    CU_ASSERT_EQUAL(gray.pixels[i], (int)floor(0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] + 0.5 + 1e-9));
  }
  for (int i = 0; i < 189; i++) CU_ASSERT_EQUAL(back.pixels[i], gray.pixels[i / 3]);
  dvg_image_free(&rgb);
  dvg_image_free(&gray);
  dvg_image_free(&back);
}

static void shrinks(void) {
  struct dvg_image image, small = {0};
  make_image(&image, 48, 60, 3);
  // By a whole factor: the mean of each block.
  CHECK_OK(dvg_image_resize(&small, &image, 12, 20));
  for (int y = 0; y < 12; y++)
    for (int x = 0; x < 20; x++) {
      double sum = 0;
      for (int i = 0; i < 12; i++) sum += image.pixels[((4 * y + i / 3) * 60 + 3 * x + i % 3) * 3 + 1];
      CU_ASSERT_TRUE(fabs(small.pixels[(y * 20 + x) * 3 + 1] - sum / 12) <= 0.501);
    }
  dvg_image_free(&small);
  // By an odd one: the mean of the whole stays.
  CHECK_OK(dvg_image_resize(&small, &image, 17, 23));
  double before = 0, after = 0;
  for (int i = 0; i < 48 * 60 * 3; i++) before += image.pixels[i];
  for (int i = 0; i < 17 * 23 * 3; i++) after += small.pixels[i];
  CU_ASSERT_TRUE(fabs(before / (48 * 60 * 3) - after / (17 * 23 * 3)) < 0.1);
  dvg_image_free(&image);
  dvg_image_free(&small);
}

static void enlarges(void) {
  struct dvg_image image, large = {0};
  make_image(&image, 48, 60, 3);
  CHECK_OK(dvg_image_resize(&large, &image, 48, 60));
  CU_ASSERT_EQUAL(largest_difference(&image, &large), 0);
  dvg_image_free(&large);
  CHECK_OK(dvg_image_resize(&large, &image, 96, 120));
  for (int x = 1; x < 119; x++) {
    double place = (x + 0.5) / 2 - 0.5, part = place - floor(place), want = 0;
    int left = (int)place;
    for (int r = 0; r < 2; r++) { // output row 41 lies at 20.25
      const unsigned char *p = image.pixels + ((20 + r) * 60 + left) * 3;
      want += (r ? 0.25 : 0.75) * ((1 - part) * p[0] + part * p[3]);
    }
    CU_ASSERT_TRUE(fabs(large.pixels[(41 * 120 + x) * 3] - want) <= 0.51);
  }
  dvg_image_free(&image);
  dvg_image_free(&large);
}

// A smooth function of the place, so that what an aligned pixel must show can be computed.
static double scene(double x, double y) {
  return 127 + 90 * sin(x / 40) * cos(y / 55);
}

// In a face of the crop's shape the landmarks lie here; in the source turned, enlarged and moved.
static const double face[5][2] = {{52, 48}, {92, 48}, {72, 70}, {58, 96}, {86, 96}};

static void align_one(double scale, double angle, int size) {
  double c = cos(angle), s = sin(angle), unit = size / 144.0, middle = 120 * scale + 20, want[10], worst = 0;
  int side = (int)(2 * middle);
  struct dvg_image image, out = {0};
  CHECK_OK(dvg_image_create(&image, side, side, 1));
  float landmarks[10], moved[10];
  for (int i = 0; i < 5; i++) {
    double x = (face[i][0] - 72) * scale, y = (face[i][1] - 72) * scale;
    landmarks[2 * i] = (float)(c * x - s * y + middle);
    landmarks[2 * i + 1] = (float)(s * x + c * y + middle);
    want[2 * i] = face[i][0] * unit;
    want[2 * i + 1] = face[i][1] * unit;
  }
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++)
      image.pixels[y * side + x] = (unsigned char)lrint(scene((x + 0.5) / scale, (y + 0.5) / scale));
  CHECK_OK(dvg_image_align(&out, moved, &image, landmarks, size, "image"));
  CU_ASSERT_TRUE_FATAL(out.H == size && out.W == size && out.C == 1);
  CHECK_CLOSE("landmarks in the crop", moved, want, 10, 1e-5);
  for (int j = 0; j < size; j++)
    for (int i = 0; i < size; i++) {
      double x = ((i + 0.5) / unit - 72) * scale, y = ((j + 0.5) / unit - 72) * scale;
      double shown = scene((c * x - s * y + middle) / scale, (s * x + c * y + middle) / scale);
      worst = fmax(worst, fabs(out.pixels[j * size + i] - shown));
    }
  if (!(worst <= 1.5)) fprintf(stderr, "scale %g, angle %g: a pixel is off by %g\n", scale, angle, worst);
  CU_ASSERT_TRUE(worst <= 1.5);
  dvg_image_free(&image);
  dvg_image_free(&out);
}

static void aligns(void) {
  align_one(1, 0, 144);
  align_one(0.7, 0.3, 144);
  align_one(2.5, -0.4, 144);
  align_one(2.2, 0.1, 128);
  align_one(9, 0.2, 144);
  align_one(0.4, -0.8, 96);
}

// Lines that are finer than the crop can show must become even gray, not moire. `shrink` source pixels make one
// of the crop, lines are `width` wide.
static void check_stripes(double shrink, int width) {
  struct dvg_image image, out = {0};
  int side = (int)(144 * shrink), low = 255, high = 0;
  float landmarks[10];
  for (int i = 0; i < 10; i++) landmarks[i] = (float)(face[i / 2][i % 2] * shrink);
  CHECK_OK(dvg_image_create(&image, side, side, 3));
  for (int i = 0; i < side * side * 3; i++) image.pixels[i] = i / 3 % side / width % 2 ? 255 : 0;
  CHECK_OK(dvg_image_align(&out, NULL, &image, landmarks, 144, "image"));
  for (int i = 0; out.pixels && i < 144 * 144 * 3; i++) {
    if (i / 3 % 144 < 4 || i / 3 % 144 > 139) continue; // the repeated edge is of one colour
    if (out.pixels[i] < low) low = out.pixels[i];
    if (out.pixels[i] > high) high = out.pixels[i];
  }
  if (!(low > 100 && high < 155)) fprintf(stderr, "shrunk %g times: values from %d to %d\n", shrink, low, high);
  CU_ASSERT_TRUE(low > 100 && high < 155);
  dvg_image_free(&image);
  dvg_image_free(&out);
}

static void aligns_without_aliasing(void) {
  check_stripes(2.3, 1);
  check_stripes(4.1, 1);
  check_stripes(13, 4);
}

static void refuses_bad_landmarks(void) {
  static const float good[10] = {30, 40, 70, 40, 50, 60, 35, 80, 65, 80};
  struct dvg_image image, out = {0};
  make_image(&image, 100, 100, 3);
  CHECK_OK(dvg_image_align(&out, NULL, &image, good, 144, "image"));
  dvg_image_free(&out);
  dvg_log_quiet(1);
  for (int k = 0; k < 7; k++) {
    float bad[10];
    memcpy(bad, good, sizeof bad);
    if (k == 0) bad[3] = NAN;
    if (k == 1) bad[9] = INFINITY;
    if (k == 2) bad[2] = bad[0];                            // the eyes in one place
    if (k == 3) bad[6] = bad[8] = 50, bad[7] = bad[9] = 40; // the mouth between the eyes
    if (k == 4) bad[0] = 70, bad[2] = 30;                   // eyes swapped
    if (k == 5) bad[4] = 1e9f;
    if (k == 6) memset(bad, 0, sizeof bad);
    CU_ASSERT_EQUAL(dvg_image_align(&out, NULL, &image, bad, 144, "image"), DVG_ERROR_INPUT);
    CU_ASSERT_PTR_NULL(out.pixels);
  }
  dvg_log_quiet(0);
  dvg_image_free(&image);
}

// ArcFace's template in its own crop, and where the definition of the recogniser's crop puts it, computed by
// hand: scale 48 / 40.68658, a turn of asin(0.0055310), eye midpoint (56.41320, 52.09885) to (72, 48).
static void maps_arcface(void) {
  static const float template[5][2] = {{38.2946f, 51.6963f},
                                       {73.5318f, 51.5014f},
                                       {56.0252f, 71.7366f},
                                       {41.5493f, 92.3655f},
                                       {70.7299f, 92.2041f}};
  static const double want[6] = {51.21414, 48, 92.78586, 48, 72.00073, 71.75788};
  struct dvg_image image, out = {0};
  float moved[10];
  double mouth[2], half[6];
  for (int i = 0; i < 10; i++) moved[i] = template[i / 2][i % 2] + 0.5f; // from pixel centres
  make_image(&image, 112, 112, 3);
  for (int i = 0; i < 112 * 112; i++) {
    image.pixels[3 * i] = (unsigned char)(2 * (i % 112));
    image.pixels[3 * i + 1] = (unsigned char)(2 * (i / 112));
  }
  CHECK_OK(dvg_image_from_arcface(&out, moved, &image, 144, "image"));
  CU_ASSERT_TRUE_FATAL(out.H == 144 && out.W == 144 && out.C == 3);
  CHECK_CLOSE("eyes and nose", moved, want, 6, 1e-5);
  mouth[0] = (moved[6] + moved[8]) / 2 - 72;
  mouth[1] = (moved[7] + moved[9]) / 2 - 96;
  CU_ASSERT_TRUE(fabs(mouth[0]) < 0.002 && fabs(mouth[1]) < 1e-4);
  // The pixel with its centre at (72.5, 48.5) shows the source at (56.839, 52.520); the last rows repeat the
  // edge.
  const unsigned char *p = out.pixels + (48 * 144 + 72) * 3;
  CU_ASSERT_TRUE(p[0] == 113 && p[1] == 104);
  for (int y = 120; y < 144; y++) CU_ASSERT_EQUAL(out.pixels[(y * 144 + 72) * 3 + 1], 222);
  CU_ASSERT_TRUE(out.pixels[(117 * 144 + 72) * 3 + 1] < 222);
  dvg_image_free(&out);
  for (int i = 0; i < 10; i++) moved[i] = template[i / 2][i % 2] + 0.5f;
  for (int i = 0; i < 6; i++) half[i] = want[i] / 2;
  CHECK_OK(dvg_image_from_arcface(&out, moved, &image, 72, "image"));
  CHECK_CLOSE("eyes and nose at half the size", moved, half, 6, 1e-5);
  dvg_image_free(&out);
  CHECK_OK(dvg_image_from_arcface(&out, NULL, &image, 144, "image"));
  dvg_image_free(&out);
  dvg_image_free(&image);
}

const struct dvg_test dvg_tests[] = {{"png kinds", png_kinds},
                                     {"truncated is an error", truncated_is_an_error},
                                     {"damaged never crashes", damaged_never_crashes},
                                     {"lying headers", lying_headers},
                                     {"jpeg round trip", jpeg_round_trip},
                                     {"jpeg cmyk", jpeg_cmyk},
                                     {"png round trip", png_round_trip},
                                     {"converts", converts},
                                     {"shrinks", shrinks},
                                     {"enlarges", enlarges},
                                     {"aligns", aligns},
                                     {"aligns without aliasing", aligns_without_aliasing},
                                     {"refuses bad landmarks", refuses_bad_landmarks},
                                     {"maps arcface", maps_arcface},
                                     {NULL, NULL}};
