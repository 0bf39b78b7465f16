// Must be reported as failed: rank 1 alone fails, in one of two tests.
#include "tests/check.h"

static void is_fine(void) {
  CU_ASSERT_TRUE(1);
}
static void fails_on_rank_1(void) {
  CU_ASSERT_NOT_EQUAL(dvg_test_world()->rank, 1);
}

const struct dvg_test dvg_tests[] = {{"is fine", is_fine}, {"fails on rank 1", fails_on_rank_1}, {NULL, NULL}};
