// Private to stages/prepare/: how one listed image file becomes one frame of the set.
//
// Nothing is guessed. What does not fit is no failure of the rank that met it but a note, so that rank 0, which
// sees the notes in the order of the list, can name the first such file, the same one for any number of ranks.
#ifndef DVG_STAGES_PREPARE_FRAME_H
#define DVG_STAGES_PREPARE_FRAME_H

#include "common/base/digest.h"
#include "io/image.h"
#include "io/images.h"

enum dvg_prepare_fit { DVG_FIT_NONE, DVG_FIT_CENTER_CROP, DVG_FIT_RESIZE };
enum dvg_prepare_channels { DVG_CHANNELS_AUTO, DVG_CHANNELS_GRAY, DVG_CHANNELS_RGB };
enum dvg_prepare_problem {
  DVG_PROBLEM_NONE,
  DVG_PROBLEM_SIZE,      // another size than the first image's, or than was asked for
  DVG_PROBLEM_SMALL,     // smaller than the crop
  DVG_PROBLEM_SHAPE,     // --resize, but not square
  DVG_PROBLEM_CHANNELS,  // gray among RGB or the other way round, and the choice left open
  DVG_PROBLEM_LANDMARKS, // align: none, or all in one place
  DVG_PROBLEM_UNREADABLE, // set by the caller when decoding or aligning failed, which says why
};

struct dvg_prepare_framing {
  const struct dvg_list *list;
  int64_t size, resize; // 0: as the images are
  enum dvg_prepare_fit fit;
  enum dvg_prepare_channels channels;
  int align;
  // The first image, which the others must be like; first_H 0: not seen yet.
  int64_t first_row, first_H, first_W, first_C;
};

struct dvg_prepare_note {
  int64_t H, W, C;                // of the file's image
  int32_t problem;                // enum dvg_prepare_problem
  float landmarks[DVG_LANDMARKS]; // in the frame; zeros if the list has none
  char digest[DVG_DIGEST_TEXT];   // of the file's bytes
};

// Not collective. Reads and decodes the file of a row; note gets size and digest. Messages name the file.
DVG_CHECKED enum dvg_status dvg_prepare_decode(struct dvg_image *image, struct dvg_prepare_note *note,
                                               const struct dvg_prepare_framing *f, int64_t row);
// Not collective. The same, then crop, scale and channels. With a problem noted `frame` stays empty.
DVG_CHECKED enum dvg_status dvg_prepare_frame(struct dvg_image *frame, struct dvg_prepare_note *note,
                                              const struct dvg_prepare_framing *f, int64_t row);
// Says what does not fit, naming the file; DVG_OK when all is well. Not for DVG_PROBLEM_UNREADABLE.
DVG_CHECKED enum dvg_status dvg_prepare_judge(const struct dvg_prepare_note *note,
                                              const struct dvg_prepare_framing *f, int64_t row);

#endif
