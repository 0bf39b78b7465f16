// safetensors: the header, places and sizes.
#include "io/tensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/torch_files.h"

enum { MOST_VALUES = 1 << 16 };

static void seed(const char *name, const char *header) {
  static struct dvg_bytes b;
  b.n = 0;
  dvg_put_safetensors(&b, header, 6);
  dvg_fuzz_seed(name, b.at, b.n);
}

void dvg_fuzz_seeds(void) {
  seed("one", "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}");
  seed("several",
       "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},"
       "\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[8,16]},"
       "\"c\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,0],\"data_offsets\":[16,16]}}");
  seed("none", "{}");
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  struct dvg_tensors f;
  static float values[MOST_VALUES];
  if (dvg_tensors_open(&f, dvg_fuzz_file(data, n_bytes)) != DVG_OK) return;
  for (int64_t i = 0; i < f.n_tensors; i++)
    if (dvg_tensor_is_real(&f.tensor[i]) && f.tensor[i].count <= MOST_VALUES &&
        dvg_tensor_read(&f, &f.tensor[i], values) != DVG_OK)
      break;
  dvg_tensors_close(&f);
}
