#include "stages/features.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/models/models.h"

// Rows are read into buffers of their proper size.
static enum dvg_status check_shapes(struct dvg_features *f) {
  const struct dvg_artifact *a = dvg_shard_reader_first(f->reader);
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  const int64_t most = f->width;
  DVG_TRY(dvg_artifact_shape(a, "feature", NULL, &n_dims, dims));
  if (n_dims != 2 || dims[1] < 1 || dims[1] > most)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'feature' is no set of vectors of up to %lld values", f->folder,
                    (long long)most);
  f->width = dims[1];
  DVG_TRY(dvg_artifact_shape(a, "identity", NULL, &n_dims, dims));
  return n_dims == 1 ? DVG_OK
                     : dvg_fail(DVG_ERROR_INPUT, "%s: 'identity' is not one number a feature", f->folder);
}

static enum dvg_status open_here(void *context) {
  struct dvg_features *f = context;
  DVG_TRY(dvg_shard_reader_open(&f->reader, f->folder, "features", 1));
  DVG_TRY(check_shapes(f));
  f->n = dvg_shard_reader_items(f->reader);
  return f->n > 0 ? DVG_OK : dvg_fail(DVG_ERROR_INPUT, "%s: holds no features", f->folder);
}

static enum dvg_status open_up_to(struct dvg_features *f, const struct dvg_world *w, const char *folder,
                                  int64_t most) {
  *f = (struct dvg_features){.folder = folder, .width = most};
  DVG_TRY(dvg_world_root_first(w, open_here, f));
  return dvg_stage_check_shards(w, f->reader);
}

enum dvg_status dvg_features_open(struct dvg_features *f, const struct dvg_world *w, const char *folder) {
  return open_up_to(f, w, folder, DVG_MAX_CODE);
}

enum dvg_status dvg_features_open_any(struct dvg_features *f, const struct dvg_world *w, const char *folder) {
  return open_up_to(f, w, folder, DVG_FEATURE_MAX_WIDTH);
}

void dvg_features_close(struct dvg_features *f) {
  dvg_shard_reader_close(&f->reader);
}

enum dvg_status dvg_features_load(float *x, const struct dvg_features *f, int64_t first, int64_t count) {
  return dvg_shard_reader_read(f->reader, "feature", DVG_F32, first, count, x);
}

enum dvg_status dvg_features_check(const float *x, const struct dvg_features *f, int64_t first, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    double sum = 0;
    for (int64_t k = 0; k < f->width; k++) sum += (double)x[i * f->width + k] * x[i * f->width + k];
    if (!(fabs(sum - 1) <= 1e-3)) // true for NaN as well
      return dvg_fail(DVG_ERROR_INPUT, "%s: feature %lld is not of length 1", f->folder, (long long)(first + i));
  }
  return DVG_OK;
}

enum dvg_status dvg_features_read(float *x, const struct dvg_features *f, int64_t row) {
  DVG_TRY(dvg_features_load(x, f, row, 1));
  return dvg_features_check(x, f, row, 1);
}

enum dvg_status dvg_features_people(int64_t *person, const struct dvg_features *f, int64_t first,
                                    int64_t count) {
  return dvg_shard_reader_read(f->reader, "identity", DVG_I64, first, count, person);
}

enum dvg_status dvg_features_sources(int64_t *source, const struct dvg_features *f, int64_t first,
                                     int64_t count) {
  return dvg_shard_reader_read(f->reader, "source", DVG_I64, first, count, source);
}

enum dvg_status dvg_features_input(char digest[DVG_DIGEST_TEXT], const struct dvg_features *f,
                                   const char *role) {
  DVG_TRY(dvg_artifact_get_input(dvg_shard_reader_first(f->reader), role, digest));
  return digest[0] ? DVG_OK
                   : dvg_fail(DVG_ERROR_INPUT, "%s: its lineage doesn't say of which %s it was made", f->folder,
                              role);
}

enum dvg_status dvg_features_check_code(const struct dvg_features *f, int64_t code, const char *path) {
  if (f->width == code) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: has features of %lld values, but identities of %s have %lld", f->folder,
                  (long long)f->width, path, (long long)code);
}

enum dvg_status dvg_features_check_input(const struct dvg_features *f, const char *role, const char *path,
                                         const char *digest) {
  char mine[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_features_input(mine, f, role));
  if (strcmp(mine, digest) == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: was made with other %s (%.12s...) than %s (%.12s...)", f->folder, role, mine,
                  path, digest);
}
