#include "stages/train_sampler/split.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/rng.h"

struct place {
  int64_t identity, row;
};

static int by_identity(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->identity != y->identity) return x->identity < y->identity ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

static int ascending(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// places: sorted, so that each person's stand together; rank[p] < n_held: person p, by its number, is held out.
static void share_out(struct dvg_split *s, const struct place *places, int64_t n, const int64_t *rank,
                      int64_t n_held) {
  int64_t person = -1;
  for (int64_t i = 0; i < n; i++) {
    int is_first = i == 0 || places[i].identity != places[i - 1].identity;
    person += is_first;
    int held = rank[person] < n_held;
    if (is_first) s->people[held][s->n_people[held]++] = places[i].row;
    if (!held) s->item[s->n_items++] = places[i].row;
  }
  for (int held = 0; held < 2; held++)
    qsort(s->people[held], (size_t)s->n_people[held], sizeof(int64_t), ascending);
  qsort(s->item, (size_t)s->n_items, sizeof *s->item, ascending);
}

enum dvg_status dvg_split_of(struct dvg_split *s, const int64_t *identity, int64_t n, double held_out,
                             uint64_t seed) {
  struct place *places = NULL;
  int64_t *rank = NULL, n_people = 0;
  struct dvg_rng r;
  enum dvg_status status;
  *s = (struct dvg_split){0};
  DVG_TRY_GOTO(DVG_NEW(&places, n, "identities"));
  DVG_TRY_GOTO(DVG_NEW(&rank, n, "identities"));
  DVG_TRY_GOTO(DVG_NEW(&s->item, n, "features"));
  for (int held = 0; held < 2; held++) DVG_TRY_GOTO(DVG_NEW(&s->people[held], n, "people"));
  for (int64_t i = 0; i < n; i++) places[i] = (struct place){identity[i], i};
  qsort(places, (size_t)n, sizeof *places, by_identity);
  for (int64_t i = 0; i < n; i++) n_people += i == 0 || places[i].identity != places[i - 1].identity;
  dvg_rng_init(&r, seed, DVG_STREAM_SPLIT, 0);
  dvg_rng_permutation(&r, rank, n_people);
  share_out(s, places, n, rank, llround(held_out * (double)n_people));
done:
  dvg_free(&places);
  dvg_free(&rank);
  if (status != DVG_OK) dvg_split_free(s);
  return status;
}

void dvg_split_free(struct dvg_split *s) {
  dvg_free(&s->item);
  for (int held = 0; held < 2; held++) dvg_free(&s->people[held]);
}
