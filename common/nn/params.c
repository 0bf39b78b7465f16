#include "common/nn/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"

void dvg_params_init(struct dvg_params *p) {
  *p = (struct dvg_params){.version = 1};
}

void dvg_params_free(struct dvg_params *p) {
  for (int64_t i = 0; i < p->n_params; i++) {
    for (int use = 0; use < DVG_N_FILTERS; use++) dvg_free(&p->list[i].packed[use]);
  }
  dvg_free(&p->list);
  dvg_free(&p->value);
  dvg_free(&p->gradient);
  dvg_params_init(p);
}

int64_t dvg_params_find(const struct dvg_params *p, const char *name) {
  for (int64_t i = 0; i < p->n_params; i++)
    if (strcmp(p->list[i].name, name) == 0) return i;
  return -1;
}

// Doubles the list's room when it is full: a power of two is always allocated.
static enum dvg_status grow(struct dvg_params *p) {
  if (p->n_params & (p->n_params - 1)) return DVG_OK;
  struct dvg_param *list;
  DVG_TRY(DVG_NEW(&list, p->n_params ? 2 * p->n_params : 1, "parameter table"));
  if (p->n_params) memcpy(list, p->list, (size_t)p->n_params * sizeof *list);
  dvg_free(&p->list);
  p->list = list;
  return DVG_OK;
}

enum dvg_status dvg_params_add(struct dvg_params *p, int64_t *index, const char *name, int n_dims,
                               const int64_t *dims, int64_t fan_in) {
  int64_t i = dvg_params_find(p, name);
  if (i >= 0) {
    const struct dvg_param *old = &p->list[i];
    if (old->n_dims != n_dims || memcmp(old->dims, dims, (size_t)n_dims * sizeof *dims) != 0)
      return dvg_fail(DVG_ERROR_INTERNAL, "parameter %s is used with two shapes", name);
    *index = i;
    return DVG_OK;
  }
  if (p->value) return dvg_fail(DVG_ERROR_INTERNAL, "parameter %s is not part of this network", name);
  if (strlen(name) >= DVG_PARAM_NAME) return dvg_fail(DVG_ERROR_INTERNAL, "parameter name too long: %s", name);
  DVG_TRY(grow(p));
  struct dvg_param *new = &p->list[p->n_params];
  *new = (struct dvg_param){.n_dims = n_dims, .first = p->n_values, .count = 1, .fan_in = fan_in};
  strcpy(new->name, name);
  for (int d = 0; d < n_dims; d++) {
    new->dims[d] = dims[d];
    new->count *= dims[d];
  }
  p->n_values += new->count;
  *index = p->n_params++;
  return DVG_OK;
}

enum dvg_status dvg_params_allocate(struct dvg_params *p, int with_gradient) {
  if (!p->value) DVG_TRY(DVG_NEW(&p->value, p->n_values, "network weights"));
  if (with_gradient && !p->gradient) DVG_TRY(DVG_NEW(&p->gradient, p->n_values, "network gradients"));
  return DVG_OK;
}

void dvg_params_initialize(struct dvg_params *p, uint64_t seed) {
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    struct dvg_rng r;
    dvg_rng_init(&r, seed, DVG_STREAM_WEIGHTS, dvg_rng_name(q->name));
    float bound = (float)(1 / sqrt((double)q->fan_in));
    for (int64_t k = 0; k < q->count; k++) p->value[q->first + k] = dvg_rng_between(&r, -bound, bound);
  }
  dvg_params_changed(p);
}

void dvg_params_freeze(struct dvg_params *p, const char *prefix, int frozen) {
  for (int64_t i = 0; i < p->n_params; i++)
    if (strncmp(p->list[i].name, prefix, strlen(prefix)) == 0) p->list[i].frozen = frozen;
}

void dvg_params_changed(struct dvg_params *p) {
  p->version++;
}
