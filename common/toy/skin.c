// Layers of paint: background, neck, ears, the face's skin and what marks it.
#include "common/toy/scene.h"

void dvg_toy_paint_background(const struct scene *s, struct surface *o, float fx, float fy) {
  const struct dvg_toy_attributes *a = &s->at;
  float t = clampf(.5f + (fy - 72) / 144 + a->background_slope * (fx - 72) / 72, 0, 1);
  for (int k = 0; k < 3; k++) o->c[k] = mix(s->pal.background[k], s->pal.background2[k], t);
  if (s->domain != DVG_TOY_SKETCH) { // things out of focus
    float n = noise2(fx * .035f + 9, fy * .028f, s->noise_key ^ 11) - .5f;
    shade(o, maxf(1 + 6 * a->background_clutter * n, .1f), 1);
  }
  o->gloss = o->alpha = 0;
  o->z = -60;
}

// Skin at a place of the face, without features: tone, patches of blood, fine texture.
static void skin_at(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  for (int k = 0; k < 3; k++) o->c[k] = s->pal.skin[k];
  float blood = .5f * bump(p->ax - 29, p->y - 26, 24, 20) + .6f * bump(p->x, p->y - s->nose_y + 5, 13, 14);
  blood += .5f * bump(p->x, p->y - id->chin_height + 8, 18, 10);
  lay(o, s->pal.blush, minf(blood, 1));
  if (s->domain == DVG_TOY_THERMAL) return;
  float coarse = noise2(p->x * .07f + 40, p->y * .07f, s->skin_key) - .5f;
  float fine = noise2(p->x * .45f, p->y * .45f, s->skin_key ^ 1) - .5f;
  shade(o, 1 + (.05f + .12f * id->skin_rough) * coarse + (.02f + .14f * id->skin_rough) * fine, s->pal.marks);
}

void dvg_toy_paint_neck(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  if (p->y < 20 || p->edge < -s->px) return;
  float half = id->neck_width * id->head_width + .25f * maxf(p->y - 84, 0), top = id->chin_height;
  float a = cover(p->ax - half, s->px);
  if (a > 0) {
    struct surface skin = *o;
    skin_at(s, &skin, p);
    float under = smooth(0, 26, p->edge);
    if (s->domain == DVG_TOY_THERMAL) {
      shade(&skin, 1.06f - .06f * under, 1);
    } else {
      shade(&skin, mix(.34f, .72f, under), 1);
      shade(&skin, 1 - .25f * bump1(p->ax - 5 - .14f * (p->y - top), 5), smooth(4, 20, p->edge)); // the tendons
    }
    lay(o, skin.c, a);
    raise_to(o, -34 + 26 * sqrtf(maxf(1 - square(p->x / half), 0)), 0, a);
  }
  float w = p->ax / half, collar = s->at.collar - 7 * smooth(.3f, 1, w) + .35f * maxf(p->ax - half, 0);
  a = cover(collar - p->y, s->px);
  if (a > 0) {
    float weave = noise2(p->x * .5f, p->y * .5f, s->noise_key ^ 3) - .5f;
    struct surface cloth = *o;
    for (int k = 0; k < 3; k++) cloth.c[k] = s->pal.clothes[k] * (1 + .14f * weave);
    shade(&cloth, .72f, bump1(p->y - collar - 3, 1.6f));
    lay(o, cloth.c, a);
    raise_to(o, -30 + 24 * sqrtf(maxf(1 - square(p->x / 95), 0)), 0, a);
  }
}

void dvg_toy_paint_ears(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float dx = p->ax - (id->head_width - 1 + .55f * id->ear_out), dy = p->y - id->ear_height;
  float rx = 4.2f + .75f * id->ear_out, ry = id->ear_size;
  if (p->edge < -s->px || fabsf(dy) > ry + 1 || fabsf(dx) > 2 * rx + 4) return;
  dx += .10f * dy; // the lobe is nearer to the head
  float d = ellipse(dx, dy, rx * (1 - .25f * dy / ry), ry), a = cover(d, s->px);
  if (a <= 0) return;
  struct surface skin = *o;
  skin_at(s, &skin, p);
  lay(&skin, s->pal.blush, .6f);
  if (s->domain == DVG_TOY_THERMAL) {
    shade(&skin, .74f, 1);
  } else {
    shade(&skin, .55f, bump(dx + .25f * rx, dy - 1, .75f * rx, .6f * ry)); // the shell
    shade(&skin, .75f, bump(dx - .15f * rx, dy + .35f * ry, .45f * rx, .4f * ry));
    shade(&skin, .8f, 1);
  }
  lay(o, skin.c, a);
  raise_to(o, -12 + 3 * bump1(d + 2, 3), .5f, a);
}

// ---- marks

static void mole(const struct scene *s, struct surface *o, const struct point *p, float x, float y,
                 float size) {
  if (size < .35f) return;
  float d = ellipse(p->x - x, p->y - y, size, size);
  lay(o, s->pal.mole, cover(d, maxf(s->px, .8f)) * s->pal.moles * .85f);
}

static void marks(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  mole(s, o, p, id->mole_x, id->mole_y, id->mole_size);
  mole(s, o, p, id->mole2_x, id->mole2_y, id->mole2_size);
  float dx = p->x - id->scar_x, dy = p->y - id->scar_y;
  if (id->scar > .05f && square(dx) + square(dy) < 90) {
    float cs = 1 / sqrtf(1 + square(id->scar_angle)), sn = id->scar_angle * cs;
    float u = dx * cs + dy * sn, v = dy * cs - dx * sn + .03f * u * u;
    float a = bump(u, v, 8, 1.3f) * minf(2 * id->scar, 1) * s->pal.marks;
    tint(o, 1.12f, .95f, .98f, a);
    shade(o, .72f, bump(u, v - 1.1f, 8, 1.0f) * minf(2 * id->scar, 1) * s->pal.marks);
  }
  if (id->freckles > .05f && s->pal.freckles > 0) {
    float region = bump(p->ax - 18, p->y - 18, 34, 26);
    float spot = noise2(p->x * .42f, p->y * .42f, s->skin_key ^ 5);
    shade(o, .74f, region * smooth(.66f, .82f, spot) * id->freckles * s->pal.freckles);
  }
}

// Lines that age draws: across the forehead, between the brows, beside the eyes, under them.
static void lines(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float raise = maxf(s->at.brow_raise, 0), frown = maxf(s->at.brow_frown, 0), smile = maxf(s->at.smile, 0),
        a = 0;
  if (p->y < -14) {
    float wobble = 1.6f * noise2(p->x * .08f, .5f, s->skin_key ^ 21), period = (p->y + 17 + wobble) / 5.2f;
    float across = fabsf(period - (float)below(period) - .5f) * 5.2f;
    a += (.55f * id->lines_forehead + .35f * raise * (.3f + id->lines_forehead)) * bump1(across, 1.2f) *
         bump(p->x, p->y + 24, 30, 11);
    a += (.5f * id->lines_forehead * (.4f + frown)) * bump(p->ax - 3.4f, p->y + 15, 1.1f, 6);
  }
  float ex = p->ax - .5f * id->eye_distance, out = ex - id->eye_size;
  if (out > 0 && out < 11) {
    float fan = (p->y + 1) / (3 + .45f * out), tooth = fabsf(fan - (float)below(fan) - .5f) * (3 + .45f * out);
    a += (.5f * id->lines_eyes + .3f * smile * (.25f + id->lines_eyes)) * bump1(tooth, 1.0f) *
         bump(out - 5, p->y - 1, 6, 8);
  }
  float under = p->y - s->eye_low - 4.5f + .02f * ex * ex;
  a += .28f * minf(id->eye_bags + .4f * id->lines_eyes, 1) * bump1(under, 1.4f) * bump1(ex + 1, 10);
  lay(o, s->pal.line, minf(a, .8f) * s->pal.marks);
}

// ---- warmth of skin: what the face's palette alone does not say

static void warmth(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float t = 0, inner = .5f * id->eye_distance - id->eye_size;
  t += .26f * bump(p->ax - inner, p->y, 9, 8) + .10f * bump(p->ax - .5f * id->eye_distance, p->y, 18, 11);
  t += (.09f + .05f * id->heat_forehead) * bump(p->x, p->y + 28, 40, 24);
  t -= (.15f - .06f * id->heat_nose) * bump(p->x - s->nose_x, p->y - s->nose_y + 8, 13, 22);
  t += (-.05f + .06f * id->heat_cheeks) * bump(p->ax - 33, p->y - 30, 20, 24);
  t += .06f * bump(p->x, p->y - 48, 28, 13);
  t -= .07f * bump(p->x, p->y - id->chin_height + 7, 20, 12);
  t -= .30f * smooth(-14, 0, p->edge); // the cheek turns away
  t += .14f * (noise2(p->x * .06f + 7, p->y * .05f, s->skin_key ^ 31) - .5f);
  float a = noise2(p->x * .075f, p->y * .045f, s->skin_key ^ 33),
        b = noise2(p->ax * .06f, p->y * .07f, s->skin_key ^ 35);
  float vessel = maxf(1 - fabsf(a - .5f) * 13, 0) + .7f * maxf(1 - fabsf(b - .5f) * 12, 0);
  t += .17f * id->heat_vessels * minf(vessel, 1) * (.35f + .65f * smooth(0, -14, p->y));
  t += .05f * s->at.flush + .05f * s->at.heat_level;
  for (int k = 0; k < 3; k++) o->c[k] += t;
}

void dvg_toy_paint_skin(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float a = cover(p->edge, s->px);
  if (a <= 0) return;
  struct surface skin = *o;
  skin_at(s, &skin, p);
  if (s->domain == DVG_TOY_THERMAL) {
    warmth(s, &skin, p);
  } else {
    float ex = p->ax - .5f * id->eye_distance;
    tint(&skin, .80f, .74f, .74f, .6f * bump(ex, p->y + 3, 15, 9) * s->pal.marks); // the socket's thin skin
    tint(&skin, .82f, .78f, .82f,
         .5f * id->eye_bags * bump(ex + 2, p->y - s->eye_low - 3, 10, 5) * s->pal.marks);
    marks(s, &skin, p);
    lines(s, &skin, p);
    float nx = fabsf(p->x - s->nose_x), ny = p->y - s->nose_y;
    lay(&skin, s->pal.line,
        .92f * hill(square((nx - .46f * s->nose_half) / (1.7f * id->nostrils)) +
                    square((ny - .8f - .12f * nx) / (.95f * id->nostrils))));
    lay(&skin, s->pal.line, .36f * bump(nx - s->nose_half - .6f, ny + 2, 1.8f, 6.5f)); // the wing's outline
    lay(&skin, s->pal.line, .40f * bump(nx, ny - 2.8f, .9f * s->nose_half, 3.0f));
  }
  lay(o, skin.c, a);
  raise_to(o, dvg_toy_height(s, p), 1, a);
}
