#include "stages/evaluate/against.h"

#include <math.h>
#include <stdio.h>

#include "common/base/log.h"

void dvg_against_free(struct dvg_against *a) {
  dvg_past_free(&a->past);
}

enum dvg_status dvg_against_compare(struct dvg_against *a, const int64_t *place, double rank_1,
                                    const double *far, const double *tar, const struct dvg_bootstrap *b,
                                    double part) {
  const struct dvg_past *past = &a->past;
  for (int64_t i = 0; i < past->n_probes; i++) {
    a->only_here += place[i] == 1 && past->place[i] != 1;
    a->only_there += place[i] != 1 && past->place[i] == 1;
  }
  a->mcnemar_p = dvg_mcnemar_p(a->only_here, a->only_there);
  const double *here = b->rank_1, *there = past->bootstrap.rank_1;
  DVG_TRY(dvg_difference_mean(&a->rank_1, &rank_1, &past->rank_1, &here, &there, 1, b->n, part));
  for (int f = 0; f < b->n_fars; f++) {
    const double other = dvg_past_tar(past, far[f], &there);
    here = b->tar + f * b->n;
    DVG_TRY(dvg_difference_mean(&a->tar[f], &tar[f], &other, &here, &there, 1, there ? b->n : 0, part));
  }
  return DVG_OK;
}

void dvg_against_print(const struct dvg_against *a, const double *far, int n_fars) {
  dvg_info("against      %s", a->past.name[0] ? a->past.name : a->past.digest);
  dvg_difference_print("rank-1", &a->rank_1);
  dvg_info("             at rank 1 here alone %lld, there alone %lld: p %.4g, McNemar's exact test",
           (long long)a->only_here, (long long)a->only_there, a->mcnemar_p);
  for (int f = 0; f < n_fars; f++) {
    char label[32];
    snprintf(label, sizeof label, "TAR at %g", far[f]);
    dvg_difference_print(label, &a->tar[f]);
  }
}

void dvg_against_json(struct dvg_json *j, const struct dvg_against *a, const double *far, int n_fars) {
  dvg_json_open(j, "against", '{');
  dvg_json_text(j, "name", a->past.name);
  dvg_json_text(j, "digest", a->past.digest);
  dvg_difference_json(j, "rank_1", &a->rank_1);
  dvg_json_open(j, "mcnemar", '{');
  dvg_json_int(j, "only_here", a->only_here);
  dvg_json_int(j, "only_there", a->only_there);
  dvg_json_real(j, "p", a->mcnemar_p);
  dvg_json_close(j, '}');
  dvg_json_open(j, "tar_at_far", '{');
  for (int f = 0; f < n_fars; f++) {
    char key[32];
    snprintf(key, sizeof key, "%g", far[f]);
    dvg_difference_json(j, key, &a->tar[f]);
  }
  dvg_json_close(j, '}');
  dvg_json_close(j, '}');
}
