#include "stages/inspect/inspect.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/images.h"
#include "io/shards.h"
#include "stages/inspect/contact.h"
#include "stages/inspect/describe.h"
#include "stages/inspect/export.h"
#include "stages/inspect/html_report.h"
#include "stages/inspect/verify.h"
#include "stages/inspect/watch.h"
#include "stages/select.h"

static const struct dvg_option options[] = {
    DVG_OPTION_PATH(struct dvg_inspect, file, "file", NULL,
                    "artifact, folder of a sharded set, or of a run; also by itself, without --file"),
    DVG_OPTION_FLAG(struct dvg_inspect, verify, "verify", "no",
                    "recompute all digests (shards: shared out over the ranks)"),
    DVG_OPTION_PATH(struct dvg_inspect, sheet, "sheet", "", "PNG to draw the images or pairs on"),
    DVG_OPTION_FLAG(struct dvg_inspect, list, "list", "no",
                    "name all parameters of a weight file, all shards of a set"),
    DVG_OPTION_FLAG(struct dvg_inspect, json, "json", "no", "describe as one line of JSON"),
    DVG_OPTION_INT(struct dvg_inspect, first, "first", "0", 0, 9e15, "sheet: first person or pair"),
    DVG_OPTION_INT(struct dvg_inspect, people, "people", "8", 1, 1000, "sheet of images: people, one a row"),
    DVG_OPTION_INT(struct dvg_inspect, per_person, "per-person", "4", 1, 100,
                   "sheet of images: images of each domain"),
    DVG_OPTION_INT(struct dvg_inspect, rows, "rows", "6", 1, 1000, "sheet of pairs: rows"),
    DVG_OPTION_INT(struct dvg_inspect, columns, "columns", "4", 1, 100, "sheet of pairs: pairs in a row"),
    DVG_OPTION_CHOICE(struct dvg_inspect, export, "export", "none", "none|folder|webdataset|recordio",
                      "write images, pairs or features in a form that other trainers read"),
    DVG_OPTION_PATH(struct dvg_inspect, out, "out", "", "export: folder to write into"),
    DVG_OPTION_TEXT(struct dvg_inspect, where, "where", "", "export of pairs: " DVG_WHERE_HELP),
    DVG_OPTION_PATH(struct dvg_inspect, scores, "scores", "", "export of pairs: " DVG_SCORES_HELP),
    DVG_OPTION_INT(struct dvg_inspect, quality, "quality", "0", 0, 100,
                   "export: of JPEG; 0: PNG, which loses nothing"),
    DVG_OPTION_FLAG(struct dvg_inspect, watch, "watch", "no",
                    "show how a run folder's stages go, drawn again and again; q ends"),
    DVG_OPTION_REAL(struct dvg_inspect, interval, "interval", "2", 0.1, 86400, "watch: seconds between looks"),
    DVG_OPTION_FLAG(struct dvg_inspect, once, "once", "no",
                    "watch: one page and no more, as where there is no terminal"),
    DVG_OPTION_PATH(struct dvg_inspect, report, "report", "",
                    "HTML page to write on a run folder: stages, lineage, curves, sheets, results"),
    DVG_OPTION_END};

const struct dvg_stage dvg_stage_inspect = {
    .program = "dvg-inspect",
    .summary = "what is this file; lineage; digests; contact sheet; how a run goes",
    .options = options,
    .settings_bytes = sizeof(struct dvg_inspect),
    .run = dvg_inspect_run};

// ---- what was found

struct finding {
  const struct dvg_inspect *s;
  int is_set;
  struct dvg_description file;  // the file, or a set's index
  struct dvg_description shard; // a set's first shard
  const char *digest;           // the set's root digest, or the file's; borrowed
};

static void finding_free(struct finding *f) {
  dvg_description_free(&f->file);
  dvg_description_free(&f->shard);
}

static enum dvg_status describe_path(struct dvg_description *d, const char *path, const char *schema) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, path, schema, 1));
  enum dvg_status status = dvg_describe(d, a);
  dvg_artifact_close(&a);
  return status;
}

static int is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static enum dvg_status find_set(struct finding *f) {
  char *index = NULL, *shard = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&index, "%s/index.h5", f->s->file));
  DVG_TRY_GOTO(dvg_text(&shard, "%s/shard-000000.h5", f->s->file));
  if (!dvg_path_exists(index)) {
    status =
        dvg_fail(DVG_ERROR_INPUT, "%s: a folder without index.h5%s", f->s->file,
                 dvg_path_exists(shard) ? ", but with shards: the set isn't finished" : ": not a sharded set");
    goto done;
  }
  DVG_TRY_GOTO(describe_path(&f->file, index, "index"));
  DVG_TRY_GOTO(describe_path(&f->shard, shard, NULL));
  const struct dvg_described_attribute *root = dvg_described(&f->file, "root_sha256", DVG_VALUE_TEXT);
  if (!root) status = dvg_fail(DVG_ERROR_INPUT, "%s: has no root digest", index);
  else f->digest = root->text;
done:
  dvg_free(&index);
  dvg_free(&shard);
  return status;
}

static enum dvg_status find(struct finding *f) {
  f->is_set = is_folder(f->s->file);
  if (f->is_set) return find_set(f);
  DVG_TRY(describe_path(&f->file, f->s->file, NULL));
  f->digest = f->file.digest;
  return DVG_OK;
}

// ---- saying it

static const char *text_of(const struct dvg_description *d, const char *name) {
  const struct dvg_described_attribute *x = dvg_described(d, name, DVG_VALUE_TEXT);
  return x ? x->text : "?";
}

static long long int_of(const struct dvg_description *d, const char *name) {
  const struct dvg_described_attribute *x = dvg_described(d, name, DVG_VALUE_INT);
  return x ? x->integer : -1;
}

// A line on what a file of a schema that people look at often holds.
static enum dvg_status print_summary(const struct dvg_description *d) {
  const char *schema = d->schema;
  if (strcmp(schema, "weights") == 0) {
    const struct dvg_described_attribute *width = dvg_described(d, "width", DVG_VALUE_REAL);
    dvg_info("network      %s, width %g, size %lld: %lld parameters with %lld values", text_of(d, "net"),
             width ? width->real : 0, int_of(d, "size"), (long long)d->n_datasets,
             (long long)dvg_described_values(d));
  } else if (strcmp(schema, "checkpoint") == 0) {
    char epoch[48] = "";
    if (dvg_described(d, "epoch", DVG_VALUE_INT))
      snprintf(epoch, sizeof epoch, ", epoch %lld", int_of(d, "epoch"));
    dvg_info("checkpoint   step %lld of %lld%s%s", int_of(d, "step"), int_of(d, "steps"), epoch,
             int_of(d, "finished") == 1 ? ", finished" : "");
  } else if (strcmp(schema, "images") == 0) {
    struct dvg_image_set set;
    DVG_TRY(dvg_image_set_open(&set, d->path));
    dvg_info("images       %lld of %lld x %lld, %s, of %lld people", (long long)set.N, (long long)set.W,
             (long long)set.H, set.C == 1 ? "gray" : "colour", (long long)set.n_people);
    for (int64_t k = 0; k < set.n_domains; k++) {
      long long n = 0;
      for (int64_t i = 0; i < set.N; i++) n += set.domain[i] == k;
      dvg_info("  %-10s %lld", set.domain_name[k], n);
    }
    dvg_image_set_close(&set);
  }
  return DVG_OK;
}

static enum dvg_status list_shards(const struct finding *f) {
  struct dvg_artifact *a = NULL;
  char **digest = NULL;
  int64_t n = -1, n_digests = 0, *first = NULL, *rows = NULL;
  DVG_TRY(dvg_artifact_open(&a, f->file.path, "index", 1));
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_artifact_load_text(a, "shard_sha256", &n_digests, &digest));
  DVG_TRY_GOTO(dvg_artifact_load(a, "shard_first", DVG_I64, 1, &n, (void **)&first));
  DVG_TRY_GOTO(dvg_artifact_load(a, "shard_rows", DVG_I64, 1, &n, (void **)&rows));
  if (n != n_digests) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: its lists of shards differ in length", f->file.path);
    goto done;
  }
  dvg_info("shards");
  int64_t per_group = DVG_SHARDS_PER_GROUP;
  if (dvg_artifact_has_attribute(a, "shards_per_group"))
    DVG_TRY_GOTO(dvg_artifact_get_int(a, "shards_per_group", &per_group));
  for (int64_t k = 0; k < n; k++) {
    char name[DVG_SHARD_NAME];
    dvg_shards_name(name, per_group, k);
    dvg_info("  %s  %lld items from %lld  sha256 %s", name, (long long)rows[k], (long long)first[k], digest[k]);
  }
done:
  dvg_free(&digest);
  dvg_free(&first);
  dvg_free(&rows);
  dvg_artifact_close(&a);
  return status;
}

static enum dvg_status print_finding(const struct finding *f) {
  const struct dvg_description *d = f->is_set ? &f->shard : &f->file;
  if (f->is_set) {
    const struct dvg_described_dataset *list = f->file.dataset;
    long long n_shards = 0;
    for (int64_t i = 0; i < f->file.n_datasets; i++)
      if (strcmp(list[i].name, "shard_rows") == 0 && list[i].n_dims == 1) n_shards = list[i].dims[0];
    dvg_info("%s", f->s->file);
    dvg_info("schema       %s, version %lld, a set of %lld items in %lld shards of %lld",
             text_of(&f->file, "shard_schema"), (long long)d->version, int_of(&f->file, "items"), n_shards,
             int_of(&f->file, "items_per_shard"));
  } else {
    dvg_info("%s", d->path);
    dvg_info("schema       %s, version %lld", d->schema, (long long)d->version);
  }
  dvg_info("made by      %s", d->program);
  dvg_info("%s  %s", f->is_set ? "root sha256" : "sha256     ", f->digest);
  DVG_TRY(print_summary(d));
  if (f->is_set) dvg_info("each shard, by the first one:");
  dvg_description_print(d, (int)f->s->list);
  return f->is_set && f->s->list ? list_shards(f) : DVG_OK;
}

// One line of JSON. `verified` is there only if it was asked for; what fails has no JSON.
static enum dvg_status print_json(const struct finding *f) {
  struct dvg_json j;
  char *text = NULL;
  dvg_json_begin(&j);
  dvg_json_text(&j, "kind", f->is_set ? "set" : "file");
  if (f->is_set) {
    dvg_json_text(&j, "shard_schema", text_of(&f->file, "shard_schema"));
    dvg_json_int(&j, "items", int_of(&f->file, "items"));
    dvg_json_int(&j, "items_per_shard", int_of(&f->file, "items_per_shard"));
    dvg_json_text(&j, "root_sha256", f->digest);
  }
  if (f->s->verify) dvg_json_text(&j, "verified", f->digest);
  dvg_description_json(&j, &f->file);
  if (f->is_set) {
    dvg_json_open(&j, "first_shard", '{');
    dvg_description_json(&j, &f->shard);
    dvg_json_close(&j, '}');
  }
  DVG_TRY(dvg_json_end(&j, &text));
  fputs(text, stdout);
  fflush(stdout);
  dvg_free(&text);
  return DVG_OK;
}

static enum dvg_status draw(const struct finding *f) {
  const char *schema = f->is_set ? f->shard.schema : f->file.schema;
  if (f->is_set && strcmp(schema, "pairs") == 0) return dvg_contact_pairs(f->s->file, f->s);
  if (!f->is_set && strcmp(schema, "images") == 0) return dvg_contact_images(f->s->file, f->s);
  return dvg_fail(DVG_ERROR_INPUT, "%s: a sheet shows 'images' files and folders of 'pairs', this is '%s'%s",
                  f->s->file, schema, strcmp(schema, "pairs") == 0 ? " in a file: name its folder" : "");
}

// ---- the run

static enum dvg_status check_settings(const struct dvg_inspect *s) {
  if ((s->export != DVG_EXPORT_NONE) != (s->out[0] != 0))
    return dvg_fail(DVG_ERROR_USAGE, "--export and --out belong together");
  if ((s->where[0] || s->scores[0]) && s->export == DVG_EXPORT_NONE)
    return dvg_fail(DVG_ERROR_USAGE, "--where and --scores are of an --export of pairs");
  if (s->quality > 0 && s->export == DVG_EXPORT_NONE)
    return dvg_fail(DVG_ERROR_USAGE, "--quality is of the images of an --export");
  if ((s->watch || s->report[0]) &&
      (s->verify || s->list || s->json || s->sheet[0] || s->export != DVG_EXPORT_NONE))
    return dvg_fail(DVG_ERROR_USAGE,
                    "--%s is of a whole run: leave --verify, --list, --json, --sheet and --export out",
                    s->watch ? "watch" : "report");
  if (s->watch && s->report[0]) return dvg_fail(DVG_ERROR_USAGE, "--watch or --report: one at a time");
  if (s->once && !s->watch) return dvg_fail(DVG_ERROR_USAGE, "--once is of --watch");
  return DVG_OK;
}

static enum dvg_status verify_file(const char *path) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, path, NULL, 0));
  enum dvg_status status = dvg_artifact_verify(a);
  dvg_artifact_close(&a);
  return status;
}

// Collective.
static enum dvg_status verify(const struct dvg_inspect *s, const struct dvg_world *w) {
  int is_set = dvg_world_max(w, w->rank == 0 && is_folder(s->file)) != 0;
  if (is_set) return dvg_verify_set(s->file, w, !s->json);
  return dvg_world_agree(w, w->rank == 0 ? verify_file(s->file) : DVG_OK);
}

// Rank 0 alone.
static enum dvg_status look_at_run(const struct dvg_inspect *s, const struct dvg_world *w) {
  if (s->report[0]) return dvg_report_html(s->report, s->file);
  return dvg_watch_run(s, w->size > 1); // the other ranks would wait for its end at full speed
}

enum dvg_status dvg_inspect_run(const struct dvg_options *o, const struct dvg_world *w) {
  const struct dvg_inspect *s = o->values;
  struct finding f = {.s = s};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? check_settings(s) : DVG_OK));
  if (s->watch || s->report[0]) return dvg_world_agree(w, w->rank == 0 ? look_at_run(s, w) : DVG_OK);
  if (s->verify) DVG_TRY_GOTO(verify(s, w)); // first: of what is damaged nothing else may be readable
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? find(&f) : DVG_OK));
  if (!s->json) DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? print_finding(&f) : DVG_OK));
  if (s->verify && !s->json && w->rank == 0) dvg_info("verified: %s", f.digest);
  if (s->sheet[0]) {
    DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? draw(&f) : DVG_OK));
    if (!s->json) dvg_info("sheet        %s", s->sheet);
  }
  if (s->export != DVG_EXPORT_NONE)
    DVG_TRY_GOTO(dvg_export_run(s, w, f.is_set ? f.shard.schema : f.file.schema));
  if (s->json) DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? print_json(&f) : DVG_OK));
done:
  finding_free(&f);
  return status;
}

// ---- the program

static enum dvg_status parse_and_run(int argc, char **argv, const struct dvg_world *w) {
  const struct dvg_stage *stage = &dvg_stage_inspect;
  struct dvg_options o = {.program = stage->program, .summary = stage->summary, .table = stage->options};
  DVG_TRY(dvg_world_agree(w, dvg_alloc(&o.values, 1, stage->settings_bytes, "settings")));
  enum dvg_status status = dvg_stage_parse(&o, argc, argv, w);
  if (status == DVG_OK && !o.help) status = dvg_world_agree(w, stage->run(&o, w));
  dvg_options_free(&o);
  dvg_free(&o.values);
  return status;
}

// Whether the argument is an option that takes the next one as its value.
static int takes_value(const char *argument) {
  if (strncmp(argument, "--", 2) != 0) return 0;
  if (strcmp(argument, "--config") == 0) return 1;
  for (const struct dvg_option *t = options; t->kind != DVG_OPTION_KIND_END; t++)
    if (strcmp(t->name, argument + 2) == 0) return t->kind != DVG_OPTION_KIND_FLAG;
  return 0;
}

// The place of the first bare argument, which becomes --file=PATH; 0: there is none.
static int find_bare(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (argv[i][0] != '-' && !takes_value(argv[i - 1])) return i;
  return 0;
}

int dvg_inspect_main(int argc, char **argv) {
  struct dvg_world w;
  dvg_world_init(&w, dvg_stage_inspect.program, &argc, &argv);
  char *path = NULL, **args = NULL;
  enum dvg_status status = DVG_NEW(&args, argc + 1, "arguments");
  if (status == DVG_OK) memcpy(args, argv, (size_t)argc * sizeof *args);
  const int bare = find_bare(argc, argv);
  if (status == DVG_OK && bare > 0) {
    status = dvg_text(&path, "--file=%s", argv[bare]);
    args[bare] = path;
  }
  status = dvg_world_agree(&w, status);
  if (status == DVG_OK) status = parse_and_run(argc, args, &w);
  dvg_free(&path);
  dvg_free(&args);
  return dvg_world_finish(&w, status);
}
