// How one item of a source becomes one frame: of a packed set, or of what a recogniser is given.
//
// Nothing is guessed. What does not fit is no failure of the rank that met it but a note, so that rank 0, which
// sees the notes in the order of the list, can name the first such file, the same one for any number of ranks.
#ifndef DVG_STAGES_FRAME_H
#define DVG_STAGES_FRAME_H

#include "common/base/digest.h"
#include "io/image.h"
#include "io/source.h"

#define DVG_FIT_CHOICES "none|center-crop|resize|arcface-112|landmarks"

enum dvg_fit { DVG_FIT_NONE, DVG_FIT_CENTER_CROP, DVG_FIT_RESIZE, DVG_FIT_ARCFACE, DVG_FIT_LANDMARKS };
enum dvg_channels { DVG_CHANNELS_AUTO, DVG_CHANNELS_GRAY, DVG_CHANNELS_RGB };
enum dvg_frame_problem {
  DVG_PROBLEM_NONE,
  DVG_PROBLEM_SIZE,       // another size than the first image's, or than was asked for
  DVG_PROBLEM_SMALL,      // smaller than the crop
  DVG_PROBLEM_SHAPE,      // --resize, but not square
  DVG_PROBLEM_CHANNELS,   // gray among RGB or the other way round, and the choice left open
  DVG_PROBLEM_ARCFACE,    // not 112 x 112
  DVG_PROBLEM_NETWORK,    // neither the frame nor the crop that the network takes
  DVG_PROBLEM_LANDMARKS,  // to be aligned by: none, or all in one place
  DVG_PROBLEM_UNREADABLE, // set by the caller when decoding or aligning failed, which says why
};

struct dvg_framing {
  struct dvg_source *source;
  int64_t size, resize; // 0: as the images are
  int64_t network;      // a crop of this side is taken later: an image of `size` or of this will do; 0: none is
  enum dvg_fit fit;
  enum dvg_channels channels;
  // The first image, which the others must be like; first_H 0: not seen yet.
  int64_t first_item, first_H, first_W, first_C;
};

struct dvg_frame_note {
  int64_t H, W, C;                // of the file's image
  int32_t problem;                // enum dvg_frame_problem
  float landmarks[DVG_LANDMARKS]; // in the frame; zeros if it has none
  char digest[DVG_DIGEST_TEXT];   // of the file's bytes
};

// Not collective. Reads and decodes the file of an item; note gets size and digest. Messages name the file.
DVG_CHECKED enum dvg_status dvg_frame_decode(struct dvg_image *image, struct dvg_frame_note *note,
                                             const struct dvg_framing *f, int64_t item);
// Not collective. The same, then crop, scale and channels. With a problem noted `frame` stays empty.
DVG_CHECKED enum dvg_status dvg_frame_make(struct dvg_image *frame, struct dvg_frame_note *note,
                                           const struct dvg_framing *f, int64_t item);
// Not collective. Whether an item's landmarks are there and those of a face, as far as can be seen without the
// image.
int dvg_frame_has_landmarks(const struct dvg_framing *f, int64_t item);
// Says what does not fit, naming the file; DVG_OK when all is well. Not for DVG_PROBLEM_UNREADABLE.
DVG_CHECKED enum dvg_status dvg_frame_judge(const struct dvg_frame_note *note, const struct dvg_framing *f,
                                            int64_t item);

#endif
