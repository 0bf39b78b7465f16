#include "mpi/reduce.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

// Values are checked, then added, in blocks that stay in the first cache between the two.
enum { BLOCK = 2048 };

static const double unit = (double)((int64_t)1 << DVG_REDUCE_BITS);

enum dvg_status dvg_reduce_create(struct dvg_reduce *r, int64_t n, int64_t n_terms, int64_t n_micro,
                                  const struct dvg_reduce_span *spans, int64_t n_spans) {
  if (n < 0 || n_terms < 0 || n_micro < 1 || n > INT64_MAX - n_terms)
    return dvg_fail(DVG_ERROR_INTERNAL, "reduction of %lld values, %lld terms, %lld micro-batches",
                    (long long)n, (long long)n_terms, (long long)n_micro);
  int64_t *sum;
  DVG_TRY(DVG_NEW(&sum, n + n_terms, "the sum of gradients"));
  *r = (struct dvg_reduce){
      .n = n, .n_terms = n_terms, .sum = sum, .n_micro = n_micro, .spans = spans, .n_spans = n_spans};
  return DVG_OK;
}

void dvg_reduce_free(struct dvg_reduce *r) {
  dvg_free(&r->sum);
}

void dvg_reduce_clear(struct dvg_reduce *r) {
  memset(r->sum, 0, (size_t)(r->n + r->n_terms) * sizeof *r->sum);
}

// Each of n_micro values stays below this, so their sum stays below 2^62 and can't wrap.
static double limit_of(const struct dvg_reduce *r) {
  return 0x1p62 / unit / (double)r->n_micro;
}

// Says why `value` can't be added.
static enum dvg_status refuse(const struct dvg_reduce *r, const char *name, int64_t at, double value,
                              double limit) {
  const char *where = r->where ? r->where : "", *colon = r->where ? ": " : "";
  if (isnan(value) || isinf(value))
    return dvg_fail(DVG_ERROR_NUMERIC, "%s%s%s is %s at %lld", where, colon, name,
                    isnan(value) ? "not a number" : "infinite", (long long)at);
  return dvg_fail(DVG_ERROR_NUMERIC, "%s%s%s overflows at %lld: %g is not within +-%g", where, colon, name,
                  (long long)at, value, limit);
}

static enum dvg_status refuse_term(const struct dvg_reduce *r, int64_t t, double value, double limit) {
  char name[256];
  snprintf(name, sizeof name, "loss term%s%s", r->term_names ? " " : "", r->term_names ? r->term_names[t] : "");
  return refuse(r, name, t, value, limit);
}

// The slow path: finds the first bad value of [first, first + count) and the tensor it belongs to.
static enum dvg_status find_bad(const struct dvg_reduce *r, const float *gradient, int64_t first, int64_t count,
                                float limit) {
  int64_t i = first;
  while (i < first + count - 1 && fabsf(gradient[i]) < limit) i++;
  for (int64_t s = 0; s < r->n_spans; s++) {
    const struct dvg_reduce_span *span = &r->spans[s];
    if (i < span->first || i >= span->first + span->count) continue;
    char name[256];
    snprintf(name, sizeof name, "gradient of %s", span->name);
    return refuse(r, name, i - span->first, gradient[i], limit);
  }
  return refuse(r, "gradient", i, gradient[i], limit);
}

// Whether all values are within the limit; a comparison with NaN is false. No early exit, so that it becomes
// vector code.
static int all_below(const float *x, int64_t n, float limit) {
  int bad = 0;
  for (int64_t i = 0; i < n; i++) bad |= !(fabsf(x[i]) < limit);
  return !bad;
}

enum dvg_status dvg_reduce_add(struct dvg_reduce *r, const float *gradient, const double *terms) {
  double limit = limit_of(r);
  for (int64_t t = 0; t < r->n_terms; t++)
    if (!(fabs(terms[t]) < limit)) return refuse_term(r, t, terms[t], limit);
  for (int64_t first = 0; first < r->n; first += BLOCK) {
    int64_t count = r->n - first < BLOCK ? r->n - first : BLOCK;
    const float *x = gradient + first;
    int64_t *sum = r->sum + first;
    if (!all_below(x, count, (float)limit)) return find_bad(r, gradient, first, count, (float)limit);
    for (int64_t i = 0; i < count; i++) sum[i] += lrint((double)x[i] * unit);
  }
  for (int64_t t = 0; t < r->n_terms; t++) r->sum[r->n + t] += lrint(terms[t] * unit);
  return DVG_OK;
}

enum dvg_status dvg_reduce_finish(struct dvg_reduce *r, const struct dvg_world *w, float *gradient,
                                  double *terms) {
  dvg_world_sum(w, r->sum, r->n + r->n_terms);
  for (int64_t i = 0; i < r->n; i++) gradient[i] = (float)((double)r->sum[i] / unit);
  for (int64_t t = 0; t < r->n_terms; t++) terms[t] = (double)r->sum[r->n + t] / unit;
  return DVG_OK;
}
