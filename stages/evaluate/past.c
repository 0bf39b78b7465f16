#include "stages/evaluate/past.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

// The FARs, their TARs and the replicates.
static enum dvg_status read_rates(struct dvg_past *p, const struct dvg_artifact *file) {
  int64_t dims[DVG_MAX_DIMS] = {-1}, n = 0;
  DVG_TRY(dvg_artifact_load(file, "far", DVG_F64, 1, dims, (void **)&p->far));
  if (dims[0] > DVG_MAX_FARS)
    return dvg_fail(DVG_ERROR_INPUT, "%s: far has %lld rates, more than %d", p->path, (long long)dims[0],
                    DVG_MAX_FARS);
  p->n_fars = p->bootstrap.n_fars = (int)dims[0];
  DVG_TRY(dvg_artifact_load(file, "tar", DVG_F64, 1, dims, (void **)&p->tar));
  DVG_TRY(dvg_artifact_get_real(file, "rank_1", &p->rank_1));
  DVG_TRY(dvg_artifact_get_int(file, "bootstrap", &n));
  if (n == 0) return DVG_OK;

  int64_t shape[DVG_MAX_DIMS];
  int n_dims;
  enum dvg_type type;
  DVG_TRY(dvg_artifact_shape(file, "bootstrap_tar", &type, &n_dims, shape));
  if (n_dims != 2 || shape[0] != p->n_fars || shape[1] != n)
    return dvg_fail(DVG_ERROR_INPUT, "%s: bootstrap_tar has another number of replicates", p->path);
  DVG_TRY(DVG_NEW(&p->bootstrap.rank_1, (1 + p->n_fars) * n, "replicates"));
  p->bootstrap.n = n;
  p->bootstrap.tar = p->bootstrap.rank_1 + n;
  DVG_TRY(dvg_artifact_read(file, "bootstrap_rank_1", DVG_F64, 0, n, p->bootstrap.rank_1));
  return dvg_artifact_read(file, "bootstrap_tar", DVG_F64, 0, p->n_fars, p->bootstrap.tar);
}

static enum dvg_status read_all(struct dvg_past *p, const struct dvg_artifact *file) {
  int64_t gallery[DVG_MAX_DIMS] = {-1}, probes[DVG_MAX_DIMS] = {-1};
  snprintf(p->digest, sizeof p->digest, "%s", dvg_artifact_digest(file));
  DVG_TRY(dvg_artifact_get_text(file, "name", &p->name));
  DVG_TRY(dvg_artifact_get_text(file, "gallery_digest", &p->gallery_digest));
  DVG_TRY(dvg_artifact_get_text(file, "probe_digest", &p->probe_digest));
  DVG_TRY(dvg_artifact_get_text(file, "far_convention", &p->far_convention));
  DVG_TRY(dvg_artifact_get_int(file, "seed", &p->seed));
  DVG_TRY(dvg_artifact_load(file, "gallery_row", DVG_I64, 1, gallery, (void **)&p->gallery_row));
  DVG_TRY(dvg_artifact_load(file, "probe_row", DVG_I64, 1, probes, (void **)&p->probe_row));
  DVG_TRY(dvg_artifact_load(file, "place", DVG_I64, 1, probes, (void **)&p->place));
  p->n_gallery = gallery[0];
  p->n_probes = probes[0];
  return read_rates(p, file);
}

enum dvg_status dvg_past_open(struct dvg_past *p, const char *folder) {
  *p = (struct dvg_past){.path = NULL};
  struct dvg_artifact *file = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&p->path, "%s/evaluation.h5", folder));
  DVG_TRY_GOTO(dvg_artifact_open(&file, p->path, "evaluation", 2));
  status = read_all(p, file);
done:
  dvg_artifact_close(&file);
  if (status != DVG_OK) dvg_past_free(p);
  return status;
}

void dvg_past_free(struct dvg_past *p) {
  dvg_free(&p->path);
  dvg_free(&p->name);
  dvg_free(&p->gallery_digest);
  dvg_free(&p->probe_digest);
  dvg_free(&p->far_convention);
  dvg_free(&p->gallery_row);
  dvg_free(&p->probe_row);
  dvg_free(&p->place);
  dvg_free(&p->far);
  dvg_free(&p->tar);
  dvg_bootstrap_free(&p->bootstrap);
}

// ---- are two alike?

static enum dvg_status same_text(const struct dvg_past *p, const char *name, const char *is, const char *want) {
  if (strcmp(is, want) == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: its %s is another one: can't be compared", p->path, name);
}

static enum dvg_status same_rows(const struct dvg_past *p, const char *name, const int64_t *is, int64_t n,
                                 const int64_t *want, int64_t n_want) {
  if (n == n_want && memcmp(is, want, (size_t)n * sizeof *want) == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s: is of another gallery or of other probes (%s differs): can't be compared", p->path,
                  name);
}

static enum dvg_status same_int(const struct dvg_past *p, const char *name, int64_t is, int64_t want) {
  if (is == want) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: its %s is %lld, not %lld: can't be compared", p->path, name,
                  (long long)is, (long long)want);
}

enum dvg_status dvg_past_check(const struct dvg_past *p, const struct dvg_past_terms *t) {
  DVG_TRY(same_text(p, "gallery_digest", p->gallery_digest, t->gallery_digest));
  DVG_TRY(same_text(p, "probe_digest", p->probe_digest, t->probe_digest));
  DVG_TRY(same_rows(p, "gallery_row", p->gallery_row, p->n_gallery, t->gallery_row, t->n_gallery));
  DVG_TRY(same_rows(p, "probe_row", p->probe_row, p->n_probes, t->probe_row, t->n_probes));
  DVG_TRY(same_text(p, "far_convention", p->far_convention, t->far_convention));
  DVG_TRY(same_int(p, "seed", p->seed, t->seed));
  return same_int(p, "bootstrap", p->bootstrap.n, t->n_replicates);
}

double dvg_past_tar(const struct dvg_past *p, double far, const double **replicates) {
  *replicates = NULL;
  for (int f = 0; f < p->n_fars; f++)
    if (p->far[f] == far) {
      if (p->bootstrap.n > 0) *replicates = p->bootstrap.tar + f * p->bootstrap.n;
      return p->tar[f];
    }
  return NAN;
}
