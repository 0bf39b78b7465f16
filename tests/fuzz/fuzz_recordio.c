// RecordIO: an index and the records. An input is `index NUL records`, or the records alone when it begins with
// their magic number.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "io/artifact.h"
#include "io/recordio.h"
#include "tests/fuzz/fuzz.h"

static int write_set(const char *path) {
  struct dvg_recordio_writer *w = NULL;
  if (dvg_recordio_create(&w, path, 3, 2) != DVG_OK) return 0;
  int good = dvg_recordio_add(w, 0, "an image", 8) == DVG_OK &&
             dvg_recordio_add(w, 0, "1234\x0a\x23\xd7\xce", 8) == DVG_OK &&
             dvg_recordio_add(w, 1, "x", 1) == DVG_OK;
  return dvg_recordio_commit(&w) == DVG_OK && good;
}

void dvg_fuzz_seeds(void) {
  char records_path[1024], index_path[1024];
  unsigned char both[4096], *records = NULL, *index = NULL;
  size_t n_records, n_index;
  snprintf(records_path, sizeof records_path, "%s/seed.rec", dvg_fuzz_folder());
  snprintf(index_path, sizeof index_path, "%s/seed.idx", dvg_fuzz_folder());
  if (write_set(records_path) && dvg_path_read_bytes(records_path, 2048, &records, &n_records) == DVG_OK &&
      dvg_path_read_bytes(index_path, 1024, &index, &n_index) == DVG_OK) {
    memcpy(both, index, n_index);
    both[n_index] = 0;
    memcpy(both + n_index + 1, records, n_records);
    dvg_fuzz_seed("records", records, n_records);
    dvg_fuzz_seed("indexed", both, n_index + 1 + n_records);
  }
  unlink(records_path);
  unlink(index_path);
  dvg_free(&records);
  dvg_free(&index);
}

// Real files: the index is found by its name.
static const char *place(void) {
  static char folder[64], path[96];
  if (!folder[0]) {
    snprintf(folder, sizeof folder, "/dev/shm/fuzz-recordio-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/a.rec", folder);
    if (dvg_path_make_folder(folder) != DVG_OK) folder[0] = 0;
  }
  return path;
}

static void put(const char *path, const unsigned char *data, size_t n_bytes) {
  FILE *f = fopen(path, "wb");
  if (!f) return;
  fwrite(data, 1, n_bytes, f);
  fclose(f);
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  struct dvg_recordio r;
  struct dvg_bytes b = {0};
  size_t first;
  char index[96];
  snprintf(index, sizeof index, "%s", place());
  memcpy(strrchr(index, '.'), ".idx", 5);
  const unsigned char *nul = n_bytes && data[0] != 0x0a ? memchr(data, 0, n_bytes) : NULL;
  size_t n_index = nul ? (size_t)(nul - data) : 0, skipped = nul ? n_index + 1 : 0;
  unlink(index);
  if (nul) put(index, data, n_index);
  put(place(), data + skipped, n_bytes - skipped);
  if (dvg_recordio_open(&r, place()) == DVG_OK) {
    for (int64_t i = 0; i < r.n_images; i++)
      if (dvg_recordio_read(&b, &first, &r, i) != DVG_OK || first >= b.n)
        __builtin_trap(); // what was opened can be read
    dvg_recordio_close(&r);
  }
  dvg_bytes_free(&b);
}
