// Contact sheets: cells are kept as they come and laid out when the sheet is written, so that texts can be
// given in any order and the space they need is known.
#include "io/sheet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/canvas.h"

enum { MARGIN = 10, GAP = 4, TEXT_GAP = 4, SMALL_CELL = 96, MAX_ROW_TEXT = 24 };
static const struct dvg_color black = {0, 0, 0}, white = {255, 255, 255}, pale = {236, 236, 236};

struct dvg_sheet {
  int64_t rows, columns, H, W; // H and W of a cell as given
  char *title;
  char **column_text, **row_text, **notes; // NULL: none
  unsigned char *pixels;                   // (rows, columns, H, W, 3)
  unsigned char *filled;                   // (rows, columns)
};

int64_t dvg_sheet_most(int64_t cell) {
  return DVG_IMAGE_MAX_SIDE / 2 / cell; // the other half is for texts and gaps
}

enum dvg_status dvg_sheet_create(struct dvg_sheet **out, int64_t rows, int64_t columns, int64_t cell_H,
                                 int64_t cell_W, const char *title) {
  if (rows < 1 || columns < 1 || cell_H < 1 || cell_W < 1 || rows > dvg_sheet_most(cell_H) ||
      columns > dvg_sheet_most(cell_W))
    return dvg_fail(DVG_ERROR_USAGE, "a sheet of %lld x %lld cells of %lld x %lld pixels is too large",
                    (long long)rows, (long long)columns, (long long)cell_H, (long long)cell_W);
  struct dvg_sheet *s = NULL;
  DVG_TRY(DVG_NEW(&s, 1, "a sheet"));
  s->rows = rows;
  s->columns = columns;
  s->H = cell_H;
  s->W = cell_W;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&s->title, "%s", title ? title : ""));
  DVG_TRY_GOTO(DVG_NEW(&s->column_text, columns, "a sheet"));
  DVG_TRY_GOTO(DVG_NEW(&s->row_text, rows, "a sheet"));
  DVG_TRY_GOTO(DVG_NEW(&s->notes, rows * columns, "a sheet"));
  DVG_TRY_GOTO(DVG_NEW(&s->filled, rows * columns, "a sheet"));
  DVG_TRY_GOTO(DVG_NEW(&s->pixels, rows * columns * cell_H * cell_W * 3, "a sheet"));
  *out = s;
  return DVG_OK;
done:
  dvg_sheet_free(&s);
  return status;
}

static void free_texts(char ***texts, int64_t n) {
  for (int64_t i = 0; *texts && i < n; i++) dvg_free(&(*texts)[i]);
  dvg_free(texts);
}

void dvg_sheet_free(struct dvg_sheet **sheet) {
  struct dvg_sheet *s = *sheet;
  if (!s) return;
  dvg_free(&s->title);
  free_texts(&s->column_text, s->columns);
  free_texts(&s->row_text, s->rows);
  free_texts(&s->notes, s->rows * s->columns);
  dvg_free(&s->filled);
  dvg_free(&s->pixels);
  dvg_free(sheet);
}

// A caption that cannot be kept for want of memory is left out: the message has been said, the pictures are
// what counts.
static void set_text(char **place, const char *text) {
  dvg_free(place);
  if (dvg_text(place, "%s", text) != DVG_OK) *place = NULL;
}

void dvg_sheet_column(struct dvg_sheet *s, int64_t column, const char *caption) {
  if (column >= 0 && column < s->columns) set_text(&s->column_text[column], caption);
}

void dvg_sheet_row(struct dvg_sheet *s, int64_t row, const char *caption) {
  if (row >= 0 && row < s->rows) set_text(&s->row_text[row], caption);
}

static int64_t cell_number(const struct dvg_sheet *s, int64_t row, int64_t column) {
  return row < 0 || column < 0 || row >= s->rows || column >= s->columns ? -1 : row * s->columns + column;
}

void dvg_sheet_note(struct dvg_sheet *s, int64_t row, int64_t column, const char *text) {
  int64_t cell = cell_number(s, row, column);
  if (cell >= 0) set_text(&s->notes[cell], text);
}

void dvg_sheet_cell_u8(struct dvg_sheet *s, int64_t row, int64_t column, const unsigned char *pixels,
                       int64_t C) {
  int64_t cell = cell_number(s, row, column), n = s->H * s->W;
  if (cell < 0) return;
  unsigned char *out = s->pixels + cell * n * 3;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < 3; c++) out[3 * i + c] = pixels[i * C + (C == 3 ? c : 0)];
  s->filled[cell] = 1;
}

void dvg_sheet_cell_f32(struct dvg_sheet *s, int64_t row, int64_t column, const float *planes, int64_t C) {
  int64_t cell = cell_number(s, row, column), n = s->H * s->W;
  if (cell < 0) return;
  unsigned char *out = s->pixels + cell * n * 3;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < 3; c++) {
      float v = planes[(C == 3 ? c : 0) * n + i];
      out[3 * i + c] = (unsigned char)(v >= 1 ? 255 : v > 0 ? lrintf(255 * v) : 0); // NaN is black
    }
  s->filled[cell] = 1;
}

// ---- laying out

struct layout {
  int64_t zoom;           // of the cells
  int64_t cell_W, cell_H; // as drawn
  int64_t left, top;      // of the first cell
  int64_t step_x, step_y; // from cell to cell
  int64_t column_scale, note_scale, title_scale;
  int64_t W, H;
};

static int64_t longest(char *const *texts, int64_t n) {
  int64_t most = 0;
  for (int64_t i = 0; i < n; i++)
    if (texts[i] && (int64_t)strlen(texts[i]) > most) most = (int64_t)strlen(texts[i]);
  return most;
}

// Twice the size when all texts fit so, else once, cut where that is too long as well.
static int64_t text_scale(int64_t n_characters, int64_t room) {
  return n_characters * DVG_FONT_ADVANCE * 2 <= room ? 2 : 1;
}

static struct layout lay_out(const struct dvg_sheet *s) {
  struct layout l = {0};
  l.zoom = s->W < SMALL_CELL && s->H < SMALL_CELL ? 2 : 1;
  l.cell_W = s->W * l.zoom;
  l.cell_H = s->H * l.zoom;
  int64_t column_length = longest(s->column_text, s->columns),
          note_length = longest(s->notes, s->rows * s->columns);
  int64_t row_length = longest(s->row_text, s->rows);
  if (row_length > MAX_ROW_TEXT) row_length = MAX_ROW_TEXT;
  l.column_scale = text_scale(column_length, l.cell_W);
  l.note_scale = text_scale(note_length, l.cell_W);
  l.left = MARGIN + (row_length ? row_length * DVG_FONT_ADVANCE * 2 + TEXT_GAP : 0);
  l.step_x = l.cell_W + GAP;
  l.step_y = l.cell_H + GAP + (note_length ? l.note_scale * DVG_FONT_HEIGHT + TEXT_GAP : 0);
  l.W = l.left + s->columns * l.step_x - GAP + MARGIN;
  l.title_scale = text_scale((int64_t)strlen(s->title), l.W - 2 * MARGIN);
  l.top = MARGIN + (*s->title ? l.title_scale * DVG_FONT_HEIGHT + 2 * TEXT_GAP : 0) +
          (column_length ? l.column_scale * DVG_FONT_HEIGHT + TEXT_GAP : 0);
  l.H = l.top + s->rows * l.step_y - GAP + MARGIN;
  return l;
}

// Text in `room` pixels: cut with two dots where it is too long; `centered` or from the left.
static void draw_text(struct dvg_image *image, int64_t x, int64_t y, int64_t room, int64_t scale, int centered,
                      const char *text) {
  char line[256];
  snprintf(line, sizeof line, "%s", text);
  int64_t fits = (room / scale + 1) / DVG_FONT_ADVANCE;
  if (fits > (int64_t)sizeof line - 1) fits = sizeof line - 1;
  if ((int64_t)strlen(text) > fits) {
    line[fits > 0 ? fits : 0] = 0;
    for (int64_t i = fits - 2; i >= 0 && i < fits; i++) line[i] = '.';
  }
  if (centered) x += (room - dvg_canvas_text_width(line, scale)) / 2;
  dvg_canvas_text(image, x, y, scale, 0, black, line);
}

static void draw_cell(struct dvg_image *image, const struct dvg_sheet *s, const struct layout *l, int64_t row,
                      int64_t column) {
  int64_t cell = row * s->columns + column, x0 = l->left + column * l->step_x, y0 = l->top + row * l->step_y;
  if (s->notes[cell])
    draw_text(image, x0, y0 + l->cell_H + TEXT_GAP, l->cell_W, l->note_scale, 1, s->notes[cell]);
  if (!s->filled[cell]) {
    dvg_canvas_fill(image, x0, y0, l->cell_W, l->cell_H, pale);
    return;
  }
  const unsigned char *pixels = s->pixels + cell * s->H * s->W * 3;
  for (int64_t y = 0; y < l->cell_H; y++)
    for (int64_t x = 0; x < l->cell_W; x++)
      memcpy(image->pixels + ((y0 + y) * image->W + x0 + x) * 3,
             pixels + (y / l->zoom * s->W + x / l->zoom) * 3, 3);
}

static enum dvg_status draw(struct dvg_image *image, const struct dvg_sheet *s) {
  struct layout l = lay_out(s);
  DVG_TRY(dvg_image_create(image, l.H, l.W, 3));
  dvg_canvas_fill(image, 0, 0, l.W, l.H, white);
  draw_text(image, MARGIN, MARGIN, l.W - 2 * MARGIN, l.title_scale, 0, s->title);
  for (int64_t i = 0; i < s->columns; i++)
    if (s->column_text[i])
      draw_text(image, l.left + i * l.step_x, l.top - TEXT_GAP - l.column_scale * DVG_FONT_HEIGHT, l.cell_W,
                l.column_scale, 1, s->column_text[i]);
  for (int64_t i = 0; i < s->rows; i++)
    if (s->row_text[i])
      draw_text(image, MARGIN, l.top + i * l.step_y + l.cell_H / 2 - DVG_FONT_HEIGHT,
                l.left - MARGIN - TEXT_GAP, 2, 0, s->row_text[i]);
  for (int64_t i = 0; i < s->rows; i++)
    for (int64_t j = 0; j < s->columns; j++) draw_cell(image, s, &l, i, j);
  return DVG_OK;
}

enum dvg_status dvg_sheet_write(const struct dvg_sheet *s, const char *path) {
  struct dvg_image image = {0};
  enum dvg_status status = draw(&image, s);
  if (status == DVG_OK) status = dvg_image_write_png(&image, path);
  dvg_image_free(&image);
  return status;
}

enum dvg_status dvg_sheet_encode(const struct dvg_sheet *s, unsigned char **bytes, size_t *n_bytes) {
  struct dvg_image image = {0};
  enum dvg_status status = draw(&image, s);
  if (status == DVG_OK) status = dvg_image_encode_png(&image, bytes, n_bytes);
  dvg_image_free(&image);
  return status;
}
