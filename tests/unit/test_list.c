// Lists of images, folders of images, packed sets.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/images.h"
#include "tests/check.h"

// Reads `text` as a list. Errors are kept: what was said is compared with `said` (a part of it), NULL: no
// error.
static enum dvg_status read_list(struct dvg_list *list, const char *text, const char *domains,
                                 const char *where, const char *said) {
  CHECK_OK(dvg_path_write_text(dvg_test_path("list.txt"), text));
  struct dvg_list_filter filter = {domains, where};
  if (said) dvg_test_listen();
  enum dvg_status status = dvg_list_read(list, dvg_test_path("list.txt"), &filter);
  if (said) CU_ASSERT_TRUE(dvg_test_heard_line(said));
  return status;
}

static void refused(const char *text, const char *domains, const char *where, enum dvg_status wanted,
                    const char *said) {
  struct dvg_list list = {0};
  CU_ASSERT_EQUAL(read_list(&list, text, domains, where, said), wanted);
  CU_ASSERT_PTR_NULL(list.rows); // outputs are written only on success
}

static void plain(void) {
  struct dvg_list list = {0};
  CHECK_OK(read_list(&list, "# a list\n\na/1.png 17\n/b/2.jpg\t Ann \n  a/3.png 17", "", NULL, NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 3 && list.n_people == 2 && list.n_domains == 1);
  CU_ASSERT_STRING_EQUAL(list.rows[0].path, "a/1.png");
  CU_ASSERT_STRING_EQUAL(list.rows[1].path, "/b/2.jpg");
  CU_ASSERT_TRUE(list.rows[0].identity == 0 && list.rows[1].identity == 1 && list.rows[2].identity == 0);
  CU_ASSERT_STRING_EQUAL(list.people[0], "17");
  CU_ASSERT_STRING_EQUAL(list.people[1], "Ann");
  CU_ASSERT_STRING_EQUAL(list.domains[0], "VIS");
  CU_ASSERT_FALSE(list.rows[0].has_landmarks);
  char *path = NULL;
  CHECK_OK(dvg_list_path(&path, &list, 0));
  CU_ASSERT_STRING_EQUAL(path, dvg_test_path("a/1.png"));
  dvg_free(&path);
  CHECK_OK(dvg_list_path(&path, &list, 1));
  CU_ASSERT_STRING_EQUAL(path, "/b/2.jpg");
  dvg_free(&path);
  dvg_list_free(&list);
  dvg_list_free(&list);
}

static void plain_domains(void) {
  struct dvg_list list = {0};
  // From the path, in the order asked for.
  CHECK_OK(read_list(&list, "s1/NIR/1.png 5\r\ns1/VIS/2.png 5\r\n", "VIS,NIR", "", NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 2 && list.n_domains == 2);
  CU_ASSERT_TRUE(list.rows[0].domain == 1 && list.rows[1].domain == 0);
  CU_ASSERT_STRING_EQUAL(list.domains[0], "VIS");
  dvg_list_free(&list);
  // From the third column, which also selects.
  CHECK_OK(read_list(&list, "1.png 5 NIR\n2.png 5 VIS\n3.png 6 SKETCH\n", "VIS,SKETCH", "", NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 2 && list.n_people == 2);
  CU_ASSERT_TRUE(list.rows[0].domain == 0 && list.rows[1].domain == 1 && list.rows[1].identity == 1);
  dvg_list_free(&list);
  CHECK_OK(read_list(&list, "1.png 5 NIR\n2.png 5 VIS\n", NULL, NULL, NULL));
  CU_ASSERT_TRUE_FATAL(list.n_domains == 2);
  CU_ASSERT_STRING_EQUAL(list.domains[0], "NIR");
  dvg_list_free(&list);
}

#define LANDMARKS                                                                                              \
  "left_eye_x\tleft_eye_y\tright_eye_x\tright_eye_y\tnose_x\tnose_y\tleft_mouth_x\tleft_mouth_y\tright_mouth_" \
  "x\tright_mouth_y"

static void tsv(void) {
  static const char text[] = "\xEF\xBB\xBFsplit\tpath\tidentity\t" LANDMARKS "\tdomain\r\n"
                             "train\ta b.png\tJörg Ä.\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10.5\tVIS\r\n"
                             "\r\n"
                             "test\tc.png\t#7\t\t\t\t\t\t\t\t\t\t\tNIR\r\n"
                             "val\td.png\tJörg Ä.\t-1\t2e0\t3\t4\t5\t6\t7\t8\t9\t10.5\tNIR";
  struct dvg_list list = {0};
  CHECK_OK(read_list(&list, text, NULL, NULL, NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 3 && list.n_people == 2 && list.n_domains == 2);
  CU_ASSERT_STRING_EQUAL(list.rows[0].path, "a b.png");
  CU_ASSERT_STRING_EQUAL(list.people[0], "Jörg Ä.");
  CU_ASSERT_STRING_EQUAL(list.people[1], "#7");
  CU_ASSERT_TRUE(list.rows[0].has_landmarks && !list.rows[1].has_landmarks && list.rows[2].has_landmarks);
  CU_ASSERT_TRUE(list.rows[0].landmarks[0] == 1 && list.rows[0].landmarks[9] == 10.5f);
  CU_ASSERT_TRUE(list.rows[2].landmarks[0] == -1 && list.rows[2].identity == 0 && list.rows[2].domain == 1);
  dvg_list_free(&list);
  CHECK_OK(read_list(&list, text, "NIR", "split=val,train", NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 1 && list.n_people == 1 && list.n_domains == 1);
  CU_ASSERT_STRING_EQUAL(list.rows[0].path, "d.png");
  CU_ASSERT_EQUAL(list.rows[0].domain, 0);
  dvg_list_free(&list);
  CHECK_OK(read_list(&list, text, "", "split=val,train;domain=VIS", NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 1);
  CU_ASSERT_STRING_EQUAL(list.rows[0].path, "a b.png");
  dvg_list_free(&list);
  // Without a domain column.
  CHECK_OK(read_list(&list, "path\tidentity\nx/VIS/1\tA\nx/NIR/1\tA\n", "NIR,VIS", "", NULL));
  CU_ASSERT_TRUE(list.n_rows == 2 && list.rows[0].domain == 1);
  dvg_list_free(&list);
}

static void errors_name_the_line(void) {
  refused("a.png 1\nb.png\n", "", "", DVG_ERROR_INPUT, "list.txt:2: no identity after the path: b.png");
  refused("a.png 1\n# c\n\na.png 2\n", "", "", DVG_ERROR_INPUT, "list.txt:4: repeated path: a.png");
  refused("a.png 1 VIS x\n", "", "", DVG_ERROR_INPUT, "list.txt:1: more than path, identity and domain");
  refused("a b c d e f g\n", "", "", DVG_ERROR_INPUT, "list.txt:1: more than path, identity and domain");
  refused("NIR/a.png 1\nb.png 1\n", "VIS,NIR", "", DVG_ERROR_INPUT, "list.txt:2: unknown domain");
  refused("NIR/VIS/a.png 1\n", "VIS,NIR", "", DVG_ERROR_INPUT, "list.txt:1: the names of several domains");
  refused("a.png 1 VIS\n", "VIS,NIR", "", DVG_ERROR_INPUT, "no image of the domain 'NIR'");
  refused("# nothing\n\n", "", "", DVG_ERROR_INPUT, "no image");
  refused("", "", "", DVG_ERROR_INPUT, "no image");
  refused("path\tidentity\n", "", "", DVG_ERROR_INPUT, "no image");
  refused("path\tidentity\tage\n\na.png\t1\t7\nb.png\t1\n", "", "", DVG_ERROR_INPUT,
          "list.txt:4: has 2 columns, the header has 3");
  refused("path\tidentity\na.png\t1\t7\n", "", "", DVG_ERROR_INPUT,
          "list.txt:2: has 3 columns, the header has 2");
  refused("path\tidentity\na.png\t\n", "", "", DVG_ERROR_INPUT, "list.txt:2: no identity: a.png");
  refused("path\tidentity\n\t1\n", "", "", DVG_ERROR_INPUT, "list.txt:2: no path");
  refused("path\tidentity\tpath\n", "", "", DVG_ERROR_INPUT, "list.txt:1: two columns are called path");
  refused("path\tidentity\tnose_x\na\t1\t1\n", "", "", DVG_ERROR_INPUT, "list.txt:1: some landmark columns");
  refused("path\tidentity\tdomain\na\t1\t\n", "", "", DVG_ERROR_INPUT, "list.txt:2: no domain: a");
  refused("path\tidentity\na\t1\n", "", "split=x", DVG_ERROR_INPUT,
          "list.txt:1: the header has no column split");
  refused("path\tidentity\na\t1\n", "", "split", DVG_ERROR_USAGE, "where: 'split' is not column=value");
  refused("a.png 1\n", "", "split=x", DVG_ERROR_USAGE, "needs a list with a header");
  refused("a.png 1\n", "VIS,VIS", "", DVG_ERROR_USAGE, "'VIS' twice");
  refused("a.png 1\n", "VIS,", "", DVG_ERROR_USAGE, "an empty name");
  const char *bad_numbers[] = {"x", "nan", "inf", "1e99", "1 ", ""};
  for (int k = 0; k < 6; k++) {
    char text[512];
    snprintf(text, sizeof text, "path\tidentity\t" LANDMARKS "\na\t1\t1\t2\t3\t4\t5\t6\t7\t8\t9\t%s\n",
             bad_numbers[k]);
    refused(text, "", "", DVG_ERROR_INPUT,
            k < 5 ? "list.txt:2: not a number" : "list.txt:2: some landmarks are empty");
  }
}

static void hostile_text(void) {
  enum { N = 1 << 17 };
  char *text = malloc(N + 1);
  memset(text, 'x', N);
  text[N] = 0;
  refused(text, "", "", DVG_ERROR_INPUT, "list.txt:1: a line longer");
  memset(text, '\t', 60000);
  text[60000] = 0;
  memcpy(text, "path\tidentity", 13);
  refused(text, "", "", DVG_ERROR_INPUT, "list.txt:1: too many columns");
  free(text);
  struct dvg_list list = {0};
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("nul.txt"), "a.png 1\nb\0 2\n", 13));
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_list_read(&list, dvg_test_path("nul.txt"), NULL), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_list_read(&list, dvg_test_path("none.txt"), NULL), DVG_ERROR_IO);
  dvg_log_quiet(0);
}

static void many_rows(void) {
  enum { N = 20000 };
  char *text = malloc(N * 40), *p = text;
  for (int i = 0; i < N; i++) p += sprintf(p, "folder/image-%d.png person%d\n", i, i * 7 % 3001);
  struct dvg_list list = {0};
  CHECK_OK(read_list(&list, text, "", "", NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == N && list.n_people == 3001);
  int n_bad = 0;
  for (int i = 0; i < N; i++) n_bad += atoi(list.people[list.rows[i].identity] + 6) != i * 7 % 3001;
  CU_ASSERT_EQUAL(n_bad, 0);
  dvg_list_free(&list);
  free(text);
}

static void scans_folders(void) {
  static const char *const files[] = {"s/Bob/2.PNG",     "s/Bob/1.jpeg",      "s/Ann Lee/9.jpg",
                                      "s/Bob/notes.txt", "s/Bob/.hidden.png", "s/readme.png",
                                      "d/NIR/A/1.png",   "d/VIS/A/1.png",     "d/VIS/B/1.png"};
  for (int i = 0; i < 9; i++) {
    char *folder = NULL;
    CHECK_OK(dvg_path_folder(&folder, dvg_test_path(files[i])));
    CHECK_OK(dvg_path_make_folder(folder));
    CHECK_OK(dvg_path_write_text(dvg_test_path(files[i]), ""));
    dvg_free(&folder);
  }
  struct dvg_list list = {0};
  CHECK_OK(dvg_list_scan(&list, dvg_test_path("s"), NULL));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 3 && list.n_people == 2);
  CU_ASSERT_STRING_EQUAL(list.rows[0].path, "Ann Lee/9.jpg");
  CU_ASSERT_STRING_EQUAL(list.rows[1].path, "Bob/1.jpeg");
  CU_ASSERT_STRING_EQUAL(list.rows[2].path, "Bob/2.PNG");
  CU_ASSERT_STRING_EQUAL(list.people[0], "Ann Lee");
  CU_ASSERT_STRING_EQUAL(list.domains[0], "VIS");
  char *path = NULL;
  CHECK_OK(dvg_list_path(&path, &list, 2));
  CU_ASSERT_STRING_EQUAL(path, dvg_test_path("s/Bob/2.PNG"));
  dvg_free(&path);
  dvg_list_free(&list);
  CHECK_OK(dvg_list_scan(&list, dvg_test_path("s"), &(struct dvg_list_filter){"SKETCH", ""}));
  CU_ASSERT_TRUE(list.n_rows == 3 && strcmp(list.domains[0], "SKETCH") == 0);
  dvg_list_free(&list);
  CHECK_OK(dvg_list_scan(&list, dvg_test_path("d"), &(struct dvg_list_filter){"VIS,NIR", ""}));
  CU_ASSERT_TRUE_FATAL(list.n_rows == 3 && list.n_people == 2 && list.n_domains == 2);
  CU_ASSERT_STRING_EQUAL(list.rows[2].path, "NIR/A/1.png");
  CU_ASSERT_TRUE(list.rows[2].identity == 0 && list.rows[2].domain == 1);
  dvg_list_free(&list);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_list_scan(&list, dvg_test_path("d"), &(struct dvg_list_filter){"VIS,UV", ""}),
                  DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_list_scan(&list, dvg_test_path("d"), NULL), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_list_scan(&list, dvg_test_path("none"), NULL), DVG_ERROR_IO);
  CU_ASSERT_EQUAL(dvg_list_scan(&list, dvg_test_path("s"), &(struct dvg_list_filter){"", "a=b"}),
                  DVG_ERROR_USAGE);
  dvg_log_quiet(0);
}

// A packed set of 3 images of 2x2 pixels; `fault` makes one column wrong.
static void write_set(const char *path, int fault) {
  static unsigned char pixels[3 * 2 * 2 * 3];
  int64_t identity[3] = {0, 1, fault == 1 ? 2 : 0};
  unsigned char domain[3] = {0, 1, fault == 2 ? 2 : 1};
  for (int i = 0; i < 36; i++) pixels[i] = (unsigned char)(7 * i);
  struct dvg_artifact *a = NULL;
  CHECK_OK(dvg_artifact_create(&a, path, "images", 1, "p", ""));
  CHECK_OK(dvg_artifact_write(a, "image", DVG_U8, 4, (int64_t[]){3, 2, fault == 3 ? 6 : 2, fault == 3 ? 1 : 3},
                              pixels));
  CHECK_OK(dvg_artifact_write(a, "identity", DVG_I64, 1, (int64_t[]){fault == 4 ? 2 : 3}, identity));
  if (fault != 5) CHECK_OK(dvg_artifact_write(a, "domain", DVG_U8, 1, (int64_t[]){3}, domain));
  CHECK_OK(dvg_artifact_write(a, "domain_name", DVG_TEXT, 1, (int64_t[]){2}, (const char *[]){"VIS", "NIR"}));
  CHECK_OK(dvg_artifact_write(a, "person", DVG_TEXT, 1, (int64_t[]){2}, (const char *[]){"Ann", "Bob"}));
  CHECK_OK(dvg_artifact_write(a, "name", DVG_TEXT, 1, (int64_t[]){fault == 6 ? 2 : 3},
                              (const char *[]){"1", "2", "3"}));
  if (fault == 7) CHECK_OK(dvg_artifact_write(a, "landmarks", DVG_F32, 2, (int64_t[]){3, 2}, pixels));
  CHECK_OK(dvg_artifact_commit(&a, NULL));
}

static void packed_set(void) {
  struct dvg_image_set set = {0};
  write_set(dvg_test_path("set.h5"), 0);
  CHECK_OK(dvg_image_set_open(&set, dvg_test_path("set.h5")));
  CU_ASSERT_PTR_NOT_NULL_FATAL(set.file);
  CU_ASSERT_TRUE(set.N == 3 && set.H == 2 && set.W == 2 && set.C == 3 && set.n_people == 2 &&
                 set.n_domains == 2);
  CU_ASSERT_TRUE(set.identity[1] == 1 && set.domain[2] == 1);
  CU_ASSERT_STRING_EQUAL(set.person[1], "Bob");
  int domain = -1;
  CHECK_OK(dvg_image_set_domain(&set, "NIR", &domain));
  CU_ASSERT_EQUAL(domain, 1);
  unsigned char pixels[24];
  CHECK_OK(dvg_image_set_read(&set, 1, 2, pixels));
  CU_ASSERT_TRUE(pixels[0] == 84 && pixels[23] == 245);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_image_set_domain(&set, "UV", &domain), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_image_set_read(&set, 2, 2, pixels), DVG_ERROR_INPUT);
  dvg_image_set_close(&set);
  for (int fault = 1; fault <= 7; fault++) {
    write_set(dvg_test_path("bad.h5"), fault);
    enum dvg_status status = dvg_image_set_open(&set, dvg_test_path("bad.h5"));
    CU_ASSERT_EQUAL(status, fault == 3 ? DVG_OK : DVG_ERROR_INPUT); // 2x6 gray is just another shape
    dvg_image_set_close(&set);
  }
  dvg_log_quiet(0);
}

static void planes(void) {
  unsigned char rgb[3 * 4 * 3], gray[3 * 4];
  for (int i = 0; i < 36; i++) rgb[i] = (unsigned char)(i * 7);
  for (int i = 0; i < 12; i++) gray[i] = (unsigned char)(i * 20);
  float out[3 * 2 * 2];
  double want[12];
  for (int c = 0; c < 3; c++)
    for (int y = 0; y < 2; y++)
      for (int x = 0; x < 2; x++) want[(c * 2 + y) * 2 + x] = rgb[((1 + y) * 4 + 2 + x) * 3 + c] / 255.0;
  dvg_image_to_planes(out, rgb, 3, 4, 3, 3, 1, 2, 2);
  CHECK_CLOSE("RGB", out, want, 12, 1e-7);
  for (int i = 0; i < 4; i++) want[i] = 0.299 * want[i] + 0.587 * want[i + 4] + 0.114 * want[i + 8];
  dvg_image_to_planes(out, rgb, 3, 4, 3, 1, 1, 2, 2);
  CHECK_CLOSE("gray of RGB", out, want, 4, 1e-7);
  for (int i = 0; i < 12; i++) want[i] = gray[(1 + i % 4 / 2) * 4 + 2 + i % 2] / 255.0;
  dvg_image_to_planes(out, gray, 3, 4, 1, 3, 1, 2, 2);
  CHECK_CLOSE("replicated", out, want, 12, 1e-7);
  // Gray stored three times is the same gray, to the bit, and white is exactly 1.
  for (int v = 0; v < 256; v++) {
    unsigned char one[1] = {(unsigned char)v},
                  three[3] = {(unsigned char)v, (unsigned char)v, (unsigned char)v};
    dvg_image_to_planes(out, one, 1, 1, 1, 1, 0, 0, 1);
    dvg_image_to_planes(out + 1, three, 1, 1, 3, 1, 0, 0, 1);
    CU_ASSERT_EQUAL(out[0], out[1]);
    if (v == 255) CU_ASSERT_EQUAL(out[0], 1.0f);
  }
}

const struct dvg_test dvg_tests[] = {{"plain list", plain},
                                     {"domains of a plain list", plain_domains},
                                     {"tsv", tsv},
                                     {"errors name the line", errors_name_the_line},
                                     {"hostile text", hostile_text},
                                     {"many rows", many_rows},
                                     {"scans folders", scans_folders},
                                     {"packed set", packed_set},
                                     {"planes", planes},
                                     {NULL, NULL}};
