#include "stages/inspect/export_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

int dvg_export_is_real(enum dvg_type type) {
  return type == DVG_F32 || type == DVG_F64;
}

int dvg_export_is_file_name(const char *text) {
  size_t n = strlen(text);
  if (n == 0 || n > 200 || text[0] == '.' || strchr(text, '/')) return 0;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return 0;
  return 1;
}

// ---- which datasets there are

static enum dvg_status add(struct dvg_export_dataset *list, int *n, const struct dvg_export_source *s,
                           const char *name, enum dvg_type type, int64_t width) {
  if (*n == DVG_EXPORT_MOST)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has more datasets than an export takes: '%s'", s->path, name);
  struct dvg_export_dataset *x = &list[(*n)++];
  snprintf(x->name, sizeof x->name, "%s", name);
  x->type = type;
  x->width = width;
  return DVG_OK;
}

static enum dvg_status add_image(struct dvg_export_source *s, const char *name, const int64_t *dims) {
  if (s->n_images && (dims[1] != s->H || dims[2] != s->W || dims[3] != s->C))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' doesn't fit beside the other images", s->path, name);
  if (!dvg_export_is_file_name(name + strlen("image_")))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' names a domain that can be no file's name", s->path, name);
  s->H = dims[1];
  s->W = dims[2];
  s->C = dims[3];
  return add(s->image, &s->n_images, s, name, DVG_U8, 0);
}

// Of all datasets those with a row an item: images by their name, numbers, vectors. Number and name of who it
// is, domain, names and landmarks of an images file have a place of their own.
static enum dvg_status take_dataset(const char *name, int is_attribute, void *context) {
  static const char *const own[] = {"domain", "landmarks", "image"};
  struct dvg_export_source *s = context;
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (is_attribute || strlen(name) >= DVG_EXPORT_NAME || strchr(name, '/')) return DVG_OK;
  for (size_t i = 0; !s->set && i < sizeof own / sizeof *own; i++)
    if (strcmp(name, own[i]) == 0) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(s->file, name, &type, &n_dims, dims));
  if (type == DVG_TEXT || n_dims == 0 || (!s->set && dims[0] != s->n_items)) return DVG_OK;
  if (type == DVG_U8 && n_dims == 4 && strncmp(name, "image_", 6) == 0 && (dims[3] == 1 || dims[3] == 3))
    return add_image(s, name, dims);
  if (n_dims == 1 && strcmp(name, "identity") != 0) return add(s->column, &s->n_columns, s, name, type, 1);
  if (n_dims == 2 && type == DVG_F32 && dims[1] > 0 && dims[1] < 1 << 20)
    return add(s->vector, &s->n_vectors, s, name, type, dims[1]);
  return DVG_OK;
}

static enum dvg_status read_rows(const struct dvg_export_source *s, const char *name, enum dvg_type type,
                                 int64_t first, int64_t count, void *data) {
  return s->set ? dvg_shard_reader_read(s->set, name, type, first, count, data)
                : dvg_artifact_read(s->file, name, type, first, count, data);
}

// An item's row: of pairs the rejected ones are none.
static enum dvg_status read_item(const struct dvg_export_source *s, const char *name, enum dvg_type type,
                                 int64_t item, void *data) {
  return read_rows(s, name, type, dvg_ledger_item(&s->ledger, item), 1, data);
}

// ---- the three kinds

static enum dvg_status open_images(struct dvg_export_source *s) {
  int64_t n_names, dims[DVG_MAX_DIMS];
  DVG_TRY(dvg_image_set_open(&s->images, s->path));
  s->file = s->images.file;
  s->n_items = s->images.N;
  s->n_people = s->images.n_people;
  s->H = s->images.H;
  s->W = s->images.W;
  s->C = s->images.C;
  s->label = s->images.identity;
  s->per_file = 10000;
  s->has_landmarks = dvg_artifact_has(s->file, "landmarks");
  if (s->has_landmarks) {
    int n_dims;
    enum dvg_type type;
    DVG_TRY(dvg_artifact_shape(s->file, "landmarks", &type, &n_dims, dims));
    if (n_dims != 2 || dims[0] != s->n_items || dims[1] != 10)
      return dvg_fail(DVG_ERROR_INPUT, "%s: 'landmarks' has not ten numbers an image", s->path);
  }
  DVG_TRY(dvg_artifact_load_text(s->file, "name", &n_names, &s->name));
  if (n_names != s->n_items) return dvg_fail(DVG_ERROR_INPUT, "%s: 'name' has not a name an image", s->path);
  for (int64_t d = 0; d < s->images.n_domains; d++)
    if (!dvg_export_is_file_name(s->images.domain_name[d]))
      return dvg_fail(DVG_ERROR_INPUT, "%s: the domain '%s' can be no file's name", s->path,
                      s->images.domain_name[d]);
  DVG_TRY(dvg_artifact_each(s->file, take_dataset, s));
  return add(s->image, &s->n_images, s, "image", DVG_U8, 0);
}

static enum dvg_status read_per_file(struct dvg_export_source *s) {
  struct dvg_artifact *index = NULL;
  char *path = NULL;
  DVG_TRY(dvg_text(&path, "%s/index.h5", s->path));
  enum dvg_status status = dvg_artifact_open(&index, path, "index", 1);
  if (status == DVG_OK) status = dvg_artifact_get_int(index, "items_per_shard", &s->per_file);
  dvg_artifact_close(&index);
  dvg_free(&path);
  return status;
}

static enum dvg_status label_features(struct dvg_export_source *s) {
  DVG_TRY(read_rows(s, "identity", DVG_I64, 0, s->n_items, s->label));
  for (int64_t i = 0; i < s->n_items; i++) {
    if (s->label[i] < 0 || s->label[i] >= (int64_t)1 << 40)
      return dvg_fail(DVG_ERROR_INPUT, "%s: item %" PRId64 ": %" PRId64 " is nobody's number", s->path, i,
                      s->label[i]);
    if (s->label[i] >= s->n_people) s->n_people = s->label[i] + 1;
  }
  return DVG_OK;
}

static enum dvg_status open_set(struct dvg_export_source *s, const char *schema, const char *where,
                                const char *scores) {
  int is_pairs = strcmp(schema, "pairs") == 0;
  DVG_TRY(dvg_shard_reader_open(&s->set, s->path, schema, is_pairs ? DVG_PAIRS_VERSION : 1));
  s->file = dvg_shard_reader_first(s->set);
  s->digest = dvg_shard_reader_digest(s->set);
  s->n_items = dvg_shard_reader_items(s->set);
  DVG_TRY(read_per_file(s));
  DVG_TRY(dvg_artifact_each(s->file, take_dataset, s));
  if (is_pairs) {
    DVG_TRY(dvg_ledger_read(&s->ledger, s->set, s->path));
    DVG_TRY(dvg_ledger_select(&s->selected, &s->ledger, s->set, s->path, where, scores));
    s->n_items = s->ledger.n_written;
  }
  DVG_TRY(DVG_NEW(&s->label, s->n_items, "labels"));
  if (!is_pairs) return label_features(s);
  if (s->n_images == 0) return dvg_fail(DVG_ERROR_INPUT, "%s: has no images (datasets image_DOMAIN)", s->path);
  s->n_people = s->n_items;
  for (int64_t i = 0; i < s->n_items; i++) s->label[i] = i;
  return DVG_OK;
}

enum dvg_status dvg_export_source_open(struct dvg_export_source *out, const char *path, const char *schema,
                                       const char *where, const char *scores) {
  struct dvg_export_source s = {.path = path};
  enum dvg_status status;
  if (strcmp(schema, "pairs") != 0 && (where[0] || scores[0]))
    DVG_TRY_GOTO(
        dvg_fail(DVG_ERROR_USAGE, "--where and --scores choose among pairs, %s holds %s", path, schema));
  DVG_TRY_GOTO(strcmp(schema, "images") == 0 ? open_images(&s) : open_set(&s, schema, where, scores));
  if (!s.set) s.digest = dvg_artifact_digest(s.file);
  for (int c = 0; c < s.n_columns; c++) {
    int64_t *values = NULL;
    DVG_TRY_GOTO(DVG_NEW(&values, DVG_EXPORT_ROWS, "columns"));
    s.values[c] = values; // int64_t and double are of one size
  }
  *out = s;
done:
  if (status != DVG_OK) dvg_export_source_close(&s);
  return status;
}

void dvg_export_source_close(struct dvg_export_source *s) {
  for (int c = 0; c < DVG_EXPORT_MOST; c++) dvg_free(&s->values[c]);
  if (s->set) dvg_free(&s->label);
  dvg_free(&s->name);
  dvg_ledger_free(&s->ledger);
  dvg_shard_reader_close(&s->set);
  if (s->images.file) dvg_image_set_close(&s->images);
  *s = (struct dvg_export_source){.path = NULL};
}

// ---- an item

enum dvg_status dvg_export_source_load(struct dvg_export_source *s, int64_t item) {
  if (item >= s->first && item < s->first + s->count) return DVG_OK;
  s->count = 0;
  int64_t n = s->n_items - item < DVG_EXPORT_ROWS ? s->n_items - item : DVG_EXPORT_ROWS;
  for (int c = 0; c < s->n_columns; c++) {
    enum dvg_type type = dvg_export_is_real(s->column[c].type) ? DVG_F64 : DVG_I64;
    if (s->ledger.n_rejected == 0) DVG_TRY(read_rows(s, s->column[c].name, type, item, n, s->values[c]));
    else
      for (int64_t i = 0; i < n; i++)
        DVG_TRY(read_item(s, s->column[c].name, type, item + i, (int64_t *)s->values[c] + i));
  }
  s->first = item;
  s->count = n;
  return DVG_OK;
}

enum dvg_status dvg_export_source_pixels(unsigned char *pixels, const struct dvg_export_source *s, int64_t item,
                                         int k) {
  return read_item(s, s->image[k].name, DVG_U8, item, pixels);
}

enum dvg_status dvg_export_source_vector(float *vector, const struct dvg_export_source *s, int64_t item,
                                         int v) {
  return read_item(s, s->vector[v].name, DVG_F32, item, vector);
}

enum dvg_status dvg_export_source_landmarks(float *landmarks, const struct dvg_export_source *s, int64_t item) {
  return read_item(s, "landmarks", DVG_F32, item, landmarks);
}

enum dvg_status dvg_export_source_person(char text[DVG_EXPORT_TEXT], struct dvg_export_source *s,
                                         int64_t item) {
  int64_t number = s->label[item];
  if (!s->set) {
    const char *name = s->images.person[number];
    int good = name[0] && strlen(name) < DVG_EXPORT_TEXT;
    for (const char *c = name; good && *c; c++) good = (unsigned char)*c >= 0x20 && *c != 0x7f;
    if (!good)
      return dvg_fail(DVG_ERROR_INPUT, "%s: the name of person %" PRId64 " is no text of less than %d bytes",
                      s->path, number, DVG_EXPORT_TEXT);
    strcpy(text, name);
    return DVG_OK;
  }
  DVG_TRY(dvg_export_source_load(s, item));
  for (int c = 0; s->n_images && c < s->n_columns; c++)
    if (strcmp(s->column[c].name, "number") == 0 && !dvg_export_is_real(s->column[c].type))
      number = ((const int64_t *)s->values[c])[item - s->first];
  snprintf(text, DVG_EXPORT_TEXT, s->n_images ? "p%08" PRId64 : "%" PRId64, number);
  return DVG_OK;
}

const char *dvg_export_source_domain(const struct dvg_export_source *s, int64_t item, int k) {
  return s->set ? s->image[k].name + strlen("image_") : s->images.domain_name[s->images.domain[item]];
}
