// Writing tables of tensors: PyTorch's zip container and safetensors.
#define _GNU_SOURCE // asprintf
#include <archive.h>
#include <archive_entry.h>
#include <cjson/cJSON.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/tensors.h"

static int64_t count_of(const struct dvg_tensor_plan *t) {
  int64_t count = 1;
  for (int d = 0; d < t->n_dims; d++) count *= t->dims[d];
  return count;
}

// *values = tensor i as the files have it, little endian; the caller frees.
static enum dvg_status make_values(float **values, const struct dvg_tensor_plan *plan, int64_t i,
                                   dvg_tensor_source source, void *context) {
  int64_t n = count_of(&plan[i]);
  float *x;
  DVG_TRY(DVG_NEW(&x, n, "a tensor"));
  enum dvg_status status = source(x, i, context);
  for (int64_t k = 0; status == DVG_OK && k < n; k++) {
    uint32_t bits;
    memcpy(&bits, &x[k], sizeof bits);
    bits = htole32(bits);
    memcpy(&x[k], &bits, sizeof bits);
  }
  if (status == DVG_OK) *values = x;
  else dvg_free(&x);
  return status;
}

// Where to write: *part = "<path>.part", its folder made.
static enum dvg_status begin(char **part, const char *path) {
  char *folder = NULL;
  DVG_TRY(dvg_path_folder(&folder, path));
  enum dvg_status status = dvg_path_make_folder(folder);
  dvg_free(&folder);
  return status == DVG_OK ? dvg_text(part, "%s.part", path) : status;
}

static enum dvg_status end(char **part, const char *path, enum dvg_status status) {
  if (status == DVG_OK) status = dvg_path_finish(*part, path);
  else if (*part) unlink(*part);
  dvg_free(part);
  return status;
}

// ---- the pickle of {name: tensor}, protocol 2

static void put_int(FILE *to, int64_t x) { // whatever its size: a number of 8 bytes
  fputc(0x8a, to);
  fputc(8, to);
  for (int i = 0; i < 8; i++) fputc((int)((uint64_t)x >> (8 * i) & 255), to);
}

static void put_text(FILE *to, const char *text) {
  size_t n = strlen(text);
  fputc('X', to);
  for (int i = 0; i < 4; i++) fputc((int)(n >> (8 * i) & 255), to);
  fwrite(text, 1, n, to);
}

static void put_ints(FILE *to, const int64_t *x, int n) {
  fputc('(', to);
  for (int i = 0; i < n; i++) put_int(to, x[i]);
  fputc('t', to);
}

// torch._utils._rebuild_tensor_v2(storage i, 0, dims, strides, requires_grad False, no hooks)
static void put_tensor(FILE *to, const struct dvg_tensor_plan *t, int64_t i) {
  int64_t strides[DVG_TENSOR_DIMS], count = 1;
  char key[24];
  for (int d = t->n_dims - 1; d >= 0; d--) {
    strides[d] = count;
    count *= t->dims[d];
  }
  snprintf(key, sizeof key, "%lld", (long long)i);
  put_text(to, t->name);
  fputs("ctorch._utils\n_rebuild_tensor_v2\n((", to);
  put_text(to, "storage");
  fputs("ctorch\nFloatStorage\n", to);
  put_text(to, key);
  put_text(to, "cpu");
  put_int(to, count);
  fputs("tQ", to);
  put_int(to, 0);
  put_ints(to, t->dims, t->n_dims);
  put_ints(to, strides, t->n_dims);
  fputs("\x89"
        "ccollections\nOrderedDict\n)RtR",
        to);
}

static enum dvg_status make_pickle(char **bytes, size_t *n_bytes, const struct dvg_tensor_plan *plan,
                                   int64_t n) {
  FILE *to = open_memstream(bytes, n_bytes);
  if (!to) return dvg_fail(DVG_ERROR_MEMORY, "no memory for a pickle");
  fputs("\x80\x02}(", to);
  for (int64_t i = 0; i < n; i++) put_tensor(to, &plan[i], i);
  fputs("u.", to);
  return fclose(to) == 0 ? DVG_OK : dvg_fail(DVG_ERROR_MEMORY, "no memory for a pickle");
}

// ---- the zip container

static enum dvg_status zip_failed(const char *path, struct archive *a) {
  return dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", path, archive_error_string(a));
}

// No times and owners: the same content makes the same bytes.
static enum dvg_status put_entry(struct archive *a, const char *path, const char *name, const void *bytes,
                                 size_t n_bytes) {
  char full[64];
  snprintf(full, sizeof full, "archive/%s", name);
  struct archive_entry *e = archive_entry_new();
  if (!e) return dvg_fail(DVG_ERROR_MEMORY, "no memory for an entry of %s", path);
  archive_entry_set_pathname(e, full);
  archive_entry_set_size(e, (int64_t)n_bytes);
  archive_entry_set_filetype(e, AE_IFREG);
  archive_entry_set_perm(e, 0644);
  int good = archive_write_header(a, e) == ARCHIVE_OK &&
             archive_write_data(a, bytes, n_bytes) == (la_ssize_t)n_bytes &&
             archive_write_finish_entry(a) == ARCHIVE_OK;
  archive_entry_free(e);
  return good ? DVG_OK : zip_failed(path, a);
}

static enum dvg_status put_entries(struct archive *a, const char *path, const struct dvg_tensor_plan *plan,
                                   int64_t n, dvg_tensor_source source, void *context) {
  char *pickle = NULL, name[32];
  size_t n_bytes = 0;
  DVG_TRY(make_pickle(&pickle, &n_bytes, plan, n));
  enum dvg_status status = put_entry(a, path, "data.pkl", pickle, n_bytes);
  free(pickle);
  if (status == DVG_OK) status = put_entry(a, path, "byteorder", "little", 6);
  for (int64_t i = 0; status == DVG_OK && i < n; i++) {
    float *values = NULL;
    DVG_TRY(make_values(&values, plan, i, source, context));
    snprintf(name, sizeof name, "data/%lld", (long long)i);
    status = put_entry(a, path, name, values, (size_t)count_of(&plan[i]) * sizeof *values);
    dvg_free(&values);
  }
  return status == DVG_OK ? put_entry(a, path, "version", "3\n", 2) : status;
}

enum dvg_status dvg_tensors_write_zip(const char *path, const struct dvg_tensor_plan *plan, int64_t n,
                                      dvg_tensor_source source, void *context) {
  char *part = NULL;
  DVG_TRY(begin(&part, path));
  struct archive *a = archive_write_new();
  enum dvg_status status = DVG_OK;
  if (!a) status = dvg_fail(DVG_ERROR_MEMORY, "no memory to write %s", path);
  else if (archive_write_set_format_zip(a) != ARCHIVE_OK ||
           archive_write_set_options(a, "zip:compression=store") != ARCHIVE_OK ||
           archive_write_open_filename(a, part) != ARCHIVE_OK)
    status = zip_failed(part, a);
  if (status == DVG_OK) status = put_entries(a, part, plan, n, source, context);
  if (status == DVG_OK && archive_write_close(a) != ARCHIVE_OK) status = zip_failed(part, a);
  if (a) archive_write_free(a);
  return end(&part, path, status);
}

// ---- safetensors

static cJSON *numbers(const int64_t *x, int n) {
  cJSON *list = cJSON_CreateArray();
  for (int i = 0; i < n; i++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)x[i]));
  return list;
}

// The header, blanks at its end so that values are aligned to 8 bytes. NULL: no memory.
static char *make_header(const struct dvg_tensor_plan *plan, int64_t n) {
  cJSON *root = cJSON_CreateObject();
  int64_t range[2] = {0, 0};
  for (int64_t i = 0; i < n; i++) {
    cJSON *item = cJSON_AddObjectToObject(root, plan[i].name);
    range[0] = range[1];
    range[1] += count_of(&plan[i]) * (int64_t)sizeof(float);
    cJSON_AddStringToObject(item, "dtype", "F32");
    cJSON_AddItemToObject(item, "shape", numbers(plan[i].dims, plan[i].n_dims));
    cJSON_AddItemToObject(item, "data_offsets", numbers(range, 2));
  }
  char *text = cJSON_PrintUnformatted(root), *padded = NULL;
  cJSON_Delete(root);
  size_t length = text ? strlen(text) : 0;
  if (text && asprintf(&padded, "%s%*s", text, (int)((8 - length % 8) % 8), "") < 0) padded = NULL;
  cJSON_free(text);
  return padded;
}

static int put_bytes(FILE *to, const void *bytes, size_t n) {
  return fwrite(bytes, 1, n, to) == n;
}

static enum dvg_status put_all(FILE *to, const char *part, const struct dvg_tensor_plan *plan, int64_t n,
                               dvg_tensor_source source, void *context) {
  char *header = make_header(plan, n);
  if (!header) return dvg_fail(DVG_ERROR_MEMORY, "no memory for the header of %s", part);
  uint64_t length = htole64(strlen(header));
  int good = put_bytes(to, &length, sizeof length) && put_bytes(to, header, strlen(header));
  free(header);
  for (int64_t i = 0; good && i < n; i++) {
    float *values = NULL;
    DVG_TRY(make_values(&values, plan, i, source, context));
    good = put_bytes(to, values, (size_t)count_of(&plan[i]) * sizeof *values);
    dvg_free(&values);
  }
  return good && fflush(to) == 0 ? DVG_OK
                                 : dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", part, strerror(errno));
}

enum dvg_status dvg_tensors_write_safetensors(const char *path, const struct dvg_tensor_plan *plan, int64_t n,
                                              dvg_tensor_source source, void *context) {
  char *part = NULL;
  DVG_TRY(begin(&part, path));
  FILE *to = fopen(part, "wb");
  enum dvg_status status = to ? put_all(to, part, plan, n, source, context)
                              : dvg_fail(DVG_ERROR_IO, "%s: cannot create: %s", part, strerror(errno));
  if (to && fclose(to) != 0 && status == DVG_OK)
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", part, strerror(errno));
  return end(&part, path, status);
}
