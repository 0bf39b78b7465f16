// The matrix of scores, in tiles, shared out over the ranks in runs along the gallery; it is never in memory as a
// whole, and a gallery of features isn't either: a rank reads its part of it twice, tile by tile.
//
// All metrics are exact for any number of impostors (10^10 are a gallery of a million and 10,000 probes): a first pass
// finds the genuine scores, from the tiles that have any, a second one counts the impostors against them (metrics.h),
// in integers. There is no histogram in between, no list of impostors, and no error to bound. The bootstrap is the same
// at every size. Of memory a rank needs, beside gallery and probes, 80 bytes a genuine score, 16 bytes a gallery image
// or person, and the counters of people, 128 MB at most up to 490,000 people of the probes, 272 bytes each beyond.
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
