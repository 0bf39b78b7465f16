// dvg-prepare pack and align: images of any source, decoded by all ranks, written by one.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/distribute.h"
#include "stages/intake.h"
#include "stages/prepare/prepare.h"

enum { MOST_AT_ONCE = 16, ALIGNED = 144 };

struct settings {
  char *list, *folder, *rec, *tar, *images, *landmarks, *domains, *where, *out, *sheet;
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
    DVG_SOURCE_OPTIONS(struct settings),
    LIST_OPTIONS,
    DVG_OPTION_INT(struct settings, size, "size", "0", 0, 4096,
                   "pixels of a side; 0: as the images are, when aligning 144"),
    DVG_OPTION_CHOICE(
        struct settings, fit, "fit", "none", DVG_FIT_CHOICES,
        "what to do with images of another size; none: an error; resize: averages or interpolates; "
        "arcface-112: align ArcFace's crops; landmarks: align by the list's"),
    DVG_OPTION_INT(struct settings, resize, "resize", "0", 0, 4096,
                   "then scale to this side (144 to 72: for nets of 64 pixels); 0: don't"),
    IMAGE_OPTIONS,
    DVG_OPTION_END};

static const struct dvg_option align_options[] = {
    DVG_SOURCE_OPTIONS(struct settings), LIST_OPTIONS,
    DVG_OPTION_INT(struct settings, size, "size", "144", 16, 4096,
                   "pixels of a side (144: the recogniser's frame; 72: that of nets for 64 pixels)"),
    IMAGE_OPTIONS, DVG_OPTION_END};

struct job {
  const struct settings *s;
  const struct dvg_world *w;
  struct dvg_intake in;
  int64_t H, W, C;
  size_t record_bytes; // a note, then the pixels
  // rank 0
  struct dvg_prepare_set set;
  struct dvg_prepare_writer writer;
  struct dvg_digest sources; // of the lines "sha256\n" of all files
  char **names, **bad;
  int64_t unreadable; // index into items of the first one that could not be decoded or aligned; -1: none
};

// ---- before computing

static enum dvg_fit fit_of(const struct settings *s, int align) {
  return align || *s->landmarks ? DVG_FIT_LANDMARKS : (enum dvg_fit)s->fit;
}

static enum dvg_status check_settings(const struct settings *s, int align) {
  if (*s->landmarks && s->fit != DVG_FIT_NONE && s->fit != DVG_FIT_LANDMARKS)
    return dvg_fail(DVG_ERROR_USAGE, "--landmarks aligns: --fit must be landmarks, or be left out");
  if (!align && (s->fit == DVG_FIT_CENTER_CROP || s->fit == DVG_FIT_RESIZE) && s->size == 0)
    return dvg_fail(DVG_ERROR_USAGE, "--fit %s needs --size",
                    s->fit == DVG_FIT_RESIZE ? "resize" : "center-crop");
  return DVG_OK;
}

// Collective.
static enum dvg_status open_source(struct job *j, int align) {
  const struct settings *s = j->s;
  const struct dvg_source_choice choice = {.images = s->images,
                                           .list = s->list,
                                           .folder = s->folder,
                                           .rec = s->rec,
                                           .tar = s->tar,
                                           .filter = {.domains = s->domains, .where = s->where},
                                           .landmarks = s->landmarks};
  DVG_TRY(dvg_intake_open(&j->in, j->w, &choice));
  struct dvg_framing *f = &j->in.framing;
  f->fit = fit_of(s, align);
  f->size = s->size == 0 && f->fit >= DVG_FIT_ARCFACE ? ALIGNED : s->size;
  f->resize = s->resize;
  f->channels = (enum dvg_channels)s->channels;
  return DVG_OK;
}

// ---- the first image says what the others must be like

struct first {
  int64_t H, W, C, source_H, source_W, source_C;
};

static enum dvg_status look_at_first(struct first *f, const struct job *j) {
  struct dvg_image frame;
  struct dvg_frame_note note;
  DVG_TRY(dvg_frame_make(&frame, &note, &j->in.framing, j->in.items[0]));
  DVG_TRY(dvg_frame_judge(&note, &j->in.framing, j->in.items[0]));
  *f = (struct first){frame.H, frame.W, frame.C, note.H, note.W, note.C};
  dvg_image_free(&frame);
  return DVG_OK;
}

// Collective.
static enum dvg_status fix_frame(struct job *j) {
  struct first f = {0};
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? look_at_first(&f, j) : DVG_OK));
  dvg_world_broadcast(j->w, &f, sizeof f, 0);
  j->in.framing.first_item = j->in.items[0];
  j->in.framing.first_H = f.source_H;
  j->in.framing.first_W = f.source_W;
  j->in.framing.first_C = f.source_C;
  j->H = f.H;
  j->W = f.W;
  j->C = f.C;
  j->record_bytes = sizeof(struct dvg_frame_note) + (size_t)(f.H * f.W * f.C);
  return DVG_OK;
}

// ---- the columns, on rank 0

// People are numbered anew in order of first appearance: some may have lost all their images.
static enum dvg_status number_people(struct dvg_prepare_set *set, const struct job *j) {
  int64_t *number;
  const struct dvg_source *source = &j->in.source;
  DVG_TRY(DVG_NEW(&number, source->n_people, "numbers of people"));
  set->n_people = 0;
  for (int64_t i = 0; i < set->N; i++) {
    int64_t p = source->identity[j->in.items[i]];
    if (!number[p]) {
      set->person[set->n_people] = source->person[p];
      number[p] = ++set->n_people;
    }
    set->identity[i] = number[p] - 1;
  }
  dvg_free(&number);
  return DVG_OK;
}

static enum dvg_status fill_columns(struct job *j) {
  struct dvg_prepare_set *set = &j->set;
  const struct dvg_source *source = &j->in.source;
  DVG_TRY(dvg_prepare_set_create(set, j->in.n_items, source->n_people, source->n_domains));
  DVG_TRY(dvg_source_names(&j->names, source, j->in.items, j->in.n_items));
  DVG_TRY(dvg_source_names(&j->bad, source, j->in.bad, j->in.n_bad));
  set->H = j->H;
  set->W = j->W;
  set->C = j->C;
  set->has_landmarks = source->landmarks != NULL;
  for (int64_t i = 0; i < set->N; i++) {
    int64_t item = j->in.items[i];
    set->domain[i] = source->domain[item];
    set->name[i] = j->names[i];
    set->has_landmarks = set->has_landmarks && source->has_landmarks[item];
  }
  for (int64_t d = 0; d < set->n_domains; d++) set->domain_name[d] = source->domain_name[d];
  set->names_aside = 1;
  set->bad = j->bad;
  set->n_bad = j->in.n_bad;
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
    struct dvg_frame_note note;
    struct dvg_image frame;
    if (dvg_intake_frame(&frame, &note, &j->in, j->in.items[first + i]) != DVG_OK)
      note.problem = DVG_PROBLEM_UNREADABLE;
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
    struct dvg_frame_note note;
    memcpy(&note, record, sizeof note);
    if (note.problem == DVG_PROBLEM_UNREADABLE) {
      j->unreadable = first + i;
      return DVG_ERROR_INPUT; // said by say_unreadable
    }
    DVG_TRY(dvg_frame_judge(&note, &j->in.framing, j->in.items[first + i]));
    DVG_TRY(dvg_prepare_put(&j->writer, record + sizeof note, note.landmarks));
    DVG_TRY(dvg_digest_add(&j->sources, note.digest, sizeof note.digest - 1));
    DVG_TRY(dvg_digest_add(&j->sources, "\n", 1));
  }
  return DVG_OK;
}

// Collective, after rank 0 has stored what could be stored.
static enum dvg_status say_unreadable(struct job *j, int64_t block, enum dvg_status status) {
  dvg_world_broadcast(j->w, &j->unreadable, sizeof j->unreadable, 0);
  if (j->unreadable >= 0 && j->unreadable / block % j->w->size == j->w->rank)
    status = dvg_intake_say(&j->in, j->in.items[j->unreadable], status);
  return dvg_world_agree(j->w, status);
}

// The lineage is the files, not what named or held them: a list, a folder, a RecordIO file and tar shards of
// the same files give the same content digest.
static enum dvg_status end(struct job *j, double started) {
  char digest[DVG_DIGEST_TEXT], name[40];
  DVG_TRY(dvg_digest_end(&j->sources, digest));
  snprintf(name, sizeof name, "%lld-files", (long long)j->in.n_items);
  DVG_TRY(dvg_artifact_add_input(j->writer.file, "source", name, digest));
  return dvg_prepare_end(&j->writer, started);
}

static enum dvg_status run_job(struct job *j, const struct dvg_lineage *l, int align) {
  double started = dvg_seconds();
  DVG_TRY(open_source(j, align));
  DVG_TRY(dvg_prepare_folders(j->w, j->s->out, j->s->sheet));
  DVG_TRY(dvg_intake_check(&j->in, (int)j->s->skip_bad));
  DVG_TRY(fix_frame(j));
  DVG_TRY(dvg_world_agree(j->w, j->w->rank == 0 ? begin(j, l) : DVG_OK));
  struct dvg_ordered_work work = {.n_items = j->in.n_items,
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
  status = run_job(&j, &l, align);
  dvg_prepare_drop(&j.writer);
  dvg_digest_drop(&j.sources);
  dvg_prepare_set_free(&j.set);
  dvg_intake_close(&j.in);
  dvg_free(&j.names);
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
