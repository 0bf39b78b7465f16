// Real pairs from an image set: who has been photographed in both domains, and which image is paired with which.
#ifndef DVG_STAGES_PAIRS_H
#define DVG_STAGES_PAIRS_H

#include "io/images.h"

struct dvg_pairs {
  int domain[2];                    // indices into the set's domains
  int64_t n_people, n_one_domain;   // people in both domains; people left out
  int64_t n_items, *item;           // all images of these people in either domain (rows of the set)
  int64_t *person_first[2], *person_rows[2]; // rows of person p in domain d: person_rows[d][person_first[d][p] .. person_first[d][p+1])
};

// Not collective. Finds the people with images in both domains, which must differ, and counts those that are left out. DVG_ERROR_INPUT when nobody is left, or a
// domain is unknown. Free with dvg_pairs_free.
DVG_CHECKED enum dvg_status dvg_pairs_find(struct dvg_pairs *p, const struct dvg_image_set *set, const char *domain, const char *visible);
void dvg_pairs_free(struct dvg_pairs *p);
// Images of a person of the set in domain[d].
int64_t dvg_pairs_count(const struct dvg_pairs *p, int d, int64_t person);

// row[2] = rows of the set for one training pair: the given item and a random image of the same person in the other domain, drawn from
// (seed, DVG_STREAM_PARTNER, place).
void dvg_pairs_draw(const struct dvg_pairs *p, const struct dvg_image_set *set, int64_t item, uint64_t seed, uint64_t place, int64_t row[2]);

#endif
