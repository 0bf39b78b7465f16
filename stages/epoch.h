// The order in which a trainer sees its items: an endless sequence of epochs, each a permutation of its own, without any state that a resumed run
// would need. Place k of the sequence lies in epoch k / n.
#ifndef DVG_STAGES_EPOCH_H
#define DVG_STAGES_EPOCH_H

#include <stdint.h>

#include "common/base/status.h"

struct dvg_epochs {
  uint64_t seed;
  int64_t n, cached; // items; epoch whose order is held
  int64_t *order;    // (n), owned
};

// Free with dvg_epochs_free. n >= 1.
DVG_CHECKED enum dvg_status dvg_epochs_init(struct dvg_epochs *e, uint64_t seed, int64_t n);
void dvg_epochs_free(struct dvg_epochs *e);
// The item at place k.
int64_t dvg_epochs_item(struct dvg_epochs *e, int64_t k);

#endif
