// Where the entries of a zip container lie, as far as PyTorch writes them. Private to io/. (libarchive reads entries one after the other and does not
// tell their places; tensors are read from places.) PKWARE's APPNOTE 6.3: end of central directory, zip64, central directory, local headers.
#ifndef DVG_IO_ZIP_TABLE_H
#define DVG_IO_ZIP_TABLE_H

#include "io/tensors_file.h"

struct dvg_zip_entry {
  const char *name; // in the table's block, NUL-ended
  int64_t header, n_bytes;
  int plain; // neither compressed nor encrypted
};

struct dvg_zip {
  const struct dvg_tensors *f;
  int64_t n_entries;
  struct dvg_zip_entry *entry; // by name
  char *names;
};

// Reads the central directory; DVG_ERROR_INPUT for what is damaged. Freed with dvg_zip_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_zip_read(struct dvg_zip *z, const struct dvg_tensors *f);
void dvg_zip_free(struct dvg_zip *z);
// NULL when there is none.
const struct dvg_zip_entry *dvg_zip_find(const struct dvg_zip *z, const char *name);
// *first_byte = where the entry's content begins, all of which is in the file. DVG_ERROR_INPUT when it is compressed.
DVG_CHECKED enum dvg_status dvg_zip_locate(const struct dvg_zip *z, const struct dvg_zip_entry *e, int64_t *first_byte);

#endif
