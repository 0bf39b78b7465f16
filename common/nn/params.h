// The parameters of a network: named tensors in one flat array, their gradients in another alike.
//
// Networks are built with a graph (graph.h), which adds parameters by name; a second graph on the same set shares them. The flat layout, in the
// order of first use, is what optimisers, the exact reduction and checkpoints work on.
#ifndef DVG_NN_PARAMS_H
#define DVG_NN_PARAMS_H

#include <stdint.h>

#include "common/base/status.h"
#include "common/nn/conv.h"

enum { DVG_PARAM_NAME = 96 };

struct dvg_param {
  char name[DVG_PARAM_NAME];
  int n_dims;
  int64_t dims[4], first, count; // place in the flat arrays
  int64_t fan_in;                // inputs of one output value, for the initialisation
  int frozen;                    // takes no gradient
  float *packed[DVG_N_FILTERS];  // prepared filters (conv.h), by their use; owned; NULL until a graph needs them
  uint64_t packed_version[DVG_N_FILTERS]; // version they were made from
};

struct dvg_params {
  int64_t n_params, n_values;
  struct dvg_param *list;
  float *value, *gradient; // n_values each; allocated by dvg_params_allocate; gradient only if asked for
  uint64_t version;        // counts changes of `value`; dvg_params_changed
};

// Not collective, all of them.
void dvg_params_init(struct dvg_params *p);
void dvg_params_free(struct dvg_params *p);

// Index of the parameter `name`; it is added when it is new and the flat arrays are not there yet. -1 when another one of that name
// has other dims, or it is new but the set is fixed.
DVG_CHECKED enum dvg_status dvg_params_add(struct dvg_params *p, int64_t *index, const char *name, int n_dims, const int64_t *dims, int64_t fan_in);
// Index by name, or -1.
int64_t dvg_params_find(const struct dvg_params *p, const char *name);

// Fixes the set and makes the flat arrays. May be called again to add the gradient.
DVG_CHECKED enum dvg_status dvg_params_allocate(struct dvg_params *p, int with_gradient);

// Initialises all values, PyTorch's default for convolutions and linear layers: uniform in +-1/sqrt(fan_in), biases too. Each parameter draws from
// (seed, DVG_STREAM_WEIGHTS, hash of its name): adding a layer does not change the others.
void dvg_params_initialize(struct dvg_params *p, uint64_t seed);

// Freezes (1) or frees (0) all parameters whose name starts with `prefix`.
void dvg_params_freeze(struct dvg_params *p, const char *prefix, int frozen);

// To be called after every change of `value`: prepared filters are made anew on their next use.
void dvg_params_changed(struct dvg_params *p);

#endif
