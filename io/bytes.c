#include "io/bytes.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum dvg_status dvg_bytes_reserve(struct dvg_bytes *b, size_t n_bytes, const char *what) {
  if (n_bytes <= b->room) return DVG_OK;
  if (n_bytes > (size_t)INT64_MAX / 4)
    return dvg_fail(DVG_ERROR_MEMORY, "no memory for %s: %zu bytes", what, n_bytes);
  // By half more than before at least, so that appending doesn't copy without end.
  size_t room = n_bytes > b->room + b->room / 2 ? n_bytes : b->room + b->room / 2;
  unsigned char *larger = NULL;
  DVG_TRY(dvg_alloc((void **)&larger, (int64_t)room, 1, what));
  if (b->n) memcpy(larger, b->data, b->n);
  dvg_free(&b->data);
  b->data = larger;
  b->room = room;
  return DVG_OK;
}

enum dvg_status dvg_bytes_append(struct dvg_bytes *b, const void *data, size_t n_bytes, const char *what) {
  if (n_bytes > (size_t)INT64_MAX / 8)
    return dvg_fail(DVG_ERROR_MEMORY, "no memory for %s: %zu bytes", what, n_bytes);
  DVG_TRY(dvg_bytes_reserve(b, b->n + n_bytes, what));
  if (n_bytes) memcpy(b->data + b->n, data, n_bytes);
  b->n += n_bytes;
  return DVG_OK;
}

void dvg_bytes_free(struct dvg_bytes *b) {
  dvg_free(&b->data);
  *b = (struct dvg_bytes){0};
}
