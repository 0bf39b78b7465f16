#include <stdio.h>

#include "common/models/models.h"

static const float SLOPE = 0.2f;
enum { N_ADAIN = 7, ADAIN_CHANNELS = 32 };

static int64_t base_size(struct dvg_model m) {
  return m.size / 32;
} // 4 at the published 128

// ---- attribute encoder

// The convolutions: image -> the values that the last layers see.
static int encoder_trunk(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int x) {
  static const int64_t channels[] = {32, 64, 128, 256, 256, 256};
  for (int i = 0; i < 6; i++) {
    char name[32];
    snprintf(name, sizeof name, "conv.%d.conv", i);
    int64_t K = dvg_model_channels(m, channels[i]);
    x = i == 0 ? dvg_graph_conv(g, s, name, x, K, 5, 1, 2) : dvg_graph_conv(g, s, name, x, K, 3, 2, 1);
    x = dvg_graph_norm(g, x, -1, 0, SLOPE);
  }
  return x;
}

int dvg_encoder(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image) {
  return dvg_graph_l2(g, dvg_graph_linear(g, s, "fc_enc", encoder_trunk(g, s, m, image), dvg_model_code(m), 1));
}

void dvg_encoder_posterior(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image, int *mean,
                           int *log_variance) {
  int x = encoder_trunk(g, s, m, image);
  *mean = dvg_graph_linear(g, s, "fc_enc", x, dvg_model_code(m), 1);
  *log_variance = dvg_graph_linear(g, s, "fc_log_variance", x, dvg_model_code(m), 1);
}

int64_t dvg_style_values(struct dvg_model m) {
  return N_ADAIN * 2 * dvg_model_channels(m, ADAIN_CHANNELS);
}

int dvg_encoder_style(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int z) {
  int x =
      dvg_graph_leaky_relu(g, dvg_graph_linear(g, s, "fc_style.0", z, dvg_model_channels(m, 1024), 1), SLOPE);
  x = dvg_graph_leaky_relu(g, dvg_graph_linear(g, s, "fc_style.2", x, dvg_model_channels(m, 2048), 1), SLOPE);
  return dvg_graph_linear(g, s, "fc_style.4", x, dvg_style_values(m), 1);
}

// ---- decoder

struct decoder {
  struct dvg_graph *g;
  struct dvg_scope s;
  struct dvg_model m;
  int style, next_adain; // style -1 in the layers with plain instance norm
};

// Norm + LeakyReLU; each adaptive one takes the next part of the style.
static int norm(struct decoder *d, int x) {
  if (d->style < 0) return dvg_graph_norm(d->g, x, -1, 0, SLOPE);
  return dvg_graph_norm(d->g, x, d->style, d->next_adain++ * 2 * dvg_model_channels(d->m, ADAIN_CHANNELS),
                        SLOPE);
}

static int up(struct decoder *d, const char *name, int x, int64_t channels) {
  return norm(d, dvg_graph_deconv(d->g, d->s, name, x, dvg_model_channels(d->m, channels)));
}

static int conv(struct decoder *d, const char *name, int x, int64_t channels) {
  return norm(d, dvg_graph_conv(d->g, d->s, name, x, dvg_model_channels(d->m, channels), 3, 1, 1));
}

static int residual(struct decoder *d, const char *name, int x, int64_t channels) {
  char first[32], second[32];
  snprintf(first, sizeof first, "%s.conv1.conv", name);
  snprintf(second, sizeof second, "%s.conv2.conv", name);
  return dvg_graph_add(d->g, x, conv(d, second, conv(d, first, x, channels), channels));
}

int dvg_decoder(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int identity, int z, int style) {
  struct decoder d = {g, s, m, -1, 0};
  int64_t channels = dvg_model_channels(m, 128), base = base_size(m);
  int x = dvg_graph_linear(g, s, "fc.0", dvg_graph_concat(g, identity, z), channels * base * base, 1);
  x = dvg_graph_view(g, dvg_graph_leaky_relu(g, x, SLOPE), channels, base, base);
  x = up(&d, "conv.0.conv", x, 128);
  x = residual(&d, "conv.1", x, 128);
  x = up(&d, "conv.2.conv", x, 128);
  x = residual(&d, "conv.3", x, 128);
  x = up(&d, "conv.4.conv", x, 64);
  x = residual(&d, "conv.5", x, 64);
  x = up(&d, "conv.6.conv", x, 64);
  x = residual(&d, "conv.7", x, 64);
  d.style = style;
  x = up(&d, "conv.8.conv", x, 32);
  x = residual(&d, "conv.9", x, 32);
  x = conv(&d, "conv.10.conv", x, 32);
  x = residual(&d, "conv.11", x, 32);
  return conv(&d, "conv.12.conv", x, 32);
}

int dvg_decoder_head(struct dvg_graph *g, struct dvg_scope s, const char *domain, int features) {
  char name[DVG_PARAM_NAME];
  snprintf(name, sizeof name, "%s_output", domain);
  return dvg_graph_sigmoid(g, dvg_graph_conv(g, s, name, features, 3, 1, 1, 0));
}
