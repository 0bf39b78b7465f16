// A protocol as a file: which images are gallery and probes, in any number of folds.
//
// A line an image, three columns divided by tabs: the fold (a name of up to 31 letters, digits, '-', '_' and '.'), `gallery` or `probe`, and
// the image, by its name in the packed set or as #row. Empty lines and those that begin with "# " say nothing. Folds come in the order in
// which they are first named; the order of the images is that of the set.
#ifndef DVG_STAGES_EVALUATE_FOLDS_H
#define DVG_STAGES_EVALUATE_FOLDS_H

#include "io/images.h"
#include "stages/json.h"

enum dvg_role { DVG_GALLERY, DVG_PROBE, DVG_N_ROLES };
enum { DVG_FOLD_NAME = 32, DVG_MAX_FOLDS = 1000 };

struct dvg_fold {
  char name[DVG_FOLD_NAME];
  int64_t n[DVG_N_ROLES];
  int64_t *row[DVG_N_ROLES]; // rows of the gallery's set, of the probes' set
};

struct dvg_folds {
  int64_t n;
  struct dvg_fold *list;
};

// Not collective. DVG_ERROR_INPUT names the line: an unknown role, an image that isn't there or comes twice, a fold without gallery or probes.
// Free with dvg_folds_free.
DVG_CHECKED enum dvg_status dvg_folds_read(struct dvg_folds *f, const char *path, const struct dvg_image_set *gallery,
                                           const struct dvg_image_set *probes);
void dvg_folds_free(struct dvg_folds *f);

// Not collective. Whether the folds, in their order, have the numbers of images that CASIA NIR-VIS 2.0's view 2 has (Li, Yi, Lei, Liao, CVPRW 2013;
// SPEC 4): ten of them, 358 in each gallery, 6208 to 6247 probes. DVG_ERROR_INPUT says what differs first.
DVG_CHECKED enum dvg_status dvg_folds_check_casia(const struct dvg_folds *f, const char *path);

#endif
