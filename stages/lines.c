#include "stages/lines.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "io/artifact.h"

enum dvg_status dvg_lines_each(const char *path, int64_t largest,
                               enum dvg_status (*visit)(void *context, const char *where, char *line),
                               void *context) {
  char *text = NULL, where[512];
  DVG_TRY(dvg_path_read_text(path, largest, &text));
  enum dvg_status status = DVG_OK;
  int64_t number = 0;
  for (char *line = text, *next; line && status == DVG_OK; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    line[strcspn(line, "\r")] = 0;
    number++;
    if (!line[0]) continue;
    snprintf(where, sizeof where, "%.400s:%lld", path, (long long)number);
    status = visit(context, where, line);
  }
  dvg_free(&text);
  return status;
}
