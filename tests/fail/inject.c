// A failing disk, or a death in the middle of writing: loaded into a program with LD_PRELOAD.
//
// Counts the calls that change files in $DVG_INJECT_FOLDER (absolute, no links in it), and to itself: open
// to create or truncate, write, pwrite, ftruncate, fsync, close of a written file, rename, link, unlink, mkdir,
// fopen to write and fclose. At the $DVG_INJECT_AT-th (from 1) it does $DVG_INJECT_HOW:
//     ENOSPC EDQUOT EIO EROFS ESTALE   the call fails with that errno, half written if it writes
//     KILL                             half of it is written, then the process ends as by kill -9
//     STOP                             half of it is written, then the process stands still, as by kill -STOP
// and so do the $DVG_INJECT_FOR - 1 calls (default: 0) after it. With $DVG_INJECT_RANK only in that rank of a
// job. When the process ends, the number of calls is written to $DVG_INJECT_COUNT, if given.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
  char folder[4096];
  size_t length; // 0: nothing to do
  long at, n_calls;
  int how, signal; // errno or signal
  const char *count;
} inject;
static atomic_long calls;

static int number_of(const char *how) {
  static const struct {
    const char *name;
    int number;
  } known[] = {{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO}, {"EROFS", EROFS}, {"ESTALE", ESTALE}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(how, known[i].name) == 0) return known[i].number;
  return 0;
}

__attribute__((constructor)) static void read_environment(void) {
  const char *folder = getenv("DVG_INJECT_FOLDER"), *at = getenv("DVG_INJECT_AT");
  const char *how = getenv("DVG_INJECT_HOW"), *n_calls = getenv("DVG_INJECT_FOR");
  const char *only = getenv("DVG_INJECT_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  if (!folder || !how || (only && strcmp(only, rank ? rank : "0") != 0)) return;
  inject.at = at ? atol(at) : 0;
  inject.n_calls = n_calls ? atol(n_calls) : 1;
  inject.how = number_of(how);
  inject.signal = strcmp(how, "KILL") == 0 ? SIGKILL : strcmp(how, "STOP") == 0 ? SIGSTOP : 0;
  inject.count = getenv("DVG_INJECT_COUNT");
  snprintf(inject.folder, sizeof inject.folder, "%s", folder);
  inject.length = strlen(inject.folder);
}

__attribute__((destructor)) static void write_count(void) {
  if (!inject.length || !inject.count || atomic_load(&calls) == 0)
    return; // others load it too: timeout, mpirun
  inject.length = 0;
  FILE *f = fopen(inject.count, "w");
  if (!f) return;
  fprintf(f, "%ld\n", atomic_load(&calls));
  fclose(f);
}

static int is_under(const char *path) {
  char absolute[8192];
  if (!inject.length) return 0;
  if (path[0] != '/' && getcwd(absolute, sizeof absolute / 2)) {
    size_t n = strlen(absolute);
    snprintf(absolute + n, sizeof absolute - n, "/%s", path);
    path = absolute;
  }
  return strncmp(path, inject.folder, inject.length) == 0 &&
         (path[inject.length] == '/' || path[inject.length] == 0);
}

static int is_under_fd(int fd) {
  char link[64], path[4096];
  if (!inject.length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0 || path[0] != '/') return 0; // "socket:[1234]"
  path[n] = 0;
  return is_under(path);
}

static int is_written(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

// Whether this call is one to fail.
static int is_hit(void) {
  long n = atomic_fetch_add(&calls, 1) + 1;
  return inject.at > 0 && n >= inject.at && n < inject.at + inject.n_calls;
}

static int fail(void) {
  static atomic_int known;
  if (inject.count && !atomic_exchange(&known, 1)) {
    char path[4096];
    snprintf(path, sizeof path, "%s.hit", inject.count);
    int fd = creat(path, 0600);
    if (fd >= 0) close(fd);
  }
  if (inject.signal) raise(inject.signal);
  errno = inject.how;
  return -1;
}

#define REAL(type, name, ...)                                                                                  \
  static type (*real)(__VA_ARGS__);                                                                            \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define EXPORT __attribute__((visibility("default")))

static int makes(int flags) {
  return (flags & (O_CREAT | O_TRUNC)) != 0;
}

EXPORT int open(const char *path, int flags, ...);
EXPORT int open(const char *path, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (makes(flags) && is_under(path) && is_hit()) return fail();
  return real(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open(path, flags, mode);
}

EXPORT ssize_t write(int fd, const void *data, size_t n) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (!is_under_fd(fd) || !is_hit()) return real(fd, data, n);
  if (real(fd, data, n / 2) < 0) return -1;
  return fail();
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  if (!is_under_fd(fd) || !is_hit()) return real(fd, data, n, offset);
  if (real(fd, data, n / 2, offset) < 0) return -1;
  return fail();
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
  return pwrite(fd, data, n, offset);
}

EXPORT int ftruncate(int fd, off_t length) {
  REAL(int, "ftruncate", int, off_t);
  return is_under_fd(fd) && is_hit() ? fail() : real(fd, length);
}
EXPORT int ftruncate64(int fd, off64_t length) {
  return ftruncate(fd, length);
}

EXPORT int fsync(int fd) {
  REAL(int, "fsync", int);
  return is_under_fd(fd) && is_hit() ? fail() : real(fd);
}
EXPORT int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  return is_under_fd(fd) && is_hit() ? fail() : real(fd);
}

EXPORT int close(int fd) {
  REAL(int, "close", int);
  if (!inject.length || !is_under_fd(fd) || !is_written(fd) || !is_hit()) return real(fd);
  real(fd); // as with NFS: closed all the same
  return fail();
}

EXPORT int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  return is_under(to) && is_hit() ? fail() : real(from, to);
}
EXPORT int link(const char *from, const char *to) {
  REAL(int, "link", const char *, const char *);
  return is_under(to) && is_hit() ? fail() : real(from, to);
}
EXPORT int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  int full = inject.how == ENOSPC || inject.how == EDQUOT; // no reason not to remove
  return is_under(path) && is_hit() && !full ? fail() : real(path);
}
EXPORT int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  return is_under(path) && is_hit() ? fail() : real(path, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode) {
  REAL(FILE *, "fopen", const char *, const char *);
  if (mode[0] != 'r' && is_under(path) && is_hit()) {
    fail();
    return NULL;
  }
  return real(path, mode);
}
EXPORT FILE *fopen64(const char *path, const char *mode) {
  return fopen(path, mode);
}

// What a stream has not written yet is lost: the C library's own writes can't be seen from here.
EXPORT int fclose(FILE *f) {
  REAL(int, "fclose", FILE *);
  if (!inject.length || !is_under_fd(fileno(f)) || !is_written(fileno(f)) || !is_hit()) return real(f);
  if (inject.signal) fail();
  __fpurge(f);
  real(f);
  return fail();
}
