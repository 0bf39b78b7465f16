// Artifacts: self-describing HDF5 files with lineage, written atomically, one writer each.
//
// On disk (schema of every artifact, version 1). Root attributes, all but `machine` fixed by what was computed, never by when or where:
//     dvg_schema    "images", "weights", "features", "pairs", "checkpoint", "index", "evaluation", ...
//     dvg_version   integer: version of that schema
//     program       "dvg-extract 0.1.0"
//     settings      the stored options, "name = value" a line
//     inputs        lineage: "role name sha256" a line, in the order they were added
//     machine       optional, what arithmetic depends on: "avx512 kernels, OpenBLAS 0.3.21 SkylakeX"
//     sha256        content digest, see below
// plus attributes of the schema's own (seed, net, width, step ...), 64-bit integers, doubles or UTF-8 text. Datasets are little endian,
// contiguous, without time stamps: two writers of the same content make the same bytes.
//
// Content digest: SHA-256 over the lines, first the attributes', then the datasets', each in ascending byte order of names,
//     "@name=value\n"                          for each root attribute but sha256 and machine
//     "name type d0xd1x... sha256-of-bytes\n"  for each dataset (row-major, little endian)
// so it can be computed while rows are appended, and recomputed from a file by anybody. Values are printed with %lld or %.17g, text with
// newlines as \n and backslashes as \\; types are u8 i32 i64 f32 f64 text; no dimensions is "scalar"; the bytes of text are its strings with a
// NUL after each. Each dataset carries sha256-of-bytes as its attribute `sha256`, so that a damaged file's bad dataset can be named.
// A virtual dataset (index.h5) stands as "name type d0xd1x... virtual\n": its content is covered by the digests of the files it points into.
//
// So does a dataset that was written aside, "name type d0xd1x... aside\n" (it has an attribute `aside`): names of things, which one content may have
// several of. It is still held against its own attribute `sha256`.
//
// A file is written under "<path>.part" in the same folder, flushed, synced, renamed, its folder synced: it is there as a whole or not at all.
#ifndef DVG_IO_ARTIFACT_H
#define DVG_IO_ARTIFACT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/digest.h"
#include "common/base/status.h"

enum dvg_type { DVG_U8, DVG_I32, DVG_I64, DVG_F32, DVG_F64, DVG_TEXT }; // DVG_TEXT: variable-length UTF-8, char ** in memory

enum { DVG_MAX_DIMS = 5 };

struct dvg_artifact; // open for writing or reading

// ---- writing. Not collective: one rank writes a file.

// Starts <path>.part, replacing a stale one; makes missing parent folders. DVG_ERROR_IO when the folder can't be written.
DVG_CHECKED enum dvg_status dvg_artifact_create(struct dvg_artifact **a, const char *path, const char *schema, int64_t version,
                                                const char *program, const char *settings);
DVG_CHECKED enum dvg_status dvg_artifact_set_int(struct dvg_artifact *a, const char *name, int64_t value);
DVG_CHECKED enum dvg_status dvg_artifact_set_real(struct dvg_artifact *a, const char *name, double value);
DVG_CHECKED enum dvg_status dvg_artifact_set_text(struct dvg_artifact *a, const char *name, const char *value);
// Lineage: what this was made from. `name` is stored without its folder.
DVG_CHECKED enum dvg_status dvg_artifact_add_input(struct dvg_artifact *a, const char *role, const char *name, const char *digest);

// A whole dataset at once: row-major data of n_dims dimensions (n_dims 0: a scalar). Names may hold '.', and '/' for groups.
DVG_CHECKED enum dvg_status dvg_artifact_write(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                               const int64_t *dims, const void *data);
// The same aside: what is in it is not part of the content digest, that it is there is.
DVG_CHECKED enum dvg_status dvg_artifact_write_aside(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                                     const int64_t *dims, const void *data);
// A dataset whose rows (first dimension) come in order: define it, then append until dims[0] rows are there.
DVG_CHECKED enum dvg_status dvg_artifact_define(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                                const int64_t *dims);
DVG_CHECKED enum dvg_status dvg_artifact_append(struct dvg_artifact *a, const char *name, int64_t n_rows, const void *data);

// A virtual dataset of dims: part k shows all of dataset `name` of the file files[k], `rows[k]` rows, in order. Files are named relative to the
// artifact's folder, without '%', and lie in it or below. HDF5 shows the fill value where one is missing: 0, or, `marked`, all bits set.
DVG_CHECKED enum dvg_status dvg_artifact_write_virtual(struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                                       const int64_t *dims, int64_t n_parts, char *const *files, const int64_t *rows,
                                                       int marked);

// Checks that all rows are there, stores the digest, flushes, syncs, renames. Frees `a` and sets it to NULL in every case; after a
// failure the temporary file is removed. `digest` may be NULL.
DVG_CHECKED enum dvg_status dvg_artifact_commit(struct dvg_artifact **a, char digest[DVG_DIGEST_TEXT]);
// Gives up: removes the temporary file. Nothing to do for NULL.
void dvg_artifact_discard(struct dvg_artifact **a);

// ---- reading. Not collective; any number of ranks may read one file.

// Opens a finished artifact and checks schema and version; `schema` NULL: any. Messages name path and cause: not there, not HDF5,
// truncated, not one of our artifacts, another schema ("is a 'features' file, not 'weights'").
DVG_CHECKED enum dvg_status dvg_artifact_open(struct dvg_artifact **a, const char *path, const char *schema, int64_t version);
// Any HDF5 file, ours or not, for its datasets: nothing is checked but that it can be read. No digest, no schema.
DVG_CHECKED enum dvg_status dvg_artifact_open_foreign(struct dvg_artifact **a, const char *path);
void dvg_artifact_close(struct dvg_artifact **a);

const char *dvg_artifact_path(const struct dvg_artifact *a);
const char *dvg_artifact_schema(const struct dvg_artifact *a);
// The stored content digest (not recomputed).
const char *dvg_artifact_digest(const struct dvg_artifact *a);
int dvg_artifact_has(const struct dvg_artifact *a, const char *name);           // a dataset
int dvg_artifact_has_attribute(const struct dvg_artifact *a, const char *name); // an attribute
DVG_CHECKED enum dvg_status dvg_artifact_get_int(const struct dvg_artifact *a, const char *name, int64_t *value);
DVG_CHECKED enum dvg_status dvg_artifact_get_real(const struct dvg_artifact *a, const char *name, double *value);
// digest = that of the input `role`; "" where the lineage has none.
DVG_CHECKED enum dvg_status dvg_artifact_get_input(const struct dvg_artifact *a, const char *role, char digest[DVG_DIGEST_TEXT]);
// The caller frees *value with dvg_free.
DVG_CHECKED enum dvg_status dvg_artifact_get_text(const struct dvg_artifact *a, const char *name, char **value);

// Shape of a dataset: DVG_ERROR_INPUT naming path and dataset when it is missing.
DVG_CHECKED enum dvg_status dvg_artifact_shape(const struct dvg_artifact *a, const char *name, enum dvg_type *type, int *n_dims,
                                               int64_t dims[DVG_MAX_DIMS]);
// Reads rows [first, first + count) into data, converted to `type` (numbers only; the file's own type must be of the same class, a value
// that does not fit is DVG_ERROR_INPUT). A scalar is one row.
DVG_CHECKED enum dvg_status dvg_artifact_read(const struct dvg_artifact *a, const char *name, enum dvg_type type, int64_t first,
                                              int64_t count, void *data);
// Checks n_dims and dims (-1: any) and reads the whole dataset into new memory, freed by the caller with dvg_free.
// dims is filled with the true sizes.
DVG_CHECKED enum dvg_status dvg_artifact_load(const struct dvg_artifact *a, const char *name, enum dvg_type type, int n_dims,
                                              int64_t *dims, void **data);
// Text datasets: an array of n strings in one block of memory, freed with dvg_free.
DVG_CHECKED enum dvg_status dvg_artifact_load_text(const struct dvg_artifact *a, const char *name, int64_t *n, char ***texts);

// Calls visit(name, is_attribute, context) for all attributes and datasets in ascending order of names.
DVG_CHECKED enum dvg_status dvg_artifact_each(const struct dvg_artifact *a,
                                              enum dvg_status (*visit)(const char *name, int is_attribute, void *context),
                                              void *context);

// Recomputes the content digest (all bytes are read); DVG_ERROR_INPUT naming the path and what differs if it is not the stored one.
DVG_CHECKED enum dvg_status dvg_artifact_verify(const struct dvg_artifact *a);
// The same without a look at the files that virtual datasets point into, for who verifies those anyway.
DVG_CHECKED enum dvg_status dvg_artifact_verify_alone(const struct dvg_artifact *a);

// ---- paths

// Whether a finished file is there.
int dvg_path_exists(const char *path);
// Makes a folder and its parents; DVG_ERROR_IO if it can't be written into.
DVG_CHECKED enum dvg_status dvg_path_make_folder(const char *path);
// Removes a file; one that isn't there is no error.
DVG_CHECKED enum dvg_status dvg_path_remove(const char *path);
// Removes what a killed writer left of files whose names begin with `prefix`: <folder>/<prefix>*.part.
DVG_CHECKED enum dvg_status dvg_path_remove_parts(const char *folder, const char *prefix);
// Makes and removes a file in a folder: DVG_ERROR_IO if it can't be written into, whatever its mode says.
DVG_CHECKED enum dvg_status dvg_path_try_folder(const char *path);
// Writes a small text file (reports, TSV, JSON) atomically, as artifacts are.
DVG_CHECKED enum dvg_status dvg_path_write_text(const char *path, const char *text);
DVG_CHECKED enum dvg_status dvg_path_write_bytes(const char *path, const void *bytes, size_t n_bytes);
// Reads a whole text file of at most max_bytes, without NUL inside; the caller frees with dvg_free.
DVG_CHECKED enum dvg_status dvg_path_read_text(const char *path, int64_t max_bytes, char **text);
DVG_CHECKED enum dvg_status dvg_path_read_bytes(const char *path, int64_t max_bytes, unsigned char **bytes, size_t *n_bytes);
// Syncs `temporary`, renames it to `path`, syncs the folder. Removes it after a failure.
DVG_CHECKED enum dvg_status dvg_path_finish(const char *temporary, const char *path);
// Renames a file that was finished before, over what is there, and syncs the folder.
DVG_CHECKED enum dvg_status dvg_path_rename(const char *from, const char *to);
// *folder = all before the last '/', "." without one, "/" for the root. The caller frees with dvg_free.
DVG_CHECKED enum dvg_status dvg_path_folder(char **folder, const char *path);
// What follows the last '/': borrowed from path.
const char *dvg_path_name(const char *path);

#endif
