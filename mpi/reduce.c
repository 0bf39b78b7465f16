#include "mpi/reduce.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

// Values are checked, then added, in blocks that stay in the first cache between the two.
enum { BLOCK = 2048 };

static const double unit = (double)((int64_t)1 << DVG_REDUCE_BITS);

// ---- buckets on their way

enum { IN_FLIGHT = 2, REDUCE_TAG = 6 };

// One bucket: what the other ranks have of this rank's slice, and the requests of all.
struct message {
  int64_t *received; // owned (size - 1, longest slice)
  MPI_Request *request;
  int n_requests;
};
struct dvg_reduce_exchange {
  struct message message[IN_FLIGHT];
};

static enum dvg_status create_exchange(struct dvg_reduce *r) {
  const struct dvg_slices *s = r->slices;
  DVG_TRY(DVG_NEW(&r->exchange, 1, "the sum of gradients"));
  for (int i = 0; i < IN_FLIGHT; i++) {
    struct message *m = &r->exchange->message[i];
    DVG_TRY(DVG_NEW(&m->received, (s->size - 1) * s->longest, "the sum of gradients"));
    DVG_TRY(DVG_NEW(&m->request, 2 * (int64_t)s->size, "the sum of gradients"));
  }
  return DVG_OK;
}

// Buckets are numbered from the last of the array on: that is the order in which a backward completes them.
static struct dvg_slice slice_at(const struct dvg_reduce *r, int64_t b, int rank) {
  return dvg_slices_at(r->slices, r->slices->n_buckets - 1 - b, rank);
}

// Rank r + d's part of my slice comes in, my part of its slice goes out, for each d: every rank meets another
// one at a time.
static void begin(struct dvg_reduce *r, int64_t b) {
  const struct dvg_slices *s = r->slices;
  struct message *m = &r->exchange->message[b % IN_FLIGHT];
  const struct dvg_slice mine = slice_at(r, b, s->rank);
  m->n_requests = 0;
  for (int d = 1; d < s->size; d++) {
    const int from = (s->rank - d + s->size) % s->size, to = (s->rank + d) % s->size;
    const struct dvg_slice theirs = slice_at(r, b, to);
    MPI_Irecv(m->received + (d - 1) * s->longest, (int)mine.count, MPI_INT64_T, from, REDUCE_TAG,
              MPI_COMM_WORLD, &m->request[m->n_requests++]);
    MPI_Isend(r->sum + theirs.first, (int)theirs.count, MPI_INT64_T, to, REDUCE_TAG, MPI_COMM_WORLD,
              &m->request[m->n_requests++]);
  }
}

static int arrived(struct dvg_reduce *r, int64_t b, int wait) {
  struct message *m = &r->exchange->message[b % IN_FLIGHT];
  int all = 1;
  if (wait) MPI_Waitall(m->n_requests, m->request, MPI_STATUSES_IGNORE);
  else MPI_Testall(m->n_requests, m->request, &all, MPI_STATUSES_IGNORE);
  return all;
}

static void take(struct dvg_reduce *r, int64_t b) {
  const struct dvg_slices *s = r->slices;
  const struct dvg_slice mine = slice_at(r, b, s->rank);
  int64_t *restrict sum = r->sum + mine.first;
  for (int d = 1; d < s->size; d++) {
    const int64_t *restrict theirs = r->exchange->message[b % IN_FLIGHT].received + (d - 1) * s->longest;
    for (int64_t i = 0; i < mine.count; i++) sum[i] += theirs[i];
  }
}

// Moves on all that can move; with `wait`, until nothing that is ready is left.
static void drive(struct dvg_reduce *r, int wait) {
  for (;;) {
    while (r->begun < r->ready && r->begun - r->done < IN_FLIGHT) begin(r, r->begun++);
    if (r->done == r->begun || !arrived(r, r->done, wait)) return;
    take(r, r->done++);
  }
}

// ----

enum dvg_status dvg_reduce_create(struct dvg_reduce *r, const struct dvg_slices *slices, int64_t n_terms,
                                  int64_t n_micro, const struct dvg_reduce_span *spans, int64_t n_spans) {
  if (n_terms < 0 || n_micro < 1 || slices->n > INT64_MAX - n_terms)
    return dvg_fail(DVG_ERROR_INTERNAL, "reduction of %lld values, %lld terms, %lld micro-batches",
                    (long long)slices->n, (long long)n_terms, (long long)n_micro);
  *r = (struct dvg_reduce){.slices = slices,
                           .n = slices->n,
                           .n_terms = n_terms,
                           .n_micro = n_micro,
                           .spans = spans,
                           .n_spans = n_spans};
  DVG_TRY(DVG_NEW(&r->sum, r->n + n_terms, "the sum of gradients"));
  return create_exchange(r);
}

void dvg_reduce_free(struct dvg_reduce *r) {
  for (int i = 0; r->exchange && i < IN_FLIGHT; i++) {
    dvg_free(&r->exchange->message[i].received);
    dvg_free(&r->exchange->message[i].request);
  }
  dvg_free(&r->exchange);
  dvg_free(&r->sum);
}

void dvg_reduce_clear(struct dvg_reduce *r) {
  memset(r->sum, 0, (size_t)(r->n + r->n_terms) * sizeof *r->sum);
  r->ready = r->begun = r->done = 0;
}

float *dvg_reduce_room(struct dvg_reduce *r) {
  return (float *)r->sum;
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

static enum dvg_status check_terms(const struct dvg_reduce *r, const double *terms) {
  double limit = limit_of(r);
  for (int64_t t = 0; t < r->n_terms; t++)
    if (!(fabs(terms[t]) < limit)) return refuse_term(r, t, terms[t], limit);
  return DVG_OK;
}

enum dvg_status dvg_reduce_add_terms(struct dvg_reduce *r, const double *terms) {
  DVG_TRY(check_terms(r, terms));
  for (int64_t t = 0; t < r->n_terms; t++) r->sum[r->n + t] += lrint(terms[t] * unit);
  return DVG_OK;
}

// Adds gradient[first, end) to `sum`, which lies alike; NULL: only checks it.
static enum dvg_status add_values(const struct dvg_reduce *r, int64_t *sum, const float *gradient,
                                  int64_t first, int64_t end) {
  const double limit = limit_of(r);
  for (; first < end; first += BLOCK) {
    int64_t count = end - first < BLOCK ? end - first : BLOCK;
    const float *x = gradient + first;
    if (!all_below(x, count, (float)limit)) return find_bad(r, gradient, first, count, (float)limit);
    if (!sum) continue;
    int64_t *to = sum + first;
    for (int64_t i = 0; i < count; i++) to[i] += lrint((double)x[i] * unit);
  }
  return DVG_OK;
}

enum dvg_status dvg_reduce_add(struct dvg_reduce *r, const float *gradient, const double *terms) {
  DVG_TRY(dvg_reduce_add_terms(r, terms));
  return add_values(r, r->sum, gradient, 0, r->n);
}

enum dvg_status dvg_reduce_check(const struct dvg_reduce *r, const float *gradient, const double *terms) {
  DVG_TRY(check_terms(r, terms));
  return add_values(r, NULL, gradient, 0, r->n);
}

// A bucket at a time, so that what is added goes out from the cache.
enum dvg_status dvg_reduce_advance(struct dvg_reduce *r, const float *gradient, int64_t first) {
  const struct dvg_slices *s = r->slices;
  enum dvg_status status = DVG_OK;
  while (r->ready < s->n_buckets) {
    const int64_t start = (s->n_buckets - 1 - r->ready) * s->bucket;
    const int64_t end = start + s->bucket < r->n ? start + s->bucket : r->n;
    if (start < first) break;
    if (gradient && status == DVG_OK) status = add_values(r, r->sum, gradient, start, end);
    r->ready++;
    drive(r, 0);
  }
  drive(r, 0);
  return status;
}

void dvg_reduce_finish(struct dvg_reduce *r, const struct dvg_world *w, float *gradient, double *terms) {
  r->ready = r->slices->n_buckets;
  drive(r, 1);
  for (int64_t b = 0; b < r->slices->n_buckets; b++) {
    const struct dvg_slice mine = dvg_slices_at(r->slices, b, r->slices->rank);
    for (int64_t i = mine.first; i < mine.first + mine.count; i++) gradient[i] = (float)((double)r->sum[i] / unit);
  }
  dvg_world_sum(w, r->sum + r->n, r->n_terms);
  for (int64_t t = 0; t < r->n_terms; t++) terms[t] = (double)r->sum[r->n + t] / unit;
}
