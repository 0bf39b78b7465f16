// Stage 4: pairs from noise. Pair k: identity f~ = F_s(n), n ~ N(0, I); both images share it, each has the attributes of a random real image of its own
// domain (the bank; SPEC 3): of the two images of one person, as in training (--attributes person), or of any two (any). All is drawn from (seed, pair number), so any rank makes any pair, and a pair can be made again alone.
//
// Shards (io/shards.h) of schema "pairs", version 1; for each of the two domains D, as named on the command line:
//     image_<D>      (n,H,W,3) u8
//     attribute_<D>  (n) i64   row of the bank's image set that gave the attributes
//     identity       (n,256) f32   the sampled embedding f~, unit vector
//     number         (n) i64   pair number
//     fate           (n) u8    0 written
//     attempt        (n) i32   which attempt at this number it is, from 0
//   with --recognizer, cosines of its embeddings of the images as stored:
//     cos_pair       (n) f32   between the two images
//     cos_<D>        (n) f32   of each image to the identity
// attributes: domain, visible.
#ifndef DVG_STAGES_GENERATE_H
#define DVG_STAGES_GENERATE_H

#include "io/images.h"
#include "stages/embed.h"
#include "stages/pairs.h"

enum { DVG_ATTRIBUTES_PERSON, DVG_ATTRIBUTES_ANY };

struct dvg_generate_settings {
  char *generator, *sampler, *bank, *recognizer, *domain, *visible, *out;
  int64_t count, per_shard, seed, attributes;
};

extern const struct dvg_stage dvg_stage_generate;

// Attributes of real images, encoded once.
struct dvg_bank {
  int64_t n;      // images of this domain
  int64_t *row;   // (n) rows of the image set
  int64_t *place; // (N of the set) where a row stands here: row[place[r]] = r; -1: not of this domain
  float *z;       // (n,256)
  float *style;   // (n, n_style)
  int64_t n_style;
};
// Collective. Encodes all images of one domain with E_<domain> of the generator's weight file, shared out over the ranks. `domain` as the image
// set names it. Free with dvg_bank_free.
DVG_CHECKED enum dvg_status dvg_bank_create(struct dvg_bank *b, const struct dvg_world *w, const struct dvg_weights *generator,
                                            const struct dvg_image_set *set, const char *domain);
void dvg_bank_free(struct dvg_bank *b);

#endif
