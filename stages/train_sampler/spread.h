// How far apart identities lie: the distribution of cosines between pairs of unit vectors.
#ifndef DVG_STAGES_TRAIN_SAMPLER_SPREAD_H
#define DVG_STAGES_TRAIN_SAMPLER_SPREAD_H

#include <stdint.h>

#include "common/base/status.h"

enum { DVG_SPREAD_BINS = 80 };

struct dvg_spread {
  double mean, deviation;            // of the cosines of all pairs i < j
  double density[DVG_SPREAD_BINS];   // histogram over [-1, 1], integrates to 1
};

// Not collective. x: n rows of C, n >= 2. DVG_ERROR_MEMORY.
DVG_CHECKED enum dvg_status dvg_spread_of(struct dvg_spread *s, const float *x, int64_t n, int64_t C);
// Adds `share` of all cosines, at this one, to the histogram.
void dvg_spread_count(struct dvg_spread *s, double cosine, double share);
// A PNG with both distributions.
DVG_CHECKED enum dvg_status dvg_spread_plot(const char *path, const char *title, const struct dvg_spread *real, const struct dvg_spread *sampled);

// Whether sampled identities spread as real ones do: mean and deviation of their cosines differ by at most `tolerance`, the deviation's part of the real one.
// Identities that are all alike can have the right deviation about a wrong mean.
int dvg_spread_is_near(const struct dvg_spread *sampled, const struct dvg_spread *real, double tolerance);

#endif
