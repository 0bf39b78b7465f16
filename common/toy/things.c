// Layers of paint: glasses.
#include "common/toy/scene.h"

// Signed distance to a box with rounded corners.
static float rounded_box(float dx, float dy, float hx, float hy, float r) {
  float qx = fabsf(dx) - hx + r, qy = fabsf(dy) - hy + r;
  return sqrtf(square(maxf(qx, 0)) + square(maxf(qy, 0))) + minf(maxf(qx, qy), 0) - r;
}

static float rim(const struct scene *s, float ax, float y, float *lens) {
  const struct dvg_toy_attributes *a = &s->at;
  float w = a->glasses_width, h = a->glasses_height, cx = maxf(.5f * s->id.eye_distance, w + 3);
  float dx = ax - cx, dy = y - 1.5f;
  *lens = rounded_box(dx - .06f * dy, dy, w, h, a->glasses_round * minf(w, h));
  float d = fabsf(*lens) - a->glasses_thickness;
  float bridge = maxf(fabsf(y + 2 - .5f * bump1(ax, 8) * -3) - .8f * a->glasses_thickness, ax - (cx - w));
  float arm = maxf(fabsf(y + 3.5f) - .9f * a->glasses_thickness, cx + w - 1 - ax);
  return minf(d, minf(bridge, arm));
}

void dvg_toy_paint_glasses(const struct scene *s, struct surface *o, const struct point *p) {
  if (s->at.glasses < .5f || p->y < -24 || p->y > 32) return;
  float lens, d = rim(s, p->ax, p->y, &lens), shown = smooth(4, -3, p->edge) + (p->ax < 40);
  if (s->domain != DVG_TOY_THERMAL) { // the shadow on the cheek
    float below, cast = rim(s, p->ax, p->y - 2.2f, &below);
    shade(o, .78f, cover(cast, 3.5f) * (p->edge < 0));
  }
  float in = cover(lens, s->px);
  if (in > 0) {
    lay(o, s->pal.lens, in * s->pal.lens_cover);
    if (s->domain != DVG_TOY_THERMAL) {
      float stripe = p->x * .8f + p->y - 14 * s->light.direction[0] + 6, glint[3] = {.8f, .82f, .85f};
      float strength = s->domain == DVG_TOY_NIR ? .30f : .12f;
      lay(o, glint, in * strength * (bump1(stripe, 5) + .6f * bump1(stripe + 10, 2.5f)));
    }
  }
  float a = cover(d, s->px) * minf(shown, 1);
  lay(o, s->pal.frame, a);
  if (a > 0) raise_to(o, maxf(o->z, -30) + 3 * a, mix(o->gloss, 2, a), a);
}
