// A layered drawing (Sugiyama, Tagawa, Toda: "Methods for visual understanding of hierarchical system
// structures", 1981): a column for each step of making, boxes ordered so that few lines cross, heights that
// keep lines straight. All lines that leave one box share one path through the columns in between.
#include "stages/inspect/html_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"

enum { BOX_W = 138, BOX_H = 40, STEP = 158, GAP = 14, LANE = 4, MARGIN = 6, SWEEPS = 12, NAME_COLUMNS = 18 };

struct node {
  int64_t stage;                      // -1: outside of the run, or a lane
  const struct dvg_run_edge *outside; // what it is then; NULL for a lane
  int64_t layer, source;              // source: of a lane, the node whose lines it carries
  double order, y, wanted;            // y: of its middle
};

struct link { // between neighbouring layers
  int64_t from, to;
};

struct graph {
  int64_t n, n_links, n_layers;
  struct node *node;
  struct link *link;
  int64_t *sorted; // nodes by layer and order
  int64_t *first;  // (n_layers + 1) where each layer begins there
  double height;
};

// ---- nodes and layers

static enum dvg_status add_node(struct graph *g, int64_t stage, const struct dvg_run_edge *outside,
                                int64_t layer, int64_t source) {
  DVG_TRY(DVG_GROW(&g->node, g->n, "a graph"));
  g->node[g->n] = (struct node){
      .stage = stage, .outside = outside, .layer = layer, .source = source, .order = (double)g->n};
  g->n++;
  return DVG_OK;
}

static enum dvg_status add_link(struct graph *g, int64_t from, int64_t to) {
  for (int64_t i = 0; i < g->n_links; i++)
    if (g->link[i].from == from && g->link[i].to == to) return DVG_OK; // in two roles
  DVG_TRY(DVG_GROW(&g->link, g->n_links, "a graph"));
  g->link[g->n_links++] = (struct link){from, to};
  return DVG_OK;
}

// The node that an edge comes from: a stage's has its number.
static int64_t origin(const struct graph *g, const struct dvg_run_edge *e) {
  if (e->from >= 0) return e->from;
  for (int64_t i = 0; i < g->n; i++)
    if (g->node[i].outside && strcmp(g->node[i].outside->digest, e->digest) == 0) return i;
  return -1;
}

// Stages stand in an order in which each comes after what it is made from.
static enum dvg_status make_nodes(struct graph *g, const struct dvg_run *r) {
  for (int64_t i = 0; i < r->n; i++) DVG_TRY(add_node(g, i, NULL, 0, -1));
  for (int64_t e = 0; e < r->n_edges; e++)
    if (origin(g, &r->edge[e]) < 0) DVG_TRY(add_node(g, -1, &r->edge[e], 0, -1));
  for (int64_t e = 0; e < r->n_edges; e++) {
    struct node *to = &g->node[r->edge[e].to];
    const int64_t from = g->node[origin(g, &r->edge[e])].layer;
    if (to->layer < from + 1) to->layer = from + 1;
  }
  return DVG_OK;
}

// What is made from nothing stands beside the first that uses it.
static enum dvg_status move_sources(struct graph *g, const struct dvg_run *r) {
  unsigned char *has_input = NULL;
  int64_t *nearest = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&has_input, g->n, "a graph"));
  DVG_TRY_GOTO(DVG_NEW(&nearest, g->n, "a graph"));
  for (int64_t e = 0; e < r->n_edges; e++) {
    const int64_t from = origin(g, &r->edge[e]), layer = g->node[r->edge[e].to].layer;
    has_input[r->edge[e].to] = 1;
    if (nearest[from] == 0 || layer < nearest[from]) nearest[from] = layer;
  }
  for (int64_t i = 0; i < g->n; i++)
    if (!has_input[i] && nearest[i] > 0) g->node[i].layer = nearest[i] - 1;
done:
  dvg_free(&has_input);
  dvg_free(&nearest);
  return status;
}

// The lane of `source` in a layer, and the lanes and links that lead there; the source itself in its own.
static enum dvg_status lane_of(int64_t *lane, struct graph *g, int64_t source, int64_t layer) {
  int64_t at = source;
  for (int64_t k = g->node[source].layer + 1; k <= layer; k++) {
    int64_t next = -1;
    for (int64_t i = 0; i < g->n && next < 0; i++)
      if (g->node[i].source == source && g->node[i].layer == k) next = i;
    if (next < 0) {
      next = g->n;
      DVG_TRY(add_node(g, -1, NULL, k, source));
      DVG_TRY(add_link(g, at, next));
    }
    at = next;
  }
  *lane = at;
  return DVG_OK;
}

static enum dvg_status make_links(struct graph *g, const struct dvg_run *r) {
  for (int64_t e = 0; e < r->n_edges; e++) {
    const int64_t to = r->edge[e].to;
    int64_t lane;
    DVG_TRY(lane_of(&lane, g, origin(g, &r->edge[e]), g->node[to].layer - 1));
    DVG_TRY(add_link(g, lane, to));
  }
  return DVG_OK;
}

// ---- order within the layers

static const struct node *sort_nodes; // of sort_layers, whose comparison knows numbers only

static int compare_places(const void *a, const void *b) {
  const int64_t i = *(const int64_t *)a, k = *(const int64_t *)b;
  const struct node *x = &sort_nodes[i], *y = &sort_nodes[k];
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  if (x->order != y->order) return x->order < y->order ? -1 : 1;
  return (i > k) - (i < k);
}

// Sorts by layer and `order`, which then counts from 0 in each layer.
static void sort_layers(struct graph *g) {
  for (int64_t i = 0; i < g->n; i++) g->sorted[i] = i;
  sort_nodes = g->node;
  qsort(g->sorted, (size_t)g->n, sizeof *g->sorted, compare_places);
  for (int64_t k = 0, i = 0; k <= g->n_layers; k++) {
    while (i < g->n && g->node[g->sorted[i]].layer < k) i++;
    g->first[k] = i;
  }
  for (int64_t k = 0; k < g->n_layers; k++)
    for (int64_t i = g->first[k]; i < g->first[k + 1]; i++)
      g->node[g->sorted[i]].order = (double)(i - g->first[k]);
}

// wanted = the mean of `what` (the order, or the height) over a node's neighbours to the left, the right or
// both; its own without any.
static void want_mean(struct graph *g, int64_t i, int left, int right, int of_height) {
  double sum = 0;
  int64_t n = 0;
  for (int64_t k = 0; k < g->n_links; k++) {
    const struct link *l = &g->link[k];
    int64_t other = -1;
    if (left && l->to == i) other = l->from;
    if (right && l->from == i) other = l->to;
    if (other < 0) continue;
    sum += of_height ? g->node[other].y : g->node[other].order;
    n++;
  }
  const double own = of_height ? g->node[i].y : g->node[i].order;
  g->node[i].wanted = n > 0 ? sum / (double)n : own;
}

static void order_layers(struct graph *g) {
  for (int sweep = 0; sweep < SWEEPS; sweep++) {
    const int right = sweep % 2;
    for (int64_t j = 0; j < g->n_layers; j++) {
      const int64_t k = right ? g->n_layers - 1 - j : j;
      for (int64_t i = g->first[k]; i < g->first[k + 1]; i++) want_mean(g, g->sorted[i], !right, right, 0);
      for (int64_t i = g->first[k]; i < g->first[k + 1]; i++)
        g->node[g->sorted[i]].order = g->node[g->sorted[i]].wanted;
      sort_layers(g);
    }
  }
}

// ---- heights

static double half_of(const struct node *n) {
  return n->source >= 0 ? LANE / 2.0 : BOX_H / 2.0;
}

static double distance(const struct graph *g, int64_t i) { // from the i-th to the one above it in its layer
  return half_of(&g->node[g->sorted[i]]) + half_of(&g->node[g->sorted[i - 1]]) + GAP;
}

// Heights nearest to those wanted (least squares) that keep the distances: neighbours that are too close become
// one block, around its mean.
static void settle(struct graph *g, int64_t first, int64_t n, double *mean, int64_t *count) {
  int64_t n_blocks = 0;
  double offset = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i > 0) offset += distance(g, first + i);
    mean[n_blocks] = g->node[g->sorted[first + i]].wanted - offset;
    count[n_blocks++] = 1;
    while (n_blocks > 1 && mean[n_blocks - 2] >= mean[n_blocks - 1]) {
      const int64_t a = count[n_blocks - 2], b = count[n_blocks - 1];
      mean[n_blocks - 2] = (mean[n_blocks - 2] * (double)a + mean[n_blocks - 1] * (double)b) / (double)(a + b);
      count[n_blocks - 2] = a + b;
      n_blocks--;
    }
  }
  offset = 0;
  for (int64_t i = 0, block = 0, k = 0; i < n; i++, k++) {
    if (i > 0) offset += distance(g, first + i);
    if (k == count[block]) k = 0, block++;
    g->node[g->sorted[first + i]].y = mean[block] + offset;
  }
}

static enum dvg_status place_nodes(struct graph *g) {
  double *mean = NULL, top = INFINITY, bottom = -INFINITY;
  int64_t *count = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&mean, g->n, "a graph"));
  DVG_TRY_GOTO(DVG_NEW(&count, g->n, "a graph"));
  for (int sweep = 0; sweep <= SWEEPS; sweep++)
    for (int64_t j = 0; j < g->n_layers; j++) {
      const int64_t k = sweep % 2 ? g->n_layers - 1 - j : j;
      for (int64_t i = g->first[k]; i < g->first[k + 1]; i++) {
        if (sweep > 0) want_mean(g, g->sorted[i], 1, 1, 1);
        else g->node[g->sorted[i]].wanted = 0; // each layer around the middle
      }
      settle(g, g->first[k], g->first[k + 1] - g->first[k], mean, count);
    }
  for (int64_t i = 0; i < g->n; i++) {
    top = fmin(top, g->node[i].y - half_of(&g->node[i]));
    bottom = fmax(bottom, g->node[i].y + half_of(&g->node[i]));
  }
  for (int64_t i = 0; i < g->n; i++) g->node[i].y += MARGIN - top;
  g->height = bottom - top + 2 * MARGIN;
done:
  dvg_free(&mean);
  dvg_free(&count);
  return status;
}

static enum dvg_status lay_out(struct graph *g, const struct dvg_run *r) {
  DVG_TRY(make_nodes(g, r));
  DVG_TRY(move_sources(g, r));
  DVG_TRY(make_links(g, r));
  for (int64_t i = 0; i < g->n; i++)
    if (g->n_layers <= g->node[i].layer) g->n_layers = g->node[i].layer + 1;
  DVG_TRY(DVG_NEW(&g->sorted, g->n, "a graph"));
  DVG_TRY(DVG_NEW(&g->first, g->n_layers + 1, "a graph"));
  sort_layers(g);
  order_layers(g);
  return place_nodes(g);
}

// ---- drawing

static double left_of(const struct node *n) {
  return MARGIN + (double)n->layer * STEP;
}

static void put_link(FILE *to, const struct node *a, const struct node *b) {
  const double x = left_of(a) + BOX_W, end = left_of(b), bend = (end - x) / 2;
  fprintf(to, "M%.0f %.1fC%.0f %.1f %.0f %.1f %.0f %.1f", x, a->y, x + bend, a->y, end - bend, b->y, end, b->y);
  if (b->source >= 0) fprintf(to, "H%.0f", end + BOX_W);
}

static const char *name_of(const struct node *n, const struct dvg_run *r) {
  return n->stage >= 0 ? r->stage[n->stage].name : n->outside->name;
}

// All lines that leave one box, with a title that says what for.
static void put_flow(FILE *to, const struct graph *g, int64_t source, const struct dvg_run *r) {
  int n = 0;
  for (int64_t i = 0; i < g->n_links; i++) {
    const struct node *a = &g->node[g->link[i].from], *b = &g->node[g->link[i].to];
    if (g->link[i].from != source && a->source != source) continue;
    if (n++ == 0) fputs("<g class=\"flow\"><path d=\"", to);
    put_link(to, a, b);
  }
  if (n == 0) return;
  fputs("\"/><title>", to);
  dvg_html_put(to, name_of(&g->node[source], r));
  fputs(" is", to);
  n = 0;
  for (int64_t e = 0; e < r->n_edges; e++) {
    if (origin(g, &r->edge[e]) != source) continue;
    fputs(n++ ? ", " : " ", to);
    dvg_html_put(to, r->edge[e].role);
    fputs(" of ", to);
    dvg_html_put(to, r->stage[r->edge[e].to].name);
  }
  fputs("</title></g>\n", to);
}

static const char *const kinds[] = {"images", "weights",    "training", "features",
                                    "pairs",  "evaluation", "other"};

// A name cut to what a box holds, in the middle, where names differ least.
static void put_name(FILE *to, const char *name) {
  const int n = dvg_columns(name);
  if (n <= NAME_COLUMNS) {
    dvg_html_put(to, name);
    return;
  }
  const char *tail = name;
  for (int i = 0; i < n - NAME_COLUMNS / 2; i++) tail += dvg_utf8_length(tail) > 0 ? dvg_utf8_length(tail) : 1;
  size_t head = 0;
  for (int i = 0; i < NAME_COLUMNS - NAME_COLUMNS / 2 - 1; i++)
    head += dvg_utf8_length(name + head) > 0 ? (size_t)dvg_utf8_length(name + head) : 1;
  dvg_html_put_n(to, name, head);
  fputs("\u2026", to);
  dvg_html_put(to, tail);
}

static void put_box(FILE *to, const struct graph *g, int64_t i, const struct dvg_run *r, const char *note) {
  const struct node *n = &g->node[i];
  const struct dvg_run_stage *s = n->stage >= 0 ? &r->stage[n->stage] : NULL;
  const double x = left_of(n), y = n->y - BOX_H / 2.0;
  int has_input = 0;
  for (int64_t k = 0; k < g->n_links; k++) has_input |= g->link[k].to == i;
  if (s) fprintf(to, "<a href=\"#stage-%lld\">", (long long)n->stage);
  fprintf(to, "<g class=\"box %s %s\"><title>", s ? kinds[s->kind] : "outside",
          s ? dvg_run_state_name(s->state) : "");
  dvg_html_put(to, name_of(n, r));
  fprintf(to, "</title><rect x=\"%.0f\" y=\"%.1f\" width=\"%d\" height=\"%d\" rx=\"5\"/>", x, y, BOX_W, BOX_H);
  fprintf(to, "<path class=\"mark\" d=\"M%.1f %.1fv%d\"/>", x + 1.5, y + 6, BOX_H - 12);
  if (has_input) fprintf(to, "<path class=\"tip\" d=\"M%.0f %.1fl-6 -3.5v7z\"/>", x, n->y);
  fprintf(to, "<text x=\"%.0f\" y=\"%.1f\">", x + 10, y + (note[0] ? 17 : 24));
  put_name(to, name_of(n, r));
  fputs("</text>", to);
  if (note[0]) {
    fprintf(to, "<text class=\"note\" x=\"%.0f\" y=\"%.1f\">", x + 10, y + 31);
    dvg_html_put(to, note);
    fputs("</text>", to);
  }
  fprintf(to, "</g>%s\n", s ? "</a>" : "");
}

static void draw(FILE *to, const struct graph *g, const struct dvg_run *r, char (*note)[64]) {
  const double width = 2 * MARGIN + (double)(g->n_layers - 1) * STEP + BOX_W;
  fprintf(to,
          "<div class=\"graph\"><svg viewBox=\"0 0 %.0f %.0f\" style=\"max-width:%.0fpx;min-width:%.0fpx\" "
          "role=\"img\" "
          "aria-label=\"what was made from what\">\n",
          width, g->height, width, 0.78 * width);
  for (int64_t i = 0; i < g->n; i++)
    if (g->node[i].source < 0) put_flow(to, g, i, r);
  for (int64_t i = 0; i < g->n; i++)
    if (g->node[i].source < 0)
      put_box(to, g, i, r, g->node[i].stage >= 0 ? note[g->node[i].stage] : "not in this folder");
  fputs("</svg></div>\n", to);
}

enum dvg_status dvg_html_graph(FILE *to, const struct dvg_run *r, char (*note)[64]) {
  struct graph g = {.n = 0};
  enum dvg_status status = lay_out(&g, r);
  if (status == DVG_OK) draw(to, &g, r, note);
  dvg_free(&g.node);
  dvg_free(&g.link);
  dvg_free(&g.sorted);
  dvg_free(&g.first);
  return status;
}
