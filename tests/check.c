// The main program of every test, and the helpers of check.h. With DVG_CHECK_MPI it runs on every rank.
#define _GNU_SOURCE // nftw, memfd_create
#include "tests/check.h"

#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/rng.h"

enum { GRADIENT_PLACES = 64, FOLDER_BYTES = PATH_MAX };

static struct {
  int rank, size;
  int64_t n_tests;
  int64_t *failed; // one per test: on how many ranks it failed
  char folder[FOLDER_BYTES];
  pid_t folder_owner; // 0: not this process, so it doesn't remove the folder
} check = {.size = 1};

// One line on standard error in one write, with the rank where there are several.
static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...) {
  char line[2048];
  int n = check.size > 1 ? snprintf(line, sizeof line, "rank %d of %d: ", check.rank, check.size) : 0;
  va_list args;
  va_start(args, format);
  vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
  va_end(args);
  strcat(line, "\n");
  fflush(stdout);
  fputs(line, stderr);
}

int dvg_check_close(const char *what, const float *got, const double *want, int64_t n, double tolerance) {
  double scale = 1, worst = 0;
  int64_t at = 0;
  for (int64_t i = 0; i < n; i++) {
    if (fabs(want[i]) > scale) scale = fabs(want[i]);
    double error = fabs((double)got[i] - want[i]);
    if (!(error <= worst)) { // true for NaN as well
      worst = error;
      at = i;
      if (isnan(error)) break; // nothing is worse
    }
  }
  // An infinite expectation would make the allowed error infinite and everything right.
  if (worst <= tolerance * scale && isfinite(scale)) return 1;
  if (n > 0)
    complain("  %s: largest error %.3g at %lld of %lld: got %.9g, want %.9g; allowed %.3g", what, worst,
             (long long)at, (long long)n, (double)got[at], want[at], tolerance * scale);
  return 0;
}

int dvg_check_gradient(const char *what, const float *gradient, float *x, int64_t n, double h, double tolerance,
                       double (*f)(void *), void *context) {
  float got[GRADIENT_PLACES];
  double want[GRADIENT_PLACES];
  int64_t n_places = n < GRADIENT_PLACES ? n : GRADIENT_PLACES;
  struct dvg_rng r;
  dvg_rng_init(&r, 1, DVG_STREAM_TEST, (uint64_t)n);
  for (int64_t k = 0; k < n_places; k++) {
    // One place in each of equal parts, at random inside it: a fixed stride would always meet the same row or
    // column.
    int64_t first = k * n / n_places, end = (k + 1) * n / n_places;
    int64_t i = first + dvg_rng_below(&r, end - first);
    float kept = x[i], above = (float)(kept + h), below = (float)(kept - h);
    x[i] = above;
    double f_above = f(context);
    x[i] = below;
    double f_below = f(context);
    x[i] = kept;
    // Divided by the step that was taken: kept + h is rounded to float.
    want[k] = (f_above - f_below) / ((double)above - (double)below);
    got[k] = gradient[i];
  }
  return dvg_check_close(what, got, want, n_places, tolerance);
}

void dvg_test_fill(float *x, int64_t n, uint64_t seed, float scale) {
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_TEST, 0);
  for (int64_t i = 0; i < n; i++) x[i] = scale * dvg_rng_normal(&r);
}

// ---- the temporary folder

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *place) {
  (void)s, (void)kind, (void)place;
  remove(path);
  return 0;
}

// Registered with exit(), which a forked child may also call: only the process that made the folder removes it.
static void remove_folder(void) {
  if (check.folder_owner != getpid()) return;
  nftw(check.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  check.folder_owner = 0;
}

static void make_folder(void) {
  const char *parent = getenv("TMPDIR");
  int n =
      snprintf(check.folder, sizeof check.folder, "%s/dvg-test-XXXXXX", parent && *parent ? parent : "/tmp");
  if (n >= (int)sizeof check.folder || !mkdtemp(check.folder)) {
    complain("cannot make the temporary folder %s", check.folder);
    check.folder[0] = 0;
    return;
  }
  check.folder_owner = getpid();
  atexit(remove_folder);
}

const char *dvg_test_folder(void) {
  return check.folder;
}

char *dvg_test_path(const char *name) {
  static char paths[8][FOLDER_BYTES + 256];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", check.folder, name);
  return path;
}

// ---- standard error

static int loud = -1, heard = -1; // standard error as it was, and where it goes meanwhile

void dvg_test_listen(void) {
  fflush(stderr);
  loud = dup(STDERR_FILENO);
  heard = memfd_create("heard", 0); // in no folder: that of the test may have to be empty
  if (loud < 0 || heard < 0 || dup2(heard, STDERR_FILENO) < 0) {
    complain("cannot listen to standard error");
    abort();
  }
}

const char *dvg_test_heard(void) {
  static char text[1 << 16];
  fflush(stderr);
  dup2(loud, STDERR_FILENO);
  ssize_t n = pread(heard, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  close(loud);
  close(heard);
  return text;
}

int dvg_test_heard_line(const char *said) {
  const char *text = dvg_test_heard(), *end = strchr(text, '\n');
  if (end && !end[1] && strstr(text, said)) return 1;
  complain("  wanted a line with '%s', heard: %s", said, text);
  return 0;
}

// ---- running

static int64_t test_number(const CU_pTest test) {
  for (int64_t i = 0; i < check.n_tests; i++)
    if (strcmp(dvg_tests[i].name, test->pName) == 0) return i;
  return 0;
}

// The name goes out before the test runs, so that the output of a program that hangs or dies ends with it.
static void at_start(const CU_pTest test, const CU_pSuite suite) {
  (void)suite;
  if (check.rank != 0) return;
  printf("  %s\n", test->pName);
  fflush(stdout);
}

// Failures go out at once, from the rank that has them: a later test may hang for the same reason.
static void at_end(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord first) {
  (void)suite;
  if (!first) return;
  check.failed[test_number(test)] = 1;
  for (CU_pFailureRecord f = first; f; f = f->pNext)
    if (f->pTest == test)
      complain("%s:%u: %s: %s", f->strFileName ? f->strFileName : "?", f->uiLineNumber, test->pName,
               f->strCondition ? f->strCondition : "failed");
}

// Returns whether the tests could be run at all.
static int run_tests(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 0;
  CU_pSuite suite = CU_add_suite("tests", NULL, NULL);
  int good = suite != NULL;
  for (int64_t i = 0; good && i < check.n_tests; i++) {
    good = CU_add_test(suite, dvg_tests[i].name, dvg_tests[i].run) != NULL;
    if (!good) complain("cannot add the test %s: %s", dvg_tests[i].name, CU_get_error_msg());
  }
  CU_set_test_start_handler(at_start);
  CU_set_test_complete_handler(at_end);
  if (good) good = CU_run_all_tests() == CUE_SUCCESS;
  CU_cleanup_registry();
  return good;
}

// The closing line and the exit code.
static int conclude(int good) {
  int64_t n_failed = 0;
  for (int64_t i = 0; i < check.n_tests; i++) n_failed += check.failed[i] != 0;
  if (!good && n_failed == 0) n_failed = 1;
  if (check.rank == 0) {
    fflush(stderr);
    printf("%lld passed, %lld failed\n", (long long)(check.n_tests > n_failed ? check.n_tests - n_failed : 0),
           (long long)n_failed);
    fflush(stdout);
  }
  return n_failed > 0;
}

static int prepare(void) {
  while (dvg_tests[check.n_tests].name) check.n_tests++;
  check.failed = calloc((size_t)check.n_tests + 1, sizeof *check.failed);
  return check.n_tests > 0 && check.failed;
}

#ifdef DVG_CHECK_MPI
static struct dvg_world world;

const struct dvg_world *dvg_test_world(void) {
  return &world;
}

int main(int argc, char **argv) {
  dvg_world_init(&world, "test", &argc, &argv);
  check.rank = world.rank;
  check.size = world.size;
  int good = prepare();
  if (dvg_world_max(&world, !good)) return dvg_world_finish(&world, DVG_ERROR_INTERNAL);
  if (world.rank == 0) make_folder();
  dvg_world_broadcast(&world, check.folder, sizeof check.folder, 0);
  good = check.folder[0] && run_tests();
  dvg_world_sum(&world, check.failed, check.n_tests);
  good = !dvg_world_max(&world, !good);
  int code = conclude(good);
  free(check.failed);
  remove_folder(); // all ranks are past their last test: they took part in the sum
  int ended = dvg_world_finish(&world, DVG_OK);
  return code ? code : ended;
}
#else
int main(void) {
  int good = prepare();
  if (good) make_folder();
  good = good && check.folder[0] && run_tests();
  if (!check.failed) return 1;
  int code = conclude(good);
  free(check.failed);
  return code;
}
#endif
