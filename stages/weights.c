#include "stages/weights.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { VERSION = 1 };

void dvg_weights_domain(char *out, size_t n_bytes, const char *name) {
  snprintf(out, n_bytes, "%s", name);
  for (char *c = out; *c; c++) *c = (char)tolower((unsigned char)*c);
}

static enum dvg_status read_text(const struct dvg_artifact *a, const char *name, char *out, size_t n_bytes) {
  char *text;
  DVG_TRY(dvg_artifact_get_text(a, name, &text));
  int n = snprintf(out, n_bytes, "%s", text);
  dvg_free(&text);
  if (n < 0 || (size_t)n >= n_bytes)
    return dvg_fail(DVG_ERROR_INPUT, "%s: attribute %s is too long", dvg_artifact_path(a), name);
  return DVG_OK;
}

static enum dvg_status describe(struct dvg_weights *f, const struct dvg_artifact *a, const char *net) {
  DVG_TRY(read_text(a, "net", f->net, sizeof f->net));
  if (strcmp(f->net, net) != 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: holds the network '%s', but '%s' is needed", f->path, f->net, net);
  DVG_TRY(dvg_artifact_get_real(a, "width", &f->model.width));
  DVG_TRY(dvg_artifact_get_int(a, "size", &f->model.size));
  DVG_TRY(dvg_artifact_get_int(a, "classes", &f->classes));
  if (dvg_artifact_has_attribute(a, "domains")) DVG_TRY(read_text(a, "domains", f->domains, sizeof f->domains));
  if (dvg_artifact_has_attribute(a, "variational"))
    DVG_TRY(dvg_artifact_get_int(a, "variational", &f->variational));
  if (dvg_artifact_has_attribute(a, "foreign")) DVG_TRY(dvg_artifact_get_int(a, "foreign", &f->foreign));
  DVG_TRY(dvg_artifact_get_input(a, "recognizer", f->recognizer));
  f->model.code = DVG_CODE;
  if (dvg_artifact_has_attribute(a, "code")) DVG_TRY(dvg_artifact_get_int(a, "code", &f->model.code));
  int plausible = f->model.width > 0 && f->model.width <= 16 && f->model.size >= 32 && f->model.size <= 1024 &&
                  f->model.size % 32 == 0;
  const int64_t longest = strcmp(net, "lightcnn29v2") == 0 ? DVG_CODE : DVG_MAX_CODE, code = f->model.code;
  if (code != DVG_CODE) f->foreign = 1;
  if (code < 1 || code > longest || (longest == DVG_CODE && code != DVG_CODE))
    return dvg_fail(DVG_ERROR_INPUT, "%s: codes of %lld values make no network", f->path, (long long)code);
  if (!plausible || f->classes < 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: width %g, size %lld or classes %lld make no network", f->path,
                    f->model.width, (long long)f->model.size, (long long)f->classes);
  snprintf(f->digest, sizeof f->digest, "%s", dvg_artifact_digest(a));
  return DVG_OK;
}

enum dvg_status dvg_weights_describe(struct dvg_weights *f, const struct dvg_world *w, const char *path,
                                     const char *net) {
  struct dvg_weights read = {.classes = 0};
  snprintf(read.path, sizeof read.path, "%s", path);
  enum dvg_status status = DVG_OK;
  if (w->rank == 0) {
    struct dvg_artifact *a = NULL;
    status = dvg_artifact_open(&a, path, "weights", VERSION);
    if (status == DVG_OK) status = describe(&read, a, net);
    dvg_artifact_close(&a);
  }
  DVG_TRY(dvg_world_agree(w, status));
  dvg_world_broadcast(w, &read, sizeof read, 0);
  *f = read;
  return DVG_OK;
}

enum dvg_status dvg_weights_check_recognizer(const struct dvg_weights *f, const char *path, const char *digest) {
  if (!f->recognizer[0] || strcmp(f->recognizer, digest) == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: knows the identities of another recogniser (%.12s...) than %s (%.12s...)",
                  f->path, f->recognizer, path, digest);
}

static void print_shape(char *out, size_t n_bytes, int n_dims, const int64_t *dims) {
  size_t n = 0;
  out[0] = 0;
  for (int d = 0; d < n_dims; d++)
    n += (size_t)snprintf(out + n, n_bytes - n, d ? "x%lld" : "%lld", (long long)dims[d]);
}

// What is wrong with the file's dataset for parameter q, in words; "" if nothing is.
static enum dvg_status compare(char *said, size_t n_bytes, const struct dvg_artifact *a, const char *name,
                               const struct dvg_param *q, int needed) {
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  char have[128], want[128];
  said[0] = 0;
  if (!dvg_artifact_has(a, name)) {
    if (needed) snprintf(said, n_bytes, "%s is missing", name);
    return DVG_OK;
  }
  DVG_TRY(dvg_artifact_shape(a, name, NULL, &n_dims, dims));
  if (n_dims == q->n_dims && memcmp(dims, q->dims, (size_t)n_dims * sizeof *dims) == 0) return DVG_OK;
  print_shape(have, sizeof have, n_dims, dims);
  print_shape(want, sizeof want, q->n_dims, q->dims);
  snprintf(said, n_bytes, "%s has shape %s, but %s is needed", name, have, want);
  return DVG_OK;
}

// Compares all parameters before it fails, in one line: how many are wrong, and the first ones by name.
static enum dvg_status compare_all(const struct dvg_artifact *a, const struct dvg_params *p, const char *prefix,
                                   const struct dvg_weights *f, int need_all) {
  enum { NAMED = 3, ROOM = 512 };
  char one[ROOM], all[NAMED * ROOM] = "";
  size_t skip = strlen(prefix), used = 0;
  int64_t n_bad = 0;
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    if (strncmp(q->name, prefix, skip) != 0) continue;
    DVG_TRY(compare(one, sizeof one, a, q->name + skip, q, need_all));
    if (one[0] && n_bad++ < NAMED)
      used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? "; " : "", one);
  }
  if (n_bad == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: %lld %s not fit its width %g and size %lld: %s%s", f->path,
                  (long long)n_bad, n_bad == 1 ? "parameter does" : "parameters do", f->model.width,
                  (long long)f->model.size, all, n_bad > NAMED ? "; ..." : "");
}

static enum dvg_status load_parameter(const struct dvg_artifact *a, const char *name, const struct dvg_param *q,
                                      float *value) {
  DVG_TRY(dvg_artifact_read(a, name, DVG_F32, 0, q->dims[0], value));
  for (int64_t i = 0; i < q->count; i++)
    if (!isfinite(value[i]))
      return dvg_fail(DVG_ERROR_INPUT, "%s: %s is not finite at %lld", dvg_artifact_path(a), name,
                      (long long)i);
  return DVG_OK;
}

// Marks in `found` the parameters that were read.
static enum dvg_status load_all(const struct dvg_artifact *a, struct dvg_params *p, const char *prefix,
                                unsigned char *found) {
  size_t skip = strlen(prefix);
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    if (strncmp(q->name, prefix, skip) != 0 || !dvg_artifact_has(a, q->name + skip)) continue;
    DVG_TRY(load_parameter(a, q->name + skip, q, p->value + q->first));
    found[i] = 1;
  }
  return DVG_OK;
}

// Compares, and with `found` reads.
static enum dvg_status open_and_load(struct dvg_params *p, const char *prefix, const struct dvg_weights *f,
                                     int need_all, unsigned char *found) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, f->path, "weights", VERSION));
  enum dvg_status status = compare_all(a, p, prefix, f, need_all);
  if (status == DVG_OK && found) status = load_all(a, p, prefix, found);
  dvg_artifact_close(&a);
  return status;
}

enum dvg_status dvg_weights_check(struct dvg_params *p, const char *prefix, const struct dvg_weights *f,
                                  const struct dvg_world *w, int need_all) {
  return dvg_world_agree(w, w->rank == 0 ? open_and_load(p, prefix, f, need_all, NULL) : DVG_OK);
}

enum dvg_status dvg_weights_load(struct dvg_params *p, const char *prefix, const struct dvg_weights *f,
                                 const struct dvg_world *w, int need_all) {
  unsigned char *found = NULL;
  enum dvg_status status = DVG_NEW(&found, p->n_params, "parameter marks");
  if (status == DVG_OK && w->rank == 0) status = open_and_load(p, prefix, f, need_all, found);
  status = dvg_world_agree(w, status);
  if (status == DVG_OK) {
    dvg_world_broadcast(w, found, (size_t)p->n_params, 0);
    for (int64_t i = 0; i < p->n_params; i++)
      if (found[i])
        dvg_world_broadcast(w, p->value + p->list[i].first, (size_t)p->list[i].count * sizeof *p->value, 0);
    dvg_params_changed(p);
  }
  dvg_free(&found);
  return status;
}

static enum dvg_status write_all(struct dvg_artifact *a, const struct dvg_params *p, const char *prefix,
                                 const struct dvg_weights *f) {
  DVG_TRY(dvg_artifact_set_text(a, "net", f->net));
  DVG_TRY(dvg_artifact_set_real(a, "width", f->model.width));
  DVG_TRY(dvg_artifact_set_int(a, "size", f->model.size));
  DVG_TRY(dvg_artifact_set_int(a, "classes", f->classes));
  if (f->domains[0]) DVG_TRY(dvg_artifact_set_text(a, "domains", f->domains));
  if (dvg_model_code(f->model) != DVG_CODE) DVG_TRY(dvg_artifact_set_int(a, "code", f->model.code));
  if (f->variational) DVG_TRY(dvg_artifact_set_int(a, "variational", f->variational));
  if (f->foreign) DVG_TRY(dvg_artifact_set_int(a, "foreign", f->foreign));
  size_t skip = strlen(prefix);
  for (int64_t i = 0; i < p->n_params; i++) {
    const struct dvg_param *q = &p->list[i];
    if (strncmp(q->name, prefix, skip) != 0) continue;
    if (f->without[0] && strncmp(q->name + skip, f->without, strlen(f->without)) == 0) continue;
    DVG_TRY(dvg_artifact_write(a, q->name + skip, DVG_F32, q->n_dims, q->dims, p->value + q->first));
  }
  return DVG_OK;
}

enum dvg_status dvg_weights_save(const char *path, const struct dvg_params *p, const char *prefix,
                                 const struct dvg_weights *f, const struct dvg_lineage *l,
                                 char digest[DVG_DIGEST_TEXT]) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_lineage_create(&a, path, "weights", VERSION, l));
  enum dvg_status status = write_all(a, p, prefix, f);
  if (status != DVG_OK) {
    dvg_artifact_discard(&a);
    return status;
  }
  return dvg_artifact_commit(&a, digest);
}
