// Stage 3: the dual generator. Two attribute encoders and one decoder learn to paint an identity in both modalities.
//
// --preset public (SPEC 2, C). For a real pair I_a, I_b of one person (a: --domain, b: --visible), f = F(I_b), f~ = F_s(n), f' = another person's f:
//     z_d = E_d(I_d), Î_d = G(f, z_d), Î'_d = G(f', z_d), Ĩ_d = G(f~, z_d)          for d in {a, b}; F sees gray images
//     orthogonal * sum_d |<z_d, f>|
//   + pixel * sum_d ( L1(Î_d, I_d) + pixel_swapped L1(Î'_d, I_d) + pixel_sampled L1(Ĩ_d, I_d) )
//   - identity * ( sum_d w_d cos(F Î_d, f) + identity_pair cos(F Î_a, F Î_b)
//                  + identity_sampled ( sum_d w_d cos(F Ĩ_d, f~) + identity_pair cos(F Ĩ_a, F Ĩ_b) ) )
// all batch means, w_a = identity_domain, w_b = 1. F and F_s are frozen.
//
// F is small and can be pleased by changes of single pixels that no eye takes for a person (Goodfellow, Shlens, Szegedy, ICLR 2015). With --judge-jitter s it
// sees each painted image through a map and a colour filter of the image's own, drawn anew in each step, so that only what outlasts them is worth painting
// ("expectation over transformation": Athalye, Engstrom, Ilyas, Kwok, ICML 2018): turned by up to 0.14 s (8 degrees at 1), scaled by exp(+-0.08 s), moved by up to
// s / 16 of its side in each direction; gray of weights (0.299, 0.587, 0.114) + s U(0,1)^3, divided by their sum. f, of the photograph, stays as it is.
//
// --preset paper (SPEC 2, P) differs in these, each an option of its own:
//   --kl > 0: E_d(I) is a normal distribution, z_d = (mu + sigma eps) / |mu + sigma eps|, eps ~ N(0, I), with the term
//       kl * min(1, step / (kl_warmup * steps)) * sum_d KL(N(mu_d, sigma_d^2) || N(0, I))
//   --adversarial > 0: a discriminator D_d a domain (common/models/models.h) with the logistic loss, sp(x) = log(1 + exp(x)), means over patches:
//       adversarial * sum_d sp(-D_d(Ĩ_d))                     trains the generator alone: images that no pixel term holds shall look like photographs;
//       sum_d ( sp(-D_d(I_d)) + sp(D_d(Ĩ_d)) )                trains the discriminators alone
//     at a rate of their own, --discriminator-rate times the generator's. Both are part of one step and of its exact sum; D's weights and Adam's moments of them are in the checkpoint, and not in generator.h5.
//   --pixel-swapped 0 --pixel-sampled 0: no pixel terms where there is no photograph to compare with
// In place of --sampler, in either: --identities, real faces' features for f~ (P, figure 2b), drawn at random.
//
// Identities of another recogniser, in either: --image-features has its features of --images, of any length, which take the place of F's embeddings as the codes
// f and f', and --sampler or --identities give such codes too. F, which the losses need as a network, cannot meet these codes; so it judges by what it can say itself:
//     cos(F Î_d, F I_b) stands for cos(F Î_d, f), and the terms cos(F Ĩ_d, f~) are left out: that Ĩ_a and Ĩ_b show one person is still asked for, by
//     cos(F Ĩ_a, F Ĩ_b), but not which. An F taught by the other recogniser (dvg-train-recognizer --distill) judges best.
// generator.h5 says the length of its codes and that they are foreign.
#ifndef DVG_STAGES_TRAIN_GENERATOR_H
#define DVG_STAGES_TRAIN_GENERATOR_H

#include "stages/embed.h"
#include "stages/epoch.h"
#include "stages/features.h"
#include "stages/trainer.h"
#include "stages/pairs.h"

struct dvg_generator_settings {
  struct dvg_train_settings train;
  char *images, *recognizer, *sampler, *identities, *image_features, *domain, *visible;
  int64_t epochs, steps, batch, micro_batch, size, rate_batch, rate_warmup;
  double width, rate, final_rate, orthogonal, pixel, pixel_swapped, pixel_sampled, identity, identity_domain, identity_pair;
  double identity_sampled, judge_jitter, kl, kl_warmup, adversarial, discriminator_rate;
};

extern const struct dvg_stage dvg_stage_train_generator;

// The graph of one micro-batch and its nodes. Index 0 is --domain, 1 is --visible.
struct dvg_generator_step {
  struct dvg_graph *graph;
  struct dvg_params params, recognizer, sampler; // the last two frozen
  int photograph;                                // input: F I_b where the codes are foreign, else identity, which is that
  int image[2], identity, swapped;               // inputs; swapped -1, and so exchanged, where no loss asks for it
  int noise, identity_sampled;                   // input: the sampler's noise, or f~ itself; the other is -1
  int judge_colors, judge_maps;                  // inputs: how F sees each image, or -1
  int eps[2], kl_term[2];                        // input and loss term of variational encoders, or -1
  int reconstructed[2], exchanged[2], sampled[2]; // images (m,3,size,size)
};

// Not collective. Builds the graph for micro-batches of set->micro_batch; it is still to be planned, for training, and the weights of the frozen networks
// are to be loaded. sampler NULL: f~ is an input. foreign_code: the length of codes that are not F's embeddings; 0: they are.
DVG_CHECKED enum dvg_status dvg_generator_build(struct dvg_generator_step *s, const struct dvg_generator_settings *set,
                                                struct dvg_model recognizer, const struct dvg_model *sampler, int64_t foreign_code);
void dvg_generator_free(struct dvg_generator_step *s);

#endif
