// Markup: escaped text, images as data, and the line charts of a report, as HTML and SVG that is well-formed XML too. What is written to is a memory
// stream, whose errors its owner looks for at the end.
#ifndef DVG_STAGES_INSPECT_HTML_H
#define DVG_STAGES_INSPECT_HTML_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/status.h"

// Foreign text, for content and for attributes in double quotes: & < > " ' as references, and what XML can't hold (controls, no UTF-8) as U+FFFD.
void dvg_html_put(FILE *to, const char *text);
// The first n bytes of it.
void dvg_html_put_n(FILE *to, const char *text, size_t n);

// Whether the bytes begin as a PNG does, and its size in pixels then.
int dvg_html_png_size(int64_t *W, int64_t *H, const unsigned char *bytes, size_t n_bytes);
// <img ...> of a PNG, as a data: URI. `what` is its alternative text. DVG_ERROR_INPUT, silent, for bytes that are no PNG.
DVG_CHECKED enum dvg_status dvg_html_png(FILE *to, const unsigned char *bytes, size_t n_bytes, const char *what);

// ---- charts

enum { DVG_CHART_COLOURS = 8 };

struct dvg_chart_curve {
  const char *name;
  const double *x, *y; // points with NaN or infinity break the curve
  int64_t n;
};

struct dvg_chart {
  const char *title, *x_label; // x_label NULL: none
  int log_x;                   // points with x <= 0 are left out
  int fit_log_y;               // a logarithmic y where all values are positive and span more than a factor of 20
  int percent;                 // y is a share, said in %
  int is_steps;                // keep every point (no averages of many), say no last values
  int is_broad;                // for a place of half a page instead of a third
  double x_min, x_max, y_min, y_max; // NaN: from the data
  const struct dvg_chart_curve *curve;
  int n_curves;
};
// A <figure> with title, curves in the colours c0, c1 ... of the page's style, and a legend with last values where there is more than one curve.
void dvg_html_chart(FILE *to, const struct dvg_chart *c);

#endif
