// Regular files that are read in place: any part at any time, nothing kept. Not collective.
#ifndef DVG_IO_FILE_H
#define DVG_IO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

// *fd = the open file, to be closed with close(); *n_bytes = its size. After a failure *fd is -1. DVG_ERROR_IO: can't be opened.
// DVG_ERROR_INPUT: no regular file.
DVG_CHECKED enum dvg_status dvg_file_open(int *fd, int64_t *n_bytes, const char *path);
// data[0..n) = the file's bytes from `offset` on, all of them: DVG_ERROR_IO if they aren't there (any more). `path` is for messages.
DVG_CHECKED enum dvg_status dvg_file_read(int fd, const char *path, void *data, size_t n, int64_t offset);

#endif
