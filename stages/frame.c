#include "stages/frame.h"

#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { ARCFACE_SIDE = 112, MAX_WHERE = 4096 };
// Less than this many pixels between eyes, or between eyes and mouth, are no landmarks of a face but of a
// detector that failed.
static const double least_distance = 2;

enum dvg_status dvg_frame_decode(struct dvg_image *image, struct dvg_frame_note *note,
                                 const struct dvg_framing *f, int64_t item) {
  memset(note, 0, sizeof *note); // padding too: notes are sent as bytes
  DVG_TRY(dvg_source_read(image, note->digest, f->source, item));
  note->H = image->H;
  note->W = image->W;
  note->C = image->C;
  return DVG_OK;
}

// NULL for none.
static const float *landmarks_of(const struct dvg_framing *f, int64_t item) {
  const struct dvg_source *s = f->source;
  return s->landmarks && s->has_landmarks[item] ? s->landmarks[item] : NULL;
}

static int are_landmarks(const float *p) {
  if (!p) return 0;
  double eyes = hypot((double)p[2] - p[0], (double)p[3] - p[1]);
  double x = ((double)p[6] + p[8] - p[0] - p[2]) / 2, y = ((double)p[7] + p[9] - p[1] - p[3]) / 2;
  return eyes >= least_distance && hypot(x, y) >= least_distance; // false for NaN
}

int dvg_frame_has_landmarks(const struct dvg_framing *f, int64_t item) {
  return are_landmarks(landmarks_of(f, item));
}

static enum dvg_frame_problem find_problem(const struct dvg_frame_note *n, const struct dvg_framing *f,
                                           int64_t item) {
  if (f->channels == DVG_CHANNELS_AUTO && f->first_H && n->C != f->first_C) return DVG_PROBLEM_CHANNELS;
  if (f->fit == DVG_FIT_LANDMARKS)
    return dvg_frame_has_landmarks(f, item) ? DVG_PROBLEM_NONE : DVG_PROBLEM_LANDMARKS;
  if (f->fit == DVG_FIT_ARCFACE)
    return n->H == ARCFACE_SIDE && n->W == ARCFACE_SIDE ? DVG_PROBLEM_NONE : DVG_PROBLEM_ARCFACE;
  if (f->fit == DVG_FIT_CENTER_CROP)
    return n->H < f->size || n->W < f->size ? DVG_PROBLEM_SMALL : DVG_PROBLEM_NONE;
  if (f->fit == DVG_FIT_RESIZE) return DVG_PROBLEM_NONE;
  if (f->network && n->H == n->W && (n->H == f->size || n->H == f->network)) return DVG_PROBLEM_NONE;
  if (f->network) return DVG_PROBLEM_NETWORK;
  if (f->size && (n->H != f->size || n->W != f->size)) return DVG_PROBLEM_SIZE;
  if (f->first_H && (n->H != f->first_H || n->W != f->first_W)) return DVG_PROBLEM_SIZE;
  return f->resize && n->H != n->W ? DVG_PROBLEM_SHAPE : DVG_PROBLEM_NONE;
}

static enum dvg_status center_crop(struct dvg_image *out, const struct dvg_image *in, int64_t size) {
  int64_t top = (in->H - size) / 2, left = (in->W - size) / 2;
  size_t n_bytes = (size_t)(size * in->C);
  DVG_TRY(dvg_image_create(out, size, size, in->C));
  for (int64_t y = 0; y < size; y++)
    memcpy(out->pixels + (size_t)y * n_bytes, in->pixels + ((top + y) * in->W + left) * in->C, n_bytes);
  return DVG_OK;
}

// Landmarks follow what was done to the image: first moved, then scaled.
static void move(float *landmarks, double left, double top, double scale_x, double scale_y) {
  for (int i = 0; i < DVG_LANDMARKS; i += 2) {
    landmarks[i] = (float)((landmarks[i] - left) * scale_x);
    landmarks[i + 1] = (float)((landmarks[i + 1] - top) * scale_y);
  }
}

static enum dvg_status resize(struct dvg_image *out, float *landmarks, const struct dvg_image *in,
                              int64_t size) {
  move(landmarks, 0, 0, (double)size / (double)in->W, (double)size / (double)in->H);
  return dvg_image_resize(out, in, size, size);
}

// Replaces *image by *next.
static void take(struct dvg_image *image, struct dvg_image *next) {
  dvg_image_free(image);
  *image = *next;
  *next = (struct dvg_image){0};
}

static enum dvg_status shape(struct dvg_image *image, float landmarks[DVG_LANDMARKS],
                             const struct dvg_framing *f, int64_t item) {
  struct dvg_image next = {0};
  char where[MAX_WHERE];
  const float *given = landmarks_of(f, item);
  dvg_source_where(where, sizeof where, f->source, item);
  int64_t C = f->channels == DVG_CHANNELS_AUTO ? image->C : f->channels == DVG_CHANNELS_GRAY ? 1 : 3;
  if (C == 1 && image->C != 1) { // before the geometry: a third of the work
    DVG_TRY(dvg_image_convert(&next, image, C));
    take(image, &next);
  }
  if (given) memcpy(landmarks, given, DVG_LANDMARKS * sizeof *given);
  if (f->fit == DVG_FIT_LANDMARKS) {
    DVG_TRY(dvg_image_align(&next, landmarks, image, given, f->size, where));
    take(image, &next);
  } else if (f->fit == DVG_FIT_ARCFACE) {
    DVG_TRY(dvg_image_from_arcface(&next, landmarks, image, f->size, where));
    take(image, &next);
  } else if (f->fit == DVG_FIT_CENTER_CROP) {
    move(landmarks, (double)((image->W - f->size) / 2), (double)((image->H - f->size) / 2), 1, 1);
    DVG_TRY(center_crop(&next, image, f->size));
    take(image, &next);
  } else if (f->fit == DVG_FIT_RESIZE) {
    DVG_TRY(resize(&next, landmarks, image, f->size));
    take(image, &next);
  }
  if (f->resize) {
    DVG_TRY(resize(&next, landmarks, image, f->resize));
    take(image, &next);
  }
  if (C != image->C) {
    DVG_TRY(dvg_image_convert(&next, image, C));
    take(image, &next);
  }
  return DVG_OK;
}

enum dvg_status dvg_frame_make(struct dvg_image *frame, struct dvg_frame_note *note,
                               const struct dvg_framing *f, int64_t item) {
  struct dvg_image image = {0};
  *frame = image;
  DVG_TRY(dvg_frame_decode(&image, note, f, item));
  enum dvg_status status = DVG_OK;
  note->problem = (int32_t)find_problem(note, f, item);
  if (note->problem == DVG_PROBLEM_NONE) status = shape(&image, note->landmarks, f, item);
  if (note->problem == DVG_PROBLEM_NONE && status == DVG_OK) *frame = image;
  else dvg_image_free(&image);
  return status;
}

static enum dvg_status say_size(const char *where, const struct dvg_frame_note *n,
                                const struct dvg_framing *f) {
  const char *way = "use dvg-prepare align, or choose with --size and --fit";
  char first[MAX_WHERE];
  if (f->size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, but --size says %lld x %lld; %s", where,
                    (long long)n->W, (long long)n->H, (long long)f->size, (long long)f->size, way);
  dvg_source_name(first, sizeof first, f->source, f->first_item);
  return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, but the first image (%s) is %lld x %lld; %s", where,
                  (long long)n->W, (long long)n->H, first, (long long)f->first_W, (long long)f->first_H, way);
}

static enum dvg_status say_channels(const char *where, const struct dvg_frame_note *n,
                                    const struct dvg_framing *f) {
  char first[MAX_WHERE];
  dvg_source_name(first, sizeof first, f->source, f->first_item);
  return dvg_fail(DVG_ERROR_INPUT, "%s: is %s, but the first image (%s) is %s; choose with --channels", where,
                  n->C == 1 ? "gray" : "RGB", first, f->first_C == 1 ? "gray" : "RGB");
}

enum dvg_status dvg_frame_judge(const struct dvg_frame_note *n, const struct dvg_framing *f, int64_t item) {
  char where[MAX_WHERE];
  long long W = (long long)n->W, H = (long long)n->H;
  if (n->problem == DVG_PROBLEM_NONE) return DVG_OK;
  dvg_source_where(where, sizeof where, f->source, item);
  switch ((enum dvg_frame_problem)n->problem) {
  case DVG_PROBLEM_NONE:
  case DVG_PROBLEM_UNREADABLE: // not judged here
    break;
  case DVG_PROBLEM_SIZE:
    return say_size(where, n, f);
  case DVG_PROBLEM_SMALL:
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, too small for a crop of %lld x %lld", where, W, H,
                    (long long)f->size, (long long)f->size);
  case DVG_PROBLEM_SHAPE:
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld; --resize needs square images", where, W, H);
  case DVG_PROBLEM_CHANNELS:
    return say_channels(where, n, f);
  case DVG_PROBLEM_ARCFACE:
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, but --fit arcface-112 is for images of 112 x 112",
                    where, W, H);
  case DVG_PROBLEM_NETWORK:
    return dvg_fail(
        DVG_ERROR_INPUT,
        "%s: is %lld x %lld, but the network takes %lld x %lld or its crop of %lld x %lld; choose with "
        "--fit, or give --landmarks",
        where, W, H, (long long)f->size, (long long)f->size, (long long)f->network, (long long)f->network);
  case DVG_PROBLEM_LANDMARKS:
    return dvg_fail(DVG_ERROR_INPUT, "%s: %s", where,
                    landmarks_of(f, item) ? "its landmarks are no face: eyes or mouth in one place"
                    : f->source->kind == DVG_SOURCE_LIST ? "the list has no landmarks for it"
                                                         : "there are no landmarks for it");
  }
  return dvg_fail(DVG_ERROR_INTERNAL, "%s: unknown problem %d", where, (int)n->problem);
}
