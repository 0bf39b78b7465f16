#include "stages/pairs.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"

// Lists the rows of each person in one domain, side by side (a counting sort).
static enum dvg_status list_rows(struct dvg_pairs *p, const struct dvg_image_set *set, int d) {
  int64_t *first, *rows;
  DVG_TRY(DVG_NEW(&p->person_first[d], set->n_people + 1, "rows of people"));
  DVG_TRY(DVG_NEW(&p->person_rows[d], set->N, "rows of people"));
  first = p->person_first[d], rows = p->person_rows[d];
  for (int64_t i = 0; i < set->N; i++)
    if (set->domain[i] == p->domain[d]) first[set->identity[i] + 1]++;
  for (int64_t k = 0; k < set->n_people; k++) first[k + 1] += first[k];
  for (int64_t i = 0; i < set->N; i++)
    if (set->domain[i] == p->domain[d]) rows[first[set->identity[i]]++] = i;
  for (int64_t k = set->n_people; k > 0; k--)
    first[k] = first[k - 1]; // the filling moved each to the next one's start
  first[0] = 0;
  return DVG_OK;
}

int64_t dvg_pairs_count(const struct dvg_pairs *p, int d, int64_t person) {
  return p->person_first[d][person + 1] - p->person_first[d][person];
}

enum dvg_status dvg_pairs_find(struct dvg_pairs *p, const struct dvg_image_set *set, const char *domain,
                               const char *visible) {
  *p = (struct dvg_pairs){.n_people = 0};
  DVG_TRY(dvg_image_set_domain(set, domain, &p->domain[0]));
  DVG_TRY(dvg_image_set_domain(set, visible, &p->domain[1]));
  enum dvg_status status;
  for (int d = 0; d < 2; d++) DVG_TRY_GOTO(list_rows(p, set, d));
  DVG_TRY_GOTO(DVG_NEW(&p->item, set->N, "items"));
  for (int64_t i = 0; i < set->N; i++) {
    int64_t person = set->identity[i];
    int both = dvg_pairs_count(p, 0, person) > 0 && dvg_pairs_count(p, 1, person) > 0;
    if (both && (set->domain[i] == p->domain[0] || set->domain[i] == p->domain[1])) p->item[p->n_items++] = i;
  }
  for (int64_t k = 0; k < set->n_people; k++) {
    int64_t a = dvg_pairs_count(p, 0, k), b = dvg_pairs_count(p, 1, k);
    p->n_people += a > 0 && b > 0;
    p->n_one_domain += (a > 0) != (b > 0);
  }
  if (p->n_people == 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: nobody has images in both %s and %s", dvg_artifact_path(set->file),
                      domain, visible);
done:
  if (status != DVG_OK) dvg_pairs_free(p);
  return status;
}

void dvg_pairs_free(struct dvg_pairs *p) {
  for (int d = 0; d < 2; d++) {
    dvg_free(&p->person_first[d]);
    dvg_free(&p->person_rows[d]);
  }
  dvg_free(&p->item);
}

void dvg_pairs_draw(const struct dvg_pairs *p, const struct dvg_image_set *set, int64_t item, uint64_t seed,
                    uint64_t place, int64_t row[2]) {
  int64_t i = p->item[item], person = set->identity[i];
  int mine = set->domain[i] == p->domain[1], other = !mine;
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_PARTNER, place);
  row[mine] = i;
  row[other] =
      p->person_rows[other][p->person_first[other][person] + dvg_rng_below(&r, dvg_pairs_count(p, other, person))];
}
