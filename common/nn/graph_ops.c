// The operations: how each kind of node runs forward and backward. One line a formula; the work is in layers.c,
// conv.c, losses.c.
#include <string.h>

#include "common/nn/graph_internal.h"
#include "common/nn/layers.h"
#include "common/nn/losses.h"

#define IN(k) (&g->nodes[n->in[k]])
#define X(k) dvg_node_values(g, IN(k))
#define Y dvg_node_values(g, n)
#define DY dvg_node_gradient(g, n)
#define AUX dvg_node_aux(g, n)
#define COUNT dvg_shape_count(n->shape)
#define ROW dvg_shape_row(n->shape)
#define PLACES (n->shape.H * n->shape.W)

static void nothing(struct dvg_graph *g, struct node *n) {
  (void)g, (void)n;
}

// ---- convolutions and linear maps

void dvg_node_pack(struct node *n, enum dvg_filters use) {
  struct dvg_param *p = &n->params->list[n->weight];
  // Another node may use the same weights with another stride, which needs none.
  if (dvg_conv_packed(&n->conv, use) == 0) return;
  if (!p->packed[use] || p->packed_version[use] == n->params->version) return;
  dvg_conv_pack(&n->conv, p->packed[use], n->params->value + p->first, use);
  p->packed_version[use] = n->params->version;
}

static const float *weight_of(const struct node *n) {
  return n->params->value + n->params->list[n->weight].first;
}
static const float *bias_of(const struct node *n) {
  return n->bias < 0 ? NULL : n->params->value + n->params->list[n->bias].first;
}
static float *dweight_of(const struct node *n) {
  return n->params->gradient + n->params->list[n->weight].first;
}
static float *dbias_of(const struct node *n) {
  if (n->bias < 0 || n->params->list[n->bias].frozen) return NULL;
  return n->params->gradient + n->params->list[n->bias].first;
}
static int trains(const struct node *n) {
  return !n->held && !n->params->list[n->weight].frozen;
}

// Of each plane, first the sums, then mean and 1 / deviation.
static double *norm_stats(const struct dvg_graph *g, const struct node *n) {
  return (double *)AUX;
}

// Of a max-feature-map or pool that is computed with its convolution, where a backward follows.
static signed char *winner_of(const struct dvg_graph *g, const struct node *n) {
  return n->needs_gradient ? (signed char *)AUX : NULL;
}

static void conv_forward(struct dvg_graph *g, struct node *n) {
  if (n->joint >= 0) return;
  dvg_node_pack(n, DVG_FILTERS_FORWARD);
  const float *packed = n->params->list[n->weight].packed[DVG_FILTERS_FORWARD];
  if (n->norm >= 0)
    dvg_conv_forward_sums(&n->conv, Y, norm_stats(g, &g->nodes[n->norm]), X(0), packed, bias_of(n), n->shape.N,
                          g->scratch);
  else dvg_conv_forward(&n->conv, Y, X(0), weight_of(n), packed, bias_of(n), n->shape.N, g->scratch);
}
// A convolution that was computed together with what follows goes back together with it.
static void conv_backward(struct dvg_graph *g, struct node *n) {
  int add;
  const int64_t N = n->shape.N;
  const struct node *last = n->joint < 0 ? n : &g->nodes[n->joint];
  const struct dvg_conv_gradient dy = {dvg_node_gradient(g, last), last == n ? NULL : winner_of(g, last),
                                       last->op == &dvg_op_pool};
  if (trains(n)) {
    if (dy.winner) dvg_conv_backward_weight_mfm(&n->conv, dweight_of(n), dbias_of(n), X(0), &dy, N, g->scratch);
    else dvg_conv_backward_weight(&n->conv, dweight_of(n), dbias_of(n), X(0), dy.dy, N, g->scratch);
  }
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (!dx) return;
  dvg_node_pack(n, DVG_FILTERS_BACKWARD);
  const float *packed = n->params->list[n->weight].packed[DVG_FILTERS_BACKWARD];
  if (dy.winner) dvg_conv_backward_data_mfm(&n->conv, dx, &dy, weight_of(n), packed, N, add, g->scratch);
  else dvg_conv_backward_data(&n->conv, dx, dy.dy, weight_of(n), packed, N, add, g->scratch);
}
static void linear_forward(struct dvg_graph *g, struct node *n) {
  dvg_linear_forward(Y, X(0), weight_of(n), bias_of(n), n->shape.N, dvg_shape_row(IN(0)->shape), n->shape.C);
}
static void linear_backward(struct dvg_graph *g, struct node *n) {
  int add;
  int64_t N = n->shape.N, C = dvg_shape_row(IN(0)->shape), K = n->shape.C;
  if (trains(n)) dvg_linear_backward_weight(dweight_of(n), dbias_of(n), X(0), DY, N, C, K);
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_linear_backward_data(dx, DY, weight_of(n), N, C, K, add);
}

// ---- layers

static const float *base_of(const struct dvg_graph *g, const struct node *n) {
  return n->base < 0 ? NULL : dvg_node_values(g, &g->nodes[n->base]);
}

// n, together with the convolution before it.
static void joint_forward(struct dvg_graph *g, struct node *n, struct node *conv) {
  dvg_node_pack(conv, DVG_FILTERS_MFM);
  const struct dvg_conv_maximum y = {Y, base_of(g, n), n->op == &dvg_op_pool, winner_of(g, n)};
  dvg_conv_forward_mfm(&conv->conv, &y, dvg_node_values(g, &g->nodes[conv->in[0]]), weight_of(conv),
                       conv->params->list[conv->weight].packed[DVG_FILTERS_MFM], bias_of(conv), n->shape.N,
                       g->scratch);
}

static void mfm_forward(struct dvg_graph *g, struct node *n) {
  if (n->joint >= 0) return;
  if (IN(0)->joint >= 0) joint_forward(g, n, IN(0));
  else dvg_mfm_forward(Y, X(0), n->shape.N, n->shape.C, PLACES);
}
static void mfm_backward(struct dvg_graph *g, struct node *n) {
  int add;
  if (IN(0)->joint >= 0) return; // the convolution will do it
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_mfm_backward(dx, DY, X(0), n->shape.N, n->shape.C, PLACES, add);
}
static void pool_forward(struct dvg_graph *g, struct node *n) {
  struct dvg_shape s = IN(0)->shape;
  if (IN(0)->joint >= 0) joint_forward(g, n, &g->nodes[IN(0)->in[0]]);
  else dvg_pool_forward(Y, X(0), s.N * s.C, s.H, s.W);
}
static void pool_backward(struct dvg_graph *g, struct node *n) {
  int add;
  struct dvg_shape s = IN(0)->shape;
  if (IN(0)->joint >= 0) return; // the convolution will do it
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_pool_backward(dx, DY, X(0), s.N * s.C, s.H, s.W, add);
}
static void norm_forward(struct dvg_graph *g, struct node *n) {
  const float *style = n->n_in > 1 ? X(1) + n->first : NULL;
  int64_t stride = n->n_in > 1 ? dvg_shape_row(IN(1)->shape) : 0;
  dvg_norm_add_forward(Y, norm_stats(g, n), IN(0)->norm == n - g->nodes, base_of(g, n), X(0), style, stride,
                       n->shape.N, n->shape.C, PLACES, n->slope);
}
static void norm_backward(struct dvg_graph *g, struct node *n) {
  int add;
  const float *style = n->n_in > 1 ? X(1) + n->first : NULL;
  int64_t stride = n->n_in > 1 ? dvg_shape_row(IN(1)->shape) : 0;
  float *dstyle = n->n_in > 1 ? dvg_node_gradient_sum(g, IN(1)) : NULL;
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  dvg_norm_backward(dx, dstyle ? dstyle + n->first : NULL, DY, X(0), norm_stats(g, n), style, stride,
                    n->shape.N, n->shape.C, PLACES, n->slope, add);
}
static void leaky_relu_forward(struct dvg_graph *g, struct node *n) {
  dvg_leaky_relu_forward(Y, X(0), COUNT, n->slope);
}
static void leaky_relu_backward(struct dvg_graph *g, struct node *n) {
  int add;
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_leaky_relu_backward(dx, DY, Y, COUNT, n->slope, add && dx != DY); // in place: overwrites
}
static void sigmoid_forward(struct dvg_graph *g, struct node *n) {
  dvg_sigmoid_forward(Y, X(0), COUNT);
}
static void sigmoid_backward(struct dvg_graph *g, struct node *n) {
  int add;
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_sigmoid_backward(dx, DY, Y, COUNT, add);
}
static void l2_forward(struct dvg_graph *g, struct node *n) {
  dvg_l2_forward(Y, AUX, X(0), n->shape.N, ROW);
}
static void l2_backward(struct dvg_graph *g, struct node *n) {
  int add;
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_l2_backward(dx, DY, Y, AUX, n->shape.N, ROW, add);
}
static void dropout_forward(struct dvg_graph *g, struct node *n) {
  const uint64_t *items = (const uint64_t *)g->integers[n->integers];
  dvg_dropout_forward(Y, AUX, X(0), items, n->seed, n->shape.N, ROW, n->rate);
}
static void dropout_backward(struct dvg_graph *g, struct node *n) {
  int add;
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_dropout_backward(dx, DY, AUX, COUNT, add);
}
static void gray_forward(struct dvg_graph *g, struct node *n) {
  dvg_gray_forward(Y, X(0), n->n_in > 1 ? X(1) : NULL, n->shape.N, PLACES);
}
static void gray_backward(struct dvg_graph *g, struct node *n) {
  int add;
  float *dx = dvg_node_gradient_out(g, IN(0), &add);
  if (dx) dvg_gray_backward(dx, DY, n->n_in > 1 ? X(1) : NULL, n->shape.N, PLACES, add);
}
static void warp_forward(struct dvg_graph *g, struct node *n) {
  dvg_warp_forward(Y, X(0), X(1), n->shape.N, n->shape.C, n->shape.H, n->shape.W);
}
static void warp_backward(struct dvg_graph *g, struct node *n) {
  float *dx = dvg_node_gradient_sum(g, IN(0));
  if (dx) dvg_warp_backward(dx, DY, X(1), n->shape.N, n->shape.C, n->shape.H, n->shape.W);
}
static void add_forward(struct dvg_graph *g, struct node *n) {
  if (IN(1)->base >= 0) return; // the norm or the maximum has done it
  dvg_add(Y, X(0), X(1), COUNT);
}
static void add_backward(struct dvg_graph *g, struct node *n) {
  for (int k = 0; k < 2; k++) {
    int add;
    float *dx = dvg_node_gradient_out(g, IN(k), &add);
    if (!dx || dx == DY) continue; // shares memory with dy: it is there already
    if (add) dvg_accumulate(dx, DY, COUNT);
    else memcpy(dx, DY, (size_t)COUNT * sizeof *dx);
  }
}
static void reparam_forward(struct dvg_graph *g, struct node *n) {
  dvg_reparam_forward(Y, X(0), X(1), X(2), COUNT);
}
static void reparam_backward(struct dvg_graph *g, struct node *n) {
  dvg_reparam_backward(dvg_node_gradient_sum(g, IN(0)), dvg_node_gradient_sum(g, IN(1)), DY, X(1), X(2), COUNT,
                       1);
}

// ---- shapes

static void concat_forward(struct dvg_graph *g, struct node *n) {
  dvg_concat_forward(Y, X(0), X(1), n->shape.N, dvg_shape_row(IN(0)->shape), dvg_shape_row(IN(1)->shape));
}
static void concat_backward(struct dvg_graph *g, struct node *n) {
  int add_a = 0, add_b = 0;
  float *da = dvg_node_gradient_out(g, IN(0), &add_a), *db = dvg_node_gradient_out(g, IN(1), &add_b);
  dvg_concat_backward(da, db, DY, n->shape.N, dvg_shape_row(IN(0)->shape), dvg_shape_row(IN(1)->shape), add_a,
                      add_b);
}
static void stack_forward(struct dvg_graph *g, struct node *n) {
  float *y = Y;
  for (int k = 0; k < n->n_in; k++) {
    int64_t count = dvg_shape_count(IN(k)->shape);
    memcpy(y, X(k), (size_t)count * sizeof *y);
    y += count;
  }
}
static void stack_backward(struct dvg_graph *g, struct node *n) {
  const float *dy = DY;
  for (int k = 0; k < n->n_in; k++) {
    int64_t count = dvg_shape_count(IN(k)->shape);
    float *dx = dvg_node_gradient_sum(g, IN(k));
    if (dx) dvg_accumulate(dx, dy, count);
    dy += count;
  }
}

// ---- losses

#define LOSS_WEIGHT (g->term_scale[n->term] * g->term_weight[n->term])
#define DX(k) dvg_node_gradient_sum(g, IN(k))
#define N_ROWS IN(0)->shape.N
#define N_COLUMNS dvg_shape_row(IN(0)->shape)
#define INTEGERS g->integers[n->integers]

static void l1_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] =
      dvg_loss_l1(NULL, NULL, X(0), X(1), dvg_shape_count(IN(0)->shape), g->term_scale[n->term]);
}
static void l1_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_l1(DX(0), DX(1), X(0), X(1), dvg_shape_count(IN(0)->shape), LOSS_WEIGHT);
}
static void dot_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] = dvg_loss_dot(NULL, NULL, X(0), X(1), N_ROWS, N_COLUMNS, g->term_scale[n->term]);
}
static void dot_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_dot(DX(0), DX(1), X(0), X(1), N_ROWS, N_COLUMNS, LOSS_WEIGHT);
}
static void abs_dot_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] = dvg_loss_abs_dot(NULL, NULL, X(0), X(1), N_ROWS, N_COLUMNS, g->term_scale[n->term]);
}
static void abs_dot_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_abs_dot(DX(0), DX(1), X(0), X(1), N_ROWS, N_COLUMNS, LOSS_WEIGHT);
}
static void hinge_dot_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] = dvg_loss_hinge_dot(NULL, NULL, X(0), X(1), INTEGERS, N_ROWS, N_COLUMNS, n->margin,
                                         g->term_scale[n->term]);
}
static void hinge_dot_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_hinge_dot(DX(0), DX(1), X(0), X(1), INTEGERS, N_ROWS, N_COLUMNS, n->margin, LOSS_WEIGHT);
}
static void softmax_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] = dvg_loss_softmax(NULL, X(0), INTEGERS, N_ROWS, N_COLUMNS, g->term_scale[n->term]);
}
static void softmax_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_softmax(DX(0), X(0), INTEGERS, N_ROWS, N_COLUMNS, LOSS_WEIGHT);
}
static void kl_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] =
      dvg_loss_kl(NULL, NULL, X(0), X(1), dvg_shape_count(IN(0)->shape), g->term_scale[n->term]);
}
static void kl_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_kl(DX(0), DX(1), X(0), X(1), dvg_shape_count(IN(0)->shape), LOSS_WEIGHT);
}
static void softplus_forward(struct dvg_graph *g, struct node *n) {
  g->terms[n->term] =
      dvg_loss_softplus(NULL, X(0), dvg_shape_count(IN(0)->shape), n->margin, g->term_scale[n->term]);
}
static void softplus_backward(struct dvg_graph *g, struct node *n) {
  dvg_loss_softplus(DX(0), X(0), dvg_shape_count(IN(0)->shape), n->margin, LOSS_WEIGHT);
}

//                                                   forward            backward             reads input, output
const struct operation dvg_op_input = {"input", nothing, nothing, 0, 0};
const struct operation dvg_op_conv = {"conv", conv_forward, conv_backward, 1, 0};
const struct operation dvg_op_linear = {"linear", linear_forward, linear_backward, 1, 0};
const struct operation dvg_op_mfm = {"mfm", mfm_forward, mfm_backward, 1, 0};
const struct operation dvg_op_pool = {"pool", pool_forward, pool_backward, 1, 0};
const struct operation dvg_op_norm = {"norm", norm_forward, norm_backward, 1, 0};
const struct operation dvg_op_leaky_relu = {"leaky_relu", leaky_relu_forward, leaky_relu_backward, 0, 1};
const struct operation dvg_op_sigmoid = {"sigmoid", sigmoid_forward, sigmoid_backward, 0, 1};
const struct operation dvg_op_l2 = {"l2", l2_forward, l2_backward, 0, 1};
const struct operation dvg_op_dropout = {"dropout", dropout_forward, dropout_backward, 0, 0};
const struct operation dvg_op_gray = {"gray", gray_forward, gray_backward, 0, 0}; // weights and maps are graph inputs, which are kept anyway
const struct operation dvg_op_warp = {"warp", warp_forward, warp_backward, 0, 0};
const struct operation dvg_op_add = {"add", add_forward, add_backward, 0, 0};
const struct operation dvg_op_reparam = {"reparam", reparam_forward, reparam_backward, 1, 0};
const struct operation dvg_op_concat = {"concat", concat_forward, concat_backward, 0, 0};
const struct operation dvg_op_stack = {"stack", stack_forward, stack_backward, 0, 0};
const struct operation dvg_op_rows = {"rows", nothing, nothing, 0, 0}; // share memory with their input
const struct operation dvg_op_view = {"view", nothing, nothing, 0, 0};
const struct operation dvg_op_detach = {"detach", nothing, nothing, 0, 0};
const struct operation dvg_op_l1 = {"l1", l1_forward, l1_backward, 1, 0};
const struct operation dvg_op_dot = {"dot", dot_forward, dot_backward, 1, 0};
const struct operation dvg_op_abs_dot = {"abs_dot", abs_dot_forward, abs_dot_backward, 1, 0};
const struct operation dvg_op_hinge_dot = {"hinge_dot", hinge_dot_forward, hinge_dot_backward, 1, 0};
const struct operation dvg_op_softmax = {"softmax", softmax_forward, softmax_backward, 1, 0};
const struct operation dvg_op_kl = {"kl", kl_forward, kl_backward, 1, 0};
const struct operation dvg_op_softplus = {"softplus", softplus_forward, softplus_backward, 1, 0};
