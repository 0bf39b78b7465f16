#define _GNU_SOURCE // memmem
#include "stages/inspect/describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { LONG_TABLE = 24 }; // datasets; longer tables are only counted unless asked for

static const char *type_name(int type) {
  static const char *const names[] = {"u8", "i32", "i64", "f32", "f64", "text"};
  return type >= 0 && type < (int)(sizeof names / sizeof *names) ? names[type] : "foreign";
}

// ---- collecting

struct collecting {
  struct dvg_description *d;
  const struct dvg_artifact *a;
};

// Attributes that every artifact has and that are described by name.
static int is_common(const char *name) {
  static const char *const common[] = {"dvg_schema", "dvg_version", "program", "settings", "inputs", "sha256"};
  for (size_t i = 0; i < sizeof common / sizeof *common; i++)
    if (strcmp(name, common[i]) == 0) return 1;
  return 0;
}

static enum dvg_status take_attribute(struct dvg_description *d, const struct dvg_artifact *a,
                                      const char *name) {
  DVG_TRY(DVG_GROW(&d->attribute, d->n_attributes, "a description"));
  struct dvg_described_attribute *x = &d->attribute[d->n_attributes++];
  DVG_TRY(dvg_text(&x->name, "%s", name));
  // Of which kind it is shows in which question it answers; a question of the wrong kind is no error here.
  dvg_log_quiet(1);
  if (dvg_artifact_get_int(a, name, &x->integer) == DVG_OK) x->kind = DVG_VALUE_INT;
  else if (dvg_artifact_get_real(a, name, &x->real) == DVG_OK) x->kind = DVG_VALUE_REAL;
  else if (dvg_artifact_get_text(a, name, &x->text) == DVG_OK) x->kind = DVG_VALUE_TEXT;
  else x->kind = DVG_VALUE_FOREIGN;
  dvg_log_quiet(0);
  return DVG_OK;
}

static enum dvg_status take_dataset(struct dvg_description *d, const struct dvg_artifact *a, const char *name) {
  DVG_TRY(DVG_GROW(&d->dataset, d->n_datasets, "a description"));
  struct dvg_described_dataset *x = &d->dataset[d->n_datasets++];
  DVG_TRY(dvg_text(&x->name, "%s", name));
  enum dvg_type type;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_artifact_shape(a, name, &type, &x->n_dims, x->dims);
  dvg_log_quiet(0);
  x->type = status == DVG_OK ? (int)type : -1;
  return DVG_OK;
}

static enum dvg_status take(const char *name, int is_attribute, void *context) {
  struct collecting *c = context;
  if (!is_attribute) return take_dataset(c->d, c->a, name);
  return is_common(name) ? DVG_OK : take_attribute(c->d, c->a, name);
}

// *text = a text attribute, "" without one.
static enum dvg_status take_text(char **text, const struct dvg_artifact *a, const char *name) {
  return dvg_artifact_has_attribute(a, name) ? dvg_artifact_get_text(a, name, text) : dvg_text(text, "%s", "");
}

enum dvg_status dvg_describe(struct dvg_description *d, const struct dvg_artifact *a) {
  *d = (struct dvg_description){.version = 0};
  struct collecting c = {d, a};
  DVG_TRY(dvg_text(&d->path, "%s", dvg_artifact_path(a)));
  DVG_TRY(dvg_text(&d->schema, "%s", dvg_artifact_schema(a)));
  DVG_TRY(dvg_artifact_get_int(a, "dvg_version", &d->version));
  snprintf(d->digest, sizeof d->digest, "%s", dvg_artifact_digest(a));
  DVG_TRY(take_text(&d->program, a, "program"));
  DVG_TRY(take_text(&d->settings, a, "settings"));
  DVG_TRY(take_text(&d->inputs, a, "inputs"));
  return dvg_artifact_each(a, take, &c);
}

void dvg_description_free(struct dvg_description *d) {
  for (int64_t i = 0; i < d->n_attributes; i++) {
    dvg_free(&d->attribute[i].name);
    dvg_free(&d->attribute[i].text);
  }
  for (int64_t i = 0; i < d->n_datasets; i++) dvg_free(&d->dataset[i].name);
  dvg_free(&d->attribute);
  dvg_free(&d->dataset);
  dvg_free(&d->path);
  dvg_free(&d->schema);
  dvg_free(&d->program);
  dvg_free(&d->settings);
  dvg_free(&d->inputs);
  *d = (struct dvg_description){.version = 0};
}

const struct dvg_described_attribute *dvg_described(const struct dvg_description *d, const char *name,
                                                    enum dvg_value_kind kind) {
  for (int64_t i = 0; i < d->n_attributes; i++)
    if (d->attribute[i].kind == kind && strcmp(d->attribute[i].name, name) == 0) return &d->attribute[i];
  return NULL;
}

int64_t dvg_described_values(const struct dvg_description *d) {
  int64_t total = 0;
  for (int64_t i = 0; i < d->n_datasets; i++) {
    int64_t n = d->dataset[i].type >= 0;
    for (int k = 0; k < d->dataset[i].n_dims; k++) n *= d->dataset[i].dims[k];
    total += n;
  }
  return total;
}

// ---- lines of a text

// Walks the lines of a text: *line and its length; whether there is one.
static int next_line(const char **text, const char **line, int *length) {
  if (!**text) return 0;
  *line = *text;
  *length = (int)strcspn(*text, "\n");
  *text += *length + ((*text)[*length] == '\n');
  return 1;
}

// "role name digest": the name may have blanks.
static int split_input(const char *line, int length, int *role, int *digest) {
  *role = (int)strcspn(line, " ");
  *digest = length;
  while (*digest > 0 && line[*digest - 1] != ' ') --*digest;
  return *role<length && * digest> * role + 1;
}

// ---- for people

static void print_attributes(const struct dvg_description *d) {
  if (d->n_attributes) dvg_info("attributes");
  int width = 0;
  for (int64_t i = 0; i < d->n_attributes; i++)
    if ((int)strlen(d->attribute[i].name) > width) width = (int)strlen(d->attribute[i].name);
  for (int64_t i = 0; i < d->n_attributes; i++) {
    const struct dvg_described_attribute *x = &d->attribute[i];
    if (x->kind == DVG_VALUE_INT) dvg_info("  %-*s  %lld", width, x->name, (long long)x->integer);
    else if (x->kind == DVG_VALUE_REAL) dvg_info("  %-*s  %.9g", width, x->name, x->real);
    else if (x->kind == DVG_VALUE_FOREIGN) dvg_info("  %-*s  (of a foreign type)", width, x->name);
    else {
      const char *text = x->text, *line;
      int length, n = 0;
      while (next_line(&text, &line, &length))
        dvg_info("  %-*s  %.*s", width, n++ ? "" : x->name, length, line);
      if (n == 0) dvg_info("  %-*s  \"\"", width, x->name);
    }
  }
}

static void print_datasets(const struct dvg_description *d, int list) {
  if (d->n_datasets > LONG_TABLE && !list) {
    dvg_info("datasets     %lld with %lld values (--list names them)", (long long)d->n_datasets,
             (long long)dvg_described_values(d));
    return;
  }
  if (d->n_datasets) dvg_info("datasets");
  int width = 0;
  for (int64_t i = 0; i < d->n_datasets; i++)
    if ((int)strlen(d->dataset[i].name) > width) width = (int)strlen(d->dataset[i].name);
  for (int64_t i = 0; i < d->n_datasets; i++) {
    const struct dvg_described_dataset *x = &d->dataset[i];
    char shape[DVG_MAX_DIMS * 24 + 8] = "";
    size_t n = 0;
    for (int k = 0; k < x->n_dims; k++)
      n += (size_t)snprintf(shape + n, sizeof shape - n, k ? " x %lld" : "%lld", (long long)x->dims[k]);
    dvg_info("  %-*s  %-4s  %s", width, x->name, type_name(x->type),
             x->n_dims || x->type < 0 ? shape : "scalar");
  }
}

void dvg_description_print(const struct dvg_description *d, int list) {
  const char *text, *line;
  int length, role, digest;
  if (d->settings[0]) dvg_info("settings");
  for (text = d->settings; next_line(&text, &line, &length);) dvg_info("  %.*s", length, line);
  if (d->inputs[0]) dvg_info("made from");
  for (text = d->inputs; next_line(&text, &line, &length);) {
    if (split_input(line, length, &role, &digest))
      dvg_info("  %-10.*s %.*s  sha256 %.*s", role, line, digest - role - 2, line + role + 1, length - digest,
               line + digest);
    else dvg_info("  %.*s", length, line);
  }
  print_attributes(d);
  print_datasets(d, list);
}

// ---- JSON

static void json_slice(struct dvg_json *j, const char *key, const char *text, int length) {
  char *copy = strndup(text, (size_t)length);
  dvg_json_text(j, key, copy ? copy : "");
  free(copy);
}

static void json_settings(struct dvg_json *j, const struct dvg_description *d) {
  const char *text = d->settings, *line;
  int length;
  dvg_json_open(j, "settings", '{');
  while (next_line(&text, &line, &length)) {
    const char *equals = memmem(line, (size_t)length, " = ", 3);
    if (!equals) continue;
    char *key = strndup(line, (size_t)(equals - line));
    json_slice(j, key ? key : "", equals + 3, length - (int)(equals + 3 - line));
    free(key);
  }
  dvg_json_close(j, '}');
}

static void json_inputs(struct dvg_json *j, const struct dvg_description *d) {
  const char *text = d->inputs, *line;
  int length, role, digest;
  dvg_json_open(j, "inputs", '[');
  while (next_line(&text, &line, &length)) {
    if (!split_input(line, length, &role, &digest)) continue;
    dvg_json_open(j, NULL, '{');
    json_slice(j, "role", line, role);
    json_slice(j, "name", line + role + 1, digest - role - 2);
    json_slice(j, "sha256", line + digest, length - digest);
    dvg_json_close(j, '}');
  }
  dvg_json_close(j, ']');
}

void dvg_description_json(struct dvg_json *j, const struct dvg_description *d) {
  dvg_json_text(j, "path", d->path);
  dvg_json_text(j, "schema", d->schema);
  dvg_json_int(j, "version", d->version);
  dvg_json_text(j, "program", d->program);
  dvg_json_text(j, "sha256", d->digest);
  json_settings(j, d);
  json_inputs(j, d);
  dvg_json_open(j, "attributes", '{');
  for (int64_t i = 0; i < d->n_attributes; i++) {
    const struct dvg_described_attribute *x = &d->attribute[i];
    if (x->kind == DVG_VALUE_INT) dvg_json_int(j, x->name, x->integer);
    else if (x->kind == DVG_VALUE_REAL) dvg_json_real(j, x->name, x->real);
    else if (x->kind == DVG_VALUE_TEXT) dvg_json_text(j, x->name, x->text);
  }
  dvg_json_close(j, '}');
  dvg_json_open(j, "datasets", '[');
  for (int64_t i = 0; i < d->n_datasets; i++) {
    const struct dvg_described_dataset *x = &d->dataset[i];
    dvg_json_open(j, NULL, '{');
    dvg_json_text(j, "name", x->name);
    dvg_json_text(j, "type", type_name(x->type));
    dvg_json_open(j, "shape", '[');
    for (int k = 0; k < x->n_dims; k++) dvg_json_int(j, NULL, x->dims[k]);
    dvg_json_close(j, ']');
    dvg_json_close(j, '}');
  }
  dvg_json_close(j, ']');
}
