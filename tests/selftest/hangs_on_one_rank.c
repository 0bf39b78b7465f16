// Must be reported as failed: rank 1 never comes back.
#include <unistd.h>

#include "tests/check.h"

static void hangs_on_rank_1(void) {
  while (dvg_test_world()->rank == 1) pause();
}

const struct dvg_test dvg_tests[] = {{"hangs on rank 1", hangs_on_rank_1}, {NULL, NULL}};
