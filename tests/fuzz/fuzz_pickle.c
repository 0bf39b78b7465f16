// PyTorch's legacy stream and zip container: pickles, directories, storages.
#include <stdlib.h>

#include "io/tensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/torch_files.h"

enum { MOST_VALUES = 1 << 16 };

static void legacy(const char *name, const void *object, size_t n_object) {
  static struct dvg_bytes b;
  b.n = 0;
  dvg_put_legacy(&b, object, n_object, 6);
  dvg_fuzz_seed(name, b.at, b.n);
}

static void container(const char *name, const void *object, size_t n_object, const char *order, int wide) {
  static struct dvg_zip_bytes z;
  z.all.n = z.directory.n = 0;
  z.n_entries = 0;
  dvg_put_container(&z, object, n_object, 6, order, wide);
  dvg_fuzz_seed(name, z.all.at, z.all.n);
}

#define WITH(f, name, object, ...) f(name, object, sizeof(object) - 1, ##__VA_ARGS__)

void dvg_fuzz_seeds(void) {
  WITH(legacy, "legacy", "\x80\2}(" P_TEXT1("w") P_PLAIN("N") "u");
  WITH(legacy, "legacy-view",
       "\x80\2}(" P_TEXT1("w")
           P_TENSOR(P_ID("Float", "0", "\6", "(" P_TEXT1("v") "K\1K\2t"), "\0", "K\2\x85", "K\1\x85") "u");
  WITH(legacy, "legacy-python2",
       "\x80\2}U\12state_dictccollections\nOrderedDict\n](](U\1w" P_PLAIN("N") "ee\x85Rs");
  WITH(legacy, "legacy-memo", "\x80\4\x95\x10\0\0\0\0\0\0\0}\x94(\x8c\1w\x94" P_PLAIN("N") "q\7\x8c\1vh\7u");
  WITH(container, "zip", "\x80\2}(" P_TEXT1("w") P_PLAIN("") "u", NULL, 0);
  WITH(container, "zip-big", "\x80\2}X\5\0\0\0model}(" P_TEXT1("w") P_PLAIN("") "us", "big", 0);
  WITH(container, "zip64",
       "\x80\2ccollections\nOrderedDict\n)R(" P_TEXT1("w") "ctorch._utils\n_rebuild_parameter\n" P_PLAIN(
           "") "\x88)\x87Ru}b",
       "little", 1);
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  struct dvg_tensors f;
  static float values[MOST_VALUES];
  if (dvg_tensors_open(&f, dvg_fuzz_file(data, n_bytes)) != DVG_OK) return;
  for (int64_t i = 0; i < f.n_tensors; i++)
    if (f.tensor[i].count <= MOST_VALUES && dvg_tensor_read(&f, &f.tensor[i], values) != DVG_OK) break;
  dvg_tensors_close(&f);
}
