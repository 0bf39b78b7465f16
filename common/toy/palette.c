// What skin, hair, eyes and things look like in each domain, and the light of the image.
#include "common/toy/scene.h"

// Colours are written as they look on a screen and squared into linear light.
static void linear(float out[3], float r, float g, float b) {
  out[0] = r * r;
  out[1] = g * g;
  out[2] = b * b;
}
static void gray(float out[3], float v) {
  out[0] = out[1] = out[2] = v * v;
}

static void along(float out[3], const float (*stops)[3], int n, float t) {
  float at = clampf(t, 0, 1) * (float)(n - 1);
  int k = at >= (float)(n - 1) ? n - 2 : (int)at;
  for (int c = 0; c < 3; c++) out[c] = mix(stops[k][c], stops[k + 1][c], at - (float)k);
}

// A colour of some lightness from a hue in (-2, 2) around the wheel.
static void hued(float out[3], float lightness, float hue, float chroma) {
  float h = 1.57f * hue, c = chroma;
  linear(out, lightness + c * (float)cos(h), lightness + c * (float)cos(h - 2.0944f),
         lightness + c * (float)cos(h + 2.0944f));
}

static void visible(struct scene *s) {
  static const float skins[][3] = {{.94f, .80f, .73f}, {.90f, .73f, .62f}, {.84f, .64f, .50f},
                                   {.68f, .47f, .35f}, {.50f, .33f, .24f}, {.35f, .23f, .18f}};
  static const float hairs[][3] = {
      {.86f, .72f, .48f}, {.66f, .48f, .29f}, {.44f, .29f, .18f}, {.27f, .18f, .12f}, {.15f, .12f, .11f}};
  const struct dvg_toy_identity *id = &s->id;
  const struct dvg_toy_attributes *a = &s->at;
  struct palette *l = &s->pal;
  float c[3], red = id->skin_red - .5f + .5f * a->flush, yellow = id->skin_yellow - .5f;
  along(c, skins, 6, id->skin_tone);
  float r = c[0] + .03f * red, g = c[1] - .05f * red + .012f * yellow, b = c[2] - .04f * red - .07f * yellow;
  linear(l->skin, r, g, b);
  linear(l->blush, r + .01f, g * (.86f - .1f * red), b * (.84f - .1f * red));
  float lip = id->lip_red;
  linear(l->lip, mix(r * .90f, .78f, .25f * lip), g * mix(.70f, .42f, lip), b * mix(.76f, .52f, lip));
  linear(l->line, r * .58f, g * .48f, b * .46f);
  linear(l->mole, r * .50f, g * .42f, b * .40f);
  along(c, hairs, 5, id->hair_dark);
  float rusty = id->hair_red * (1 - .75f * id->hair_dark), grey = id->hair_grey;
  float h[3] = {mix(c[0], .66f, .7f * rusty), mix(c[1], .31f, .7f * rusty), mix(c[2], .14f, .7f * rusty)};
  linear(l->hair, mix(h[0], .74f, grey), mix(h[1], .73f, grey), mix(h[2], .72f, grey));
  linear(l->brow, mix(h[0] * .62f, .5f, .6f * grey), mix(h[1] * .60f, .49f, .6f * grey),
         mix(h[2] * .62f, .48f, .6f * grey));
  float d = smooth(.2f, .75f, id->iris_dark), green = id->iris_green;
  linear(l->iris, mix(mix(.40f, .50f, green), .26f, d), mix(mix(.56f, .57f, green), .16f, d),
         mix(mix(.72f, .38f, green), .09f, d));
  linear(l->sclera, .92f, .90f, .89f);
  linear(l->teeth, .93f, .91f, .86f);
  linear(l->mouth, .30f, .10f, .10f);
  gray(l->pupil, .04f);
  hued(l->background, a->background, a->background_hue, a->background_chroma);
  hued(l->background2, a->background * .8f, a->background_hue + .5f, a->background_chroma);
  hued(l->clothes, a->clothes, a->clothes_hue, .02f + .12f * a->clothes * (1.2f - a->clothes));
  linear(l->frame, a->glasses_shade * 1.1f, a->glasses_shade, a->glasses_shade * .95f);
  linear(l->lens, .16f, .15f, .14f);
  l->beard = l->brows = l->marks = l->freckles = l->moles = l->highlight = l->strands = 1;
  l->lens_cover = a->glasses_tint;
  l->gloss = .22f;
}

// Near infrared: melanin is transparent, so skins are alike, and dark hair and irises turn lighter; blood does
// not show.
static void near_infrared(struct scene *s) {
  const struct dvg_toy_identity *id = &s->id;
  const struct dvg_toy_attributes *a = &s->at;
  struct palette *l = &s->pal;
  float skin = .87f - .05f * id->skin_tone;
  gray(l->skin, skin);
  gray(l->blush, skin * 1.01f);
  gray(l->lip, skin * .93f);
  gray(l->line, skin * .66f);
  gray(l->mole, skin * .72f);
  float hair = mix(mix(.60f, .40f, id->hair_dark), .68f, .6f * id->hair_grey);
  gray(l->hair, hair);
  gray(l->brow, hair * .92f);
  gray(l->iris, mix(.36f, .62f, id->iris_dark));
  gray(l->sclera, .80f);
  gray(l->teeth, .85f);
  gray(l->mouth, .32f);
  gray(l->pupil, .97f); // the flash beside the lens comes back from the retina
  gray(l->background, .25f + .25f * a->background);
  gray(l->background2, .20f + .25f * a->background);
  gray(l->clothes, .35f + .5f * unit(hash2((int32_t)(a->clothes * 64), (int32_t)(a->clothes_hue * 16), 7)));
  gray(l->frame, .2f + .6f * a->glasses_shade);
  gray(l->lens, .3f);
  l->beard = .5f;
  l->brows = .72f;
  l->marks = .7f;
  l->freckles = 0;
  l->moles = .35f;
  l->highlight = 1;
  l->strands = .8f;
  l->lens_cover = .4f * a->glasses_tint;
  l->gloss = .5f;
}

// What an artist draws from: paper-white skin, features in their own tones.
static void drawn(struct scene *s) {
  const struct dvg_toy_identity *id = &s->id;
  struct palette *l = &s->pal;
  gray(l->skin, .96f);
  gray(l->blush, .94f);
  gray(l->lip, .70f);
  gray(l->line, .45f);
  gray(l->mole, .4f);
  gray(l->hair, mix(mix(.82f, .40f, id->hair_dark), .84f, id->hair_grey));
  gray(l->brow, mix(.55f, .22f, id->hair_dark));
  gray(l->iris, mix(.66f, .25f, id->iris_dark));
  gray(l->sclera, 1);
  gray(l->teeth, 1);
  gray(l->mouth, .15f);
  gray(l->pupil, .05f);
  gray(l->background, .98f);
  gray(l->background2, .98f);
  gray(l->clothes, .9f);
  gray(l->frame, .25f);
  gray(l->lens, .5f);
  l->beard = l->brows = l->marks = l->moles = l->highlight = 1;
  l->freckles = .3f;
  l->strands = 1.5f;
  l->lens_cover = .8f * s->at.glasses_tint;
  l->gloss = .1f;
}

// Temperatures, 0 the room and 1 the warmest skin, not squared.
static void thermal(struct scene *s) {
  struct palette *l = &s->pal;
  float *const all[] = {l->skin,       l->blush,       l->lip,     l->hair,  l->brow, l->iris,
                        l->pupil,      l->sclera,      l->mouth,   l->teeth, l->mole, l->line,
                        l->background, l->background2, l->clothes, l->frame, l->lens};
  const float warmth[] = {.66f, .66f, .72f, .24f, .48f, .62f, .62f, .64f, .95f,
                          .80f, .66f, .66f, .07f, .10f, .32f, .12f, .10f};
  for (int i = 0; i < (int)(sizeof(all) / sizeof(all[0])); i++)
    for (int c = 0; c < 3; c++) all[i][c] = warmth[i];
  l->beard = .7f;
  l->brows = .5f;
  l->strands = .4f;
  l->lens_cover = 1;
}

static void light_of(struct scene *s) {
  const struct dvg_toy_attributes *a = &s->at;
  struct light *l = &s->light;
  float side = a->light_side, up = a->light_up, strength = a->light_strength, ambient = a->light_ambient;
  float warmth = a->light_warmth;
  l->wrap[0] = .30f, l->wrap[1] = .20f, l->wrap[2] = .16f; // red light travels further under the skin
  l->shadow = a->light_shadow;
  l->cavity = .030f;
  l->falloff = 0;
  if (s->domain == DVG_TOY_NIR) { // lamps around the lens: little depends on the room
    side *= .22f;
    up = .12f + .25f * up;
    strength = 1.02f + .35f * (strength - .86f);
    ambient = .14f + .2f * (ambient - .36f);
    warmth = 0;
    l->shadow *= .3f;
    l->falloff = .008f;
  } else if (s->domain == DVG_TOY_SKETCH) {
    side *= .6f;
    strength = .75f;
    ambient = .48f;
    warmth = 0;
    l->shadow *= .7f;
  }
  float cu = (float)cos(up);
  l->direction[0] = (float)sin(side) * cu;
  l->direction[1] = -(float)sin(up);
  l->direction[2] = maxf((float)cos(side) * cu, .12f);
  float tone[3] = {1 + .10f * warmth, 1, 1 - .14f * warmth};
  for (int c = 0; c < 3; c++) {
    l->colour[c] = strength * a->exposure * tone[c];
    l->ambient[c] = ambient * a->exposure * (2 - tone[c]) * .9f;
  }
  l->gloss = s->pal.gloss;
}

void dvg_toy_palette_init(struct scene *s) {
  s->pal = (struct palette){.gloss = 0};
  switch (s->domain) {
  case DVG_TOY_NIR:
    near_infrared(s);
    break;
  case DVG_TOY_SKETCH:
    drawn(s);
    break;
  case DVG_TOY_THERMAL:
    thermal(s);
    break;
  default:
    visible(s);
  }
  light_of(s);
}
