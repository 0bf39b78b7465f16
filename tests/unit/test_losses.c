// Losses against literal values worked out by hand, naive double references, and central differences.
#include <math.h>
#include <string.h>

#include "common/nn/losses.h"
#include "tests/check.h"

// Sums are double, so only the single terms carry float errors.
static void check_value(const char *what, double got, double want, double tolerance) {
  const float difference =
      (float)(got - want); // dvg_check_close takes floats: give it what is left of the doubles
  const double zero = 0;
  CU_ASSERT_TRUE(dvg_check_close(what, &difference, &zero, 1, tolerance * fmax(1, fabs(want))));
}

// ---- by hand

static void l1_by_hand(void) {
  const float a[4] = {1, 2, 3, -4}, b[4] = {0.5f, 2, 5, -1};
  float da[4] = {1, 1, 1, 1}, db[4] = {0};
  check_value("l1", dvg_loss_l1(da, db, a, b, 4, 0.5), 2.75, 0); // (0.5 + 0 + 2 + 3) / 2
  const double da_want[4] = {1.5, 1, 0.5, 0.5}, db_want[4] = {-0.5, 0, 0.5, 0.5};
  CHECK_CLOSE("l1 da", da, da_want, 4, 0);
  CHECK_CLOSE("l1 db", db, db_want, 4, 0);
}

static const float rows_a[6] = {1, 2, 3, 4, 5, 6}, rows_b[6] = {1, 0, -1, -2, 1, 0.5f};
// <a_0, b_0> = 1 - 3 = -2; <a_1, b_1> = -8 + 5 + 3 = 0; <a_0, b_1> = -2 + 2 + 1.5 = 1.5; <a_1, b_0> = 4 - 6 =
// -2

static void dot_by_hand(void) {
  float da[6] = {10, 10, 10, 10, 10, 10}, db[6] = {0};
  check_value("dot", dvg_loss_dot(da, db, rows_a, rows_b, 2, 3, -0.5), 1, 0);
  const double da_want[6] = {9.5, 10, 10.5, 11, 9.5, 9.75}, db_want[6] = {-0.5, -1, -1.5, -2, -2.5, -3};
  CHECK_CLOSE("dot da", da, da_want, 6, 0);
  CHECK_CLOSE("dot db", db, db_want, 6, 0);
}

static void abs_dot_by_hand(void) {
  float da[6] = {0}, db[6] = {1, 1, 1, 1, 1, 1};
  check_value("abs dot", dvg_loss_abs_dot(da, db, rows_a, rows_b, 2, 3, 2), 4, 0);
  const double da_want[6] = {-2, 0, 2, 0, 0, 0}, db_want[6] = {-1, -3, -5, 1, 1, 1}; // row 1: |0| has no slope
  CHECK_CLOSE("abs dot da", da, da_want, 6, 0);
  CHECK_CLOSE("abs dot db", db, db_want, 6, 0);
}

static void hinge_dot_by_hand(void) {
  // Row 0 meets b_1: 1.5 - 0.5 = 1 counts; row 1 meets b_0: -2 - 0.5 doesn't.
  const int64_t crossed[2] = {1, 0}, same[2] = {1, 1};
  float da[6] = {0}, db[6] = {0};
  check_value("hinge", dvg_loss_hinge_dot(da, db, rows_a, rows_b, crossed, 2, 3, 0.5, 3), 3, 0);
  const double da_want[6] = {-6, 3, 1.5, 0, 0, 0}, db_want[6] = {0, 0, 0, 3, 6, 9};
  CHECK_CLOSE("hinge da", da, da_want, 6, 0);
  CHECK_CLOSE("hinge db", db, db_want, 6, 0);
  // Both meet b_1 under a margin of -1: 2.5 + 1; its gradient is the sum of both rows.
  float da2[6] = {0}, db2[6] = {0};
  check_value("hinge, shared", dvg_loss_hinge_dot(da2, db2, rows_a, rows_b, same, 2, 3, -1, 1), 3.5, 0);
  const double db2_want[6] = {0, 0, 0, 5, 7, 9};
  CHECK_CLOSE("hinge, shared db", db2, db2_want, 6, 0);
  // Exactly at the margin: nothing.
  float da3[6] = {0};
  check_value("hinge at the margin", dvg_loss_hinge_dot(da3, NULL, rows_a, rows_b, crossed, 2, 3, 1.5, 1), 0,
              0);
  for (int i = 0; i < 6; i++) CU_ASSERT_EQUAL(da3[i], 0);
}

static void softmax_by_hand(void) {
  // log(e + e^2 + e^3) = 3.407605964444380; minus the label's 2 and 3. Softmax of (1, 2, 3): 0.0900...,
  // 0.2447..., 0.6652...
  const float x[6] = {1, 2, 3, 1, 2, 3};
  const int64_t labels[2] = {1, 2};
  float dx[6] = {1, 1, 1, 0, 0, 0};
  check_value("softmax", dvg_loss_softmax(dx, x, labels, 2, 3, 0.5), 0.5 * 1.815211928888760, 1e-7);
  const double want[6] = {1.045015286585087,  0.622364235527399, 1.332620477887091,
                          0.0450152865850869, 0.122364235527399, -0.167379522112909};
  CHECK_CLOSE("softmax dx", dx, want, 6, 1e-7);
  const float uniform[4] = {7, 7, 7, 7};
  const int64_t any = 3;
  check_value("softmax of equals", dvg_loss_softmax(NULL, uniform, &any, 1, 4, 1), 1.386294361119891, 1e-12);
  float one = 5, done = 0;
  const int64_t only = 0;
  check_value("softmax of one class", dvg_loss_softmax(&done, &one, &only, 1, 1, 1), 0, 0);
  CU_ASSERT_EQUAL(done, 0);
}

static void kl_by_hand(void) {
  // (4 + 1 - 0 - 1)/2 = 2; (0 + e - 1 - 1)/2 = 0.359140914229523; (1 + 1/e + 1 - 1)/2 = 0.683939720585721
  const float mu[3] = {2, 0, -1}, logvar[3] = {0, 1, -1};
  float dmu[3] = {0}, dlogvar[3] = {1, 1, 1};
  check_value("kl", dvg_loss_kl(dmu, dlogvar, mu, logvar, 3, 2), 6.086161269630488, 1e-14);
  const double dmu_want[3] = {4, 0, -2}, dlogvar_want[3] = {1, 2.718281828459045, 0.367879441171442};
  CHECK_CLOSE("kl dmu", dmu, dmu_want, 3, 1e-7);
  CHECK_CLOSE("kl dlogvar", dlogvar, dlogvar_want, 3, 1e-7);
  // Beyond the clamp: the value of +-20, no gradient; at the clamp, the inside's.
  const float zero[4] = {0}, far[4] = {25, -25, 20, -20};
  float d[4] = {0};
  const double up = 0.5 * (exp(20) - 21), down = 0.5 * (exp(-20) + 19);
  check_value("kl clamped", dvg_loss_kl(NULL, d, zero, far, 4, 1e-6), 2e-6 * (up + down), 1e-13);
  const double d_want[4] = {0, 0, 0.5e-6 * (exp(20) - 1), 0.5e-6 * (exp(-20) - 1)};
  CHECK_CLOSE("kl clamped gradient", d, d_want, 4, 1e-7);
  CU_ASSERT_TRUE(d[3] < 0); // too small to show among the others
}

static void softplus_by_hand(void) {
  // log 2 = 0.693147180559945; log(1 + e) = 1.313261687518223; log(1 + 1/e) = 0.313261687518223; slopes 1/2,
  // e/(1+e), 1/(1+e)
  const float x[3] = {0, 1, -1};
  float dx[3] = {1, 0, 0};
  check_value("softplus", dvg_loss_softplus(dx, x, 3, 1, 2), 4.639341111192782, 1e-14);
  const double want[3] = {2, 1.462117157260010, 0.537882842739990};
  CHECK_CLOSE("softplus dx", dx, want, 3, 1e-7);
  float d[3] = {0};
  check_value("softplus of -x", dvg_loss_softplus(d, x, 2, -1, 1), 1.006408868078168, 1e-14);
  const double d_want[3] = {-0.5, -0.268941421369995, 0};
  CHECK_CLOSE("softplus dx of -x", d, d_want, 3, 1e-7);
  const float far[4] = {3e38f, -3e38f, 100, -100}; // e^100 is no float, e^-100 not zero
  float far_d[4] = {0};
  check_value("softplus, huge", dvg_loss_softplus(far_d, far, 1, 1, 1), (double)3e38f, 0);
  check_value("softplus, huge and right", dvg_loss_softplus(far_d + 1, far + 1, 1, 1, 1), 0, 0);
  check_value("softplus, far", dvg_loss_softplus(far_d + 2, far + 2, 1, 1, 1), 100, 0);
  check_value("softplus, far and right", 1e43 * dvg_loss_softplus(far_d + 3, far + 3, 1, 1, 1),
              0.372007597602084, 1e-12);
  CU_ASSERT(far_d[0] == 1 && far_d[1] == 0 && far_d[2] == 1 && far_d[3] >= 0 && far_d[3] < 1e-40f);
}

// ---- extremes

static void softmax_extremes(void) {
  const int64_t first = 0, second = 1;
  const float far[2] = {1000, -1000};
  float d[2] = {0};
  check_value("softmax, sure and right", dvg_loss_softmax(NULL, far, &first, 1, 2, 1), 0, 0);
  check_value("softmax, sure and wrong", dvg_loss_softmax(d, far, &second, 1, 2, 1), 2000, 0);
  CU_ASSERT_TRUE(d[0] == 1 && d[1] == -1);
  const float near[2] = {10, -10}; // log(1 + e^-20): lost if the sum were a float
  check_value("softmax, nearly sure", 1e9 * dvg_loss_softmax(NULL, near, &first, 1, 2, 1), 2.0611536181902037,
              1e-5);
  for (int64_t at = 0; at < 40; at++) { // wherever the largest stands
    float x[40] = {0};
    x[at] = 1000;
    check_value("softmax, one stands out", dvg_loss_softmax(NULL, x, &at, 1, 40, 1), 0, 0);
  }
  const float huge[3] = {3e38f, 3e38f, -3e38f};
  check_value("softmax, huge", dvg_loss_softmax(NULL, huge, &first, 1, 3, 1), 0.693147180559945, 1e-12);
}

static void nan_stays(void) {
  enum { n = 40 };
  static float a[n], b[n], da[n], db[n];
  for (int at = 0; at < n; at += 3) {
    dvg_test_fill(a, n, 1, 1.0f), dvg_test_fill(b, n, 2, 1.0f);
    memset(da, 0, sizeof da), memset(db, 0, sizeof db);
    a[at] = NAN;
    const int64_t self = 0;
    CU_ASSERT_TRUE(isnan(dvg_loss_l1(da, NULL, a, b, n, 1)) && isnan(da[at]));
    CU_ASSERT_TRUE(isnan(dvg_loss_dot(NULL, db, a, b, 1, n, 1)) && isnan(db[at]));
    CU_ASSERT_TRUE(isnan(dvg_loss_abs_dot(da, NULL, a, b, 1, n, 1)) && isnan(da[n - 1]));
    memset(db, 0, sizeof db);
    CU_ASSERT_TRUE(isnan(dvg_loss_hinge_dot(NULL, db, a, b, &self, 1, n, 0.5, 1)) && isnan(db[at]));
    memset(da, 0, sizeof da);
    CU_ASSERT_TRUE(isnan(dvg_loss_softmax(da, a, &self, 1, n, 1)) && isnan(da[n - 1]));
    memset(da, 0, sizeof da), memset(db, 0, sizeof db);
    CU_ASSERT_TRUE(isnan(dvg_loss_kl(da, NULL, a, b, n, 1)) && isnan(da[at]));
    CU_ASSERT_TRUE(isnan(dvg_loss_kl(NULL, db, b, a, n, 1)) && isnan(db[at]));
    memset(da, 0, sizeof da);
    CU_ASSERT_TRUE(isnan(dvg_loss_softplus(da, a, n, -1, 1)) && isnan(da[at]));
  }
}

// ---- references and difference quotients, at sizes about the number of lanes

enum { MAX = 3 * 1100 };
static float a[MAX], b[MAX], da[MAX], db[MAX], base[MAX];
static double da_want[MAX], db_want[MAX];
static int64_t N, C, idx[3];
static const double weight = 0.7, margin = 0.5;

enum kind { L1, DOT, ABS_DOT, HINGE, SOFTMAX, KL, KINDS };
static const char *const names[KINDS] = {"l1", "dot", "abs dot", "hinge dot", "softmax", "kl"};

static double loss(enum kind kind, float *d_a, float *d_b) {
  switch (kind) {
  case L1:
    return dvg_loss_l1(d_a, d_b, a, b, N * C, weight);
  case DOT:
    return dvg_loss_dot(d_a, d_b, a, b, N, C, weight);
  case ABS_DOT:
    return dvg_loss_abs_dot(d_a, d_b, a, b, N, C, weight);
  case HINGE:
    return dvg_loss_hinge_dot(d_a, d_b, a, b, idx, N, C, margin, weight);
  case SOFTMAX:
    return dvg_loss_softmax(d_a, a, idx, N, C, weight);
  default:
    return dvg_loss_kl(d_a, d_b, a, b, N * C, weight);
  }
}
static double value(void *kind) {
  return loss(*(enum kind *)kind, NULL, NULL);
}

// For the elementwise two.
static double reference_elements(enum kind kind) {
  double sum = 0;
  for (int64_t i = 0; i < N * C; i++) {
    const double x = (double)a[i], y = (double)b[i];
    sum += kind == L1 ? fabs(x - y) : 0.5 * (x * x + exp(y) - y - 1);
    da_want[i] = weight * (kind == L1 ? (x > y) - (x < y) : x);
    db_want[i] = weight * (kind == L1 ? (x < y) - (x > y) : 0.5 * (exp(y) - 1));
  }
  return weight * sum;
}

static double reference_softmax(void) {
  double loss_sum = 0;
  for (int64_t i = 0; i < N; i++) {
    double sum = 0;
    for (int64_t j = 0; j < C; j++) sum += exp((double)a[i * C + j]);
    loss_sum += log(sum) - (double)a[i * C + idx[i]];
    for (int64_t j = 0; j < C; j++)
      da_want[i * C + j] = weight * (exp((double)a[i * C + j]) / sum - (j == idx[i]));
  }
  return weight * loss_sum;
}

static double reference_rows(enum kind kind) {
  double loss_sum = 0;
  memset(db_want, 0, sizeof db_want);
  for (int64_t i = 0; i < N; i++) {
    const int64_t other = kind == HINGE ? idx[i] : i;
    double dot = 0;
    for (int64_t j = 0; j < C; j++) dot += (double)a[i * C + j] * (double)b[other * C + j];
    const double slope = kind == DOT ? 1 : kind == ABS_DOT ? (dot > 0) - (dot < 0) : dot > margin;
    loss_sum += kind == DOT ? dot : kind == ABS_DOT ? fabs(dot) : fmax(0, dot - margin);
    for (int64_t j = 0; j < C; j++) {
      da_want[i * C + j] = weight * slope * (double)b[other * C + j];
      db_want[other * C + j] += weight * slope * (double)a[i * C + j];
    }
  }
  return weight * loss_sum;
}

static void check_kind(enum kind kind) {
  const int64_t n = N * C;
  const double want = kind == L1 || kind == KL ? reference_elements(kind)
                      : kind == SOFTMAX        ? reference_softmax()
                                               : reference_rows(kind);
  check_value(names[kind], loss(kind, NULL, NULL), want, 1e-7);
  memset(da, 0, sizeof da), memset(db, 0, sizeof db);
  // Each gradient alone and both together are the same, and asking for gradients doesn't change the value.
  CU_ASSERT_EQUAL(loss(kind, da, NULL), loss(kind, NULL, db));
  CHECK_CLOSE(names[kind], da, da_want, n, 1e-6);
  if (kind != SOFTMAX) CHECK_CLOSE(names[kind], db, db_want, n, 1e-6);
  double h = 1e-2;
  // Values of up to a few hundred in double of float inputs: only the curvature, h^2 / 6 of the third
  // derivative, is left.
  CU_ASSERT_TRUE(dvg_check_gradient(names[kind], da, a, n, h, 1e-4, value, &kind));
  if (kind != SOFTMAX) CU_ASSERT_TRUE(dvg_check_gradient(names[kind], db, b, n, h, 1e-4, value, &kind));
  memcpy(da, base, sizeof da), memcpy(db, base, sizeof db);
  loss(kind, da, db);
  for (int64_t i = 0; i < n; i++) da_want[i] += (double)base[i], db_want[i] += (double)base[i];
  CHECK_CLOSE(names[kind], da, da_want, n, 1e-6);
  if (kind != SOFTMAX) CHECK_CLOSE(names[kind], db, db_want, n, 1e-6);
  for (int64_t i = n; i < MAX; i++) CU_ASSERT_TRUE(da[i] == base[i] && db[i] == base[i]);
}

static void against_references(void) {
  const int64_t shapes[6][2] = {{1, 1}, {1, 15}, {3, 16}, {2, 37}, {3, 256}, {3, 1100}};
  for (int k = 0; k < 6; k++)
    for (int kind = 0; kind < KINDS; kind++) {
      N = shapes[k][0], C = shapes[k][1];
      dvg_test_fill(a, MAX, 3 + (uint64_t)k, 1.0f), dvg_test_fill(b, MAX, 30 + (uint64_t)k, 1.0f);
      dvg_test_fill(base, MAX, 4, 1.0f);
      for (int64_t i = 0; i < N; i++) idx[i] = kind == SOFTMAX ? (7 * i + 3) % C : (i + 1) % N;
      if (kind == L1) // away from the kink
        for (int64_t i = 0; i < N * C; i++) b[i] = a[i] + (b[i] > 0 ? 0.1f : -0.1f) + 0.5f * b[i];
      check_kind((enum kind)kind);
    }
}

// A million terms of 1 + 1e-4: a float sum would be off by far more.
static void summed_in_double(void) {
  enum { n = 1 << 20 };
  static float big[n], zero[n];
  for (int i = 0; i < n; i++) big[i] = 1.0001f;
  check_value("l1 of many", dvg_loss_l1(NULL, NULL, big, zero, n, 1), (double)n * (double)1.0001f, 1e-13);
  check_value("dot of many", dvg_loss_dot(NULL, NULL, big, big, 1024, 1024, 1),
              (double)n * (double)1.0001f * (double)1.0001f, 1e-13);
}

const struct dvg_test dvg_tests[] = {{"l1: by hand", l1_by_hand},
                                     {"dot: by hand", dot_by_hand},
                                     {"abs dot: by hand", abs_dot_by_hand},
                                     {"hinge dot: by hand", hinge_dot_by_hand},
                                     {"softmax: by hand", softmax_by_hand},
                                     {"softmax: extremes", softmax_extremes},
                                     {"kl: by hand", kl_by_hand},
                                     {"softplus: by hand", softplus_by_hand},
                                     {"against references", against_references},
                                     {"summed in double", summed_in_double},
                                     {"NaN stays", nan_stays},
                                     {NULL, NULL}};
