// Writing RecordIO in InsightFace's form.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/recordio.h"
#include "io/recordio_format.h"

struct dvg_recordio_writer {
  char *path, *part, *index_path, *index_part;
  FILE *records, *index;
  int64_t n_images, n_people, n_added, offset;
  int64_t *person_first; // (n_people + 1) key of each person's first image; the last: past the images
  struct dvg_bytes record;
};

enum dvg_status dvg_recordio_index_path(char **index, const char *path) {
  const char *name = dvg_path_name(path), *dot = strrchr(name, '.');
  size_t n = dot && dot != name ? (size_t)(dot - path) : strlen(path);
  return dvg_text(index, "%.*s.idx", (int)n, path);
}

static void put_u32(unsigned char *p, uint32_t value) {
  for (int i = 0; i < 4; i++) p[i] = (unsigned char)(value >> 8 * i);
}

static enum dvg_status cannot_write(const char *path) {
  return dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
}

// ---- records

static enum dvg_status write_part(struct dvg_recordio_writer *w, uint32_t kind, const unsigned char *data,
                                  size_t n) {
  static const unsigned char zeros[4];
  unsigned char head[8];
  size_t padding = (4 - n % 4) % 4;
  put_u32(head, DVG_RECORDIO_MAGIC);
  put_u32(head + 4, kind << DVG_RECORDIO_LENGTH_BITS | (uint32_t)n);
  if (fwrite(head, 1, sizeof head, w->records) != sizeof head || (n && fwrite(data, 1, n, w->records) != n) ||
      (padding && fwrite(zeros, 1, padding, w->records) != padding))
    return cannot_write(w->part);
  w->offset += (int64_t)(sizeof head + n + padding);
  return DVG_OK;
}

// A reader that has lost its place looks for the magic at multiples of 4: there must be none inside a record.
static enum dvg_status write_parts(struct dvg_recordio_writer *w, const struct dvg_bytes *record) {
  unsigned char magic[4];
  size_t first = 0;
  put_u32(magic, DVG_RECORDIO_MAGIC);
  for (size_t i = 0; i + 4 <= record->n; i += 4) {
    if (memcmp(record->data + i, magic, sizeof magic) != 0) continue;
    DVG_TRY(write_part(w, first ? DVG_RECORDIO_MIDDLE : DVG_RECORDIO_FIRST, record->data + first, i - first));
    first = i + 4;
  }
  return write_part(w, first ? DVG_RECORDIO_LAST : DVG_RECORDIO_WHOLE, record->data + first, record->n - first);
}

// A record with one label, or with two and no image.
static enum dvg_status write_record(struct dvg_recordio_writer *w, int64_t key, int n_labels,
                                    const float *labels, const void *image, size_t n_bytes) {
  unsigned char head[DVG_RECORDIO_HEAD] = {0};
  uint32_t bits[2] = {0};
  size_t n_head = n_labels == 1 ? DVG_RECORDIO_HEADER : DVG_RECORDIO_HEAD;
  if (n_bytes > DVG_RECORDIO_MAX_PART - sizeof head)
    return dvg_fail(DVG_ERROR_INPUT, "%s: an image of %zu bytes, a record has room for %zu", w->path, n_bytes,
                    (size_t)DVG_RECORDIO_MAX_PART - sizeof head);
  memcpy(bits, labels, (size_t)n_labels * sizeof *labels);
  if (n_labels == 1) put_u32(head + 4, bits[0]);
  else {
    put_u32(head, 2);
    put_u32(head + DVG_RECORDIO_HEADER, bits[0]);
    put_u32(head + DVG_RECORDIO_HEADER + 4, bits[1]);
  }
  put_u32(head + 8, (uint32_t)key); // below 2^24
  w->record.n = 0;
  DVG_TRY(dvg_bytes_append(&w->record, head, n_head, "a record"));
  DVG_TRY(dvg_bytes_append(&w->record, image, n_bytes, "a record"));
  if (fprintf(w->index, "%" PRId64 "\t%" PRId64 "\n", key, w->offset) < 0) return cannot_write(w->index_part);
  return write_parts(w, &w->record);
}

// ---- the file

static enum dvg_status open_part(FILE **f, const char *part) {
  *f = fopen(part, "wb");
  return *f ? DVG_OK : dvg_fail(DVG_ERROR_IO, "%s: cannot create: %s", part, strerror(errno));
}

static enum dvg_status begin(struct dvg_recordio_writer *w) {
  char *folder = NULL;
  enum dvg_status status;
  DVG_TRY(dvg_path_folder(&folder, w->path));
  DVG_TRY_GOTO(dvg_path_make_folder(folder));
  DVG_TRY_GOTO(open_part(&w->records, w->part));
  DVG_TRY_GOTO(open_part(&w->index, w->index_part));
  float labels[2] = {(float)(w->n_images + 1), (float)(w->n_images + 1 + w->n_people)};
  DVG_TRY_GOTO(write_record(w, 0, 2, labels, NULL, 0));
done:
  dvg_free(&folder);
  return status;
}

enum dvg_status dvg_recordio_create(struct dvg_recordio_writer **out, const char *path, int64_t n_images,
                                    int64_t n_people) {
  const int64_t exact = 1 << 24;
  if (n_images < 1 || n_people < 1 || n_images >= exact || n_people >= exact - n_images)
    return dvg_fail(DVG_ERROR_USAGE,
                    "%s: %" PRId64 " images of %" PRId64
                    " people: RecordIO's labels count to 2^24, both together",
                    path, n_images, n_people);
  struct dvg_recordio_writer *w = NULL;
  DVG_TRY(DVG_NEW(&w, 1, "RecordIO"));
  w->n_images = n_images;
  w->n_people = n_people;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&w->path, "%s", path));
  DVG_TRY_GOTO(dvg_text(&w->part, "%s.part", path));
  DVG_TRY_GOTO(dvg_recordio_index_path(&w->index_path, path));
  DVG_TRY_GOTO(dvg_text(&w->index_part, "%s.part", w->index_path));
  DVG_TRY_GOTO(DVG_NEW(&w->person_first, n_people + 1, "people"));
  DVG_TRY_GOTO(begin(w));
  *out = w;
  return DVG_OK;
done:
  dvg_recordio_discard(&w);
  return status;
}

enum dvg_status dvg_recordio_add(struct dvg_recordio_writer *w, int64_t identity, const void *image,
                                 size_t n_bytes) {
  if (w->n_added == w->n_images || identity < 0 || identity >= w->n_people || n_bytes == 0)
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: image %" PRId64 " of person %" PRId64 " was not announced",
                    w->path, w->n_added, identity);
  if (identity + 1 < w->n_people && w->person_first[identity + 1])
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: image %" PRId64 " of person %" PRId64 " comes too late", w->path,
                    w->n_added, identity);
  int64_t key = ++w->n_added;
  for (int64_t p = identity; p >= 0 && !w->person_first[p]; p--) w->person_first[p] = key;
  float label = (float)identity;
  return write_record(w, key, 1, &label, image, n_bytes);
}

static enum dvg_status write_people(struct dvg_recordio_writer *w) {
  if (w->n_added != w->n_images)
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: has %" PRId64 " of its %" PRId64 " images", w->path, w->n_added,
                    w->n_images);
  for (int64_t p = w->n_people; p >= 0 && !w->person_first[p]; p--) w->person_first[p] = w->n_images + 1;
  for (int64_t p = 0; p < w->n_people; p++) {
    float labels[2] = {(float)w->person_first[p], (float)w->person_first[p + 1]};
    DVG_TRY(write_record(w, w->n_images + 1 + p, 2, labels, NULL, 0));
  }
  return DVG_OK;
}

static enum dvg_status shut(FILE **f, const char *part) {
  int bad = fclose(*f) != 0;
  *f = NULL;
  return bad ? dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", part, strerror(errno)) : DVG_OK;
}

enum dvg_status dvg_recordio_commit(struct dvg_recordio_writer **writer) {
  struct dvg_recordio_writer *w = *writer;
  enum dvg_status status;
  DVG_TRY_GOTO(write_people(w));
  DVG_TRY_GOTO(shut(&w->records, w->part));
  DVG_TRY_GOTO(shut(&w->index, w->index_part));
  // An index of before would point into the new file at the wrong places.
  DVG_TRY_GOTO(dvg_path_remove(w->index_path));
  DVG_TRY_GOTO(dvg_path_finish(w->part, w->path));
  DVG_TRY_GOTO(dvg_path_finish(w->index_part, w->index_path));
done:
  dvg_recordio_discard(writer);
  return status;
}

void dvg_recordio_discard(struct dvg_recordio_writer **writer) {
  struct dvg_recordio_writer *w = *writer;
  if (!w) return;
  if (w->records) fclose(w->records);
  if (w->index) fclose(w->index);
  if (w->part) unlink(w->part); // nothing is there after a commit
  if (w->index_part) unlink(w->index_part);
  dvg_free(&w->path);
  dvg_free(&w->part);
  dvg_free(&w->index_path);
  dvg_free(&w->index_part);
  dvg_free(&w->person_first);
  dvg_bytes_free(&w->record);
  dvg_free(writer);
}
