#include "stages/evaluate/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { N_BUCKETS = 1 << 17, POINTS_A_DECADE = 64 };

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

// Monotone in s, whatever the rounding: all levels of lower buckets lie below s, of higher ones above.
static int64_t bucket(float s) {
  float at = (s + 1.0f) * (0.5f * N_BUCKETS);
  if (!(at > 0)) return 0;
  return at >= N_BUCKETS - 1 ? N_BUCKETS - 1 : (int64_t)at;
}

static void fill_levels(struct dvg_tally *t, const float *sorted) {
  for (int64_t i = 0; i < t->n_genuine; i++) {
    if (i > 0 && sorted[i] == sorted[i - 1]) continue;
    t->level[t->n_levels] = sorted[i];
    t->genuine[t->n_levels] = t->n_genuine - i;
    t->n_levels++;
  }
  int64_t j = 0;
  for (int64_t b = 0; b <= N_BUCKETS; b++) {
    while (j < t->n_levels && bucket(t->level[j]) < b) j++;
    t->search[b] = (int32_t)j;
  }
}

enum dvg_status dvg_tally_create(struct dvg_tally *t, const float *genuine, int64_t n) {
  *t = (struct dvg_tally){.n_genuine = n};
  if (n < 1 || n > INT32_MAX)
    return dvg_fail(DVG_ERROR_INPUT, "%lld genuine scores: 1 to 2147483647 can be evaluated", (long long)n);
  float *sorted = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&sorted, n, "genuine scores"));
  DVG_TRY_GOTO(DVG_NEW(&t->level, n, "genuine scores"));
  DVG_TRY_GOTO(DVG_NEW(&t->genuine, n, "counters of scores"));
  DVG_TRY_GOTO(DVG_NEW(&t->accepted, n, "counters of scores"));
  DVG_TRY_GOTO(DVG_NEW(&t->impostor, 2 * n + 1, "counters of scores"));
  DVG_TRY_GOTO(DVG_NEW(&t->search, N_BUCKETS + 1, "table of scores"));
  memcpy(sorted, genuine, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, ascending);
  fill_levels(t, sorted);
done:
  dvg_free(&sorted);
  if (status != DVG_OK) dvg_tally_free(t);
  return status;
}

void dvg_tally_free(struct dvg_tally *t) {
  dvg_free(&t->level);
  dvg_free(&t->genuine);
  dvg_free(&t->accepted);
  dvg_free(&t->impostor);
  dvg_free(&t->search);
}

int64_t dvg_tally_counters(const struct dvg_tally *t) {
  return 2 * t->n_levels + 1;
}

// The counter of a score: 2 j + 1 of one equal to level j, 2 j of one between level j-1 and level j.
static inline int64_t counter_of(const struct dvg_tally *t, float s) {
  const float *level = t->level;
  int64_t b = bucket(s), low = t->search[b], high = t->search[b + 1];
  // The first level >= s, which is within the bucket or right behind it. Where genuine scores are dense a
  // bucket has some levels; else one or none, and this loop is not entered.
  while (high - low > 2) {
    int64_t middle = low + (high - low) / 2;
    if (level[middle] < s) low = middle + 1;
    else high = middle;
  }
  while (low < high && level[low] < s) low++;
  return 2 * low + (low < t->n_levels && level[low] == s);
}

int64_t dvg_tally_reached(const struct dvg_tally *t, float score) {
  return (counter_of(t, score) + 1) / 2;
}

// Of a large gallery nearly all impostors are below the lowest genuine score: these are counted by the vector, before a
// search for each of the others.
static void add_block(struct dvg_tally *t, const float *impostor, int n, int64_t *group, const int32_t *group_of) {
  const float lowest = t->level[0];
  int n_low = 0;
  for (int i = 0; i < n; i++) n_low += impostor[i] < lowest;
  t->impostor[0] += n_low;
  if (group) group[group_of[0]] += n_low;
  if (n_low == n) return;
  for (int i = 0; i < n; i++) {
    if (impostor[i] < lowest) continue;
    const int64_t counter = counter_of(t, impostor[i]);
    t->impostor[counter]++;
    if (group) group[group_of[(counter + 1) / 2]]++;
  }
}

void dvg_tally_add(struct dvg_tally *t, const float *impostor, int64_t n, int64_t *group,
                   const int32_t *group_of) {
  enum { BLOCK = 512 };
  for (int64_t i = 0; i < n; i += BLOCK)
    add_block(t, impostor + i, n - i < BLOCK ? (int)(n - i) : BLOCK, group, group_of);
}

void dvg_tally_finish(struct dvg_tally *t) {
  int64_t above = t->impostor[2 * t->n_levels];
  for (int64_t j = t->n_levels - 1; j >= 0; j--) {
    above += t->impostor[2 * j + 1];
    t->accepted[j] = above;
    above += t->impostor[2 * j];
  }
  t->n_impostor = above;
}

// Genuine scores equal to level j.
static int64_t genuine_at(const struct dvg_tally *t, int64_t j) {
  return t->genuine[j] - (j + 1 < t->n_levels ? t->genuine[j + 1] : 0);
}

double dvg_tally_auc(const struct dvg_tally *t) {
  if (t->n_impostor == 0) return NAN;
  // Twice the number of pairs in order, ties counting once: exact in 128 bits.
  unsigned __int128 twice = 0;
  for (int64_t j = 0; j < t->n_levels; j++) {
    int64_t equal = t->impostor[2 * j + 1], below = t->n_impostor - t->accepted[j];
    twice += (unsigned __int128)genuine_at(t, j) * (unsigned __int128)(2 * below + equal);
  }
  return (double)twice / 2 / (double)t->n_genuine / (double)t->n_impostor;
}

// FAR - FRR where `impostor` and `genuine` scores are accepted, times both numbers: exact.
static __int128 balance(const struct dvg_tally *t, int64_t impostor, int64_t genuine) {
  return (__int128)impostor * t->n_genuine - (__int128)(t->n_genuine - genuine) * t->n_impostor;
}

double dvg_tally_eer(const struct dvg_tally *t) {
  if (t->n_impostor == 0) return NAN;
  // Down from the highest threshold: between two levels only FAR grows (a horizontal piece of the ROC), at a
  // level TAR does and, with ties, FAR too. FAR - FRR grows from -1 to 1: the answer lies on the piece where it
  // passes 0.
  int64_t far = 0, tar = 0;
  for (int64_t piece = 2 * t->n_levels; piece >= 0; piece--) {
    int64_t next_far = far + t->impostor[piece], next_tar = piece % 2 ? t->genuine[piece / 2] : tar;
    __int128 here = balance(t, far, tar), there = balance(t, next_far, next_tar);
    if (there >= 0) {
      double part = there > here ? (double)-here / (double)(there - here) : 0;
      return ((double)far + part * (double)(next_far - far)) / (double)t->n_impostor;
    }
    far = next_far;
    tar = next_tar;
  }
  return NAN; // not reached: all accepted, FAR - FRR is 1
}

int dvg_far_measurable(double far, int64_t n_impostor) {
  return n_impostor > 0 && 1.0 / (double)n_impostor <= far && far <= 1;
}

static struct dvg_operating_point point_at(const struct dvg_tally *t, int64_t n_accepted) {
  int64_t low = 0, high = t->n_levels; // the first level at which no more than n_accepted impostors pass
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (t->accepted[middle] > n_accepted) low = middle + 1;
    else high = middle;
  }
  struct dvg_operating_point p = {.threshold = NAN};
  p.far = (double)n_accepted / (double)t->n_impostor;
  if (low < t->n_levels) {
    p.far_there = (double)t->accepted[low] / (double)t->n_impostor;
    p.tar = (double)t->genuine[low] / (double)t->n_genuine;
    p.threshold = t->level[low];
  }
  return p;
}

struct dvg_operating_point dvg_tally_at_far(const struct dvg_tally *t, double far) {
  // The most impostors whose share is <= far, by the quotient and not by the product: 0.29 * 100 is below
  // 29, 29.0 / 100 is 0.29.
  double n = (double)t->n_impostor;
  int64_t count = (int64_t)(far * n);
  while (count < t->n_impostor && (double)(count + 1) / n <= far) count++;
  while (count > 0 && (double)count / n > far) count--;
  struct dvg_operating_point p = point_at(t, count);
  p.far = far;
  return p;
}

struct dvg_operating_point dvg_tally_beyond_far(const struct dvg_tally *t, double far) {
  const double n = (double)t->n_impostor;
  // Down through the counters, as in dvg_tally_eer, to the first score that lets in too many. Of scores between
  // two levels it's the first that matters: genuine ones are none among them.
  int64_t accepted = 0;
  for (int64_t piece = 2 * t->n_levels; piece >= 0; piece--) {
    const int64_t there = t->impostor[piece], level = piece / 2; // odd: equal to level; even: right below level
    if ((double)(accepted + there) / n <= far) {
      accepted += there;
      continue;
    }
    const int64_t genuine = level < t->n_levels ? t->genuine[level] : 0;
    return (struct dvg_operating_point){far, NAN, (double)genuine / (double)t->n_genuine,
                                        level < t->n_levels ? (double)t->level[level] : NAN};
  }
  return (struct dvg_operating_point){far, 1, 1, t->level[0]};
}

static int64_t next_count(int64_t count, int64_t n) {
  int64_t next = (int64_t)ceil((double)count * pow(10, 1.0 / POINTS_A_DECADE));
  if (next <= count) next = count + 1;
  return next < n ? next : n;
}

enum dvg_status dvg_tally_roc(struct dvg_operating_point **points, int64_t *n, const struct dvg_tally *t) {
  int64_t n_points = 1;
  for (int64_t count = 0; count < t->n_impostor; count = next_count(count, t->n_impostor)) n_points++;
  DVG_TRY(DVG_NEW(points, n_points, "points of the ROC"));
  int64_t count = 0;
  for (int64_t i = 0; i < n_points; i++) {
    (*points)[i] = point_at(t, count);
    count = next_count(count, t->n_impostor);
  }
  *n = n_points;
  return DVG_OK;
}

double dvg_rank_rate(const int64_t *place, int64_t n, int64_t k) {
  int64_t n_right = 0, n_asked = 0;
  for (int64_t i = 0; i < n; i++) {
    n_asked += place[i] > 0;
    n_right += place[i] > 0 && place[i] <= k;
  }
  return n_asked ? (double)n_right / (double)n_asked : NAN;
}
