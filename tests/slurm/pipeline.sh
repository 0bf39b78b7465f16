#!/bin/bash
# The pipeline on a real Slurm of two nodes: as it should go, out of time, with either node dying, with array tasks that fail or are killed. What
# comes out is what mpirun alone gives, byte by byte.
# DVG_SLURM_CASES: of the cases normal, time, node, other_node, task_fails and task_killed only these.
# limit: 1100 seconds; takes: 450 seconds
# shellcheck disable=SC2154,SC2317 # lib.sh sets build, scratch, output, run_limit; cases are called by their names
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/../stages/lib.sh"
# shellcheck source=tests/stages/lib_jobs.sh
. "$(dirname "$0")/../stages/lib_jobs.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "$0")/cluster.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$scratch" || exit 1
unset SLURM_JOB_ID SLURM_NTASKS SLURM_RESTART_COUNT SLURM_SUBMIT_DIR

for program in slurmctld slurmd munged sbatch; do
  command -v $program >/dev/null && continue
  skip "the pipeline on Slurm: no $program here (apt-get install slurm-wlm munge)"
  summary
done
trap 'cluster_stop; rm -rf "$scratch"' EXIT
if ! cluster_start; then
  skip "the pipeline on Slurm: it can't be started here: $(tail -qn 1 "$cluster"/*.out | tr '\n' ' ')"
  summary
fi

all_cases="normal time node other_node task_fails task_killed"
cases=${DVG_SLURM_CASES:-$all_cases}
for name in $cases; do
  [[ " $all_cases " == *" $name "* ]] || { echo "DVG_SLURM_CASES: no case $name; there are: $all_cases" >&2 && exit 2; }
done

toy_config plain.conf plain "count = 30" "extract_options = --per-shard 3" "extract_tasks = 2" "generate_tasks = 3" "nodes = 2" \
  "ranks_per_node = 1" "time = 20" "memory_per_rank = 500M"
slurm() { # folder, further lines: a configuration of its own
  sed "s/^out = .*/out = $1/" plain.conf >"$1.conf"
  printf '%s\n' "${@:2}" >>"$1.conf"
}
submit() { timeout -k 5 "$run_limit" "$root/jobs/slurm/submit" "$@"; }
job_of() { sed -n "s/^$1: job \([0-9]*\).*/\1/p" "$output" | tail -n 1; }
check "with mpirun" timeout -k 5 $((run_limit * 3)) "$root/jobs/pipeline" plain.conf

case_normal() { # as it should go
  slurm normal
  check "submit" submit normal.conf
  is "its jobs" "$(wc -l <"$output" | tr -d ' ')" 10
  last=$(job_of evaluate)
  wait_for "all jobs end" 150 no_jobs
  is "the last one" "$(state_of "$last")" "COMPLETED "
  check "on both nodes" grep -q "^NodeList=n\[1-2\]\|NodeList=n\[1-2\]" <(scontrol show job "$last")
  same_results plain normal
}

# ---- out of time, and a node that dies: one long stage

weights=recognizer-visible/recognizer.h5
alone() { # folder, options: that stage as a job of its own
  DVG_ROOT=$root timeout -k 5 "$run_limit" sbatch --parsable --nodes=2 --ntasks-per-node=1 --mem-per-cpu=500M "${@:2}" --output="$1.log" \
    "$root/jobs/slurm/pretrain.sbatch" "$1.conf"
}
# is_done NAME FOLDER STEPS: $job is, was continued from a checkpoint, and has the weights of mpirun alone.
is_done() {
  wait_for "$1: is done in the end" 300 no_jobs
  is "$1: ended well" "$(state_of "$job")" "COMPLETED "
  check "$1: went on from a checkpoint" grep -q "continuing after step [1-9][0-9]* of" "$2.log"
  pretraining "whole_$3" "$3"
  check "$1: with mpirun" timeout -k 5 $((run_limit * 5)) "$root/jobs/pipeline" "whole_$3.conf" pretrain
  check "$1: the same weights" cmp "whole_$3/$weights" "$2/$weights"
}

case_time() {
  # The controller looks at the time left every 30 seconds: the stage must take longer than that, also when whatever keeps this machine busy
  # has ended. So 45 seconds by its ranks' processor time, but on a very busy one no more than 150 as things are.
  local enough=500 TIMEFORMAT='%R %U %S'
  pretraining whole_$enough $enough
  { time check "how fast it is here" timeout -k 5 $((run_limit * 5)) "$root/jobs/pipeline" whole_$enough.conf pretrain; } 2>took
  n_late=$(awk -v steps=$enough '{ quiet = steps * 45 / (($2 + $3) / 2); now = steps * 150 / $1; print int(quiet < now ? quiet : now) }' took)
  pretraining late $n_late
  check "submit one with too little time" alone late --time=1 --signal=B:USR1@58
  job=$(cat "$output")
  wait_for "it is out of time, and goes back into the queue" 120 requeued "$job"
  check "it has more time from here on" scontrol update JobId="$job" TimeLimit=20
  is_done "out of time" late $n_late
  check "it had stopped at a step" grep -q "stopped after step [0-9]* of $n_late" late.log
}

# dies NODE FOLDER: that node is lost as soon as the job has saved something, and comes back after the job was requeued.
dies() {
  pretraining "$2" 1500
  check "submit one whose $1 dies" alone "$2" --time=20
  job=$(cat "$output")
  wait_for "it has saved something" 60 test -e "$2/recognizer-visible/pretrain.checkpoint.h5"
  kill_node "$1" "$job"
  wait_for "it goes back into the queue" 60 requeued "$job"
  node "$1"
}
case_node() {
  dies n1 shell # where the job's shell is: Slurm finds out and requeues
  is_done "a node that died" shell 1500
}
case_other_node() {
  dies n2 other # the shell lives, mpirun tells it: it must requeue by itself, or the job has failed
  is_done "a node without the job's shell died" other 1500
  check "it was told by mpirun" grep -q '^== pretrain: a host was lost' other.log
}

case_task_fails() { # one of an array
  slurm broken
  mkdir -p broken/generated/shard-000001.h5 # a folder where part 2 wants its file
  check "submit one that will fail" submit broken.conf
  first=$(grep '^generate: job' "$output" | head -n 1 | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  wait_for "it ends" 150 no_jobs
  is "one task failed, the others did not" "$(state_of "$first")" "COMPLETED FAILED "
  absent "nothing after it" broken/generated/index.h5 broken/recognizer
  check "the other parts are there" test -f broken/generated/shard-000000.h5 -a -f broken/generated/shard-000002.h5
  rmdir broken/generated/shard-000001.h5
  check "submit again" submit broken.conf
  wait_for "and it ends" 150 no_jobs
  same_results plain broken
}

# ---- an array task that is killed, as by a lack of memory

lent() { # folder: generation alone, with the models of plain/, long enough to be hit
  toy_config "$1.conf" "$1" "recognizer = plain/recognizer-visible/recognizer.h5" "sampler = plain/sampler/sampler.h5" \
    "generator = plain/generator/generator.h5" "pairs_with =" "pairs = plain/pairs.h5" "test_with =" "count = 3000" "per_shard = 20"
}
tasks() { # folder, options
  DVG_ROOT=$root DVG_TASKS=3 timeout -k 5 "$run_limit" sbatch --parsable --ntasks=1 --mem-per-cpu=500M --output="$1-%a.log" "${@:2}" \
    "$root/jobs/slurm/generate.sbatch" "$1.conf"
}
case_task_killed() {
  lent whole_set
  lent killed
  check "an array" tasks killed --array=1-3
  job=$(cat "$output")
  wait_for "a task has a shard" 60 test -e killed/generated/shard-000001.h5
  check "its program is killed" pkill -KILL -f "^$build/bin/dvg-generate .*--out killed/generated .*--part 2/3"
  wait_for "all tasks end" 120 no_jobs
  is "the others are whole" "$(state_of "$job")" "COMPLETED FAILED "
  check "the killed one again" scontrol requeue "${job}_2"
  wait_for "ends" 120 no_jobs
  is "well" "$(state_of "$job")" "COMPLETED "
  check "with what was there" grep -q "[1-9][0-9]* of 50 shards are there already" killed-2.log
  check "then the index" tasks killed
  wait_for "which ends" 120 no_jobs
  check "the same set with mpirun" timeout -k 5 $((run_limit * 3)) "$root/jobs/pipeline" whole_set.conf generate
  check "the same bytes" diff -r whole_set/generated killed/generated
}

for name in $all_cases; do
  if [[ " $cases " == *" $name "* ]]; then "case_$name"
  else skip "case $name: not in DVG_SLURM_CASES"; fi
done
summary
