// Paths, and files that are there as a whole or not at all.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/file.h"

int dvg_path_exists(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

const char *dvg_path_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

enum dvg_status dvg_path_folder(char **folder, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return dvg_text(folder, ".");
  if (slash == path) return dvg_text(folder, "/");
  return dvg_text(folder, "%.*s", (int)(slash - path), path);
}

enum dvg_status dvg_path_make_folder(const char *path) {
  char *partial = NULL;
  DVG_TRY(dvg_text(&partial, "%s", path));
  enum dvg_status status = DVG_OK;
  size_t n = strlen(partial);
  // Each prefix that ends before a '/', then the whole. Another process may make the same folder at the same
  // time.
  for (size_t i = 1; i <= n; i++) {
    if (partial[i] != '/' && partial[i] != 0) continue;
    char kept = partial[i];
    partial[i] = 0;
    struct stat s;
    if (stat(partial, &s) != 0 && mkdir(partial, 0777) != 0 && errno != EEXIST) {
      status = dvg_fail(DVG_ERROR_IO, "%s: cannot make the folder: %s", partial, strerror(errno));
      goto done;
    }
    if (stat(partial, &s) == 0 && !S_ISDIR(s.st_mode)) {
      status = dvg_fail(DVG_ERROR_IO, "%s: is not a folder", partial);
      goto done;
    }
    partial[i] = kept;
  }
  if (access(path, W_OK | X_OK) != 0)
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot write into this folder: %s", path, strerror(errno));
done:
  dvg_free(&partial);
  return status;
}

enum dvg_status dvg_path_remove(const char *path) {
  if (unlink(path) == 0 || errno == ENOENT) return DVG_OK;
  return dvg_fail(DVG_ERROR_IO, "%s: cannot remove: %s", path, strerror(errno));
}

enum dvg_status dvg_path_remove_parts(const char *folder, const char *prefix) {
  DIR *d = opendir(folder);
  if (!d) return dvg_fail(DVG_ERROR_IO, "%s: cannot read this folder: %s", folder, strerror(errno));
  enum dvg_status status = DVG_OK;
  char *path = NULL;
  const struct dirent *entry;
  while (status == DVG_OK && (entry = readdir(d))) {
    const char *end = strrchr(entry->d_name, '.');
    if (!end || strcmp(end, ".part") != 0 || strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
    status = dvg_text(&path, "%s/%s", folder, entry->d_name);
    if (status == DVG_OK) status = dvg_path_remove(path);
    dvg_free(&path);
  }
  closedir(d);
  return status;
}

// access() is not enough: root may write anywhere, it says, and a read-only export is found only by writing.
enum dvg_status dvg_path_try_folder(const char *path) {
  char *trial = NULL;
  DVG_TRY(dvg_text(&trial, "%s/trial.part", path));
  int fd = open(trial, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  enum dvg_status status =
      fd < 0 ? dvg_fail(DVG_ERROR_IO, "%s: cannot write into this folder: %s", path, strerror(errno)) : DVG_OK;
  if (fd >= 0) close(fd);
  if (status == DVG_OK) status = dvg_path_remove(trial);
  dvg_free(&trial);
  return status;
}

static enum dvg_status sync_at(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot open to sync: %s", path, strerror(errno));
  // Some file systems cannot sync a folder, and say so with EINVAL.
  int bad = fsync(fd) != 0 && !((flags & O_DIRECTORY) && (errno == EINVAL || errno == ENOTSUP));
  int cause = errno;
  close(fd);
  return bad ? dvg_fail(DVG_ERROR_IO, "%s: cannot sync: %s", path, strerror(cause)) : DVG_OK;
}

enum dvg_status dvg_path_finish(const char *temporary, const char *path) {
  char *folder = NULL;
  enum dvg_status status = dvg_path_folder(&folder, path);
  if (status == DVG_OK) status = sync_at(temporary, 0);
  if (status == DVG_OK && rename(temporary, path) != 0)
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot rename from %s: %s", path, temporary, strerror(errno));
  if (status == DVG_OK) status = sync_at(folder, O_DIRECTORY);
  else unlink(temporary);
  dvg_free(&folder);
  return status;
}

enum dvg_status dvg_path_rename(const char *from, const char *to) {
  char *folder = NULL;
  DVG_TRY(dvg_path_folder(&folder, to));
  enum dvg_status status = DVG_OK;
  if (rename(from, to) != 0)
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot rename from %s: %s", to, from, strerror(errno));
  if (status == DVG_OK) status = sync_at(folder, O_DIRECTORY);
  dvg_free(&folder);
  return status;
}

enum dvg_status dvg_path_write_bytes(const char *path, const void *bytes, size_t n_bytes) {
  char *part = NULL, *folder = NULL;
  enum dvg_status status;
  FILE *f = NULL;
  DVG_TRY_GOTO(dvg_path_folder(&folder, path));
  DVG_TRY_GOTO(dvg_path_make_folder(folder));
  DVG_TRY_GOTO(dvg_text(&part, "%s.part", path));
  f = fopen(part, "wb");
  if (!f) {
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot create: %s", part, strerror(errno));
    goto done;
  }
  int bad = n_bytes > 0 && fwrite(bytes, 1, n_bytes, f) != n_bytes;
  int cause = errno;
  if (fclose(f) != 0 && !bad) {
    bad = 1;
    cause = errno;
  }
  if (bad) {
    unlink(part);
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", part, strerror(cause));
    goto done;
  }
  status = dvg_path_finish(part, path);
done:
  dvg_free(&part);
  dvg_free(&folder);
  return status;
}

enum dvg_status dvg_path_write_text(const char *path, const char *text) {
  return dvg_path_write_bytes(path, text, strlen(text));
}

enum dvg_status dvg_path_read_bytes(const char *path, int64_t max_bytes, unsigned char **out, size_t *n_bytes) {
  unsigned char *bytes = NULL;
  int64_t size;
  int fd;
  DVG_TRY(dvg_file_open(&fd, &size, path));
  enum dvg_status status = DVG_OK;
  if (size > max_bytes)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is too large: %lld bytes, %lld at most", path, (long long)size,
                      (long long)max_bytes);
  if (status == DVG_OK) status = dvg_alloc((void **)&bytes, size + 1, 1, path);
  if (status == DVG_OK) status = dvg_file_read(fd, path, bytes, (size_t)size, 0);
  close(fd);
  if (status == DVG_OK) {
    *out = bytes; // followed by a NUL: the memory is zeroed
    *n_bytes = (size_t)size;
  } else {
    dvg_free(&bytes);
  }
  return status;
}

enum dvg_status dvg_path_read_text(const char *path, int64_t max_bytes, char **text) {
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  DVG_TRY(dvg_path_read_bytes(path, max_bytes, &bytes, &n_bytes));
  const unsigned char *nul = memchr(bytes, 0, n_bytes);
  if (nul) {
    enum dvg_status status =
        dvg_fail(DVG_ERROR_INPUT, "%s: is not a text file: byte %lld is NUL", path, (long long)(nul - bytes));
    dvg_free(&bytes);
    return status;
  }
  *text = (char *)bytes;
  return DVG_OK;
}
