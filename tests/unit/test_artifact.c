// Artifacts: what is written is read back; same content, same bytes; nothing half-written under the final name;
// damage is found and named.
#define _GNU_SOURCE // memmem
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "tests/check.h"

// Errors that a test expects are not shown.
static enum dvg_status quietly_open(const char *path, const char *schema, int64_t version) {
  struct dvg_artifact *a = NULL;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_artifact_open(&a, path, schema, version);
  dvg_log_quiet(0);
  CU_ASSERT_EQUAL(a != NULL, status == DVG_OK);
  dvg_artifact_close(&a);
  return status;
}

#define EXPECT(call, wanted)                                                                                   \
  do {                                                                                                         \
    dvg_log_quiet(1);                                                                                          \
    enum dvg_status got_ = (call);                                                                             \
    dvg_log_quiet(0);                                                                                          \
    CU_ASSERT_EQUAL(got_, wanted);                                                                             \
  } while (0)

// A file with something of everything. `order` changes the order in which attributes are set.
static void write_sample(const char *path, int order, char digest[DVG_DIGEST_TEXT]) {
  static const unsigned char pixels[2 * 3 * 4] = {1, 2, 3, 255, 5, 6, 7, 8, 9};
  static const float weights[3][2] = {{1.5f, -2}, {3e-20f, 4e30f}, {0, -0.0f}};
  static const int64_t identity[3] = {-1, INT64_MAX, 7};
  static const double one = 0.1;
  static const char *const names[] = {"first", "", "Grüße 人", "last\nline"};
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_create(&a, path, "weights", 3, "dvg-test 0.1.0", "seed = 1\nrate = 0.5\n"));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  if (order) CHECK_OK(dvg_artifact_set_int(a, "seed", 42));
  CHECK_OK(dvg_artifact_set_real(a, "rate", 1.0 / 3));
  CHECK_OK(dvg_artifact_set_text(a, "net", "light\\cnn\nv2"));
  if (!order) CHECK_OK(dvg_artifact_set_int(a, "seed", 41));
  CHECK_OK(dvg_artifact_set_int(a, "seed", 42));
  CHECK_OK(dvg_artifact_add_input(a, "images", "/some/folder/images.h5", "0123"));
  CHECK_OK(dvg_artifact_add_input(a, "weights", "w.h5", "4567"));
  CHECK_OK(dvg_artifact_write(a, "image", DVG_U8, 4, (int64_t[]){2, 3, 4, 1}, pixels));
  CHECK_OK(dvg_artifact_define(a, "fc.weight", DVG_F32, 2, (int64_t[]){3, 2}));
  CHECK_OK(dvg_artifact_define(a, "identity", DVG_I64, 1, (int64_t[]){3}));
  CHECK_OK(dvg_artifact_append(a, "fc.weight", 1, weights[0]));
  CHECK_OK(dvg_artifact_append(a, "identity", 2, identity));
  CHECK_OK(dvg_artifact_append(a, "fc.weight", 0, NULL));
  CHECK_OK(dvg_artifact_append(a, "fc.weight", 2, weights[1]));
  CHECK_OK(dvg_artifact_append(a, "identity", 1, identity + 2));
  CHECK_OK(dvg_artifact_write(a, "group/deep/one", DVG_F64, 0, NULL, &one));
  CHECK_OK(dvg_artifact_define(a, "name", DVG_TEXT, 1, (int64_t[]){4}));
  CHECK_OK(dvg_artifact_append(a, "name", 3, names));
  CHECK_OK(dvg_artifact_append(a, "name", 1, names + 3));
  CHECK_OK(dvg_artifact_write(a, "nothing", DVG_F32, 2, (int64_t[]){0, 256}, NULL));
  CHECK_OK(dvg_artifact_write(a, "no_name", DVG_TEXT, 1, (int64_t[]){0}, NULL));
  struct stat before = {0}, after = {0};
  int there = stat(path, &before) == 0;
  CU_ASSERT_TRUE(dvg_artifact_has(a, "no_name"));
  CU_ASSERT_EQUAL(stat(path, &after) == 0, there);
  CU_ASSERT_EQUAL(before.st_ino, after.st_ino); // nothing changes under the final name before the commit
  CHECK_OK(dvg_artifact_commit(&a, digest));
  CU_ASSERT_PTR_NULL(a);
}

static int same_bytes(const char *one, const char *two) {
  unsigned char *x = NULL, *y = NULL;
  size_t n = 0, m = 0;
  CHECK_OK(dvg_path_read_bytes(one, 1 << 20, &x, &n));
  CHECK_OK(dvg_path_read_bytes(two, 1 << 20, &y, &m));
  int same = n == m && x && y && memcmp(x, y, n) == 0;
  dvg_free(&x);
  dvg_free(&y);
  return same;
}

static void round_trip(void) {
  char digest[DVG_DIGEST_TEXT] = "";
  write_sample(dvg_test_path("a.h5"), 0, digest);
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("a.h5")));
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("a.h5.part")));
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("a.h5"), "weights", 3));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  CU_ASSERT_STRING_EQUAL(dvg_artifact_path(a), dvg_test_path("a.h5"));
  CU_ASSERT_STRING_EQUAL(dvg_artifact_schema(a), "weights");
  CU_ASSERT_STRING_EQUAL(dvg_artifact_digest(a), digest);
  CU_ASSERT_EQUAL(strlen(digest), 64);
  int64_t seed = 0;
  double rate = 0;
  char *text = NULL;
  CHECK_OK(dvg_artifact_get_int(a, "seed", &seed));
  CHECK_OK(dvg_artifact_get_real(a, "rate", &rate));
  CU_ASSERT_EQUAL(seed, 42);
  CU_ASSERT_EQUAL(rate, 1.0 / 3);
  CHECK_OK(dvg_artifact_get_text(a, "net", &text));
  CU_ASSERT_STRING_EQUAL(text, "light\\cnn\nv2");
  dvg_free(&text);
  CHECK_OK(dvg_artifact_get_text(a, "inputs", &text));
  CU_ASSERT_STRING_EQUAL(text, "images images.h5 0123\nweights w.h5 4567\n");
  dvg_free(&text);
  CHECK_OK(dvg_artifact_get_text(a, "settings", &text));
  CU_ASSERT_STRING_EQUAL(text, "seed = 1\nrate = 0.5\n");
  dvg_free(&text);
  EXPECT(dvg_artifact_get_int(a, "net", &seed), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_get_int(a, "absent", &seed), DVG_ERROR_INPUT);
  CU_ASSERT_TRUE(dvg_artifact_has_attribute(a, "net") && !dvg_artifact_has_attribute(a, "absent"));
  CU_ASSERT_TRUE(dvg_artifact_has(a, "group/deep/one") && !dvg_artifact_has(a, "group"));
  char **names = NULL;
  int64_t n = 0;
  CHECK_OK(dvg_artifact_load_text(a, "name", &n, &names));
  CU_ASSERT_EQUAL(n, 4);
  if (n == 4) {
    CU_ASSERT_STRING_EQUAL(names[0], "first");
    CU_ASSERT_STRING_EQUAL(names[1], "");
    CU_ASSERT_STRING_EQUAL(names[2], "Grüße 人");
    CU_ASSERT_STRING_EQUAL(names[3], "last\nline");
  }
  dvg_free(&names);
  CHECK_OK(dvg_artifact_load_text(a, "no_name", &n, &names));
  CU_ASSERT_EQUAL(n, 0);
  dvg_free(&names);
  CHECK_OK(dvg_artifact_verify(a));
  dvg_artifact_close(&a);
}

static void reads_numbers(void) {
  write_sample(dvg_test_path("n.h5"), 0, NULL);
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("n.h5"), NULL, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  float w[6] = {0};
  double wide[4] = {0}, one = 0;
  int64_t id[3] = {0}, dims[DVG_MAX_DIMS];
  int32_t narrow[3];
  unsigned char pixel[12];
  CHECK_OK(dvg_artifact_read(a, "fc.weight", DVG_F32, 0, 3, w));
  CU_ASSERT_TRUE(w[0] == 1.5f && w[1] == -2 && w[2] == 3e-20f && w[3] == 4e30f);
  CHECK_OK(dvg_artifact_read(a, "fc.weight", DVG_F64, 1, 2, wide));
  CU_ASSERT_TRUE(wide[0] == 3e-20f && wide[1] == 4e30f && wide[2] == 0);
  CHECK_OK(dvg_artifact_read(a, "group/deep/one", DVG_F64, 0, 1, &one));
  CU_ASSERT_EQUAL(one, 0.1);
  CHECK_OK(dvg_artifact_read(a, "identity", DVG_I64, 0, 3, id));
  CU_ASSERT_TRUE(id[0] == -1 && id[1] == INT64_MAX && id[2] == 7);
  CHECK_OK(dvg_artifact_read(a, "identity", DVG_I32, 2, 1, narrow));
  CU_ASSERT_EQUAL(narrow[0], 7);
  CHECK_OK(dvg_artifact_read(a, "image", DVG_U8, 0, 1, pixel));
  CU_ASSERT_TRUE(pixel[0] == 1 && pixel[3] == 255 && pixel[8] == 9);
  // Does not fit, other class, beyond the end, text, not there.
  EXPECT(dvg_artifact_read(a, "identity", DVG_I32, 0, 3, narrow), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "identity", DVG_U8, 0, 1, pixel), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "identity", DVG_F32, 0, 3, w), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "image", DVG_F32, 0, 1, w), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "fc.weight", DVG_F32, 2, 2, w), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "fc.weight", DVG_F32, -1, 1, w), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "fc.weight", DVG_F32, 4, 0, w), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "fc.weight", DVG_F32, 1, INT64_MAX, w), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "name", DVG_U8, 0, 1, pixel), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_read(a, "absent", DVG_U8, 0, 1, pixel), DVG_ERROR_INPUT);
  CHECK_OK(dvg_artifact_read(a, "nothing", DVG_F32, 0, 0, NULL));

  float *loaded = NULL;
  enum dvg_type type;
  int n_dims;
  CHECK_OK(dvg_artifact_shape(a, "image", &type, &n_dims, dims));
  CU_ASSERT_TRUE(type == DVG_U8 && n_dims == 4 && dims[0] == 2 && dims[1] == 3 && dims[2] == 4 && dims[3] == 1);
  dims[0] = -1, dims[1] = 2;
  CHECK_OK(dvg_artifact_load(a, "fc.weight", DVG_F32, 2, dims, (void **)&loaded));
  CU_ASSERT_TRUE(dims[0] == 3 && loaded && loaded[3] == 4e30f);
  dvg_free(&loaded);
  dims[0] = 3, dims[1] = 3;
  EXPECT(dvg_artifact_load(a, "fc.weight", DVG_F32, 2, dims, (void **)&loaded), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_load(a, "fc.weight", DVG_F32, 1, dims, (void **)&loaded), DVG_ERROR_INPUT);
  CU_ASSERT_PTR_NULL(loaded);
  dvg_artifact_close(&a);
}

static void same_content_same_bytes(void) {
  char one[DVG_DIGEST_TEXT] = "1", two[DVG_DIGEST_TEXT] = "2";
  write_sample(dvg_test_path("one.h5"), 0, one);
  usleep(1100000); // a time stamp would differ
  write_sample(dvg_test_path("two.h5"), 1, two);
  CU_ASSERT_STRING_EQUAL(one, two);
  CU_ASSERT_TRUE(same_bytes(dvg_test_path("one.h5"), dvg_test_path("two.h5")));
  // The documented rule, by hand, on a small file.
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_create(&a, dvg_test_path("rule.h5"), "s", 1, "p", "a = 1\n"));
  CHECK_OK(dvg_artifact_write(a, "x", DVG_U8, 1, (int64_t[]){3}, "abc"));
  CHECK_OK(dvg_artifact_write(a, "B", DVG_TEXT, 1, (int64_t[]){2}, (const char *[]){"hi", ""}));
  CHECK_OK(dvg_artifact_set_real(a, "r", 0.1));
  CHECK_OK(dvg_artifact_set_text(a, "machine", "of no account"));
  CHECK_OK(dvg_artifact_commit(&a, one));
  char x[DVG_DIGEST_TEXT], b[DVG_DIGEST_TEXT], lines[1024];
  CHECK_OK(dvg_digest_of(x, "abc", 3));
  CHECK_OK(dvg_digest_of(b, "hi\0", 4));
  int n = snprintf(
      lines, sizeof lines,
      "@dvg_schema=s\n@dvg_version=1\n@inputs=\n@program=p\n@r=0.10000000000000001\n@settings=a = 1\\n\n"
      "B text 2 %s\nx u8 3 %s\n",
      b, x);
  CHECK_OK(dvg_digest_of(two, lines, (size_t)n));
  CU_ASSERT_STRING_EQUAL(one, two);
}

static void long_settings(void) {
  enum { N = 1 << 20 };
  char *settings = malloc(N + 1), *text = NULL;
  for (int i = 0; i < N; i++) settings[i] = (char)('a' + i % 26);
  settings[N] = 0;
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_create(&a, dvg_test_path("long.h5"), "s", 1, "p", settings));
  for (int i = 0; i < 300; i++) {
    char name[32];
    snprintf(name, sizeof name, "attribute %d", i);
    CHECK_OK(dvg_artifact_set_int(a, name, i));
    snprintf(name, sizeof name, "layer.%d.weight", i);
    CHECK_OK(dvg_artifact_write(a, name, DVG_I32, 1, (int64_t[]){1}, &i));
  }
  CHECK_OK(dvg_artifact_commit(&a, NULL));
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("long.h5"), "s", 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  CHECK_OK(dvg_artifact_get_text(a, "settings", &text));
  CU_ASSERT_TRUE(text && strcmp(text, settings) == 0);
  int64_t value = 0;
  CHECK_OK(dvg_artifact_get_int(a, "attribute 299", &value));
  CU_ASSERT_EQUAL(value, 299);
  CHECK_OK(dvg_artifact_verify(a));
  dvg_artifact_close(&a);
  dvg_free(&text);
  free(settings);
}

static void never_half_there(void) {
  struct dvg_artifact *a = NULL;
  char old[DVG_DIGEST_TEXT] = "";
  write_sample(dvg_test_path("h.h5"), 0, old);
  // Rows are missing: the file that was there stays, no temporary one is left.
  CHECK_OK(dvg_artifact_create(&a, dvg_test_path("h.h5"), "s", 1, "p", ""));
  CHECK_OK(dvg_artifact_define(a, "x", DVG_U8, 1, (int64_t[]){4}));
  CHECK_OK(dvg_artifact_append(a, "x", 3, "abc"));
  EXPECT(dvg_artifact_commit(&a, NULL), DVG_ERROR_INTERNAL);
  CU_ASSERT_PTR_NULL(a);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("h.h5.part")));
  CHECK_OK(quietly_open(dvg_test_path("h.h5"), "weights", 3));
  // Too many rows, twice the same name, undefined: our own mistakes.
  CHECK_OK(dvg_artifact_create(&a, dvg_test_path("new/deep/i.h5"), "s", 1, "p", ""));
  CHECK_OK(dvg_artifact_define(a, "x", DVG_U8, 1, (int64_t[]){2}));
  EXPECT(dvg_artifact_append(a, "x", 3, "abc"), DVG_ERROR_INTERNAL);
  EXPECT(dvg_artifact_append(a, "y", 1, "a"), DVG_ERROR_INTERNAL);
  EXPECT(dvg_artifact_define(a, "x", DVG_U8, 1, (int64_t[]){2}), DVG_ERROR_INTERNAL);
  EXPECT(dvg_artifact_set_text(a, "sha256", "mine"), DVG_ERROR_INTERNAL);
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("new/deep/i.h5.part")));
  dvg_artifact_discard(&a);
  dvg_artifact_discard(&a);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("new/deep/i.h5.part")) ||
                  dvg_path_exists(dvg_test_path("new/deep/i.h5")));
  // A stale temporary file, of a run that was killed, is replaced.
  CHECK_OK(dvg_path_write_text(dvg_test_path("h2.h5.part"), "rubbish"));
  char again[DVG_DIGEST_TEXT] = "";
  EXPECT(quietly_open(dvg_test_path("h2.h5"), NULL, 0), DVG_ERROR_IO);
  write_sample(dvg_test_path("h2.h5"), 0, again);
  CU_ASSERT_STRING_EQUAL(old, again);
  CU_ASSERT_TRUE(same_bytes(dvg_test_path("h.h5"), dvg_test_path("h2.h5")));
}

static void folders_that_cannot_be_written(void) {
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_path_write_text(dvg_test_path("file"), "x"));
  EXPECT(dvg_artifact_create(&a, dvg_test_path("file/a.h5"), "s", 1, "p", ""), DVG_ERROR_IO);
  EXPECT(dvg_artifact_create(&a, "/proc/none/a.h5", "s", 1, "p", ""), DVG_ERROR_IO);
  EXPECT(dvg_artifact_create(&a, "/proc/a.h5", "s", 1, "p", ""), DVG_ERROR_IO);
  CHECK_OK(dvg_path_make_folder(dvg_test_path("d.h5/inside")));
  EXPECT(dvg_artifact_create(&a, dvg_test_path("d.h5"), "s", 1, "p", ""), DVG_ERROR_IO);
  CU_ASSERT_PTR_NULL(a);
  EXPECT(dvg_path_write_text(dvg_test_path("file/t.txt"), "x"), DVG_ERROR_IO);
  EXPECT(dvg_path_make_folder(dvg_test_path("file/f")), DVG_ERROR_IO);
  EXPECT(dvg_path_make_folder(dvg_test_path("file")), DVG_ERROR_IO);
  // The last step fails: a folder is in the way.
  EXPECT(dvg_path_write_text(dvg_test_path("d.h5"), "x"), DVG_ERROR_IO);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("d.h5.part")));
}

// Writes a larger file; returns its size, -1 after a failure.
static int64_t write_larger(const char *path, enum dvg_status *status) {
  static const float zeros[50000];
  struct dvg_artifact *a = NULL;
  struct stat s = {0};
  *status = dvg_artifact_create(&a, path, "s", 1, "p", "some settings\n");
  for (int i = 0; i < 4 && *status == DVG_OK; i++) {
    char name[16];
    snprintf(name, sizeof name, "x%d", i);
    *status = dvg_artifact_write(a, name, DVG_F32, 1, (int64_t[]){i == 1 ? 10 : 50000}, zeros);
  }
  if (*status == DVG_OK) *status = dvg_artifact_commit(&a, NULL);
  else dvg_artifact_discard(&a);
  return stat(path, &s) == 0 ? (int64_t)s.st_size : -1;
}

// Returns the number of limits on the size of files under which writing did not go as it should.
static int write_under_limits(int64_t whole) {
  struct rlimit kept, small;
  int n_bad = 0;
  getrlimit(RLIMIT_FSIZE, &kept);
  signal(SIGXFSZ, SIG_IGN);
  for (int64_t limit = 0; limit <= whole; limit += limit < 10000 || whole - limit < 4000 ? 500 : 30000) {
    if (limit > whole - 4000 && limit < whole - 500) limit = whole - 500;
    if (limit > whole - 500) limit = whole;
    small = kept;
    small.rlim_cur = (rlim_t)limit;
    setrlimit(RLIMIT_FSIZE, &small);
    enum dvg_status status;
    int64_t n_bytes = write_larger(dvg_test_path("full.h5"), &status);
    setrlimit(RLIMIT_FSIZE, &kept);
    n_bad += status != (limit < whole ? DVG_ERROR_IO : DVG_OK) || n_bytes != (limit < whole ? -1 : whole) ||
             dvg_path_exists(dvg_test_path("full.h5.part"));
  }
  return n_bad;
}

// The disk gets full (here: a limit on the size of files) at any moment of the writing: an error, no file, and
// the process goes on to write others and ends in peace. In a child: HDF5 keeps some memory of a file that it
// could not close, which the leak checker would report.
static void disk_full(void) {
  enum dvg_status status;
  int64_t whole = write_larger(dvg_test_path("whole.h5"), &status);
  CHECK_OK(status);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    dvg_log_quiet(1);
    int n_bad = write_under_limits(whole);
    if (write_larger(dvg_test_path("after.h5"), &status) != whole ||
        quietly_open(dvg_test_path("after.h5"), "s", 1) != DVG_OK)
      n_bad++;
#ifdef __SANITIZE_ADDRESS__
    _exit(n_bad > 100 ? 100 : n_bad);
#else
    exit(n_bad > 100 ? 100 : n_bad);
#endif
  }
  int ended = -1;
  waitpid(child, &ended, 0);
  CU_ASSERT_EQUAL(ended, 0);
}

static void wrong_files(void) {
  write_sample(dvg_test_path("w.h5"), 0, NULL);
  CHECK_OK(quietly_open(dvg_test_path("w.h5"), NULL, 0));
  EXPECT(quietly_open(dvg_test_path("w.h5"), "features", 3), DVG_ERROR_INPUT);
  EXPECT(quietly_open(dvg_test_path("w.h5"), "weights", 2), DVG_ERROR_INPUT);
  EXPECT(quietly_open(dvg_test_path("absent.h5"), NULL, 0), DVG_ERROR_IO);
  CHECK_OK(dvg_path_make_folder(dvg_test_path("folder")));
  EXPECT(quietly_open(dvg_test_path("folder"), NULL, 0), DVG_ERROR_INPUT);
  CHECK_OK(dvg_path_write_text(dvg_test_path("t.h5"), "just text"));
  EXPECT(quietly_open(dvg_test_path("t.h5"), NULL, 0), DVG_ERROR_INPUT);
  CHECK_OK(dvg_path_write_text(dvg_test_path("t.h5"), ""));
  EXPECT(quietly_open(dvg_test_path("t.h5"), NULL, 0), DVG_ERROR_INPUT);
  hid_t f = H5Fcreate(dvg_test_path("plain.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(f);
  EXPECT(quietly_open(dvg_test_path("plain.h5"), NULL, 0), DVG_ERROR_INPUT);
  // Links out of the file are not followed, wherever they lead.
  write_sample(dvg_test_path("other.h5"), 0, NULL);
  f = H5Fopen(dvg_test_path("w.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Lcreate_external(dvg_test_path("other.h5"), "/identity", f, "out", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(f);
  EXPECT(quietly_open(dvg_test_path("w.h5"), NULL, 0), DVG_ERROR_INPUT);
}

static void truncated_files(void) {
  write_sample(dvg_test_path("long.h5"), 0, NULL);
  unsigned char *bytes = NULL;
  size_t n = 0;
  CHECK_OK(dvg_path_read_bytes(dvg_test_path("long.h5"), 1 << 20, &bytes, &n));
  for (size_t k = 0; k < n; k += 97) {
    CHECK_OK(dvg_path_write_bytes(dvg_test_path("short.h5"), bytes, k));
    EXPECT(quietly_open(dvg_test_path("short.h5"), NULL, 0), DVG_ERROR_INPUT);
  }
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("short.h5"), bytes, n - 1));
  EXPECT(quietly_open(dvg_test_path("short.h5"), NULL, 0), DVG_ERROR_INPUT);
  dvg_free(&bytes);
}

static enum dvg_status verify_quietly(const char *path) {
  struct dvg_artifact *a = NULL;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_artifact_open(&a, path, NULL, 0);
  if (status == DVG_OK) status = dvg_artifact_verify(a);
  dvg_artifact_close(&a);
  dvg_log_quiet(0);
  return status;
}

// Changes `what`, found in the file, to `with`, of the same length.
static void change_bytes(const char *path, const void *what, const void *with, size_t n_bytes) {
  unsigned char *bytes = NULL;
  size_t n = 0;
  CHECK_OK(dvg_path_read_bytes(path, 1 << 20, &bytes, &n));
  unsigned char *place = memmem(bytes, n, what, n_bytes);
  CU_ASSERT_PTR_NOT_NULL(place);
  if (place) memcpy(place, with, n_bytes);
  CHECK_OK(dvg_path_write_bytes(path, bytes, n));
  dvg_free(&bytes);
}

static void verify_finds_changes(void) {
  static const float from[2] = {1.5f, -2}, to[2] = {1.5000001f, -2};
  static const struct {
    const void *from, *to;
    size_t n;
  } changes[] = {
      {from, to, sizeof from},       {"rate = 0.5", "rate = 0.6", 10},
      {"first", "First", 5},         {"dvg-test 0.1.0", "dvg-test 0.1.1", 14},
      {"w.h5 4567", "w.h5 4568", 9}, {"fc.weight", "fc.Weight", 9},
  };
  for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++) {
    write_sample(dvg_test_path("v.h5"), 0, NULL);
    CHECK_OK(verify_quietly(dvg_test_path("v.h5")));
    change_bytes(dvg_test_path("v.h5"), changes[k].from, changes[k].to, changes[k].n);
    EXPECT(verify_quietly(dvg_test_path("v.h5")), DVG_ERROR_INPUT);
  }
  // Added and removed things.
  for (int k = 0; k < 3; k++) {
    write_sample(dvg_test_path("v.h5"), 0, NULL);
    hid_t f = H5Fopen(dvg_test_path("v.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    if (k == 0) H5Ldelete(f, "identity", H5P_DEFAULT);
    if (k == 1) H5Adelete(f, "rate");
    if (k == 2) H5Lcopy(f, "identity", f, "more", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    EXPECT(verify_quietly(dvg_test_path("v.h5")), DVG_ERROR_INPUT);
  }
}

// A dataset that says it is far larger than the file.
static void claims_too_much(void) {
  write_sample(dvg_test_path("c.h5"), 0, NULL);
  CHECK_OK(dvg_path_write_text(dvg_test_path("secret.txt"), "a secret"));
  hid_t f = H5Fopen(dvg_test_path("c.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
  hsize_t huge[2] = {1ull << 40, 1000}, chunk[2] = {1000, 1000}, small = 100000;
  hid_t space = H5Screate_simple(2, huge, NULL), dcpl = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(dcpl, 2, chunk);
  H5Dclose(H5Dcreate2(f, "sparse", H5T_IEEE_F32LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT));
  H5Dclose(H5Dcreate2(f, "late", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  space = H5Screate_simple(1, &small, NULL);
  H5Pset_chunk(dcpl, 1, chunk);
  H5Pset_deflate(dcpl, 9);
  hid_t packed = H5Dcreate2(f, "packed", H5T_STD_U8LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
  unsigned char *zeros = calloc(1, 100000);
  H5Dwrite(packed, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
  H5Dclose(packed);
  hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, H5T_VARIABLE);
  H5Dclose(H5Dcreate2(f, "texts", text, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Pclose(dcpl);
  dcpl = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(dcpl, dvg_test_path("secret.txt"), 0, 8);
  H5Sclose(space);
  small = 8;
  space = H5Screate_simple(1, &small, NULL);
  H5Dclose(H5Dcreate2(f, "elsewhere", H5T_STD_U8LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT));
  free(zeros);
  H5Tclose(text);
  H5Sclose(space);
  H5Pclose(dcpl);
  H5Fclose(f);
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("c.h5"), NULL, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  static const char *const names[] = {"sparse", "late", "packed", "elsewhere"};
  for (int k = 0; k < 4; k++) {
    int64_t dims[2] = {-1, -1};
    void *data = NULL;
    EXPECT(dvg_artifact_load(a, names[k], k < 2 ? DVG_F32 : DVG_U8, k < 2 ? 2 : 1, dims, &data),
           DVG_ERROR_INPUT);
    unsigned char byte[4];
    EXPECT(dvg_artifact_read(a, names[k], k < 2 ? DVG_F32 : DVG_U8, 0, 0, byte), DVG_ERROR_INPUT);
  }
  char **texts = NULL;
  int64_t n = 0;
  EXPECT(dvg_artifact_load_text(a, "texts", &n, &texts), DVG_ERROR_INPUT);
  EXPECT(dvg_artifact_verify(a), DVG_ERROR_INPUT);
  dvg_artifact_close(&a);
}

// Many strings of the list that are all the same long one.
static void same_string_many_times(void) {
  enum { N = 4000, LONG = 60000 };
  struct dvg_artifact *a = NULL;
  char **texts = calloc(N, sizeof *texts), *longest = malloc(LONG + 1);
  memset(longest, 'x', LONG);
  longest[LONG] = 0;
  for (int i = 0; i < N; i++) texts[i] = i ? "" : longest;
  CHECK_OK(dvg_artifact_create(&a, dvg_test_path("s.h5"), "s", 1, "p", ""));
  CHECK_OK(dvg_artifact_write(a, "t", DVG_TEXT, 1, (int64_t[]){N}, texts));
  CHECK_OK(dvg_artifact_commit(&a, NULL));
  unsigned char *bytes = NULL;
  size_t n = 0;
  CHECK_OK(dvg_path_read_bytes(dvg_test_path("s.h5"), 1 << 20, &bytes, &n));
  // The dataset's first entry: length 60000, then the address and the index of the string, 12 bytes.
  static const unsigned char length[4] = {LONG & 255, LONG >> 8 & 255, LONG >> 16, 0};
  unsigned char *entry = bytes ? memmem(bytes, n, length, 4) : NULL;
  while (entry && entry + 32 < bytes + n && memcmp(entry + 16, "\0\0\0\0", 4) != 0)
    entry = memmem(entry + 1, n - (size_t)(entry + 1 - bytes), length, 4);
  CU_ASSERT_PTR_NOT_NULL(entry);
  for (int i = 1; i < N && entry && entry + 16 * (i + 1) < bytes + n; i++) memcpy(entry + 16 * i, entry, 16);
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("s.h5"), bytes, n));
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("s.h5"), NULL, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  char **read = NULL;
  int64_t count = 0;
  EXPECT(dvg_artifact_load_text(a, "t", &count, &read), DVG_ERROR_INPUT);
  dvg_artifact_close(&a);
  dvg_free(&bytes);
  free(texts);
  free(longest);
}

static enum dvg_status collect(const char *name, int is_attribute, void *context) {
  strcat(context, is_attribute ? "@" : "");
  strcat(context, name);
  strcat(context, " ");
  return strcmp(name, "name") == 0 ? DVG_STOPPED : DVG_OK;
}

static void visits_all(void) {
  write_sample(dvg_test_path("e.h5"), 1, NULL);
  struct dvg_artifact *a = NULL;
  char names[512] = "";
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("e.h5"), NULL, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  CU_ASSERT_EQUAL(dvg_artifact_each(a, collect, names), DVG_STOPPED);
  CU_ASSERT_STRING_EQUAL(names, "@dvg_schema @dvg_version @inputs @net @program @rate @seed @settings @sha256 "
                                "fc.weight group/deep/one identity image name ");
  dvg_artifact_close(&a);
}

static void paths(void) {
  char *folder = NULL, *text = NULL;
  CHECK_OK(dvg_path_folder(&folder, "a/b/c.h5"));
  CU_ASSERT_STRING_EQUAL(folder, "a/b");
  dvg_free(&folder);
  CHECK_OK(dvg_path_folder(&folder, "c.h5"));
  CU_ASSERT_STRING_EQUAL(folder, ".");
  dvg_free(&folder);
  CHECK_OK(dvg_path_folder(&folder, "/c.h5"));
  CU_ASSERT_STRING_EQUAL(folder, "/");
  dvg_free(&folder);
  CHECK_OK(dvg_path_make_folder(dvg_test_path("x/y//z/")));
  CHECK_OK(dvg_path_make_folder(dvg_test_path("x/y")));
  CHECK_OK(dvg_path_write_text(dvg_test_path("x/y/z/t.txt"), "one\n"));
  CHECK_OK(dvg_path_write_text(dvg_test_path("x/y/z/t.txt"), "two\n"));
  CHECK_OK(dvg_path_read_text(dvg_test_path("x/y/z/t.txt"), 4, &text));
  CU_ASSERT_STRING_EQUAL(text, "two\n");
  dvg_free(&text);
  EXPECT(dvg_path_read_text(dvg_test_path("x/y/z/t.txt"), 3, &text), DVG_ERROR_INPUT);
  EXPECT(dvg_path_read_text(dvg_test_path("x/y"), 100, &text), DVG_ERROR_INPUT);
  EXPECT(dvg_path_read_text(dvg_test_path("x/none"), 100, &text), DVG_ERROR_IO);
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("x/nul"), "a\0b", 3));
  EXPECT(dvg_path_read_text(dvg_test_path("x/nul"), 100, &text), DVG_ERROR_INPUT);
  CU_ASSERT_PTR_NULL(text);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("x/y/z/t.txt.part")) || dvg_path_exists(dvg_test_path("x")));
}

static void write_named(const char *path, const char *name, int aside, char digest[DVG_DIGEST_TEXT]) {
  struct dvg_artifact *a = NULL;
  const int64_t n = 1;
  CHECK_OK(dvg_artifact_create(&a, path, "sample", 1, "p", ""));
  CHECK_OK((aside ? dvg_artifact_write_aside : dvg_artifact_write)(a, "name", DVG_TEXT, 1, &n, &name));
  CHECK_OK(dvg_artifact_commit(&a, digest));
}

// What stands aside is no part of the content digest; that it is there is, and damage to it is found.
static void aside(void) {
  static char digest[4][DVG_DIGEST_TEXT];
  write_named(dvg_test_path("aside.h5"), "the name of an image", 1, digest[0]);
  write_named(dvg_test_path("other.h5"), "another name, longer", 1, digest[1]);
  write_named(dvg_test_path("counted.h5"), "the name of an image", 0, digest[2]);
  write_named(dvg_test_path("counted_other.h5"), "another name, longer", 0, digest[3]);
  CU_ASSERT_STRING_EQUAL(digest[0], digest[1]);
  CU_ASSERT_STRING_NOT_EQUAL(digest[0], digest[2]);
  CU_ASSERT_STRING_NOT_EQUAL(digest[2], digest[3]);
  CHECK_OK(verify_quietly(dvg_test_path("aside.h5")));
  CHECK_OK(verify_quietly(dvg_test_path("other.h5")));
  change_bytes(dvg_test_path("aside.h5"), "the name of", "The name of", 11);
  EXPECT(verify_quietly(dvg_test_path("aside.h5")), DVG_ERROR_INPUT);
}

const struct dvg_test dvg_tests[] = {{"round trip", round_trip},
                                     {"reads numbers", reads_numbers},
                                     {"same content, same bytes", same_content_same_bytes},
                                     {"long settings, many datasets", long_settings},
                                     {"never half there", never_half_there},
                                     {"folders that cannot be written", folders_that_cannot_be_written},
                                     {"disk full", disk_full},
                                     {"wrong files", wrong_files},
                                     {"truncated files", truncated_files},
                                     {"verify finds changes", verify_finds_changes},
                                     {"aside", aside},
                                     {"claims too much", claims_too_much},
                                     {"same string many times", same_string_many_times},
                                     {"visits all", visits_all},
                                     {"paths", paths},
                                     {NULL, NULL}};
