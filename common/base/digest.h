// SHA-256 (OpenSSL's libcrypto), fed piece by piece.
#ifndef DVG_BASE_DIGEST_H
#define DVG_BASE_DIGEST_H

#include <stddef.h>

#include "common/base/status.h"

#define DVG_DIGEST_TEXT 65 // 64 hexadecimal digits and a NUL

struct dvg_digest {
  void *state; // owned; released by dvg_digest_end or dvg_digest_drop
};

DVG_CHECKED enum dvg_status dvg_digest_begin(struct dvg_digest *d);
DVG_CHECKED enum dvg_status dvg_digest_add(struct dvg_digest *d, const void *data, size_t n_bytes);
// Writes 64 lower-case hexadecimal digits and releases the state.
DVG_CHECKED enum dvg_status dvg_digest_end(struct dvg_digest *d, char text[DVG_DIGEST_TEXT]);
void dvg_digest_drop(struct dvg_digest *d);

// All three in one call.
DVG_CHECKED enum dvg_status dvg_digest_of(char text[DVG_DIGEST_TEXT], const void *data, size_t n_bytes);

#endif
