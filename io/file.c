#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"

enum dvg_status dvg_file_open(int *fd, int64_t *n_bytes, const char *path) {
  struct stat s;
  enum dvg_status status = DVG_OK;
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // O_NONBLOCK: not to wait at a named pipe
  if (*fd < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
  if (fstat(*fd, &s) != 0) status = dvg_fail(DVG_ERROR_IO, "%s: cannot stat: %s", path, strerror(errno));
  else if (S_ISDIR(s.st_mode)) status = dvg_fail(DVG_ERROR_INPUT, "%s: is a folder, not a file", path);
  else if (!S_ISREG(s.st_mode)) status = dvg_fail(DVG_ERROR_INPUT, "%s: is not a regular file", path);
  if (status != DVG_OK) {
    close(*fd);
    *fd = -1;
    return status;
  }
  *n_bytes = s.st_size;
  return DVG_OK;
}

enum dvg_status dvg_file_read(int fd, const char *path, void *data, size_t n, int64_t offset) {
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(fd, (unsigned char *)data + done, n - done, offset + (int64_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
    if (got == 0) return dvg_fail(DVG_ERROR_IO, "%s: became shorter while it was read", path);
    done += (size_t)got;
  }
  return DVG_OK;
}
