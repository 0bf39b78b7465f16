// The parameters of the networks that can be imported, by name.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/import/import.h"

static const char *const net_names[] = {"none",    "lightcnn29v2", "identity_sampler",
                                        "encoder", "decoder",      "generator"};

static int is_name(const char *text) {
  size_t n = strlen(text);
  if (n == 0 || n >= DVG_IMPORT_NAME) return 0;
  for (const char *c = text; *c; c++)
    if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-') return 0;
  return 1;
}

// "NIR,VIS" -> two names in lower case.
static enum dvg_status two_names(char out[DVG_IMPORT_DOMAINS][DVG_IMPORT_NAME], const char *option,
                                 const char *text) {
  char all[4 * DVG_IMPORT_NAME];
  dvg_weights_domain(all, sizeof all, text);
  char *comma = strchr(all, ',');
  if (comma) *comma = 0;
  if (!comma || !is_name(all) || !is_name(comma + 1) || strcmp(all, comma + 1) == 0)
    return dvg_fail(DVG_ERROR_USAGE, "--%s %s: two different names are needed, like NIR,VIS", option, text);
  snprintf(out[0], DVG_IMPORT_NAME, "%s", all);
  snprintf(out[1], DVG_IMPORT_NAME, "%s", comma + 1);
  return DVG_OK;
}

static void add_encoder(struct dvg_import_network *n, const char *prefix) {
  int64_t size = n->file.model.size;
  struct dvg_scope s = {&n->params, prefix};
  int z = dvg_encoder(n->graph, s, n->file.model, dvg_graph_input(n->graph, "image", 1, 3, size, size));
  dvg_graph_keep(n->graph, dvg_encoder_style(n->graph, s, n->file.model, z));
}

static void add_decoder(struct dvg_import_network *n, const char *prefix) {
  struct dvg_graph *g = n->graph;
  struct dvg_scope s = {&n->params, prefix};
  int identity = dvg_graph_input(g, "identity", 1, n->file.model.code, 1, 1),
      z = dvg_graph_input(g, "z", 1, n->file.model.code, 1, 1);
  int style = dvg_graph_input(g, "style", 1, dvg_style_values(n->file.model), 1, 1);
  int features = dvg_decoder(g, s, n->file.model, identity, z, style);
  for (int d = 0; d < DVG_IMPORT_DOMAINS; d++)
    dvg_graph_keep(g, dvg_decoder_head(g, s, n->domain[d], features));
}

static void add_generator(struct dvg_import_network *n) {
  char prefix[64];
  for (int d = 0; d < DVG_IMPORT_DOMAINS; d++) {
    snprintf(prefix, sizeof prefix, "encoder.%s.", n->domain[d]);
    add_encoder(n, prefix);
  }
  add_decoder(n, "decoder.");
}

static void add_plain(struct dvg_import_network *n, enum dvg_import_net net) {
  struct dvg_graph *g = n->graph;
  struct dvg_scope s = {&n->params, ""};
  int64_t size = n->file.model.size;
  if (net == DVG_IMPORT_LIGHTCNN)
    dvg_graph_keep(g, dvg_lightcnn(g, s, n->file.model, dvg_graph_input(g, "image", 1, 1, size, size)));
  else
    dvg_graph_keep(g,
                   dvg_identity_sampler(g, s, n->file.model, dvg_graph_input(g, "noise", 1, DVG_CODE, 1, 1)));
}

enum dvg_status dvg_import_network_name(struct dvg_import_network *n, const struct dvg_import_settings *s) {
  *n = (struct dvg_import_network){.file = {.model = {s->width, s->size, s->code}}};
  dvg_params_init(&n->params);
  snprintf(n->file.net, sizeof n->file.net, "%s", net_names[s->net]);
  if (s->size % 32) return dvg_fail(DVG_ERROR_USAGE, "--size %lld is no multiple of 32", (long long)s->size);
  if (s->net == DVG_IMPORT_LIGHTCNN && s->code != DVG_CODE)
    return dvg_fail(DVG_ERROR_USAGE, "--code %lld: embeddings of lightcnn29v2 have %d values", (long long)s->code,
                    DVG_CODE);
  DVG_TRY(two_names(n->domain, "domains", s->domains));
  if (s->heads[0]) DVG_TRY(two_names(n->head, "heads", s->heads));
  else memcpy(n->head, n->domain, sizeof n->head);
  DVG_TRY(dvg_graph_create(&n->graph));
  switch ((enum dvg_import_net)s->net) {
  case DVG_IMPORT_NONE:
    break;
  case DVG_IMPORT_ENCODER:
    add_encoder(n, "");
    break;
  case DVG_IMPORT_DECODER:
    add_decoder(n, "");
    break;
  case DVG_IMPORT_GENERATOR:
    add_generator(n);
    break;
  default:
    add_plain(n, (enum dvg_import_net)s->net);
  }
  if (s->net == DVG_IMPORT_DECODER || s->net == DVG_IMPORT_GENERATOR)
    snprintf(n->file.domains, sizeof n->file.domains, "%s,%s", n->domain[0], n->domain[1]);
  return dvg_graph_status(n->graph);
}

void dvg_import_network_free(struct dvg_import_network *n) {
  dvg_graph_free(&n->graph);
  dvg_params_free(&n->params);
}
