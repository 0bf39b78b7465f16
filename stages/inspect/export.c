#include "stages/inspect/export.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/json.h"

static const char marker_name[] = "export.json";

// ---- what is in the folder already

static enum dvg_status describe(char **text, const struct dvg_export *e, int finished) {
  static const char *const format[] = {"none", "folder", "webdataset", "recordio"};
  struct dvg_json j;
  dvg_json_begin(&j);
  dvg_json_text(&j, "format", format[e->s->export]);
  dvg_json_text(&j, "schema", e->schema);
  dvg_json_text(&j, "sha256", e->source.digest);
  dvg_json_int(&j, "items", e->source.n_items);
  dvg_json_int(&j, "images", e->source.n_items * e->source.n_images);
  dvg_json_int(&j, "people", e->source.n_people);
  dvg_json_int(&j, "quality", e->s->quality);
  if (e->s->where[0]) dvg_json_text(&j, "where", e->s->where);
  if (e->source.selected.scores_digest[0]) dvg_json_text(&j, "scores", e->source.selected.scores_digest);
  dvg_json_text(&j, "finished", finished ? "yes" : "no");
  return dvg_json_end(&j, text);
}

static enum dvg_status check_empty(const char *folder) {
  DIR *d = opendir(folder);
  if (!d) return dvg_fail(DVG_ERROR_IO, "%s: cannot read this folder: %s", folder, strerror(errno));
  int n = 0;
  for (const struct dirent *entry; (entry = readdir(d));)
    n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !strstr(entry->d_name, ".part");
  closedir(d);
  return n ? dvg_fail(DVG_ERROR_INPUT, "%s: is not empty, and what is in it is no export", folder) : DVG_OK;
}

static enum dvg_status check_marker(const char *path, const struct dvg_export *e) {
  char *found = NULL, *unfinished = NULL, *finished = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_path_read_text(path, 1 << 16, &found));
  DVG_TRY_GOTO(describe(&unfinished, e, 0));
  DVG_TRY_GOTO(describe(&finished, e, 1));
  if (strcmp(found, unfinished) != 0 && strcmp(found, finished) != 0)
    status =
        dvg_fail(DVG_ERROR_INPUT, "%s: is of another export: give another --out, or remove the folder", path);
done:
  dvg_free(&found);
  dvg_free(&unfinished);
  dvg_free(&finished);
  return status;
}

static enum dvg_status write_marker(const struct dvg_export *e, int finished) {
  char *path = NULL, *text = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_text(&path, "%s/%s", e->s->out, marker_name));
  DVG_TRY_GOTO(describe(&text, e, finished));
  status = dvg_path_write_text(path, text);
done:
  dvg_free(&path);
  dvg_free(&text);
  return status;
}

static enum dvg_status take_folder(const struct dvg_export *e) {
  const char *out = e->s->out;
  char *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_path_make_folder(out));
  DVG_TRY_GOTO(dvg_path_try_folder(out));
  DVG_TRY_GOTO(dvg_text(&path, "%s/%s", out, marker_name));
  DVG_TRY_GOTO(dvg_path_exists(path) ? check_marker(path, e) : check_empty(out));
  DVG_TRY_GOTO(dvg_path_remove_parts(out, ""));
  status = write_marker(e, 0);
done:
  dvg_free(&path);
  return status;
}

// ---- the run

static enum dvg_status open_source(void *context) {
  struct dvg_export *e = context;
  struct dvg_export_source *s = &e->source;
  DVG_TRY(dvg_export_source_open(s, e->s->file, e->schema, e->s->where, e->s->scores));
  int64_t longest = 1;
  for (int v = 0; v < s->n_vectors; v++)
    if (s->vector[v].width > longest) longest = s->vector[v].width;
  e->ext = e->s->quality > 0 ? "jpg" : "png";
  e->person_folders = 1;
  for (int64_t p = 0; !s->set && p < s->n_people; p++)
    if (!dvg_export_is_file_name(s->images.person[p])) e->person_folders = 0;
  DVG_TRY(DVG_NEW(&e->vector, longest, "a vector"));
  return DVG_NEW(&e->pixels, s->H * s->W * s->C, "an image");
}

static enum dvg_status check_schema(const struct dvg_export *e) {
  static const char *const schemas[] = {"pairs", "images", "features"};
  for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
    if (strcmp(e->schema, schemas[i]) == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: an export is of images, pairs or features, this is '%s'", e->s->file,
                  e->schema);
}

static enum dvg_status run(struct dvg_export *e) {
  const struct dvg_world *w = e->w;
  dvg_world_broadcast(w, e->schema, sizeof e->schema, 0);
  DVG_TRY(dvg_world_agree(w, w->rank == 0 ? check_schema(e) : DVG_OK));
  DVG_TRY(dvg_world_root_first(w, open_source, e));
  DVG_TRY(dvg_world_agree(w, w->rank == 0 ? take_folder(e) : DVG_OK));
  if (e->s->export == DVG_EXPORT_FOLDER) DVG_TRY(dvg_export_folder(e));
  else if (e->s->export == DVG_EXPORT_WEBDATASET) DVG_TRY(dvg_export_webdataset(e));
  else DVG_TRY(dvg_export_recordio(e));
  DVG_TRY(dvg_world_agree(w, w->rank == 0 ? write_marker(e, 1) : DVG_OK));
  if (!e->s->json)
    dvg_info("export       %s: %lld items, %lld images of %lld people", e->s->out, (long long)e->source.n_items,
             (long long)(e->source.n_items * e->source.n_images), (long long)e->source.n_people);
  return DVG_OK;
}

enum dvg_status dvg_export_run(const struct dvg_inspect *s, const struct dvg_world *w, const char *schema) {
  struct dvg_export e = {.s = s, .w = w};
  if (w->rank == 0) snprintf(e.schema, sizeof e.schema, "%s", schema);
  enum dvg_status status = run(&e);
  dvg_export_source_close(&e.source);
  dvg_free(&e.pixels);
  dvg_free(&e.vector);
  dvg_free(&e.order);
  return status;
}
