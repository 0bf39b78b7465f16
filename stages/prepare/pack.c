// dvg-prepare pack and align: listed image files, decoded by all ranks, written by one.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/distribute.h"
#include "stages/prepare/frame.h"
#include "stages/prepare/prepare.h"

enum { MOST_AT_ONCE = 16 };

struct settings {
  char *list, *folder, *domains, *where, *out, *sheet; // folder: NULL in align
  int64_t size, fit, channels, resize, skip_bad;
};

#define LIST_OPTIONS                                                                                           \
  DVG_OPTION_TEXT(struct settings, domains, "domains", "", "domains to take, comma separated; none: all"),     \
      DVG_OPTION_TEXT(struct settings, where, "where", "",                                                     \
                      "rows to take, by columns of a TSV: column=value[,value...][;column=value]")
#define IMAGE_OPTIONS                                                                                          \
  DVG_OPTION_CHOICE(struct settings, channels, "channels", "auto", "auto|gray|rgb",                            \
                    "what to store; auto: as the files are, which then must be alike"),                        \
      DVG_OPTION_FLAG(struct settings, skip_bad, "skip-bad", "0",                                              \
                      "leave out files that can't be read or aligned (listed in the dataset `bad`)"),          \
      DVG_OPTION_PATH(struct settings, out, "out", NULL, "images file to write (.h5)"),                        \
      DVG_OPTION_PATH(struct settings, sheet, "sheet", "", "contact sheet to write (.png)")

static const struct dvg_option pack_options[] = {
    DVG_OPTION_PATH(struct settings, list, "list", "",
                    "list of images: TSV, or lines 'path identity [domain]'"),
    DVG_OPTION_PATH(struct settings, folder, "folder", "",
                    "in place of a list: a folder of PERSON/IMAGE or DOMAIN/PERSON/IMAGE"),
    LIST_OPTIONS,
    DVG_OPTION_INT(struct settings, size, "size", "0", 0, 4096, "pixels of a side; 0: as the images are"),
    DVG_OPTION_CHOICE(struct settings, fit, "fit", "none", "none|center-crop|resize",
                      "what to do with images of another size; none: an error"),
    DVG_OPTION_INT(struct settings, resize, "resize", "0", 0, 4096,
                   "then scale to this side (144 to 72: for nets of 64 pixels); 0: don't"),
    IMAGE_OPTIONS,
    DVG_OPTION_END};

static const struct dvg_option align_options[] = {
    DVG_OPTION_PATH(struct settings, list, "list", NULL, "TSV with the columns of the five landmarks"),
    LIST_OPTIONS,
    DVG_OPTION_INT(struct settings, size, "size", "144", 16, 4096,
                   "pixels of a side (144: the recogniser's frame; 72: that of nets for 64 pixels)"),
    IMAGE_OPTIONS, DVG_OPTION_END};

struct job {
  const struct settings *s;
  const struct dvg_world *w;
  struct dvg_list list;
  int64_t *rows, n_rows; // rows of the list that are taken
  struct dvg_prepare_framing framing;
  int64_t H, W, C;
  size_t record_bytes; // a note, then the pixels
  // rank 0
  struct dvg_prepare_set set;
  struct dvg_prepare_writer writer;
  struct dvg_digest sources; // of the lines "name sha256\n" of all files
  char **bad;
  int64_t unreadable; // index into rows of the first one that could not be decoded or aligned; -1: none
};

// ---- before computing: settings, list, files

static enum dvg_status check_settings(const struct settings *s, int align) {
  if (align) return DVG_OK;
  if (!*s->list == !*s->folder) return dvg_fail(DVG_ERROR_USAGE, "give either --list or --folder");
  if (s->fit != DVG_FIT_NONE && s->size == 0)
    return dvg_fail(DVG_ERROR_USAGE, "--fit %s needs --size",
                    s->fit == DVG_FIT_RESIZE ? "resize" : "center-crop");
  return DVG_OK;
}

static enum dvg_status read_list(void *context) {
  struct job *j = context;
  struct dvg_list_filter filter = {.domains = j->s->domains, .where = j->s->where};
  if (j->s->folder && *j->s->folder) return dvg_list_scan(&j->list, j->s->folder, &filter);
  return dvg_list_read(&j->list, j->s->list, &filter);
}

static enum dvg_status take_all_rows(struct job *j) {
  DVG_TRY(DVG_NEW(&j->rows, j->list.n_rows, "rows"));
  for (int64_t i = 0; i < j->list.n_rows; i++) j->rows[i] = i;
  j->n_rows = j->list.n_rows;
  return DVG_OK;
}

// 0, or why the file of a row is nothing that could be read.
static int look_at(const struct job *j, int64_t row) {
  char *path = NULL;
  struct stat s;
  if (dvg_list_path(&path, &j->list, row) != DVG_OK) return ENOMEM;
  int cause = 0;
  if (stat(path, &s) != 0 || access(path, R_OK) != 0) cause = errno;
  else if (S_ISDIR(s.st_mode)) cause = EISDIR;
  dvg_free(&path);
  return cause;
}

static enum dvg_status say_missing(const struct job *j, int64_t row, int cause, int64_t n_missing) {
  char *path = NULL;
  DVG_TRY(dvg_list_path(&path, &j->list, row));
  char others[64] = "";
  if (n_missing > 1) snprintf(others, sizeof others, " (%lld more can't be read)", (long long)n_missing - 1);
  enum dvg_status status = dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s%s", path, strerror(cause), others);
  dvg_free(&path);
  return status;
}

// Collective. All files are looked at before the first is decoded, shared out over the ranks; the first that is
// missing is said by the rank that looked.
static enum dvg_status check_files(const struct job *j) {
  int64_t n_missing = 0, mine = INT64_MAX;
  int cause = 0;
  for (int64_t i = j->w->rank; i < j->n_rows; i += j->w->size) {
    int c = look_at(j, j->rows[i]);
    if (!c) continue;
    n_missing++;
    if (mine == INT64_MAX) {
      mine = i;
      cause = c;
    }
  }
  int64_t first = -dvg_world_max(j->w, -mine);
  dvg_world_sum(j->w, &n_missing, 1);
  return dvg_world_agree(j->w, n_missing > 0 && first == mine ? say_missing(j, j->rows[mine], cause, n_missing)
                                                              : DVG_OK);
}

// ---- files that can't be decoded or aligned
//
// Ranks meet them in any order, so they are met in silence; the one that is to be said is decoded once more,
// aloud, by the rank that met it: another one may see another disk.

static enum dvg_status frame_quietly(struct dvg_image *frame, struct dvg_prepare_note *note,
                                     const struct job *j, int64_t row) {
  dvg_log_quiet(1);
  enum dvg_status status = dvg_prepare_frame(frame, note, &j->framing, row);
  dvg_log_quiet(0);
  return status;
}

static enum dvg_status say_again(const struct job *j, int64_t row, enum dvg_status met) {
  struct dvg_image frame;
  struct dvg_prepare_note note;
  DVG_TRY(dvg_prepare_frame(&frame, &note, &j->framing, row));
  dvg_image_free(&frame);
  return dvg_fail(met, "%s: could not be read at first, but then could", j->list.rows[row].path);
}

// ---- --skip-bad: all files are decoded twice, first to see which are bad

// Whether anything can come of a row: of pack, as soon as its file is decoded.
static enum dvg_status try_row(struct dvg_image *image, const struct job *j, int64_t row) {
  struct dvg_prepare_note note;
  if (!j->framing.align) return dvg_prepare_decode(image, &note, &j->framing, row);
  DVG_TRY(dvg_prepare_frame(image, &note, &j->framing, row));
  return dvg_prepare_judge(&note, &j->framing, row);
}

static enum dvg_status find_bad(const struct job *j, int64_t *is_bad) {
  for (int64_t i = j->w->rank; i < j->n_rows; i += j->w->size) {
    struct dvg_image image = {0};
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    dvg_log_quiet(1); // they are counted
    enum dvg_status status = try_row(&image, j, j->rows[i]);
    dvg_log_quiet(0);
    dvg_image_free(&image);
    if (status != DVG_OK && status != DVG_ERROR_INPUT && status != DVG_ERROR_IO)
      return say_again(j, j->rows[i], status);
    is_bad[i] = status != DVG_OK;
  }
  return DVG_OK;
}

static enum dvg_status drop_bad(struct job *j, const int64_t *is_bad) {
  DVG_TRY(DVG_NEW(&j->bad, j->n_rows, "bad files"));
  int64_t n_good = 0, n_bad = 0;
  for (int64_t i = 0; i < j->n_rows; i++) {
    if (is_bad[i]) j->bad[n_bad++] = j->list.rows[j->rows[i]].path;
    else j->rows[n_good++] = j->rows[i];
  }
  j->n_rows = n_good;
  if (n_bad > 0 && j->w->rank == 0)
    dvg_warn("%lld of %lld files are bad and left out", (long long)n_bad, (long long)(n_good + n_bad));
  if (n_good > 0) return DVG_OK;
  return j->w->rank == 0 ? dvg_fail(DVG_ERROR_INPUT, "no good file is left") : DVG_ERROR_INPUT;
}

// Collective.
static enum dvg_status skip_bad(struct job *j) {
  int64_t *is_bad = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(j->w, DVG_NEW(&is_bad, j->n_rows, "bad files")));
  DVG_TRY_GOTO(dvg_world_agree(j->w, find_bad(j, is_bad)));
  dvg_world_sum(j->w, is_bad, j->n_rows);
  DVG_TRY_GOTO(dvg_world_agree(j->w, drop_bad(j, is_bad)));
done:
  dvg_free(&is_bad);
  return status;
}

// ---- the first image says what the others must be like

struct first {
  int64_t H, W, C, source_H, source_W, source_C;
};

static enum dvg_status look_at_first(struct first *f, const struct job *j) {
  struct dvg_image frame;
  struct dvg_prepare_note note;
  DVG_TRY(dvg_prepare_frame(&frame, &note, &j->framing, j->rows[0]));
  DVG_TRY(dvg_prepare_judge(&note, &j->framing, j->rows[0]));
  *f = (struct first){frame.H, frame.W, frame.C, note.H, note.W, note.C};
  dvg_image_free(&frame);
  return DVG_OK;
}

// Collective.
static enum dvg_status fix_frame(struct job *j) {
  struct first f = {0};
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? look_at_first(&f, j) : DVG_OK));
  dvg_world_broadcast(j->w, &f, sizeof f, 0);
  j->framing.first_row = j->rows[0];
  j->framing.first_H = f.source_H;
  j->framing.first_W = f.source_W;
  j->framing.first_C = f.source_C;
  j->H = f.H;
  j->W = f.W;
  j->C = f.C;
  j->record_bytes = sizeof(struct dvg_prepare_note) + (size_t)(f.H * f.W * f.C);
  return DVG_OK;
}

// ---- the columns, on rank 0

// People are numbered anew in order of first appearance: some may have lost all their images.
static enum dvg_status number_people(struct dvg_prepare_set *set, const struct job *j) {
  int64_t *number;
  DVG_TRY(DVG_NEW(&number, j->list.n_people, "numbers of people"));
  set->n_people = 0;
  for (int64_t i = 0; i < set->N; i++) {
    int64_t p = j->list.rows[j->rows[i]].identity;
    if (!number[p]) {
      set->person[set->n_people] = j->list.people[p];
      number[p] = ++set->n_people;
    }
    set->identity[i] = number[p] - 1;
  }
  dvg_free(&number);
  return DVG_OK;
}

static enum dvg_status fill_columns(struct job *j) {
  struct dvg_prepare_set *set = &j->set;
  DVG_TRY(dvg_prepare_set_create(set, j->n_rows, j->list.n_people, j->list.n_domains));
  set->H = j->H;
  set->W = j->W;
  set->C = j->C;
  set->has_landmarks = 1;
  for (int64_t i = 0; i < set->N; i++) {
    const struct dvg_list_row *row = &j->list.rows[j->rows[i]];
    set->domain[i] = (unsigned char)row->domain;
    set->name[i] = row->path;
    set->has_landmarks &= row->has_landmarks;
  }
  for (int64_t d = 0; d < set->n_domains; d++) set->domain_name[d] = j->list.domains[d];
  set->bad = j->bad;
  set->n_bad = j->list.n_rows - j->n_rows;
  return number_people(set, j);
}

static enum dvg_status begin(struct job *j, const struct dvg_lineage *l) {
  int64_t n_lonely;
  DVG_TRY(fill_columns(j));
  DVG_TRY(dvg_prepare_set_lonely(&n_lonely, &j->set));
  if (n_lonely > 0)
    dvg_warn("%lld of %lld people have images in one domain only: kept here, left out when the generator is "
             "trained",
             (long long)n_lonely, (long long)j->set.n_people);
  DVG_TRY(dvg_digest_begin(&j->sources));
  return dvg_prepare_begin(&j->writer, &j->set, j->s->out, j->s->sheet, l);
}

// ---- decoding and writing

static enum dvg_status decode_rows(void *records, int64_t first, int64_t count, void *context) {
  const struct job *j = context;
  for (int64_t i = 0; i < count; i++) {
    unsigned char *record = (unsigned char *)records + (size_t)i * j->record_bytes;
    struct dvg_prepare_note note;
    struct dvg_image frame;
    if (frame_quietly(&frame, &note, j, j->rows[first + i]) != DVG_OK) note.problem = DVG_PROBLEM_UNREADABLE;
    memcpy(record, &note, sizeof note);
    if (frame.pixels) memcpy(record + sizeof note, frame.pixels, (size_t)(frame.H * frame.W * frame.C));
    dvg_image_free(&frame);
  }
  return DVG_OK;
}

static enum dvg_status store_rows(int64_t first, int64_t count, const void *records, void *context) {
  struct job *j = context;
  for (int64_t i = 0; i < count; i++) {
    const unsigned char *record = (const unsigned char *)records + (size_t)i * j->record_bytes;
    struct dvg_prepare_note note;
    memcpy(&note, record, sizeof note);
    if (note.problem == DVG_PROBLEM_UNREADABLE) {
      j->unreadable = first + i;
      return DVG_ERROR_INPUT; // said by say_unreadable
    }
    DVG_TRY(dvg_prepare_judge(&note, &j->framing, j->rows[first + i]));
    DVG_TRY(dvg_prepare_put(&j->writer, record + sizeof note, note.landmarks));
    const char *name = j->set.name[first + i];
    DVG_TRY(dvg_digest_add(&j->sources, name, strlen(name)));
    DVG_TRY(dvg_digest_add(&j->sources, " ", 1));
    DVG_TRY(dvg_digest_add(&j->sources, note.digest, sizeof note.digest - 1));
    DVG_TRY(dvg_digest_add(&j->sources, "\n", 1));
  }
  return DVG_OK;
}

// Collective, after rank 0 has stored what could be stored.
static enum dvg_status say_unreadable(struct job *j, int64_t block, enum dvg_status status) {
  dvg_world_broadcast(j->w, &j->unreadable, sizeof j->unreadable, 0);
  if (j->unreadable >= 0 && j->unreadable / block % j->w->size == j->w->rank)
    status = say_again(j, j->rows[j->unreadable], status);
  return dvg_world_agree(j->w, status);
}

// The lineage is the files, not the list that named them: a list and a folder of the same files give the same
// artifact.
static enum dvg_status end(struct job *j, double started) {
  char digest[DVG_DIGEST_TEXT], name[40];
  DVG_TRY(dvg_digest_end(&j->sources, digest));
  snprintf(name, sizeof name, "%lld-files", (long long)j->n_rows);
  DVG_TRY(dvg_artifact_add_input(j->writer.file, "source", name, digest));
  return dvg_prepare_end(&j->writer, started);
}

static enum dvg_status run_job(struct job *j, const struct dvg_lineage *l) {
  double started = dvg_seconds();
  DVG_TRY(dvg_world_root_first(j->w, read_list, j));
  DVG_TRY(dvg_world_agree(j->w, take_all_rows(j)));
  DVG_TRY(dvg_prepare_folders(j->w, j->s->out, j->s->sheet));
  DVG_TRY(j->s->skip_bad ? skip_bad(j) : check_files(j));
  DVG_TRY(fix_frame(j));
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? begin(j, l) : DVG_OK));
  struct dvg_ordered_work work = {.n_items = j->n_rows,
                                  .block = dvg_prepare_block(j->record_bytes, MOST_AT_ONCE),
                                  .record_bytes = j->record_bytes,
                                  .compute = decode_rows,
                                  .consume = store_rows,
                                  .context = j,
                                  .what = "images"};
  DVG_TRY(say_unreadable(j, work.block, dvg_distribute_ordered(j->w, &work)));
  return dvg_world_agree(j->w, j->w->rank == 0 ? end(j, started) : DVG_OK);
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w, int align) {
  struct job j = {.s = o->values, .w = w, .unreadable = -1};
  struct dvg_lineage l;
  dvg_log_quiet(w->rank != 0); // all ranks have the same settings
  enum dvg_status status = check_settings(j.s, align);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(w, status));
  DVG_TRY(dvg_world_agree(w, dvg_lineage_init(&l, o)));
  j.framing = (struct dvg_prepare_framing){.list = &j.list,
                                           .size = j.s->size,
                                           .resize = j.s->resize,
                                           .fit = (enum dvg_prepare_fit)j.s->fit,
                                           .channels = (enum dvg_prepare_channels)j.s->channels,
                                           .align = align};
  status = run_job(&j, &l);
  dvg_prepare_drop(&j.writer);
  dvg_digest_drop(&j.sources);
  dvg_prepare_set_free(&j.set);
  dvg_list_free(&j.list);
  dvg_free(&j.rows);
  dvg_free(&j.bad);
  dvg_lineage_free(&l);
  return status;
}

static enum dvg_status run_pack(const struct dvg_options *o, const struct dvg_world *w) {
  return run(o, w, 0);
}
static enum dvg_status run_align(const struct dvg_options *o, const struct dvg_world *w) {
  return run(o, w, 1);
}

const struct dvg_stage dvg_prepare_pack = {.program = "dvg-prepare pack",
                                           .summary = "packs image files into an images file",
                                           .options = pack_options,
                                           .settings_bytes = sizeof(struct settings),
                                           .run = run_pack};
const struct dvg_stage dvg_prepare_align = {.program = "dvg-prepare align",
                                            .summary = "cuts faces out by their landmarks, into an images file",
                                            .options = align_options,
                                            .settings_bytes = sizeof(struct settings),
                                            .run = run_align};
