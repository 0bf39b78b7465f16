// make_features: a set of random features as dvg-extract leaves them, for tests: item i shows person first + i mod
// people, whose place on the sphere depends on the number alone, and lies around it by its own noise.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "io/shards.h"
#include "stages/stage.h"

enum { ROOM = 8192 };

struct settings {
  char *out, *weights, *images;
  int64_t items, people, first, width, seed, per_shard, long_item;
  double noise;
};

static const struct dvg_option options[] = {
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "folder to write"),
    DVG_OPTION_INT(struct settings, items, "items", "100", 1, 1000000000, "features"),
    DVG_OPTION_INT(struct settings, people, "people", "10", 1, 1000000000, "people"),
    DVG_OPTION_INT(struct settings, first, "first-person", "0", 0, 1000000000, "number of the first one"),
    DVG_OPTION_INT(struct settings, width, "width", "256", 1, 65536, "values of a feature"),
    DVG_OPTION_REAL(struct settings, noise, "noise", "1", 0, 100, "an item's own part, relative to its person's"),
    DVG_OPTION_INT(struct settings, seed, "seed", "1", 0, 9e15, "seed of the items"),
    DVG_OPTION_INT(struct settings, per_shard, "per-shard", "8192", 1, ROOM, "items of a shard"),
    DVG_OPTION_INT(struct settings, long_item, "long-item", "-1", -1, 1000000000, "an item of length 2; -1: none"),
    DVG_OPTION_TEXT(struct settings, weights, "weights", "some", "what stands for the weights in the lineage"),
    DVG_OPTION_TEXT(struct settings, images, "images", "some", "what stands for the images in the lineage"),
    DVG_OPTION_END};

static void make_item(float *x, const struct settings *s, int64_t item) {
  struct dvg_rng person, own;
  double sum = 0;
  dvg_rng_init(&person, 0, DVG_STREAM_TEST, (uint64_t)(s->first + item % s->people));
  dvg_rng_init(&own, (uint64_t)s->seed + 1, DVG_STREAM_TEST, (uint64_t)item);
  for (int64_t k = 0; k < s->width; k++) {
    x[k] = dvg_rng_between(&person, -1, 1) + (float)s->noise * dvg_rng_between(&own, -1, 1);
    sum += (double)x[k] * x[k];
  }
  const double scale = (item == s->long_item ? 2 : 1) / sqrt(sum);
  for (int64_t k = 0; k < s->width; k++) x[k] = (float)(x[k] * scale);
}

static enum dvg_status write_shard(const struct settings *s, const char *path, const struct dvg_lineage *l,
                                   int64_t first, int64_t n, float *x) {
  static int64_t person[ROOM], source[ROOM];
  struct dvg_artifact *a = NULL;
  for (int64_t i = 0; i < n; i++) {
    make_item(x + i * s->width, s, first + i);
    person[i] = s->first + (first + i) % s->people;
    source[i] = first + i;
  }
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_lineage_create(&a, path, "features", 1, l));
  DVG_TRY_GOTO(dvg_artifact_set_int(a, "first", first));
  DVG_TRY_GOTO(dvg_artifact_write(a, "feature", DVG_F32, 2, (int64_t[]){n, s->width}, x));
  DVG_TRY_GOTO(dvg_artifact_write(a, "identity", DVG_I64, 1, &n, person));
  DVG_TRY_GOTO(dvg_artifact_write(a, "source", DVG_I64, 1, &n, source));
  DVG_TRY_GOTO(dvg_artifact_commit(&a, NULL));
done:
  dvg_artifact_discard(&a);
  return status;
}

static enum dvg_status make(const struct dvg_options *o) {
  const struct settings *s = o->values;
  struct dvg_shards shards = {.folder = NULL};
  struct dvg_lineage l = {0};
  char digest[2][DVG_DIGEST_TEXT], *path = NULL;
  float *x = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_digest_of(digest[0], s->images, strlen(s->images)));
  DVG_TRY_GOTO(dvg_digest_of(digest[1], s->weights, strlen(s->weights)));
  DVG_TRY_GOTO(dvg_lineage_init(&l, o));
  dvg_lineage_add(&l, "images", "images.h5", digest[0]);
  dvg_lineage_add(&l, "weights", "weights.h5", digest[1]);
  DVG_TRY_GOTO(DVG_NEW(&x, ROOM * s->width, "features"));
  DVG_TRY_GOTO(dvg_shards_create(&shards, s->out, s->items, s->per_shard));
  for (int64_t k = 0; k < shards.n_shards; k++) {
    DVG_TRY_GOTO(dvg_shards_path(&path, &shards, k));
    DVG_TRY_GOTO(write_shard(s, path, &l, dvg_shards_first(&shards, k), dvg_shards_rows(&shards, k), x));
    dvg_free(&path);
  }
  DVG_TRY_GOTO(dvg_shards_index(&shards, "features", l.program, l.settings, NULL));
  dvg_info("%s: %lld features of %lld values", s->out, (long long)s->items, (long long)s->width);
done:
  dvg_free(&path);
  dvg_free(&x);
  dvg_shards_free(&shards);
  dvg_lineage_free(&l);
  return status;
}

int main(int argc, char **argv) {
  struct settings s = {0};
  struct dvg_options o = {
      .program = "make_features", .summary = "random features, for tests", .table = options, .values = &s};
  dvg_log_setup(o.program, 0, 1);
  enum dvg_status status = dvg_options_parse(&o, argc, argv);
  if (status == DVG_OK && !o.help) status = make(&o);
  dvg_options_free(&o);
  return (int)status;
}
