// Tables of tensors: PyTorch's two formats and safetensors, made by hand; what is refused; writing.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/tensors.h"
#include "tests/check.h"
#include "tests/torch_files.h"

// Opens bytes as a file. An error is compared with `said` (a part of its one line), NULL: none is awaited.
static enum dvg_status open_bytes(struct dvg_tensors *f, const void *bytes, size_t n, const char *said) {
  CHECK_OK(dvg_path_write_bytes(dvg_test_path("file"), bytes, n));
  if (said) dvg_test_listen();
  enum dvg_status status = dvg_tensors_open(f, dvg_test_path("file"));
  for (int64_t i = 0; said && status == DVG_OK && i < f->n_tensors; i++) { // values may be what is wrong
    float values[64];
    if (f->tensor[i].count <= 64) status = dvg_tensor_read(f, &f->tensor[i], values);
    if (status != DVG_OK) dvg_tensors_close(f);
  }
  if (said) CU_ASSERT_TRUE(dvg_test_heard_line(said));
  return status;
}

static void refused_bytes(const void *bytes, size_t n, const char *said) {
  struct dvg_tensors f;
  CU_ASSERT_EQUAL(open_bytes(&f, bytes, n, said), DVG_ERROR_INPUT);
  CU_ASSERT_PTR_NULL(f.path);
  dvg_tensors_close(&f);
}

static struct dvg_bytes b;
static struct dvg_zip_bytes z;

static void start_zip(void) {
  z.all.n = z.directory.n = 0;
  z.n_entries = 0;
}

// A legacy stream around an object, which is a literal.
#define LEGACY(object, n_values) (b.n = 0, dvg_put_legacy(&b, object, sizeof(object) - 1, n_values))
#define REFUSED(object, said) (LEGACY(object, 6), refused_bytes(b.at, b.n, said))
// With protocol and dictionary around entries.
#define DICT(entries) "\x80\2}(" entries "u"
#define FULL P_TEXT1("w") P_PLAIN("N")
#define ID P_ID("Float", "0", "\6", "N")

static void check_values(const struct dvg_tensors *f, int64_t i, const char *name, const float *want,
                         int64_t n) {
  float got[64] = {0};
  CU_ASSERT_TRUE_FATAL(i < f->n_tensors && n <= 64 && f->tensor[i].count == n);
  CU_ASSERT_STRING_EQUAL(f->tensor[i].name, name);
  CHECK_OK(dvg_tensor_read(f, &f->tensor[i], got));
  int same = memcmp(got, want, (size_t)n * sizeof *got) == 0;
  for (int64_t k = 0; !same && k < n; k++)
    fprintf(stderr, "  %s[%d]: %.9g, want %.9g\n", name, (int)k, (double)got[k], (double)want[k]);
  CU_ASSERT_TRUE(same);
}

static const float six[] = {1, 2, 3, 4, 5, 6};

static void legacy(void) {
  struct dvg_tensors f;
  char shape[DVG_TENSOR_SHAPE_TEXT];
  LEGACY(DICT(FULL P_TEXT1("e") "K\7" P_TEXT1("o") "}"), 6);
  CU_ASSERT_EQUAL_FATAL(open_bytes(&f, b.at, b.n, NULL), DVG_OK);
  check_values(&f, 0, "w", six, 6);
  dvg_tensor_shape(shape, f.tensor[0].n_dims, f.tensor[0].dims);
  CU_ASSERT_STRING_EQUAL(shape, "2x3");
  CU_ASSERT_EQUAL_FATAL(f.n_others, 2);
  CU_ASSERT_STRING_EQUAL(f.other[0].what, "number 7");
  CU_ASSERT_STRING_EQUAL(f.other[1].what, "dictionary of 0");
  dvg_tensors_close(&f);
}

// A transposed matrix, a part with an offset, one value many times, nothing, a scalar: all of one storage.
static void strides(void) {
  struct dvg_tensors f;
  const float turned[] = {1, 4, 2, 5, 3, 6}, part[] = {3, 5}, same[] = {2, 2, 2}, last[] = {6};
  LEGACY(DICT(P_TEXT1("t") P_TENSOR(ID, "\0", "K\3K\2\x86", "K\1K\3\x86") P_TEXT1("p") P_TENSOR(
             ID, "\2", "K\2\x85", "K\2\x85") P_TEXT1("s") P_TENSOR(ID, "\1", "K\3\x85", "K\0\x85") P_TEXT1("n")
                  P_TENSOR(ID, "\0", "K\0K\7\x86", "K\7K\1\x86") P_TEXT1("l") P_TENSOR(ID, "\5", ")", ")")),
         6);
  CU_ASSERT_EQUAL_FATAL(open_bytes(&f, b.at, b.n, NULL), DVG_OK);
  check_values(&f, 0, "t", turned, 6);
  check_values(&f, 1, "p", part, 2);
  check_values(&f, 2, "s", same, 3);
  CU_ASSERT_EQUAL(f.tensor[3].count, 0);
  CHECK_OK(dvg_tensor_read(&f, &f.tensor[3], NULL));
  check_values(&f, 4, "l", last, 1);
  dvg_tensors_close(&f);
}

// As Python 2 writes: texts as bytes, OrderedDict from a list of pairs; a storage that is a part of another
// one; a count in big endian.
static void early_versions(void) {
  struct dvg_tensors f;
  const float part[] = {2, 3};
  LEGACY("\x80\2}U\12state_dictccollections\nOrderedDict\n](](U\1w" P_PLAIN("N") "e](U\1v" P_TENSOR(
             P_ID("Float", "0", "\6", "(" P_TEXT1("k") "K\1K\2t"), "\0", "K\2\x85", "K\1\x85") "ee\x85Rs",
         6);
  unsigned char *count = b.at + b.n - 6 * 4 - 8;
  CU_ASSERT_EQUAL(count[0], 6);
  count[0] = 0;
  count[7] = 6;
  CU_ASSERT_EQUAL_FATAL(open_bytes(&f, b.at, b.n, NULL), DVG_OK);
  CU_ASSERT_EQUAL(f.n_others, 0);
  check_values(&f, 0, "w", six, 6);
  check_values(&f, 1, "v", part, 2);
  dvg_tensors_close(&f);
}

// Frames, short texts, memo by count, names from the stack, parameters with a state.
static void later_protocols(void) {
  struct dvg_tensors f;
  LEGACY("\x80\4\x95\x10\0\0\0\0\0\0\0}\x94(\x8c\1w\x8c\x0ctorch._utils\x8c\x12_rebuild_parameter\x93" P_PLAIN(
             "N") "\x88)\x87R}b\x94\x8c\1vh\1\x8d\1\0\0\0\0\0\0\0uj\1\0\0\0u",
         6);
  CU_ASSERT_EQUAL_FATAL(open_bytes(&f, b.at, b.n, NULL), DVG_OK);
  check_values(&f, 0, "w", six, 6);
  check_values(&f, 1, "v", six, 6);
  check_values(&f, 2, "u", six, 6);
  dvg_tensors_close(&f);
}

static void containers(void) {
  static const char object[] = "\x80\2}X\5\0\0\0model}(" P_TEXT1("w") P_PLAIN("") "us";
  struct dvg_tensors f;
  for (int wide = 0; wide < 2; wide++)
    for (int order = 0; order < 2; order++) {
      start_zip();
      dvg_put_container(&z, object, sizeof object - 1, 6, order ? "little" : NULL, wide);
      CU_ASSERT_EQUAL_FATAL(open_bytes(&f, z.all.at, z.all.n, NULL), DVG_OK);
      check_values(&f, 0, "w", six, 6);
      dvg_tensors_close(&f);
    }
  start_zip();
  dvg_put_container(&z, object, sizeof object - 1, 6, "big", 0);
  CU_ASSERT_EQUAL_FATAL(open_bytes(&f, z.all.at, z.all.n, NULL), DVG_OK);
  float got[6], want; // 1.0 read backwards is 0x0000803f: a subnormal
  uint32_t bits = 0x0000803f;
  memcpy(&want, &bits, sizeof want);
  CHECK_OK(dvg_tensor_read(&f, &f.tensor[0], got));
  CU_ASSERT_EQUAL(got[0], want);
  dvg_tensors_close(&f);
}

// All kinds of values of the four floating types: bytes in the file, little endian, and what they are.
static void numbers(void) {
  static const char header[] =
      "{\"h\":{\"dtype\":\"F16\",\"shape\":[7],\"data_offsets\":[0,14]},\"b\":{\"dtype\":\"BF16\",\"shape\":[2]"
      ","
      "\"data_offsets\":[14,18]},\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[18,34]},"
      "\"i\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[34,42]}}";
  const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x83ff, 0x8000};
  const float halves[] = {1, -2, 65504, 0x1p-14f, 0x1p-24f, -1023 * 0x1p-24f, -0.0f},
              brains[] = {1, -0x1.fep127f};
  const double wide[] = {1.0 / 3, -1e-40};
  const float doubles[] = {1.0f / 3, -1e-40f};
  struct dvg_tensors f;
  b.n = 0;
  dvg_put_safetensors(&b, header, 0);
  for (int i = 0; i < 7; i++) dvg_put_little(&b, half[i], 2);
  dvg_put_little(&b, 0x3f80, 2);
  dvg_put_little(&b, 0xff7f, 2);
  for (int i = 0; i < 2; i++) {
    uint64_t bits;
    memcpy(&bits, &wide[i], sizeof bits);
    dvg_put_little(&b, bits, 8);
  }
  dvg_put_little(&b, 7, 8);
  CU_ASSERT_EQUAL_FATAL(open_bytes(&f, b.at, b.n, NULL), DVG_OK);
  check_values(&f, 0, "h", halves, 7);
  check_values(&f, 1, "b", brains, 2);
  check_values(&f, 2, "d", doubles, 2);
  CU_ASSERT_FALSE(dvg_tensor_is_real(&f.tensor[3]));
  CU_ASSERT_STRING_EQUAL(dvg_tensor_type_name(f.tensor[3].type), "int64");
  dvg_tensors_close(&f);
}

// ---- refusals

static void nothing_is_executed(void) {
  REFUSED("\x80\2"
          "cposix\nsystem\nX\10\0\0\0touch /xtR",
          "asks for 'posix system'");
  REFUSED("\x80\2"
          "cos\x1b[31m\nsystem\n)R",
          "asks for 'os?[31m system'");
  REFUSED("\x80\4\x8c\10builtins\x8c\4eval\x93", "asks for 'builtins eval'");
  REFUSED("\x80\2"
          "ctorch.nn.modules.linear\nLinear\n)\x81",
          "asks for 'torch.nn.modules.linear Linear'");
  REFUSED("\x80\2"
          "ccollections\nOrderedDict\n)\x81",
          "operation 0x81");
  REFUSED("\x80\2(ios\nsystem\n", "operation 0x69");
  REFUSED("\x80\2I1\n", "operation 0x49");
  REFUSED("\x80\2"
          "ctorch\nFloatStorage\n}R",
          "can't be called");
  REFUSED("\x80\2K\1)R", "can't be called");
}

static void broken_pickles(void) {
  REFUSED("\x80\1", "protocol");
  REFUSED("\x80\2t", "without mark");
  REFUSED("\x80\2}u", "without mark");
  REFUSED("\x80\2\x86", "without operand");
  REFUSED("\x80\2(\x85", "without operand");
  REFUSED("\x80\2](K\1a", "without operand");
  REFUSED("\x80\2}(K\1u", "key without value");
  REFUSED("\x80\2](K\1K\2u", "container");
  REFUSED("\x80\2)(K\1e", "container");
  REFUSED("\x80\2h\5", "memo number without value");
  REFUSED("\x80\2}r\xff\xff\xff\xff", "memo number beyond");
  REFUSED("\x80\2X\xff\xff\xff\x7f", "longer than the rest");
  REFUSED("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "longer than the rest");
  REFUSED("\x80\2}}", "more than one value");
  REFUSED("\x80\2K\1}b", "state for something");
  REFUSED("\x80\2"
          "ccollections\nOrderedDict\nK\1\x85R",
          "something else than a list");
  REFUSED("\x80\2"
          "ccollections\nOrderedDict\n](K\1e\x85R",
          "something else than pairs");
  LEGACY("\x80\2}(", 6);
  refused_bytes(b.at, sizeof P_HEAD - 1 + 3, "ends too early");
  // One list, made a dictionary again and again.
  b.n = 0;
  DVG_PUT(&b, P_HEAD "\x80\2](");
  for (int i = 0; i < 4000; i++) DVG_PUT(&b, "](K\1K\2e");
  DVG_PUT(&b, "eq\1"
              "ccollections\nOrderedDict\nq\2");
  for (int i = 0; i < 4000; i++) DVG_PUT(&b, "h\2h\1\x85R");
  refused_bytes(b.at, b.n, "more items");
}

// A storage whose key has 65 bytes: one key may be compared as often as a pickle has bytes.
#define LONG_KEY_ID                                                                                            \
  "(X\7\0\0\0storagectorch\nFloatStorage\nX\101\0\0\0"                                                         \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"                                          \
  "X\3\0\0\0cpuK\6NtQ"

static void broken_tensors(void) {
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\1", "K\2K\3\x86", "K\3K\1\x86")), "'w' reaches beyond its storage");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "K\2K\3\x86", "K\4K\1\x86")), "reaches beyond");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "J\xff\xff\xff\xff\x85", "K\1\x85")), "reaches beyond");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\5", "K\2\x85", "J\xff\xff\xff\xff\x85")), "reaches beyond");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "\x8a\10\0\0\0\0\0\0\0\x40K\4\x86", "K\0K\0\x86")),
          "reaches beyond");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "K\3\x85", "\x8a\10\0\0\0\0\0\0\0\x40\x85")), "reaches beyond");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "K\2K\3\x86", "K\1\x85")), "in a way that PyTorch does not");
  REFUSED(
      DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")),
      "in a way that PyTorch does not");
  REFUSED(DICT(FULL P_TEXT1("v") P_TENSOR("K\1", "\0", "K\2\x85", "K\1\x85")),
          "in a way that PyTorch does not");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(ID, "\0", "K\1\x85", "\x8a\1\xff\x85")), "reaches beyond");
  REFUSED(DICT(P_TEXT1("w")
                   P_TENSOR(P_ID("Float", "0", "\6", "(" P_TEXT1("k") "K\1K\2t"), "\0", "K\3\x85", "K\1\x85")),
          "beyond its storage of 2 values");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(LONG_KEY_ID, "\0", "K\1\x85", "K\1\x85")), "speaks of a storage");
  REFUSED(DICT(FULL FULL), "two tensors named 'w'");
  REFUSED(DICT(P_TEXT1("e") "}" FULL "s"), "no state_dict");
  REFUSED("\x80\2" P_PLAIN("N"), "no state_dict");
  REFUSED("\x80\2K\1", "no tensor or two tensors ask for");
  REFUSED(DICT(P_TEXT1("w")
                   P_TENSOR(P_ID("Float", "0", "\6", "(" P_TEXT1("k") "K\5K\2t"), "\0", "K\1\x85", "K\1\x85")),
          "speaks of a storage");
  REFUSED(DICT(FULL P_TEXT1("v") P_TENSOR(P_ID("Half", "0", "\6", "N"), "\0", "K\1\x85", "K\1\x85")),
          "two types");
  REFUSED(DICT(FULL P_TEXT1("v") P_TENSOR(P_ID("Float", "1", "\6", "N"), "\0", "K\1\x85", "K\1\x85")),
          "no storage for one");
  REFUSED(DICT(P_TEXT1("w") P_TENSOR(P_ID("Float", "0", "\5", "N"), "\0", "K\1\x85", "K\1\x85")),
          "6 values instead of 5");
}

static void broken_streams(void) {
  LEGACY(DICT(FULL), 6);
  refused_bytes(b.at, b.n - 1, "is truncated");
  refused_bytes(b.at, b.n - 30, "is truncated");
  refused_bytes("", 0, "neither a PyTorch file nor safetensors");
  refused_bytes("words, words", 12, "neither a PyTorch file nor safetensors");
  refused_bytes("\x80\2K\1.", 5, "not one of PyTorch's");
  refused_bytes("\x80\2\x8a\x0a" P_MAGIC ".\x80\2K\1.", 20, "protocol that is not");
  static char tar[1024];
  memcpy(tar + 257, "ustar", 5);
  refused_bytes(tar, sizeof tar, "is a tar archive");
  // A value that is not finite.
  memset(b.at + b.n - 4, 0xff, 4);
  refused_bytes(b.at, b.n, "'w' is not finite at 5");
  // A name that is longer than its many uses could pay for.
  b.n = 0;
  DVG_PUT(&b, P_HEAD "\x80\2}(X\xff\1\0\0");
  for (int i = 0; i < 511; i++) DVG_PUT(&b, "n");
  DVG_PUT(&b, P_PLAIN("N") "u.\x80\2](" P_TEXT1("0") "e.");
  dvg_put_values(&b, 6, 1);
  refused_bytes(b.at, b.n, "a name of 511 bytes");
  struct dvg_tensors f;
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_tensors_open(&f, dvg_test_path("nothing")), DVG_ERROR_IO);
  CU_ASSERT_EQUAL(dvg_tensors_open(&f, dvg_test_folder()), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
}

static void broken_containers(void) {
  static const char object[] = "\x80\2}" P_TEXT1("w") P_PLAIN("") "s",
                    whole[] = "\x80\2}" P_TEXT1("w") P_PLAIN("") "s.";
  start_zip();
  dvg_put_container(&z, object, sizeof object - 1, 6, NULL, 0);
  for (size_t cut = 1; cut < z.all.n - 4; cut += 7) refused_bytes(z.all.at, z.all.n - cut, "file: ");
  start_zip();
  dvg_put_container(&z, object, sizeof object - 1, 5, NULL, 0);
  refused_bytes(z.all.at, z.all.n, "a storage of 6 values has 20 bytes");
  start_zip();
  dvg_put_container(&z, object, sizeof object - 1, 6, "middle", 0);
  refused_bytes(z.all.at, z.all.n, "neither little nor big");
  start_zip();
  dvg_put_entry(&z, "top/words", "words", 5, 0);
  dvg_put_end(&z, 0);
  refused_bytes(z.all.at, z.all.n, "no data.pkl");
  start_zip();
  dvg_put_entry(&z, "top/data.pkl", object, sizeof object - 1, 8);
  dvg_put_end(&z, 0);
  refused_bytes(z.all.at, z.all.n, "compressed");
  start_zip();
  dvg_put_entry(&z, "top/data.pkl", object, sizeof object - 1, 0);
  dvg_put_entry(&z, "top/data.pkl", object, sizeof object - 1, 0);
  dvg_put_end(&z, 0);
  refused_bytes(z.all.at, z.all.n, "two entries");
  start_zip();
  dvg_put_entry(&z, "top/data.pkl", object, sizeof object - 1, 0);
  z.n_entries = 1000;
  dvg_put_end(&z, 0);
  refused_bytes(z.all.at, z.all.n, "no room for its entries");
  start_zip();
  dvg_put_entry(&z, "top/data.pkl", whole, sizeof whole - 1, 0);
  dvg_put_entry(&z, "top/data/0", six, sizeof six, 0);
  for (int field = 20; field < 28; field += 4) // both sizes of the last entry reach into the directory
    z.directory.at[z.directory.n - 46 - strlen("top/data/0") + (size_t)field] = 180;
  dvg_put_end(&z, 0);
  refused_bytes(z.all.at, z.all.n, "an entry is not in the file");
  start_zip();
  dvg_put_entry(&z, "top/data.pkl", object, sizeof object - 1, 0);
  memset(z.directory.at + 24, 0xff, 4); // the size is said to stand in a zip64 field
  dvg_put_end(&z, 0);
  refused_bytes(z.all.at, z.all.n, "zip64 field is missing");
}

static void safetensors_of(const char *header, const char *said) {
  b.n = 0;
  dvg_put_safetensors(&b, header, 6);
  refused_bytes(b.at, b.n, said);
}

static void broken_safetensors(void) {
#define ITEM(type, shape, range)                                                                               \
  "{\"w\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" range "}}"
  safetensors_of(ITEM("F32", "[2,3]", "[0,25]"), "is truncated");
  safetensors_of(ITEM("F32", "[2,3]", "[0,20]"), "6 values has 20 bytes");
  safetensors_of(ITEM("F32", "[2,3]", "[24,0]"), "describes no tensor");
  safetensors_of(ITEM("F32", "[2,-3]", "[0,24]"), "describes no tensor");
  safetensors_of(ITEM("F32", "[2,1.5]", "[0,12]"), "describes no tensor");
  safetensors_of(ITEM("F32", "[2,1e300]", "[0,12]"), "describes no tensor");
  safetensors_of(ITEM("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "describes no tensor");
  safetensors_of(ITEM("F32", "[4503599627370496,4503599627370496]", "[0,0]"),
                 "more values than can be counted");
  safetensors_of(ITEM("F32", "[2,3]", "[0]"), "describes no tensor");
  safetensors_of(ITEM("F32", "6", "[0,24]"), "describes no tensor");
  safetensors_of("{\"w\":[]}", "describes no tensor");
  safetensors_of("{\"w\":", "no JSON object");
  b.n = 0;
  dvg_put_safetensors(&b, ITEM("F32", "[2,3]", "[0,24]"), 6);
  b.at[6] = 1;
  refused_bytes(b.at, b.n, "its header does not end in it");
#undef ITEM
}

// ---- writing

static enum dvg_status source(float *values, int64_t i, void *context) {
  if (context) return DVG_ERROR_INPUT;
  for (int k = 0; k < 6; k++) values[k] = six[k] + (float)i;
  return DVG_OK;
}

static void writing(void) {
  static const struct dvg_tensor_plan plan[] = {
      {"a.weight", 2, {3, 2}}, {"quote\"", 4, {1, 2, 3, 1}}, {"s", 1, {6}}};
  const float more[] = {2, 3, 4, 5, 6, 7};
  enum dvg_status (*const write[])(const char *, const struct dvg_tensor_plan *, int64_t, dvg_tensor_source,
                                   void *) = {dvg_tensors_write_zip, dvg_tensors_write_safetensors};
  for (int k = 0; k < 2; k++) {
    struct dvg_tensors f;
    char *path = dvg_test_path("new/written");
    CHECK_OK(write[k](path, plan, 3, source, NULL));
    CU_ASSERT_EQUAL_FATAL(dvg_tensors_open(&f, path), DVG_OK);
    CU_ASSERT_EQUAL(f.n_tensors, 3);
    check_values(&f, 0, "a.weight", six, 6);
    check_values(&f, 1, "quote\"", more, 6);
    CU_ASSERT_TRUE(f.tensor[1].n_dims == 4 && f.tensor[1].dims[2] == 3);
    dvg_tensors_close(&f);
    CU_ASSERT_EQUAL(write[k](dvg_test_path("failed"), plan, 3, source, &f), DVG_ERROR_INPUT);
    CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("failed")));
    CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("failed.part")));
  }
}

const struct dvg_test dvg_tests[] = {{"legacy stream", legacy},
                                     {"strides, offsets, one storage", strides},
                                     {"early versions", early_versions},
                                     {"later protocols", later_protocols},
                                     {"zip containers", containers},
                                     {"numbers of all types", numbers},
                                     {"nothing is executed", nothing_is_executed},
                                     {"broken pickles", broken_pickles},
                                     {"broken tensors", broken_tensors},
                                     {"broken streams", broken_streams},
                                     {"broken containers", broken_containers},
                                     {"broken safetensors", broken_safetensors},
                                     {"writing", writing},
                                     {NULL, NULL}};
