// Learning rates over the steps and for other batches, by hand.
#include "stages/rates.h"
#include "tests/check.h"

static void is(double got, double want) {
  const float g = (float)got;
  CHECK_CLOSE("rate", &g, &want, 1, 1e-7);
}

static void cosine(void) {
  is(dvg_rate_cosine(0.2, 0, 0, 8), 0.2);
  is(dvg_rate_cosine(0.2, 0, 4, 8), 0.1);
  is(dvg_rate_cosine(0.2, 0.1, 8, 8), 0.02);
  is(dvg_rate_cosine(0.2, 1, 5, 8), 0.2);
}

static void warm_up(void) {
  is(dvg_rate_warmup(0.2, 1, 4), 0.05);
  is(dvg_rate_warmup(0.2, 4, 4), 0.2);
  is(dvg_rate_warmup(0.2, 9, 4), 0.2);
  is(dvg_rate_warmup(0.2, 0, 0), 0.2);
}

static void for_batches(void) {
  is(dvg_rate_for_batch(0.001, 0, 512, 0), 0.001);
  is(dvg_rate_for_batch(0.001, 64, 64, 1), 0.001);
  is(dvg_rate_for_batch(0.001, 64, 1024, 0), 0.016);
  is(dvg_rate_for_batch(0.001, 64, 1024, 1), 0.004);
  is(dvg_rate_for_batch(0.001, 64, 16, 1), 0.0005);
}

const struct dvg_test dvg_tests[] = {
    {"cosine", cosine}, {"warm-up", warm_up}, {"for batches", for_batches}, {NULL, NULL}};
