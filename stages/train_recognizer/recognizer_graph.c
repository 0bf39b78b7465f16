#include "stages/train_recognizer/train_recognizer.h"

// The losses on real images: labels and teacher.
static void real_losses(struct dvg_recognizer_phase *p, struct dvg_params *params,
                        const struct dvg_recognizer_settings *set, int embedding, int64_t n_classes,
                        int64_t n_teacher) {
  struct dvg_graph *g = p->graph;
  struct dvg_scope head = {params, "head."};
  double scale = 1 / (double)p->batch;
  int real = dvg_graph_rows(g, embedding, 0, p->real);
  if (set->labels > 0 || !set->pretrain) {
    p->label = dvg_graph_integers(g, "label", p->real);
    p->item = dvg_graph_integers(g, "item", p->real);
    int logits = dvg_lightcnn_classifier(g, head, real, n_classes, (uint64_t)set->train.seed, p->item);
    dvg_graph_loss_softmax(g, "classification", logits, p->label, scale, set->pretrain ? set->labels : 1);
  }
  if (n_teacher > 0) {
    p->target = dvg_graph_input(g, "target", p->real, n_teacher, 1, 1);
    int student = dvg_graph_l2(g, dvg_graph_linear(g, head, "distill", real, n_teacher, 1));
    dvg_graph_loss_dot(g, "teacher", student, p->target, scale, -set->distill_weight);
    // A cosine leaves the embedding's length free: layer after layer it would drift away by orders of
    // magnitude.
    dvg_graph_loss_dot(g, "length", real, real, scale, 0.5 * set->length);
  }
}

static void contrast_losses(struct dvg_recognizer_phase *p, const struct dvg_recognizer_settings *set,
                            int embedding) {
  struct dvg_graph *g = p->graph;
  double scale = 1 / (double)(p->pairs * p->n_micro), weight = set->contrast_weight;
  int unit = dvg_graph_l2(g, dvg_graph_rows(g, embedding, p->real, 2 * p->pairs));
  int a = dvg_graph_rows(g, unit, 0, p->pairs), b = dvg_graph_rows(g, unit, p->pairs, p->pairs);
  dvg_graph_loss_dot(g, "pull", a, b, scale, -weight);
  if (set->contrast == DVG_CONTRAST_PULL) return;
  p->negative = dvg_graph_integers(g, "negative", p->pairs);
  dvg_graph_loss_hinge_dot(g, "push", a, b, p->negative, set->margin, scale, weight * set->push);
  if (set->contrast == DVG_CONTRAST_BOTH)
    dvg_graph_loss_hinge_dot(g, "push_back", b, a, p->negative, set->margin, scale, weight * set->push);
}

enum dvg_status dvg_recognizer_build(struct dvg_recognizer_phase *p, struct dvg_params *params,
                                     const struct dvg_recognizer_settings *set, struct dvg_model model,
                                     int64_t n_classes, int64_t n_teacher) {
  p->label = p->item = p->negative = p->target = -1;
  DVG_TRY(dvg_graph_create(&p->graph));
  p->image = dvg_graph_input(p->graph, "image", p->real + 2 * p->pairs, 1, model.size, model.size);
  int embedding = dvg_lightcnn(p->graph, (struct dvg_scope){params, "recognizer."}, model, p->image);
  real_losses(p, params, set, embedding, n_classes, n_teacher);
  if (p->pairs > 0) contrast_losses(p, set, embedding);
  dvg_params_freeze(params, "recognizer.", p->index == 1); // phase I trains the classifier alone
  return DVG_OK;
}
