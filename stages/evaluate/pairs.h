// Quality of a generated pair set (schema "pairs") in the recogniser's eyes.
//
//   MS             mean cosine within a pair, over all pairs of domains: consistency, high is good
//   MIS            mean cosine between different identities, within the first domain: diversity, low is good.
//   Over all pairs of items of
//                  the sample whose identity embeddings differ, in closed form: (|sum e|^2 - sum over
//                  identities |sum e|^2) / number of pairs
//   to_identity    mean cosine of a domain's images to the identity embedding that they were generated from
//   nearest        mean cosine to the nearest other sample, within a domain: near 1, pairs repeat each other
//   leak           mean cosine to the nearest training identity, and the share of pairs beyond a threshold that a stated
//                  share of real impostors reaches
//   Frechet        distance between a domain's embeddings and those of the training identities, in this recogniser's space
//   MIS_intended   the MIS of the identity embeddings themselves: what the images could reach at best
// Where the identities are another recogniser's embeddings (`foreign`), which images can't be compared with, there is no to_identity and no cos_<D>, and MIS_intended
// is of that recogniser's cosines.
#ifndef DVG_STAGES_EVALUATE_PAIRS_H
#define DVG_STAGES_EVALUATE_PAIRS_H

#include "io/shards.h"
#include "stages/embed.h"
#include "stages/evaluate/pair_scores.h"

struct dvg_pair_quality {
  char digest[DVG_DIGEST_TEXT];             // root digest of the set
  int64_t n_items, n_sampled, n_identities; // items: written pairs; identities: different ones among the sample
  int n_domains;
  char domain[DVG_PAIR_DOMAINS][DVG_DOMAIN_TEXT];
  double ms, mis, mis_intended; // NaN where there is nothing to compare
  double to_identity[DVG_PAIR_DOMAINS];
  double nearest; // mean cosine to the nearest other pair
  // with training identities, else NaN
  double leak, n_leaks; // mean cosine to the nearest of them; share of the pairs beyond the threshold
  double frechet[DVG_PAIR_DOMAINS]; // distance of a domain's embeddings to the training ones'
  struct dvg_ledger ledger;         // which of the set's n_set items are written
  int64_t n_set;
  struct dvg_pair_scores scores; // rank 0; empty unless all written pairs were looked at
};

// Collective. `n_sample` items spread evenly over the set (0: all). Rank 0 gets the result, the others only
// counts and names. training NULL: no training identities. An image without embedding is DVG_ERROR_NUMERIC naming its
// item. Rank 0 holds (1 + domains) kB a sampled item. Free with dvg_pair_quality_free, whatever came of it.
DVG_CHECKED enum dvg_status dvg_pair_quality(struct dvg_pair_quality *q, const struct dvg_world *w,
                                             struct dvg_embedder *e, const char *folder, int64_t n_sample,
                                             const struct dvg_training *training);
void dvg_pair_quality_free(struct dvg_pair_quality *q);

// Not collective. MIS of the vectors (n, C), where same[i] is the number (0..) of item i's identity; NaN
// with fewer than two identities.
DVG_CHECKED enum dvg_status dvg_pair_mis(double *mis, const float *vector, int64_t C, const int64_t *same,
                                         int64_t n, int64_t n_identities);

#endif
