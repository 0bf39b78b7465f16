#!/bin/bash
# The pipeline on two hosts with mpirun over ssh: as it should go, and with the cable cut in the middle of a training. What comes out is what this
# machine alone gives, byte by byte.
# limit: 600 seconds; takes: 100 seconds
# shellcheck disable=SC2154 # lib.sh and hosts.sh set build, scratch, output, run_limit, net, why
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/../stages/lib.sh"
# shellcheck source=tests/stages/lib_jobs.sh
. "$(dirname "$0")/../stages/lib_jobs.sh"
# shellcheck source=tests/hosts/hosts.sh
. "$(dirname "$0")/hosts.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$scratch" || exit 1
unset SLURM_JOB_ID SLURM_NTASKS SLURM_RESTART_COUNT SLURM_SUBMIT_DIR
for name in time intvl probes; do unset "OMPI_MCA_oob_tcp_keepalive_$name"; done # what jobs/ say is what counts
silence=60 # seconds of it that end a job, by jobs/common.sh
enough=15  # more until the last process has seen it

trap 'hosts_stop; rm -rf "$scratch"' EXIT
if ! hosts_start; then
  skip "the pipeline on two hosts: they can't be made here: $why"
  summary
fi

spread="launcher = mpirun --hostfile $net/hostfile --bind-to none"
pipeline() { timeout -k 5 $((run_limit * 3)) "$root/jobs/pipeline" "$@"; }
# Through a shell of that host, or its name would be the machine's.
pipeline_on() { timeout -k 5 $((run_limit * 3)) nsenter -t "${holder[$1]}" -n -u -m --wd="$scratch" "$root/jobs/pipeline" "${@:2}"; }

# ---- as it should go

toy_config plain.conf plain "count = 30"
check "on this machine" pipeline plain.conf
toy_config both.conf both "count = 30" "ranks = 4" "$spread"
before=$(received two)
check "on two hosts" pipeline_on one both.conf
says "with ranks on both" '^4 ranks on 2 hosts'
size=$(stat -c %s both/recognizer-visible/recognizer.h5)
check "which talk to each other over the cable" test $(($(received two) - before)) -gt "$size" # the gradients of each step alone are more
same_results plain both
is "no process is left" "$(on_hosts "$scratch/both")" ""

# ---- the cable is cut

weights=recognizer-visible/recognizer.h5
pretraining cut 1000 "ranks = 4" "$spread"
left() { on_hosts "dvg-train-recognizer.*--out cut/"; } # mpirun too
pipeline_on one cut.conf pretrain >cut.out 2>cut.err &
job=$! tries=0
until [ -e cut/recognizer-visible/pretrain.checkpoint.h5 ] || [ $tries -ge $((run_limit * 20)) ]; do
  sleep 0.05
  tries=$((tries + 1))
done
is "mpirun and its ranks are at work" "$(left | wc -l)" 5
cable cut
start=$SECONDS
while kill -0 $job 2>/dev/null || [ -n "$(left)" ]; do
  [ $((SECONDS - start)) -lt $((silence * 2)) ] || break
  sleep 0.2
done
ended=$((SECONDS - start))
is "a cut cable: no process is left on either host" "$(left)" ""
if [ $ended -le $((silence + enough)) ]; then report good
else report bad "a cut cable ends the job in the time stated" "$ended s"; fi
wait $job
is "mpirun's exit code for a lost host" $? 205
check "the job says so" grep -q '^== pretrain: a host was lost, or the way to it; the same command continues' cut.err
absent "no half result" cut/$weights
echo "a cut cable ended the job on both hosts in $ended s"
check "the cable, mended" cable mended
check "the same command" pipeline_on one cut.conf pretrain
says "continues" 'pretrain: continuing after step [1-9][0-9]* of 1000'
pretraining whole 1000
check "never cut, on this machine" pipeline whole.conf pretrain
check "the same weights" cmp whole/$weights cut/$weights

# ---- a host that can't be reached

rm cut/steps/pretrain
cable cut
expect_unreached() {
  pipeline_on one cut.conf pretrain >"$output" 2>"$output.err"
  is "a host that can't be reached ends the job" $? 255
  says "and is named" "ssh: connect to host ${address[two]} port 22: "
  says "with the stage" '^== pretrain: failed, exit code 255'
}
expect_unreached
check "the cable, mended" cable mended
check "when it can be, the same command" pipeline_on one cut.conf pretrain
says "finds all done" 'pretrain: continuing after step 1000 of 1000$'
summary
