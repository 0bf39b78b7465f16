// stages/evaluate/pair_scores: the searches that ranks share, against a plain one in double.
#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/models/models.h"
#include "stages/evaluate/pair_scores.h"
#include "tests/check.h"

enum { C = DVG_CODE, DOMAINS = 2, TRAINED = 70, EVERY = 61 };

static double cosine(const float *a, const float *b) {
  double sum = 0;
  for (int k = 0; k < C; k++) sum += (double)a[k] * b[k];
  return sum;
}

// The largest cosine of row i of `a` to the rows of `b`, not to row `without`.
static double largest(const float *a, int64_t i, const float *b, int64_t n_b, int64_t without) {
  double best = -1;
  for (int64_t j = 0; j < n_b; j++) {
    const double c = cosine(a + i * C, b + j * C);
    if (j != without && c > best) best = c;
  }
  return best;
}

static void unit_vectors(float *x, int64_t n, uint64_t seed) {
  dvg_test_fill(x, n * C, seed, 0.1f);
  for (int64_t i = 0; i < n; i++) {
    const double length = sqrt(cosine(x + i * C, x + i * C));
    for (int k = 0; k < C; k++) x[i * C + k] = (float)(x[i * C + k] / length);
  }
}

// n pairs; every rank knows the vectors, only rank 0 gives them.
static void compare(int64_t n, int trained) {
  const struct dvg_world *w = dvg_test_world();
  float *vector = NULL, *feature = NULL;
  struct dvg_pair_scores s;
  int64_t n_wrong = 0;
  if (DVG_NEW(&vector, (1 + DOMAINS) * n * C, "vectors") != DVG_OK || DVG_NEW(&feature, TRAINED * C, "vectors") != DVG_OK) return;
  unit_vectors(vector, (1 + DOMAINS) * n, 1);
  unit_vectors(feature, TRAINED, 2);
  const struct dvg_training training = {.n = w->rank == 0 ? TRAINED : 0, .feature = w->rank == 0 ? feature : NULL};
  const enum dvg_status status =
      dvg_pair_scores_of(&s, w, w->rank == 0 ? vector : NULL, DOMAINS, n, trained ? &training : NULL);
  CU_ASSERT_EQUAL(status, DVG_OK);
  CU_ASSERT_EQUAL(s.leak != NULL, trained);
  for (int64_t k = 0; k < n + EVERY - 1 && status == DVG_OK; k += EVERY) {
    const int64_t i = k < n ? k : n - 1; // and the last one
    double nearest = -1, leak = -1;
    for (int d = 0; d < DOMAINS; d++) {
      const float *image = vector + (1 + d) * n * C;
      nearest = fmax(nearest, largest(image, i, image, n, i));
      leak = fmax(leak, largest(image, i, feature, TRAINED, -1));
    }
    n_wrong += !(fabs((double)s.nearest[i] - nearest) <= 1e-6);
    if (trained) n_wrong += !(fabs((double)s.leak[i] - leak) <= 1e-6);
  }
  CU_ASSERT_EQUAL(n_wrong, 0);
  dvg_pair_scores_free(&s);
  dvg_free(&vector);
  dvg_free(&feature);
}

static void test_more_than_a_block(void) {
  compare(4200, 0);
}
static void test_training(void) {
  compare(200, 1);
}
static void test_one_tile(void) { // all of it is one rank's
  compare(3, 1);
}
static void test_nobody_else(void) {
  compare(1, 1);
}

const struct dvg_test dvg_tests[] = {{"more than a block", test_more_than_a_block},
                                     {"training identities", test_training},
                                     {"one tile", test_one_tile},
                                     {"nobody else", test_nobody_else},
                                     {NULL, NULL}};
