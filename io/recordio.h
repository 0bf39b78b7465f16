// MXNet RecordIO image sets (`train.rec`, `train.idx`): the table of the images, reading one, writing a set.
//
// On disk (dmlc-core's recordio.h, MXNet's image_recordio.h), little endian. A file is a row of parts, each at
// a multiple of 4:
//     u32 magic 0xced7230a | u32 cflag << 29 | length | length bytes | zeros up to a multiple of 4
// cflag 0: a whole record; 1, 2, 3: its first, middle and last part. A magic at a multiple of 4 inside a record
// is left out where two parts meet, and put back by the reader. A record is
//     u32 flag | f32 label | u64 id | u64 id2 | flag x f32 labels (then these count) | the image file
// The text beside it has a line `key <tab> offset of the record's first part` a record; without it the ids of
// the records are the keys.
//
// InsightFace's sets have a record with key 0, two labels [a, b) and no image: the images have keys 1..a-1, and
// keys a..b-1 are people, whose two labels are the range of their images' keys and who have no image either.
// They are told by that; an image's own label is its identity, as it is for the trainers that read such sets,
// while the ranges are only checked (floats: exact below 2^24).
#ifndef DVG_IO_RECORDIO_H
#define DVG_IO_RECORDIO_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "io/bytes.h"

// ---- reading. Not collective: each rank opens the set by itself. What is open doesn't change: any number of
// threads may read.

struct dvg_recordio_image {
  int64_t key;      // of the index, or the record's own id
  int64_t offset;   // of the record's first part in the file
  int64_t n_bytes;  // of the record, its header and labels included: the image is at least 24 bytes shorter
  int64_t identity; // the (first) label: a whole number, 0 or more
};

struct dvg_recordio {
  char *path; // of the .rec
  int fd;
  int64_t file_bytes;
  int64_t n_images, n_people_records; // the latter: 0 without the header
  struct dvg_recordio_image *images;  // in the file's order, which is that of sequential reading
};

// Opens `path` (.rec). Takes the .idx beside it (same name, other ending) if there is one, else reads the heads
// of all records. Either way all records' headers are looked at, in one pass. DVG_ERROR_IO: can't be read.
// DVG_ERROR_INPUT, naming the file, the record's key or number and its offset: bad magic, a length beyond the
// end, a part out of order, no whole number as label, a record without an image that is no header, an index
// that points elsewhere or has a key twice, ranges that don't fit. Memory: 32 bytes an image. Free with
// dvg_recordio_close.
DVG_CHECKED enum dvg_status dvg_recordio_open(struct dvg_recordio *r, const char *path);
void dvg_recordio_close(struct dvg_recordio *r);

// The image file of images[i] in b->data[*first .. b->n), which only grows: one buffer serves all. By pread.
// DVG_ERROR_INPUT when the file has changed since it was opened.
DVG_CHECKED enum dvg_status dvg_recordio_read(struct dvg_bytes *b, size_t *first, const struct dvg_recordio *r,
                                              int64_t i);

// ---- writing. One rank. InsightFace's form: the header, the images by ascending identity, the people.

struct dvg_recordio_writer;
// Starts <path>.part and that of the index. n_images and n_people must be what comes; both together below 2^24,
// or DVG_ERROR_USAGE: labels are floats.
DVG_CHECKED enum dvg_status dvg_recordio_create(struct dvg_recordio_writer **w, const char *path,
                                                int64_t n_images, int64_t n_people);
// The next image, key 1, 2, ...; identities in [0, n_people) must not descend.
DVG_CHECKED enum dvg_status dvg_recordio_add(struct dvg_recordio_writer *w, int64_t identity, const void *image,
                                             size_t n_bytes);
// Writes the people, syncs, renames .rec and then .idx. Frees `w` and sets it to NULL in every case; after a
// failure the temporary files are removed.
DVG_CHECKED enum dvg_status dvg_recordio_commit(struct dvg_recordio_writer **w);
void dvg_recordio_discard(struct dvg_recordio_writer **w);

#endif
