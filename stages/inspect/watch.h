// dvg-inspect --watch: how a run goes, as a page of text that is drawn again and again. One process, which only reads.
#ifndef DVG_STAGES_INSPECT_WATCH_H
#define DVG_STAGES_INSPECT_WATCH_H

#include <stdio.h>

#include "stages/inspect/inspect.h"
#include "stages/inspect/run_scan.h"

struct dvg_page {
  int width;  // columns; 0: as wide as it comes
  int ascii;  // no other characters than these
  int colour; // with escape sequences of a terminal
};

// The page: a line a stage in pipeline order with progress, speed and time to go, below it the losses of a training. Foreign text in it can't reach
// the terminal.
DVG_CHECKED enum dvg_status dvg_watch_draw(FILE *to, const struct dvg_run *r, const struct dvg_page *page);

// Not collective. Draws the page of s->file on standard output every s->interval seconds until q, SIGINT or SIGTERM; once where `once` or s->once says
// so or standard input or output is no terminal. DVG_ERROR_IO for a folder that can't be read at first; one that vanishes later is waited for.
DVG_CHECKED enum dvg_status dvg_watch_run(const struct dvg_inspect *s, int once);

#endif
