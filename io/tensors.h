// Foreign weight files as a table of tensors, whatever their format:
//     PyTorch's legacy stream     pickles of magic number, protocol, system, object, storage keys; then each storage: a count, raw values
//     PyTorch's zip container     stored entries <top>/data.pkl, <top>/data/<key>, <top>/byteorder ("little", "big"; without it little)
//     safetensors                 the length of a JSON header (8 bytes, little endian), the header, raw values
// The state_dict is the object itself or what it holds under "state_dict", "model" or "net". In both PyTorch formats pickles are read by an
// interpreter that knows a few operations and executes nothing (pickle.h). Values of legacy streams are little endian on every machine that
// PyTorch ran on, whatever their system pickle says; only the counts may be big endian.
//
// Nothing here is collective. Files are not trusted: memory is bounded by the file's size, values are read only when asked for.
#ifndef DVG_IO_TENSORS_H
#define DVG_IO_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/digest.h"
#include "common/base/status.h"

enum dvg_tensor_type {
  DVG_TENSOR_F16,
  DVG_TENSOR_BF16,
  DVG_TENSOR_F32,
  DVG_TENSOR_F64,
  DVG_TENSOR_I8,
  DVG_TENSOR_U8,
  DVG_TENSOR_I16,
  DVG_TENSOR_I32,
  DVG_TENSOR_I64,
  DVG_TENSOR_BOOL,
  DVG_TENSOR_OTHER // of safetensors: its values can't be read
};

enum { DVG_TENSOR_DIMS = 8, DVG_TENSOR_SHAPE_TEXT = DVG_TENSOR_DIMS * 21 + 8 };

struct dvg_tensor {
  char *name; // as in the file; bytes that don't print are '?'
  enum dvg_tensor_type type;
  int n_dims, big_endian;
  int64_t dims[DVG_TENSOR_DIMS], strides[DVG_TENSOR_DIMS]; // strides in elements
  int64_t count, first_byte;                               // elements; place of the first one in the file
};

// What stands in the file beside the state_dict, or in it without being a tensor.
struct dvg_tensor_other {
  char *name, *what; // "optimizer", "dictionary of 2 entries"
};

struct dvg_tensors {
  char *path;
  const char *format; // for people
  int fd;
  int64_t n_bytes, n_tensors, n_others; // size of the file; lengths of the tables
  struct dvg_tensor *tensor;            // in the file's order, names are unique
  struct dvg_tensor_other *other;
};

// Reads the table. DVG_ERROR_INPUT names path and cause: no such format, truncated, a pickle that asks for more than tensors need, a tensor
// outside its storage, a name that stands there twice. *f is to be closed with dvg_tensors_close; it holds nothing after a failure.
DVG_CHECKED enum dvg_status dvg_tensors_open(struct dvg_tensors *f, const char *path);
void dvg_tensors_close(struct dvg_tensors *f);

// Whether values can be read as float: the floating types.
int dvg_tensor_is_real(const struct dvg_tensor *t);
const char *dvg_tensor_type_name(enum dvg_tensor_type type); // "float32"
// "96x1x5x5", or "scalar".
void dvg_tensor_shape(char text[DVG_TENSOR_SHAPE_TEXT], int n_dims, const int64_t *dims);
// values[0..t->count) = the tensor, row-major, rounded to float. DVG_ERROR_INPUT naming the first value that is not finite. Takes memory for the
// tensor's extent in its storage when it is not contiguous.
DVG_CHECKED enum dvg_status dvg_tensor_read(const struct dvg_tensors *f, const struct dvg_tensor *t, float *values);

// SHA-256 of the whole file, for lineage.
DVG_CHECKED enum dvg_status dvg_tensors_digest(const struct dvg_tensors *f, char digest[DVG_DIGEST_TEXT]);

// ---- writing: float32, written under "<path>.part", synced, renamed

struct dvg_tensor_plan {
  const char *name;
  int n_dims;
  int64_t dims[DVG_TENSOR_DIMS];
};
// values = tensor i of the plan, row-major.
typedef enum dvg_status (*dvg_tensor_source)(float *values, int64_t i, void *context);

// A zip container that torch.load(..., weights_only=True) reads as a dictionary of tensors; the same bytes for the same content.
DVG_CHECKED enum dvg_status dvg_tensors_write_zip(const char *path, const struct dvg_tensor_plan *plan, int64_t n, dvg_tensor_source source,
                                                  void *context);
DVG_CHECKED enum dvg_status dvg_tensors_write_safetensors(const char *path, const struct dvg_tensor_plan *plan, int64_t n, dvg_tensor_source source,
                                                          void *context);

#endif
