// Names to numbers, in order of first appearance. Private to io/.
#ifndef DVG_IO_NAMES_H
#define DVG_IO_NAMES_H

#include <stdint.h>

#include "common/base/status.h"

struct dvg_names {
  char **name; // (n) borrowed texts; the array is owned
  int64_t n, room, n_slots;
  int64_t *slots; // 1 + index, 0: free; n_slots is a power of two, at most half full
};

// The number of a name, or -1.
int64_t dvg_names_find(const struct dvg_names *t, const char *name);
// *index = its number, a new one for a name that wasn't there.
DVG_CHECKED enum dvg_status dvg_names_add(struct dvg_names *t, char *name, int64_t *index);
void dvg_names_free(struct dvg_names *t);

#endif
