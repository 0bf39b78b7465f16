#include "stages/json.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

static void put_text(struct dvg_json *j, const char *text) {
  fputc('"', j->to);
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\') fprintf(j->to, "\\%c", *c);
    else if (*c == '\n') fputs("\\n", j->to);
    else if (*c < 0x20) fprintf(j->to, "\\u%04x", *c);
    else fputc(*c, j->to); // UTF-8 stays as it is
  }
  fputc('"', j->to);
}

// Comma and key in front of a value; whether there is anything to write to.
static int start(struct dvg_json *j, const char *key) {
  if (!j->to) return 0;
  if (j->comma) fputc(',', j->to);
  j->comma = 1;
  if (key) {
    put_text(j, key);
    fputc(':', j->to);
  }
  return 1;
}

void dvg_json_begin(struct dvg_json *j) {
  *j = (struct dvg_json){.comma = 0};
  j->to = open_memstream(&j->text, &j->n_bytes);
  dvg_json_open(j, NULL, '{');
}

void dvg_json_open(struct dvg_json *j, const char *key, char bracket) {
  if (start(j, key)) fputc(bracket, j->to);
  j->comma = 0;
}

void dvg_json_close(struct dvg_json *j, char bracket) {
  if (j->to) fputc(bracket, j->to);
  j->comma = 1;
}

void dvg_json_int(struct dvg_json *j, const char *key, int64_t value) {
  if (start(j, key)) fprintf(j->to, "%lld", (long long)value);
}

void dvg_json_real(struct dvg_json *j, const char *key, double value) {
  if (!start(j, key)) return;
  if (!isfinite(value)) {
    fputs("null", j->to);
    return;
  }
  char text[40]; // the shortest form that reads back as the same number
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  fputs(text, j->to);
}

void dvg_json_text(struct dvg_json *j, const char *key, const char *value) {
  if (start(j, key)) put_text(j, value);
}

enum dvg_status dvg_json_end(struct dvg_json *j, char **text) {
  dvg_json_close(j, '}');
  int good = j->to && fputc('\n', j->to) != EOF && !ferror(j->to);
  if (j->to && fclose(j->to) != 0) good = 0;
  j->to = NULL;
  // Copied, for what open_memstream made belongs to free() and not to dvg_free.
  enum dvg_status status =
      good && j->text ? dvg_text(text, "%s", j->text) : dvg_fail(DVG_ERROR_MEMORY, "no memory for a report");
  free(j->text);
  j->text = NULL;
  return status;
}
