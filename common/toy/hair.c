// Layers of paint: hair behind the head and on it, beard and moustache.
#include "common/toy/scene.h"

// Signed distance to the hair's outer boundary, negative inside: a thicker head above, curtains beside the face
// below.
static float outer(const struct scene *s, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float above = smooth(-.15f, -.8f, p->p);
  float volume = mix(id->hair_side, id->hair_top, above);
  float d = p->radius - p->r - volume;
  if (fabsf(d) > 9 && p->y < 6) return d; // deeper than the edge is rough
  float rough = (noise2(p->x * .09f + 3, p->y * .09f, s->skin_key ^ 71) - .5f) * 7 * id->hair_curl;
  rough += (noise2(p->x * .30f, p->y * .30f, s->skin_key ^ 72) - .5f) *
           (1.2f + 4.5f * id->hair_curl + 2.2f * s->at.hair_mess);
  float end = s->hair_end;
  if (p->y > 6) {
    float wave = id->hair_wave * 2.2f * (noise2(p->y * .07f + 11 * p->side, .5f, s->skin_key ^ 73) - .5f);
    float t = clampf(p->y / maxf(end, 1), 0, 1);
    float half = id->head_width + id->hair_side + 2 + wave - (id->hair_length > 30 ? 7 * t * t * t : 0);
    float curtain = maxf(p->ax - half, p->y - end);
    d = id->hair_length > 30 ? curtain : maxf(d, p->y - end);
  }
  return d + rough;
}

// Signed distance to where hair grows or falls over the face, negative in the hair.
static float inner(const struct scene *s, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float w = id->head_width, x = p->x;
  if (p->y > 0 && p->edge < -26) return 99; // the face's middle is bare
  float line =
      -id->hairline - id->hairline_recess * bump1(p->ax - 25, 19) + id->hairline_peak * bump1(p->ax, 11);
  line += 30 * square(square(p->ax / w)) + s->at.hair_shift * .4f;
  if (id->fringe > .5f) {
    float slant = id->fringe_slant + .04f * s->at.hair_shift, part = bump1(x - id->hair_parting, 12);
    float falls = id->fringe * (1 + .5f * slant * clampf(x / 30, -1, 1)) * (1 - .5f * part * (id->fringe < 12));
    float locks = noise2(x * .16f + s->at.hair_shift, .5f, s->skin_key ^ 75) - .5f +
                  .5f * (noise2(x * .55f, .5f, s->noise_key ^ 76) - .5f);
    line = minf(line + falls + (1.5f + .22f * id->fringe) * locks, maxf(line, -8));
  }
  float top = p->y - line, ragged = clampf((top + 14) * .2f, 0, 1); // only near the edge
  if (!(ragged > 0)) return top;
  float jag = (noise2(x * .5f, p->y * .12f, s->skin_key ^ 77) - .5f) * 2.6f * ragged;
  top += jag;
  float end = s->hair_end, t = clampf((p->y + 10) / (end + 10), 0, 1);
  float over = id->hair_cover * (id->hair_length > 30 ? 1 : 1 - .65f * t), reach = -over - p->edge;
  // Below the temples long hair hangs down; it does not follow the jaw.
  if (id->hair_length > 30) reach = mix(reach, w - 1.2f * over - 1 - p->ax, smooth(-22, 6, p->y));
  float beside = maxf(reach + .6f * jag, p->y - end + jag);
  if (id->hair_amount < .3f) beside = maxf(beside, p->y + 6);
  float k = 5, h = clampf(.5f + .5f * (top - beside) / k, 0, 1); // round where they meet
  return mix(top, beside, h) - k * h * (1 - h);
}

// Strands: noise drawn out along the way the hair falls from the parting.
static float strands(const struct scene *s, const struct point *p, float *along) {
  const struct dvg_toy_identity *id = &s->id;
  float dx = p->x - id->hair_parting, dy = p->y + 66, far = fabsf(dx) + fabsf(dy) + 1;
  float wave = id->hair_wave * (noise2(p->x * .05f, p->y * .06f, s->skin_key ^ 81) - .5f) * 9;
  float angle = (dx + wave) / far, straight, curly = 0;
  *along = far;
  straight = .6f * noise2(angle * 46, far * .035f, s->skin_key ^ 82) +
             .4f * noise2(angle * 120, far * .06f, s->skin_key ^ 83);
  if (id->hair_curl > .25f) {
    float bend = 5 * noise2(p->x * .12f, p->y * .12f, s->skin_key ^ 84);
    curly = noise2(p->x * .33f + bend, p->y * .30f + bend, s->skin_key ^ 85);
    curly = 1 - 2 * fabsf(curly - .5f);
  }
  return mix(straight, curly, smooth(.25f, .7f, id->hair_curl));
}

static void hair_colour(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float far, n = strands(s, p, &far) - .5f, fades = s->px > 1.5f ? 1.5f / s->px : 1;
  float tone = 1 + 1.15f * n * s->pal.strands * fades;
  // The ring of light where strands turn across it.
  float ring = bump1(far - 46 - 10 * n, 22) * id->hair_shine * (1 - .6f * id->hair_curl);
  tone += .7f * ring * (.5f + n) * (s->domain != DVG_TOY_THERMAL);
  for (int k = 0; k < 3; k++) o->c[k] = s->pal.hair[k] * maxf(tone, .15f);
  if (s->domain == DVG_TOY_VIS)
    for (int k = 0; k < 3; k++)
      o->c[k] += .022f * ring * (.6f + n); // the gloss has the light's colour, not the hair's
}

void dvg_toy_paint_hair_behind(const struct scene *s, struct surface *o, const struct point *p) {
  if (s->id.hair_amount < .3f || p->edge < -8) return;
  float a = cover(outer(s, p), maxf(s->px, 1));
  if (a <= 0) return;
  struct surface hair = *o;
  hair_colour(s, &hair, p);
  if (s->domain != DVG_TOY_THERMAL) shade(&hair, .55f, smooth(-10, 20, p->y)); // in the head's shadow
  lay(o, hair.c, a);
  raise_to(o, -18, 0, a);
}

float dvg_toy_hair_cover(const struct scene *s, const struct point *p, float *in) {
  *in = 99;
  if (p->y > s->hair_end + 6 || p->edge > 40) return 0;
  *in = inner(s, p);
  if (*in > 4) return 0;
  float out = outer(s, p), a = cover(*in, maxf(s->px, 1.5f));
  if (s->id.hair_amount < .3f) out = maxf(out, p->edge);
  return minf(a, cover(out, maxf(s->px, 1)));
}

void dvg_toy_paint_hair(const struct scene *s, struct surface *o, const struct point *p, float a, float in) {
  const struct dvg_toy_identity *id = &s->id;
  if (in > 4) return;
  if (id->hair_amount < .99f) {
    float thin = .5f * noise2(p->x * .8f, p->y * .45f, s->skin_key ^ 87) +
                 .5f * noise2(p->x * .27f, p->y * .2f, s->skin_key ^ 88);
    a *= id->hair_amount < .3f ? .22f + .2f * thin
                               : mix(.35f, 1, smooth(.2f, .8f, thin + .35f * smooth(-4, -14, in)));
  }
  if (a > 0) {
    struct surface hair = *o;
    hair_colour(s, &hair, p);
    if (s->domain != DVG_TOY_THERMAL) shade(&hair, .80f, smooth(10, 60, p->y));
    lay(o, hair.c, a);
    float r = p->r + mix(id->hair_side, id->hair_top, smooth(-.15f, -.8f, p->p)) + 1;
    if (id->hair_length > 30)
      r *= 1 + .5f * smooth(-30, 20, p->y); // curtains lie flatter than the head is round
    float q = minf(p->radius / r, 1), rise = clampf(-in, 0, 8) * .3f;
    float dome = 46 * sqrtf(1 - .35f * q * q - .65f * square(q * q)) + rise;
    if (id->hair_amount < .3f) rise = 0;
    dome =
        minf(dome, (p->edge < 0 ? o->z : 0) + .4f - .9f * minf(in, 0)); // it rises from the skin, not as a wall
    raise_to(o, dome, .05f, a);
  } else if (s->domain != DVG_TOY_THERMAL && id->hair_amount > .3f) {
    shade(o, .70f, smooth(4, -1, in) * (p->edge < 0)); // hair shades the skin at its edge
  }
}

void dvg_toy_paint_beard(const struct scene *s, struct surface *o, const struct point *p) {
  const struct dvg_toy_identity *id = &s->id;
  float most = maxf(maxf(id->beard, id->moustache), .6f * id->stubble);
  if (most < .04f || p->y < 6 || p->edge > s->px || s->pal.beard <= 0) return;
  float dy = p->y - 48, u = (p->x - s->mouth_x) / s->mouth_half;
  float patch = noise2(p->x * .14f, p->y * .14f, s->skin_key ^ 91) - .5f;
  // Jaw and chin: below a line from the sideburn to beside the mouth; chin: below the lower lip.
  float upper = mix(36, 14, smooth(24, 52, p->ax)) - 2.5f * id->beard_edge + 5 * patch;
  float jaw = smooth(0, 7, p->y - upper) * smooth(17, 25, p->ax + maxf(p->y - 52, 0) * 1.5f);
  float lip = s->mouth_drop * maxf(1 - u * u, 0) + .65f * s->mouth_gap + s->lip_low;
  float chin =
      smooth(1, 5, dy - lip) * smooth(32, 24, p->ax) * (1 - .75f * bump(p->x, dy - lip - 2, 10, 4) * -.2f);
  float away = smooth(3.5f, 6.5f,
                      sqrtf(square(maxf(p->ax - s->mouth_half * .8f, 0)) + square(dy)) +
                          (p->ax < s->mouth_half ? 9 : 0));
  float full = maxf(jaw, chin) * away;
  float above = s->mouth_drop * maxf(1 - u * u, 0) - .35f * s->mouth_gap - s->lip_up;
  float tache = smooth(0, 2.5f, above + 1.2f - dy) *
                smooth(s->nose_y, s->nose_y + 7, p->y + 1.5f - 6 * minf(u * u, 2)) *
                smooth(1.5f, .9f, fabsf(u));
  float side =
      smooth(1.0f, 1.12f, fabsf(u)) * smooth(1.5f, 1.3f, fabsf(u)) * smooth(-6, -1, dy) * smooth(16, 8, dy);
  tache = maxf(tache, side * (id->beard_edge > 0));
  float a = maxf(maxf(full * id->beard, tache * id->moustache), .38f * id->stubble * maxf(full, tache));
  a *= cover(p->edge, s->px);
  if (a < .02f) return;
  float bristle = .6f * noise2(p->x * .9f, p->y * .45f, s->skin_key ^ 92) +
                  .4f * noise2(p->x * .3f, p->y * .25f, s->skin_key ^ 93);
  float long_hair = smooth(.3f, .7f, a);
  float c[3];
  for (int k = 0; k < 3; k++)
    c[k] = mix(s->pal.hair[k], s->pal.brow[k], .5f) * mix(1, .55f + .9f * bristle, long_hair);
  a *= mix(.55f + .9f * bristle, 1, long_hair);
  lay(o, c, minf(a, .95f) * s->pal.beard);
  o->gloss *= 1 - .8f * minf(a, 1);
  if (s->domain != DVG_TOY_THERMAL) o->z += 1.6f * long_hair * bristle;
}
