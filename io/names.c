#include "io/names.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/rng.h"

static void place(struct dvg_names *t, int64_t index) {
  uint64_t slot = dvg_rng_name(t->name[index]);
  while (t->slots[slot & (uint64_t)(t->n_slots - 1)]) slot++;
  t->slots[slot & (uint64_t)(t->n_slots - 1)] = index + 1;
}

static enum dvg_status make_room(struct dvg_names *t) {
  if (t->n < t->room) return DVG_OK;
  int64_t room = t->room ? 2 * t->room : 64, *slots = NULL;
  char **name = NULL;
  DVG_TRY(DVG_NEW(&name, room, "names of a list"));
  enum dvg_status status = DVG_NEW(&slots, 2 * room, "names of a list");
  if (status != DVG_OK) {
    dvg_free(&name);
    return status;
  }
  if (t->n) memcpy(name, t->name, (size_t)t->n * sizeof *name);
  dvg_free(&t->name);
  dvg_free(&t->slots);
  t->name = name;
  t->slots = slots;
  t->room = room;
  t->n_slots = 2 * room;
  for (int64_t i = 0; i < t->n; i++) place(t, i);
  return DVG_OK;
}

int64_t dvg_names_find(const struct dvg_names *t, const char *name) {
  if (!t->n_slots) return -1;
  for (uint64_t slot = dvg_rng_name(name);; slot++) {
    int64_t index = t->slots[slot & (uint64_t)(t->n_slots - 1)] - 1;
    if (index < 0 || strcmp(t->name[index], name) == 0) return index;
  }
}

enum dvg_status dvg_names_add(struct dvg_names *t, char *name, int64_t *index) {
  *index = dvg_names_find(t, name);
  if (*index >= 0) return DVG_OK;
  DVG_TRY(make_room(t));
  *index = t->n;
  t->name[t->n++] = name;
  place(t, *index);
  return DVG_OK;
}

void dvg_names_free(struct dvg_names *t) {
  dvg_free(&t->name);
  dvg_free(&t->slots);
}
