// Writing a tar shard.
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/tar.h"

struct dvg_tar_writer {
  char *path, *part;
  int fd;
  struct archive *archive;
  struct archive_entry *entry;
};

static enum dvg_status cannot_write(const struct dvg_tar_writer *w) {
  const char *cause = archive_error_string(w->archive);
  return dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", w->part, cause ? cause : "unknown cause");
}

static enum dvg_status begin(struct dvg_tar_writer *w) {
  char *folder = NULL;
  DVG_TRY(dvg_path_folder(&folder, w->path));
  enum dvg_status status = dvg_path_make_folder(folder);
  dvg_free(&folder);
  DVG_TRY(status);
  w->fd = open(w->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (w->fd < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot create: %s", w->part, strerror(errno));
  w->archive = archive_write_new();
  w->entry = archive_entry_new();
  if (!w->archive || !w->entry) return dvg_fail(DVG_ERROR_MEMORY, "no memory for a tar file");
  // Restricted: a pax header only for what ustar can't hold.
  if (archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK ||
      archive_write_open_fd(w->archive, w->fd) != ARCHIVE_OK)
    return cannot_write(w);
  return DVG_OK;
}

enum dvg_status dvg_tar_create(struct dvg_tar_writer **out, const char *path) {
  struct dvg_tar_writer *w = NULL;
  DVG_TRY(DVG_NEW(&w, 1, "a tar file"));
  w->fd = -1;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&w->path, "%s", path));
  DVG_TRY_GOTO(dvg_text(&w->part, "%s.part", path));
  DVG_TRY_GOTO(begin(w));
  *out = w;
  return DVG_OK;
done:
  dvg_tar_discard(&w);
  return status;
}

enum dvg_status dvg_tar_add(struct dvg_tar_writer *w, const char *name, const void *bytes, size_t n_bytes) {
  archive_entry_clear(w->entry);
  archive_entry_set_pathname(w->entry, name);
  archive_entry_set_filetype(w->entry, AE_IFREG);
  archive_entry_set_perm(w->entry, 0644);
  archive_entry_set_size(w->entry, (la_int64_t)n_bytes);
  archive_entry_set_mtime(w->entry, 0, 0); // the same content, the same bytes
  // A warning: a name that isn't in this locale's letters, written byte for byte.
  if (archive_write_header(w->archive, w->entry) < ARCHIVE_WARN) return cannot_write(w);
  if (n_bytes && archive_write_data(w->archive, bytes, n_bytes) != (la_ssize_t)n_bytes) return cannot_write(w);
  return DVG_OK;
}

enum dvg_status dvg_tar_commit(struct dvg_tar_writer **writer) {
  struct dvg_tar_writer *w = *writer;
  enum dvg_status status = archive_write_close(w->archive) == ARCHIVE_OK ? DVG_OK : cannot_write(w);
  if (status == DVG_OK) status = dvg_path_finish(w->part, w->path);
  dvg_tar_discard(writer);
  return status;
}

void dvg_tar_discard(struct dvg_tar_writer **writer) {
  struct dvg_tar_writer *w = *writer;
  if (!w) return;
  if (w->fd >= 0) unlink(w->part); // nothing is there after a commit
  if (w->archive)
    archive_write_free(w->archive); // which may still write its end: into what has no name any more
  archive_entry_free(w->entry);
  if (w->fd >= 0) close(w->fd);
  dvg_free(&w->path);
  dvg_free(&w->part);
  dvg_free(writer);
}
