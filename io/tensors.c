// Tables of tensors: opening a file of any format, checking what stands in its table, reading values.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/file.h"
#include "io/tensors_file.h"

enum { PIECE = 1 << 18, MAX_NAME = 256 }; // PIECE: bytes read at a time

static const struct {
  const char *name;
  int bytes;
} types[] = {{"float16", 2}, {"bfloat16", 2}, {"float32", 4},        {"float64", 8},
             {"int8", 1},    {"uint8", 1},    {"int16", 2},          {"int32", 4},
             {"int64", 8},   {"bool", 1},     {"of another type", 0}};

const char *dvg_tensor_type_name(enum dvg_tensor_type type) {
  return types[type].name;
}

int64_t dvg_tensor_type_bytes(enum dvg_tensor_type type) {
  return types[type].bytes;
}

int dvg_tensor_is_real(const struct dvg_tensor *t) {
  return t->type <= DVG_TENSOR_F64;
}

void dvg_tensor_shape(char text[DVG_TENSOR_SHAPE_TEXT], int n_dims, const int64_t *dims) {
  size_t n = 0;
  strcpy(text, "scalar");
  for (int d = 0; d < n_dims; d++)
    n += (size_t)snprintf(text + n, DVG_TENSOR_SHAPE_TEXT - n, d ? "x%lld" : "%lld", (long long)dims[d]);
}

// ---- bytes of the file

uint64_t dvg_little(const unsigned char *bytes, int n_bytes) {
  uint64_t x = 0;
  for (int i = 0; i < n_bytes; i++) x |= (uint64_t)bytes[i] << (8 * i);
  return x;
}

enum dvg_status dvg_tensors_bytes(const struct dvg_tensors *f, int64_t at, int64_t n, void *bytes) {
  if (at < 0 || n < 0 || at > f->n_bytes || n > f->n_bytes - at)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is truncated: %lld bytes from byte %lld on are not all there",
                    f->path, (long long)n, (long long)at);
  return dvg_file_read(f->fd, f->path, bytes, (size_t)n, at);
}

enum dvg_status dvg_tensors_digest(const struct dvg_tensors *f, char digest[DVG_DIGEST_TEXT]) {
  struct dvg_digest d;
  unsigned char *piece = NULL;
  DVG_TRY(DVG_NEW(&piece, PIECE, "piece of a file"));
  enum dvg_status status = dvg_digest_begin(&d);
  if (status != DVG_OK) goto done;
  for (int64_t at = 0; status == DVG_OK && at < f->n_bytes; at += PIECE) {
    int64_t n = f->n_bytes - at < PIECE ? f->n_bytes - at : PIECE;
    status = dvg_tensors_bytes(f, at, n, piece);
    if (status == DVG_OK) status = dvg_digest_add(&d, piece, (size_t)n);
  }
  if (status == DVG_OK) status = dvg_digest_end(&d, digest);
  else dvg_digest_drop(&d);
done:
  dvg_free(&piece);
  return status;
}

// ---- the tables

enum dvg_status dvg_printable(char **out, const char *text, int64_t length) {
  DVG_TRY(DVG_NEW(out, length + 1, "a name"));
  for (int64_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    (*out)[i] = c < 32 || c >= 127 ? '?' : (char)c;
  }
  return DVG_OK;
}

// A copy of an entry's name. One long text of a pickle may name many entries: they'd take more memory than the
// file.
static enum dvg_status copy_name(char **out, const struct dvg_tensors *f, const char *name, int64_t length) {
  if (length > MAX_NAME)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has a name of %lld bytes, %d at most", f->path, (long long)length,
                    MAX_NAME);
  return dvg_printable(out, name, length);
}

// Number of elements, and whether the last one still is among the `count` of the storage.
static int fits(struct dvg_tensor *t, int64_t count, int64_t offset) {
  int64_t last = offset, step;
  if (offset < 0) return 0;
  t->count = 1;
  for (int d = 0; d < t->n_dims; d++)
    if (t->dims[d] < 0 || t->strides[d] < 0 || __builtin_mul_overflow(t->count, t->dims[d], &t->count))
      return 0;
  if (t->count == 0) return 1;
  for (int d = 0; d < t->n_dims; d++)
    if (__builtin_mul_overflow(t->dims[d] - 1, t->strides[d], &step) ||
        __builtin_add_overflow(last, step, &last))
      return 0;
  return last < count;
}

enum dvg_status dvg_tensors_add(struct dvg_tensors *f, const char *name, int64_t length,
                                const struct dvg_tensor *t, const struct dvg_storage *s, int64_t offset) {
  char *shown = NULL;
  struct dvg_tensor new = *t;
  DVG_TRY(DVG_GROW(&f->tensor, f->n_tensors, "table of tensors"));
  DVG_TRY(copy_name(&shown, f, name, length));
  if (!fits(&new, s->count, offset)) {
    enum dvg_status status =
        dvg_fail(DVG_ERROR_INPUT, "%s: tensor '%.128s' reaches beyond its storage of %lld values", f->path,
                 shown, (long long)s->count);
    dvg_free(&shown);
    return status;
  }
  new.name = shown;
  new.type = s->type;
  new.big_endian = s->big_endian;
  // Without elements nothing is read, wherever that is.
  new.first_byte = new.count == 0 ? 0 : s->first_byte + offset *types[s->type].bytes;
  f->tensor[f->n_tensors++] = new;
  return DVG_OK;
}

enum dvg_status dvg_tensors_add_other(struct dvg_tensors *f, const char *name, int64_t length,
                                      const char *what) {
  DVG_TRY(DVG_GROW(&f->other, f->n_others, "table of entries"));
  struct dvg_tensor_other *o = &f->other[f->n_others];
  DVG_TRY(copy_name(&o->name, f, name, length));
  f->n_others++;
  return dvg_text(&o->what, "%s", what);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum dvg_status check_names(const struct dvg_tensors *f) {
  char **name = NULL;
  DVG_TRY(DVG_NEW(&name, f->n_tensors, "names of tensors"));
  for (int64_t i = 0; i < f->n_tensors; i++) name[i] = f->tensor[i].name;
  qsort(name, (size_t)f->n_tensors, sizeof *name, by_name);
  enum dvg_status status = DVG_OK;
  for (int64_t i = 1; i < f->n_tensors && status == DVG_OK; i++)
    if (strcmp(name[i - 1], name[i]) == 0)
      status = dvg_fail(DVG_ERROR_INPUT, "%s: has two tensors named '%.128s'", f->path, name[i]);
  dvg_free(&name);
  return status;
}

// ---- opening

static int is_tar(const struct dvg_tensors *f) {
  char magic[5];
  return f->n_bytes >= 512 && dvg_tensors_bytes(f, 257, 5, magic) == DVG_OK && memcmp(magic, "ustar", 5) == 0;
}

static enum dvg_status read_table(struct dvg_tensors *f) {
  unsigned char head[9] = {0};
  DVG_TRY(dvg_tensors_bytes(f, 0, f->n_bytes < 9 ? f->n_bytes : 9, head));
  if (memcmp(head, "PK\3\4", 4) == 0) return dvg_torch_read_zip(f);
  if (head[0] == 0x80 && head[1] >= 2 && head[1] <= 5) return dvg_torch_read_legacy(f);
  if (head[8] == '{') return dvg_safetensors_read(f);
  if (is_tar(f))
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: is a tar archive: unpack it, or load and save it anew with a PyTorch of today",
                    f->path);
  return dvg_fail(DVG_ERROR_INPUT, "%s: is neither a PyTorch file nor safetensors", f->path);
}

enum dvg_status dvg_tensors_open(struct dvg_tensors *f, const char *path) {
  *f = (struct dvg_tensors){.fd = -1};
  enum dvg_status status = dvg_text(&f->path, "%s", path);
  if (status == DVG_OK) status = dvg_file_open(&f->fd, &f->n_bytes, f->path);
  if (status == DVG_OK) status = read_table(f);
  if (status == DVG_OK) status = check_names(f);
  if (status != DVG_OK) dvg_tensors_close(f);
  return status;
}

void dvg_tensors_close(struct dvg_tensors *f) {
  if (!f->path) return; // never opened
  if (f->fd >= 0) close(f->fd);
  for (int64_t i = 0; i < f->n_tensors; i++) dvg_free(&f->tensor[i].name);
  for (int64_t i = 0; i < f->n_others; i++) {
    dvg_free(&f->other[i].name);
    dvg_free(&f->other[i].what);
  }
  dvg_free(&f->tensor);
  dvg_free(&f->other);
  dvg_free(&f->path);
  *f = (struct dvg_tensors){.fd = -1};
}

// ---- values

static float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// IEEE 754 half precision: 1 sign bit, 5 of the exponent, 10 of the fraction.
static float from_half(uint32_t half) {
  uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent > 0) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float x = (float)fraction * 0x1p-24f; // subnormal
  return sign ? -x : x;
}

static float value_of(const struct dvg_tensor *t, const unsigned char *at) {
  int n = types[t->type].bytes;
  uint64_t bits = dvg_little(at, n);
  if (t->big_endian) bits = __builtin_bswap64(bits) >> (64 - 8 * n);
  if (t->type == DVG_TENSOR_F16) return from_half((uint32_t)bits);
  if (t->type == DVG_TENSOR_BF16) return from_bits((uint32_t)bits << 16);
  if (t->type == DVG_TENSOR_F32) return from_bits((uint32_t)bits);
  double x;
  memcpy(&x, &bits, sizeof x);
  return (float)x;
}

static int is_contiguous(const struct dvg_tensor *t) {
  int64_t expected = 1;
  for (int d = t->n_dims - 1; d >= 0; d--) {
    if (t->dims[d] != 1 && t->strides[d] != expected) return 0;
    expected *= t->dims[d];
  }
  return 1;
}

static enum dvg_status read_contiguous(const struct dvg_tensors *f, const struct dvg_tensor *t, float *values) {
  int64_t bytes = types[t->type].bytes, at_once = PIECE / bytes;
  unsigned char *piece = NULL;
  DVG_TRY(DVG_NEW(&piece, PIECE, "piece of a tensor"));
  enum dvg_status status = DVG_OK;
  for (int64_t first = 0; status == DVG_OK && first < t->count; first += at_once) {
    int64_t n = t->count - first < at_once ? t->count - first : at_once;
    status = dvg_tensors_bytes(f, t->first_byte + first * bytes, n * bytes, piece);
    for (int64_t i = 0; status == DVG_OK && i < n; i++) values[first + i] = value_of(t, piece + i * bytes);
  }
  dvg_free(&piece);
  return status;
}

static enum dvg_status read_strided(const struct dvg_tensors *f, const struct dvg_tensor *t, float *values) {
  int64_t bytes = types[t->type].bytes, extent = 1, place[DVG_TENSOR_DIMS] = {0}, at = 0;
  for (int d = 0; d < t->n_dims; d++) extent += (t->dims[d] - 1) * t->strides[d];
  unsigned char *all = NULL;
  DVG_TRY(DVG_NEW(&all, extent * bytes, "a tensor"));
  enum dvg_status status = dvg_tensors_bytes(f, t->first_byte, extent * bytes, all);
  for (int64_t i = 0; status == DVG_OK && i < t->count; i++) {
    values[i] = value_of(t, all + at * bytes);
    for (int d = t->n_dims - 1; d >= 0; d--) { // the next place, last dimension first
      at += t->strides[d];
      if (++place[d] < t->dims[d]) break;
      at -= t->dims[d] * t->strides[d];
      place[d] = 0;
    }
  }
  dvg_free(&all);
  return status;
}

enum dvg_status dvg_tensor_read(const struct dvg_tensors *f, const struct dvg_tensor *t, float *values) {
  if (!dvg_tensor_is_real(t))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%.128s' is %s, not of a floating type", f->path, t->name,
                    types[t->type].name);
  if (t->count == 0) return DVG_OK;
  DVG_TRY(is_contiguous(t) ? read_contiguous(f, t, values) : read_strided(f, t, values));
  for (int64_t i = 0; i < t->count; i++)
    if (!isfinite(values[i]))
      return dvg_fail(DVG_ERROR_INPUT, "%s: '%.128s' is not finite at %lld", f->path, t->name, (long long)i);
  return DVG_OK;
}
