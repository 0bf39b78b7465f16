// What becomes of the tensors of a file.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/import/import.h"

static int ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

// The parameter's name for a key of the file; what is too long for one is cut and found nowhere.
static void our_name(char *out, size_t n_bytes, const struct dvg_import_source *from,
                     const struct dvg_import_network *n, const char *key) {
  static const char parallel[] = "module."; // DataParallel's
  char head[DVG_IMPORT_NAME + 16];
  if (strncmp(key, parallel, strlen(parallel)) == 0) key += strlen(parallel);
  for (int d = 0; from->rename_heads && d < DVG_IMPORT_DOMAINS; d++) {
    int length = snprintf(head, sizeof head, "%s_output.", n->head[d]);
    if (strncmp(key, head, (size_t)length) != 0) continue;
    snprintf(out, n_bytes, "%s%s_output.%s", from->prefix, n->domain[d], key + length);
    return;
  }
  snprintf(out, n_bytes, "%s%s", from->prefix, key);
}

// Why a tensor that is no parameter of the network is no loss.
static void say_ignored(char *words, size_t n_bytes, const struct dvg_tensor *t, const char *net) {
  int is_classifier = ends_with(t->name, "fc2.weight") || ends_with(t->name, "fc2_.weight");
  if (is_classifier && t->n_dims == 2)
    snprintf(words, n_bytes, "ignored: a classifier of %lld people", (long long)t->dims[0]);
  else if (is_classifier || ends_with(t->name, "fc2.bias"))
    snprintf(words, n_bytes, "ignored: of a classifier");
  else if (ends_with(t->name, ".running_mean") || ends_with(t->name, ".running_var"))
    snprintf(words, n_bytes, "ignored: a statistic that adaptive instance norm does not use");
  else snprintf(words, n_bytes, "ignored: %s has no such parameter", net);
}

// The tensor has the name of parameter q.
static void compare(struct dvg_import_fate *fate, const struct dvg_tensor *t, const struct dvg_param *q,
                    const char *taken_as) {
  char want[DVG_TENSOR_SHAPE_TEXT];
  dvg_tensor_shape(want, q->n_dims, q->dims);
  fate->is_problem = 1;
  if (t->n_dims != q->n_dims || memcmp(t->dims, q->dims, (size_t)q->n_dims * sizeof *q->dims) != 0)
    snprintf(fate->words, sizeof fate->words, "refused: shape %.100s is needed", want);
  else if (!dvg_tensor_is_real(t)) snprintf(fate->words, sizeof fate->words, "refused: is of no floating type");
  else if (taken_as) snprintf(fate->words, sizeof fate->words, "refused: was there before as %.100s", taken_as);
  else {
    fate->is_problem = 0;
    snprintf(fate->words, sizeof fate->words, strcmp(t->name, q->name) ? "-> %s" : "taken", q->name);
  }
}

static void decide(struct dvg_import_source *from, int64_t i, const struct dvg_import_network *n) {
  char name[DVG_PARAM_NAME + 8]; // longer than any parameter's
  const struct dvg_tensor *t = &from->file.tensor[i];
  struct dvg_import_fate *fate = &from->fate[i];
  our_name(name, sizeof name, from, n, t->name);
  fate->param = dvg_params_find(&n->params, name);
  if (n->params.n_params == 0) snprintf(fate->words, sizeof fate->words, "in the state_dict");
  else if (fate->param < 0) say_ignored(fate->words, sizeof fate->words, t, n->file.net);
  else {
    int64_t *owner = &from->owner[fate->param];
    compare(fate, t, &n->params.list[fate->param], *owner ? from->file.tensor[*owner - 1].name : NULL);
    if (*owner == 0) *owner = i + 1;
  }
}

enum dvg_status dvg_import_source_open(struct dvg_import_source *from, const struct dvg_import_network *n) {
  DVG_TRY(dvg_tensors_open(&from->file, from->path));
  DVG_TRY(DVG_NEW(&from->fate, from->file.n_tensors, "fates of tensors"));
  DVG_TRY(DVG_NEW(&from->owner, n->params.n_params, "owners of parameters"));
  for (int64_t i = 0; i < from->file.n_tensors; i++) decide(from, i, n);
  return DVG_OK;
}

void dvg_import_source_free(struct dvg_import_source *from) {
  dvg_free(&from->fate);
  dvg_free(&from->owner);
  dvg_tensors_close(&from->file);
}

// Whether the parameter is one that this file must have, and has not.
static int is_missing(const struct dvg_import_source *from, const struct dvg_import_network *n, int64_t param) {
  return strncmp(n->params.list[param].name, from->prefix, strlen(from->prefix)) == 0 && !from->owner[param];
}

void dvg_import_source_list(const struct dvg_import_source *from, const struct dvg_import_network *n) {
  const struct dvg_tensors *f = &from->file;
  char shape[DVG_TENSOR_SHAPE_TEXT];
  int width = 0;
  for (int64_t i = 0; i < f->n_tensors; i++)
    if ((int)strlen(f->tensor[i].name) > width) width = (int)strlen(f->tensor[i].name);
  dvg_info("%s: %s, %lld tensor%s", f->path, f->format, (long long)f->n_tensors, f->n_tensors == 1 ? "" : "s");
  for (int64_t i = 0; i < f->n_tensors; i++) {
    const struct dvg_tensor *t = &f->tensor[i];
    dvg_tensor_shape(shape, t->n_dims, t->dims);
    dvg_info("  %-*s  %-14s  %-8s  %s", width, t->name, shape, dvg_tensor_type_name(t->type),
             from->fate[i].words);
  }
  for (int64_t i = 0; i < f->n_others; i++)
    dvg_info("  %-*s  %-14s  %-8s  ignored: no tensor of the state_dict", width, f->other[i].name,
             f->other[i].what, "");
  for (int64_t k = 0; k < n->params.n_params; k++) {
    if (!is_missing(from, n, k)) continue;
    dvg_tensor_shape(shape, n->params.list[k].n_dims, n->params.list[k].dims);
    dvg_info("  %-*s  %-14s  %-8s  missing", width, n->params.list[k].name, shape, "");
  }
}

void dvg_import_source_ignored(const struct dvg_import_source *from) {
  const struct dvg_tensors *f = &from->file;
  char shape[DVG_TENSOR_SHAPE_TEXT];
  for (int64_t i = 0; i < f->n_tensors; i++) {
    if (from->fate[i].param >= 0) continue;
    dvg_tensor_shape(shape, f->tensor[i].n_dims, f->tensor[i].dims);
    dvg_info("%s: %s (%s) %s", dvg_path_name(f->path), f->tensor[i].name, shape, from->fate[i].words);
  }
  for (int64_t i = 0; i < f->n_others; i++)
    dvg_info("%s: %s (%s) ignored: no tensor of the state_dict", dvg_path_name(f->path), f->other[i].name,
             f->other[i].what);
}

int64_t dvg_import_source_problems(const struct dvg_import_source *from, const struct dvg_import_network *n) {
  const struct dvg_tensors *f = &from->file;
  char shape[DVG_TENSOR_SHAPE_TEXT];
  int64_t n_problems = 0;
  for (int64_t i = 0; i < f->n_tensors; i++) {
    if (!from->fate[i].is_problem) continue;
    dvg_tensor_shape(shape, f->tensor[i].n_dims, f->tensor[i].dims);
    dvg_warn("%s: %s (%s, %s) %s", f->path, f->tensor[i].name, shape, dvg_tensor_type_name(f->tensor[i].type),
             from->fate[i].words);
    n_problems++;
  }
  for (int64_t k = 0; k < n->params.n_params; k++) {
    if (!is_missing(from, n, k)) continue;
    dvg_tensor_shape(shape, n->params.list[k].n_dims, n->params.list[k].dims);
    dvg_warn("%s: %s (%s) is missing", f->path, n->params.list[k].name + strlen(from->prefix), shape);
    n_problems++;
  }
  return n_problems;
}

enum dvg_status dvg_import_source_load(const struct dvg_import_source *from, struct dvg_import_network *n) {
  for (int64_t k = 0; k < n->params.n_params; k++)
    if (from->owner[k])
      DVG_TRY(dvg_tensor_read(&from->file, &from->file.tensor[from->owner[k] - 1],
                              n->params.value + n->params.list[k].first));
  dvg_params_changed(&n->params);
  return DVG_OK;
}
