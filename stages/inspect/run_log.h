// What a training's log.jsonl says (stages/trainer.h), read beside the one who writes it: lines that are cut
// short or no JSON are left out, a step that comes again after a restart counts once. One process; nothing is
// locked or written.
#ifndef DVG_STAGES_INSPECT_RUN_LOG_H
#define DVG_STAGES_INSPECT_RUN_LOG_H

#include <stdint.h>

#include "common/base/status.h"

enum { DVG_LOG_PHASES = 16, DVG_LOG_TERMS = 32, DVG_LOG_NAME = 64 };

struct dvg_log_point {
  int64_t step;
  double loss, rate,
      seconds; // seconds since its run began, which may be a later one than that of the point before
};

struct dvg_log_term {
  char name[DVG_LOG_NAME];
  double *value; // (n of the phase) NaN: not in this line
};

struct dvg_log_phase {
  char name[DVG_LOG_NAME];
  int64_t n, of; // points; steps to be done, by the last line
  struct dvg_log_point *point;
  int n_terms;
  struct dvg_log_term term[DVG_LOG_TERMS];
};

struct dvg_run_log {
  int n_phases;
  struct dvg_log_phase phase[DVG_LOG_PHASES];
  int64_t n_bad; // whole lines that are no log lines
  int cut;       // only the file's end was read
};

// Not collective. Reads the last `most_bytes` of the file. What isn't there or can't be read leaves the log
// empty; only a lack of memory is an error. Free with dvg_run_log_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_run_log_read(struct dvg_run_log *log, const char *path, int64_t most_bytes);
void dvg_run_log_free(struct dvg_run_log *log);

// Steps a second lately, over the last few points of the run that wrote the last one; NaN where these don't
// tell.
double dvg_log_speed(const struct dvg_log_phase *p);
// Seconds of all runs that the phase took, as far as it was read.
double dvg_log_seconds(const struct dvg_log_phase *p);

#endif
