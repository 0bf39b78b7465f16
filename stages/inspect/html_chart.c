// Line charts as SVG: one look for all, its colours and sizes of type in the page's style.
#include <math.h>
#include <string.h>

#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"

enum { NARROW = 340, BROAD = 520, HEIGHT = 190, LEFT = 44, RIGHT = 12, TOP = 8, BOTTOM = 24 };
enum { MOST_POINTS = 600, MOST_TICKS = 24 };

struct axis {
  double low, high; // of the logarithm, if it is one
  int is_log;
  int n;
  double tick[MOST_TICKS];
};

// ---- axes

static double place(const struct axis *a, double x) { // 0..1
  return ((a->is_log ? log10(x) : x) - a->low) / (a->high - a->low);
}

static int is_on(const struct axis *a, double x) {
  return isfinite(x) && !(a->is_log && x <= 0);
}

static void add_tick(struct axis *a, double x) {
  const double at = place(a, x);
  if (a->n < MOST_TICKS && at > -1e-6 && at < 1 + 1e-6) a->tick[a->n++] = x;
}

// Steps of 1, 2 or 5 times a power of ten, about `wanted` of them.
static void tick_evenly(struct axis *a, int wanted) {
  const double rough = (a->high - a->low) / wanted, power = pow(10, floor(log10(rough)));
  const double part = rough / power; // the nearest by ratio
  const double step = power * (part > 7.07 ? 10 : part > 3.16 ? 5 : part > 1.41 ? 2 : 1);
  for (double k = ceil(a->low / step - 1e-6); k * step <= a->high + 1e-6 * step && a->n < MOST_TICKS; k++)
    add_tick(a, fabs(k * step) < 1e-9 * step ? 0 : k * step);
}

// Powers of ten; every second or third of many, also 2 and 5 times them of few.
static void tick_decades(struct axis *a) {
  const double decades = a->high - a->low;
  const int every = decades > 12 ? 3 : decades > 6 ? 2 : 1;
  for (int k = (int)floor(a->low); k <= (int)ceil(a->high); k++) {
    if (k % every) continue;
    add_tick(a, pow(10, k));
    if (decades < 2.2) add_tick(a, 2 * pow(10, k));
    if (decades < 2.2) add_tick(a, 5 * pow(10, k));
  }
}

static void finish_axis(struct axis *a, int wanted) {
  if (!(a->high > a->low)) { // a single value
    const double room = a->is_log ? 0.5 : a->low == 0 ? 1 : fabs(a->low) * 0.1;
    a->low -= room;
    a->high += room;
  }
  if (a->is_log) tick_decades(a);
  else tick_evenly(a, wanted);
}

static void take_range(struct axis *a, double *least, double *most, const double *value, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (!is_on(a, value[i])) continue;
    *least = fmin(*least, value[i]);
    *most = fmax(*most, value[i]);
  }
}

static void make_x_axis(struct axis *a, const struct dvg_chart *c) {
  double least = INFINITY, most = -INFINITY;
  a->is_log = c->log_x;
  for (int k = 0; k < c->n_curves; k++) take_range(a, &least, &most, c->curve[k].x, c->curve[k].n);
  if (!(least <= most)) least = a->is_log ? 0.1 : 0, most = 1;
  if (!isnan(c->x_min)) least = c->x_min;
  if (!isnan(c->x_max)) most = c->x_max;
  a->low = a->is_log ? log10(least) : least;
  a->high = a->is_log ? log10(most) : most;
  finish_axis(a, 4);
}

static void make_y_axis(struct axis *a, const struct dvg_chart *c) {
  double least = INFINITY, most = -INFINITY;
  for (int k = 0; k < c->n_curves; k++) take_range(a, &least, &most, c->curve[k].y, c->curve[k].n);
  if (!(least <= most)) least = 0, most = 1;
  a->is_log = c->fit_log_y && least > 0 && most > 20 * least;
  const double low = a->is_log ? log10(least) : least, high = a->is_log ? log10(most) : most,
               room = 0.06 * (high - low);
  a->low = isnan(c->y_min) ? low - room : c->y_min;
  a->high = isnan(c->y_max) ? high + room : c->y_max;
  if (isnan(c->y_min) && !a->is_log && least >= 0 && least < 0.25 * most) a->low = 0; // near enough to show it
  finish_axis(a, 4);
}

// ---- drawing

static int width_of(const struct dvg_chart *c) {
  return c->is_broad ? BROAD : NARROW;
}

static double x_of(const struct dvg_chart *c, const struct axis *a, double x) {
  return LEFT + place(a, x) * (width_of(c) - LEFT - RIGHT);
}

static double y_of(const struct axis *a, double y) {
  return HEIGHT - BOTTOM - place(a, y) * (HEIGHT - TOP - BOTTOM);
}

static void put_tick_text(FILE *to, double x, int percent) {
  if (percent) fprintf(to, "%.4g %%", 100 * x);
  else if (fabs(x) >= 1000 && fabs(x) < 1e9 && fmod(x, 1) == 0) {
    char text[DVG_FIGURE];
    fprintf(to, "%s%s", x < 0 ? "-" : "", dvg_say_count(text, (int64_t)fabs(x)));
  } else fprintf(to, "%.4g", x);
}

static void put_axes(FILE *to, const struct dvg_chart *c, const struct axis *x, const struct axis *y) {
  fputs("<g class=\"grid\">", to);
  for (int i = 0; i < y->n; i++) {
    const double at = y_of(y, y->tick[i]);
    fprintf(to, "<path d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" class=\"end\">", LEFT, at,
            width_of(c) - RIGHT, LEFT - 6, at + 3.5);
    put_tick_text(to, y->tick[i], c->percent);
    fputs("</text>", to);
  }
  for (int i = 0; i < x->n; i++) {
    const double at = x_of(c, x, x->tick[i]);
    fprintf(to, "<path d=\"M%.1f %dv4\"/><text x=\"%.1f\" y=\"%d\" class=\"mid\">", at, HEIGHT - BOTTOM, at,
            HEIGHT - BOTTOM + 16);
    put_tick_text(to, x->tick[i], 0);
    fputs("</text>", to);
  }
  fprintf(to, "<path class=\"base\" d=\"M%d %dH%d\"/></g>", LEFT, HEIGHT - BOTTOM, width_of(c) - RIGHT);
}

// Where the i-th of m points of a curve lies: of very many, the mean of its share. 0: there is none.
static int point_of(double *px, double *py, const struct dvg_chart *c, const struct dvg_chart_curve *k,
                    int64_t i, int64_t m, const struct axis *x, const struct axis *y) {
  const int64_t first = i * k->n / m, end = (i + 1) * k->n / m;
  double sum_x = 0, sum_y = 0;
  int64_t n = 0;
  for (int64_t j = first; j < end; j++) {
    if (!is_on(x, k->x[j]) || !is_on(y, k->y[j])) continue;
    sum_x += place(x, k->x[j]);
    sum_y += place(y, k->y[j]);
    n++;
  }
  if (n == 0) return 0;
  *px = LEFT + fmin(fmax(sum_x / (double)n, 0), 1) * (width_of(c) - LEFT - RIGHT);
  *py = HEIGHT - BOTTOM - fmin(fmax(sum_y / (double)n, 0), 1) * (HEIGHT - TOP - BOTTOM);
  return 1;
}

static void put_curve(FILE *to, const struct dvg_chart *c, int number, const struct axis *x,
                      const struct axis *y) {
  const struct dvg_chart_curve *k = &c->curve[number];
  const int64_t m = !c->is_steps && k->n > MOST_POINTS ? MOST_POINTS : k->n;
  double px = 0, py = 0, last_x = NAN, last_y = NAN;
  int is_open = 0, n = 0;
  fprintf(to, "<g class=\"c%d\"><path class=\"curve\" d=\"", number % DVG_CHART_COLOURS);
  for (int64_t i = 0; i < m; i++) {
    if (!point_of(&px, &py, c, k, i, m, x, y)) {
      is_open = 0;
      continue;
    }
    if (is_open && i + 1 < m && fabs(px - last_x) < 0.3 && fabs(py - last_y) < 0.3) continue; // nobody sees it
    fprintf(to, "%c%.1f %.1f", is_open ? 'L' : 'M', px, py);
    last_x = px;
    last_y = py;
    is_open = 1;
    n++;
  }
  if (n == 0) fputs("M0 0", to);
  fputs("\"/>", to);
  if (n > 0 && !c->is_steps) fprintf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.4\"/>", last_x, last_y);
  fputs("</g>", to);
}

static void put_last(FILE *to, const struct dvg_chart *c, const struct dvg_chart_curve *k) {
  char text[DVG_FIGURE];
  if (c->is_steps || k->n == 0) return;
  fprintf(to, " <b>%s</b>", dvg_say_value(text, k->y[k->n - 1]));
}

void dvg_html_chart(FILE *to, const struct dvg_chart *c) {
  struct axis x = {.n = 0}, y = {.n = 0};
  make_x_axis(&x, c);
  make_y_axis(&y, c);
  fprintf(to, "<figure class=\"chart%s\"><figcaption><span>", c->is_broad ? " broad" : "");
  dvg_html_put(to, c->title);
  fputs("</span>", to);
  if (c->n_curves == 1 && !c->curve[0].name[0]) put_last(to, c, &c->curve[0]);
  if (y.is_log) fputs(" <small>log</small>", to);
  fprintf(to, "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", width_of(c),
          HEIGHT + (c->x_label ? 14 : 0));
  dvg_html_put(to, c->title);
  fputs("\">", to);
  put_axes(to, c, &x, &y);
  for (int k = 0; k < c->n_curves; k++) put_curve(to, c, k, &x, &y);
  if (c->x_label) {
    fprintf(to, "<text class=\"axis mid\" x=\"%d\" y=\"%d\">", (LEFT + width_of(c) - RIGHT) / 2, HEIGHT + 10);
    dvg_html_put(to, c->x_label);
    fputs("</text>", to);
  }
  fputs("</svg>", to);
  if (c->n_curves > 1 || c->curve[0].name[0]) {
    fputs("<ul class=\"legend\">", to);
    for (int k = 0; k < c->n_curves; k++) {
      fprintf(to, "<li><i class=\"c%d\"></i>", k % DVG_CHART_COLOURS);
      dvg_html_put(to, c->curve[k].name);
      put_last(to, c, &c->curve[k]);
      fputs("</li>", to);
    }
    fputs("</ul>", to);
  }
  fputs("</figure>\n", to);
}
