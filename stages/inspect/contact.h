// Contact sheets of image sets and pair sets. One rank.
#ifndef DVG_STAGES_INSPECT_CONTACT_H
#define DVG_STAGES_INSPECT_CONTACT_H

#include "stages/inspect/inspect.h"

// A row for each of s->people people from number s->first on, s->per_person images of each domain.
DVG_CHECKED enum dvg_status dvg_contact_images(const char *path, const struct dvg_inspect *s);

// s->rows rows of s->columns pairs from item s->first on; a pair's images side by side, with its number and its
// scores (float datasets cos_*) under them.
DVG_CHECKED enum dvg_status dvg_contact_pairs(const char *folder, const struct dvg_inspect *s);
// The same PNG in new memory (dvg_free); s->sheet isn't looked at.
DVG_CHECKED enum dvg_status dvg_contact_pairs_png(unsigned char **bytes, size_t *n_bytes, const char *folder,
                                                  const struct dvg_inspect *s);

#endif
