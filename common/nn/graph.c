// Running: forward, backward, loss terms, data-dependent initialisation.
#include "common/nn/graph.h"

#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/nn/graph_internal.h"

float *dvg_node_values(const struct dvg_graph *g, const struct node *n) {
  return n->buffer < 0 ? NULL : g->arena + g->buffers[n->buffer].place + n->offset;
}

float *dvg_node_aux(const struct dvg_graph *g, const struct node *n) {
  return g->arena + g->buffers[n->aux_buffer].place;
}

const float *dvg_node_gradient(const struct dvg_graph *g, const struct node *n) {
  return g->arena + g->buffers[n->gradient_buffer].place + n->offset;
}

float *dvg_node_gradient_out(struct dvg_graph *g, const struct node *n, int *add) {
  if (!n->needs_gradient) return NULL;
  struct buffer *b = &g->buffers[n->gradient_buffer];
  float *all = g->arena + b->place;
  if (!b->started && b->shared_in_parts) memset(all, 0, (size_t)b->count * sizeof *all), b->started = 1;
  *add = b->started;
  b->started = 1;
  return all + n->offset;
}

float *dvg_node_gradient_sum(struct dvg_graph *g, const struct node *n) {
  if (!n->needs_gradient) return NULL;
  struct buffer *b = &g->buffers[n->gradient_buffer];
  float *all = g->arena + b->place;
  if (!b->started) memset(all, 0, (size_t)b->count * sizeof *all);
  b->started = 1;
  return all + n->offset;
}

float *dvg_graph_values(const struct dvg_graph *g, int x) {
  return dvg_node_values(g, &g->nodes[x]);
}
int64_t *dvg_graph_integer_values(const struct dvg_graph *g, int integers) {
  return g->integers[integers];
}
struct dvg_shape dvg_graph_shape(const struct dvg_graph *g, int x) {
  return g->nodes[x].shape;
}

void dvg_graph_forward(struct dvg_graph *g) {
  for (int i = 0; i < g->n_nodes; i++) g->nodes[i].op->forward(g, &g->nodes[i]);
}

// End of the values of p that the node trains; 0: none.
static int64_t trained_end(const struct node *n, const struct dvg_params *p) {
  int64_t end = 0;
  if (!p || n->params != p || n->held || !n->needs_gradient) return 0;
  const int64_t used[] = {n->weight, n->bias};
  for (int k = 0; k < 2; k++) {
    const struct dvg_param *q = used[k] < 0 ? NULL : &p->list[used[k]];
    if (q && !q->frozen && q->first + q->count > end) end = q->first + q->count;
  }
  return end;
}

void dvg_graph_backward_by_layer(struct dvg_graph *g, const struct dvg_params *p, void (*ready)(void *, int64_t),
                                 void *context) {
  int64_t end = 0;
  for (int i = 0; i < g->n_nodes; i++) {
    g->nodes[i].below = end;
    const int64_t mine = trained_end(&g->nodes[i], p);
    if (mine > end) end = mine;
  }
  for (int i = 0; i < g->n_buffers; i++) g->buffers[i].started = 0;
  for (int i = g->n_nodes - 1; i >= 0; i--) {
    if (!g->nodes[i].needs_gradient) continue;
    g->nodes[i].op->backward(g, &g->nodes[i]);
    ready(context, g->nodes[i].below);
  }
}

static void nothing(void *context, int64_t first) {
  (void)context, (void)first;
}

void dvg_graph_backward(struct dvg_graph *g) {
  dvg_graph_backward_by_layer(g, NULL, nothing, NULL);
}

int64_t dvg_graph_n_terms(const struct dvg_graph *g) {
  return g->n_terms;
}
const double *dvg_graph_terms(const struct dvg_graph *g) {
  return g->terms;
}
const char *dvg_graph_term_name(const struct dvg_graph *g, int64_t term) {
  return g->nodes[g->term_node[term]].name;
}
double dvg_graph_term_weight(const struct dvg_graph *g, int64_t term) {
  return g->term_weight[term];
}

enum dvg_status dvg_graph_each_input(const struct dvg_graph *g,
                                     enum dvg_status (*visit)(void *, const char *, struct dvg_shape,
                                                              const float *, const int64_t *),
                                     void *context) {
  for (int i = 0; i < g->n_nodes; i++) {
    const struct node *n = &g->nodes[i];
    if (n->op == &dvg_op_input) DVG_TRY(visit(context, n->name, n->shape, dvg_node_values(g, n), NULL));
  }
  for (int i = 0; i < g->n_integers; i++) {
    struct dvg_shape shape = {g->integers_count[i], 1, 1, 1};
    DVG_TRY(visit(context, g->integers_name[i], shape, NULL, g->integers[i]));
  }
  return DVG_OK;
}

// Gives the output of a map mean zero in each channel and the standard deviation `gain` over all: y = w x + b
// becomes y' = (gain / s) (y - mean), so w' = w gain / s, b' = (b - mean) gain / s.
static void normalize_output(struct node *n, const float *y) {
  int64_t K = n->shape.C, places = n->shape.H * n->shape.W, per_channel = n->shape.N * places;
  struct dvg_param *w = &n->params->list[n->weight], *b = n->bias < 0 ? NULL : &n->params->list[n->bias];
  double total = 0;
  if (per_channel < 2) return; // one value a channel has no spread
  for (int64_t k = 0; k < K; k++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n->shape.N; i++)
      for (int64_t s = 0; s < places; s++) sum += y[(i * K + k) * places + s];
    double mean = sum / (double)per_channel;
    for (int64_t i = 0; i < n->shape.N; i++)
      for (int64_t s = 0; s < places; s++) {
        double d = y[(i * K + k) * places + s] - mean;
        squares += d * d;
      }
    total += squares / (double)per_channel;
    if (b) n->params->value[b->first + k] -= (float)mean;
  }
  float scale = (float)(n->gain / sqrt(total / (double)K + 1e-12));
  for (int64_t i = 0; i < w->count; i++) n->params->value[w->first + i] *= scale;
  for (int64_t k = 0; b && k < K; k++) n->params->value[b->first + k] *= scale;
  dvg_params_changed(n->params);
}

// *y = the values of a convolution that leaves none itself, in memory of the caller.
static enum dvg_status whole_output(float **y, struct dvg_graph *g, const struct node *n) {
  const float *value = n->params->value, *bias = n->bias < 0 ? NULL : value + n->params->list[n->bias].first;
  const float *weight = value + n->params->list[n->weight].first;
  float *packed = NULL;
  enum dvg_status status = DVG_OK;
  DVG_TRY(DVG_NEW(y, dvg_shape_count(n->shape), "a convolution's values"));
  DVG_TRY_GOTO(DVG_NEW(&packed, dvg_conv_packed(&n->conv, DVG_FILTERS_FORWARD), "prepared filters"));
  dvg_conv_pack(&n->conv, packed, weight, DVG_FILTERS_FORWARD);
  dvg_conv_forward(&n->conv, *y, dvg_node_values(g, &g->nodes[n->in[0]]), weight, packed, bias, n->shape.N,
                   g->scratch);
done:
  dvg_free(&packed);
  return status;
}

enum dvg_status dvg_graph_initialize_by_data(struct dvg_graph *g) {
  for (int i = 0; i < g->n_nodes; i++) {
    struct node *n = &g->nodes[i];
    float *whole = NULL;
    n->op->forward(g, n);
    if (!n->params || n->params->list[n->weight].frozen) continue;
    enum dvg_status status = n->joint < 0 ? DVG_OK : whole_output(&whole, g, n);
    if (status == DVG_OK) normalize_output(n, whole ? whole : dvg_node_values(g, n));
    dvg_free(&whole);
    DVG_TRY(status);
    n->op->forward(g, n);
  }
  return DVG_OK;
}
