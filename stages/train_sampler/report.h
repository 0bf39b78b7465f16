// How sampled identities compare with real ones, as numbers and pictures. All are rows of unit vectors of one length, whatever that is.
//
// In a folder:
//     identities.tsv       a line a number, with the columns `real` and `sampled`
//         identities, training_identities   how many are compared
//         cosine_mean, cosine_deviation     between pairs of one kind
//         nearest_mean, nearest_largest     cosine of each to the nearest other one of its kind, of as many as there are real
//                                           ones: how crowded they are
//         training_mean, training_largest   to the nearest training identity: sampled ones near to 1 copy, held-out ones show what is natural
//         coverage                          share of the real ones that have one of the kind nearer than their 5th nearest real neighbour (Naeem et al., "Reliable
//                                           fidelity and diversity metrics", ICML 2020); of `real`: the training identities
//         directions                        (sum v)^2 / sum v^2 of the variances v: in how many directions they vary
//     identities-variance.tsv               direction, real, sampled: variance along the real ones' principal directions
//     identities-cosines.png, identities-nearest.png, identities-training.png, identities-variance.png
// Where nothing was held out the real identities are training ones: training_* of `real` is to the nearest other, and its coverage is 1.
#ifndef DVG_STAGES_TRAIN_SAMPLER_REPORT_H
#define DVG_STAGES_TRAIN_SAMPLER_REPORT_H

#include "stages/train_sampler/spread.h"

enum { DVG_IDENTITY_NEIGHBOURS = 5 };

struct dvg_identities {
  const float *x; // (n,C), borrowed
  int64_t n;
};

struct dvg_identity_kind { // of the real and of the sampled ones
  struct dvg_spread spread;
  double *nearest, *training; // (n) cosines; owned
  double nearest_mean, nearest_largest, training_mean, training_largest;
  double coverage, directions;
  double *variance; // (C) along the real ones' directions, those of the largest real variance first; owned
};

struct dvg_identity_report {
  int64_t C, n[2], n_training;
  struct dvg_identity_kind kind[2]; // real, sampled
};

// Not collective. real, sampled, training: more than DVG_IDENTITY_NEIGHBOURS real and two of the others, else DVG_ERROR_INPUT; training.x = real.x where nothing was
// held out. DVG_ERROR_MEMORY. Free with dvg_identity_report_free.
DVG_CHECKED enum dvg_status dvg_identity_report_of(struct dvg_identity_report *r, struct dvg_identities real,
                                                   struct dvg_identities sampled, struct dvg_identities training, int64_t C);
void dvg_identity_report_free(struct dvg_identity_report *r);
// Not collective. Writes the files above.
DVG_CHECKED enum dvg_status dvg_identity_report_write(const struct dvg_identity_report *r, const char *folder);

#endif
