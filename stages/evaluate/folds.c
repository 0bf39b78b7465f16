#include "stages/evaluate/folds.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/lines.h"

enum { LARGEST_LIST = 1 << 30 };
static const char *const role_name[DVG_N_ROLES] = {"gallery", "probe"};

// ---- images by name

struct named {
  const char *name;
  int64_t row;
};

struct index {
  const struct dvg_image_set *set;
  char **names;
  struct named *sorted;
};

static int by_name(const void *a, const void *b) {
  const struct named *x = a, *y = b;
  const int order = strcmp(x->name, y->name);
  return order ? order : (x->row > y->row) - (x->row < y->row);
}

static enum dvg_status index_create(struct index *x, const struct dvg_image_set *set) {
  int64_t n;
  *x = (struct index){.set = set};
  DVG_TRY(dvg_artifact_load_text(set->file, "name", &n, &x->names));
  if (n != set->N)
    return dvg_fail(DVG_ERROR_INPUT, "%s: names %lld of its %lld images", dvg_artifact_path(set->file),
                    (long long)n, (long long)set->N);
  DVG_TRY(DVG_NEW(&x->sorted, n, "names of images"));
  for (int64_t i = 0; i < n; i++) x->sorted[i] = (struct named){x->names[i], i};
  qsort(x->sorted, (size_t)n, sizeof *x->sorted, by_name);
  return DVG_OK;
}

static void index_free(struct index *x) {
  dvg_free(&x->names);
  dvg_free(&x->sorted);
}

// "#12", or a name that one image alone has.
static enum dvg_status find_image(int64_t *row, const struct index *x, const char *where, const char *name) {
  if (name[0] == '#' && isdigit((unsigned char)name[1])) {
    char *end;
    *row = strtoll(name + 1, &end, 10);
    if (*end == 0 && *row < x->set->N) return DVG_OK;
  }
  int64_t low = 0, high = x->set->N;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (strcmp(x->sorted[middle].name, name) < 0) low = middle + 1;
    else high = middle;
  }
  if (low == x->set->N || strcmp(x->sorted[low].name, name) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: %s has no image '%s'", where, dvg_artifact_path(x->set->file), name);
  if (low + 1 < x->set->N && strcmp(x->sorted[low + 1].name, name) == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: %s has several images '%s': name them by #row", where,
                    dvg_artifact_path(x->set->file), name);
  *row = x->sorted[low].row;
  return DVG_OK;
}

// ---- lines

static enum dvg_status find_fold(struct dvg_fold **fold, struct dvg_folds *f, const char *where,
                                 const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  for (int64_t i = 0; i < f->n; i++)
    if (strcmp(f->list[i].name, name) == 0) {
      *fold = &f->list[i];
      return DVG_OK;
    }
  if (!name[0] || name[0] == '.' || strlen(name) >= DVG_FOLD_NAME || name[strspn(name, letters)])
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: '%.40s' is no name of a fold (up to %d letters, digits, '-', '_', '.')", where, name,
                    DVG_FOLD_NAME - 1);
  if (f->n == DVG_MAX_FOLDS) return dvg_fail(DVG_ERROR_INPUT, "%s: more than %d folds", where, DVG_MAX_FOLDS);
  *fold = &f->list[f->n++];
  snprintf((*fold)->name, sizeof(*fold)->name, "%s", name);
  return DVG_OK;
}

struct reading {
  struct dvg_folds *folds;
  const struct index *indices;
};

static enum dvg_status add_line(void *context, const char *where, char *line) {
  struct dvg_folds *f = ((struct reading *)context)->folds;
  const struct index *indices = ((struct reading *)context)->indices;
  if (strncmp(line, "# ", 2) == 0) return DVG_OK;
  char *role = strchr(line, '\t'), *image = role ? strchr(role + 1, '\t') : NULL;
  if (!image)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is not a fold, gallery or probe, and an image, divided by tabs",
                    where);
  *role++ = *image++ = 0;
  enum dvg_role r = 0;
  while (r < DVG_N_ROLES && strcmp(role, role_name[r]) != 0) r++;
  if (r == DVG_N_ROLES)
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%.40s' is neither gallery nor probe", where, role);
  struct dvg_fold *fold = NULL;
  int64_t row = 0;
  DVG_TRY(find_fold(&fold, f, where, line));
  DVG_TRY(find_image(&row, &indices[r], where, image));
  DVG_TRY(DVG_GROW(&fold->row[r], fold->n[r], "images of a fold"));
  fold->row[r][fold->n[r]++] = row;
  return DVG_OK;
}

// ---- folds as a whole

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// Rows ascend; none comes twice, nor is it in the gallery and a probe of one set.
static enum dvg_status check_fold(struct dvg_fold *fold, const char *path, const struct index *indices) {
  for (int r = 0; r < DVG_N_ROLES; r++) {
    if (fold->n[r] == 0)
      return dvg_fail(DVG_ERROR_INPUT, "%s: fold %s has no %s images", path, fold->name, role_name[r]);
    qsort(fold->row[r], (size_t)fold->n[r], sizeof *fold->row[r], ascending);
    for (int64_t i = 1; i < fold->n[r]; i++)
      if (fold->row[r][i] == fold->row[r][i - 1])
        return dvg_fail(DVG_ERROR_INPUT, "%s: fold %s names image '%s' twice as %s", path, fold->name,
                        indices[r].names[fold->row[r][i]], role_name[r]);
  }
  if (indices[0].set != indices[1].set) return DVG_OK;
  for (int64_t i = 0; i < fold->n[DVG_PROBE]; i++)
    if (bsearch(&fold->row[DVG_PROBE][i], fold->row[DVG_GALLERY], (size_t)fold->n[DVG_GALLERY], sizeof(int64_t),
                ascending))
      return dvg_fail(DVG_ERROR_INPUT, "%s: fold %s has image '%s' in the gallery and as a probe", path,
                      fold->name, indices[0].names[fold->row[DVG_PROBE][i]]);
  return DVG_OK;
}

enum dvg_status dvg_folds_read(struct dvg_folds *f, const char *path, const struct dvg_image_set *gallery,
                               const struct dvg_image_set *probes) {
  struct index indices[DVG_N_ROLES] = {{.names = NULL}};
  enum dvg_status status;
  *f = (struct dvg_folds){.n = 0};
  DVG_TRY_GOTO(DVG_NEW(&f->list, DVG_MAX_FOLDS, "folds"));
  DVG_TRY_GOTO(index_create(&indices[DVG_GALLERY], gallery));
  DVG_TRY_GOTO(index_create(&indices[DVG_PROBE], probes));
  DVG_TRY_GOTO(dvg_lines_each(path, LARGEST_LIST, add_line, &(struct reading){f, indices}));
  if (f->n == 0) status = dvg_fail(DVG_ERROR_INPUT, "%s: names no images", path);
  for (int64_t i = 0; i < f->n && status == DVG_OK; i++) status = check_fold(&f->list[i], path, indices);
done:
  for (int r = 0; r < DVG_N_ROLES; r++) index_free(&indices[r]);
  if (status != DVG_OK) dvg_folds_free(f);
  return status;
}

void dvg_folds_free(struct dvg_folds *f) {
  for (int64_t i = 0; i < f->n; i++)
    for (int r = 0; r < DVG_N_ROLES; r++) dvg_free(&f->list[i].row[r]);
  dvg_free(&f->list);
  f->n = 0;
}

enum dvg_status dvg_folds_check_casia(const struct dvg_folds *f, const char *path) {
  static const int64_t probes[] = {6208, 6232, 6210, 6055, 6204, 6191, 6247, 6222, 6162, 6245};
  enum { FOLDS = sizeof probes / sizeof *probes, GALLERY = 358 };
  if (f->n != FOLDS)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has %lld folds, CASIA NIR-VIS 2.0 has %d", path, (long long)f->n,
                    FOLDS);
  for (int64_t i = 0; i < FOLDS; i++) {
    const struct dvg_fold *fold = &f->list[i];
    const int64_t want[DVG_N_ROLES] = {GALLERY, probes[i]};
    for (int r = 0; r < DVG_N_ROLES; r++)
      if (fold->n[r] != want[r])
        return dvg_fail(
            DVG_ERROR_INPUT, "%s: fold %s, number %lld, has %lld %s images, that of CASIA NIR-VIS 2.0 has %lld",
            path, fold->name, (long long)i + 1, (long long)fold->n[r], role_name[r], (long long)want[r]);
  }
  return DVG_OK;
}
