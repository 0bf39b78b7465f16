// common/base: memory, random numbers, digests; and the comparator that all other tests rely on.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "tests/check.h"

// ---- random numbers

// The known answers that come with Random123 (kat_vectors).
static void philox_gives_the_published_values(void) {
  static const struct {
    uint32_t counter[4], key[2], want[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint32_t out[4];
    dvg_philox(out, known[i].counter, known[i].key);
    CU_ASSERT_EQUAL(memcmp(out, known[i].want, sizeof out), 0);
  }
}

static void numbers_are_a_function_of_their_place(void) {
  struct dvg_rng a, b;
  dvg_rng_init(&a, 7, DVG_STREAM_TEST, 3);
  dvg_rng_init(&b, 7, DVG_STREAM_TEST, 3);
  uint32_t drawn[11];
  for (int i = 0; i < 11; i++) {
    drawn[i] = dvg_rng_u32(&a);
    CU_ASSERT_EQUAL(drawn[i], dvg_rng_u32(&b));
    for (int j = 0; j < i; j++) CU_ASSERT_NOT_EQUAL(drawn[i], drawn[j]);
  }
  // The layout of the counter and the key is part of what stored results mean.
  uint32_t block[4];
  dvg_philox(block, (uint32_t[4]){1, DVG_STREAM_TEST, 3, 0}, (uint32_t[2]){7, 0});
  CU_ASSERT_EQUAL(memcmp(drawn + 4, block, sizeof block), 0);
}

static uint32_t first_number(uint64_t seed, enum dvg_stream stream, uint64_t item) {
  struct dvg_rng r;
  dvg_rng_init(&r, seed, stream, item);
  return dvg_rng_u32(&r);
}

static void all_of_seed_stream_and_item_count(void) {
  uint32_t base = first_number(5, DVG_STREAM_TEST, 9);
  CU_ASSERT_NOT_EQUAL(base, first_number(6, DVG_STREAM_TEST, 9));
  CU_ASSERT_NOT_EQUAL(base, first_number(5 + (1ull << 32), DVG_STREAM_TEST, 9));
  CU_ASSERT_NOT_EQUAL(base, first_number(5, DVG_STREAM_SPLIT, 9));
  CU_ASSERT_NOT_EQUAL(base, first_number(5, DVG_STREAM_TEST, 10));
  CU_ASSERT_NOT_EQUAL(base, first_number(5, DVG_STREAM_TEST, 9 + (1ull << 32)));
  CU_ASSERT_NOT_EQUAL(base, first_number(5, DVG_STREAM_TEST, 9 + (1ull << 63)));
}

static void uniform_has_range_and_moments(void) {
  enum { N = 1 << 20 };
  struct dvg_rng r;
  dvg_rng_init(&r, 1, DVG_STREAM_TEST, 1);
  double sum = 0, squares = 0, least = 1, largest = 0;
  for (int i = 0; i < N; i++) {
    double x = dvg_rng_uniform(&r);
    sum += x;
    squares += x * x;
    least = fmin(least, x);
    largest = fmax(largest, x);
  }
  CU_ASSERT_TRUE(least >= 0 && least < 1e-4 && largest < 1 && largest > 1 - 1e-4);
  // Five standard errors: sqrt(1/12 / N) = 2.8e-4 for the mean, sqrt(4/45 / N) = 2.9e-4 for the mean square.
  CU_ASSERT_TRUE(fabs(sum / N - 0.5) < 1.5e-3);
  CU_ASSERT_TRUE(fabs(squares / N - 1.0 / 3) < 1.5e-3);
  for (int i = 0; i < 1000; i++) {
    float x = dvg_rng_between(&r, -3, 5);
    CU_ASSERT_TRUE(x >= -3 && x < 5);
  }
}

static void normal_has_its_moments(void) {
  enum { N = 1 << 20 };
  static float x[N];
  struct dvg_rng r;
  dvg_rng_init(&r, 2, DVG_STREAM_TEST, 1);
  dvg_rng_normals(&r, x, N);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, next = 0;
  for (int i = 0; i < N; i++) {
    double v = x[i];
    m1 += v, m2 += v * v, m3 += v * v * v, m4 += v * v * v * v;
    if (i > 0) next += v * (double)x[i - 1];
  }
  // Five standard errors of each: sqrt(1, 2, 15, 96, 1 over N).
  CU_ASSERT_TRUE(fabs(m1 / N) < 5e-3);
  CU_ASSERT_TRUE(fabs(m2 / N - 1) < 7e-3);
  CU_ASSERT_TRUE(fabs(m3 / N) < 2e-2);
  CU_ASSERT_TRUE(fabs(m4 / N - 3) < 5e-2);
  CU_ASSERT_TRUE(fabs(next / N) < 5e-3);
}

static void below_is_even(void) {
  enum { N = 7, DRAWS = 700000 };
  int64_t count[N] = {0};
  struct dvg_rng r;
  dvg_rng_init(&r, 3, DVG_STREAM_TEST, 1);
  for (int i = 0; i < DRAWS; i++) {
    int64_t v = dvg_rng_below(&r, N);
    CU_ASSERT_TRUE(v >= 0 && v < N);
    if (v >= 0 && v < N) count[v]++;
  }
  for (int i = 0; i < N; i++) CU_ASSERT_TRUE(llabs(count[i] - DRAWS / N) < 1500); // five standard deviations
  for (int i = 0; i < 100; i++) CU_ASSERT_EQUAL(dvg_rng_below(&r, 1), 0);
  // A range so large that most implementations fall short somewhere: sign, overflow of the limit, 32-bit draws.
  int64_t range = INT64_MAX, low = 0;
  for (int i = 0; i < 30000; i++) {
    int64_t v = dvg_rng_below(&r, range);
    CU_ASSERT_TRUE(v >= 0 && v < range);
    low += v < range / 3;
  }
  CU_ASSERT_TRUE(llabs(low - 10000) < 410);
}

// Whether p holds each of 0..n-1 once.
static int is_permutation(const int64_t *p, int64_t n) {
  unsigned char seen[128] = {0};
  for (int64_t i = 0; i < n; i++) {
    if (p[i] < 0 || p[i] >= n || seen[p[i]]) return 0;
    seen[p[i]] = 1;
  }
  return 1;
}

static void permutations_are_uniform(void) {
  int64_t p[128], count[6] = {0};
  struct dvg_rng r;
  for (int64_t n = 1; n <= 128; n++) {
    dvg_rng_init(&r, 4, DVG_STREAM_SHUFFLE, (uint64_t)n);
    dvg_rng_permutation(&r, p, n);
    CU_ASSERT_TRUE(is_permutation(p, n));
  }
  for (uint64_t i = 0; i < 60000; i++) { // each of the 6 orders of three
    dvg_rng_init(&r, 4, DVG_STREAM_SHUFFLE, i);
    dvg_rng_permutation(&r, p, 3);
    count[p[0] * 2 + (p[1] > p[2])]++;
  }
  for (int i = 0; i < 6; i++) CU_ASSERT_TRUE(llabs(count[i] - 10000) < 500);
}

static void derangements_leave_nothing_in_place(void) {
  int64_t p[128], count[4] = {0};
  struct dvg_rng r;
  for (int64_t n = 1; n <= 128; n++) {
    dvg_rng_init(&r, 5, DVG_STREAM_DERANGE, (uint64_t)n);
    dvg_rng_derangement(&r, p, n);
    CU_ASSERT_TRUE(is_permutation(p, n));
    for (int64_t i = 0; i < n; i++) CU_ASSERT_TRUE(p[i] != i || n == 1);
  }
  for (uint64_t i = 0; i < 30000; i++) { // where the first of four goes
    dvg_rng_init(&r, 5, DVG_STREAM_DERANGE, i);
    dvg_rng_derangement(&r, p, 4);
    count[p[0]]++;
  }
  CU_ASSERT_EQUAL(count[0], 0);
  for (int i = 1; i < 4; i++) CU_ASSERT_TRUE(llabs(count[i] - 10000) < 410);
}

static void names_have_numbers(void) {
  CU_ASSERT_EQUAL(dvg_rng_name(""), 0xcbf29ce484222325u); // FNV-1a's published values
  CU_ASSERT_EQUAL(dvg_rng_name("a"), 0xaf63dc4c8601ec8cu);
  CU_ASSERT_EQUAL(dvg_rng_name("foobar"), 0x85944171f73967e8u);
}

// ---- digests

static void sha256_gives_the_published_values(void) {
  static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  char text[DVG_DIGEST_TEXT] = "";
  CHECK_OK(dvg_digest_of(text, "abc", 3));
  CU_ASSERT_STRING_EQUAL(text, abc);
  CHECK_OK(dvg_digest_of(text, NULL, 0));
  CU_ASSERT_STRING_EQUAL(text, nothing);
  struct dvg_digest d;
  CHECK_OK(dvg_digest_begin(&d));
  CHECK_OK(dvg_digest_add(&d, "a", 1));
  CHECK_OK(dvg_digest_add(&d, "", 0));
  CHECK_OK(dvg_digest_add(&d, "bc", 2));
  CHECK_OK(dvg_digest_end(&d, text));
  CU_ASSERT_STRING_EQUAL(text, abc);
  CU_ASSERT_PTR_NULL(d.state);
  dvg_digest_drop(&d); // of an ended one: nothing
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_digest_add(&d, "x", 1), DVG_ERROR_INTERNAL);
  dvg_log_quiet(0);
}

// ---- memory

static void memory_is_zeroed_and_aligned(void) {
  for (int64_t n = 0; n < 300; n += 7) {
    double *x = NULL;
    CHECK_OK(DVG_NEW(&x, n, "numbers"));
    CU_ASSERT_PTR_NOT_NULL(x);
    CU_ASSERT_EQUAL((uintptr_t)x % 64, 0);
    for (int64_t i = 0; i < n; i++) CU_ASSERT_EQUAL(x[i], 0);
    dvg_free(&x);
    CU_ASSERT_PTR_NULL(x);
    dvg_free(&x); // of nothing: nothing
  }
}

static void too_much_memory_is_refused(void) {
  char mark, *x = &mark;
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_alloc((void **)&x, -1, 1, "a negative count"), DVG_ERROR_MEMORY);
  CU_ASSERT_EQUAL(dvg_alloc((void **)&x, INT64_MAX, 8, "a product that overflows"), DVG_ERROR_MEMORY);
  CU_ASSERT_EQUAL(dvg_alloc((void **)&x, (1ll << 61) + 1, 8, "a product that overflows to 8"),
                  DVG_ERROR_MEMORY);
  CU_ASSERT_EQUAL(dvg_alloc((void **)&x, 3, SIZE_MAX / 2, "a huge element"), DVG_ERROR_MEMORY);
  dvg_log_quiet(0);
  CU_ASSERT_PTR_EQUAL(x, &mark); // outputs are written only on success
}

static int64_t bytes_of(const char *what) {
  struct dvg_memory_use use[16];
  const int n = dvg_memory_uses(use, 16);
  for (int i = 0; i < n; i++)
    if (strcmp(use[i].what, what) == 0) return use[i].bytes;
  return 0;
}

static void memory_knows_what_it_is_for(void) {
  const int64_t n = 1 << 20;
  struct dvg_memory_use most;
  char *a, *b, *larger, *small;
  CU_ASSERT_EQUAL_FATAL(DVG_NEW(&a, n, "a piece"), DVG_OK);
  CU_ASSERT_EQUAL_FATAL(DVG_NEW(&larger, 3 * n, "a larger one"), DVG_OK);
  CU_ASSERT_EQUAL_FATAL(DVG_NEW(&b, n, "a piece"), DVG_OK);
  CU_ASSERT_EQUAL_FATAL(DVG_NEW(&small, 1000, "a small one"), DVG_OK);
  CU_ASSERT_EQUAL(bytes_of("a piece"), 2 * n);
  CU_ASSERT_EQUAL(bytes_of("a larger one"), 3 * n);
  CU_ASSERT_EQUAL(bytes_of("a small one"), 0);
  CU_ASSERT_EQUAL(dvg_memory_uses(&most, 1), 1); // what comes beyond the room is left out
  dvg_free(&a);
  CU_ASSERT_EQUAL(bytes_of("a piece"), n);
  CU_ASSERT_EQUAL(bytes_of("a larger one"), 3 * n);
  CU_ASSERT_TRUE(dvg_present_memory() >= 4 * n && dvg_present_memory() <= dvg_peak_memory());
  dvg_free(&b);
  dvg_free(&larger);
  dvg_free(&small);
  CU_ASSERT_EQUAL(bytes_of("a piece") + bytes_of("a larger one"), 0);
}

static void lists_grow(void) {
  int64_t *list = NULL;
  for (int64_t n = 0; n < 1000; n++) {
    const int64_t *before = list;
    CHECK_OK(DVG_GROW(&list, n, "a list"));
    // It moves where it is full, and only there: at 16, 32, 64 ...
    CU_ASSERT_EQUAL(list != before,
                    n == 0 || n == 16 || n == 32 || n == 64 || n == 128 || n == 256 || n == 512);
    CU_ASSERT_EQUAL(list[n], 0);
    list[n] = n * n + 1;
  }
  int good = 1;
  for (int64_t n = 0; n < 1000; n++) good = good && list[n] == n * n + 1;
  CU_ASSERT_TRUE(good);
  dvg_free(&list);
}

static void texts_are_formatted(void) {
  char *text = NULL;
  CHECK_OK(dvg_text(&text, "%s-%06d", "shard", 12));
  CU_ASSERT_STRING_EQUAL(text, "shard-000012");
  dvg_free(&text);
}

// ---- check.h itself. What must fail says so on standard error, which goes nowhere meanwhile.

static int kept_stderr;

static void hide_messages(void) {
  fflush(stderr);
  kept_stderr = dup(STDERR_FILENO);
  if (!freopen("/dev/null", "w", stderr)) CU_FAIL("cannot redirect standard error");
}

static void show_messages(void) {
  fflush(stderr);
  dup2(kept_stderr, STDERR_FILENO);
  close(kept_stderr);
}

static void the_comparator_fails_what_it_should(void) {
  const float nan_value = NAN, infinite = INFINITY;
  CU_ASSERT_TRUE(dvg_check_close("equal", (float[]){1, 2, 3}, (double[]){1, 2, 3}, 3, 0));
  CU_ASSERT_TRUE(
      dvg_check_close("within", (float[]){1, 2.0009f}, (double[]){1, 2}, 2, 5e-4)); // of the largest, 2
  CU_ASSERT_TRUE(dvg_check_close("small ones", (float[]){1e-5f}, (double[]){0}, 1, 2e-5));
  hide_messages();
  int off = dvg_check_close("off", (float[]){1, 2.0011f}, (double[]){1, 2}, 2, 5e-4);
  int first = dvg_check_close("first", (float[]){9, 2, 3}, (double[]){1, 2, 3}, 3, 1e-3);
  int last = dvg_check_close("last", (float[]){1, 2, -3}, (double[]){1, 2, 3}, 3, 1e-3);
  int got_nan = dvg_check_close("nan", (float[]){1, nan_value, 3}, (double[]){1, 2, 3}, 3, 1e9);
  int want_nan = dvg_check_close("nan", (float[]){1, 2}, (double[]){1, (double)nan_value}, 2, 1e9);
  int both_nan = dvg_check_close("nan", (float[]){nan_value}, (double[]){(double)nan_value}, 1, 1e9);
  int got_infinite = dvg_check_close("inf", (float[]){infinite}, (double[]){1}, 1, 1e9);
  int want_infinite = dvg_check_close("inf", (float[]){1, 7}, (double[]){(double)infinite, 2}, 2, 1e-6);
  int no_tolerance = dvg_check_close("tolerance", (float[]){1}, (double[]){1}, 1, (double)nan_value);
  show_messages();
  CU_ASSERT_FALSE(off || first || last);
  CU_ASSERT_FALSE(got_nan || want_nan || both_nan);
  CU_ASSERT_FALSE(got_infinite || want_infinite || no_tolerance);
}

enum { N_GRADIENT = 1000 };

static double sum_of_squares(void *context) {
  const float *x = context;
  double sum = 0;
  for (int i = 0; i < N_GRADIENT; i++) sum += (double)x[i] * (double)x[i];
  return sum;
}

static void the_gradient_check_finds_errors(void) {
  float x[N_GRADIENT], gradient[N_GRADIENT], kept[N_GRADIENT];
  dvg_test_fill(x, N_GRADIENT, 1, 1);
  memcpy(kept, x, sizeof x);
  for (int i = 0; i < N_GRADIENT; i++) gradient[i] = 2 * x[i];
  CU_ASSERT_TRUE(dvg_check_gradient("right", gradient, x, N_GRADIENT, 1e-3, 1e-5, sum_of_squares, x));
  CU_ASSERT_EQUAL(memcmp(kept, x, sizeof x), 0);
  for (int i = 0; i < N_GRADIENT; i++) gradient[i] *= 1.01f;
  hide_messages();
  int wrong = dvg_check_gradient("wrong", gradient, x, N_GRADIENT, 1e-3, 1e-3, sum_of_squares, x);
  gradient[3] = 5;
  int few = dvg_check_gradient("wrong at one of few", gradient, x, 4, 1e-3, 1e-1, sum_of_squares, x);
  show_messages();
  CU_ASSERT_FALSE(wrong);
  CU_ASSERT_FALSE(few);
}

const struct dvg_test dvg_tests[] = {
    {"philox gives the published values", philox_gives_the_published_values},
    {"numbers are a function of their place", numbers_are_a_function_of_their_place},
    {"all of seed, stream and item count", all_of_seed_stream_and_item_count},
    {"uniform has range and moments", uniform_has_range_and_moments},
    {"normal has its moments", normal_has_its_moments},
    {"below is even", below_is_even},
    {"permutations are uniform", permutations_are_uniform},
    {"derangements leave nothing in place", derangements_leave_nothing_in_place},
    {"names have numbers", names_have_numbers},
    {"sha256 gives the published values", sha256_gives_the_published_values},
    {"memory is zeroed and aligned", memory_is_zeroed_and_aligned},
    {"too much memory is refused", too_much_memory_is_refused},
    {"memory knows what it is for", memory_knows_what_it_is_for},
    {"lists grow", lists_grow},
    {"texts are formatted", texts_are_formatted},
    {"the comparator fails what it should", the_comparator_fails_what_it_should},
    {"the gradient check finds errors", the_gradient_check_finds_errors},
    {NULL, NULL}};
