#include "stages/inspect/figures.h"

#include <math.h>
#include <string.h>

const char *dvg_say_count(char text[DVG_FIGURE], int64_t n) {
  char digits[DVG_FIGURE];
  size_t k = 0, length = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)n);
  text[0] = 0;
  if (n < 0) return text;
  for (size_t i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) text[k++] = ',';
    text[k++] = digits[i];
  }
  text[k] = 0;
  return text;
}

const char *dvg_say_time(char text[DVG_FIGURE], double seconds) {
  text[0] = 0;
  if (!(seconds >= 0 && seconds < 1e12)) return text;
  const long long s = llround(seconds);
  if (seconds < 9.95) snprintf(text, DVG_FIGURE, "%.1f s", seconds);
  else if (s < 60) snprintf(text, DVG_FIGURE, "%lld s", s);
  else if (s < 3600) snprintf(text, DVG_FIGURE, "%lld min %02lld s", s / 60, s % 60);
  else if (s < 2 * 86400) snprintf(text, DVG_FIGURE, "%lld h %02lld min", s / 3600, s / 60 % 60);
  else snprintf(text, DVG_FIGURE, "%lld d %lld h", s / 86400, s / 3600 % 24);
  return text;
}

const char *dvg_say_rate(char text[DVG_FIGURE], double per_second) {
  text[0] = 0;
  if (!(per_second > 0 && per_second < 1e15)) return text;
  if (per_second < 0.1) snprintf(text, DVG_FIGURE, "1/%.0f s", 1 / per_second);
  else if (per_second < 10) snprintf(text, DVG_FIGURE, "%.2f", per_second);
  else if (per_second < 100) snprintf(text, DVG_FIGURE, "%.1f", per_second);
  else dvg_say_count(text, llround(per_second));
  return text;
}

const char *dvg_say_value(char text[DVG_FIGURE], double x) {
  text[0] = 0;
  if (!isnan(x)) snprintf(text, DVG_FIGURE, "%.4g", x);
  return text;
}

// ---- text

size_t dvg_program_length(const char *program) {
  size_t n = strcspn(program, "0123456789");
  while (n > 0 && program[n - 1] == ' ') n--;
  return n;
}

int dvg_utf8_length(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  if (c[0] == 0) return 0;
  if (c[0] < 0x80) return 1;
  const int n = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
  if (c[0] < 0xc2 || c[0] > 0xf4) return 0;
  for (int i = 1; i < n; i++)
    if ((c[i] & 0xc0) != 0x80) return 0;
  if (c[0] == 0xe0 && c[1] < 0xa0) return 0;
  if (c[0] == 0xed && c[1] > 0x9f) return 0;
  if (c[0] == 0xf0 && c[1] < 0x90) return 0;
  if (c[0] == 0xf4 && c[1] > 0x8f) return 0;
  return n;
}

// Bytes of the character or of the stray byte; *printable: whether a terminal may see it.
static int next(const char *text, int *printable) {
  const unsigned char *c = (const unsigned char *)text;
  const int n = dvg_utf8_length(text);
  *printable = n > 0 && c[0] >= 32 && c[0] != 127 && !(n == 2 && c[0] == 0xc2 && c[1] < 0xa0);
  // Marks that turn the direction of what follows, and line separators: U+2028..202E, U+2066..2069.
  if (n == 3 && c[0] == 0xe2 &&
      ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9)))
    *printable = 0;
  return n > 0 ? n : 1;
}

int dvg_columns(const char *text) {
  int n = 0, printable;
  for (; *text; text += next(text, &printable)) n++;
  return n;
}

void dvg_put_plain(FILE *to, const char *text, int columns, int ascii) {
  const int all = dvg_columns(text), kept = all <= columns ? all : columns > 3 ? columns - 3 : 0;
  int printable;
  for (int i = 0; i < kept; i++) {
    const int n = next(text, &printable);
    if (printable && !(ascii && n > 1)) fwrite(text, 1, (size_t)n, to);
    else fputc('?', to);
    text += n;
  }
  if (kept < all) fprintf(to, "%.*s", columns - kept, "...");
}
