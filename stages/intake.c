#include "stages/intake.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { MAX_WHERE = 4096 };

struct opening {
  struct dvg_source *source;
  const struct dvg_source_choice *choice;
};

static enum dvg_status open_source(void *context) {
  struct opening *o = context;
  return dvg_source_open(o->source, o->choice);
}

enum dvg_status dvg_intake_open(struct dvg_intake *in, const struct dvg_world *w,
                                const struct dvg_source_choice *choice) {
  *in = (struct dvg_intake){.w = w};
  struct opening o = {&in->source, choice};
  DVG_TRY(dvg_world_root_first(w, open_source, &o));
  enum dvg_status status = dvg_world_agree(w, DVG_NEW(&in->items, in->source.N, "items"));
  if (status == DVG_OK) {
    in->n_items = in->source.N;
    for (int64_t i = 0; i < in->n_items; i++) in->items[i] = i;
    in->framing.source = &in->source;
  }
  return status;
}

void dvg_intake_close(struct dvg_intake *in) {
  dvg_source_close(&in->source);
  dvg_free(&in->items);
  dvg_free(&in->bad);
  dvg_free(&in->sizes);
}

// ---- files that are not there

static enum dvg_status say_missing(const struct dvg_intake *in, int64_t item, int cause, int64_t n_missing) {
  char where[MAX_WHERE], others[64] = "";
  dvg_source_where(where, sizeof where, &in->source, item);
  if (n_missing > 1) snprintf(others, sizeof others, " (%lld more can't be read)", (long long)n_missing - 1);
  return dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s%s", where, strerror(cause), others);
}

// Collective.
static enum dvg_status look_at_files(struct dvg_intake *in) {
  const struct dvg_world *w = in->w;
  int64_t n_missing = 0, mine = INT64_MAX;
  int cause = 0;
  DVG_TRY(dvg_world_agree(w, DVG_NEW(&in->sizes, in->n_items, "sizes of files")));
  for (int64_t i = w->rank; i < in->n_items; i += w->size) {
    int c = dvg_source_probe(&in->sizes[i], &in->source, in->items[i]);
    if (!c) continue;
    n_missing++;
    if (mine == INT64_MAX) {
      mine = i;
      cause = c;
    }
  }
  int64_t first = -dvg_world_max(w, -mine);
  dvg_world_sum(w, &n_missing, 1);
  dvg_world_sum(w, in->sizes, in->n_items);
  return dvg_world_agree(w, n_missing > 0 && first == mine ? say_missing(in, in->items[mine], cause, n_missing)
                                                           : DVG_OK);
}

// ---- files that can't be decoded or aligned

enum dvg_status dvg_intake_frame(struct dvg_image *frame, struct dvg_frame_note *note,
                                 const struct dvg_intake *in, int64_t item) {
  dvg_log_quiet(1);
  enum dvg_status status = dvg_frame_make(frame, note, &in->framing, item);
  dvg_log_quiet(0);
  return status;
}

enum dvg_status dvg_intake_say(const struct dvg_intake *in, int64_t item, enum dvg_status met) {
  struct dvg_image frame;
  struct dvg_frame_note note;
  char where[MAX_WHERE];
  DVG_TRY(dvg_frame_make(&frame, &note, &in->framing, item));
  dvg_image_free(&frame);
  DVG_TRY(dvg_frame_judge(&note, &in->framing, item));
  dvg_source_where(where, sizeof where, &in->source, item);
  return dvg_fail(met, "%s: could not be read at first, but then could", where);
}

// ---- --skip-bad: all files are decoded twice, first to see which are bad

// Whether anything can come of an item: as soon as its file is decoded, unless it is to be aligned.
static enum dvg_status try_item(struct dvg_image *image, const struct dvg_intake *in, int64_t item) {
  struct dvg_frame_note note;
  if (in->framing.fit != DVG_FIT_LANDMARKS) return dvg_frame_decode(image, &note, &in->framing, item);
  DVG_TRY(dvg_frame_make(image, &note, &in->framing, item));
  return dvg_frame_judge(&note, &in->framing, item);
}

static enum dvg_status find_bad(const struct dvg_intake *in, int64_t *is_bad) {
  for (int64_t i = in->w->rank; i < in->n_items; i += in->w->size) {
    struct dvg_image image = {0};
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    dvg_log_quiet(1); // they are counted
    enum dvg_status status = try_item(&image, in, in->items[i]);
    dvg_log_quiet(0);
    dvg_image_free(&image);
    if (status != DVG_OK && status != DVG_ERROR_INPUT && status != DVG_ERROR_IO)
      return dvg_intake_say(in, in->items[i], status);
    is_bad[i] = status != DVG_OK;
  }
  return DVG_OK;
}

static enum dvg_status drop_bad(struct dvg_intake *in, const int64_t *is_bad) {
  DVG_TRY(DVG_NEW(&in->bad, in->n_items, "bad files"));
  int64_t n_good = 0;
  for (int64_t i = 0; i < in->n_items; i++) {
    if (is_bad[i]) in->bad[in->n_bad++] = in->items[i];
    else in->items[n_good++] = in->items[i];
  }
  in->n_items = n_good;
  if (in->n_bad > 0 && in->w->rank == 0)
    dvg_warn("%lld of %lld files are bad and left out", (long long)in->n_bad, (long long)(n_good + in->n_bad));
  if (n_good > 0) return DVG_OK;
  return in->w->rank == 0 ? dvg_fail(DVG_ERROR_INPUT, "no good file is left") : DVG_ERROR_INPUT;
}

// Collective.
static enum dvg_status leave_bad_out(struct dvg_intake *in) {
  int64_t *is_bad = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(in->w, DVG_NEW(&is_bad, in->n_items, "bad files")));
  DVG_TRY_GOTO(dvg_world_agree(in->w, find_bad(in, is_bad)));
  dvg_world_sum(in->w, is_bad, in->n_items);
  DVG_TRY_GOTO(dvg_world_agree(in->w, drop_bad(in, is_bad)));
done:
  dvg_free(&is_bad);
  return status;
}

// All ranks have the same landmarks: rank 0 looks.
static enum dvg_status look_at_landmarks(const struct dvg_intake *in) {
  const struct dvg_frame_note note = {.problem = DVG_PROBLEM_LANDMARKS};
  for (int64_t i = 0; i < in->n_items; i++)
    if (!dvg_frame_has_landmarks(&in->framing, in->items[i]))
      return dvg_frame_judge(&note, &in->framing, in->items[i]);
  return DVG_OK;
}

enum dvg_status dvg_intake_check(struct dvg_intake *in, int skip_bad) {
  if (skip_bad) DVG_TRY(leave_bad_out(in));
  DVG_TRY(look_at_files(in));
  int look = in->framing.fit == DVG_FIT_LANDMARKS && in->w->rank == 0;
  return dvg_world_agree(in->w, look ? look_at_landmarks(in) : DVG_OK);
}
