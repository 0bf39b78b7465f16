// Five landmarks an image, in a text file of their own: for image sets that have none.
//
// Two forms, told apart by the first line. TSV with a header that has the column `name` or `path` and the ten
// landmark columns of a list (io/images.h); others are passed over. Or lines of a name and ten numbers in that
// order, separated by tabs, or by blanks if there is no tab.
//
// A name is that of an item of a source (io/source.h). Empty lines and lines starting with # are skipped: a
// name that begins so needs the first form and another column before it.
#ifndef DVG_IO_LANDMARKS_H
#define DVG_IO_LANDMARKS_H

#include <stdint.h>

#include "common/base/status.h"

struct dvg_landmarks_state;
struct dvg_landmarks {
  int64_t n;
  float (*points)[10]; // (n,10) in pixels, as in io/image.h
  int64_t *line;       // (n) where they stand
  struct dvg_landmarks_state *state;
};

// DVG_ERROR_INPUT, naming file and line: a missing or bad number, a repeated name, a header without all
// columns, an empty file. Not collective. Free with dvg_landmarks_free.
DVG_CHECKED enum dvg_status dvg_landmarks_read(struct dvg_landmarks *l, const char *path);
void dvg_landmarks_free(struct dvg_landmarks *l);
// The place of a name's landmarks, or -1; the name at a place.
int64_t dvg_landmarks_find(const struct dvg_landmarks *l, const char *name);
const char *dvg_landmarks_name(const struct dvg_landmarks *l, int64_t place);

#endif
