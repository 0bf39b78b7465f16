#include "stages/trainer.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/reduce.h"

enum { MAX_TERMS = 32 };

// What one run of the loop holds beside the trainer's own fields.
struct loop {
  struct dvg_trainer *t;
  struct dvg_train_state state; // its moments lie in the reduction's room, for checkpoints
  struct dvg_slices slices;
  float *moment1, *moment2; // (slices.n_own): of this rank's slices; moment2 NULL for SGD
  struct dvg_reduce reduce;
  enum dvg_status status; // of the present micro-batch
  struct dvg_reduce_span *spans; // (n_spans) the trained parameters
  int64_t n_spans;
  const char *term_names[MAX_TERMS];
  double sum[MAX_TERMS]; // of the terms since the last log line
  int64_t n_summed;
  double started, spoke;
  int64_t started_step;
  char log[1024], where[192]; // `where` the present micro-batch belongs, for messages
};

static enum dvg_status check_settings(const struct dvg_train_settings *set) {
  if (strlen(set->out) > DVG_TRAIN_OUT)
    return dvg_fail(DVG_ERROR_USAGE, "--out %.40s... is longer than %d characters", set->out, DVG_TRAIN_OUT);
  if (set->dump_step && !set->dump[0]) return dvg_fail(DVG_ERROR_USAGE, "--dump-step needs --dump");
  if (!set->dump_step && set->dump[0]) return dvg_fail(DVG_ERROR_USAGE, "--dump needs --dump-step");
  return DVG_OK;
}

enum dvg_status dvg_train_begin(const struct dvg_world *w, const struct dvg_train_settings *set) {
  DVG_TRY(dvg_world_agree(w, w->rank == 0 ? check_settings(set) : DVG_OK));
  return set->plan ? DVG_OK : dvg_stage_make_folder(w, set->out);
}

enum dvg_status dvg_train_check_dump(const struct dvg_world *w, const struct dvg_train_settings *set,
                                     int64_t n_steps) {
  enum dvg_status status = DVG_OK;
  if (w->rank == 0 && set->dump_step > n_steps)
    status = dvg_fail(DVG_ERROR_USAGE, "--dump-step %lld lies beyond the last step, %lld",
                      (long long)set->dump_step, (long long)n_steps);
  return dvg_world_agree(w, status);
}

void dvg_params_share(struct dvg_params *p, const struct dvg_world *w) {
  dvg_world_broadcast(w, p->value, (size_t)p->n_values * sizeof *p->value, 0);
  dvg_params_changed(p);
}

// The trained parameters as one range of the flat array, and their names for messages.
static enum dvg_status find_trained(struct loop *l) {
  const struct dvg_params *p = l->t->params;
  struct dvg_train_state *s = &l->state;
  DVG_TRY(DVG_NEW(&l->spans, p->n_params, "gradient spans"));
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    if (q->frozen) continue;
    if (l->n_spans == 0) s->first = q->first;
    if (q->first != s->first + s->count)
      return dvg_fail(DVG_ERROR_INTERNAL, "trained parameters do not lie side by side at %s", q->name);
    l->spans[l->n_spans++] = (struct dvg_reduce_span){q->name, q->first - s->first, q->count};
    s->count += q->count;
  }
  DVG_TRY(dvg_slices_create(&l->slices, l->t->world, s->count, DVG_BUCKET));
  DVG_TRY(DVG_NEW(&l->moment1, l->slices.n_own, "optimiser state"));
  if (l->t->optimizer == DVG_ADAM) DVG_TRY(DVG_NEW(&l->moment2, l->slices.n_own, "optimiser state"));
  DVG_TRY(dvg_reduce_create(&l->reduce, &l->slices, dvg_graph_n_terms(l->t->graph), l->t->n_micro, l->spans,
                            l->n_spans));
  s->moment1 = dvg_reduce_room(&l->reduce);
  s->moment2 = l->moment2 ? s->moment1 + s->count : NULL;
  l->reduce.where = l->where;
  for (int64_t i = 0; i < l->reduce.n_terms; i++) l->term_names[i] = dvg_graph_term_name(l->t->graph, i);
  l->reduce.term_names = l->term_names;
  return DVG_OK;
}

// ---- the log

// Drops log lines of this phase beyond the step we continue from: they will be written again. So is a last line
// that a kill cut short, or the next one would be appended to it.
static enum dvg_status trim_log(const struct loop *l) {
  char *text, *kept = NULL, phase[128];
  size_t n_kept = 0;
  if (!dvg_path_exists(l->log)) return DVG_OK;
  DVG_TRY(dvg_path_read_text(l->log, INT64_C(1) << 30, &text));
  enum dvg_status status = dvg_alloc((void **)&kept, (int64_t)strlen(text) + 1, 1, "log");
  snprintf(phase, sizeof phase, "{\"phase\":\"%s\",\"step\":", l->t->name);
  for (const char *line = text; status == DVG_OK && *line;) {
    size_t n = strcspn(line, "\n");
    if (line[n] == 0) break;
    n++;
    int ours = strncmp(line, phase, strlen(phase)) == 0;
    if (!ours || strtoll(line + strlen(phase), NULL, 10) <= l->state.step) {
      memcpy(kept + n_kept, line, n);
      n_kept += n;
    }
    line += n;
  }
  if (status == DVG_OK) status = dvg_path_write_text(l->log, kept);
  dvg_free(&text);
  dvg_free(&kept);
  return status;
}

static enum dvg_status append_line(const struct loop *l, const char *line) {
  FILE *f = fopen(l->log, "a");
  if (!f) return dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", l->log, strerror(errno));
  int bad = fputs(line, f) < 0;
  if (fclose(f) != 0 || bad) return dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", l->log, strerror(errno));
  return DVG_OK;
}

// One JSON line into the file, one line for people: the terms' means since the last one.
static enum dvg_status write_log(struct loop *l, double rate) {
  const struct dvg_graph *g = l->t->graph;
  char terms[2048] = "", people[2048] = "";
  size_t n = 0, m = 0;
  double total = 0, now = dvg_seconds();
  for (int64_t i = 0; i < dvg_graph_n_terms(g); i++) {
    double mean = l->sum[i] / (double)l->n_summed;
    total += mean * dvg_graph_term_weight(g, i);
    n += (size_t)snprintf(terms + n, sizeof terms - n, "%s\"%s\":%.6g", i ? "," : "", dvg_graph_term_name(g, i),
                          mean);
    m += (size_t)snprintf(people + m, sizeof people - m, "  %s %.4f", dvg_graph_term_name(g, i), mean);
    l->sum[i] = 0;
  }
  l->n_summed = 0;
  char line[4096];
  snprintf(line, sizeof line,
           "{\"phase\":\"%s\",\"step\":%lld,\"of\":%lld,\"loss\":%.6g,\"terms\":{%s},\"rate\":%.4g,\"seconds\":"
           "%.3f}\n",
           l->t->name, (long long)l->state.step, (long long)l->t->n_steps, total, terms, rate,
           now - l->started);
  double speed = (double)(l->state.step - l->started_step) / (now - l->started);
  double eta = (double)(l->t->n_steps - l->state.step) / speed;
  dvg_info("  %s %lld of %lld  loss %.4f%s  (%.2f steps/s, ETA %.0f s)", l->t->name, (long long)l->state.step,
           (long long)l->t->n_steps, total, people, speed, eta);
  return append_line(l, line);
}

// ---- one step

// Collective. A training that diverges does so on all ranks at once: the first of those whose micro-batch went
// wrong speaks for all. Its gradient is still there, so asking again gives the cause.
static void say_bad_value(struct loop *l) {
  const struct dvg_world *w = l->t->world;
  int64_t first = -dvg_world_max(w, l->status == DVG_ERROR_NUMERIC ? -w->rank : -w->size);
  const float *gradient = l->t->params->gradient + l->state.first;
  if (w->rank == first) l->status = dvg_reduce_check(&l->reduce, gradient, dvg_graph_terms(l->t->graph));
}

// A layer of the last micro-batch is done: what is complete goes to its owners while the next one is computed.
static void send_complete(void *context, int64_t first) {
  struct loop *l = context;
  const int64_t start = l->state.first;
  const float *gradient = l->status == DVG_OK ? l->t->params->gradient + start : NULL;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_reduce_advance(&l->reduce, gradient, first > start ? first - start : 0);
  dvg_log_quiet(0);
  if (l->status == DVG_OK) l->status = status;
}

static void compute_micro_batch(struct loop *l, int64_t micro) {
  struct dvg_trainer *t = l->t;
  float *gradient = t->params->gradient + l->state.first;
  l->status = t->fill(t->job, l->state.step, micro);
  if (l->status != DVG_OK) return;
  memset(gradient, 0, (size_t)l->state.count * sizeof *gradient);
  dvg_graph_forward(t->graph);
  const double *terms = dvg_graph_terms(t->graph);
  const int last = micro + t->world->size >= t->n_micro;
  if (!last) dvg_graph_backward(t->graph);
  dvg_log_quiet(1);
  l->status = last ? dvg_reduce_add_terms(&l->reduce, terms) : dvg_reduce_add(&l->reduce, gradient, terms);
  dvg_log_quiet(0);
  if (last) dvg_graph_backward_by_layer(t->graph, t->params, send_complete, l);
}

static enum dvg_status compute_step(struct loop *l, double *terms) {
  struct dvg_trainer *t = l->t;
  dvg_reduce_clear(&l->reduce);
  l->status = DVG_OK;
  for (int64_t micro = t->world->rank; l->status == DVG_OK && micro < t->n_micro; micro += t->world->size) {
    snprintf(l->where, sizeof l->where, "%s, step %lld, micro-batch %lld", t->name,
             (long long)l->state.step + 1, (long long)micro);
    compute_micro_batch(l, micro);
  }
  if (t->world->rank >= t->n_micro) // none of its own: the others need not wait for it
    l->status = dvg_reduce_advance(&l->reduce, NULL, 0);
  enum dvg_status agreed = dvg_world_agree(t->world, l->status);
  if (agreed == DVG_ERROR_NUMERIC) say_bad_value(l);
  dvg_reduce_finish(&l->reduce, t->world, t->params->gradient + l->state.first, terms);
  return agreed;
}

static struct dvg_slice own_slice(const struct loop *l, int64_t bucket) {
  return dvg_slices_at(&l->slices, bucket, l->slices.rank);
}

static void update_values(struct loop *l, struct dvg_slice s, double rate) {
  struct dvg_trainer *t = l->t;
  float *value = t->params->value + l->state.first + s.first;
  const float *gradient = t->params->gradient + l->state.first + s.first;
  t->sgd.rate = t->adam.rate = rate;
  if (t->optimizer == DVG_ADAM)
    dvg_adam_step(&t->adam, value, l->moment1 + s.place, l->moment2 + s.place, gradient, s.count,
                  l->state.step + 1);
  else dvg_sgd_step(&t->sgd, value, l->moment1 + s.place, gradient, s.count);
}

// A slice parameter by parameter, each at its rate.
static void update_apart(struct loop *l, struct dvg_slice s, double rate) {
  const char *apart = l->t->apart;
  for (int64_t k = 0; k < l->n_spans; k++) {
    const struct dvg_reduce_span *p = &l->spans[k];
    const int64_t first = p->first > s.first ? p->first : s.first, end = s.first + s.count,
                  last = p->first + p->count < end ? p->first + p->count : end;
    if (first >= last) continue;
    const struct dvg_slice part = {.first = first, .place = s.place + first - s.first, .count = last - first};
    update_values(l, part, strncmp(p->name, apart, strlen(apart)) == 0 ? rate * l->t->apart_rate : rate);
  }
}

// This rank's slices; dvg_slices_share makes them all ranks'.
static void update(struct loop *l, double rate) {
  for (int64_t b = 0; b < l->slices.n_buckets; b++) {
    const struct dvg_slice s = own_slice(l, b);
    if (l->t->apart) update_apart(l, s, rate);
    else update_values(l, s, rate);
  }
}

// Rank 0 alone (the weights of terms are known where there are micro-batches). NaN is beyond any limit.
static enum dvg_status check_loss(const struct loop *l, const double *terms) {
  const struct dvg_graph *g = l->t->graph;
  double total = 0, limit = l->t->settings->max_loss;
  int64_t largest = 0;
  for (int64_t i = 0; i < dvg_graph_n_terms(g); i++) {
    total += terms[i] * dvg_graph_term_weight(g, i);
    if (fabs(terms[i] * dvg_graph_term_weight(g, i)) > fabs(terms[largest] * dvg_graph_term_weight(g, largest)))
      largest = i;
  }
  if (fabs(total) <= limit) return DVG_OK;
  return dvg_fail(DVG_ERROR_NUMERIC,
                  "%s, step %lld: the loss explodes: %g is beyond --max-loss %g, most of it %s", l->t->name,
                  (long long)l->state.step + 1, total, limit, dvg_graph_term_name(g, largest));
}

// Where the first value of this rank's slices lies that is not finite, in the flat array, and the value; the
// array's length: none. `at` gives the values of a slice.
static int64_t find_bad(const struct loop *l, const float *(*at)(const struct loop *, struct dvg_slice),
                        float *value) {
  for (int64_t b = 0; b < l->slices.n_buckets; b++) {
    const struct dvg_slice s = own_slice(l, b);
    const float *x = at(l, s);
    int bad = 0;
    for (int64_t i = 0; i < s.count; i++) bad |= !(fabsf(x[i]) <= FLT_MAX);
    if (!bad) continue;
    int64_t i = 0;
    while (fabsf(x[i]) <= FLT_MAX) i++;
    *value = x[i];
    return s.first + i;
  }
  return l->state.count;
}

static const float *weights_of(const struct loop *l, struct dvg_slice s) {
  return l->t->params->value + l->state.first + s.first;
}
static const float *momentum_of(const struct loop *l, struct dvg_slice s) {
  return l->moment1 + s.place;
}

// Collective. What the update made of the weights, and the momentum: no checkpoint may hold what nothing can go
// on from. The first bad value of all ranks is named by the one that computed it.
static enum dvg_status check_finite(const struct loop *l) {
  static const struct {
    const char *name;
    const float *(*at)(const struct loop *, struct dvg_slice);
  } checked[] = {{"weight", weights_of}, {"momentum", momentum_of}};
  for (int k = 0; k < 2; k++) {
    float value = 0;
    const int64_t mine = find_bad(l, checked[k].at, &value), first = -dvg_world_max(l->t->world, -mine);
    if (first == l->state.count) continue;
    const struct dvg_reduce_span *span = l->spans;
    while (first >= span->first + span->count) span++;
    dvg_log_quiet(mine != first);
    enum dvg_status status =
        dvg_fail(DVG_ERROR_NUMERIC, "%s, step %lld: the %s of %s is %s at %lld, as rank %d computed it",
                 l->t->name, (long long)l->state.step + 1, checked[k].name, span->name,
                 isnan(value) ? "not a number" : "infinite", (long long)(first - span->first),
                 l->t->world->rank);
    dvg_log_quiet(0);
    return status;
  }
  return DVG_OK;
}

static int is_last(const struct loop *l) {
  return l->state.finished || l->state.step == l->t->n_steps;
}

static int sheet_is_due(const struct loop *l) {
  int64_t every = l->t->settings->sheet_every;
  return l->t->sheet && (is_last(l) || (every > 0 && l->state.step % every == 0));
}

static void sheet_path(char path[1200], const struct loop *l) {
  snprintf(path, 1200, "%s/sheets/%s-%06lld.png", l->t->settings->out, l->t->name, (long long)l->state.step);
}

static enum dvg_status draw_sheet(const struct loop *l) {
  char path[1200];
  sheet_path(path, l);
  return l->t->sheet(l->t->job, l->state.step, path);
}

// Collective.
static void gather_moments(struct loop *l) {
  dvg_slices_gather(&l->slices, l->state.moment1, l->moment1);
  if (l->moment2) dvg_slices_gather(&l->slices, l->state.moment2, l->moment2);
}
static void scatter_moments(struct loop *l) {
  dvg_slices_scatter(&l->slices, l->moment1, l->state.moment1);
  if (l->moment2) dvg_slices_scatter(&l->slices, l->moment2, l->state.moment2);
}

// What rank 0 writes after a step. All ranks agree on its outcome.
static enum dvg_status report(struct loop *l, double rate, int last, int stopping) {
  const struct dvg_train_settings *set = l->t->settings;
  int64_t step = l->state.step;
  int sheet = sheet_is_due(l);
  int checkpoint = last || stopping || step % set->checkpoint_every == 0;
  int log = checkpoint || step % set->log_every == 0; // what continues from a checkpoint has no sums of before
  if (!log && !sheet && !checkpoint) return DVG_OK;
  if (checkpoint) gather_moments(l);
  enum dvg_status status = DVG_OK;
  if (l->t->world->rank == 0) {
    if (log) status = write_log(l, rate);
    // One that fails must not cost the steps before it: it is drawn when they are continued.
    enum dvg_status drawn = status == DVG_OK && sheet ? draw_sheet(l) : DVG_OK;
    dvg_log_quiet(drawn != DVG_OK); // on a full disk both fail: one line says so
    if (status == DVG_OK && checkpoint) status = dvg_checkpoint_save(l->t, &l->state);
    dvg_log_quiet(0);
    if (status == DVG_OK) status = drawn;
  }
  return dvg_world_agree(l->t->world, status);
}

static enum dvg_status step_once(struct loop *l) {
  struct dvg_trainer *t = l->t;
  const struct dvg_train_settings *set = t->settings;
  double terms[MAX_TERMS], rate = t->rate(t->job, l->state.step);
  DVG_TRY(compute_step(l, terms));
  if (set->dump_step == l->state.step + 1 && set->dump[0]) {
    enum dvg_status status = DVG_OK;
    float *gradient = t->params->gradient + l->state.first;
    dvg_slices_share(&l->slices, gradient);
    if (t->world->rank == 0) status = dvg_dump_step(t, &l->state, gradient, terms);
    DVG_TRY(dvg_world_agree(t->world, status));
  }
  if (set->max_loss > 0)
    DVG_TRY(dvg_world_agree(t->world, t->world->rank == 0 ? check_loss(l, terms) : DVG_OK));
  update(l, rate);
  DVG_TRY(check_finite(l));
  dvg_slices_share(&l->slices, t->params->value + l->state.first);
  dvg_params_changed(t->params);
  l->state.step++;
  for (int64_t i = 0; i < dvg_graph_n_terms(t->graph); i++) l->sum[i] += terms[i];
  l->n_summed++;
  if (t->after_step) DVG_TRY(t->after_step(t->job, l->state.step, &l->state.finished));
  int last = is_last(l);
  int stopping = !last && (dvg_world_stop_requested(t->world) || l->state.step == set->stop_after);
  DVG_TRY(report(l, rate, last, stopping));
  if (!stopping) return DVG_OK;
  dvg_info("stopped after step %lld of %lld; the same command continues", (long long)l->state.step,
           (long long)t->n_steps);
  return DVG_STOPPED;
}

// Rank 0 alone. Nothing of an earlier run may be lost or mixed with this one; what it left unfinished goes.
static enum dvg_status prepare_folder(const struct loop *l) {
  const struct dvg_trainer *t = l->t;
  char path[1100], prefix[256];
  snprintf(path, sizeof path, "%s/%s", t->settings->out, t->result);
  DVG_TRY(dvg_result_check(t, path));
  DVG_TRY(dvg_path_remove_parts(t->settings->out, t->result));
  snprintf(prefix, sizeof prefix, "%s.checkpoint", t->name);
  DVG_TRY(dvg_path_remove_parts(t->settings->out, prefix));
  DVG_TRY(trim_log(l));
  if (!t->sheet) return DVG_OK;
  snprintf(path, sizeof path, "%s/sheets", t->settings->out);
  DVG_TRY(dvg_path_make_folder(path));
  snprintf(prefix, sizeof prefix, "%s-", t->name);
  return dvg_path_remove_parts(path, prefix);
}

// Rank 0 alone. The sheet of the step we continue from, if it couldn't be written then.
static enum dvg_status catch_up(const struct loop *l) {
  char path[1200];
  sheet_path(path, l);
  return sheet_is_due(l) && access(path, F_OK) != 0 ? draw_sheet(l) : DVG_OK;
}

static enum dvg_status start(struct loop *l) {
  struct dvg_trainer *t = l->t;
  int found = 0;
  snprintf(l->log, sizeof l->log, "%s/log.jsonl", t->settings->out);
  DVG_TRY(dvg_checkpoint_load(t, &l->state, &found));
  if (found) scatter_moments(l);
  if (found)
    dvg_info("%s: continuing after step %lld of %lld", t->name, (long long)l->state.step,
             (long long)t->n_steps);
  enum dvg_status status = DVG_OK;
  if (t->world->rank == 0) status = prepare_folder(l);
  if (t->world->rank == 0 && status == DVG_OK && found) status = catch_up(l);
  DVG_TRY(dvg_world_agree(t->world, status));
  l->started = dvg_seconds();
  l->started_step = l->state.step;
  return DVG_OK;
}

// Collective.
static void say_plan(const struct loop *l) {
  const struct dvg_trainer *t = l->t;
  dvg_plan_say(t->world, &(struct dvg_plan){.name = t->name,
                                            .n_values = t->params->n_values,
                                            .n_trained = l->state.count,
                                            .checkpoint_bytes = dvg_checkpoint_bytes(t, &l->state),
                                            .n_checkpoints = t->settings->keep_checkpoints});
}

// Collective.
static enum dvg_status take_steps(struct loop *l) {
  const struct dvg_trainer *t = l->t;
  DVG_TRY(start(l));
  while (l->state.step < t->n_steps && !l->state.finished) DVG_TRY(step_once(l));
  dvg_plan_say_peak(t->world, t->name);
  return DVG_OK;
}

enum dvg_status dvg_trainer_run(struct dvg_trainer *t, int64_t *steps_done) {
  struct loop l = {.t = t};
  enum dvg_status status = dvg_world_agree(t->world, find_trained(&l));
  if (status == DVG_OK && t->settings->plan) say_plan(&l);
  else if (status == DVG_OK) status = take_steps(&l);
  if (status == DVG_OK && steps_done) *steps_done = l.state.step;
  dvg_reduce_free(&l.reduce);
  dvg_free(&l.spans);
  dvg_slices_free(&l.slices);
  dvg_free(&l.moment1);
  dvg_free(&l.moment2);
  return status;
}
