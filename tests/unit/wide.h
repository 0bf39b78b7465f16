// The elementwise passes of common/nn for one instruction set against those that the loader chose for this CPU:
// the same bits. A test sets WIDE (lanes.h) to the attributes of its instruction set and CAN_RUN to whether this CPU
// has it, includes this and is complete. The sources come in here under names of their own.
#ifndef DVG_TESTS_UNIT_WIDE_H
#define DVG_TESTS_UNIT_WIDE_H

#ifndef CAN_RUN
#define CAN_RUN 1
#endif

#define dvg_mfm_forward own_mfm_forward
#define dvg_mfm_backward own_mfm_backward
#define dvg_pool_forward own_pool_forward
#define dvg_pool_backward own_pool_backward
#define dvg_pool_mfm_codes own_pool_mfm_codes
#define dvg_pool_mfm_backward own_pool_mfm_backward
#define dvg_norm_forward own_norm_forward
#define dvg_norm_add_forward own_norm_add_forward
#define dvg_norm_backward own_norm_backward
#define dvg_leaky_relu_forward own_leaky_relu_forward
#define dvg_leaky_relu_backward own_leaky_relu_backward
#define dvg_sigmoid_forward own_sigmoid_forward
#define dvg_sigmoid_backward own_sigmoid_backward
#define dvg_l2_forward own_l2_forward
#define dvg_l2_backward own_l2_backward
#define dvg_dropout_forward own_dropout_forward
#define dvg_dropout_backward own_dropout_backward
#define dvg_gray_forward own_gray_forward
#define dvg_gray_backward own_gray_backward
#define dvg_concat_forward own_concat_forward
#define dvg_concat_backward own_concat_backward
#define dvg_reparam_forward own_reparam_forward
#define dvg_reparam_backward own_reparam_backward
#define dvg_add own_add
#define dvg_accumulate own_accumulate
#define dvg_loss_l1 own_loss_l1
#define dvg_loss_dot own_loss_dot
#define dvg_loss_abs_dot own_loss_abs_dot
#define dvg_loss_hinge_dot own_loss_hinge_dot
#define dvg_loss_softmax own_loss_softmax
#define dvg_loss_kl own_loss_kl
#define dvg_loss_softplus own_loss_softplus
#include "common/nn/layers.c"
#include "common/nn/layers_norm.c"
#include "common/nn/losses.c"
#undef dvg_mfm_forward
#undef dvg_mfm_backward
#undef dvg_pool_forward
#undef dvg_pool_backward
#undef dvg_pool_mfm_codes
#undef dvg_pool_mfm_backward
#undef dvg_norm_forward
#undef dvg_norm_add_forward
#undef dvg_norm_backward
#undef dvg_leaky_relu_forward
#undef dvg_leaky_relu_backward
#undef dvg_sigmoid_forward
#undef dvg_sigmoid_backward
#undef dvg_l2_forward
#undef dvg_l2_backward
#undef dvg_dropout_forward
#undef dvg_dropout_backward
#undef dvg_gray_forward
#undef dvg_gray_backward
#undef dvg_concat_forward
#undef dvg_concat_backward
#undef dvg_reparam_forward
#undef dvg_reparam_backward
#undef dvg_add
#undef dvg_accumulate
#undef dvg_loss_l1
#undef dvg_loss_dot
#undef dvg_loss_abs_dot
#undef dvg_loss_hinge_dot
#undef dvg_loss_softmax
#undef dvg_loss_kl
#undef dvg_loss_softplus
#undef DVG_NN_LAYERS_H
#undef DVG_NN_LOSSES_H
#include "common/nn/layers.h" // once more, for the library's
#include "common/nn/losses.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

// Places of a plane: one, less than a register, not a multiple of one, and a few registers.
static const int64_t sizes[] = {1, 3, 17, 35, 64, 1023};
enum { ROWS = 2, CHANNELS = 6, SIDE = 34, N_SIZES = sizeof sizes / sizeof *sizes };
enum { CAPACITY = ROWS * CHANNELS * 1200 };

// What both sides read, and what each of them writes: all of it is compared, so are the places that none may
// touch.
static float x[CAPACITY], other[CAPACITY], dy[CAPACITY];
static struct output {
  float y[CAPACITY], stats[CAPACITY], dx[CAPACITY], dother[CAPACITY];
  double sum, moments[2 * ROWS * CHANNELS];
} want, got;

// With ties, zeros of both signs, a subnormal, infinity and NaN among the values; some planes far from zero.
static void fill_all(int64_t n_places, int special) {
  dvg_test_fill(x, CAPACITY, 1, 1.0f);
  dvg_test_fill(other, CAPACITY, 2, 1.0f);
  dvg_test_fill(dy, CAPACITY, 3, 1.0f);
  for (int64_t i = 0; i < CAPACITY; i++) {
    if (i / n_places % 3 == 1) x[i] += 1000;
    if (i % 7 == 0) other[i] = x[i];
  }
  if (special) {
    const float values[] = {0.0f, -0.0f, 1e-40f, INFINITY, NAN, -90.0f};
    for (int64_t i = 0; i < 6; i++) x[5 * n_places * i % CAPACITY] = values[i];
  }
  dvg_test_fill(want.y, 4 * CAPACITY, 4, 1.0f);
  memcpy(&got, &want, sizeof got);
  want.sum = got.sum = 0;
}

static void compare(const char *what, int64_t n_places) {
  const int same = memcmp(&want, &got, sizeof want) == 0;
  if (!same) printf("%s: other bits for planes of %lld places\n", what, (long long)n_places);
  CU_ASSERT_TRUE(same);
}

// Runs a case with the library's functions into `want` and with our own into `got`.
#define SAME_BITS(what, n_places, special, call)                                                               \
  do {                                                                                                         \
    fill_all(n_places, special);                                                                               \
    {                                                                                                          \
      struct output *o = &want;                                                                                \
      (void)o;                                                                                                 \
      call(dvg);                                                                                               \
    }                                                                                                          \
    {                                                                                                          \
      struct output *o = &got;                                                                                 \
      (void)o;                                                                                                 \
      call(own);                                                                                               \
    }                                                                                                          \
    compare(what, n_places);                                                                                   \
  } while (0)

static void passes(void) {
  for (int special = 0; special <= 1; special++)
    for (int add = 0; add <= 1; add++)
      for (int s = 0; s < N_SIZES; s++) {
        const int64_t S = sizes[s], n = ROWS * CHANNELS * S, half = CHANNELS / 2;
#define MFM(p) p##_mfm_forward(o->y, x, ROWS, half, S), p##_mfm_backward(o->dx, dy, x, ROWS, half, S, add)
        SAME_BITS("mfm", S, special, MFM);
#define LEAKY_RELU(p)                                                                                          \
  p##_leaky_relu_forward(o->y, x, n, 0.2f), p##_leaky_relu_backward(o->dx, dy, other, n, 0.2f, add)
        SAME_BITS("leaky relu", S, special, LEAKY_RELU);
#define SIGMOID(p) p##_sigmoid_forward(o->y, x, n), p##_sigmoid_backward(o->dx, dy, other, n, add)
        SAME_BITS("sigmoid", S, special, SIGMOID);
#define L2(p)                                                                                                  \
  p##_l2_forward(o->y, o->stats, x, ROWS, n / ROWS),                                                           \
      p##_l2_backward(o->dx, dy, o->y, o->stats, ROWS, n / ROWS, add)
        SAME_BITS("l2", S, special, L2);
#define GRAY(p) p##_gray_forward(o->y, x, NULL, ROWS, S), p##_gray_backward(o->dx, dy, NULL, ROWS, S, add)
        SAME_BITS("gray", S, special, GRAY);
#define FILTERED(p) p##_gray_forward(o->y, x, other, ROWS, S), p##_gray_backward(o->dx, dy, other, ROWS, S, add)
        SAME_BITS("gray, filtered", S, special, FILTERED);
#define ADD(p) p##_add(o->y, x, other, n), p##_accumulate(o->dx, dy, n)
        SAME_BITS("add", S, special, ADD);
      }
}

static void pools(void) {
  for (int special = 0; special <= 1; special++)
    for (int add = 0; add <= 1; add++)
      for (int64_t W = 2; W <= SIDE; W++) {
        const int64_t planes = ROWS * CHANNELS, H = W - W / 3;
#define POOL(p) p##_pool_forward(o->y, x, planes, H, W), p##_pool_backward(o->dx, dy, x, planes, H, W, add)
        SAME_BITS("pool", H * W, special, POOL);
      }
}

static void pooled_maxima(void) {
  signed char winner[SIDE * SIDE];
  for (int i = 0; i < SIDE * SIDE; i++) winner[i] = i * 7 % 5 < 2 ? -1 : 0;
  for (int special = 0; special <= 1; special++)
    for (int64_t W = 2; W <= SIDE; W += 2) {
      const int64_t H = W - W / 3 / 2 * 2;
#define POOLED(p)                                                                                              \
  p##_pool_mfm_codes((signed char *)o->y, x, winner, H, W),                                                    \
      p##_pool_mfm_backward(o->dx, o->dx + H * W, dy, (signed char *)o->y, H, W)
      SAME_BITS("pooled maximum", H * W, special, POOLED);
    }
}

static void norms(void) {
  for (int special = 0; special <= 1; special++)
    for (int add = 0; add <= 1; add++)
      for (int s = 0; s < 2 * N_SIZES; s++) {
        const int64_t S = sizes[s / 2], C = CHANNELS, stride = 2 * C;
        const float *style = s % 2 ? other + 1 : NULL, *base = add ? dy : NULL;
#define NORM(p)                                                                                                \
  p##_norm_add_forward(o->y, o->moments, 0, base, x, style, stride, ROWS, C, S, 0.2f),                              \
      p##_norm_backward(o->dx, style ? o->dother : NULL, dy, x, o->moments, style, stride, ROWS, C, S, 0.2f,     \
                        add)
        SAME_BITS("norm", S, special, NORM);
      }
}

static void losses(void) {
  const int64_t turned[ROWS] = {1, 0};
  for (int special = 0; special <= 1; special++)
    for (int s = 0; s < N_SIZES; s++) {
      const int64_t S = sizes[s];
#define L1(p) o->sum = p##_loss_l1(o->dx, o->dother, x, other, ROWS * S, 0.3)
      SAME_BITS("l1", S, special, L1);
#define DOT(p) o->sum = p##_loss_dot(o->dx, o->dother, x, other, ROWS, S, 0.3)
      SAME_BITS("dot", S, special, DOT);
#define ABS_DOT(p) o->sum = p##_loss_abs_dot(o->dx, o->dother, x, other, ROWS, S, 0.3)
      SAME_BITS("abs dot", S, special, ABS_DOT);
#define HINGE(p) o->sum = p##_loss_hinge_dot(o->dx, o->dother, x, other, turned, ROWS, S, -9, 0.3)
      SAME_BITS("hinge dot", S, special, HINGE);
#define SOFTMAX(p) o->sum = p##_loss_softmax(o->dx, x, (const int64_t[ROWS]){0, S - 1}, ROWS, S, 0.3)
      SAME_BITS("softmax", S, special, SOFTMAX);
    }
}

static void (*const bodies[])(void) = {passes, pools, pooled_maxima, norms, losses};

static void run_body(int i) {
  if (CAN_RUN) bodies[i]();
  else printf("skipped: this CPU can't run it\n");
}
static void same_passes(void) {
  run_body(0);
}
static void same_pools(void) {
  run_body(1);
}
static void same_pooled_maxima(void) {
  run_body(2);
}
static void same_norms(void) {
  run_body(3);
}
static void same_losses(void) {
  run_body(4);
}

const struct dvg_test dvg_tests[] = {{"elementwise passes", same_passes},
                                     {"pool", same_pools},
                                     {"pooled maximum", same_pooled_maxima},
                                     {"norm", same_norms},
                                     {"losses", same_losses},
                                     {NULL, NULL}};

#endif
