// Image sets: the "images" artifact and the text lists that it is packed from.
//
// Schema "images", version 1. Attributes: channels' meaning is by C. Datasets:
//     image      (N,H,W,C) u8, C 1 or 3
//     identity   (N) i64   dense numbers 0.. of people, in order of first appearance of their names in the list
//     domain     (N) u8    index into domain_name
//     domain_name (D) text
//     name       (N) text  where each came from, as its source names it (io/source.h)
//     person     (P) text  name of each identity
//     bad        (B) text  names of files that were left out, if any
//     landmarks  (N,10) f32 optional
//     truth_identity (N,A) f32, truth_attributes (N,B) f32, truth_identity_name, truth_attributes_name: toy world only
// Of a packed set name, person and bad stand aside of the content digest (io/artifact.h): the same files have other names in another container.
#ifndef DVG_IO_IMAGES_H
#define DVG_IO_IMAGES_H

#include <stdint.h>

#include "common/base/status.h"
#include "io/artifact.h"

// ---- lists

struct dvg_list_row {
  char *path;      // as it stands in the list, borrowed from the list
  int64_t identity; // dense
  int64_t line;    // of the list, from 1
  int32_t domain;  // index into domains
  int has_landmarks;
  float landmarks[10];
};
struct dvg_list {
  int64_t n_rows, n_people, n_domains;
  struct dvg_list_row *rows;
  char **people, **domains; // names, in order of first appearance
  void *memory;             // owned text
  char *root;               // folder that relative paths refer to
};

struct dvg_list_filter {
  const char *domains; // domains to keep, comma separated, in the order wanted; "" or NULL: all
  const char *where;   // TSV only: "column=value[,value...][;column=value]"; "" or NULL: all
};

// Reads a list. Two forms, told apart by the first line:
//   TSV with a header that has the columns `path` and `identity`, optionally `domain`, the ten landmark columns
//   (left_eye_x left_eye_y right_eye_x right_eye_y nose_x nose_y left_mouth_x left_mouth_y right_mouth_x right_mouth_y), and others, which `where` may use;
//   else lines `path identity [domain]` separated by blanks or tabs; without a third column the domain is the one of filter->domains that is a substring of the
//   path (if exactly one is), and "VIS" when no domains are named.
// Empty lines and lines starting with # are skipped. A line without identity, a repeated path, an unknown domain, a bad number are DVG_ERROR_INPUT
// naming list and line (path:line: what). With domains named, rows of other domains are left out, and a named one without any row is an error. Relative paths refer to the list's folder. An empty result is an error too.
DVG_CHECKED enum dvg_status dvg_list_read(struct dvg_list *list, const char *path, const struct dvg_list_filter *filter);
// A folder a person: root/PERSON/*.{png,jpg,jpeg,pgm,ppm,pnm,bmp}; with two levels root/DOMAIN/PERSON/* when `domains` names folders of root. Sorted by name (bytes).
// With one level, a single named domain is that of all images; of several, the one in the path is taken.
DVG_CHECKED enum dvg_status dvg_list_scan(struct dvg_list *list, const char *root, const struct dvg_list_filter *filter);
void dvg_list_free(struct dvg_list *list);
// *path = full path of a row (caller frees with dvg_free).
DVG_CHECKED enum dvg_status dvg_list_path(char **path, const struct dvg_list *list, int64_t row);

// ---- packed sets

struct dvg_image_set {
  int64_t N, H, W, C, n_people, n_domains;
  int64_t *identity;    // (N)
  unsigned char *domain; // (N)
  char **domain_name;   // (n_domains)
  char **person;        // (n_people) names
  struct dvg_artifact *file; // open for dvg_image_set_read
};
// Opens an "images" artifact: loads the columns, leaves the pixels in the file. Checks shapes and ranges (identities in [0, P), domains in [0, D)).
DVG_CHECKED enum dvg_status dvg_image_set_open(struct dvg_image_set *set, const char *path);
void dvg_image_set_close(struct dvg_image_set *set);
// pixels (count,H,W,C) of rows [first, first+count).
DVG_CHECKED enum dvg_status dvg_image_set_read(const struct dvg_image_set *set, int64_t first, int64_t count, unsigned char *pixels);
// Index of a domain by name: DVG_ERROR_INPUT naming file and the domains there are.
DVG_CHECKED enum dvg_status dvg_image_set_domain(const struct dvg_image_set *set, const char *name, int *domain);

// One image of a set as network input: planar float (C_out,size,size) in [0,1], cropped from (H,W,C_in) bytes at (top,left), gray if C_out is 1 (0.299 R + 0.587 G +
// 0.114 B), replicated if C_in is 1 and C_out 3. The crop must lie inside.
void dvg_image_to_planes(float *planes, const unsigned char *pixels, int64_t H, int64_t W, int64_t C_in, int64_t C_out, int64_t top,
                         int64_t left, int64_t size);

#endif
