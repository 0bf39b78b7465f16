// Identity features as dvg-extract leaves them, read by row: what the sampler learns from, and a source of real identities (SPEC 3: features of real faces
// in place of sampled ones). Layout: stages/extract/extract.h.
#ifndef DVG_STAGES_FEATURES_H
#define DVG_STAGES_FEATURES_H

#include "io/shards.h"
#include "stages/stage.h"

struct dvg_features {
  struct dvg_shard_reader *reader;
  const char *folder; // borrowed
  int64_t n;          // features, at least 1
  int64_t width;      // values of a feature
};

enum { DVG_FEATURE_MAX_WIDTH = 65536 };

// Collective. Opens a folder of features of up to DVG_MAX_CODE values, which can be identities' codes, and looks at all its shards; DVG_ERROR_INPUT for longer
// ones. Close with dvg_features_close.
DVG_CHECKED enum dvg_status dvg_features_open(struct dvg_features *f, const struct dvg_world *w, const char *folder);
// The same for features of any length up to DVG_FEATURE_MAX_WIDTH.
DVG_CHECKED enum dvg_status dvg_features_open_any(struct dvg_features *f, const struct dvg_world *w, const char *folder);
void dvg_features_close(struct dvg_features *f);
// Not collective. x (width) = feature `row`; DVG_ERROR_INPUT when it is no unit vector.
DVG_CHECKED enum dvg_status dvg_features_read(float *x, const struct dvg_features *f, int64_t row);
// Not collective. x (count,width) = the features [first, first + count), which need not be of length 1: see dvg_features_check.
DVG_CHECKED enum dvg_status dvg_features_load(float *x, const struct dvg_features *f, int64_t first, int64_t count);
// Not collective. Whether the features loaded from `first` on are unit vectors: DVG_ERROR_INPUT names the first that isn't.
DVG_CHECKED enum dvg_status dvg_features_check(const float *x, const struct dvg_features *f, int64_t first, int64_t count);
// Not collective. person (count) = whose the features [first, first + count) are.
DVG_CHECKED enum dvg_status dvg_features_people(int64_t *person, const struct dvg_features *f, int64_t first, int64_t count);
// Not collective. source (count) = which image of their source they were made of.
DVG_CHECKED enum dvg_status dvg_features_sources(int64_t *source, const struct dvg_features *f, int64_t first, int64_t count);
// Not collective. DVG_ERROR_INPUT naming both and the lengths, where codes of `code` values, those of the file `path`, can't be identities beside f's features.
DVG_CHECKED enum dvg_status dvg_features_check_code(const struct dvg_features *f, int64_t code, const char *path);
// Not collective. DVG_ERROR_INPUT naming both, where the input `role` of the features isn't the one with this digest, which `path` is or was made with.
DVG_CHECKED enum dvg_status dvg_features_check_input(const struct dvg_features *f, const char *role, const char *path, const char *digest);
// Not collective. digest = that of the input `role` ("images", "weights") of which the features were made; DVG_ERROR_INPUT where their lineage has none.
DVG_CHECKED enum dvg_status dvg_features_input(char digest[DVG_DIGEST_TEXT], const struct dvg_features *f, const char *role);

#endif
