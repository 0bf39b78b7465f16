// What an export says beside its images: a TSV of all numbers, vectors as NumPy's files.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/inspect/export.h"

// A file that is written piece by piece under a temporary name.
struct file {
  char *path, *part;
  FILE *to;
};

static enum dvg_status begin(struct file *f, const struct dvg_export *e, const char *name, const char *ending) {
  *f = (struct file){.to = NULL};
  DVG_TRY(dvg_text(&f->path, "%s/%s%s", e->s->out, name, ending));
  DVG_TRY(dvg_text(&f->part, "%s.part", f->path));
  f->to = fopen(f->part, "wb");
  return f->to ? DVG_OK : dvg_fail(DVG_ERROR_IO, "%s: cannot create: %s", f->part, strerror(errno));
}

static enum dvg_status end(struct file *f, enum dvg_status status) {
  if (f->to) {
    int bad = ferror(f->to);
    bad |= fclose(f->to) != 0;
    if (status == DVG_OK && bad)
      status = dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", f->part, strerror(errno));
    if (status == DVG_OK) status = dvg_path_finish(f->part, f->path);
    else unlink(f->part);
  }
  dvg_free(&f->path);
  dvg_free(&f->part);
  return status;
}

// ---- the list

static const char *const landmark[] = {"left_eye_x",    "left_eye_y",   "right_eye_x",  "right_eye_y",
                                       "nose_x",        "nose_y",       "left_mouth_x", "left_mouth_y",
                                       "right_mouth_x", "right_mouth_y"};

static void put_header(FILE *to, const struct dvg_export *e) {
  const struct dvg_export_source *s = &e->source;
  if (e->order) fputs("key\t", to);
  else if (s->n_images) fputs("path\t", to);
  fputs(s->n_images ? "identity\tdomain\titem\tlabel" : "identity\titem\tlabel", to);
  for (size_t i = 0; s->has_landmarks && i < sizeof landmark / sizeof *landmark; i++)
    fprintf(to, "\t%s", landmark[i]);
  if (s->name) fputs("\torigin", to);
  for (int c = 0; c < s->n_columns; c++) fprintf(to, "\t%s", s->column[c].name);
  fputc('\n', to);
}

// Numbers so that they read back the same.
static void put_columns(FILE *to, const struct dvg_export_source *s, int64_t item) {
  for (int c = 0; c < s->n_columns; c++) {
    int64_t at = item - s->first;
    if (!dvg_export_is_real(s->column[c].type)) fprintf(to, "\t%" PRId64, ((const int64_t *)s->values[c])[at]);
    else fprintf(to, "\t%.*g", s->column[c].type == DVG_F32 ? 9 : 17, ((const double *)s->values[c])[at]);
  }
}

static enum dvg_status put_line(FILE *to, struct dvg_export *e, int64_t place, int64_t image) {
  struct dvg_export_source *s = &e->source;
  int n = s->n_images ? s->n_images : 1, k = (int)(image % n);
  int64_t item = image / n;
  char person[DVG_EXPORT_TEXT], *path = NULL;
  float landmarks[10];
  DVG_TRY(dvg_export_source_load(s, item));
  DVG_TRY(dvg_export_source_person(person, s, item));
  if (e->order) fprintf(to, "%" PRId64 "\t", place + 1);
  else if (s->n_images) {
    DVG_TRY(dvg_export_path(&path, e, item, k));
    fprintf(to, "%s\t", path);
    dvg_free(&path);
  }
  fprintf(to, "%s\t", person);
  if (s->n_images) fprintf(to, "%s\t", dvg_export_source_domain(s, item, k));
  fprintf(to, "%" PRId64 "\t%" PRId64, item, s->label[item]);
  if (s->has_landmarks) {
    DVG_TRY(dvg_export_source_landmarks(landmarks, s, item));
    for (int i = 0; i < 10; i++) fprintf(to, "\t%.9g", (double)landmarks[i]);
  }
  if (s->name) {
    fputc('\t', to);
    for (const char *c = s->name[item]; *c; c++)
      fputc((unsigned char)*c < 0x20 ? ' ' : *c, to); // it is for people only
  }
  put_columns(to, s, item);
  fputc('\n', to);
  return DVG_OK;
}

enum dvg_status dvg_export_list(struct dvg_export *e, const char *name) {
  struct file f;
  int64_t n = dvg_export_images(e);
  enum dvg_status status = begin(&f, e, name, "");
  if (status == DVG_OK) put_header(f.to, e);
  for (int64_t i = 0; status == DVG_OK && i < n; i++) status = put_line(f.to, e, i, e->order ? e->order[i] : i);
  return end(&f, status);
}

// ---- vectors: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0

enum { NPY_ALIGN = 64, NPY_MAGIC = 10, NPY_HEADER = 2 * NPY_ALIGN };

// rows < 0: one vector, else a table.
static void npy_header(char header[NPY_HEADER], int64_t rows, int64_t width) {
  char shape[64];
  if (rows < 0) snprintf(shape, sizeof shape, "(%" PRId64 ",)", width);
  else snprintf(shape, sizeof shape, "(%" PRId64 ", %" PRId64 ")", rows, width);
  memset(header, ' ', NPY_HEADER);
  memcpy(header, "\x93NUMPY\x01\x00", 8);
  header[8] = (char)(NPY_HEADER - NPY_MAGIC);
  header[9] = 0;
  int n = snprintf(header + NPY_MAGIC, NPY_HEADER - NPY_MAGIC,
                   "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
  header[NPY_MAGIC + n] = ' ';
  header[NPY_HEADER - 1] = '\n';
}

enum dvg_status dvg_export_encode_vector(unsigned char **bytes, size_t *n_bytes, const struct dvg_export *e,
                                         int64_t item, int v) {
  size_t n = (size_t)e->source.vector[v].width * sizeof(float);
  DVG_TRY(dvg_export_source_vector(e->vector, &e->source, item, v));
  DVG_TRY(dvg_alloc((void **)bytes, (int64_t)(NPY_HEADER + n), 1, "a vector"));
  npy_header((char *)*bytes, -1, e->source.vector[v].width);
  memcpy(*bytes + NPY_HEADER, e->vector, n);
  *n_bytes = NPY_HEADER + n;
  return DVG_OK;
}

static enum dvg_status write_vectors(struct dvg_export *e, int v) {
  const struct dvg_export_dataset *x = &e->source.vector[v];
  struct file f;
  char header[NPY_HEADER];
  npy_header(header, e->source.n_items, x->width);
  enum dvg_status status = begin(&f, e, x->name, ".npy");
  if (status == DVG_OK) fwrite(header, 1, sizeof header, f.to);
  for (int64_t i = 0; status == DVG_OK && i < e->source.n_items; i++) {
    status = dvg_export_source_vector(e->vector, &e->source, i, v);
    if (status == DVG_OK) fwrite(e->vector, sizeof(float), (size_t)x->width, f.to);
  }
  return end(&f, status);
}

enum dvg_status dvg_export_vectors(struct dvg_export *e) {
  for (int v = 0; v < e->source.n_vectors; v++) DVG_TRY(write_vectors(e, v));
  return DVG_OK;
}
