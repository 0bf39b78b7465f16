// Tar shards: samples, labels, which files, plain and gzip, what is refused, what the writer makes.
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/tar.h"
#include "tests/check.h"

// ---- archives made by libarchive

static struct archive *made;

static void begin(const char *name, int gzip) {
  made = archive_write_new();
  archive_write_set_format_gnutar(made);
  if (gzip) archive_write_add_filter_gzip(made);
  CU_ASSERT_EQUAL_FATAL(archive_write_open_filename(made, dvg_test_path(name)), ARCHIVE_OK);
}

static void member_of(const char *name, const char *text, size_t n, unsigned type, const char *link) {
  struct archive_entry *e = archive_entry_new();
  archive_entry_set_pathname(e, name);
  archive_entry_set_filetype(e, type);
  archive_entry_set_perm(e, 0644);
  archive_entry_set_size(e, (la_int64_t)n);
  if (link && type == AE_IFLNK) archive_entry_set_symlink(e, link);
  if (link && type == AE_IFREG) archive_entry_set_hardlink(e, link);
  CU_ASSERT_EQUAL(archive_write_header(made, e), ARCHIVE_OK);
  if (n) CU_ASSERT_EQUAL(archive_write_data(made, text, n), (la_ssize_t)n);
  archive_entry_free(e);
}

static void member(const char *name, const char *text) {
  member_of(name, text, strlen(text), AE_IFREG, NULL);
}

static void end(void) {
  CU_ASSERT_EQUAL(archive_write_close(made), ARCHIVE_OK);
  archive_write_free(made);
}

// A tar of two samples: key 1 with a cls, key 2 with a json; texts stand for images.
static void two(const char *name, int gzip, const char *prefix) {
  char text[64];
  begin(name, gzip);
  for (int k = 1; k <= 2; k++) {
    snprintf(text, sizeof text, "%s%d.jpg", prefix, k);
    member(text, k == 1 ? "first image" : "second");
    snprintf(text, sizeof text, "%s%d.%s", prefix, k, k == 1 ? "cls" : "json");
    member(text, k == 1 ? "7\n" : "{\"label\": 8, \"domain\": \"NIR\"}");
  }
  end();
}

static void holds(struct dvg_tar_set *t, int64_t i, const char *name, const char *domain, const char *identity,
                  const char *text) {
  struct dvg_bytes b = {0};
  CU_ASSERT_TRUE_FATAL(i < t->n_images);
  CU_ASSERT_STRING_EQUAL(t->images[i].name, name);
  CU_ASSERT_STRING_EQUAL(t->images[i].domain, domain);
  CU_ASSERT_STRING_EQUAL(t->images[i].identity, identity);
  CHECK_OK(dvg_tar_read(&b, t, i));
  CU_ASSERT_TRUE(b.n == strlen(text) && memcmp(b.data, text, b.n) == 0);
  dvg_bytes_free(&b);
}

// Opens and expects an error that says `said`.
static void refused(const char *source, enum dvg_status wanted, const char *said) {
  struct dvg_tar_set t = {0};
  dvg_test_listen();
  enum dvg_status status = dvg_tar_open(&t, source);
  CU_ASSERT_TRUE(dvg_test_heard_line(said));
  CU_ASSERT_EQUAL(status, wanted);
  CU_ASSERT_PTR_NULL(t.images);
  if (status == DVG_OK) dvg_tar_close(&t);
}

// ---- reading

static void samples(void) {
  struct dvg_tar_set t;
  for (int gzip = 0; gzip < 2; gzip++) {
    two("a.tar", gzip, "dir/");
    CHECK_OK(dvg_tar_open(&t, dvg_test_path("a.tar")));
    CU_ASSERT_TRUE_FATAL(t.n_tars == 1 && t.n_images == 2);
    for (int k = 0; k < 2; k++) { // backwards and again: in any order, if not as fast
      holds(&t, 1, "dir/2.jpg", "NIR", "8", "second");
      holds(&t, 0, "dir/1.jpg", "", "7", "first image");
    }
    dvg_tar_close(&t);
  }
}

static void members(void) {
  struct dvg_tar_set t;
  begin("a.tar", 0);
  member("README", "no dot");
  member("notes.txt", "not a sample of ours");
  member(".hidden.jpg", "no key");
  member_of("./s/", NULL, 0, AE_IFDIR, NULL);
  member("./s/a.VIS.PNG", "vis"); // two domains, upper case, ./ in front
  member("./s/a.nir.jpeg", "nir");
  member("./s/a.txt", "a caption");
  member("./s/a.CLS", "  Ann Lee \r\n");
  member("b.cls", "5"); // json's identity is taken before cls, that before label
  member("b.json", "{\"label\": 6, \"identity\": \"Bob\"}");
  member("b.jpg", "b");
  member("b.webp", "passed over, b has an image");
  member("c.json", "{\"label\": 6, \"cls\": 4, \"identity\": null}");
  member("c.cls", "5");
  member("c.jpg", "c");
  member("d.json", "{\"cls\": -4, \"label\": 3e2}");
  member("d.seg.json", "[]");
  member("d.jpg", "d");
  end();
  CHECK_OK(dvg_tar_open(&t, dvg_test_path("a.tar")));
  CU_ASSERT_EQUAL_FATAL(t.n_images, 5);
  holds(&t, 0, "s/a.VIS.PNG", "VIS", "Ann Lee", "vis");
  holds(&t, 1, "s/a.nir.jpeg", "nir", "Ann Lee", "nir");
  holds(&t, 2, "b.jpg", "", "Bob", "b");
  holds(&t, 3, "c.jpg", "", "5", "c");
  holds(&t, 4, "d.jpg", "", "300", "d");
  dvg_tar_close(&t);
}

// Names that need a longer header: GNU's, and pax's by our writer.
static void long_names(void) {
  struct dvg_tar_set t;
  char name[400];
  memset(name, 'x', sizeof name);
  memcpy(name + 390, ".jpg", 5);
  begin("a.tar", 0);
  member(name, "one");
  memcpy(name + 390, ".cls", 5);
  member(name, "1");
  end();
  CHECK_OK(dvg_tar_open(&t, dvg_test_path("a.tar")));
  memcpy(name + 390, ".jpg", 5);
  holds(&t, 0, name, "", "1", "one");
  dvg_tar_close(&t);

  struct dvg_tar_writer *w = NULL;
  static const char umlaut[] = "M\303\274ller.jpg";
  CHECK_OK(dvg_tar_create(&w, dvg_test_path("b.tar")));
  CHECK_OK(dvg_tar_add(w, name, "one", 3));
  memcpy(name + 390, ".cls", 5);
  CHECK_OK(dvg_tar_add(w, name, "1", 1));
  CHECK_OK(dvg_tar_add(w, "a.cls", "2", 1));
  CHECK_OK(dvg_tar_add(w, "a.jpg", "two", 3));
  CHECK_OK(dvg_tar_add(w, umlaut, "three", 5));
  CHECK_OK(dvg_tar_add(w, "M\303\274ller.cls", "3", 1));
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("b.tar")));
  CHECK_OK(dvg_tar_commit(&w));
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("b.tar.part")));
  CHECK_OK(dvg_tar_open(&t, dvg_test_path("b.tar")));
  CU_ASSERT_EQUAL_FATAL(t.n_images, 3);
  memcpy(name + 390, ".jpg", 5);
  holds(&t, 0, name, "", "1", "one");
  holds(&t, 1, "a.jpg", "", "2", "two");
  holds(&t, 2, umlaut, "", "3", "three");
  dvg_tar_close(&t);
}

static void sources(void) {
  struct dvg_tar_set t;
  char name[64], prefix[64];
  CHECK_OK(dvg_path_make_folder(dvg_test_path("set")));
  for (int k = 8; k <= 10; k++) {
    snprintf(name, sizeof name, "set/s-%03d.tar", k);
    snprintf(prefix, sizeof prefix, "%d/", k);
    two(name, k == 9, prefix);
  }
  CHECK_OK(dvg_path_write_text(dvg_test_path("set/list"), "# shards\ns-008.tar\r\n\n  s-{009..010}.tar  "));
  CHECK_OK(dvg_path_write_text(dvg_test_path("set/other"), "passed over"));
  static const char *const source[] = {"set", "set/s-{008..010}.tar", "set/list"};
  for (size_t i = 0; i < sizeof source / sizeof *source; i++) {
    CHECK_OK(dvg_tar_open(&t, dvg_test_path(source[i])));
    CU_ASSERT_TRUE_FATAL(t.n_tars == 3 && t.n_images == 6);
    holds(&t, 5, "10/2.jpg", "NIR", "8", "second");
    holds(&t, 0, "8/1.jpg", "", "7", "first image");
    holds(&t, 2, "9/1.jpg", "", "7", "first image");
    CU_ASSERT_EQUAL(t.images[2].tar, 1);
    dvg_tar_close(&t);
  }
  refused(dvg_test_path("set/s-{8..10}.tar"), DVG_ERROR_IO, "set/s-8.tar: cannot open: No such file");
  refused(dvg_test_path("set/s-{010..008}.tar"), DVG_ERROR_USAGE, "is not a range of files");
  refused(dvg_test_path("set/s-{a..b}.tar"), DVG_ERROR_USAGE, "is not a range of files");
  refused(dvg_test_path("set/s-{00..01}{00..01}.tar"), DVG_ERROR_USAGE, "is not a range of files");
  refused(dvg_test_path("set/s-{0000..100000}.tar"), DVG_ERROR_USAGE, "is a range of more than 100000 files");
  refused(dvg_test_path("set/other"), DVG_ERROR_IO, "set/passed over: cannot open");
  refused(dvg_test_path("nothing"), DVG_ERROR_IO, "nothing: cannot open: No such file");
  CHECK_OK(dvg_path_make_folder(dvg_test_path("empty")));
  refused(dvg_test_path("empty"), DVG_ERROR_INPUT, "empty: no *.tar, *.tar.gz or *.tgz is in this folder");
  CHECK_OK(dvg_path_write_text(dvg_test_path("none"), "# nothing\n"));
  refused(dvg_test_path("none"), DVG_ERROR_INPUT, "none: lists no tar file");
}

// ---- what is refused

// A tar of up to three members; texts NULL: not there.
static void refused_members(const char *names, const char *first, const char *second, const char *third,
                            const char *said) {
  char copy[256], *rest = copy;
  const char *texts[3] = {first, second, third};
  snprintf(copy, sizeof copy, "%s", names);
  begin("r.tar", 0);
  for (int i = 0; i < 3 && texts[i]; i++) member(strsep(&rest, " "), texts[i]);
  end();
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, said);
}

static void bad_samples(void) {
  refused_members("a.jpg b.jpg b.cls", "x", "x", "1", "r.tar: sample 'a' has no identity");
  refused_members("a.cls b.jpg b.cls", "1", "x", "1", "r.tar: sample 'a' has a label and no image");
  refused_members("a.jpg a.cls a.png", "x", "1", "x", "r.tar: sample 'a' has two images of one kind: a.png");
  refused_members("a.jpg a.VIS.jpg a.json", "x", "x", "{\"label\":1,\"domain\":\"vis\"}",
                  "has two images of one kind: a.VIS.jpg");
  refused_members("a.webp a.cls", "x", "1", NULL,
                  "r.tar: sample 'a' has no image of a kind that is read, only a.webp");
  refused_members("a.jpg a.cls", "x", " \n", NULL, "r.tar: a.cls: has an empty class");
  refused_members("a.jpg a.cls", "x", "1\n2", NULL, "r.tar: a.cls: has a class with control characters");
  refused_members("a.jpg a.json", "x", "{\"label\": 1.5}", NULL,
                  "r.tar: a.json: its 'label' is neither a whole number nor a text");
  refused_members("a.jpg a.json", "x", "{\"label\": 1e300}", NULL, "its 'label' is neither");
  refused_members("a.jpg a.json", "x", "{\"label\": [1]}", NULL, "its 'label' is neither");
  refused_members("a.jpg a.json", "x", "{\"label\": 1", NULL, "r.tar: a.json: is no valid JSON");
  refused_members("a.jpg a.json", "x", "", NULL, "r.tar: a.json: is no valid JSON");
  refused_members("a.jpg a.json", "x", "[1]", NULL, "r.tar: a.json: is no JSON object");
  refused_members("a.jpg a.json", "x", "{\"name\": 1}", NULL, "r.tar: sample 'a' has no identity");
  refused_members("README", "x", NULL, NULL, "r.tar: holds no image");
  begin("r.tar", 0);
  member("a.jpg", "x");
  member("a.cls", "1");
  member("b.jpg", "x");
  member("b.cls", "1");
  member("a.jpg", "x");
  member("a.cls", "1");
  end();
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: a.jpg: the name is there twice");
  for (int hard = 0; hard < 2; hard++) {
    begin("r.tar", 0);
    member("b.jpg", "x");
    member("b.cls", "1");
    member_of("a.jpg", NULL, 0, hard ? AE_IFREG : AE_IFLNK, "b.jpg");
    end();
    refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: a.jpg: is a link, sparse or something else");
  }
  char *large = calloc(1, 2 << 20);
  begin("r.tar", 0);
  member("a.jpg", "x");
  member_of("a.json", large, 2 << 20, AE_IFREG, NULL);
  end();
  free(large);
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: a.json: is too large");
}

static void bad_files(void) {
  struct stat s;
  CHECK_OK(dvg_path_write_text(dvg_test_path("r.tar"), "hello"));
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: is no readable tar file: ");
  CHECK_OK(dvg_path_write_text(dvg_test_path("r.tar"), ""));
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: is no readable tar file: ");
  two("r.tar", 0, "");
  CU_ASSERT_EQUAL(truncate(dvg_test_path("r.tar"), 4 * 1024), 0);
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: is truncated: it has no end mark");
  CU_ASSERT_EQUAL(truncate(dvg_test_path("r.tar"), 512 + 5), 0);
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT,
          "r.tar: is truncated: it ends inside a member of 11 bytes at byte 512");
  two("r.tar", 1, "");
  CU_ASSERT_EQUAL(stat(dvg_test_path("r.tar"), &s), 0);
  CU_ASSERT_EQUAL(truncate(dvg_test_path("r.tar"), s.st_size / 2), 0);
  refused(dvg_test_path("r.tar"), DVG_ERROR_INPUT, "r.tar: is no readable tar file: truncated gzip input");
}

// Replaced by another one after it was opened.
static void changed(void) {
  struct dvg_tar_set t;
  struct dvg_bytes b = {0};
  for (int gzip = 0; gzip < 2; gzip++) {
    two("a.tar", gzip, "");
    CHECK_OK(dvg_tar_open(&t, dvg_test_path("a.tar")));
    CHECK_OK(dvg_tar_read(&b, &t, 0));
    if (gzip) { // in place: the open file changes
      begin("a.tar", 1);
      member("1.jpg", "other");
      end();
    } else {
      CU_ASSERT_EQUAL(truncate(dvg_test_path("a.tar"), 515), 0);
    }
    dvg_log_quiet(1);
    CU_ASSERT_NOT_EQUAL(dvg_tar_read(&b, &t, 0), DVG_OK);
    CU_ASSERT_NOT_EQUAL(dvg_tar_read(&b, &t, 0), DVG_OK);
    dvg_log_quiet(0);
    dvg_tar_close(&t);
  }
  dvg_bytes_free(&b);
}

static void discarded(void) {
  struct dvg_tar_writer *w = NULL;
  CHECK_OK(dvg_tar_create(&w, dvg_test_path("d.tar")));
  CHECK_OK(dvg_tar_add(w, "a.txt", "x", 1));
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("d.tar.part")));
  dvg_tar_discard(&w);
  CU_ASSERT_PTR_NULL(w);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("d.tar.part")) || dvg_path_exists(dvg_test_path("d.tar")));
}

const struct dvg_test dvg_tests[] = {
    {"samples, plain and gzip", samples}, {"members and labels", members}, {"long names", long_names},
    {"ranges, folders, lists", sources},  {"bad samples", bad_samples},    {"bad files", bad_files},
    {"a file that changes", changed},     {"a discarded file", discarded}, {NULL, NULL}};
