// The three forms of an export. All ranks encode; each file has one writer.
#define _GNU_SOURCE // syncfs
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/image.h"
#include "io/recordio.h"
#include "io/tar.h"
#include "mpi/distribute.h"
#include "stages/inspect/export.h"
#include "stages/json.h"

enum { ITEMS_AT_ONCE = 64 };

int64_t dvg_export_images(const struct dvg_export *e) {
  return e->source.n_items * (e->source.n_images ? e->source.n_images : 1);
}

enum dvg_status dvg_export_encode(unsigned char **bytes, size_t *n_bytes, const struct dvg_export *e,
                                  int64_t item, int k) {
  struct dvg_image image = {.H = e->source.H, .W = e->source.W, .C = e->source.C, .pixels = e->pixels};
  DVG_TRY(dvg_export_source_pixels(e->pixels, &e->source, item, k));
  if (e->s->quality > 0) return dvg_image_encode_jpeg(&image, (int)e->s->quality, bytes, n_bytes);
  return dvg_image_encode_png(&image, bytes, n_bytes);
}

// What is said while it works; nothing where only JSON may be said.
static const char *progress(const struct dvg_export *e, const char *what) {
  return e->s->json ? NULL : what;
}

static enum dvg_status all_pending(unsigned char **pending, int64_t n) {
  DVG_TRY(DVG_NEW(pending, n, "tasks"));
  memset(*pending, 1, (size_t)n);
  return DVG_OK;
}

// ---- folder

enum dvg_status dvg_export_path(char **path, struct dvg_export *e, int64_t item, int k) {
  char person[DVG_EXPORT_TEXT];
  const char *domain = dvg_export_source_domain(&e->source, item, k);
  if (e->person_folders) DVG_TRY(dvg_export_source_person(person, &e->source, item));
  else snprintf(person, sizeof person, "%08" PRId64, e->source.label[item]);
  return dvg_text(path, "%s/%s/%08" PRId64 ".%s", domain, person, item, e->ext);
}

// Under a temporary name, but not synced one by one: all are before the list is written.
static enum dvg_status write_quickly(const char *path, const void *bytes, size_t n_bytes) {
  char *part = NULL, *folder = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_path_folder(&folder, path));
  DVG_TRY_GOTO(dvg_path_make_folder(folder));
  DVG_TRY_GOTO(dvg_text(&part, "%s.part", path));
  FILE *f = fopen(part, "wb");
  int good = f && fwrite(bytes, 1, n_bytes, f) == n_bytes;
  if (f && fclose(f) != 0) good = 0;
  if (!good || rename(part, path) != 0) {
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", part, strerror(errno));
    unlink(part);
  }
done:
  dvg_free(&part);
  dvg_free(&folder);
  return status;
}

static enum dvg_status write_image(struct dvg_export *e, int64_t item, int k) {
  char *name = NULL, *path = NULL;
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_export_encode(&bytes, &n_bytes, e, item, k));
  DVG_TRY_GOTO(dvg_export_path(&name, e, item, k));
  DVG_TRY_GOTO(dvg_text(&path, "%s/%s", e->s->out, name));
  DVG_TRY_GOTO(write_quickly(path, bytes, n_bytes));
done:
  dvg_free(&name);
  dvg_free(&path);
  dvg_free(&bytes);
  return status;
}

static enum dvg_status folder_task(int64_t task, void *context) {
  struct dvg_export *e = context;
  int64_t first = task * ITEMS_AT_ONCE, end = first + ITEMS_AT_ONCE;
  for (int64_t i = first; i < end && i < e->source.n_items; i++) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    for (int k = 0; k < e->source.n_images; k++) DVG_TRY(write_image(e, i, k));
  }
  return DVG_OK;
}

static enum dvg_status sync_all(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int bad = fd < 0 || syncfs(fd) != 0, cause = errno;
  if (fd >= 0) close(fd);
  return bad ? dvg_fail(DVG_ERROR_IO, "%s: cannot sync: %s", folder, strerror(cause)) : DVG_OK;
}

enum dvg_status dvg_export_folder(struct dvg_export *e) {
  unsigned char *pending = NULL;
  int64_t n_tasks = e->source.n_images ? (e->source.n_items - 1) / ITEMS_AT_ONCE + 1 : 0;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(e->w, all_pending(&pending, n_tasks)));
  DVG_TRY_GOTO(dvg_distribute_tasks(e->w, n_tasks, pending, folder_task, e, progress(e, "blocks of 64")));
  DVG_TRY_GOTO(dvg_world_agree(e->w, sync_all(e->s->out)));
  if (e->w->rank == 0) status = dvg_export_vectors(e);
  if (e->w->rank == 0 && status == DVG_OK) status = dvg_export_list(e, "list.tsv");
  status = dvg_world_agree(e->w, status);
done:
  dvg_free(&pending);
  return status;
}

// ---- webdataset

static enum dvg_status tar_path(char **path, const struct dvg_export *e, int64_t tar) {
  return dvg_text(path, "%s/%s-%06" PRId64 ".tar", e->s->out, e->schema, tar);
}

// Takes `bytes` over.
static enum dvg_status add_member(struct dvg_tar_writer *w, int64_t item, const char *kind, const char *type,
                                  unsigned char *bytes, size_t n_bytes) {
  char name[DVG_EXPORT_TEXT + 64];
  snprintf(name, sizeof name, "%08" PRId64 "%s%s.%s", item, *kind ? "." : "", kind, type);
  enum dvg_status status = dvg_tar_add(w, name, bytes, n_bytes);
  dvg_free(&bytes);
  return status;
}

static void put_columns(struct dvg_json *j, const struct dvg_export_source *s, int64_t item) {
  for (int c = 0; c < s->n_columns; c++) {
    int64_t at = item - s->first;
    if (dvg_export_is_real(s->column[c].type))
      dvg_json_real(j, s->column[c].name, ((const double *)s->values[c])[at]);
    else dvg_json_int(j, s->column[c].name, ((const int64_t *)s->values[c])[at]);
  }
}

static enum dvg_status describe_item(char **text, struct dvg_export *e, int64_t item) {
  struct dvg_export_source *s = &e->source;
  char person[DVG_EXPORT_TEXT];
  float landmarks[10];
  struct dvg_json j;
  DVG_TRY(dvg_export_source_load(s, item));
  DVG_TRY(dvg_export_source_person(person, s, item));
  if (s->has_landmarks) DVG_TRY(dvg_export_source_landmarks(landmarks, s, item));
  dvg_json_begin(&j);
  dvg_json_text(&j, "identity", person);
  if (!s->set) dvg_json_text(&j, "domain", dvg_export_source_domain(s, item, 0));
  dvg_json_int(&j, "item", item);
  dvg_json_int(&j, "label", s->label[item]);
  if (s->has_landmarks) {
    dvg_json_open(&j, "landmarks", '[');
    for (int i = 0; i < 10; i++) dvg_json_real(&j, NULL, (double)landmarks[i]);
    dvg_json_close(&j, ']');
  }
  if (s->name) dvg_json_text(&j, "origin", s->name[item]);
  put_columns(&j, s, item);
  return dvg_json_end(&j, text);
}

static enum dvg_status add_item(struct dvg_tar_writer *w, struct dvg_export *e, int64_t item) {
  const struct dvg_export_source *s = &e->source;
  unsigned char *bytes = NULL;
  char *text = NULL;
  size_t n_bytes = 0;
  for (int k = 0; k < s->n_images; k++) {
    DVG_TRY(dvg_export_encode(&bytes, &n_bytes, e, item, k));
    DVG_TRY(add_member(w, item, s->set ? dvg_export_source_domain(s, item, k) : "", e->ext, bytes, n_bytes));
  }
  for (int v = 0; v < s->n_vectors; v++) {
    DVG_TRY(dvg_export_encode_vector(&bytes, &n_bytes, e, item, v));
    DVG_TRY(add_member(w, item, s->vector[v].name, "npy", bytes, n_bytes));
  }
  DVG_TRY(describe_item(&text, e, item));
  return add_member(w, item, "", "json", (unsigned char *)text, strlen(text));
}

static enum dvg_status tar_task(int64_t tar, void *context) {
  struct dvg_export *e = context;
  struct dvg_tar_writer *w = NULL;
  char *path = NULL;
  int64_t first = tar * e->source.per_file, end = first + e->source.per_file;
  DVG_TRY(tar_path(&path, e, tar));
  enum dvg_status status = dvg_tar_create(&w, path);
  for (int64_t i = first; status == DVG_OK && i < end && i < e->source.n_items; i++)
    status = dvg_world_stop_flag() ? DVG_STOPPED : add_item(w, e, i);
  if (status == DVG_OK) status = dvg_tar_commit(&w);
  dvg_tar_discard(&w);
  dvg_free(&path);
  return status;
}

static enum dvg_status find_pending(unsigned char *pending, const struct dvg_export *e, int64_t n) {
  for (int64_t k = 0; k < n; k++) {
    char *path = NULL;
    DVG_TRY(tar_path(&path, e, k));
    pending[k] = !dvg_path_exists(path);
    dvg_free(&path);
  }
  return DVG_OK;
}

enum dvg_status dvg_export_webdataset(struct dvg_export *e) {
  unsigned char *pending = NULL;
  int64_t n_tars = (e->source.n_items - 1) / e->source.per_file + 1;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(e->w, all_pending(&pending, n_tars)));
  DVG_TRY_GOTO(dvg_world_agree(e->w, e->w->rank == 0 ? find_pending(pending, e, n_tars) : DVG_OK));
  dvg_world_broadcast(e->w, pending, (size_t)n_tars, 0);
  status = dvg_distribute_tasks(e->w, n_tars, pending, tar_task, e, progress(e, "tar files"));
done:
  dvg_free(&pending);
  return status;
}

// ---- recordio

struct records {
  struct dvg_export *e;
  struct dvg_recordio_writer *writer; // rank 0
  size_t record_bytes;
};

// The images by label, those of one person in their order: a place for each by counting.
static enum dvg_status sort_images(struct dvg_export *e) {
  const struct dvg_export_source *s = &e->source;
  int64_t n = dvg_export_images(e), each = n / s->n_items, *next = NULL;
  DVG_TRY(DVG_NEW(&e->order, n, "the order of images"));
  DVG_TRY(DVG_NEW(&next, s->n_people + 1, "people"));
  for (int64_t i = 0; i < n; i++) next[s->label[i / each] + 1]++;
  for (int64_t p = 0; p < s->n_people; p++) next[p + 1] += next[p];
  for (int64_t i = 0; i < n; i++) e->order[next[s->label[i / each]]++] = i;
  dvg_free(&next);
  return DVG_OK;
}

// As much as a file of one image can need: PNG grows by its frame, JPEG's codes can be longer than what they
// stand for.
static size_t most_bytes(const struct dvg_export *e) {
  const struct dvg_export_source *s = &e->source;
  size_t raw = (size_t)(s->H * s->W * s->C + s->H);
  if (s->n_images) return e->s->quality > 0 ? 4 * raw + 8192 : raw + raw / 64 + 4096;
  return (size_t)s->vector[0].width * sizeof(float) + 4096;
}

static enum dvg_status make_records(void *records, int64_t first, int64_t count, void *context) {
  const struct records *r = context;
  const struct dvg_export *e = r->e;
  int n = e->source.n_images ? e->source.n_images : 1;
  for (int64_t i = 0; i < count; i++) {
    unsigned char *bytes = NULL, *to = (unsigned char *)records + (size_t)i * r->record_bytes;
    size_t n_bytes = 0;
    int64_t item = e->order[first + i] / n;
    int k = (int)(e->order[first + i] % n);
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    DVG_TRY(e->source.n_images ? dvg_export_encode(&bytes, &n_bytes, e, item, k)
                               : dvg_export_encode_vector(&bytes, &n_bytes, e, item, 0));
    int fits = n_bytes <= r->record_bytes - sizeof n_bytes;
    memcpy(to, &n_bytes, sizeof n_bytes);
    if (fits) memcpy(to + sizeof n_bytes, bytes, n_bytes);
    dvg_free(&bytes);
    if (!fits)
      return dvg_fail(DVG_ERROR_INTERNAL, "an image of %zu bytes: more than was thought possible", n_bytes);
  }
  return DVG_OK;
}

static enum dvg_status store_records(int64_t first, int64_t count, const void *records, void *context) {
  struct records *r = context;
  const struct dvg_export *e = r->e;
  int n = e->source.n_images ? e->source.n_images : 1;
  for (int64_t i = 0; i < count; i++) {
    const unsigned char *from = (const unsigned char *)records + (size_t)i * r->record_bytes;
    size_t n_bytes;
    memcpy(&n_bytes, from, sizeof n_bytes);
    DVG_TRY(
        dvg_recordio_add(r->writer, e->source.label[e->order[first + i] / n], from + sizeof n_bytes, n_bytes));
  }
  return DVG_OK;
}

static enum dvg_status begin_records(struct records *r) {
  const struct dvg_export *e = r->e;
  char *path = NULL;
  if (!e->source.n_images && e->source.n_vectors != 1)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no single vector for a record", e->source.path);
  DVG_TRY(dvg_text(&path, "%s/train.rec", e->s->out));
  enum dvg_status status = dvg_recordio_create(&r->writer, path, dvg_export_images(e), e->source.n_people);
  dvg_free(&path);
  return status;
}

static enum dvg_status end_records(struct records *r) {
  struct dvg_export *e = r->e;
  char *path = NULL, *text = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_recordio_commit(&r->writer));
  DVG_TRY_GOTO(dvg_text(&path, "%s/property", e->s->out));
  DVG_TRY_GOTO(
      dvg_text(&text, "%" PRId64 ",%" PRId64 ",%" PRId64 "\n", e->source.n_people, e->source.H, e->source.W));
  if (e->source.n_images) DVG_TRY_GOTO(dvg_path_write_text(path, text));
  DVG_TRY_GOTO(dvg_export_vectors(e));
  DVG_TRY_GOTO(dvg_export_list(e, "train.tsv"));
done:
  dvg_free(&path);
  dvg_free(&text);
  return status;
}

enum dvg_status dvg_export_recordio(struct dvg_export *e) {
  struct records r = {.e = e};
  const struct dvg_world *w = e->w;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? begin_records(&r) : DVG_OK));
  DVG_TRY_GOTO(dvg_world_agree(w, sort_images(e)));
  r.record_bytes = sizeof(size_t) + most_bytes(e);
  int64_t block = (int64_t)(((size_t)1 << 20) / r.record_bytes); // of each rank there is one in rank 0's memory
  struct dvg_ordered_work work = {.n_items = dvg_export_images(e),
                                  .block = block < 1               ? 1
                                           : block < ITEMS_AT_ONCE ? block
                                                                   : ITEMS_AT_ONCE,
                                  .record_bytes = r.record_bytes,
                                  .compute = make_records,
                                  .consume = store_records,
                                  .context = &r,
                                  .what = progress(e, "images")};
  DVG_TRY_GOTO(dvg_distribute_ordered(w, &work));
  status = dvg_world_agree(w, w->rank == 0 ? end_records(&r) : DVG_OK);
done:
  dvg_recordio_discard(&r.writer);
  return status;
}
