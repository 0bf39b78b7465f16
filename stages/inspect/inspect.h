// dvg-inspect: what a file or a sharded set is, where it came from, whether it is intact, what it looks like; and
// its way out to others. Of a run folder: how it goes (watch.h), and a page on all of it (html_report.h).
#ifndef DVG_STAGES_INSPECT_INSPECT_H
#define DVG_STAGES_INSPECT_INSPECT_H

#include "stages/stage.h"

struct dvg_inspect {
  const char *file, *sheet, *out, *where, *scores, *report;
  int64_t verify, list, json, watch, once;
  int64_t first, people, per_person, rows, columns;
  int64_t export, quality;
  double interval;
};

extern const struct dvg_stage dvg_stage_inspect;

// The whole program. Takes the path also as a bare argument, and keeps the table of settings, which every
// other program begins with, to itself: standard output is the answer, and with --json nothing but JSON.
int dvg_inspect_main(int argc, char **argv);

// Collective.
enum dvg_status dvg_inspect_run(const struct dvg_options *o, const struct dvg_world *w);

#endif
