#include "stages/inspect/verify.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"
#include "stages/ledger.h"

enum { WRITTEN, REJECTED, REVOKED_SOURCE = REJECTED + DVG_N_REASONS, N_COUNTS }; // rejected ones by reason

struct audit {
  const char *folder;
  const struct dvg_world *w;
  int has_index, found_damage; // the latter: what is bad has been said, but whose rows count?
  struct dvg_request request;
  struct dvg_shards shards;
  int64_t count[N_COUNTS]; // of this rank's shards, then of all
};

// ---- one shard's rows

struct columns {
  unsigned char *fate, *reason;
  int64_t *number, *attribute[2];
};

static enum dvg_status load_columns(struct columns *c, int64_t n, const struct dvg_artifact *a) {
  static const char *const role[] = {"domain", "visible"};
  DVG_TRY(dvg_artifact_load(a, "fate", DVG_U8, 1, &n, (void **)&c->fate));
  DVG_TRY(dvg_artifact_load(a, "reason", DVG_U8, 1, &n, (void **)&c->reason));
  DVG_TRY(dvg_artifact_load(a, "number", DVG_I64, 1, &n, (void **)&c->number));
  for (int d = 0; d < 2; d++) {
    char *domain = NULL, name[128];
    DVG_TRY(dvg_artifact_get_text(a, role[d], &domain));
    snprintf(name, sizeof name, "attribute_%.80s", domain);
    dvg_free(&domain);
    DVG_TRY(dvg_artifact_load(a, name, DVG_I64, 1, &n, (void **)&c->attribute[d]));
  }
  return DVG_OK;
}

static int by_row(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static int is_revoked(const struct audit *x, int64_t row) {
  const struct dvg_request *r = &x->request;
  return bsearch(&row, r->row, (size_t)r->n_rows, sizeof row, by_row) != NULL;
}

static enum dvg_status count_rows(struct audit *x, const struct columns *c, int64_t first, int64_t n,
                                  const char *path) {
  int64_t count[N_COUNTS] = {0};
  for (int64_t i = 0; i < n; i++) {
    if (c->number[i] != first + i)
      return dvg_fail(DVG_ERROR_INPUT, "%s: row %lld is of pair %lld, not %lld", path, (long long)i,
                      (long long)c->number[i], (long long)(first + i));
    int written = c->fate[i] == DVG_FATE_WRITTEN;
    if (c->fate[i] > DVG_FATE_REJECTED || c->reason[i] >= DVG_N_REASONS || written != (c->reason[i] == 0))
      return dvg_fail(DVG_ERROR_INPUT, "%s: pair %lld has the unknown fate %d, reason %d", path,
                      (long long)(first + i), c->fate[i], c->reason[i]);
    count[written ? WRITTEN : REJECTED + c->reason[i]]++;
    if (written && (is_revoked(x, c->attribute[0][i]) || is_revoked(x, c->attribute[1][i])))
      count[REVOKED_SOURCE]++;
  }
  for (int k = 0; k < N_COUNTS; k++) x->count[k] += count[k];
  return DVG_OK;
}

static enum dvg_status audit_open(struct audit *x, const struct dvg_artifact *a, int64_t shard) {
  struct columns c = {0};
  int64_t n = dvg_shards_rows(&x->shards, shard);
  enum dvg_status status = load_columns(&c, n, a);
  if (status == DVG_OK)
    status = count_rows(x, &c, x->request.first + dvg_shards_first(&x->shards, shard), n, dvg_artifact_path(a));
  dvg_free(&c.fate);
  dvg_free(&c.reason);
  dvg_free(&c.number);
  for (int d = 0; d < 2; d++) dvg_free(&c.attribute[d]);
  return status;
}

// The rows of a shard that is missing or damaged are pending. Without an index nobody has looked at the content
// yet.
static enum dvg_status audit_shard(struct audit *x, int64_t shard) {
  char *path = NULL;
  struct dvg_artifact *a = NULL;
  DVG_TRY(dvg_shards_path(&path, &x->shards, shard));
  enum dvg_status status = DVG_OK;
  if (dvg_path_exists(path)) {
    dvg_log_quiet(x->found_damage);
    status = dvg_artifact_open(&a, path, "pairs", DVG_PAIRS_VERSION);
    if (status == DVG_OK && (x->found_damage || !x->has_index)) status = dvg_artifact_verify(a);
    if (status == DVG_OK) status = audit_open(x, a, shard);
    dvg_log_quiet(0);
  }
  dvg_artifact_close(&a);
  dvg_free(&path);
  return status;
}

// ---- all of it

static enum dvg_status prepare(void *context) {
  struct audit *x = context;
  struct dvg_request *r = &x->request;
  DVG_TRY(dvg_request_read(r, x->folder));
  x->shards = (struct dvg_shards){.n_items = r->items, .per_shard = r->per_shard};
  x->shards.n_shards = (r->items - 1) / r->per_shard + 1;
  return dvg_text(&x->shards.folder, "%s", x->folder);
}

static enum dvg_status audit_share(struct audit *x) {
  enum dvg_status worst = DVG_OK;
  for (int64_t k = x->w->rank; k < x->shards.n_shards; k += x->w->size) {
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    enum dvg_status status = audit_shard(x, k);
    if (status != DVG_OK) worst = status;
  }
  return worst;
}

static int64_t say_counts(const struct audit *x, int speak) {
  const int64_t *c = x->count;
  long long rejected = 0;
  for (int k = 0; k < DVG_N_REASONS; k++) rejected += c[REJECTED + k];
  int64_t pending = x->request.items - c[WRITTEN] - rejected;
  if (speak)
    dvg_info(
        "pairs: %lld requested = %lld written + %lld rejected (%lld inconsistent, %lld revoked) + %lld pending",
        (long long)x->request.items, (long long)c[WRITTEN], rejected,
        (long long)c[REJECTED + DVG_REASON_INCONSISTENT], (long long)c[REJECTED + DVG_REASON_REVOKED],
        (long long)pending);
  return pending;
}

// Collective. `found`: what the digests came to.
static enum dvg_status audit_pairs(struct audit *x, enum dvg_status found, int speak) {
  x->found_damage = found != DVG_OK;
  DVG_TRY(dvg_world_root_first(x->w, prepare, x));
  enum dvg_status status = dvg_world_agree(x->w, audit_share(x));
  dvg_world_sum(x->w, x->count, N_COUNTS);
  int64_t pending = say_counts(x, speak);
  if (found != DVG_OK) return found;
  if (status != DVG_OK || x->w->rank != 0) return dvg_world_agree(x->w, status);
  if (x->count[REVOKED_SOURCE] > 0)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: %lld pairs draw on revoked images: run the revocation again",
                      x->folder, (long long)x->count[REVOKED_SOURCE]);
  else if (pending != 0 || !x->has_index)
    status = dvg_fail(DVG_ERROR_INPUT, "%s: the set isn't finished: %lld pairs are pending%s", x->folder,
                      (long long)pending, x->has_index ? "" : ", index.h5 isn't there");
  return dvg_world_agree(x->w, status);
}

enum dvg_status dvg_verify_set(const char *folder, const struct dvg_world *w, int speak) {
  struct audit x = {.folder = folder, .w = w};
  char *index = NULL;
  DVG_TRY(dvg_world_agree(w, dvg_text(&index, "%s/index.h5", folder)));
  int64_t there[2] = {0, 0};
  if (w->rank == 0) there[0] = dvg_path_exists(index), there[1] = dvg_request_exists(folder);
  dvg_world_broadcast(w, there, sizeof there, 0);
  dvg_free(&index);
  x.has_index = there[0] != 0;
  enum dvg_status status = DVG_OK;
  if (x.has_index) {
    // An index that can't be read is said by rank 0 alone, which takes no share of the shards here.
    status = dvg_world_agree(w, w->rank == 0 ? dvg_shards_verify_share(folder, INT_MAX - 1, INT_MAX) : DVG_OK);
    if (status == DVG_OK) status = dvg_world_agree(w, dvg_shards_verify_share(folder, w->rank, w->size));
    // Without all shards the index isn't whole either: that needs no line of its own.
    if (status == DVG_OK) status = dvg_world_agree(w, w->rank == 0 ? dvg_shards_verify_index(folder) : DVG_OK);
  }
  if (there[1]) status = audit_pairs(&x, status, speak);
  dvg_request_free(&x.request);
  dvg_free(&x.shards.folder);
  return status;
}
