// Identities, real and sampled: their spread, the numbers of the report by hand, who is held out.
#include <math.h>

#include "stages/train_sampler/report.h"
#include "stages/train_sampler/split.h"
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

// Unit vectors of a plane, at these degrees.
static struct dvg_identities on_circle(float *x, const double *degrees, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    x[2 * i] = (float)cos(degrees[i] * 3.14159265358979 / 180);
    x[2 * i + 1] = (float)sin(degrees[i] * 3.14159265358979 / 180);
  }
  return (struct dvg_identities){x, n};
}

static void check_number(const char *what, double got, double want) {
  float value = (float)got;
  CHECK_CLOSE(what, &value, &want, 1, 1e-6);
}

// Real ones at 0, 10 ... 60 degrees: the nearest other is 10 away, the 5th nearest 50, 40, 30, 30, 30, 40, 50.
// A sample at -45 covers those at 0 alone; training identities at 5 and 200 are 5, 5, 15 ... 55 away.
static void report_by_hand(void) {
  const double degrees[7] = {0, 10, 20, 30, 40, 50, 60}, far[2] = {-45, -60}, trained[2] = {5, 200};
  const double to_radians = 3.14159265358979 / 180;
  float x[14], y[4], z[4];
  struct dvg_identities real = on_circle(x, degrees, 7), sampled = on_circle(y, far, 2),
                        training = on_circle(z, trained, 2);
  struct dvg_identity_report r;
  CHECK_OK(dvg_identity_report_of(&r, real, sampled, training, 2));
  const struct dvg_identity_kind *a = &r.kind[0], *b = &r.kind[1];
  check_number("nearest real", a->nearest_mean, cos(10 * to_radians));
  check_number("nearest sample", b->nearest_largest, cos(15 * to_radians));
  double sum = cos(5 * to_radians);
  for (int i = 0; i < 6; i++) sum += cos((5 + 10 * i) * to_radians);
  check_number("nearest trained, mean", a->training_mean, sum / 7);
  check_number("nearest trained, largest", a->training_largest, cos(5 * to_radians));
  check_number("nearest trained, sampled", b->training_largest, cos(50 * to_radians));
  check_number("coverage by samples", b->coverage, 1.0 / 7);
  check_number("coverage by training", a->coverage, 4.0 / 7); // not those at 40 (35 away, 30 are allowed), 50, 60
  // In a plane the variances sum up to 1 - |mean|^2.
  double c = 0, s = 0;
  for (int i = 0; i < 7; i++) c += cos(degrees[i] * to_radians) / 7, s += sin(degrees[i] * to_radians) / 7;
  check_number("variance", a->variance[0] + a->variance[1], 1 - c * c - s * s);
  CU_ASSERT(a->variance[0] > 10 * a->variance[1]);
  // The first direction is across the mean, at 30 degrees: along 120.
  double p = cos((-45 - 120) * to_radians), q = cos((-60 - 120) * to_radians);
  check_number("variance of samples", b->variance[0], (p - q) * (p - q) / 4);
  check_number("directions of two", b->directions, 1);
  dvg_identity_report_free(&r);
  CHECK_OK(dvg_identity_report_of(&r, real, sampled, real, 2)); // nothing held out
  check_number("nearest trained is another", r.kind[0].training_largest, cos(10 * to_radians));
  CU_ASSERT_EQUAL(r.kind[0].coverage, 1);
  dvg_identity_report_free(&r);
}

// Of eight samples against seven real ones each is compared with six others, those that follow: not with the one before it.
static void as_many_others(void) {
  const double real_at[7] = {0, 10, 20, 30, 40, 50, 60}, at[8] = {0, 10, 40, 90, 150, 200, 250, 300};
  const double to_radians = 3.14159265358979 / 180;
  float x[14], y[16];
  struct dvg_identities real = on_circle(x, real_at, 7), sampled = on_circle(y, at, 8);
  struct dvg_identity_report r;
  CHECK_OK(dvg_identity_report_of(&r, real, sampled, real, 2));
  check_number("the next one", r.kind[1].nearest[0], cos(10 * to_radians));
  check_number("not the one before", r.kind[1].nearest[1], cos(30 * to_radians));
  check_number("the one before that", r.kind[1].nearest[2], cos(40 * to_radians));
  dvg_identity_report_free(&r);
}

// A row is of one side or the other with all of its person's, whatever the order of the features.
static void split_by_people(void) {
  enum { N = 60, PEOPLE = 20 };
  int64_t identity[N], turned[N];
  int held[PEOPLE] = {0};
  struct dvg_split s, t;
  for (int i = 0; i < N; i++) identity[i] = 1000 - 7 * (i % PEOPLE), turned[N - 1 - i] = identity[i];
  CHECK_OK(dvg_split_of(&s, identity, N, 0.25, 3));
  CU_ASSERT(s.n_people[0] == 15 && s.n_people[1] == 5 && s.n_items == 45);
  for (int k = 0; k < 5; k++) held[s.people[1][k] % PEOPLE] = 1;
  for (int k = 0; k < 45; k++) CU_ASSERT(!held[s.item[k] % PEOPLE] && (k == 0 || s.item[k] > s.item[k - 1]));
  CHECK_OK(dvg_split_of(&t, turned, N, 0.25, 3));
  for (int k = 0; k < 5; k++) CU_ASSERT(held[(N - 1 - t.people[1][k]) % PEOPLE]);
  dvg_split_free(&t);
  CHECK_OK(dvg_split_of(&t, identity, N, 0.25, 4));
  int n_same = 0;
  for (int k = 0; k < 5; k++) n_same += held[t.people[1][k] % PEOPLE];
  CU_ASSERT(n_same < 5); // another seed, other people
  dvg_split_free(&t), dvg_split_free(&s);
  CHECK_OK(dvg_split_of(&s, identity, N, 0, 3));
  CU_ASSERT(s.n_items == N && s.n_people[0] == PEOPLE && s.n_people[1] == 0 && s.people[0][19] == 19);
  dvg_split_free(&s);
}

const struct dvg_test dvg_tests[] = {{"by hand", by_hand},
                                     {"near", near},
                                     {"as many others", as_many_others},
                                     {"report by hand", report_by_hand},
                                     {"split by people", split_by_people},
                                     {NULL, NULL}};
