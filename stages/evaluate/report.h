// What dvg-evaluate says and writes. Rank 0 only.
//
// Schema "evaluation", version 2. Attributes: name, seed, and, of a protocol,
//     gallery_domain, probe_domain, gallery_images, gallery_people, probe_images, probe_people,
//     probes_without_gallery, genuine, impostor, rank_1, rank_5, rank_10 (as far as the gallery has that many
//     images), eer, auc, tar_at_far_0.1 ... (as far as the impostors suffice), far_convention,
//     gallery_digest, probe_digest (of their image sets; for features of the images that they were made of), bootstrap (replicates)
// of a pair set
//     pairs_items, pairs_sampled, pairs_identities, pairs_ms, pairs_mis, pairs_mis_intended,
//     pairs_to_identity_DOMAIN, pairs_nearest; with training identities pairs_leak, pairs_leaks (share beyond the threshold),
//     leak_far, leak_threshold, pairs_frechet_DOMAIN
// Datasets of a protocol:
//     far, tar (n) f64: the operating points asked for; NaN: not enough impostors
//     bootstrap_rank_1 (replicates), bootstrap_tar (n, replicates) f64, if there are any
//     roc_far, roc_tar, roc_threshold (n) f64; threshold NaN: nothing genuine is accepted
//     histogram_genuine, histogram_impostor (2000) i64, of [-1, 1]
//     place (probes) i64: place of the best image of the probe's person, 0: none in the gallery
//     gallery_row, probe_row i64: rows of the image sets, or `source` of the features; gallery_person, probe_person i64: equal numbers are
//     one person, -1: not in the gallery score (probes, gallery) f32, if there are at most 10 million
#ifndef DVG_STAGES_EVALUATE_REPORT_H
#define DVG_STAGES_EVALUATE_REPORT_H

#include "stages/evaluate/against.h"
#include "stages/evaluate/bootstrap.h"
#include "stages/evaluate/evaluate.h"
#include "stages/evaluate/pairs.h"
#include "stages/evaluate/scores.h"

enum { DVG_RANKS = 3 };
extern const int64_t dvg_report_ranks[DVG_RANKS]; // 1, 5, 10

struct dvg_report {
  const struct dvg_evaluate *settings;
  const char *out;                     // folder for the results
  const struct dvg_protocol *protocol; // NULL: no protocol was asked for
  const struct dvg_scores *scores;
  const struct dvg_bootstrap *bootstrap;
  struct dvg_against *against;            // NULL: no other evaluation was
  struct dvg_pair_quality *quality;       // NULL: no pair set was
  const struct dvg_training *training;    // NULL: no training identities were
  int n_fars;
  double far[DVG_MAX_FARS];
  double rank_rate[DVG_RANKS], eer, auc;       // rank rates are NaN where the gallery has fewer images
  struct dvg_operating_point at[DVG_MAX_FARS]; // tar NaN where the impostors are too few
  struct dvg_interval rank_1_interval, interval[DVG_MAX_FARS]; // of rank_rate[0] and of at[].tar
  struct dvg_operating_point *roc;
  int64_t n_roc;
};

// How TAR at FAR is meant, in words.
const char *dvg_report_convention(const struct dvg_evaluate *s);

// Computes what the scores say: rank rates to ROC, intervals, the comparison. Free with dvg_report_free.
DVG_CHECKED enum dvg_status dvg_report_fill(struct dvg_report *r);
void dvg_report_free(struct dvg_report *r);

// The table for people, on standard output.
void dvg_report_print(const struct dvg_report *r);
// The attributes and small datasets of evaluation.h5.
DVG_CHECKED enum dvg_status dvg_report_write(struct dvg_artifact *a, const struct dvg_report *r);
// metrics.json, roc.tsv, roc.png, cmc.tsv, cmc.png, scores.png into the folder, from which evaluation.h5 and
// what is not made this time are removed.
DVG_CHECKED enum dvg_status dvg_report_files(const struct dvg_report *r, const char *folder);

// Removes evaluation.h5 and all files that dvg_report_files makes: evaluation.h5 first.
DVG_CHECKED enum dvg_status dvg_report_clear(const char *folder);

#endif
