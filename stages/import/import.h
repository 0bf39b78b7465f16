// dvg-import: weights of PyTorch and safetensors files (io/tensors.h) into weight files (stages/weights.h), and back.
//
// A tensor belongs to the parameter of its name, without `module.` in front. Networks: lightcnn29v2, identity_sampler, encoder, decoder, and
// generator, whose names are encoder.<domain>.* and decoder.*: from one file with these names, or from one file for each encoder and one for the
// decoder. What belongs nowhere is ignored and named; what is missing or of another shape or type is named, all of it, and refused.
#ifndef DVG_STAGES_IMPORT_H
#define DVG_STAGES_IMPORT_H

#include "io/tensors.h"
#include "stages/stage.h"
#include "stages/weights.h"

enum dvg_import_net { DVG_IMPORT_NONE, DVG_IMPORT_LIGHTCNN, DVG_IMPORT_SAMPLER, DVG_IMPORT_ENCODER, DVG_IMPORT_DECODER, DVG_IMPORT_GENERATOR };

struct dvg_import_settings {
  int64_t net, list, to_torch, size, code;
  double width;
  char *in, *out, *encoders, *decoder, *domains, *heads, *part;
};

enum { DVG_IMPORT_DOMAINS = 2, DVG_IMPORT_NAME = 32 };

// The parameters of the network that is wanted. Not collective, like all here.
struct dvg_import_network {
  struct dvg_graph *graph;
  struct dvg_params params;
  struct dvg_weights file;                          // net, model, domains
  char domain[DVG_IMPORT_DOMAINS][DVG_IMPORT_NAME]; // lower case
  char head[DVG_IMPORT_DOMAINS][DVG_IMPORT_NAME];   // what the decoder's file calls their heads
};

// Names all parameters, without memory for their values: that takes dvg_params_allocate. DVG_ERROR_USAGE for domains and sizes that make no network.
// Freed with dvg_import_network_free, also after a failure. net NONE: no parameters.
DVG_CHECKED enum dvg_status dvg_import_network_name(struct dvg_import_network *n, const struct dvg_import_settings *s);
void dvg_import_network_free(struct dvg_import_network *n);

// One file to take tensors from, and what stands in front of its names in the network ("encoder.nir.").
struct dvg_import_source {
  const char *role;
  char path[1024], prefix[64];
  int rename_heads;
  struct dvg_tensors file;
  struct dvg_import_fate {
    int64_t param;   // the parameter of its name, -1: none
    int is_problem;  // it can't be that parameter
    char words[160]; // what becomes of the tensor
  } * fate;          // one a tensor
  int64_t *owner;    // one a parameter: 1 + the tensor that it takes its values from; 0: none
};

enum { DVG_IMPORT_SOURCES = DVG_IMPORT_DOMAINS + 1 };

// Opens the file of path, and decides every tensor's fate. Freed with dvg_import_source_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_import_source_open(struct dvg_import_source *from, const struct dvg_import_network *n);
void dvg_import_source_free(struct dvg_import_source *from);
// Prints tensors, entries beside them and missing parameters, a line each.
void dvg_import_source_list(const struct dvg_import_source *from, const struct dvg_import_network *n);
// Names what is ignored, a line each.
void dvg_import_source_ignored(const struct dvg_import_source *from);
// Names all that is missing or doesn't fit, a warning each; returns how much that is.
int64_t dvg_import_source_problems(const struct dvg_import_source *from, const struct dvg_import_network *n);
// Reads the values; the network has memory for them.
DVG_CHECKED enum dvg_status dvg_import_source_load(const struct dvg_import_source *from, struct dvg_import_network *n);

// A weight file as PyTorch's zip container or, by the ending of --out, as safetensors.
DVG_CHECKED enum dvg_status dvg_import_back(const struct dvg_import_settings *s);

extern const struct dvg_stage dvg_stage_import;

#endif
