#include "stages/generate/generate.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/lock.h"
#include "io/shards.h"
#include "mpi/distribute.h"
#include "stages/generate/card.h"
#include "stages/plan.h"
#include "stages/precision.h"

#define S struct dvg_generate_settings
static const struct dvg_option options[] = {
    DVG_OPTION_PATH(S, generator, "generator", "",
                    "weights of the dual generator (needed unless pairs are only listed or dropped)"),
    DVG_OPTION_PATH(S, sampler, "sampler", "", "weights of the identity sampler (needed like --generator)"),
    DVG_OPTION_PATH(S, identities, "identities", "",
                    "folder of real identities' features, from dvg-extract, to use in place of --sampler"),
    DVG_OPTION_PATH(
        S, bank, "bank", "",
        "image set whose images lend their attributes (pose, light, expression ...); needed but for "
        "--attributes prior"),
    DVG_OPTION_PATH(S, recognizer, "recognizer", "",
                    "weights of a recogniser that scores the pairs; \"\": no scores"),
    DVG_OPTION_TEXT(S, domain, "domain", "", "the first domain, as named in the bank (needed for a new set)"),
    DVG_OPTION_TEXT(S, visible, "visible", "VIS", "the second domain"),
    DVG_OPTION_PATH(S, out, "out", NULL, "folder for the shards; with --only a file"),
    DVG_OPTION_CHOICE(
        S, attributes, "attributes", "person", "person|any|prior",
        "whose attributes the images of a pair get: those of one person's two images, of any two, or nobody's: "
        "drawn from N(0, I), which a generator trained with --kl knows"),
    DVG_OPTION_LOCAL_INT(S, count, "count", "100000", 1, 9e15,
                         "pairs to make; may be raised later, and only the new ones are made"),
    DVG_OPTION_INT(S, first, "first", "0", 0, 9e15, "number of the first pair"),
    DVG_OPTION_INT(S, per_shard, "per-shard", "1000", 1, 1e9, "pairs in a shard"),
    DVG_OPTION_CHOICE(S, precision, "precision", "float32", DVG_PRECISION_CHOICES, DVG_PRECISION_HELP),
    DVG_OPTION_PATH(S, part, "part", "", DVG_PART_HELP),
    DVG_OPTION_LOCAL_FLAG(S, plan, "plan", "no", DVG_PLAN_HELP),
    DVG_OPTION_INT(S, seed, "seed", "1", 0, 9e15, "seed of identities and attributes"),
    DVG_OPTION_REAL(S, min_consistency, "min-consistency", "-1", -1, 1,
                    "a pair whose images have a smaller cosine is tried again; -1: any will do"),
    DVG_OPTION_INT(S, attempts, "attempts", "4", 1, DVG_MAX_ATTEMPTS,
                   "attempts at a pair before it is rejected, with --min-consistency"),
    DVG_OPTION_LOCAL_FLAG(S, repair, "repair", "no",
                          "make again what is damaged or missing in --out, with the settings stored there"),
    DVG_OPTION_LOCAL_INT(S, only, "only", "-1", -1, 9e15,
                         "make this one pair, by its number, into the file --out"),
    DVG_OPTION_PATH(S, like, "like", "", "with --only: take settings and revocations from this set"),
    DVG_OPTION_PATH(
        S, revoke_people, "revoke-people", "",
        "people of the bank, by name or #number, comma separated: their pairs in --out are revoked"),
    DVG_OPTION_PATH(S, revoke_images, "revoke-images", "", "the same for images of the bank, by name or #row"),
    DVG_OPTION_PATH(S, revoke_identities, "revoke-identities", "",
                    "with --identities: people of these features, by their numbers, comma separated"),
    DVG_OPTION_PATH(S, revoke_file, "revoke-file", "", "the same as lines 'person NAME' or 'image NAME'"),
    DVG_OPTION_LOCAL_CHOICE(S, revoke, "revoke", "list", "list|drop|remake",
                            "what becomes of pairs that drew on them"),
    DVG_OPTION_PATH(
        S, listing, "listing", "",
        "file for the list of these pairs (TSV: pair, domain, row, image, person); \"\": standard output"),
    DVG_OPTION_END};
#undef S

static const char *const preset_public[] = {NULL};
static const char *const preset_paper[] = {"attributes", "prior", NULL};
static const struct dvg_preset presets[] = {{"public", preset_public}, {"paper", preset_paper}, {NULL, NULL}};

struct job {
  struct dvg_generate_settings *set;
  const struct dvg_options *options;
  const struct dvg_world *w;
  struct dvg_lineage lineage;
  struct dvg_image_set images; // the bank's
  char **names;                // of its images, to revoke some; else NULL
  int64_t n_names;
  struct dvg_painter painter;
  struct dvg_request request;
  int request_changed;
  unsigned char *named, *revoked; // (N of images) of this command; all that ever were; NULL without a bank
  int64_t *named_people, n_named_people; // whose features are identities, of this command
  struct dvg_shards shards;
  struct dvg_pair_rows rows;
};

static enum dvg_status repeat_settings(void *context) {
  struct job *j = context;
  const char *folder = dvg_generate_model(j->set);
  char where[512];
  if (!dvg_request_exists(folder))
    return dvg_fail(DVG_ERROR_INPUT, "%s: is no set of pairs: has no request.h5", folder);
  DVG_TRY(dvg_request_read(&j->request, folder));
  snprintf(where, sizeof where, "%.400s/request.h5", folder);
  struct dvg_options o = *j->options; // of the same values
  DVG_TRY(dvg_options_apply(&o, j->request.settings, where));
  j->set->count = j->request.items;
  return DVG_OK;
}

// Collective.
static enum dvg_status settle_settings(struct job *j) {
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? dvg_generate_check_usage(j->set) : DVG_OK));
  if (dvg_generate_model(j->set)) {
    DVG_TRY(dvg_world_root_first(j->w, repeat_settings, j));
    dvg_info("with the settings of %s, %lld pairs: %.*s", dvg_generate_model(j->set), (long long)j->set->count,
             (int)strcspn(j->request.settings, "\n"), j->request.settings);
  }
  return dvg_world_agree(j->w, j->w->rank == 0 ? dvg_generate_check_settings(j->set) : DVG_OK);
}

// ---- the request

static int has_input(const struct job *j, const char *role) {
  for (int i = 0; i < j->lineage.n_inputs; i++)
    if (strcmp(j->lineage.input[i].role, role) == 0) return 1;
  return 0;
}

static enum dvg_status check_bank(const struct job *j) {
  if (!dvg_generate_uses_bank(j->set)) return DVG_OK;
  for (int i = 0; i < j->lineage.n_inputs; i++)
    if (strcmp(j->lineage.input[i].role, "bank") == 0 &&
        strcmp(j->lineage.input[i].digest, dvg_artifact_digest(j->images.file)) == 0)
      return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: is not the bank that %s was made with", j->set->bank, j->set->out);
}

// Collective. Networks, or just what they were.
static enum dvg_status load(struct job *j) {
  if (dvg_generate_uses_bank(j->set)) DVG_TRY(dvg_stage_open_images(&j->images, j->w, j->set->bank));
  if (dvg_generate_paints(j->set)) {
    DVG_TRY(dvg_precision_choose(j->w, j->set->precision));
    DVG_TRY(dvg_world_agree(j->w, dvg_lineage_init(&j->lineage, j->options)));
    DVG_TRY(dvg_painter_create(&j->painter, j->w, j->set, &j->images, &j->lineage));
    j->rows.painter = &j->painter;
    return DVG_OK;
  }
  DVG_TRY(dvg_world_agree(j->w, dvg_request_lineage(&j->lineage, &j->request, j->options->program)));
  return dvg_world_agree(j->w, j->w->rank == 0 ? check_bank(j) : DVG_OK);
}

// Whether none of the shards asked for is there: an earlier run came to nothing.
static int is_empty(const char *folder, const struct dvg_request *r) {
  char *path = NULL;
  struct dvg_shards s = {.n_items = r->items, .per_shard = r->per_shard};
  if (dvg_text(&s.folder, "%s", folder) != DVG_OK) return 0;
  s.n_shards = (r->items - 1) / r->per_shard + 1;
  int empty = 1;
  for (int64_t k = 0; k < s.n_shards && empty; k++) {
    empty = dvg_shards_path(&path, &s, k) == DVG_OK && !dvg_path_exists(path);
    dvg_free(&path);
  }
  dvg_shards_free(&s);
  return empty;
}

// A set may grow, not shrink.
static enum dvg_status check_growth(const struct dvg_request *r, const char *folder, int64_t count) {
  if (r->items <= count) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: %lld pairs were asked for; --count %lld would throw some away", folder,
                  (long long)r->items, (long long)count);
}

// Takes over what an earlier run asked for, if it asked for the same.
static enum dvg_status adopt_request(void *context) {
  struct job *j = context;
  struct dvg_request *r = &j->request;
  const char *folder = dvg_generate_model(j->set) ? dvg_generate_model(j->set) : j->set->out;
  char *inputs = NULL;
  int there = r->settings != NULL; // read for its settings
  if (!there && j->set->only < 0 && dvg_request_exists(folder)) {
    DVG_TRY(dvg_request_read(r, folder));
    there = r->revoked != DVG_REVOKED_NONE || !is_empty(folder, r);
    if (!there) dvg_request_free(r);
  }
  if (!there) {
    j->request_changed = 1;
    *r = (struct dvg_request){.items = j->set->count, .per_shard = j->set->per_shard, .first = j->set->first};
    DVG_TRY(DVG_NEW(&r->person, 0, "revoked people"));
    return DVG_NEW(&r->row, 0, "revoked images");
  }
  DVG_TRY(dvg_lineage_inputs(&inputs, &j->lineage));
  enum dvg_status status = dvg_request_compare(r, folder, j->lineage.settings, inputs);
  dvg_free(&inputs);
  if (status == DVG_OK) status = check_growth(r, folder, j->set->count);
  j->request_changed = r->items != j->set->count;
  r->items = j->set->count;
  return status;
}

// Puts the rows of j->revoked into the request.
static enum dvg_status list_revoked(struct job *j) {
  struct dvg_request *r = &j->request;
  int64_t n = 0, *row = NULL;
  for (int64_t i = 0; i < j->images.N; i++) n += j->revoked[i];
  if (n == r->n_rows) return DVG_OK;
  DVG_TRY(DVG_NEW(&row, n, "revoked images"));
  n = 0;
  for (int64_t i = 0; i < j->images.N; i++)
    if (j->revoked[i]) row[n++] = i;
  dvg_free(&r->row);
  r->row = row;
  r->n_rows = n;
  j->request_changed = 1;
  return DVG_OK;
}

// j->revoked: the images revoked earlier, as r->person the people; j->named: those of this command, which join them unless they are only
// to be listed.
static enum dvg_status mark_images(struct job *j) {
  struct dvg_request *r = &j->request;
  if (!dvg_generate_uses_bank(j->set)) return DVG_OK;
  DVG_TRY(DVG_NEW(&j->revoked, j->images.N, "revoked images"));
  DVG_TRY(DVG_NEW(&j->named, j->images.N, "revoked images"));
  for (int64_t i = 0; i < r->n_rows; i++) {
    if (r->row[i] >= j->images.N)
      return dvg_fail(DVG_ERROR_INPUT, "%s: revokes image %lld of a bank of %lld", j->set->out,
                      (long long)r->row[i], (long long)j->images.N);
    j->revoked[r->row[i]] = 1;
  }
  if (!dvg_generate_revokes(j->set)) return DVG_OK;
  DVG_TRY(dvg_artifact_load_text(j->images.file, "name", &j->n_names, &j->names));
  return dvg_revoke_mark(j->named, j->set, &j->images, j->names, j->n_names);
}

static enum dvg_status mark_people(struct job *j) {
  struct dvg_request *r = &j->request;
  const char *numbers = j->set->revoke_identities;
  const int64_t n_before = r->n_people;
  if (!numbers[0]) return DVG_OK;
  if (!has_input(j, "identities"))
    return dvg_fail(DVG_ERROR_USAGE, "--revoke-identities: identities of %s are drawn from noise, nobody's",
                    j->set->out);
  DVG_TRY(dvg_revoke_people(&j->named_people, &j->n_named_people, numbers));
  if (j->set->revoke == DVG_REVOKE_LIST) return DVG_OK;
  DVG_TRY(dvg_revoke_people(&r->person, &r->n_people, numbers));
  j->request_changed |= r->n_people != n_before;
  return DVG_OK;
}

static enum dvg_status mark_revoked(void *context) {
  struct job *j = context;
  struct dvg_request *r = &j->request;
  DVG_TRY(mark_images(j));
  DVG_TRY(mark_people(j));
  if (!dvg_generate_revokes(j->set) || j->set->revoke == DVG_REVOKE_LIST) return DVG_OK;
  enum dvg_revoked mode = j->set->revoke == DVG_REVOKE_DROP ? DVG_REVOKED_DROP : DVG_REVOKED_REMAKE;
  if (r->revoked != DVG_REVOKED_NONE && r->revoked != mode)
    return dvg_fail(DVG_ERROR_USAGE, "%s: revoked pairs are %s here: --revoke %s", j->set->out,
                    r->revoked == DVG_REVOKED_DROP ? "dropped" : "made again",
                    r->revoked == DVG_REVOKED_DROP ? "drop" : "remake");
  r->revoked = mode;
  for (int64_t i = 0; j->revoked && i < j->images.N; i++) j->revoked[i] |= j->named[i];
  return j->revoked ? list_revoked(j) : DVG_OK;
}

static struct dvg_revocation all_revoked(const struct job *j) {
  const struct dvg_request *r = &j->request;
  return (struct dvg_revocation){r->revoked, j->revoked, r->person, r->n_people};
}

// Collective.
static enum dvg_status settle_request(struct job *j) {
  DVG_TRY(dvg_world_root_first(j->w, adopt_request, j));
  DVG_TRY(dvg_world_root_first(j->w, mark_revoked, j));
  struct dvg_pair_rows rows = {.set = j->set,
                               .lineage = &j->lineage,
                               .painter = j->rows.painter,
                               .revoked = all_revoked(j),
                               .n_images = j->images.N};
  j->rows = rows;
  j->painter.revoked = all_revoked(j);
  return DVG_OK;
}

// ---- who drew on whom

// The pairs that drew on the images named, of all shards that are there.
static enum dvg_status list_pairs(const struct job *j, FILE *out, int64_t *n_pairs) {
  const char *domain[2] = {j->set->domain, j->set->visible};
  const struct dvg_revocation named = {DVG_REVOKED_NONE, j->named, j->named_people, j->n_named_people};
  *n_pairs = 0;
  for (int64_t k = 0; k < j->shards.n_shards; k++) {
    char *path = NULL;
    int64_t n = 0;
    DVG_TRY(dvg_shards_path(&path, &j->shards, k));
    enum dvg_status status = DVG_OK;
    if (dvg_path_exists(path))
      status = dvg_pairs_find_revoked(&n, out, path, domain, &j->images, j->names, &named);
    else dvg_warn("%s: is missing: its pairs are not listed", path);
    dvg_free(&path);
    if (status != DVG_OK) return status;
    *n_pairs += n;
  }
  return DVG_OK;
}

// Rank 0.
static enum dvg_status say_revoked(const struct job *j) {
  char *text = NULL;
  size_t n_bytes = 0;
  int64_t n_pairs, n_images = 0;
  FILE *out = open_memstream(&text, &n_bytes);
  if (!out) return dvg_fail(DVG_ERROR_MEMORY, "no memory for a list of pairs");
  enum dvg_status status = list_pairs(j, out, &n_pairs);
  if (fclose(out) != 0 && status == DVG_OK)
    status = dvg_fail(DVG_ERROR_MEMORY, "no memory for a list of pairs");
  if (status == DVG_OK && j->set->listing[0]) status = dvg_path_write_text(j->set->listing, text);
  else if (status == DVG_OK && j->set->revoke == DVG_REVOKE_LIST) fputs(text, stdout);
  free(text);
  for (int64_t i = 0; j->named && i < j->images.N; i++) n_images += j->named[i];
  if (status == DVG_OK)
    dvg_info("%s: %lld of %lld pairs drew on the %lld %s named", j->set->out, (long long)n_pairs,
             (long long)j->set->count, (long long)(n_images + j->n_named_people),
             j->n_named_people == 0 ? "images" : n_images == 0 ? "people" : "images and people");
  return status;
}

// ---- making

static enum dvg_status make_shard(int64_t shard, void *context) {
  struct job *j = context;
  char *path = NULL;
  DVG_TRY(dvg_shards_path(&path, &j->shards, shard));
  enum dvg_status status =
      dvg_pairs_write(&j->rows, path, path, j->set->first + dvg_shards_first(&j->shards, shard),
                      dvg_shards_rows(&j->shards, shard));
  dvg_free(&path);
  return status;
}

static enum dvg_status describe_shards(void *context) {
  struct job *j = context;
  DVG_TRY(dvg_shards_create(&j->shards, j->set->out, j->set->count, j->set->per_shard));
  return dvg_shards_set_part(&j->shards, j->set->part);
}

// affected[k] = 1 for each finished shard of this rank's share that has pairs of revoked images.
static enum dvg_status look_for_revoked(int64_t *affected, const struct job *j, const unsigned char *pending) {
  const char *domain[2] = {j->set->domain, j->set->visible};
  const struct dvg_revocation revoked = all_revoked(j);
  int64_t turn = 0;
  for (int64_t k = 0; k < j->shards.n_shards; k++) {
    if (pending[k] || turn++ % j->w->size != j->w->rank) continue;
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    char *path = NULL;
    DVG_TRY(dvg_shards_path(&path, &j->shards, k));
    enum dvg_status status =
        dvg_pairs_find_revoked(&affected[k], NULL, path, domain, &j->images, NULL, &revoked);
    dvg_free(&path);
    if (status != DVG_OK) return status;
  }
  return DVG_OK;
}

static int64_t count_pending(const struct job *j, const unsigned char *pending) {
  int64_t n = 0;
  for (int64_t k = 0; k < j->shards.n_shards; k++) n += pending[k];
  return n;
}

// Collective. The shards to be made: missing, damaged, or with pairs that must go.
static enum dvg_status find_pending(struct job *j, unsigned char *pending) {
  int64_t *affected = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_stage_find_pending(pending, j->w, &j->shards, "pairs", DVG_PAIRS_VERSION, &j->lineage));
  int64_t n = count_pending(j, pending);
  if (n > 0 && !j->rows.painter && j->w->rank == 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: %lld of %lld shards are missing or damaged: repair the set first",
                      j->set->out, (long long)n, (long long)j->shards.n_shards);
  DVG_TRY_GOTO(dvg_world_agree(j->w, status));
  if (j->request.revoked == DVG_REVOKED_NONE) goto done;
  DVG_TRY_GOTO(dvg_world_agree(j->w, DVG_NEW(&affected, j->shards.n_shards, "affected shards")));
  DVG_TRY_GOTO(dvg_world_agree(j->w, look_for_revoked(affected, j, pending)));
  dvg_world_sum(j->w, affected, j->shards.n_shards);
  for (int64_t k = 0; k < j->shards.n_shards; k++)
    if (affected[k]) pending[k] = 1;
done:
  dvg_free(&affected);
  return status;
}

// Another part may have said what is asked for since we looked: then it must be the same.
static enum dvg_status write_request_unless_there(const struct job *j) {
  struct dvg_request there = {0};
  char *inputs = NULL;
  enum dvg_status status = DVG_OK;
  if (!dvg_request_exists(j->set->out)) return dvg_request_write(&j->request, j->set->out, &j->lineage);
  DVG_TRY_GOTO(dvg_request_read(&there, j->set->out));
  DVG_TRY_GOTO(dvg_lineage_inputs(&inputs, &j->lineage));
  DVG_TRY_GOTO(dvg_request_compare(&there, j->set->out, j->lineage.settings, inputs));
  DVG_TRY_GOTO(check_growth(&there, j->set->out, j->request.items));
  if (there.items < j->request.items) status = dvg_request_write(&j->request, j->set->out, &j->lineage);
done:
  dvg_free(&inputs);
  dvg_request_free(&there);
  return status;
}

// Rank 0. Parts that start at once come here one after the other.
static enum dvg_status write_request(const struct job *j) {
  struct dvg_lock *lock = NULL;
  struct dvg_lock_settings s = {.folder = j->set->out,
                                .program = j->options->program,
                                .beat = DVG_LOCK_BEAT,
                                .stop = dvg_world_stop_flag,
                                .file = "request.lock"};
  if (j->shards.n_parts == 0) return dvg_request_write(&j->request, j->set->out, &j->lineage);
  DVG_TRY(dvg_lock_take(&lock, &s));
  enum dvg_status status = write_request_unless_there(j);
  dvg_lock_release(&lock);
  return status;
}

// Rank 0. What is asked for is on the disk before what answers it, and no index describes what is about to
// change.
static enum dvg_status announce(const struct job *j, int64_t n_pending) {
  char *index = NULL;
  if (j->request_changed) DVG_TRY(write_request(j));
  if (n_pending == 0) return DVG_OK;
  DVG_TRY(dvg_card_remove(j->set->out));
  DVG_TRY(dvg_text(&index, "%s/index.h5", j->set->out));
  enum dvg_status status = dvg_path_remove(index);
  dvg_free(&index);
  return status;
}

// Collective.
static enum dvg_status finish(const struct job *j, double start) {
  char root[DVG_DIGEST_TEXT] = "";
  DVG_TRY(dvg_stage_index(j->w, &j->shards, "pairs", &j->lineage, root));
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? dvg_card_write(j->set->out) : DVG_OK));
  dvg_plan_say_peak(j->w, "generation");
  dvg_info("%s: %lld pairs in %lld shards, %.1f s, root digest %s", j->set->out, (long long)j->set->count,
           (long long)j->shards.n_shards, dvg_seconds() - start, root);
  return DVG_OK;
}

// Collective.
static enum dvg_status make_set(struct job *j, double start) {
  unsigned char *pending = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(j->w, DVG_NEW(&pending, j->shards.n_shards, "shards to make")));
  DVG_TRY_GOTO(find_pending(j, pending));
  int64_t n = count_pending(j, pending);
  DVG_TRY_GOTO(dvg_world_agree(j->w, j->w->rank == 0 ? announce(j, n) : DVG_OK));
  DVG_TRY_GOTO(dvg_distribute_tasks(j->w, j->shards.n_shards, pending, make_shard, j, "shards"));
  if (j->shards.n_parts > 0) dvg_stage_end_part(&j->shards);
  else status = finish(j, start);
done:
  dvg_free(&pending);
  return status;
}

// One pair is one rank's work.
static enum dvg_status make_one(const struct job *j) {
  if (j->w->rank != 0) return DVG_OK;
  DVG_TRY(dvg_pairs_write(&j->rows, j->set->out, NULL, j->set->only, 1));
  dvg_info("%s: pair %lld", j->set->out, (long long)j->set->only);
  return DVG_OK;
}

// Collective.
static void say_plan(const struct job *j) {
  const struct dvg_painter *p = &j->painter;
  dvg_plan_say(j->w, &(struct dvg_plan){.name = "generation",
                                        .n_values = p->sampler_params.n_values + p->decoder_params.n_values +
                                                    p->scorer.params.n_values});
}

static enum dvg_status generate(struct job *j) {
  double start = dvg_seconds();
  DVG_TRY(settle_settings(j));
  DVG_TRY(load(j));
  if (j->set->plan) {
    say_plan(j);
    return DVG_OK;
  }
  DVG_TRY(settle_request(j));
  if (j->set->only >= 0) return dvg_world_agree(j->w, make_one(j));
  DVG_TRY(dvg_world_root_first(j->w, describe_shards, j)); // makes the folder
  if (dvg_generate_revokes(j->set)) DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? say_revoked(j) : DVG_OK));
  return dvg_generate_revokes(j->set) && j->set->revoke == DVG_REVOKE_LIST ? DVG_OK : make_set(j, start);
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct job j = {.set = o->values, .options = o, .w = w};
  enum dvg_status status = generate(&j);
  dvg_painter_free(&j.painter);
  dvg_request_free(&j.request);
  dvg_lineage_free(&j.lineage);
  dvg_image_set_close(&j.images);
  dvg_shards_free(&j.shards);
  dvg_free(&j.names);
  dvg_free(&j.named);
  dvg_free(&j.revoked);
  dvg_free(&j.named_people);
  return status;
}

const struct dvg_stage dvg_stage_generate = {
    "dvg-generate",
    "stage 4: paints pairs of sampled identities in both domains, in shards",
    options,
    presets,
    sizeof(struct dvg_generate_settings),
    run};
