// What an exact sum of gradients costs: reduce VALUES OUT.json, under mpirun with any number of ranks.
//
// Times one gradient's way into the fixed point (dvg_reduce_add), the sum over the ranks and its way back
// (dvg_reduce_finish, with no backward pass to hide it behind), the sharing of all slices (dvg_slices_share,
// which weights need in a training), and beside these MPI's own sum of as many floats, in turn for some rounds.
// Prints the medians and writes them to OUT.json; judges nothing but that all sums are right.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "mpi/reduce.h"
#include "tests/bench/median.h"

enum { ROUNDS = 7 };
enum { ADD, FINISH, SHARE, FLOATS, KINDS };

struct bench {
  const struct dvg_world *w;
  struct dvg_slices slices;
  struct dvg_reduce reduce;
  float *gradient, *sum;
  double seconds[KINDS][ROUNDS];
};

// A value that floats hold exactly, also a few times over.
static float value_at(int64_t i) {
  return (float)(i % 1024 - 512) / 256;
}

static enum dvg_status check(const struct bench *b, const char *what) {
  for (int64_t i = 0; i < b->reduce.n; i++)
    if (!(fabsf(b->sum[i] - (float)b->w->size * value_at(i)) <= 0))
      return dvg_fail(DVG_ERROR_INTERNAL, "%s: value %lld is summed to %g", what, (long long)i, b->sum[i]);
  return DVG_OK;
}

// Collective. Seconds since *since, of the slowest rank.
static double lap(const struct bench *b, double *since) {
  const double mine = dvg_seconds() - *since;
  const double slowest = 1e-9 * (double)dvg_world_max(b->w, (int64_t)(1e9 * mine));
  dvg_world_barrier(b->w);
  *since = dvg_seconds();
  return slowest;
}

// Collective.
static enum dvg_status run_round(struct bench *b, int round) {
  double since = 0, term = 0;
  dvg_reduce_clear(&b->reduce);
  lap(b, &since);
  DVG_TRY(dvg_world_agree(b->w, dvg_reduce_add(&b->reduce, b->gradient, &term)));
  b->seconds[ADD][round] = lap(b, &since);
  dvg_reduce_finish(&b->reduce, b->w, b->sum, &term);
  b->seconds[FINISH][round] = lap(b, &since);
  dvg_slices_share(&b->slices, b->sum);
  b->seconds[SHARE][round] = lap(b, &since);
  DVG_TRY(dvg_world_agree(b->w, check(b, "the exact sum")));
  for (int64_t i = 0; i < b->reduce.n; i++) b->sum[i] = b->gradient[i];
  lap(b, &since);
  dvg_world_sum_inexact(b->w, b->sum, b->reduce.n);
  b->seconds[FLOATS][round] = lap(b, &since);
  return dvg_world_agree(b->w, check(b, "MPI's sum of floats"));
}

// Rank 0.
static enum dvg_status report(struct bench *b, const char *path) {
  char text[512];
  const double add = dvg_median(b->seconds[ADD], ROUNDS), finish = dvg_median(b->seconds[FINISH], ROUNDS);
  const double share = dvg_median(b->seconds[SHARE], ROUNDS), floats = dvg_median(b->seconds[FLOATS], ROUNDS);
  dvg_info("sum of %.1f M values over %d ranks: exact %.1f ms, sharing of slices %.1f ms (and %.1f ms a "
           "micro-batch to add it up); "
           "MPI's own of floats %.1f ms; ratio %.2f",
           (double)b->reduce.n / 1e6, b->w->size, 1e3 * finish, 1e3 * share, 1e3 * add, 1e3 * floats,
           (finish + share) / floats);
  snprintf(text, sizeof text,
           "{\"values\": %lld, \"ranks\": %d, \"rounds\": %d, \"add_seconds\": %.6g, \"finish_seconds\": %.6g, "
           "\"share_seconds\": %.6g, "
           "\"float_allreduce_seconds\": %.6g, \"ratio\": %.4g}",
           (long long)b->reduce.n, b->w->size, ROUNDS, add, finish, share, floats, (finish + share) / floats);
  return dvg_path_write_text(path, text);
}

// Collective.
static enum dvg_status run(struct bench *b, int64_t n, const char *path) {
  enum dvg_status status = dvg_slices_create(&b->slices, b->w, n, DVG_BUCKET);
  if (status == DVG_OK) status = dvg_reduce_create(&b->reduce, &b->slices, 1, b->w->size, NULL, 0);
  if (status == DVG_OK) status = DVG_NEW(&b->gradient, n, "a gradient");
  if (status == DVG_OK) status = DVG_NEW(&b->sum, n, "a sum");
  DVG_TRY(dvg_world_agree(b->w, status));
  for (int64_t i = 0; i < n; i++) b->gradient[i] = value_at(i);
  DVG_TRY(run_round(b, 0)); // touches all memory, and does not count
  for (int round = 0; round < ROUNDS; round++) DVG_TRY(run_round(b, round));
  return dvg_world_agree(b->w, b->w->rank == 0 ? report(b, path) : DVG_OK);
}

int main(int argc, char **argv) {
  struct dvg_world w;
  struct bench b = {.w = &w};
  dvg_world_init(&w, "reduce", &argc, &argv);
  const int64_t n = argc == 3 ? atoll(argv[1]) : 0;
  enum dvg_status status =
      n > 0 && w.size > 1 ? run(&b, n, argv[2])
                          : dvg_fail(DVG_ERROR_USAGE, "usage: reduce VALUES OUT.json, on two ranks or more");
  dvg_reduce_free(&b.reduce);
  dvg_slices_free(&b.slices);
  dvg_free(&b.gradient);
  dvg_free(&b.sum);
  return dvg_world_finish(&w, status);
}
