// Reading RecordIO: all heads in one pass, then any record by pread.
#include "io/recordio.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/file.h"
#include "io/recordio_format.h"

static const int64_t max_index_bytes = (int64_t)1 << 36;

// What is read of the file around a head, so that small records don't cost a call each.
struct window {
  unsigned char data[4096];
  int64_t at;
  size_t n;
};

// One record as its parts tell: `head` is what the file has of its first DVG_RECORDIO_HEAD bytes.
struct record {
  int64_t number, key, offset, n_bytes, next; // next: where the following record begins
  unsigned char head[DVG_RECORDIO_HEAD];
};

// Records without an image: two labels.
struct range {
  int64_t key, offset;
  float first, end;
};

struct opening {
  struct dvg_recordio *r;
  struct window window;
  struct range *ranges;
  int64_t n_ranges;
};

static enum dvg_status bad_record(const struct dvg_recordio *r, const struct record *x, const char *format, ...)
    DVG_PRINTF(3, 4);
static enum dvg_status bad_record(const struct dvg_recordio *r, const struct record *x, const char *format,
                                  ...) {
  char what[256], key[40] = "";
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  if (x->key >= 0) snprintf(key, sizeof key, " (key %" PRId64 ")", x->key);
  return dvg_fail(DVG_ERROR_INPUT, "%s: record %" PRId64 "%s at byte %" PRId64 ": %s", r->path, x->number, key,
                  x->offset, what);
}

static uint32_t u32_at(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float f32_at(const unsigned char *p) {
  uint32_t bits = u32_at(p);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// ---- bytes of the file

// Few bytes that are known to be in the file, by way of the window if there is one.
static enum dvg_status peek(const struct dvg_recordio *r, struct window *w, void *data, size_t n,
                            int64_t offset) {
  if (!w || n > sizeof w->data) return dvg_file_read(r->fd, r->path, data, n, offset);
  if (offset < w->at || offset + (int64_t)n > w->at + (int64_t)w->n) {
    int64_t left = r->file_bytes - offset;
    w->n = 0;
    size_t wanted = left < (int64_t)sizeof w->data ? (size_t)left : sizeof w->data;
    DVG_TRY(dvg_file_read(r->fd, r->path, w->data, wanted, offset));
    w->at = offset;
    w->n = wanted;
  }
  memcpy(data, w->data + (offset - w->at), n);
  return DVG_OK;
}

// ---- a record

struct part {
  uint32_t kind;
  int64_t first, n_bytes, next;
};

static enum dvg_status read_part(struct part *p, const struct dvg_recordio *r, struct window *w,
                                 const struct record *x, int64_t offset) {
  unsigned char head[8];
  if (r->file_bytes - offset < (int64_t)sizeof head) return bad_record(r, x, "the file ends inside it");
  DVG_TRY(peek(r, w, head, sizeof head, offset));
  if (u32_at(head) != DVG_RECORDIO_MAGIC)
    return bad_record(r, x, "no RecordIO: 0x%08" PRIx32 " at byte %" PRId64 " is not the magic number",
                      u32_at(head), offset);
  uint32_t word = u32_at(head + 4);
  p->kind = word >> DVG_RECORDIO_LENGTH_BITS;
  p->n_bytes = word & DVG_RECORDIO_MAX_PART;
  p->first = offset + (int64_t)sizeof head;
  p->next = p->first + (p->n_bytes + 3) / 4 * 4;
  if (p->next > r->file_bytes)
    return bad_record(r, x, "its %" PRId64 " bytes reach beyond the end of the file, which has %" PRId64,
                      p->n_bytes, r->file_bytes);
  return DVG_OK;
}

// Puts together the first `wanted` bytes of the record at x->offset; fills in its length and where the next one
// begins.
static enum dvg_status read_record(struct record *x, unsigned char *data, int64_t wanted,
                                   const struct dvg_recordio *r, struct window *w) {
  static const unsigned char magic[4] = {0x0a, 0x23, 0xd7, 0xce};
  int64_t offset = x->offset, n = 0;
  for (int begun = 0;; begun = 1) {
    struct part p = {0};
    DVG_TRY(read_part(&p, r, w, x, offset));
    int is_first = p.kind == DVG_RECORDIO_WHOLE || p.kind == DVG_RECORDIO_FIRST;
    if (p.kind > DVG_RECORDIO_LAST || is_first == begun)
      return bad_record(r, x, "a part of kind %" PRIu32 " at byte %" PRId64 " is out of order", p.kind, offset);
    for (int64_t i = 0; begun && i < (int64_t)sizeof magic && n + i < wanted; i++) data[n + i] = magic[i];
    n += begun ? (int64_t)sizeof magic : 0;
    int64_t taken = wanted - n < p.n_bytes ? wanted - n : p.n_bytes;
    if (taken > 0) DVG_TRY(peek(r, w, data + n, (size_t)taken, p.first));
    n += p.n_bytes;
    offset = p.next;
    if (p.kind == DVG_RECORDIO_WHOLE || p.kind == DVG_RECORDIO_LAST) break;
  }
  x->n_bytes = n;
  x->next = offset;
  return DVG_OK;
}

// *first = where the image begins in a record whose head is `head`.
static enum dvg_status find_image(int64_t *first, const struct dvg_recordio *r, const struct record *x,
                                  const unsigned char *head) {
  if (x->n_bytes < DVG_RECORDIO_HEADER)
    return bad_record(r, x, "has %" PRId64 " bytes, its header alone needs %d", x->n_bytes,
                      DVG_RECORDIO_HEADER);
  uint32_t n_labels = u32_at(head);
  if (n_labels > (x->n_bytes - DVG_RECORDIO_HEADER) / 4)
    return bad_record(r, x, "claims %" PRIu32 " labels in %" PRId64 " bytes", n_labels, x->n_bytes);
  *first = DVG_RECORDIO_HEADER + (int64_t)n_labels * 4;
  return DVG_OK;
}

// ---- the table

static enum dvg_status add_range(struct opening *o, const struct record *x) {
  DVG_TRY(DVG_GROW(&o->ranges, o->n_ranges, "records"));
  o->ranges[o->n_ranges++] = (struct range){.key = x->key,
                                            .offset = x->offset,
                                            .first = f32_at(x->head + DVG_RECORDIO_HEADER),
                                            .end = f32_at(x->head + DVG_RECORDIO_HEADER + 4)};
  return DVG_OK;
}

static enum dvg_status add_image(struct opening *o, const struct record *x) {
  uint32_t n_labels = u32_at(x->head);
  float label = f32_at(x->head + (n_labels ? DVG_RECORDIO_HEADER : 4));
  if (!(label >= 0 && label < 0x1p53F && label == floorf(label)))
    return bad_record(o->r, x, "its label, %g, is no whole number of 0 or more", (double)label);
  struct dvg_recordio *r = o->r;
  DVG_TRY(DVG_GROW(&r->images, r->n_images, "records"));
  r->images[r->n_images++] = (struct dvg_recordio_image){
      .key = x->key, .offset = x->offset, .n_bytes = x->n_bytes, .identity = (int64_t)label};
  return DVG_OK;
}

// x->key -1: the record's own id is its key.
static enum dvg_status take_record(struct opening *o, struct record *x) {
  int64_t first = 0;
  DVG_TRY(read_record(x, x->head, DVG_RECORDIO_HEAD, o->r, &o->window));
  DVG_TRY(find_image(&first, o->r, x, x->head));
  if (x->key < 0) {
    uint64_t id = u32_at(x->head + 8) | (uint64_t)u32_at(x->head + 12) << 32;
    if (id > INT64_MAX) return bad_record(o->r, x, "its id, %" PRIu64 ", is too large", id);
    x->key = (int64_t)id;
  }
  if (first < x->n_bytes) return add_image(o, x);
  return u32_at(x->head) == 2 ? add_range(o, x) : bad_record(o->r, x, "holds no image");
}

static enum dvg_status scan(struct opening *o) {
  struct record x = {.number = 0};
  for (; x.offset < o->r->file_bytes; x.offset = x.next, x.number++) {
    x.key = -1;
    DVG_TRY(take_record(o, &x));
  }
  return DVG_OK;
}

// ---- the index

struct entry {
  int64_t key, offset;
};

static int by_offset(const void *a, const void *b) {
  int64_t x = ((const struct entry *)a)->offset, y = ((const struct entry *)b)->offset;
  return (x > y) - (x < y);
}

static int by_key(const void *a, const void *b) {
  int64_t x = ((const struct entry *)a)->key, y = ((const struct entry *)b)->key;
  return (x > y) - (x < y);
}

// Digits, then blanks.
static int read_number(int64_t *value, char **at) {
  char *after;
  if (**at < '0' || **at > '9') return 0;
  errno = 0;
  *value = strtoll(*at, &after, 10);
  *at = after + strspn(after, " \t\r");
  return errno == 0;
}

static enum dvg_status parse_index(struct entry **entries, int64_t *n, char *text, const char *path) {
  int64_t n_lines = 1;
  for (const char *p = text; *p; p++) n_lines += *p == '\n';
  DVG_TRY(DVG_NEW(entries, n_lines, "an index of records"));
  *n = 0;
  for (int64_t line = 1; *text; line++) {
    char *at = text + strspn(text, " \t\r"), *end = text + strcspn(text, "\n");
    text = end + (*end == '\n');
    if (at == end) continue;
    struct entry *e = &(*entries)[(*n)++];
    if (!read_number(&e->key, &at) || !read_number(&e->offset, &at) || at != end)
      return dvg_fail(DVG_ERROR_INPUT, "%s:%" PRId64 ": is not 'key <tab> offset'", path, line);
  }
  return DVG_OK;
}

static enum dvg_status check_index(struct entry *entries, int64_t n, const char *path, int64_t file_bytes) {
  qsort(entries, (size_t)n, sizeof *entries, by_key);
  for (int64_t i = 0; i < n; i++) {
    if (i && entries[i].key == entries[i - 1].key)
      return dvg_fail(DVG_ERROR_INPUT, "%s: key %" PRId64 " is there twice", path, entries[i].key);
    if (entries[i].offset >= file_bytes)
      return dvg_fail(DVG_ERROR_INPUT,
                      "%s: key %" PRId64 " points to byte %" PRId64
                      ", beyond the end of the records' file, which has %" PRId64,
                      path, entries[i].key, entries[i].offset, file_bytes);
  }
  qsort(entries, (size_t)n, sizeof *entries, by_offset);
  return DVG_OK;
}

// The records that the index names, in the file's order. They must not overlap, or a forged index would make
// one long record be walked through again and again.
static enum dvg_status take_indexed(struct opening *o, const struct entry *entries, int64_t n,
                                    const char *path) {
  struct record x = {.number = 0};
  for (; x.number < n; x.number++) {
    const struct entry *e = &entries[x.number];
    if (e->offset < x.next)
      return dvg_fail(DVG_ERROR_INPUT, "%s: key %" PRId64 " points into the record before it, to byte %" PRId64,
                      path, e->key, e->offset);
    x.key = e->key;
    x.offset = e->offset;
    DVG_TRY(take_record(o, &x));
  }
  return DVG_OK;
}

static enum dvg_status scan_by_index(struct opening *o, const char *path) {
  char *text = NULL;
  struct entry *entries = NULL;
  int64_t n = 0;
  DVG_TRY(dvg_path_read_text(path, max_index_bytes, &text));
  enum dvg_status status;
  DVG_TRY_GOTO(parse_index(&entries, &n, text, path));
  DVG_TRY_GOTO(check_index(entries, n, path, o->r->file_bytes));
  DVG_TRY_GOTO(take_indexed(o, entries, n, path));
done:
  dvg_free(&text);
  dvg_free(&entries);
  return status;
}

// ---- the header of InsightFace's sets

static enum dvg_status bad_range(const struct dvg_recordio *r, const struct range *x, const char *what) {
  return dvg_fail(DVG_ERROR_INPUT, "%s: record with key %" PRId64 " at byte %" PRId64 ": %s (%g to %g)",
                  r->path, x->key, x->offset, what, (double)x->first, (double)x->end);
}

static enum dvg_status check_ranges(struct opening *o) {
  const float exact = 0x1p24F;
  struct dvg_recordio *r = o->r;
  const struct range *header = NULL;
  if (o->n_ranges == 0) return DVG_OK;
  for (int64_t i = 0; i < o->n_ranges; i++) {
    if (o->ranges[i].key != 0) continue;
    if (header) return bad_range(r, &o->ranges[i], "a second header");
    header = &o->ranges[i];
  }
  if (!header) return bad_range(r, &o->ranges[0], "holds no image, and the set has no header (key 0)");
  if (!(header->first >= 1 && header->end >= header->first && header->end < 0x1p53F))
    return bad_range(r, header, "the header's labels are no range of keys");
  for (int64_t i = 0; i < o->n_ranges; i++) {
    const struct range *x = &o->ranges[i];
    if (x != header && !(x->first >= 0 && x->end >= x->first && x->end <= header->first))
      return bad_range(r, x, "a person's range is not within the images' keys");
  }
  r->n_people_records = o->n_ranges - 1;
  if (header->end < exact && (int64_t)header->end - (int64_t)header->first != r->n_people_records)
    return dvg_fail(DVG_ERROR_INPUT, "%s: its header promises %.0f people, there are records of %" PRId64,
                    r->path, (double)(header->end - header->first), r->n_people_records);
  return DVG_OK;
}

// ---- opening and reading

enum dvg_status dvg_recordio_open(struct dvg_recordio *out, const char *path) {
  struct dvg_recordio r = {.fd = -1};
  struct opening *o = NULL;
  char *index = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&r.path, "%s", path));
  DVG_TRY_GOTO(dvg_recordio_index_path(&index, path));
  DVG_TRY_GOTO(DVG_NEW(&o, 1, "records"));
  o->r = &r;
  DVG_TRY_GOTO(dvg_file_open(&r.fd, &r.file_bytes, r.path));
  DVG_TRY_GOTO(dvg_path_exists(index) ? scan_by_index(o, index) : scan(o));
  DVG_TRY_GOTO(check_ranges(o));
  if (r.n_images == 0) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: holds no image", path);
    goto done;
  }
  *out = r;
done:
  if (o) dvg_free(&o->ranges);
  dvg_free(&o);
  dvg_free(&index);
  if (status != DVG_OK) dvg_recordio_close(&r);
  return status;
}

void dvg_recordio_close(struct dvg_recordio *r) {
  if (r->path && r->fd >= 0) close(r->fd);
  dvg_free(&r->path);
  dvg_free(&r->images);
  *r = (struct dvg_recordio){.fd = -1};
}

enum dvg_status dvg_recordio_read(struct dvg_bytes *b, size_t *first, const struct dvg_recordio *r, int64_t i) {
  const struct dvg_recordio_image *image = &r->images[i];
  struct record x = {.number = i, .key = image->key, .offset = image->offset};
  int64_t start = 0;
  b->n = 0;
  DVG_TRY(dvg_bytes_reserve(b, (size_t)image->n_bytes, r->path));
  DVG_TRY(read_record(&x, b->data, image->n_bytes, r, NULL));
  if (x.n_bytes != image->n_bytes) return bad_record(r, &x, "has changed since the file was opened");
  DVG_TRY(find_image(&start, r, &x, b->data));
  *first = (size_t)start;
  b->n = (size_t)x.n_bytes;
  return DVG_OK;
}
