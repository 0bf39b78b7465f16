// RecordIO: parts, the index, InsightFace's header, what is refused, what the writer makes.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/recordio.h"
#include "tests/check.h"

// ---- files made by hand, byte by byte

static unsigned char made[4096];
static size_t n_made;

static void put(const void *data, size_t n) {
  memcpy(made + n_made, data, n);
  n_made += n;
}

static void u32(uint32_t x) {
  for (int i = 0; i < 4; i++) made[n_made++] = (unsigned char)(x >> 8 * i);
}

static void f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  u32(bits);
}

static void part(uint32_t kind, uint32_t n) {
  u32(0xced7230a);
  u32(kind << 29 | n);
}

static void pad(void) {
  while (n_made % 4) made[n_made++] = 0;
}

static void header(uint32_t flag, float label, uint32_t id) {
  u32(flag);
  f32(label);
  u32(id);
  for (int i = 0; i < 3; i++) u32(0);
}

// A whole record with one label.
static void image(float label, uint32_t id, const char *text) {
  part(0, 24 + (uint32_t)strlen(text));
  header(0, label, id);
  put(text, strlen(text));
  pad();
}

// A record of two labels, without an image.
static void range(uint32_t id, float first, float end) {
  part(0, 32);
  header(2, 0, id);
  f32(first);
  f32(end);
}

static void save(const char *index) {
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("a.rec"), made, n_made));
  unlink(dvg_test_path("a.idx"));
  if (index) CHECK_OK(dvg_path_write_text(dvg_test_path("a.idx"), index));
  n_made = 0;
}

// Opens what was saved and expects an error that says `said`.
static void refused(enum dvg_status wanted, const char *said) {
  struct dvg_recordio r = {0};
  dvg_test_listen();
  enum dvg_status status = dvg_recordio_open(&r, dvg_test_path("a.rec"));
  CU_ASSERT_TRUE(dvg_test_heard_line(said));
  CU_ASSERT_EQUAL(status, wanted);
  CU_ASSERT_PTR_NULL(r.path);
}

static void holds(const struct dvg_recordio *r, int64_t i, int64_t key, int64_t identity, const void *bytes,
                  size_t n) {
  static struct dvg_bytes b;
  size_t first = 0;
  CU_ASSERT_TRUE_FATAL(i < r->n_images);
  CU_ASSERT_EQUAL(r->images[i].key, key);
  CU_ASSERT_EQUAL(r->images[i].identity, identity);
  CHECK_OK(dvg_recordio_read(&b, &first, r, i));
  CU_ASSERT_TRUE(b.n - first == n && memcmp(b.data + first, bytes, n) == 0);
  dvg_bytes_free(&b);
}

// ---- reading

static void plain(void) {
  struct dvg_recordio r;
  image(7, 30, "first");
  part(0, 24 + 12 + 4); // three labels: the first is the identity
  header(3, 99, 31);
  f32(5);
  f32(0.25F);
  f32(-1);
  put("four", 4);
  image(0, 32, "x");
  save(NULL);
  CHECK_OK(dvg_recordio_open(&r, dvg_test_path("a.rec")));
  CU_ASSERT_EQUAL(r.n_images, 3);
  CU_ASSERT_EQUAL(r.n_people_records, 0);
  holds(&r, 0, 30, 7, "first", 5);
  holds(&r, 1, 31, 5, "four", 4);
  holds(&r, 2, 32, 0, "x", 1);
  dvg_recordio_close(&r);
}

// A magic number in the data: in the image, at the end, twice in a row, in the record's own header.
static void parts(void) {
  struct dvg_recordio r;
  static const unsigned char magic[] = {0x0a, 0x23, 0xd7, 0xce};
  unsigned char wanted[32];
  part(1, 24 + 4);
  header(0, 1, 0);
  put("abcd", 4);
  part(2, 0);
  part(3, 2);
  put("ef", 2);
  pad();
  part(1, 8); // the id is the magic number
  u32(0);
  f32(2);
  part(3, 12 + 3);
  for (int i = 0; i < 3; i++) u32(0);
  put("xyz", 3);
  pad();
  part(1, 24);
  header(0, 3, 2);
  part(3, 0);
  save(NULL);
  CHECK_OK(dvg_recordio_open(&r, dvg_test_path("a.rec")));
  CU_ASSERT_EQUAL_FATAL(r.n_images, 3);
  memcpy(wanted, "abcd", 4);
  memcpy(wanted + 4, magic, 4);
  memcpy(wanted + 8, magic, 4);
  memcpy(wanted + 12, "ef", 2);
  holds(&r, 0, 0, 1, wanted, 14);
  holds(&r, 1, 0xced7230a, 2, "xyz", 3);
  holds(&r, 2, 2, 3, magic, 4);
  dvg_recordio_close(&r);
}

static void indexed(void) {
  struct dvg_recordio r;
  image(1, 0, "aaaa"); // at 0, 36 bytes
  image(2, 0, "bbbb");
  image(3, 0, "cccc");
  save("12\t72\n\n10\t0\r\n"); // not in the file's order, not all of it
  CHECK_OK(dvg_recordio_open(&r, dvg_test_path("a.rec")));
  CU_ASSERT_EQUAL_FATAL(r.n_images, 2);
  holds(&r, 0, 10, 1, "aaaa", 4);
  holds(&r, 1, 12, 3, "cccc", 4);
  dvg_recordio_close(&r);
}

// As InsightFace's tools write: the header behind the images, or in front.
static void insightface(void) {
  struct dvg_recordio r;
  for (int front = 0; front < 2; front++) {
    if (front) range(0, 4, 6);
    image(0, 1, "a");
    image(0, 2, "b");
    image(1, 3, "c");
    if (!front) range(0, 4, 6);
    range(4, 1, 3);
    range(5, 3, 4);
    save(NULL);
    CHECK_OK(dvg_recordio_open(&r, dvg_test_path("a.rec")));
    CU_ASSERT_TRUE_FATAL(r.n_images == 3 && r.n_people_records == 2);
    holds(&r, 0, 1, 0, "a", 1);
    holds(&r, 2, 3, 1, "c", 1);
    dvg_recordio_close(&r);
  }
}

// ---- what is refused

static void broken_records(void) {
  image(1, 0, "good");
  u32(0x12345678);
  u32(4);
  u32(0);
  save(NULL);
  refused(DVG_ERROR_INPUT,
          "a.rec: record 1 at byte 36: no RecordIO: 0x12345678 at byte 36 is not the magic number");
  image(1, 0, "good");
  part(0, 28);
  header(0, 1, 1);
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 1 at byte 36: its 28 bytes reach beyond the end of the file, which has 68");
  image(1, 0, "good");
  u32(0xced7230a);
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 1 at byte 36: the file ends inside it");
  part(0, 8);
  u32(0);
  u32(0);
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 0 at byte 0: has 8 bytes, its header alone needs 24");
  part(0, 28);
  header(0x7fffffff, 1, 5);
  f32(1);
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 0 at byte 0: claims 2147483647 labels in 28 bytes");
  image(0.5F, 3, "half");
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 0 (key 3) at byte 0: its label, 0.5, is no whole number");
  image(__builtin_nanf(""), 3, "half");
  save(NULL);
  refused(DVG_ERROR_INPUT, "its label, nan, is no whole number");
  image(1, 3, "");
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 0 (key 3) at byte 0: holds no image");
  save(NULL);
  refused(DVG_ERROR_INPUT, "a.rec: holds no image");
}

static void broken_parts(void) {
  static const uint32_t kinds[][2] = {{1, 1}, {1, 0}, {2, 3}, {3, 0}, {4, 0}, {7, 0}, {1, 5}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    part(kinds[i][0], 24);
    header(0, 1, 1);
    part(kinds[i][1], 4);
    put("data", 4);
    save(NULL);
    refused(DVG_ERROR_INPUT, "is out of order");
  }
  part(1, 24);
  header(0, 1, 1);
  save(NULL);
  refused(DVG_ERROR_INPUT, "record 0 at byte 0: the file ends inside it");
}

static void broken_index(void) {
  static const struct {
    const char *index, *said;
  } cases[] = {
      {"1\t0\n1\t36\n", "a.idx: key 1 is there twice"},
      {"1\t0\n2\t0\n", "a.idx: key 2 points into the record before it, to byte 0"},
      {"1\t0\n2\t32\n", "points into the record before it, to byte 32"},
      {"1\t4\n", "is not the magic number"},
      {"1\t0\n2\t80\n", "a.idx: key 2 points to byte 80, beyond the end of the records' file, which has 72"},
      {"1\t0\n2 x\n", "a.idx:2: is not 'key <tab> offset'"},
      {"1\n", "a.idx:1: is not"},
      {"1\t99999999999999999999\n", "a.idx:1: is not"},
      {"-1\t0\n", "a.idx:1: is not"},
      {"1\t0\t0\n", "a.idx:1: is not"},
      {"", "a.rec: holds no image"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    image(1, 0, "aaaa");
    image(2, 0, "bbbb");
    save(cases[i].index);
    refused(DVG_ERROR_INPUT, cases[i].said);
  }
}

static void broken_ranges(void) {
  image(0, 1, "a");
  range(2, 1, 2);
  save(NULL);
  refused(DVG_ERROR_INPUT, "record with key 2 at byte 36: holds no image, and the set has no header (key 0)");
  range(0, 2, 3);
  range(0, 2, 3);
  image(0, 1, "a");
  save(NULL);
  refused(DVG_ERROR_INPUT, "a second header");
  range(0, 2, 1);
  image(0, 1, "a");
  save(NULL);
  refused(DVG_ERROR_INPUT, "the header's labels are no range of keys (2 to 1)");
  range(0, 2, 3);
  image(0, 1, "a");
  range(2, 1, 9);
  save(NULL);
  refused(DVG_ERROR_INPUT, "a person's range is not within the images' keys (1 to 9)");
  range(0, 2, 4);
  image(0, 1, "a");
  range(2, 1, 2);
  save(NULL);
  refused(DVG_ERROR_INPUT, "a.rec: its header promises 2 people, there are records of 1");
}

static void no_file(void) {
  unlink(dvg_test_path("a.rec"));
  refused(DVG_ERROR_IO, "a.rec: cannot open: No such file");
}

// The file is another one by the time an image is read.
static void changed(void) {
  struct dvg_recordio r;
  struct dvg_bytes b = {0};
  size_t first;
  image(1, 0, "aaaa");
  save(NULL);
  CHECK_OK(dvg_recordio_open(&r, dvg_test_path("a.rec")));
  FILE *f = fopen(dvg_test_path("a.rec"), "r+b");
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  fseek(f, 4, SEEK_SET);
  fputc(25, f);
  fclose(f);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_recordio_read(&b, &first, &r, 0), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(truncate(dvg_test_path("a.rec"), 20), 0);
  CU_ASSERT_EQUAL(dvg_recordio_read(&b, &first, &r, 0), DVG_ERROR_IO);
  dvg_log_quiet(0);
  dvg_bytes_free(&b);
  dvg_recordio_close(&r);
}

// ---- writing

// A reader that has lost its place looks for magics: all at multiples of 4 must be heads of parts.
static void has_magics_at_heads_only(const char *path) {
  unsigned char *bytes = NULL;
  size_t n = 0, part_begins = 0;
  CHECK_OK(dvg_path_read_bytes(path, 1 << 20, &bytes, &n));
  for (size_t i = 0; i + 8 <= n; i += 4) {
    int is_magic = memcmp(bytes + i, "\x0a\x23\xd7\xce", 4) == 0;
    CU_ASSERT_EQUAL(is_magic, i == part_begins);
    if (i == part_begins) part_begins += 8 + (((size_t)bytes[i + 4] | (size_t)bytes[i + 5] << 8) + 3) / 4 * 4;
  }
  dvg_free(&bytes);
}

// Images with the magic number at every place; person 1 of 4 has none.
static void written(void) {
  unsigned char data[6][40];
  static const int64_t identity[6] = {0, 0, 2, 2, 3, 3};
  struct dvg_recordio_writer *w = NULL;
  for (int pass = 0; pass < 2; pass++) {
    CHECK_OK(dvg_recordio_create(&w, dvg_test_path("w.rec"), 6, 4));
    for (int i = 0; i < 6; i++) {
      memset(data[i], 'a' + i, sizeof data[i]);
      for (int k = 0; k <= i; k++) memcpy(data[i] + 4 * k + (i == 5), "\x0a\x23\xd7\xce", 4);
      if (i == 0) memcpy(data[i] + 36, "\x0a\x23\xd7\xce", 4); // at the very end
      CHECK_OK(dvg_recordio_add(w, identity[i], data[i], sizeof data[i] - (size_t)i));
    }
    CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("w.rec")));
    CHECK_OK(dvg_recordio_commit(&w));
    CU_ASSERT_PTR_NULL(w);
    CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("w.idx")) && !dvg_path_exists(dvg_test_path("w.rec.part")) &&
                   !dvg_path_exists(dvg_test_path("w.idx.part")));
    has_magics_at_heads_only(dvg_test_path("w.rec"));
    if (pass == 1) unlink(dvg_test_path("w.idx")); // with and without
    struct dvg_recordio r;
    CHECK_OK(dvg_recordio_open(&r, dvg_test_path("w.rec")));
    CU_ASSERT_TRUE_FATAL(r.n_images == 6 && r.n_people_records == 4);
    for (int i = 0; i < 6; i++) holds(&r, i, i + 1, identity[i], data[i], sizeof data[i] - (size_t)i);
    dvg_recordio_close(&r);
    unlink(dvg_test_path("w.rec"));
  }
}

static void writer_refuses(void) {
  struct dvg_recordio_writer *w = NULL;
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_recordio_create(&w, dvg_test_path("n.rec"), 1 << 23, 1 << 23), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_recordio_create(&w, dvg_test_path("n.rec"), 0, 1), DVG_ERROR_USAGE);
  CHECK_OK(dvg_recordio_create(&w, dvg_test_path("n.rec"), 2, 2));
  CHECK_OK(dvg_recordio_add(w, 1, "x", 1));
  CU_ASSERT_EQUAL(dvg_recordio_add(w, 0, "x", 1), DVG_ERROR_INTERNAL);
  CU_ASSERT_EQUAL(dvg_recordio_commit(&w), DVG_ERROR_INTERNAL);
  dvg_log_quiet(0);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("n.rec")) || dvg_path_exists(dvg_test_path("n.rec.part")) ||
                  dvg_path_exists(dvg_test_path("n.idx.part")));
}

const struct dvg_test dvg_tests[] = {{"plain records", plain},
                                     {"records of several parts", parts},
                                     {"an index", indexed},
                                     {"InsightFace's header", insightface},
                                     {"broken records", broken_records},
                                     {"broken parts", broken_parts},
                                     {"a broken index", broken_index},
                                     {"broken ranges", broken_ranges},
                                     {"no file", no_file},
                                     {"a file that changes", changed},
                                     {"written and read", written},
                                     {"what the writer refuses", writer_refuses},
                                     {NULL, NULL}};
