#include "stages/epoch.h"

#include "common/base/alloc.h"
#include "common/base/rng.h"

enum dvg_status dvg_epochs_init(struct dvg_epochs *e, uint64_t seed, int64_t n) {
  *e = (struct dvg_epochs){.seed = seed, .n = n, .cached = -1};
  return DVG_NEW(&e->order, n, "order of an epoch");
}

void dvg_epochs_free(struct dvg_epochs *e) {
  dvg_free(&e->order);
}

int64_t dvg_epochs_item(struct dvg_epochs *e, int64_t k) {
  if (k / e->n != e->cached) {
    struct dvg_rng r;
    e->cached = k / e->n;
    dvg_rng_init(&r, e->seed, DVG_STREAM_SHUFFLE, (uint64_t)e->cached);
    dvg_rng_permutation(&r, e->order, e->n);
  }
  return e->order[k % e->n];
}
