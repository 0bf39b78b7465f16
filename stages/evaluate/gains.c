#include "stages/evaluate/gains.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "stages/evaluate/difference.h"
#include "stages/evaluate/past.h"

struct couples {
  int64_t n; // read so far
  struct dvg_past *here, *there;
  double *value[2];             // (n) of one figure: here and there
  const double **replicates[2]; // (n) and its replicates
};

static void couples_free(struct couples *c) {
  for (int64_t i = 0; i < c->n; i++) {
    dvg_past_free(&c->here[i]);
    dvg_past_free(&c->there[i]);
  }
  dvg_free(&c->here);
  dvg_free(&c->there);
  for (int s = 0; s < 2; s++) {
    dvg_free(&c->value[s]);
    dvg_free(&c->replicates[s]);
  }
}

// ---- reading

// The next folder of a list, which moves on behind it.
static enum dvg_status open_next(struct dvg_past *p, const char **list) {
  char *folder = NULL;
  const int length = (int)strcspn(*list, ",");
  DVG_TRY(dvg_text(&folder, "%.*s", length, *list));
  *list += length + ((*list)[length] == ',');
  enum dvg_status status = dvg_past_open(p, folder);
  dvg_free(&folder);
  return status;
}

static enum dvg_status check_couple(const struct dvg_past *here, const struct dvg_past *there,
                                    const struct dvg_past *first) {
  const struct dvg_past_terms terms = {.gallery_digest = here->gallery_digest,
                                       .probe_digest = here->probe_digest,
                                       .far_convention = first->far_convention,
                                       .gallery_row = here->gallery_row,
                                       .probe_row = here->probe_row,
                                       .n_gallery = here->n_gallery,
                                       .n_probes = here->n_probes,
                                       .seed = here->seed,
                                       .n_replicates = first->bootstrap.n};
  DVG_TRY(dvg_past_check(here, &terms));
  return dvg_past_check(there, &terms);
}

static int64_t length_of(const char *list) {
  int64_t n = 1;
  for (; *list; list++) n += *list == ',';
  return n;
}

static enum dvg_status read_all(struct couples *c, const char *here, const char *there) {
  const int64_t n = length_of(here);
  if (n != length_of(there))
    return dvg_fail(DVG_ERROR_USAGE, "--mean-of names %lld evaluations, --against %lld", (long long)n,
                    (long long)length_of(there));
  DVG_TRY(DVG_NEW(&c->here, n, "evaluations"));
  DVG_TRY(DVG_NEW(&c->there, n, "evaluations"));
  for (int s = 0; s < 2; s++) {
    DVG_TRY(DVG_NEW(&c->value[s], n, "rates"));
    DVG_TRY(DVG_NEW(&c->replicates[s], n, "replicates"));
  }
  for (int64_t i = 0; i < n; i++) {
    c->n = i + 1; // one that could not be opened holds nothing
    DVG_TRY(open_next(&c->here[i], &here));
    DVG_TRY(open_next(&c->there[i], &there));
    DVG_TRY(check_couple(&c->here[i], &c->there[i], &c->here[0]));
  }
  return DVG_OK;
}

// ---- the figures

// far 0: rank-1.
static double figure_of(const struct dvg_past *p, double far, const double **replicates) {
  if (far > 0) return dvg_past_tar(p, far, replicates);
  *replicates = p->bootstrap.rank_1;
  return p->rank_1;
}

// d, and the values that it is of.
static enum dvg_status compare(struct couples *c, double far, struct dvg_difference *d, double part) {
  int64_t n_replicates = c->here[0].bootstrap.n;
  for (int64_t i = 0; i < c->n; i++) {
    c->value[0][i] = figure_of(&c->here[i], far, &c->replicates[0][i]);
    c->value[1][i] = figure_of(&c->there[i], far, &c->replicates[1][i]);
    if (!c->replicates[0][i] || !c->replicates[1][i]) n_replicates = 0;
  }
  return dvg_difference_mean(d, c->value[0], c->value[1], c->replicates[0], c->replicates[1], c->n,
                             n_replicates, part);
}

static void say(struct dvg_json *j, const char *key, const char *label, const struct couples *c,
                const struct dvg_difference *d) {
  dvg_difference_print(label, d);
  dvg_json_open(j, key, '{');
  dvg_json_open(j, "each", '[');
  for (int64_t i = 0; i < c->n; i++) dvg_json_real(j, NULL, c->value[0][i] - c->value[1][i]);
  dvg_json_close(j, ']');
  dvg_difference_json(j, "mean", d);
  dvg_json_close(j, '}');
}

static void say_which(struct dvg_json *j, const struct couples *c) {
  dvg_json_open(j, "evaluations", '[');
  for (int64_t i = 0; i < c->n; i++) {
    dvg_info("%-12s %s against %s", i ? "" : "mean of", c->here[i].path, c->there[i].path);
    dvg_json_open(j, NULL, '{');
    dvg_json_text(j, "here", c->here[i].digest);
    dvg_json_text(j, "there", c->there[i].digest);
    dvg_json_close(j, '}');
  }
  dvg_json_close(j, ']');
}

static enum dvg_status compare_all(struct couples *c, struct dvg_json *j, double part) {
  say_which(j, c);
  struct dvg_difference d;
  DVG_TRY(compare(c, 0, &d, part));
  say(j, "rank_1", "rank-1", c, &d);
  dvg_json_open(j, "tar_at_far", '{');
  for (int f = 0; f < c->here[0].n_fars; f++) {
    char key[32], label[32];
    snprintf(key, sizeof key, "%g", c->here[0].far[f]);
    snprintf(label, sizeof label, "TAR at %s", key);
    DVG_TRY(compare(c, c->here[0].far[f], &d, part));
    if (!isnan(d.value)) say(j, key, label, c, &d);
  }
  dvg_json_close(j, '}');
  return DVG_OK;
}

enum dvg_status dvg_gains_mean(const char *here, const char *there, const char *out, double part) {
  struct couples c = {.n = 0};
  struct dvg_json j;
  char *path = NULL, *text = NULL;
  dvg_json_begin(&j);
  enum dvg_status status = read_all(&c, here, there);
  if (status == DVG_OK) status = compare_all(&c, &j, part);
  const enum dvg_status written = dvg_json_end(&j, &text);
  if (status == DVG_OK) status = written;
  if (status == DVG_OK) status = dvg_text(&path, "%s/mean.json", out);
  if (status == DVG_OK) status = dvg_path_write_text(path, text);
  dvg_free(&text);
  dvg_free(&path);
  couples_free(&c);
  return status;
}
