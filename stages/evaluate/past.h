// An evaluation read back, `evaluation.h5` of a folder: what another one is compared with.
#ifndef DVG_STAGES_EVALUATE_PAST_H
#define DVG_STAGES_EVALUATE_PAST_H

#include "io/artifact.h"
#include "stages/evaluate/bootstrap.h"

enum { DVG_MAX_FARS = 16 };

struct dvg_past {
  char *path, *name, *gallery_digest, *probe_digest, *far_convention, digest[DVG_DIGEST_TEXT];
  int64_t seed, n_gallery, n_probes;
  int64_t *gallery_row, *probe_row; // rows of the image sets, or `source` of the features
  int64_t *place;                   // (n_probes) of the best image of the probe's person, 0: none in the gallery
  double rank_1;
  int n_fars;
  double *far, *tar;              // (n_fars) tar NaN: not enough impostors
  struct dvg_bootstrap bootstrap; // of these FARs
};

// Not collective. DVG_ERROR_INPUT where it is damaged or of no protocol. Free with dvg_past_free.
DVG_CHECKED enum dvg_status dvg_past_open(struct dvg_past *p, const char *folder);
void dvg_past_free(struct dvg_past *p);

// What must be alike for two evaluations to be compared: images, replicates, convention.
struct dvg_past_terms {
  const char *gallery_digest, *probe_digest, *far_convention;
  const int64_t *gallery_row, *probe_row;
  int64_t n_gallery, n_probes, seed, n_replicates;
};
// Not collective. DVG_ERROR_INPUT, naming the first that is not.
DVG_CHECKED enum dvg_status dvg_past_check(const struct dvg_past *p, const struct dvg_past_terms *t);

// TAR of p at a FAR, and its replicates; NaN and NULL where p has no such FAR, NULL without a bootstrap.
double dvg_past_tar(const struct dvg_past *p, double far, const double **replicates);

#endif
