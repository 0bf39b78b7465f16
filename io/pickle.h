// Python's pickles, as far as tensors need them: an interpreter of a few operations that executes nothing. Private to io/.
//
// A pickle becomes a table of values. Classes and functions are only names, of a short list; a call of one is kept as "this was called with
// that"; anything else (an unknown operation, another name) is refused. The one call that is carried out is OrderedDict's: it makes a dictionary.
#ifndef DVG_IO_PICKLE_H
#define DVG_IO_PICKLE_H

#include "io/tensors_file.h"

enum dvg_pickle_kind {
  DVG_PICKLE_NONE,
  DVG_PICKLE_BOOL,
  DVG_PICKLE_INT,
  DVG_PICKLE_LONG, // more than 64 bits: its bytes as a text
  DVG_PICKLE_REAL,
  DVG_PICKLE_TEXT,
  DVG_PICKLE_TUPLE,
  DVG_PICKLE_LIST,
  DVG_PICKLE_DICT,      // items: key, value, key, value ...
  DVG_PICKLE_NAME,      // a class or function, text "module name"
  DVG_PICKLE_CALL,      // items: what was called, its arguments (a tuple)
  DVG_PICKLE_PERSISTENT // items: the id
};

// Values and cells are named by their place in the tables; a list is a chain of cells. A value may contain itself: walk with care.
struct dvg_pickle_value {
  enum dvg_pickle_kind kind;
  int32_t first, last, n_items; // cells, -1: none
  int64_t integer;              // NONE 0; BOOL, INT
  int64_t text, length;         // place in the text block, bytes (followed by a NUL)
};
struct dvg_pickle_cell {
  int32_t value, next;
};

struct dvg_pickle {
  struct dvg_pickle_value *value;
  struct dvg_pickle_cell *cell;
  char *text;
  int64_t n_values, n_cells, n_text, text_room;
  int32_t root;
};

// Reads one pickle from byte *at of the file on; *at = the byte behind it. `end`: where its part of the file ends. DVG_ERROR_INPUT for what is
// refused, naming operation or name and place; limits: 2^21 operations, 64 MB of text. Freed with dvg_pickle_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_pickle_read(struct dvg_pickle *p, const struct dvg_tensors *f, int64_t *at, int64_t end);
void dvg_pickle_free(struct dvg_pickle *p);

const struct dvg_pickle_value *dvg_pickle_at(const struct dvg_pickle *p, int32_t value);
// Item k of a container, NULL when it has fewer.
const struct dvg_pickle_value *dvg_pickle_item(const struct dvg_pickle *p, const struct dvg_pickle_value *container, int k);
// Whether it is this text or name.
int dvg_pickle_is(const struct dvg_pickle *p, const struct dvg_pickle_value *v, enum dvg_pickle_kind kind, const char *text);
// What a dictionary has under a key: NULL without one, or when `dict` is none.
const struct dvg_pickle_value *dvg_pickle_find(const struct dvg_pickle *p, const struct dvg_pickle_value *dict, const char *key);

#endif
