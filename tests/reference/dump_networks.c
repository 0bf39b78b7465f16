// Writes every network with random weights, inputs, outputs and the gradients of a random projection of the
// outputs, for test_networks.py, which computes the same in PyTorch.
//
//     dump_networks FILE.h5 WIDTH SIZE BATCH
//
// Schema "networks", version 1. Attributes width, size, batch, classes, dropout_seed. For each network, in
// groups:
//     <net>/weight/<parameter>, <net>/gradient/<parameter>
//     <net>/input/<name>, <net>/input/direction/<output>, <net>/output/<name>
//     <net>/term/<name>    losses: <output, direction> for each output, for lightcnn also the mean
//     cross-entropy
// The gradient is that of the sum of the losses.
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/models/models.h"
#include "io/artifact.h"

enum { CLASSES = 13, MAX_OUTPUTS = 4, DROPOUT_SEED = 77 };

// The network at hand, and where it goes.
struct dump {
  struct dvg_artifact *a;
  struct dvg_model model;
  int64_t N;
  const char *net;
  struct dvg_graph *g;
  struct dvg_params params;
  struct dvg_scope scope;
  int n_outputs, output[MAX_OUTPUTS], direction[MAX_OUTPUTS];
  const char *output_name[MAX_OUTPUTS];
  uint64_t n_filled;
};

// ---- building

static int code(struct dump *d, const char *name) {
  return dvg_graph_input(d->g, name, d->N, DVG_CODE, 1, 1);
}

// The output enters the loss as its scalar product with a random tensor.
static void add_output(struct dump *d, const char *name, int node) {
  struct dvg_shape s = dvg_graph_shape(d->g, node);
  char full[64];
  snprintf(full, sizeof full, "direction/%s", name);
  int direction = dvg_graph_input(d->g, full, s.N, s.C, s.H, s.W);
  dvg_graph_keep(d->g, node);
  dvg_graph_loss_dot(d->g, name, node, direction, 1, 1);
  d->output[d->n_outputs] = node;
  d->direction[d->n_outputs] = direction;
  d->output_name[d->n_outputs++] = name;
}

static void build_lightcnn(struct dump *d) {
  int image = dvg_graph_input(d->g, "image", d->N, 1, d->model.size, d->model.size);
  int items = dvg_graph_integers(d->g, "item", d->N), labels = dvg_graph_integers(d->g, "label", d->N);
  int embedding = dvg_lightcnn(d->g, d->scope, d->model, image);
  int logits = dvg_lightcnn_classifier(d->g, d->scope, embedding, CLASSES, DROPOUT_SEED, items);
  add_output(d, "embedding", embedding);
  add_output(d, "unit", dvg_graph_l2(d->g, embedding));
  add_output(d, "logits", logits);
  dvg_graph_loss_softmax(d->g, "softmax", logits, labels, 1 / (double)d->N, 1);
}

static void build_encoder(struct dump *d) {
  int image = dvg_graph_input(d->g, "image", d->N, 3, d->model.size, d->model.size);
  int z = dvg_encoder(d->g, d->scope, d->model, image);
  add_output(d, "z", z);
  add_output(d, "style", dvg_encoder_style(d->g, d->scope, d->model, z));
}

static void build_decoder(struct dump *d) {
  int identity = code(d, "identity"), z = code(d, "z");
  int style = dvg_graph_input(d->g, "style", d->N, dvg_style_values(d->model), 1, 1);
  int features = dvg_decoder(d->g, d->scope, d->model, identity, z, style);
  add_output(d, "nir", dvg_decoder_head(d->g, d->scope, "nir", features));
  add_output(d, "vis", dvg_decoder_head(d->g, d->scope, "vis", features));
}

static void build_sampler(struct dump *d) {
  add_output(d, "embedding", dvg_identity_sampler(d->g, d->scope, d->model, code(d, "noise")));
}

static void build_identity_encoder(struct dump *d) {
  int mean, log_variance;
  dvg_identity_encoder(d->g, d->scope, d->model, code(d, "embedding"), &mean, &log_variance);
  add_output(d, "mean", mean);
  add_output(d, "log_variance", log_variance);
}

// ---- filling and writing

// Images are uniform in [0,1), everything else normal. Labels and items are any.
static enum dvg_status fill(void *context, const char *name, struct dvg_shape s, const float *values,
                            const int64_t *integers) {
  struct dump *d = context;
  struct dvg_rng r;
  dvg_rng_init(&r, d->n_filled++, DVG_STREAM_TEST, dvg_rng_name(name));
  int is_image = s.H > 1 && values && name[0] == 'i';
  for (int64_t i = 0; values && i < s.N * s.C * s.H * s.W; i++)
    ((float *)values)[i] = is_image ? dvg_rng_uniform(&r) : dvg_rng_normal(&r);
  for (int64_t i = 0; integers && i < s.N; i++) ((int64_t *)integers)[i] = dvg_rng_below(&r, CLASSES);
  return DVG_OK;
}

static enum dvg_status write_values(struct dump *d, const char *group, const char *name, struct dvg_shape s,
                                    const float *values) {
  char full[160];
  snprintf(full, sizeof full, "%s/%s/%s", d->net, group, name);
  int64_t dims[4] = {s.N, s.C, s.H, s.W};
  return dvg_artifact_write(d->a, full, DVG_F32, 4, dims, values);
}

static enum dvg_status write_input(void *context, const char *name, struct dvg_shape s, const float *values,
                                   const int64_t *integers) {
  struct dump *d = context;
  if (values) return write_values(d, "input", name, s, values);
  char full[160];
  snprintf(full, sizeof full, "%s/input/%s", d->net, name);
  return dvg_artifact_write(d->a, full, DVG_I64, 1, &s.N, integers);
}

static enum dvg_status write_parameters(struct dump *d) {
  const struct dvg_params *p = &d->params;
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    char full[160];
    snprintf(full, sizeof full, "%s/weight/%s", d->net, q->name);
    DVG_TRY(dvg_artifact_write(d->a, full, DVG_F32, q->n_dims, q->dims, p->value + q->first));
    snprintf(full, sizeof full, "%s/gradient/%s", d->net, q->name);
    DVG_TRY(dvg_artifact_write(d->a, full, DVG_F32, q->n_dims, q->dims, p->gradient + q->first));
  }
  return DVG_OK;
}

static enum dvg_status write_all(struct dump *d) {
  DVG_TRY(dvg_graph_each_input(d->g, write_input, d));
  for (int k = 0; k < d->n_outputs; k++)
    DVG_TRY(write_values(d, "output", d->output_name[k], dvg_graph_shape(d->g, d->output[k]),
                         dvg_graph_values(d->g, d->output[k])));
  for (int64_t i = 0; i < dvg_graph_n_terms(d->g); i++) {
    char full[160];
    snprintf(full, sizeof full, "%s/term/%s", d->net, dvg_graph_term_name(d->g, i));
    DVG_TRY(dvg_artifact_write(d->a, full, DVG_F64, 0, NULL, &dvg_graph_terms(d->g)[i]));
  }
  return write_parameters(d);
}

static enum dvg_status run(struct dump *d, void (*build)(struct dump *)) {
  build(d);
  DVG_TRY(dvg_graph_plan(d->g, 1));
  dvg_params_initialize(&d->params, d->n_filled);
  DVG_TRY(dvg_graph_each_input(d->g, fill, d));
  dvg_graph_forward(d->g);
  dvg_graph_backward(d->g);
  return write_all(d);
}

static enum dvg_status dump(struct dump *d, const char *net, void (*build)(struct dump *)) {
  d->net = net;
  d->n_outputs = 0;
  DVG_TRY(dvg_graph_create(&d->g));
  dvg_params_init(&d->params);
  d->scope = (struct dvg_scope){&d->params, ""};
  enum dvg_status status = run(d, build);
  dvg_graph_free(&d->g);
  dvg_params_free(&d->params);
  return status;
}

static enum dvg_status dump_all(struct dump *d) {
  DVG_TRY(dvg_artifact_set_real(d->a, "width", d->model.width));
  DVG_TRY(dvg_artifact_set_int(d->a, "size", d->model.size));
  DVG_TRY(dvg_artifact_set_int(d->a, "batch", d->N));
  DVG_TRY(dvg_artifact_set_int(d->a, "classes", CLASSES));
  DVG_TRY(dvg_artifact_set_int(d->a, "dropout_seed", DROPOUT_SEED));
  DVG_TRY(dump(d, "lightcnn", build_lightcnn));
  DVG_TRY(dump(d, "encoder", build_encoder));
  DVG_TRY(dump(d, "decoder", build_decoder));
  DVG_TRY(dump(d, "sampler", build_sampler));
  return dump(d, "identity_encoder", build_identity_encoder);
}

static enum dvg_status dump_file(struct dump *d, const char *path) {
  DVG_TRY(dvg_artifact_create(&d->a, path, "networks", 1, "dump_networks " DVG_VERSION, ""));
  enum dvg_status status = dump_all(d);
  if (status != DVG_OK) {
    dvg_artifact_discard(&d->a);
    return status;
  }
  return dvg_artifact_commit(&d->a, NULL);
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: dump_networks FILE.h5 WIDTH SIZE BATCH\n");
    return DVG_ERROR_USAGE;
  }
  struct dump d = {.model = {atof(argv[2]), atoll(argv[3]), 0}, .N = atoll(argv[4])};
  return (int)dump_file(&d, argv[1]);
}
