// Ends in the way its argument names, on rank 1 alone where there is one: for tests/fail/world.sh, which looks
// at exit code, time and message.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "mpi/world.h"

int main(int argc, char **argv) {
  struct dvg_world w;
  dvg_world_init(&w, "ends", &argc, &argv);
  const char *how = argc > 1 ? argv[1] : "";
  int chosen = w.rank == (w.size > 1 ? 1 : 0);
  enum dvg_status status = DVG_OK;
  if (strcmp(how, "abort") == 0) {
    if (chosen) dvg_world_abort(&w, DVG_ERROR_IO, "the disk is gone");
    dvg_world_barrier(&w); // the others wait for what never comes
  } else if (strcmp(how, "abort-with-nothing") == 0) {
    if (chosen) dvg_world_abort(&w, DVG_OK, "no reason");
    dvg_world_barrier(&w);
  } else if (strcmp(how, "error") == 0) {
    if (chosen) status = dvg_fail(DVG_ERROR_INPUT, "file.png: broken");
  } else if (strcmp(how, "stopped") == 0) {
    if (chosen) status = DVG_STOPPED;
  } else if (strcmp(how, "odd-status") == 0) {
    status = (enum dvg_status)256; // must not become exit code 0
  } else if (strcmp(how, "wait-for-signal") == 0) {
    dvg_info("waiting");
    while (!dvg_world_stop_requested(&w)) continue;
    status = DVG_STOPPED;
  }
  return dvg_world_finish(&w, status);
}
