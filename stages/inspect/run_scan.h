// What a run folder holds, looked at beside those who write in it: the folder itself and one level below.
// Everything is only read, nothing is locked or waited for; a file that vanishes or is half there counts as not
// there yet. One process.
//
// A folder with log.jsonl or a checkpoint is a training; with index.h5, request.h5 or shards a set of features
// or pairs; with evaluation.h5 an evaluation (of several folds: each fold is one); with dvg.lock alone what its
// program makes. Elsewhere each *.h5 of images or weights is one.
#ifndef DVG_STAGES_INSPECT_RUN_SCAN_H
#define DVG_STAGES_INSPECT_RUN_SCAN_H

#include <stdint.h>

#include "common/base/digest.h"
#include "common/base/status.h"
#include "io/lock.h"
#include "stages/inspect/run_log.h"

enum dvg_run_kind {
  DVG_RUN_IMAGES,
  DVG_RUN_WEIGHTS,
  DVG_RUN_TRAINING,
  DVG_RUN_FEATURES,
  DVG_RUN_PAIRS,
  DVG_RUN_EVALUATION,
  DVG_RUN_OTHER
};
enum dvg_run_state { DVG_RUN_RUNNING, DVG_RUN_DONE, DVG_RUN_STOPPED };
enum { DVG_RUN_MOST = 512 };

struct dvg_run_stage {
  char *name, *path; // the name is that within the run folder; the path opens it
  enum dvg_run_kind kind;
  enum dvg_run_state state;
  char *program, *settings,
      *inputs;  // as its artifact has them; "" where there is none yet. The program also from the lock
  char *result; // the training's file of weights, without folder; ""
  char digest[DVG_DIGEST_TEXT]; // of what others are made from; "" while there is none
  int n_locks;                  // of runs and parts, dead ones too
  struct dvg_lock_holder holder;
  int64_t done, total;        // steps of a training's present phase; shards' items; images; probes; -1: unknown
  int64_t people;             // of images; -1
  double seconds, speed, eta; // of work, a second, to go; NaN: unknown
  int64_t ranks;              // 0: unknown
  int64_t changed;            // when something in it was written last, seconds since 1970; 0: unknown
  struct dvg_run_log log;     // of a training
};

struct dvg_run_edge {
  int64_t from, to; // stages; from -1: something that is not in the run
  char *role, *name, *digest;
};

struct dvg_run {
  char *folder, *name;  // as given; its last part, also where it was given as "." or "x/.."
  int64_t n, n_edges; // stages in the order in which they follow from each other
  struct dvg_run_stage *stage;
  struct dvg_run_edge *edge; // by `to`
  int64_t n_left_out;        // beyond DVG_RUN_MOST
  int64_t changed;
};

// Not collective. DVG_ERROR_IO when the folder itself can't be read, DVG_ERROR_INPUT when there is nothing of
// ours in it. `log_bytes`: how much of each log's end is read. Free with dvg_run_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_run_scan(struct dvg_run *r, const char *folder, int64_t log_bytes);
void dvg_run_free(struct dvg_run *r);

// "images", "steps", "items", "pairs", "probes": what `done` and `total` count; "" for the rest.
const char *dvg_run_unit(enum dvg_run_kind kind);
// "done", "running", "stopped".
const char *dvg_run_state_name(enum dvg_run_state state);

#endif
