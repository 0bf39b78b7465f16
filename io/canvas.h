// Drawing on an RGB image: rectangles, text, smooth lines. Private to io/sheet.c and io/plot.c.
#ifndef DVG_IO_CANVAS_H
#define DVG_IO_CANVAS_H

#include <stdint.h>

#include "io/image.h"

struct dvg_color {
  unsigned char r, g, b;
};

// One character takes 6 x 9 pixels times the scale, of which the glyph has 5 x 8 (7 above the base line).
enum { DVG_FONT_ADVANCE = 6, DVG_FONT_HEIGHT = 9, DVG_FONT_ROWS = 8, DVG_FONT_COLUMNS = 5 };

// Whether a pixel of a character's glyph is ink. Characters outside printable ASCII are drawn as '?'.
int dvg_font_ink(char c, int row, int column);

// Everything outside the image is cut off.
void dvg_canvas_fill(struct dvg_image *image, int64_t x, int64_t y, int64_t W, int64_t H,
                     struct dvg_color color);
// Alpha in 0..1.
void dvg_canvas_blend(struct dvg_image *image, int64_t x, int64_t y, struct dvg_color color, double alpha);
int64_t dvg_canvas_text_width(const char *text, int64_t scale);
// (x, y): the upper left corner. `upright` 0: along the row; 1: turned to run upwards, (x, y) its lower left
// corner.
void dvg_canvas_text(struct dvg_image *image, int64_t x, int64_t y, int64_t scale, int upright,
                     struct dvg_color color, const char *text);

#endif
