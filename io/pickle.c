#include "io/pickle.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { MARK = -1, MAX_STEPS = 1 << 21, MAX_NAME = 128, BUFFER = 1 << 14 };
static const int64_t max_text = (int64_t)64 << 20;

// The operations that tensors need, by the names of Python's pickletools.
enum {
  OP_APPEND = 'a',
  OP_APPENDS = 'e',
  OP_BINFLOAT = 'G',
  OP_BINGET = 'h',
  OP_BININT = 'J',
  OP_BININT1 = 'K',
  OP_BININT2 = 'M',
  OP_BINPERSID = 'Q',
  OP_BINPUT = 'q',
  OP_BINSTRING = 'T',
  OP_BINUNICODE = 'X',
  OP_BINUNICODE8 = 0x8d,
  OP_BUILD = 'b',
  OP_EMPTY_DICT = '}',
  OP_EMPTY_LIST = ']',
  OP_EMPTY_TUPLE = ')',
  OP_FRAME = 0x95,
  OP_GLOBAL = 'c',
  OP_LONG1 = 0x8a,
  OP_LONG_BINGET = 'j',
  OP_LONG_BINPUT = 'r',
  OP_MARK = '(',
  OP_MEMOIZE = 0x94,
  OP_NEWFALSE = 0x89,
  OP_NEWTRUE = 0x88,
  OP_NONE = 'N',
  OP_PROTO = 0x80,
  OP_REDUCE = 'R',
  OP_SETITEM = 's',
  OP_SETITEMS = 'u',
  OP_SHORT_BINSTRING = 'U',
  OP_SHORT_BINUNICODE = 0x8c,
  OP_STACK_GLOBAL = 0x93,
  OP_TUPLE = 't',
  OP_TUPLE1 = 0x85,
  OP_TUPLE2 = 0x86,
  OP_TUPLE3 = 0x87,
  OP_STOP = '.'
};

// Nothing else may be named. Storage types of torch and torch.cuda are told by their ending.
static const char *const known_names[] = {"collections OrderedDict",         "torch._utils _rebuild_tensor",
                                          "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
                                          "torch.nn.parameter Parameter",    "torch Size"};
static const char *const known_storages[] = {"Float", "Half",  "Double", "BFloat16", "Char",
                                             "Byte",  "Short", "Int",    "Long",     "Bool"};

struct machine {
  struct dvg_pickle *p;
  const struct dvg_tensors *f;
  int64_t at, end; // of the next byte; of this part of the file
  unsigned char buffer[BUFFER];
  int64_t buffer_first, buffer_bytes;
  int32_t *stack, *memo;
  int64_t n_stack, memo_room, n_memo;
};

// ---- bytes

// Returns a constant, so that compilers see that outputs are set whenever a status is DVG_OK.
static enum dvg_status refuse(const struct machine *m, const char *why) {
  dvg_fail(DVG_ERROR_INPUT, "%s: is no pickle of tensors: %s at byte %lld", m->f->path, why, (long long)m->at);
  return DVG_ERROR_INPUT;
}

static enum dvg_status take_bytes(struct machine *m, void *out, int64_t n) {
  if (n > m->end - m->at) return refuse(m, "it ends too early");
  for (unsigned char *to = out; n > 0;) {
    int64_t skip = m->at - m->buffer_first, have = m->buffer_bytes - skip;
    if (have <= 0) {
      int64_t room = m->end - m->at < BUFFER ? m->end - m->at : BUFFER;
      DVG_TRY(dvg_tensors_bytes(m->f, m->at, room, m->buffer));
      m->buffer_first = m->at;
      m->buffer_bytes = room;
      continue;
    }
    int64_t part = have < n ? have : n;
    memcpy(to, m->buffer + skip, (size_t)part);
    to += part;
    m->at += part;
    n -= part;
  }
  return DVG_OK;
}

static enum dvg_status take_little(struct machine *m, uint64_t *number, int n_bytes) {
  unsigned char bytes[8];
  DVG_TRY(take_bytes(m, bytes, n_bytes));
  *number = dvg_little(bytes, n_bytes);
  return DVG_OK;
}

// ---- tables

static enum dvg_status new_value(struct machine *m, int32_t *index, enum dvg_pickle_kind kind) {
  struct dvg_pickle *p = m->p;
  DVG_TRY(DVG_GROW(&p->value, p->n_values, "values of a pickle"));
  p->value[p->n_values] = (struct dvg_pickle_value){.kind = kind, .first = -1, .last = -1};
  *index = (int32_t)p->n_values++;
  return DVG_OK;
}

static enum dvg_status append(struct machine *m, int32_t container, int32_t value) {
  struct dvg_pickle *p = m->p;
  // One list may be made a dictionary many times.
  if (p->n_cells == 2 * MAX_STEPS) return refuse(m, "more items than tensors need");
  DVG_TRY(DVG_GROW(&p->cell, p->n_cells, "items of a pickle"));
  int32_t cell = (int32_t)p->n_cells++;
  p->cell[cell] = (struct dvg_pickle_cell){value, -1};
  struct dvg_pickle_value *v = &p->value[container];
  if (v->last >= 0) p->cell[v->last].next = cell;
  else v->first = cell;
  v->last = cell;
  v->n_items++;
  return DVG_OK;
}

// Room for n more bytes and a NUL.
static enum dvg_status text_room(struct machine *m, int64_t n) {
  struct dvg_pickle *p = m->p;
  if (p->n_text + n + 1 <= p->text_room) return DVG_OK;
  if (p->n_text + n + 1 > max_text) return refuse(m, "more text than tensors need");
  int64_t room = 2 * (p->n_text + n + 1);
  char *text;
  DVG_TRY(DVG_NEW(&text, room, "text of a pickle"));
  if (p->n_text) memcpy(text, p->text, (size_t)p->n_text);
  dvg_free(&p->text);
  p->text = text;
  p->text_room = room;
  return DVG_OK;
}

// ---- the stack

static enum dvg_status push(struct machine *m, int32_t value) {
  DVG_TRY(DVG_GROW(&m->stack, m->n_stack, "stack of a pickle"));
  m->stack[m->n_stack++] = value;
  return DVG_OK;
}

static enum dvg_status push_new(struct machine *m, enum dvg_pickle_kind kind, int64_t integer) {
  int32_t index;
  DVG_TRY(new_value(m, &index, kind));
  m->p->value[index].integer = integer;
  return push(m, index);
}

// Makes the n bytes at the end of the text block a value.
static enum dvg_status push_stored(struct machine *m, enum dvg_pickle_kind kind, int64_t n) {
  int32_t index;
  DVG_TRY(new_value(m, &index, kind));
  m->p->value[index].text = m->p->n_text;
  m->p->value[index].length = n;
  m->p->n_text += n;
  m->p->text[m->p->n_text++] = 0;
  return push(m, index);
}

static enum dvg_status push_text(struct machine *m, enum dvg_pickle_kind kind, uint64_t n) {
  if (n > (uint64_t)(m->end - m->at)) return refuse(m, "a text is longer than the rest of the file");
  DVG_TRY(text_room(m, (int64_t)n));
  DVG_TRY(take_bytes(m, m->p->text + m->p->n_text, (int64_t)n));
  return push_stored(m, kind, (int64_t)n);
}

// The value `below` the top, which must be one and no mark.
static enum dvg_status peek(const struct machine *m, int32_t *value, int64_t below) {
  if (m->n_stack <= below || m->stack[m->n_stack - 1 - below] == MARK)
    return refuse(m, "an operation without operand");
  *value = m->stack[m->n_stack - 1 - below];
  return DVG_OK;
}

static enum dvg_status pop(struct machine *m, int32_t *value) {
  DVG_TRY(peek(m, value, 0));
  m->n_stack--;
  return DVG_OK;
}

// *first = place on the stack behind the last mark.
static enum dvg_status find_mark(const struct machine *m, int64_t *first) {
  for (int64_t i = m->n_stack; i > 0; i--)
    if (m->stack[i - 1] == MARK) {
      *first = i;
      return DVG_OK;
    }
  return refuse(m, "an operation without mark");
}

// ---- operations

static enum dvg_status make_tuple(struct machine *m, int64_t first, int64_t end_of_stack) {
  int32_t tuple;
  DVG_TRY(new_value(m, &tuple, DVG_PICKLE_TUPLE));
  for (int64_t i = first; i < m->n_stack; i++) DVG_TRY(append(m, tuple, m->stack[i]));
  m->n_stack = end_of_stack;
  return push(m, tuple);
}

static enum dvg_status marked_tuple(struct machine *m) {
  int64_t first;
  DVG_TRY(find_mark(m, &first));
  return make_tuple(m, first, first - 1);
}

static enum dvg_status short_tuple(struct machine *m, int n) {
  int32_t value;
  for (int i = 0; i < n; i++) DVG_TRY(peek(m, &value, i));
  return make_tuple(m, m->n_stack - n, m->n_stack - n);
}

// Moves what stands from `first` on into the container `below` it.
static enum dvg_status fill(struct machine *m, int64_t first, int64_t end_of_stack, enum dvg_pickle_kind kind) {
  int32_t container;
  int64_t n = m->n_stack - first;
  DVG_TRY(peek(m, &container, m->n_stack - end_of_stack));
  if (m->p->value[container].kind != kind) return refuse(m, "items for something else than a container");
  if (kind == DVG_PICKLE_DICT && n % 2) return refuse(m, "a key without value");
  for (int64_t i = first; i < m->n_stack; i++) DVG_TRY(append(m, container, m->stack[i]));
  m->n_stack = end_of_stack;
  return DVG_OK;
}

static enum dvg_status fill_one(struct machine *m, int n, enum dvg_pickle_kind kind) {
  int32_t value;
  for (int i = 0; i <= n; i++) DVG_TRY(peek(m, &value, i));
  int64_t first = m->n_stack - n;
  // fill() looks for the container at the new top.
  return fill(m, first, first, kind);
}

static enum dvg_status fill_marked(struct machine *m, enum dvg_pickle_kind kind) {
  int64_t first;
  DVG_TRY(find_mark(m, &first));
  return fill(m, first, first - 1, kind);
}

static enum dvg_status put(struct machine *m, uint64_t place) {
  int32_t value;
  DVG_TRY(peek(m, &value, 0));
  if (place >= MAX_STEPS || place > (uint64_t)m->at) return refuse(m, "a memo number beyond all operations");
  if ((int64_t)place >= m->memo_room) {
    int64_t room = m->memo_room ? m->memo_room : 64;
    while (room <= (int64_t)place) room *= 2;
    int32_t *memo;
    DVG_TRY(DVG_NEW(&memo, room, "memo of a pickle"));
    if (m->memo_room) memcpy(memo, m->memo, (size_t)m->memo_room * sizeof *memo);
    dvg_free(&m->memo);
    m->memo = memo;
    m->memo_room = room;
  }
  m->memo[place] = value + 1; // 0: nothing
  m->n_memo++;
  return DVG_OK;
}

static enum dvg_status get(struct machine *m, uint64_t place) {
  if ((int64_t)place >= m->memo_room || m->memo[place] == 0) return refuse(m, "a memo number without value");
  return push(m, m->memo[place] - 1);
}

static int is_known(const char *name) {
  for (size_t i = 0; i < sizeof known_names / sizeof *known_names; i++)
    if (strcmp(name, known_names[i]) == 0) return 1;
  char storage[64];
  for (size_t i = 0; i < sizeof known_storages / sizeof *known_storages; i++) {
    snprintf(storage, sizeof storage, "torch %sStorage", known_storages[i]);
    if (strcmp(name, storage) == 0) return 1;
    snprintf(storage, sizeof storage, "torch.cuda %sStorage", known_storages[i]);
    if (strcmp(name, storage) == 0) return 1;
  }
  return 0;
}

static enum dvg_status push_name(struct machine *m, const char *name) {
  int64_t n = (int64_t)strlen(name);
  if (!is_known(name)) {
    char *shown = NULL;
    DVG_TRY(dvg_printable(&shown, name, n));
    enum dvg_status status = dvg_fail(
        DVG_ERROR_INPUT, "%s: its pickle asks for '%s', which tensors don't need; nothing was executed",
        m->f->path, shown);
    dvg_free(&shown);
    return status;
  }
  DVG_TRY(text_room(m, n));
  memcpy(m->p->text + m->p->n_text, name, (size_t)n);
  return push_stored(m, DVG_PICKLE_NAME, n);
}

// Two lines, module and name, put together with a blank.
static enum dvg_status global(struct machine *m) {
  char name[2 * MAX_NAME];
  int n = 0;
  for (int lines = 0; lines < 2;) {
    char c;
    DVG_TRY(take_bytes(m, &c, 1));
    if (n == (int)sizeof name - 1) return refuse(m, "a name is longer than names of tensors");
    if (c == '\n') c = ++lines == 1 ? ' ' : 0;
    else if (c == 0) c = '?';
    name[n++] = c;
  }
  return push_name(m, name);
}

// The same from two texts on the stack.
static enum dvg_status stack_global(struct machine *m) {
  int32_t module, word;
  char name[2 * MAX_NAME];
  DVG_TRY(pop(m, &word));
  DVG_TRY(pop(m, &module));
  const struct dvg_pickle_value *a = &m->p->value[module], *b = &m->p->value[word];
  if (a->kind != DVG_PICKLE_TEXT || b->kind != DVG_PICKLE_TEXT) return refuse(m, "a name that is no text");
  int n = snprintf(name, sizeof name, "%s %s", m->p->text + a->text, m->p->text + b->text);
  if (n >= (int)sizeof name) return refuse(m, "a name is longer than names of tensors");
  return push_name(m, name);
}

// OrderedDict() or, as Python 2 writes it, OrderedDict([[key, value], ...]).
static enum dvg_status make_dictionary(struct machine *m, int32_t arguments) {
  int32_t dict;
  DVG_TRY(new_value(m, &dict, DVG_PICKLE_DICT));
  const struct dvg_pickle_value *list = dvg_pickle_item(m->p, &m->p->value[arguments], 0);
  if (list && list->kind != DVG_PICKLE_LIST) return refuse(m, "an OrderedDict of something else than a list");
  for (int32_t c = list ? list->first : -1; c >= 0; c = m->p->cell[c].next) {
    const struct dvg_pickle_value *pair = &m->p->value[m->p->cell[c].value];
    int right = (pair->kind == DVG_PICKLE_LIST || pair->kind == DVG_PICKLE_TUPLE) && pair->n_items == 2;
    if (!right) return refuse(m, "an OrderedDict of something else than pairs");
    int32_t key = pair->first, value = m->p->cell[key].next;
    DVG_TRY(append(m, dict, m->p->cell[key].value));
    DVG_TRY(append(m, dict, m->p->cell[value].value));
  }
  return push(m, dict);
}

static enum dvg_status reduce(struct machine *m) {
  int32_t arguments, what, call;
  DVG_TRY(pop(m, &arguments));
  DVG_TRY(pop(m, &what));
  if (m->p->value[what].kind != DVG_PICKLE_NAME || m->p->value[arguments].kind != DVG_PICKLE_TUPLE)
    return refuse(m, "a call of something that can't be called");
  if (dvg_pickle_is(m->p, &m->p->value[what], DVG_PICKLE_NAME, "collections OrderedDict"))
    return make_dictionary(m, arguments);
  DVG_TRY(new_value(m, &call, DVG_PICKLE_CALL));
  DVG_TRY(append(m, call, what));
  DVG_TRY(append(m, call, arguments));
  return push(m, call);
}

// The state of an OrderedDict (versions of modules) or of a parameter is nothing that values depend on.
static enum dvg_status build(struct machine *m) {
  int32_t state, object;
  DVG_TRY(pop(m, &state));
  DVG_TRY(peek(m, &object, 0));
  enum dvg_pickle_kind kind = m->p->value[object].kind;
  return kind == DVG_PICKLE_DICT || kind == DVG_PICKLE_CALL ? DVG_OK
                                                            : refuse(m, "a state for something that has none");
}

static enum dvg_status persistent(struct machine *m) {
  int32_t id, value;
  DVG_TRY(pop(m, &id));
  DVG_TRY(new_value(m, &value, DVG_PICKLE_PERSISTENT));
  DVG_TRY(append(m, value, id));
  return push(m, value);
}

static enum dvg_status push_long(struct machine *m, int n) {
  if (n > 8) return push_text(m, DVG_PICKLE_LONG, (uint64_t)n);
  uint64_t number = 0;
  DVG_TRY(take_little(m, &number, n));
  if (n > 0 && n < 8 && number >> (8 * n - 1)) number -= (uint64_t)1 << (8 * n); // two's complement
  return push_new(m, DVG_PICKLE_INT, (int64_t)number);
}

static enum dvg_status real(struct machine *m) {
  unsigned char bytes[8];
  DVG_TRY(take_bytes(m, bytes, 8)); // nothing depends on it
  return push_new(m, DVG_PICKLE_REAL, 0);
}

static enum dvg_status protocol(struct machine *m) {
  uint64_t version;
  DVG_TRY(take_little(m, &version, 1));
  return version >= 2 && version <= 5 ? DVG_OK : refuse(m, "a protocol that isn't 2 to 5");
}

static enum dvg_status unknown(const struct machine *m, unsigned char operation) {
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s: its pickle has the operation 0x%02x at byte %lld, which tensors don't need; nothing was "
                  "executed",
                  m->f->path, operation, (long long)m->at - 1);
}

// Operations with a number behind them, of n bytes.
static enum dvg_status run_numbered(struct machine *m, unsigned char operation, int n) {
  uint64_t x;
  DVG_TRY(take_little(m, &x, n));
  switch (operation) {
  case OP_BINPUT:
  case OP_LONG_BINPUT:
    return put(m, x);
  case OP_BINGET:
  case OP_LONG_BINGET:
    return get(m, x);
  case OP_BININT1:
  case OP_BININT2:
    return push_new(m, DVG_PICKLE_INT, (int64_t)x);
  case OP_BININT:
    return push_new(m, DVG_PICKLE_INT, (int32_t)(uint32_t)x);
  case OP_LONG1:
    return push_long(m, (int)x);
  case OP_FRAME:
    return DVG_OK; // a frame
  default:
    return push_text(m, DVG_PICKLE_TEXT, x); // all texts
  }
}

static enum dvg_status run_operation(struct machine *m, unsigned char operation) {
  switch (operation) {
  case OP_PROTO:
    return protocol(m);
  case OP_BINPUT:
  case OP_BINGET:
  case OP_BININT1:
  case OP_SHORT_BINSTRING:
  case OP_LONG1:
  case OP_SHORT_BINUNICODE:
    return run_numbered(m, operation, 1);
  case OP_BININT2:
    return run_numbered(m, operation, 2);
  case OP_LONG_BINPUT:
  case OP_LONG_BINGET:
  case OP_BININT:
  case OP_BINUNICODE:
  case OP_BINSTRING:
    return run_numbered(m, operation, 4);
  case OP_FRAME:
  case OP_BINUNICODE8:
    return run_numbered(m, operation, 8);
  case OP_NONE:
    return push_new(m, DVG_PICKLE_NONE, 0);
  case OP_NEWTRUE:
    return push_new(m, DVG_PICKLE_BOOL, 1);
  case OP_NEWFALSE:
    return push_new(m, DVG_PICKLE_BOOL, 0);
  case OP_BINFLOAT:
    return real(m);
  case OP_MARK:
    return push(m, MARK);
  case OP_EMPTY_TUPLE:
    return push_new(m, DVG_PICKLE_TUPLE, 0);
  case OP_EMPTY_LIST:
    return push_new(m, DVG_PICKLE_LIST, 0);
  case OP_EMPTY_DICT:
    return push_new(m, DVG_PICKLE_DICT, 0);
  case OP_TUPLE:
    return marked_tuple(m);
  case OP_TUPLE1:
    return short_tuple(m, 1);
  case OP_TUPLE2:
    return short_tuple(m, 2);
  case OP_TUPLE3:
    return short_tuple(m, 3);
  case OP_APPEND:
    return fill_one(m, 1, DVG_PICKLE_LIST);
  case OP_APPENDS:
    return fill_marked(m, DVG_PICKLE_LIST);
  case OP_SETITEM:
    return fill_one(m, 2, DVG_PICKLE_DICT);
  case OP_SETITEMS:
    return fill_marked(m, DVG_PICKLE_DICT);
  case OP_MEMOIZE:
    return put(m, (uint64_t)m->n_memo);
  case OP_GLOBAL:
    return global(m);
  case OP_STACK_GLOBAL:
    return stack_global(m);
  case OP_REDUCE:
    return reduce(m);
  case OP_BUILD:
    return build(m);
  case OP_BINPERSID:
    return persistent(m);
  default:
    return unknown(m, operation);
  }
}

static enum dvg_status run(struct machine *m) {
  for (int64_t steps = 0; steps < MAX_STEPS; steps++) {
    unsigned char operation;
    DVG_TRY(take_bytes(m, &operation, 1));
    if (operation == OP_STOP) {
      DVG_TRY(pop(m, &m->p->root));
      return m->n_stack == 0 ? DVG_OK : refuse(m, "more than one value is left");
    }
    DVG_TRY(run_operation(m, operation));
  }
  return refuse(m, "more operations than tensors need");
}

enum dvg_status dvg_pickle_read(struct dvg_pickle *p, const struct dvg_tensors *f, int64_t *at, int64_t end) {
  struct machine *m = NULL;
  *p = (struct dvg_pickle){.root = -1};
  DVG_TRY(DVG_NEW(&m, 1, "reading a pickle"));
  m->p = p;
  m->f = f;
  m->at = *at;
  m->end = end;
  m->buffer_first = *at;
  enum dvg_status status = run(m);
  if (status == DVG_OK) *at = m->at;
  dvg_free(&m->stack);
  dvg_free(&m->memo);
  dvg_free(&m);
  return status;
}

void dvg_pickle_free(struct dvg_pickle *p) {
  dvg_free(&p->value);
  dvg_free(&p->cell);
  dvg_free(&p->text);
  *p = (struct dvg_pickle){.root = -1};
}

// ---- looking at it

const struct dvg_pickle_value *dvg_pickle_at(const struct dvg_pickle *p, int32_t value) {
  return &p->value[value];
}

const struct dvg_pickle_value *dvg_pickle_item(const struct dvg_pickle *p,
                                               const struct dvg_pickle_value *container, int k) {
  int32_t cell = container->first;
  for (; cell >= 0 && k > 0; k--) cell = p->cell[cell].next;
  return cell < 0 ? NULL : &p->value[p->cell[cell].value];
}

int dvg_pickle_is(const struct dvg_pickle *p, const struct dvg_pickle_value *v, enum dvg_pickle_kind kind,
                  const char *text) {
  return v && v->kind == kind && v->length == (int64_t)strlen(text) &&
         memcmp(p->text + v->text, text, (size_t)v->length) == 0;
}

const struct dvg_pickle_value *dvg_pickle_find(const struct dvg_pickle *p, const struct dvg_pickle_value *dict,
                                               const char *key) {
  if (!dict || dict->kind != DVG_PICKLE_DICT) return NULL;
  const struct dvg_pickle_value *found = NULL; // of several the last one counts, as in Python
  for (int32_t c = dict->first; c >= 0; c = p->cell[p->cell[c].next].next)
    if (dvg_pickle_is(p, &p->value[p->cell[c].value], DVG_PICKLE_TEXT, key))
      found = &p->value[p->cell[p->cell[c].next].value];
  return found;
}
