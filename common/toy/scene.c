// A picture's geometry from its factors: everything that does not depend on the sample.
#include "common/toy/scene.h"

#include "common/base/rng.h"

static void init_features(struct scene *s) {
  const struct dvg_toy_identity *id = &s->id;
  const struct dvg_toy_attributes *a = &s->at;
  float smile = a->smile, open = a->mouth_open, closure = a->eye_closure + .12f * maxf(smile - .3f, 0);
  float half_open = id->eye_opening * id->eye_size;
  s->eye_low = half_open * (.72f - .22f * maxf(smile, 0));
  s->eye_up = half_open * 1.18f * (1 - closure) - s->eye_low * .6f * maxf(closure, 0);
  s->iris_x = 2.6f * a->gaze_x - 3.0f * s->sin_yaw;
  s->iris_y = 1.4f * a->gaze_y - .5f;
  s->mouth_x = .7f * id->asymmetry;
  s->mouth_half = id->mouth_width * (1 + .14f * smile - .10f * open);
  s->mouth_drop = id->mouth_curve + 3.6f * smile;
  s->mouth_gap = 7.5f * open + 1.6f * maxf(smile - .45f, 0);
  s->lip_up = id->lip_upper * (1 - .22f * maxf(smile, 0) - .1f * open);
  s->lip_low = id->lip_lower * (1 - .18f * maxf(smile, 0) - .1f * open);
  s->nose_x = -.5f * id->asymmetry;
  s->nose_y = id->nose_length;
  s->nose_half = id->nose_width * (1 + .07f * maxf(smile, 0));
  s->hair_end = id->hair_length > 30 ? id->hair_length : id->ear_height - 12 + id->hair_length;
}

// Posed coordinates of a face point: yaw about the vertical axis, then pitch.
static void pose(const struct scene *s, float *X, float *Y, float x, float y) {
  float z = dvg_toy_depth(s, x, y), depth = z * s->cos_yaw - x * s->sin_yaw;
  *X = x * s->cos_yaw + z * s->sin_yaw;
  *Y = y * s->cos_pitch - depth * s->sin_pitch;
}

void dvg_toy_project(const struct scene *s, float *fx, float *fy, float x, float y) {
  float X, Y;
  pose(s, &X, &Y, x, y);
  const float *t = s->to_frame;
  *fx = t[0] * X + t[1] * Y + t[2];
  *fy = t[3] * X + t[4] * Y + t[5];
}

// Fixed-point iteration: depth changes slowly against x and y. It starts from the neighbour's shift.
void dvg_toy_unproject(const struct scene *s, struct place *at, float fx, float fy, int rounds) {
  const float *t = s->from_frame;
  float X = t[0] * fx + t[1] * fy + t[2], Y = t[3] * fx + t[4] * fy + t[5], u = X + at->dx, v = Y + at->dy;
  float icy = 1 / s->cos_yaw, icp = 1 / s->cos_pitch;
  for (int i = 0; i < rounds; i++) {
    float z = dvg_toy_depth(s, u, v);
    float u2 = (X - z * s->sin_yaw) * icy;
    float v2 = (Y + (z * s->cos_yaw - u * s->sin_yaw) * s->sin_pitch) * icp;
    u = u2;
    v = v2;
  }
  at->dx = u - X;
  at->dy = v - Y;
  at->x = clampf(u, -NOISE_RANGE, NOISE_RANGE);
  at->y = clampf(v, -NOISE_RANGE, NOISE_RANGE);
}

// The aligner: eyes' midpoint to (72, 48), mouth's 48 below, eyes level; then its error.
static void align(struct scene *s) {
  const struct dvg_toy_attributes *a = &s->at;
  float lx, ly, rx, ry, mlx, mly, mrx, mry, half = .5f * s->id.eye_distance;
  pose(s, &lx, &ly, -half, 0);
  pose(s, &rx, &ry, half, 0);
  pose(s, &mlx, &mly, s->mouth_x - s->mouth_half, 48);
  pose(s, &mrx, &mry, s->mouth_x + s->mouth_half, 48);
  float ex = .5f * (lx + rx), ey = .5f * (ly + ry), mx = .5f * (mlx + mrx), my = .5f * (mly + mry);
  float width = sqrtf(square(rx - lx) + square(ry - ly));
  float scale = 48 / sqrtf(square(mx - ex) + square(my - ey)) * a->scale;
  float c = (rx - lx) / width, d = -(ry - ly) / width; // rotation that makes the eyes level
  float cr = (float)cos(a->roll), sr = (float)sin(a->roll);
  float cc = (c * cr - d * sr) * scale, ss = (d * cr + c * sr) * scale;
  // The eyes' midpoint goes to where the aligner's error moves (72, 48), turning about the frame's centre.
  float tx = 72 + 24 * sr * a->scale + a->shift_x, ty = 72 - 24 * cr * a->scale + a->shift_y;
  float *t = s->to_frame, *f = s->from_frame;
  t[0] = cc, t[1] = -ss, t[3] = ss, t[4] = cc;
  t[2] = tx - (t[0] * ex + t[1] * ey);
  t[5] = ty - (t[3] * ex + t[4] * ey);
  float det = cc * cc + ss * ss;
  f[0] = cc / det, f[1] = ss / det, f[3] = -ss / det, f[4] = cc / det;
  f[2] = -(f[0] * t[2] + f[1] * t[5]);
  f[5] = -(f[3] * t[2] + f[4] * t[5]);
}

void dvg_toy_scene_init(struct scene *s, const struct dvg_toy_identity *id, const struct dvg_toy_attributes *a,
                        enum dvg_toy_domain domain, float px, uint64_t seed, int64_t person, int64_t image) {
  struct dvg_rng r;
  s->id = *id;
  s->at = *a;
  dvg_toy_identity_clamp(&s->id);
  dvg_toy_attributes_clamp(&s->at);
  s->domain = domain;
  s->px = px;
  dvg_rng_init(&r, seed, DVG_STREAM_TOY_PERSON, (uint64_t)person);
  s->skin_key = dvg_rng_u32(&r);
  dvg_rng_init(&r, seed, DVG_STREAM_TOY_DOMAIN,
               (uint64_t)person * (uint64_t)DVG_TOY_MAX_IMAGES + (uint64_t)image);
  for (int k = 0; k <= (int)domain; k++) s->noise_key = dvg_rng_u32(&r);
  if (domain == DVG_TOY_SKETCH) { // drawn freehand: shape exaggerated, a little beside the photo
    dvg_toy_identity_exaggerate(&s->id, 1.15f);
    s->at.yaw *= .7f;
    s->at.pitch *= .7f;
    s->at.shift_x += dvg_rng_between(&r, -1.6f, 1.6f);
    s->at.shift_y += dvg_rng_between(&r, -1.6f, 1.6f);
    s->at.scale *= dvg_rng_between(&r, .985f, 1.015f);
    s->at.roll += dvg_rng_between(&r, -.015f, .015f);
  }
  s->cos_yaw = (float)cos(s->at.yaw);
  s->sin_yaw = (float)sin(s->at.yaw);
  s->cos_pitch = (float)cos(s->at.pitch);
  s->sin_pitch = (float)sin(s->at.pitch);
  init_features(s);
  align(s);
  dvg_toy_outline_init(s);
  dvg_toy_palette_init(s);
}

void dvg_toy_landmarks(float points[10], const struct dvg_toy_identity *id, const struct dvg_toy_attributes *a,
                       int64_t size) {
  struct scene s;
  dvg_toy_scene_init(&s, id, a, DVG_TOY_VIS, 1, 0, 0, 0);
  float half = .5f * s.id.eye_distance, scale = (float)size / DVG_TOY_FRAME;
  float face[10] = {
      -half, 0, half, 0, s.nose_x, s.nose_y - 3, s.mouth_x - s.mouth_half, 48, s.mouth_x + s.mouth_half, 48};
  for (int i = 0; i < 5; i++) {
    float x, y;
    dvg_toy_project(&s, &x, &y, face[2 * i], face[2 * i + 1]);
    points[2 * i] = x * scale;
    points[2 * i + 1] = y * scale;
  }
}
