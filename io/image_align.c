// Alignment by landmarks: a similarity transform, sampled backwards.
#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/image.h"

// LightCNN's crop at 144 x 144.
static const double crop_size = 144, crop_eye_x = 72, crop_eye_y = 48, crop_eye_to_mouth = 48;
static const double least_distance = 1; // pixels between the eyes, and between eyes and mouth
static const double largest_shrink = 3; // beyond, the source is first shrunk by averaging

// crop = scale R (source - eye) + target, with R a rotation by the angle whose cosine and sine are c and s.
struct similarity {
  double eye_x, eye_y, c, s, scale, target_x, target_y;
};

static int are_sane(const float *landmarks, const struct dvg_image *in) {
  double W = (double)in->W, H = (double)in->H;
  for (int i = 0; i < DVG_LANDMARKS; i += 2) {
    double x = landmarks[i], y = landmarks[i + 1];
    if (!isfinite(x) || !isfinite(y) || x < -W || x > 2 * W || y < -H || y > 2 * H) return 0;
  }
  return 1;
}

static enum dvg_status find_similarity(struct similarity *t, const struct dvg_image *in, const float *p,
                                       double size, const char *name) {
  if (!are_sane(p, in))
    return dvg_fail(DVG_ERROR_INPUT, "%s: cannot align: a landmark is not a place near the image", name);
  double dx = (double)p[2] - p[0], dy = (double)p[3] - p[1], eyes = hypot(dx, dy);
  t->eye_x = ((double)p[0] + p[2]) / 2;
  t->eye_y = ((double)p[1] + p[3]) / 2;
  double mouth_x = ((double)p[6] + p[8]) / 2 - t->eye_x, mouth_y = ((double)p[7] + p[9]) / 2 - t->eye_y;
  double distance = hypot(mouth_x, mouth_y);
  if (eyes < least_distance || distance < least_distance)
    return dvg_fail(DVG_ERROR_INPUT, "%s: cannot align: the eyes, or eyes and mouth, are in one place", name);
  t->c = dx / eyes;
  t->s = -dy / eyes;
  if (t->s * mouth_x + t->c * mouth_y <= 0)
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: cannot align: the mouth is above the eyes; are left and right swapped?", name);
  double unit = size / crop_size;
  t->scale = crop_eye_to_mouth * unit / distance;
  t->target_x = crop_eye_x * unit;
  t->target_y = crop_eye_y * unit;
  return DVG_OK;
}

static void move_landmarks(float *moved, const struct similarity *t, const float *landmarks) {
  for (int i = 0; i < DVG_LANDMARKS; i += 2) {
    double x = landmarks[i] - t->eye_x, y = landmarks[i + 1] - t->eye_y;
    moved[i] = (float)(t->scale * (t->c * x - t->s * y) + t->target_x);
    moved[i + 1] = (float)(t->scale * (t->s * x + t->c * y) + t->target_y);
  }
}

enum { MAX_TAPS = 8 }; // 2 * largest_shrink, and the ends

// A tent of half width `radius` around `center`, on pixel centres: place[k] clamped into [0, n), weights
// summing to 1.
static int make_tent(int64_t place[MAX_TAPS], double weight[MAX_TAPS], double center, double radius,
                     int64_t n) {
  int64_t first = (int64_t)floor(center - radius - 0.5) + 1;
  double sum = 0;
  int taps = 0;
  for (int64_t i = first; taps < MAX_TAPS; i++) {
    double w = 1 - fabs((double)i + 0.5 - center) / radius;
    if (w <= 0) break;
    place[taps] = i < 0 ? 0 : i >= n ? n - 1 : i;
    weight[taps++] = w;
    sum += w;
  }
  for (int k = 0; k < taps; k++) weight[k] /= sum;
  return taps;
}

static void sample(unsigned char *out, const struct dvg_image *in, double x, double y, double radius) {
  int64_t columns[MAX_TAPS], rows[MAX_TAPS];
  double wx[MAX_TAPS], wy[MAX_TAPS], sum[3] = {0};
  int nx = make_tent(columns, wx, x, radius, in->W), ny = make_tent(rows, wy, y, radius, in->H);
  for (int j = 0; j < ny; j++)
    for (int i = 0; i < nx; i++) {
      const unsigned char *p = in->pixels + (rows[j] * in->W + columns[i]) * in->C;
      for (int64_t c = 0; c < in->C; c++) sum[c] += wx[i] * wy[j] * p[c];
    }
  for (int64_t c = 0; c < in->C; c++) out[c] = (unsigned char)lrint(sum[c] > 255 ? 255 : sum[c]);
}

// The source shrunk so far that the kernel of what is left to do fits; its landmarks with it.
static enum dvg_status shrink(struct dvg_image *smaller, float *landmarks, const struct dvg_image *in,
                              double factor) {
  int64_t H = (int64_t)ceil((double)in->H / factor), W = (int64_t)ceil((double)in->W / factor);
  DVG_TRY(dvg_image_resize(smaller, in, H, W));
  for (int i = 0; i < DVG_LANDMARKS; i += 2) {
    landmarks[i] *= (float)W / (float)in->W;
    landmarks[i + 1] *= (float)H / (float)in->H;
  }
  return DVG_OK;
}

// Moves `points` (or NULL) by what takes `landmarks` to the crop.
static enum dvg_status align(struct dvg_image *out, float *points, const struct dvg_image *in,
                             const float landmarks[DVG_LANDMARKS], int64_t size, const char *name) {
  struct similarity t, first;
  struct dvg_image made = {0}, smaller = {0};
  float places[DVG_LANDMARKS];
  memcpy(places, landmarks, sizeof places);
  enum dvg_status status;
  DVG_TRY_GOTO(find_similarity(&t, in, places, (double)size, name));
  first = t;
  DVG_TRY_GOTO(dvg_image_create(&made, size, size, in->C));
  if (1 / t.scale > largest_shrink) {
    DVG_TRY_GOTO(shrink(&smaller, places, in, 1 / t.scale / 2));
    in = &smaller;
    DVG_TRY_GOTO(find_similarity(&t, in, places, (double)size, name));
  }
  // Enlarging: a tent of one pixel, which is linear interpolation.
  double radius = t.scale < 1 ? 1 / t.scale : 1;
  if (radius > largest_shrink) radius = largest_shrink;
  for (int64_t j = 0; j < size; j++)
    for (int64_t i = 0; i < size; i++) {
      double x = ((double)i + 0.5 - t.target_x) / t.scale, y = ((double)j + 0.5 - t.target_y) / t.scale;
      // Back by the transposed rotation.
      sample(made.pixels + (j * size + i) * in->C, in, t.c * x + t.s * y + t.eye_x,
             -t.s * x + t.c * y + t.eye_y, radius);
    }
  if (points) move_landmarks(points, &first, points);
  *out = made;
  made.pixels = NULL;
done:
  dvg_image_free(&made);
  dvg_image_free(&smaller);
  return status;
}

enum dvg_status dvg_image_align(struct dvg_image *out, float moved[DVG_LANDMARKS], const struct dvg_image *in,
                                const float landmarks[DVG_LANDMARKS], int64_t size, const char *name) {
  float points[DVG_LANDMARKS];
  memcpy(points, landmarks, sizeof points);
  DVG_TRY(align(out, points, in, landmarks, size, name));
  if (moved) memcpy(moved, points, sizeof points);
  return DVG_OK;
}

enum dvg_status dvg_image_from_arcface(struct dvg_image *out, float *landmarks, const struct dvg_image *in,
                                       int64_t size, const char *name) {
  static const float template[DVG_LANDMARKS] = {
      38.2946f + 0.5f, 51.6963f + 0.5f, 73.5318f + 0.5f, 51.5014f + 0.5f, 56.0252f + 0.5f,
      71.7366f + 0.5f, 41.5493f + 0.5f, 92.3655f + 0.5f, 70.7299f + 0.5f, 92.2041f + 0.5f};
  return align(out, landmarks, in, template, size, name);
}
