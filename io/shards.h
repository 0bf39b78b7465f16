// Sharded sets: a folder of shard-NNNNNN.h5 and index.h5.
//
// A shard is an artifact that covers the fixed item range [k * items_per_shard, ...), whoever computes it. index.h5 (schema "index", version 1) is written
// when all shards are there: for each dataset `name` of the shards a virtual dataset over all of them under the same name, and
//     shard_sha256 (S) text, shard_first (S) i64, shard_rows (S) i64; attributes: shard_schema, items, items_per_shard, root_sha256
// root_sha256 is the SHA-256 of the lines "k digest\n" of all shards. File names in the virtual datasets are relative: the folder can be moved.
//
// Shards come in groups of 1,000 (shards_per_group). The first group lies in the folder itself, group g > 0 in its folder group-GGG: where a shard lies depends
// on its number alone, so a set can grow, and no folder gets more files than Lustre lists quickly. With more than one group there are two levels of index:
// group-GGG.h5 (schema "index-group", version 1; attributes shard_schema, first, items) shows the shards of a group, index.h5 shows the groups and has the
// attribute shards_per_group and group_sha256 (G) text, their digests. One level over 100,000 shards takes HDF5 0.7 s and 1.4 GB for each dataset that is opened.
//
// Whoever reads through HDF5 alone: a virtual dataset keeps every file open that it has read from until it is closed, and shows the fill value where a file
// is missing or the limit of open files is reached, without a word. One group stays below the usual limit of 1,024; beyond that, read ranges through fresh
// handles (h5py: file["name"][a:b]), also for the memory: a handle keeps 9 MB for each group that it has read
// from. In sets of more than one group the fill value has all bits set (NaN, -1, 255), to be seen.
#ifndef DVG_IO_SHARDS_H
#define DVG_IO_SHARDS_H

#include <stdint.h>

#include "common/base/status.h"
#include "io/artifact.h"

enum { DVG_SHARDS_PER_GROUP = 1000, DVG_SHARD_NAME = 64 };

struct dvg_shards {
  char *folder;
  int64_t n_items, per_shard, n_shards; // n_shards = ceil(n_items / per_shard)
  int64_t per_group;                    // DVG_SHARDS_PER_GROUP; tests make it smaller
  int64_t part, n_parts;                // the shards that this run makes: number mod n_parts == part - 1; 0, 0: all
};

// Not collective. Describes a set; makes the folder. Free with dvg_shards_free.
DVG_CHECKED enum dvg_status dvg_shards_create(struct dvg_shards *s, const char *folder, int64_t n_items, int64_t per_shard);
void dvg_shards_free(struct dvg_shards *s);
// Reads "I/N", 1 <= I <= N, as `part` and `n_parts`; "" is all. DVG_ERROR_USAGE, said, for anything else.
DVG_CHECKED enum dvg_status dvg_shards_set_part(struct dvg_shards *s, const char *text);
int dvg_shards_in_part(const struct dvg_shards *s, int64_t shard);
// How many shards the part has.
int64_t dvg_shards_of_part(const struct dvg_shards *s);
// Where a shard lies in the folder: shard-NNNNNN.h5, from the second group on group-GGG/shard-NNNNNN.h5.
void dvg_shards_name(char name[DVG_SHARD_NAME], int64_t per_group, int64_t shard);
// *path = that name with the folder before it (caller frees).
DVG_CHECKED enum dvg_status dvg_shards_path(char **path, const struct dvg_shards *s, int64_t shard);
int64_t dvg_shards_first(const struct dvg_shards *s, int64_t shard);
int64_t dvg_shards_rows(const struct dvg_shards *s, int64_t shard);
int64_t dvg_shards_groups(const struct dvg_shards *s);

// *pending = 1 for a shard to be made, else 0: it is not there, of another size than it should be, or not readable, which is warned of. One that was made with
// other settings or inputs than given (its stored `settings` and `inputs` attributes are compared; inputs NULL: any) is of another run: refused with
// DVG_ERROR_INPUT, not overwritten. Headers only: the content is for dvg_shards_is_damaged.
DVG_CHECKED enum dvg_status dvg_shards_is_pending(const struct dvg_shards *s, int64_t shard, const char *schema, int64_t version, const char *settings,
                                                  const char *inputs, unsigned char *pending);

// Whether the content of a shard that is not pending differs from its digest (all bytes are read), with a warning that names it.
int dvg_shards_is_damaged(const struct dvg_shards *s, int64_t shard);

// ---- the index, in parts that ranks can share: one call of _begin, one of _group for each group, one of _end.

// What is known of a set's shards and groups: content digests as text. Zeroed memory, so that the sum over ranks that filled different entries is the whole.
struct dvg_shard_sums {
  char (*shard)[DVG_DIGEST_TEXT]; // (n_shards + groups); the groups' follow the shards'
  char (*group)[DVG_DIGEST_TEXT]; // borrowed from `shard`
  int64_t n_words;                // of 8 bytes, all of it
};
// Not collective. Free with dvg_shard_sums_free.
DVG_CHECKED enum dvg_status dvg_shard_sums_create(struct dvg_shard_sums *sums, const struct dvg_shards *s);
void dvg_shard_sums_free(struct dvg_shard_sums *sums);

// root = the root digest over all shards' digests.
DVG_CHECKED enum dvg_status dvg_shards_root(char root[DVG_DIGEST_TEXT], int64_t n_shards, char *const *digest);
// Before the first group of a set of several: removes index.h5, which must not point to groups of another state. One rank only.
DVG_CHECKED enum dvg_status dvg_shards_index_begin(const struct dvg_shards *s);
// Looks at the shards of a group, fills their digests into `sums`; writes the group's index if there are several. Each group by one rank.
DVG_CHECKED enum dvg_status dvg_shards_index_group(const struct dvg_shards *s, int64_t group, const char *schema, const char *program,
                                                   const char *settings, struct dvg_shard_sums *sums);
// Writes index.h5 over the groups; root digest in `root` (NULL: not wanted). One rank only.
DVG_CHECKED enum dvg_status dvg_shards_index_end(const struct dvg_shards *s, const char *schema, const char *program, const char *settings,
                                                 const struct dvg_shard_sums *sums, char root[DVG_DIGEST_TEXT]);
// All of it by one process.
DVG_CHECKED enum dvg_status dvg_shards_index(const struct dvg_shards *s, const char *schema, const char *program, const char *settings,
                                             char root[DVG_DIGEST_TEXT]);

// ---- reading a set: from its folder (needs index.h5), row access through the index; keeps up to 64 shards open.
struct dvg_shard_reader;
// Opens the index and the first shard. Of the others one that is missing, no HDF5, of another schema or digest than the index says is an error when it is
// read; dvg_shard_reader_check finds it before.
DVG_CHECKED enum dvg_status dvg_shard_reader_open(struct dvg_shard_reader **r, const char *folder, const char *schema, int64_t version);
void dvg_shard_reader_close(struct dvg_shard_reader **r);
// Looks at the headers of the shards first, first + step, ...: the lowest one that is not what the index says, -1 if there is none. Says nothing:
// dvg_shard_reader_say does, with an error that names it.
int64_t dvg_shard_reader_check(const struct dvg_shard_reader *r, int64_t first, int64_t step);
DVG_CHECKED enum dvg_status dvg_shard_reader_say(const struct dvg_shard_reader *r, int64_t shard);
int64_t dvg_shard_reader_items(const struct dvg_shard_reader *r);
const char *dvg_shard_reader_digest(const struct dvg_shard_reader *r); // root digest
// The first shard, for attributes and shapes of rows. Borrowed.
const struct dvg_artifact *dvg_shard_reader_first(const struct dvg_shard_reader *r);
// Rows [first, first + count) of dataset `name`, across shard borders.
DVG_CHECKED enum dvg_status dvg_shard_reader_read(struct dvg_shard_reader *r, const char *name, enum dvg_type type, int64_t first,
                                                  int64_t count, void *data);
// Verifies all shards and groups of this rank's share (k mod size == rank), naming each that is bad.
DVG_CHECKED enum dvg_status dvg_shards_verify_share(const char *folder, int rank, int size);
// Verifies the root digest and the index.
DVG_CHECKED enum dvg_status dvg_shards_verify_index(const char *folder);
// The one, and on rank 0 the other.
DVG_CHECKED enum dvg_status dvg_shards_verify(const char *folder, int rank, int size);

#endif
