// Sharded sets: a folder of shard-NNNNNN.h5 and index.h5.
//
// A shard is an artifact that covers the fixed item range [k * items_per_shard, ...), whoever computes it. index.h5 (schema "index", version 1) is written
// when all shards are there: for each dataset `name` of the shards a virtual dataset over all of them under the same name, and
//     shard_sha256 (S) text, shard_first (S) i64, shard_rows (S) i64; attributes: shard_schema, items, items_per_shard, root_sha256
// root_sha256 is the SHA-256 of the lines "k digest\n" of all shards. File names in the virtual datasets are relative: the folder can be moved.
#ifndef DVG_IO_SHARDS_H
#define DVG_IO_SHARDS_H

#include <stdint.h>

#include "common/base/status.h"
#include "io/artifact.h"

struct dvg_shards {
  char *folder;
  int64_t n_items, per_shard, n_shards; // n_shards = ceil(n_items / per_shard)
};

// Not collective. Describes a set; makes the folder. Free with dvg_shards_free.
DVG_CHECKED enum dvg_status dvg_shards_create(struct dvg_shards *s, const char *folder, int64_t n_items, int64_t per_shard);
void dvg_shards_free(struct dvg_shards *s);
// *path = folder/shard-NNNNNN.h5 (caller frees).
DVG_CHECKED enum dvg_status dvg_shards_path(char **path, const struct dvg_shards *s, int64_t shard);
int64_t dvg_shards_first(const struct dvg_shards *s, int64_t shard);
int64_t dvg_shards_rows(const struct dvg_shards *s, int64_t shard);

// pending[k] = 1 for each shard to be made: not there, of another size than it should be, or made with other settings or inputs than given (its stored
// `settings` and `inputs` attributes are compared: what is there from another run is refused with DVG_ERROR_INPUT, not overwritten). Headers only: the
// content is for dvg_shards_is_damaged. What can't be read is pending, with a warning.
DVG_CHECKED enum dvg_status dvg_shards_pending(const struct dvg_shards *s, const char *schema, int64_t version, const char *settings,
                                               const char *inputs, unsigned char *pending);

// Whether the content of a shard that is not pending differs from its digest (all bytes are read), with a warning that names it.
int dvg_shards_is_damaged(const struct dvg_shards *s, int64_t shard);

// Writes index.h5 over the finished shards; root digest in `root`. Rank 0 only.
DVG_CHECKED enum dvg_status dvg_shards_index(const struct dvg_shards *s, const char *schema, const char *program, const char *settings,
                                             char root[DVG_DIGEST_TEXT]);

// ---- reading a set: from its folder (needs index.h5), row access through the index; keeps few shards open.
struct dvg_shard_reader;
// Opens the index and looks at the header of every shard: one that is missing, no HDF5, of another schema or digest than the index says is an error.
DVG_CHECKED enum dvg_status dvg_shard_reader_open(struct dvg_shard_reader **r, const char *folder, const char *schema, int64_t version);
void dvg_shard_reader_close(struct dvg_shard_reader **r);
int64_t dvg_shard_reader_items(const struct dvg_shard_reader *r);
const char *dvg_shard_reader_digest(const struct dvg_shard_reader *r); // root digest
// The first shard, for attributes and shapes of rows. Borrowed.
const struct dvg_artifact *dvg_shard_reader_first(const struct dvg_shard_reader *r);
// Rows [first, first + count) of dataset `name`, across shard borders.
DVG_CHECKED enum dvg_status dvg_shard_reader_read(struct dvg_shard_reader *r, const char *name, enum dvg_type type, int64_t first,
                                                  int64_t count, void *data);
// Verifies all shards of this rank's share (k mod size == rank), naming each that is bad.
DVG_CHECKED enum dvg_status dvg_shards_verify_share(const char *folder, int rank, int size);
// Verifies the root digest and the index.
DVG_CHECKED enum dvg_status dvg_shards_verify_index(const char *folder);
// The one, and on rank 0 the other.
DVG_CHECKED enum dvg_status dvg_shards_verify(const char *folder, int rank, int size);

#endif
