// The graph engine: gradients of composed networks by central differences, shared memory, planning, errors,
// initialisation by data.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/nn/graph.h"
#include "common/nn/graph_internal.h" // to see that memory is really shared, and what has a gradient
#include "tests/check.h"

// A graph on two parameter sets; the second is for frozen networks.
struct fixture {
  struct dvg_graph *g;
  struct dvg_params params, frozen;
  struct dvg_scope s, t;
};

static void start(struct fixture *f) {
  CHECK_OK(dvg_graph_create(&f->g));
  dvg_params_init(&f->params);
  dvg_params_init(&f->frozen);
  f->s = (struct dvg_scope){&f->params, ""};
  f->t = (struct dvg_scope){&f->frozen, ""};
}

static void end(struct fixture *f) {
  dvg_graph_free(&f->g);
  dvg_params_free(&f->params);
  dvg_params_free(&f->frozen);
}

static enum dvg_status fill_input(void *context, const char *name, struct dvg_shape s, const float *values,
                                  const int64_t *integers) {
  (void)name;
  uint64_t *seed = context;
  if (values) dvg_test_fill((float *)values, dvg_shape_count(s), ++*seed, 1);
  for (int64_t i = 0; integers && i < s.N; i++) ((int64_t *)integers)[i] = (i + 1) % s.N;
  return DVG_OK;
}

// With the seed of the weights no maximum or LeakyReLU turns over inside the steps of check_gradients.
// Plans, gives weights and inputs any values (integers a cyclic shift). Returns whether the graph is usable.
static int plan(struct fixture *f, int training) {
  uint64_t seed = 0;
  enum dvg_status status = dvg_graph_plan(f->g, training);
  CHECK_OK(status);
  if (status != DVG_OK) return 0;
  if (f->params.value) dvg_test_fill(f->params.value, f->params.n_values, 104, 0.5f);
  if (f->frozen.value) dvg_test_fill(f->frozen.value, f->frozen.n_values, 102, 0.5f);
  dvg_params_changed(&f->params);
  dvg_params_changed(&f->frozen);
  CHECK_OK(dvg_graph_each_input(f->g, fill_input, &seed));
  return 1;
}

static double total(void *context) {
  struct fixture *f = context;
  dvg_params_changed(&f->params);
  dvg_graph_forward(f->g);
  double sum = 0;
  for (int64_t i = 0; i < dvg_graph_n_terms(f->g); i++)
    sum += dvg_graph_term_weight(f->g, i) * dvg_graph_terms(f->g)[i];
  return sum;
}

static void run(struct fixture *f) {
  if (f->params.gradient)
    memset(f->params.gradient, 0, (size_t)f->params.n_values * sizeof *f->params.gradient);
  total(f);
  dvg_graph_backward(f->g);
}

// Compares the gradient of every free parameter with central differences; a frozen one's must be untouched.
// The step is small beside what turns a maximum or a LeakyReLU over, and large beside the rounding of the loss
// (1e-7 of ~10, divided by 2e-3). Each parameter must matter: where all quotients are small, nothing would be
// tested.
static void check_gradients_by(double step, double tolerance, struct fixture *f, const char *what) {
  run(f);
  float *gradient;
  CHECK_OK(DVG_NEW(&gradient, f->params.n_values, "gradient"));
  memcpy(gradient, f->params.gradient, (size_t)f->params.n_values * sizeof *gradient);
  for (int64_t i = 0; i < f->params.n_params; i++) {
    const struct dvg_param *p = &f->params.list[i];
    char name[160];
    float largest = 0;
    for (int64_t k = 0; k < p->count; k++) largest = fmaxf(largest, fabsf(gradient[p->first + k]));
    snprintf(name, sizeof name, "%s: %s", what, p->name);
    if (p->frozen) {
      CU_ASSERT_EQUAL(largest, 0);
    } else {
      if (!(largest > 0.3f)) printf("  %s: largest gradient %g\n", name, (double)largest);
      CU_ASSERT(largest > 0.3f);
      CU_ASSERT_TRUE(dvg_check_gradient(name, gradient + p->first, f->params.value + p->first, p->count, step,
                                        tolerance, total, f));
    }
  }
  dvg_free(&gradient);
}

static void check_gradients(struct fixture *f, const char *what) {
  check_gradients_by(1e-3, 1e-2, f, what);
}

static int loss_target(struct fixture *f, int x) {
  struct dvg_shape s = dvg_graph_shape(f->g, x);
  return dvg_graph_input(f->g, "target", s.N, s.C, s.H, s.W);
}
// A loss in which every output counts differently.
static void project(struct fixture *f, const char *name, int x) {
  dvg_graph_loss_dot(f->g, name, x, loss_target(f, x), 1, 1);
}

static int same_values(const struct fixture *a, const struct fixture *b, int node) {
  const int64_t n = dvg_shape_count(dvg_graph_shape(a->g, node));
  return memcmp(dvg_graph_values(a->g, node), dvg_graph_values(b->g, node), (size_t)n * sizeof(float)) == 0;
}

// ---- gradients

static void residual(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 2, 6, 5);
  int a = dvg_graph_conv(f.g, f.s, "first", x, 3, 3, 1, 1);
  int b = dvg_graph_leaky_relu(f.g, dvg_graph_conv(f.g, f.s, "second", a, 3, 3, 1, 1), 0.2f);
  int c = dvg_graph_add(f.g, a, dvg_graph_conv(f.g, f.s, "third", b, 3, 1, 1, 0)); // a is read twice
  int d = dvg_graph_add(f.g, c, c);
  int e = dvg_graph_add(f.g, dvg_graph_conv(f.g, f.s, "fourth", d, 3, 3, 1, 1), d); // the sum may take over d
  project(&f, "loss", e);
  if (plan(&f, 1)) check_gradients(&f, "residual");
  end(&f);
}

// A norm that is only read to be added adds by itself, where it has what it needs: the same values and
// gradients as in two steps.
static void norm_that_adds(void) {
  struct fixture joined, apart; // `apart` keeps the norm's own values
  struct fixture *const both[] = {&joined, &apart};
  int first = 0, second = 0, sum = 0, late = 0;
  for (int k = 0; k < 2; k++) {
    struct fixture *f = both[k];
    start(f);
    int x = dvg_graph_conv(f->g, f->s, "a", dvg_graph_input(f->g, "x", 2, 2, 6, 7), 3, 3, 1, 1);
    first = dvg_graph_norm(f->g, dvg_graph_conv(f->g, f->s, "b", x, 3, 3, 1, 1), -1, 0, 0.2f);
    sum = dvg_graph_add(f->g, x, first);
    second = dvg_graph_norm(f->g, dvg_graph_conv(f->g, f->s, "c", sum, 3, 3, 1, 1), -1, 0, 0.2f);
    late = dvg_graph_add(f->g, dvg_graph_conv(f->g, f->s, "d", second, 3, 3, 1, 1), sum); // no norm is added
    int behind = dvg_graph_conv(f->g, f->s, "e", sum, 3, 1, 1, 0); // computed after the norm it is added to
    late = dvg_graph_add(f->g, late, dvg_graph_add(f->g, behind, dvg_graph_norm(f->g, sum, -1, 0, 0.2f)));
    project(f, "loss", late);
    dvg_graph_keep(f->g, sum);
    dvg_graph_keep(f->g, late);
    if (f == &apart) dvg_graph_keep(f->g, first);
  }
  if (plan(&joined, 1) && plan(&apart, 1)) {
    CU_ASSERT_EQUAL(joined.g->nodes[first].base, joined.g->nodes[sum].in[0]);
    CU_ASSERT_TRUE(apart.g->nodes[first].base < 0 && joined.g->nodes[second].base < 0);
    for (int k = 0; k < 2; k++) {
      dvg_graph_forward(both[k]->g);
      dvg_graph_backward(both[k]->g);
    }
    CU_ASSERT_TRUE(same_values(&joined, &apart, sum) && same_values(&joined, &apart, late));
    CU_ASSERT_EQUAL(
        memcmp(joined.params.gradient, apart.params.gradient, (size_t)apart.params.n_values * sizeof(float)),
        0);
  }
  end(&joined);
  end(&apart);
}

// Operations that could work in place behind some whose backward needs its own output.
static void behind_needed_outputs(void) {
  struct fixture f;
  start(&f);
  struct dvg_graph *g = f.g;
  int x = dvg_graph_input(g, "x", 3, 6, 1, 1);
  int a = dvg_graph_leaky_relu(g, dvg_graph_l2(g, dvg_graph_linear(g, f.s, "a", x, 5, 1)), 0.2f);
  int b = dvg_graph_sigmoid(g, dvg_graph_leaky_relu(g, dvg_graph_linear(g, f.s, "b", x, 5, 1), 0.2f));
  int c = dvg_graph_leaky_relu(g, dvg_graph_sigmoid(g, dvg_graph_linear(g, f.s, "c", x, 5, 1)), 0.2f);
  int d = dvg_graph_l2(g, dvg_graph_linear(g, f.s, "d", x, 5, 1));
  project(&f, "loss", dvg_graph_add(g, dvg_graph_add(g, a, b), dvg_graph_add(g, c, d)));
  if (plan(&f, 1)) check_gradients(&f, "behind needed outputs");
  end(&f);
}

// The same on parts and views of something that others read too.
static void on_parts(void) {
  struct fixture f;
  start(&f);
  struct dvg_graph *g = f.g;
  int a = dvg_graph_linear(g, f.s, "a", dvg_graph_input(g, "x", 4, 6, 1, 1), 6, 1);
  int part = dvg_graph_leaky_relu(g, dvg_graph_rows(g, a, 1, 2), 0.2f);
  int sum = dvg_graph_add(g, part, dvg_graph_rows(g, a, 2, 2));
  int view = dvg_graph_sigmoid(g, dvg_graph_view(g, a, 3, 2, 1));
  project(&f, "part", sum);
  project(&f, "view", view);
  project(&f, "whole", a);
  if (plan(&f, 1)) check_gradients(&f, "on parts");
  end(&f);
}

static void shapes(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 3, 2, 4, 4);
  int a = dvg_graph_conv(f.g, f.s, "a", x, 2, 3, 2, 1);                                 // (3,2,2,2)
  int v = dvg_graph_view(f.g, a, 8, 1, 1);                                              // (3,8)
  int low = dvg_graph_rows(f.g, v, 0, 2), high = dvg_graph_rows(f.g, v, 1, 2);          // they overlap
  int s = dvg_graph_stack(f.g, (int[]){high, low, high}, 3);                            // (6,8), `high` twice
  int some = dvg_graph_rows(f.g, dvg_graph_rows(f.g, s, 1, 4), 1, 3);                   // rows of rows
  int l = dvg_graph_leaky_relu(f.g, dvg_graph_linear(f.g, f.s, "l", some, 5, 1), 0.2f); // (3,5)
  int c = dvg_graph_concat(f.g, l, dvg_graph_concat(f.g, v, v));                        // (3,21)
  project(&f, "loss", dvg_graph_linear(f.g, f.s, "m", c, 4, 0));
  project(&f, "rows", dvg_graph_rows(f.g, c, 2, 1)); // a loss straight on a part
  int n = dvg_graph_concat(f.g, a, dvg_graph_view(f.g, dvg_graph_rows(f.g, s, 3, 3), 2, 2, 2)); // (3,4,2,2)
  project(&f, "image", dvg_graph_conv(f.g, f.s, "n", n, 2, 1, 1, 0));
  if (plan(&f, 1)) check_gradients(&f, "shapes");
  end(&f);
}

// Differences say whether a gradient belongs to a function, not that it is the right one.
static void shapes_have_the_right_values(void) {
  struct fixture f;
  start(&f);
  struct dvg_graph *g = f.g;
  int x = dvg_graph_input(g, "x", 3, 2, 1, 2), code = dvg_graph_input(g, "code", 3, 6, 1, 1);
  int part = dvg_graph_rows(g, dvg_graph_rows(g, x, 1, 2), 1, 1);
  int stack = dvg_graph_stack(g, (int[]){part, x, dvg_graph_rows(g, x, 0, 2)}, 3);
  int view = dvg_graph_view(g, dvg_graph_rows(g, x, 1, 2), 4, 1, 1);
  int both = dvg_graph_concat(g, view, dvg_graph_rows(g, code, 0, 2));
  int styled = dvg_graph_norm(g, x, code, 1, 1); // of two places with values v, v + 1: shift -+ scale
  const int all[] = {part, stack, view, both, styled};
  for (int i = 0; i < 5; i++) dvg_graph_keep(g, all[i]);
  if (plan(&f, 0)) {
    for (int i = 0; i < 12; i++) dvg_graph_values(g, x)[i] = (float)i;
    for (int i = 0; i < 18; i++) dvg_graph_values(g, code)[i] = (float)(100 + i);
    dvg_graph_forward(g);
    CHECK_CLOSE("rows of rows", dvg_graph_values(g, part), ((const double[]){8, 9, 10, 11}), 4, 0);
    double stacked[24], joined[20];
    for (int i = 0; i < 24; i++) stacked[i] = i < 4 ? 8 + i : (i - 4) % 12;
    for (int i = 0; i < 20; i++)
      joined[i] = i % 10 < 4 ? 4 + i % 10 + i / 10 * 4 : 100 + i % 10 - 4 + i / 10 * 6;
    CHECK_CLOSE("stack", dvg_graph_values(g, stack), stacked, 24, 0);
    CHECK_CLOSE("view", dvg_graph_values(g, view), stacked + 8, 8, 0);
    CHECK_CLOSE("concat", dvg_graph_values(g, both), joined, 20, 0);
    double want[12];
    for (int i = 0; i < 12; i++) {
      double shift = 101 + i / 4 * 6 + i % 4 / 2, scale = shift + 2;
      want[i] = shift + (i % 2 ? 1 : -1) * scale * 0.5 / sqrt(0.25 + 1e-5);
    }
    CHECK_CLOSE("style", dvg_graph_values(g, styled), want, 12, 1e-6);
  }
  end(&f);
}

// The same filters with two strides and sizes (one of them uses prepared filters, the other doesn't), the same
// map twice.
static void shared_parameters(void) {
  for (int first_stride = 1; first_stride <= 2; first_stride++) {
    struct fixture f;
    start(&f);
    int x = dvg_graph_input(f.g, "x", 2, 2, 8, 8);
    int a = dvg_graph_conv(f.g, f.s, "conv", x, 2, 3, first_stride, 1);
    int b = dvg_graph_conv(f.g, f.s, "conv", a, 2, 3, 3 - first_stride, 1);
    int y = dvg_graph_linear(f.g, f.s, "linear", b, 32, 1);
    project(&f, "loss", dvg_graph_linear(f.g, f.s, "linear", y, 32, 1));
    CU_ASSERT_EQUAL(f.params.n_params, 4);
    if (plan(&f, 1)) check_gradients(&f, "shared parameters");
    end(&f);
  }
}

static void frozen_in_between(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 3, 8, 8);
  int a = dvg_graph_sigmoid(f.g, dvg_graph_conv(f.g, f.s, "before", x, 3, 3, 1, 1));
  int b = dvg_graph_mfm(f.g, dvg_graph_conv(f.g, f.t, "conv", dvg_graph_gray(f.g, a, -1), 6, 3, 1, 1));
  int c = dvg_graph_norm(f.g, dvg_graph_deconv(f.g, f.t, "deconv", dvg_graph_pool(f.g, b), 2), -1, 0, 0.2f);
  int d = dvg_graph_l2(f.g, dvg_graph_linear(f.g, f.t, "linear", dvg_graph_add(f.g, c, c), 6, 1));
  project(&f, "loss", dvg_graph_linear(f.g, f.s, "after", d, 4, 1));
  project(&f, "frozen", dvg_graph_conv(f.g, f.t, "other", a, 2, 5, 1, 2));
  dvg_params_freeze(&f.frozen, "", 1);
  if (plan(&f, 1)) {
    CU_ASSERT_PTR_NULL(f.frozen.gradient);
    check_gradients(&f, "frozen in between");
  }
  end(&f);
}

static void partly_frozen(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 2, 6, 6);
  int a = dvg_graph_conv(f.g, f.s, "free.first", x, 3, 3, 1, 1);
  int b = dvg_graph_conv(f.g, f.s, "held.second", dvg_graph_leaky_relu(f.g, a, 0.2f), 3, 3, 2, 1);
  int c = dvg_graph_linear(f.g, f.s, "held.third", b, 5, 1);
  project(&f, "loss", dvg_graph_linear(f.g, f.s, "free.fourth", c, 4, 1));
  dvg_params_freeze(&f.params, "held.", 1);
  dvg_params_freeze(&f.params, "free.fourth.bias", 1); // a bias alone
  if (plan(&f, 1)) check_gradients(&f, "partly frozen");
  end(&f);
}

// The style of two norms is one linear map's output: the gradient has parts from both, at their own places.
static void styled_norms(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 2, 5, 4);
  int code = dvg_graph_input(f.g, "code", 2, 4, 1, 1);
  int style = dvg_graph_linear(f.g, f.s, "style", code, 11, 1); // 1 unused, 2 x 3, 2 x 2
  int a = dvg_graph_norm(f.g, dvg_graph_conv(f.g, f.s, "a", x, 3, 3, 1, 1), style, 1, 0.2f);
  int b = dvg_graph_norm(f.g, dvg_graph_conv(f.g, f.s, "b", a, 2, 3, 1, 1), style, 7, 1);
  project(&f, "loss", b);
  if (plan(&f, 1)) {
    const struct dvg_param *bias = &f.params.list[dvg_params_find(&f.params, "a.bias")];
    run(&f);
    for (int64_t k = 0; k < bias->count; k++) // the norm takes it away
      CU_ASSERT(fabsf(f.params.gradient[bias->first + k]) < 1e-4f);
    int64_t unused = f.params.list[dvg_params_find(&f.params, "style.bias")].first;
    CU_ASSERT_EQUAL(f.params.gradient[unused], 0);
    dvg_params_freeze(&f.params, "a.bias", 1);
    dvg_params_freeze(&f.params, "b.bias", 1);
    check_gradients(&f, "styled norms");
  }
  end(&f);
}

// A style that takes no gradient. (A trained style on an image without one is refused: test_graph_errors.c.)
static void norm_with_one_gradient(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 2, 4, 4), code = dvg_graph_input(f.g, "code", 2, 4, 1, 1);
  int a = dvg_graph_conv(f.g, f.s, "a", x, 2, 3, 1, 1);
  project(&f, "loss", dvg_graph_norm(f.g, a, code, 0, 0.2f));
  if (plan(&f, 1)) {
    dvg_params_freeze(&f.params, "a.bias", 1);
    check_gradients(&f, "norm with a fixed style");
  }
  end(&f);
}

static void dropout(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 4, 6, 1, 1), items = dvg_graph_integers(f.g, "item", 4);
  int a = dvg_graph_dropout(f.g, dvg_graph_linear(f.g, f.s, "a", x, 40, 1), 0.5, 9, items);
  project(&f, "loss", dvg_graph_linear(f.g, f.s, "b", a, 3, 0));
  dvg_graph_keep(f.g, a);
  if (plan(&f, 1)) {
    int64_t *item = dvg_graph_integer_values(f.g, items);
    item[0] = 5, item[1] = (int64_t)1 << 40, item[2] = 5, item[3] = 6;
    float *in = dvg_graph_values(f.g, x);
    memcpy(in + 12, in, 6 * sizeof *in); // row 2 is row 0 with the same item
    check_gradients(&f, "dropout");
    run(&f);
    const float *y = dvg_graph_values(f.g, a);
    int zeros = 0, differ = 0;
    for (int i = 0; i < 40; i++) {
      CU_ASSERT_EQUAL(y[i], y[80 + i]);
      zeros += y[i] == 0;
      differ += (y[i] == 0) != (y[40 + i] == 0);
    }
    CU_ASSERT(zeros > 5 && zeros < 35 && differ > 0);
  }
  end(&f);
}

// Every loss, both of its sides trained, with scale and weight.
static void losses(void) {
  struct fixture f;
  start(&f);
  struct dvg_graph *g = f.g;
  int x = dvg_graph_input(g, "x", 4, 6, 1, 1), eps = dvg_graph_input(g, "eps", 4, 5, 1, 1);
  int integers = dvg_graph_integers(g, "other", 4);
  int a = dvg_graph_linear(g, f.s, "a", x, 5, 1), b = dvg_graph_linear(g, f.s, "b", x, 5, 1);
  int z = dvg_graph_reparam(g, a, b, eps), unit = dvg_graph_l2(g, a), other = dvg_graph_l2(g, b);
  dvg_graph_loss_l1(g, "l1", a, b, 0.5, 2);
  dvg_graph_loss_dot(g, "dot", z, b, 0.25, -3);
  dvg_graph_loss_dot(g, "square", z, z, 0.25, 0.5);
  dvg_graph_loss_abs_dot(g, "abs", unit, other, 0.5, 5);
  dvg_graph_loss_hinge_dot(g, "hinge", unit, other, integers, -0.3, 1, 4);
  dvg_graph_loss_softmax(g, "softmax", dvg_graph_linear(g, f.s, "c", z, 7, 1), integers, 0.25, 3);
  dvg_graph_loss_kl(g, "kl", a, b, 0.25, 0.5);
  CU_ASSERT_EQUAL(dvg_graph_n_terms(g), 7);
  CU_ASSERT_STRING_EQUAL(dvg_graph_term_name(g, 4), "hinge");
  if (plan(&f, 1)) {
    check_gradients(&f, "losses");
    dvg_graph_set_weight(g, 6, 4); // warm-up: the value stays, the gradient follows
    double before = dvg_graph_terms(g)[6];
    run(&f);
    CU_ASSERT_EQUAL(dvg_graph_terms(g)[6], before);
    CU_ASSERT_EQUAL(dvg_graph_term_weight(g, 6), 4);
    check_gradients(&f, "losses after a change of weight");
    for (int i = 0; i < 7; i++) dvg_graph_set_weight(g, i, 0);
    run(&f);
    for (int64_t i = 0; i < f.params.n_values; i++) CU_ASSERT_EQUAL(f.params.gradient[i], 0);
  }
  end(&f);
}

// ---- what learns from what

// The gradient of the parameters that start with `prefix` is that of the total; all others' is zero.
static void check_only(struct fixture *f, const char *prefix) {
  run(f);
  for (int64_t i = 0; i < f->params.n_params; i++) {
    const struct dvg_param *p = &f->params.list[i];
    float *gradient, largest = 0;
    CHECK_OK(DVG_NEW(&gradient, p->count, "gradient"));
    memcpy(gradient, f->params.gradient + p->first, (size_t)p->count * sizeof *gradient);
    for (int64_t k = 0; k < p->count; k++) largest = fmaxf(largest, fabsf(gradient[k]));
    if (strncmp(p->name, prefix, strlen(prefix)) == 0) {
      CU_ASSERT(largest > 0.01f);
      CU_ASSERT_TRUE(
          dvg_check_gradient(p->name, gradient, f->params.value + p->first, p->count, 1e-3, 1e-2, total, f));
    } else CU_ASSERT_EQUAL(largest, 0);
    dvg_free(&gradient);
  }
}

// A painter and its judge in one step: the judge's loss sees the painting and doesn't teach the painter, the
// painter's goes through the judge and doesn't teach that.
static void adversaries(void) {
  struct fixture f;
  start(&f);
  struct dvg_graph *g = f.g;
  int x = dvg_graph_input(g, "x", 2, 3, 1, 1), real = dvg_graph_input(g, "real", 2, 2, 4, 4);
  int flat = dvg_graph_sigmoid(g, dvg_graph_linear(g, f.s, "paint", x, 32, 1));
  int painted = dvg_graph_view(g, flat, 2, 4, 4);
  int both = dvg_graph_stack(g, (int[]){real, dvg_graph_detach(g, painted)}, 2);
  int logits = dvg_graph_conv(g, f.s, "judge", both, 1, 4, 2, 1);
  dvg_graph_loss_softplus(g, "real", dvg_graph_rows(g, logits, 0, 2), -1, 0.25, 1);
  dvg_graph_loss_softplus(g, "painted", dvg_graph_rows(g, logits, 2, 2), 1, 0.25, 2);
  dvg_graph_hold(g, 1);
  dvg_graph_loss_softplus(g, "pleases", dvg_graph_conv(g, f.s, "judge", painted, 1, 4, 2, 1), -1, 0.25, 5);
  dvg_graph_hold(g, 0);
  if (plan(&f, 1)) {
    dvg_graph_set_weight(g, 2, 0);
    check_only(&f, "judge");
    dvg_graph_set_weight(g, 0, 0), dvg_graph_set_weight(g, 1, 0), dvg_graph_set_weight(g, 2, 5);
    check_only(&f, "paint");
  }
  end(&f);
}

// ---- memory

// A net with all that shares memory: in-place activations and sums, rows, views, frozen parts, styles.
struct composed {
  struct fixture f;
  int node[64], n_nodes; // all of them, in order
  int result, conv, activated, sum, sigmoid, kept;
};

static int put(struct composed *c, int node) {
  return c->node[c->n_nodes++] = node;
}

static void compose(struct composed *c) {
  c->n_nodes = 0;
  start(&c->f);
  struct dvg_graph *g = c->f.g;
  struct dvg_scope s = c->f.s, t = c->f.t;
  int x = put(c, dvg_graph_input(g, "x", 3, 3, 16, 16)), code = put(c, dvg_graph_input(g, "code", 3, 7, 1, 1));
  int style = put(c, dvg_graph_linear(g, s, "style", code, 16, 1));
  int h = put(c, dvg_graph_norm(g, put(c, dvg_graph_conv(g, s, "in", x, 4, 5, 1, 2)), style, 8, 0.2f));
  c->conv = put(c, dvg_graph_conv(g, s, "a", h, 4, 3, 1, 1));
  c->activated = put(c, dvg_graph_leaky_relu(g, c->conv, 0.2f));
  c->kept = put(c, dvg_graph_mfm(g, put(c, dvg_graph_conv(g, t, "frozen", c->activated, 8, 3, 1, 1))));
  c->sum = put(c, dvg_graph_add(g, h, put(c, dvg_graph_conv(g, s, "b", c->kept, 4, 3, 1, 1))));
  int p = put(c, dvg_graph_pool(g, c->sum));
  int r = put(c, dvg_graph_rows(g, p, 1, 2)), q = put(c, dvg_graph_rows(g, p, 0, 2));
  int d = put(c, dvg_graph_conv(g, s, "d", put(c, dvg_graph_stack(g, (int[]){r, q}, 2)), 4, 3, 2, 1));
  int u = put(c, dvg_graph_norm(g, put(c, dvg_graph_deconv(g, s, "up", d, 3)), -1, 0, 0.2f));
  c->sigmoid = put(c, dvg_graph_sigmoid(g, put(c, dvg_graph_conv(g, s, "head", u, 3, 1, 1, 0))));
  int colors = put(c, dvg_graph_input(g, "colors", 4, 3, 1, 1)), maps = put(c, dvg_graph_input(g, "maps", 4, 6, 1, 1));
  int gray = put(c, dvg_graph_warp(g, put(c, dvg_graph_gray(g, c->sigmoid, colors)), maps));
  int flat = put(c, dvg_graph_view(g, gray, 64, 1, 1));
  c->result = put(c, dvg_graph_l2(g, put(c, dvg_graph_linear(g, s, "out", flat, 10, 1))));
  project(&c->f, "images", c->sigmoid);
  project(&c->f, "result", c->result);
  dvg_graph_loss_dot(g, "pair", dvg_graph_rows(g, c->result, 0, 2), dvg_graph_rows(g, c->result, 2, 2), 1, 3);
  dvg_params_freeze(&c->f.frozen, "", 1);
}

static int same_bits(const void *a, const void *b, int64_t n) {
  return memcmp(a, b, (size_t)n * sizeof(float)) == 0;
}

static void composed_gradients(void) {
  struct composed c;
  compose(&c);
  if (plan(&c.f, 1)) {
    for (const char *const *name = (const char *const[]){"in.bias", "up.bias", "b.bias", "d.bias", NULL}; *name;
         name++)
      dvg_params_freeze(&c.f.params, *name, 1); // a norm takes all or most of them away
    // Norms make its gradients small, and its many activations and maxima turn over here and there.
    for (int64_t i = 0; i < dvg_graph_n_terms(c.f.g); i++)
      dvg_graph_set_weight(c.f.g, i, 30 * dvg_graph_term_weight(c.f.g, i));
    check_gradients_by(3e-4, 4e-2, &c.f, "composed");
  }
  end(&c.f);
}

// Values and gradients must be the same bits as in a graph that keeps every node, where nothing is overwritten.
static void memory_reuse_changes_nothing(void) {
  struct composed lean, roomy, inference;
  compose(&lean), compose(&roomy), compose(&inference);
  for (int i = 0; i < roomy.n_nodes; i++) dvg_graph_keep(roomy.f.g, roomy.node[i]);
  dvg_graph_keep(lean.f.g, lean.kept);
  dvg_graph_keep(lean.f.g, lean.result);
  dvg_graph_keep(inference.f.g, inference.result);
  if (plan(&lean.f, 1) && plan(&roomy.f, 1) && plan(&inference.f, 0)) {
    const struct node *n = lean.f.g->nodes, *k = roomy.f.g->nodes;
    CU_ASSERT_EQUAL(n[lean.activated].buffer, n[lean.conv].buffer); // else this would test nothing
    CU_ASSERT_EQUAL(n[lean.activated].gradient_buffer, n[lean.conv].gradient_buffer);
    CU_ASSERT_EQUAL(n[lean.sum].buffer, n[lean.sum - 1].buffer);
    CU_ASSERT_EQUAL(n[lean.sum].gradient_buffer, n[lean.sum - 1].gradient_buffer);
    CU_ASSERT_EQUAL(n[lean.sigmoid].buffer, n[lean.sigmoid - 1].buffer);
    const struct node *m = inference.f.g->nodes;
    CU_ASSERT_EQUAL(m[inference.conv - 1].buffer, m[inference.conv - 2].buffer); // a norm, its input
    CU_ASSERT_NOT_EQUAL(n[lean.conv - 1].buffer, n[lean.conv - 2].buffer);       // which the backward reads
    CU_ASSERT_NOT_EQUAL(k[roomy.activated].buffer, k[roomy.conv].buffer);
    CU_ASSERT_NOT_EQUAL(k[roomy.sum].buffer, k[roomy.sum - 1].buffer);

    run(&lean.f), run(&roomy.f);
    total(&inference.f);
    int64_t n_result = dvg_shape_count(dvg_graph_shape(lean.f.g, lean.result));
    const float *want = dvg_graph_values(roomy.f.g, roomy.result);
    CU_ASSERT(same_bits(dvg_graph_values(lean.f.g, lean.result), want, n_result));
    CU_ASSERT(same_bits(dvg_graph_values(inference.f.g, inference.result), want, n_result));
    // A kept node survives the backward.
    CU_ASSERT(same_bits(dvg_graph_values(lean.f.g, lean.kept), dvg_graph_values(roomy.f.g, roomy.kept),
                        dvg_shape_count(dvg_graph_shape(lean.f.g, lean.kept))));
    CU_ASSERT(same_bits(lean.f.params.gradient, roomy.f.params.gradient, lean.f.params.n_values));
    for (int i = 0; i < 3; i++) {
      CU_ASSERT_EQUAL(dvg_graph_terms(lean.f.g)[i], dvg_graph_terms(roomy.f.g)[i]);
      CU_ASSERT_EQUAL(dvg_graph_terms(lean.f.g)[i], dvg_graph_terms(inference.f.g)[i]);
    }
    CU_ASSERT(dvg_graph_bytes(lean.f.g) < dvg_graph_bytes(roomy.f.g));
    CU_ASSERT(dvg_graph_bytes(inference.f.g) < dvg_graph_bytes(lean.f.g));
    CU_ASSERT_PTR_NULL(inference.f.params.gradient);
  }
  end(&lean.f), end(&roomy.f), end(&inference.f);
}

// No two buffers that live at the same time lie at the same place.
static void buffers_do_not_overlap(void) {
  struct composed c;
  compose(&c);
  if (plan(&c.f, 1)) {
    const struct dvg_graph *g = c.f.g;
    for (int i = 0; i < g->n_buffers; i++)
      for (int j = 0; j < i; j++) {
        const struct buffer *a = &g->buffers[i], *b = &g->buffers[j];
        int same_time = a->born <= b->dies && b->born <= a->dies;
        int same_place = a->place < b->place + b->count && b->place < a->place + a->count;
        CU_ASSERT_FALSE(same_time && same_place);
      }
    for (int i = 0; i < g->n_buffers; i++) {
      CU_ASSERT_EQUAL((uintptr_t)(g->arena + g->buffers[i].place) % 64, 0); // what vectors like
      CU_ASSERT(g->buffers[i].place + g->buffers[i].count <= g->arena_count);
    }
    CU_ASSERT_EQUAL((uintptr_t)g->scratch % 64, 0);
  }
  end(&c.f);
}

// Fills all memory but the inputs, which live all the time, with NaN: nothing may depend on what an earlier run
// left behind.
static void spoil(struct dvg_graph *g) {
  for (int k = 0; k < g->n_buffers; k++) {
    int is_input = 0;
    for (int i = 0; i < g->n_nodes; i++) is_input |= g->nodes[i].op == &dvg_op_input && g->nodes[i].buffer == k;
    for (int64_t v = 0; !is_input && v < g->buffers[k].count; v++) g->arena[g->buffers[k].place + v] = NAN;
  }
  for (int64_t v = 0; v < g->scratch_count; v++) g->scratch[v] = NAN;
}

static void repeated_runs_are_equal(void) {
  struct composed c;
  compose(&c);
  dvg_graph_keep(c.f.g, c.result);
  if (plan(&c.f, 1)) {
    int64_t n = c.f.params.n_values, n_result = dvg_shape_count(dvg_graph_shape(c.f.g, c.result));
    float *gradient, result[64];
    double terms[3];
    CHECK_OK(DVG_NEW(&gradient, n, "gradient"));
    run(&c.f);
    memcpy(gradient, c.f.params.gradient, (size_t)n * sizeof *gradient);
    memcpy(result, dvg_graph_values(c.f.g, c.result), (size_t)n_result * sizeof *result);
    memcpy(terms, dvg_graph_terms(c.f.g), sizeof terms);
    for (int i = 0; i < 3; i++) {
      if (i == 1) spoil(c.f.g);
      run(&c.f);
      CU_ASSERT(same_bits(gradient, c.f.params.gradient, n));
      CU_ASSERT(same_bits(result, dvg_graph_values(c.f.g, c.result), n_result));
      CU_ASSERT_EQUAL(memcmp(terms, dvg_graph_terms(c.f.g), sizeof terms), 0);
    }
    // Without clearing, a second backward adds to the first.
    dvg_graph_forward(c.f.g);
    dvg_graph_backward(c.f.g);
    int doubled = 1;
    for (int64_t i = 0; i < n; i++)
      doubled &= fabsf(c.f.params.gradient[i] - 2 * gradient[i]) <= 1e-4f * (1 + fabsf(gradient[i]));
    CU_ASSERT(doubled);
    dvg_free(&gradient);
  }
  end(&c.f);
}

static void only_needed_gradients(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 3, 8, 8);
  int a = dvg_graph_mfm(f.g, dvg_graph_conv(f.g, f.t, "frozen", x, 4, 3, 1, 1));
  int b = dvg_graph_conv(f.g, f.s, "free", a, 4, 3, 1, 1);
  int c = dvg_graph_pool(f.g, b);
  int idle = dvg_graph_conv(f.g, f.s, "idle", b, 4, 3, 1, 1); // no loss behind it
  int d = dvg_graph_leaky_relu(f.g, dvg_graph_conv(f.g, f.t, "behind", c, 2, 3, 1, 1), 0.2f);
  project(&f, "loss", d);
  int target = f.g->n_nodes - 2;
  dvg_params_freeze(&f.frozen, "", 1);
  if (plan(&f, 1)) {
    const struct node *n = f.g->nodes;
    for (int i = 0; i <= a; i++) CU_ASSERT(!n[i].needs_gradient && n[i].gradient_buffer < 0);
    CU_ASSERT(n[b].needs_gradient && n[c].needs_gradient && n[d].needs_gradient);
    CU_ASSERT(!n[idle].needs_gradient && !n[target].needs_gradient);
    // The filters for the backward are prepared where gradients pass alone.
    CU_ASSERT_PTR_NULL(f.frozen.list[dvg_params_find(&f.frozen, "frozen.weight")].packed[1]);
    CU_ASSERT_PTR_NULL(f.params.list[dvg_params_find(&f.params, "free.weight")].packed[1]);
    CU_ASSERT_PTR_NOT_NULL(f.frozen.list[dvg_params_find(&f.frozen, "behind.weight")].packed[1]);
    run(&f);
    const struct dvg_param *p = &f.params.list[dvg_params_find(&f.params, "idle.weight")];
    for (int64_t k = 0; k < p->count; k++) CU_ASSERT_EQUAL(f.params.gradient[p->first + k], 0);
  }
  end(&f);
  // All frozen: a backward with nothing to do.
  start(&f);
  x = dvg_graph_input(f.g, "x", 2, 3, 8, 8);
  project(&f, "loss", dvg_graph_conv(f.g, f.s, "frozen", x, 4, 3, 1, 1));
  dvg_params_freeze(&f.params, "", 1);
  if (plan(&f, 1)) {
    run(&f);
    CU_ASSERT_PTR_NULL(f.params.gradient);
  }
  end(&f);
}

// A stack of convolutions needs two images at a time, not twenty; with gradients, every input once; and where
// only gradients pass through frozen ones, none.
static void little_memory(void) {
  for (int kind = 0; kind < 3; kind++) {
    struct fixture f;
    start(&f);
    int x = dvg_graph_input(f.g, "x", 4, 8, 32, 32), training = kind > 0, frozen = kind == 2;
    if (frozen) x = dvg_graph_conv(f.g, f.s, "first", x, 8, 3, 1, 1);
    for (int i = 0; i < 20; i++) {
      char name[16];
      snprintf(name, sizeof name, "%d", i);
      x = dvg_graph_conv(f.g, frozen ? f.t : f.s, name, x, 8, 3, 1, 1);
      if (!frozen) x = dvg_graph_leaky_relu(f.g, x, 0.2f);
    }
    project(&f, "loss", x);
    dvg_params_freeze(&f.frozen, "", 1);
    if (plan(&f, training)) {
      int64_t image = (int64_t)sizeof(float) * 4 * 8 * 32 * 32,
              scratch = f.g->scratch_count * (int64_t)sizeof(float);
      // Input, target, two or three at work; in training the activations, which take the convolutions' places.
      CU_ASSERT(dvg_graph_bytes(f.g) - scratch <= image * (2 + (kind == 1 ? 20 + 2 : 3)));
    }
    end(&f);
  }
}

// ---- two graphs on one set, changes of parameters

static void graphs_share_parameters(void) {
  struct composed train, infer;
  compose(&train);
  if (!plan(&train.f, 1)) return;
  // The second graph is built on the first one's sets, which are fixed by now.
  CHECK_OK(dvg_graph_create(&infer.f.g));
  struct dvg_graph *g = infer.f.g;
  int x = dvg_graph_input(g, "x", 1, 4, 8, 8);
  int y = dvg_graph_conv(g, train.f.s, "a", x, 4, 3, 1, 1);
  dvg_graph_keep(g, y);
  CHECK_OK(dvg_graph_plan(g, 0));
  dvg_test_fill(dvg_graph_values(g, x), 256, 3, 1);
  dvg_graph_forward(g);
  float before[256], *weight = train.f.params.value;
  memcpy(before, dvg_graph_values(g, y), sizeof before);
  for (int64_t i = 0; i < train.f.params.n_values; i++) weight[i] *= 2; // exact, biases too
  dvg_params_changed(&train.f.params);
  dvg_graph_forward(g);
  for (int i = 0; i < 256; i++) CU_ASSERT_EQUAL(dvg_graph_values(g, y)[i], 2 * before[i]);
  dvg_graph_free(&g);
  // A name that the set does not have, or has with another shape.
  dvg_log_quiet(1);
  for (int k = 0; k < 2; k++) {
    CHECK_OK(dvg_graph_create(&g));
    dvg_graph_conv(g, train.f.s, k ? "a" : "new", dvg_graph_input(g, "x", 1, 4, 8, 8), 4, k ? 5 : 3, 1, 1);
    CU_ASSERT_EQUAL(dvg_graph_plan(g, 0), DVG_ERROR_INTERNAL);
    dvg_graph_free(&g);
  }
  dvg_log_quiet(0);
  end(&train.f);
}

// ---- initialisation by data

static void check_spread(const struct fixture *f, const char *what, int node, double gain, int has_bias) {
  struct dvg_shape s = dvg_graph_shape(f->g, node);
  const float *y = dvg_graph_values(f->g, node);
  int64_t places = s.H * s.W;
  double variance = 0, largest_mean = 0;
  for (int64_t k = 0; k < s.C; k++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < s.N * places; i++) {
      double v = y[(i / places * s.C + k) * places + i % places];
      sum += v, squares += v * v;
    }
    double mean = sum / (double)(s.N * places);
    variance += (squares / (double)(s.N * places) - mean * mean) / (double)s.C;
    largest_mean = fmax(largest_mean, fabs(mean));
  }
  const float got[2] = {has_bias ? (float)largest_mean : 0, (float)sqrt(variance)};
  const double want[2] = {0, gain};
  CHECK_CLOSE(what, got, want, 2, 1e-5);
}

// Convolutions of all kinds with their maxima, whose channels fill whole vectors: where nobody asks for a convolution's values they are
// never written down, forward, backward or in the initialisation.
static void maxima_with_their_convolutions(void) {
  enum { N = 3, SIDE = 32 };
  struct fixture joint, apart;
  int last = 0;
  for (int kept = 0; kept <= 1; kept++) {
    struct fixture *f = kept ? &apart : &joint;
    start(f);
    int x = dvg_graph_input(f->g, "x", N, 5, SIDE, SIDE);
    int a = dvg_graph_conv(f->g, f->s, "a", x, 64, 5, 1, 2);
    int b = dvg_graph_conv(f->g, f->s, "b", dvg_graph_pool(f->g, dvg_graph_mfm(f->g, a)), 64, 3, 1, 1), m = dvg_graph_mfm(f->g, b);
    int c = dvg_graph_conv(f->g, f->s, "c", m, 64, 3, 1, 1);
    int block = dvg_graph_add(f->g, m, dvg_graph_mfm(f->g, c));
    int d = dvg_graph_conv(f->g, f->s, "d", block, 64, 1, 1, 0);
    int e = dvg_graph_conv(f->g, f->s, "e", dvg_graph_mfm(f->g, d), 64, 3, 1, 1);
    last = dvg_graph_pool(f->g, dvg_graph_mfm(f->g, e));
    dvg_graph_keep(f->g, last);
    const int convolutions[] = {a, b, c, d, e};
    for (int i = 0; kept && i < 5; i++) dvg_graph_keep(f->g, convolutions[i]);
    project(f, "loss", last);
    CU_ASSERT_TRUE_FATAL(plan(f, 1));
    CU_ASSERT_EQUAL(dvg_graph_initialize_by_data(f->g), DVG_OK);
    run(f);
  }
  CU_ASSERT_TRUE(same_values(&joint, &apart, last));
  CU_ASSERT_TRUE(same_bits(joint.params.value, apart.params.value, joint.params.n_values));
  CU_ASSERT_TRUE(same_bits(joint.params.gradient, apart.params.gradient, joint.params.n_values));
  CU_ASSERT_EQUAL(joint.params.gradient[0] == 0, 0);
  // the first one, its maximum, four at half the size and the last maximum
  const int64_t of_first = N * 64 * SIDE * SIDE * (int64_t)sizeof(float);
  CU_ASSERT_TRUE(dvg_graph_bytes(joint.g) + of_first * 21 / 8 <= dvg_graph_bytes(apart.g));
  end(&joint), end(&apart);
}

static void initialisation_by_data(void) {
  struct fixture f;
  start(&f);
  struct dvg_graph *g = f.g;
  int x = dvg_graph_input(g, "x", 6, 3, 16, 16);
  int a = dvg_graph_conv(g, f.s, "a", x, 6, 3, 1, 1), frozen = dvg_graph_conv(g, f.t, "frozen", x, 6, 3, 1, 1);
  int b = dvg_graph_conv(g, f.s, "b", dvg_graph_mfm(g, a), 4, 5, 2, 2);
  int c = dvg_graph_deconv(g, f.s, "c", dvg_graph_leaky_relu(g, b, 0.2f), 2);
  int d = dvg_graph_linear(g, f.s, "d", c, 7, 1), e = dvg_graph_linear(g, f.s, "e", d, 5, 0);
  const int all[] = {a, b, c, d, e, frozen};
  for (int i = 0; i < 6; i++) dvg_graph_keep(g, all[i]);
  dvg_graph_gain(g, b, 0.2);
  dvg_graph_gain(g, d, 3);
  dvg_params_freeze(&f.frozen, "", 1);
  if (plan(&f, 0)) {
    float kept[200];
    uint64_t version = f.params.version;
    CU_ASSERT(f.frozen.n_values <= 200);
    memcpy(kept, f.frozen.value, (size_t)f.frozen.n_values * sizeof *kept);
    for (int64_t i = 0; i < dvg_shape_count(dvg_graph_shape(g, x)); i++)
      dvg_graph_values(g, x)[i] += 3; // far from zero mean
    CU_ASSERT_EQUAL_FATAL(dvg_graph_initialize_by_data(g), DVG_OK);
    CU_ASSERT(f.params.version > version);
    CU_ASSERT(same_bits(kept, f.frozen.value, f.frozen.n_values));
    for (int again = 0; again < 2; again++) { // what it left behind is what a forward gives
      check_spread(&f, "a", a, 1, 1);
      check_spread(&f, "b", b, 0.2, 1);
      check_spread(&f, "c", c, 1, 1);
      check_spread(&f, "d", d, 3, 1);
      check_spread(&f, "e, without bias", e, 1, 0);
      dvg_graph_forward(g);
    }
  }
  end(&f);
}

// What is said to be complete is so: these gradients do not change any more.
struct announced {
  const struct dvg_params *p;
  int64_t first, n_calls, n_new;
  float *seen; // (n_values)
};

static void announce(void *context, int64_t first) {
  struct announced *a = context;
  CU_ASSERT_TRUE(first <= a->first);
  memcpy(a->seen + first, a->p->gradient + first, (size_t)(a->first - first) * sizeof *a->seen);
  a->n_new += first < a->first;
  a->n_calls++;
  a->first = first;
}

// A layer is used twice, a frozen one stands in between, one is held: each gradient is announced once, when it
// is complete.
static void gradients_are_announced(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 6, 1, 1), to = dvg_graph_input(f.g, "to", 2, 6, 1, 1);
  int a = dvg_graph_linear(f.g, f.s, "first", x, 6, 1);
  int b = dvg_graph_linear(f.g, f.t, "frozen", a, 6, 0);
  int c = dvg_graph_linear(f.g, f.s, "second", b, 6, 1);
  int d = dvg_graph_linear(f.g, f.s, "third", c, 6, 1);
  int e = dvg_graph_linear(f.g, f.s, "second", d, 6, 1);
  dvg_graph_hold(f.g, 1);
  int h = dvg_graph_linear(f.g, f.s, "first", e, 6, 1);
  dvg_graph_loss_l1(f.g, "l", h, to, 1, 1);
  CHECK_OK(dvg_graph_status(f.g));
  dvg_params_freeze(&f.frozen, "", 1);
  if (plan(&f, 1)) {
    struct announced seen = {.p = &f.params, .first = f.params.n_values};
    CHECK_OK(DVG_NEW(&seen.seen, f.params.n_values, "test"));
    memset(f.params.gradient, 0, (size_t)f.params.n_values * sizeof(float));
    dvg_graph_forward(f.g);
    dvg_graph_backward_by_layer(f.g, &f.params, announce, &seen);
    CU_ASSERT_EQUAL(seen.first, 0);
    CU_ASSERT_EQUAL(seen.n_new, 3); // third; second, at its first use; first
    CU_ASSERT_EQUAL(memcmp(seen.seen, f.params.gradient, (size_t)f.params.n_values * sizeof(float)), 0);
    dvg_free(&seen.seen);
  }
  end(&f);
}

const struct dvg_test dvg_tests[] = {{"residual", residual},
                                     {"norm that adds", norm_that_adds},
                                     {"behind needed outputs", behind_needed_outputs},
                                     {"on parts", on_parts},
                                     {"shapes", shapes},
                                     {"shapes have the right values", shapes_have_the_right_values},
                                     {"shared parameters", shared_parameters},
                                     {"frozen in between", frozen_in_between},
                                     {"partly frozen", partly_frozen},
                                     {"styled norms", styled_norms},
                                     {"norm with one gradient", norm_with_one_gradient},
                                     {"dropout", dropout},
                                     {"losses", losses},
                                     {"adversaries", adversaries},
                                     {"composed gradients", composed_gradients},
                                     {"memory reuse changes nothing", memory_reuse_changes_nothing},
                                     {"buffers do not overlap", buffers_do_not_overlap},
                                     {"repeated runs are equal", repeated_runs_are_equal},
                                     {"only needed gradients", only_needed_gradients},
                                     {"gradients are announced", gradients_are_announced},
                                     {"little memory", little_memory},
                                     {"graphs share parameters", graphs_share_parameters},
                                     {"maxima with their convolutions", maxima_with_their_convolutions},
                                     {"initialisation by data", initialisation_by_data},
                                     {NULL, NULL}};
