// safetensors: {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, "__metadata__": {..}}
// and raw values.
#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/tensors_file.h"

enum {
  MAX_HEADER = 16 << 20,
  MAX_EXACT_BITS = 53
}; // cJSON takes some 30 times the header's bytes; its numbers are doubles

static enum dvg_tensor_type type_of(const char *dtype) {
  static const char *const names[] = {"F16", "BF16", "F32", "F64", "I8", "U8", "I16", "I32", "I64", "BOOL"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
    if (strcmp(dtype, names[i]) == 0) return (enum dvg_tensor_type)i;
  return DVG_TENSOR_OTHER;
}

// A list of at most `room` whole numbers; -1 for anything else.
static int read_numbers(const cJSON *list, int64_t *numbers, int room) {
  int n = 0;
  const cJSON *item;
  if (!cJSON_IsArray(list)) return -1;
  cJSON_ArrayForEach(item, list) {
    double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (n == room || !(x >= 0 && x <= (double)((int64_t)1 << MAX_EXACT_BITS)) || x != (double)(int64_t)x)
      return -1;
    numbers[n++] = (int64_t)x;
  }
  return n;
}

static enum dvg_status add(struct dvg_tensors *f, const cJSON *item, int64_t data) {
  struct dvg_tensor t = {.name = NULL};
  int64_t range[2], count = 1;
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
  t.n_dims = read_numbers(cJSON_GetObjectItemCaseSensitive(item, "shape"), t.dims, DVG_TENSOR_DIMS);
  int right = cJSON_IsString(dtype) && t.n_dims >= 0 &&
              read_numbers(cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), range, 2) == 2 &&
              range[0] <= range[1];
  if (!right) return dvg_fail(DVG_ERROR_INPUT, "%s: its header describes no tensor where it should", f->path);
  if (range[1] > f->n_bytes - data)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is truncated: its tensors end at byte %lld of %lld", f->path,
                    (long long)(data + range[1]), (long long)f->n_bytes);
  for (int d = t.n_dims - 1; d >= 0; d--) {
    t.strides[d] = count;
    if (__builtin_mul_overflow(count, t.dims[d], &count))
      return dvg_fail(DVG_ERROR_INPUT, "%s: a tensor has more values than can be counted", f->path);
  }
  enum dvg_tensor_type type = type_of(dtype->valuestring);
  int64_t bytes = dvg_tensor_type_bytes(type), room = range[1] - range[0];
  if (bytes && (room % bytes || room / bytes != count))
    return dvg_fail(DVG_ERROR_INPUT, "%s: a tensor of %lld values has %lld bytes", f->path, (long long)count,
                    (long long)room);
  struct dvg_storage s = {type, data + range[0], bytes ? room / bytes : count, 0};
  return dvg_tensors_add(f, item->string, (int64_t)strlen(item->string), &t, &s, 0);
}

static enum dvg_status add_all(struct dvg_tensors *f, const cJSON *root, int64_t data) {
  const cJSON *item;
  cJSON_ArrayForEach(item, root) {
    if (strcmp(item->string, "__metadata__") == 0)
      DVG_TRY(dvg_tensors_add_other(f, item->string, (int64_t)strlen(item->string), "texts"));
    else DVG_TRY(add(f, item, data));
  }
  return DVG_OK;
}

enum dvg_status dvg_safetensors_read(struct dvg_tensors *f) {
  unsigned char length[8];
  char *header = NULL;
  f->format = "safetensors";
  DVG_TRY(dvg_tensors_bytes(f, 0, 8, length));
  uint64_t n = dvg_little(length, 8);
  if (n > (uint64_t)f->n_bytes - 8)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is no safetensors file, or truncated: its header does not end in it",
                    f->path);
  if (n > MAX_HEADER)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has a header of %lld bytes, more than networks need", f->path,
                    (long long)n);
  DVG_TRY(DVG_NEW(&header, (int64_t)n + 1, "header of a safetensors file"));
  enum dvg_status status = dvg_tensors_bytes(f, 8, (int64_t)n, header);
  cJSON *root = status == DVG_OK ? cJSON_ParseWithLength(header, (size_t)n) : NULL;
  dvg_free(&header);
  if (status == DVG_OK)
    status =
        cJSON_IsObject(root)
            ? add_all(f, root, 8 + (int64_t)n)
            : dvg_fail(DVG_ERROR_INPUT, "%s: is no safetensors file: its header is no JSON object", f->path);
  cJSON_Delete(root);
  return status;
}
