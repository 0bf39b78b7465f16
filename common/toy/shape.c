// The head as a height field: an outline, a dome within it, and what rises from and sinks into the dome.
#include "common/toy/scene.h"

// ---- outline: radius over pseudo-angle, p = -1 straight up, 0 sideways, 1 straight down

static float pseudo_angle(float ax, float dy) {
  float sum = ax + fabsf(dy);
  return sum > 0 ? dy / sum : 1;
}

enum { N_KNOTS = 9 };

// A smooth curve through the knots (Catmull-Rom with finite-difference slopes, level at both ends: the face is
// symmetric).
static float through(const float *p, const float *r, float at) {
  int k = 0;
  while (k < N_KNOTS - 2 && at > p[k + 1]) k++;
  float h = p[k + 1] - p[k], t = (at - p[k]) / h;
  float m0 = k > 0 ? (r[k + 1] - r[k - 1]) / (p[k + 1] - p[k - 1]) : 0;
  float m1 = k < N_KNOTS - 2 ? (r[k + 2] - r[k]) / (p[k + 2] - p[k]) : 0;
  float t2 = t * t, t3 = t2 * t;
  return (2 * t3 - 3 * t2 + 1) * r[k] + (t3 - 2 * t2 + t) * h * m0 + (3 * t2 - 2 * t3) * r[k + 1] +
         (t3 - t2) * h * m1;
}

void dvg_toy_outline_init(struct scene *s) {
  const struct dvg_toy_identity *id = &s->id;
  float w = id->head_width, jaw = id->jaw_width * w, chin = id->chin_height + 5 * s->at.mouth_open;
  float full = id->cheek_fullness;
  const float knots[N_KNOTS][2] = {{0, -60},
                                   {.50f * w, -55},
                                   {.84f * w, -38},
                                   {id->temple_width * w, -14},
                                   {w, 12},
                                   {mix(w, jaw, .46f) + .9f * full, 32},
                                   {jaw + .8f * full, id->jaw_height},
                                   {id->chin_width * w + 4, chin - 7},
                                   {0, chin}};
  float p[N_KNOTS], r[N_KNOTS];
  for (int i = 0; i < N_KNOTS; i++) {
    float dy = knots[i][1] - OUTLINE_Y;
    p[i] = pseudo_angle(knots[i][0], dy);
    r[i] = sqrtf(square(knots[i][0]) + square(dy));
  }
  for (int i = 0; i < OUTLINE_N + 2; i++)
    s->outline[i] = through(p, r, clampf(2 * (float)i / OUTLINE_N - 1, -1, 1));
}

struct point dvg_toy_point(const struct scene *s, float x, float y) {
  struct point o = {.x = x, .y = y, .ax = fabsf(x), .side = x < 0 ? -1 : 1};
  float dy = y - OUTLINE_Y;
  o.p = pseudo_angle(o.ax, dy);
  float at = (o.p + 1) * (.5f * OUTLINE_N);
  int k = (int)clampf(at, 0, OUTLINE_N);
  o.r = mix(s->outline[k], s->outline[k + 1], at - (float)k);
  o.radius = sqrtf(x * x + dy * dy);
  o.edge = o.radius - o.r;
  return o;
}

// ---- heights

float dvg_toy_depth(const struct scene *s, float x, float y) {
  float head = 42 * (1 - square(x / 58) - square((y - 18) / 84));
  float nose = s->id.nose_height * bump(x, y - .85f * s->nose_y, 20, .95f * s->nose_y);
  return maxf(head, -14) + .8f * nose;
}

static float nose_height(const struct scene *s, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float x = p->x - s->nose_x, ax = fabsf(x), tip = s->nose_y - 4 + .4f * id->nose_drop;
  if (ax > 26 || p->y < -16 || p->y > tip + 16) return 0;
  float t = clampf((p->y + 9) / (tip + 9), 0, 1);
  float crest = id->nose_height * mix(id->nose_bridge * smooth(-14, 4, p->y), 1, t * t);
  crest += id->nose_hump * 1.3f * bump1(t - .45f, .3f);
  float half = mix(id->nose_bridge_width * 2.1f, id->nose_tip * 2.5f, smooth(.2f, 1, t));
  float under = 1 - smooth(tip - 1, tip + 8 + id->nose_drop, p->y);
  float z = crest * bump1(ax, half) * under;
  z += 2.2f * bump(x, p->y - tip, id->nose_tip, id->nose_tip * .9f);
  z += .38f * id->nose_height * bump(ax - s->nose_half + 3.2f, p->y - s->nose_y + 1.5f, 6.2f, 6.5f);
  return z;
}

static float mouth_height(const struct scene *s, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float dy = p->y - 48;
  if (dy < -24 || dy > 36 || p->ax > 40) return 0;
  float u = (p->x - s->mouth_x) / s->mouth_half, inside = maxf(1 - u * u, 0);
  float line = s->mouth_drop * inside, gap = .5f * s->mouth_gap * inside;
  float z = 4 * bump(p->x, dy - 1, 30, 20);
  z += 3.0f * bump1(dy - line + gap + .5f * s->lip_up, s->lip_up * 1.1f + .8f) * inside;
  z += 4.0f * bump1(dy - line - gap - .5f * s->lip_low, s->lip_low * .9f + .8f) * inside;
  z -= 2.2f * bump(p->x - s->mouth_x, dy - line - gap - s->lip_low - 5, 15, 5.5f); // the hollow under the lip
  z -= .55f * id->philtrum *
       bump(p->x - s->mouth_x, p->y - .5f * (s->nose_y + 46), 3.6f, .5f * (50 - s->nose_y));
  z -= 1.8f * bump(p->ax - s->mouth_half - 2, dy + 1, 4.5f, 5);
  return z;
}

static float eye_height(const struct scene *s, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float dx = p->ax - .5f * id->eye_distance;
  if (p->y < -34 || p->y > 26) return 0;
  float z = -id->eye_depth * bump(dx + 3, p->y + 2, 21, 13);
  z += 3.6f * bump(dx, p->y, id->eye_size * 1.15f, id->eye_size * .9f);
  z += (.6f + id->brow_ridge) * bump(dx - 1, p->y + id->brow_height - 2, 24, 8);
  z += .9f * id->eye_bags *
       (bump(dx, p->y - s->eye_low - 6, 11, 5) - bump(dx - 1, p->y - s->eye_low - 10, 13, 4));
  z -= .8f * s->at.brow_frown * bump(p->ax - 4, p->y + 14, 3, 9);
  return z;
}

float dvg_toy_height(const struct scene *s, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float q = minf(p->radius / p->r, 1), q2 = q * q, smile = s->at.smile;
  float z = 46 * sqrtf(1 - .35f * q2 - .65f * q2 * q2);
  z += id->forehead_bulge * bump(p->x, p->y + 30, 40, 24);
  z += (id->cheekbone + 2 * maxf(smile, 0)) * bump(p->ax - .60f * id->head_width, p->y - 21, 19, 14);
  z += 1.2f * id->cheek_fullness * bump(p->ax - 31, p->y - 40, 17, 20);
  z += (id->chin_size + 2) * bump(p->x, p->y - id->chin_height + 13, 19, 13);
  z -= maxf(id->chin_cleft, 0) * bump(p->x, p->y - id->chin_height + 11, 3.2f, 8);
  // The fold from the wing of the nose to beside the mouth's corner.
  float t = (p->y - s->nose_y + 5) / (54 - s->nose_y);
  if (t > 0 && t < 1) {
    float fold = p->ax - mix(s->nose_half + 3, s->mouth_half + 7, t) - 2.5f * t * (1 - t);
    float depth = (.35f + .9f * id->lines_mouth + 1.1f * maxf(smile, 0)) * 4 * t * (1 - t);
    z += depth * (bump1(fold - 5, 7) - bump1(fold, 4.5f));
  }
  return z + nose_height(s, p) + mouth_height(s, p) + eye_height(s, p);
}
