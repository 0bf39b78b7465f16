#include "stages/evaluate/pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/distribute.h"
#include "stages/evaluate/protocol.h"
#include "stages/ledger.h"
#include "stages/stage.h"

// ---- arithmetic

static double dot(const float *a, const float *b) {
  double sum = 0;
  for (int k = 0; k < DVG_CODE; k++) sum += (double)a[k] * b[k];
  return sum;
}

enum dvg_status dvg_pair_mis(double *mis, const float *vector, int64_t C, const int64_t *same, int64_t n,
                             int64_t n_identities) {
  double *all = NULL, *sum = NULL, *count = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&all, C, "sum of vectors"));
  DVG_TRY_GOTO(DVG_NEW(&sum, n_identities * C, "sums of identities"));
  DVG_TRY_GOTO(DVG_NEW(&count, n_identities, "sums of identities"));
  for (int64_t i = 0; i < n; i++) {
    count[same[i]]++;
    for (int64_t k = 0; k < C; k++) {
      all[k] += vector[i * C + k];
      sum[same[i] * C + k] += vector[i * C + k];
    }
  }
  // Ordered pairs of items: all of them, less those of one identity.
  double total = 0, n_pairs = (double)n * (double)n;
  for (int64_t k = 0; k < C; k++) total += all[k] * all[k];
  for (int64_t g = 0; g < n_identities; g++) {
    n_pairs -= count[g] * count[g];
    for (int64_t k = 0; k < C; k++) total -= sum[g * C + k] * sum[g * C + k];
  }
  *mis = n_pairs > 0 ? total / n_pairs : NAN;
done:
  dvg_free(&all);
  dvg_free(&sum);
  dvg_free(&count);
  return status;
}

struct entry {
  const float *vector;
  size_t n_bytes;
  int64_t item;
};

static int by_vector(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  int order = memcmp(x->vector, y->vector, x->n_bytes);
  return order ? order : (x->item > y->item) - (x->item < y->item);
}

// same[i] = number of item i's identity: items with one identity embedding, bit by bit, share it.
static enum dvg_status number_identities(int64_t *same, int64_t *n_identities, const float *identity,
                                         int64_t n, int64_t code) {
  struct entry *list = NULL;
  const size_t n_bytes = (size_t)code * sizeof *identity;
  DVG_TRY(DVG_NEW(&list, n, "identities"));
  for (int64_t i = 0; i < n; i++) list[i] = (struct entry){identity + i * code, n_bytes, i};
  qsort(list, (size_t)n, sizeof *list, by_vector);
  *n_identities = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || memcmp(list[i].vector, list[i - 1].vector, n_bytes) != 0) ++*n_identities;
    same[list[i].item] = *n_identities - 1;
  }
  dvg_free(&list);
  return DVG_OK;
}

// ---- reading and embedding

struct sampling {
  struct dvg_pair_quality *q;
  struct dvg_embedder *e;
  const struct dvg_training *training;
  struct dvg_shard_reader *set;
  const char *folder;
  int64_t H[DVG_PAIR_DOMAINS], W[DVG_PAIR_DOMAINS], C[DVG_PAIR_DOMAINS];
  unsigned char *pixels; // DVG_EMBED_BATCH images of the largest domain
  int64_t pixels_bytes;
  int64_t code;     // values of an intended identity
  int is_foreign;   // which is no embedding of this kind of recogniser
  float *identity;  // rank 0: (n_sampled, code)
  float *vector;    // rank 0: (1 + n_domains, n_sampled, DVG_CODE): intended identity (zero if foreign), then each domain's embedding
};

static int64_t item_of(const struct sampling *s, int64_t k) {
  return dvg_ledger_item(&s->q->ledger, (int64_t)((__int128)k * s->q->n_items / s->q->n_sampled));
}

static enum dvg_status take_domain(const char *name, int is_attribute, void *context) {
  struct sampling *s = context;
  static const char prefix[] = "image_";
  if (is_attribute || strncmp(name, prefix, sizeof prefix - 1) != 0) return DVG_OK;
  int d = s->q->n_domains, n_dims;
  if (d == DVG_PAIR_DOMAINS)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has more than %d domains", s->folder, DVG_PAIR_DOMAINS);
  enum dvg_type type;
  int64_t dims[DVG_MAX_DIMS];
  DVG_TRY(dvg_artifact_shape(dvg_shard_reader_first(s->set), name, &type, &n_dims, dims));
  if (type != DVG_U8 || n_dims != 4 || (dims[3] != 1 && dims[3] != 3) || dims[1] < 1 || dims[2] < 1)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is no set of images (n,H,W,3) of bytes", s->folder, name);
  int64_t size = s->e->file.model.size;
  if (dims[1] < size || dims[2] < size)
    return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than the %lld x %lld that %s takes",
                    s->folder, (long long)dims[2], (long long)dims[1], (long long)size, (long long)size,
                    s->e->file.path);
  snprintf(s->q->domain[d], DVG_DOMAIN_TEXT, "%s", name + sizeof prefix - 1);
  s->H[d] = dims[1];
  s->W[d] = dims[2];
  s->C[d] = dims[3];
  int64_t bytes = dims[1] * dims[2] * dims[3];
  if (bytes > s->pixels_bytes) s->pixels_bytes = bytes;
  s->q->n_domains++;
  return DVG_OK;
}

static enum dvg_status open_set(void *context) {
  struct sampling *s = context;
  struct dvg_pair_quality *q = s->q;
  DVG_TRY(dvg_shard_reader_open(&s->set, s->folder, "pairs", DVG_PAIRS_VERSION));
  DVG_TRY(dvg_ledger_read(&q->ledger, s->set, s->folder));
  q->n_items = q->ledger.n_written;
  q->n_set = dvg_shard_reader_items(s->set);
  snprintf(q->digest, sizeof q->digest, "%s", dvg_shard_reader_digest(s->set));
  DVG_TRY(dvg_artifact_each(dvg_shard_reader_first(s->set), take_domain, s));
  if (q->n_domains == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no images (datasets image_DOMAIN)", s->folder);
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  DVG_TRY(dvg_artifact_shape(dvg_shard_reader_first(s->set), "identity", &type, &n_dims, dims));
  if (type != DVG_F32 || n_dims != 2 || dims[1] < 1 || dims[1] > DVG_MAX_CODE)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'identity' is no set of vectors of up to %d values in float32", s->folder,
                    DVG_MAX_CODE);
  s->code = dims[1];
  s->is_foreign = s->code != DVG_CODE || dvg_artifact_has_attribute(dvg_shard_reader_first(s->set), "foreign");
  return DVG_OK;
}

static int is_unit(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++) sum += (double)x[k] * x[k];
  return fabs(sum - 1) <= 1e-3; // false for NaN as well
}

// One record: the intended identity and the embedding of each domain's image.
static enum dvg_status embed_items(void *records, int64_t first, int64_t count, void *context) {
  struct sampling *s = context;
  struct dvg_pair_quality *q = s->q;
  float *out = records, found[DVG_EMBED_BATCH * DVG_CODE];
  int64_t record = s->code + q->n_domains * DVG_CODE;
  for (int64_t i = 0; i < count; i++)
    DVG_TRY(dvg_shard_reader_read(s->set, "identity", DVG_F32, item_of(s, first + i), 1, out + i * record));
  for (int d = 0; d < q->n_domains; d++) {
    char name[DVG_DOMAIN_TEXT + 8];
    snprintf(name, sizeof name, "image_%s", q->domain[d]);
    int64_t bytes = s->H[d] * s->W[d] * s->C[d];
    for (int64_t i = 0; i < count; i++)
      DVG_TRY(dvg_shard_reader_read(s->set, name, DVG_U8, item_of(s, first + i), 1, s->pixels + i * bytes));
    int64_t bad;
    DVG_TRY(dvg_embed_pixels_find(s->e, s->pixels, count, s->H[d], s->W[d], s->C[d], found, &bad));
    if (bad >= 0)
      return dvg_fail(DVG_ERROR_NUMERIC,
                      "%s: %s of item %lld has no embedding: the network gives a vector without length or NaN",
                      s->folder, name, (long long)item_of(s, first + bad));
    for (int64_t i = 0; i < count; i++)
      memcpy(out + i * record + s->code + d * DVG_CODE, found + i * DVG_CODE, DVG_CODE * sizeof *out);
  }
  for (int64_t i = 0; i < count; i++)
    if (!is_unit(out + i * record, s->code))
      return dvg_fail(DVG_ERROR_INPUT, "%s: 'identity' of item %lld is no unit vector", s->folder,
                      (long long)item_of(s, first + i));
  return DVG_OK;
}

static enum dvg_status keep_items(int64_t first, int64_t count, const void *records, void *context) {
  struct sampling *s = context;
  const float *in = records;
  int64_t record = s->code + s->q->n_domains * DVG_CODE, n = s->q->n_sampled;
  for (int64_t i = 0; i < count; i++, in += record) {
    memcpy(s->identity + (first + i) * s->code, in, (size_t)s->code * sizeof *in);
    if (!s->is_foreign) memcpy(s->vector + (first + i) * DVG_CODE, in, DVG_CODE * sizeof *in);
    for (int64_t d = 0; d < s->q->n_domains; d++)
      memcpy(s->vector + ((1 + d) * n + first + i) * DVG_CODE, in + s->code + d * DVG_CODE, DVG_CODE * sizeof *in);
  }
  return DVG_OK;
}

static double mean_of(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; x && i < n; i++) sum += (double)x[i];
  return x ? sum / (double)n : NAN;
}

// Rank 0: what the scores of the single pairs say together.
static enum dvg_status judge_scores(const struct sampling *s) {
  struct dvg_pair_quality *q = s->q;
  const int64_t n = q->n_sampled;
  q->nearest = n > 1 ? mean_of(q->scores.nearest, n) : NAN;
  q->leak = mean_of(q->scores.leak, n);
  if (!s->training) return DVG_OK;
  q->n_leaks = 0;
  for (int64_t i = 0; i < n; i++)
    q->n_leaks += ((double)q->scores.leak[i] >= s->training->threshold) / (double)n;
  for (int d = 0; d < q->n_domains; d++)
    DVG_TRY(dvg_frechet(&q->frechet[d], s->vector + (1 + d) * n * DVG_CODE, n, s->training->feature,
                        s->training->n));
  return DVG_OK;
}

// Rank 0, once all vectors are there.
static enum dvg_status judge(const struct sampling *s) {
  struct dvg_pair_quality *q = s->q;
  int64_t n = q->n_sampled, stride = n * DVG_CODE, *same = NULL;
  const float *identity = s->vector, *image = s->vector + stride;
  DVG_TRY(DVG_NEW(&same, n, "identities"));
  double ms = 0;
  for (int d = 0; d < q->n_domains; d++) {
    q->to_identity[d] = s->is_foreign ? NAN : 0;
    for (int64_t i = 0; i < n; i++)
      q->to_identity[d] += dot(image + d * stride + i * DVG_CODE, identity + i * DVG_CODE) / (double)n;
    for (int c = 0; c < d; c++)
      for (int64_t i = 0; i < n; i++)
        ms += dot(image + d * stride + i * DVG_CODE, image + c * stride + i * DVG_CODE);
  }
  q->ms = q->n_domains > 1 ? ms / (double)(n * q->n_domains * (q->n_domains - 1) / 2) : NAN;
  enum dvg_status status = number_identities(same, &q->n_identities, s->identity, n, s->code);
  if (status == DVG_OK) status = dvg_pair_mis(&q->mis, image, DVG_CODE, same, n, q->n_identities);
  if (status == DVG_OK)
    status = dvg_pair_mis(&q->mis_intended, s->identity, s->code, same, n, q->n_identities);
  dvg_free(&same);
  return status;
}

enum dvg_status dvg_pair_quality(struct dvg_pair_quality *q, const struct dvg_world *w, struct dvg_embedder *e,
                                 const char *folder, int64_t n_sample, const struct dvg_training *training) {
  *q = (struct dvg_pair_quality){.nearest = NAN, .leak = NAN, .n_leaks = NAN};
  for (int d = 0; d < DVG_PAIR_DOMAINS; d++) q->frechet[d] = NAN;
  struct sampling s = {.q = q, .e = e, .folder = folder, .training = training};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_root_first(w, open_set, &s));
  DVG_TRY_GOTO(dvg_stage_check_shards(w, s.set));
  q->n_sampled = n_sample && n_sample < q->n_items ? n_sample : q->n_items;
  int64_t vectors = 1 + q->n_domains;
  status = DVG_NEW(&s.pixels, DVG_EMBED_BATCH * s.pixels_bytes, "images of pairs");
  if (status == DVG_OK && w->rank == 0)
    status =
        dvg_alloc((void **)&s.vector, vectors * q->n_sampled, DVG_CODE * sizeof(float), "embeddings of pairs");
  if (status == DVG_OK && w->rank == 0) status = DVG_NEW(&s.identity, q->n_sampled * s.code, "identities of pairs");
  DVG_TRY_GOTO(dvg_world_agree(w, status));
  struct dvg_ordered_work work = {.n_items = q->n_sampled,
                                  .block = DVG_EMBED_BATCH,
                                  .record_bytes = (size_t)(s.code + q->n_domains * DVG_CODE) * sizeof(float),
                                  .compute = embed_items,
                                  .consume = keep_items,
                                  .context = &s,
                                  .what = "pairs"};
  DVG_TRY_GOTO(dvg_distribute_ordered(w, &work));
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? judge(&s) : DVG_OK));
  DVG_TRY_GOTO(dvg_pair_scores_of(&q->scores, w, s.vector, q->n_domains, q->n_sampled, training));
  for (int d = 0; d < q->n_domains && s.is_foreign; d++) dvg_free(&q->scores.cos[d]);
  status = dvg_world_agree(w, w->rank == 0 ? judge_scores(&s) : DVG_OK);
  if (q->n_sampled < q->n_items) dvg_pair_scores_free(&q->scores);
done:
  dvg_shard_reader_close(&s.set);
  dvg_free(&s.pixels);
  dvg_free(&s.vector);
  dvg_free(&s.identity);
  return status;
}

void dvg_pair_quality_free(struct dvg_pair_quality *q) {
  dvg_ledger_free(&q->ledger);
  dvg_pair_scores_free(&q->scores);
}
