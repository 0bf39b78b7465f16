// Which pairs of a set are used: a condition on their columns (--where), so that nothing needs to be generated again.
//
// Columns are those of the shards with a number a pair (cos_pair, cos_<D>, attempt, number, person_<D> ...; stages/generate/generate.h) and those of a
// file of scores, which come first where both have a name.
//
// Schema "scores", version 1, made by dvg-evaluate: text attribute pairs_digest, the root digest of the set that it is of; datasets (items) f32, a row an item of
// the set, NaN where a pair was rejected: see stages/evaluate/pair_scores.h.
#ifndef DVG_STAGES_SELECT_H
#define DVG_STAGES_SELECT_H

#include "stages/ledger.h"

#define DVG_WHERE_HELP "use the pairs alone that fulfil a condition on their columns, such as \"cos_pair > 0.5 and leak < 0.4\"; \"\": all"
#define DVG_SCORES_HELP "scores.h5 that dvg-evaluate made of the pairs, whose columns --where may name"

struct dvg_selected {
  int64_t n_left_out;
  char scores_digest[DVG_DIGEST_TEXT]; // of the scores; "": none
};

// Not collective. Takes the pairs that don't fulfil `where` out of the ledger, as if they were rejected. `scores` "": none.
// DVG_ERROR_USAGE: what is wrong with the condition, an unknown column; DVG_ERROR_INPUT: scores of another set, no pair left.
DVG_CHECKED enum dvg_status dvg_ledger_select(struct dvg_selected *selected, struct dvg_ledger *l, struct dvg_shard_reader *set, const char *folder,
                                              const char *where, const char *scores);

#endif
