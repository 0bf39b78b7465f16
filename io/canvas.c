#include "io/canvas.h"

#include <math.h>
#include <string.h>

void dvg_canvas_fill(struct dvg_image *image, int64_t x, int64_t y, int64_t W, int64_t H,
                     struct dvg_color color) {
  int64_t x_end = x + W < image->W ? x + W : image->W, y_end = y + H < image->H ? y + H : image->H;
  for (int64_t j = y < 0 ? 0 : y; j < y_end; j++)
    for (int64_t i = x < 0 ? 0 : x; i < x_end; i++) {
      unsigned char *p = image->pixels + (j * image->W + i) * 3;
      p[0] = color.r;
      p[1] = color.g;
      p[2] = color.b;
    }
}

void dvg_canvas_blend(struct dvg_image *image, int64_t x, int64_t y, struct dvg_color color, double alpha) {
  if (x < 0 || y < 0 || x >= image->W || y >= image->H) return;
  unsigned char *p = image->pixels + (y * image->W + x) * 3;
  const unsigned char with[3] = {color.r, color.g, color.b};
  for (int c = 0; c < 3; c++) p[c] = (unsigned char)lrint(p[c] + alpha * (with[c] - p[c]));
}

int64_t dvg_canvas_text_width(const char *text, int64_t scale) {
  int64_t n = (int64_t)strlen(text);
  return n ? (n * DVG_FONT_ADVANCE - 1) * scale : 0; // no gap after the last
}

void dvg_canvas_text(struct dvg_image *image, int64_t x, int64_t y, int64_t scale, int upright,
                     struct dvg_color color, const char *text) {
  for (int64_t k = 0; text[k]; k++)
    for (int row = 0; row < DVG_FONT_ROWS; row++)
      for (int column = 0; column < DVG_FONT_COLUMNS; column++) {
        if (!dvg_font_ink(text[k], row, column)) continue;
        int64_t along = (k * DVG_FONT_ADVANCE + column) * scale, across = row * scale;
        if (upright) dvg_canvas_fill(image, x + across, y - along - scale, scale, scale, color);
        else dvg_canvas_fill(image, x + along, y + across, scale, scale, color);
      }
}
