// The spread of identities: mean and deviation of their cosines by hand, and when two spreads are alike.
#include "stages/train_sampler/spread.h"
#include "tests/check.h"

// Three unit vectors with the cosines 0, 0.6 and 0.8: mean 1.4/3, mean square 1/3.
static void by_hand(void) {
  const float x[3 * 2] = {1, 0, 0, 1, 0.6f, 0.8f};
  struct dvg_spread s;
  CHECK_OK(dvg_spread_of(&s, x, 3, 2));
  const float got[2] = {(float)s.mean, (float)s.deviation};
  const double want[2] = {0.466666666666667, 0.339934634239519};
  CHECK_CLOSE("mean and deviation", got, want, 2, 1e-6);
}

static void near(void) {
  const struct dvg_spread real = {.mean = 0.1, .deviation = 0.2};
  const struct dvg_spread like = {.mean = 0.115, .deviation = 0.203}, wide = {.mean = 0.1, .deviation = 0.21};
  const struct dvg_spread alike = {.mean = 0.6, .deviation = 0.2}; // collapsed: all samples one person
  CU_ASSERT_TRUE(dvg_spread_is_near(&real, &real, 0.02));
  CU_ASSERT_TRUE(dvg_spread_is_near(&like, &real, 0.02));
  CU_ASSERT_FALSE(dvg_spread_is_near(&like, &real, 0.01));
  CU_ASSERT_FALSE(dvg_spread_is_near(&wide, &real, 0.02));
  CU_ASSERT_FALSE(dvg_spread_is_near(&alike, &real, 0.02));
  CU_ASSERT_FALSE(dvg_spread_is_near(&like, &real, 0));
}

const struct dvg_test dvg_tests[] = {{"by hand", by_hand}, {"near", near}, {NULL, NULL}};
