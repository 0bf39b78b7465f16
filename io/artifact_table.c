// The tables of an artifact's attributes and datasets, the digest over them, and how this project uses HDF5.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact_file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "digests are over little-endian bytes as they are in memory");

// ---- types

size_t dvg_type_bytes(enum dvg_type type) {
  static const size_t bytes[] = {1, 4, 8, 4, 8, sizeof(char *)};
  return bytes[type];
}

const char *dvg_type_name(int type) {
  static const char *const names[] = {"u8", "i32", "i64", "f32", "f64", "text"};
  return type == DVG_TYPE_FOREIGN ? "of a foreign type" : names[type];
}

hid_t dvg_type_open(enum dvg_type type) {
  switch (type) {
  case DVG_U8:
    return H5T_STD_U8LE;
  case DVG_I32:
    return H5T_STD_I32LE;
  case DVG_I64:
    return H5T_STD_I64LE;
  case DVG_F32:
    return H5T_IEEE_F32LE;
  case DVG_F64:
    return H5T_IEEE_F64LE;
  case DVG_TEXT:
    break;
  }
  hid_t id = H5Tcopy(H5T_C_S1);
  if (id >= 0 && (H5Tset_size(id, H5T_VARIABLE) < 0 || H5Tset_cset(id, H5T_CSET_UTF8) < 0)) {
    H5Tclose(id);
    id = H5I_INVALID_HID;
  }
  return id;
}

void dvg_type_close(enum dvg_type type, hid_t id) {
  if (type == DVG_TEXT && id >= 0) H5Tclose(id);
}

void dvg_shape_text(char text[DVG_SHAPE_TEXT], int n_dims, const int64_t *dims) {
  int n = 0;
  text[0] = 0;
  for (int i = 0; i < n_dims; i++)
    n += snprintf(text + n, (size_t)(DVG_SHAPE_TEXT - n), "%s%lld", i ? "x" : "", (long long)dims[i]);
  if (n_dims == 0) strcpy(text, "scalar");
}

// ---- HDF5's ways

hid_t dvg_artifact_access(void) {
  static int started;
  if (!started++) { // both must come before anything else of HDF5
    // No file locks: NFS and Lustre have them only where they were asked to, and nothing here rests on them. By
    // the environment, which beats the property of a file, and which alone holds for files behind virtual
    // datasets.
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    // A file whose last flush failed (disk full) stays open inside HDF5, whose clean-up at exit then crashes.
    // All files are closed explicitly, so there is nothing for that clean-up to do: it is not registered.
    H5dont_atexit();
  }
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
  if (fapl < 0) return fapl;
  H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
  H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST);
  return fapl;
}

struct cause {
  char *text;
  size_t n_bytes;
  int of_system;
};

// Innermost first: what is said there is the cause, the rest are its callers. A message of the system wins.
static herr_t take_cause(unsigned n, const H5E_error2_t *e, void *context) {
  struct cause *c = context;
  static const char mark[] = "error message = '";
  const char *at = e->desc ? strstr(e->desc, mark) : NULL;
  if (at && !c->of_system) {
    at += sizeof mark - 1;
    snprintf(c->text, c->n_bytes, "%.*s", (int)strcspn(at, "'"), at);
    c->of_system = 1;
  } else if (n == 0 && e->desc && !c->of_system) {
    snprintf(c->text, c->n_bytes, "%s", e->desc);
  }
  return 0;
}

int dvg_artifact_cause(char *text, size_t n_bytes) {
  struct cause c = {text, n_bytes, 0};
  snprintf(text, n_bytes, "unknown cause");
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_cause, &c);
  for (char *p = text; *p; p++)
    if (*p == '\n') *p = ' ';
  return c.of_system;
}

enum dvg_status dvg_artifact_failed(const struct dvg_artifact *a, enum dvg_status status, const char *verb,
                                    const char *name) {
  char cause[256];
  if (dvg_artifact_cause(cause, sizeof cause)) status = DVG_ERROR_IO;
  if (!name) return dvg_fail(status, "%s: cannot %s: %s", a->path, verb, cause);
  return dvg_fail(status, "%s: cannot %s '%s': %s", a->path, verb, name, cause);
}

// ---- tables

enum dvg_status dvg_artifact_new(struct dvg_artifact **out, const char *path) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(DVG_NEW(&a, 1, "artifact"));
  a->file = H5I_INVALID_HID;
  enum dvg_status status = dvg_text(&a->path, "%s", path);
  if (status == DVG_OK) *out = a;
  else dvg_artifact_release(&a);
  return status;
}

enum dvg_status dvg_artifact_shut(struct dvg_artifact *a) {
  int bad = 0;
  for (int64_t i = 0; i < a->n_datasets; i++) {
    if (a->datasets[i].id > 0 && H5Dclose(a->datasets[i].id) < 0 && !bad++)
      dvg_artifact_failed(a, DVG_ERROR_IO, "finish", a->datasets[i].name);
    a->datasets[i].id = 0;
  }
  if (a->file >= 0 && H5Fclose(a->file) < 0 && !bad++) dvg_artifact_failed(a, DVG_ERROR_IO, "finish", NULL);
  a->file = H5I_INVALID_HID;
  return bad ? DVG_ERROR_IO : DVG_OK;
}

void dvg_artifact_release(struct dvg_artifact **a) {
  struct dvg_artifact *x = *a;
  if (!x) return;
  for (int64_t i = 0; i < x->n_datasets; i++)
    if (x->datasets[i].id > 0) H5Dclose(x->datasets[i].id);
  if (x->file >= 0) H5Fclose(x->file);
  for (int64_t i = 0; i < x->n_attributes; i++) {
    dvg_free(&x->attributes[i].name);
    dvg_free(&x->attributes[i].text);
  }
  for (int64_t i = 0; i < x->n_datasets; i++) {
    dvg_free(&x->datasets[i].name);
    dvg_digest_drop(&x->datasets[i].digest);
  }
  dvg_free(&x->attributes);
  dvg_free(&x->datasets);
  dvg_free(&x->inputs);
  dvg_free(&x->schema);
  dvg_free(&x->path);
  dvg_free(&x->part);
  dvg_free(a);
}

// Room for one more entry: doubles `*table` when it is full.
static enum dvg_status grow(void **table, int64_t *room, int64_t used, size_t bytes, const char *what) {
  if (used < *room) return DVG_OK;
  void *larger;
  int64_t wanted = *room ? *room * 2 : 16;
  DVG_TRY(dvg_alloc(&larger, wanted, bytes, what));
  if (used) memcpy(larger, *table, (size_t)used * bytes);
  dvg_free_at(table);
  *table = larger;
  *room = wanted;
  return DVG_OK;
}

enum dvg_status dvg_artifact_new_attribute(struct dvg_artifact *a, const char *name,
                                           struct dvg_attribute **out) {
  struct dvg_attribute *known = dvg_artifact_attribute(a, name);
  if (known) {
    dvg_free(&known->text);
    *out = known;
    return DVG_OK;
  }
  DVG_TRY(
      grow((void **)&a->attributes, &a->attributes_room, a->n_attributes, sizeof *a->attributes, "attributes"));
  struct dvg_attribute *x = &a->attributes[a->n_attributes];
  *x = (struct dvg_attribute){.kind = DVG_ATTRIBUTE_FOREIGN};
  DVG_TRY(dvg_text(&x->name, "%s", name));
  a->n_attributes++;
  *out = x;
  return DVG_OK;
}

enum dvg_status dvg_artifact_new_dataset(struct dvg_artifact *a, const char *name, struct dvg_dataset **out) {
  DVG_TRY(grow((void **)&a->datasets, &a->datasets_room, a->n_datasets, sizeof *a->datasets, "datasets"));
  struct dvg_dataset *x = &a->datasets[a->n_datasets];
  *x = (struct dvg_dataset){.type = DVG_TYPE_FOREIGN};
  DVG_TRY(dvg_text(&x->name, "%s", name));
  a->n_datasets++;
  *out = x;
  return DVG_OK;
}

struct dvg_attribute *dvg_artifact_attribute(const struct dvg_artifact *a, const char *name) {
  for (int64_t i = 0; i < a->n_attributes; i++)
    if (strcmp(a->attributes[i].name, name) == 0) return &a->attributes[i];
  return NULL;
}

struct dvg_dataset *dvg_artifact_dataset(const struct dvg_artifact *a, const char *name) {
  for (int64_t i = 0; i < a->n_datasets; i++)
    if (strcmp(a->datasets[i].name, name) == 0) return &a->datasets[i];
  return NULL;
}

static int compare_attributes(const void *a, const void *b) {
  return strcmp(((const struct dvg_attribute *)a)->name, ((const struct dvg_attribute *)b)->name);
}

static int compare_datasets(const void *a, const void *b) {
  return strcmp(((const struct dvg_dataset *)a)->name, ((const struct dvg_dataset *)b)->name);
}

void dvg_artifact_sort(struct dvg_artifact *a) {
  if (a->n_attributes) qsort(a->attributes, (size_t)a->n_attributes, sizeof *a->attributes, compare_attributes);
  if (a->n_datasets) qsort(a->datasets, (size_t)a->n_datasets, sizeof *a->datasets, compare_datasets);
}

// ---- digest

enum dvg_status dvg_artifact_digest_add(struct dvg_digest *d, enum dvg_type type, const void *data, int64_t n) {
  if (type != DVG_TEXT) return dvg_digest_add(d, data, (size_t)n * dvg_type_bytes(type));
  char *const *texts = data;
  for (int64_t i = 0; i < n; i++) {
    // HDF5 gives NULL for an empty string.
    const char *text = texts[i] ? texts[i] : "";
    DVG_TRY(dvg_digest_add(d, text, strlen(text) + 1));
  }
  return DVG_OK;
}

// Text with each newline as \n and each backslash as \\, so that different values make different lines.
static enum dvg_status add_escaped(struct dvg_digest *d, const char *text) {
  while (*text) {
    size_t n = strcspn(text, "\n\\");
    DVG_TRY(dvg_digest_add(d, text, n));
    text += n;
    if (!*text) break;
    DVG_TRY(dvg_digest_add(d, *text == '\n' ? "\\n" : "\\\\", 2));
    text++;
  }
  return DVG_OK;
}

static enum dvg_status add_attribute_line(struct dvg_digest *d, const struct dvg_attribute *x) {
  char number[64];
  DVG_TRY(dvg_digest_add(d, "@", 1));
  DVG_TRY(dvg_digest_add(d, x->name, strlen(x->name)));
  DVG_TRY(dvg_digest_add(d, "=", 1));
  if (x->kind == DVG_ATTRIBUTE_INT) snprintf(number, sizeof number, "%lld", (long long)x->integer);
  else if (x->kind == DVG_ATTRIBUTE_REAL) snprintf(number, sizeof number, "%.17g", x->real);
  if (x->kind == DVG_ATTRIBUTE_TEXT) DVG_TRY(add_escaped(d, x->text));
  else if (x->kind != DVG_ATTRIBUTE_FOREIGN) DVG_TRY(dvg_digest_add(d, number, strlen(number)));
  return dvg_digest_add(d, "\n", 1);
}

static enum dvg_status add_dataset_line(struct dvg_digest *d, const struct dvg_dataset *x) {
  char shape[DVG_SHAPE_TEXT], rest[DVG_SHAPE_TEXT + 32 + DVG_DIGEST_TEXT];
  dvg_shape_text(shape, x->n_dims, x->dims);
  int n = snprintf(rest, sizeof rest, " %s %s %s\n", dvg_type_name(x->type), shape,
                   x->is_virtual ? "virtual"
                   : x->is_aside ? "aside"
                                 : x->sum);
  DVG_TRY(dvg_digest_add(d, x->name, strlen(x->name)));
  return dvg_digest_add(d, rest, (size_t)n);
}

enum dvg_status dvg_artifact_sum(const struct dvg_artifact *a, char digest[DVG_DIGEST_TEXT]) {
  struct dvg_digest d = {0};
  DVG_TRY(dvg_digest_begin(&d));
  enum dvg_status status = DVG_OK;
  for (int64_t i = 0; i < a->n_attributes; i++)
    if (strcmp(a->attributes[i].name, "sha256") != 0 && strcmp(a->attributes[i].name, "machine") != 0)
      DVG_TRY_GOTO(add_attribute_line(&d, &a->attributes[i]));
  for (int64_t i = 0; i < a->n_datasets; i++) DVG_TRY_GOTO(add_dataset_line(&d, &a->datasets[i]));
  return dvg_digest_end(&d, digest);
done:
  dvg_digest_drop(&d);
  return status;
}
