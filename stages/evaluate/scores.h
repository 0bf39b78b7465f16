// The matrix of scores, in tiles, shared out over the ranks by blocks of probes; it is never in memory as a
// whole.
#ifndef DVG_STAGES_EVALUATE_SCORES_H
#define DVG_STAGES_EVALUATE_SCORES_H

#include "stages/evaluate/bootstrap.h"
#include "stages/evaluate/metrics.h"
#include "stages/evaluate/protocol.h"

enum { DVG_SCORE_BINS = 2000 }; // of the histograms over [-1, 1]

struct dvg_scores {
  struct dvg_tally tally;
  struct dvg_people people; // of the probes, as dvg_protocol.probe_number counts them
  int64_t
      *place; // (probes) place of the best image of the probe's person, ties against it; 0: none in the gallery
  int64_t genuine_bins[DVG_SCORE_BINS], impostor_bins[DVG_SCORE_BINS];
};

// Collective. Same result on all ranks, for every number of ranks. Free with dvg_scores_free.
DVG_CHECKED enum dvg_status dvg_scores_create(struct dvg_scores *s, const struct dvg_world *w,
                                              const struct dvg_protocol *p);
void dvg_scores_free(struct dvg_scores *s);

// Collective. Appends all scores (probes, gallery), row by row, to the defined f32 dataset `name` of `a` (rank
// 0; others: NULL).
DVG_CHECKED enum dvg_status dvg_scores_store(struct dvg_artifact *a, const char *name,
                                             const struct dvg_world *w, const struct dvg_protocol *p);

#endif
