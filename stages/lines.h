// Lists that people write: a line an entry.
#ifndef DVG_STAGES_LINES_H
#define DVG_STAGES_LINES_H

#include <stdint.h>

#include "common/base/status.h"

// Not collective. Calls `visit` for each line of the file, of at most `largest` bytes, that isn't empty, without its end
// (LF or CR LF), until one fails: `where` is "path:number" for messages. The visitor may change the line.
DVG_CHECKED enum dvg_status dvg_lines_each(const char *path, int64_t largest,
                                           enum dvg_status (*visit)(void *context, const char *where, char *line),
                                           void *context);

#endif
