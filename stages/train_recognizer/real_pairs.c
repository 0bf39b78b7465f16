#include "stages/train_recognizer/real_pairs.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

enum dvg_status dvg_real_pairs_init(struct dvg_real_pairs *r, const struct dvg_image_set *set,
                                    const char *domain, const char *visible, int64_t n_micro_batch,
                                    uint64_t seed) {
  *r = (struct dvg_real_pairs){.n_micro_batch = n_micro_batch};
  enum dvg_status status;
  DVG_TRY(dvg_pairs_find(&r->pairs, set, domain, visible));
  const struct dvg_pairs *p = &r->pairs;
  if (p->n_people < n_micro_batch)
    DVG_TRY_GOTO(dvg_fail(DVG_ERROR_INPUT,
                          "%s: %lld people in both domains are too few for %lld real pairs in a micro-batch",
                          dvg_artifact_path(set->file), (long long)p->n_people, (long long)n_micro_batch));
  DVG_TRY_GOTO(DVG_NEW(&r->person, p->n_people, "people"));
  int64_t n = 0;
  for (int64_t k = 0; k < set->n_people; k++)
    if (dvg_pairs_count(p, 0, k) > 0 && dvg_pairs_count(p, 1, k) > 0) r->person[n++] = k;
  status = dvg_epochs_init(&r->epochs, seed, p->n_people);
done:
  if (status != DVG_OK) dvg_real_pairs_free(r);
  return status;
}

void dvg_real_pairs_free(struct dvg_real_pairs *r) {
  dvg_pairs_free(&r->pairs);
  dvg_epochs_free(&r->epochs);
  dvg_free(&r->person);
}

void dvg_real_pairs_draw(struct dvg_real_pairs *r, int64_t micro, int64_t i, struct dvg_rng *rng,
                         int64_t row[2]) {
  const struct dvg_pairs *p = &r->pairs;
  const int64_t in_epoch = p->n_people / r->n_micro_batch; // micro-batches
  const int64_t place = micro / in_epoch * p->n_people + micro % in_epoch * r->n_micro_batch + i;
  const int64_t person = r->person[dvg_epochs_item(&r->epochs, place)];
  for (int d = 0; d < 2; d++)
    row[d] = p->person_rows[d][p->person_first[d][person] + dvg_rng_below(rng, dvg_pairs_count(p, d, person))];
}
