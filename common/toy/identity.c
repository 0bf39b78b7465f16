// Who a person is, and the circumstances of an image: factors drawn from their distributions.
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/toy/face.h"
#include "common/toy/scene.h"

#define FACTOR(name, mean, deviation, least, largest, ...)                                                     \
  {#name, (float)(mean), (float)(deviation), (float)(least), (float)(largest)},
const struct dvg_toy_factor dvg_toy_identity_factors[] = {DVG_TOY_IDENTITY_FACTORS(FACTOR)};
const struct dvg_toy_factor dvg_toy_attribute_factors[] = {DVG_TOY_ATTRIBUTE_FACTORS(FACTOR)};

// Loadings on masculinity, darker ancestry, age; what a sketch exaggerates.
static const float loadings[][4] = {
#define LOADING(name, mean, deviation, least, largest, m, d, a, shape)                                         \
  {(float)(m), (float)(d), (float)(a), (float)(shape)},
    DVG_TOY_IDENTITY_FACTORS(LOADING)};

_Static_assert(sizeof(struct dvg_toy_identity) == dvg_toy_n_identity_factors * sizeof(float), "only factors");
_Static_assert(sizeof(struct dvg_toy_attributes) == dvg_toy_n_attribute_factors * sizeof(float),
               "only factors");

void dvg_toy_identity_values(float *out, const struct dvg_toy_identity *id) {
  memcpy(out, id, sizeof(*id));
}
void dvg_toy_attribute_values(float *out, const struct dvg_toy_attributes *a) {
  memcpy(out, a, sizeof(*a));
}

static float within(float value, const struct dvg_toy_factor *f) {
  if (!(value == value)) return f->mean;
  return value < f->least ? f->least : value > f->largest ? f->largest : value;
}

void dvg_toy_identity_clamp(struct dvg_toy_identity *id) {
  float v[dvg_toy_n_identity_factors];
  memcpy(v, id, sizeof(v));
  for (int i = 0; i < dvg_toy_n_identity_factors; i++) v[i] = within(v[i], &dvg_toy_identity_factors[i]);
  memcpy(id, v, sizeof(v));
}

void dvg_toy_attributes_clamp(struct dvg_toy_attributes *a) {
  float v[dvg_toy_n_attribute_factors];
  memcpy(v, a, sizeof(v));
  for (int i = 0; i < dvg_toy_n_attribute_factors; i++) v[i] = within(v[i], &dvg_toy_attribute_factors[i]);
  memcpy(a, v, sizeof(v));
}

void dvg_toy_identity_exaggerate(struct dvg_toy_identity *id, float by) {
  float v[dvg_toy_n_identity_factors];
  memcpy(v, id, sizeof(v));
  for (int i = 0; i < dvg_toy_n_identity_factors; i++) {
    const struct dvg_toy_factor *f = &dvg_toy_identity_factors[i];
    v[i] = within(v[i] + (by - 1) * loadings[i][3] * (v[i] - f->mean), f);
  }
  memcpy(id, v, sizeof(v));
}

// ---- hair: styles are regions of the hair factors

struct style {
  float weight_m, weight_f; // how common among men and women
  float top, side, cover, length, fringe, wave, curl, amount, recess;
};
static const struct style styles[] = {
    //  m    f   top side cover length fringe wave curl amount recess
    {1.6f, .05f, 3, 0, 2, 4, 0, 0, 0, 1, 0},        // cropped
    {1.6f, .15f, 9, 2, 3, 9, 2, .4f, 0, 1, 0},      // short
    {1.0f, .2f, 13, 3, 4, 12, 7, .5f, .1f, 1, -2},  // short, swept over the forehead
    {.55f, .2f, 17, 9, 5, 16, 4, .2f, .95f, 1, -1}, // curly
    {.5f, .0f, 1, 0, 1, 2, 0, 0, 0, 0, 4},          // shaved
    {.5f, .0f, 2, 2, 4, 12, 0, .2f, 0, .6f, 10},    // receding
    {.25f, 1.4f, 9, 9, 6, 96, 0, .6f, .1f, 1, -1},  // long, parted
    {.1f, .9f, 9, 9, 7, 90, 17, .4f, .05f, 1, -2},  // long with a fringe
    {.05f, .8f, 10, 10, 7, 58, 8, .5f, .1f, 1, -2}, // bob
    {.2f, .8f, 11, 13, 7, 80, 5, 1.1f, .7f, 1, -1}, // long and curly
    {.1f, .9f, 5, 1, 4, 10, 0, .2f, 0, 1, -1},      // tied back
};
enum { N_STYLES = sizeof(styles) / sizeof(styles[0]) };

static void draw_hair(struct dvg_toy_identity *id, struct dvg_rng *r, float masculine) {
  float m = smooth(-.5f, .5f, masculine), weights[N_STYLES], sum = 0;
  for (int i = 0; i < N_STYLES; i++) sum += weights[i] = mix(styles[i].weight_f, styles[i].weight_m, m);
  float u = dvg_rng_uniform(r) * sum;
  int k = 0;
  while (k < N_STYLES - 1 && (u -= weights[k]) >= 0) k++;
  const struct style *s = &styles[k];
  // The table's own draws stay as the variation within a style.
  id->hair_top = s->top + .6f * (id->hair_top - 9);
  id->hair_side = s->side * (1 + .12f * (id->hair_side - 4)) + .15f * (id->hair_side - 4);
  id->hair_cover = s->cover + .6f * (id->hair_cover - 4);
  id->hair_length = s->length + (s->length > 30 ? .9f : .25f) * (id->hair_length - 10);
  id->fringe = s->fringe > 0 ? s->fringe + .6f * id->fringe : 0;
  id->hair_wave = s->wave + .5f * (id->hair_wave - .5f);
  id->hair_curl = s->curl + .4f * (id->hair_curl - .1f);
  id->hairline_recess += s->recess;
  id->hair_amount = s->amount;
}

static void draw_beard(struct dvg_toy_identity *id, struct dvg_rng *r, float masculine) {
  float grows = smooth(.1f, .8f, masculine), kind = dvg_rng_uniform(r);
  float much = dvg_rng_between(r, .55f, 1), little = dvg_rng_between(r, 0, .5f);
  id->stubble = grows * dvg_rng_between(r, 0, .8f);
  id->beard = grows * (kind < .22f ? much : 0);
  id->moustache = grows * (kind < .19f ? much : kind > .86f ? much : kind > .8f ? little : 0);
}

void dvg_toy_identity_of(struct dvg_toy_identity *id, uint64_t seed, int64_t person) {
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_TOY_PERSON, (uint64_t)person);
  dvg_rng_u32(&r); // the first draw is the key of the person's textures: see scene.c
  float trait[3], v[dvg_toy_n_identity_factors];
  // Masculinity has two humps, ancestry is spread evenly, age leans to the young.
  trait[0] = (dvg_rng_uniform(&r) < .5f ? -1.0f : 1.0f) * .9f + .45f * dvg_rng_normal(&r);
  trait[1] = 3.4f * (dvg_rng_uniform(&r) - .5f);
  float age = dvg_rng_uniform(&r);
  trait[2] = 3.4f * (age * age * .6f + age * .4f - .4f);
  for (int i = 0; i < dvg_toy_n_identity_factors; i++) {
    const struct dvg_toy_factor *f = &dvg_toy_identity_factors[i];
    float shared = 0, explained = 0;
    for (int k = 0; k < 3; k++) {
      shared += loadings[i][k] * trait[k];
      explained += loadings[i][k] * loadings[i][k];
    }
    v[i] = f->mean + f->deviation * (shared + sqrtf(1 - explained) * dvg_rng_normal(&r));
  }
  memcpy(id, v, sizeof(v));
  draw_hair(id, &r, trait[0]);
  draw_beard(id, &r, trait[0]);
  id->hair_grey = smooth(.15f, .9f, id->hair_grey);
  dvg_toy_identity_clamp(id);
}

void dvg_toy_attributes_of(struct dvg_toy_attributes *a, uint64_t seed, int64_t person, int64_t image) {
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_TOY_IMAGE,
               (uint64_t)person * (uint64_t)DVG_TOY_MAX_IMAGES + (uint64_t)image);
  float v[dvg_toy_n_attribute_factors];
  for (int i = 0; i < dvg_toy_n_attribute_factors; i++) {
    const struct dvg_toy_factor *f = &dvg_toy_attribute_factors[i];
    v[i] = f->mean + f->deviation * dvg_rng_normal(&r);
  }
  memcpy(a, v, sizeof(v));
  a->glasses = dvg_rng_uniform(&r) < .18f ? 1 : 0;
  if (dvg_rng_uniform(&r) > .15f) a->glasses_tint *= .3f; // most lenses are clear
  dvg_toy_attributes_clamp(a);
}
