// A source of images, whatever people hold them in: one interface over lists, folders, RecordIO, tar shards and
// packed sets. Read in place, item by item; each rank opens it by itself and reads its share.
//
//     kind      items                    name          identity        domain
//     images    rows of an images file   as stored     as stored       as stored
//     list      lines (io/images.h)      path          column          column, or of --domains that in the path
//     folder    files (io/images.h)      path within   folder          folder, or as of a list
//     recordio  records (io/recordio.h)  set.rec:KEY   label           the one asked for, or VIS
//     tar       images (io/tar.h)        member        .cls or .json   member or .json, or as of a list
//
// Items stand in the order of the container. People are numbered by first appearance, those of an images file
// as there.
#ifndef DVG_IO_SOURCE_H
#define DVG_IO_SOURCE_H

#include <stdint.h>

#include "common/base/digest.h"
#include "common/base/status.h"
#include "io/bytes.h"
#include "io/image.h"
#include "io/images.h"
#include "io/recordio.h"
#include "io/tar.h"

enum dvg_source_kind {
  DVG_SOURCE_IMAGES,
  DVG_SOURCE_LIST,
  DVG_SOURCE_FOLDER,
  DVG_SOURCE_RECORDIO,
  DVG_SOURCE_TAR
};

// What is asked for: one of the five, the others "" or NULL.
struct dvg_source_choice {
  const char *images, *list, *folder, *rec, *tar;
  struct dvg_list_filter filter;
  const char *landmarks; // a file as in io/landmarks.h; "" or NULL: those of the source, if it has any
};

struct dvg_source {
  enum dvg_source_kind kind;
  const char *path; // borrowed from the choice
  int64_t N, n_people, n_domains;
  int64_t *identity;            // (N)
  unsigned char *domain;        // (N)
  char **person, **domain_name; // (n_people), (n_domains)
  float (*landmarks)[10];       // (N,10), or NULL: none at all
  unsigned char *has_landmarks; // (N), with landmarks
  // private
  int64_t *place; // (N) of each item in its container
  struct dvg_list list;
  struct dvg_recordio rec;
  struct dvg_tar_set tar;
  struct dvg_image_set set;
  char **owned_people, *owned_text, **owned_domain, **set_names;
  struct dvg_bytes bytes; // the file that was read last
};

// Not collective. DVG_ERROR_USAGE: not one of the five, `where` on what has no columns, domains that a kind
// cannot have. DVG_ERROR_INPUT: as the containers' readers say; landmarks for an item that is not there (unless
// some were left out by the filter), or beside landmarks of a list's own. Items without landmarks are no error
// here. Memory: the container's table and 17 bytes an item. `path` and texts of the choice must stay. Free with
// dvg_source_close.
DVG_CHECKED enum dvg_status dvg_source_open(struct dvg_source *s, const struct dvg_source_choice *choice);
void dvg_source_close(struct dvg_source *s);

// Not collective. Reads and decodes item i. `digest` (or NULL) becomes the SHA-256 of its file; of an images
// file, which holds no files, that of its pixels. Messages name the item. A gzip tar is read forwards: give
// each rank ascending items.
DVG_CHECKED enum dvg_status dvg_source_read(struct dvg_image *image, char *digest, struct dvg_source *s,
                                            int64_t i);

// As snprintf: an item's name, as it is stored; and as messages say it, with the container's or file's path.
int dvg_source_name(char *text, size_t n_bytes, const struct dvg_source *s, int64_t i);
int dvg_source_where(char *text, size_t n_bytes, const struct dvg_source *s, int64_t i);
// The names of n items in one block of memory, freed with dvg_free.
DVG_CHECKED enum dvg_status dvg_source_names(char ***names, const struct dvg_source *s, const int64_t *items,
                                             int64_t n);

// Bytes of an item's file, in *n_bytes; or the cause (errno) why it can't be read, of lists and folders. 0: all
// well.
int dvg_source_probe(int64_t *n_bytes, const struct dvg_source *s, int64_t i);

// What stands for a source in a lineage: of an images file its content digest. Of the others the SHA-256 of the
// kind, the size of a RecordIO file, and for each item its name, identity, domain (each with a NUL), bytes and
// landmarks, if any: of its table, not of its pixels, which would cost minutes on a large container. sizes[k]:
// of items[k] (dvg_source_probe).
DVG_CHECKED enum dvg_status dvg_source_digest(char digest[DVG_DIGEST_TEXT], const struct dvg_source *s,
                                              const int64_t *items, const int64_t *sizes, int64_t n);

#endif
