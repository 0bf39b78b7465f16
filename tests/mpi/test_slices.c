// mpi/slices: every value has one owner, and comes back from where it went.
#include <stdlib.h>
#include <string.h>

#include "mpi/slices.h"
#include "tests/check.h"

// Each value belongs to one slice of one rank; packed places follow each other.
static void covers(const struct dvg_slices *s) {
  int64_t next = 0, own = 0;
  for (int64_t b = 0; b < s->n_buckets; b++)
    for (int r = 0; r < s->size; r++) {
      const struct dvg_slice slice = dvg_slices_at(s, b, r);
      CU_ASSERT_EQUAL(slice.first, next);
      CU_ASSERT_TRUE(slice.count >= 0 && slice.count <= s->longest);
      if (r == s->rank) CU_ASSERT_EQUAL(slice.place, own);
      if (r == s->rank) own += slice.count;
      next += slice.count;
    }
  CU_ASSERT_EQUAL(next, s->n);
  CU_ASSERT_EQUAL(own, s->n_own);
}

static void goes_round(int64_t n, int64_t bucket) {
  const struct dvg_world *w = dvg_test_world();
  struct dvg_slices s;
  CHECK_OK(dvg_world_agree(w, dvg_slices_create(&s, w, n, bucket)));
  covers(&s);
  float *all = malloc((size_t)(n + 1) * sizeof *all), *own = malloc((size_t)(s.n_own + 1) * sizeof *own);
  for (int64_t i = 0; i < n; i++) all[i] = w->rank == 0 ? (float)(i + 1) : -1;
  own[s.n_own] = 77;
  dvg_slices_scatter(&s, own, all);
  CU_ASSERT_EQUAL(own[s.n_own], 77);
  int64_t wrong = 0;
  for (int64_t b = 0; b < s.n_buckets; b++) { // into its place, twice as large
    const struct dvg_slice mine = dvg_slices_at(&s, b, s.rank);
    for (int64_t i = 0; i < mine.count; i++) {
      wrong += own[mine.place + i] != (float)(mine.first + i + 1);
      all[mine.first + i] = 2 * own[mine.place + i];
    }
  }
  dvg_slices_share(&s, all);
  for (int64_t i = 0; i < n; i++) wrong += all[i] != 2 * (float)(i + 1);
  for (int64_t i = 0; i < n; i++) all[i] = -1;
  dvg_slices_gather(&s, all, own);
  for (int64_t i = 0; i < n; i++) wrong += all[i] != (w->rank == 0 ? (float)(i + 1) : -1);
  CU_ASSERT_EQUAL(wrong, 0);
  free(all);
  free(own);
  dvg_slices_free(&s);
}

static void values_go_round(void) {
  static const int64_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 1000, 4096, 5001};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    goes_round(lengths[i], 1);
    goes_round(lengths[i], 256);
    goes_round(lengths[i], DVG_BUCKET);
  }
}

const struct dvg_test dvg_tests[] = {{"values go round", values_go_round}, {NULL, NULL}};
