// Line plots: axes with round ticks, a grid, smooth curves, a legend where it covers least.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/canvas.h"
#include "io/sheet.h"

enum {
  PLOT_W = 800,
  PLOT_H = 560,
  LEFT = 92,
  RIGHT = 24,
  TOP = 48,
  BOTTOM = 72,
  MAX_TICKS = 64,
  TICK_TEXT = 24
};
static const struct dvg_color black = {30, 30, 30}, white = {255, 255, 255}, grid = {222, 222, 222},
                              faint = {240, 240, 240}, frame = {110, 110, 110};
// Told apart by people with any kind of colour vision (Okabe and Ito's choice, in an order of contrast).
static const struct dvg_color colors[] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                          {230, 159, 0}, {86, 180, 233}, {90, 90, 90},  {150, 60, 20}};
enum { N_COLORS = sizeof colors / sizeof colors[0] };
static const double line_width = 2.4;

// An axis in its own coordinate: the value, or its decimal logarithm.
struct axis {
  double low, high;
  int is_log;
  int n_ticks, n_minor;
  double tick[MAX_TICKS], minor[MAX_TICKS * 8];
  char text[MAX_TICKS][TICK_TEXT];
};

static double to_axis(const struct axis *a, double v) {
  return a->is_log ? (v > 0 ? log10(v) : NAN) : v;
}

// The range: what was asked for, or that of the finite points; never empty.
static void find_range(struct axis *a, const struct dvg_plot *p, int is_x, int is_log) {
  double low = is_x ? p->x_min : p->y_min, high = is_x ? p->x_max : p->y_max;
  int given = low != 0 || high != 0;
  *a = (struct axis){.is_log = is_log, .low = INFINITY, .high = -INFINITY};
  if (given) {
    a->low = to_axis(a, low);
    a->high = to_axis(a, high);
  }
  for (int64_t k = 0; k < p->n_curves && !given; k++)
    for (int64_t i = 0; i < p->curves[k].n; i++) {
      double v = to_axis(a, is_x ? p->curves[k].x[i] : p->curves[k].y[i]);
      if (!isfinite(v)) continue;
      if (v < a->low) a->low = v;
      if (v > a->high) a->high = v;
    }
  if (!isfinite(a->low) || !isfinite(a->high) || a->low > a->high) a->low = 0, a->high = 1;
  double span = a->high - a->low, size = fmax(fabs(a->low), fabs(a->high));
  if (!(span > 1e-9 * size)) { // a single value
    double half = size > 0 && !is_log ? 0.05 * size : 0.5;
    a->low -= half;
    a->high += half;
  } else if (!given && !is_log && !is_x) { // a little air above and below
    a->low -= 0.04 * span;
    a->high += 0.04 * span;
  }
}

static void add_tick(struct axis *a, double at, const char *format, double value) {
  if (a->n_ticks == MAX_TICKS) return;
  a->tick[a->n_ticks] = at;
  snprintf(a->text[a->n_ticks++], TICK_TEXT, format, value);
}

// Multiples of 1, 2 or 5 times a power of ten, about `wanted` of them; with as many digits as their step has.
static void linear_ticks(struct axis *a, int wanted) {
  double rough = (a->high - a->low) / wanted, power = pow(10, floor(log10(rough))), unit = rough / power;
  double step = (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10) * power;
  double size = fmax(fabs(a->low), fabs(a->high));
  char format[16] = "%.3g";
  int digits = (int)fmax(0, -floor(log10(step) + 1e-9));
  if (size < 1e5 && digits <= 5) snprintf(format, sizeof format, "%%.%df", digits);
  for (double k = ceil(a->low / step - 1e-9); k * step <= a->high + 1e-9 * step && a->n_ticks < MAX_TICKS; k++)
    add_tick(a, k * step, format, k == 0 ? 0 : k * step);
}

static void decade_ticks(struct axis *a) {
  int first = (int)ceil(a->low - 1e-9), last = (int)floor(a->high + 1e-9), skip = 1 + (last - first) / 12;
  for (int k = first; k <= last; k += skip) add_tick(a, k, "1e%.0f", k);
  for (int k = first - 1; k <= last && skip == 1; k++)
    for (int m = 2; m < 10 && a->n_minor < MAX_TICKS * 8; m++) {
      double at = k + log10(m);
      if (at > a->low && at < a->high) a->minor[a->n_minor++] = at;
    }
  if (a->n_ticks < 2) { // less than a decade: values instead
    a->n_ticks = 0;
    for (int k = first - 1; k <= last; k++)
      for (int m = 1; m < 10; m++)
        if (k + log10(m) >= a->low && k + log10(m) <= a->high)
          add_tick(a, k + log10(m), "%.3g", m * pow(10, k));
  }
}

struct frame {
  struct axis x, y;
  double W, H; // of the plotting area, whose upper left corner is (LEFT, TOP)
};

static double place_x(const struct frame *f, double at) {
  return LEFT + (at - f->x.low) / (f->x.high - f->x.low) * f->W;
}

static double place_y(const struct frame *f, double at) {
  return TOP + f->H - (at - f->y.low) / (f->y.high - f->y.low) * f->H;
}

static void draw_axes(struct dvg_image *image, const struct frame *f, const struct dvg_plot *p) {
  int64_t W = (int64_t)f->W, H = (int64_t)f->H;
  for (int i = 0; i < f->x.n_minor; i++)
    dvg_canvas_fill(image, lrint(place_x(f, f->x.minor[i])), TOP, 1, H, faint);
  for (int i = 0; i < f->x.n_ticks; i++) {
    int64_t x = lrint(place_x(f, f->x.tick[i]));
    dvg_canvas_fill(image, x, TOP, 1, H, grid);
    dvg_canvas_fill(image, x, TOP + H, 1, 5, frame);
    dvg_canvas_text(image, x - dvg_canvas_text_width(f->x.text[i], 2) / 2, TOP + H + 9, 2, 0, black,
                    f->x.text[i]);
  }
  for (int i = 0; i < f->y.n_ticks; i++) {
    int64_t y = lrint(place_y(f, f->y.tick[i]));
    dvg_canvas_fill(image, LEFT, y, W, 1, grid);
    dvg_canvas_fill(image, LEFT - 5, y, 5, 1, frame);
    dvg_canvas_text(image, LEFT - 9 - dvg_canvas_text_width(f->y.text[i], 2), y - 7, 2, 0, black, f->y.text[i]);
  }
  dvg_canvas_fill(image, LEFT, TOP, 1, H, frame);
  dvg_canvas_fill(image, LEFT, TOP + H, W + 1, 1, frame);
  if (p->title)
    dvg_canvas_text(image, LEFT + (W - dvg_canvas_text_width(p->title, 2)) / 2, 16, 2, 0, black, p->title);
  if (p->x_label)
    dvg_canvas_text(image, LEFT + (W - dvg_canvas_text_width(p->x_label, 2)) / 2, PLOT_H - 26, 2, 0, black,
                    p->x_label);
  if (p->y_label)
    dvg_canvas_text(image, 8, TOP + (H + dvg_canvas_text_width(p->y_label, 2)) / 2, 2, 1, black, p->y_label);
}

// Raises `cover` (a value a pixel) to how much of each pixel the segment covers: joints of a curve are not
// drawn twice.
static void cover_segment(float *cover, const struct frame *f, double x0, double y0, double x1, double y1) {
  double reach = line_width / 2 + 1, dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
  int64_t left = (int64_t)fmax(LEFT, fmin(x0, x1) - reach), top = (int64_t)fmax(TOP, fmin(y0, y1) - reach);
  int64_t right = (int64_t)fmin(LEFT + f->W, fmax(x0, x1) + reach),
          low = (int64_t)fmin(TOP + f->H, fmax(y0, y1) + reach);
  for (int64_t y = top; y <= low; y++)
    for (int64_t x = left; x <= right; x++) {
      double px = (double)x + 0.5 - x0, py = (double)y + 0.5 - y0;
      double t = square > 0 ? (px * dx + py * dy) / square : 0;
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      double part = line_width / 2 + 0.5 - hypot(px - t * dx, py - t * dy);
      float *c = &cover[y * PLOT_W + x];
      if (part > *c) *c = (float)(part > 1 ? 1 : part);
    }
}

// A curve; a point that isn't a number breaks it. Values far outside the range are drawn as if just outside.
static void draw_curve(struct dvg_image *image, float *cover, const struct frame *f, const struct dvg_curve *c,
                       struct dvg_color color) {
  memset(cover, 0, sizeof *cover * PLOT_W * PLOT_H);
  int drawing = 0;
  double x0 = 0, y0 = 0;
  for (int64_t i = 0; i < c->n; i++) {
    double x = to_axis(&f->x, c->x[i]), y = to_axis(&f->y, c->y[i]);
    if (!isfinite(x) || !isfinite(y)) {
      drawing = 0;
      continue;
    }
    x = fmax(-1e5, fmin(1e5, place_x(f, x)));
    y = fmax(-1e5, fmin(1e5, place_y(f, y)));
    cover_segment(cover, f, drawing ? x0 : x, drawing ? y0 : y, x, y);
    x0 = x;
    y0 = y;
    drawing = 1;
  }
  for (int64_t i = 0; i < PLOT_W * PLOT_H; i++)
    if (cover[i] > 0) dvg_canvas_blend(image, i % PLOT_W, i / PLOT_W, color, cover[i]);
}

// How many points of the curves lie in a box.
static int64_t count_inside(const struct dvg_plot *p, const struct frame *f, double left, double top, double W,
                            double H) {
  int64_t n = 0;
  for (int64_t k = 0; k < p->n_curves; k++)
    for (int64_t i = 0; i < p->curves[k].n; i++) {
      double x = place_x(f, to_axis(&f->x, p->curves[k].x[i])),
             y = place_y(f, to_axis(&f->y, p->curves[k].y[i]));
      n += x >= left && x <= left + W && y >= top && y <= top + H;
    }
  return n;
}

static void draw_legend(struct dvg_image *image, const struct dvg_plot *p, const struct frame *f) {
  enum { LINE = 22, SAMPLE = 28, PAD = 10, AWAY = 12 };
  int64_t text_W = 0, n = 0;
  for (int64_t k = 0; k < p->n_curves; k++) {
    if (!p->curves[k].name || !*p->curves[k].name) continue;
    int64_t w = dvg_canvas_text_width(p->curves[k].name, 2);
    if (w > text_W) text_W = w;
    n++;
  }
  if (n == 0) return;
  int64_t W = SAMPLE + text_W + 3 * PAD, H = n * LINE + PAD, best = -1, best_x = 0, best_y = 0;
  for (int corner = 0; corner < 4; corner++) {
    int64_t x = corner % 2 ? LEFT + AWAY : LEFT + (int64_t)f->W - W - AWAY;
    int64_t y = corner < 2 ? TOP + (int64_t)f->H - H - AWAY : TOP + AWAY;
    int64_t hidden = count_inside(p, f, (double)x, (double)y, (double)W, (double)H);
    if (best >= 0 && hidden >= best) continue;
    best = hidden;
    best_x = x;
    best_y = y;
  }
  dvg_canvas_fill(image, best_x, best_y, W, H, grid);
  dvg_canvas_fill(image, best_x + 1, best_y + 1, W - 2, H - 2, white);
  int64_t y = best_y + PAD / 2;
  for (int64_t k = 0; k < p->n_curves; k++) {
    if (!p->curves[k].name || !*p->curves[k].name) continue;
    dvg_canvas_fill(image, best_x + PAD, y + LINE / 2 - 2, SAMPLE, 3, colors[k % N_COLORS]);
    dvg_canvas_text(image, best_x + 2 * PAD + SAMPLE, y + LINE / 2 - 8, 2, 0, black, p->curves[k].name);
    y += LINE;
  }
}

enum dvg_status dvg_plot_write(const struct dvg_plot *p, const char *path) {
  struct dvg_image image = {0};
  struct frame *f = NULL;
  float *cover = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_image_create(&image, PLOT_H, PLOT_W, 3));
  DVG_TRY_GOTO(DVG_NEW(&cover, PLOT_W * PLOT_H, "a plot"));
  DVG_TRY_GOTO(DVG_NEW(&f, 1, "a plot"));
  f->W = PLOT_W - LEFT - RIGHT;
  f->H = PLOT_H - TOP - BOTTOM;
  find_range(&f->x, p, 1, p->log_x);
  find_range(&f->y, p, 0, 0);
  if (p->log_x) decade_ticks(&f->x);
  else linear_ticks(&f->x, 7);
  linear_ticks(&f->y, 6);
  dvg_canvas_fill(&image, 0, 0, PLOT_W, PLOT_H, white);
  draw_axes(&image, f, p);
  for (int64_t k = 0; k < p->n_curves; k++) draw_curve(&image, cover, f, &p->curves[k], colors[k % N_COLORS]);
  draw_legend(&image, p, f);
  status = dvg_image_write_png(&image, path);
done:
  dvg_image_free(&image);
  dvg_free(&cover);
  dvg_free(&f);
  return status;
}
