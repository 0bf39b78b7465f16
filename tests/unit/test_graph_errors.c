// Building a graph wrongly: every error surfaces in dvg_graph_plan as a status, and nothing crashes on the way.
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/nn/graph.h"
#include "common/nn/graph_internal.h" // limits
#include "tests/check.h"

struct fixture {
  struct dvg_graph *g;
  struct dvg_params params;
  struct dvg_scope s;
};

static void start(struct fixture *f) {
  CHECK_OK(dvg_graph_create(&f->g));
  dvg_params_init(&f->params);
  f->s = (struct dvg_scope){&f->params, ""};
}

static void end(struct fixture *f) {
  dvg_graph_free(&f->g);
  dvg_params_free(&f->params);
}

// Builds something wrong on a sound beginning: x (2,3,8,8), v (2,5), three integers.
static void wrong(struct fixture *f, int which, int x, int v, int integers) {
  struct dvg_graph *g = f->g;
  int w = dvg_graph_input(g, "w", 3, 5, 1, 1), odd = dvg_graph_input(g, "odd", 2, 3, 1, 4);
  int many[9] = {v, v, v, v, v, v, v, v, v};
  switch (which) {
  case 0:
    dvg_graph_add(g, x, v);
    break;
  case 1:
    dvg_graph_mfm(g, x);
    break; // three channels
  case 2:
    dvg_graph_pool(g, odd);
    break; // one row
  case 3:
    dvg_graph_conv(g, f->s, "c", odd, 2, 5, 1, 0);
    break; // larger than the image
  case 4:
    dvg_graph_norm(g, x, v, 0, 1);
    break; // six values needed, five there
  case 5:
    dvg_graph_norm(g, x, w, 0, 1);
    break; // three rows of style
  case 6:
    dvg_graph_gray(g, v, -1);
    break;
  case 7:
    dvg_graph_dropout(g, v, 0.5, 1, integers);
    break; // two rows, three items
  case 8:
    dvg_graph_reparam(g, v, v, w);
    break;
  case 9:
    dvg_graph_concat(g, x, v);
    break;
  case 10:
    dvg_graph_concat(g, v, w);
    break;
  case 11:
    dvg_graph_stack(g, (int[]){v, x}, 2);
    break;
  case 12:
    dvg_graph_stack(g, many, 9);
    break;
  case 13:
    dvg_graph_rows(g, v, 1, 2);
    break;
  case 14:
    dvg_graph_rows(g, v, -1, 1);
    break;
  case 15:
    dvg_graph_rows(g, v, 0, 0);
    break;
  case 16:
    dvg_graph_view(g, x, 5, 5, 5);
    break;
  case 17:
    dvg_graph_loss_l1(g, "l1", v, w, 1, 1);
    break;
  case 18:
    dvg_graph_loss_dot(g, "dot", x, v, 1, 1);
    break;
  case 19:
    dvg_graph_loss_hinge_dot(g, "hinge", v, v, integers, 0, 1, 1);
    break;
  case 20:
    dvg_graph_loss_softmax(g, "softmax", v, integers, 1, 1);
    break;
  case 21:
    dvg_graph_loss_softmax(g, "softmax", w, integers + 1, 1, 1);
    break; // no such integers
  case 22:
    dvg_graph_leaky_relu(g, 1000, 0.2f);
    break; // no such node
  case 23:
    dvg_graph_leaky_relu(g, -1, 0.2f);
    break;
  case 24:
    dvg_graph_loss_l1(g, "l1", v, -1, 1, 1);
    break;
  case 25:
    dvg_graph_linear(g, f->s, "used", v, 6, 1);
    break; // as another shape
  case 26:
    for (int i = 0; i < MAX_TERMS + 1; i++) dvg_graph_loss_dot(g, "many", v, v, 1, 1);
    break;
  case 27:
    for (int i = 0; i < MAX_NODES; i++) dvg_graph_sigmoid(g, v);
    break;
  case 28:
    for (int i = 0; i < MAX_INTEGERS; i++) dvg_graph_integers(g, "many", 2);
    break;
  case 29:
    dvg_graph_stack(g, NULL, 0);
    break;
  case 30:
    dvg_graph_input(g, "empty", 2, 0, 4, 4);
    break;
  case 31:
    dvg_graph_loss_softmax(g, "softmax", w, -1, 1, 1);
    break;
  case 32:
    dvg_graph_loss_hinge_dot(g, "hinge", w, w, -1, 0, 1, 1);
    break;
  case 33:
    dvg_graph_dropout(g, w, 0.5, 1, -1);
    break;
  case 34:
    dvg_graph_view(g, v, -5, -1, 1);
    break;
  case 35:
    dvg_graph_conv(g, f->s, "c", x, 0, 3, 1, 1);
    break;
  case 36:
    dvg_graph_linear(g, f->s, "c", x, 0, 1);
    break;
  case 37:
    dvg_graph_gray(g, x, v);
    break; // five weights
  case 38:
    dvg_graph_warp(g, x, v);
    break; // five numbers
  case 39:
    dvg_graph_warp(g, x, dvg_graph_sigmoid(g, dvg_graph_input(g, "maps", 2, 6, 1, 1)));
    break; // no input: it would want a gradient
  }
}

static void errors_surface_in_plan(void) {
  enum { N_WRONG = 40 };
  for (int which = -1; which < N_WRONG; which++) {
    struct fixture f;
    start(&f);
    dvg_log_quiet(1);
    int x = dvg_graph_input(f.g, "x", 2, 3, 8, 8), v = dvg_graph_input(f.g, "v", 2, 5, 1, 1);
    int integers = dvg_graph_integers(f.g, "integers", 3);
    dvg_graph_linear(f.g, f.s, "used", v, 5, 1);
    wrong(&f, which, x, v, integers);
    // Building goes on after an error, with whatever node came back.
    int y = dvg_graph_conv(f.g, f.s, "later", x, 4, 3, 1, 1);
    dvg_graph_keep(f.g, dvg_graph_mfm(f.g, y));
    dvg_graph_gain(f.g, y, 2);
    dvg_graph_loss_dot(f.g, "later", y, y, 1, 1);
    enum dvg_status status = dvg_graph_plan(f.g, 1), want = which < 0 ? DVG_OK : DVG_ERROR_INTERNAL;
    dvg_log_quiet(0);
    if (status != want) printf("  wrong graph %d: plan returned %d\n", which, (int)status);
    CU_ASSERT_EQUAL(status, want);
    end(&f);
  }
}

// What the backwards can't do is refused when a graph is planned for training, and only then.
static void gradients_that_are_not_there(void) {
  for (int which = 0; which < 4; which++)
    for (int training = 0; training < 2; training++) {
      struct fixture f;
      start(&f);
      int x = dvg_graph_input(f.g, "x", 2, 2, 4, 4), v = dvg_graph_input(f.g, "v", 2, 4, 1, 1);
      int a = dvg_graph_linear(f.g, f.s, "a", v, 4, 1);
      int y = which == 0   ? dvg_graph_norm(f.g, x, a, 0, 0.2f) // the style alone trains
              : which == 1 ? dvg_graph_reparam(f.g, a, v, v)
              : which == 2 ? dvg_graph_reparam(f.g, v, a, v)
                           : dvg_graph_reparam(f.g, a, a, v); // fine
      dvg_graph_loss_dot(f.g, "loss", y, y, 1, 1);
      dvg_log_quiet(1);
      CU_ASSERT_EQUAL(dvg_graph_plan(f.g, training), training && which < 3 ? DVG_ERROR_INTERNAL : DVG_OK);
      dvg_log_quiet(0);
      end(&f);
    }
}

static void no_change_after_planning(void) {
  struct fixture f;
  start(&f);
  int x = dvg_graph_input(f.g, "x", 2, 3, 8, 8);
  CHECK_OK(dvg_graph_plan(f.g, 0));
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_graph_plan(f.g, 0), DVG_ERROR_INTERNAL);
  int nodes = f.g->n_nodes;
  dvg_graph_sigmoid(f.g, x);
  CU_ASSERT_EQUAL(f.g->n_nodes, nodes);
  CU_ASSERT_EQUAL(dvg_graph_plan(f.g, 0), DVG_ERROR_INTERNAL);
  dvg_log_quiet(0);
  end(&f);
}

static void free_is_safe(void) {
  struct dvg_graph *g = NULL;
  dvg_graph_free(&g);
  CHECK_OK(dvg_graph_create(&g));
  dvg_graph_free(&g);
  CU_ASSERT_PTR_NULL(g);
}

// ---- inputs

struct seen {
  int n;
  char names[64];
};

static enum dvg_status see(void *context, const char *name, struct dvg_shape s, const float *values,
                           const int64_t *integers) {
  struct seen *seen = context;
  seen->n++;
  snprintf(seen->names + strlen(seen->names), sizeof seen->names - strlen(seen->names), "%s:%lld%s ", name,
           (long long)dvg_shape_count(s), values && !integers ? "f" : "i");
  return strcmp(name, "stop") == 0 ? DVG_ERROR_IO : DVG_OK;
}

static void inputs_are_visited_in_order(void) {
  for (int stop = 0; stop < 2; stop++) {
    struct fixture f;
    start(&f);
    int i = dvg_graph_integers(f.g, "label", 2);
    int a = dvg_graph_input(f.g, stop ? "stop" : "a", 2, 3, 2, 2), b = dvg_graph_input(f.g, "b", 2, 12, 1, 1);
    dvg_graph_loss_dot(f.g, "loss", dvg_graph_view(f.g, a, 12, 1, 1), b, 1, 1);
    dvg_graph_loss_softmax(f.g, "softmax", b, i, 1, 1);
    struct seen seen = {0, ""};
    CHECK_OK(dvg_graph_plan(f.g, 0));
    CU_ASSERT_EQUAL(dvg_graph_each_input(f.g, see, &seen), stop ? DVG_ERROR_IO : DVG_OK);
    CU_ASSERT_STRING_EQUAL(seen.names, stop ? "stop:24f " : "a:24f b:24f label:2i ");
    end(&f);
  }
}

const struct dvg_test dvg_tests[] = {{"errors surface in plan", errors_surface_in_plan},
                                     {"gradients that are not there", gradients_that_are_not_there},
                                     {"no change after planning", no_change_after_planning},
                                     {"free is safe", free_is_safe},
                                     {"inputs are visited in order", inputs_are_visited_in_order},
                                     {NULL, NULL}};
