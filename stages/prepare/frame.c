#include "stages/prepare/frame.h"

#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

static const int64_t max_file_bytes = (int64_t)1 << 30;
// Less than this many pixels between eyes, or between eyes and mouth, are no landmarks of a face but of a
// detector that failed.
static const double least_distance = 2;

enum dvg_status dvg_prepare_decode(struct dvg_image *image, struct dvg_prepare_note *note,
                                   const struct dvg_prepare_framing *f, int64_t row) {
  char *path = NULL;
  unsigned char *bytes = NULL;
  size_t n_bytes;
  enum dvg_status status;
  memset(note, 0, sizeof *note); // padding too: notes are sent as bytes
  DVG_TRY_GOTO(dvg_list_path(&path, f->list, row));
  DVG_TRY_GOTO(dvg_path_read_bytes(path, max_file_bytes, &bytes, &n_bytes));
  DVG_TRY_GOTO(dvg_digest_of(note->digest, bytes, n_bytes));
  DVG_TRY_GOTO(dvg_image_decode(image, bytes, n_bytes, path));
  note->H = image->H;
  note->W = image->W;
  note->C = image->C;
done:
  dvg_free(&bytes);
  dvg_free(&path);
  return status;
}

static int are_landmarks(const struct dvg_list_row *row) {
  if (!row->has_landmarks) return 0;
  const float *p = row->landmarks;
  double eyes = hypot((double)p[2] - p[0], (double)p[3] - p[1]);
  double x = ((double)p[6] + p[8] - p[0] - p[2]) / 2, y = ((double)p[7] + p[9] - p[1] - p[3]) / 2;
  return eyes >= least_distance && hypot(x, y) >= least_distance; // false for NaN
}

static enum dvg_prepare_problem find_problem(const struct dvg_prepare_note *n,
                                             const struct dvg_prepare_framing *f,
                                             const struct dvg_list_row *row) {
  if (f->channels == DVG_CHANNELS_AUTO && f->first_H && n->C != f->first_C) return DVG_PROBLEM_CHANNELS;
  if (f->align) return are_landmarks(row) ? DVG_PROBLEM_NONE : DVG_PROBLEM_LANDMARKS;
  if (f->fit == DVG_FIT_CENTER_CROP)
    return n->H < f->size || n->W < f->size ? DVG_PROBLEM_SMALL : DVG_PROBLEM_NONE;
  if (f->fit == DVG_FIT_RESIZE) return DVG_PROBLEM_NONE;
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
                             const struct dvg_prepare_framing *f, const struct dvg_list_row *row,
                             const char *path) {
  struct dvg_image next = {0};
  int64_t C = f->channels == DVG_CHANNELS_AUTO ? image->C : f->channels == DVG_CHANNELS_GRAY ? 1 : 3;
  if (C == 1 && image->C != 1) { // before the geometry: a third of the work
    DVG_TRY(dvg_image_convert(&next, image, C));
    take(image, &next);
  }
  if (row->has_landmarks) memcpy(landmarks, row->landmarks, sizeof row->landmarks);
  if (f->align) {
    DVG_TRY(dvg_image_align(&next, landmarks, image, row->landmarks, f->size, path));
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

enum dvg_status dvg_prepare_frame(struct dvg_image *frame, struct dvg_prepare_note *note,
                                  const struct dvg_prepare_framing *f, int64_t row) {
  const struct dvg_list_row *line = &f->list->rows[row];
  struct dvg_image image = {0};
  char *path = NULL;
  *frame = image;
  DVG_TRY(dvg_prepare_decode(&image, note, f, row));
  enum dvg_status status = dvg_list_path(&path, f->list, row);
  note->problem = (int32_t)find_problem(note, f, line);
  if (note->problem == DVG_PROBLEM_NONE && status == DVG_OK)
    status = shape(&image, note->landmarks, f, line, path);
  if (note->problem == DVG_PROBLEM_NONE && status == DVG_OK) *frame = image;
  else dvg_image_free(&image);
  dvg_free(&path);
  return status;
}

static enum dvg_status say_size(const char *path, const struct dvg_prepare_note *n,
                                const struct dvg_prepare_framing *f) {
  const char *way = "use dvg-prepare align, or choose with --size and --fit";
  if (f->size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, but --size says %lld x %lld; %s", path,
                    (long long)n->W, (long long)n->H, (long long)f->size, (long long)f->size, way);
  return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, but the first image (%s) is %lld x %lld; %s", path,
                  (long long)n->W, (long long)n->H, f->list->rows[f->first_row].path, (long long)f->first_W,
                  (long long)f->first_H, way);
}

static enum dvg_status say(const char *path, const struct dvg_prepare_note *n,
                           const struct dvg_prepare_framing *f, const struct dvg_list_row *row) {
  switch ((enum dvg_prepare_problem)n->problem) {
  case DVG_PROBLEM_NONE:
    return DVG_OK;
  case DVG_PROBLEM_UNREADABLE: // not judged here
    break;
  case DVG_PROBLEM_SIZE:
    return say_size(path, n, f);
  case DVG_PROBLEM_SMALL:
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld, too small for a crop of %lld x %lld", path,
                    (long long)n->W, (long long)n->H, (long long)f->size, (long long)f->size);
  case DVG_PROBLEM_SHAPE:
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %lld x %lld; --resize needs square images", path, (long long)n->W,
                    (long long)n->H);
  case DVG_PROBLEM_CHANNELS:
    return dvg_fail(DVG_ERROR_INPUT, "%s: is %s, but the first image (%s) is %s; choose with --channels", path,
                    n->C == 1 ? "gray" : "RGB", f->list->rows[f->first_row].path,
                    f->first_C == 1 ? "gray" : "RGB");
  case DVG_PROBLEM_LANDMARKS:
    return dvg_fail(DVG_ERROR_INPUT, "%s: %s", path,
                    row->has_landmarks ? "its landmarks are no face: eyes or mouth in one place"
                                       : "the list has no landmarks for it");
  }
  return dvg_fail(DVG_ERROR_INTERNAL, "%s: unknown problem %d", path, (int)n->problem);
}

enum dvg_status dvg_prepare_judge(const struct dvg_prepare_note *note, const struct dvg_prepare_framing *f,
                                  int64_t row) {
  if (note->problem == DVG_PROBLEM_NONE) return DVG_OK;
  char *path = NULL;
  DVG_TRY(dvg_list_path(&path, f->list, row));
  enum dvg_status status = say(path, note, f, &f->list->rows[row]);
  dvg_free(&path);
  return status;
}
