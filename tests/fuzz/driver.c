// The main part of every fuzz target: DVG_FUZZ_SEEDS=FOLDER makes the seeds there and ends, else libFuzzer
// runs.
#define _GNU_SOURCE // memfd_create
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "tests/fuzz/fuzz.h"

static const char *folder;
static int n_failed;

const char *dvg_fuzz_folder(void) {
  return folder;
}

void dvg_fuzz_seed(const char *name, const void *bytes, size_t n_bytes) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  n_failed += dvg_path_write_bytes(path, bytes, n_bytes) != DVG_OK;
}

void dvg_fuzz_seed_file(const char *name, const char *path) {
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  if (dvg_path_read_bytes(path, 1 << 24, &bytes, &n_bytes) == DVG_OK) dvg_fuzz_seed(name, bytes, n_bytes);
  else n_failed++;
  dvg_free(&bytes);
}

const char *dvg_fuzz_file(const unsigned char *data, size_t n_bytes) {
  static int fd = -1;
  static char path[64];
  if (fd < 0) fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, n_bytes, 0) != (ssize_t)n_bytes) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return path;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  folder = getenv("DVG_FUZZ_SEEDS");
  if (folder) {
    dvg_fuzz_seeds();
    exit(n_failed ? DVG_ERROR_IO : DVG_OK);
  }
  dvg_log_quiet(1); // refusals are what most inputs deserve
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  dvg_fuzz_input(data, n_bytes);
  return 0;
}
