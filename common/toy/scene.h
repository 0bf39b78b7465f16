// Private to common/toy: a picture's geometry, prepared once, and the small functions that every sample of it
// uses.
//
// Face coordinates: origin at the eyes' midpoint of the frontal face, x to the right, y down, z towards the
// camera, all in frame pixels. The mouth's corners lie on y = 48.
#ifndef DVG_TOY_SCENE_H
#define DVG_TOY_SCENE_H

#include <math.h>
#include <stdint.h>

#include "common/toy/face.h"

static inline float mix(float a, float b, float t) {
  return a + (b - a) * t;
}
static inline float square(float x) {
  return x * x;
}
static inline float clampf(float x, float a, float b) {
  return x < a ? a : x > b ? b : x;
}
static inline float minf(float a, float b) {
  return a < b ? a : b;
}
static inline float maxf(float a, float b) {
  return a > b ? a : b;
}
// 0 below a, 1 above b, smooth between.
static inline float smooth(float a, float b, float x) {
  float t = clampf((x - a) / (b - a), 0, 1);
  return t * t * (3 - 2 * t);
}
// A smooth hill of height 1 and radius 1 over q = squared distance: cheap, and nothing beyond the radius.
static inline float hill(float q) {
  return q < 1 ? (1 - q) * (1 - q) : 0;
}
static inline float bump(float dx, float dy, float rx, float ry) {
  return hill(square(dx / rx) + square(dy / ry));
}
static inline float bump1(float dx, float rx) {
  return hill(square(dx / rx));
}
// Coverage of a sample of width `px` by a shape at signed distance d (negative inside).
static inline float cover(float d, float px) {
  return clampf(.5f - d / px, 0, 1);
}
// Distance to an ellipse, nearly, in units of its smaller radius.
static inline float ellipse(float dx, float dy, float rx, float ry) {
  return (sqrtf(square(dx / rx) + square(dy / ry)) - 1) * minf(rx, ry);
}

// Noise that is a function of place and key: textures keep their place on the face at any size.
static inline uint32_t hash2(int32_t x, int32_t y, uint32_t key) {
  uint32_t h = (uint32_t)x * 0x9E3779B1u ^ (uint32_t)y * 0x85EBCA77u ^ key;
  h = (h ^ h >> 15) * 0x2C1B3C6Du;
  h = (h ^ h >> 12) * 0x297A2D39u;
  return h ^ h >> 15;
}
static inline float unit(uint32_t h) {
  return (float)(h >> 8) * 0x1p-24f;
}
// The integer at or below x: floorf is a function call where the compiler may not use SSE4.
static inline int32_t below(float x) {
  int32_t i = (int32_t)x;
  return i - (x < (float)i);
}
// Value noise in [0, 1) with features of size 1.
static inline float noise2(float x, float y, uint32_t key) {
  int32_t i = below(x), j = below(y);
  float u = x - (float)i, v = y - (float)j;
  u = u * u * (3 - 2 * u);
  v = v * v * (3 - 2 * v);
  float a = unit(hash2(i, j, key)), b = unit(hash2(i + 1, j, key));
  float c = unit(hash2(i, j + 1, key)), d = unit(hash2(i + 1, j + 1, key));
  return mix(mix(a, b, u), mix(c, d, u), v);
}

enum { OUTLINE_N = 96 };
#define OUTLINE_Y 18.0f // the head's outline is a radius around (0, OUTLINE_Y)
#define NOISE_RANGE 4096.0f

// What things look like in a domain: linear reflectances, or temperatures in THERMAL.
struct palette {
  float skin[3], blush[3], lip[3], hair[3], brow[3], iris[3], pupil[3], sclera[3], mouth[3], teeth[3], mole[3],
      line[3];
  float background[3], background2[3], clothes[3], frame[3], lens[3];
  float beard, brows, marks, freckles, moles, highlight, strands, lens_cover, gloss; // how strongly these show
};

struct light {
  float direction[3];
  float colour[3], ambient[3];
  float wrap[3]; // how far light bleeds beyond the terminator
  float shadow, cavity, gloss, falloff;
};

struct scene {
  struct dvg_toy_identity id;
  struct dvg_toy_attributes at;
  enum dvg_toy_domain domain;
  uint32_t skin_key, noise_key;
  float px; // width of a sample in frame pixels
  float cos_yaw, sin_yaw, cos_pitch, sin_pitch;
  float to_frame[6]; // posed face coordinates -> frame: x = t0 X + t1 Y + t2, y = t3 X + t4 Y + t5
  float from_frame[6];
  float outline[OUTLINE_N + 2];
  float eye_up, eye_low, iris_x, iris_y; // lids, place of the iris in the eye
  float mouth_x, mouth_half, mouth_drop, mouth_gap, lip_up, lip_low;
  float nose_x, nose_y, nose_half;
  float hair_end; // how far down hair beside the face goes
  struct palette pal;
  struct light light;
};

// A sample's place on the face.
struct point {
  float x, y, ax, side; // ax = |x|; side = -1 on the image's left, 1 on the right
  float p, radius, r;   // pseudo-angle, distance from the outline's centre, the outline there
  float edge;           // signed distance to the face's outline, negative inside
};

// What a sample looks like before light falls on it.
struct surface {
  float c[3];
  float gloss;
  float z;     // height towards the camera; the background's is -60
  float alpha; // how much of the sample is not background
};

// identity.c
void dvg_toy_identity_clamp(struct dvg_toy_identity *id);
void dvg_toy_attributes_clamp(struct dvg_toy_attributes *a);
// Moves the shape factors away from the mean: what a sketch artist does.
void dvg_toy_identity_exaggerate(struct dvg_toy_identity *id, float by);

// scene.c
void dvg_toy_scene_init(struct scene *s, const struct dvg_toy_identity *id, const struct dvg_toy_attributes *a,
                        enum dvg_toy_domain domain, float px, uint64_t seed, int64_t person, int64_t image);
void dvg_toy_project(const struct scene *s, float *fx, float *fy, float x, float y);
// at->x, y = the face point seen at a frame point; at->dx, dy come in as a neighbour's, or 0 and more rounds.
struct place {
  float x, y, dx, dy; // dx, dy: how far the pose moved it
};
void dvg_toy_unproject(const struct scene *s, struct place *at, float fx, float fy, int rounds);

// palette.c
void dvg_toy_palette_init(struct scene *s);

// shape.c
void dvg_toy_outline_init(struct scene *s);
struct point dvg_toy_point(const struct scene *s, float x, float y);
float dvg_toy_depth(const struct scene *s, float x, float y);       // smooth, everywhere: for the pose
float dvg_toy_height(const struct scene *s, const struct point *p); // of the face's skin

// skin.c, features.c, hair.c, things.c: layers of paint, from back to front
void dvg_toy_paint_background(const struct scene *s, struct surface *o, float fx, float fy);
void dvg_toy_paint_neck(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_ears(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_skin(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_eyes(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_brows(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_mouth(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_beard(const struct scene *s, struct surface *o, const struct point *p);
void dvg_toy_paint_hair_behind(const struct scene *s, struct surface *o, const struct point *p);
// Coverage by the hair on the head, and *in = distance to its edge on the face, negative in the hair; then its
// paint.
float dvg_toy_hair_cover(const struct scene *s, const struct point *p, float *in);
void dvg_toy_paint_hair(const struct scene *s, struct surface *o, const struct point *p, float a, float in);
void dvg_toy_paint_glasses(const struct scene *s, struct surface *o, const struct point *p);

// Brings a thing to the front: what covers half of a sample decides its height, so that light sees no ramps at
// edges.
static inline void raise_to(struct surface *o, float z, float gloss, float a) {
  o->alpha += (1 - o->alpha) * a;
  if (a < .5f && !(a > 0 && o->z < -50)) return;
  o->z = z;
  o->gloss = gloss;
}
// Lays colour c over a surface with opacity a.
static inline void lay(struct surface *o, const float c[3], float a) {
  for (int k = 0; k < 3; k++) o->c[k] += (c[k] - o->c[k]) * a;
}
static inline void tint(struct surface *o, float r, float g, float b, float a) {
  o->c[0] *= mix(1, r, a);
  o->c[1] *= mix(1, g, a);
  o->c[2] *= mix(1, b, a);
}
static inline void shade(struct surface *o, float by, float a) {
  tint(o, by, by, by, a);
}

// light.c: rgb[n][n][3] (linear) from surfaces; sketch.c and develop.c: what the domain's camera or artist
// makes of it.
struct canvas {
  int64_t n;                // samples per side
  float *rgb;               // [n][n][3]
  float *z, *gloss, *alpha; // [n][n]
  float *work;              // [2 n n + n]
};
// Three box blurs of image[n][n], nearly a Gaussian of that sigma; work[n * n + n].
void dvg_toy_blur(float *image, float *work, int64_t n, float radius);
void dvg_toy_light(const struct scene *s, const struct canvas *c);
void dvg_toy_draw(const struct scene *s, const struct canvas *c);
void dvg_toy_warm(const struct scene *s, const struct canvas *c);

#endif
