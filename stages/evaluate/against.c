#include "stages/evaluate/against.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

// ---- reading the other evaluation

// The stored column must be `want`.
static enum dvg_status same_column(const struct dvg_artifact *file, const char *name, const int64_t *want,
                                   int64_t n) {
  int64_t dims[DVG_MAX_DIMS] = {-1}, *column = NULL;
  DVG_TRY(dvg_artifact_load(file, name, DVG_I64, 1, dims, (void **)&column));
  const int same = dims[0] == n && memcmp(column, want, (size_t)n * sizeof *want) == 0;
  dvg_free(&column);
  if (same) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s: is of another gallery or of other probes (%s differs): can't be compared",
                  dvg_artifact_path(file), name);
}

static enum dvg_status same_text(const struct dvg_artifact *file, const char *name, const char *want) {
  char *text = NULL;
  DVG_TRY(dvg_artifact_get_text(file, name, &text));
  const int same = strcmp(text, want) == 0;
  dvg_free(&text);
  if (same) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: its %s is another one: can't be compared", dvg_artifact_path(file),
                  name);
}

static enum dvg_status same_int(const struct dvg_artifact *file, const char *name, int64_t want) {
  int64_t value;
  DVG_TRY(dvg_artifact_get_int(file, name, &value));
  if (value == want) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: its %s is %lld, not %lld: can't be compared", dvg_artifact_path(file),
                  name, (long long)value, (long long)want);
}

static enum dvg_status check_terms(const struct dvg_artifact *file, const struct dvg_against_terms *t) {
  const struct dvg_side *g = &t->protocol->gallery, *q = &t->protocol->probes;
  DVG_TRY(same_text(file, "gallery_digest", g->images_digest));
  DVG_TRY(same_text(file, "probe_digest", q->images_digest));
  DVG_TRY(same_column(file, "gallery_row", g->row, g->n));
  DVG_TRY(same_column(file, "probe_row", q->row, q->n));
  DVG_TRY(same_text(file, "far_convention", t->far_convention));
  DVG_TRY(same_int(file, "seed", (int64_t)t->seed));
  return same_int(file, "bootstrap", t->n_replicates);
}

// The TAR of each FAR asked for, where the other evaluation has it, and its replicates.
static enum dvg_status read_tar(struct dvg_against *a, const struct dvg_artifact *file,
                                const struct dvg_against_terms *t) {
  int64_t dims[DVG_MAX_DIMS] = {-1}, there[DVG_MAX_DIMS] = {-1};
  double *far = NULL, *tar = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_artifact_load(file, "far", DVG_F64, 1, dims, (void **)&far));
  there[0] = dims[0];
  DVG_TRY_GOTO(dvg_artifact_load(file, "tar", DVG_F64, 1, there, (void **)&tar));
  for (int f = 0; f < t->n_fars; f++) {
    int64_t k = 0;
    while (k < dims[0] && far[k] != t->far[f]) k++;
    a->tar[f] = k < dims[0] ? tar[k] : NAN;
    double *of_far = a->bootstrap.n > 0 ? a->bootstrap.tar + f * a->bootstrap.n : NULL;
    for (int64_t b = 0; b < a->bootstrap.n; b++) of_far[b] = NAN;
    if (k < dims[0] && of_far) DVG_TRY_GOTO(dvg_artifact_read(file, "bootstrap_tar", DVG_F64, k, 1, of_far));
  }
done:
  dvg_free(&far);
  dvg_free(&tar);
  return status;
}

static enum dvg_status read_all(struct dvg_against *a, const struct dvg_artifact *file,
                                const struct dvg_against_terms *t) {
  DVG_TRY(check_terms(file, t));
  int64_t dims[DVG_MAX_DIMS] = {t->protocol->probes.n};
  a->n_probes = dims[0];
  snprintf(a->digest, sizeof a->digest, "%s", dvg_artifact_digest(file));
  DVG_TRY(dvg_artifact_get_text(file, "name", &a->name));
  DVG_TRY(dvg_artifact_load(file, "place", DVG_I64, 1, dims, (void **)&a->place));
  DVG_TRY(dvg_artifact_get_real(file, "rank_1", &a->rank_1));
  const int64_t n = t->n_replicates;
  a->bootstrap.n = n;
  a->bootstrap.n_fars = t->n_fars;
  if (n > 0) {
    DVG_TRY(DVG_NEW(&a->bootstrap.rank_1, (1 + t->n_fars) * n, "replicates"));
    a->bootstrap.tar = a->bootstrap.rank_1 + n;
    const int64_t rows[DVG_MAX_DIMS] = {n, 0};
    int64_t shape[DVG_MAX_DIMS];
    int n_dims;
    enum dvg_type type;
    DVG_TRY(dvg_artifact_shape(file, "bootstrap_tar", &type, &n_dims, shape));
    if (n_dims != 2 || shape[1] != rows[0])
      return dvg_fail(DVG_ERROR_INPUT, "%s: bootstrap_tar has another number of replicates",
                      dvg_artifact_path(file));
    DVG_TRY(dvg_artifact_read(file, "bootstrap_rank_1", DVG_F64, 0, n, a->bootstrap.rank_1));
  }
  return read_tar(a, file, t);
}

enum dvg_status dvg_against_open(struct dvg_against *a, const char *folder,
                                 const struct dvg_against_terms *terms) {
  *a = (struct dvg_against){.name = NULL};
  struct dvg_artifact *file = NULL;
  char *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&path, "%s/evaluation.h5", folder));
  DVG_TRY_GOTO(dvg_artifact_open(&file, path, "evaluation", 2));
  status = read_all(a, file, terms);
done:
  dvg_artifact_close(&file);
  dvg_free(&path);
  if (status != DVG_OK) dvg_against_free(a);
  return status;
}

void dvg_against_free(struct dvg_against *a) {
  dvg_free(&a->name);
  dvg_free(&a->place);
  dvg_bootstrap_free(&a->bootstrap);
}

// ---- comparing

static enum dvg_status compare_replicates(struct dvg_difference *d, const double *here, const double *there,
                                          int64_t n, double part) {
  double *difference = NULL;
  DVG_TRY(DVG_NEW(&difference, n, "replicates"));
  for (int64_t b = 0; b < n; b++) difference[b] = here[b] - there[b];
  d->p = dvg_difference_p(difference, n);
  enum dvg_status status = dvg_interval_of(&d->interval, difference, n, part);
  dvg_free(&difference);
  return status;
}

enum dvg_status dvg_against_compare(struct dvg_against *a, const int64_t *place, double rank_1,
                                    const double *tar, const struct dvg_bootstrap *b, double part) {
  for (int64_t i = 0; i < a->n_probes; i++) {
    a->only_here += place[i] == 1 && a->place[i] != 1;
    a->only_there += place[i] != 1 && a->place[i] == 1;
  }
  a->mcnemar_p = dvg_mcnemar_p(a->only_here, a->only_there);
  a->rank_1_difference.value = rank_1 - a->rank_1;
  DVG_TRY(compare_replicates(&a->rank_1_difference, b->rank_1, a->bootstrap.rank_1, b->n, part));
  for (int f = 0; f < b->n_fars; f++) {
    a->tar_difference[f].value = tar[f] - a->tar[f];
    DVG_TRY(
        compare_replicates(&a->tar_difference[f], b->tar + f * b->n, a->bootstrap.tar + f * b->n, b->n, part));
  }
  return DVG_OK;
}

// ---- saying it

static void print_difference(const char *label, const struct dvg_difference *d) {
  if (isnan(d->value)) return;
  if (isnan(d->interval.low)) dvg_info("%-12s %+7.3f points", label, 100 * d->value);
  else
    dvg_info("%-12s %+7.3f points   [%+.3f, %+.3f]   p %.4f, of the bootstrap", label, 100 * d->value,
             100 * d->interval.low, 100 * d->interval.high, d->p);
}

void dvg_against_print(const struct dvg_against *a, const double *far, int n_fars) {
  dvg_info("against      %s", a->name[0] ? a->name : a->digest);
  print_difference("rank-1", &a->rank_1_difference);
  dvg_info("             at rank 1 here alone %lld, there alone %lld: p %.4g, McNemar's exact test",
           (long long)a->only_here, (long long)a->only_there, a->mcnemar_p);
  for (int f = 0; f < n_fars; f++) {
    char label[32];
    snprintf(label, sizeof label, "TAR at %g", far[f]);
    print_difference(label, &a->tar_difference[f]);
  }
}

static void json_difference(struct dvg_json *j, const char *key, const struct dvg_difference *d) {
  dvg_json_open(j, key, '{');
  dvg_json_real(j, "difference", d->value);
  dvg_json_real(j, "low", d->interval.low);
  dvg_json_real(j, "high", d->interval.high);
  dvg_json_real(j, "p", d->p);
  dvg_json_close(j, '}');
}

void dvg_against_json(struct dvg_json *j, const struct dvg_against *a, const double *far, int n_fars) {
  dvg_json_open(j, "against", '{');
  dvg_json_text(j, "name", a->name);
  dvg_json_text(j, "digest", a->digest);
  json_difference(j, "rank_1", &a->rank_1_difference);
  dvg_json_open(j, "mcnemar", '{');
  dvg_json_int(j, "only_here", a->only_here);
  dvg_json_int(j, "only_there", a->only_there);
  dvg_json_real(j, "p", a->mcnemar_p);
  dvg_json_close(j, '}');
  dvg_json_open(j, "tar_at_far", '{');
  for (int f = 0; f < n_fars; f++) {
    char key[32];
    snprintf(key, sizeof key, "%g", far[f]);
    json_difference(j, key, &a->tar_difference[f]);
  }
  dvg_json_close(j, '}');
  dvg_json_close(j, '}');
}
