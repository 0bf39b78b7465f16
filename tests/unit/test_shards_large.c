// Sharded sets in groups: two levels of index, growing, damage, item numbers beyond 2^32, forged indices.
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"
#include "tests/check.h"

static const char settings[] = "seed = 1\n";

enum { MOST = 4 }; // rows of a shard

// Item i: number 100 i, value i / 2, note "item i".
static void write_shard(const struct dvg_shards *s, int64_t shard) {
  int64_t first = dvg_shards_first(s, shard), rows = dvg_shards_rows(s, shard), number[MOST];
  float value[MOST];
  char texts[MOST][32], *pointers[MOST], *path = NULL;
  for (int64_t i = 0; i < rows; i++) {
    number[i] = 100 * (first + i);
    value[i] = (float)(first + i) / 2;
    snprintf(texts[i], sizeof texts[i], "item %lld", (long long)(first + i));
    pointers[i] = texts[i];
  }
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_shards_path(&path, s, shard));
  CHECK_OK(dvg_artifact_create(&a, path, "pairs", 1, "dvg-test 0", settings));
  CHECK_OK(dvg_artifact_write(a, "number", DVG_I64, 1, &rows, number));
  CHECK_OK(dvg_artifact_write(a, "value", DVG_F32, 1, &rows, value));
  CHECK_OK(dvg_artifact_write(a, "note", DVG_TEXT, 1, &rows, pointers));
  CHECK_OK(dvg_artifact_commit(&a, NULL));
  dvg_free(&path);
}

static void describe(struct dvg_shards *s, const char *folder, int64_t items, int64_t per_shard,
                     int64_t per_group) {
  CHECK_OK(dvg_shards_create(s, folder, items, per_shard));
  s->per_group = per_group;
}

static void write_index(const struct dvg_shards *s, char root[DVG_DIGEST_TEXT]) {
  CHECK_OK(dvg_shards_index(s, "pairs", "dvg-test 0", settings, root));
}

static void make_set(struct dvg_shards *s, const char *folder, int64_t items, int64_t per_group,
                     char root[DVG_DIGEST_TEXT]) {
  describe(s, folder, items, 2, per_group);
  for (int64_t k = 0; k < s->n_shards; k++) write_shard(s, k);
  write_index(s, root);
}

static void names(void) {
  char name[DVG_SHARD_NAME];
  static const struct {
    int64_t per_group, shard;
    const char *name;
  } want[] = {{1000, 0, "shard-000000.h5"},
              {1000, 999, "shard-000999.h5"},
              {1000, 1000, "group-001/shard-001000.h5"},
              {1000, 999999, "group-999/shard-999999.h5"},
              {3, 7, "group-002/shard-000007.h5"},
              {0, 1001, "group-001/shard-001001.h5"},
              {1, INT64_MAX, "group-9223372036854775807/shard-9223372036854775807.h5"}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    dvg_shards_name(name, want[i].per_group, want[i].shard);
    CU_ASSERT_STRING_EQUAL(name, want[i].name);
  }
}

static void two_levels_show_the_same(void) {
  enum { N = 37 }; // 19 shards, the last one of one row
  struct dvg_shards one, two;
  char root[2][DVG_DIGEST_TEXT];
  make_set(&one, dvg_test_path("one"), N, 19, root[0]);
  make_set(&two, dvg_test_path("two"), N, 4, root[1]);
  CU_ASSERT_TRUE(dvg_shards_groups(&one) == 1 && dvg_shards_groups(&two) == 5);
  CU_ASSERT_STRING_EQUAL(root[0], root[1]); // a matter of the shards alone
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("one/group-000.h5")));
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("two/group-004.h5")) &&
                 dvg_path_exists(dvg_test_path("two/group-004/shard-000018.h5")));
  CU_ASSERT_EQUAL(rename(dvg_test_path("two"), dvg_test_path("moved")), 0);
  struct dvg_artifact *a = NULL;
  int64_t number[N], n_notes = 0;
  float value[N];
  char **note = NULL;
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("moved/index.h5"), "index", 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  CHECK_OK(dvg_artifact_read(a, "number", DVG_I64, 0, N, number));
  CHECK_OK(dvg_artifact_read(a, "value", DVG_F32, 0, N, value));
  CHECK_OK(dvg_artifact_load_text(a, "note", &n_notes, &note));
  int n_bad = n_notes != N;
  for (int i = 0; i < N && !n_bad; i++) {
    char want[32];
    snprintf(want, sizeof want, "item %d", i);
    n_bad += number[i] != 100 * i || value[i] != (float)i / 2 || strcmp(note[i], want) != 0;
  }
  CU_ASSERT_EQUAL(n_bad, 0);
  CHECK_OK(dvg_artifact_verify(a));
  dvg_artifact_close(&a);
  dvg_free(&note);
  // A shard that the process has open is closed to HDF5's virtual datasets, which would show nothing of it.
  struct dvg_artifact *shard = NULL;
  CHECK_OK(dvg_artifact_open(&shard, dvg_test_path("moved/group-001/shard-000005.h5"), "pairs", 1));
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("moved/index.h5"), "index", 1));
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_artifact_read(a, "number", DVG_I64, 0, N, number), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  dvg_artifact_close(&shard);
  dvg_artifact_close(&a);
  struct dvg_shard_reader *r = NULL;
  CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("moved"), "pairs", 1));
  CHECK_OK(dvg_shard_reader_read(r, "number", DVG_I64, 3, N - 3, number));
  for (int i = 3; i < N; i++) n_bad += number[i - 3] != 100 * i;
  CU_ASSERT_EQUAL(n_bad, 0);
  CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 0, 1), -1);
  CU_ASSERT_STRING_EQUAL(dvg_shard_reader_digest(r), root[0]);
  dvg_shard_reader_close(&r);
  dvg_shards_free(&one);
  dvg_shards_free(&two);
}

// Locks of others are no matter: nothing rests on them, and some file systems have none.
static void locked_files_are_read(void) {
  enum { N = 20 };
  struct dvg_shards s;
  make_set(&s, dvg_test_path("locked"), N, 4, NULL);
  static const char *const names[] = {"locked/index.h5", "locked/group-001.h5",
                                      "locked/group-001/shard-000005.h5"};
  int fd[3];
  for (int i = 0; i < 3; i++) {
    fd[i] = open(dvg_test_path(names[i]), O_RDONLY);
    CU_ASSERT_EQUAL(flock(fd[i], LOCK_EX | LOCK_NB), 0);
  }
  struct dvg_artifact *a = NULL;
  int64_t number[N] = {0};
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("locked/index.h5"), "index", 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  CHECK_OK(dvg_artifact_read(a, "number", DVG_I64, 0, N, number));
  for (int i = 0; i < N; i++) CU_ASSERT_EQUAL(number[i], 100 * i);
  dvg_artifact_close(&a);
  for (int i = 0; i < 3; i++) close(fd[i]);
  dvg_shards_free(&s);
}

// What HDF5 alone shows of a set whose second group lost a shard.
static void lost_shards_are_seen(void) {
  enum { N = 20 };
  struct dvg_shards s;
  make_set(&s, dvg_test_path("lost"), N, 4, NULL);
  CHECK_OK(dvg_path_remove(dvg_test_path("lost/group-001/shard-000005.h5"))); // items 10 and 11
  int64_t number[N];
  float value[N];
  hid_t file = H5Fopen(dvg_test_path("lost/index.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t a = H5Dopen2(file, "number", H5P_DEFAULT), b = H5Dopen2(file, "value", H5P_DEFAULT);
  CU_ASSERT_TRUE(H5Dread(a, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, number) >= 0);
  CU_ASSERT_TRUE(H5Dread(b, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0);
  H5Dclose(a);
  H5Dclose(b);
  H5Fclose(file);
  for (int i = 0; i < N; i++) {
    CU_ASSERT_EQUAL(number[i], i / 2 == 5 ? -1 : 100 * i);
    CU_ASSERT_TRUE(i / 2 == 5 ? value[i] != value[i] : value[i] == (float)i / 2);
  }
  // Ours say so.
  struct dvg_artifact *index = NULL;
  struct dvg_shard_reader *r = NULL;
  dvg_log_quiet(1);
  CHECK_OK(dvg_artifact_open(&index, dvg_test_path("lost/index.h5"), "index", 1));
  CU_ASSERT_EQUAL(dvg_artifact_read(index, "number", DVG_I64, 0, 1, number), DVG_ERROR_INPUT);
  dvg_artifact_close(&index);
  CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("lost"), "pairs", 1));
  CHECK_OK(dvg_shard_reader_read(r, "number", DVG_I64, 0, 10, number));
  CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "number", DVG_I64, 9, 3, number), DVG_ERROR_IO);
  CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 1, 2), 5);
  dvg_shard_reader_close(&r);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shards_verify(dvg_test_path("lost"), 0, 1), DVG_ERROR_IO);
  dvg_log_quiet(0);
  dvg_shards_free(&s);
}

static void grows(void) {
  struct dvg_shards s;
  char root[DVG_DIGEST_TEXT], again[DVG_DIGEST_TEXT];
  make_set(&s, dvg_test_path("grow"), 8, 4, NULL); // four shards: one group
  dvg_shards_free(&s);
  CHECK_OK(dvg_shards_verify(dvg_test_path("grow"), 0, 1));
  describe(&s, dvg_test_path("grow"), 24, 2, 4);
  for (int64_t k = 0; k < s.n_shards; k++) {
    unsigned char pending;
    CHECK_OK(dvg_shards_is_pending(&s, k, "pairs", 1, settings, NULL, &pending));
    CU_ASSERT_EQUAL(pending, k >= 4); // where a shard lies does not depend on how many there are
    if (pending) write_shard(&s, k);
  }
  write_index(&s, root);
  CHECK_OK(dvg_shards_verify(dvg_test_path("grow"), 0, 1));
  dvg_shards_free(&s);
  make_set(&s, dvg_test_path("grown"), 24, 4, again);
  CU_ASSERT_STRING_EQUAL(root, again);
  // While groups are written anew there is no index that points to them.
  CHECK_OK(dvg_shards_index_begin(&s));
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("grown/index.h5")));
  dvg_shards_free(&s);
}

// The index in parts, as ranks make it: the same bytes as by one.
static void index_in_parts(void) {
  struct dvg_shards s;
  char root[DVG_DIGEST_TEXT], again[DVG_DIGEST_TEXT];
  make_set(&s, dvg_test_path("parts"), 31, 3, root);
  unsigned char *bytes[2] = {NULL};
  size_t n_bytes[2] = {0};
  CHECK_OK(dvg_path_read_bytes(dvg_test_path("parts/index.h5"), 1 << 20, &bytes[0], &n_bytes[0]));
  struct dvg_shard_sums part[2], all;
  CHECK_OK(dvg_shard_sums_create(&all, &s));
  CHECK_OK(dvg_shards_index_begin(&s));
  for (int p = 0; p < 2; p++) {
    CHECK_OK(dvg_shard_sums_create(&part[p], &s));
    for (int64_t g = p; g < dvg_shards_groups(&s); g += 2)
      CHECK_OK(dvg_shards_index_group(&s, g, "pairs", "dvg-test 0", settings, &part[p]));
    for (int64_t i = 0; i < all.n_words; i++) ((int64_t *)all.shard)[i] += ((const int64_t *)part[p].shard)[i];
    dvg_shard_sums_free(&part[p]);
  }
  CHECK_OK(dvg_shards_index_end(&s, "pairs", "dvg-test 0", settings, &all, again));
  dvg_shard_sums_free(&all);
  CU_ASSERT_STRING_EQUAL(root, again);
  CHECK_OK(dvg_path_read_bytes(dvg_test_path("parts/index.h5"), 1 << 20, &bytes[1], &n_bytes[1]));
  CU_ASSERT_TRUE(n_bytes[0] == n_bytes[1] && memcmp(bytes[0], bytes[1], n_bytes[0]) == 0);
  dvg_free(&bytes[0]);
  dvg_free(&bytes[1]);
  dvg_shards_free(&s);
}

static void damaged_groups_are_named(void) {
  struct dvg_shards s, other;
  make_set(&s, dvg_test_path("groups"), 24, 4, NULL);
  make_set(&other, dvg_test_path("others"), 22, 4, NULL);
  for (int rank = 0; rank < 2; rank++) CHECK_OK(dvg_shards_verify(dvg_test_path("groups"), rank, 2));
  CU_ASSERT_EQUAL(rename(dvg_test_path("others/group-002.h5"), dvg_test_path("groups/group-002.h5")),
                  0); // of two rows less
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shards_verify(dvg_test_path("groups"), 0, 2), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  CHECK_OK(dvg_shards_verify(dvg_test_path("groups"), 1, 2));
  dvg_log_quiet(1);
  CHECK_OK(dvg_path_remove(dvg_test_path("groups/group-002.h5")));
  CU_ASSERT_EQUAL(dvg_shards_verify(dvg_test_path("groups"), 0, 1), DVG_ERROR_IO);
  CHECK_OK(dvg_path_remove(dvg_test_path("groups/group-001/shard-000004.h5")));
  CU_ASSERT_EQUAL(dvg_shards_index(&s, "pairs", "dvg-test 0", settings, NULL), DVG_ERROR_IO);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("groups/index.h5"))); // it would point to nothing
  dvg_log_quiet(0);
  dvg_shards_free(&s);
  dvg_shards_free(&other);
}

// ---- beyond 2^32: shards of 2^30 bytes, of which the file system stores the few that are not zero

static const int64_t big_shard = INT64_C(1) << 30;

static void put_text(hid_t file, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, H5T_VARIABLE);
  hid_t id = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(id, type, &text);
  H5Aclose(id);
  H5Sclose(space);
  H5Tclose(type);
}

static void put_int(hid_t file, const char *name, int64_t value) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t id = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(id, H5T_NATIVE_INT64, &value);
  H5Aclose(id);
  H5Sclose(space);
}

// A shard whose bytes are 0 but for one: 1 + its number in row 7 + its number.
static void write_sparse_shard(const char *path, int64_t shard, const char *digest) {
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), dcpl = H5Pcreate(H5P_DATASET_CREATE);
  hsize_t rows = (hsize_t)big_shard, start = (hsize_t)(7 + shard), one = 1;
  hid_t space = H5Screate_simple(1, &rows, NULL), memory = H5Screate_simple(1, &one, NULL);
  unsigned char value = (unsigned char)(1 + shard);
  H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER);
  hid_t id = H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &one, NULL);
  CU_ASSERT_TRUE(H5Dwrite(id, H5T_NATIVE_UINT8, memory, space, H5P_DEFAULT, &value) >= 0);
  put_text(file, "dvg_schema", "pairs");
  put_text(file, "sha256", digest);
  put_int(file, "dvg_version", 1);
  H5Dclose(id);
  H5Sclose(space);
  H5Sclose(memory);
  H5Pclose(dcpl);
  CU_ASSERT_TRUE(H5Fclose(file) >= 0);
}

static void items_beyond_32_bits(void) {
  static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  struct dvg_shards s;
  describe(&s, dvg_test_path("big"), 6 * big_shard + 5, big_shard, 4);
  CU_ASSERT_EQUAL(s.n_shards, 7);
  CU_ASSERT_TRUE(dvg_shards_first(&s, 6) == 6 * big_shard && dvg_shards_rows(&s, 6) == 5);
  s.n_items -= 5, s.n_shards = 6; // whole shards only
  for (int64_t k = 0; k < s.n_shards; k++) {
    char *path = NULL;
    CHECK_OK(dvg_shards_path(&path, &s, k));
    if (k == 4) CHECK_OK(dvg_path_make_folder(dvg_test_path("big/group-001")));
    write_sparse_shard(path, k, digest);
    dvg_free(&path);
  }
  write_index(&s, NULL);
  unsigned char byte[3];
  struct dvg_shard_reader *r = NULL;
  CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("big"), "pairs", 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(r);
  CU_ASSERT_TRUE(dvg_shard_reader_items(r) == 6 * big_shard && 6 * big_shard > UINT32_MAX);
  for (int64_t k = 0; k < s.n_shards; k++) {
    CHECK_OK(dvg_shard_reader_read(r, "x", DVG_U8, k * big_shard + 7 + k - 1, 3, byte));
    CU_ASSERT_TRUE(byte[0] == 0 && byte[1] == 1 + k && byte[2] == 0);
  }
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "x", DVG_U8, 6 * big_shard - 1, 2, byte), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_shard_reader_read(r, "x", DVG_U8, INT64_MAX, INT64_MAX, byte), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  dvg_shard_reader_close(&r);
  struct dvg_artifact *a = NULL; // by way of both levels
  CHECK_OK(dvg_artifact_open(&a, dvg_test_path("big/index.h5"), "index", 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(a);
  for (int64_t k = 0; k < s.n_shards; k++) {
    CHECK_OK(dvg_artifact_read(a, "x", DVG_U8, k * big_shard + 7 + k - 1, 3, byte));
    CU_ASSERT_TRUE(byte[0] == 0 && byte[1] == 1 + k && byte[2] == 0);
  }
  dvg_artifact_close(&a);
  dvg_shards_free(&s);
}

// The largest set there is room for, by its numbers.
static void largest_set(void) {
  struct dvg_shards s;
  const int64_t per = INT64_C(9000000000), n = per * 1000000;
  CHECK_OK(dvg_shards_create(&s, dvg_test_path("largest"), n, per));
  CU_ASSERT_TRUE(s.n_shards == 1000000 && dvg_shards_groups(&s) == 1000);
  CU_ASSERT_TRUE(dvg_shards_first(&s, 999999) == n - per && dvg_shards_rows(&s, 999999) == per);
  dvg_shards_free(&s);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_shards_create(&s, dvg_test_path("largest"), n + 1, per), DVG_ERROR_USAGE);
  dvg_log_quiet(0);
}

// ---- forged

static void write_forged(const char *path, char *file, int64_t rows) {
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_create(&a, path, "index", 1, "dvg-test 0", settings));
  CHECK_OK(dvg_artifact_write_virtual(a, "number", DVG_I64, 1, &rows, 1, &file, &rows, 0));
  CHECK_OK(dvg_artifact_commit(&a, NULL));
}

static enum dvg_status read_forged(char *file) {
  struct dvg_artifact *a = NULL;
  int64_t number;
  write_forged(dvg_test_path("forged/index.h5"), file, 2);
  DVG_TRY(dvg_artifact_open(&a, dvg_test_path("forged/index.h5"), "index", 1));
  enum dvg_status status = dvg_artifact_read(a, "number", DVG_I64, 0, 1, &number);
  dvg_artifact_close(&a);
  return status;
}

// A first shard that claims more rows, or larger ones, than its bytes: found before anybody makes room for
// them.
static void forged_shapes_are_refused(void) {
  struct dvg_shards s;
  struct dvg_shard_reader *r = NULL;
  static const hsize_t shapes[][3] = {
      {2, 1, 1}, {2, 1 << 20, 1 << 30}, {2, 1ull << 62, 1ull << 62}, {3, 1, 1}, {0, 1, 1}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    make_set(&s, dvg_test_path("shape"), 4, 4, NULL);
    char digest[DVG_DIGEST_TEXT];
    CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("shape"), "pairs", 1));
    strcpy(digest, dvg_artifact_digest(dvg_shard_reader_first(r)));
    dvg_shard_reader_close(&r);
    hid_t file = H5Fcreate(dvg_test_path("shape/shard-000000.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(3, shapes[i], NULL);
    unsigned char zero[2] = {0};
    hid_t id = H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (i == 0) H5Dwrite(id, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, zero);
    put_text(file, "dvg_schema", "pairs");
    put_text(file, "sha256", digest);
    put_int(file, "dvg_version", 1);
    H5Dclose(id);
    H5Sclose(space);
    H5Fclose(file);
    dvg_log_quiet(i > 0);
    CU_ASSERT_EQUAL(dvg_shard_reader_open(&r, dvg_test_path("shape"), "pairs", 1),
                    i ? DVG_ERROR_INPUT : DVG_OK);
    dvg_log_quiet(0);
    dvg_shard_reader_close(&r);
    dvg_shards_free(&s);
  }
}

static void forged_indices_are_refused(void) {
  struct dvg_shards s;
  make_set(&s, dvg_test_path("forged"), 2, 4, NULL);
  CHECK_OK(read_forged("shard-000000.h5"));
  CU_ASSERT_EQUAL(link(dvg_test_path("forged/shard-000000.h5"), dvg_test_path("outside.h5")), 0);
  CHECK_OK(dvg_path_make_folder(dvg_test_path("forged/deep")));
  CU_ASSERT_EQUAL(link(dvg_test_path("forged/shard-000000.h5"), dvg_test_path("forged/deep/x.h5")), 0);
  CHECK_OK(read_forged("deep/x.h5"));
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(read_forged("../outside.h5"), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(read_forged("deep/../../outside.h5"), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(read_forged(dvg_test_path("outside.h5")), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(read_forged("index.h5"), DVG_ERROR_INPUT); // shows itself
  dvg_log_quiet(0);
  write_forged(dvg_test_path("forged/level.h5"), "shard-000000.h5", 2);
  CHECK_OK(read_forged("level.h5"));
  write_forged(dvg_test_path("forged/third.h5"), "level.h5", 2);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(read_forged("third.h5"), DVG_ERROR_INPUT); // more levels than are ever written
  write_forged(dvg_test_path("forged/level.h5"), "third.h5", 2);
  CU_ASSERT_EQUAL(read_forged("third.h5"), DVG_ERROR_INPUT); // round in a circle
  dvg_log_quiet(0);
  dvg_shards_free(&s);
}

// As the layout of a set of millions, in small: many groups, each shard found. Shards are links to one of three
// files: to sync 2,000 would take most of a minute on a busy disk.
static void many_groups(void) {
  enum { SHARDS = 2000, PER = 4, N = SHARDS * PER };
  struct dvg_shards s;
  describe(&s, dvg_test_path("many"), N, PER, 100);
  for (int64_t k = 0; k < 3; k++) write_shard(&s, k);
  for (int64_t k = 3; k < s.n_shards; k++) {
    char *from = NULL, *to = NULL;
    CHECK_OK(dvg_shards_path(&from, &s, k % 3));
    CHECK_OK(dvg_shards_path(&to, &s, k));
    *strrchr(to, '/') = 0;
    CHECK_OK(dvg_path_make_folder(to));
    to[strlen(to)] = '/';
    CU_ASSERT_EQUAL(link(from, to), 0);
    dvg_free(&from);
    dvg_free(&to);
  }
  write_index(&s, NULL);
  struct dvg_shard_reader *r = NULL;
  CHECK_OK(dvg_shard_reader_open(&r, dvg_test_path("many"), "pairs", 1));
  int n_bad = 0;
  for (int64_t i = 0; i < 500; i++) {
    int64_t item = i * 7919 % N, number = 0;
    CHECK_OK(dvg_shard_reader_read(r, "number", DVG_I64, item, 1, &number));
    n_bad += number != 100 * (item / PER % 3 * PER + item % PER);
  }
  CU_ASSERT_EQUAL(n_bad, 0);
  CU_ASSERT_EQUAL(dvg_shard_reader_check(r, 0, 1), -1);
  dvg_shard_reader_close(&r);
  CHECK_OK(dvg_shards_verify(dvg_test_path("many"), 0, 1));
  dvg_shards_free(&s);
}

const struct dvg_test dvg_tests[] = {{"names", names},
                                     {"two levels show the same", two_levels_show_the_same},
                                     {"locked files are read", locked_files_are_read},
                                     {"lost shards are seen", lost_shards_are_seen},
                                     {"grows", grows},
                                     {"index in parts", index_in_parts},
                                     {"damaged groups are named", damaged_groups_are_named},
                                     {"items beyond 32 bits", items_beyond_32_bits},
                                     {"largest set", largest_set},
                                     {"forged indices are refused", forged_indices_are_refused},
                                     {"forged shapes are refused", forged_shapes_are_refused},
                                     {"many groups", many_groups},
                                     {NULL, NULL}};
