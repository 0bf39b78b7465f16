// Writing artifacts: attributes are kept in memory until the commit, datasets go to the temporary file at once.
#include "io/artifact.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact_file.h"

static enum dvg_status create_file(struct dvg_artifact *a) {
  char *folder = NULL;
  DVG_TRY(dvg_path_folder(&folder, a->path));
  enum dvg_status status = dvg_path_make_folder(folder);
  dvg_free(&folder);
  if (status != DVG_OK) return status;
  struct stat s;
  if (stat(a->path, &s) == 0 && !S_ISREG(s.st_mode))
    return dvg_fail(DVG_ERROR_IO, "%s: is there and is not a file", a->path);
  if (unlink(a->part) != 0 && errno != ENOENT)
    return dvg_fail(DVG_ERROR_IO, "%s: cannot replace: %s", a->part, strerror(errno));
  hid_t fapl = dvg_artifact_access();
  a->file = H5Fcreate(a->part, H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
  if (a->file < 0) return dvg_artifact_failed(a, DVG_ERROR_IO, "create", NULL);
  H5Pclose(fapl);
  return DVG_OK;
}

enum dvg_status dvg_artifact_create(struct dvg_artifact **out, const char *path, const char *schema,
                                    int64_t version, const char *program, const char *settings) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_new(&a, path));
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&a->part, "%s.part", path));
  DVG_TRY_GOTO(dvg_text(&a->inputs, "%s", ""));
  DVG_TRY_GOTO(dvg_artifact_set_text(a, "dvg_schema", schema));
  DVG_TRY_GOTO(dvg_artifact_set_int(a, "dvg_version", version));
  DVG_TRY_GOTO(dvg_artifact_set_text(a, "program", program));
  DVG_TRY_GOTO(dvg_artifact_set_text(a, "settings", settings));
  DVG_TRY_GOTO(create_file(a));
  *out = a;
  return DVG_OK;
done:
  dvg_artifact_discard(&a);
  return status;
}

// ---- attributes

// A value that is set again must be the same kind of thing: replaced silently.
static enum dvg_status new_attribute(struct dvg_artifact *a, const char *name, enum dvg_attribute_kind kind,
                                     struct dvg_attribute **x) {
  if (!*name || strcmp(name, "sha256") == 0 || strcmp(name, "inputs") == 0)
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: the attribute '%s' cannot be set by hand", a->path, name);
  DVG_TRY(dvg_artifact_new_attribute(a, name, x));
  (*x)->kind = kind;
  return DVG_OK;
}

enum dvg_status dvg_artifact_set_int(struct dvg_artifact *a, const char *name, int64_t value) {
  struct dvg_attribute *x;
  DVG_TRY(new_attribute(a, name, DVG_ATTRIBUTE_INT, &x));
  x->integer = value;
  return DVG_OK;
}

enum dvg_status dvg_artifact_set_real(struct dvg_artifact *a, const char *name, double value) {
  struct dvg_attribute *x;
  DVG_TRY(new_attribute(a, name, DVG_ATTRIBUTE_REAL, &x));
  x->real = value;
  return DVG_OK;
}

enum dvg_status dvg_artifact_set_text(struct dvg_artifact *a, const char *name, const char *value) {
  // Copied first: the value may be the one that is replaced.
  char *copy = NULL;
  DVG_TRY(dvg_text(&copy, "%s", value));
  struct dvg_attribute *x;
  enum dvg_status status = new_attribute(a, name, DVG_ATTRIBUTE_TEXT, &x);
  if (status == DVG_OK) x->text = copy;
  else dvg_free(&copy);
  return status;
}

enum dvg_status dvg_artifact_add_input(struct dvg_artifact *a, const char *role, const char *name,
                                       const char *digest) {
  const char *base = dvg_path_name(name);
  if (strpbrk(role, " \n") || strchr(base, '\n') || strpbrk(digest, " \n"))
    return dvg_fail(DVG_ERROR_INPUT, "%s: the input '%s' has a name that lineage cannot hold", a->path, name);
  char *longer = NULL;
  DVG_TRY(dvg_text(&longer, "%s%s %s %s\n", a->inputs, role, base, digest));
  dvg_free(&a->inputs);
  a->inputs = longer;
  return DVG_OK;
}

// Writes one attribute to an HDF5 object (the root group or a dataset).
static int put_attribute(hid_t object, const struct dvg_attribute *x) {
  enum dvg_type type = x->kind == DVG_ATTRIBUTE_INT    ? DVG_I64
                       : x->kind == DVG_ATTRIBUTE_REAL ? DVG_F64
                                                       : DVG_TEXT;
  const void *value = type == DVG_I64   ? (const void *)&x->integer
                      : type == DVG_F64 ? (const void *)&x->real
                                        : (const void *)&x->text;
  hid_t type_id = dvg_type_open(type), space = H5Screate(H5S_SCALAR);
  hid_t id = H5Acreate2(object, x->name, type_id, space, H5P_DEFAULT, H5P_DEFAULT);
  // No closing before the cause of a failure is read: each call of HDF5 clears it.
  if (id < 0 || H5Awrite(id, type_id, value) < 0) return 0;
  int good = H5Aclose(id) >= 0;
  if (!good) return 0;
  H5Sclose(space);
  dvg_type_close(type, type_id);
  return 1;
}

// ---- datasets

static enum dvg_status check_name(const struct dvg_artifact *a, const char *name) {
  int good = *name != 0;
  for (const char *p = name; good; p++) {
    size_t n = strcspn(p, "/");
    good = n > 0 && !(n == 1 && *p == '.');
    p += n;
    if (!*p) break;
  }
  if (!good) return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s' is no name for a dataset", a->path, name);
  if (dvg_artifact_dataset(a, name))
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: the dataset '%s' is there twice", a->path, name);
  return DVG_OK;
}

static hid_t make_space(int n_dims, const int64_t *dims) {
  if (n_dims == 0) return H5Screate(H5S_SCALAR);
  hsize_t sizes[DVG_MAX_DIMS];
  for (int i = 0; i < n_dims; i++) sizes[i] = (hsize_t)dims[i];
  return H5Screate_simple(n_dims, sizes, NULL);
}

// Makes the dataset in the file; `dcpl` has the layout. On failure handles stay open till the file is closed.
static enum dvg_status make_dataset(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                    const int64_t *dims, hid_t dcpl, struct dvg_dataset **out) {
  if (n_dims < 0 || n_dims > DVG_MAX_DIMS)
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s' has %d dimensions", a->path, name, n_dims);
  for (int i = 0; i < n_dims; i++)
    if (dims[i] < 0) return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s' has a negative size", a->path, name);
  DVG_TRY(check_name(a, name));
  hid_t lcpl = H5Pcreate(H5P_LINK_CREATE), type_id = dvg_type_open(type), space = make_space(n_dims, dims);
  H5Pset_create_intermediate_group(lcpl, 1);
  H5Pset_obj_track_times(dcpl, 0);
  if (type != DVG_TEXT) H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER); // text must be filled, says HDF5
  hid_t id = H5Dcreate2(a->file, name, type_id, space, lcpl, dcpl, H5P_DEFAULT);
  if (id < 0) return dvg_artifact_failed(a, DVG_ERROR_IO, "create", name);
  H5Pclose(lcpl);
  H5Sclose(space);
  dvg_type_close(type, type_id);
  struct dvg_dataset *x;
  enum dvg_status status = dvg_artifact_new_dataset(a, name, &x);
  if (status != DVG_OK) {
    H5Dclose(id);
    return status;
  }
  x->id = id;
  x->type = (int)type;
  x->n_dims = n_dims;
  for (int i = 0; i < n_dims; i++) x->dims[i] = dims[i];
  *out = x;
  return DVG_OK;
}

// Ends a dataset that has all its rows: stores its digest beside it and closes it.
static enum dvg_status seal_dataset(struct dvg_artifact *a, struct dvg_dataset *x) {
  if (!x->is_virtual) {
    DVG_TRY(dvg_digest_end(&x->digest, x->sum));
    char name[] = "sha256";
    struct dvg_attribute sum = {.name = name, .text = x->sum, .kind = DVG_ATTRIBUTE_TEXT};
    if (!put_attribute(x->id, &sum)) return dvg_artifact_failed(a, DVG_ERROR_IO, "write", x->name);
  }
  if (x->is_aside) {
    char name[] = "aside";
    struct dvg_attribute mark = {.name = name, .integer = 1, .kind = DVG_ATTRIBUTE_INT};
    if (!put_attribute(x->id, &mark)) return dvg_artifact_failed(a, DVG_ERROR_IO, "write", x->name);
  }
  if (H5Dclose(x->id) < 0) return dvg_artifact_failed(a, DVG_ERROR_IO, "write", x->name);
  x->id = 0;
  return DVG_OK;
}

static enum dvg_status define(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                              const int64_t *dims, int is_aside) {
  hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_layout(dcpl, H5D_CONTIGUOUS);
  H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY);
  struct dvg_dataset *x;
  enum dvg_status status = make_dataset(a, name, type, n_dims, dims, dcpl, &x);
  H5Pclose(dcpl);
  if (status == DVG_OK) x->is_aside = is_aside;
  if (status == DVG_OK) status = dvg_digest_begin(&x->digest);
  if (status == DVG_OK && n_dims > 0 && dims[0] == 0) status = seal_dataset(a, x);
  if (status != DVG_OK) a->broken = 1;
  return status;
}

enum dvg_status dvg_artifact_define(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                    const int64_t *dims) {
  return define(a, name, type, n_dims, dims, 0);
}

static enum dvg_status put_rows(struct dvg_artifact *a, struct dvg_dataset *x, int64_t n_rows,
                                const void *data) {
  hsize_t start[DVG_MAX_DIMS] = {0}, count[DVG_MAX_DIMS];
  int64_t n_values = n_rows;
  for (int i = 0; i < x->n_dims; i++) count[i] = (hsize_t)x->dims[i];
  for (int i = 1; i < x->n_dims; i++) n_values *= x->dims[i];
  start[0] = (hsize_t)x->rows_done;
  count[0] = (hsize_t)n_rows;
  if (n_values > 0) {
    hid_t memory = x->n_dims ? H5Screate_simple(x->n_dims, count, NULL) : H5Screate(H5S_SCALAR);
    hid_t space = H5Dget_space(x->id), type_id = dvg_type_open((enum dvg_type)x->type);
    if (x->n_dims) H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    if (H5Dwrite(x->id, type_id, memory, space, H5P_DEFAULT, data) < 0)
      return dvg_artifact_failed(a, DVG_ERROR_IO, "write", x->name);
    H5Sclose(memory);
    H5Sclose(space);
    dvg_type_close((enum dvg_type)x->type, type_id);
  }
  DVG_TRY(dvg_artifact_digest_add(&x->digest, (enum dvg_type)x->type, data, n_values));
  x->rows_done += n_rows;
  return DVG_OK;
}

enum dvg_status dvg_artifact_append(struct dvg_artifact *a, const char *name, int64_t n_rows,
                                    const void *data) {
  struct dvg_dataset *x = dvg_artifact_dataset(a, name);
  if (!x) return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s' was not defined", a->path, name);
  int64_t rows = x->n_dims ? x->dims[0] : 1;
  if (n_rows < 0 || n_rows > rows - x->rows_done)
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: %lld more rows of '%s' after %lld of %lld", a->path,
                    (long long)n_rows, name, (long long)x->rows_done, (long long)rows);
  if (n_rows == 0) return DVG_OK;
  enum dvg_status status = put_rows(a, x, n_rows, data);
  if (status == DVG_OK && x->rows_done == rows) status = seal_dataset(a, x);
  if (status != DVG_OK) a->broken = 1;
  return status;
}

enum dvg_status dvg_artifact_write(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                   const int64_t *dims, const void *data) {
  DVG_TRY(dvg_artifact_define(a, name, type, n_dims, dims));
  return dvg_artifact_append(a, name, n_dims ? dims[0] : 1, data);
}

enum dvg_status dvg_artifact_write_aside(struct dvg_artifact *a, const char *name, enum dvg_type type,
                                         int n_dims, const int64_t *dims, const void *data) {
  DVG_TRY(define(a, name, type, n_dims, dims, 1));
  return dvg_artifact_append(a, name, n_dims ? dims[0] : 1, data);
}

// All bits of the fill value: NaN, -1, 255.
static int set_mark(hid_t dcpl, enum dvg_type type) {
  unsigned char mark[8];
  memset(mark, 0xff, sizeof mark);
  return H5Pset_fill_value(dcpl, dvg_type_open(type), mark) >= 0;
}

enum dvg_status dvg_artifact_write_virtual(struct dvg_artifact *a, const char *name, enum dvg_type type,
                                           int n_dims, const int64_t *dims, int64_t n_parts, char *const *files,
                                           const int64_t *rows, int marked) {
  if (n_dims < 1 || n_dims > DVG_MAX_DIMS || strchr(name, '%'))
    return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s' cannot be a virtual dataset", a->path, name);
  hsize_t start[DVG_MAX_DIMS] = {0}, count[DVG_MAX_DIMS];
  for (int i = 0; i < n_dims; i++) count[i] = (hsize_t)dims[i];
  hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE), space = make_space(n_dims, dims);
  int good = dcpl >= 0 && space >= 0 && (!marked || type == DVG_TEXT || set_mark(dcpl, type));
  for (int64_t k = 0; good && k < n_parts; k++) {
    count[0] = (hsize_t)rows[k];
    if (rows[k] == 0) continue;
    hid_t part = H5Screate_simple(n_dims, count, NULL);
    good = part >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
           H5Pset_virtual(dcpl, space, files[k], name, part) >= 0;
    if (good) H5Sclose(part);
    start[0] += count[0];
  }
  struct dvg_dataset *x;
  enum dvg_status status = good ? make_dataset(a, name, type, n_dims, dims, dcpl, &x)
                                : dvg_artifact_failed(a, DVG_ERROR_IO, "create", name);
  H5Pclose(dcpl);
  H5Sclose(space);
  if (status == DVG_OK) {
    x->is_virtual = 1;
    x->rows_done = dims[0];
    status = seal_dataset(a, x);
  }
  if (status != DVG_OK) a->broken = 1;
  return status;
}

// ---- the end

static enum dvg_status check_complete(const struct dvg_artifact *a) {
  if (a->broken) return DVG_ERROR_IO; // said when it broke
  for (int64_t i = 0; i < a->n_datasets; i++) {
    const struct dvg_dataset *x = &a->datasets[i];
    int64_t rows = x->n_dims ? x->dims[0] : 1;
    if (x->rows_done != rows)
      return dvg_fail(DVG_ERROR_INTERNAL, "%s: '%s' has %lld of its %lld rows", a->path, x->name,
                      (long long)x->rows_done, (long long)rows);
  }
  return DVG_OK;
}

static enum dvg_status put_attributes(struct dvg_artifact *a) {
  struct dvg_attribute *x;
  DVG_TRY(dvg_artifact_new_attribute(a, "inputs", &x));
  x->kind = DVG_ATTRIBUTE_TEXT;
  DVG_TRY(dvg_text(&x->text, "%s", a->inputs));
  dvg_artifact_sort(a);
  DVG_TRY(dvg_artifact_sum(a, a->digest));
  DVG_TRY(dvg_artifact_new_attribute(a, "sha256", &x));
  x->kind = DVG_ATTRIBUTE_TEXT;
  DVG_TRY(dvg_text(&x->text, "%s", a->digest));
  for (int64_t i = 0; i < a->n_attributes; i++)
    if (!put_attribute(a->file, &a->attributes[i]))
      return dvg_artifact_failed(a, DVG_ERROR_IO, "write attribute", a->attributes[i].name);
  return DVG_OK;
}

enum dvg_status dvg_artifact_commit(struct dvg_artifact **artifact, char digest[DVG_DIGEST_TEXT]) {
  struct dvg_artifact *a = *artifact;
  enum dvg_status status;
  DVG_TRY_GOTO(check_complete(a));
  DVG_TRY_GOTO(put_attributes(a));
  if (H5Fflush(a->file, H5F_SCOPE_GLOBAL) < 0) {
    status = dvg_artifact_failed(a, DVG_ERROR_IO, "write", NULL);
    goto done;
  }
  DVG_TRY_GOTO(dvg_artifact_shut(a));
  DVG_TRY_GOTO(dvg_path_finish(a->part, a->path));
  if (digest) memcpy(digest, a->digest, sizeof a->digest);
  dvg_artifact_release(artifact);
  return DVG_OK;
done:
  dvg_artifact_discard(artifact);
  return status;
}

void dvg_artifact_discard(struct dvg_artifact **a) {
  if (!*a) return;
  char *part = (*a)->part;
  (*a)->part = NULL;
  // On a full disk this makes room for what HDF5 still writes when it closes the file. Failing is fine.
  if (part && (*a)->file >= 0 && truncate(part, 0) != 0) errno = 0;
  dvg_artifact_release(a);
  if (part) unlink(part);
  dvg_free(&part);
}
