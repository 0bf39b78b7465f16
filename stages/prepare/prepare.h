// Private to stages/prepare/: what render, pack and align share, which is how an "images" artifact
// (io/images.h) comes to be.
//
// All ranks make pictures, in blocks of rows (dvg_distribute_ordered); rank 0 alone holds the columns, writes
// the file and the contact sheet. The file never depends on the number of ranks.
#ifndef DVG_STAGES_PREPARE_H
#define DVG_STAGES_PREPARE_H

#include "io/artifact.h"
#include "io/sheet.h"
#include "stages/stage.h"

extern const struct dvg_stage dvg_prepare_render, dvg_prepare_pack, dvg_prepare_align;

// The columns of an images artifact: all but the pixels.
struct dvg_prepare_set {
  int64_t N, H, W, C, n_people, n_domains;
  int64_t *identity;
  unsigned char *domain;
  char **name, **person, **domain_name; // arrays owned, their texts borrowed
  int has_landmarks;
  int names_aside; // names of images and people are no part of the content digest: other containers call them
                   // otherwise
  int64_t n_bad;
  char **bad; // names of rows that were left out, borrowed; the dataset `bad` (n_bad) text is there only if
              // n_bad > 0
};
// Not collective. Empty columns; free with dvg_prepare_set_free.
DVG_CHECKED enum dvg_status dvg_prepare_set_create(struct dvg_prepare_set *set, int64_t N, int64_t n_people,
                                                   int64_t n_domains);
void dvg_prepare_set_free(struct dvg_prepare_set *set);
// People with images in one domain only: those that the trainers drop. 0 in a set of one domain.
DVG_CHECKED enum dvg_status dvg_prepare_set_lonely(int64_t *n, const struct dvg_prepare_set *set);

// The artifact being written, and the sheet beside it.
struct dvg_prepare_writer {
  const struct dvg_prepare_set *set; // borrowed
  struct dvg_artifact *file;
  struct dvg_sheet *sheet; // NULL: none was asked for
  const char *sheet_path;
  int32_t *cell; // (N) place of each row in the sheet, row by row, or -1
  int64_t sheet_columns, n_put;
};
// Rank 0. Starts `out` and writes the columns; `sheet` "" for none.
DVG_CHECKED enum dvg_status dvg_prepare_begin(struct dvg_prepare_writer *p, const struct dvg_prepare_set *set,
                                              const char *out, const char *sheet, const struct dvg_lineage *l);
// Rank 0. The next row: pixels (H,W,C), landmarks (10) if the set has them.
DVG_CHECKED enum dvg_status dvg_prepare_put(struct dvg_prepare_writer *p, const unsigned char *pixels,
                                            const float *landmarks);
// Rank 0. Writes the sheet, then finishes the artifact and says what it is.
DVG_CHECKED enum dvg_status dvg_prepare_end(struct dvg_prepare_writer *p, double started);
// Releases all; an artifact that was not ended is removed. Nothing to do after dvg_prepare_end or for a writer
// of zeros.
void dvg_prepare_drop(struct dvg_prepare_writer *p);

// Rank 0. Chooses the rows for a contact sheet: people with many images, spread over the set; a row a person,
// some columns a domain. Fills p->sheet, p->cell and p->sheet_columns.
DVG_CHECKED enum dvg_status dvg_prepare_lay_out(struct dvg_prepare_writer *p, const char *title);

// Images that a rank makes at a time, at most `most`: rank 0 holds that many for every rank, so large images
// come one by one.
int64_t dvg_prepare_block(size_t record_bytes, int64_t most);

// Collective. Makes the folders of both files where they are missing; agreed.
DVG_CHECKED enum dvg_status dvg_prepare_folders(const struct dvg_world *w, const char *out, const char *sheet);

#endif
