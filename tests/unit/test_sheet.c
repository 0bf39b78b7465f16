// Contact sheets and plots: that what is put in comes out where it belongs. How they look is for eyes.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/canvas.h"
#include "io/sheet.h"
#include "tests/check.h"

static int is_color(const struct dvg_image *image, int64_t x, int64_t y, int r, int g, int b) {
  const unsigned char *p = image->pixels + (y * image->W + x) * 3;
  return p[0] == r && p[1] == g && p[2] == b;
}

static int64_t count_color(const struct dvg_image *image, int r, int g, int b) {
  int64_t n = 0;
  for (int64_t i = 0; i < image->H * image->W; i++) n += is_color(image, i % image->W, i / image->W, r, g, b);
  return n;
}

// Where the first pixel of a colour is, by rows.
static void find_color(const struct dvg_image *image, int r, int g, int b, int64_t *x, int64_t *y) {
  *x = *y = -1;
  for (int64_t i = 0; i < image->H * image->W && *x < 0; i++)
    if (is_color(image, i % image->W, i / image->W, r, g, b)) *x = i % image->W, *y = i / image->W;
}

static void font(void) {
  // Every printable character but the space has ink, and no two look alike.
  for (int c = ' '; c <= '~'; c++) {
    int n = 0;
    for (int i = 0; i < 40; i++) n += dvg_font_ink((char)c, i / 5, i % 5);
    CU_ASSERT_EQUAL(n == 0, c == ' ');
    for (int d = ' '; d < c; d++) {
      int n_different = 0;
      for (int i = 0; i < 40; i++)
        n_different += dvg_font_ink((char)c, i / 5, i % 5) != dvg_font_ink((char)d, i / 5, i % 5);
      if (n_different == 0) fprintf(stderr, "'%c' and '%c' look alike\n", c, d);
      CU_ASSERT_TRUE(n_different > 0);
    }
  }
  CU_ASSERT_TRUE(dvg_font_ink('T', 0, 0) && dvg_font_ink('T', 6, 2) && !dvg_font_ink('T', 6, 0));
  CU_ASSERT_EQUAL(dvg_font_ink('\n', 0, 1), dvg_font_ink('?', 0, 1));
  CU_ASSERT_EQUAL(dvg_font_ink((char)0xc3, 3, 4), dvg_font_ink('?', 3, 4));
}

static void cells(void) {
  struct dvg_sheet *s = NULL;
  CHECK_OK(dvg_sheet_create(&s, 2, 3, 40, 50, "title"));
  CU_ASSERT_PTR_NOT_NULL_FATAL(s);
  static unsigned char rgb[40 * 50 * 3], gray[40 * 50];
  static float planes[3 * 40 * 50];
  for (int i = 0; i < 2000; i++) {
    rgb[3 * i] = 200, rgb[3 * i + 1] = 10, rgb[3 * i + 2] = 20;
    gray[i] = 77;
    planes[i] = 2;
    planes[2000 + i] = -1;
    planes[4000 + i] = i == 0 ? NAN : 0.5f;
  }
  dvg_sheet_cell_u8(s, 0, 0, rgb, 3);
  dvg_sheet_cell_u8(s, 1, 2, gray, 1);
  dvg_sheet_cell_f32(s, 1, 1, planes, 3);
  dvg_sheet_cell_u8(s, 2, 0, rgb, 3); // outside: nothing
  dvg_sheet_note(s, -1, 0, "x");
  dvg_sheet_column(s, 3, "x");
  dvg_sheet_column(s, 0, "first");
  dvg_sheet_column(s, 0, "a caption that is much longer than its cell, however small it is written");
  dvg_sheet_row(s, 1, "a row");
  dvg_sheet_note(s, 1, 2, "cos 0.83");
  CHECK_OK(dvg_sheet_write(s, dvg_test_path("sheet.png")));
  struct dvg_image image = {0};
  CHECK_OK(dvg_image_read(&image, dvg_test_path("sheet.png")));
  CU_ASSERT_EQUAL_FATAL(image.C, 3);
  // Small cells are shown at twice the size.
  CU_ASSERT_EQUAL(count_color(&image, 200, 10, 20), 8000);
  CU_ASSERT_EQUAL(count_color(&image, 77, 77, 77), 8000);
  CU_ASSERT_EQUAL(count_color(&image, 255, 0, 128) + count_color(&image, 255, 0, 127), 8000 - 4);
  CU_ASSERT_EQUAL(count_color(&image, 255, 0, 0), 4);
  int64_t x0, y0, x1, y1, x2, y2;
  find_color(&image, 200, 10, 20, &x0, &y0);
  find_color(&image, 77, 77, 77, &x1, &y1);
  find_color(&image, 255, 0, 0, &x2, &y2);
  CU_ASSERT_TRUE(x1 - x0 == 2 * (x2 - x0) && y1 == y2 && x2 - x0 > 100 && y1 - y0 > 80);
  CU_ASSERT_TRUE(is_color(&image, 0, 0, 255, 255, 255));
  CU_ASSERT_TRUE(count_color(&image, 0, 0, 0) > 200); // text
  dvg_image_free(&image);
  dvg_sheet_free(&s);
  dvg_sheet_free(&s);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_sheet_create(&s, 1000, 1000, 128, 128, ""), DVG_ERROR_USAGE);
  dvg_log_quiet(0);
}

static void plain_sheet(void) {
  struct dvg_sheet *s = NULL;
  CHECK_OK(dvg_sheet_create(&s, 1, 1, 128, 128, NULL));
  static float one[128 * 128];
  dvg_sheet_cell_f32(s, 0, 0, one, 1);
  CHECK_OK(dvg_sheet_write(s, dvg_test_path("one.png")));
  struct dvg_image image = {0};
  CHECK_OK(dvg_image_read(&image, dvg_test_path("one.png")));
  CU_ASSERT_EQUAL(count_color(&image, 0, 0, 0), 128 * 128);
  CU_ASSERT_TRUE(image.W < 160 && image.H < 160);
  dvg_image_free(&image);
  dvg_sheet_free(&s);
}

static void write_plot(struct dvg_image *image, const struct dvg_plot *p) {
  CHECK_OK(dvg_plot_write(p, dvg_test_path("plot.png")));
  CHECK_OK(dvg_image_read(image, dvg_test_path("plot.png")));
}

static void plots(void) {
  double x[3] = {0, 1, 2}, flat[3] = {1, 1, 1}, rising[3] = {0, 1, 2};
  struct dvg_curve curves[2] = {{"flat", x, flat, 3}, {NULL, x, rising, 3}};
  struct dvg_plot p = {.title = "title", .x_label = "x", .y_label = "y", .curves = curves, .n_curves = 2};
  struct dvg_image image = {0};
  write_plot(&image, &p);
  // The flat curve, as wide as the plotting area: its row is the middle, where the rising one crosses it.
  int64_t most = 0, row = 0;
  for (int64_t y = 0; y < image.H; y++) {
    int64_t n = 0;
    for (int64_t i = 0; i < image.W; i++) n += is_color(&image, i, y, 0, 114, 178);
    if (n > most) most = n, row = y;
  }
  CU_ASSERT_TRUE(most > 600 && row > image.H / 3 && row < 2 * image.H / 3);
  int64_t left = 0, right = 0;
  for (int64_t i = 0; i < image.H * image.W; i++)
    if (is_color(&image, i % image.W, i / image.W, 213, 94, 0)) {
      left += i % image.W < image.W / 2 && i / image.W > row;
      right += i % image.W > image.W / 2 && i / image.W < row;
    }
  CU_ASSERT_TRUE(left > 100 && right > 100); // it rises
  dvg_image_free(&image);
}

// Nothing that could be asked for may go wrong: no curves, no points, NaN, one value, huge ranges, logarithms
// of nothing.
static void odd_plots(void) {
  double x[4] = {NAN, 1, INFINITY, 3}, y[4] = {1, NAN, 2, 1e300}, zero[4] = {0}, low[4] = {-3, 0, -1, 0},
         wide[4] = {1e-300, 1, 1e300, 2};
  struct dvg_curve curves[] = {{"odd", x, y, 4},
                               {"zero", zero, zero, 4},
                               {"low", low, low, 4},
                               {"wide", wide, wide, 4},
                               {"none", NULL, NULL, 0}};
  for (int k = 0; k < 24; k++) {
    struct dvg_plot p = {
        .log_x = k % 2, .curves = curves + k / 2 % 6, .n_curves = k / 2 % 6 < 5 ? 1 : 0, .title = "odd"};
    if (k >= 12) p.x_min = 5, p.x_max = 5, p.y_min = -1e-30, p.y_max = 1e-30;
    struct dvg_image image = {0};
    write_plot(&image, &p);
    CU_ASSERT_TRUE(image.W > 300);
    dvg_image_free(&image);
  }
}

const struct dvg_test dvg_tests[] = {{"font", font},   {"cells", cells},         {"plain sheet", plain_sheet},
                                     {"plots", plots}, {"odd plots", odd_plots}, {NULL, NULL}};
