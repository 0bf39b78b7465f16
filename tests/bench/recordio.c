// How much of the speed of decoding is lost by reading from one RecordIO file: recordio FOLDER [IMAGES], under
// mpirun with any number of ranks.
//
// Each rank decodes its share of small JPEGs (112 x 112), first from buffers in memory, then out of the file,
// in turn for some rounds. The time of opening the set, which each rank does for itself, belongs to the latter.
// Prints medians; judges nothing.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "io/artifact.h"
#include "io/image.h"
#include "io/recordio.h"
#include "mpi/world.h"
#include "tests/bench/median.h"

enum { SIDE = 112, DISTINCT = 1000, ROUNDS = 5 };

struct bench {
  const struct dvg_world *w;
  const char *path;
  int64_t n_images;
  unsigned char *jpeg[DISTINCT];
  size_t n_bytes[DISTINCT];
};

// Something that compresses about as faces do: a slope, waves, a little noise.
static enum dvg_status make_jpeg(struct bench *b, int k) {
  struct dvg_image image;
  struct dvg_rng r;
  DVG_TRY(dvg_image_create(&image, SIDE, SIDE, 3));
  dvg_rng_init(&r, 1, DVG_STREAM_TEST, (uint64_t)k);
  int period = 5 + k % 23;
  for (int64_t i = 0; i < SIDE * SIDE * 3; i++) {
    int x = (int)(i / 3 % SIDE), y = (int)(i / 3 / SIDE),
        wave = abs((x + y * (k % 5)) % (2 * period) - period) * 40 / period;
    image.pixels[i] = (unsigned char)(x + y / 2 + wave * (int)(i % 3 + 1) / 2 + (int)(dvg_rng_u32(&r) % 12));
  }
  enum dvg_status status = dvg_image_encode_jpeg(&image, 92, &b->jpeg[k], &b->n_bytes[k]);
  dvg_image_free(&image);
  return status;
}

static enum dvg_status make_set(const struct bench *b) {
  struct dvg_recordio_writer *w = NULL;
  DVG_TRY(dvg_recordio_create(&w, b->path, b->n_images, 1));
  enum dvg_status status = DVG_OK;
  for (int64_t i = 0; i < b->n_images && status == DVG_OK; i++)
    status = dvg_recordio_add(w, 0, b->jpeg[i % DISTINCT], b->n_bytes[i % DISTINCT]);
  if (status == DVG_OK) status = dvg_recordio_commit(&w);
  dvg_recordio_discard(&w);
  return status;
}

static enum dvg_status decode(const unsigned char *bytes, size_t n_bytes) {
  struct dvg_image image;
  DVG_TRY(dvg_image_decode(&image, bytes, n_bytes, "an image"));
  dvg_image_free(&image);
  return DVG_OK;
}

static enum dvg_status from_memory(const struct bench *b, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) DVG_TRY(decode(b->jpeg[i % DISTINCT], b->n_bytes[i % DISTINCT]));
  return DVG_OK;
}

static enum dvg_status from_file(const struct bench *b, int64_t first, int64_t end) {
  struct dvg_recordio r;
  struct dvg_bytes bytes = {0};
  size_t at;
  DVG_TRY(dvg_recordio_open(&r, b->path));
  enum dvg_status status = DVG_OK;
  for (int64_t i = first; i < end && status == DVG_OK; i++) {
    status = dvg_recordio_read(&bytes, &at, &r, i);
    if (status == DVG_OK) status = decode(bytes.data + at, bytes.n - at);
  }
  dvg_bytes_free(&bytes);
  dvg_recordio_close(&r);
  return status;
}

// Collective. Images a second of all ranks together.
static enum dvg_status measure(double *rate, const struct bench *b,
                               enum dvg_status (*run)(const struct bench *, int64_t, int64_t)) {
  int64_t first = b->n_images * b->w->rank / b->w->size, end = b->n_images * (b->w->rank + 1) / b->w->size;
  dvg_world_barrier(b->w);
  double start = dvg_seconds();
  DVG_TRY(dvg_world_agree(b->w, run(b, first, end)));
  *rate = (double)b->n_images / (dvg_seconds() - start);
  return DVG_OK;
}

static enum dvg_status run(struct bench *b) {
  double memory[ROUNDS], file[ROUNDS], ratio[ROUNDS];
  enum dvg_status status = DVG_OK;
  for (int k = 0; k < DISTINCT && status == DVG_OK; k++) status = make_jpeg(b, k);
  DVG_TRY(dvg_world_agree(b->w, status));
  DVG_TRY(dvg_world_agree(b->w, b->w->rank == 0 ? make_set(b) : DVG_OK));
  for (int i = 0; i < ROUNDS; i++) {
    DVG_TRY(measure(&memory[i], b, from_memory));
    DVG_TRY(measure(&file[i], b, from_file));
    ratio[i] = file[i] / memory[i];
  }
  size_t n_bytes = 0;
  for (int k = 0; k < DISTINCT; k++) n_bytes += b->n_bytes[k];
  double files = dvg_median(file, ROUNDS), memories = dvg_median(memory, ROUNDS),
         typical = dvg_median(ratio, ROUNDS); // sorted now: ratio[0] is the worst
  dvg_info("RecordIO: %lld JPEGs of %.1f kB in one file, %d ranks: %.0f images/s, from memory %.0f; ratio %.3f "
           "(worst of %d rounds %.3f)",
           (long long)b->n_images, (double)n_bytes / DISTINCT / 1e3, b->w->size, files, memories, typical,
           ROUNDS, ratio[0]);
  return DVG_OK;
}

int main(int argc, char **argv) {
  struct dvg_world w;
  struct bench b = {.w = &w};
  char *path = NULL, *index = NULL;
  dvg_world_init(&w, "recordio", &argc, &argv);
  b.n_images = argc > 2 ? atoll(argv[2]) : 100000;
  enum dvg_status status =
      argc > 1 && b.n_images > 0 ? DVG_OK : dvg_fail(DVG_ERROR_USAGE, "usage: recordio FOLDER [IMAGES]");
  if (status == DVG_OK) status = dvg_text(&path, "%s/bench.rec", argv[1]);
  if (status == DVG_OK) status = dvg_text(&index, "%s/bench.idx", argv[1]);
  b.path = path;
  status = dvg_world_agree(&w, status);
  if (status == DVG_OK) status = dvg_world_agree(&w, run(&b));
  if (w.rank == 0 && path) unlink(path);
  if (w.rank == 0 && index) unlink(index);
  for (int k = 0; k < DISTINCT; k++) dvg_free(&b.jpeg[k]);
  dvg_free(&path);
  dvg_free(&index);
  return dvg_world_finish(&w, status);
}
