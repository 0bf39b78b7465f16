// Stage 4: pairs from noise. Pair k: identity f~ = F_s(n), n ~ N(0, I); both images share it, each has the attributes of a random real image of its own
// domain (the bank; SPEC 3): of the two images of one person, as in training (--attributes person), or of any two (any). With --attributes prior there is no
// bank: each domain's code is a normalised n ~ N(0, I), which needs a generator whose encoders are variational. With --identities in place of --sampler f~ is
// a real face's feature, drawn at random. All is drawn from (seed, pair number, attempt), so any rank makes any pair, and a pair can be made again alone (--only).
//
// Attempts: with --min-consistency X a pair whose images' cosine is below X is tried again with the next attempt's noise and attributes, up to --attempts
// times, then rejected. A number keeps its row whatever becomes of it (stages/ledger.h).
//
// Revocation: a pair that drew on a revoked image of the bank is dropped (its row stays, rejected, without images and identity) or made again with the next
// attempts that draw on none; so is one whose identity is the feature of a revoked person (--identities, --revoke-identities). What results is fixed by the request and the revoked images, not by when or in which order they were revoked, and the other
// rows stay bit by bit. request.h5 keeps what is revoked, so that shards made later respect it.
//
// Shards (io/shards.h) of schema "pairs", version 2; for each of the two domains D, as named on the command line:
//     image_<D>      (n,H,W,3) u8; zero if rejected
//     attribute_<D>  (n) i64   row of the bank's image set that gave the attributes; -1 with --attributes prior
//     person_<D>     (n) i64   its person: `identity` in the bank; -1 with --attributes prior
//     identity       (n,L) f32     the sampled identity f~, unit vector of the generator's code length L (256); zero if revoked
//     identity_item  (n) i64   its source: the sampler's noise, item of identity_stream, pair number * 64 + attempt; or the row of the set of features
//     identity_person (n) i64  only where it is a feature: whose
//     number         (n) i64   pair number: --first + item of the set
//     fate           (n) u8    0 written, 1 rejected
//     reason         (n) u8    of a rejection: 1 inconsistent, 2 revoked; 0 none
//     attempt        (n) i32   which attempt at this number it is, from 0
//   with --recognizer, cosines of its embeddings of the images as painted:
//     cos_pair       (n) f32   between the two images
//     cos_<D>        (n) f32   of each image to the identity
//     (not where the identities are another recogniser's embeddings)
//   all of the attempt that the row is of; zero if revoked.
// attributes: domain, visible; seed, identity_stream, attribute_stream, identity_source ("noise", "features"), with --attributes prior
// attribute_source "noise": of attribute_stream, item pair number * 64 + attempt, L numbers for each domain; `foreign` 1 where the identities are another
// recogniser's embeddings; `inputs` has the digests of models and features.
//
// The folder may grow: a larger --count makes the new shards, and the last one, if it was short, anew; index.h5 is taken away meanwhile. The result is that of
// a run with the larger count from the start.
#ifndef DVG_STAGES_GENERATE_H
#define DVG_STAGES_GENERATE_H

#include <stdio.h>

#include "io/images.h"
#include "stages/embed.h"
#include "stages/features.h"
#include "stages/ledger.h"
#include "stages/pairs.h"

enum { DVG_ATTRIBUTES_PERSON, DVG_ATTRIBUTES_ANY, DVG_ATTRIBUTES_PRIOR };
enum { DVG_REVOKE_LIST, DVG_REVOKE_DROP, DVG_REVOKE_REMAKE };
enum { DVG_GENERATE_BATCH = 8, DVG_MAX_ATTEMPTS = 64 };

struct dvg_generate_settings {
  char *generator, *sampler, *identities, *bank, *recognizer, *domain, *visible, *out, *like, *part;
  char *revoke_people, *revoke_images, *revoke_file, *revoke_identities, *listing;
  int64_t count, first, per_shard, precision, seed, attributes, attempts, repair, only, revoke, plan;
  double min_consistency;
};

extern const struct dvg_stage dvg_stage_generate;

// Whether pairs are to be listed, dropped or made again for whom they drew on.
int dvg_generate_revokes(const struct dvg_generate_settings *s);
// Whether anything is painted: listing and dropping need no networks.
int dvg_generate_paints(const struct dvg_generate_settings *s);
// Whether attributes are those of real images.
int dvg_generate_uses_bank(const struct dvg_generate_settings *s);
// The folder whose settings are to be repeated, or NULL.
const char *dvg_generate_model(const struct dvg_generate_settings *s);
// Not collective. DVG_ERROR_USAGE for options that don't go together: as given, and with the settings of the set that they repeat.
DVG_CHECKED enum dvg_status dvg_generate_check_usage(const struct dvg_generate_settings *s);
DVG_CHECKED enum dvg_status dvg_generate_check_settings(const struct dvg_generate_settings *s);

// ---- what is revoked

struct dvg_revocation {
  enum dvg_revoked mode;      // what becomes of pairs that draw on it
  const unsigned char *image; // (N of the bank's images) or NULL; borrowed
  const int64_t *person;      // (n_people) ascending: `identity` in the set of features; borrowed
  int64_t n_people;
};
// Whether a pair with attributes of these rows (-1: none) and an identity of this person draws on something revoked, whatever the mode.
int dvg_revocation_hits(const struct dvg_revocation *r, const int64_t attribute[2], int64_t identity_person);

// ---- attributes of real images, encoded once

struct dvg_bank {
  int64_t n;      // images of this domain
  int64_t *row;   // (n) rows of the image set
  int64_t *place; // (N of the set) where a row stands here: row[place[r]] = r; -1: not of this domain
  float *z;       // (n,L)
  float *style;   // (n, n_style)
  int64_t n_style;
};
// Collective. Encodes all images of one domain with E_<domain> of the generator's weight file, shared out over the ranks. `domain` as the image
// set names it. Free with dvg_bank_free.
DVG_CHECKED enum dvg_status dvg_bank_create(struct dvg_bank *b, const struct dvg_world *w, const struct dvg_weights *generator,
                                            const struct dvg_image_set *set, const char *domain);
void dvg_bank_free(struct dvg_bank *b);

// ---- painting

// Rows of the ledger with their images. Batches lie on fixed borders of the pair number, wherever a shard begins: the last bits of a matrix
// product may depend on the place of a row in it.
struct dvg_batch {
  int64_t first, from, count; // number of its first pair; rows that are wanted: [from, from + count)
  unsigned char *pixels[2];   // (BATCH,size,size,3)
  int64_t number[DVG_GENERATE_BATCH], identity_item[DVG_GENERATE_BATCH], identity_person[DVG_GENERATE_BATCH];
  int64_t attribute[2][DVG_GENERATE_BATCH], person[2][DVG_GENERATE_BATCH];
  int64_t code;    // values of an identity
  float *identity; // (BATCH,code)
  float cos_pair[DVG_GENERATE_BATCH], cos_identity[2][DVG_GENERATE_BATCH];
  unsigned char fate[DVG_GENERATE_BATCH], reason[DVG_GENERATE_BATCH];
  int32_t attempt[DVG_GENERATE_BATCH];
};
// Ends row i as dropped: its images, identity and cosines become zero. `size` is that of its images.
void dvg_batch_drop(struct dvg_batch *b, int64_t i, int64_t size);

struct dvg_painter {
  const struct dvg_generate_settings *set; // borrowed
  const struct dvg_image_set *images;      // the bank's, borrowed
  struct dvg_revocation revoked;
  const char *domain[2];
  struct dvg_weights generator, sampler;
  struct dvg_bank bank[2];
  struct dvg_pairs people; // who is in both domains of the bank, for --attributes person
  struct dvg_features identities; // in place of the sampler; else reader NULL
  int64_t *identity_people;       // (identities.n) whose they are
  struct dvg_embedder scorer;
  // one graph for a batch of sampled identities, one for the images in each domain
  struct dvg_params sampler_params, decoder_params;
  struct dvg_graph *sampling, *painting[2];
  int noise, sampled, identity[2], z[2], style[2], image[2]; // z is the prior's noise with --attributes prior, and style -1
  float *f; // (BATCH,L) identities of one attempt
  unsigned char *pixels[2]; // (BATCH,size,size,3) of one attempt
};
// Collective. Loads the networks and the bank, and adds them to the lineage. Free with dvg_painter_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_painter_create(struct dvg_painter *p, const struct dvg_world *w,
                                               const struct dvg_generate_settings *set, const struct dvg_image_set *images,
                                               struct dvg_lineage *lineage);
void dvg_painter_free(struct dvg_painter *p);
// Not collective. Makes the rows of the batch with todo[i] != 0, to their end: written or rejected.
DVG_CHECKED enum dvg_status dvg_painter_paint(struct dvg_painter *p, struct dvg_batch *b, const unsigned char *todo);

// ---- shards

struct dvg_pair_rows { // what goes into files of pairs; all borrowed
  const struct dvg_generate_settings *set;
  const struct dvg_lineage *lineage;
  struct dvg_painter *painter;  // NULL: nothing can be painted, rows are taken from an old shard
  struct dvg_revocation revoked; // as in the painter
  int64_t n_images;             // of the bank
};
// Not collective. Writes the file with the pairs [first, first + n). Rows of the intact file `old` (NULL: none; may be `path`) of the same first number are
// kept but for those that drew on revoked images.
DVG_CHECKED enum dvg_status dvg_pairs_write(const struct dvg_pair_rows *rows, const char *path, const char *old, int64_t first, int64_t n);

// Not collective. How many of a shard's written pairs draw on what is revoked. `listing`, if not NULL, gets a line for each of these images:
// "number domain row image person", with tabs; `names` are those of the bank's images. For an identity it is "number identity row - #person",
// row and person of the set of features.
DVG_CHECKED enum dvg_status dvg_pairs_find_revoked(int64_t *n_found, FILE *listing, const char *path, const char *const domain[2],
                                                   const struct dvg_image_set *images, char **names, const struct dvg_revocation *revoked);

// ---- revocation

// Not collective. revoked[row] = 1 (others untouched) for the rows of the bank that the settings name, and *n of them. DVG_ERROR_USAGE for
// a name that the bank doesn't have.
DVG_CHECKED enum dvg_status dvg_revoke_mark(unsigned char *revoked, const struct dvg_generate_settings *set,
                                            const struct dvg_image_set *images, char **names, int64_t n_names);
// Not collective. Adds the numbers of --revoke-identities to the *n ascending ones of *person, which the caller frees with dvg_free.
DVG_CHECKED enum dvg_status dvg_revoke_people(int64_t **person, int64_t *n, const char *numbers);

#endif
