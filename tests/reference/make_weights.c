// A weight file with random values, for tests of programs that need one: make_weights --net NET --out FILE.h5
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/weights.h"

enum { LIGHTCNN, SAMPLER, GENERATOR };
static const char *const net_names[] = {"lightcnn29v2", "identity_sampler", "generator"};

struct settings {
  int64_t net, size, code, classes, seed, variational;
  double width;
  char *domains, *out;
};

static const struct dvg_option options[] = {
    DVG_OPTION_CHOICE(struct settings, net, "net", "lightcnn29v2", "lightcnn29v2|identity_sampler|generator",
                      "network"),
    DVG_OPTION_REAL(struct settings, width, "width", "0.25", 0.01, 16, "multiplies the channels"),
    DVG_OPTION_INT(struct settings, size, "size", "64", 32, 1024, "side of the image, a multiple of 32"),
    DVG_OPTION_INT(struct settings, code, "code", "256", 1, 4096, "values of codes, but for lightcnn29v2"),
    DVG_OPTION_INT(struct settings, classes, "classes", "0", 0, 10000000,
                   "lightcnn29v2: classes; 0: no classifier"),
    DVG_OPTION_TEXT(struct settings, domains, "domains", "nir,vis", "generator: domains, lower case"),
    DVG_OPTION_FLAG(struct settings, variational, "variational", "no", "generator: with variational encoders"),
    DVG_OPTION_INT(struct settings, seed, "seed", "1", 0, INT64_MAX, "seed of the values"),
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "file to write"),
    DVG_OPTION_END};

static void build_lightcnn(struct dvg_graph *g, struct dvg_params *p, const struct settings *s,
                           struct dvg_model m) {
  struct dvg_scope scope = {p, ""};
  int embedding = dvg_lightcnn(g, scope, m, dvg_graph_input(g, "image", 1, 1, m.size, m.size));
  if (s->classes == 0) {
    dvg_graph_keep(g, embedding);
    return;
  }
  int items = dvg_graph_integers(g, "items", 1);
  dvg_graph_keep(g, dvg_lightcnn_classifier(g, scope, embedding, s->classes, 1, items));
}

static void build_generator(struct dvg_graph *g, struct dvg_params *p, const struct settings *s,
                            struct dvg_model m) {
  char domains[256], prefix[300], *rest = NULL;
  snprintf(domains, sizeof domains, "%s", s->domains);
  int identity = dvg_graph_input(g, "identity", 1, m.code, 1, 1);
  for (char *name = strtok_r(domains, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
    snprintf(prefix, sizeof prefix, "encoder.%s.", name);
    struct dvg_scope encoder = {p, prefix}, decoder = {p, "decoder."};
    int image = dvg_graph_input(g, name, 1, 3, m.size, m.size), z = dvg_encoder(g, encoder, m, image);
    if (s->variational) {
      int mean, log_variance;
      dvg_encoder_posterior(g, encoder, m, image, &mean, &log_variance);
      dvg_graph_keep(g, log_variance);
    }
    int style = dvg_encoder_style(g, encoder, m, z);
    dvg_graph_keep(g, dvg_decoder_head(g, decoder, name, dvg_decoder(g, decoder, m, identity, z, style)));
  }
}

static enum dvg_status make(const struct dvg_options *o) {
  const struct settings *s = o->values;
  struct dvg_weights file = {.model = {s->width, s->size, s->code}, .classes = s->net == LIGHTCNN ? s->classes : 0};
  struct dvg_params p;
  struct dvg_graph *g = NULL;
  struct dvg_lineage l = {0};
  enum dvg_status status;
  snprintf(file.net, sizeof file.net, "%s", net_names[s->net]);
  file.variational = s->variational;
  if (s->net == GENERATOR) snprintf(file.domains, sizeof file.domains, "%s", s->domains);
  dvg_params_init(&p);
  DVG_TRY_GOTO(dvg_graph_create(&g));
  if (s->net == LIGHTCNN) build_lightcnn(g, &p, s, file.model);
  else if (s->net == GENERATOR) build_generator(g, &p, s, file.model);
  else
    dvg_graph_keep(g, dvg_identity_sampler(g, (struct dvg_scope){&p, ""}, file.model,
                                           dvg_graph_input(g, "noise", 1, DVG_CODE, 1, 1)));
  DVG_TRY_GOTO(dvg_graph_plan(g, 0));
  dvg_params_initialize(&p, (uint64_t)s->seed);
  DVG_TRY_GOTO(dvg_lineage_init(&l, o));
  DVG_TRY_GOTO(dvg_weights_save(s->out, &p, "", &file, &l, NULL));
  dvg_info("%s: %s, %lld values", s->out, file.net, (long long)p.n_values);
done:
  dvg_lineage_free(&l);
  dvg_graph_free(&g);
  dvg_params_free(&p);
  return status;
}

int main(int argc, char **argv) {
  struct settings s = {0};
  struct dvg_options o = {.program = "make_weights",
                          .summary = "a weight file with random values, for tests",
                          .table = options,
                          .values = &s};
  dvg_log_setup(o.program, 0, 1);
  enum dvg_status status = dvg_options_parse(&o, argc, argv);
  if (status == DVG_OK && !o.help) status = make(&o);
  dvg_options_free(&o);
  return (int)status;
}
