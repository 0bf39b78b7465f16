// Optimisers against steps worked out by hand and a double reference that keeps its own state.
#include <math.h>
#include <string.h>

#include "common/nn/optimizer.h"
#include "tests/check.h"

enum { N = 1003, STEPS = 50 };

// w = 1, gradient always 0.5, rate 0.1, momentum 0.9, decay 0.2:
// 1: g = 0.5 + 0.2 = 0.7;         v = 0.7;                   w = 1 - 0.07 = 0.93
// 2: g = 0.5 + 0.186 = 0.686;     v = 0.63 + 0.686 = 1.316;  w = 0.93 - 0.1316 = 0.7984
// 3: g = 0.5 + 0.15968 = 0.65968; v = 1.1844 + 0.65968 = 1.84408; w = 0.7984 - 0.184408 = 0.613992
static void sgd_by_hand(void) {
  const struct dvg_sgd o = {.rate = 0.1, .momentum = 0.9, .weight_decay = 0.2};
  const double w_want[3] = {0.93, 0.7984, 0.613992}, v_want[3] = {0.7, 1.316, 1.84408};
  float w = 1, v = 0;
  const float g = 0.5f;
  for (int s = 0; s < 3; s++) {
    dvg_sgd_step(&o, &w, &v, &g, 1);
    CHECK_CLOSE("sgd w", &w, &w_want[s], 1, 2e-7);
    CHECK_CLOSE("sgd v", &v, &v_want[s], 1, 2e-7);
  }
}

// Without momentum and decay it is plain descent.
static void sgd_plain(void) {
  const struct dvg_sgd o = {.rate = 0.25, .momentum = 0, .weight_decay = 0};
  float w[3] = {1, 2, 3}, v[3] = {9, 9, 9};
  const float g[3] = {4, -4, 0};
  const double want[3] = {0, 3, 3};
  dvg_sgd_step(&o, w, v, g, 3);
  CHECK_CLOSE("plain sgd", w, want, 3, 0);
}

static void sgd_reference(void) {
  const struct dvg_sgd o = {.rate = 1e-2, .momentum = 0.9, .weight_decay = 2e-4};
  static float w[N], v[N], g[N];
  static double w_want[N], v_want[N];
  dvg_test_fill(w, N, 1, 1.0f);
  memset(v, 0, sizeof v);
  for (int i = 0; i < N; i++) w_want[i] = (double)w[i], v_want[i] = 0;
  for (int s = 0; s < STEPS; s++) {
    dvg_test_fill(g, N, 100 + (uint64_t)s, 1.0f);
    dvg_sgd_step(&o, w, v, g, N);
    for (int i = 0; i < N; i++) {
      v_want[i] = o.momentum * v_want[i] + (double)g[i] + o.weight_decay * w_want[i];
      w_want[i] -= o.rate * v_want[i];
    }
  }
  CHECK_CLOSE("sgd v after 50", v, v_want, N, 1e-6); // 50 roundings of 6e-8, most of them smaller
  CHECK_CLOSE("sgd w after 50", w, w_want, N, 2e-6);
}

// w = 1, gradients 2 then -1, rate 0.1, betas 0.5 and 0.75, eps 0.5, no decay:
// 1: m = 1, v = 1; m / (1-0.5) = 2, v / (1-0.75) = 4; w = 1 - 0.1 * 2 / (2 + 0.5) = 0.92
// 2: m = 0.5 - 0.5 = 0, v = 0.75 + 0.25 = 1; m^ = 0; w stays 0.92
// 3 (gradient 1): m = 0.5, v = 0.75 + 0.25 = 1; m / (1 - 0.125) = 0.5714285714285714,
//    v / (1 - 0.421875) = 1.7297297297297298, its root 1.3151918984428583; w = 0.92 - 0.1 * 0.5714285714285714
//    / 1.8151918984428583 = 0.92 - 0.03148033946 = 0.88851966054
static void adam_by_hand(void) {
  const struct dvg_adam o = {.rate = 0.1, .beta1 = 0.5, .beta2 = 0.75, .eps = 0.5, .weight_decay = 0};
  const double w_want[3] = {0.92, 0.92, 0.88851966054}, m_want[3] = {1, 0, 0.5}, v_want[3] = {1, 1, 1};
  const float g[3] = {2, -1, 1};
  float w = 1, m = 0, v = 0;
  for (int s = 0; s < 3; s++) {
    dvg_adam_step(&o, &w, &m, &v, &g[s], 1, s + 1);
    CHECK_CLOSE("adam w", &w, &w_want[s], 1, 2e-7);
    CHECK_CLOSE("adam m", &m, &m_want[s], 1, 1e-7);
    CHECK_CLOSE("adam v", &v, &v_want[s], 1, 1e-7);
  }
}

// The decay goes into the gradient (not AdamW): g = 0 + 0.5 * 2 = 1, so m = 0.5, v = 0.25 and the step is rate
// * 1 / (1 + 0).
static void adam_decay(void) {
  const struct dvg_adam o = {.rate = 0.125, .beta1 = 0.5, .beta2 = 0.75, .eps = 0, .weight_decay = 0.5};
  float w = 2, m = 0, v = 0;
  const float g = 0;
  dvg_adam_step(&o, &w, &m, &v, &g, 1, 1);
  CU_ASSERT_TRUE(w == 1.875f && m == 0.5f && v == 0.25f);
}

// The first step is the rate, whatever the size of the gradient: that holds down to where g^2 leaves float.
static void adam_first_step(void) {
  const struct dvg_adam o = {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 0, .weight_decay = 0};
  float w[5] = {0}, m[5] = {0}, v[5] = {0};
  const float g[5] = {1e-15f, -1e-3f, 1, 1e6f, -1e15f};
  const double want[5] = {-1e3, 1e3, -1e3, -1e3, 1e3}; // in millionths
  dvg_adam_step(&o, w, m, v, g, 5, 1);
  for (int i = 0; i < 5; i++) w[i] *= 1e6f;
  CHECK_CLOSE("adam's first step", w, want, 5, 1e-6);
}

static void adam_reference(void) {
  const struct dvg_adam o = {.rate = 2e-4, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4};
  static float w[N], m[N], v[N], g[N];
  static double w_want[N], m_want[N], v_want[N];
  dvg_test_fill(w, N, 2, 0.1f);
  memset(m, 0, sizeof m), memset(v, 0, sizeof v);
  for (int i = 0; i < N; i++) w_want[i] = (double)w[i], m_want[i] = 0, v_want[i] = 0;
  double moved = 0;
  for (int64_t s = 1; s <= STEPS; s++) {
    dvg_test_fill(g, N, 200 + (uint64_t)s, 0.01f);
    dvg_adam_step(&o, w, m, v, g, N, s);
    for (int i = 0; i < N; i++) {
      const double d = (double)g[i] + o.weight_decay * w_want[i];
      m_want[i] = o.beta1 * m_want[i] + (1 - o.beta1) * d;
      v_want[i] = o.beta2 * v_want[i] + (1 - o.beta2) * d * d;
      const double m_hat = m_want[i] / (1 - pow(o.beta1, (double)s)),
                   v_hat = v_want[i] / (1 - pow(o.beta2, (double)s));
      const double step = o.rate * m_hat / (sqrt(v_hat) + o.eps);
      w_want[i] -= step;
      moved = fmax(moved, fabs(step));
    }
  }
  // Weights near 0.3 are rounded 50 times by 1.5e-8; a wrong correction would be off by parts of the 2e-4 of
  // one step.
  CU_ASSERT_TRUE(moved > 1e-4);
  CHECK_CLOSE("adam w after 50", w, w_want, N, 3e-7);
  for (int i = 0; i < N; i++)
    m[i] *= 100, v[i] *= 1e4f, m_want[i] *= 100, v_want[i] *= 1e4; // to the scale of 1
  CHECK_CLOSE("adam m after 50", m, m_want, N, 1e-6);
  CHECK_CLOSE("adam v after 50", v, v_want, N, 1e-6);
}

// A continuation from stored state is bit-equal, and a parameter's step does not depend on where in the array
// it stands.
static void same_bits_in_parts(void) {
  const struct dvg_adam a = {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4};
  const struct dvg_sgd o = {.rate = 1e-3, .momentum = 0.9, .weight_decay = 1e-4};
  static float w[2][N], m[2][N], v[2][N], g[N];
  for (int k = 0; k < 2; k++) {
    dvg_test_fill(w[k], N, 3, 1.0f), dvg_test_fill(m[k], N, 4, 1.0f), dvg_test_fill(v[k], N, 5, 1.0f);
    for (int i = 0; i < N; i++) v[k][i] = fabsf(v[k][i]);
  }
  dvg_test_fill(g, N, 6, 1.0f);
  dvg_adam_step(&a, w[0], m[0], v[0], g, N, 7);
  dvg_sgd_step(&o, w[0], m[0], g, N);
  for (int i = 0; i < N; i += 17) {
    const int n = N - i < 17 ? N - i : 17;
    dvg_adam_step(&a, w[1] + i, m[1] + i, v[1] + i, g + i, n, 7);
    dvg_sgd_step(&o, w[1] + i, m[1] + i, g + i, n);
  }
  CU_ASSERT_TRUE(!memcmp(w[0], w[1], sizeof w[0]) && !memcmp(m[0], m[1], sizeof m[0]) &&
                 !memcmp(v[0], v[1], sizeof v[0]));
}

static void nan_stays(void) {
  const struct dvg_adam a = {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0};
  const struct dvg_sgd o = {.rate = 1e-3, .momentum = 0.9, .weight_decay = 0};
  float w[2] = {1, 1}, m[2] = {0}, v[2] = {0};
  const float g[2] = {NAN, 1};
  dvg_adam_step(&a, w, m, v, g, 2, 1);
  CU_ASSERT_TRUE(isnan(w[0]) && isnan(m[0]) && isnan(v[0]) && !isnan(w[1]));
  w[0] = m[0] = 0;
  dvg_sgd_step(&o, w, m, g, 2);
  CU_ASSERT_TRUE(isnan(w[0]) && isnan(m[0]) && !isnan(w[1]));
}

const struct dvg_test dvg_tests[] = {{"sgd: by hand", sgd_by_hand},
                                     {"sgd: plain", sgd_plain},
                                     {"sgd: reference", sgd_reference},
                                     {"adam: by hand", adam_by_hand},
                                     {"adam: weight decay", adam_decay},
                                     {"adam: first step", adam_first_step},
                                     {"adam: reference", adam_reference},
                                     {"the same bits in parts", same_bits_in_parts},
                                     {"NaN stays", nan_stays},
                                     {NULL, NULL}};
