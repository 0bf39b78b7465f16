// Must be reported as failed: rank 1 dies in the second test.
#include <stdlib.h>

#include "tests/check.h"

static void is_fine(void) {
  CU_ASSERT_TRUE(1);
}
static void crashes_on_rank_1(void) {
  if (dvg_test_world()->rank == 1) abort();
}

const struct dvg_test dvg_tests[] = {
    {"is fine", is_fine}, {"crashes on rank 1", crashes_on_rank_1}, {NULL, NULL}};
