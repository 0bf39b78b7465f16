// What artifact.c (writing), artifact_read.c (reading) and artifact_table.c (both) share. Private to io/.
#ifndef DVG_IO_ARTIFACT_FILE_H
#define DVG_IO_ARTIFACT_FILE_H

#include <hdf5.h>
#include <stdint.h>

#include "common/base/digest.h"
#include "io/artifact.h"

enum dvg_attribute_kind { DVG_ATTRIBUTE_INT, DVG_ATTRIBUTE_REAL, DVG_ATTRIBUTE_TEXT, DVG_ATTRIBUTE_FOREIGN };

struct dvg_attribute {
  char *name, *text;
  int64_t integer;
  double real;
  enum dvg_attribute_kind kind;
};

enum { DVG_TYPE_FOREIGN = -1 }; // a dataset of a type or shape that this program never writes

struct dvg_dataset {
  char *name;
  int type; // enum dvg_type, or DVG_TYPE_FOREIGN
  int n_dims, is_virtual, is_aside;
  int64_t dims[DVG_MAX_DIMS];
  char sum[DVG_DIGEST_TEXT]; // digest of its bytes: stored in the file (reading), of a complete dataset
                             // (writing)
  // while reading
  int64_t fixed_bytes;  // of text of fixed length, which this program never writes; else 0
  int checked;          // that its bytes are really there
  int64_t source_bytes; // of the files that a virtual dataset points into
  // while writing
  int64_t rows_done;
  hid_t id;
  struct dvg_digest digest;
};

struct dvg_artifact {
  char *path, *part; // part: the temporary name, NULL when reading
  hid_t file;
  int broken; // a write failed: only discarding is left
  int64_t file_bytes;
  char *schema; // reading only
  char digest[DVG_DIGEST_TEXT];
  char *inputs; // writing only
  struct dvg_attribute *attributes;
  struct dvg_dataset *datasets;
  int64_t n_attributes, attributes_room, n_datasets, datasets_room;
};

// *a = an artifact without a file. Freed by dvg_artifact_release, which also closes the file.
DVG_CHECKED enum dvg_status dvg_artifact_new(struct dvg_artifact **a, const char *path);
// Closes all handles; DVG_ERROR_IO (said) if the last flush fails.
enum dvg_status dvg_artifact_shut(struct dvg_artifact *a);
void dvg_artifact_release(struct dvg_artifact **a);

// Adds an entry (name copied) or, for an attribute that is there, returns that one with its text freed.
DVG_CHECKED enum dvg_status dvg_artifact_new_attribute(struct dvg_artifact *a, const char *name,
                                                       struct dvg_attribute **out);
DVG_CHECKED enum dvg_status dvg_artifact_new_dataset(struct dvg_artifact *a, const char *name,
                                                     struct dvg_dataset **out);
// NULL when there is none.
struct dvg_attribute *dvg_artifact_attribute(const struct dvg_artifact *a, const char *name);
struct dvg_dataset *dvg_artifact_dataset(const struct dvg_artifact *a, const char *name);
// Sorts both tables by name.
void dvg_artifact_sort(struct dvg_artifact *a);

// The content digest of artifact.h's rule, from the tables and the datasets' `sum`.
DVG_CHECKED enum dvg_status dvg_artifact_sum(const struct dvg_artifact *a, char digest[DVG_DIGEST_TEXT]);

// Adds the bytes of n values (or the NUL-ended strings) to a digest.
DVG_CHECKED enum dvg_status dvg_artifact_digest_add(struct dvg_digest *d, enum dvg_type type, const void *data,
                                                    int64_t n);

// ---- HDF5's side

size_t dvg_type_bytes(enum dvg_type type);
const char *dvg_type_name(int type);
// HDF5's little-endian type; for DVG_TEXT a new one. To be closed with dvg_type_close.
hid_t dvg_type_open(enum dvg_type type);
void dvg_type_close(enum dvg_type type, hid_t id);

// File access properties. Also turns HDF5's locks and its own messages off.
hid_t dvg_artifact_access(void);

// Why the last HDF5 call failed, as one line; call it before any other HDF5 function. Whether the system said
// so (no space, no permission) rather than the library.
int dvg_artifact_cause(char *text, size_t n_bytes);

// "path: cannot VERB 'name': cause", from the last HDF5 error. DVG_ERROR_IO for a cause of the system, else
// `status`.
enum dvg_status dvg_artifact_failed(const struct dvg_artifact *a, enum dvg_status status, const char *verb,
                                    const char *name);

// "2x3x4", or "scalar".
enum { DVG_SHAPE_TEXT = DVG_MAX_DIMS * 21 + 8 };
void dvg_shape_text(char text[DVG_SHAPE_TEXT], int n_dims, const int64_t *dims);

#endif
