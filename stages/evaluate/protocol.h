// Who is compared with whom: gallery and probes with their embeddings.
#ifndef DVG_STAGES_EVALUATE_PROTOCOL_H
#define DVG_STAGES_EVALUATE_PROTOCOL_H

#include "stages/embed.h"
#include "stages/evaluate/folds.h"
#include "stages/features.h"

// Tiles of the score matrix. Embeddings are padded with zeros to whole tiles, so that all scores come from
// products of one shape and a score depends neither on the number of ranks nor on the size of the set.
enum { DVG_TILE_PROBES = 64, DVG_TILE_GALLERY = 512 };

struct dvg_side {
  const struct dvg_image_set *set;     // borrowed; NULL: of features
  const struct dvg_features *features; // borrowed; NULL: of images
  const char *path;                    // of the packed images or the folder of features, borrowed
  char digest[DVG_DIGEST_TEXT];        // content of that
  char images_digest[DVG_DIGEST_TEXT]; // content of the images: for features that which their lineage says
  int64_t n;
  int64_t *row;     // (n) rows of the set; of features `source`: the same rows, where their source was one
  int64_t *person;  // (n) numbers of the gallery's set; probes of people that are not in the gallery: -1
  float *embedding; // (n padded, width) unit vectors; NULL: a gallery of features is read tile by tile
};

struct dvg_protocol_options {
  const char *gallery_path, *probe_path, *gallery_domain, *probe_domain;
  int64_t per_person; // gallery images of each person; 0: all
  int at_random;      // which: the first ones of the file, or drawn with the seed
  uint64_t seed;
  const struct dvg_fold *fold; // the images instead, of the sets of those paths; NULL: by the domains
};

struct dvg_protocol {
  struct dvg_image_set set[2]; // gallery's and probes'
  int same_set;                // both are one: set[1] is unused
  struct dvg_features features[2]; // the same of features
  int64_t width;                   // values of an embedding
  struct dvg_side gallery, probes;
  int64_t n_gallery_numbers; // numbers of people that the gallery's set has
  int64_t *gallery_images;   // (n_gallery_numbers) how many gallery images show each
  int64_t n_gallery_people, n_probe_people;
  int64_t *probe_number; // (probes) which of the n_probe_people it shows, numbered as they come
  int64_t n_strangers;   // probes without a gallery image of their person: no genuine score, left out of rank-k
  int64_t n_genuine, n_impostor;
};

// Collective. Opens the sets, chooses gallery and probes: all images of their domains, but at most `per_person`
// gallery images a person; in one set with one domain for both, what is not in the gallery is a probe. People
// of two sets are matched by name. An empty gallery, no probes, and sets without genuine or without impostor
// scores are DVG_ERROR_INPUT. Free with dvg_protocol_free.
DVG_CHECKED enum dvg_status dvg_protocol_create(struct dvg_protocol *p, const struct dvg_world *w,
                                                const struct dvg_protocol_options *o);
void dvg_protocol_free(struct dvg_protocol *p);

// Collective. The same of two folders of features (dvg-extract), all of the one against all of the other. People are
// matched by `identity`, their number in the source: two sources must number them alike. Refused with DVG_ERROR_INPUT:
// features of other weights or length than the other side's, one set as both sides, and what dvg_protocol_create
// refuses. Every rank holds the probes (4 width bytes each) and 24 bytes for each of the gallery, whose features stay
// in their file. Free with dvg_protocol_free.
DVG_CHECKED enum dvg_status dvg_protocol_of_features(struct dvg_protocol *p, const struct dvg_world *w,
                                                     const char *gallery, const char *probes);

// Not collective. *tile = the gallery's embeddings from `column`, the start of a tile, with zeros to its end, borrowed
// until the next call; `room` (DVG_TILE_GALLERY, width) is used for those that are not in memory. `checked`: whether
// these must be looked at, DVG_ERROR_INPUT for one that is no unit vector.
DVG_CHECKED enum dvg_status dvg_protocol_gallery_tile(const float **tile, float *room, const struct dvg_protocol *p,
                                                      int64_t column, int checked);

// Not collective, for whoever makes a protocol: what follows from the images' people. probe_person (probes) numbers
// their people in any way, below n_probe_numbers; the gallery's numbers are below n_gallery_numbers.
DVG_CHECKED enum dvg_status dvg_protocol_count(struct dvg_protocol *p, int64_t n_gallery_numbers,
                                               const int64_t *probe_person, int64_t n_probe_numbers);

// Collective. Whether the images are large enough for the network.
DVG_CHECKED enum dvg_status dvg_protocol_check(const struct dvg_protocol *p, const struct dvg_world *w,
                                               const struct dvg_embedder *e);
// Collective. After dvg_protocol_check. Fills both sides' embeddings of n protocols of the same sets, n >= 1; what is in
// several is embedded once. An image without embedding is DVG_ERROR_NUMERIC (dvg_embed_shared).
DVG_CHECKED enum dvg_status dvg_protocols_embed(struct dvg_protocol *p, int64_t n, const struct dvg_world *w,
                                                struct dvg_embedder *e);

#endif
