// Runs a network of a weight file on given inputs, for test_import.py: apply_weights NET WEIGHTS.h5 INPUTS.h5
// OUTPUTS.h5
//
// Inputs: image (N,C,H,W), noise (N,256), or identity, z, style (N,...) in float32. Outputs: embedding; z and
// style; nir and vis.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/weights.h"

enum { MAX_OUTPUTS = 2 };

struct run {
  const char *net;
  struct dvg_weights file;
  struct dvg_artifact *in, *out;
  struct dvg_params params;
  struct dvg_graph *g;
  int64_t N;
  int n_outputs, output[MAX_OUTPUTS];
  const char *output_name[MAX_OUTPUTS];
};

static void add_output(struct run *r, const char *name, int node) {
  dvg_graph_keep(r->g, node);
  r->output[r->n_outputs] = node;
  r->output_name[r->n_outputs++] = name;
}

static int code(struct run *r, const char *name, int64_t values) {
  return dvg_graph_input(r->g, name, r->N, values, 1, 1);
}

static void build(struct run *r) {
  struct dvg_scope s = {&r->params, ""};
  struct dvg_model m = r->file.model;
  if (strcmp(r->net, "lightcnn29v2") == 0) {
    add_output(r, "embedding",
               dvg_lightcnn(r->g, s, m, dvg_graph_input(r->g, "image", r->N, 1, m.size, m.size)));
  } else if (strcmp(r->net, "identity_sampler") == 0) {
    add_output(r, "embedding", dvg_identity_sampler(r->g, s, m, code(r, "noise", DVG_CODE)));
  } else if (strcmp(r->net, "encoder") == 0) {
    int z = dvg_encoder(r->g, s, m, dvg_graph_input(r->g, "image", r->N, 3, m.size, m.size));
    add_output(r, "z", z);
    add_output(r, "style", dvg_encoder_style(r->g, s, m, z));
  } else {
    int identity = code(r, "identity", DVG_CODE), z = code(r, "z", DVG_CODE);
    int features = dvg_decoder(r->g, s, m, identity, z, code(r, "style", dvg_style_values(m)));
    add_output(r, "nir", dvg_decoder_head(r->g, s, "nir", features));
    add_output(r, "vis", dvg_decoder_head(r->g, s, "vis", features));
  }
}

static enum dvg_status fill(void *context, const char *name, struct dvg_shape shape, const float *values,
                            const int64_t *integers) {
  const struct run *r = context;
  (void)integers;
  return dvg_artifact_read(r->in, name, DVG_F32, 0, shape.N, (float *)values);
}

static enum dvg_status compute(struct run *r, const struct dvg_world *w) {
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  const char *first = strcmp(r->net, "identity_sampler") == 0 ? "noise"
                      : strcmp(r->net, "decoder") == 0        ? "z"
                                                              : "image";
  DVG_TRY(dvg_artifact_shape(r->in, first, NULL, &n_dims, dims));
  r->N = dims[0];
  build(r);
  DVG_TRY(dvg_weights_check(&r->params, "", &r->file, w, 1));
  DVG_TRY(dvg_graph_plan(r->g, 0));
  DVG_TRY(dvg_weights_load(&r->params, "", &r->file, w, 1));
  DVG_TRY(dvg_graph_each_input(r->g, fill, r));
  dvg_graph_forward(r->g);
  for (int k = 0; k < r->n_outputs; k++) {
    struct dvg_shape s = dvg_graph_shape(r->g, r->output[k]);
    const int64_t shape[] = {s.N, s.C, s.H, s.W};
    DVG_TRY(
        dvg_artifact_write(r->out, r->output_name[k], DVG_F32, 4, shape, dvg_graph_values(r->g, r->output[k])));
  }
  return DVG_OK;
}

static enum dvg_status run(struct run *r, const struct dvg_world *w, char **argv) {
  enum dvg_status status;
  r->net = argv[1];
  dvg_params_init(&r->params);
  DVG_TRY_GOTO(dvg_weights_describe(&r->file, w, argv[2], r->net));
  DVG_TRY_GOTO(dvg_artifact_open_foreign(&r->in, argv[3]));
  DVG_TRY_GOTO(dvg_artifact_create(&r->out, argv[4], "outputs", 1, "apply_weights " DVG_VERSION, ""));
  DVG_TRY_GOTO(dvg_graph_create(&r->g));
  DVG_TRY_GOTO(compute(r, w));
  status = dvg_artifact_commit(&r->out, NULL);
done:
  if (r->out) dvg_artifact_discard(&r->out);
  dvg_artifact_close(&r->in);
  dvg_graph_free(&r->g);
  dvg_params_free(&r->params);
  return status;
}

int main(int argc, char **argv) {
  struct dvg_world w;
  struct run r = {.net = NULL};
  if (argc != 5) {
    fprintf(stderr, "usage: apply_weights NET WEIGHTS.h5 INPUTS.h5 OUTPUTS.h5\n");
    return DVG_ERROR_USAGE;
  }
  dvg_world_init(&w, "apply_weights", &argc, &argv);
  return dvg_world_finish(&w, run(&r, &w, argv));
}
