// What becomes of the lit picture in SKETCH and of temperatures in THERMAL.
#include "common/toy/scene.h"

// Pencil strokes: stripes of period `period` at an angle, of uneven width and pressure. 1 on a stroke, 0
// between.
static float hatch(float x, float y, float cs, float sn, float period, uint32_t key) {
  float u = (x * cs + y * sn) / period, v = (y * cs - x * sn);
  u += 1.1f * noise2(u * .25f, v * .035f, key);
  float line = (float)below(u), across = fabsf(u - line - .5f) * 2;
  float pressure = .55f + .45f * noise2(line * 3.7f, v * .08f, key ^ 1);
  return (1 - smooth(.35f, .85f, across)) * pressure;
}

void dvg_toy_draw(const struct scene *s, const struct canvas *c) {
  int64_t n = c->n, count = n * n;
  float *near = c->z, *wide = c->gloss, *tone = c->work, *work = c->work + count;
  for (int64_t i = 0; i < count; i++) {
    tone[i] = sqrtf(clampf(c->rgb[3 * i + 1], 0, 1.2f)); // all channels are equal here
    near[i] = wide[i] = tone[i];
  }
  dvg_toy_blur(near, work, n, .45f / s->px);
  dvg_toy_blur(wide, work, n, 1.6f / s->px);
  // Where the figure ends against the paper there is a stroke even in full light.
  float *around = tone;
  for (int64_t i = 0; i < count; i++) around[i] = c->alpha[i];
  dvg_toy_blur(around, work, n, 1.3f / s->px);
  float tilt = .5f + .5f * unit(hash2(1, 2, s->noise_key)), cs = (float)cos(tilt), sn = (float)sin(tilt);
  float pressure = .9f + .3f * unit(hash2(3, 4, s->noise_key));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      int64_t at = i * n + j;
      float fx = ((float)j + .5f) * s->px, fy = ((float)i + .5f) * s->px;
      float dark = 1 - near[at], line = smooth(.012f, .085f, wide[at] - near[at]);
      float shadow = smooth(.22f, .62f, 1 - wide[at]), deep = smooth(.45f, .8f, dark);
      float grain = noise2(fx * .75f, fy * .75f, s->noise_key ^ 7), tooth = .72f + .56f * grain;
      line = maxf(line, .85f * smooth(.12f, .40f, c->alpha[at] - around[at]));
      float ink = .72f * line;
      if (shadow > 0) ink = maxf(ink, .62f * shadow * hatch(fx, fy, cs, sn, 3.1f, s->noise_key ^ 9));
      if (deep > 0) ink = maxf(ink, .75f * deep * hatch(fx, fy, sn, cs, 2.6f, s->noise_key ^ 13));
      ink += .42f * smooth(.12f, .9f, dark) * (1 - ink);
      float paper = .965f + .03f * (grain - .5f), v = paper * (1 - clampf(ink * tooth * pressure, 0, .93f));
      for (int k = 0; k < 3; k++) c->rgb[3 * at + k] = v * v;
    }
}

// A small detector behind a soft lens.
void dvg_toy_warm(const struct scene *s, const struct canvas *c) {
  int64_t n = c->n, count = n * n;
  float *heat = c->z;
  for (int64_t i = 0; i < count; i++) heat[i] = c->rgb[3 * i];
  dvg_toy_blur(heat, c->work, n, 1.25f / s->px);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      float fy = ((float)i + .5f) * s->px, fx = ((float)j + .5f) * s->px;
      float column = (unit(hash2((int32_t)(fx / 3), 5, s->noise_key)) - .5f) * .014f;
      float cell = (unit(hash2((int32_t)(fx / 3), (int32_t)(fy / 3), s->noise_key ^ 3)) - .5f) * .03f;
      float v = clampf(heat[i * n + j] + column + cell, 0, 1.1f);
      for (int k = 0; k < 3; k++) c->rgb[3 * (i * n + j) + k] = v * v; // developed by the square root again
    }
}
