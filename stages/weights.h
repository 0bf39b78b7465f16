// Weight files: schema "weights", version 1. Attributes net, width, size, classes (0: none), code where codes have another length than 256; one f32 dataset a parameter under the authors' name.
//     net = lightcnn29v2 | identity_sampler | generator | encoder | decoder
// A generator file holds encoder.<domain>.*, decoder.* (heads <domain>_output) and the text attribute `domains` ("sketch,vis", lower case).
// One with variational encoders has their encoder.<domain>.fc_log_variance.* too, and the attribute `variational` 1.
// One whose identities are not F's own embeddings has the attribute `foreign` 1.
// Files of a single encoder or decoder (dvg-import) have the same names without that beginning; that of a decoder has the attribute too.
#ifndef DVG_STAGES_WEIGHTS_H
#define DVG_STAGES_WEIGHTS_H

#include "common/models/models.h"
#include "mpi/world.h"
#include "stages/stage.h"

struct dvg_weights {
  char path[1024], net[32], domains[256], digest[DVG_DIGEST_TEXT];
  char recognizer[DVG_DIGEST_TEXT]; // whose embeddings are its identities, as far as its lineage says; ""
  char without[32]; // on saving: parameters whose names, as saved, begin so are left out; "": none
  struct dvg_model model;
  int64_t foreign; // 1 for a generator whose identities are another recogniser's embeddings, which those of F can't be compared with
  int64_t classes, variational; // variational: 1 for a generator whose codes were drawn to N(0, I), and so may be drawn from it
};

// A domain's name as parameters of a generator carry it: `name` in lower case, cut to n_bytes. A list "A,B" works alike.
void dvg_weights_domain(char *out, size_t n_bytes, const char *name);

// Collective. Reads the description of a weight file on rank 0 and hands it to all; DVG_ERROR_INPUT naming the file when it is another network.
// f->model.code is the length of the codes, whether the file says it or not.
DVG_CHECKED enum dvg_status dvg_weights_describe(struct dvg_weights *f, const struct dvg_world *w, const char *path, const char *net);

// Not collective. DVG_ERROR_INPUT naming both, where the file's lineage says that its identities aren't those of the recogniser with this digest, which `path` is or was made with.
DVG_CHECKED enum dvg_status dvg_weights_check_recognizer(const struct dvg_weights *f, const char *path, const char *digest);

// Collective. Fills all parameters of `p` whose name starts with `prefix` and whose remaining name is in the file; p must be allocated (dvg_graph_plan).
// With `need_all`, parameters that the file does not have are errors; else they are left as they are. Wrong shapes always are errors: DVG_ERROR_INPUT with
// their number and the names of the first.
DVG_CHECKED enum dvg_status dvg_weights_load(struct dvg_params *p, const char *prefix, const struct dvg_weights *f, const struct dvg_world *w,
                                             int need_all);
// Collective. The comparison of dvg_weights_load alone, for parameters that a graph has named but not allocated yet: before dvg_graph_plan, so that a file
// whose attributes promise another network than its tensors make costs no memory.
DVG_CHECKED enum dvg_status dvg_weights_check(struct dvg_params *p, const char *prefix, const struct dvg_weights *f, const struct dvg_world *w,
                                              int need_all);

// Not collective (rank 0). Writes the parameters of `p` whose names start with `prefix`, without it. f gives net, model, classes, domains,
// variational, foreign, without.
// `digest` may be NULL.
DVG_CHECKED enum dvg_status dvg_weights_save(const char *path, const struct dvg_params *p, const char *prefix, const struct dvg_weights *f,
                                             const struct dvg_lineage *l, char digest[DVG_DIGEST_TEXT]);

#endif
