// Layers of paint: eyes, brows, mouth.
#include "common/toy/scene.h"

static void iris(const struct scene *s, struct surface *o, float du, float dv) {
  const struct dvg_toy_identity *id = &s->id;
  float size = id->iris_size, r = sqrtf(du * du + dv * dv), soft = maxf(s->px, .7f);
  float a = cover(r - size, soft);
  if (a > 0) {
    float angle = du / (fabsf(du) + fabsf(dv) + .01f) + (dv > 0 ? 3 : 0);
    float spokes = noise2(angle * 7, r * .35f, s->skin_key ^ 41);
    float tone = mix(1.25f, .75f, spokes) * mix(1.2f, .40f, smooth(.62f * size, size, r));
    float c[3];
    for (int k = 0; k < 3; k++) c[k] = s->pal.iris[k] * tone;
    lay(o, c, a);
    lay(o, s->pal.pupil, cover(r - .42f * size, soft));
  }
  // The lamp's reflection.
  float hx = du - 1.7f * s->light.direction[0], hy = dv - 2.2f * s->light.direction[1] * .9f + .6f;
  float flash[3] = {2.2f, 2.2f, 2.2f};
  lay(o, flash, .9f * s->pal.highlight * hill((hx * hx + hy * hy) / 2.6f));
}

void dvg_toy_paint_eyes(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float size = id->eye_size, dx = p->ax - .5f * id->eye_distance;
  if (fabsf(dx) > size + 6 || p->y < -20 || p->y > 14) return;
  float slant = id->eye_slant, u = dx / size, v = p->y + slant * dx;
  // Lids: the upper one peaks nearer to the nose, the lower one further out.
  float ui = clampf(u, -1.4f, 1.4f), arch = 1 - ui * ui, bulge = arch * (1 - .22f * ui),
        sag = arch * (1 + .2f * ui);
  float up = v + s->eye_up * bulge, low = s->eye_low * sag - v; // both positive within the eye
  float edge = -minf(up, low), soft = maxf(s->px, .6f);
  float a = arch > 0 ? cover(edge, soft) : 0;
  if (s->domain == DVG_TOY_THERMAL) {
    lay(o, s->pal.iris, .5f * a);
    return;
  }
  float lid = v + (s->eye_up + id->eyelid_fold * (.6f + .4f * bulge)) * (1 - .72f * u * u) + .3f;
  float crease = bump1(lid, 1.15f) * bump1(u + .02f, 1.25f) * clampf(id->eyelid_fold, 0, 1);
  lay(o, s->pal.line, .6f * crease * s->pal.marks);
  if (a > 0) {
    struct surface eye = *o;
    for (int k = 0; k < 3; k++) eye.c[k] = s->pal.sclera[k];
    shade(&eye, .55f, square(ui) * .8f);                            // the ball turns away
    tint(&eye, 1, .72f, .70f, bump(u + .98f, v - .4f, .25f, 2.5f)); // the inner corner's flesh
    iris(s, &eye, p->side * dx - s->iris_x, v - s->iris_y);
    shade(&eye, .30f, 1 - smooth(0, 3.4f, up)); // the lid's shadow
    lay(o, eye.c, a);
    o->gloss *= 1 - a;
  }
  // Lashes and the lids' rims.
  float t = clampf(u, -1.15f, 1.2f), thick = (.55f + .65f * id->lashes) * (.75f + .5f * t);
  float on = u > -1.02f && u < 1.12f ? 1 : 0;
  float wing = u > .85f ? 2.5f * square(u - .85f) : 0;
  lay(o, s->pal.pupil[0] > .5f ? s->pal.line : s->pal.pupil,
      .88f * on * bump1(up - .1f + wing, thick + .7f) * s->pal.marks);
  lay(o, s->pal.line, .5f * (arch > 0) * bump1(low, 1.0f) * s->pal.marks);
}

void dvg_toy_paint_brows(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  const struct dvg_toy_attributes *a = &s->at;
  float t = (p->ax - id->brow_gap + 1.5f * a->brow_frown) / id->brow_length;
  if (t < -.2f || t > 1.15f || p->y > 2 || p->y < -42) return;
  float tc = clampf(t, 0, 1), arch = tc < .64f ? 1 - square((tc - .64f) / .64f) : 1 - square((tc - .64f) / .5f);
  float middle = -id->brow_height - 2.8f * a->brow_raise - id->brow_arch * (arch - .45f);
  middle -= id->brow_slant * (tc - .5f) * id->brow_length - .35f * id->asymmetry * p->side;
  middle += 2.4f * a->brow_frown * (1 - tc) - 3.5f * bump1(tc - 1.15f, .5f) * -1;
  float half = id->brow_thickness * (tc < .18f ? .70f + 1.6f * tc : 1.05f - .85f * (tc - .18f)) + .35f;
  // Hairs lean outwards: stripes of noise across the brow.
  float hairs = noise2((p->ax - .7f * (p->y + 14)) * .75f, (p->y + .35f * p->ax) * .22f,
                       s->skin_key ^ (p->side > 0 ? 51 : 52));
  float dy = p->y - middle, over = t < 0 ? -t : t > 1 ? t - 1 : 0;
  float d = fabsf(dy) - half + over * id->brow_length + 1.5f * (hairs - .5f);
  float cover_hairs =
      cover(d, maxf(1.8f, s->px)) * (.66f + .34f * smooth(.2f, .65f, hairs + .35f * (id->brow_density - .5f)));
  lay(o, s->pal.brow, minf(cover_hairs * id->brow_density * 1.15f, .96f) * s->pal.brows);
  o->gloss *= 1 - .7f * cover_hairs;
}

void dvg_toy_paint_mouth(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float dy = p->y - 48, u = (p->x - s->mouth_x) / s->mouth_half;
  if (fabsf(u) > 1.25f || dy < -18 || dy > 34) return;
  float inside = maxf(1 - u * u, 0), soft = maxf(s->px, .7f), au = fabsf(u);
  float line = s->mouth_drop * inside, gap = s->mouth_gap * inside * (.55f + .45f * inside);
  float wave = .8f * bump1(au, .22f) - .5f * bump1(au - .45f, .3f); // the upper lip's middle hangs a little
  float top_in = line - .35f * gap + wave * (s->mouth_gap < 2 ? 1 : .4f),
        low_in = line + .65f * gap + wave * (s->mouth_gap < 2 ? 1 : 0);
  float bow = 1 - id->cupid_bow * bump1(u, .26f) + .25f * bump1(au - .3f, .3f);
  float up = s->lip_up * (1 - au * sqrtf(au)) * bow, low = s->lip_low * (1 - square(u * u));
  if (au > 1) up = low = -1;
  float over = dy - (top_in - up), under = low_in + low - dy; // positive within the lips
  float a = cover(-minf(over, under), maxf(soft, 1.1f));
  if (s->domain == DVG_TOY_THERMAL) {
    lay(o, s->pal.lip, .35f * a);
    lay(o, s->pal.mouth, .8f * cover(-minf(dy - top_in, low_in - dy), 2) * (gap > .3f));
    return;
  }
  if (a > 0) {
    struct surface lip = *o;
    lay(&lip, s->pal.lip, 1);
    float streaks = noise2(p->x * .55f, dy * .12f, s->skin_key ^ 61) - .5f;
    shade(&lip, 1 + .22f * streaks, s->pal.marks);
    shade(&lip, .80f, dy < line ? 1 : 0);
    lay(o, lip.c, .92f * a);
    o->gloss = mix(o->gloss, 1.6f, a);
  }
  float open = cover(-minf(dy - top_in, low_in - dy), soft) * (au < 1);
  if (gap > .4f && open > 0) {
    struct surface in = *o;
    for (int k = 0; k < 3; k++) in.c[k] = s->pal.mouth[k];
    float teeth = cover(dy - top_in - .3f - .55f * minf(gap, 5.5f), soft) * smooth(.92f, .7f, au) *
                  smooth(.9f, 2.2f, gap);
    lay(&in, s->pal.teeth, .95f * teeth);
    float tooth = (p->x - s->mouth_x) / 3.1f, between = fabsf(tooth - (float)below(tooth) - .5f);
    shade(&in, .75f, teeth * smooth(.36f, .5f, between) * .7f);
    shade(&in, .45f, smooth(.5f, .95f, au));
    shade(&in, .6f, 1 - smooth(0, 1.6f, dy - top_in));
    lay(o, in.c, open);
    o->gloss *= 1 - open;
  }
  // The parting line, deeper at the corners.
  float part = bump1(dy - .5f * (top_in + low_in), 1.0f + .5f * gap + .6f * au * au) * (au < 1.06f) *
               (gap > .8f ? 1 - inside : 1);
  lay(o, s->pal.line, .75f * part);
  lay(o, s->pal.line, .4f * bump(au * s->mouth_half - s->mouth_half - .3f, dy - .3f, 2.6f, 2.2f));
}
