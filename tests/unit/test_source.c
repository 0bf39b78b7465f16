// Sources of images: every kind's items, names, people, domains and pixels; landmarks of their own file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/landmarks.h"
#include "io/source.h"
#include "tests/check.h"

// What is refused says `said`.
static int heard(enum dvg_status (*call)(void *), void *context, enum dvg_status want, const char *said) {
  dvg_test_listen();
  enum dvg_status status = call(context);
  const char *text = dvg_test_heard();
  int right = status == want && strstr(text, said);
  if (!right) printf("wanted %d '%s', heard %d: %s", want, said, status, text);
  return right;
}

// ---- the images that all sources hold: 4 of 3 people, "b" first, as PGM of 2 x 1 pixels

enum { N = 4 };
static const char *const files[N] = {"b/1.pgm", "#a/1.pgm", "#a/2.pgm", "c/1.pgm"};
static const int labels[N] = {7, 3, 3, 5};
static const int people[N] = {0, 1, 1, 2};

static void make_file(char bytes[16], size_t *n, int i) {
  *n = (size_t)sprintf(bytes, "P5 2 1 255 %c%c", 'A' + i, 'a');
}

static void write_tar(const char *path, const char *domain) {
  struct dvg_tar_writer *w = NULL;
  CHECK_OK(dvg_tar_create(&w, path));
  for (int i = 0; i < N; i++) {
    char bytes[16], name[64], json[128];
    size_t n;
    make_file(bytes, &n, i);
    snprintf(name, sizeof name, "%s", files[i]);
    CHECK_OK(dvg_tar_add(w, name, bytes, n));
    strcpy(strrchr(name, '.'), ".json");
    snprintf(json, sizeof json, "{\"identity\": \"person %d\"%s%s%s}", people[i],
             *domain ? ", \"domain\": \"" : "", i % 2 ? "NIR" : domain, *domain ? "\"" : "");
    if (!*domain) snprintf(json, sizeof json, "{\"identity\": \"person %d\"}", people[i]);
    CHECK_OK(dvg_tar_add(w, name, json, strlen(json)));
  }
  CHECK_OK(dvg_tar_commit(&w));
}

// The writer of RecordIO wants ascending identities: these are written by hand, without an index.
static void write_rec(const char *path) {
  static unsigned char all[1024];
  size_t n = 0;
  for (int i = 0; i < N; i++) {
    char bytes[16];
    size_t n_bytes;
    make_file(bytes, &n_bytes, i);
    struct {
      uint32_t magic, length, flag;
      float label;
      uint64_t id, id2;
    } head = {0xced7230a, (uint32_t)(24 + n_bytes), 0, (float)labels[i], (uint64_t)(10 + i), 0};
    memcpy(all + n, &head, 32);
    memcpy(all + n + 32, bytes, n_bytes);
    n += (32 + n_bytes + 3) / 4 * 4;
  }
  CHECK_OK(dvg_path_write_bytes(path, all, n));
}

static void write_folder(void) {
  for (int i = 0; i < N; i++) {
    char bytes[16], path[64], *folder = NULL;
    size_t n;
    make_file(bytes, &n, i);
    snprintf(path, sizeof path, "set/%s", files[i]);
    CHECK_OK(dvg_path_folder(&folder, dvg_test_path(path)));
    CHECK_OK(dvg_path_make_folder(folder));
    CHECK_OK(dvg_path_write_bytes(dvg_test_path(path), bytes, n));
    dvg_free(&folder);
  }
}

static void write_set(const char *path) {
  struct dvg_artifact *a = NULL;
  unsigned char pixels[N * 2], domain[N] = {0, 1, 0, 1};
  int64_t identity[N] = {0, 1, 1, 2};
  float landmarks[N * 10];
  for (int i = 0; i < N; i++) pixels[2 * i] = (unsigned char)('A' + i), pixels[2 * i + 1] = 'a';
  for (int i = 0; i < N * 10; i++) landmarks[i] = (float)i;
  CHECK_OK(dvg_artifact_create(&a, path, "images", 1, "p", ""));
  CHECK_OK(dvg_artifact_write(a, "image", DVG_U8, 4, (int64_t[]){N, 1, 2, 1}, pixels));
  CHECK_OK(dvg_artifact_write(a, "identity", DVG_I64, 1, (int64_t[]){N}, identity));
  CHECK_OK(dvg_artifact_write(a, "domain", DVG_U8, 1, (int64_t[]){N}, domain));
  CHECK_OK(dvg_artifact_write(a, "domain_name", DVG_TEXT, 1, (int64_t[]){2}, (const char *[]){"VIS", "NIR"}));
  CHECK_OK(dvg_artifact_write(a, "person", DVG_TEXT, 1, (int64_t[]){3}, (const char *[]){"x", "y", "z"}));
  CHECK_OK(dvg_artifact_write(a, "name", DVG_TEXT, 1, (int64_t[]){N}, files));
  CHECK_OK(dvg_artifact_write(a, "landmarks", DVG_F32, 2, (int64_t[]){N, 10}, landmarks));
  CHECK_OK(dvg_artifact_commit(&a, NULL));
}

static void write_all(void) {
  write_folder();
  write_rec(dvg_test_path("set.rec"));
  write_tar(dvg_test_path("set.tar"), "");
  write_tar(dvg_test_path("told.tar"), "VIS");
  write_set(dvg_test_path("set.h5"));
  char list[512] = "";
  for (int i = 0; i < N; i++) sprintf(list + strlen(list), "%d\tset/%s\tperson %d\n", i, files[i], people[i]);
  char *text = NULL;
  CHECK_OK(dvg_text(&text, "x\tpath\tidentity\n%s", list));
  CHECK_OK(dvg_path_write_text(dvg_test_path("set.tsv"), text));
  dvg_free(&text);
}

// Order of items: the list's; a folder's is sorted.
static void check_items(struct dvg_source *s, const int order[N], const char *person, const char *name,
                        const char *where) {
  char text[2048], want[2048];
  CU_ASSERT_TRUE_FATAL(s->N == N && s->n_people == 3);
  for (int i = 0; i < N; i++) {
    struct dvg_image image = {0};
    char digest[DVG_DIGEST_TEXT] = "";
    CHECK_OK(dvg_source_read(&image, digest, s, i));
    CU_ASSERT_TRUE_FATAL(image.pixels && image.W == 2 && image.H == 1);
    CU_ASSERT_TRUE(image.pixels[0] == 'A' + order[i] && image.pixels[1] == 'a');
    CU_ASSERT_EQUAL(strlen(digest), 64);
    dvg_image_free(&image);
    int64_t n_bytes = -1;
    CU_ASSERT_EQUAL(dvg_source_probe(&n_bytes, s, i), 0);
    CU_ASSERT_TRUE(n_bytes >= 0);
    for (int k = 0; k < i; k++)
      CU_ASSERT_EQUAL(s->identity[i] == s->identity[k], people[order[i]] == people[order[k]]);
  }
  CU_ASSERT_EQUAL(s->identity[0], 0);
  CU_ASSERT_STRING_EQUAL(s->person[s->identity[1]], person);
  dvg_source_name(text, sizeof text, s, 1);
  CU_ASSERT_STRING_EQUAL(text, name);
  dvg_source_where(text, sizeof text, s, 1);
  snprintf(want, sizeof want, where, dvg_test_folder());
  CU_ASSERT_STRING_EQUAL(text, want);
  char **names = NULL;
  CHECK_OK(dvg_source_names(&names, s, (int64_t[]){3, 1}, 2));
  CU_ASSERT_STRING_EQUAL(names[1], name);
  dvg_free(&names);
}

static void every_kind(void) {
  static const int as_is[N] = {0, 1, 2, 3}, sorted[N] = {1, 2, 0, 3};
  struct dvg_source s;
  write_all();
  CHECK_OK(dvg_source_open(&s, &(struct dvg_source_choice){.list = dvg_test_path("set.tsv")}));
  check_items(&s, as_is, "person 1", "set/#a/1.pgm", "%s/set/#a/1.pgm");
  CU_ASSERT_TRUE(s.n_domains == 1 && strcmp(s.domain_name[0], "VIS") == 0 && s.place[1] == 2);
  CU_ASSERT_PTR_NULL(s.landmarks);
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(&s, &(struct dvg_source_choice){.folder = dvg_test_path("set")}));
  check_items(&s, sorted, "#a", "#a/2.pgm", "%s/set/#a/2.pgm");
  CU_ASSERT_EQUAL(s.place[1], 1);
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(
      &s, &(struct dvg_source_choice){.rec = dvg_test_path("set.rec"), .filter = {"NIR", NULL}}));
  check_items(&s, as_is, "3", "set.rec:11", "%s/set.rec:11");
  CU_ASSERT_STRING_EQUAL(s.domain_name[0], "NIR");
  dvg_source_close(&s);
  CHECK_OK(
      dvg_source_open(&s, &(struct dvg_source_choice){.tar = dvg_test_path("set.tar"), .filter = {"UV", ""}}));
  check_items(&s, as_is, "person 1", "#a/1.pgm", "%s/set.tar: #a/1.pgm");
  CU_ASSERT_STRING_EQUAL(s.domain_name[0], "UV");
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(&s, &(struct dvg_source_choice){.images = dvg_test_path("set.h5")}));
  check_items(&s, as_is, "y", "#a/1.pgm", "%s/set.h5: image 1 (#a/1.pgm)");
  CU_ASSERT_TRUE(s.n_domains == 2 && s.landmarks && s.landmarks[2][3] == 23 && s.has_landmarks[2]);
  dvg_source_close(&s);
}

static void domains(void) {
  struct dvg_source s;
  write_all();
  // Told by the container: chosen from, in the order asked for.
  CHECK_OK(dvg_source_open(
      &s, &(struct dvg_source_choice){.tar = dvg_test_path("told.tar"), .filter = {"NIR", ""}}));
  CU_ASSERT_TRUE(s.N == 2 && s.place[0] == 1 && s.place[1] == 3 && s.n_people == 2);
  struct dvg_image image = {0};
  CHECK_OK(dvg_source_read(&image, NULL, &s, 1));
  CU_ASSERT_EQUAL(image.pixels[0], 'D');
  dvg_image_free(&image);
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(
      &s, &(struct dvg_source_choice){.tar = dvg_test_path("told.tar"), .filter = {"NIR,VIS", ""}}));
  CU_ASSERT_TRUE(s.N == 4 && s.domain[0] == 1 && s.domain[1] == 0);
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(
      &s, &(struct dvg_source_choice){.images = dvg_test_path("set.h5"), .filter = {"NIR", ""}}));
  CU_ASSERT_TRUE(s.N == 2 && s.domain[1] == 0 && s.place[1] == 3 && s.n_people == 3 && s.n_domains == 1);
  CU_ASSERT_TRUE(s.landmarks && s.landmarks[1][0] == 30);
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(
      &s, &(struct dvg_source_choice){.images = dvg_test_path("set.h5"), .filter = {"NIR,VIS", ""}}));
  CU_ASSERT_TRUE(s.N == 4 && s.domain[0] == 1 && strcmp(s.domain_name[1], "VIS") == 0);
  dvg_source_close(&s);
}

static enum dvg_status try_open(void *context) {
  struct dvg_source s;
  DVG_TRY(dvg_source_open(&s, context));
  dvg_source_close(&s);
  return DVG_OK;
}
#define REFUSED(status, said, ...)                                                                             \
  CU_ASSERT_TRUE(heard(try_open, &(struct dvg_source_choice){__VA_ARGS__}, status, said))

static void refusals(void) {
  write_all();
  REFUSED(DVG_ERROR_USAGE, "give one of --images, --list, --folder, --rec, --tar", .list = "");
  REFUSED(DVG_ERROR_USAGE, "give one of", .list = "a", .tar = "b");
  REFUSED(DVG_ERROR_USAGE, "'where' needs a list", .rec = dvg_test_path("set.rec"), .filter = {"", "a=b"});
  REFUSED(DVG_ERROR_USAGE, "tells no domains", .rec = dvg_test_path("set.rec"), .filter = {"VIS,NIR", ""});
  REFUSED(DVG_ERROR_INPUT, "unknown domain: none of the wanted ones", .tar = dvg_test_path("set.tar"),
          .filter = {"VIS,NIR", ""});
  REFUSED(DVG_ERROR_INPUT, "has no domain 'UV'", .images = dvg_test_path("set.h5"), .filter = {"UV", ""});
  REFUSED(DVG_ERROR_USAGE, "'VIS' twice", .images = dvg_test_path("set.h5"), .filter = {"VIS,VIS", ""});
  REFUSED(DVG_ERROR_IO, "none.rec", .rec = dvg_test_path("none.rec"));
}

static void digests(void) {
  static const int64_t items[N] = {0, 1, 2, 3}, sizes[N] = {1, 2, 3, 4}, other[N] = {1, 2, 3, 5};
  char a[DVG_DIGEST_TEXT], b[DVG_DIGEST_TEXT];
  struct dvg_source s;
  write_all();
  CHECK_OK(dvg_path_write_text(dvg_test_path("marks.txt"), "set.rec:11 1 2 3 4 5 6 7 8 9 10\n"));
  CHECK_OK(dvg_source_open(&s, &(struct dvg_source_choice){.rec = dvg_test_path("set.rec")}));
  CHECK_OK(dvg_source_digest(a, &s, items, sizes, N));
  CHECK_OK(dvg_source_digest(b, &s, items, sizes, N));
  CU_ASSERT_STRING_EQUAL(a, b);
  CHECK_OK(dvg_source_digest(b, &s, items, other, N));
  CU_ASSERT_STRING_NOT_EQUAL(a, b);
  CHECK_OK(dvg_source_digest(b, &s, items, sizes, N - 1));
  CU_ASSERT_STRING_NOT_EQUAL(a, b);
  dvg_source_close(&s);
  CHECK_OK(
      dvg_source_open(&s, &(struct dvg_source_choice){.rec = dvg_test_path("set.rec"), .filter = {"NIR", ""}}));
  CHECK_OK(dvg_source_digest(b, &s, items, sizes, N));
  CU_ASSERT_STRING_NOT_EQUAL(a, b);
  dvg_source_close(&s);
  CHECK_OK(dvg_source_open(&s, &(struct dvg_source_choice){.rec = dvg_test_path("set.rec"),
                                                           .landmarks = dvg_test_path("marks.txt")}));
  CHECK_OK(dvg_source_digest(b, &s, items, sizes, N));
  CU_ASSERT_STRING_NOT_EQUAL(a, b);
  dvg_source_close(&s);
}

// ---- landmarks

#define HEADER                                                                                                 \
  "left_eye_x\tleft_eye_y\tright_eye_x\tright_eye_y\tnose_x\tnose_y\tleft_mouth_x\tleft_mouth_y\tright_mouth_" \
  "x\tright_mouth_y"

static enum dvg_status try_landmarks(void *context) {
  struct dvg_landmarks l;
  CHECK_OK(dvg_path_write_text(dvg_test_path("l.txt"), context));
  DVG_TRY(dvg_landmarks_read(&l, dvg_test_path("l.txt")));
  dvg_landmarks_free(&l);
  return DVG_OK;
}

static void landmarks(void) {
  struct dvg_landmarks l;
  CHECK_OK(dvg_path_write_text(dvg_test_path("l.txt"),
                               "# c\r\na 1 2 3 4 5 6 7 8 9 10.5\r\n\nb c\t0\t-2\t3\t4\t5\t6\t7\t8\t9\t1e1"));
  CHECK_OK(dvg_landmarks_read(&l, dvg_test_path("l.txt")));
  CU_ASSERT_TRUE_FATAL(l.n == 2);
  CU_ASSERT_TRUE(l.points[0][9] == 10.5f && l.points[1][1] == -2 && l.points[1][9] == 10 && l.line[1] == 4);
  CU_ASSERT_TRUE(dvg_landmarks_find(&l, "b c") == 1 && dvg_landmarks_find(&l, "b") == -1);
  CU_ASSERT_STRING_EQUAL(dvg_landmarks_name(&l, 0), "a");
  dvg_landmarks_free(&l);
  CHECK_OK(dvg_path_write_text(dvg_test_path("l.txt"), "\xEF\xBB\xBFscore\t" HEADER
                                                       "\tname\n.5\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\tq r\n"));
  CHECK_OK(dvg_landmarks_read(&l, dvg_test_path("l.txt")));
  CU_ASSERT_TRUE_FATAL(l.n == 1);
  CU_ASSERT_TRUE(l.points[0][0] == 1 && l.points[0][9] == 10 && dvg_landmarks_find(&l, "q r") == 0);
  dvg_landmarks_free(&l);
  static const struct {
    const char *text, *said;
  } bad[] = {{"a 1 2 3 4 5 6 7 8 9\n", "l.txt:1: not a name and ten numbers: a"},
             {"a 1 2 3 4 5 6 7 8 9 10 11\n", "l.txt:1: not a name and ten numbers: a"},
             {"a 1 2 3 4 5 6 7 8 9 nan\n", "l.txt:1: not a number: nan"},
             {"a 1 2 3 4 5 6 7 8 9 x\n", "l.txt:1: not a number: x"},
             {"a\t1\t2\t3\t4\t5\t6\t7\t8\t9\t\n", "l.txt:1: not a number: "},
             {"a 1 2 3 4 5 6 7 8 9 10\n#\na 1 2 3 4 5 6 7 8 9 10\n", "l.txt:3: landmarks again for a"},
             {"\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n", "l.txt:1: no name"},
             {"x\t" HEADER "\n", "l.txt:1: the header has no column name or path"},
             {"name\tleft_eye_x\n", "l.txt:1: the header has no column left_eye_y"},
             {"name\t" HEADER "\na\t1\n", "l.txt:2: not as many columns as the header"},
             {"name\t" HEADER "\n", "has no landmarks"},
             {"", "has no landmarks"}};
  for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
    CU_ASSERT_TRUE(heard(try_landmarks, (char *)bad[k].text, DVG_ERROR_INPUT, bad[k].said));
}

static void landmarks_of_items(void) {
  struct dvg_source s;
  write_all();
  CHECK_OK(dvg_path_write_text(dvg_test_path("l.txt"),
                               "set.rec:12 1 2 3 4 5 6 7 8 9 10\nset.rec:10 11 2 3 4 5 6 7 8 9 10\n"));
  CHECK_OK(dvg_source_open(
      &s, &(struct dvg_source_choice){.rec = dvg_test_path("set.rec"), .landmarks = dvg_test_path("l.txt")}));
  CU_ASSERT_TRUE_FATAL(s.landmarks != NULL);
  CU_ASSERT_TRUE(s.has_landmarks[0] && !s.has_landmarks[1] && s.has_landmarks[2] && !s.has_landmarks[3]);
  CU_ASSERT_TRUE(s.landmarks[0][0] == 11 && s.landmarks[2][0] == 1);
  dvg_source_close(&s);
  REFUSED(DVG_ERROR_INPUT, "l.txt:1: landmarks for an unknown item: set.rec:12 (2 such lines)",
          .tar = dvg_test_path("set.tar"), .landmarks = dvg_test_path("l.txt"));
  REFUSED(DVG_ERROR_INPUT, "has landmarks of its own", .images = dvg_test_path("set.h5"),
          .landmarks = dvg_test_path("l.txt"));
  // Of items that the filter leaves out they are no error.
  CHECK_OK(
      dvg_path_write_text(dvg_test_path("l.txt"),
                          "c/1.pgm\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\nb/1.pgm\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n"));
  CHECK_OK(dvg_source_open(&s, &(struct dvg_source_choice){.tar = dvg_test_path("told.tar"),
                                                           .filter = {"VIS", ""},
                                                           .landmarks = dvg_test_path("l.txt")}));
  CU_ASSERT_TRUE(s.N == 2 && s.has_landmarks[0] && !s.has_landmarks[1]);
  dvg_source_close(&s);
}

const struct dvg_test dvg_tests[] = {{"every kind", every_kind},
                                     {"domains", domains},
                                     {"refusals", refusals},
                                     {"digests", digests},
                                     {"landmarks", landmarks},
                                     {"landmarks of items", landmarks_of_items},
                                     {NULL, NULL}};
