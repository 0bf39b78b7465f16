// Stage 2: the identity sampler. A VAE on identity features; its decoder turns noise into new identities.
//
// Features may be of any length; the weight file says it. The noise always has 256 values.
//
// Loss (SPEC 1, our choice where nothing was published), x a unit feature, x' its reconstruction:
//     1 - <x, x'>  +  kl * min(1, step / warm-up) * KL(q(n|x) || N(0, I))
// by Adam, whose rate falls along half a cosine to --final-rate of itself. A small KL weight lets the samples vary as the features do, and small sets want many
// epochs: samples that crowd together (report.h) make worse pairs. sampler.h5's lineage says whose embeddings they are: the input `recognizer`.
// Training ends after --epochs, or earlier when the spread (standard deviation) of the pairwise cosines between sampled identities
// has come within --spread-tolerance of that between real people: those held out, with --held-out. A report (report.h) is written beside the weights.
#ifndef DVG_STAGES_TRAIN_SAMPLER_H
#define DVG_STAGES_TRAIN_SAMPLER_H

#include "stages/trainer.h"

struct dvg_sampler_settings {
  struct dvg_train_settings train;
  char *features;
  int64_t epochs, batch, micro_batch;
  double rate, final_rate, kl, kl_warmup, width, held_out, spread_tolerance;
};

extern const struct dvg_stage dvg_stage_train_sampler;

// The graph of one micro-batch: feature (micro_batch,code) and eps (micro_batch,256) are its inputs.
struct dvg_sampler_step {
  struct dvg_graph *graph;
  struct dvg_params params; // "encoder.", "sampler."
  int feature, eps;
};
// Not collective. Builds the graph for micro-batches of set->micro_batch and features of `code` values; it is still to be planned, for training. Free with dvg_sampler_free, also after
// a failure.
DVG_CHECKED enum dvg_status dvg_sampler_build(struct dvg_sampler_step *s, const struct dvg_sampler_settings *set, int64_t code);
void dvg_sampler_free(struct dvg_sampler_step *s);

#endif
