// Who is in a picture, as a cls or json member tells.
#include <cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/tar_format.h"

enum { MAX_TEXT = 255 };

// A name that stands in lists and artifacts: one line of it, not too long.
static enum dvg_status take_text(char **out, const char *text, size_t n, const char *what, const char *where) {
  if (n == 0) return dvg_fail(DVG_ERROR_INPUT, "%s: has an empty %s", where, what);
  if (n > MAX_TEXT)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has a %s of %zu bytes, %d at most", where, what, n, MAX_TEXT);
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
      return dvg_fail(DVG_ERROR_INPUT, "%s: has a %s with control characters", where, what);
  return dvg_text(out, "%.*s", (int)n, text);
}

static enum dvg_status take_value(char **out, const cJSON *value, const char *what, const char *where) {
  if (cJSON_IsString(value)) return take_text(out, value->valuestring, strlen(value->valuestring), what, where);
  double x = cJSON_IsNumber(value) ? value->valuedouble : 0.5;
  if (!(x > -0x1p53 && x < 0x1p53) || (double)(int64_t)x != x)
    return dvg_fail(DVG_ERROR_INPUT, "%s: its '%s' is neither a whole number nor a text", where, what);
  return dvg_text(out, "%" PRId64, (int64_t)x);
}

static enum dvg_status take_json(char **identity, int *rank, char **domain, const cJSON *json,
                                 const char *where) {
  static const struct {
    const char *name;
    int rank;
  } names[] = {{"identity", 0}, {"label", 2}, {"cls", 3}};
  if (!cJSON_IsObject(json)) return dvg_fail(DVG_ERROR_INPUT, "%s: is no JSON object", where);
  for (size_t i = 0; i < sizeof names / sizeof *names && !*identity; i++) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, names[i].name);
    if (!value || cJSON_IsNull(value)) continue;
    DVG_TRY(take_value(identity, value, names[i].name, where));
    *rank = names[i].rank;
  }
  const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, "domain");
  return cJSON_IsString(value)
             ? take_text(domain, value->valuestring, strlen(value->valuestring), "domain", where)
             : DVG_OK;
}

enum dvg_status dvg_tar_label(char **identity, int *rank, char **domain, const char *bytes, size_t n_bytes,
                              int is_json, const char *where) {
  char *who = NULL, *which = NULL;
  cJSON *json = NULL;
  enum dvg_status status;
  if (is_json) {
    json = cJSON_ParseWithLength(bytes, n_bytes);
    status = json ? take_json(&who, rank, &which, json, where)
                  : dvg_fail(DVG_ERROR_INPUT, "%s: is no valid JSON", where);
  } else {
    while (n_bytes > 0 && strchr(" \t\r\n", bytes[n_bytes - 1])) n_bytes--;
    while (n_bytes > 0 && strchr(" \t\r\n", *bytes)) bytes++, n_bytes--;
    *rank = 1;
    status = take_text(&who, bytes, n_bytes, "class", where);
  }
  cJSON_Delete(json);
  if (status == DVG_OK) {
    *identity = who;
    *domain = which;
  } else {
    dvg_free(&who);
    dvg_free(&which);
  }
  return status;
}
