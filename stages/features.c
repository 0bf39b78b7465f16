#include "stages/features.h"

#include "common/base/log.h"
#include "stages/embed.h"

// Rows are read into buffers of their proper size.
static enum dvg_status check_shapes(const struct dvg_features *f) {
  const struct dvg_artifact *a = dvg_shard_reader_first(f->reader);
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  DVG_TRY(dvg_artifact_shape(a, "feature", NULL, &n_dims, dims));
  if (n_dims != 2 || dims[1] != DVG_CODE)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'feature' is no set of vectors of %d values", f->folder, DVG_CODE);
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

enum dvg_status dvg_features_open(struct dvg_features *f, const struct dvg_world *w, const char *folder) {
  *f = (struct dvg_features){.folder = folder};
  DVG_TRY(dvg_world_root_first(w, open_here, f));
  return dvg_stage_check_shards(w, f->reader);
}

void dvg_features_close(struct dvg_features *f) {
  dvg_shard_reader_close(&f->reader);
}

enum dvg_status dvg_features_read(float *x, const struct dvg_features *f, int64_t row) {
  DVG_TRY(dvg_shard_reader_read(f->reader, "feature", DVG_F32, row, 1, x));
  if (dvg_embed_bad(x, 1) < 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: feature %lld is not of length 1", f->folder, (long long)row);
}

enum dvg_status dvg_features_people(int64_t *person, const struct dvg_features *f, int64_t first,
                                    int64_t count) {
  return dvg_shard_reader_read(f->reader, "identity", DVG_I64, first, count, person);
}
