#include <stdio.h>

#include "common/models/models.h"

static const float SLOPE = 0.2f;

int dvg_discriminator(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image) {
  static const int64_t channels[] = {64, 128, 256, 512};
  int x = image;
  for (int i = 0; i < 4; i++) {
    char name[32];
    snprintf(name, sizeof name, "conv.%d", i);
    x = dvg_graph_leaky_relu(g, dvg_graph_conv(g, s, name, x, dvg_model_channels(m, channels[i]), 4, 2, 1),
                             SLOPE);
  }
  return dvg_graph_conv(g, s, "output", x, 1, 3, 1, 1);
}
