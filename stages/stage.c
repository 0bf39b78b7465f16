#include "stages/stage.h"

#include <cblas.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/nn/conv.h"
#include "io/lock.h"
#include "mpi/placement.h"

// Rank 0 speaks for all, who have the same arguments. If they have not (mpirun PROGRAM A : PROGRAM B), no rank
// may fail in silence, nor ask for help while the others wait for it.
static enum dvg_status compare_with_root(const struct dvg_world *w, enum dvg_status status, int help) {
  int root[2] = {(int)status, help};
  dvg_world_broadcast(w, root, sizeof root, 0);
  if (root[0] != DVG_OK || (status == DVG_OK && help == root[1])) return status;
  return dvg_fail(DVG_ERROR_USAGE,
                  "the arguments of this rank are refused, those of rank 0 are not: give all ranks the same");
}

enum dvg_status dvg_stage_parse(struct dvg_options *o, int argc, char **argv, const struct dvg_world *w) {
  dvg_log_quiet(w->rank != 0); // all ranks have the same arguments: rank 0 speaks for them
  enum dvg_status status = dvg_options_parse(o, argc, argv);
  dvg_log_quiet(0);
  return dvg_world_agree(w, compare_with_root(w, status, o->help));
}

// ---- the output folder's lock, held by rank 0 from where the folder is made to the end of the run

static struct {
  const char *program;
  struct dvg_lock *lock;
} output;

// Another run writes here: this one ends as if it were told to, at its next step.
static void stop_running(void) {
  kill(getpid(), SIGTERM);
}

// Rank 0 alone.
static enum dvg_status lock_folder(const char *path, int64_t part, int64_t n_parts) {
  struct dvg_lock_settings s = {.folder = path,
                                .program = output.program,
                                .beat = DVG_LOCK_BEAT,
                                .stop = dvg_world_stop_flag,
                                .lost = stop_running,
                                .part = part,
                                .n_parts = n_parts};
  if (output.lock) return dvg_fail(DVG_ERROR_INTERNAL, "%s: a second output folder", path);
  DVG_TRY(dvg_path_try_folder(path)); // or each rank would say that it can't write there
  return dvg_lock_take(&output.lock, &s);
}

// ---- main

static enum dvg_status parse_and_run(int argc, char **argv, const struct dvg_stage *stage,
                                     const struct dvg_world *w) {
  struct dvg_options o = {
      .program = stage->program, .summary = stage->summary, .table = stage->options, .presets = stage->presets};
  DVG_TRY(dvg_world_agree(w, dvg_alloc(&o.values, 1, stage->settings_bytes, "settings")));
  enum dvg_status status = dvg_stage_parse(&o, argc, argv, w);
  if (status == DVG_OK && !o.help) {
    dvg_options_log(&o);
    dvg_placement_say(w);
    output.program = stage->program;
    status = dvg_world_agree(w, stage->run(&o, w));
    dvg_lock_release(&output.lock); // all have agreed, so none writes any more
  }
  dvg_options_free(&o);
  dvg_free(&o.values);
  return status;
}

int dvg_stage_main(int argc, char **argv, const struct dvg_stage *stage) {
  struct dvg_world w;
  dvg_world_init(&w, stage->program, &argc, &argv);
  return dvg_world_finish(&w, parse_and_run(argc, argv, stage, &w));
}

static const char *last_word(const char *program) {
  const char *space = strrchr(program, ' ');
  return space ? space + 1 : program;
}

static int asks_for_help(int argc, char **argv) {
  return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

int dvg_stage_main_of(int argc, char **argv, const struct dvg_stage *const *stages) {
  struct dvg_world w;
  for (const struct dvg_stage *const *s = stages; argc > 1 && *s; s++)
    if (strcmp(argv[1], last_word((*s)->program)) == 0) return dvg_stage_main(argc - 1, argv + 1, *s);

  char program[64];
  snprintf(program, sizeof program, "%.*s", (int)strcspn(stages[0]->program, " "), stages[0]->program);
  dvg_world_init(&w, program, &argc, &argv);
  enum dvg_status status = DVG_OK;
  if (asks_for_help(argc, argv)) {
    for (const struct dvg_stage *const *s = stages; *s; s++) dvg_info("%-22s %s", (*s)->program, (*s)->summary);
    dvg_info("%s COMMAND --help lists the options of a command", program);
  } else {
    dvg_log_quiet(w.rank != 0);
    status = argc > 1 ? dvg_fail(DVG_ERROR_USAGE, "unknown command '%s'; see %s --help", argv[1], program)
                      : dvg_fail(DVG_ERROR_USAGE, "a command is missing; see %s --help", program);
    dvg_log_quiet(0);
  }
  return dvg_world_finish(&w, status);
}

// ---- lineage

enum dvg_status dvg_lineage_init(struct dvg_lineage *l, const struct dvg_options *o) {
  *l = (struct dvg_lineage){.program = o->program};
  return dvg_options_print(&l->settings, o, 1);
}

void dvg_lineage_free(struct dvg_lineage *l) {
  dvg_free(&l->settings);
}

void dvg_lineage_add(struct dvg_lineage *l, const char *role, const char *path, const char *digest) {
  size_t length = strlen(path); // a folder may be given with a slash at its end
  while (length > 1 && path[length - 1] == '/') length--;
  size_t first = length;
  while (first > 0 && path[first - 1] != '/') first--;
  int i = l->n_inputs++;
  snprintf(l->input[i].role, sizeof l->input[i].role, "%s", role);
  snprintf(l->input[i].name, sizeof l->input[i].name, "%.*s", (int)(length - first), path + first);
  snprintf(l->input[i].digest, sizeof l->input[i].digest, "%s", digest);
}

enum dvg_status dvg_lineage_inputs(char **text, const struct dvg_lineage *l) {
  char all[DVG_MAX_INPUTS * 400] = "";
  size_t n = 0;
  for (int i = 0; i < l->n_inputs; i++)
    n += (size_t)snprintf(all + n, sizeof all - n, "%s %s %s\n", l->input[i].role, l->input[i].name,
                          l->input[i].digest);
  return dvg_text(text, "%s", all);
}

// What the bits of a result depend on beside its settings and inputs.
static const char *machine(void) {
  static char text[160];
  char version[64] = "?";
  sscanf(openblas_get_config(), "OpenBLAS %63s", version);
  snprintf(text, sizeof text, "%s kernels, OpenBLAS %s %s", dvg_conv_kernels(), version,
           openblas_get_corename());
  return text;
}

enum dvg_status dvg_lineage_create(struct dvg_artifact **a, const char *path, const char *schema,
                                   int64_t version, const struct dvg_lineage *l) {
  char program[96];
  snprintf(program, sizeof program, "%s %s", l->program, DVG_VERSION);
  DVG_TRY(dvg_artifact_create(a, path, schema, version, program, l->settings));
  enum dvg_status status = dvg_artifact_set_text(*a, "machine", machine());
  for (int i = 0; status == DVG_OK && i < l->n_inputs; i++)
    status = dvg_artifact_add_input(*a, l->input[i].role, l->input[i].name, l->input[i].digest);
  if (status != DVG_OK) dvg_artifact_discard(a);
  return status;
}

// ---- sharded sets

struct search {
  const struct dvg_shards *s;
  const char *schema, *settings;
  char *inputs;
  int64_t version;
  int64_t *todo; // (n_shards) 1: to be made, as far as this rank looked
};

static enum dvg_status look_at_shard(struct search *x, int64_t k) {
  unsigned char pending;
  if (!dvg_shards_in_part(x->s, k)) return DVG_OK;
  DVG_TRY(dvg_shards_is_pending(x->s, k, x->schema, x->version, x->settings, x->inputs, &pending));
  x->todo[k] = pending || dvg_shards_is_damaged(x->s, k);
  return DVG_OK;
}

// Rank 0 first: a folder that takes no file, or a set of another run (of which any shard tells), is said once.
// It looks up to the first shard that is there.
static enum dvg_status look_at_first(struct search *x, int64_t *next) {
  DVG_TRY(lock_folder(x->s->folder, x->s->part, x->s->n_parts));
  for (*next = 0; *next < x->s->n_shards;) {
    DVG_TRY(look_at_shard(x, *next));
    if (!x->todo[(*next)++]) break;
  }
  return DVG_OK;
}

static enum dvg_status look_at_share(struct search *x, const struct dvg_world *w, int64_t first) {
  for (int64_t k = first + w->rank; k < x->s->n_shards; k += w->size) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    DVG_TRY(look_at_shard(x, k));
  }
  return DVG_OK;
}

enum dvg_status dvg_stage_find_pending(unsigned char *pending, const struct dvg_world *w,
                                       const struct dvg_shards *s, const char *schema, int64_t version,
                                       const struct dvg_lineage *l) {
  struct search x = {.s = s, .schema = schema, .version = version, .settings = l->settings};
  int64_t next = 0, n_done = 0;
  enum dvg_status status = dvg_lineage_inputs(&x.inputs, l);
  if (status == DVG_OK) status = DVG_NEW(&x.todo, s->n_shards, "shards to make");
  DVG_TRY_GOTO(dvg_world_agree(w, status));
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? look_at_first(&x, &next) : DVG_OK));
  dvg_world_broadcast(w, &next, sizeof next, 0);
  DVG_TRY_GOTO(dvg_world_agree(w, look_at_share(&x, w, next)));
  dvg_world_sum(w, x.todo, s->n_shards);
  for (int64_t k = 0; k < s->n_shards; k++) {
    pending[k] = x.todo[k] != 0;
    n_done += !pending[k] && dvg_shards_in_part(s, k);
  }
  if (n_done > 0)
    dvg_info("%lld of %lld shards are there already", (long long)n_done, (long long)dvg_shards_of_part(s));
done:
  dvg_free(&x.inputs);
  dvg_free(&x.todo);
  return status;
}

void dvg_stage_end_part(const struct dvg_shards *s) {
  dvg_info("%s: part %lld of %lld is done, %lld shards; the same command without --part makes the index",
           s->folder, (long long)s->part, (long long)s->n_parts, (long long)dvg_shards_of_part(s));
}

static enum dvg_status index_groups(const struct dvg_world *w, const struct dvg_shards *s, const char *schema,
                                    const char *program, const char *settings, struct dvg_shard_sums *sums) {
  for (int64_t g = w->rank; g < dvg_shards_groups(s); g += w->size)
    DVG_TRY(dvg_shards_index_group(s, g, schema, program, settings, sums));
  return DVG_OK;
}

enum dvg_status dvg_stage_index(const struct dvg_world *w, const struct dvg_shards *s, const char *schema,
                                const struct dvg_lineage *l, char root[DVG_DIGEST_TEXT]) {
  char program[96];
  struct dvg_shard_sums sums = {0};
  snprintf(program, sizeof program, "%s %s", l->program, DVG_VERSION);
  enum dvg_status status = dvg_shard_sums_create(&sums, s);
  if (status == DVG_OK && w->rank == 0) status = dvg_shards_index_begin(s);
  DVG_TRY_GOTO(dvg_world_agree(w, status));
  DVG_TRY_GOTO(dvg_world_agree(w, index_groups(w, s, schema, program, l->settings, &sums)));
  dvg_world_sum(w, (int64_t *)sums.shard, sums.n_words);
  if (w->rank == 0) status = dvg_shards_index_end(s, schema, program, l->settings, &sums, root);
  status = dvg_world_agree(w, status);
done:
  dvg_shard_sums_free(&sums);
  return status;
}

enum dvg_status dvg_stage_check_shards(const struct dvg_world *w, const struct dvg_shard_reader *r) {
  int64_t bad = dvg_shard_reader_check(r, w->rank, w->size);
  int64_t first_bad = -dvg_world_max(w, bad < 0 ? -INT64_MAX : -bad); // INT64_MAX: none
  return dvg_world_agree(w, bad == first_bad ? dvg_shard_reader_say(r, bad) : DVG_OK);
}

// ---- the output

enum dvg_status dvg_stage_make_folder(const struct dvg_world *w, const char *path) {
  enum dvg_status status = w->rank == 0 ? dvg_path_make_folder(path) : DVG_OK;
  if (status == DVG_OK && w->rank == 0) status = lock_folder(path, 0, 0);
  return dvg_world_agree(w, status);
}
