#include "stages/train_sampler/spread.h"

#include <math.h>

#include "common/base/alloc.h"
#include "common/nn/conv.h"
#include "io/sheet.h"

static const double BIN = 2.0 / DVG_SPREAD_BINS;

void dvg_spread_count(struct dvg_spread *s, double cosine, double share) {
  int64_t bin = (int64_t)floor((cosine + 1) / BIN);
  bin = bin < 0 ? 0 : bin >= DVG_SPREAD_BINS ? DVG_SPREAD_BINS - 1 : bin;
  s->density[bin] += share / BIN;
}

enum dvg_status dvg_spread_of(struct dvg_spread *s, const float *x, int64_t n, int64_t C) {
  float *cosines; // all of them at once, by one matrix product
  DVG_TRY(DVG_NEW(&cosines, n * n, "cosines"));
  dvg_linear_forward(cosines, x, x, NULL, n, C, n);
  *s = (struct dvg_spread){0};
  double sum = 0, squares = 0, pairs = 0.5 * (double)n * (double)(n - 1);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) {
      double cosine = cosines[i * n + j];
      sum += cosine;
      squares += cosine * cosine;
      dvg_spread_count(s, cosine, 1 / pairs);
    }
  s->mean = sum / pairs;
  s->deviation = sqrt(fmax(0, squares / pairs - s->mean * s->mean));
  dvg_free(&cosines);
  return DVG_OK;
}

int dvg_spread_is_near(const struct dvg_spread *sampled, const struct dvg_spread *real, double tolerance) {
  return fabs(sampled->mean - real->mean) <= tolerance &&
         fabs(sampled->deviation / real->deviation - 1) <= tolerance;
}

enum dvg_status dvg_spread_plot(const char *path, const char *title, const struct dvg_spread *real,
                                const struct dvg_spread *sampled) {
  double cosine[DVG_SPREAD_BINS];
  for (int i = 0; i < DVG_SPREAD_BINS; i++) cosine[i] = -1 + BIN * (i + 0.5);
  struct dvg_curve curves[] = {{"real identities", cosine, real->density, DVG_SPREAD_BINS},
                               {"sampled identities", cosine, sampled->density, DVG_SPREAD_BINS}};
  struct dvg_plot plot = {
      .title = title, .x_label = "cosine", .y_label = "density", .curves = curves, .n_curves = 2};
  return dvg_plot_write(&plot, path);
}
