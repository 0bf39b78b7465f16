// A picture: paint and heights per sample, light, the domain's camera or artist, then samples to pixels.
#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/toy/scene.h"

const char *dvg_toy_domain_name(enum dvg_toy_domain domain) {
  static const char *const names[DVG_TOY_N_DOMAINS] = {"VIS", "NIR", "SKETCH", "THERMAL"};
  return (unsigned)domain < DVG_TOY_N_DOMAINS ? names[domain] : NULL;
}

static void paint_sample(const struct scene *s, struct surface *o, float fx, float fy, float x, float y) {
  struct point p = dvg_toy_point(s, x, y);
  float in, hair = dvg_toy_hair_cover(s, &p, &in);
  *o = (struct surface){.z = -60};
  if (hair >= 1 && s->id.hair_amount > .99f) { // nothing else shows
    if (in > -25 && p.edge < 0) o->z = dvg_toy_height(s, &p);
    dvg_toy_paint_hair(s, o, &p, 1, in);
    goto turn;
  }
  if (p.edge > -s->px) dvg_toy_paint_background(s, o, fx, fy);
  dvg_toy_paint_hair_behind(s, o, &p);
  dvg_toy_paint_neck(s, o, &p);
  dvg_toy_paint_ears(s, o, &p);
  if (p.edge < s->px) {
    dvg_toy_paint_skin(s, o, &p);
    dvg_toy_paint_beard(s, o, &p);
    dvg_toy_paint_mouth(s, o, &p);
    dvg_toy_paint_eyes(s, o, &p);
    dvg_toy_paint_brows(s, o, &p);
  }
  dvg_toy_paint_glasses(s, o, &p);
  dvg_toy_paint_hair(s, o, &p, hair, in);
turn:
  // Heights turn with the head, so that slopes in the picture are those of the turned face.
  if (o->z > -50) o->z = (o->z * s->cos_yaw - x * s->sin_yaw) * s->cos_pitch + (y - 18) * s->sin_pitch;
  o->z = maxf(o->z, o->z > -49.9f ? -49 : -60);
}

static void paint(const struct scene *s, const struct canvas *c) {
  int64_t n = c->n;
  for (int64_t i = 0; i < n; i++) {
    struct place place = {0, 0, 0, 0};
    for (int64_t j = 0; j < n; j++) {
      struct surface o;
      int64_t at = i * n + j;
      float fx = ((float)j + .5f) * s->px, fy = ((float)i + .5f) * s->px;
      dvg_toy_unproject(s, &place, fx, fy, j == 0 ? 6 : 2);
      paint_sample(s, &o, fx, fy, place.x, place.y);
      for (int k = 0; k < 3; k++) c->rgb[3 * at + k] = o.c[k];
      c->z[at] = o.z;
      c->gloss[at] = o.gloss;
      c->alpha[at] = o.alpha;
    }
  }
}

// The camera's lens: a blur of the finished picture.
static void defocus(const struct scene *s, const struct canvas *c) {
  float radius = s->at.blur * .8f / s->px;
  if (s->domain == DVG_TOY_SKETCH || radius < .1f) return;
  int64_t count = c->n * c->n;
  for (int k = 0; k < 3; k++) {
    for (int64_t i = 0; i < count; i++) c->z[i] = c->rgb[3 * i + k];
    dvg_toy_blur(c->z, c->work, c->n, radius);
    for (int64_t i = 0; i < count; i++) c->rgb[3 * i + k] = c->z[i];
  }
}

// Roughly normal noise of a pixel, deviation 1: the sum of four uniform bytes.
static float grain(int64_t i, int64_t j, uint32_t key) {
  uint32_t h = hash2((int32_t)j, (int32_t)i, key);
  return ((float)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)) - 510) * (1 / 147.8f);
}

// Samples to pixels: mean in linear light, tone curve, contrast, sensor noise, bytes.
static void develop(unsigned char *rgb, const struct scene *s, const struct canvas *c, int64_t size,
                    int64_t per) {
  float scale = 1 / (float)(per * per), contrast = s->at.contrast, noise = s->at.noise;
  float sigma = s->domain == DVG_TOY_NIR   ? .010f + .014f * noise
                : s->domain == DVG_TOY_VIS ? .004f + .014f * noise
                                           : .004f;
  int gray = s->domain != DVG_TOY_VIS, channels = gray ? 1 : 3;
  if (s->domain == DVG_TOY_SKETCH) contrast = .5f + .5f * contrast;
  for (int64_t i = 0; i < size; i++)
    for (int64_t j = 0; j < size; j++)
      for (int k = 0; k < channels; k++) {
        float sum = 0;
        for (int64_t y = i * per; y < (i + 1) * per; y++)
          for (int64_t x = j * per; x < (j + 1) * per; x++) sum += c->rgb[3 * (y * c->n + x) + k];
        sum *= scale;
        float v = sum > .7f && s->domain < DVG_TOY_SKETCH ? .7f + .3f * (sum - .7f) / (.3f + sum - .7f)
                                                          : sum; // soft shoulder
        v = (sqrtf(maxf(v, 0)) - .5f) * contrast + .5f;
        v += sigma * grain(i, j, s->noise_key ^ (uint32_t)(100 + k));
        unsigned char byte = (unsigned char)(clampf(v, 0, 1) * 255 + .5f);
        for (int b = gray ? 0 : k; b < (gray ? 3 : k + 1); b++) rgb[3 * (i * size + j) + b] = byte;
      }
}

enum dvg_status dvg_toy_render(unsigned char *rgb, const struct dvg_toy_identity *id,
                               const struct dvg_toy_attributes *a, enum dvg_toy_domain domain, int64_t size,
                               uint64_t seed, int64_t person, int64_t image) {
  if (size < 1 || size > DVG_TOY_MAX_SIZE)
    return dvg_fail(DVG_ERROR_USAGE, "toy face: size %lld is not in 1..%d", (long long)size, DVG_TOY_MAX_SIZE);
  if (!dvg_toy_domain_name(domain)) return dvg_fail(DVG_ERROR_USAGE, "toy face: no domain %d", (int)domain);
  // About one sample per frame pixel, four to a pixel at most in each direction.
  int64_t per = clampf(roundf(DVG_TOY_FRAME / (float)size), 1, 4) > 1
                    ? (int64_t)clampf(roundf(DVG_TOY_FRAME / (float)size), 1, 4)
                    : 1;
  int64_t n = size * per;
  float *memory;
  DVG_TRY(DVG_NEW(&memory, n * n * 8 + n, "toy face"));
  struct canvas c = {n, memory, memory + 3 * n * n, memory + 4 * n * n, memory + 5 * n * n, memory + 6 * n * n};
  struct scene s;
  dvg_toy_scene_init(&s, id, a, domain, (float)DVG_TOY_FRAME / (float)n, seed, person, image);
  paint(&s, &c);
  if (domain == DVG_TOY_THERMAL) {
    dvg_toy_warm(&s, &c);
  } else {
    dvg_toy_light(&s, &c);
    if (domain == DVG_TOY_SKETCH) dvg_toy_draw(&s, &c);
  }
  defocus(&s, &c);
  develop(rgb, &s, &c, size, per);
  dvg_free(&memory);
  return DVG_OK;
}

enum dvg_status dvg_toy_picture(unsigned char *rgb, enum dvg_toy_domain domain, int64_t size, uint64_t seed,
                                int64_t person, int64_t image) {
  struct dvg_toy_identity id;
  struct dvg_toy_attributes a;
  dvg_toy_identity_of(&id, seed, person);
  dvg_toy_attributes_of(&a, seed, person, image);
  return dvg_toy_render(rgb, &id, &a, domain, size, seed, person, image);
}
