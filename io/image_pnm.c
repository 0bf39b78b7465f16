// Netpbm's PGM and PPM, plain (P2, P3) and raw (P5, P6). Bitmaps (P1, P4) and PAM are other formats.
#include <string.h>

#include "common/base/log.h"
#include "io/image_codec.h"

struct reader {
  const char *name;
  const unsigned char *at, *end;
  int64_t H, W, C, most; // most: the value of white
};

static int is_blank(unsigned char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static enum dvg_status bad(const struct reader *r, const char *what) {
  return dvg_fail(DVG_ERROR_INPUT, "%s: not a readable PGM or PPM: %s", r->name, what);
}

// The next number, after blanks and comments, which run to the end of their line. No more than `limit`.
static enum dvg_status take_number(struct reader *r, int64_t *value, int64_t limit, const char *what) {
  while (r->at < r->end && (is_blank(*r->at) || *r->at == '#')) {
    if (*r->at == '#')
      while (r->at < r->end && *r->at != '\n' && *r->at != '\r') r->at++;
    else r->at++;
  }
  if (r->at == r->end) return bad(r, "truncated");
  if (*r->at < '0' || *r->at > '9') return bad(r, "something else where a number must be");
  *value = 0;
  for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
    *value = 10 * *value + (*r->at - '0');
    if (*value > limit) return bad(r, what);
  }
  return DVG_OK;
}

static enum dvg_status take_header(struct reader *r, int64_t *least_bytes, int is_plain) {
  const int64_t far = INT64_C(1) << 40; // beyond what dvg_image_check_size allows
  DVG_TRY(take_number(r, &r->W, far, "a width beyond all bounds"));
  DVG_TRY(take_number(r, &r->H, far, "a height beyond all bounds"));
  DVG_TRY(take_number(r, &r->most, 65535, "a maximum above 65535"));
  if (r->most < 1) return bad(r, "a maximum of 0");
  if (r->at == r->end || !is_blank(*r->at++)) return bad(r, "no blank after the header");
  if (r->H > DVG_IMAGE_MAX_SIDE || r->W > DVG_IMAGE_MAX_SIDE) *least_bytes = 0; // the product could overflow
  else if (is_plain) *least_bytes = 2 * r->H * r->W * r->C - 1;                 // a digit and a blank each
  else *least_bytes = r->H * r->W * r->C * (r->most > 255 ? 2 : 1);
  return DVG_OK;
}

static enum dvg_status take_sample(struct reader *r, int64_t *value, int is_plain) {
  if (is_plain) {
    DVG_TRY(take_number(r, value, r->most, "a value above the maximum"));
    if (r->at < r->end && !is_blank(*r->at) && *r->at != '#') return bad(r, "something else within a number");
    return DVG_OK;
  }
  *value = *r->at++;
  if (r->most > 255) *value = *value << 8 | *r->at++;
  return *value > r->most ? bad(r, "a value above the maximum") : DVG_OK;
}

static enum dvg_status take_pixels(struct dvg_image *image, struct reader *r, int is_plain) {
  for (int64_t i = 0; i < r->H * r->W * r->C; i++) {
    int64_t value;
    DVG_TRY(take_sample(r, &value, is_plain));
    image->pixels[i] = (unsigned char)((value * 255 + r->most / 2) / r->most);
  }
  return DVG_OK;
}

enum dvg_status dvg_pnm_decode(struct dvg_image *image, const unsigned char *bytes, size_t n_bytes,
                               const char *name) {
  int kind = bytes[1] - '0', is_plain = kind < 4;
  struct reader r = {
      .name = name, .at = bytes + 2, .end = bytes + n_bytes, .C = kind == 3 || kind == 6 ? 3 : 1};
  int64_t least_bytes = 0;
  DVG_TRY(take_header(&r, &least_bytes, is_plain));
  DVG_TRY(dvg_image_check_size(r.H, r.W, least_bytes, (size_t)(r.end - r.at), name));
  struct dvg_image made = {0};
  DVG_TRY(dvg_image_create(&made, r.H, r.W, r.C));
  enum dvg_status status = take_pixels(&made, &r, is_plain);
  if (status == DVG_OK) *image = made;
  else dvg_image_free(&made);
  return status;
}
