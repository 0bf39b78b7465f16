// What the files of the graph share: nodes, operations, buffers. Not for users of graph.h.
#ifndef DVG_NN_GRAPH_INTERNAL_H
#define DVG_NN_GRAPH_INTERNAL_H

#include "common/nn/conv.h"
#include "common/nn/graph.h"

enum { MAX_INPUTS = 8, MAX_NODES = 1024, MAX_TERMS = 32, MAX_INTEGERS = 8, GRAPH_NAME = 64 };

struct node;

// An operation: how its nodes run, and which memory its backward reads.
struct operation {
  const char *name;
  void (*forward)(struct dvg_graph *g, struct node *n);
  void (*backward)(struct dvg_graph *g, struct node *n);
  int reads_input, reads_output; // the backward reads values of its inputs, of its output
};

struct node {
  const struct operation *op;
  struct dvg_shape shape;
  int in[MAX_INPUTS], n_in;
  int needs_gradient, kept, held; // held: takes its parameters as constants
  char name[GRAPH_NAME];          // inputs and loss terms

  struct dvg_params *params; // conv, deconv, linear
  int64_t weight, bias;      // indices into params, bias -1: none
  int64_t below;             // end of the flat values that nodes before this one train
  struct dvg_conv conv;
  double gain;
  int joint; // conv, mfm: index of the maximum or pool behind it that computes all together and leaves it no values;
             // -1: none
  int norm; // conv: index of the norm that it sums its output for; -1: none
  int base; // norm, mfm: index of a node before it whose values it adds to its own; -1: none

  float slope;         // norm, leaky_relu
  int64_t first;       // norm: style_first; rows: first row
  double rate, margin; // dropout; hinge, or softplus's sign
  uint64_t seed;       // dropout
  int integers, term;  // dropout, hinge, softmax; losses

  int64_t aux_count; // floats kept from forward to backward: norm statistics, masks, norms
  int buffer, gradient_buffer, aux_buffer; // indices of memory buffers, -1: none
  int64_t offset;                          // of the values in the buffer, in floats (the same for the gradient)
};

// A piece of the arena with a life from one time to another. Forward of node i is time i, its backward 2
// n_nodes - 1 - i.
struct buffer {
  int64_t count; // floats
  int born, dies;
  int64_t place;       // offset in the arena in floats
  int started;         // gradients: holds something already in this backward
  int shared_in_parts; // gradients: rows nodes write parts of it, so the whole must be cleared before the first
};

struct dvg_graph {
  enum dvg_status status; // first error of building
  int n_nodes, n_terms, n_integers, n_buffers, training, planned, held;
  struct node *nodes;
  struct buffer *buffers;
  float *arena, *scratch;
  int64_t arena_count, scratch_count;
  double terms[MAX_TERMS], term_scale[MAX_TERMS], term_weight[MAX_TERMS];
  int term_node[MAX_TERMS];
  int64_t *integers[MAX_INTEGERS], integers_count[MAX_INTEGERS];
  char integers_name[MAX_INTEGERS][GRAPH_NAME];
};

static inline int64_t dvg_shape_row(struct dvg_shape s) {
  return s.C * s.H * s.W;
}
static inline int64_t dvg_shape_count(struct dvg_shape s) {
  return s.N * dvg_shape_row(s);
}

float *dvg_node_values(const struct dvg_graph *g, const struct node *n);
float *dvg_node_aux(const struct dvg_graph *g, const struct node *n);
// Gradient of a node that is about to be written by a consumer's backward: *add tells whether to add or to
// overwrite. NULL: it needs none.
float *dvg_node_gradient_out(struct dvg_graph *g, const struct node *n, int *add);
// The same for functions that always add: cleared on first use.
float *dvg_node_gradient_sum(struct dvg_graph *g, const struct node *n);
// Gradient of a node, as its own backward reads it.
const float *dvg_node_gradient(const struct dvg_graph *g, const struct node *n);

extern const struct operation dvg_op_input, dvg_op_conv, dvg_op_linear, dvg_op_mfm, dvg_op_pool, dvg_op_norm,
    dvg_op_leaky_relu, dvg_op_sigmoid, dvg_op_l2, dvg_op_dropout, dvg_op_gray, dvg_op_warp, dvg_op_add, dvg_op_reparam,
    dvg_op_concat, dvg_op_stack, dvg_op_rows, dvg_op_view, dvg_op_detach, dvg_op_l1, dvg_op_dot, dvg_op_abs_dot,
    dvg_op_hinge_dot, dvg_op_softmax, dvg_op_kl, dvg_op_softplus;

// Prepared filters of a conv node, made anew when the parameters have changed.
void dvg_node_pack(struct node *n, enum dvg_filters use);

#endif
