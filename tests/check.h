// What the unit and MPI tests are written with: CUnit's assertions, a comparator for arrays, one table of tests a file.
//
//     static void adds(void) { CU_ASSERT_EQUAL(1 + 1, 2); }
//     const struct dvg_test dvg_tests[] = {{"adds", adds}, {NULL, NULL}};
//
// Each file is one program. Under tests/unit it runs in one process; under tests/mpi it runs on every rank, failures are summed over
// ranks, and rank 0 alone prints (use no _FATAL assertion there: it leaves the other ranks waiting).
// The last line of output is `N passed, N failed`; the exit code is non-zero if a test failed on any rank.
#ifndef DVG_TESTS_CHECK_H
#define DVG_TESTS_CHECK_H

#include <CUnit/CUnit.h>
#include <stdint.h>

#include "common/base/status.h"

struct dvg_test {
  const char *name;
  void (*run)(void);
};
extern const struct dvg_test dvg_tests[]; // defined by the test file, ends with {NULL, NULL}

// Fails unless |got - want| <= tolerance * max(1, largest |want|) for all n values (NaN fails); prints the largest error, its
// index and both values then. Returns whether it held.
int dvg_check_close(const char *what, const float *got, const double *want, int64_t n, double tolerance);
#define CHECK_CLOSE(what, got, want, n, tolerance) CU_ASSERT_TRUE(dvg_check_close(what, got, want, n, tolerance))

// Central differences: compares gradient[i] with (f(x + h e_i) - f(x - h e_i)) / 2h at up to 64 places i spread over n.
// f sees the changed x through `context`. Fails beyond tolerance * max(1, largest |difference quotient|).
int dvg_check_gradient(const char *what, const float *gradient, float *x, int64_t n, double h, double tolerance,
                       double (*f)(void *), void *context);
#define CHECK_OK(call) CU_ASSERT_EQUAL(call, DVG_OK)

// Reproducible test values: x[i] normal with the given scale.
void dvg_test_fill(float *x, int64_t n, uint64_t seed, float scale);

// A fresh temporary folder for test files (removed at exit); the same at each call, and under tests/mpi on all ranks.
const char *dvg_test_folder(void);
// A path in it; the last 8 are valid.
char *dvg_test_path(const char *name);

// What the code under test says on standard error, from the one call to the other: dvg_test_heard returns it, up to 64 kB, valid until the next one.
void dvg_test_listen(void);
const char *dvg_test_heard(void);
// The same: whether it is one line that contains `said`; shows it if it is not.
int dvg_test_heard_line(const char *said);

#ifdef DVG_CHECK_MPI
#include "mpi/world.h"
// The world of a test under tests/mpi: started before the first test, ended after the last.
const struct dvg_world *dvg_test_world(void);
#endif

#endif
