#include <math.h>
#include <stdio.h>

#include "common/models/models.h"

int64_t dvg_model_code(struct dvg_model m) {
  return m.code > 0 ? m.code : DVG_CODE;
}

int64_t dvg_model_channels(struct dvg_model m, int64_t channels) {
  int64_t scaled = (int64_t)lround((double)channels * m.width);
  return scaled < 1 ? 1 : scaled;
}

struct net {
  struct dvg_graph *g;
  struct dvg_scope s;
  struct dvg_model m;
};

// Max-feature-map convolution "<name>.filter": x -> `channels`. *gain, if given, is the conv's standard
// deviation at initialisation.
static int mfm(const struct net *n, const char *name, int x, int64_t channels, int64_t kernel, double gain) {
  char full[DVG_PARAM_NAME];
  snprintf(full, sizeof full, "%s.filter", name);
  int y = dvg_graph_conv(n->g, n->s, full, x, 2 * dvg_model_channels(n->m, channels), kernel, 1, kernel / 2);
  dvg_graph_gain(n->g, y, gain);
  return dvg_graph_mfm(n->g, y);
}

// `count` residual blocks x + conv2(conv1(x)). The second convolutions start small, so that the stack starts
// near the identity: without batch norm the sums would otherwise grow from block to block.
static int blocks(const struct net *n, const char *name, int x, int64_t channels, int count) {
  char full[DVG_PARAM_NAME];
  for (int i = 0; i < count; i++) {
    snprintf(full, sizeof full, "%s.%d.conv1", name, i);
    int y = mfm(n, full, x, channels, 3, 1);
    snprintf(full, sizeof full, "%s.%d.conv2", name, i);
    x = dvg_graph_add(n->g, x, mfm(n, full, y, channels, 3, 0.2));
  }
  return x;
}

static int group(const struct net *n, const char *name, int x, int64_t from, int64_t to) {
  char full[DVG_PARAM_NAME];
  snprintf(full, sizeof full, "%s.conv_a", name);
  x = mfm(n, full, x, from, 1, 1);
  snprintf(full, sizeof full, "%s.conv", name);
  return mfm(n, full, x, to, 3, 1);
}

int dvg_lightcnn(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int x) {
  const struct net n = {g, s, m};
  x = dvg_graph_pool(g, mfm(&n, "conv1", x, 48, 5, 1));
  x = blocks(&n, "block1", x, 48, 1);
  x = dvg_graph_pool(g, group(&n, "group1", x, 48, 96));
  x = blocks(&n, "block2", x, 96, 2);
  x = dvg_graph_pool(g, group(&n, "group2", x, 96, 192));
  x = blocks(&n, "block3", x, 192, 3);
  x = group(&n, "group3", x, 192, 128);
  x = blocks(&n, "block4", x, 128, 4);
  x = dvg_graph_pool(g, group(&n, "group4", x, 128, 128));
  return dvg_graph_linear(g, s, "fc", x, DVG_CODE, 1);
}

int dvg_lightcnn_classifier(struct dvg_graph *g, struct dvg_scope s, int embedding, int64_t classes,
                            uint64_t seed, int items) {
  return dvg_graph_linear(g, s, "fc2_", dvg_graph_dropout(g, embedding, 0.5, seed, items), classes, 0);
}
