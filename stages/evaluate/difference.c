#include "stages/evaluate/difference.h"

#include <math.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum dvg_status dvg_difference_mean(struct dvg_difference *d, const double *here, const double *there,
                                    const double *const *here_replicates, const double *const *there_replicates,
                                    int64_t n, int64_t n_replicates, double part) {
  double *mean = NULL;
  DVG_TRY(DVG_NEW(&mean, n_replicates, "replicates"));
  d->value = 0;
  for (int64_t i = 0; i < n; i++) {
    d->value += (here[i] - there[i]) / (double)n;
    for (int64_t b = 0; b < n_replicates; b++)
      mean[b] += (here_replicates[i][b] - there_replicates[i][b]) / (double)n;
  }
  // Rates are multiples of 1 / probes: so little is what rounding left of none.
  for (int64_t b = 0; b < n_replicates; b++)
    if (fabs(mean[b]) < 1e-12) mean[b] = 0;
  d->p = dvg_difference_p(mean, n_replicates);
  enum dvg_status status = dvg_interval_of(&d->interval, mean, n_replicates, part);
  dvg_free(&mean);
  return status;
}

void dvg_difference_print(const char *label, const struct dvg_difference *d) {
  if (isnan(d->value)) return;
  if (isnan(d->interval.low)) dvg_info("%-12s %+7.3f points", label, 100 * d->value);
  else
    dvg_info("%-12s %+7.3f points   [%+.3f, %+.3f]   p %.4f, of the bootstrap", label, 100 * d->value,
             100 * d->interval.low, 100 * d->interval.high, d->p);
}

void dvg_difference_json(struct dvg_json *j, const char *key, const struct dvg_difference *d) {
  dvg_json_open(j, key, '{');
  dvg_json_real(j, "difference", d->value);
  dvg_json_real(j, "low", d->interval.low);
  dvg_json_real(j, "high", d->interval.high);
  dvg_json_real(j, "p", d->p);
  dvg_json_close(j, '}');
}
