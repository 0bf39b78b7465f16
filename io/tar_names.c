// Which tar files a set consists of.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/tar_format.h"

enum { MAX_TARS = 100000, MAX_DIGITS = 18, TAR_BLOCK = 512 };
static const int64_t max_list_bytes = 64 << 20;

struct names {
  char **name;
  int64_t n, room;
};

// Takes `name` over, also when it fails.
static enum dvg_status add_name(struct names *names, char *name) {
  enum dvg_status status = DVG_OK;
  if (names->n == names->room) {
    int64_t room = names->room ? 2 * names->room : 16;
    char **larger = NULL;
    status = DVG_NEW(&larger, room, "names of files");
    if (status == DVG_OK) {
      if (names->n) memcpy(larger, names->name, (size_t)names->n * sizeof *larger);
      dvg_free(&names->name);
      names->name = larger;
      names->room = room;
    }
  }
  if (status == DVG_OK) names->name[names->n++] = name;
  else dvg_free(&name);
  return status;
}

void dvg_tar_names_free(char ***names, int64_t n) {
  for (int64_t i = 0; *names && i < n; i++) dvg_free(&(*names)[i]);
  dvg_free(names);
}

// ---- {0000..0099}

// Digits at *at, which then is behind them; their number, 0 if there are too many.
static int read_digits(int64_t *value, const char **at) {
  size_t n = strspn(*at, "0123456789");
  *value = n <= MAX_DIGITS ? strtoll(*at, NULL, 10) : 0;
  *at += n;
  return n <= MAX_DIGITS ? (int)n : 0;
}

// `folder` "" or with a slash at its end.
static enum dvg_status add_range(struct names *names, const char *folder, const char *text) {
  const char *open = strchr(text, '{'), *at = open + 1;
  int64_t first = 0, last = 0;
  int width = read_digits(&first, &at), good = width > 0 && strncmp(at, "..", 2) == 0;
  at += good ? 2 : 0;
  good = good && read_digits(&last, &at) > 0 && *at == '}' && !strpbrk(at + 1, "{}") && first <= last;
  if (!good)
    return dvg_fail(DVG_ERROR_USAGE,
                    "%s: is not a range of files like set-{0000..0099}.tar, with one pair of braces", text);
  if (last - first >= MAX_TARS)
    return dvg_fail(DVG_ERROR_USAGE, "%s: is a range of more than %d files", text, MAX_TARS);
  for (int64_t i = first; i <= last; i++) {
    char *name = NULL;
    DVG_TRY(dvg_text(&name, "%s%.*s%0*" PRId64 "%s", folder, (int)(open - text), text, width, i, at + 1));
    DVG_TRY(add_name(names, name));
  }
  return DVG_OK;
}

// ---- folders

static int ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n > m && strcmp(text + n - m, end) == 0;
}

static int is_tar_name(const char *name) {
  return name[0] != '.' && (ends_with(name, ".tar") || ends_with(name, ".tar.gz") || ends_with(name, ".tgz"));
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum dvg_status add_folder(struct names *names, const char *folder) {
  DIR *d = opendir(folder);
  if (!d) return dvg_fail(DVG_ERROR_IO, "%s: cannot read this folder: %s", folder, strerror(errno));
  enum dvg_status status = DVG_OK;
  const struct dirent *entry;
  while (status == DVG_OK && (entry = readdir(d))) {
    char *name = NULL;
    if (!is_tar_name(entry->d_name)) continue;
    status = dvg_text(&name, "%s/%s", folder, entry->d_name);
    if (status == DVG_OK) status = add_name(names, name);
  }
  closedir(d);
  DVG_TRY(status);
  if (names->n == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: no *.tar, *.tar.gz or *.tgz is in this folder", folder);
  qsort(names->name, (size_t)names->n, sizeof *names->name, by_name);
  return DVG_OK;
}

// ---- lists

static enum dvg_status add_line(struct names *names, const char *folder, char *line) {
  char *end = line + strlen(line);
  while (end > line && strchr(" \t\r", end[-1])) *--end = 0;
  line += strspn(line, " \t");
  if (!*line || *line == '#') return DVG_OK;
  if (names->n >= MAX_TARS)
    return dvg_fail(DVG_ERROR_INPUT, "%s: more than %d files are listed", folder, MAX_TARS);
  const char *root = *line == '/' ? "" : folder;
  if (strchr(line, '{')) return add_range(names, root, line);
  char *name = NULL;
  DVG_TRY(dvg_text(&name, "%s%s", root, line));
  return add_name(names, name);
}

static enum dvg_status add_list(struct names *names, const char *path) {
  char *text = NULL, *folder = NULL, *root = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_path_read_text(path, max_list_bytes, &text));
  DVG_TRY_GOTO(dvg_path_folder(&folder, path));
  DVG_TRY_GOTO(dvg_text(&root, "%s/", folder));
  for (char *line = text; *line;) {
    char *end = line + strcspn(line, "\n"), *next = end + (*end == '\n');
    *end = 0;
    DVG_TRY_GOTO(add_line(names, root, line));
    line = next;
  }
  if (names->n == 0) status = dvg_fail(DVG_ERROR_INPUT, "%s: lists no tar file", path);
done:
  dvg_free(&text);
  dvg_free(&folder);
  dvg_free(&root);
  return status;
}

// Whether a file is a tar by its first block, or claims to be one by its name: then its own error is what
// people want to hear.
static enum dvg_status look(int *is_tar, const char *path) {
  unsigned char block[TAR_BLOCK] = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
  ssize_t n = read(fd, block, sizeof block);
  close(fd);
  *is_tar = is_tar_name(dvg_path_name(path)) || (n >= 2 && block[0] == 0x1f && block[1] == 0x8b) ||
            (n == TAR_BLOCK && memcmp(block + 257, "ustar", 5) == 0);
  return DVG_OK;
}

static enum dvg_status add_source(struct names *names, const char *source) {
  struct stat s;
  if (stat(source, &s) != 0 && strchr(source, '{')) return add_range(names, "", source);
  if (stat(source, &s) == 0 && S_ISDIR(s.st_mode)) return add_folder(names, source);
  int is_tar = 0;
  DVG_TRY(look(&is_tar, source));
  if (!is_tar) return add_list(names, source);
  char *name = NULL;
  DVG_TRY(dvg_text(&name, "%s", source));
  return add_name(names, name);
}

enum dvg_status dvg_tar_names(char ***out, int64_t *n, const char *source) {
  struct names names = {0};
  enum dvg_status status = add_source(&names, source);
  *out = names.name;
  *n = names.n;
  return status;
}
