#include "common/models/models.h"

static const float SLOPE = 0.2f;

static int layer(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, const char *name, int x,
                 int64_t values) {
  return dvg_graph_leaky_relu(g, dvg_graph_linear(g, s, name, x, dvg_model_channels(m, values), 1), SLOPE);
}

int dvg_identity_sampler(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int x) {
  x = layer(g, s, m, "fc.0", x, 1024);
  x = layer(g, s, m, "fc.2", x, 1024);
  x = layer(g, s, m, "fc.4", x, 512);
  return dvg_graph_l2(g, dvg_graph_linear(g, s, "fc.6", x, dvg_model_code(m), 1));
}

void dvg_identity_encoder(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int x, int *mean,
                          int *log_variance) {
  x = layer(g, s, m, "fc.0", x, 512);
  x = layer(g, s, m, "fc.2", x, 1024);
  x = layer(g, s, m, "fc.4", x, 1024);
  *mean = dvg_graph_linear(g, s, "mean", x, DVG_CODE, 1);
  *log_variance = dvg_graph_linear(g, s, "log_variance", x, DVG_CODE, 1);
}
