// Planning: which nodes have gradients, which share memory, how long each piece of memory lives, where it lies.
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/nn/graph_internal.h"

enum { ALIGN_FLOATS = 16 };

static int is_loss(const struct node *n) {
  return n->term >= 0;
}
static int shares_input(const struct node *n) {
  return n->op == &dvg_op_rows || n->op == &dvg_op_view || n->op == &dvg_op_detach;
}
static int has_weights(const struct node *n) {
  return n->params != NULL;
}
static int trains(const struct node *n) {
  return has_weights(n) && !n->held && !n->params->list[n->weight].frozen;
}

// Whether the backward of n reads the values of its inputs: maps with frozen weights need dy alone.
static int backward_reads_input(const struct node *n) {
  return has_weights(n) ? trains(n) : n->op->reads_input;
}

// A gradient is needed where a trained parameter lies before and a loss behind.
static enum dvg_status find_gradients(struct dvg_graph *g) {
  unsigned char reaches_loss[MAX_NODES] = {0};
  for (int i = g->n_nodes - 1; i >= 0; i--) {
    struct node *n = &g->nodes[i];
    if (is_loss(n)) reaches_loss[i] = 1;
    if (n->op == &dvg_op_detach) reaches_loss[i] = 0;
    for (int k = 0; k < n->n_in; k++) reaches_loss[n->in[k]] |= reaches_loss[i];
  }
  for (int i = 0; i < g->n_nodes; i++) {
    struct node *n = &g->nodes[i];
    int from_inputs = 0;
    for (int k = 0; k < n->n_in; k++) from_inputs |= g->nodes[n->in[k]].needs_gradient;
    n->needs_gradient = g->training && reaches_loss[i] && (trains(n) || from_inputs);
    // Their backward writes the gradients of the first so many inputs without asking.
    int n_needed = n->op == &dvg_op_norm ? 1 : n->op == &dvg_op_reparam ? 2 : 0;
    for (int k = 0; n->needs_gradient && k < n_needed; k++)
      if (!g->nodes[n->in[k]].needs_gradient)
        return dvg_fail(DVG_ERROR_INTERNAL,
                        "graph: node %d (%s) needs a gradient that its input %d does not have", i, n->op->name,
                        k);
  }
  return DVG_OK;
}

static void count_consumers(int *n_consumers, const struct dvg_graph *g) {
  memset(n_consumers, 0, MAX_NODES * sizeof *n_consumers);
  for (int i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i].n_in; k++) n_consumers[g->nodes[i].in[k]]++;
}

static int all_that_is_wanted(const struct dvg_graph *g, int i, const int *n_consumers) {
  return !g->nodes[i].kept && n_consumers[i] == 1;
}

// Node i computes the convolution that lies `steps` before it, and what is in between, together with itself, if
// that can be. Its backward needs the winners, kept beside it.
static int join(struct dvg_graph *g, int i, int steps) {
  struct node *n = &g->nodes[i], *x = n;
  for (int k = 0; k < steps; k++) x = &g->nodes[x->in[0]];
  const int pool = n->op == &dvg_op_pool;
  const int64_t winner_bytes = n->needs_gradient ? dvg_conv_winner_bytes(&x->conv, x->shape.N, pool) : 0;
  if (!(n->needs_gradient ? winner_bytes > 0
        : pool            ? dvg_conv_joins_pool(&x->conv)
                          : dvg_conv_joins_mfm(&x->conv)))
    return 0;
  for (x = n; steps > 0; steps--) {
    x = &g->nodes[x->in[0]];
    x->joint = i;
    x->aux_count = 0;
  }
  n->aux_count = (winner_bytes + (int64_t)sizeof(float) - 1) / (int64_t)sizeof(float);
  return 1;
}

// A convolution of which only its max-feature-map is wanted, and of that perhaps only its pool.
static void join_mfm(struct dvg_graph *g) {
  int n_consumers[MAX_NODES];
  count_consumers(n_consumers, g);
  for (int i = 0; i < g->n_nodes; i++) {
    const struct node *n = &g->nodes[i], *x = n->n_in > 0 ? &g->nodes[n->in[0]] : NULL;
    if (!x || !all_that_is_wanted(g, n->in[0], n_consumers)) continue;
    if (n->op == &dvg_op_mfm && x->op == &dvg_op_conv) join(g, i, 1);
    if (n->op == &dvg_op_pool && x->op == &dvg_op_mfm && g->nodes[x->in[0]].joint == n->in[0]) join(g, i, 2);
  }
}

// A convolution whose output a norm reads takes the norm's sums, where it can.
static void join_norm(struct dvg_graph *g) {
  for (int i = 0; i < g->n_nodes; i++) {
    const struct node *n = &g->nodes[i];
    if (n->op != &dvg_op_norm) continue;
    struct node *x = &g->nodes[n->in[0]];
    if (x->op == &dvg_op_conv && x->norm < 0 && dvg_conv_packed(&x->conv, DVG_FILTERS_FORWARD) > 0) x->norm = i;
  }
}

static int new_buffer(struct dvg_graph *g, int64_t count, int born) {
  g->buffers[g->n_buffers] = (struct buffer){.count = count, .born = born, .dies = born};
  return g->n_buffers++;
}

static void live_until(struct dvg_graph *g, int buffer, int time) {
  if (buffer >= 0 && g->buffers[buffer].dies < time) g->buffers[buffer].dies = time;
}

// Index of the input whose memory node n may take over for its own values, or -1: an input that nobody else
// reads, forward or backward.
static int overwritten_input(const struct dvg_graph *g, const struct node *n, const int *n_consumers) {
  // A norm's backward reads its input; without one, its output is written where the cache has the input
  // already.
  const int in_place =
      n->op == &dvg_op_leaky_relu || n->op == &dvg_op_sigmoid || (n->op == &dvg_op_norm && !n->needs_gradient);
  const int k = n->op == &dvg_op_add ? 1 : in_place ? 0 : -1;
  if (k < 0) return -1;
  const struct node *x = &g->nodes[n->in[k]];
  int free_to_take = n_consumers[n->in[k]] == 1 && !x->kept && !shares_input(x) && !x->op->reads_output &&
                     x->op != &dvg_op_input;
  return free_to_take ? k : -1;
}

// A norm, or a maximum of a convolution that can, whose only reader adds it to what is there before: it adds at
// once, as the sum takes over its memory. Its backward doesn't ask for its output.
static int can_add(const struct dvg_graph *g, int i) {
  const struct node *n = &g->nodes[i], *x = &g->nodes[n->in[0]];
  if (n->op == &dvg_op_mfm) return x->joint == i && dvg_conv_packed(&x->conv, DVG_FILTERS_MFM) > 0;
  return n->op == &dvg_op_norm;
}

static void join_add(struct dvg_graph *g) {
  int n_consumers[MAX_NODES];
  count_consumers(n_consumers, g);
  for (int i = 0; i < g->n_nodes; i++) {
    const struct node *n = &g->nodes[i];
    if (n->op != &dvg_op_add || n->in[0] >= n->in[1] || overwritten_input(g, n, n_consumers) != 1) continue;
    if (can_add(g, n->in[1])) g->nodes[n->in[1]].base = n->in[0];
  }
}

// The node in whose backward the gradient of node i is read, and what i has kept: itself, or the convolution
// that goes back with it.
static int backward_node(const struct dvg_graph *g, int i) {
  int first = i;
  while (g->nodes[first].n_in > 0 && g->nodes[g->nodes[first].in[0]].joint == i) first = g->nodes[first].in[0];
  return first;
}

static void plan_values(struct dvg_graph *g) {
  int n_consumers[MAX_NODES], end = 2 * g->n_nodes;
  count_consumers(n_consumers, g);
  for (int i = 0; i < g->n_nodes; i++) {
    struct node *n = &g->nodes[i];
    int backward = 2 * g->n_nodes - 1 - i, k = shares_input(n) ? 0 : overwritten_input(g, n, n_consumers);
    if (is_loss(n) || n->joint >= 0) n->buffer = -1;
    else if (k >= 0) {
      const struct node *x = &g->nodes[n->in[k]];
      n->buffer = x->buffer;
      n->offset = x->offset + (n->op == &dvg_op_rows ? n->first * dvg_shape_row(n->shape) : 0);
    } else n->buffer = new_buffer(g, dvg_shape_count(n->shape), n->op == &dvg_op_input ? 0 : i);
    if (n->aux_count > 0) {
      const int summed = n->op == &dvg_op_norm && g->nodes[n->in[0]].norm == i;
      n->aux_buffer = new_buffer(g, n->aux_count, summed ? n->in[0] : i);
      live_until(g, n->aux_buffer, i);
      if (n->needs_gradient) live_until(g, n->aux_buffer, 2 * g->n_nodes - 1 - backward_node(g, i));
    }
    live_until(g, n->buffer, n->kept ? end : i);
    if (n->needs_gradient && n->op->reads_output) live_until(g, n->buffer, backward);
    for (int j = 0; j < n->n_in; j++)
      live_until(g, g->nodes[n->in[j]].buffer,
                 n->needs_gradient && backward_reads_input(n) ? backward
                 : n->joint >= 0                              ? n->joint
                                                              : i);
  }
}

static void plan_gradients(struct dvg_graph *g) {
  int n_consumers[MAX_NODES];
  count_consumers(n_consumers, g);
  // In forward order, so that a node that shares memory finds its input's buffer. A gradient is born at its
  // first writing, the backward of its last consumer, and read at the backward of its own node.
  for (int i = 0; i < g->n_nodes; i++) {
    struct node *n = &g->nodes[i];
    if (!n->needs_gradient || is_loss(n) || n->joint >= 0) continue;
    int k = shares_input(n) ? 0 : n->op == &dvg_op_sigmoid ? -1 : overwritten_input(g, n, n_consumers);
    int from = k >= 0 ? n->in[k] : -1;
    if (from >= 0 && g->nodes[from].needs_gradient) n->gradient_buffer = g->nodes[from].gradient_buffer;
    else {
      n->gradient_buffer = new_buffer(g, dvg_shape_count(n->shape), 2 * g->n_nodes);
      g->buffers[n->gradient_buffer].dies = 0;
    }
    live_until(g, n->gradient_buffer, 2 * g->n_nodes - 1 - backward_node(g, i));
    g->buffers[n->gradient_buffer].shared_in_parts |= n->op == &dvg_op_rows;
  }
  for (int i = 0; i < g->n_nodes; i++) {
    const struct node *n = &g->nodes[i];
    if (!n->needs_gradient) continue;
    int backward = 2 * g->n_nodes - 1 - i;
    for (int k = 0; k < n->n_in; k++) {
      const struct node *x = &g->nodes[n->in[k]];
      if (x->needs_gradient && x->joint < 0 && g->buffers[x->gradient_buffer].born > backward)
        g->buffers[x->gradient_buffer].born = backward;
    }
  }
}

static int larger_first(const void *a, const void *b) {
  const struct buffer *x = *(const struct buffer *const *)a, *y = *(const struct buffer *const *)b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return x < y ? -1 : x > y;
}

static int lower_first(const void *a, const void *b) {
  const struct buffer *x = *(const struct buffer *const *)a, *y = *(const struct buffer *const *)b;
  return x->place < y->place ? -1 : x->place > y->place;
}

// Largest first, each at the lowest place where nothing of the same time lies.
static enum dvg_status place_buffers(struct dvg_graph *g) {
  struct buffer **order, **placed;
  DVG_TRY(DVG_NEW(&order, 2 * (int64_t)g->n_buffers, "memory plan"));
  placed = order + g->n_buffers;
  for (int i = 0; i < g->n_buffers; i++) {
    order[i] = &g->buffers[i];
    order[i]->count = (order[i]->count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
  }
  qsort(order, (size_t)g->n_buffers, sizeof *order, larger_first);
  for (int i = 0; i < g->n_buffers; i++) {
    struct buffer *b = order[i];
    int64_t place = 0;
    for (int j = 0; j < i; j++) { // placed is sorted by place: the first gap is the lowest
      const struct buffer *o = placed[j];
      if (o->dies < b->born || o->born > b->dies || o->place + o->count <= place) continue;
      if (o->place >= place + b->count) break;
      place = o->place + o->count;
    }
    b->place = place;
    placed[i] = b;
    qsort(placed, (size_t)i + 1, sizeof *placed, lower_first);
    if (place + b->count > g->arena_count) g->arena_count = place + b->count;
  }
  dvg_free(&order);
  return DVG_OK;
}

// Parameter sets get their arrays; convolutions their prepared filters and the scratch of the hungriest.
static enum dvg_status plan_weights(struct dvg_graph *g) {
  for (int i = 0; i < g->n_nodes; i++) {
    struct node *n = &g->nodes[i];
    if (!has_weights(n)) continue;
    DVG_TRY(dvg_params_allocate(n->params, g->training && trains(n)));
    if (n->op != &dvg_op_conv) continue;
    int64_t scratch = dvg_conv_scratch(&n->conv, n->shape.N);
    if (scratch > g->scratch_count) g->scratch_count = scratch;
    struct dvg_param *p = &n->params->list[n->weight];
    const int wanted[DVG_N_FILTERS] = {[DVG_FILTERS_FORWARD] = n->joint < 0,
                                       [DVG_FILTERS_BACKWARD] =
                                           n->needs_gradient && g->nodes[n->in[0]].needs_gradient,
                                       [DVG_FILTERS_MFM] = n->joint >= 0};
    for (int use = 0; use < DVG_N_FILTERS; use++) {
      int64_t count = dvg_conv_packed(&n->conv, (enum dvg_filters)use);
      if (count > 0 && wanted[use] && !p->packed[use])
        DVG_TRY(DVG_NEW(&p->packed[use], count, "prepared filters"));
    }
  }
  return DVG_OK;
}

enum dvg_status dvg_graph_status(const struct dvg_graph *g) {
  return g->status;
}

enum dvg_status dvg_graph_plan(struct dvg_graph *g, int training) {
  DVG_TRY(g->status);
  if (g->planned) return dvg_fail(DVG_ERROR_INTERNAL, "graph: it is planned already");
  g->training = training;
  DVG_TRY(find_gradients(g));
  join_mfm(g);
  join_norm(g);
  join_add(g);
  DVG_TRY(DVG_NEW(&g->buffers, 3 * (int64_t)g->n_nodes, "memory plan"));
  plan_values(g);
  plan_gradients(g);
  DVG_TRY(place_buffers(g));
  DVG_TRY(plan_weights(g));
  g->arena_count = (g->arena_count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
  DVG_TRY(DVG_NEW(&g->arena, g->arena_count + g->scratch_count, "network values and gradients"));
  g->scratch = g->arena + g->arena_count;
  g->planned = 1;
  return DVG_OK;
}

int64_t dvg_graph_bytes(const struct dvg_graph *g) {
  return (g->arena_count + g->scratch_count) * (int64_t)sizeof(float);
}
