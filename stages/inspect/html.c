#include "stages/inspect/html.h"

#include <openssl/evp.h>
#include <string.h>

#include "common/base/alloc.h"
#include "stages/inspect/figures.h"

// ---- text

static const char *reference(char c) {
  switch (c) {
  case '&':
    return "&amp;";
  case '<':
    return "&lt;";
  case '>':
    return "&gt;";
  case '"':
    return "&quot;";
  case '\'':
    return "&#39;";
  default:
    return NULL;
  }
}

// U+FFFE and U+FFFF are no characters of XML.
static int is_xml(const char *text, int n) {
  const unsigned char *c = (const unsigned char *)text;
  if (n == 1) return c[0] >= 32 || c[0] == '\n' || c[0] == '\t';
  return !(n == 3 && c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe);
}

void dvg_html_put_n(FILE *to, const char *text, size_t n_bytes) {
  const char *end = text + n_bytes;
  while (text < end && *text) {
    int n = dvg_utf8_length(text);
    if (n > end - text) n = 0; // cut in the middle
    const char *safe = n == 1 ? reference(*text) : NULL;
    if (safe) fputs(safe, to);
    else if (n > 0 && is_xml(text, n)) fwrite(text, 1, (size_t)n, to);
    else fputs("\ufffd", to);
    text += n > 0 ? n : 1;
  }
}

void dvg_html_put(FILE *to, const char *text) {
  dvg_html_put_n(to, text, strlen(text));
}

// ---- images

static uint32_t big_endian(const unsigned char *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

int dvg_html_png_size(int64_t *W, int64_t *H, const unsigned char *bytes, size_t n_bytes) {
  static const unsigned char magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (n_bytes < 33 || memcmp(bytes, magic, sizeof magic) != 0 || memcmp(bytes + 12, "IHDR", 4) != 0) return 0;
  *W = big_endian(bytes + 16);
  *H = big_endian(bytes + 20);
  return 1;
}

enum dvg_status dvg_html_png(FILE *to, const unsigned char *bytes, size_t n_bytes, const char *what) {
  enum { PIECE = 48 << 10 }; // a multiple of three: no padding inside
  int64_t W, H;
  unsigned char *text = NULL;
  if (!dvg_html_png_size(&W, &H, bytes, n_bytes)) return DVG_ERROR_INPUT;
  DVG_TRY(DVG_NEW(&text, PIECE / 3 * 4 + 1, "an image"));
  fprintf(to, "<img width=\"%lld\" height=\"%lld\" alt=\"", (long long)W, (long long)H);
  dvg_html_put(to, what);
  fputs("\" src=\"data:image/png;base64,", to);
  for (size_t at = 0; at < n_bytes; at += PIECE) {
    const int n = (int)(n_bytes - at < PIECE ? n_bytes - at : PIECE);
    fwrite(text, 1, (size_t)EVP_EncodeBlock(text, bytes + at, n), to);
  }
  fputs("\"/>", to);
  dvg_free(&text);
  return DVG_OK;
}
