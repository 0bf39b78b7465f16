// dvg-inspect --export: images, pairs and features in the containers that other trainers read.
//
// In the folder --out, EXT being png, or jpg with --quality:
//
//     folder
//         DOMAIN/PERSON/ITEM.EXT
//         list.tsv: a line an image, which dvg-prepare pack reads; its columns are path, identity, domain,
//         item, label, landmarks, origin and all numbers
//     webdataset
//         SCHEMA-NNNNNN.tar: one of as many items as a shard of the set has, or of 10,000 images, with
//         ITEM.DOMAIN.EXT (pairs) or ITEM.EXT (images), ITEM.VECTOR.npy, ITEM.json (as list.tsv)
//     recordio
//         train.rec, train.idx: InsightFace's form (io/recordio.h), the images in the order of their labels
//         property: people,H,W
//         train.tsv: as list.tsv, with the record's key for a path
//
// Beside list.tsv and train.tsv lies VECTOR.npy for each dataset of vectors, a row an item: `identity`, the
// embedding that a pair was made from; `feature`. Numbers are all datasets of one number an item, such as the
// scores of pairs. `label` counts people from 0: of pairs each is a new person, and rejected ones, who have no
// images, are left out. Features have no images: their list stands alone, their records hold the vector as a
// .npy file.
//
// export.json says what was exported, and with "finished" whether all is there. The same export into the same
// folder continues: a tar that is there is kept. A folder that has something else in it is refused.
#ifndef DVG_STAGES_INSPECT_EXPORT_H
#define DVG_STAGES_INSPECT_EXPORT_H

#include <stdio.h>

#include "mpi/world.h"
#include "stages/inspect/export_source.h"
#include "stages/inspect/inspect.h"

enum { DVG_EXPORT_NONE, DVG_EXPORT_FOLDER, DVG_EXPORT_WEBDATASET, DVG_EXPORT_RECORDIO };

// Collective. `schema` is asked on rank 0 only. The bytes don't depend on the number of ranks.
DVG_CHECKED enum dvg_status dvg_export_run(const struct dvg_inspect *s, const struct dvg_world *w,
                                           const char *schema);

// ---- private to stages/inspect/export*.c

struct dvg_export {
  const struct dvg_inspect *s;
  const struct dvg_world *w;
  struct dvg_export_source source;
  char schema[32];
  const char *ext;
  int person_folders; // by their names, which all can be folders'; else by their numbers
  unsigned char *pixels;
  float *vector;  // the longest one
  int64_t *order; // recordio: the images by label; image i is image i % n_images of item i / n_images
};

// Images, or of features items.
int64_t dvg_export_images(const struct dvg_export *e);

// Collective.
DVG_CHECKED enum dvg_status dvg_export_folder(struct dvg_export *e);
DVG_CHECKED enum dvg_status dvg_export_webdataset(struct dvg_export *e);
DVG_CHECKED enum dvg_status dvg_export_recordio(struct dvg_export *e);

// New memory (dvg_free) with image k of an item as a file of e->ext; with a vector as a .npy file.
DVG_CHECKED enum dvg_status dvg_export_encode(unsigned char **bytes, size_t *n_bytes,
                                              const struct dvg_export *e, int64_t item, int k);
DVG_CHECKED enum dvg_status dvg_export_encode_vector(unsigned char **bytes, size_t *n_bytes,
                                                     const struct dvg_export *e, int64_t item, int v);
// Path of image k of an item in the folder format, relative to --out.
DVG_CHECKED enum dvg_status dvg_export_path(char **path, struct dvg_export *e, int64_t item, int k);
// One rank. list.tsv or train.tsv (recordio: `order` is there); VECTOR.npy for all vectors.
DVG_CHECKED enum dvg_status dvg_export_list(struct dvg_export *e, const char *name);
DVG_CHECKED enum dvg_status dvg_export_vectors(struct dvg_export *e);

#endif
