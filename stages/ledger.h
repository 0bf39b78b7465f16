// The ledger of generated pairs: what became of each pair number. requested = written + rejected + pending, always.
//
// A row a pair number stands in the shards (stages/generate/generate.h): fate, reason, attempt, sources. A number without a row, whose shard
// isn't there or is damaged, is pending. The folder's request.h5 says what is to be there (schema "request", version 1): attributes
//     settings, inputs   what each shard must have been made with
//     items, items_per_shard, first   pair numbers [first, first + items), cut into shards
//     revoked            "none", or what becomes of pairs that drew on revoked images: "drop" or "remake"
// and revoked_row (R) i64: revoked rows of the bank's image set, ascending; revoked_person (P) i64, if there are any: people of the set of features. It is written before the first shard.
#ifndef DVG_STAGES_LEDGER_H
#define DVG_STAGES_LEDGER_H

#include "io/shards.h"
#include "stages/stage.h"

enum { DVG_PAIRS_VERSION = 2 }; // of the schema "pairs"

enum dvg_fate { DVG_FATE_WRITTEN, DVG_FATE_REJECTED }; // a rejected pair has no image: its pixels are zero
enum dvg_reason { DVG_REASON_NONE, DVG_REASON_INCONSISTENT, DVG_REASON_REVOKED, DVG_N_REASONS };

// ---- which pairs there are to learn from and to look at

struct dvg_ledger {
  int64_t n_written, n_rejected;
  int64_t *rejected; // (n_rejected) items of the set, ascending
};
// Not collective. Reads the fates of a set of pairs; DVG_ERROR_INPUT if none is written. Free with dvg_ledger_free.
DVG_CHECKED enum dvg_status dvg_ledger_read(struct dvg_ledger *l, struct dvg_shard_reader *set, const char *folder);
void dvg_ledger_free(struct dvg_ledger *l);
// The item of the set that is the k-th written one, 0 <= k < n_written.
int64_t dvg_ledger_item(const struct dvg_ledger *l, int64_t k);
// How many of the items before `item` are written.
int64_t dvg_ledger_before(const struct dvg_ledger *l, int64_t item);

// ---- what is asked for

enum dvg_revoked { DVG_REVOKED_NONE, DVG_REVOKED_DROP, DVG_REVOKED_REMAKE };

struct dvg_request {
  char *settings, *inputs;
  int64_t items, per_shard, first;
  enum dvg_revoked revoked;
  int64_t n_rows, *row;      // revoked rows of the bank, ascending
  int64_t n_people, *person; // revoked people of the set of features, ascending
};
// Whether a folder has a request.
int dvg_request_exists(const char *folder);
// Not collective. Reads and checks it. Free with dvg_request_free.
DVG_CHECKED enum dvg_status dvg_request_read(struct dvg_request *r, const char *folder);
void dvg_request_free(struct dvg_request *r);
// Not collective, rank 0. `l` gives settings and inputs.
DVG_CHECKED enum dvg_status dvg_request_write(const struct dvg_request *r, const char *folder, const struct dvg_lineage *l);
// Not collective. That it was made with these settings and inputs: DVG_ERROR_INPUT naming the first line that differs.
DVG_CHECKED enum dvg_status dvg_request_compare(const struct dvg_request *r, const char *folder, const char *settings,
                                                const char *inputs);
// Not collective. The lineage that the request was made with. Free with dvg_lineage_free.
DVG_CHECKED enum dvg_status dvg_request_lineage(struct dvg_lineage *l, const struct dvg_request *r, const char *program);

#endif
