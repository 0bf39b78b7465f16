#include "stages/train_recognizer/augment.h"

static float within_unit(float x) {
  return x < 0 ? 0 : x > 1 ? 1 : x;
}

void dvg_augment_mirror(float *image, int64_t size) {
  for (int64_t y = 0; y < size; y++)
    for (int64_t x = 0; x < size / 2; x++) {
      float *left = image + y * size + x, *right = image + y * size + size - 1 - x, t = *left;
      *left = *right;
      *right = t;
    }
}

void dvg_augment_jitter(float *image, int64_t size, double strength, struct dvg_rng *r) {
  if (strength <= 0) return;
  float s = (float)strength;
  float exposure = dvg_rng_between(r, -0.4f * s, 0.4f * s), tone = dvg_rng_between(r, -0.8f * s, 0.8f * s);
  float across = dvg_rng_between(r, -0.4f * s, 0.4f * s), down = dvg_rng_between(r, -0.4f * s, 0.4f * s);
  float sigma = dvg_rng_between(r, 0, 0.06f * s), middle = 0.5f * (float)(size - 1);
  for (int64_t y = 0; y < size; y++)
    for (int64_t x = 0; x < size; x++) {
      float *p = image + y * size + x, X = ((float)x - middle) / middle, Y = ((float)y - middle) / middle;
      float v = within_unit(*p * (1 + exposure));
      v = within_unit((v + tone * v * (1 - v)) * (1 + across * X + down * Y));
      *p = within_unit(v + sigma * dvg_rng_normal(r));
    }
}
