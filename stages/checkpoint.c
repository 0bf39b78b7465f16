#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/trainer.h"

enum { VERSION = 1 };

enum dvg_status dvg_write_tensors(struct dvg_artifact *a, const char *group, const struct dvg_params *p,
                                  const float *values, int64_t first, int64_t count) {
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    if (q->first < first || q->first + q->count > first + count) continue;
    char name[DVG_PARAM_NAME + 64];
    snprintf(name, sizeof name, "%s/%s", group, q->name);
    DVG_TRY(dvg_artifact_write(a, name, DVG_F32, q->n_dims, q->dims, values + (q->first - first)));
  }
  return DVG_OK;
}

static enum dvg_status write_state(struct dvg_artifact *a, const struct dvg_trainer *t,
                                   const struct dvg_train_state *s) {
  DVG_TRY(dvg_artifact_set_int(a, "step", s->step));
  DVG_TRY(dvg_artifact_set_int(a, "steps", t->n_steps));
  DVG_TRY(dvg_artifact_set_int(a, "finished", s->finished));
  DVG_TRY(dvg_artifact_set_text(a, "phase", t->name));
  DVG_TRY(dvg_write_tensors(a, "weight", t->params, t->params->value, 0, t->params->n_values));
  DVG_TRY(dvg_write_tensors(a, "moment1", t->params, s->moment1, s->first, s->count));
  return s->moment2 ? dvg_write_tensors(a, "moment2", t->params, s->moment2, s->first, s->count) : DVG_OK;
}

int64_t dvg_checkpoint_bytes(const struct dvg_trainer *t, const struct dvg_train_state *s) {
  return (t->params->n_values + s->count * (t->optimizer == DVG_ADAM ? 2 : 1)) * (int64_t)sizeof(float);
}

// ---- the files: the newest has age 0

enum { NEW = -1, PATH = 1200 }; // NEW: written as a whole, not yet in its place

static void path_of(char path[PATH], const struct dvg_trainer *t, int64_t age) {
  char suffix[32] = "";
  if (age == NEW) snprintf(suffix, sizeof suffix, ".new");
  else if (age > 0) snprintf(suffix, sizeof suffix, "-%lld", (long long)age);
  snprintf(path, PATH, "%s/%s.checkpoint%s.h5", t->settings->out, t->name, suffix);
}

static int is_there(const struct dvg_trainer *t, int64_t age) {
  char path[PATH];
  path_of(path, t, age);
  return dvg_path_exists(path);
}

static enum dvg_status remove_age(const struct dvg_trainer *t, int64_t age) {
  char path[PATH];
  path_of(path, t, age);
  return dvg_path_remove(path);
}

// The new one becomes the newest. The others grow older by one, up to the first gap (a kill may have come
// between these renames); those too old go.
static enum dvg_status settle(const struct dvg_trainer *t) {
  int64_t keep = t->settings->keep_checkpoints, gap = 0;
  char from[PATH], to[PATH];
  while (gap < keep - 1 && is_there(t, gap)) gap++;
  for (int64_t age = gap; age > 0; age--) {
    path_of(from, t, age - 1);
    path_of(to, t, age);
    if (rename(from, to) != 0 && errno != ENOENT)
      return dvg_fail(DVG_ERROR_IO, "%s: cannot rename from %s: %s", to, from, strerror(errno));
  }
  path_of(from, t, NEW);
  path_of(to, t, 0);
  DVG_TRY(dvg_path_rename(from, to));
  for (int64_t age = keep; age < DVG_MAX_CHECKPOINTS && is_there(t, age); age++) DVG_TRY(remove_age(t, age));
  return DVG_OK;
}

enum dvg_status dvg_checkpoint_save(const struct dvg_trainer *t, const struct dvg_train_state *s) {
  struct dvg_artifact *a = NULL;
  char path[PATH];
  path_of(path, t, NEW);
  DVG_TRY(dvg_lineage_create(&a, path, "checkpoint", VERSION, t->lineage));
  enum dvg_status status = write_state(a, t, s);
  if (status != DVG_OK) {
    dvg_artifact_discard(&a);
    return status;
  }
  DVG_TRY(dvg_artifact_commit(&a, NULL));
  return settle(t);
}

static int has_line(const char *text, const char *line, size_t length) {
  while (*text) {
    size_t n = strcspn(text, "\n");
    if (n == length && strncmp(text, line, n) == 0) return 1;
    text += n + (text[n] == '\n');
  }
  return 0;
}

// The first line of `theirs` that `ours` does not have, for the message.
static void first_difference(char *line, size_t n_bytes, const char *theirs, const char *ours) {
  line[0] = 0;
  while (*theirs) {
    size_t n = strcspn(theirs, "\n");
    if (!has_line(ours, theirs, n)) {
      snprintf(line, n_bytes, "%.*s", (int)(n < 250 ? n : 250), theirs);
      return;
    }
    theirs += n + (theirs[n] == '\n');
  }
}

static enum dvg_status check_origin(const struct dvg_artifact *a, const char *attribute, const char *ours) {
  char *theirs = NULL, line[256];
  DVG_TRY(dvg_artifact_get_text(a, attribute, &theirs));
  enum dvg_status status = DVG_OK;
  if (strcmp(theirs, ours) != 0) {
    first_difference(line, sizeof line, theirs, ours);
    status =
        dvg_fail(DVG_ERROR_INPUT,
                 "%s: belongs to a run with other %s (there: %s); continue with these, or take another --out",
                 dvg_artifact_path(a), attribute, line[0] ? line : "fewer");
  }
  dvg_free(&theirs);
  return status;
}

// Whether the artifact was made with the settings and from the inputs of this run.
static enum dvg_status check_lineage(const struct dvg_artifact *a, const struct dvg_lineage *l) {
  char *inputs = NULL;
  DVG_TRY(check_origin(a, "settings", l->settings));
  DVG_TRY(dvg_lineage_inputs(&inputs, l));
  enum dvg_status status = check_origin(a, "inputs", inputs);
  dvg_free(&inputs);
  return status;
}

static enum dvg_status read_tensors(const struct dvg_artifact *a, const char *group, const struct dvg_params *p,
                                    float *values, int64_t first, int64_t count) {
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    if (q->first < first || q->first + q->count > first + count) continue;
    char name[DVG_PARAM_NAME + 64];
    snprintf(name, sizeof name, "%s/%s", group, q->name);
    enum dvg_type type;
    int n_dims;
    int64_t dims[DVG_MAX_DIMS];
    DVG_TRY(dvg_artifact_shape(a, name, &type, &n_dims, dims));
    if (n_dims != q->n_dims || memcmp(dims, q->dims, (size_t)n_dims * sizeof *dims) != 0)
      return dvg_fail(DVG_ERROR_INPUT, "%s: %s has another shape than this network", dvg_artifact_path(a),
                      name);
    DVG_TRY(dvg_artifact_read(a, name, DVG_F32, 0, dims[0], values + (q->first - first)));
  }
  return DVG_OK;
}

static enum dvg_status read_state(const struct dvg_artifact *a, const struct dvg_trainer *t,
                                  struct dvg_train_state *s) {
  int64_t finished;
  DVG_TRY(check_lineage(a, t->lineage));
  DVG_TRY(dvg_artifact_get_int(a, "step", &s->step));
  DVG_TRY(dvg_artifact_get_int(a, "finished", &finished));
  s->finished = finished != 0;
  DVG_TRY(read_tensors(a, "weight", t->params, t->params->value, 0, t->params->n_values));
  DVG_TRY(read_tensors(a, "moment1", t->params, s->moment1, s->first, s->count));
  return s->moment2 ? read_tensors(a, "moment2", t->params, s->moment2, s->first, s->count) : DVG_OK;
}

// Whether the file can be read and its content is that of its digest. Says nothing.
static enum dvg_status verify(const char *path) {
  struct dvg_artifact *a = NULL;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_artifact_open(&a, path, NULL, 0);
  if (status == DVG_OK) status = dvg_artifact_verify(a);
  dvg_log_quiet(0);
  dvg_artifact_close(&a);
  return status;
}

// *age = that of the newest checkpoint that is whole, DVG_MAX_CHECKPOINTS when there is none at all. One that
// is damaged gives way to the one before it; where all are, that is an error: never a silent start from the
// beginning.
static enum dvg_status find_whole(const struct dvg_trainer *t, int64_t *age) {
  char path[PATH], damaged[PATH] = "";
  for (*age = NEW; *age < DVG_MAX_CHECKPOINTS; ++*age) {
    if (!is_there(t, *age)) continue;
    path_of(path, t, *age);
    enum dvg_status status = verify(path);
    if (status == DVG_ERROR_MEMORY) return dvg_fail(status, "%s: no memory to verify it", path);
    if (status == DVG_OK) {
      if (damaged[0]) dvg_warn("%s: is damaged or unreadable; going on from the one before, %s", damaged, path);
      return DVG_OK;
    }
    if (!damaged[0]) memcpy(damaged, path, sizeof damaged);
  }
  if (!damaged[0]) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s: is damaged or unreadable, and there is no other checkpoint to go on from; "
                  "remove it to start from the beginning",
                  damaged);
}

// Rank 0 alone. Files are touched only when the state of this very run is in memory.
static enum dvg_status load(const struct dvg_trainer *t, struct dvg_train_state *s, int *found) {
  int64_t age;
  DVG_TRY(find_whole(t, &age));
  if (age == DVG_MAX_CHECKPOINTS) return DVG_OK;
  char path[PATH];
  path_of(path, t, age);
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, path, "checkpoint", VERSION));
  enum dvg_status status = read_state(a, t, s);
  dvg_artifact_close(&a);
  if (status != DVG_OK) return status;
  for (int64_t newer = NEW; newer < age; newer++) DVG_TRY(remove_age(t, newer));
  *found = 1;
  return age == NEW ? settle(t) : DVG_OK;
}

enum dvg_status dvg_checkpoint_load(const struct dvg_trainer *t, struct dvg_train_state *s, int *found) {
  int there = 0;
  DVG_TRY(dvg_world_agree(t->world, t->world->rank == 0 ? load(t, s, &there) : DVG_OK));
  dvg_world_broadcast(t->world, &there, sizeof there, 0);
  *found = there;
  if (!there) return DVG_OK;
  dvg_world_broadcast(t->world, &s->step, sizeof s->step, 0);
  dvg_world_broadcast(t->world, &s->finished, sizeof s->finished, 0);
  dvg_params_share(t->params, t->world);
  return DVG_OK;
}

enum dvg_status dvg_result_check(const struct dvg_trainer *t, const char *path) {
  if (!dvg_path_exists(path)) return DVG_OK;
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, path, NULL, 0));
  enum dvg_status status = check_lineage(a, t->lineage);
  dvg_artifact_close(&a);
  return status;
}
