// What an export is made of: a pair set, an images file or a feature set, seen alike as numbered items with
// images, a label, columns of numbers and vectors. One rank.
#ifndef DVG_STAGES_INSPECT_EXPORT_SOURCE_H
#define DVG_STAGES_INSPECT_EXPORT_SOURCE_H

#include "io/images.h"
#include "io/shards.h"
#include "stages/select.h"

enum { DVG_EXPORT_MOST = 16, DVG_EXPORT_ROWS = 16, DVG_EXPORT_NAME = 72, DVG_EXPORT_TEXT = 256 };

// A dataset with a row an item.
struct dvg_export_dataset {
  char name[DVG_EXPORT_NAME];
  enum dvg_type type; // as it is stored
  int64_t width;      // of a vector
};

struct dvg_export_source {
  const char *path, *digest; // borrowed
  struct dvg_image_set images;
  struct dvg_shard_reader *set;        // NULL: an images file
  struct dvg_ledger ledger;            // of pairs: the written ones that --where leaves are the items
  struct dvg_selected selected;
  const struct dvg_artifact *file;     // the images file, or the first shard; borrowed
  int64_t n_items, per_file, n_people; // per_file: items of a shard, or 10,000
  int64_t H, W, C;
  int n_images, n_columns, n_vectors; // images of an item: the domains of pairs, 1 or 0
  struct dvg_export_dataset image[DVG_EXPORT_MOST], column[DVG_EXPORT_MOST], vector[DVG_EXPORT_MOST];
  int has_landmarks;
  int64_t
      *label;  // (n_items) who it is, in [0, n_people): of pairs, each of a new person, the item's own number
  char **name; // of an images file: where each came from; else NULL
  void *values[DVG_EXPORT_MOST]; // of the columns, rows [first, first + count): int64_t or, of a real type,
                                 // double
  int64_t first, count;
};

// `schema`: "pairs", "images" or "features"; where, scores: stages/select.h, "" but for pairs. DVG_ERROR_INPUT for what can't be told apart in files: domains
// that make no file name, numbers that are no people. Free with dvg_export_source_close.
DVG_CHECKED enum dvg_status dvg_export_source_open(struct dvg_export_source *s, const char *path,
                                                   const char *schema, const char *where, const char *scores);
void dvg_export_source_close(struct dvg_export_source *s);

int dvg_export_is_real(enum dvg_type type);
// Whether a text can be a file's or a folder's name: not long, not hidden, no slash, no control characters.
int dvg_export_is_file_name(const char *text);

// Makes the columns of `item` readable at values[..][item - first].
DVG_CHECKED enum dvg_status dvg_export_source_load(struct dvg_export_source *s, int64_t item);
// Pixels (H,W,C) of image k of an item; a vector; the landmarks (10).
DVG_CHECKED enum dvg_status dvg_export_source_pixels(unsigned char *pixels, const struct dvg_export_source *s,
                                                     int64_t item, int k);
DVG_CHECKED enum dvg_status dvg_export_source_vector(float *vector, const struct dvg_export_source *s,
                                                     int64_t item, int v);
DVG_CHECKED enum dvg_status dvg_export_source_landmarks(float *landmarks, const struct dvg_export_source *s,
                                                        int64_t item);
// The name of who it is: the images file's; of pairs p00000017 with the pair's number; of features the number.
DVG_CHECKED enum dvg_status dvg_export_source_person(char text[DVG_EXPORT_TEXT], struct dvg_export_source *s,
                                                     int64_t item);
// Name of the domain of image k of an item.
const char *dvg_export_source_domain(const struct dvg_export_source *s, int64_t item, int k);

#endif
