// The training loop that all trainers share: exact data-parallel steps, logs, sheets, checkpoints, resume, dumps.
//
// A global batch is cut into n_micro fixed micro-batches. Micro-batch j of a step is filled and computed by rank j mod size; its gradient and loss terms
// go into the exact reduction (mpi/reduce.h), so weights after a step are the same bits for every number of ranks. Each rank updates its slices of the weights
// (mpi/slices.h) and keeps the optimiser's state of these alone. `fill` must be a pure
// function of (step, micro): inputs, noise and permutations keyed by these, nothing kept between calls.
//
// In the folder `out`:
//     <name>.checkpoint.h5   schema "checkpoint" v1: weight/<p>, moment1/<p>, moment2/<p> (Adam), attributes step, steps; the settings and inputs of the run.
//                            A run that finds one with its own settings and inputs continues from it; one with others is refused.
//     <name>.checkpoint-1.h5 the one before, -2 the one before that ...: --keep-checkpoints of them in all. One has three values for each trained
//                            weight (SGD: two), 4 bytes each. What is read is verified by its digest first; a damaged newest one gives way to the one
//                            before it, with a warning, and is removed; where all are damaged, the run is refused.
//     <name>.checkpoint.new.h5  a finished checkpoint on its way into its place: a run that was killed there continues from it
//     <result>               weights, saved by the trainer when all is done; one of another run is refused likewise
//     log.jsonl              a JSON line an interval and a checkpoint: {"phase","step","of","loss","terms":{name: mean since the last line},"rate","seconds"}
//     sheets/<name>-NNNNNN.png  where the job draws some
//
// Numbers that go wrong end the run with DVG_ERROR_NUMERIC before the step counts, the checkpoints of before stay: a gradient or loss term that is no number,
// infinite or beyond the exact sum, by step, micro-batch, name and rank; a weight or momentum that is not finite after the update, by step, name and rank; a loss
// beyond --max-loss, by step and largest term.
//
// --dump-step K FILE (schema "step" v1, K counts from 1): all that is needed to recompute step K elsewhere, before its update:
//     input/<micro>/<name>   each graph input of each micro-batch (f32 (N,C,H,W), or i64 (n))
//     weight/<p>, gradient/<p>   trained parameters before the step, gradient of the total loss over the global batch
//     attributes step, n_micro, term.<name> (mean over the global batch), weight.<name>; and what the job adds (frozen/...)
#ifndef DVG_STAGES_TRAINER_H
#define DVG_STAGES_TRAINER_H

#include "common/nn/graph.h"
#include "common/nn/optimizer.h"
#include "stages/plan.h"
#include "stages/stage.h"

enum dvg_optimizer { DVG_SGD, DVG_ADAM };

enum { DVG_MAX_CHECKPOINTS = 100 };

// Settings that every trainer's struct begins with, and their options. Paths are in each trainer's own table.
struct dvg_train_settings {
  char *out, *dump;
  double max_loss;
  int64_t seed, log_every, sheet_every, checkpoint_every, keep_checkpoints, dump_step, stop_after, plan;
};
#define DVG_TRAIN_OPTIONS(s, m)                                                                                                            \
  DVG_OPTION_PATH(s, m.out, "out", NULL, "folder for weights, log, sheets and checkpoints"),                                               \
      DVG_OPTION_INT(s, m.seed, "seed", "1", 0, 9e15, "seed of all random choices"),                                                       \
      DVG_OPTION_LOCAL_INT(s, m.log_every, "log-every", "50", 1, 9e15, "steps between log lines"),                                         \
      DVG_OPTION_LOCAL_INT(s, m.sheet_every, "sheet-every", "500", 0, 9e15, "steps between sheets of images; 0: only the last"),           \
      DVG_OPTION_LOCAL_INT(s, m.checkpoint_every, "checkpoint-every", "500", 1, 9e15, "steps between checkpoints"),                        \
      DVG_OPTION_LOCAL_INT(s, m.keep_checkpoints, "keep-checkpoints", "2", 1, DVG_MAX_CHECKPOINTS,                                         \
                           "newest checkpoints to keep: a damaged one gives way to the one before"),                                       \
      DVG_OPTION_LOCAL_REAL(s, m.max_loss, "max-loss", "0", 0, 1e30, "end the run when the loss of a step is beyond this; 0: no limit"),  \
      DVG_OPTION_LOCAL_INT(s, m.stop_after, "stop-after", "0", 0, 9e15, "checkpoint and stop (exit 75) after this step; 0: never"),        \
      DVG_OPTION_LOCAL_INT(s, m.dump_step, "dump-step", "0", 0, 9e15, "step to write to --dump, counted from 1; 0: none"),                 \
      DVG_OPTION_LOCAL_FLAG(s, m.plan, "plan", "no", DVG_PLAN_HELP),                                                                       \
      DVG_OPTION_PATH(s, m.dump, "dump", "", "file for --dump-step")

// Longest name of the folder `out`: with the names of the files in it, it fits into buffers of 1024 bytes.
enum { DVG_TRAIN_OUT = 940 };
// Collective. What every trainer begins with: checks these settings and makes the folder `out`, unless there is only a --plan.
DVG_CHECKED enum dvg_status dvg_train_begin(const struct dvg_world *w, const struct dvg_train_settings *set);
// Collective. DVG_ERROR_USAGE for a --dump-step beyond n_steps, those of the longest phase.
DVG_CHECKED enum dvg_status dvg_train_check_dump(const struct dvg_world *w, const struct dvg_train_settings *set, int64_t n_steps);

struct dvg_trainer {
  const struct dvg_world *world;
  const struct dvg_train_settings *settings;
  const struct dvg_lineage *lineage;
  const char *name;         // of this phase: "generator", "phase1"
  const char *result;       // the file in `out` that will hold the weights: "generator.h5"; one of another run is refused
  struct dvg_graph *graph;  // planned for training with `params`
  struct dvg_params *params; // those not frozen must lie side by side in the flat array
  int64_t n_steps, n_micro;
  enum dvg_optimizer optimizer;
  struct dvg_sgd sgd; // rate is overwritten by `rate`
  struct dvg_adam adam;
  const char *apart;  // parameters whose names begin so learn at `apart_rate` times the rate; NULL: none
  double apart_rate;

  void *job;
  double (*rate)(void *job, int64_t step); // learning rate of a step, steps count from 0
  // Not collective: fills the graph's inputs for micro-batch `micro` of `step`.
  enum dvg_status (*fill)(void *job, int64_t step, int64_t micro);
  // Optional. Rank 0 alone, after `step` steps: draws a sheet to `path`. May use the graph.
  enum dvg_status (*sheet)(void *job, int64_t step, const char *path);
  // Optional. Collective, after `step` steps are done: may set *finished to end the training early, with the same value on all ranks.
  enum dvg_status (*after_step)(void *job, int64_t step, int *finished);
  // Optional. Rank 0 alone: adds to a dump.
  enum dvg_status (*dump)(void *job, struct dvg_artifact *a);
};

// Collective. Continues from the checkpoint if there is one, else starts from the present weights; returns when n_steps are done
// (DVG_STOPPED: a signal came, or --stop-after; the checkpoint holds all). `*steps_done` (or NULL) is the number of steps the weights have seen. With --plan
// it tells the plan in place of all this, and takes no step: there is nothing to save.
DVG_CHECKED enum dvg_status dvg_trainer_run(struct dvg_trainer *t, int64_t *steps_done);

// Collective. Makes the weights of rank 0 those of all ranks.
void dvg_params_share(struct dvg_params *p, const struct dvg_world *w);

// Parts of the loop in files of their own (checkpoint.c, dump.c).
struct dvg_train_state {
  int64_t step, first, count; // trained values: [first, first + count) of the flat array
  int finished;
  float *moment1, *moment2; // (count), on rank 0: momentum, or Adam's two; moment2 NULL for SGD
};
// Bytes of a checkpoint's tensors.
int64_t dvg_checkpoint_bytes(const struct dvg_trainer *t, const struct dvg_train_state *s);
// Rank 0 alone.
DVG_CHECKED enum dvg_status dvg_checkpoint_save(const struct dvg_trainer *t, const struct dvg_train_state *s);
// Collective. The newest one that is whole; *found = 0 when there is none at all. Reads on rank 0, hands all but the moments to all.
DVG_CHECKED enum dvg_status dvg_checkpoint_load(const struct dvg_trainer *t, struct dvg_train_state *s, int *found);
// Rank 0 alone. DVG_ERROR_INPUT when a result of another run (other settings or inputs) is at `path`: it is not to be overwritten.
DVG_CHECKED enum dvg_status dvg_result_check(const struct dvg_trainer *t, const char *path);
// Rank 0 alone. Writes all named tensors of the flat array `values`, of which [first, first+count) is given, as <group>/<name>.
DVG_CHECKED enum dvg_status dvg_write_tensors(struct dvg_artifact *a, const char *group, const struct dvg_params *p, const float *values,
                                              int64_t first, int64_t count);
DVG_CHECKED enum dvg_status dvg_dump_step(const struct dvg_trainer *t, const struct dvg_train_state *s, const float *gradient,
                                          const double *terms);

#endif
