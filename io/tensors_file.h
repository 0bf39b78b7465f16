// What the readers of single formats share with tensors.c. Private to io/.
#ifndef DVG_IO_TENSORS_FILE_H
#define DVG_IO_TENSORS_FILE_H

#include "io/tensors.h"

// bytes[0..n) = the file from byte `at`. DVG_ERROR_INPUT when they are not all there.
DVG_CHECKED enum dvg_status dvg_tensors_bytes(const struct dvg_tensors *f, int64_t at, int64_t n, void *bytes);

// Little-endian numbers.
uint64_t dvg_little(const unsigned char *bytes, int n_bytes);

int64_t dvg_tensor_type_bytes(enum dvg_tensor_type type); // of one element; 0 for DVG_TENSOR_OTHER

// Values of one type in the file, of which tensors are parts.
struct dvg_storage {
  enum dvg_tensor_type type;
  int64_t first_byte, count;
  int big_endian;
};

// Adds a tensor: name (length bytes, copied), n_dims, dims and strides of `t` and its place in a storage, in elements. Everything is checked but
// that the storage is in the file.
DVG_CHECKED enum dvg_status dvg_tensors_add(struct dvg_tensors *f, const char *name, int64_t length, const struct dvg_tensor *t,
                                            const struct dvg_storage *s, int64_t offset);
DVG_CHECKED enum dvg_status dvg_tensors_add_other(struct dvg_tensors *f, const char *name, int64_t length, const char *what);

// *out = a copy that can be printed: bytes that don't print are '?'. The caller frees.
DVG_CHECKED enum dvg_status dvg_printable(char **out, const char *text, int64_t length);

// The formats: each fills the table of a file that has been opened.
DVG_CHECKED enum dvg_status dvg_torch_read_legacy(struct dvg_tensors *f);
DVG_CHECKED enum dvg_status dvg_torch_read_zip(struct dvg_tensors *f);
DVG_CHECKED enum dvg_status dvg_safetensors_read(struct dvg_tensors *f);

#endif
