// stages/trainer: numbers that go wrong end the run by name, before the step counts; what was saved before is
// usable.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/rng.h"
#include "stages/trainer.h"
#include "tests/check.h"

enum { ROWS = 2, C = 6, N_MICRO = 5, STEPS = 6 };

// A training of one layer whose rate, input or loss goes wrong at a step of choice.
struct job {
  struct dvg_graph *graph;
  struct dvg_params params;
  int x, wanted;
  int64_t bad_rate, bad_input; // steps from 0; -1: never
  double scale;                // of the inputs
};

static double rate(void *context, int64_t step) {
  struct job *j = context;
  return step == j->bad_rate ? 1e39 : 0.01;
}

static enum dvg_status fill(void *context, int64_t step, int64_t micro) {
  struct job *j = context;
  struct dvg_rng r;
  dvg_rng_init(&r, 5, DVG_STREAM_TEST, (uint64_t)(step * N_MICRO + micro));
  dvg_rng_normals(&r, dvg_graph_values(j->graph, j->x), ROWS * C);
  dvg_rng_normals(&r, dvg_graph_values(j->graph, j->wanted), ROWS * C);
  for (int i = 0; i < ROWS * C; i++) dvg_graph_values(j->graph, j->wanted)[i] *= (float)j->scale;
  if (step == j->bad_input && micro == 1) dvg_graph_values(j->graph, j->wanted)[3] = NAN;
  return DVG_OK;
}

static enum dvg_status build(struct job *j) {
  dvg_params_init(&j->params);
  DVG_TRY(dvg_graph_create(&j->graph));
  j->x = dvg_graph_input(j->graph, "x", ROWS, C, 1, 1);
  j->wanted = dvg_graph_input(j->graph, "wanted", ROWS, C, 1, 1);
  int y = dvg_graph_linear(j->graph, (struct dvg_scope){&j->params, ""}, "layer", j->x, C, 1);
  dvg_graph_loss_l1(j->graph, "distance", y, j->wanted, 1.0 / (ROWS * C * N_MICRO), 1);
  DVG_TRY(dvg_graph_plan(j->graph, 1));
  dvg_params_initialize(&j->params, 1);
  return DVG_OK;
}

// Trains in `folder`; the lines said on standard error of this rank in `said`.
static enum dvg_status train(const char *folder, struct job *j, enum dvg_optimizer optimizer, double max_loss,
                             char *said, size_t n_bytes) {
  const struct dvg_world *w = dvg_test_world();
  char out[600];
  snprintf(out, sizeof out, "%s", dvg_test_path(folder));
  struct dvg_train_settings set = {.out = out,
                                   .dump = "",
                                   .log_every = 100,
                                   .checkpoint_every = 3,
                                   .keep_checkpoints = 2,
                                   .max_loss = max_loss};
  struct dvg_lineage lineage = {.program = "dvg-test 0", .settings = "seed = 1\n"};
  struct dvg_trainer t = {.world = w,
                          .settings = &set,
                          .lineage = &lineage,
                          .name = "test",
                          .result = "test.h5",
                          .graph = j->graph,
                          .params = &j->params,
                          .n_steps = STEPS,
                          .n_micro = N_MICRO,
                          .optimizer = optimizer,
                          .adam = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
                          .sgd = {.momentum = 0.9},
                          .job = j,
                          .rate = rate,
                          .fill = fill};
  dvg_test_listen();
  enum dvg_status status = dvg_world_agree(w, w->rank == 0 ? dvg_path_make_folder(out) : DVG_OK);
  if (status == DVG_OK) status = dvg_trainer_run(&t, NULL);
  snprintf(said, n_bytes, "%s", dvg_test_heard());
  dvg_world_barrier(w);
  return status;
}

static enum dvg_status run(const char *folder, struct job *j, enum dvg_optimizer optimizer, double max_loss,
                           char *said, size_t n_bytes) {
  const struct dvg_world *w = dvg_test_world();
  CHECK_OK(dvg_world_agree(w, build(j)));
  return train(folder, j, optimizer, max_loss, said, n_bytes);
}

static void release(struct job *j) {
  dvg_graph_free(&j->graph);
  dvg_params_free(&j->params);
}

// `text` is said by one rank, once.
static void said_once(const char *said, const char *text) {
  int64_t lines = 0, there = strstr(said, text) != NULL;
  for (const char *p = said; *p; p++) lines += *p == '\n';
  dvg_world_sum(dvg_test_world(), &lines, 1);
  dvg_world_sum(dvg_test_world(), &there, 1);
  CU_ASSERT_EQUAL(lines, 1);
  CU_ASSERT_EQUAL(there, 1);
  if (!there && dvg_test_world()->rank == 0) printf("  said: %s", said);
}

// Goes wrong at step 4 of 6 with `text`; then, well again, goes on after step 3 to the weights of a run where
// nothing was wrong.
static void goes_wrong(const char *folder, struct job bad, enum dvg_optimizer optimizer, double max_loss,
                       const char *text) {
  struct job good = {.bad_rate = -1, .bad_input = -1, .scale = 1}, again = good;
  char said[2000], whole[64];
  snprintf(whole, sizeof whole, "%s_whole", folder);
  CU_ASSERT_EQUAL(run(folder, &bad, optimizer, max_loss, said, sizeof said), DVG_ERROR_NUMERIC);
  said_once(said, text);
  CHECK_OK(run(whole, &good, optimizer, 0, said, sizeof said));
  CHECK_OK(run(folder, &again, optimizer, 1e9, said, sizeof said));
  CU_ASSERT_EQUAL(memcmp(good.params.value, again.params.value, (size_t)good.params.n_values * sizeof(float)),
                  0);
  release(&bad);
  release(&good);
  release(&again);
}

static void infinite_weight(void) {
  struct job j = {.bad_rate = 3, .bad_input = -1, .scale = 1};
  goes_wrong("adam", j, DVG_ADAM, 0,
             "test, step 4: the weight of layer.weight is infinite at 0, as rank 0 computed it");
  goes_wrong("sgd", j, DVG_SGD, 0, "test, step 4: the weight of layer.weight is infinite at ");
}

static void no_number(void) {
  struct job j = {.bad_rate = -1, .bad_input = 3, .scale = 1};
  goes_wrong("nan", j, DVG_ADAM, 0, "test, step 4, micro-batch 1: loss term distance is not a number at 0");
}

static void exploding_loss(void) {
  struct job j = {.bad_rate = -1, .bad_input = -1, .scale = 1};
  char said[2000];
  CHECK_OK(run("bounded", &j, DVG_ADAM, 10, said, sizeof said));
  release(&j);
  j.scale = 1000;
  CU_ASSERT_EQUAL(run("exploding", &j, DVG_ADAM, 10, said, sizeof said), DVG_ERROR_NUMERIC);
  said_once(said, "test, step 1: the loss explodes: ");
  release(&j);
  j.scale = 1e9;
  CU_ASSERT_EQUAL(run("overflowing", &j, DVG_ADAM, 0, said, sizeof said), DVG_ERROR_NUMERIC);
  said_once(said, "test, step 1, micro-batch 0: loss term distance overflows at 0: ");
  release(&j);
}

const struct dvg_test dvg_tests[] = {{"a weight becomes infinite", infinite_weight},
                                     {"an input is no number", no_number},
                                     {"the loss explodes", exploding_loss},
                                     {NULL, NULL}};
