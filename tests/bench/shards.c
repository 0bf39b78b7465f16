// How a sharded set of many shards behaves: shards FOLDER N. Writes N tiny shards with the datasets of pairs on
// all ranks, then looks for what is pending, writes the index, opens, checks, reads at random, verifies; says
// the time and the largest rank's memory of each. Called by tests/soak/shards.sh.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "mpi/distribute.h"
#include "stages/stage.h"

enum { PER_SHARD = 10, READS = 20000 };

struct job {
  const struct dvg_world *w;
  const struct dvg_lineage *lineage;
  struct dvg_shards shards;
  double since, used; // clock and processor time so far
};

static double processor_seconds(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

// Collective. What the work since the last call took.
static void say(struct job *j, const char *what) {
  double used = processor_seconds(); // before the barrier, where ranks spin
  int64_t micro = dvg_world_max(j->w, (int64_t)(1e6 * (used - j->used)));
  int64_t bytes = dvg_world_max(j->w, dvg_peak_memory());
  double now = dvg_seconds();
  dvg_info("%-42s %8.2f s, processor %7.2f s, peak %6.1f MB", what, now - j->since, 1e-6 * (double)micro,
           (double)bytes / 1e6);
  j->since = now;
  j->used = processor_seconds();
}

static enum dvg_status fill(struct dvg_artifact *a, int64_t first, int64_t n) {
  static const char *const images[] = {"image_NIR", "image_VIS"};
  static const char *const wholes[] = {"attribute_NIR", "attribute_VIS", "number"};
  static const char *const reals[] = {"cos_NIR", "cos_VIS", "cos_pair"};
  const int64_t image[] = {n, 2, 2, 3}, identity[] = {n, 4};
  int64_t number[PER_SHARD];
  int32_t attempt[PER_SHARD] = {0};
  float real[PER_SHARD * 4];
  unsigned char byte[PER_SHARD * 12];
  for (int64_t i = 0; i < n; i++) number[i] = first + i;
  for (int64_t i = 0; i < n * 4; i++) real[i] = (float)((first + i) % 1000);
  for (int64_t i = 0; i < n * 12; i++) byte[i] = (unsigned char)(first + i);
  for (int i = 0; i < 2; i++) DVG_TRY(dvg_artifact_write(a, images[i], DVG_U8, 4, image, byte));
  for (int i = 0; i < 3; i++) DVG_TRY(dvg_artifact_write(a, wholes[i], DVG_I64, 1, &n, number));
  for (int i = 0; i < 3; i++) DVG_TRY(dvg_artifact_write(a, reals[i], DVG_F32, 1, &n, real));
  DVG_TRY(dvg_artifact_write(a, "identity", DVG_F32, 2, identity, real));
  DVG_TRY(dvg_artifact_write(a, "fate", DVG_U8, 1, &n, byte));
  return dvg_artifact_write(a, "attempt", DVG_I32, 1, &n, attempt);
}

static enum dvg_status make_shard(int64_t shard, void *context) {
  struct job *j = context;
  struct dvg_artifact *a = NULL;
  char *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_shards_path(&path, &j->shards, shard));
  DVG_TRY_GOTO(dvg_lineage_create(&a, path, "pairs", 1, j->lineage));
  DVG_TRY_GOTO(fill(a, dvg_shards_first(&j->shards, shard), dvg_shards_rows(&j->shards, shard)));
  DVG_TRY_GOTO(dvg_artifact_commit(&a, NULL));
done:
  dvg_artifact_discard(&a);
  dvg_free(&path);
  return status;
}

static enum dvg_status read_at_random(struct dvg_shard_reader *r, const struct dvg_world *w) {
  struct dvg_rng rng;
  dvg_rng_init(&rng, 1, 0, (uint64_t)w->rank);
  for (int k = 0; k < READS / w->size; k++) {
    int64_t item = dvg_rng_below(&rng, dvg_shard_reader_items(r)), number = -1;
    DVG_TRY(dvg_shard_reader_read(r, "number", DVG_I64, item, 1, &number));
    if (number != item)
      return dvg_fail(DVG_ERROR_INTERNAL, "item %lld is read as %lld", (long long)item, (long long)number);
  }
  return DVG_OK;
}

// Collective.
static enum dvg_status read_set(struct job *j, const char *root) {
  struct dvg_shard_reader *r = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(j->w, dvg_shard_reader_open(&r, j->shards.folder, "pairs", 1)));
  say(j, "open on every rank");
  DVG_TRY_GOTO(dvg_stage_check_shards(j->w, r));
  say(j, "check the headers of all shards");
  DVG_TRY_GOTO(dvg_world_agree(j->w, read_at_random(r, j->w)));
  say(j, "20,000 rows at random");
  DVG_TRY_GOTO(dvg_world_agree(j->w, dvg_shards_verify(j->shards.folder, j->w->rank, j->w->size)));
  say(j, "verify");
  if (j->w->rank == 0 && strcmp(root, dvg_shard_reader_digest(r)) != 0)
    status = dvg_fail(DVG_ERROR_INTERNAL, "the root digest is another one after reading");
  status = dvg_world_agree(j->w, status);
done:
  dvg_shard_reader_close(&r);
  return status;
}

// Collective.
static enum dvg_status run(struct job *j, const char *folder, int64_t n_shards) {
  char root[DVG_DIGEST_TEXT] = "";
  unsigned char *pending = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(
      dvg_world_agree(j->w, dvg_shards_create(&j->shards, folder, n_shards * PER_SHARD - 3, PER_SHARD)));
  DVG_TRY_GOTO(dvg_world_agree(j->w, DVG_NEW(&pending, n_shards, "shards to make")));
  dvg_info("%lld shards in %lld groups on %d ranks", (long long)n_shards,
           (long long)dvg_shards_groups(&j->shards), j->w->size);
  for (int k = 0; k < 2; k++) {
    DVG_TRY_GOTO(dvg_stage_find_pending(pending, j->w, &j->shards, "pairs", 1, j->lineage));
    say(j, k ? "find that nothing is pending, digests too" : "find all pending");
    DVG_TRY_GOTO(dvg_distribute_tasks(j->w, n_shards, pending, make_shard, j, NULL));
    say(j, k ? "distribute nothing" : "write the shards");
  }
  DVG_TRY_GOTO(dvg_stage_index(j->w, &j->shards, "pairs", j->lineage, root));
  say(j, "write the index");
  DVG_TRY_GOTO(read_set(j, root));
  dvg_info("root digest %s", root);
done:
  dvg_free(&pending);
  dvg_shards_free(&j->shards);
  return status;
}

int main(int argc, char **argv) {
  struct dvg_world w;
  dvg_world_init(&w, "shards", &argc, &argv);
  char settings[] = "";
  struct dvg_lineage lineage = {.program = "shards", .settings = settings};
  struct job j = {.w = &w, .lineage = &lineage, .since = dvg_seconds(), .used = processor_seconds()};
  int64_t n = argc == 3 ? atoll(argv[2]) : 0;
  enum dvg_status status =
      n > 0 ? run(&j, argv[1], n) : dvg_fail(DVG_ERROR_USAGE, "usage: shards FOLDER NUMBER_OF_SHARDS");
  return dvg_world_finish(&w, status);
}
