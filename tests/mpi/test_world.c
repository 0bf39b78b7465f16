// mpi/world: agreement, who opens first, collectives on all sizes, the stop signal.
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "mpi/world.h"
#include "tests/check.h"

static void ranks_are_numbered(void) {
  const struct dvg_world *w = dvg_test_world();
  CU_ASSERT_TRUE(w->size >= 1 && w->rank >= 0 && w->rank < w->size);
  int64_t sum = w->rank;
  dvg_world_sum(w, &sum, 1);
  CU_ASSERT_EQUAL(sum, (int64_t)w->size * (w->size - 1) / 2);
}

static void the_worst_status_wins(void) {
  const struct dvg_world *w = dvg_test_world();
  int last = w->size - 1;
  CHECK_OK(dvg_world_agree(w, DVG_OK));
  for (int r = 0; r < w->size; r++)
    CU_ASSERT_EQUAL(dvg_world_agree(w, w->rank == r ? DVG_ERROR_IO : DVG_OK), DVG_ERROR_IO);
  CU_ASSERT_EQUAL(dvg_world_agree(w, w->rank == last ? DVG_STOPPED : DVG_OK), DVG_STOPPED);
  // An error beats a stop, on whichever rank.
  enum dvg_status want = w->size > 1 ? DVG_ERROR_USAGE : DVG_STOPPED;
  CU_ASSERT_EQUAL(dvg_world_agree(w, w->rank == last ? DVG_STOPPED : DVG_ERROR_USAGE), want);
  CU_ASSERT_EQUAL(dvg_world_agree(w, w->rank == 0 ? DVG_STOPPED : DVG_ERROR_USAGE), want);
  CU_ASSERT_EQUAL(dvg_world_agree(w, DVG_STOPPED), DVG_STOPPED);
}

struct opening {
  int rank, n_calls, bad_rank;
};

static enum dvg_status open_something(void *context) {
  struct opening *o = context;
  o->n_calls++;
  return o->rank == o->bad_rank ? DVG_ERROR_INPUT : DVG_OK;
}

static void rank_0_opens_first(void) {
  const struct dvg_world *w = dvg_test_world();
  struct opening o = {w->rank, 0, -1};
  CHECK_OK(dvg_world_root_first(w, open_something, &o));
  CU_ASSERT_EQUAL(o.n_calls, 1);
  o = (struct opening){w->rank, 0, 0}; // the others don't even try
  CU_ASSERT_EQUAL(dvg_world_root_first(w, open_something, &o), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(o.n_calls, w->rank == 0);
  o = (struct opening){w->rank, 0, w->size - 1};
  CU_ASSERT_EQUAL(dvg_world_root_first(w, open_something, &o), DVG_ERROR_INPUT);
}

static void sums_and_maxima_are_right(void) {
  const struct dvg_world *w = dvg_test_world();
  int64_t n = 100003, *x = NULL;
  CHECK_OK(dvg_world_agree(w, DVG_NEW(&x, n, "values")));
  for (int64_t i = 0; i < n; i++) x[i] = (i << 40) + w->rank - 1;
  dvg_world_sum(w, x, n);
  int64_t ranks = (int64_t)w->size * (w->size - 1) / 2 - w->size;
  int n_wrong = 0;
  for (int64_t i = 0; i < n; i++) n_wrong += x[i] != (i << 40) * w->size + ranks;
  CU_ASSERT_EQUAL(n_wrong, 0);
  dvg_free(&x);
  dvg_world_sum(w, NULL, 0); // nothing to sum is fine
  CU_ASSERT_EQUAL(dvg_world_max(w, INT64_MIN + w->rank), INT64_MIN + w->size - 1);
  CU_ASSERT_EQUAL(dvg_world_max(w, -w->rank), 0);
}

static unsigned char byte_of(int rank, size_t i) {
  return (unsigned char)(i * 31 + i / 256 + (size_t)rank * 7 + 1);
}

static void broadcasts_reach_all(void) {
  const struct dvg_world *w = dvg_test_world();
  static const size_t sizes[] = {0, 1, 4097, 3 << 20};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (int root = 0; root < w->size; root++) {
      unsigned char *data = calloc(sizes[k] + 1, 1);
      for (size_t i = 0; w->rank == root && i < sizes[k]; i++) data[i] = byte_of(root, i);
      dvg_world_broadcast(w, data, sizes[k], root);
      size_t n_wrong = 0;
      for (size_t i = 0; i < sizes[k]; i++) n_wrong += data[i] != byte_of(root, i);
      CU_ASSERT_EQUAL(n_wrong, 0);
      CU_ASSERT_EQUAL(data[sizes[k]], 0);
      free(data);
    }
}

static void gather(size_t n_bytes, int to_all) {
  const struct dvg_world *w = dvg_test_world();
  unsigned char *mine = calloc(n_bytes + 1, 1), *all = calloc(n_bytes * (size_t)w->size + 1, 1);
  for (size_t i = 0; i < n_bytes; i++) mine[i] = byte_of(w->rank, i);
  if (to_all) dvg_world_allgather(w, all, mine, n_bytes);
  else dvg_world_gather(w, w->rank == 0 ? all : NULL, mine, n_bytes);
  size_t n_wrong = 0;
  for (int r = 0; (to_all || w->rank == 0) && r < w->size; r++)
    for (size_t i = 0; i < n_bytes; i++) n_wrong += all[(size_t)r * n_bytes + i] != byte_of(r, i);
  CU_ASSERT_EQUAL(n_wrong, 0);
  CU_ASSERT_EQUAL(all[n_bytes * (size_t)w->size], 0);
  free(mine);
  free(all);
}

static void gathers_keep_rank_order(void) {
  static const size_t sizes[] = {0, 1, 1000, 1 << 20};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    gather(sizes[k], 0);
    gather(sizes[k], 1);
  }
}

// Beyond what one MPI call is given: the piecewise paths. With two ranks only, for the memory.
static void big_data_go_in_pieces(void) {
  const struct dvg_world *w = dvg_test_world();
  if (w->size != 2) return;
  size_t n_bytes = ((size_t)130 << 20) + 12345;
  unsigned char *mine = malloc(n_bytes), *all = w->rank == 0 ? malloc(2 * n_bytes) : NULL;
  int good = mine && (all || w->rank != 0);
  if (dvg_world_max(w, !good)) {
    CU_FAIL("no memory for the test");
  } else {
    memset(mine, w->rank + 1, n_bytes);
    mine[n_bytes - 1] = (unsigned char)(w->rank + 11);
    dvg_world_gather(w, all, mine, n_bytes);
    if (w->rank == 0) {
      CU_ASSERT_TRUE(all[0] == 1 && all[n_bytes - 2] == 1 && all[n_bytes - 1] == 11);
      CU_ASSERT_TRUE(all[n_bytes] == 2 && all[2 * n_bytes - 2] == 2 && all[2 * n_bytes - 1] == 12);
    }
    dvg_world_broadcast(w, mine, n_bytes, 1);
    CU_ASSERT_TRUE(mine[0] == 2 && mine[n_bytes - 2] == 2 && mine[n_bytes - 1] == 12);
  }
  free(mine);
  free(all);
}

// Last: the flag stays up.
static void a_signal_on_one_rank_stops_all(void) {
  const struct dvg_world *w = dvg_test_world();
  CU_ASSERT_FALSE(dvg_world_stop_requested(w));
  CU_ASSERT_FALSE(dvg_world_stop_flag());
  if (w->rank == w->size - 1) raise(SIGTERM);
  CU_ASSERT_EQUAL(dvg_world_stop_flag(), w->rank == w->size - 1);
  CU_ASSERT_TRUE(dvg_world_stop_requested(w));
  raise(SIGUSR1); // watched as well: otherwise this ends the test
  raise(SIGINT);
  CU_ASSERT_TRUE(dvg_world_stop_flag());
}

const struct dvg_test dvg_tests[] = {{"ranks are numbered", ranks_are_numbered},
                                     {"the worst status wins", the_worst_status_wins},
                                     {"rank 0 opens first", rank_0_opens_first},
                                     {"sums and maxima are right", sums_and_maxima_are_right},
                                     {"broadcasts reach all", broadcasts_reach_all},
                                     {"gathers keep rank order", gathers_keep_rank_order},
                                     {"big data go in pieces", big_data_go_in_pieces},
                                     {"a signal on one rank stops all", a_signal_on_one_rank_stops_all},
                                     {NULL, NULL}};
