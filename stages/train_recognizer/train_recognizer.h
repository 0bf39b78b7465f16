// Stage 5: the recogniser F (LightCNN-29v2). Two jobs with one loop:
//
// --pretrain: on the visible images alone. Loss: CE(fc2_(dropout(fc)), person), and with --distill, towards the embeddings t of another network:
//     distill_weight * (1 - cos(head(fc), t - mean t)) + length / 2 |fc|^2, a linear head of their size.
// else: heterogeneous training (SPEC 2). Phase I, --head-epochs: the classifier alone on real images of both domains. Phase II: all weights, on
//     real images and generated pairs x_a, x_b (shards of dvg-generate), f(x) unit embeddings:
//     CE(real) + contrast_weight * [ -mean cos(f(x_a^i), f(x_b^i)) + push mean relu(cos(f(x_a^i), f(x_b^idx(i))) - margin) ]
//     --contrast public: as written; both: also f(x_b^i) against f(x_a^idx); pull: no push (DVG 2019); none: no pairs at all.
//     --real-pairs X: this part of the pairs are real people's own two images, not generated ones (real_pairs.h); 1 tells what the loss alone gives.
// idx is a derangement inside each micro-batch: pairs come in random order, so a negative is as random as one from the whole batch,
// and no features need to be exchanged between ranks.
#ifndef DVG_STAGES_TRAIN_RECOGNIZER_H
#define DVG_STAGES_TRAIN_RECOGNIZER_H

#include "io/shards.h"
#include "stages/embed.h"
#include "stages/epoch.h"
#include "stages/select.h"
#include "stages/trainer.h"

enum dvg_contrast { DVG_CONTRAST_BOTH, DVG_CONTRAST_PUBLIC, DVG_CONTRAST_PULL, DVG_CONTRAST_NONE };
enum { DVG_SCHEDULE_STEP, DVG_SCHEDULE_COSINE };

struct dvg_recognizer_settings {
  struct dvg_train_settings train;
  char *images, *pairs, *where, *scores, *start, *domain, *visible, *distill;
  int64_t pretrain, contrast, optimizer, schedule, flip;
  int64_t head_epochs, head_batch, epochs, steps, batch, generated, micro_batch, size, rate_batch, rate_warmup;
  double width, rate, head_rate, momentum, weight_decay, rate_drop, rate_drop_every, final_rate;
  double labels, distill_weight, contrast_weight, push, margin, jitter, length, real_pairs;
};

extern const struct dvg_stage dvg_stage_train_recognizer;

// The teacher's embeddings, one row an image of the set, centred unit vectors.
struct dvg_teacher {
  int64_t C;
  float *target; // (N, C)
  char digest[DVG_DIGEST_TEXT];
};
// Not collective. Reads `feature` (M,C) of any HDF5 file; matched to the set's images by its text dataset `path` if it has one (each image's name must be there),
// else row by row (M = N). Free target with dvg_free.
DVG_CHECKED enum dvg_status dvg_teacher_read(struct dvg_teacher *t, const char *path, const struct dvg_image_set *set);

// One phase: its graph and the sizes of a micro-batch.
struct dvg_recognizer_phase {
  const char *name;
  int index;                      // 0 pretrain, 1 head, 2 all
  int64_t batch, n_micro, real, pairs, real_pairs; // global batch of real images; micro-batches; real images, pairs and real ones of these in one
  struct dvg_graph *graph;
  int image, label, item, negative, target; // inputs; label, item, negative: integers; -1: none
};
// Not collective. Adds F ("recognizer."), its heads ("head.") and the losses of the phase to a graph over `params`, still to be planned for training.
DVG_CHECKED enum dvg_status dvg_recognizer_build(struct dvg_recognizer_phase *p, struct dvg_params *params, const struct dvg_recognizer_settings *set,
                                                 struct dvg_model model, int64_t n_classes, int64_t n_teacher);

#endif
