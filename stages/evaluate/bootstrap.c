#include "stages/evaluate/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/rng.h"

enum { FEWEST_KNOTS = 16, MAX_COUNTERS = 1 << 23 };

// ---- what is known of each person

static int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Knot k is level number k * n_levels / n_knots, the last one the highest level: without it a FAR that only
// that one keeps would have no knot.
static int64_t level_of_knot(int64_t knot, int64_t n_knots, int64_t n_levels) {
  return knot == n_knots - 1 ? n_levels - 1 : knot * n_levels / n_knots;
}

enum dvg_status dvg_people_create(struct dvg_people *p, const struct dvg_tally *t, int64_t n) {
  int64_t most = MAX_COUNTERS / (n > 0 ? n : 1);
  most = most > FEWEST_KNOTS ? at_most(most, DVG_MAX_KNOTS) : FEWEST_KNOTS;
  *p = (struct dvg_people){.n = n, .n_knots = at_most(t->n_levels, most)};
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&p->genuine, n * (p->n_knots + 1), "scores of people"));
  DVG_TRY_GOTO(DVG_NEW(&p->impostor, n * (p->n_knots + 1), "scores of people"));
  DVG_TRY_GOTO(DVG_NEW(&p->right, n, "probes of people"));
  DVG_TRY_GOTO(DVG_NEW(&p->asked, n, "probes of people"));
  DVG_TRY_GOTO(DVG_NEW(&p->knots_at, t->n_levels + 1, "thresholds"));
  int32_t knot = 0;
  for (int64_t level = 0; level < t->n_levels; level++) {
    p->knots_at[level] = knot;
    if (knot < p->n_knots && level_of_knot(knot, p->n_knots, t->n_levels) == level) knot++;
  }
  p->knots_at[t->n_levels] = knot;
done:
  if (status != DVG_OK) dvg_people_free(p);
  return status;
}

void dvg_people_free(struct dvg_people *p) {
  dvg_free(&p->genuine);
  dvg_free(&p->impostor);
  dvg_free(&p->right);
  dvg_free(&p->asked);
  dvg_free(&p->knots_at);
}

void dvg_people_finish(struct dvg_people *p) {
  const int64_t width = p->n_knots + 1;
  for (int64_t i = 0; i < p->n; i++)
    for (int64_t k = p->n_knots - 1; k >= 0; k--) {
      p->genuine[i * width + k] += p->genuine[i * width + k + 1];
      p->impostor[i * width + k] += p->impostor[i * width + k + 1];
    }
}

// ---- replicates

void dvg_bootstrap_replicate(double *rank_1, double *tar, const struct dvg_people *p, const int64_t *weight,
                             const double *far, int n_fars, int64_t *counters) {
  const int64_t width = p->n_knots + 1;
  int64_t *genuine = counters, *impostor = counters + width, right = 0, asked = 0;
  memset(counters, 0, (size_t)(2 * width) * sizeof *counters);
  for (int64_t i = 0; i < p->n; i++) {
    if (weight[i] == 0) continue;
    right += weight[i] * p->right[i];
    asked += weight[i] * p->asked[i];
    for (int64_t k = 0; k < width; k++) genuine[k] += weight[i] * p->genuine[i * width + k];
    for (int64_t k = 0; k < width; k++) impostor[k] += weight[i] * p->impostor[i * width + k];
  }
  *rank_1 = asked ? (double)right / (double)asked : NAN;
  for (int f = 0; f < n_fars; f++) {
    int64_t k =
        width; // the lowest counter whose FAR is small enough; the first one is that of no threshold at all
    while (k > 1 && (double)impostor[k - 1] / (double)impostor[0] <= far[f]) k--;
    tar[f] = genuine[0] == 0 || impostor[0] == 0 ? NAN
             : k == width                        ? 0
                                                 : (double)genuine[k] / (double)genuine[0];
  }
}

// This rank's replicates, as bits, so that those of all can be added up.
static enum dvg_status draw(int64_t *bits, const struct dvg_world *w, const struct dvg_people *p,
                            const double *far, int n_fars, int64_t n_impostor, uint64_t seed, int64_t n) {
  double value[1 + 64];
  int64_t *weight = NULL, *counters = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&weight, p->n, "drawn people"));
  DVG_TRY_GOTO(DVG_NEW(&counters, 2 * (p->n_knots + 1), "scores of drawn people"));
  for (int64_t b = w->rank; b < n; b += w->size) {
    struct dvg_rng r;
    dvg_rng_init(&r, seed, DVG_STREAM_BOOTSTRAP, (uint64_t)b);
    memset(weight, 0, (size_t)p->n * sizeof *weight);
    for (int64_t i = 0; i < p->n; i++) weight[dvg_rng_below(&r, p->n)]++;
    dvg_bootstrap_replicate(&value[0], &value[1], p, weight, far, n_fars, counters);
    for (int f = 0; f < n_fars; f++)
      if (!dvg_far_measurable(far[f], n_impostor)) value[1 + f] = NAN;
    for (int k = 0; k <= n_fars; k++) memcpy(&bits[k * n + b], &value[k], sizeof value[k]);
  }
done:
  dvg_free(&weight);
  dvg_free(&counters);
  return status;
}

enum dvg_status dvg_bootstrap_create(struct dvg_bootstrap *b, const struct dvg_world *w,
                                     const struct dvg_people *p, const double *far, int n_fars,
                                     int64_t n_impostor, uint64_t seed, int64_t n) {
  *b = (struct dvg_bootstrap){.n = n, .n_fars = n_fars};
  int64_t *bits = NULL;
  enum dvg_status status = DVG_NEW(&bits, (1 + n_fars) * n, "replicates");
  if (status == DVG_OK) status = DVG_NEW(&b->rank_1, (1 + n_fars) * n, "replicates");
  if (status == DVG_OK) status = draw(bits, w, p, far, n_fars, n_impostor, seed, n);
  DVG_TRY_GOTO(dvg_world_agree(w, status));
  dvg_world_sum(w, bits, (1 + n_fars) * n);
  memcpy(b->rank_1, bits, (size_t)((1 + n_fars) * n) * sizeof *b->rank_1);
  b->tar = b->rank_1 + n;
done:
  dvg_free(&bits);
  if (status != DVG_OK) dvg_bootstrap_free(b);
  return status;
}

void dvg_bootstrap_free(struct dvg_bootstrap *b) {
  dvg_free(&b->rank_1);
  b->tar = NULL;
  b->n = 0;
}

// ---- what replicates say

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

enum dvg_status dvg_interval_of(struct dvg_interval *i, const double *value, int64_t n, double part) {
  double *sorted = NULL;
  DVG_TRY(DVG_NEW(&sorted, n, "replicates"));
  int64_t n_left = 0;
  for (int64_t k = 0; k < n; k++)
    if (!isnan(value[k])) sorted[n_left++] = value[k];
  *i = (struct dvg_interval){NAN, NAN};
  if (n_left > 0) {
    qsort(sorted, (size_t)n_left, sizeof *sorted, ascending);
    int64_t cut = (int64_t)((double)n_left * (1 - part) / 2);
    i->low = sorted[cut];
    i->high = sorted[n_left - 1 - cut];
  }
  dvg_free(&sorted);
  return DVG_OK;
}

double dvg_difference_p(const double *difference, int64_t n) {
  int64_t below = 0, above = 0, n_left = 0;
  for (int64_t k = 0; k < n; k++) {
    if (isnan(difference[k])) continue;
    n_left++;
    below += difference[k] <= 0;
    above += difference[k] >= 0;
  }
  if (n_left == 0) return NAN;
  const double p = 2.0 * (double)(at_most(below, above) + 1) / (double)(n_left + 1);
  return p < 1 ? p : 1;
}

double dvg_mcnemar_p(int64_t one, int64_t other) {
  const double n = (double)(one + other);
  double p = 0; // twice the chance of at most min(one, other) heads in n throws of a coin
  for (int64_t k = 0; k <= at_most(one, other); k++)
    p += 2 * exp(lgamma(n + 1) - lgamma((double)k + 1) - lgamma(n - (double)k + 1) - n * log(2));
  return p < 1 ? p : 1;
}
