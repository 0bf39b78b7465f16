# The smallest pipeline that has all stages, and what must come out of it, for the tests of jobs/. Sourced after lib.sh.
# shellcheck shell=bash disable=SC2154 # lib.sh sets build

# toy_config FILE OUT LINES...: of two values for a key the last one counts.
toy_config() {
  cat >"$1" <<END
out = $2
programs = "$build/bin"   # a comment
ranks = 2
size = 32
width = 0.125
visible_with = render
visible_options = --people 8 --images 2 --domains VIS --size 36
pairs_with = render
pairs_options = --people 3 --images 2 --first-person 1000 --size 36
test_with = render
test_options = --people 4 --images 2 --first-person 2000 --size 36
per_shard = 4
pretrain_options = --steps 2 --batch 4 --micro-batch 2
train_sampler_options = --epochs 1 --batch 8 --micro-batch 4
train_generator_options = --steps 1 --batch 2 --micro-batch 2
train_recognizer_options = --head-epochs 1 --head-batch 4 --batch 2 --generated 2 --micro-batch 2 --steps 1
slurm_launcher = mpirun --oversubscribe --bind-to none
END
  printf '%s\n' "${@:3}" >>"$1"
}

# same_results FOLDER FOLDER: all that the pipeline made in both, but logs and what depends on time.
same_results() {
  local f
  for f in recognizer-visible/recognizer.h5 features sampler/sampler.h5 generator/generator.h5 generated recognizer/recognizer.h5; do
    check "$2: the same $f" diff -r "$1/$f" "$2/$f"
  done
}

# pretraining FOLDER STEPS LINES...: that one stage in FOLDER.conf, on the images of plain/, with this many steps and a checkpoint now and then.
pretraining() {
  toy_config "$1.conf" "$1" "visible_with =" "visible = plain/visible.h5" \
    "pretrain_options = --steps $2 --batch 8 --micro-batch 4 --checkpoint-every 200" "${@:3}"
}
