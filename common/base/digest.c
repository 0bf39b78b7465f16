#include "common/base/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"

static enum dvg_status fail(struct dvg_digest *d, const char *step) {
  dvg_digest_drop(d);
  return dvg_fail(DVG_ERROR_INTERNAL, "SHA-256: %s failed in libcrypto", step);
}

enum dvg_status dvg_digest_begin(struct dvg_digest *d) {
  d->state = EVP_MD_CTX_new();
  if (!d->state) return dvg_fail(DVG_ERROR_MEMORY, "no memory for a SHA-256 state");
  if (EVP_DigestInit_ex(d->state, EVP_sha256(), NULL) != 1) return fail(d, "the start");
  return DVG_OK;
}

enum dvg_status dvg_digest_add(struct dvg_digest *d, const void *data, size_t n_bytes) {
  if (!d->state) return fail(d, "adding to an ended digest");
  if (n_bytes > 0 && EVP_DigestUpdate(d->state, data, n_bytes) != 1) return fail(d, "adding");
  return DVG_OK;
}

enum dvg_status dvg_digest_end(struct dvg_digest *d, char text[DVG_DIGEST_TEXT]) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  if (!d->state || EVP_DigestFinal_ex(d->state, bytes, &n) != 1 || n != (DVG_DIGEST_TEXT - 1) / 2)
    return fail(d, "the end");
  dvg_digest_drop(d);
  for (unsigned int i = 0; i < n; i++) snprintf(text + (size_t)2 * i, 3, "%02x", bytes[i]);
  return DVG_OK;
}

void dvg_digest_drop(struct dvg_digest *d) {
  EVP_MD_CTX_free(d->state); // accepts NULL
  d->state = NULL;
}

enum dvg_status dvg_digest_of(char text[DVG_DIGEST_TEXT], const void *data, size_t n_bytes) {
  struct dvg_digest d;
  DVG_TRY(dvg_digest_begin(&d));
  DVG_TRY(dvg_digest_add(&d, data, n_bytes));
  return dvg_digest_end(&d, text);
}
