// A network and its losses as a graph of layers, built once for one batch size, run many times.
//
//     struct dvg_graph *g;  dvg_graph_create(&g);
//     int x = dvg_graph_input(g, "image", 16, 1, 128, 128);
//     int y = dvg_graph_mfm(g, dvg_graph_conv(g, (struct dvg_scope){&params, ""}, "conv1.filter", x, 96, 5, 1, 2));
//     dvg_graph_keep(g, y);
//     DVG_TRY(dvg_graph_plan(g, 0));   // all errors of the lines above surface here
//     loop: fill dvg_graph_values(g, x); dvg_graph_forward(g); read dvg_graph_values(g, y);
//
// Nodes are small integers; a building function given a bad node or shape returns a node too, and the first error is kept for dvg_graph_plan.
// dvg_graph_plan lays all values, gradients and scratch into one arena by their lifetimes; after it nothing allocates. A gradient is computed only where
// a parameter that is not frozen needs it, also through networks that are frozen themselves.
// Not thread safe, not collective. Letters: N rows (images), C channels, H x W.
#ifndef DVG_NN_GRAPH_H
#define DVG_NN_GRAPH_H

#include <stdint.h>

#include "common/base/status.h"
#include "common/nn/params.h"

struct dvg_graph;

// Where layers find their parameters: names are prefix + layer name + ".weight" / ".bias".
struct dvg_scope {
  struct dvg_params *params;
  const char *prefix;
};

struct dvg_shape {
  int64_t N, C, H, W;
};

DVG_CHECKED enum dvg_status dvg_graph_create(struct dvg_graph **g);
void dvg_graph_free(struct dvg_graph **g);

// ---- inputs. Names are for dumps.
int dvg_graph_input(struct dvg_graph *g, const char *name, int64_t N, int64_t C, int64_t H, int64_t W);
// n integers (labels, permutations, item numbers); these are no nodes of values: only functions that say so take them.
int dvg_graph_integers(struct dvg_graph *g, const char *name, int64_t n);

// ---- layers
int dvg_graph_conv(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, int64_t K, int64_t kernel, int64_t stride, int64_t pad);
int dvg_graph_deconv(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, int64_t K); // 2x2, stride 2
int dvg_graph_linear(struct dvg_graph *g, struct dvg_scope s, const char *name, int x, int64_t K, int bias); // x as rows of C*H*W
int dvg_graph_mfm(struct dvg_graph *g, int x);
int dvg_graph_pool(struct dvg_graph *g, int x); // max + mean of 2x2
// Instance norm + LeakyReLU of `slope` (1: none). `style` -1, or a node whose rows hold, from value `style_first` on, C shifts, then C scales.
int dvg_graph_norm(struct dvg_graph *g, int x, int style, int64_t style_first, float slope);
int dvg_graph_leaky_relu(struct dvg_graph *g, int x, float slope);
int dvg_graph_sigmoid(struct dvg_graph *g, int x);
int dvg_graph_l2(struct dvg_graph *g, int x);
// Row i draws its mask from (seed, items[i]).
int dvg_graph_dropout(struct dvg_graph *g, int x, double rate, uint64_t seed, int items);
int dvg_graph_gray(struct dvg_graph *g, int x, int weights); // weights: an input of three a row, or -1: ITU-R BT.601 luma
int dvg_graph_warp(struct dvg_graph *g, int x, int maps);    // maps: an input of six numbers a row (dvg_warp_forward)
int dvg_graph_add(struct dvg_graph *g, int a, int b);
int dvg_graph_reparam(struct dvg_graph *g, int mu, int logvar, int eps);

// ---- shapes
int dvg_graph_concat(struct dvg_graph *g, int a, int b);                     // along the channels
int dvg_graph_stack(struct dvg_graph *g, const int *nodes, int n);           // along the rows
int dvg_graph_rows(struct dvg_graph *g, int x, int64_t first, int64_t count); // some rows; shares memory
int dvg_graph_view(struct dvg_graph *g, int x, int64_t C, int64_t H, int64_t W); // same rows, another shape; shares memory

// ---- what learns from what
// The same values, shares memory; what lies behind it does not reach x with its gradient.
int dvg_graph_detach(struct dvg_graph *g, int x);
// Layers that are added from now on take their parameters as constants (1), or train them (0, as at first): a gradient goes through them to their input
// alone. So a network can judge another one's output without learning to please it.
void dvg_graph_hold(struct dvg_graph *g, int held);

// ---- losses. The term's value is `scale` * sum (losses.h), so a mean over a batch of B cut into micro-batches has scale 1/B in each;
// it enters the total with `weight`. Terms are numbered in the order of these calls.
void dvg_graph_loss_l1(struct dvg_graph *g, const char *name, int a, int b, double scale, double weight);
void dvg_graph_loss_dot(struct dvg_graph *g, const char *name, int a, int b, double scale, double weight);
void dvg_graph_loss_abs_dot(struct dvg_graph *g, const char *name, int a, int b, double scale, double weight);
void dvg_graph_loss_hinge_dot(struct dvg_graph *g, const char *name, int a, int b, int integers, double margin, double scale, double weight);
void dvg_graph_loss_softmax(struct dvg_graph *g, const char *name, int x, int integers, double scale, double weight);
void dvg_graph_loss_kl(struct dvg_graph *g, const char *name, int mu, int logvar, double scale, double weight);
void dvg_graph_loss_softplus(struct dvg_graph *g, const char *name, int x, double sign, double scale, double weight);
// Changes a weight between steps (warm-up).
void dvg_graph_set_weight(struct dvg_graph *g, int64_t term, double weight);

// ---- planning
// Keeps a node's values readable after dvg_graph_forward (and, in training, after dvg_graph_backward).
void dvg_graph_keep(struct dvg_graph *g, int x);
// Standard deviation that dvg_graph_initialize_by_data gives to the output of this conv, deconv or linear node (default 1).
void dvg_graph_gain(struct dvg_graph *g, int x, double gain);
// The first error of building, which dvg_graph_plan would return: for graphs that only name parameters.
DVG_CHECKED enum dvg_status dvg_graph_status(const struct dvg_graph *g);
// Fixes the graph and the parameter sets it uses (allocating their values, and gradients when training), lays out memory. `training`: with backward.
DVG_CHECKED enum dvg_status dvg_graph_plan(struct dvg_graph *g, int training);
// Bytes of the arena (values, gradients, scratch).
int64_t dvg_graph_bytes(const struct dvg_graph *g);

// ---- running
float *dvg_graph_values(const struct dvg_graph *g, int x);
int64_t *dvg_graph_integer_values(const struct dvg_graph *g, int integers);
struct dvg_shape dvg_graph_shape(const struct dvg_graph *g, int x);
void dvg_graph_forward(struct dvg_graph *g); // computes values, and loss terms
// Adds the gradient of the total loss to the gradients of all parameters that are not frozen. After dvg_graph_forward.
void dvg_graph_backward(struct dvg_graph *g);
// The same; after each layer calls ready(context, first): the gradients of the values [first, n_values) of `p` are complete. `first` never grows, and is 0 at the end.
void dvg_graph_backward_by_layer(struct dvg_graph *g, const struct dvg_params *p, void (*ready)(void *context, int64_t first), void *context);

int64_t dvg_graph_n_terms(const struct dvg_graph *g);
const double *dvg_graph_terms(const struct dvg_graph *g); // of the last forward: scale * sum, without weight
const char *dvg_graph_term_name(const struct dvg_graph *g, int64_t term);
double dvg_graph_term_weight(const struct dvg_graph *g, int64_t term);

// Inputs in the order they were added, for dumps: calls visit(name, shape, values or NULL, integers or NULL).
DVG_CHECKED enum dvg_status dvg_graph_each_input(const struct dvg_graph *g,
                                                 enum dvg_status (*visit)(void *context, const char *name, struct dvg_shape shape,
                                                                          const float *values, const int64_t *integers),
                                                 void *context);

// Data-dependent initialisation (Mishkin, Matas: "All you need is a good init", ICLR 2016; Kraehenbuehl et al., ICLR 2016): runs forward on the inputs
// that are filled in and, layer by layer, shifts and scales the parameters of each conv and linear node that is not frozen so that its output has mean zero per channel
// and the standard deviation of dvg_graph_gain; one with a single value a channel (a linear layer of a single row) is left as it is. Call after dvg_params_initialize; afterwards dvg_params_changed has been called. DVG_ERROR_MEMORY.
DVG_CHECKED enum dvg_status dvg_graph_initialize_by_data(struct dvg_graph *g);

#endif
