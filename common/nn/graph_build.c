// Building: shapes are computed and checked here, parameters are named and added. Nothing is allocated but
// tables.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/nn/graph_internal.h"

enum dvg_status dvg_graph_create(struct dvg_graph **out) {
  struct dvg_graph *g;
  DVG_TRY(DVG_NEW(&g, 1, "graph"));
  enum dvg_status status = DVG_NEW(&g->nodes, MAX_NODES, "graph nodes");
  if (status != DVG_OK) {
    dvg_free(&g);
    return status;
  }
  *out = g;
  return DVG_OK;
}

void dvg_graph_free(struct dvg_graph **g) {
  if (!*g) return;
  for (int i = 0; i < (*g)->n_integers; i++) dvg_free(&(*g)->integers[i]);
  dvg_free(&(*g)->nodes);
  dvg_free(&(*g)->buffers);
  dvg_free(&(*g)->arena);
  dvg_free(g);
}

static int refuse(struct dvg_graph *g, const char *op, const char *why) {
  if (g->status == DVG_OK)
    g->status = dvg_fail(DVG_ERROR_INTERNAL, "graph: node %d (%s): %s", g->n_nodes, op, why);
  return 0;
}

// Adds a node with inputs in[0..n_in); its shape is the first input's until the caller changes it. NULL after
// an error.
static struct node *add_node(struct dvg_graph *g, const struct operation *op, const int *in, int n_in) {
  if (g->status != DVG_OK) return NULL;
  if (g->planned || g->n_nodes == MAX_NODES || n_in > MAX_INPUTS) {
    refuse(g, op->name, g->planned ? "the graph is planned already" : "too many nodes");
    return NULL;
  }
  struct node *n = &g->nodes[g->n_nodes];
  *n = (struct node){.op = op,
                     .n_in = n_in,
                     .bias = -1,
                     .gain = 1,
                     .slope = 1,
                     .integers = -1,
                     .term = -1,
                     .joint = -1,
                     .norm = -1,
                     .base = -1};
  n->buffer = n->gradient_buffer = n->aux_buffer = -1;
  n->held = g->held;
  for (int k = 0; k < n_in; k++) {
    if (in[k] < 0 || in[k] >= g->n_nodes) {
      refuse(g, op->name, "no such input node");
      return NULL;
    }
    n->in[k] = in[k];
  }
  if (n_in) n->shape = g->nodes[in[0]].shape;
  g->n_nodes++;
  return n;
}

static int id_of(const struct dvg_graph *g, const struct node *n) {
  return n ? (int)(n - g->nodes) : 0;
}

static int same_shape(struct dvg_shape a, struct dvg_shape b) {
  return a.N == b.N && a.C == b.C && a.H == b.H && a.W == b.W;
}

int dvg_graph_input(struct dvg_graph *g, const char *name, int64_t N, int64_t C, int64_t H, int64_t W) {
  struct node *n = add_node(g, &dvg_op_input, NULL, 0);
  if (!n) return 0;
  if (N < 1 || C < 1 || H < 1 || W < 1) return refuse(g, name, "an input without values");
  n->shape = (struct dvg_shape){N, C, H, W};
  n->kept = 1;
  snprintf(n->name, sizeof n->name, "%s", name);
  return id_of(g, n);
}

int dvg_graph_integers(struct dvg_graph *g, const char *name, int64_t n) {
  if (g->n_integers == MAX_INTEGERS) return refuse(g, "integers", "too many");
  int i = g->n_integers;
  enum dvg_status status = DVG_NEW(&g->integers[i], n, "graph integers");
  if (status != DVG_OK) {
    if (g->status == DVG_OK) g->status = status;
    return 0;
  }
  g->integers_count[i] = n;
  snprintf(g->integers_name[i], sizeof g->integers_name[i], "%s", name);
  g->n_integers++;
  return i;
}

// Adds "<prefix><name>.weight" and, with K > 0, "<prefix><name>.bias" (K) to the scope's parameters.
static void add_parameters(struct dvg_graph *g, struct node *n, struct dvg_scope s, const char *name,
                           int n_dims, const int64_t *dims, int64_t fan_in, int64_t bias_count) {
  char full[2 * DVG_PARAM_NAME];
  n->params = s.params;
  snprintf(full, sizeof full, "%s%s.weight", s.prefix, name);
  g->status = dvg_params_add(s.params, &n->weight, full, n_dims, dims, fan_in);
  if (g->status == DVG_OK && bias_count > 0) {
    snprintf(full, sizeof full, "%s%s.bias", s.prefix, name);
    g->status = dvg_params_add(s.params, &n->bias, full, 1, &bias_count, fan_in);
  }
  // Whether it trains is known once the set is fixed (dvg_params_freeze may come later): see dvg_graph_plan.
}

static int add_conv(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, struct dvg_conv conv) {
  struct node *n = add_node(g, &dvg_op_conv, &x, 1);
  if (!n) return 0;
  conv.C = n->shape.C, conv.H = n->shape.H, conv.W = n->shape.W;
  n->conv = conv;
  n->shape = (struct dvg_shape){n->shape.N, conv.K, dvg_conv_P(&conv), dvg_conv_Q(&conv)};
  if (conv.K < 1) return refuse(g, name, "no channels");
  if (n->shape.H < 1 || n->shape.W < 1) return refuse(g, name, "the image is too small for this convolution");
  int64_t plain[4] = {conv.K, conv.C, conv.kernel, conv.kernel}, transposed[4] = {conv.C, conv.K, 2, 2};
  // PyTorch counts a transposed convolution's fan-in as K k k.
  int64_t fan_in = (conv.transposed ? conv.K : conv.C) * conv.kernel * conv.kernel;
  add_parameters(g, n, s, name, 4, conv.transposed ? transposed : plain, fan_in, conv.K);
  return id_of(g, n);
}

int dvg_graph_conv(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, int64_t K, int64_t kernel,
                   int64_t stride, int64_t pad) {
  return add_conv(g, s, name, x, (struct dvg_conv){.K = K, .kernel = kernel, .stride = stride, .pad = pad});
}

int dvg_graph_deconv(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, int64_t K) {
  return add_conv(g, s, name, x, (struct dvg_conv){.K = K, .kernel = 2, .stride = 2, .transposed = 1});
}

int dvg_graph_linear(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, int64_t K, int bias) {
  struct node *n = add_node(g, &dvg_op_linear, &x, 1);
  if (!n) return 0;
  if (K < 1) return refuse(g, name, "no channels");
  int64_t C = dvg_shape_row(n->shape), dims[2] = {K, C};
  n->shape = (struct dvg_shape){n->shape.N, K, 1, 1};
  add_parameters(g, n, s, name, 2, dims, C, bias ? K : 0);
  return id_of(g, n);
}

int dvg_graph_mfm(struct dvg_graph *g, int x) {
  struct node *n = add_node(g, &dvg_op_mfm, &x, 1);
  if (!n) return 0;
  if (n->shape.C % 2) return refuse(g, "mfm", "odd number of channels");
  n->shape.C /= 2;
  return id_of(g, n);
}

int dvg_graph_pool(struct dvg_graph *g, int x) {
  struct node *n = add_node(g, &dvg_op_pool, &x, 1);
  if (!n) return 0;
  n->shape.H /= 2, n->shape.W /= 2;
  if (n->shape.H < 1 || n->shape.W < 1) return refuse(g, "pool", "the image is too small to be halved");
  return id_of(g, n);
}

int dvg_graph_norm(struct dvg_graph *g, int x, int style, int64_t style_first, float slope) {
  int in[2] = {x, style};
  struct node *n = add_node(g, &dvg_op_norm, in, style < 0 ? 1 : 2);
  if (!n) return 0;
  if (style >= 0) {
    struct dvg_shape t = g->nodes[style].shape;
    if (t.N != n->shape.N || style_first < 0 || style_first + 2 * n->shape.C > dvg_shape_row(t))
      return refuse(g, "norm", "the style has too few rows or values");
  }
  n->first = style_first;
  n->slope = slope;
  n->aux_count = n->shape.N * n->shape.C * 2 * (int64_t)(sizeof(double) / sizeof(float));
  return id_of(g, n);
}

int dvg_graph_leaky_relu(struct dvg_graph *g, int x, float slope) {
  struct node *n = add_node(g, &dvg_op_leaky_relu, &x, 1);
  if (n) n->slope = slope;
  return id_of(g, n);
}

int dvg_graph_sigmoid(struct dvg_graph *g, int x) {
  return id_of(g, add_node(g, &dvg_op_sigmoid, &x, 1));
}

int dvg_graph_l2(struct dvg_graph *g, int x) {
  struct node *n = add_node(g, &dvg_op_l2, &x, 1);
  if (n) n->aux_count = n->shape.N;
  return id_of(g, n);
}

int dvg_graph_dropout(struct dvg_graph *g, int x, double rate, uint64_t seed, int items) {
  struct node *n = add_node(g, &dvg_op_dropout, &x, 1);
  if (!n) return 0;
  if (items < 0 || items >= g->n_integers || g->integers_count[items] != n->shape.N)
    return refuse(g, "dropout", "needs an item for each row");
  n->rate = rate, n->seed = seed, n->integers = items;
  n->aux_count = dvg_shape_count(n->shape);
  return id_of(g, n);
}

// Whether an input has N rows of `count` values: what is no input would want a gradient, which these layers do not give.
static int is_rows_of(const struct dvg_graph *g, int x, int64_t N, int64_t count) {
  const struct node *n = &g->nodes[x];
  return n->op == &dvg_op_input && n->shape.N == N && dvg_shape_row(n->shape) == count;
}

int dvg_graph_gray(struct dvg_graph *g, int x, int weights) {
  struct node *n = add_node(g, &dvg_op_gray, (int[]){x, weights}, weights < 0 ? 1 : 2);
  if (!n) return 0;
  if (n->shape.C != 3) return refuse(g, "gray", "needs three channels");
  if (weights >= 0 && !is_rows_of(g, weights, n->shape.N, 3)) return refuse(g, "gray", "needs three weights a row");
  n->shape.C = 1;
  return id_of(g, n);
}

int dvg_graph_warp(struct dvg_graph *g, int x, int maps) {
  struct node *n = add_node(g, &dvg_op_warp, (int[]){x, maps}, 2);
  if (n && !is_rows_of(g, maps, n->shape.N, 6)) return refuse(g, "warp", "needs six numbers a row");
  return id_of(g, n);
}

int dvg_graph_add(struct dvg_graph *g, int a, int b) {
  struct node *n = add_node(g, &dvg_op_add, (int[]){a, b}, 2);
  if (n && !same_shape(g->nodes[a].shape, g->nodes[b].shape)) return refuse(g, "add", "shapes differ");
  return id_of(g, n);
}

int dvg_graph_reparam(struct dvg_graph *g, int mu, int logvar, int eps) {
  struct node *n = add_node(g, &dvg_op_reparam, (int[]){mu, logvar, eps}, 3);
  if (n && (!same_shape(g->nodes[mu].shape, g->nodes[logvar].shape) ||
            !same_shape(g->nodes[mu].shape, g->nodes[eps].shape)))
    return refuse(g, "reparam", "shapes differ");
  return id_of(g, n);
}

int dvg_graph_concat(struct dvg_graph *g, int a, int b) {
  struct node *n = add_node(g, &dvg_op_concat, (int[]){a, b}, 2);
  if (!n) return 0;
  struct dvg_shape s = g->nodes[a].shape, t = g->nodes[b].shape;
  if (s.N != t.N || s.H != t.H || s.W != t.W) return refuse(g, "concat", "rows or sizes differ");
  n->shape.C = s.C + t.C;
  return id_of(g, n);
}

int dvg_graph_stack(struct dvg_graph *g, const int *nodes, int n_nodes) {
  struct node *n = add_node(g, &dvg_op_stack, nodes, n_nodes);
  if (!n) return 0;
  if (n_nodes < 1) return refuse(g, "stack", "of nothing");
  n->shape.N = 0;
  for (int k = 0; k < n_nodes; k++) {
    struct dvg_shape s = g->nodes[nodes[k]].shape;
    if (s.C != n->shape.C || s.H != n->shape.H || s.W != n->shape.W)
      return refuse(g, "stack", "rows differ in shape");
    n->shape.N += s.N;
  }
  return id_of(g, n);
}

int dvg_graph_rows(struct dvg_graph *g, int x, int64_t first, int64_t count) {
  struct node *n = add_node(g, &dvg_op_rows, &x, 1);
  if (!n) return 0;
  if (first < 0 || count < 1 || first + count > n->shape.N) return refuse(g, "rows", "out of range");
  n->shape.N = count;
  n->first = first;
  return id_of(g, n);
}

int dvg_graph_view(struct dvg_graph *g, int x, int64_t C, int64_t H, int64_t W) {
  struct node *n = add_node(g, &dvg_op_view, &x, 1);
  if (!n) return 0;
  if (C < 1 || H < 1 || W < 1 || dvg_shape_row(n->shape) != C * H * W)
    return refuse(g, "view", "another number of values");
  n->shape = (struct dvg_shape){n->shape.N, C, H, W};
  return id_of(g, n);
}

int dvg_graph_detach(struct dvg_graph *g, int x) {
  return id_of(g, add_node(g, &dvg_op_detach, &x, 1));
}

void dvg_graph_hold(struct dvg_graph *g, int held) {
  g->held = held;
}

// ---- losses

static struct node *add_loss(struct dvg_graph *g, const struct operation *op, const char *name, const int *in,
                             int n_in, int integers, double scale, double weight) {
  struct node *n = add_node(g, op, in, n_in);
  if (!n) return NULL;
  if (g->n_terms == MAX_TERMS) return refuse(g, name, "too many loss terms"), NULL;
  if (n_in == 2 && dvg_shape_row(g->nodes[in[0]].shape) != dvg_shape_row(g->nodes[in[1]].shape))
    return refuse(g, name, "rows differ in length"), NULL;
  if (n_in == 2 && g->nodes[in[0]].shape.N != g->nodes[in[1]].shape.N)
    return refuse(g, name, "numbers of rows differ"), NULL;
  int takes_integers = op == &dvg_op_hinge_dot || op == &dvg_op_softmax;
  if (takes_integers &&
      (integers < 0 || integers >= g->n_integers || g->integers_count[integers] != n->shape.N))
    return refuse(g, name, "needs an integer for each row"), NULL;
  n->shape = (struct dvg_shape){0, 0, 0, 0}; // no values of its own
  n->integers = integers;
  n->term = g->n_terms++;
  g->term_scale[n->term] = scale;
  g->term_weight[n->term] = weight;
  g->term_node[n->term] = id_of(g, n);
  snprintf(n->name, sizeof n->name, "%s", name);
  return n;
}

void dvg_graph_loss_l1(struct dvg_graph *g, const char *name, int a, int b, double scale, double weight) {
  add_loss(g, &dvg_op_l1, name, (int[]){a, b}, 2, -1, scale, weight);
}
void dvg_graph_loss_dot(struct dvg_graph *g, const char *name, int a, int b, double scale, double weight) {
  add_loss(g, &dvg_op_dot, name, (int[]){a, b}, 2, -1, scale, weight);
}
void dvg_graph_loss_abs_dot(struct dvg_graph *g, const char *name, int a, int b, double scale, double weight) {
  add_loss(g, &dvg_op_abs_dot, name, (int[]){a, b}, 2, -1, scale, weight);
}
void dvg_graph_loss_hinge_dot(struct dvg_graph *g, const char *name, int a, int b, int integers, double margin,
                              double scale, double weight) {
  struct node *n = add_loss(g, &dvg_op_hinge_dot, name, (int[]){a, b}, 2, integers, scale, weight);
  if (n) n->margin = margin;
}
void dvg_graph_loss_softmax(struct dvg_graph *g, const char *name, int x, int integers, double scale,
                            double weight) {
  add_loss(g, &dvg_op_softmax, name, &x, 1, integers, scale, weight);
}
void dvg_graph_loss_kl(struct dvg_graph *g, const char *name, int mu, int logvar, double scale, double weight) {
  add_loss(g, &dvg_op_kl, name, (int[]){mu, logvar}, 2, -1, scale, weight);
}
void dvg_graph_loss_softplus(struct dvg_graph *g, const char *name, int x, double sign, double scale,
                             double weight) {
  struct node *n = add_loss(g, &dvg_op_softplus, name, &x, 1, -1, scale, weight);
  if (n) n->margin = sign;
}

void dvg_graph_set_weight(struct dvg_graph *g, int64_t term, double weight) {
  g->term_weight[term] = weight;
}

void dvg_graph_keep(struct dvg_graph *g, int x) {
  if (g->status == DVG_OK) g->nodes[x].kept = 1;
}

void dvg_graph_gain(struct dvg_graph *g, int x, double gain) {
  if (g->status == DVG_OK) g->nodes[x].gain = gain;
}
