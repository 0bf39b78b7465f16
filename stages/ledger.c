#include "stages/ledger.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { BLOCK = 65536, REQUEST_VERSION = 1 };

// ---- which pairs there are

static enum dvg_status read_fates(struct dvg_ledger *l, struct dvg_shard_reader *set, const char *folder,
                                  unsigned char *fate) {
  int64_t n_items = dvg_shard_reader_items(set);
  for (int64_t first = 0; first < n_items; first += BLOCK) {
    int64_t n = n_items - first < BLOCK ? n_items - first : BLOCK;
    DVG_TRY(dvg_shard_reader_read(set, "fate", DVG_U8, first, n, fate));
    for (int64_t i = 0; i < n; i++) {
      if (fate[i] == DVG_FATE_WRITTEN) continue;
      if (fate[i] != DVG_FATE_REJECTED)
        return dvg_fail(DVG_ERROR_INPUT, "%s: item %lld has the unknown fate %d", folder,
                        (long long)(first + i), fate[i]);
      DVG_TRY(DVG_GROW(&l->rejected, l->n_rejected, "rejected pairs"));
      l->rejected[l->n_rejected++] = first + i;
    }
  }
  l->n_written = n_items - l->n_rejected;
  return l->n_written > 0
             ? DVG_OK
             : dvg_fail(DVG_ERROR_INPUT, "%s: all of its %lld pairs are rejected", folder, (long long)n_items);
}

enum dvg_status dvg_ledger_read(struct dvg_ledger *l, struct dvg_shard_reader *set, const char *folder) {
  unsigned char *fate = NULL;
  *l = (struct dvg_ledger){0};
  DVG_TRY(DVG_NEW(&fate, BLOCK, "fates of pairs"));
  enum dvg_status status = read_fates(l, set, folder, fate);
  dvg_free(&fate);
  if (status != DVG_OK) dvg_ledger_free(l);
  return status;
}

void dvg_ledger_free(struct dvg_ledger *l) {
  dvg_free(&l->rejected);
  *l = (struct dvg_ledger){0};
}

// rejected[j] - j written items lie before the j-th rejected one: that grows with j, so it can be searched.
int64_t dvg_ledger_item(const struct dvg_ledger *l, int64_t k) {
  int64_t low = 0, high = l->n_rejected;
  while (low < high) {
    int64_t j = (low + high) / 2;
    if (l->rejected[j] - j > k) high = j;
    else low = j + 1;
  }
  return k + low;
}

int64_t dvg_ledger_before(const struct dvg_ledger *l, int64_t item) {
  int64_t low = 0, high = l->n_rejected;
  while (low < high) {
    int64_t j = (low + high) / 2;
    if (l->rejected[j] >= item) high = j;
    else low = j + 1;
  }
  return item - low;
}

// ---- what is asked for

static const char *const revoked_names[] = {"none", "drop", "remake"};

static enum dvg_status request_path(char **path, const char *folder) {
  return dvg_text(path, "%s/request.h5", folder);
}

int dvg_request_exists(const char *folder) {
  char *path = NULL;
  int there = request_path(&path, folder) == DVG_OK && dvg_path_exists(path);
  dvg_free(&path);
  return there;
}

static enum dvg_status read_revoked(struct dvg_request *r, const struct dvg_artifact *a) {
  char *name = NULL;
  DVG_TRY(dvg_artifact_get_text(a, "revoked", &name));
  int mode = 2;
  while (mode >= 0 && strcmp(name, revoked_names[mode]) != 0) mode--;
  dvg_free(&name);
  r->n_rows = -1;
  DVG_TRY(dvg_artifact_load(a, "revoked_row", DVG_I64, 1, &r->n_rows, (void **)&r->row));
  if (dvg_artifact_has(a, "revoked_person")) {
    r->n_people = -1;
    DVG_TRY(dvg_artifact_load(a, "revoked_person", DVG_I64, 1, &r->n_people, (void **)&r->person));
  }
  int good = mode >= 0 && (mode == DVG_REVOKED_NONE) == (r->n_rows == 0 && r->n_people == 0);
  for (int64_t i = 1; good && i < r->n_people; i++) good = r->person[i] > r->person[i - 1];
  for (int64_t i = 0; good && i < r->n_rows; i++)
    good = r->row[i] >= 0 && (i == 0 || r->row[i] > r->row[i - 1]);
  r->revoked = (enum dvg_revoked)mode;
  return good
             ? DVG_OK
             : dvg_fail(DVG_ERROR_INPUT, "%s: what it says to be revoked makes no sense", dvg_artifact_path(a));
}

static enum dvg_status read_request(struct dvg_request *r, const struct dvg_artifact *a) {
  DVG_TRY(dvg_artifact_verify(a)); // small, and all depends on it
  DVG_TRY(dvg_artifact_get_text(a, "settings", &r->settings));
  DVG_TRY(dvg_artifact_get_text(a, "inputs", &r->inputs));
  DVG_TRY(dvg_artifact_get_int(a, "items", &r->items));
  DVG_TRY(dvg_artifact_get_int(a, "items_per_shard", &r->per_shard));
  DVG_TRY(dvg_artifact_get_int(a, "first", &r->first));
  if (r->items < 1 || r->per_shard < 1 || r->first < 0 || r->items > INT64_MAX - r->first)
    return dvg_fail(DVG_ERROR_INPUT, "%s: asks for %lld pairs from %lld on in shards of %lld",
                    dvg_artifact_path(a), (long long)r->items, (long long)r->first, (long long)r->per_shard);
  return read_revoked(r, a);
}

enum dvg_status dvg_request_read(struct dvg_request *r, const char *folder) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  enum dvg_status status;
  *r = (struct dvg_request){0};
  DVG_TRY_GOTO(request_path(&path, folder));
  DVG_TRY_GOTO(dvg_artifact_open(&a, path, "request", REQUEST_VERSION));
  DVG_TRY_GOTO(read_request(r, a));
done:
  dvg_artifact_close(&a);
  dvg_free(&path);
  if (status != DVG_OK) dvg_request_free(r);
  return status;
}

void dvg_request_free(struct dvg_request *r) {
  dvg_free(&r->settings);
  dvg_free(&r->inputs);
  dvg_free(&r->row);
  dvg_free(&r->person);
  *r = (struct dvg_request){0};
}

enum dvg_status dvg_request_write(const struct dvg_request *r, const char *folder,
                                  const struct dvg_lineage *l) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(request_path(&path, folder));
  DVG_TRY_GOTO(dvg_lineage_create(&a, path, "request", REQUEST_VERSION, l));
  DVG_TRY_GOTO(dvg_artifact_set_int(a, "items", r->items));
  DVG_TRY_GOTO(dvg_artifact_set_int(a, "items_per_shard", r->per_shard));
  DVG_TRY_GOTO(dvg_artifact_set_int(a, "first", r->first));
  DVG_TRY_GOTO(dvg_artifact_set_text(a, "revoked", revoked_names[r->revoked]));
  DVG_TRY_GOTO(dvg_artifact_write(a, "revoked_row", DVG_I64, 1, &r->n_rows, r->row));
  if (r->n_people > 0)
    DVG_TRY_GOTO(dvg_artifact_write(a, "revoked_person", DVG_I64, 1, &r->n_people, r->person));
  status = dvg_artifact_commit(&a, NULL);
done:
  dvg_artifact_discard(&a);
  dvg_free(&path);
  return status;
}

static enum dvg_status compare_text(const char *folder, const char *what, const char *has, const char *wanted) {
  size_t n = 0, line = 0;
  for (; has[n] && has[n] == wanted[n]; n++)
    if (has[n] == '\n') line = n + 1;
  if (has[n] == wanted[n]) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s/request.h5: was made with other %s (there '%.*s', now '%.*s'): choose another folder",
                  folder, what, (int)strcspn(has + line, "\n"), has + line, (int)strcspn(wanted + line, "\n"),
                  wanted + line);
}

enum dvg_status dvg_request_compare(const struct dvg_request *r, const char *folder, const char *settings,
                                    const char *inputs) {
  DVG_TRY(compare_text(folder, "settings", r->settings, settings));
  return compare_text(folder, "inputs", r->inputs, inputs);
}

// "role name digest" a line; the name may have blanks in it.
static enum dvg_status add_inputs(struct dvg_lineage *l, char *text) {
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    char *name = strchr(line, ' '), *digest = strrchr(line, ' ');
    if (!name || name == digest || l->n_inputs == DVG_MAX_INPUTS || strlen(digest + 1) != DVG_DIGEST_TEXT - 1)
      return dvg_fail(DVG_ERROR_INPUT, "request.h5: its inputs are not those of a run: '%.100s'", line);
    *name++ = *digest++ = 0;
    dvg_lineage_add(l, line, name, digest);
  }
  return DVG_OK;
}

enum dvg_status dvg_request_lineage(struct dvg_lineage *l, const struct dvg_request *r, const char *program) {
  char *inputs = NULL;
  *l = (struct dvg_lineage){.program = program};
  DVG_TRY(dvg_text(&inputs, "%s", r->inputs));
  enum dvg_status status = dvg_text(&l->settings, "%s", r->settings);
  if (status == DVG_OK) status = add_inputs(l, inputs);
  dvg_free(&inputs);
  if (status != DVG_OK) dvg_lineage_free(l);
  return status;
}
