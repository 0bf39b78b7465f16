// Tar shards, plain and gzip, with their cls and json members; and what is no tar and so is a list of names.
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "io/tar.h"
#include "io/tar_format.h"
#include "tests/fuzz/fuzz.h"

static void member(struct archive *a, const char *name, const char *text) {
  struct archive_entry *e = archive_entry_new();
  archive_entry_set_pathname(e, name);
  archive_entry_set_filetype(e, AE_IFREG);
  archive_entry_set_size(e, (la_int64_t)strlen(text));
  archive_write_header(a, e);
  archive_write_data(a, text, strlen(text));
  archive_entry_free(e);
}

void dvg_fuzz_seeds(void) {
  static const char *const kinds[] = {"pax", "gnutar", "ustar", "v7tar", "gzip"};
  char buffer[32768], name[200];
  for (int i = 0; i < 5; i++) {
    size_t used = 0;
    struct archive *a = archive_write_new();
    archive_write_set_format_by_name(a, i == 4 ? "pax" : kinds[i]);
    if (i == 4) archive_write_add_filter_gzip(a);
    archive_write_set_bytes_in_last_block(a, 1);
    archive_write_open_memory(a, buffer, sizeof buffer, &used);
    memset(name, 'n', sizeof name);
    memcpy(name + 190, ".jpg", 5);
    member(a, i < 2 ? name : "n.jpg", "an image");
    memcpy(name + 190, ".cls", 5);
    member(a, i < 2 ? name : "n.cls", "12\n");
    member(a, "b/a.VIS.png", "vis");
    member(a, "b/a.NIR.png", "nir");
    member(a, "b/a.json", "{\"identity\": \"Ann\", \"label\": 3, \"more\": [1, {\"x\": null}]}");
    archive_write_close(a);
    archive_write_free(a);
    dvg_fuzz_seed(kinds[i], buffer, used);
  }
  dvg_fuzz_seed("json", "{\"identity\": \"A\\u00e9\", \"label\": 1e2, \"cls\": -3, \"domain\": \"VIS\"}", 62);
  dvg_fuzz_seed("list", "a.tar\nset-{000..003}.tar\n", 25);
}

static void try_label(const unsigned char *data, size_t n_bytes, int is_json) {
  char *identity = NULL, *domain = NULL;
  int rank;
  if (dvg_tar_label(&identity, &rank, &domain, (const char *)data, n_bytes, is_json, "input") != DVG_OK) return;
  dvg_free(&identity);
  dvg_free(&domain);
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  struct dvg_tar_set t;
  struct dvg_bytes b = {0};
  try_label(data, n_bytes, 0);
  try_label(data, n_bytes, 1);
  if (dvg_tar_open(&t, dvg_fuzz_file(data, n_bytes)) != DVG_OK) return;
  for (int64_t i = 0; i < t.n_images; i++)
    if (dvg_tar_read(&b, &t, i) != DVG_OK) break;
  dvg_bytes_free(&b);
  dvg_tar_close(&t);
}
