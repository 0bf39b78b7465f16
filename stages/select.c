#include "stages/select.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/query.h"

enum { BLOCK = 65536 };

struct column {
  const struct dvg_artifact *file; // scores; NULL: the shards
  enum dvg_type type;              // DVG_I64 or DVG_F64, as it is read
  double *value;                   // (BLOCK)
};

struct selection {
  struct dvg_query query;
  struct dvg_ledger *l;
  struct dvg_shard_reader *set;
  const char *folder, *where;
  struct dvg_artifact *scores;
  struct column column[DVG_QUERY_COLUMNS];
  int64_t *whole; // (BLOCK)
};

static enum dvg_status open_scores(struct selection *s, const char *path) {
  char *digest = NULL;
  if (!path[0]) return DVG_OK;
  DVG_TRY(dvg_artifact_open(&s->scores, path, "scores", 1));
  DVG_TRY(dvg_artifact_get_text(s->scores, "pairs_digest", &digest));
  const int same = strcmp(digest, dvg_shard_reader_digest(s->set)) == 0;
  dvg_free(&digest);
  return same ? DVG_OK
              : dvg_fail(DVG_ERROR_INPUT, "%s: scores of other pairs than those in %s", path, s->folder);
}

// Whether `file` has a dataset of one number a row under this name.
static enum dvg_status is_column(int *is, enum dvg_type *type, const struct dvg_artifact *file,
                                 const char *name) {
  int64_t dims[DVG_MAX_DIMS];
  int n_dims;
  *is = 0;
  if (!dvg_artifact_has(file, name)) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(file, name, type, &n_dims, dims));
  *is = n_dims == 1 && *type != DVG_TEXT;
  *type = *type == DVG_F32 || *type == DVG_F64 ? DVG_F64 : DVG_I64;
  return DVG_OK;
}

static enum dvg_status find_column(struct selection *s, int k) {
  struct column *c = &s->column[k];
  const char *name = s->query.column[k];
  int is = 0;
  if (s->scores) DVG_TRY(is_column(&is, &c->type, s->scores, name));
  if (is) c->file = s->scores;
  else DVG_TRY(is_column(&is, &c->type, dvg_shard_reader_first(s->set), name));
  if (!is)
    return dvg_fail(DVG_ERROR_USAGE, "--where '%s': neither %s%s%s has a column '%s' with a number a pair",
                    s->where, s->folder, s->scores ? " nor " : "",
                    s->scores ? dvg_artifact_path(s->scores) : " nor any --scores", name);
  return DVG_NEW(&c->value, BLOCK, "columns of pairs");
}

static enum dvg_status read_column(struct selection *s, struct column *c, const char *name, int64_t first,
                                   int64_t n) {
  void *to = c->type == DVG_F64 ? (void *)c->value : (void *)s->whole;
  DVG_TRY(c->file ? dvg_artifact_read(c->file, name, c->type, first, n, to)
                  : dvg_shard_reader_read(s->set, name, c->type, first, n, to));
  if (c->type == DVG_I64)
    for (int64_t i = 0; i < n; i++) c->value[i] = (double)s->whole[i];
  return DVG_OK;
}

static int holds(const struct selection *s, int64_t i) {
  double value[DVG_QUERY_COLUMNS];
  for (int k = 0; k < s->query.n_columns; k++) value[k] = s->column[k].value[i];
  return dvg_query_holds(&s->query, value);
}

// The items that are left out, those that were rejected among them.
static enum dvg_status leave_out(struct selection *s) {
  struct dvg_ledger *l = s->l;
  int64_t *out = NULL, n_out = 0, next = 0;
  const int64_t n_items = dvg_shard_reader_items(s->set);
  enum dvg_status status = DVG_OK;
  for (int64_t first = 0; first < n_items; first += BLOCK) {
    const int64_t n = n_items - first < BLOCK ? n_items - first : BLOCK;
    for (int k = 0; k < s->query.n_columns; k++)
      DVG_TRY_GOTO(read_column(s, &s->column[k], s->query.column[k], first, n));
    for (int64_t i = 0; i < n; i++) {
      const int rejected = next < l->n_rejected && l->rejected[next] == first + i;
      next += rejected;
      if (!rejected && holds(s, i)) continue;
      DVG_TRY_GOTO(DVG_GROW(&out, n_out, "pairs left out"));
      out[n_out++] = first + i;
    }
  }
  dvg_free(&l->rejected);
  *l = (struct dvg_ledger){n_items - n_out, n_out, out};
  return DVG_OK;
done:
  dvg_free(&out);
  return status;
}

enum dvg_status dvg_ledger_select(struct dvg_selected *selected, struct dvg_ledger *l,
                                  struct dvg_shard_reader *set, const char *folder, const char *where,
                                  const char *scores) {
  struct selection s = {.l = l, .set = set, .folder = folder, .where = where};
  const int64_t n_before = l->n_written;
  enum dvg_status status;
  *selected = (struct dvg_selected){0};
  if (!where[0])
    return scores[0] ? dvg_fail(DVG_ERROR_USAGE, "--scores are for --where, which is not given") : DVG_OK;
  DVG_TRY_GOTO(dvg_query_parse(&s.query, "--where", where));
  DVG_TRY_GOTO(open_scores(&s, scores));
  DVG_TRY_GOTO(DVG_NEW(&s.whole, BLOCK, "columns of pairs"));
  for (int k = 0; k < s.query.n_columns; k++) DVG_TRY_GOTO(find_column(&s, k));
  DVG_TRY_GOTO(leave_out(&s));
  selected->n_left_out = n_before - l->n_written;
  if (s.scores)
    snprintf(selected->scores_digest, sizeof selected->scores_digest, "%s", dvg_artifact_digest(s.scores));
  if (l->n_written == 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: none of its %lld pairs fulfils --where '%s'", folder,
                      (long long)n_before, where);
done:
  for (int k = 0; k < DVG_QUERY_COLUMNS; k++) dvg_free(&s.column[k].value);
  dvg_free(&s.whole);
  dvg_artifact_close(&s.scores);
  return status;
}
