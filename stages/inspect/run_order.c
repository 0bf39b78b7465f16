#include "stages/inspect/run_order.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"

enum { DIGEST = DVG_DIGEST_TEXT - 1, MOST_LOG = 64 << 20 };

// ---- edges

// The stage that made what has this digest: of several that hold the same, the one of that name. -1: none here.
static int64_t find_stage(const struct dvg_run *r, const char *digest, const char *name) {
  int64_t found = -1;
  for (int64_t i = 0; i < r->n; i++) {
    const struct dvg_run_stage *s = &r->stage[i];
    if (!digest[0] || strcmp(s->digest, digest) != 0) continue;
    if (found < 0 || strcmp(dvg_path_name(s->name), name) == 0) found = i;
  }
  return found;
}

// One line of `inputs`: "role name digest"; the name may have blanks.
static enum dvg_status add_edge(struct dvg_run *r, int64_t to, const char *line, int length) {
  int role = 0, digest = length;
  while (role < length && line[role] != ' ') role++;
  while (digest > 0 && line[digest - 1] != ' ') digest--;
  if (role >= length || digest < role + 2) return DVG_OK;
  DVG_TRY(DVG_GROW(&r->edge, r->n_edges, "a run's lineage"));
  struct dvg_run_edge *e = &r->edge[r->n_edges++];
  *e = (struct dvg_run_edge){.from = -1, .to = to};
  DVG_TRY(dvg_text(&e->role, "%.*s", role, line));
  DVG_TRY(dvg_text(&e->name, "%.*s", digest - role - 2, line + role + 1));
  DVG_TRY(dvg_text(&e->digest, "%.*s", length - digest, line + digest));
  e->from = find_stage(r, e->digest, e->name);
  if (e->from == to) e->from = -1;
  return DVG_OK;
}

static enum dvg_status find_edges(struct dvg_run *r) {
  for (int64_t i = 0; i < r->n; i++)
    for (const char *line = r->stage[i].inputs; *line;) {
      const int length = (int)strcspn(line, "\n");
      DVG_TRY(add_edge(r, i, line, length));
      line += length + (line[length] == '\n');
    }
  return DVG_OK;
}

// ---- order

// Where a stage stands in the pipeline, as far as its kind tells. Nothing can be made yet from what has no
// lineage itself.
static int place_of(const struct dvg_run_stage *s) {
  const char *pretrain = strstr(s->settings, "pretrain = yes");
  int place = 9;
  switch (s->kind) {
  case DVG_RUN_IMAGES:
    place = 0;
    break;
  case DVG_RUN_WEIGHTS:
    place = 1;
    break;
  case DVG_RUN_FEATURES:
    place = 3;
    break;
  case DVG_RUN_PAIRS:
    place = 6;
    break;
  case DVG_RUN_EVALUATION:
    place = 8;
    break;
  case DVG_RUN_TRAINING:
    place = strstr(s->program, "sampler") ? 4 : strstr(s->program, "generator") ? 5 : pretrain ? 2 : 7;
    break;
  case DVG_RUN_OTHER:
    break;
  }
  return s->settings[0] || s->kind == DVG_RUN_IMAGES ? place : 10 + place;
}

static int comes_before(const struct dvg_run_stage *a, const struct dvg_run_stage *b) {
  const int x = place_of(a), y = place_of(b);
  if (x != y) return x < y;
  if (a->changed != b->changed) return a->changed < b->changed;
  return strcmp(a->name, b->name) < 0;
}

// order[k] = the stage that comes as the k-th: of those whose inputs all stand already, the one earliest in the
// pipeline. Digests make a circle impossible, unless forged ones do: it is broken where it is found.
static void sort_stages(const struct dvg_run *r, int64_t *order, int64_t *n_open, unsigned char *taken) {
  for (int64_t e = 0; e < r->n_edges; e++)
    if (r->edge[e].from >= 0) n_open[r->edge[e].to]++;
  for (int64_t k = 0; k < r->n; k++) {
    int64_t best = -1;
    for (int forced = 0; best < 0 && forced < 2; forced++)
      for (int64_t i = 0; i < r->n; i++)
        if (!taken[i] && (n_open[i] == 0 || forced) &&
            (best < 0 || comes_before(&r->stage[i], &r->stage[best])))
          best = i;
    order[k] = best;
    taken[best] = 1;
    for (int64_t e = 0; e < r->n_edges; e++)
      if (r->edge[e].from == best) n_open[r->edge[e].to]--;
  }
}

static int compare_edges(const void *a, const void *b) {
  const struct dvg_run_edge *x = a, *y = b;
  if (x->to != y->to) return x->to < y->to ? -1 : 1;
  return x->from != y->from ? (x->from < y->from ? -1 : 1) : strcmp(x->role, y->role);
}

static void apply_order(struct dvg_run *r, const int64_t *order, int64_t *place, struct dvg_run_stage *sorted) {
  for (int64_t k = 0; k < r->n; k++) {
    sorted[k] = r->stage[order[k]];
    place[order[k]] = k;
  }
  memcpy(r->stage, sorted, (size_t)r->n * sizeof *sorted);
  for (int64_t e = 0; e < r->n_edges; e++) {
    struct dvg_run_edge *x = &r->edge[e];
    x->to = place[x->to];
    if (x->from >= 0) x->from = place[x->from];
    if (x->from >= x->to) x->from = -1; // of a circle
  }
  if (r->n_edges > 1) qsort(r->edge, (size_t)r->n_edges, sizeof *r->edge, compare_edges);
}

static enum dvg_status order_stages(struct dvg_run *r) {
  int64_t *numbers = NULL;
  unsigned char *taken = NULL;
  struct dvg_run_stage *sorted = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&numbers, 3 * r->n, "a run's order"));
  DVG_TRY_GOTO(DVG_NEW(&taken, r->n, "a run's order"));
  DVG_TRY_GOTO(DVG_NEW(&sorted, r->n, "a run's order"));
  sort_stages(r, numbers, numbers + r->n, taken);
  apply_order(r, numbers, numbers + 2 * r->n, sorted);
done:
  dvg_free(&numbers);
  dvg_free(&taken);
  dvg_free(&sorted);
  return status;
}

// ---- what the job's log tells

static int is_digest(const char *text, int n) {
  if (n < DIGEST) return 0;
  for (int i = n - DIGEST; i < n; i++)
    if (!strchr("0123456789abcdef", text[i])) return 0;
  return n == DIGEST || text[n - DIGEST - 1] == ' ';
}

// A line that ends with the digest of what a program made: "OUT: 3000 images, in 13.7 s, digest D" or "OUT: D".
static void take_result_line(struct dvg_run *r, const char *line, int n, int64_t ranks) {
  char digest[DVG_DIGEST_TEXT];
  double seconds = NAN;
  snprintf(digest, sizeof digest, "%s", "");
  memcpy(digest, line + n - DIGEST, DIGEST);
  digest[DIGEST] = 0;
  for (int i = 0; i + 4 < n; i++)
    if (strncmp(line + i, " in ", 4) == 0) {
      double x;
      int end = 0;
      if (sscanf(line + i, " in %lf s%n", &x, &end) == 1 && end > 0) seconds = x;
    }
  for (int64_t i = 0; i < r->n; i++) {
    struct dvg_run_stage *s = &r->stage[i];
    if (strcmp(s->digest, digest) != 0) continue;
    if (ranks > 0) s->ranks = ranks;
    if (!(seconds >= 0)) continue;
    s->seconds = seconds; // measured, better than by times of files
    if (seconds > 0 && s->done > 0 && s->kind != DVG_RUN_TRAINING) s->speed = (double)s->done / seconds;
  }
}

static enum dvg_status read_job_log(struct dvg_run *r) {
  char *path = NULL, *text = NULL;
  DVG_TRY(dvg_text(&path, "%s/log", r->folder));
  dvg_log_quiet(1);
  enum dvg_status status = dvg_path_exists(path) ? dvg_path_read_text(path, MOST_LOG, &text) : DVG_OK;
  dvg_log_quiet(0);
  dvg_free(&path);
  if (status != DVG_OK || !text) return DVG_OK; // no loss
  int64_t ranks = 0;
  for (const char *line = text; *line;) {
    const int n = (int)strcspn(line, "\n");
    long long k;
    char word[8];
    if (sscanf(line, "%lld rank%7[s ]on ", &k, word) == 2 && k > 0 && k < 10000000) ranks = k;
    if (strncmp(line, "dvg-", 4) == 0) ranks = 0; // the next program begins
    if (n < 8192 && is_digest(line, n)) take_result_line(r, line, n, ranks);
    line += n + (line[n] == '\n');
  }
  dvg_free(&text);
  return DVG_OK;
}

// An unfinished set of features has as many as its images are, if all of them are taken.
static void count_features(struct dvg_run *r) {
  for (int64_t e = 0; e < r->n_edges; e++) {
    struct dvg_run_stage *s = &r->stage[r->edge[e].to];
    if (s->kind != DVG_RUN_FEATURES || s->total >= 0 || r->edge[e].from < 0) continue;
    const struct dvg_run_stage *images = &r->stage[r->edge[e].from];
    if (images->kind != DVG_RUN_IMAGES || !strstr(s->settings, "domain = \n") ||
        !strstr(s->settings, "where = \n"))
      continue;
    s->total = images->done;
    if (s->done > s->total) s->done = s->total;
    if (s->state == DVG_RUN_RUNNING && s->speed > 0) s->eta = (double)(s->total - s->done) / s->speed;
  }
}

enum dvg_status dvg_run_connect(struct dvg_run *r) {
  DVG_TRY(find_edges(r));
  DVG_TRY(order_stages(r));
  count_features(r);
  return read_job_log(r);
}
