#include "stages/inspect/run_scan.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/shards.h"
#include "stages/inspect/run_order.h"

enum { FRESH = 60, LATEST_SHARDS = 16, NAME = 256, MOST_ROWS = 1 << 30 };

// ---- what a folder lists

struct listing {
  int there; // the folder could be read
  int has_log, has_index, has_request, has_evaluation, n_locks;
  int64_t n_shards, lowest_shard; // those in groups below too
  int64_t latest[LATEST_SHARDS];  // the highest numbers, ascending
  int n_latest;
  int64_t n_files, n_folders, n_checkpoints;
  char (*file)[NAME], (*below)[NAME],
      (*checkpoint)[NAME]; // *.h5 and *.h5.part but shards and checkpoints; folders
};

static void listing_free(struct listing *l) {
  dvg_free(&l->file);
  dvg_free(&l->below);
  dvg_free(&l->checkpoint);
  *l = (struct listing){.there = 0};
}

static int ends_with(const char *text, const char *end) {
  const size_t n = strlen(text), k = strlen(end);
  return n >= k && strcmp(text + n - k, end) == 0;
}

// Whether it is shard-NNNNNN.h5, as a whole; *number is which.
static int is_shard(const char *name, int64_t *number) {
  long long k;
  int end = 0;
  if (sscanf(name, "shard-%lld.h5%n", &k, &end) != 1 || end == 0 || name[end] || k < 0) return 0;
  *number = k;
  return 1;
}

static void count_shard(struct listing *l, int64_t number) {
  if (l->n_shards++ == 0 || number < l->lowest_shard) l->lowest_shard = number;
  int at = l->n_latest;
  while (at > 0 && l->latest[at - 1] > number) at--;
  if (l->n_latest < LATEST_SHARDS) {
    memmove(l->latest + at + 1, l->latest + at, (size_t)(l->n_latest++ - at) * sizeof *l->latest);
    l->latest[at] = number;
  } else if (at > 0) {
    memmove(l->latest, l->latest + 1, (size_t)(at - 1) * sizeof *l->latest);
    l->latest[at - 1] = number;
  }
}

static enum dvg_status add_name(char (**list)[NAME], int64_t *n, const char *name) {
  if (*n >= 4 * DVG_RUN_MOST || strlen(name) >= NAME) return DVG_OK;
  DVG_TRY(DVG_GROW(list, *n, "names of files"));
  strcpy((*list)[(*n)++], name);
  return DVG_OK;
}

static int is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static enum dvg_status list_group(struct listing *l, const char *folder, const char *name) {
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/%s", folder, name));
  DIR *d = opendir(path);
  int64_t number;
  for (const struct dirent *e; d && (e = readdir(d));)
    if (is_shard(e->d_name, &number)) count_shard(l, number);
  if (d) closedir(d);
  dvg_free(&path);
  return DVG_OK;
}

static enum dvg_status list_entry(struct listing *l, const char *folder, const struct dirent *e) {
  const char *name = e->d_name;
  int64_t number;
  if (name[0] == '.') return DVG_OK;
  if (is_shard(name, &number)) {
    count_shard(l, number);
    return DVG_OK;
  }
  if (strcmp(name, "log.jsonl") == 0) l->has_log = 1;
  else if (strcmp(name, "index.h5") == 0) l->has_index = 1;
  else if (strcmp(name, "request.h5") == 0) l->has_request = 1;
  else if (strcmp(name, "evaluation.h5") == 0) l->has_evaluation = 1;
  else if (ends_with(name, ".checkpoint.h5")) return add_name(&l->checkpoint, &l->n_checkpoints, name);
  else if (strstr(name, ".checkpoint")) return DVG_OK; // older ones, or on their way
  else if (ends_with(name, ".h5") || ends_with(name, ".h5.part")) return add_name(&l->file, &l->n_files, name);
  else if (e->d_type == DT_DIR) return add_name(&l->below, &l->n_folders, name);
  else if (e->d_type == DT_UNKNOWN || e->d_type == DT_LNK) {
    char *path = NULL;
    DVG_TRY(dvg_text(&path, "%s/%s", folder, name));
    enum dvg_status status = is_folder(path) ? add_name(&l->below, &l->n_folders, name) : DVG_OK;
    dvg_free(&path);
    return status;
  }
  return DVG_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(a, b);
}

static void sort_names(char (*list)[NAME], int64_t n) {
  if (n > 1) qsort(list, (size_t)n, sizeof *list, compare_names);
}

// A finished set isn't looked through: its index says all.
static enum dvg_status list_folder(struct listing *l, const char *folder) {
  *l = (struct listing){.there = 0};
  DIR *d = opendir(folder);
  if (!d) return DVG_OK;
  l->there = 1;
  enum dvg_status status = DVG_OK;
  for (const struct dirent *e; status == DVG_OK && (e = readdir(d));) status = list_entry(l, folder, e);
  closedir(d);
  sort_names(l->file, l->n_files);
  sort_names(l->below, l->n_folders);
  sort_names(l->checkpoint, l->n_checkpoints);
  for (int64_t i = 0; status == DVG_OK && !l->has_index && l->n_shards > 0 && i < l->n_folders; i++)
    if (strncmp(l->below[i], "group-", 6) == 0) status = list_group(l, folder, l->below[i]);
  return status;
}

// ---- what its files say

static int64_t time_of(const char *folder, const char *name) {
  char path[4096];
  struct stat s;
  const int n = snprintf(path, sizeof path, "%s%s%s", folder, name[0] ? "/" : "", name);
  return n > 0 && n < (int)sizeof path && stat(path, &s) == 0 ? (int64_t)s.st_mtime : 0;
}

static void note_change(struct dvg_run_stage *s, const char *name) {
  const int64_t when = time_of(s->path, name);
  if (when > s->changed) s->changed = when;
}

static enum dvg_status replace_text(char **text, const struct dvg_artifact *a, const char *name) {
  char *value = NULL;
  if (!dvg_artifact_has_attribute(a, name) || dvg_artifact_get_text(a, name, &value) != DVG_OK) return DVG_OK;
  dvg_free(text);
  *text = value;
  return DVG_OK;
}

// Opens an artifact of the stage, of any version, for a look; NULL, silently, where there is none to be read.
static struct dvg_artifact *peek(const char *folder, const char *name, const char *schema) {
  struct dvg_artifact *a = NULL;
  char *path = NULL;
  if (dvg_text(&path, "%s%s%s", folder, name[0] ? "/" : "", name) != DVG_OK) return NULL;
  if (dvg_path_exists(path) && dvg_artifact_open(&a, path, NULL, 0) != DVG_OK) a = NULL;
  if (a && schema && strcmp(dvg_artifact_schema(a), schema) != 0) dvg_artifact_close(&a);
  dvg_free(&path);
  return a;
}

static enum dvg_status take_lineage(struct dvg_run_stage *s, const struct dvg_artifact *a) {
  DVG_TRY(replace_text(&s->program, a, "program"));
  DVG_TRY(replace_text(&s->settings, a, "settings"));
  return replace_text(&s->inputs, a, "inputs");
}

static int64_t int_of(const struct dvg_artifact *a, const char *name) {
  int64_t value = -1;
  return dvg_artifact_has_attribute(a, name) && dvg_artifact_get_int(a, name, &value) == DVG_OK ? value : -1;
}

static int64_t rows_of(const struct dvg_artifact *a, const char *name) {
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (!dvg_artifact_has(a, name) || dvg_artifact_shape(a, name, &type, &n_dims, dims) != DVG_OK) return -1;
  return n_dims > 0 ? dims[0] : -1;
}

static int is_running(const struct dvg_run_stage *s) {
  return s->n_locks > 0 && s->holder.alive;
}

static enum dvg_run_state state_of(const struct dvg_run_stage *s, int is_done) {
  if (is_running(s)) return DVG_RUN_RUNNING;
  return is_done ? DVG_RUN_DONE : DVG_RUN_STOPPED;
}

// ---- trainings

static enum dvg_status take_result(struct dvg_run_stage *s, const struct listing *l) {
  for (int64_t i = 0; i < l->n_files && !s->result[0]; i++) {
    struct dvg_artifact *a = ends_with(l->file[i], ".part") ? NULL : peek(s->path, l->file[i], "weights");
    if (!a) continue;
    snprintf(s->digest, sizeof s->digest, "%s", dvg_artifact_digest(a));
    enum dvg_status status = take_lineage(s, a);
    dvg_artifact_close(&a);
    dvg_free(&s->result);
    if (status == DVG_OK) status = dvg_text(&s->result, "%s", l->file[i]);
    DVG_TRY(status);
    note_change(s, l->file[i]);
  }
  return DVG_OK;
}

// The newest checkpoint, where there is no result yet.
static enum dvg_status take_checkpoint(struct dvg_run_stage *s, const struct listing *l) {
  int64_t newest = -1, when = -1;
  for (int64_t i = 0; i < l->n_checkpoints; i++) {
    const int64_t t = time_of(s->path, l->checkpoint[i]);
    if (t > when) newest = i, when = t;
  }
  if (newest < 0) return DVG_OK;
  struct dvg_artifact *a = peek(s->path, l->checkpoint[newest], "checkpoint");
  if (!a) return DVG_OK;
  enum dvg_status status = take_lineage(s, a);
  if (s->log.n_phases == 0) {
    s->done = int_of(a, "step");
    s->total = int_of(a, "steps");
  }
  dvg_artifact_close(&a);
  return status;
}

static enum dvg_status scan_training(struct dvg_run_stage *s, const struct listing *l, int64_t log_bytes) {
  char *path = NULL;
  s->kind = DVG_RUN_TRAINING;
  DVG_TRY(dvg_text(&path, "%s/log.jsonl", s->path));
  enum dvg_status status = dvg_run_log_read(&s->log, path, log_bytes);
  dvg_free(&path);
  DVG_TRY(status);
  note_change(s, "log.jsonl");
  DVG_TRY(take_result(s, l));
  if (!s->result[0]) DVG_TRY(take_checkpoint(s, l));
  s->state = state_of(s, s->result[0] != 0);
  if (s->log.n_phases == 0) return DVG_OK;
  const struct dvg_log_phase *p = &s->log.phase[s->log.n_phases - 1];
  s->done = p->point[p->n - 1].step;
  s->total = p->of;
  s->speed = dvg_log_speed(p);
  s->seconds = 0;
  for (int i = 0; i < s->log.n_phases; i++) s->seconds += dvg_log_seconds(&s->log.phase[i]);
  if (s->state == DVG_RUN_RUNNING && s->speed > 0) {
    const double since = difftime(time(NULL), (time_t)time_of(s->path, "log.jsonl"));
    s->eta = fmax(0, (double)(s->total - s->done) / s->speed - fmax(0, since));
  }
  return DVG_OK;
}

// ---- sets

static int64_t shard_time(const struct dvg_run_stage *s, int64_t number) {
  char name[DVG_SHARD_NAME];
  dvg_shards_name(name, DVG_SHARDS_PER_GROUP, number);
  return time_of(s->path, name);
}

static int compare_times(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// How fast the set grows, by when its latest shards were written: of n shards the first began before its time.
static void time_shards(struct dvg_run_stage *s, const struct listing *l, int64_t per_shard) {
  int64_t when[LATEST_SHARDS];
  int n = 0;
  for (int i = 0; i < l->n_latest; i++) {
    when[n] = shard_time(s, l->latest[i]);
    n += when[n] > 0;
  }
  if (n == 0) return;
  qsort(when, (size_t)n, sizeof *when, compare_times);
  if (when[n - 1] > s->changed) s->changed = when[n - 1];
  const double span = (double)(when[n - 1] - when[0]);
  if (span >= 1) s->speed = (double)((n - 1) * per_shard) / span;
  if (s->state == DVG_RUN_RUNNING && s->total >= 0 && s->speed > 0) {
    const double since = difftime(time(NULL), (time_t)when[n - 1]);
    s->eta =
        fmax(0, (double)(s->total - s->done) / s->speed - fmin(fmax(0, since), (double)per_shard / s->speed));
  }
}

// Of a finished one: from the first shard to the index, as far as times of files tell.
static void time_finished(struct dvg_run_stage *s, int64_t n_shards) {
  const int64_t first = shard_time(s, 0), request = time_of(s->path, "request.h5"),
                end = time_of(s->path, "index.h5");
  if (first <= 0 || end < first || n_shards < 1) return;
  if (request > 0 && request <= first) s->seconds = (double)(end - request);
  else if (n_shards > 1) s->seconds = (double)(end - first) * (double)n_shards / (double)(n_shards - 1);
  if (s->seconds >= 1) s->speed = (double)s->done / s->seconds;
  else s->seconds = NAN;
}

static enum dvg_status scan_index(struct dvg_run_stage *s, int *is_done) {
  struct dvg_artifact *a = peek(s->path, "index.h5", "index");
  char *text = NULL;
  *is_done = a != NULL;
  if (!a) return DVG_OK;
  s->done = s->total = int_of(a, "items");
  enum dvg_status status = replace_text(&text, a, "root_sha256");
  snprintf(s->digest, sizeof s->digest, "%s", text ? text : "");
  if (status == DVG_OK) status = replace_text(&text, a, "shard_schema");
  if (text) s->kind = strcmp(text, "pairs") == 0 ? DVG_RUN_PAIRS : DVG_RUN_FEATURES;
  dvg_free(&text);
  note_change(s, "index.h5");
  time_finished(s, rows_of(a, "shard_rows"));
  dvg_artifact_close(&a);
  return status;
}

static enum dvg_status take_request(struct dvg_run_stage *s, int64_t *per_shard) {
  struct dvg_artifact *a = peek(s->path, "request.h5", NULL);
  if (!a) return DVG_OK;
  s->total = int_of(a, "items");
  *per_shard = int_of(a, "items_per_shard");
  enum dvg_status status = take_lineage(s, a);
  dvg_artifact_close(&a);
  return status;
}

// Settings, inputs and size of the lowest shard that is there.
static enum dvg_status take_shard(struct dvg_run_stage *s, int64_t number, int64_t *per_shard) {
  char name[DVG_SHARD_NAME];
  dvg_shards_name(name, DVG_SHARDS_PER_GROUP, number);
  struct dvg_artifact *a = peek(s->path, name, NULL);
  if (!a) return DVG_OK;
  if (strcmp(dvg_artifact_schema(a), "pairs") == 0) s->kind = DVG_RUN_PAIRS;
  if (*per_shard <= 0) *per_shard = rows_of(a, s->kind == DVG_RUN_PAIRS ? "number" : "identity");
  enum dvg_status status = take_lineage(s, a);
  dvg_artifact_close(&a);
  return status;
}

static enum dvg_status scan_set(struct dvg_run_stage *s, const struct listing *l) {
  int is_done;
  int64_t per_shard = -1;
  s->kind = l->has_request ? DVG_RUN_PAIRS : DVG_RUN_FEATURES;
  DVG_TRY(take_request(s, &per_shard));
  const int64_t requested = s->total;
  DVG_TRY(scan_index(s, &is_done));
  if (l->n_shards > 0) DVG_TRY(take_shard(s, l->lowest_shard, &per_shard));
  s->state = state_of(s, is_done);
  if (is_done) return DVG_OK;
  if (per_shard > MOST_ROWS) per_shard = -1; // forged
  s->total = requested;
  s->done = l->n_shards == 0 ? 0 : per_shard > 0 ? l->n_shards * per_shard : -1;
  // The last shard is shorter.
  if (s->total >= 0 && per_shard > 0 && s->total % per_shard && l->n_latest > 0 &&
      l->latest[l->n_latest - 1] == s->total / per_shard)
    s->done -= per_shard - s->total % per_shard;
  if (per_shard > 0) time_shards(s, l, per_shard);
  return DVG_OK;
}

// ---- evaluations, images, weights

static enum dvg_status scan_evaluation(struct dvg_run_stage *s) {
  s->kind = DVG_RUN_EVALUATION;
  struct dvg_artifact *a = peek(s->path, "evaluation.h5", "evaluation");
  s->state = state_of(s, a != NULL);
  if (!a) return DVG_OK;
  snprintf(s->digest, sizeof s->digest, "%s", dvg_artifact_digest(a));
  note_change(s, "evaluation.h5");
  s->done = s->total = int_of(a, "probe_images");
  enum dvg_status status = take_lineage(s, a);
  dvg_artifact_close(&a);
  return status;
}

// A file of images or weights; *ours = 0 for any other.
static enum dvg_status scan_file(struct dvg_run_stage *s, int *ours) {
  *ours = 1;
  s->changed = time_of(s->path, "");
  if (ends_with(s->path, ".part")) { // dvg-prepare writes so, without a lock
    s->kind = DVG_RUN_IMAGES;
    s->name[strlen(s->name) - strlen(".part")] = 0;
    s->state = difftime(time(NULL), (time_t)s->changed) < FRESH ? DVG_RUN_RUNNING : DVG_RUN_STOPPED;
    return DVG_OK;
  }
  struct dvg_artifact *a = peek(s->path, "", NULL);
  const char *schema = a ? dvg_artifact_schema(a) : "";
  *ours = strcmp(schema, "images") == 0 || strcmp(schema, "weights") == 0;
  enum dvg_status status = DVG_OK;
  if (*ours) {
    s->kind = schema[0] == 'i' ? DVG_RUN_IMAGES : DVG_RUN_WEIGHTS;
    s->state = DVG_RUN_DONE;
    snprintf(s->digest, sizeof s->digest, "%s", dvg_artifact_digest(a));
    status = take_lineage(s, a);
  }
  if (*ours && s->kind == DVG_RUN_IMAGES) {
    s->done = s->total = rows_of(a, "image");
    s->people = rows_of(a, "person");
  }
  if (a) dvg_artifact_close(&a);
  return status;
}

// ---- the run

static void stage_free(struct dvg_run_stage *s) {
  dvg_free(&s->name);
  dvg_free(&s->path);
  dvg_free(&s->program);
  dvg_free(&s->settings);
  dvg_free(&s->inputs);
  dvg_free(&s->result);
  dvg_run_log_free(&s->log);
}

// A stage of that name ("": the run's folder itself) of which nothing is known yet.
static enum dvg_status begin_stage(struct dvg_run_stage *s, const struct dvg_run *r, const char *name) {
  *s = (struct dvg_run_stage){.done = -1, .total = -1, .people = -1, .seconds = NAN, .speed = NAN, .eta = NAN};
  DVG_TRY(dvg_text(&s->path, "%s%s%s", r->folder, name[0] ? "/" : "", name));
  DVG_TRY(dvg_text(&s->name, "%s", name[0] ? name : r->name));
  DVG_TRY(dvg_text(&s->program, "%s", ""));
  DVG_TRY(dvg_text(&s->settings, "%s", ""));
  DVG_TRY(dvg_text(&s->inputs, "%s", ""));
  return dvg_text(&s->result, "%s", "");
}

static int is_full(struct dvg_run *r) {
  r->n_left_out += r->n == DVG_RUN_MOST;
  return r->n == DVG_RUN_MOST;
}

static enum dvg_status add_file(struct dvg_run *r, const char *name) {
  int ours = 0;
  if (is_full(r)) return DVG_OK;
  DVG_TRY(DVG_GROW(&r->stage, r->n, "stages of a run"));
  struct dvg_run_stage *s = &r->stage[r->n];
  enum dvg_status status = begin_stage(s, r, name);
  if (status == DVG_OK) status = scan_file(s, &ours);
  if (status == DVG_OK && ours) r->n++;
  else stage_free(s);
  return status;
}

// What a folder is that has a lock and nothing else yet.
static enum dvg_run_kind kind_of_program(const char *program) {
  if (strncmp(program, "dvg-train-", 10) == 0) return DVG_RUN_TRAINING;
  if (strcmp(program, "dvg-extract") == 0) return DVG_RUN_FEATURES;
  if (strcmp(program, "dvg-generate") == 0) return DVG_RUN_PAIRS;
  return strcmp(program, "dvg-evaluate") == 0 ? DVG_RUN_EVALUATION : DVG_RUN_OTHER;
}

static enum dvg_status scan_folder(struct dvg_run_stage *s, const struct listing *l, int64_t log_bytes) {
  if (s->n_locks > 0) {
    dvg_free(&s->program);
    DVG_TRY(dvg_text(&s->program, "%s", s->holder.program));
    note_change(s, "dvg.lock");
  }
  if (l->has_index || l->has_request || l->n_shards > 0) return scan_set(s, l);
  if (l->has_log || l->n_checkpoints > 0) return scan_training(s, l, log_bytes);
  if (l->has_evaluation) return scan_evaluation(s);
  s->kind = kind_of_program(s->program);
  s->state = state_of(s, 0);
  return DVG_OK;
}

// A folder that is a stage itself, *ours = 1, or not.
static enum dvg_status add_folder(struct dvg_run *r, const char *name, const struct listing *l,
                                  int64_t log_bytes, int *ours) {
  if (is_full(r)) return DVG_OK;
  DVG_TRY(DVG_GROW(&r->stage, r->n, "stages of a run"));
  struct dvg_run_stage *s = &r->stage[r->n];
  enum dvg_status status = begin_stage(s, r, name);
  if (status == DVG_OK) s->n_locks = dvg_lock_look(&s->holder, NULL, s->path);
  *ours = s->n_locks > 0 || l->has_index || l->has_request || l->n_shards > 0 || l->has_log ||
          l->n_checkpoints > 0 || l->has_evaluation;
  if (status == DVG_OK && *ours) status = scan_folder(s, l, log_bytes);
  if (status == DVG_OK && *ours) r->n++;
  else stage_free(s);
  return status;
}

static enum dvg_status add_files(struct dvg_run *r, const char *below, const struct listing *l) {
  for (int64_t i = 0; i < l->n_files; i++) {
    char *name = NULL;
    DVG_TRY(dvg_text(&name, "%s%s%s", below, below[0] ? "/" : "", l->file[i]));
    enum dvg_status status = add_file(r, name);
    dvg_free(&name);
    DVG_TRY(status);
  }
  return DVG_OK;
}

static enum dvg_status list_below(struct listing *l, const struct dvg_run *r, const char *name) {
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/%s", r->folder, name));
  enum dvg_status status = list_folder(l, path);
  dvg_free(&path);
  return status;
}

// The folds of an evaluation, in folders of it.
static enum dvg_status add_folds(struct dvg_run *r, const char *below, const struct listing *l,
                                 int64_t log_bytes) {
  for (int64_t i = 0; i < l->n_folders; i++) {
    if (strncmp(l->below[i], "fold-", 5) != 0) continue;
    struct listing fold;
    char *name = NULL;
    int ours = 0;
    DVG_TRY(dvg_text(&name, "%s%s%s", below, below[0] ? "/" : "", l->below[i]));
    enum dvg_status status = list_below(&fold, r, name);
    if (status == DVG_OK && fold.has_evaluation) status = add_folder(r, name, &fold, log_bytes, &ours);
    listing_free(&fold);
    dvg_free(&name);
    DVG_TRY(status);
  }
  return DVG_OK;
}

static enum dvg_status add_below(struct dvg_run *r, const char *name, int64_t log_bytes) {
  struct listing l;
  int ours = 0;
  enum dvg_status status = list_below(&l, r, name);
  if (status == DVG_OK) status = add_folder(r, name, &l, log_bytes, &ours);
  if (status == DVG_OK && !ours) status = add_files(r, name, &l);
  if (status == DVG_OK) status = add_folds(r, name, &l, log_bytes);
  listing_free(&l);
  return status;
}

static enum dvg_status scan_all(struct dvg_run *r, int64_t log_bytes) {
  struct listing l;
  int ours = 0;
  enum dvg_status status = list_folder(&l, r->folder);
  if (status == DVG_OK && !l.there)
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot read this folder: %s", r->folder, strerror(errno));
  dvg_log_quiet(1); // of what is half there or gone nothing is said
  if (status == DVG_OK) status = add_folder(r, "", &l, log_bytes, &ours);
  if (status == DVG_OK && !ours) status = add_files(r, "", &l);
  if (status == DVG_OK && ours) status = add_folds(r, "", &l, log_bytes);
  for (int64_t i = 0; status == DVG_OK && i < l.n_folders; i++)
    if (!ours || strncmp(l.below[i], "fold-", 5) != 0) status = add_below(r, l.below[i], log_bytes);
  dvg_log_quiet(0);
  listing_free(&l);
  return status;
}

static enum dvg_status find_name(struct dvg_run *r) {
  char *whole = realpath(r->folder, NULL); // NULL: said when it is read
  enum dvg_status status = dvg_text(&r->name, "%s", dvg_path_name(whole && whole[1] ? whole : r->folder));
  free(whole);
  return status;
}

enum dvg_status dvg_run_scan(struct dvg_run *r, const char *folder, int64_t log_bytes) {
  *r = (struct dvg_run){.n = 0};
  size_t n = strlen(folder);
  while (n > 1 && folder[n - 1] == '/') n--;
  DVG_TRY(dvg_text(&r->folder, "%.*s", (int)n, folder));
  DVG_TRY(find_name(r));
  DVG_TRY(scan_all(r, log_bytes));
  for (int64_t i = 0; i < r->n; i++)
    if (r->stage[i].changed > r->changed) r->changed = r->stage[i].changed;
  return dvg_run_connect(r);
}

void dvg_run_free(struct dvg_run *r) {
  for (int64_t i = 0; i < r->n; i++) stage_free(&r->stage[i]);
  for (int64_t i = 0; i < r->n_edges; i++) {
    dvg_free(&r->edge[i].role);
    dvg_free(&r->edge[i].name);
    dvg_free(&r->edge[i].digest);
  }
  dvg_free(&r->stage);
  dvg_free(&r->edge);
  dvg_free(&r->folder);
  dvg_free(&r->name);
  *r = (struct dvg_run){.n = 0};
}

const char *dvg_run_unit(enum dvg_run_kind kind) {
  static const char *const units[] = {"images", "", "steps", "items", "pairs", "probes", ""};
  return units[kind];
}

const char *dvg_run_state_name(enum dvg_run_state state) {
  static const char *const names[] = {"running", "done", "stopped"};
  return names[state];
}
