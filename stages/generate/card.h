// The dataset card of a pair set: what it is, how many, from which models and data, with which settings, how good, and its known limits, for people
// (card.md) and for programs (card.json), in the set's folder. It depends on the set alone: not on ranks, time, place or how often a run was stopped.
#ifndef DVG_STAGES_GENERATE_CARD_H
#define DVG_STAGES_GENERATE_CARD_H

#include "stages/stage.h"

// Not collective, rank 0. Of a finished set, whose index is there.
DVG_CHECKED enum dvg_status dvg_card_write(const char *folder);
// Not collective, rank 0. Takes the card away before the set changes.
DVG_CHECKED enum dvg_status dvg_card_remove(const char *folder);

#endif
