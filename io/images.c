// Packed image sets.
#include "io/images.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

static enum dvg_status load_columns(struct dvg_image_set *set) {
  const struct dvg_artifact *file = set->file;
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS], n[1] = {-1};
  DVG_TRY(dvg_artifact_shape(file, "image", &type, &n_dims, dims));
  if (type != DVG_U8 || n_dims != 4 || dims[1] < 1 || dims[2] < 1 || (dims[3] != 1 && dims[3] != 3))
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'image' is not (N,H,W,C) bytes with C 1 or 3",
                    dvg_artifact_path(file));
  set->N = dims[0];
  set->H = dims[1];
  set->W = dims[2];
  set->C = dims[3];
  n[0] = set->N;
  DVG_TRY(dvg_artifact_load(file, "identity", DVG_I64, 1, n, (void **)&set->identity));
  DVG_TRY(dvg_artifact_load(file, "domain", DVG_U8, 1, n, (void **)&set->domain));
  DVG_TRY(dvg_artifact_load_text(file, "domain_name", &set->n_domains, &set->domain_name));
  DVG_TRY(dvg_artifact_load_text(file, "person", &set->n_people, &set->person));
  for (int64_t i = 0; i < set->N; i++) {
    if (set->identity[i] < 0 || set->identity[i] >= set->n_people)
      return dvg_fail(DVG_ERROR_INPUT, "%s: identity %lld of image %lld is not one of the %lld people",
                      dvg_artifact_path(file), (long long)set->identity[i], (long long)i,
                      (long long)set->n_people);
    if (set->domain[i] >= set->n_domains)
      return dvg_fail(DVG_ERROR_INPUT, "%s: domain %d of image %lld is not one of the %lld domains",
                      dvg_artifact_path(file), (int)set->domain[i], (long long)i, (long long)set->n_domains);
  }
  return DVG_OK;
}

// The columns that are not loaded are looked at too: whoever opens a set may rely on all of them.
static enum dvg_status check_shapes(const struct dvg_image_set *set) {
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  DVG_TRY(dvg_artifact_shape(set->file, "name", &type, &n_dims, dims));
  if (type != DVG_TEXT || n_dims != 1 || dims[0] != set->N)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'name' is not a text for each image", dvg_artifact_path(set->file));
  if (!dvg_artifact_has(set->file, "landmarks")) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(set->file, "landmarks", &type, &n_dims, dims));
  if (type != DVG_F32 || n_dims != 2 || dims[0] != set->N || dims[1] != 10)
    return dvg_fail(DVG_ERROR_INPUT, "%s: 'landmarks' is not (N,10) f32", dvg_artifact_path(set->file));
  return DVG_OK;
}

enum dvg_status dvg_image_set_open(struct dvg_image_set *out, const char *path) {
  struct dvg_image_set set = {0};
  DVG_TRY(dvg_artifact_open(&set.file, path, "images", 1));
  enum dvg_status status = load_columns(&set);
  if (status == DVG_OK) status = check_shapes(&set);
  if (status == DVG_OK) *out = set;
  else dvg_image_set_close(&set);
  return status;
}

void dvg_image_set_close(struct dvg_image_set *set) {
  dvg_free(&set->identity);
  dvg_free(&set->domain);
  dvg_free(&set->domain_name);
  dvg_free(&set->person);
  dvg_artifact_close(&set->file);
  *set = (struct dvg_image_set){0};
}

enum dvg_status dvg_image_set_read(const struct dvg_image_set *set, int64_t first, int64_t count,
                                   unsigned char *pixels) {
  return dvg_artifact_read(set->file, "image", DVG_U8, first, count, pixels);
}

enum dvg_status dvg_image_set_domain(const struct dvg_image_set *set, const char *name, int *domain) {
  char known[256] = "";
  size_t n = 0;
  for (int64_t i = 0; i < set->n_domains; i++) {
    if (strcmp(set->domain_name[i], name) == 0) {
      *domain = (int)i;
      return DVG_OK;
    }
    if (n < sizeof known)
      n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", set->domain_name[i]);
  }
  return dvg_fail(DVG_ERROR_INPUT, "%s: has no domain '%s'; it has: %s", dvg_artifact_path(set->file), name,
                  known);
}

// Gray from whole numbers, 299 R + 587 G + 114 B over 255000: exact before the one rounding, so that a gray
// pixel stored as RGB gives the same float as the same pixel stored as gray.
void dvg_image_to_planes(float *planes, const unsigned char *pixels, int64_t H, int64_t W, int64_t C_in,
                         int64_t C_out, int64_t top, int64_t left, int64_t size) {
  (void)H;
  for (int64_t y = 0; y < size; y++) {
    const unsigned char *row = pixels + ((top + y) * W + left) * C_in;
    float *out = planes + y * size;
    if (C_in == 3 && C_out == 1) {
      for (int64_t x = 0; x < size; x++)
        out[x] = (float)(299 * row[3 * x] + 587 * row[3 * x + 1] + 114 * row[3 * x + 2]) / 255000.0f;
      continue;
    }
    for (int64_t c = 0; c < C_out; c++) {
      const unsigned char *from = row + (C_in == 3 ? c : 0);
      for (int64_t x = 0; x < size; x++) out[c * size * size + x] = (float)from[x * C_in] / 255.0f;
    }
  }
}
