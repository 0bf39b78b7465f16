// Scores of each pair of a generated set, beside it: columns for --where (stages/select.h), and what they say of the set as a whole.
//
// Schema "scores", version 1: a row an item of the set, f32, NaN where the pair was rejected. Cosines of embeddings by the recogniser that judges, which need
// not be the one that the generator was trained with:
//     cos_pair   between the first two domains' images
//     cos_<D>    of the image of domain D to the identity that it was made of; not where that is another recogniser's
//     nearest    to the nearest image of another pair, in the same domain; the largest over the domains
//     leak       with training identities: to the nearest of them; the largest over the domains
#ifndef DVG_STAGES_EVALUATE_PAIR_SCORES_H
#define DVG_STAGES_EVALUATE_PAIR_SCORES_H

#include "stages/features.h"
#include "stages/ledger.h"
#include "stages/weights.h"

enum { DVG_PAIR_DOMAINS = 8, DVG_DOMAIN_TEXT = 64 };

// What pairs are measured with: people that the generator was trained on, by features of the same recogniser.
struct dvg_training {
  int64_t n, n_different; // features; pairs of them that show different people
  float *feature;         // (n, DVG_CODE)
  int64_t *person;        // (n)
  double far, threshold;  // cosine that a share of at most `far` of the pairs of different people reach, in steps of 2^-19
  char digest[DVG_DIGEST_TEXT];
};

// Collective. Reads a folder of features and finds the threshold: impostors are all pairs of different people among them (at most the first
// 20,000). DVG_ERROR_INPUT where they were not made with the recogniser `judge`, or there are fewer than 1/far of them. Free with dvg_training_free.
DVG_CHECKED enum dvg_status dvg_training_read(struct dvg_training *t, const struct dvg_world *w, const char *folder, double far,
                                              const struct dvg_weights *judge);
void dvg_training_free(struct dvg_training *t);

struct dvg_pair_scores {
  int64_t n;                        // written pairs
  float *cos_pair, *nearest, *leak; // (n); cos_pair NULL with one domain, leak NULL without training identities
  float *cos[DVG_PAIR_DOMAINS];
};

// Collective. vector, of rank 0: (1 + n_domains, n, DVG_CODE), the intended identities, then each domain's embeddings; others: NULL.
// training NULL: no leak. The searches are shared out over the ranks, each of which holds its share of one domain's embeddings and 4 MB of
// all; rank 0 gets all columns, the others `nearest` and `leak`. Same bits for every number of ranks. Free with dvg_pair_scores_free.
DVG_CHECKED enum dvg_status dvg_pair_scores_of(struct dvg_pair_scores *s, const struct dvg_world *w, float *vector, int n_domains,
                                               int64_t n, const struct dvg_training *training);
void dvg_pair_scores_free(struct dvg_pair_scores *s);

// Not collective. The datasets above, for n_items items of which the ledger says which are written; attribute pairs_digest.
DVG_CHECKED enum dvg_status dvg_pair_scores_write(struct dvg_artifact *a, const struct dvg_pair_scores *s, const struct dvg_ledger *l,
                                                  char (*domain)[DVG_DOMAIN_TEXT], int n_domains, int64_t n_items,
                                                  const char *pairs_digest);

// Frechet distance between two sets of vectors, each taken as normally distributed (Heusel et al., NeurIPS 2017, with a recogniser's embeddings in place
// of Inception's): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). NaN with fewer than two vectors on a side. DVG_ERROR_NUMERIC where LAPACK gives up.
DVG_CHECKED enum dvg_status dvg_frechet(double *distance, const float *a, int64_t n_a, const float *b, int64_t n_b);

#endif
