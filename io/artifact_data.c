// The bytes of datasets: reading them, and recomputing their digests.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact_file.h"

enum { BLOCK_BYTES = 4 << 20 }; // read at a time when a digest is recomputed

// ---- that the bytes are there

// Values of a whole dataset, or -1 when the product overflows.
static int64_t count_values(const struct dvg_dataset *x, int from) {
  int64_t n = 1;
  for (int i = from; i < x->n_dims; i++)
    if (__builtin_mul_overflow(n, x->dims[i], &n)) return -1;
  return n;
}

// Files behind a virtual dataset, and behind those of the group indices that it may show. A forged one may
// point to the same file over and over, from each level: the number of looks is bounded.
enum { MAX_LEVELS = 2, MAX_SOURCES = 2000000 };

struct sources {
  const struct dvg_artifact *a;
  struct dvg_dataset *x;
  const char *folder; // of `a`: where all levels lie
  int64_t n;
};

static enum dvg_status check_sources(struct sources *s, hid_t dcpl, int level);

// Below the folder: no way up or out, wherever the name comes from.
static int is_below(const char *file) {
  for (const char *p = file; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.')) return 0;
    p += n + (p[n] == '/');
  }
  return 1;
}

// The dataset of an open source: stored there, or itself virtual.
static enum dvg_status check_source_dataset(struct sources *s, hid_t source, const char *path, int level) {
  hid_t id = H5Dopen2(source, s->x->name, H5P_DEFAULT);
  if (id < 0) return dvg_fail(DVG_ERROR_INPUT, "%s: has no '%s', which %s shows", path, s->x->name, s->a->path);
  hid_t dcpl = H5Dget_create_plist(id);
  enum dvg_status status = H5Pget_layout(dcpl) == H5D_VIRTUAL ? check_sources(s, dcpl, level + 1) : DVG_OK;
  H5Pclose(dcpl);
  H5Dclose(id);
  return status;
}

// HDF5 gives zeros where a file behind a virtual dataset is missing or damaged. Here that is an error.
static enum dvg_status check_source(struct sources *s, const char *file, int level) {
  if (!is_below(file))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' points out of its folder: refused", s->a->path, s->x->name);
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/%s", s->folder, file));
  enum dvg_status status = DVG_OK;
  struct stat st;
  if (stat(path, &st) != 0) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is missing; %s shows its content", path, s->a->path);
  } else {
    s->x->source_bytes += (int64_t)st.st_size;
    hid_t fapl = dvg_artifact_access();
    // As HDF5 will open it: not while this process has it open in the stronger way, which would be silent.
    H5Pset_fclose_degree(fapl, H5F_CLOSE_WEAK);
    hid_t source = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    if (source < 0) {
      char cause[256];
      dvg_artifact_cause(cause, sizeof cause);
      status = dvg_fail(DVG_ERROR_INPUT, "%s: is damaged (%s); %s shows its content", path, cause, s->a->path);
    } else status = check_source_dataset(s, source, path, level);
    if (source >= 0) H5Fclose(source);
    H5Pclose(fapl);
  }
  dvg_free(&path);
  return status;
}

static enum dvg_status check_sources(struct sources *s, hid_t dcpl, int level) {
  const char *path = s->a->path, *name = s->x->name;
  size_t n_parts = 0;
  if (H5Pget_virtual_count(dcpl, &n_parts) < 0) return dvg_artifact_failed(s->a, DVG_ERROR_INPUT, "read", name);
  if (level > MAX_LEVELS || (s->n += (int64_t)n_parts) > MAX_SOURCES)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' shows too many files, or files of files: refused", path, name);
  enum dvg_status status = DVG_OK;
  for (size_t k = 0; k < n_parts && status == DVG_OK; k++) {
    char file[256];
    ssize_t n = H5Pget_virtual_filename(dcpl, k, file, sizeof file);
    if (n <= 0 || n >= (ssize_t)sizeof file)
      status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' points to a file without a sensible name", path, name);
    else status = check_source(s, file, level);
  }
  return status;
}

static enum dvg_status check_virtual(const struct dvg_artifact *a, struct dvg_dataset *x, hid_t dcpl) {
  char *folder = NULL;
  DVG_TRY(dvg_path_folder(&folder, a->path));
  struct sources s = {.a = a, .x = x, .folder = folder};
  x->source_bytes = 0;
  enum dvg_status status = check_sources(&s, dcpl, 1);
  dvg_free(&folder);
  return status;
}

// What the file says of a dataset's size is believed only when as many bytes are stored.
static enum dvg_status check_stored(const struct dvg_artifact *a, struct dvg_dataset *x, hid_t id) {
  if (x->checked) return DVG_OK;
  hid_t dcpl = H5Dget_create_plist(id), type = H5Dget_type(id);
  enum dvg_status status = DVG_OK;
  if (H5Pget_external_count(dcpl) != 0 || H5Pget_nfilters(dcpl) != 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is compressed or stored elsewhere: refused", a->path, x->name);
  else if (x->is_virtual) status = check_virtual(a, x, dcpl);
  int64_t n = count_values(x, 0), n_bytes = 0;
  if (status == DVG_OK) {
    int64_t stored = x->is_virtual ? x->source_bytes : (int64_t)H5Dget_storage_size(id);
    int64_t limit = x->is_virtual || stored < a->file_bytes ? stored : a->file_bytes;
    if (n < 0 || __builtin_mul_overflow(n, (int64_t)H5Tget_size(type), &n_bytes) || n_bytes > limit)
      status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' claims more values than the file holds", a->path, x->name);
  }
  H5Tclose(type);
  H5Pclose(dcpl);
  if (status == DVG_OK) x->checked = 1;
  return status;
}

static enum dvg_status open_dataset(const struct dvg_artifact *a, const char *name, struct dvg_dataset **x,
                                    hid_t *id) {
  DVG_TRY(dvg_artifact_shape(a, name, NULL, NULL, NULL)); // says what is wrong
  *x = dvg_artifact_dataset(a, name);
  *id = H5Dopen2(a->file, name, H5P_DEFAULT);
  if (*id < 0) return dvg_artifact_failed(a, DVG_ERROR_INPUT, "read", name);
  enum dvg_status status = check_stored(a, *x, *id);
  if (status != DVG_OK) H5Dclose(*id);
  return status;
}

// ---- numbers and text

static H5T_conv_ret_t refuse_range(H5T_conv_except_t what, hid_t from, hid_t to, void *in, void *out,
                                   void *context) {
  (void)from, (void)to, (void)in, (void)out, (void)context;
  return what == H5T_CONV_EXCEPT_RANGE_HI || what == H5T_CONV_EXCEPT_RANGE_LOW ? H5T_CONV_ABORT
                                                                               : H5T_CONV_UNHANDLED;
}

// Rows [first, first + count) with count > 0, into values of type `memory`, with the given transfer properties.
static enum dvg_status read_rows(const struct dvg_artifact *a, const struct dvg_dataset *x, hid_t id,
                                 hid_t memory, hid_t transfer, int64_t first, int64_t count, void *data) {
  hid_t space = H5Dget_space(id), rows = H5I_INVALID_HID;
  hsize_t start[DVG_MAX_DIMS] = {0}, n[DVG_MAX_DIMS];
  for (int i = 0; i < x->n_dims; i++) n[i] = (hsize_t)x->dims[i];
  if (x->n_dims > 0) {
    start[0] = (hsize_t)first;
    n[0] = (hsize_t)count;
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, n, NULL);
    rows = H5Screate_simple(x->n_dims, n, NULL);
  } else {
    rows = H5Screate(H5S_SCALAR);
  }
  enum dvg_status status = DVG_OK;
  if (H5Dread(id, memory, rows, space, transfer, data) < 0)
    status = dvg_artifact_failed(a, DVG_ERROR_INPUT, "read", x->name);
  H5Sclose(rows);
  H5Sclose(space);
  return status;
}

static enum dvg_status check_rows(const struct dvg_artifact *a, const struct dvg_dataset *x, int64_t first,
                                  int64_t count) {
  int64_t rows = x->n_dims ? x->dims[0] : 1;
  if (first < 0 || count < 0 || first > rows || count > rows - first)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' has %lld rows; %lld from row %lld on were wanted", a->path,
                    x->name, (long long)rows, (long long)count, (long long)first);
  return DVG_OK;
}

static int is_real(int type) {
  return type == DVG_F32 || type == DVG_F64;
}

enum dvg_status dvg_artifact_read(const struct dvg_artifact *a, const char *name, enum dvg_type type,
                                  int64_t first, int64_t count, void *data) {
  struct dvg_dataset *x;
  hid_t id;
  DVG_TRY(open_dataset(a, name, &x, &id));
  enum dvg_status status;
  if (type == DVG_TEXT || x->type == DVG_TEXT || is_real(type) != is_real(x->type)) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is %s, not %s", a->path, name, dvg_type_name(x->type),
                      dvg_type_name((int)type));
    goto done;
  }
  DVG_TRY_GOTO(check_rows(a, x, first, count));
  if (count == 0 || count_values(x, 1) == 0) goto done;
  hid_t transfer = H5Pcreate(H5P_DATASET_XFER);
  H5Pset_type_conv_cb(transfer, refuse_range, NULL);
  status = read_rows(a, x, id, dvg_type_open(type), transfer, first, count, data);
  H5Pclose(transfer);
done:
  H5Dclose(id);
  return status;
}

static enum dvg_status check_dims(const struct dvg_artifact *a, const struct dvg_dataset *x, int n_dims,
                                  const int64_t *dims) {
  int good = n_dims == x->n_dims;
  for (int i = 0; good && i < n_dims; i++) good = dims[i] < 0 || dims[i] == x->dims[i];
  if (good) return DVG_OK;
  char has[DVG_SHAPE_TEXT], wanted[DVG_SHAPE_TEXT];
  dvg_shape_text(has, x->n_dims, x->dims);
  dvg_shape_text(wanted, n_dims, dims);
  return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is %s, not %s (-1: any)", a->path, x->name, has, wanted);
}

enum dvg_status dvg_artifact_load(const struct dvg_artifact *a, const char *name, enum dvg_type type,
                                  int n_dims, int64_t *dims, void **data) {
  struct dvg_dataset *x;
  hid_t id;
  void *values = NULL;
  DVG_TRY(open_dataset(a, name, &x, &id));
  H5Dclose(id);
  DVG_TRY(check_dims(a, x, n_dims, dims));
  DVG_TRY(dvg_alloc(&values, count_values(x, 0), dvg_type_bytes(type), name));
  enum dvg_status status = dvg_artifact_read(a, name, type, 0, n_dims ? x->dims[0] : 1, values);
  if (status != DVG_OK) {
    dvg_free(&values);
    return status;
  }
  for (int i = 0; i < n_dims; i++) dims[i] = x->dims[i];
  *data = values;
  return DVG_OK;
}

// Where HDF5 puts the strings it reads. The strings of an honest file are no longer than the file; those of a
// dishonest one may all be the same long one.
struct arena {
  struct block {
    struct block *next;
    char bytes[];
  } * blocks;
  size_t left, place; // of the newest block
  int64_t budget;     // bytes that may still be given
};

static void *arena_take(size_t n_bytes, void *context) {
  enum { BLOCK = 1 << 16 };
  struct arena *t = context;
  if ((int64_t)n_bytes < 0 || (int64_t)n_bytes > t->budget) return NULL;
  if (n_bytes > t->left) {
    size_t size = n_bytes > BLOCK ? n_bytes : BLOCK;
    struct block *b = malloc(sizeof *b + size);
    if (!b) return NULL;
    b->next = t->blocks;
    t->blocks = b;
    t->left = size;
    t->place = 0;
  }
  void *p = t->blocks->bytes + t->place;
  t->place += n_bytes;
  t->left -= n_bytes;
  t->budget -= (int64_t)n_bytes;
  return p;
}

static void arena_keep(void *p, void *context) {
  (void)p, (void)context; // all at once, in arena_free
}

static void arena_free(struct arena *t) {
  while (t->blocks) {
    struct block *next = t->blocks->next;
    free(t->blocks);
    t->blocks = next;
  }
  t->left = 0;
}

// texts[0..n values) point into the arena afterwards; NULL for an empty string.
static enum dvg_status read_texts(const struct dvg_artifact *a, const struct dvg_dataset *x, hid_t id,
                                  int64_t first, int64_t count, char **texts, struct arena *arena) {
  hid_t memory = dvg_type_open(DVG_TEXT), type = H5Dget_type(id), transfer = H5Pcreate(H5P_DATASET_XFER);
  H5Tset_cset(memory, H5Tget_cset(type));
  H5Pset_vlen_mem_manager(transfer, arena_take, arena, arena_keep, arena);
  enum dvg_status status = read_rows(a, x, id, memory, transfer, first, count, texts);
  H5Pclose(transfer);
  H5Tclose(type);
  H5Tclose(memory);
  return status;
}

// One block of memory: the pointers, then what they point to.
static enum dvg_status pack_texts(char ***out, char *const *texts, int64_t n) {
  size_t n_bytes = (size_t)n * sizeof(char *);
  for (int64_t i = 0; i < n; i++) n_bytes += (texts[i] ? strlen(texts[i]) : 0) + 1;
  char **packed = NULL;
  DVG_TRY(dvg_alloc((void **)&packed, (int64_t)n_bytes, 1, "texts"));
  char *at = (char *)(packed + n);
  for (int64_t i = 0; i < n; i++) {
    packed[i] = at;
    size_t length = texts[i] ? strlen(texts[i]) : 0;
    if (length) memcpy(at, texts[i], length);
    at += length + 1; // the memory is zeroed: a NUL follows
  }
  *out = packed;
  return DVG_OK;
}

// Text of fixed length, as other programs (h5py, MATLAB) write it: strings padded to `fixed_bytes` each.
static enum dvg_status load_fixed_text(const struct dvg_artifact *a, const struct dvg_dataset *x, int64_t *n,
                                       char ***texts) {
  int64_t bytes = x->fixed_bytes, rows = x->n_dims == 1 ? x->dims[0] : -1;
  if (rows < 0 || (rows > 0 && bytes > a->file_bytes / rows))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is not a list of texts", a->path, x->name);
  char *raw = NULL, **each = NULL;
  enum dvg_status status;
  hid_t id = H5Dopen2(a->file, x->name, H5P_DEFAULT), type = H5Dget_type(id);
  DVG_TRY_GOTO(dvg_alloc((void **)&raw, rows * (bytes + 1), 1, x->name));
  DVG_TRY_GOTO(DVG_NEW(&each, rows, x->name));
  if (rows > 0 && H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
    DVG_TRY_GOTO(dvg_artifact_failed(a, DVG_ERROR_INPUT, "read", x->name));
  for (int64_t i = rows - 1; i >= 0; i--) { // from the end: each moves up to make room for a NUL
    each[i] = raw + i * (bytes + 1);
    memmove(each[i], raw + i * bytes, (size_t)bytes);
    each[i][bytes] = 0;
  }
  DVG_TRY_GOTO(pack_texts(texts, each, rows));
  *n = rows;
done:
  dvg_free(&raw);
  dvg_free(&each);
  H5Tclose(type);
  H5Dclose(id);
  return status;
}

enum dvg_status dvg_artifact_load_text(const struct dvg_artifact *a, const char *name, int64_t *n,
                                       char ***texts) {
  struct dvg_dataset *x = dvg_artifact_dataset(a, name);
  if (x && x->fixed_bytes > 0) return load_fixed_text(a, x, n, texts);
  hid_t id;
  DVG_TRY(open_dataset(a, name, &x, &id));
  enum dvg_status status;
  char **read = NULL;
  struct arena arena = {.budget = a->file_bytes + x->source_bytes + x->dims[0]};
  if (x->type != DVG_TEXT || x->n_dims != 1) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is not a list of texts", a->path, name);
    goto done;
  }
  DVG_TRY_GOTO(DVG_NEW(&read, x->dims[0], name));
  if (x->dims[0] > 0) DVG_TRY_GOTO(read_texts(a, x, id, 0, x->dims[0], read, &arena));
  DVG_TRY_GOTO(pack_texts(texts, read, x->dims[0]));
  *n = x->dims[0];
done:
  arena_free(&arena);
  dvg_free(&read);
  H5Dclose(id);
  return status;
}

// ---- digests

static enum dvg_status sum_rows(const struct dvg_artifact *a, const struct dvg_dataset *x, hid_t id,
                                int64_t per_block, int64_t row_values, void *block, struct dvg_digest *d) {
  int64_t rows = x->n_dims ? x->dims[0] : 1;
  enum dvg_type type = (enum dvg_type)x->type;
  for (int64_t first = 0; first < rows; first += per_block) {
    int64_t count = per_block < rows - first ? per_block : rows - first;
    struct arena arena = {.budget = a->file_bytes + count};
    enum dvg_status status = type == DVG_TEXT
                                 ? read_texts(a, x, id, first, count, block, &arena)
                                 : read_rows(a, x, id, dvg_type_open(type), H5P_DEFAULT, first, count, block);
    if (status == DVG_OK) status = dvg_artifact_digest_add(d, type, block, count * row_values);
    arena_free(&arena);
    if (status != DVG_OK) return status;
  }
  return DVG_OK;
}

static enum dvg_status verify_dataset(const struct dvg_artifact *a, const char *name) {
  struct dvg_dataset *x;
  hid_t id;
  DVG_TRY(open_dataset(a, name, &x, &id));
  enum dvg_status status = DVG_OK;
  struct dvg_digest d = {0};
  char sum[DVG_DIGEST_TEXT];
  void *block = NULL;
  if (x->is_virtual) goto done;
  int64_t row_values = count_values(x, x->n_dims > 0),
          row_bytes = row_values * (int64_t)dvg_type_bytes((enum dvg_type)x->type);
  int64_t per_block = row_bytes > 0 && row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
  DVG_TRY_GOTO(dvg_digest_begin(&d));
  if (row_values > 0) {
    int64_t rows = x->n_dims ? x->dims[0] : 1;
    DVG_TRY_GOTO(dvg_alloc(&block, per_block < rows ? per_block : rows, (size_t)row_bytes, name));
    DVG_TRY_GOTO(sum_rows(a, x, id, per_block, row_values, block, &d));
  }
  DVG_TRY_GOTO(dvg_digest_end(&d, sum));
  if (strcmp(sum, x->sum) != 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: '%s' does not match its digest: damaged or changed", a->path, name);
done:
  dvg_digest_drop(&d);
  dvg_free(&block);
  H5Dclose(id);
  return status;
}

static enum dvg_status verify_all(const struct dvg_artifact *a, int with_sources) {
  for (int64_t i = 0; i < a->n_datasets; i++)
    if (with_sources || !a->datasets[i].is_virtual) DVG_TRY(verify_dataset(a, a->datasets[i].name));
  for (int64_t i = 0; i < a->n_attributes; i++)
    if (a->attributes[i].kind == DVG_ATTRIBUTE_FOREIGN)
      return dvg_fail(DVG_ERROR_INPUT, "%s: attribute '%s' has a type that is never written here", a->path,
                      a->attributes[i].name);
  char sum[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_artifact_sum(a, sum));
  if (strcmp(sum, a->digest) != 0)
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: its datasets are whole, but an attribute, or which datasets there are, was changed",
                    a->path);
  return DVG_OK;
}

enum dvg_status dvg_artifact_verify(const struct dvg_artifact *a) {
  return verify_all(a, 1);
}

enum dvg_status dvg_artifact_verify_alone(const struct dvg_artifact *a) {
  return verify_all(a, 0);
}
