// Quality of a generated pair set (schema "pairs") in the recogniser's eyes.
//
//   MS             mean cosine within a pair, over all pairs of domains: consistency, high is good
//   MIS            mean cosine between different identities, within the first domain: diversity, low is good.
//   Over all pairs of items of
//                  the sample whose identity embeddings differ, in closed form: (|sum e|^2 - sum over
//                  identities |sum e|^2) / number of pairs
//   to_identity    mean cosine of a domain's images to the identity embedding that they were generated from
//   MIS_intended   the MIS of the identity embeddings themselves: what the images could reach at best
#ifndef DVG_STAGES_EVALUATE_PAIRS_H
#define DVG_STAGES_EVALUATE_PAIRS_H

#include "io/shards.h"
#include "stages/embed.h"

enum { DVG_PAIR_DOMAINS = 8, DVG_DOMAIN_TEXT = 64 };

struct dvg_pair_quality {
  char digest[DVG_DIGEST_TEXT];             // root digest of the set
  int64_t n_items, n_sampled, n_identities; // items: written pairs; identities: different ones among the sample
  int n_domains;
  char domain[DVG_PAIR_DOMAINS][DVG_DOMAIN_TEXT];
  double ms, mis, mis_intended; // NaN where there is nothing to compare
  double to_identity[DVG_PAIR_DOMAINS];
};

// Collective. `n_sample` items spread evenly over the set (0: all). Rank 0 gets the result, the others only
// counts and names. An image without embedding is DVG_ERROR_NUMERIC naming its item.
DVG_CHECKED enum dvg_status dvg_pair_quality(struct dvg_pair_quality *q, const struct dvg_world *w,
                                             struct dvg_embedder *e, const char *folder, int64_t n_sample);

// Not collective. MIS of the vectors (n, DVG_CODE), where same[i] is the number (0..) of item i's identity; NaN
// with fewer than two identities.
DVG_CHECKED enum dvg_status dvg_pair_mis(double *mis, const float *vector, const int64_t *same, int64_t n,
                                         int64_t n_identities);

#endif
