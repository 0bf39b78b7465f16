// Contact sheets: images in rows with captions, for eyes; line plots. All become RGB PNGs.
#ifndef DVG_IO_SHEET_H
#define DVG_IO_SHEET_H

#include <stdint.h>

#include "common/base/status.h"
#include "io/image.h"

struct dvg_sheet; // rows x columns of cells of one size, a caption above each column, a text left of each row

// How many cells of so many pixels a sheet can have side by side, or below each other.
int64_t dvg_sheet_most(int64_t cell);
// DVG_ERROR_USAGE for more cells than that.
DVG_CHECKED enum dvg_status dvg_sheet_create(struct dvg_sheet **s, int64_t rows, int64_t columns, int64_t cell_H, int64_t cell_W,
                                             const char *title);
void dvg_sheet_free(struct dvg_sheet **s);
// Captions are copied. An embedded 8-pixel-high bitmap font: printable ASCII.
void dvg_sheet_column(struct dvg_sheet *s, int64_t column, const char *caption);
void dvg_sheet_row(struct dvg_sheet *s, int64_t row, const char *caption);
// A line of text under one cell ("cos 0.83").
void dvg_sheet_note(struct dvg_sheet *s, int64_t row, int64_t column, const char *text);
// From (H,W,C) bytes, or planar (C,H,W) floats in [0,1] (clamped), C 1 or 3; H and W as the sheet's cells.
void dvg_sheet_cell_u8(struct dvg_sheet *s, int64_t row, int64_t column, const unsigned char *pixels, int64_t C);
void dvg_sheet_cell_f32(struct dvg_sheet *s, int64_t row, int64_t column, const float *planes, int64_t C);
DVG_CHECKED enum dvg_status dvg_sheet_write(const struct dvg_sheet *s, const char *path);
// The same PNG in new memory (dvg_free).
DVG_CHECKED enum dvg_status dvg_sheet_encode(const struct dvg_sheet *s, unsigned char **bytes, size_t *n_bytes);

// A plot of one or more curves with axes, ticks, a legend and a grid.
struct dvg_curve {
  const char *name;
  const double *x, *y;
  int64_t n;
};
struct dvg_plot {
  const char *title, *x_label, *y_label;
  int log_x;                  // decades; points with x <= 0 are left out
  double x_min, x_max, y_min, y_max; // all 0: from the data
  const struct dvg_curve *curves;
  int64_t n_curves;
};
DVG_CHECKED enum dvg_status dvg_plot_write(const struct dvg_plot *p, const char *path);

#endif
