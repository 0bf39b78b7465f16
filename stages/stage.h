// What all programs share: the thin main, lineage, the checks before work begins.
//
// A program is a table of options and a run function; its main is one line. `run` is callable from a test.
#ifndef DVG_STAGES_STAGE_H
#define DVG_STAGES_STAGE_H

#include "common/base/options.h"
#include "io/artifact.h"
#include "io/shards.h"
#include "mpi/world.h"

struct dvg_stage {
  const char *program, *summary;
  const struct dvg_option *options;
  const struct dvg_preset *presets; // or NULL
  size_t settings_bytes;            // size of the settings struct that the options' offsets refer to
  // Collective. `o->values` is the settings struct. Returns the same status on all ranks.
  enum dvg_status (*run)(const struct dvg_options *o, const struct dvg_world *w);
};

// Starts MPI, parses (errors are said by rank 0 alone: all ranks have the same arguments), logs the settings and where the ranks run, runs, ends MPI; returns the
// exit code. The argument after the program's name must not be a sub-command any more.
int dvg_stage_main(int argc, char **argv, const struct dvg_stage *stage);
// A program with sub-commands: argv[1] chooses one of `stages` by the last word of its program name ("dvg-prepare render"). Ends with NULL.
int dvg_stage_main_of(int argc, char **argv, const struct dvg_stage *const *stages);

// Collective. dvg_options_parse, said by rank 0 alone. A rank whose arguments are refused or ask for help, where those of rank 0 don't, is
// DVG_ERROR_USAGE on all. For programs with a main of their own.
DVG_CHECKED enum dvg_status dvg_stage_parse(struct dvg_options *o, int argc, char **argv, const struct dvg_world *w);

// ---- lineage

enum { DVG_MAX_INPUTS = 8 };
// Program, stored settings and inputs of an artifact about to be made.
struct dvg_lineage {
  const char *program; // "dvg-extract 0.1.0"
  char *settings;      // dvg_options_print(stored only), owned
  int n_inputs;
  struct {
    char role[32], name[256], digest[DVG_DIGEST_TEXT]; // name without its folder
  } input[DVG_MAX_INPUTS];
};
// Not collective. Free with dvg_lineage_free.
DVG_CHECKED enum dvg_status dvg_lineage_init(struct dvg_lineage *l, const struct dvg_options *o);
void dvg_lineage_free(struct dvg_lineage *l);
void dvg_lineage_add(struct dvg_lineage *l, const char *role, const char *path, const char *digest);
// *text = the `inputs` attribute that dvg_artifact_add_input would make of it: "role name digest" a line (caller frees).
DVG_CHECKED enum dvg_status dvg_lineage_inputs(char **text, const struct dvg_lineage *l);
// dvg_artifact_create with program, settings and inputs of `l`.
DVG_CHECKED enum dvg_status dvg_lineage_create(struct dvg_artifact **a, const char *path, const char *schema, int64_t version,
                                               const struct dvg_lineage *l);

// ---- sharded sets: what is to be done for each shard is shared out over the ranks

// The text of every --part option.
#define DVG_PART_HELP                                                                                                          \
  "make the I-th of N parts of the shards, I/N, beside other runs that make the others; the same command without this "        \
  "makes what is missing and the index"

// Collective. pending[k] = 1 (others 0) for each shard of a set that is to be made, on all ranks: dvg_shards_is_pending, and those
// whose content is damaged; none beyond the part of `s`. Says how many are there. DVG_ERROR_IO for a folder that takes no file, or in which
// another run is at work: rank 0 locks it, or its part of it (io/lock.h), until the program ends.
DVG_CHECKED enum dvg_status dvg_stage_find_pending(unsigned char *pending, const struct dvg_world *w, const struct dvg_shards *s,
                                                   const char *schema, int64_t version, const struct dvg_lineage *l);

// Not collective. The end of a part: it has no index. Says that its shards are there.
void dvg_stage_end_part(const struct dvg_shards *s);

// Collective. Writes the index of a finished set; root digest in `root`, on rank 0.
DVG_CHECKED enum dvg_status dvg_stage_index(const struct dvg_world *w, const struct dvg_shards *s, const char *schema,
                                            const struct dvg_lineage *l, char root[DVG_DIGEST_TEXT]);

// Collective. Whether all shards of a set that every rank has opened are there and what its index says: a missing, truncated or
// exchanged one is found here and not after hours of computing. The first bad one is named, once.
DVG_CHECKED enum dvg_status dvg_stage_check_shards(const struct dvg_world *w, const struct dvg_shard_reader *r);

// Collective. Rank 0 makes the output folder, checks that it can be written, and locks it until the program ends (io/lock.h): DVG_ERROR_IO while
// another run is at work in it. Once a run; agreed.
DVG_CHECKED enum dvg_status dvg_stage_make_folder(const struct dvg_world *w, const char *path);

#endif
