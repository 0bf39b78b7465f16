#include "io/zip_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum {
  END_BYTES = 22,     // end of central directory without its comment
  LOCATOR_BYTES = 20, // of the zip64 end of central directory
  END64_BYTES = 56,   // without extensions
  CENTRAL_BYTES = 46, // header in the central directory without name, extra fields, comment
  LOCAL_BYTES = 30,   // header in front of the content, likewise
  MAX_COMMENT = 65535,
  MAX_DIRECTORY = 1 << 26,
};

static enum dvg_status damaged(const struct dvg_tensors *f, const char *what) {
  return dvg_fail(DVG_ERROR_INPUT, "%s: is a damaged zip container: %s", f->path, what);
}

static int begins(const unsigned char *at, const char *signature) {
  return memcmp(at, signature, 4) == 0;
}

struct directory {
  uint64_t first, n_bytes, n_entries;
};

// The values of the zip64 record, where there is one in front of the end record at byte `end`.
static enum dvg_status read_end64(struct directory *d, const struct dvg_tensors *f, int64_t end) {
  unsigned char locator[LOCATOR_BYTES], record[END64_BYTES];
  if (end < LOCATOR_BYTES) return DVG_OK;
  DVG_TRY(dvg_tensors_bytes(f, end - LOCATOR_BYTES, LOCATOR_BYTES, locator));
  if (!begins(locator, "PK\6\7")) return DVG_OK;
  uint64_t at = dvg_little(locator + 8, 8);
  if (at > (uint64_t)end) return damaged(f, "its zip64 record is not in the file");
  DVG_TRY(dvg_tensors_bytes(f, (int64_t)at, END64_BYTES, record));
  if (!begins(record, "PK\6\6")) return damaged(f, "its zip64 record is not where it should be");
  *d = (struct directory){dvg_little(record + 48, 8), dvg_little(record + 40, 8), dvg_little(record + 32, 8)};
  return DVG_OK;
}

// The end record stands at the end but for a comment.
static enum dvg_status find_directory(struct directory *d, const struct dvg_tensors *f) {
  unsigned char *tail = NULL;
  int64_t n = f->n_bytes < END_BYTES + MAX_COMMENT ? f->n_bytes : END_BYTES + MAX_COMMENT, at = n - END_BYTES;
  DVG_TRY(DVG_NEW(&tail, n, "end of a zip container"));
  enum dvg_status status = dvg_tensors_bytes(f, f->n_bytes - n, n, tail);
  for (; status == DVG_OK && at >= 0; at--)
    if (begins(tail + at, "PK\5\6") && at + END_BYTES + (int64_t)dvg_little(tail + at + 20, 2) == n) break;
  if (status == DVG_OK && at < 0) status = damaged(f, "it has no end record; is it truncated?");
  if (status == DVG_OK) {
    const unsigned char *end = tail + at;
    *d = (struct directory){dvg_little(end + 16, 4), dvg_little(end + 12, 4), dvg_little(end + 10, 2)};
    status = read_end64(d, f, f->n_bytes - n + at);
  }
  dvg_free(&tail);
  return status;
}

// Sizes and places beyond 32 bits stand in the extra field 1, in this order, each only where the header has all
// bits set.
static int read_wide(const unsigned char *extra, int64_t n, uint64_t *fields[3]) {
  for (int64_t at = 0; at + 4 <= n;) {
    int64_t id = (int64_t)dvg_little(extra + at, 2), length = (int64_t)dvg_little(extra + at + 2, 2);
    at += 4;
    if (length > n - at) return 0;
    if (id == 1) {
      int64_t used = 0;
      for (int i = 0; i < 3; i++) {
        if (*fields[i] != UINT32_MAX) continue;
        if (used + 8 > length) return 0;
        *fields[i] = dvg_little(extra + at + used, 8);
        used += 8;
      }
      return 1;
    }
    at += length;
  }
  return *fields[0] != UINT32_MAX && *fields[1] != UINT32_MAX && *fields[2] != UINT32_MAX;
}

// One header of the directory: `left` bytes are there. *used = its length.
static enum dvg_status read_entry(struct dvg_zip *z, const unsigned char *at, int64_t left, int64_t *used,
                                  char **name) {
  if (left < CENTRAL_BYTES || !begins(at, "PK\1\2")) return damaged(z->f, "its directory is cut short");
  int64_t n_name = (int64_t)dvg_little(at + 28, 2), n_extra = (int64_t)dvg_little(at + 30, 2),
          n_comment = (int64_t)dvg_little(at + 32, 2);
  *used = CENTRAL_BYTES + n_name + n_extra + n_comment;
  if (*used > left) return damaged(z->f, "its directory is cut short");
  uint64_t packed = dvg_little(at + 20, 4), size = dvg_little(at + 24, 4), header = dvg_little(at + 42, 4);
  uint64_t *const fields[3] = {&size, &packed, &header};
  uint64_t *wide[3] = {fields[0], fields[1], fields[2]};
  if (!read_wide(at + CENTRAL_BYTES + n_name, n_extra, wide)) return damaged(z->f, "a zip64 field is missing");
  if (size > (uint64_t)z->f->n_bytes || header > (uint64_t)z->f->n_bytes)
    return damaged(z->f, "an entry is not in the file; is it truncated?");
  struct dvg_zip_entry *e = &z->entry[z->n_entries++];
  *e = (struct dvg_zip_entry){*name, (int64_t)header, (int64_t)size,
                              dvg_little(at + 10, 2) == 0 && !(at[8] & 1) && packed == size};
  memcpy(*name, at + CENTRAL_BYTES, (size_t)n_name);
  *name += n_name + 1;
  return DVG_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct dvg_zip_entry *)a)->name, ((const struct dvg_zip_entry *)b)->name);
}

static enum dvg_status read_entries(struct dvg_zip *z, const unsigned char *bytes, const struct directory *d) {
  char *name = z->names;
  int64_t at = 0, used = 0;
  for (uint64_t i = 0; i < d->n_entries; i++, at += used)
    DVG_TRY(read_entry(z, bytes + at, (int64_t)d->n_bytes - at, &used, &name));
  qsort(z->entry, (size_t)z->n_entries, sizeof *z->entry, by_name);
  for (int64_t i = 1; i < z->n_entries; i++)
    if (by_name(&z->entry[i - 1], &z->entry[i]) == 0) return damaged(z->f, "two entries have one name");
  return DVG_OK;
}

enum dvg_status dvg_zip_read(struct dvg_zip *z, const struct dvg_tensors *f) {
  struct directory d;
  unsigned char *bytes = NULL;
  *z = (struct dvg_zip){.f = f};
  DVG_TRY(find_directory(&d, f));
  if (d.n_bytes > MAX_DIRECTORY || d.first > (uint64_t)f->n_bytes || d.n_bytes > (uint64_t)f->n_bytes - d.first)
    return damaged(f, "its directory is not in the file");
  if (d.n_entries > d.n_bytes / CENTRAL_BYTES) return damaged(f, "its directory has no room for its entries");
  DVG_TRY(DVG_NEW(&bytes, (int64_t)d.n_bytes, "directory of a zip container"));
  enum dvg_status status = dvg_tensors_bytes(f, (int64_t)d.first, (int64_t)d.n_bytes, bytes);
  if (status == DVG_OK) status = DVG_NEW(&z->entry, (int64_t)d.n_entries, "entries of a zip container");
  // A name and its NUL take less than its header.
  if (status == DVG_OK) status = DVG_NEW(&z->names, (int64_t)d.n_bytes, "entries of a zip container");
  if (status == DVG_OK) status = read_entries(z, bytes, &d);
  dvg_free(&bytes);
  return status;
}

void dvg_zip_free(struct dvg_zip *z) {
  dvg_free(&z->entry);
  dvg_free(&z->names);
  *z = (struct dvg_zip){.f = NULL};
}

const struct dvg_zip_entry *dvg_zip_find(const struct dvg_zip *z, const char *name) {
  const struct dvg_zip_entry key = {.name = name};
  return z->n_entries ? bsearch(&key, z->entry, (size_t)z->n_entries, sizeof key, by_name) : NULL;
}

enum dvg_status dvg_zip_locate(const struct dvg_zip *z, const struct dvg_zip_entry *e, int64_t *first_byte) {
  unsigned char local[LOCAL_BYTES];
  if (!e->plain)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is a compressed or encrypted zip archive; PyTorch stores plainly",
                    z->f->path);
  DVG_TRY(dvg_tensors_bytes(z->f, e->header, LOCAL_BYTES, local));
  if (!begins(local, "PK\3\4")) return damaged(z->f, "an entry is not where its directory says");
  int64_t first =
      e->header + LOCAL_BYTES + (int64_t)dvg_little(local + 26, 2) + (int64_t)dvg_little(local + 28, 2);
  if (first > z->f->n_bytes || e->n_bytes > z->f->n_bytes - first)
    return damaged(z->f, "an entry is not in the file; is it truncated?");
  *first_byte = first;
  return DVG_OK;
}
