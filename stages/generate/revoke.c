// From names to rows of the bank.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/generate/generate.h"
#include "stages/lines.h"

enum { LARGEST_LIST = 64 << 20 };

struct marking {
  unsigned char *revoked;
  const struct dvg_image_set *images;
  char **names; // (N) of the images
  const char *bank;
};

// "#12" is number 12, if there are more than that; -1: no number.
static int64_t number_of(const char *name, int64_t n) {
  char *end;
  if (name[0] != '#' || name[1] < '0' || name[1] > '9') return -1;
  long long k = strtoll(name + 1, &end, 10);
  return *end == 0 && k < n ? k : -1;
}

static enum dvg_status mark_person(struct marking *m, const char *where, const char *name) {
  int64_t person = 0;
  while (person < m->images->n_people && strcmp(m->images->person[person], name) != 0) person++;
  if (person == m->images->n_people) person = number_of(name, m->images->n_people);
  if (person < 0) return dvg_fail(DVG_ERROR_USAGE, "%s: %s has no person '%s'", where, m->bank, name);
  for (int64_t i = 0; i < m->images->N; i++)
    if (m->images->identity[i] == person) m->revoked[i] = 1;
  return DVG_OK;
}

static enum dvg_status mark_image(struct marking *m, const char *where, const char *name) {
  int64_t n = 0, row;
  for (int64_t i = 0; i < m->images->N; i++)
    if (strcmp(m->names[i], name) == 0) m->revoked[i] = 1, n++;
  if (n > 0) return DVG_OK;
  row = number_of(name, m->images->N);
  if (row < 0) return dvg_fail(DVG_ERROR_USAGE, "%s: %s has no image '%s'", where, m->bank, name);
  m->revoked[row] = 1;
  return DVG_OK;
}

static enum dvg_status mark_names(struct marking *m, const char *where, const char *names,
                                  enum dvg_status (*mark)(struct marking *, const char *, const char *)) {
  char *copy = NULL, *rest = NULL;
  DVG_TRY(dvg_text(&copy, "%s", names));
  enum dvg_status status = DVG_OK;
  for (char *name = strtok_r(copy, ",", &rest); name && status == DVG_OK; name = strtok_r(NULL, ",", &rest))
    status = mark(m, where, name);
  dvg_free(&copy);
  return status;
}

// A line "person NAME" or "image NAME": names may hold commas and blanks here.
static enum dvg_status mark_line(void *context, const char *where, char *line) {
  struct marking *m = context;
  if (strncmp(line, "person ", 7) == 0) return mark_person(m, where, line + 7);
  if (strncmp(line, "image ", 6) == 0) return mark_image(m, where, line + 6);
  return dvg_fail(DVG_ERROR_USAGE, "%s: is neither 'person NAME' nor 'image NAME'", where);
}

enum dvg_status dvg_revoke_mark(unsigned char *revoked, const struct dvg_generate_settings *set,
                                const struct dvg_image_set *images, char **names, int64_t n_names) {
  struct marking m = {revoked, images, names, set->bank};
  if (n_names != images->N)
    return dvg_fail(DVG_ERROR_INPUT, "%s: names %lld of its %lld images", set->bank, (long long)n_names,
                    (long long)images->N);
  DVG_TRY(mark_names(&m, "--revoke-people", set->revoke_people, mark_person));
  DVG_TRY(mark_names(&m, "--revoke-images", set->revoke_images, mark_image));
  return set->revoke_file[0] ? dvg_lines_each(set->revoke_file, LARGEST_LIST, mark_line, &m) : DVG_OK;
}

// ---- people whose features are identities

static int ascending(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

enum dvg_status dvg_revoke_people(int64_t **person, int64_t *n, const char *numbers) {
  for (const char *at = numbers; *at;) {
    char *end;
    const long long number = strtoll(at, &end, 10);
    if (end == at || (*end && *end != ',') || number < 0)
      return dvg_fail(DVG_ERROR_USAGE, "--revoke-identities %s: '%.*s' is no number of a person", numbers,
                      (int)strcspn(at, ","), at);
    DVG_TRY(DVG_GROW(person, *n, "revoked people"));
    (*person)[(*n)++] = number;
    at = *end ? end + 1 : end;
  }
  if (*n == 0) return DVG_OK;
  qsort(*person, (size_t)*n, sizeof **person, ascending);
  int64_t n_different = 0;
  for (int64_t i = 0; i < *n; i++)
    if (i == 0 || (*person)[i] != (*person)[n_different - 1]) (*person)[n_different++] = (*person)[i];
  *n = n_different;
  return DVG_OK;
}

int dvg_revocation_hits(const struct dvg_revocation *r, const int64_t attribute[2], int64_t identity_person) {
  for (int d = 0; d < 2; d++)
    if (r->image && attribute[d] >= 0 && r->image[attribute[d]]) return 1;
  return r->n_people > 0 &&
         bsearch(&identity_person, r->person, (size_t)r->n_people, sizeof *r->person, ascending) != NULL;
}
