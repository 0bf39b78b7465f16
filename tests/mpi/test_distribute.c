// mpi/distribute: every item once and in order, any number of ranks, failure and signals on one rank.
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "mpi/distribute.h"
#include "tests/check.h"

enum { RECORD = 5, LARGEST = 64 };

struct record {
  int64_t value[RECORD];
};

struct run {
  int64_t next;    // rank 0: the item that must be consumed next
  int64_t n_wrong; // bad records or order
  int64_t n_computed;
  int64_t bad_item, bad_consume; // fail there; -1: nowhere
  int64_t signal_item;           // raise SIGTERM there; -1: nowhere
  int ran[LARGEST], over;        // over: this rank failed or was signalled
  int slow;                      // this rank takes its time
};

static int64_t content(int64_t item, int64_t k) {
  return item * 1000003 + k * k;
}

static enum dvg_status compute(void *records, int64_t first, int64_t count, void *context) {
  struct run *run = context;
  struct record *r = records;
  for (int64_t i = 0; i < count; i++) {
    if (first + i == run->bad_item) return DVG_ERROR_INPUT;
    if (first + i == run->signal_item) raise(SIGTERM);
    for (int64_t k = 0; k < RECORD; k++) r[i].value[k] = content(first + i, k);
    run->n_computed++;
  }
  if (dvg_test_world()->rank % 2) usleep(500); // ranks differ in speed
  return DVG_OK;
}

static enum dvg_status consume(int64_t first, int64_t count, const void *records, void *context) {
  struct run *run = context;
  const struct record *r = records;
  if (first != run->next) run->n_wrong++;
  for (int64_t i = 0; i < count; i++) {
    if (first + i == run->bad_consume) return DVG_ERROR_IO;
    for (int64_t k = 0; k < RECORD; k++) run->n_wrong += r[i].value[k] != content(first + i, k);
  }
  run->next = first + count;
  return DVG_OK;
}

static enum dvg_status run_ordered(struct run *run, int64_t n_items, int64_t block) {
  const struct dvg_world *w = dvg_test_world();
  struct dvg_ordered_work work = {.n_items = n_items,
                                  .block = block,
                                  .record_bytes = sizeof(struct record),
                                  .compute = compute,
                                  .consume = w->rank == 0 ? consume : NULL,
                                  .context = run};
  return dvg_distribute_ordered(w, &work);
}

static struct run fresh(void) {
  return (struct run){.bad_item = -1, .bad_consume = -1, .signal_item = -1};
}

static void ordered_work_is_complete_and_in_order(void) {
  const struct dvg_world *w = dvg_test_world();
  static const int64_t items[] = {0, 1, 2, 3, 5, 16, 17, 63}, blocks[] = {1, 2, 5, 16, 1000};
  for (size_t i = 0; i < sizeof items / sizeof *items; i++)
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
      struct run run = fresh();
      CHECK_OK(run_ordered(&run, items[i], blocks[b]));
      CU_ASSERT_EQUAL(run.n_wrong, 0);
      CU_ASSERT_EQUAL(run.next, w->rank == 0 ? items[i] : 0);
      // Block b on rank b mod size, whatever happens.
      int64_t mine = 0;
      for (int64_t k = 0; k < items[i]; k++) mine += k / blocks[b] % w->size == w->rank;
      CU_ASSERT_EQUAL(run.n_computed, mine);
    }
}

// Records so large that a block goes in several messages. With two ranks only, for the memory.
enum { BIG_WORDS = 5 << 20 }; // 40 MiB

static enum dvg_status compute_big(void *records, int64_t first, int64_t count, void *context) {
  (void)context;
  int64_t *word = records;
  for (int64_t i = 0; i < count * BIG_WORDS; i++) word[i] = first * BIG_WORDS + i;
  return DVG_OK;
}

static enum dvg_status consume_big(int64_t first, int64_t count, const void *records, void *context) {
  struct run *run = context;
  const int64_t *word = records;
  for (int64_t i = 0; i < count * BIG_WORDS; i++) run->n_wrong += word[i] != first * BIG_WORDS + i;
  run->next = first + count;
  return DVG_OK;
}

static void big_blocks_go_in_pieces(void) {
  const struct dvg_world *w = dvg_test_world();
  if (w->size != 2) return;
  struct run run = fresh();
  struct dvg_ordered_work work = {.n_items = 7,
                                  .block = 2,
                                  .record_bytes = BIG_WORDS * sizeof(int64_t),
                                  .compute = compute_big,
                                  .consume = consume_big,
                                  .context = &run};
  CHECK_OK(dvg_distribute_ordered(w, &work));
  CU_ASSERT_EQUAL(run.n_wrong, 0);
  CU_ASSERT_EQUAL(run.next, w->rank == 0 ? 7 : 0);
}

static void a_failure_ends_ordered_work_on_all(void) {
  const struct dvg_world *w = dvg_test_world();
  for (int64_t bad = 0; bad < 12; bad++) { // on each rank, in the first, a middle and the last round
    struct run run = fresh();
    run.bad_item = bad;
    CU_ASSERT_EQUAL(run_ordered(&run, 12, 1), DVG_ERROR_INPUT);
    CU_ASSERT_EQUAL(run.n_wrong, 0);
    CU_ASSERT_TRUE(run.next <= bad);
    run = fresh();
    run.bad_consume = bad;
    CU_ASSERT_EQUAL(run_ordered(&run, 12, 1), DVG_ERROR_IO);
    CU_ASSERT_EQUAL(run.next, w->rank == 0 ? bad : 0);
  }
  struct run run = fresh(); // and nothing is left over that would disturb what follows
  CHECK_OK(run_ordered(&run, 12, 1));
  CU_ASSERT_EQUAL(run.n_wrong, 0);
}

static void nonsense_is_refused(void) {
  struct run run = fresh();
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(run_ordered(&run, 12, 0), DVG_ERROR_INTERNAL);
  CU_ASSERT_EQUAL(run_ordered(&run, -1, 1), DVG_ERROR_INTERNAL);
  CU_ASSERT_EQUAL(run_ordered(&run, 12, INT64_MAX), DVG_ERROR_INTERNAL);
  dvg_log_quiet(0);
}

// ---- independent tasks

static enum dvg_status task(int64_t i, void *context) {
  struct run *run = context;
  run->n_wrong += run->over; // no more after that
  run->ran[i]++;
  for (int k = 0; k < 20 * run->slow; k++) { // as long tasks do: rank 0 answers the others meanwhile
    usleep(500);
    if (dvg_world_stop_flag()) return DVG_STOPPED;
  }
  run->over |= i == run->bad_item || i == run->signal_item;
  if (i == run->bad_item) return DVG_ERROR_NUMERIC;
  if (i == run->signal_item) raise(SIGTERM);
  return DVG_OK;
}

// How often each task ran on all ranks together.
static void add_up(int64_t total[LARGEST], const struct run *run) {
  for (int i = 0; i < LARGEST; i++) total[i] = run->ran[i];
  dvg_world_sum(dvg_test_world(), total, LARGEST);
}

static void every_pending_task_runs_once(void) {
  const struct dvg_world *w = dvg_test_world();
  static const int64_t counts[] = {0, 1, 2, 3, 7, LARGEST};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
    for (int every = 1; every <= 3; every++) {
      unsigned char pending[LARGEST];
      for (int i = 0; i < LARGEST; i++) pending[i] = i % every == 0 ? (unsigned char)(i + 1) : 0;
      struct run run = fresh();
      CHECK_OK(dvg_distribute_tasks(w, counts[c], pending, task, &run, NULL));
      int64_t total[LARGEST];
      add_up(total, &run);
      for (int i = 0; i < LARGEST; i++) CU_ASSERT_EQUAL(total[i], i < counts[c] && pending[i]);
    }
}

// Each rank in turn is so slow that the others do nearly all: it keeps its first share, and perhaps one more.
static void a_slow_rank_does_not_hold_up_the_rest(void) {
  const struct dvg_world *w = dvg_test_world();
  unsigned char pending[LARGEST];
  memset(pending, 1, sizeof pending);
  for (int slow = 0; slow < w->size && w->size > 1; slow++) {
    struct run run = fresh();
    run.slow = w->rank == slow;
    CHECK_OK(dvg_distribute_tasks(w, LARGEST, pending, task, &run, NULL));
    int64_t mine = 0;
    for (int i = 0; i < LARGEST; i++) mine += run.ran[i];
    CU_ASSERT_TRUE(mine > 0);
    if (run.slow) CU_ASSERT_TRUE(mine <= LARGEST / w->size / 2);
  }
}

// Few tasks, so none is reserved when another begins: but from its second one on a rank has rank 0's answer before it is over.
static enum dvg_status task_until_answered(int64_t i, void *context) {
  struct run *run = context;
  run->ran[i]++;
  int there = dvg_test_world()->rank == 0 || run->n_computed++ == 0;
  for (int k = 0; k < 20 || (!there && k < 10000 && run->n_wrong == 0); k++) {
    usleep(500);
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    if (!there) MPI_Iprobe(0, MPI_ANY_TAG, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
  }
  run->n_wrong += !there;
  return DVG_OK;
}

static void a_rank_asks_before_its_task_is_over(void) {
  const struct dvg_world *w = dvg_test_world();
  unsigned char pending[LARGEST];
  memset(pending, 1, sizeof pending);
  struct run run = fresh();
  CHECK_OK(dvg_distribute_tasks(w, (int64_t)4 * w->size, pending, task_until_answered, &run, NULL));
  CU_ASSERT_EQUAL(run.n_wrong, 0);
  int64_t total[LARGEST];
  add_up(total, &run);
  for (int i = 0; i < LARGEST; i++) CU_ASSERT_EQUAL(total[i], i < 4 * w->size);
}

// Many small tasks: every one once, with few messages.
static enum dvg_status tiny_task(int64_t i, void *context) {
  ((unsigned char *)context)[i]++;
  return DVG_OK;
}

static void many_tasks(void) {
  enum { MANY = 100000 };
  const struct dvg_world *w = dvg_test_world();
  static unsigned char pending[MANY], ran[MANY];
  static int64_t total[MANY];
  for (int i = 0; i < MANY; i++) pending[i] = i % 7 != 3;
  memset(ran, 0, sizeof ran);
  CHECK_OK(dvg_distribute_tasks(w, MANY, pending, tiny_task, ran, NULL));
  for (int i = 0; i < MANY; i++) total[i] = ran[i];
  dvg_world_sum(w, total, MANY);
  int n_wrong = 0;
  for (int i = 0; i < MANY; i++) n_wrong += total[i] != pending[i];
  CU_ASSERT_EQUAL(n_wrong, 0);
}

static void a_failing_task_ends_all(void) {
  const struct dvg_world *w = dvg_test_world();
  unsigned char pending[LARGEST];
  memset(pending, 1, sizeof pending);
  for (int64_t bad = 0; bad < LARGEST; bad += 5) {
    struct run run = fresh();
    run.bad_item = bad;
    CU_ASSERT_EQUAL(dvg_distribute_tasks(w, LARGEST, pending, task, &run, NULL), DVG_ERROR_NUMERIC);
    int64_t total[LARGEST];
    add_up(total, &run);
    for (int i = 0; i < LARGEST; i++) CU_ASSERT_TRUE(total[i] <= 1);
    CU_ASSERT_EQUAL(run.n_wrong, 0);
  }
  // All ranks fail at once: many notices, none left over.
  for (int k = 0; k < 20; k++) {
    struct run run = fresh();
    run.bad_item = w->rank;
    CU_ASSERT_EQUAL(dvg_distribute_tasks(w, LARGEST, pending, task, &run, NULL), DVG_ERROR_NUMERIC);
    CU_ASSERT_FALSE(dvg_world_stop_flag());
  }
  struct run run = fresh();
  CHECK_OK(dvg_distribute_tasks(w, LARGEST, pending, task, &run, NULL));
}

// A task that would run for ever hears of another rank's failure through the stop flag.
static enum dvg_status patient_task(int64_t i, void *context) {
  struct run *run = context;
  if (i == run->bad_item) {
    usleep(20000);
    return DVG_ERROR_NUMERIC;
  }
  while (!dvg_world_stop_flag()) usleep(1000);
  return DVG_STOPPED;
}

static void long_tasks_hear_of_a_failure(void) {
  const struct dvg_world *w = dvg_test_world();
  unsigned char pending[LARGEST];
  memset(pending, 1, sizeof pending);
  for (int bad = 0; bad < w->size; bad++) {
    struct run run = fresh();
    run.bad_item = bad;
    CU_ASSERT_EQUAL(dvg_distribute_tasks(w, w->size, pending, patient_task, &run, NULL), DVG_ERROR_NUMERIC);
  }
}

// Last: the flag stays up on one rank. Other ranks hear of it, so none starts what can't be finished.
static void a_signal_stops_between_tasks(void) {
  const struct dvg_world *w = dvg_test_world();
  unsigned char pending[LARGEST];
  memset(pending, 1, sizeof pending);
  struct run run = fresh();
  int share = LARGEST / (6 * w->size), last = (w->size - 1) * share;
  run.signal_item = last; // the last rank's first
  CU_ASSERT_EQUAL(dvg_distribute_tasks(w, LARGEST, pending, task, &run, NULL), DVG_STOPPED);
  int64_t total[LARGEST];
  add_up(total, &run);
  CU_ASSERT_EQUAL(total[last], 1); // finished, not thrown away
  CU_ASSERT_EQUAL(run.n_wrong, 0);
  for (int i = last + 1; i < last + share; i++) CU_ASSERT_EQUAL(total[i], 0);
  // Nothing pending: done, signal or not.
  memset(pending, 0, sizeof pending);
  CHECK_OK(dvg_distribute_tasks(w, LARGEST, pending, task, &run, NULL));
  run = fresh();
  CU_ASSERT_EQUAL(run_ordered(&run, 12, 1), DVG_STOPPED);
}

const struct dvg_test dvg_tests[] = {
    {"ordered work is complete and in order", ordered_work_is_complete_and_in_order},
    {"big blocks go in pieces", big_blocks_go_in_pieces},
    {"a failure ends ordered work on all", a_failure_ends_ordered_work_on_all},
    {"nonsense is refused", nonsense_is_refused},
    {"every pending task runs once", every_pending_task_runs_once},
    {"a slow rank does not hold up the rest", a_slow_rank_does_not_hold_up_the_rest},
    {"a rank asks before its task is over", a_rank_asks_before_its_task_is_over},
    {"many tasks", many_tasks},
    {"a failing task ends all", a_failing_task_ends_all},
    {"long tasks hear of a failure", long_tasks_hear_of_a_failure},
    {"a signal stops between tasks", a_signal_stops_between_tasks},
    {NULL, NULL}};
