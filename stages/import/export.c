// Weight files back into formats that PyTorch reads.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/import/import.h"

enum { VERSION = 1 }; // of the schema "weights"

struct exporting {
  const struct dvg_artifact *a;
  const char *part;
  struct dvg_tensor_plan *plan;
  char **name; // in the artifact
  int64_t n, room;
};

static enum dvg_status count(const char *name, int is_attribute, void *context) {
  struct exporting *x = context;
  (void)name;
  x->room += !is_attribute;
  return DVG_OK;
}

static enum dvg_status plan(const char *name, int is_attribute, void *context) {
  struct exporting *x = context;
  enum dvg_type type;
  size_t skip = strlen(x->part);
  if (is_attribute || strncmp(name, x->part, skip) != 0) return DVG_OK;
  struct dvg_tensor_plan *t = &x->plan[x->n];
  DVG_TRY(dvg_artifact_shape(x->a, name, &type, &t->n_dims, t->dims));
  if (type != DVG_F32)
    return dvg_fail(DVG_ERROR_INPUT, "%s: %s is not of float32", dvg_artifact_path(x->a), name);
  DVG_TRY(dvg_text(&x->name[x->n], "%s", name));
  t->name = x->name[x->n++] + skip;
  return DVG_OK;
}

static enum dvg_status read_values(float *values, int64_t i, void *context) {
  const struct exporting *x = context;
  const struct dvg_tensor_plan *t = &x->plan[i];
  return dvg_artifact_read(x->a, x->name[i], DVG_F32, 0, t->n_dims ? t->dims[0] : 1, values);
}

static int is_safetensors(const char *path) {
  const char *end = strrchr(path, '.');
  return end && strcmp(end, ".safetensors") == 0;
}

static enum dvg_status write_all(struct exporting *x, const struct dvg_import_settings *s) {
  DVG_TRY(dvg_artifact_each(x->a, count, x));
  DVG_TRY(DVG_NEW(&x->plan, x->room, "tensors to write"));
  DVG_TRY(DVG_NEW(&x->name, x->room, "tensors to write"));
  DVG_TRY(dvg_artifact_each(x->a, plan, x));
  if (x->n == 0)
    return dvg_fail(DVG_ERROR_USAGE, "--part %s: %s has no parameter that begins so", s->part, s->in);
  int safe = is_safetensors(s->out);
  DVG_TRY(
      (safe ? dvg_tensors_write_safetensors : dvg_tensors_write_zip)(s->out, x->plan, x->n, read_values, x));
  dvg_info("%s: %lld tensors as %s", s->out, (long long)x->n, safe ? "safetensors" : "PyTorch's zip container");
  return DVG_OK;
}

enum dvg_status dvg_import_back(const struct dvg_import_settings *s) {
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_artifact_open(&a, s->in, "weights", VERSION));
  struct exporting x = {.a = a, .part = s->part};
  enum dvg_status status = write_all(&x, s);
  for (int64_t i = 0; i < x.n; i++) dvg_free(&x.name[i]);
  dvg_free(&x.name);
  dvg_free(&x.plan);
  dvg_artifact_close(&a);
  return status;
}
