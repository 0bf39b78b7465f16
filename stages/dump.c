#include <stdio.h>

#include "stages/trainer.h"

struct place {
  struct dvg_artifact *a;
  int64_t micro;
};

static enum dvg_status write_input(void *context, const char *name, struct dvg_shape s, const float *values,
                                   const int64_t *integers) {
  struct place *p = context;
  char full[128];
  snprintf(full, sizeof full, "input/%lld/%s", (long long)p->micro, name);
  if (integers) return dvg_artifact_write(p->a, full, DVG_I64, 1, &s.N, integers);
  int64_t dims[4] = {s.N, s.C, s.H, s.W};
  return dvg_artifact_write(p->a, full, DVG_F32, 4, dims, values);
}

static enum dvg_status write_step(struct dvg_artifact *a, const struct dvg_trainer *t,
                                  const struct dvg_train_state *s, const float *gradient, const double *terms) {
  DVG_TRY(dvg_artifact_set_int(a, "step", s->step + 1));
  DVG_TRY(dvg_artifact_set_int(a, "n_micro", t->n_micro));
  DVG_TRY(dvg_artifact_set_text(a, "phase", t->name));
  for (int64_t i = 0; i < dvg_graph_n_terms(t->graph); i++) {
    char name[128];
    snprintf(name, sizeof name, "term.%s", dvg_graph_term_name(t->graph, i));
    DVG_TRY(dvg_artifact_set_real(a, name, terms[i]));
    snprintf(name, sizeof name, "weight.%s", dvg_graph_term_name(t->graph, i));
    DVG_TRY(dvg_artifact_set_real(a, name, dvg_graph_term_weight(t->graph, i)));
  }
  for (int64_t micro = 0; micro < t->n_micro;
       micro++) { // rank 0 can fill what others computed: fill is a pure function
    struct place p = {a, micro};
    DVG_TRY(t->fill(t->job, s->step, micro));
    DVG_TRY(dvg_graph_each_input(t->graph, write_input, &p));
  }
  DVG_TRY(dvg_write_tensors(a, "weight", t->params, t->params->value, 0, t->params->n_values));
  DVG_TRY(dvg_write_tensors(a, "gradient", t->params, gradient, s->first, s->count));
  return t->dump ? t->dump(t->job, a) : DVG_OK;
}

enum dvg_status dvg_dump_step(const struct dvg_trainer *t, const struct dvg_train_state *s,
                              const float *gradient, const double *terms) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_lineage_create(&a, t->settings->dump, "step", 1, t->lineage));
  enum dvg_status status = write_step(a, t, s, gradient, terms);
  if (status != DVG_OK) {
    dvg_artifact_discard(&a);
    return status;
  }
  return dvg_artifact_commit(&a, NULL);
}
