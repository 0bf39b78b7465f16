// Real pairs to contrast, as generated ones are: images of one person in both domains. Those of a micro-batch show different people, so that none of them
// is pushed away from himself: it takes its share of one permutation of the people (stages/epoch.h), and each permutation leaves out those that are too few
// for one more.
#ifndef DVG_STAGES_TRAIN_RECOGNIZER_REAL_PAIRS_H
#define DVG_STAGES_TRAIN_RECOGNIZER_REAL_PAIRS_H

#include "common/base/rng.h"
#include "stages/epoch.h"
#include "stages/pairs.h"

struct dvg_real_pairs {
  struct dvg_pairs pairs;
  int64_t *person, n_micro_batch; // (pairs.n_people) who is in both domains; pairs in a micro-batch
  struct dvg_epochs epochs;
};

// Not collective. DVG_ERROR_INPUT when fewer people than n_micro_batch >= 1 are in both domains. Free with dvg_real_pairs_free.
DVG_CHECKED enum dvg_status dvg_real_pairs_init(struct dvg_real_pairs *r, const struct dvg_image_set *set, const char *domain, const char *visible,
                                                int64_t n_micro_batch, uint64_t seed);
void dvg_real_pairs_free(struct dvg_real_pairs *r);

// row[2] = rows of the set, in domain and visible, for pair i of micro-batch number `micro`: random images of its person, drawn from rng.
void dvg_real_pairs_draw(struct dvg_real_pairs *r, int64_t micro, int64_t i, struct dvg_rng *rng, int64_t row[2]);

#endif
