// Tar shards in the WebDataset convention: the table of the images, reading one, writing a shard.
//
// Neighbouring members that share a key (the path up to the first dot of its last part) are one sample; what
// follows that dot tells what a member is, in any case of letters:
//
//     jpg jpeg png pgm ppm pnm bmp
//             the image; DOMAIN.png: that of a domain, of which a sample may have several
//     cls     its identity: a line of text, mostly a number
//     json    an object: `identity`, or else `label`, or else `cls`, a whole number or a text;
//             and `domain`, of an image whose name tells none
//
// json's `identity` is taken before cls, that before json's other two. All other members are passed over, but a
// sample whose only image is of a kind that can't be read (webp, gif, tif, ...) is refused by name.
#ifndef DVG_IO_TAR_H
#define DVG_IO_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "io/bytes.h"

// ---- reading. Not collective: each rank opens the set by itself.

struct dvg_tar_image {
  const char *name;     // of the member, as the archive has it; unique in the set
  const char *domain;   // "" when none is told
  const char *identity; // text; numbers as %lld
  int64_t tar;          // which file
  int64_t offset;       // of its first byte in that file, decompressed
  int64_t n_bytes;
};

struct dvg_tar_set {
  int64_t n_tars, n_images;
  char **tars;                  // paths, in the order of reading; owned
  struct dvg_tar_image *images; // in the order of the archives; texts owned by the set
  struct dvg_tar_state *state;  // the file that is open, where a compressed one stands
};

// `source`: a tar file, plain or gzip (told by content); a range of them, "set-{0000..0099}.tar" (numbers as
// wide as written, both ends included, one pair of braces); a folder, whose *.tar, *.tar.gz, *.tgz are taken by
// name; a text file with a name a line (or a range), relative to it. Reads all headers and labels in one pass.
// DVG_ERROR_IO: can't be read. DVG_ERROR_INPUT, naming file and member: no or a truncated archive, a sample
// without image or identity, with two, a name twice, an image that is no plain file or too large, bad JSON.
// Memory: bounded by the size of the files. Free with dvg_tar_close.
DVG_CHECKED enum dvg_status dvg_tar_open(struct dvg_tar_set *t, const char *source);
void dvg_tar_close(struct dvg_tar_set *t);

// images[i] in b->data[0 .. b->n), which only grows. Of a plain tar by pread at any place. A gzip one is read
// forwards from where it stands and from the beginning for a place before: give each rank a range of its own in
// ascending order. One thread.
DVG_CHECKED enum dvg_status dvg_tar_read(struct dvg_bytes *b, struct dvg_tar_set *t, int64_t i);

// ---- writing. One rank writes a file: POSIX ustar (pax for long names), no times, no owners: the same content
// makes the same bytes.

struct dvg_tar_writer;
// Starts <path>.part.
DVG_CHECKED enum dvg_status dvg_tar_create(struct dvg_tar_writer **w, const char *path);
DVG_CHECKED enum dvg_status dvg_tar_add(struct dvg_tar_writer *w, const char *name, const void *bytes,
                                        size_t n_bytes);
// Syncs and renames. Frees `w` and sets it to NULL in every case; after a failure the temporary file is
// removed.
DVG_CHECKED enum dvg_status dvg_tar_commit(struct dvg_tar_writer **w);
void dvg_tar_discard(struct dvg_tar_writer **w);

#endif
