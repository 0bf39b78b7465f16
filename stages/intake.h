// What pack, align and extract share: the source that the options name, its items that are taken, and what is
// said of files that are missing or bad.
#ifndef DVG_STAGES_INTAKE_H
#define DVG_STAGES_INTAKE_H

#include "common/base/options.h"
#include "mpi/world.h"
#include "stages/frame.h"

// Rows of an option table whose settings struct S has these members.
#define DVG_SOURCE_OPTIONS(S)                                                                                  \
  DVG_OPTION_PATH(S, list, "list", "", "list of images: TSV, or lines 'path identity [domain]'"),              \
      DVG_OPTION_PATH(S, folder, "folder", "", "or a folder of PERSON/IMAGE or DOMAIN/PERSON/IMAGE"),          \
      DVG_OPTION_PATH(S, rec, "rec", "", "or a RecordIO file (.rec, with or without its .idx)"),               \
      DVG_OPTION_PATH(                                                                                         \
          S, tar, "tar", "",                                                                                   \
          "or WebDataset tar shards: a file, a range 'set-{000..099}.tar', a folder, a text of them"),         \
      DVG_OPTION_PATH(S, images, "images", "", "or an images file (.h5), made by dvg-prepare"),                \
      DVG_OPTION_PATH(S, landmarks, "landmarks", "",                                                           \
                      "align by the five landmarks that this file has (name and ten numbers a line, or TSV)")

struct dvg_intake {
  const struct dvg_world *w;
  struct dvg_source source;
  struct dvg_framing framing; // `source` is set here, the rest by the program, after dvg_intake_open
  int64_t *items, n_items;    // that are taken
  int64_t *bad, n_bad;        // that were left out
  int64_t *sizes;             // (n_items) bytes of the files, from dvg_intake_check
};

// Collective. Opens the source on rank 0, then on all; takes all items. Free with dvg_intake_close.
DVG_CHECKED enum dvg_status dvg_intake_open(struct dvg_intake *in, const struct dvg_world *w,
                                            const struct dvg_source_choice *choice);
void dvg_intake_close(struct dvg_intake *in);

// Collective. All files are looked at before the first is decoded, shared out over the ranks: the first that is
// missing is named, then the first that must be aligned and has no landmarks of a face. With skip_bad all are
// read first, and those that can't be read or aligned are left out, with a warning.
DVG_CHECKED enum dvg_status dvg_intake_check(struct dvg_intake *in, int skip_bad);

// Not collective. Makes the frame of an item in silence: ranks meet bad files in any order, and the one that is
// to be said is made once more, aloud (dvg_intake_say), by the rank that met it, as another one may see another
// disk.
DVG_CHECKED enum dvg_status dvg_intake_frame(struct dvg_image *frame, struct dvg_frame_note *note,
                                             const struct dvg_intake *in, int64_t item);
// Not collective. Says why an item could not be read, and returns `met` or what is met now.
DVG_CHECKED enum dvg_status dvg_intake_say(const struct dvg_intake *in, int64_t item, enum dvg_status met);

#endif
