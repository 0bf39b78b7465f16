#include <stdio.h>

#include "stages/train_generator/train_generator.h"

enum { A, B, N_DOMAINS };

// The graph while it is being built.
struct building {
  struct dvg_generator_step *s;
  const struct dvg_generator_settings *set;
  struct dvg_model model;
  char domain[N_DOMAINS][64]; // lower case
  int z[N_DOMAINS], style[N_DOMAINS];
};

// "<term>.<domain>"
static const char *named(char *out, const char *term, const char *domain) {
  snprintf(out, 64, "%s.%.40s", term, domain);
  return out;
}

// A code from the variational encoder's distribution, and the KL term that draws that to the prior.
static int draw_code(struct building *b, struct dvg_scope s, int d) {
  struct dvg_graph *g = b->s->graph;
  int mean, log_variance;
  char name[64];
  dvg_encoder_posterior(g, s, b->model, b->s->image[d], &mean, &log_variance);
  b->s->eps[d] = dvg_graph_input(g, named(name, "eps", b->domain[d]), b->set->micro_batch,
                              dvg_model_code(b->model), 1, 1);
  b->s->kl_term[d] = (int)dvg_graph_n_terms(g);
  dvg_graph_loss_kl(g, named(name, "kl", b->domain[d]), mean, log_variance, 1 / (double)b->set->batch,
                    b->set->kl);
  return dvg_graph_l2(g, dvg_graph_reparam(g, mean, log_variance, b->s->eps[d]));
}

static void encode(struct building *b, int d) {
  struct dvg_graph *g = b->s->graph;
  int64_t m = b->set->micro_batch, size = b->set->size;
  char name[64], prefix[96];
  b->s->image[d] = dvg_graph_input(g, named(name, "image", b->domain[d]), m, 3, size, size);
  snprintf(prefix, sizeof prefix, "encoder.%s.", b->domain[d]);
  struct dvg_scope s = {&b->s->params, prefix};
  b->z[d] = b->set->kl > 0 ? draw_code(b, s, d) : dvg_encoder(g, s, b->model, b->s->image[d]);
  b->style[d] = dvg_encoder_style(g, s, b->model, b->z[d]);
}

// One pass of the decoder paints all variants: rows are [f, f~, f'] with domain a's attributes, then the same
// with b's. Images of exchanged identities f' are there only when a loss asks for them.
static void decode(struct building *b, int f, int sampled, int swapped) {
  struct dvg_graph *g = b->s->graph;
  struct dvg_scope s = {&b->s->params, "decoder."};
  const int of[] = {f, sampled, swapped}, n = swapped < 0 ? 2 : 3;
  int identity[6], z[6], style[6];
  for (int k = 0; k < 2 * n; k++) identity[k] = of[k % n], z[k] = b->z[k / n], style[k] = b->style[k / n];
  int features = dvg_decoder(g, s, b->model, dvg_graph_stack(g, identity, 2 * n), dvg_graph_stack(g, z, 2 * n),
                             dvg_graph_stack(g, style, 2 * n));
  int64_t m = b->set->micro_batch;
  for (int d = 0; d < N_DOMAINS; d++) {
    int images = dvg_decoder_head(g, s, b->domain[d], dvg_graph_rows(g, features, d * n * m, n * m));
    b->s->reconstructed[d] = dvg_graph_rows(g, images, 0, m);
    b->s->sampled[d] = dvg_graph_rows(g, images, m, m);
    b->s->exchanged[d] = swapped < 0 ? -1 : dvg_graph_rows(g, images, 2 * m, m);
    dvg_graph_keep(g, images);
  }
}

static void pixel_losses(struct building *b, int d) {
  struct dvg_graph *g = b->s->graph;
  const struct dvg_generator_settings *set = b->set;
  double scale = 1 / ((double)set->batch * 3 * (double)(set->size * set->size));
  int target = b->s->image[d];
  char name[64];
  dvg_graph_loss_l1(g, named(name, "pixel", b->domain[d]), b->s->reconstructed[d], target, scale, set->pixel);
  if (b->s->exchanged[d] >= 0)
    dvg_graph_loss_l1(g, named(name, "pixel_swapped", b->domain[d]), b->s->exchanged[d], target, scale,
                      set->pixel * set->pixel_swapped);
  dvg_graph_loss_l1(g, named(name, "pixel_sampled", b->domain[d]), b->s->sampled[d], target, scale,
                    set->pixel * set->pixel_sampled);
}

// The images as F sees them: gray; with --judge-jitter each from a place and with a colour filter of its own.
static int seen_by_judge(struct building *b, int images) {
  struct dvg_graph *g = b->s->graph;
  const int64_t n = dvg_graph_shape(g, images).N;
  if (b->set->judge_jitter <= 0) return dvg_graph_gray(g, images, -1);
  b->s->judge_colors = dvg_graph_input(g, "judge_colors", n, 3, 1, 1);
  b->s->judge_maps = dvg_graph_input(g, "judge_maps", n, 6, 1, 1);
  return dvg_graph_warp(g, dvg_graph_gray(g, images, b->s->judge_colors), b->s->judge_maps);
}

// The reconstructed and the sampled images of both domains go through the frozen F in one pass. f: F's own
// embedding of the photograph; f_sampled: the sampled identity, or -1 where that is none of F's.
static void identity_losses(struct building *b, struct dvg_model recognizer, int f, int f_sampled) {
  struct dvg_graph *g = b->s->graph;
  const struct dvg_generator_settings *set = b->set;
  int64_t m = set->micro_batch;
  double scale = 1 / (double)set->batch;
  const int *rec = b->s->reconstructed, *sam = b->s->sampled;
  int images = dvg_graph_stack(g, (int[]){rec[A], rec[B], sam[A], sam[B]}, 4);
  int features = dvg_graph_l2(g, dvg_lightcnn(g, (struct dvg_scope){&b->s->recognizer, ""}, recognizer,
                                              seen_by_judge(b, images)));
  int of[4];
  for (int k = 0; k < 4; k++) of[k] = dvg_graph_rows(g, features, k * m, m);
  char name[64];
  for (int d = 0; d < N_DOMAINS; d++) {
    double weight = set->identity * (d == A ? set->identity_domain : 1);
    dvg_graph_loss_dot(g, named(name, "identity", b->domain[d]), of[d], f, scale, -weight);
    if (f_sampled < 0) continue;
    dvg_graph_loss_dot(g, named(name, "identity_sampled", b->domain[d]), of[2 + d], f_sampled, scale,
                       -weight * set->identity_sampled);
  }
  dvg_graph_loss_dot(g, "identity.pair", of[A], of[B], scale, -set->identity * set->identity_pair);
  dvg_graph_loss_dot(g, "identity_sampled.pair", of[2], of[3], scale,
                     -set->identity * set->identity_pair * set->identity_sampled);
}

// Logits of D_d for the rows of x: its mean logistic loss against `sign` is the term `name`.
static void judge(struct building *b, const char *name, int d, int logits, double sign, double weight) {
  struct dvg_graph *g = b->s->graph;
  struct dvg_shape s = dvg_graph_shape(g, logits);
  char full[64];
  dvg_graph_loss_softplus(g, named(full, name, b->domain[d]), logits, sign,
                          1 / ((double)b->set->batch * (double)(s.H * s.W)), weight);
}

// D_d tells photographs from images of sampled identities, whose generator it must not teach to be told; then
// that is taught by D_d as it stands.
static void adversarial_losses(struct building *b, int d) {
  struct dvg_graph *g = b->s->graph;
  int64_t m = b->set->micro_batch;
  int sampled = b->s->sampled[d], both[2] = {b->s->image[d], dvg_graph_detach(g, sampled)};
  char prefix[96];
  snprintf(prefix, sizeof prefix, "discriminator.%s.", b->domain[d]);
  struct dvg_scope s = {&b->s->params, prefix};
  int logits = dvg_discriminator(g, s, b->model, dvg_graph_stack(g, both, 2));
  judge(b, "discriminator_real", d, dvg_graph_rows(g, logits, 0, m), -1, 1);
  judge(b, "discriminator_sampled", d, dvg_graph_rows(g, logits, m, m), 1, 1);
  dvg_graph_hold(g, 1);
  judge(b, "adversarial", d, dvg_discriminator(g, s, b->model, sampled), -1, b->set->adversarial);
  dvg_graph_hold(g, 0);
}

enum dvg_status dvg_generator_build(struct dvg_generator_step *s, const struct dvg_generator_settings *set,
                                    struct dvg_model recognizer, const struct dvg_model *sampler,
                                    int64_t foreign_code) {
  struct building b = {.s = s, .set = set, .model = {set->width, set->size, foreign_code}};
  int64_t m = set->micro_batch, code = dvg_model_code(b.model);
  *s = (struct dvg_generator_step){.eps = {-1, -1}, .kl_term = {-1, -1}, .noise = -1, .identity_sampled = -1,
                                   .judge_colors = -1, .judge_maps = -1};
  dvg_params_init(&s->params);
  dvg_params_init(&s->recognizer);
  dvg_params_init(&s->sampler);
  dvg_weights_domain(b.domain[A], sizeof b.domain[A], set->domain);
  dvg_weights_domain(b.domain[B], sizeof b.domain[B], set->visible);
  DVG_TRY(dvg_graph_create(&s->graph));
  struct dvg_graph *g = s->graph;
  for (int d = 0; d < N_DOMAINS; d++) encode(&b, d);
  s->identity = dvg_graph_input(g, "identity", m, code, 1, 1);
  s->photograph = foreign_code ? dvg_graph_input(g, "photograph", m, DVG_CODE, 1, 1) : s->identity;
  s->swapped = set->pixel_swapped > 0 ? dvg_graph_input(g, "identity_swapped", m, code, 1, 1) : -1;
  int f_sampled;
  if (sampler) {
    s->noise = dvg_graph_input(g, "noise", m, DVG_CODE, 1, 1);
    f_sampled = dvg_identity_sampler(g, (struct dvg_scope){&s->sampler, ""}, *sampler, s->noise);
  } else f_sampled = s->identity_sampled = dvg_graph_input(g, "identity_sampled", m, code, 1, 1);
  decode(&b, s->identity, f_sampled, s->swapped);
  char name[64];
  for (int d = 0; d < N_DOMAINS; d++) {
    dvg_graph_loss_abs_dot(g, named(name, "orthogonal", b.domain[d]), b.z[d], s->identity,
                           1 / (double)set->batch, set->orthogonal);
    pixel_losses(&b, d);
    if (set->adversarial > 0) adversarial_losses(&b, d);
  }
  identity_losses(&b, recognizer, s->photograph, foreign_code ? -1 : f_sampled);
  dvg_params_freeze(&s->recognizer, "", 1);
  dvg_params_freeze(&s->sampler, "", 1);
  return DVG_OK;
}

void dvg_generator_free(struct dvg_generator_step *s) {
  dvg_graph_free(&s->graph);
  dvg_params_free(&s->params);
  dvg_params_free(&s->recognizer);
  dvg_params_free(&s->sampler);
}
