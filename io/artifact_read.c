// Reading artifacts. A file may come from anywhere: its tables are bounded by its size, and nothing is
// allocated for a dataset before its bytes are known to be there. Links out of the file, external storage and
// filters are refused.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/artifact_file.h"

// ---- opening

// That it is a file, and an HDF5 one, before HDF5 sees it: clearer messages.
static enum dvg_status check_kind(struct dvg_artifact *a) {
  static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  struct stat s;
  if (stat(a->path, &s) != 0) {
    int cause = errno;
    char *part = NULL;
    DVG_TRY(dvg_text(&part, "%s.part", a->path));
    int unfinished = cause == ENOENT && dvg_path_exists(part);
    dvg_free(&part);
    return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s%s", a->path, strerror(cause),
                    unfinished ? " (an unfinished one is there, ending in .part)" : "");
  }
  if (S_ISDIR(s.st_mode)) return dvg_fail(DVG_ERROR_INPUT, "%s: is a folder, not a file", a->path);
  if (!S_ISREG(s.st_mode)) return dvg_fail(DVG_ERROR_INPUT, "%s: is not a regular file", a->path);
  if (s.st_size == 0) return dvg_fail(DVG_ERROR_INPUT, "%s: is empty", a->path);
  a->file_bytes = (int64_t)s.st_size;
  int fd = open(a->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s", a->path, strerror(errno));
  unsigned char start[8] = {0};
  ssize_t n = read(fd, start, sizeof start);
  int cause = errno;
  close(fd);
  if (n < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s", a->path, strerror(cause));
  if (memcmp(start, signature, sizeof signature) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is not an HDF5 file", a->path);
  return DVG_OK;
}

static enum dvg_status open_file(struct dvg_artifact *a) {
  hid_t fapl = dvg_artifact_access();
  a->file = H5Fopen(a->path, H5F_ACC_RDONLY, fapl);
  if (a->file >= 0) {
    H5Pclose(fapl);
    return DVG_OK;
  }
  char cause[256];
  int of_system = dvg_artifact_cause(cause, sizeof cause);
  H5Pclose(fapl);
  if (of_system) return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s", a->path, cause);
  if (strstr(cause, "truncated")) return dvg_fail(DVG_ERROR_INPUT, "%s: is truncated: %s", a->path, cause);
  return dvg_fail(DVG_ERROR_INPUT, "%s: is a damaged HDF5 file: %s", a->path, cause);
}

// Text of a variable-length string attribute into x.
static enum dvg_status take_text(const struct dvg_artifact *a, hid_t id, hid_t type, struct dvg_attribute *x) {
  hid_t memory = dvg_type_open(DVG_TEXT);
  H5Tset_cset(memory, H5Tget_cset(type));
  char *text = NULL;
  enum dvg_status status = DVG_OK;
  if (H5Aread(id, memory, &text) < 0)
    status = dvg_artifact_failed(a, DVG_ERROR_INPUT, "read attribute", x->name);
  dvg_type_close(DVG_TEXT, memory);
  if (status == DVG_OK) status = dvg_text(&x->text, "%s", text ? text : "");
  if (status == DVG_OK) x->kind = DVG_ATTRIBUTE_TEXT;
  H5free_memory(text);
  return status;
}

static enum dvg_status take_attribute(struct dvg_artifact *a, const char *name) {
  struct dvg_attribute *x;
  DVG_TRY(dvg_artifact_new_attribute(a, name, &x));
  hid_t id = H5Aopen(a->file, name, H5P_DEFAULT);
  if (id < 0) return dvg_artifact_failed(a, DVG_ERROR_INPUT, "read attribute", name);
  enum dvg_status status = DVG_OK;
  hid_t type = H5Aget_type(id), space = H5Aget_space(id);
  H5T_class_t class = H5Tget_class(type);
  int good = 1;
  if (space >= 0 && H5Sget_simple_extent_npoints(space) == 1) {
    if (class == H5T_INTEGER) {
      x->kind = DVG_ATTRIBUTE_INT;
      good = H5Aread(id, H5T_NATIVE_INT64, &x->integer) >= 0;
    } else if (class == H5T_FLOAT) {
      x->kind = DVG_ATTRIBUTE_REAL;
      good = H5Aread(id, H5T_NATIVE_DOUBLE, &x->real) >= 0;
    } else if (class == H5T_STRING && H5Tis_variable_str(type) > 0) {
      status = take_text(a, id, type, x);
    }
  }
  if (!good) status = dvg_artifact_failed(a, DVG_ERROR_INPUT, "read attribute", name);
  H5Sclose(space);
  H5Tclose(type);
  H5Aclose(id);
  return status;
}

struct walk {
  struct dvg_artifact *a;
  enum dvg_status status;
};

static herr_t visit_attribute(hid_t at, const char *name, const H5A_info_t *info, void *context) {
  (void)at, (void)info;
  struct walk *w = context;
  w->status = take_attribute(w->a, name);
  return w->status == DVG_OK ? 0 : 1;
}

// Which of our types a dataset has; DVG_TYPE_FOREIGN for what this program never writes.
static int known_type(hid_t type) {
  H5T_class_t class = H5Tget_class(type);
  size_t bytes = H5Tget_size(type);
  if (class == H5T_INTEGER) {
    int is_signed = H5Tget_sign(type) == H5T_SGN_2;
    if (bytes == 1 && !is_signed) return DVG_U8;
    if (bytes == 4 && is_signed) return DVG_I32;
    if (bytes == 8 && is_signed) return DVG_I64;
  }
  if (class == H5T_FLOAT && bytes == 4) return DVG_F32;
  if (class == H5T_FLOAT && bytes == 8) return DVG_F64;
  if (class == H5T_STRING && H5Tis_variable_str(type) > 0) return DVG_TEXT;
  return DVG_TYPE_FOREIGN;
}

// The digest stored beside a dataset; left empty when there is none.
static void take_sum(hid_t id, struct dvg_dataset *x) {
  if (H5Aexists(id, "sha256") <= 0) return;
  hid_t sum = H5Aopen(id, "sha256", H5P_DEFAULT), type = H5Aget_type(sum);
  hid_t memory = dvg_type_open(DVG_TEXT), space = H5Aget_space(sum);
  char *text = NULL;
  if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0 &&
      H5Sget_simple_extent_npoints(space) == 1) {
    H5Tset_cset(memory, H5Tget_cset(type));
    if (H5Aread(sum, memory, &text) >= 0 && text && strlen(text) == DVG_DIGEST_TEXT - 1) strcpy(x->sum, text);
    H5free_memory(text);
  }
  H5Sclose(space);
  dvg_type_close(DVG_TEXT, memory);
  H5Tclose(type);
  H5Aclose(sum);
}

static enum dvg_status take_dataset(struct dvg_artifact *a, const char *name, hid_t id) {
  struct dvg_dataset *x;
  DVG_TRY(dvg_artifact_new_dataset(a, name, &x));
  hid_t type = H5Dget_type(id), space = H5Dget_space(id), dcpl = H5Dget_create_plist(id);
  hsize_t dims[H5S_MAX_RANK];
  int n_dims = H5Sget_simple_extent_dims(space, dims, NULL);
  H5S_class_t class = H5Sget_simple_extent_type(space);
  x->type = class == H5S_SCALAR || class == H5S_SIMPLE ? known_type(type) : DVG_TYPE_FOREIGN;
  if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0)
    x->fixed_bytes = (int64_t)H5Tget_size(type);
  x->is_virtual = H5Pget_layout(dcpl) == H5D_VIRTUAL;
  x->is_aside = H5Aexists(id, "aside") > 0;
  if (n_dims < 0 || n_dims > DVG_MAX_DIMS) x->type = DVG_TYPE_FOREIGN;
  else x->n_dims = n_dims;
  for (int i = 0; i < x->n_dims; i++) {
    if (dims[i] > INT64_MAX) x->type = DVG_TYPE_FOREIGN;
    else x->dims[i] = (int64_t)dims[i];
  }
  take_sum(id, x);
  H5Pclose(dcpl);
  H5Sclose(space);
  H5Tclose(type);
  return DVG_OK;
}

static herr_t visit_link(hid_t at, const char *name, const H5L_info_t *info, void *context) {
  struct walk *w = context;
  if (info->type != H5L_TYPE_HARD) {
    w->status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is a link to elsewhere: refused", w->a->path, name);
    return 1;
  }
  hid_t id = H5Oopen(at, name, H5P_DEFAULT);
  if (id < 0) {
    w->status = dvg_artifact_failed(w->a, DVG_ERROR_INPUT, "read", name);
    return 1;
  }
  if (H5Iget_type(id) == H5I_DATASET) w->status = take_dataset(w->a, name, id);
  H5Oclose(id);
  return w->status == DVG_OK ? 0 : 1;
}

static enum dvg_status take_tables(struct dvg_artifact *a) {
  struct walk w = {a, DVG_OK};
  if (H5Aiterate2(a->file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, &w) < 0)
    return dvg_artifact_failed(a, DVG_ERROR_INPUT, "read", "its attributes");
  if (w.status == DVG_OK && H5Lvisit(a->file, H5_INDEX_NAME, H5_ITER_INC, visit_link, &w) < 0)
    return dvg_artifact_failed(a, DVG_ERROR_INPUT, "read", "its list of datasets");
  dvg_artifact_sort(a);
  return w.status;
}

static enum dvg_status check_schema(struct dvg_artifact *a, const char *schema, int64_t version) {
  const struct dvg_attribute *name = dvg_artifact_attribute(a, "dvg_schema");
  const struct dvg_attribute *number = dvg_artifact_attribute(a, "dvg_version");
  const struct dvg_attribute *sum = dvg_artifact_attribute(a, "sha256");
  if (!name || name->kind != DVG_ATTRIBUTE_TEXT || !number || number->kind != DVG_ATTRIBUTE_INT)
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: is an HDF5 file, but not one of dvgface's: no dvg_schema and dvg_version", a->path);
  if (schema && strcmp(name->text, schema) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is a '%s' file, not '%s'", a->path, name->text, schema);
  if (schema && number->integer != version)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is version %lld of '%s' files, this program reads version %lld",
                    a->path, (long long)number->integer, schema, (long long)version);
  if (!sum || sum->kind != DVG_ATTRIBUTE_TEXT || strspn(sum->text, "0123456789abcdef") != DVG_DIGEST_TEXT - 1 ||
      sum->text[DVG_DIGEST_TEXT - 1])
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no content digest (attribute sha256)", a->path);
  memcpy(a->digest, sum->text, DVG_DIGEST_TEXT);
  return dvg_text(&a->schema, "%s", name->text);
}

enum dvg_status dvg_artifact_open_foreign(struct dvg_artifact **out, const char *path) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_new(&a, path));
  enum dvg_status status;
  DVG_TRY_GOTO(check_kind(a));
  DVG_TRY_GOTO(open_file(a));
  DVG_TRY_GOTO(take_tables(a));
  *out = a;
  return DVG_OK;
done:
  dvg_artifact_release(&a);
  return status;
}

enum dvg_status dvg_artifact_open(struct dvg_artifact **out, const char *path, const char *schema,
                                  int64_t version) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open_foreign(&a, path));
  enum dvg_status status = check_schema(a, schema, version);
  if (status != DVG_OK) {
    dvg_artifact_release(&a);
    return status;
  }
  *out = a;
  return DVG_OK;
}

void dvg_artifact_close(struct dvg_artifact **a) {
  dvg_artifact_release(a);
}

// ---- attributes and shapes

const char *dvg_artifact_path(const struct dvg_artifact *a) {
  return a->path;
}
const char *dvg_artifact_schema(const struct dvg_artifact *a) {
  return a->schema;
}
const char *dvg_artifact_digest(const struct dvg_artifact *a) {
  return a->digest;
}
int dvg_artifact_has(const struct dvg_artifact *a, const char *name) {
  return dvg_artifact_dataset(a, name) != NULL;
}
int dvg_artifact_has_attribute(const struct dvg_artifact *a, const char *name) {
  return dvg_artifact_attribute(a, name) != NULL;
}

static enum dvg_status find_attribute(const struct dvg_artifact *a, const char *name,
                                      enum dvg_attribute_kind kind, const struct dvg_attribute **x) {
  static const char *const kinds[] = {"a whole number", "a real number", "text"};
  *x = dvg_artifact_attribute(a, name);
  if (!*x) return dvg_fail(DVG_ERROR_INPUT, "%s: has no attribute '%s'", a->path, name);
  if ((*x)->kind != kind)
    return dvg_fail(DVG_ERROR_INPUT, "%s: attribute '%s' is not %s", a->path, name, kinds[kind]);
  return DVG_OK;
}

enum dvg_status dvg_artifact_get_int(const struct dvg_artifact *a, const char *name, int64_t *value) {
  const struct dvg_attribute *x;
  DVG_TRY(find_attribute(a, name, DVG_ATTRIBUTE_INT, &x));
  *value = x->integer;
  return DVG_OK;
}

enum dvg_status dvg_artifact_get_real(const struct dvg_artifact *a, const char *name, double *value) {
  const struct dvg_attribute *x;
  DVG_TRY(find_attribute(a, name, DVG_ATTRIBUTE_REAL, &x));
  *value = x->real;
  return DVG_OK;
}

enum dvg_status dvg_artifact_get_text(const struct dvg_artifact *a, const char *name, char **value) {
  const struct dvg_attribute *x;
  DVG_TRY(find_attribute(a, name, DVG_ATTRIBUTE_TEXT, &x));
  return dvg_text(value, "%s", x->text);
}

// The digest is the last word of a line "role name digest": a name may hold blanks.
enum dvg_status dvg_artifact_get_input(const struct dvg_artifact *a, const char *role,
                                       char digest[DVG_DIGEST_TEXT]) {
  char *text = NULL, *rest = NULL;
  const size_t length = strlen(role);
  digest[0] = 0;
  DVG_TRY(dvg_artifact_get_text(a, "inputs", &text));
  for (char *line = strtok_r(text, "\n", &rest); line && !digest[0]; line = strtok_r(NULL, "\n", &rest)) {
    const char *last = strrchr(line, ' ');
    if (strncmp(line, role, length) == 0 && line[length] == ' ' && last && strlen(last + 1) == DVG_DIGEST_TEXT - 1)
      snprintf(digest, DVG_DIGEST_TEXT, "%s", last + 1);
  }
  dvg_free(&text);
  return DVG_OK;
}

static enum dvg_status find_dataset(const struct dvg_artifact *a, const char *name, struct dvg_dataset **x) {
  *x = dvg_artifact_dataset(a, name);
  if (!*x) return dvg_fail(DVG_ERROR_INPUT, "%s: has no dataset '%s'", a->path, name);
  if ((*x)->type == DVG_TYPE_FOREIGN)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' has a type or shape that is never written here", a->path, name);
  return DVG_OK;
}

enum dvg_status dvg_artifact_shape(const struct dvg_artifact *a, const char *name, enum dvg_type *type,
                                   int *n_dims, int64_t dims[DVG_MAX_DIMS]) {
  struct dvg_dataset *x;
  DVG_TRY(find_dataset(a, name, &x));
  if (type) *type = (enum dvg_type)x->type;
  if (n_dims) *n_dims = x->n_dims;
  if (dims) memcpy(dims, x->dims, sizeof x->dims);
  return DVG_OK;
}

enum dvg_status dvg_artifact_each(const struct dvg_artifact *a,
                                  enum dvg_status (*visit)(const char *name, int is_attribute, void *context),
                                  void *context) {
  for (int64_t i = 0; i < a->n_attributes; i++) DVG_TRY(visit(a->attributes[i].name, 1, context));
  for (int64_t i = 0; i < a->n_datasets; i++) DVG_TRY(visit(a->datasets[i].name, 0, context));
  return DVG_OK;
}
