// Sharded sets: pending, index, reading across borders, damage.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"
#include "tests/check.h"

enum { N = 23, PER = 5, SHARDS = 5 };
static const char settings[] = "seed = 1\ncount = 23\n";
static const char inputs[] = "weights w.h5 0123\n";

// Item i: pixels 3 i, 3 i + 1 ... ; number 100 i; note "item i".
static void write_shard(const struct dvg_shards *s, int64_t shard, const char *with, int64_t rows) {
  unsigned char pixels[PER * 3];
  int64_t first = dvg_shards_first(s, shard), number[PER];
  char texts[PER][16], *pointers[PER], *path = NULL;
  for (int i = 0; i < rows; i++) {
    for (int k = 0; k < 3; k++) pixels[3 * i + k] = (unsigned char)(3 * (first + i) + k);
    number[i] = 100 * (first + i);
    snprintf(texts[i], sizeof texts[i], "item %d", (int)(first + i));
    pointers[i] = texts[i];
  }
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_shards_path(&path, s, shard));
  CHECK_OK(dvg_artifact_create(&a, path, "pairs", 2, "dvg-test 0", with));
  CHECK_OK(dvg_artifact_add_input(a, "weights", "w.h5", "0123"));
  CHECK_OK(dvg_artifact_write(a, "pixels", DVG_U8, 2, (int64_t[]){rows, 3}, pixels));
  CHECK_OK(dvg_artifact_write(a, "number", DVG_I64, 1, &rows, number));
  CHECK_OK(dvg_artifact_write(a, "note", DVG_TEXT, 1, &rows, pointers));
  CHECK_OK(dvg_artifact_commit(&a, NULL));
  dvg_free(&path);
}

static void make_set(struct dvg_shards *s, const char *folder, int with_index) {
  CHECK_OK(dvg_shards_create(s, folder, N, PER));
  for (int64_t k = 0; k < s->n_shards; k++) write_shard(s, k, settings, dvg_shards_rows(s, k));
  if (with_index) CHECK_OK(dvg_shards_index(s, "pairs", "dvg-test 0", settings, NULL));
}

static void describes(void) {
  struct dvg_shards s;
  CHECK_OK(dvg_shards_create(&s, dvg_test_path("d/new"), N, PER));
  CU_ASSERT_EQUAL(s.n_shards, SHARDS);
  CU_ASSERT_TRUE(dvg_shards_first(&s, 4) == 20 && dvg_shards_rows(&s, 3) == 5 && dvg_shards_rows(&s, 4) == 3);
  char *path = NULL;
  CHECK_OK(dvg_shards_path(&path, &s, 4));
  CU_ASSERT_STRING_EQUAL(path, dvg_test_path("d/new/shard-000004.h5"));
  dvg_free(&path);
  dvg_shards_free(&s);
  CHECK_OK(dvg_shards_create(&s, dvg_test_path("d"), 10, 5));
  CU_ASSERT_TRUE(s.n_shards == 2 && dvg_shards_rows(&s, 1) == 5);
  dvg_shards_free(&s);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shards_create(&s, dvg_test_path("d"), 0, 5), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_shards_create(&s, dvg_test_path("d"), 5, 0), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_shards_create(&s, dvg_test_path("d"), INT64_MAX, 1), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_shards_create(&s, "/proc/none", 5, 1), DVG_ERROR_IO);
  dvg_log_quiet(0);
}

static enum dvg_status find_pending(const struct dvg_shards *s, const char *schema, int64_t version,
                                    const char *with, const char *of, unsigned char *todo) {
  for (int64_t k = 0; k < s->n_shards; k++)
    DVG_TRY(dvg_shards_is_pending(s, k, schema, version, with, of, &todo[k]));
  return DVG_OK;
}

static int count(const unsigned char *todo) {
  int n = 0;
  for (int64_t k = 0; k < SHARDS; k++) n += todo[k];
  return n;
}

static void pending(void) {
  struct dvg_shards s;
  unsigned char todo[SHARDS];
  CHECK_OK(dvg_shards_create(&s, dvg_test_path("p"), N, PER));
  CHECK_OK(find_pending(&s, "pairs", 2, settings, inputs, todo));
  CU_ASSERT_EQUAL(count(todo), 5);
  write_shard(&s, 1, settings, 5);
  write_shard(&s, 2, settings, 4); // too short
  CHECK_OK(dvg_path_write_text(dvg_test_path("p/shard-000003.h5"), "rubbish"));
  CHECK_OK(dvg_path_write_text(dvg_test_path("p/shard-000004.h5.part"), "killed here"));
  dvg_log_quiet(1);
  CHECK_OK(find_pending(&s, "pairs", 2, settings, inputs, todo));
  CU_ASSERT_TRUE(todo[0] && !todo[1] && todo[2] && todo[3] && todo[4]);
  // A truncated one.
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  CHECK_OK(dvg_path_read_bytes(dvg_test_path("p/shard-000001.h5"), 1 << 20, &bytes, &n_bytes));
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("p/shard-000003.h5"), bytes, n_bytes - 100));
  CHECK_OK(find_pending(&s, "pairs", 2, settings, inputs, todo));
  CU_ASSERT_TRUE(count(todo) == 4 && todo[3]);
  dvg_free(&bytes);
  // Of another run, of another kind: refused, not overwritten.
  CU_ASSERT_EQUAL(find_pending(&s, "pairs", 2, "seed = 2\n", inputs, todo), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(find_pending(&s, "pairs", 2, settings, "weights w.h5 4567\n", todo), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(find_pending(&s, "features", 2, settings, inputs, todo), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(find_pending(&s, "pairs", 3, settings, inputs, todo), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  for (int64_t k = 0; k < SHARDS; k++) write_shard(&s, k, settings, dvg_shards_rows(&s, k));
  CHECK_OK(find_pending(&s, "pairs", 2, settings, NULL, todo));
  CU_ASSERT_EQUAL(count(todo), 0);
  dvg_shards_free(&s);
}

static void index_shows_all(void) {
  struct dvg_shards s;
  make_set(&s, dvg_test_path("i"), 0);
  char root[DVG_DIGEST_TEXT] = "", lines[SHARDS * 80] = "", want[DVG_DIGEST_TEXT];
  CHECK_OK(dvg_shards_index(&s, "pairs", "dvg-test 0", settings, root));
  for (int64_t k = 0; k < SHARDS; k++) {
    char *path = NULL;
    struct dvg_artifact *shard = NULL;
    CHECK_OK(dvg_shards_path(&path, &s, k));
    CHECK_OK(dvg_artifact_open(&shard, path, "pairs", 2));
    sprintf(lines + strlen(lines), "%d %s\n", (int)k, dvg_artifact_digest(shard));
    dvg_artifact_close(&shard);
    dvg_free(&path);
  }
  CHECK_OK(dvg_digest_of(want, lines, strlen(lines)));
  CU_ASSERT_STRING_EQUAL(root, want);
  // Moved, and seen from elsewhere.
  CU_ASSERT_EQUAL(rename(dvg_test_path("i"), dvg_test_path("moved")), 0);
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("moved/index.h5"), "index", 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  int64_t numbers[N], n_notes = 0;
  unsigned char pixels[N * 3];
  char **notes = NULL;
  CHECK_OK(dvg_artifact_read(a, "number", DVG_I64, 0, N, numbers));
  CHECK_OK(dvg_artifact_read(a, "pixels", DVG_U8, 3, 18, pixels));
  CHECK_OK(dvg_artifact_load_text(a, "note", &n_notes, &notes));
  CU_ASSERT_TRUE(numbers[0] == 0 && numbers[7] == 700 && numbers[22] == 2200);
  CU_ASSERT_TRUE(pixels[0] == 9 && pixels[53] == 62);
  CU_ASSERT_TRUE_FATAL(n_notes == N);
  CU_ASSERT_STRING_EQUAL(notes[22], "item 22");
  dvg_free(&notes);
  CHECK_OK(dvg_artifact_verify(a));
  dvg_artifact_close(&a);
  // HDF5 itself shows zeros where a shard is missing or damaged; reading must say so instead.
  dvg_log_quiet(1);
  for (int k = 0; k < 2; k++) {
    if (k == 0) {
      CHECK_OK(dvg_path_write_text(dvg_test_path("moved/shard-000002.h5"), "rubbish"));
    } else {
      CU_ASSERT_EQUAL(unlink(dvg_test_path("moved/shard-000002.h5")), 0);
    }
    CHECK_OK(dvg_artifact_open(&a, dvg_test_path("moved/index.h5"), "index", 1));
    CU_ASSERT_EQUAL(dvg_artifact_read(a, "number", DVG_I64, 0, N, numbers), DVG_ERROR_INPUT);
    dvg_artifact_close(&a);
  }
  CU_ASSERT_EQUAL(dvg_shards_verify(dvg_test_path("moved"), 0, 1), DVG_ERROR_IO);
  dvg_log_quiet(0);
  dvg_shards_free(&s);
}

static void index_needs_all_shards(void) {
  struct dvg_shards s;
  make_set(&s, dvg_test_path("n"), 0);
  dvg_log_quiet(1);
  write_shard(&s, 1, settings, 4);
  CU_ASSERT_EQUAL(dvg_shards_index(&s, "pairs", "p", settings, NULL), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(unlink(dvg_test_path("n/shard-000001.h5")), 0);
  CU_ASSERT_EQUAL(dvg_shards_index(&s, "pairs", "p", settings, NULL), DVG_ERROR_IO);
  write_shard(&s, 1, settings, 5);
  CU_ASSERT_EQUAL(dvg_shards_index(&s, "features", "p", settings, NULL), DVG_ERROR_INPUT);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("n/index.h5")) ||
                  dvg_path_exists(dvg_test_path("n/index.h5.part")));
  struct dvg_shard_reader *r = NULL;
  CU_ASSERT_EQUAL(dvg_shard_reader_open(&r, dvg_test_path("n"), "pairs", 2), DVG_ERROR_IO);
  CU_ASSERT_PTR_NULL(r);
  dvg_log_quiet(0);
  dvg_shards_free(&s);
}

static void reads_across_borders(void) {
  struct dvg_shards s;
  make_set(&s, dvg_test_path("r"), 1);
  struct dvg_shard_reader *r = NULL;
  CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("r"), "pairs", 2));
  CU_ASSERT_PTR_NOT_NULL_FATAL(r);
  CU_ASSERT_EQUAL(dvg_shard_reader_items(r), N);
  CU_ASSERT_EQUAL(strlen(dvg_shard_reader_digest(r)), 64);
  CU_ASSERT_TRUE(dvg_artifact_has(dvg_shard_reader_first(r), "number"));
  int n_bad = 0;
  for (int64_t first = 0; first <= N; first++)
    for (int64_t count = 0; count <= N - first; count++) {
      int64_t numbers[N + 1];
      unsigned char pixels[3 * N + 1];
      numbers[count] = -7;
      pixels[3 * count] = 77;
      CHECK_OK(dvg_shard_reader_read(r, "number", DVG_I64, first, count, numbers));
      CHECK_OK(dvg_shard_reader_read(r, "pixels", DVG_U8, first, count, pixels));
      for (int64_t i = 0; i < count; i++)
        n_bad += numbers[i] != 100 * (first + i) || pixels[3 * i + 2] != 3 * (first + i) + 2;
      n_bad += numbers[count] != -7 || pixels[3 * count] != 77;
    }
  CU_ASSERT_EQUAL(n_bad, 0);
  int64_t number;
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "number", DVG_I64, N, 1, &number), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "number", DVG_I64, -1, 1, &number), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "absent", DVG_I64, 0, 1, &number), DVG_ERROR_INPUT);
  dvg_shard_reader_close(&r);
  CU_ASSERT_EQUAL(dvg_shard_reader_open(&r, dvg_test_path("r"), "features", 2), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_shard_reader_open(&r, dvg_test_path("r"), "pairs", 1), DVG_ERROR_INPUT);
  // A shard exchanged for another good one, damaged, missing: found when it is read, or looked for before.
  CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("r"), "pairs", 2));
  CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 0, 1), -1);
  for (int k = 0; k < 3; k++) {
    if (k == 0) write_shard(&s, 3, "seed = 9\n", 5);
    if (k == 1) CHECK_OK(dvg_path_write_text(dvg_test_path("r/shard-000003.h5"), "no shard"));
    if (k == 2) CHECK_OK(dvg_path_remove(dvg_test_path("r/shard-000003.h5")));
    enum dvg_status want = k == 2 ? DVG_ERROR_IO : DVG_ERROR_INPUT;
    CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "number", DVG_I64, 15, 1, &number), want);
    CHECK_OK(dvg_shard_reader_read(r, "number", DVG_I64, 20, 1, &number));
    CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 0, 1), 3);
    CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 1, 2), 3);
    CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 0, 2), -1);
    dvg_log_quiet(1); // a check ends with messages on
    CU_ASSERT_EQUAL(dvg_shard_reader_say(r, 3), want);
    CHECK_OK(dvg_shard_reader_say(r, 2));
  }
  dvg_shard_reader_close(&r);
  CU_ASSERT_EQUAL(unlink(dvg_test_path("r/shard-000000.h5")), 0); // the first is opened at once
  CU_ASSERT_EQUAL(dvg_shard_reader_open(&r, dvg_test_path("r"), "pairs", 2), DVG_ERROR_IO);
  CU_ASSERT_PTR_NULL(r);
  dvg_log_quiet(0);
  dvg_shards_free(&s);
}

static void verifies(void) {
  struct dvg_shards s;
  make_set(&s, dvg_test_path("v"), 1);
  CHECK_OK(dvg_shards_verify(dvg_test_path("v"), 0, 1));
  for (int rank = 0; rank < 7; rank++) CHECK_OK(dvg_shards_verify(dvg_test_path("v"), rank, 7));
  // One pixel of shard 3 changes: rank 3 of 5 sees it, as does one that looks at all.
  struct stat before;
  CU_ASSERT_EQUAL(stat(dvg_test_path("v/shard-000003.h5"), &before), 0);
  FILE *f = fopen(dvg_test_path("v/shard-000003.h5"), "r+b");
  unsigned char bytes[1 << 14];
  size_t n = fread(bytes, 1, sizeof bytes, f), place = 0;
  static const unsigned char pixels[4] = {45, 46, 47, 48};
  while (place + 4 < n && memcmp(bytes + place, pixels, 4) != 0) place++;
  CU_ASSERT_TRUE(place + 4 < n);
  fseek(f, (long)place, SEEK_SET);
  fputc(46, f);
  fclose(f);
  CU_ASSERT_FALSE(dvg_shards_is_damaged(&s, 2));
  CU_ASSERT_TRUE(dvg_shards_is_damaged(&s, 3));
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shards_verify(dvg_test_path("v"), 0, 1), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_shards_verify(dvg_test_path("v"), 3, 5), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_shards_verify_share(dvg_test_path("v"), 3, 5), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  CHECK_OK(dvg_shards_verify_share(dvg_test_path("v"), INT_MAX - 1, INT_MAX)); // nothing but the index
  CHECK_OK(dvg_shards_verify_index(dvg_test_path("v")));
  CHECK_OK(dvg_shards_verify(dvg_test_path("v"), 2, 5));
  CHECK_OK(dvg_shards_verify(dvg_test_path("v"), 0, 5));
  dvg_shards_free(&s);
}

static void parts(void) {
  static const char *const bad[] = {
      "0/2", "3/2", "1", "1/", "/2", "1/2x", "-1/2", "1/2/3", " 1/2", "1/99999999999999999999", "1/1000001"};
  static const int64_t n_shards[] = {1, 2, 5, 6, 7};
  struct dvg_shards s = {0};
  dvg_log_quiet(1);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CU_ASSERT_EQUAL(dvg_shards_set_part(&s, bad[i]), DVG_ERROR_USAGE);
  dvg_log_quiet(0);
  CHECK_OK(dvg_shards_set_part(&s, ""));
  CU_ASSERT_TRUE(dvg_shards_in_part(&s, 0) && dvg_shards_in_part(&s, 41));
  for (size_t i = 0; i < sizeof n_shards / sizeof *n_shards; i++) { // each shard in one part, and counted
    int64_t taken[8] = {0}, counted = 0;
    s.n_shards = n_shards[i];
    for (int part = 1; part <= 3; part++) {
      char text[8];
      snprintf(text, sizeof text, "%d/3", part);
      CHECK_OK(dvg_shards_set_part(&s, text));
      int64_t n = 0;
      for (int64_t k = 0; k < s.n_shards; k++) {
        taken[k] += dvg_shards_in_part(&s, k);
        n += dvg_shards_in_part(&s, k);
      }
      CU_ASSERT_EQUAL(dvg_shards_of_part(&s), n);
      counted += n;
    }
    CU_ASSERT_EQUAL(counted, s.n_shards);
    for (int64_t k = 0; k < s.n_shards; k++) CU_ASSERT_EQUAL(taken[k], 1);
  }
}

const struct dvg_test dvg_tests[] = {{"describes", describes},
                                     {"pending", pending},
                                     {"parts", parts},
                                     {"index shows all", index_shows_all},
                                     {"index needs all shards", index_needs_all_shards},
                                     {"reads across borders", reads_across_borders},
                                     {"verifies", verifies},
                                     {NULL, NULL}};
