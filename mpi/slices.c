#include "mpi/slices.h"

#include <mpi.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { LINE = 16 }; // floats of a cache line

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Whole cache lines that give each rank a slice of n values, some of them short or empty.
static int64_t slice_of(int64_t n, int size) {
  const int64_t lines = (n + LINE - 1) / LINE;
  return (lines + size - 1) / size * LINE;
}

static int64_t bucket_length(const struct dvg_slices *s, int64_t bucket) {
  return smaller(s->bucket, s->n - bucket * s->bucket);
}

enum dvg_status dvg_slices_create(struct dvg_slices *s, const struct dvg_world *w, int64_t n, int64_t bucket) {
  const int64_t longest = slice_of(bucket, w->size);
  if (n < 0 || bucket < 1 || longest > INT32_MAX / w->size)
    return dvg_fail(DVG_ERROR_INTERNAL, "%lld values in buckets of %lld", (long long)n, (long long)bucket);
  *s = (struct dvg_slices){
      .n = n, .bucket = longest * w->size, .longest = longest, .rank = w->rank, .size = w->size};
  s->n_buckets = (n + s->bucket - 1) / s->bucket;
  for (int64_t b = 0; b < s->n_buckets; b++) s->n_own += dvg_slices_at(s, b, s->rank).count;
  DVG_TRY(DVG_NEW(&s->count, s->size, "slices"));
  return DVG_NEW(&s->at, s->size, "slices");
}

void dvg_slices_free(struct dvg_slices *s) {
  dvg_free(&s->count);
  dvg_free(&s->at);
}

struct dvg_slice dvg_slices_at(const struct dvg_slices *s, int64_t bucket, int rank) {
  const int64_t length = bucket_length(s, bucket), slice = slice_of(length, s->size);
  const int64_t first = smaller(rank * slice, length), end = smaller(first + slice, length);
  return (struct dvg_slice){bucket * s->bucket + first, end - first, bucket * s->longest};
}

// MPI's tables of a bucket's slices; places count from the bucket's beginning, which is returned.
static int64_t tabulate(const struct dvg_slices *s, int64_t bucket) {
  const int64_t start = bucket * s->bucket;
  for (int r = 0; r < s->size; r++) {
    const struct dvg_slice slice = dvg_slices_at(s, bucket, r);
    s->count[r] = (int)slice.count;
    s->at[r] = (int)(slice.first - start);
  }
  return start;
}

void dvg_slices_share(const struct dvg_slices *s, float *all) {
  if (s->size == 1) return;
  for (int64_t b = 0; b < s->n_buckets; b++) {
    const int64_t start = tabulate(s, b);
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all + start, s->count, s->at, MPI_FLOAT, MPI_COMM_WORLD);
  }
}

void dvg_slices_gather(const struct dvg_slices *s, float *all, const float *own) {
  for (int64_t b = 0; b < s->n_buckets; b++) {
    const int64_t start = tabulate(s, b);
    const struct dvg_slice mine = dvg_slices_at(s, b, s->rank);
    MPI_Gatherv(own + mine.place, (int)mine.count, MPI_FLOAT, s->rank == 0 ? all + start : NULL, s->count, s->at,
                MPI_FLOAT, 0, MPI_COMM_WORLD);
  }
}

void dvg_slices_scatter(const struct dvg_slices *s, float *own, const float *all) {
  for (int64_t b = 0; b < s->n_buckets; b++) {
    const int64_t start = tabulate(s, b);
    const struct dvg_slice mine = dvg_slices_at(s, b, s->rank);
    MPI_Scatterv(s->rank == 0 ? all + start : NULL, s->count, s->at, MPI_FLOAT, own + mine.place,
                 (int)mine.count, MPI_FLOAT, 0, MPI_COMM_WORLD);
  }
}
