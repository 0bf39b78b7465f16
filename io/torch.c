// PyTorch's two containers: what their pickles say, made a table of tensors.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/pickle.h"
#include "io/zip_table.h"

enum { PROTOCOL = 1001, MAX_TOP = 1024, MAX_KEY = 64, MAX_PARAMETERS = 4 }; // MAX_PARAMETERS: around one tensor

struct keyed_storage {
  const char *key; // in the pickle's text block
  int is_placed;
  struct dvg_storage place;
};

struct torch {
  struct dvg_tensors *f;
  struct dvg_pickle object;
  struct keyed_storage *storage; // by key
  int64_t n_storages;
  int big_endian;
};

// ---- storages

static int storage_type(const struct dvg_pickle *p, const struct dvg_pickle_value *v,
                        enum dvg_tensor_type *type) {
  static const struct {
    const char *name;
    enum dvg_tensor_type type;
  } names[] = {{"HalfStorage", DVG_TENSOR_F16},  {"BFloat16Storage", DVG_TENSOR_BF16},
               {"FloatStorage", DVG_TENSOR_F32}, {"DoubleStorage", DVG_TENSOR_F64},
               {"CharStorage", DVG_TENSOR_I8},   {"ByteStorage", DVG_TENSOR_U8},
               {"ShortStorage", DVG_TENSOR_I16}, {"IntStorage", DVG_TENSOR_I32},
               {"LongStorage", DVG_TENSOR_I64},  {"BoolStorage", DVG_TENSOR_BOOL}};
  if (!v || v->kind != DVG_PICKLE_NAME) return 0;
  const char *word = strchr(p->text + v->text, ' ');
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (word && strcmp(word + 1, names[i].name) == 0) {
      *type = names[i].type;
      return 1;
    }
  return 0;
}

static int is_kind(const struct dvg_pickle_value *v, enum dvg_pickle_kind kind) {
  return v && v->kind == kind;
}

// ("storage", type, key, location, count [, None or (view key, offset, count)]): the storage, and its part that
// a view is.
static int read_id(const struct dvg_pickle *p, const struct dvg_pickle_value *persistent,
                   struct keyed_storage *s, int64_t *view_first, int64_t *view_count) {
  const struct dvg_pickle_value *id = dvg_pickle_item(p, persistent, 0);
  if (!is_kind(id, DVG_PICKLE_TUPLE) ||
      !dvg_pickle_is(p, dvg_pickle_item(p, id, 0), DVG_PICKLE_TEXT, "storage"))
    return 0;
  const struct dvg_pickle_value *key = dvg_pickle_item(p, id, 2), *count = dvg_pickle_item(p, id, 4),
                                *view = dvg_pickle_item(p, id, 5);
  *s = (struct keyed_storage){.is_placed = 0};
  if (!storage_type(p, dvg_pickle_item(p, id, 1), &s->place.type)) return 0;
  if (!is_kind(key, DVG_PICKLE_TEXT) || !is_kind(count, DVG_PICKLE_INT) || count->integer < 0 ||
      key->length > MAX_KEY)
    return 0;
  s->key = p->text + key->text;
  s->place.count = count->integer;
  *view_first = 0;
  *view_count = count->integer;
  if (!view || view->kind == DVG_PICKLE_NONE) return 1;
  const struct dvg_pickle_value *first = dvg_pickle_item(p, view, 1), *part = dvg_pickle_item(p, view, 2);
  if (view->kind != DVG_PICKLE_TUPLE || !is_kind(first, DVG_PICKLE_INT) || !is_kind(part, DVG_PICKLE_INT))
    return 0;
  *view_first = first->integer;
  *view_count = part->integer;
  return *view_first >= 0 && *view_count >= 0 && *view_count <= count->integer - *view_first;
}

static int by_key(const void *a, const void *b) {
  return strcmp(((const struct keyed_storage *)a)->key, ((const struct keyed_storage *)b)->key);
}

static struct keyed_storage *find_storage(const struct torch *t, const char *key) {
  const struct keyed_storage wanted = {.key = key};
  return t->n_storages ? bsearch(&wanted, t->storage, (size_t)t->n_storages, sizeof wanted, by_key) : NULL;
}

// All storages that the object speaks of, each once.
static enum dvg_status collect_storages(struct torch *t) {
  const struct dvg_pickle *p = &t->object;
  int64_t n = 0, first, count;
  for (int64_t i = 0; i < p->n_values; i++) {
    if (p->value[i].kind != DVG_PICKLE_PERSISTENT) continue;
    DVG_TRY(DVG_GROW(&t->storage, n, "storages"));
    if (!read_id(p, &p->value[i], &t->storage[n], &first, &count))
      return dvg_fail(DVG_ERROR_INPUT, "%s: its pickle speaks of a storage in a way that PyTorch does not",
                      t->f->path);
    n++;
  }
  if (n) qsort(t->storage, (size_t)n, sizeof *t->storage, by_key);
  for (int64_t i = 0; i < n; i++) {
    const struct keyed_storage *last = t->n_storages ? &t->storage[t->n_storages - 1] : NULL,
                               *s = &t->storage[i];
    if (!last || by_key(last, s) != 0) t->storage[t->n_storages++] = *s;
    else if (last->place.type != s->place.type || last->place.count != s->place.count)
      return dvg_fail(DVG_ERROR_INPUT, "%s: its pickle gives a storage two types or sizes", t->f->path);
  }
  return DVG_OK;
}

// Puts a storage's values at a place of the file, `room` bytes of which may be its own.
static enum dvg_status place_storage(struct torch *t, struct keyed_storage *s, int64_t first_byte,
                                     int64_t room) {
  if (s->place.count > room / dvg_tensor_type_bytes(s->place.type))
    return dvg_fail(DVG_ERROR_INPUT, "%s: is truncated: a storage of %lld values has %lld bytes", t->f->path,
                    (long long)s->place.count, (long long)room);
  s->place.first_byte = first_byte;
  s->place.big_endian = t->big_endian;
  s->is_placed = 1;
  return DVG_OK;
}

// ---- tensors

static int read_sizes(const struct dvg_pickle *p, const struct dvg_pickle_value *tuple, int64_t *sizes) {
  int n = 0;
  if (!is_kind(tuple, DVG_PICKLE_TUPLE) || tuple->n_items > DVG_TENSOR_DIMS) return -1;
  for (int32_t c = tuple->first; c >= 0; c = p->cell[c].next) {
    const struct dvg_pickle_value *v = dvg_pickle_at(p, p->cell[c].value);
    if (v->kind != DVG_PICKLE_INT) return -1;
    sizes[n++] = v->integer;
  }
  return n;
}

// The call that makes a tensor; parameters are calls around it. NULL: no tensor.
static const struct dvg_pickle_value *tensor_call(const struct dvg_pickle *p,
                                                  const struct dvg_pickle_value *v) {
  for (int i = 0; i < MAX_PARAMETERS && is_kind(v, DVG_PICKLE_CALL); i++) {
    const struct dvg_pickle_value *name = dvg_pickle_item(p, v, 0), *arguments = dvg_pickle_item(p, v, 1);
    if (dvg_pickle_is(p, name, DVG_PICKLE_NAME, "torch._utils _rebuild_tensor_v2") ||
        dvg_pickle_is(p, name, DVG_PICKLE_NAME, "torch._utils _rebuild_tensor"))
      return v;
    if (!dvg_pickle_is(p, name, DVG_PICKLE_NAME, "torch._utils _rebuild_parameter") &&
        !dvg_pickle_is(p, name, DVG_PICKLE_NAME, "torch.nn.parameter Parameter"))
      return NULL;
    v = dvg_pickle_item(p, arguments, 0);
  }
  return NULL;
}

// (storage, offset, sizes, strides, ...)
static enum dvg_status add_tensor(struct torch *t, const struct dvg_pickle_value *key,
                                  const struct dvg_pickle_value *call) {
  const struct dvg_pickle *p = &t->object;
  const struct dvg_pickle_value *arguments = dvg_pickle_item(p, call, 1),
                                *storage = dvg_pickle_item(p, arguments, 0),
                                *offset = dvg_pickle_item(p, arguments, 1);
  struct dvg_tensor new = {.name = NULL};
  struct keyed_storage id;
  int64_t view_first, view_count;
  int n = read_sizes(p, dvg_pickle_item(p, arguments, 2), new.dims);
  int right = n >= 0 && read_sizes(p, dvg_pickle_item(p, arguments, 3), new.strides) == n &&
              is_kind(offset, DVG_PICKLE_INT) && is_kind(storage, DVG_PICKLE_PERSISTENT) &&
              read_id(p, storage, &id, &view_first, &view_count);
  if (!right)
    return dvg_fail(DVG_ERROR_INPUT, "%s: its pickle makes a tensor in a way that PyTorch does not",
                    t->f->path);
  const struct keyed_storage *s = find_storage(t, id.key);
  if (!s || !s->is_placed)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no storage for one of its tensors", t->f->path);
  struct dvg_storage part = s->place;
  part.first_byte += view_first * dvg_tensor_type_bytes(part.type);
  part.count = view_count;
  new.n_dims = n;
  return dvg_tensors_add(t->f, p->text + key->text, key->length, &new, &part, offset->integer);
}

static void describe(char *text, size_t n_bytes, const struct dvg_pickle *p, const struct dvg_pickle_value *v) {
  switch (v->kind) {
  case DVG_PICKLE_NONE:
    snprintf(text, n_bytes, "nothing");
    break;
  case DVG_PICKLE_BOOL:
    snprintf(text, n_bytes, v->integer ? "true" : "false");
    break;
  case DVG_PICKLE_INT:
    snprintf(text, n_bytes, "number %lld", (long long)v->integer);
    break;
  case DVG_PICKLE_TEXT:
    snprintf(text, n_bytes, "text");
    break;
  case DVG_PICKLE_DICT:
    snprintf(text, n_bytes, "dictionary of %d", v->n_items / 2);
    break;
  case DVG_PICKLE_LIST:
  case DVG_PICKLE_TUPLE:
    snprintf(text, n_bytes, "list of %d", v->n_items);
    break;
  case DVG_PICKLE_CALL:
    snprintf(text, n_bytes, tensor_call(p, v) ? "tensor" : "object");
    break;
  default:
    snprintf(text, n_bytes, "number");
  }
}

// Tensors of `dict` go into the table when `take` is set; all the rest but `except` is named among the others.
static enum dvg_status add_entries(struct torch *t, const struct dvg_pickle_value *dict, int take,
                                   const struct dvg_pickle_value *except) {
  const struct dvg_pickle *p = &t->object;
  for (int32_t c = dict->first; c >= 0; c = p->cell[p->cell[c].next].next) {
    const struct dvg_pickle_value *key = dvg_pickle_at(p, p->cell[c].value),
                                  *v = dvg_pickle_at(p, p->cell[p->cell[c].next].value),
                                  *call = tensor_call(p, v);
    int is_text = key->kind == DVG_PICKLE_TEXT;
    char what[64];
    if (v == except) continue;
    if (take && call && is_text) {
      DVG_TRY(add_tensor(t, key, call));
      continue;
    }
    describe(what, sizeof what, p, v);
    DVG_TRY(dvg_tensors_add_other(t->f, is_text ? p->text + key->text : "?", is_text ? key->length : 1, what));
  }
  return DVG_OK;
}

static int holds_tensors(const struct dvg_pickle *p, const struct dvg_pickle_value *dict) {
  for (int32_t c = dict->first; c >= 0; c = p->cell[p->cell[c].next].next)
    if (tensor_call(p, dvg_pickle_at(p, p->cell[p->cell[c].next].value))) return 1;
  return 0;
}

static enum dvg_status fill_table(struct torch *t) {
  static const char *const places[] = {"state_dict", "model", "net"};
  const struct dvg_pickle *p = &t->object;
  const struct dvg_pickle_value *root = dvg_pickle_at(p, p->root);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const struct dvg_pickle_value *found = dvg_pickle_find(p, root, places[i]);
    if (!is_kind(found, DVG_PICKLE_DICT) || !holds_tensors(p, found)) continue;
    DVG_TRY(add_entries(t, found, 1, NULL));
    return add_entries(t, root, 0, found);
  }
  if (root->kind == DVG_PICKLE_DICT && holds_tensors(p, root)) return add_entries(t, root, 1, NULL);
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s: holds no state_dict: no tensors at its top nor under state_dict, model or net",
                  t->f->path);
}

static void release(struct torch *t) {
  dvg_pickle_free(&t->object);
  dvg_free(&t->storage);
}

// ---- the legacy stream

// 0x1950a86a20f9469cfc6c, as a number of a pickle.
static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

static enum dvg_status read_head(struct torch *t, int64_t *at) {
  struct dvg_pickle p;
  enum dvg_status status = dvg_pickle_read(&p, t->f, at, t->f->n_bytes);
  if (status == DVG_OK && !dvg_pickle_is(&p, dvg_pickle_at(&p, p.root), DVG_PICKLE_LONG, magic))
    status = dvg_fail(DVG_ERROR_INPUT, "%s: is a pickle, but not one of PyTorch's files", t->f->path);
  dvg_pickle_free(&p);
  DVG_TRY(status);
  status = dvg_pickle_read(&p, t->f, at, t->f->n_bytes);
  if (status == DVG_OK) {
    const struct dvg_pickle_value *protocol = dvg_pickle_at(&p, p.root);
    if (!is_kind(protocol, DVG_PICKLE_INT) || protocol->integer != PROTOCOL)
      status = dvg_fail(DVG_ERROR_INPUT, "%s: is of a protocol that is not PyTorch's 1001", t->f->path);
  }
  dvg_pickle_free(&p);
  DVG_TRY(status);
  // Byte order and type sizes of the system that wrote it: values don't depend on them.
  status = dvg_pickle_read(&p, t->f, at, t->f->n_bytes);
  dvg_pickle_free(&p);
  return status;
}

// A count of values, then the values. Early versions wrote the count in the machine's own order.
static enum dvg_status place_next(struct torch *t, const char *key, int64_t *at) {
  unsigned char bytes[8];
  struct keyed_storage *s = find_storage(t, key);
  if (!s || s->is_placed)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has a storage that no tensor or two tensors ask for", t->f->path);
  DVG_TRY(dvg_tensors_bytes(t->f, *at, 8, bytes));
  uint64_t count = dvg_little(bytes, 8), wanted = (uint64_t)s->place.count;
  if (count != wanted && __builtin_bswap64(count) != wanted)
    return dvg_fail(DVG_ERROR_INPUT, "%s: a storage has %lld values instead of %lld", t->f->path,
                    (long long)count, (long long)wanted);
  DVG_TRY(place_storage(t, s, *at + 8, t->f->n_bytes - *at - 8));
  *at += 8 + s->place.count * dvg_tensor_type_bytes(s->place.type);
  return DVG_OK;
}

static enum dvg_status place_legacy(struct torch *t, int64_t *at) {
  struct dvg_pickle keys;
  enum dvg_status status = dvg_pickle_read(&keys, t->f, at, t->f->n_bytes);
  if (status == DVG_OK && keys.value[keys.root].kind != DVG_PICKLE_LIST)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: has no list of storages", t->f->path);
  for (int32_t c = status == DVG_OK ? keys.value[keys.root].first : -1; status == DVG_OK && c >= 0;
       c = keys.cell[c].next) {
    const struct dvg_pickle_value *key = &keys.value[keys.cell[c].value];
    status = key->kind == DVG_PICKLE_TEXT
                 ? place_next(t, keys.text + key->text, at)
                 : dvg_fail(DVG_ERROR_INPUT, "%s: has a storage whose key is no text", t->f->path);
  }
  dvg_pickle_free(&keys);
  return status;
}

enum dvg_status dvg_torch_read_legacy(struct dvg_tensors *f) {
  struct torch t = {.f = f};
  int64_t at = 0;
  f->format = "PyTorch's legacy stream";
  DVG_TRY(read_head(&t, &at));
  enum dvg_status status = dvg_pickle_read(&t.object, f, &at, f->n_bytes);
  if (status == DVG_OK) status = collect_storages(&t);
  if (status == DVG_OK) status = place_legacy(&t, &at);
  if (status == DVG_OK) status = fill_table(&t);
  release(&t);
  return status;
}

// ---- the zip container

// The folder of the entry <top>/data.pkl, with its slash.
static enum dvg_status find_top(char top[MAX_TOP], const struct dvg_zip *z) {
  static const char name[] = "data.pkl";
  for (int64_t i = 0; i < z->n_entries; i++) {
    const char *slash = strchr(z->entry[i].name, '/');
    if (!slash || strcmp(slash + 1, name) != 0 || slash - z->entry[i].name >= MAX_TOP - 1) continue;
    snprintf(top, MAX_TOP, "%.*s", (int)(slash - z->entry[i].name + 1), z->entry[i].name);
    return DVG_OK;
  }
  return dvg_fail(DVG_ERROR_INPUT, "%s: is a zip archive, but not one of PyTorch's: it has no data.pkl",
                  z->f->path);
}

// *entry = <top><name>, NULL when it is not there; else where it begins.
static enum dvg_status find_entry(const struct dvg_zip_entry **entry, int64_t *first_byte,
                                  const struct dvg_zip *z, const char *top, const char *name) {
  char *full = NULL;
  DVG_TRY(dvg_text(&full, "%s%s", top, name));
  *entry = dvg_zip_find(z, full);
  dvg_free(&full);
  return *entry ? dvg_zip_locate(z, *entry, first_byte) : DVG_OK;
}

static enum dvg_status read_byte_order(struct torch *t, const struct dvg_zip *z, const char *top) {
  const struct dvg_zip_entry *e;
  int64_t first;
  char order[8] = "";
  DVG_TRY(find_entry(&e, &first, z, top, "byteorder"));
  if (!e) return DVG_OK;
  if (e->n_bytes < (int64_t)sizeof order) DVG_TRY(dvg_tensors_bytes(t->f, first, e->n_bytes, order));
  t->big_endian = strcmp(order, "big") == 0;
  return t->big_endian || strcmp(order, "little") == 0
             ? DVG_OK
             : dvg_fail(DVG_ERROR_INPUT, "%s: has a byte order that is neither little nor big", t->f->path);
}

static enum dvg_status place_entries(struct torch *t, const struct dvg_zip *z, const char *top) {
  for (int64_t i = 0; i < t->n_storages; i++) {
    const struct dvg_zip_entry *e;
    int64_t first;
    char *name = NULL;
    DVG_TRY(dvg_text(&name, "data/%s", t->storage[i].key));
    enum dvg_status status = find_entry(&e, &first, z, top, name);
    if (status == DVG_OK && e) status = place_storage(t, &t->storage[i], first, e->n_bytes);
    dvg_free(&name);
    DVG_TRY(status);
  }
  return DVG_OK;
}

static enum dvg_status read_archive(struct torch *t, const struct dvg_zip *z) {
  char top[MAX_TOP];
  const struct dvg_zip_entry *e;
  int64_t at;
  DVG_TRY(find_top(top, z));
  DVG_TRY(read_byte_order(t, z, top));
  DVG_TRY(find_entry(&e, &at, z, top, "data.pkl"));
  DVG_TRY(dvg_pickle_read(&t->object, t->f, &at, at + e->n_bytes));
  DVG_TRY(collect_storages(t));
  DVG_TRY(place_entries(t, z, top));
  return fill_table(t);
}

enum dvg_status dvg_torch_read_zip(struct dvg_tensors *f) {
  struct torch t = {.f = f};
  struct dvg_zip z;
  f->format = "PyTorch's zip container";
  enum dvg_status status = dvg_zip_read(&z, f);
  if (status == DVG_OK) status = read_archive(&t, &z);
  release(&t);
  dvg_zip_free(&z);
  return status;
}
