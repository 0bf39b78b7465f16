// Bytes that grow as needed and are used again: an encoded image, a record.
#ifndef DVG_IO_BYTES_H
#define DVG_IO_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct dvg_bytes {
  unsigned char *data; // owned; release with dvg_bytes_free
  size_t n, room;
};

// Makes room for n_bytes in all; what is there stays. `what` names the memory in the message of
// DVG_ERROR_MEMORY.
DVG_CHECKED enum dvg_status dvg_bytes_reserve(struct dvg_bytes *b, size_t n_bytes, const char *what);
DVG_CHECKED enum dvg_status dvg_bytes_append(struct dvg_bytes *b, const void *data, size_t n_bytes,
                                             const char *what);
void dvg_bytes_free(struct dvg_bytes *b);

#endif
