#!/bin/bash
# jobs/: what the scripts refuse, the commands they print, a tiny pipeline from end to end, and a job that Slurm stops (sbatch and
# scontrol are played by scripts of ours).
# limit: 240 seconds; takes: 35 seconds
# shellcheck disable=SC2154 # lib.sh sets build, scratch, output, run_limit
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/stages/lib_jobs.sh
. "$(dirname "$0")/lib_jobs.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$scratch" || exit 1
unset SLURM_JOB_ID SLURM_NTASKS SLURM_RESTART_COUNT SLURM_SUBMIT_DIR

pipeline() { timeout -k 5 $((run_limit * 3)) "$root/jobs/pipeline" "$@"; }
submit() { timeout -k 5 "$run_limit" "$root/jobs/slurm/submit" "$@"; }
lines() { grep -cE -- "$1" "$output"; } # of the last command's output

for script in "$root"/jobs/*.sh "$root"/jobs/{pipeline,plan,quick-start,toy-seeds,ablations,real-faces,table} "$root"/jobs/slurm/*; do
  check "${script##*/} is bash" bash -n "$script"
done

toy_config toy.conf run "count = 10" "ranks_per_node = 4" "partition = cpu" "generate_nodes = 3"
with() { # name, lines to add to the toy configuration; the last of two values counts
  cp toy.conf "$1"
  printf '%s\n' "${@:2}" >>"$1"
}

# ---- what is refused

with bad.conf "cuont = 3"
expect_fail "unknown key" 2 "bad.conf:[0-9]+: unknown key cuont" pipeline bad.conf
with bad.conf "nonsense"
expect_fail "no key" 2 "bad.conf:[0-9]+: no 'key = value': nonsense" pipeline bad.conf
with bad.conf "count = many"
expect_fail "bad number" 2 "count = many" pipeline bad.conf
with bad.conf "visible_with = paint"
expect_fail "unknown way to images" 2 "visible_with = paint" pipeline --dry-run bad.conf
with bad.conf "pairs_with =" "pairs = none.txt"
expect_fail "no such list" 2 "pairs = none.txt: no such" submit --dry-run bad.conf
with bad.conf "sampler = none.h5"
expect_fail "no such weights" 2 "sampler = none.h5" pipeline --dry-run bad.conf
with bad.conf "programs = ."
expect_fail "no programs" 2 "dvg-prepare" pipeline bad.conf
with bad.conf "ranks_per_node ="
expect_fail "no ranks" 2 "ranks_per_node" submit --dry-run bad.conf
with bad.conf "generate_tasks = 0"
expect_fail "no tasks" 2 "generate_tasks = 0: not a positive number" submit --dry-run bad.conf
expect_fail "unknown stage" 2 "unknown stage paint" pipeline toy.conf paint
expect_fail "unknown option" 2 "unknown option --dry" pipeline --dry toy.conf
expect_fail "no configuration" 2 "usage" pipeline
expect_fail "no such configuration" 2 "none.conf" pipeline none.conf
absent "nothing was begun" run

# ---- dry runs

check "dry run" pipeline --dry-run toy.conf
is "its commands" "$(lines '^mpirun --oversubscribe --bind-to none -n 2 /.*/dvg-[a-z-]+ .*--')" 11
says "generates" "dvg-generate --generator run/generator/generator.h5 .* --domain NIR --visible VIS --count 10 --per-shard 4"
check "one stage" pipeline --dry-run toy.conf extract
is "one command" "$(wc -l <"$output" | tr -d ' ')" 1
touch weights.h5 list.txt
with own.conf "recognizer = weights.h5" "sampler = weights.h5" "generator = weights.h5" "pairs_with = align" "pairs = list.txt" \
  "pairs_options =" "test_with =" "test = weights.h5"
check "own images and weights" pipeline --dry-run own.conf
is "leave little to do" "$(lines .)" 5
says "align a list" "dvg-prepare align --out run/pairs.h5 --list list.txt$"
says "test on an images file" "dvg-evaluate .*--images weights.h5"
sed 's|= lists/.*|= list.txt|; s|^# programs.*|programs = '"$build/bin"'|' "$root/jobs/pipeline.conf" >published.conf
check "the configuration in jobs/ is sound" pipeline --dry-run published.conf
is "and complete" "$(lines dvg-)" 11
check "Slurm, dry" submit --dry-run toy.conf
is "a job a stage" "$(lines 'sbatch --parsable .*--partition=cpu .*--ntasks-per-node=4 .*\.sbatch toy\.conf')" 8
is "each after the one before" "$(lines '--kill-on-invalid-dep=yes --dependency=afterok:')" 7
is "nodes of its own" "$(lines '=dvg-generate .*--nodes=3 ')" 1
with array.conf "generate_tasks = 3"
check "an array, dry" submit --dry-run array.conf
is "its jobs: the tasks, then the index" "$(lines '=dvg-generate .*/generate.sbatch')" 2
is "the tasks" "$(lines '=dvg-generate --array=1-3 .*%x-%A-%a.log .*DVG_TASKS=3 ')" 1
is "each after the one before it" "$(lines '--kill-on-invalid-dep=yes --dependency=afterok:')" 8
absent "dry runs leave nothing" run

# ---- the whole pipeline

check "pipeline" pipeline toy.conf
is "its steps" "$(lines '^== .*: done in ')" 11
sort "$output" "$output.err" >said
check "its log has what it said" diff said <(sort run/log)
check "the log tells the report how many ranks" "$build/bin/dvg-inspect" --report run.html run
is "which says so of all stages but evaluations" "$(grep -o '<span class="ranks n">2<' run.html | wc -l)" 9
check "pairs" test -e run/generated/shard-000002.h5
check "an evaluation" test -s run/evaluation-after/metrics.json
check "again" pipeline toy.conf
is "skips all" "$(lines '^== .*: there already: ')/$(lines .)" 11/11
rm run/generated/shard-000001.h5 run/generated/index.h5
check "continues" pipeline toy.conf generate
says "with what is missing" "2 of 3 shards are there already"
check "what follows is asked" pipeline toy.conf train-recognizer
is "since its input is new" "$(lines '^== .*: there already: ')" 0
with other.conf "per_shard = 5"
expect_fail "other settings are refused" 3 "run/generated|shard" pipeline other.conf generate

# ---- Slurm

mkdir fake
cat >fake/sbatch <<'END'
#!/bin/bash
echo "$*" >>sbatch.log
echo "$(wc -l <sbatch.log);cluster"
END
cat >fake/scontrol <<'END'
#!/bin/bash
echo "$*" >>scontrol.log
END
chmod +x fake/*
export PATH=$scratch/fake:$PATH
check "submit" submit toy.conf
says "numbers" "^evaluate: job 8$"
is "the chain" "$(grep -oE 'afterok:.*' sbatch.log | cut -d ' ' -f 1 | tr '\n' ' ')" \
  "afterok:1 afterok:2 afterok:3 afterok:4 afterok:5 afterok:6 afterok:7 "
check "a folder for logs" test -d run/slurm

# One configuration in two folders: undisturbed, and stopped once.
long="--steps 60 --checkpoint-every 1 --batch 4 --micro-batch 2 --optimizer adam --rate 0.001"
with whole.conf "out = whole" "visible_with =" "visible = run/visible.h5" "pretrain_options = $long"
sed 's/whole$/stopped/' whole.conf >stopped.conf
check "undisturbed" pipeline whole.conf pretrain
slurm_job() { # restarts
  SLURM_JOB_ID=77 SLURM_NTASKS=$((2 + $1)) SLURM_RESTART_COUNT=$1 DVG_ROOT=$root \
    timeout -k 5 "$run_limit" bash "$root/jobs/slurm/pretrain.sbatch" stopped.conf
}
SLURM_JOB_ID=77 SLURM_NTASKS=2 DVG_ROOT=$root bash "$root/jobs/slurm/pretrain.sbatch" stopped.conf >"$output" 2>"$output.err" </dev/null &
job=$! tries=0
while [ ! -e stopped/recognizer-visible/pretrain.checkpoint.h5 ] && [ $tries -lt $((run_limit * 20)) ]; do
  sleep 0.05
  tries=$((tries + 1))
done
kill -USR1 $job
wait $job
is "stopped: exit code" $? 75
says "at a step" "stopped after step [0-9]+ of 60; the same command continues"
says "is told" "== back into the queue"
is "requeued" "$(cat scontrol.log)" "requeue 77"
check "the job again, on 3 ranks" slurm_job 1
says "continues" "pretrain: continuing after step [1-9][0-9]* of 60"
check "the same weights" cmp whole/recognizer-visible/recognizer.h5 stopped/recognizer-visible/recognizer.h5
check "and again" slurm_job 2
says "skips" "== pretrain: there already"
is "no more requeued" "$(wc -l <scontrol.log | tr -d ' ')" 1
# shellcheck disable=SC2016 # the script expands it
printf '#!/bin/sh\nexit ${code_of_mpirun}\n' >fake/unlucky && chmod +x fake/unlucky
sed "s/^out = .*/out = unlucky/" whole.conf >unlucky.conf
echo "slurm_launcher = unlucky" >>unlucky.conf
unlucky() { # code
  SLURM_JOB_ID=80 SLURM_NTASKS=2 code_of_mpirun=$1 DVG_ROOT=$root bash "$root/jobs/slurm/pretrain.sbatch" unlucky.conf >"$output" 2>"$output.err"
}
unlucky 205
is "a host that is lost: exit code" $? 205
says "is said" "^== pretrain: a host was lost, or the way to it; the same command continues"
is "requeued" "$(tail -n 1 scontrol.log)" "requeue 80"
unlucky 137
is "a program that is killed: exit code" $? 137
is "not requeued" "$(wc -l <scontrol.log | tr -d ' ')" 2
rm run/generated/shard-00000[12].h5 run/generated/index.h5
task() { # number
  SLURM_JOB_ID=79 SLURM_ARRAY_JOB_ID=78 SLURM_ARRAY_TASK_ID=$1 SLURM_NTASKS=2 DVG_ROOT=$root DVG_TASKS=3 \
    timeout -k 5 "$run_limit" bash "$root/jobs/slurm/generate.sbatch" toy.conf
}
check "a task of an array" task 2
says "makes its part" "part 2 of 3 is done, 1 shards"
is "and no other" "$(ls run/generated)" "$(printf '%s\n' request.h5 shard-000000.h5 shard-000001.h5)"
check "and again" task 2
says "finds it" "1 of 1 shards are there already"

# ---- the quick start, as small as it gets, and its table

quick() { timeout -k 5 $((run_limit * 3)) "$root/jobs/quick-start" "$build" "$@"; }
export PEOPLE=3 FEW=8 PRETRAIN_EPOCHS=1 SAMPLER_EPOCHS=1 GENERATOR_STEPS=1 PAIRS=8 TUNE_STEPS=1
check "quick start" quick demo
says "its table" "^fine-tuned with generated pairs too +[0-9]+\.[0-9]+ +[0-9]+\.[0-9]+ +[0-9]+\.[0-9]+ *$"
for f in demo/pairs.png demo/few.png demo/generator/sheets/generator-000001.png demo/evaluation-pairs/roc.png; do
  is "$f" "$(head -c 4 $f | tail -c 3)" PNG
done
PEOPLE=x quick failed >"$output" 2>"$output.err"
is "a stage that fails ends the quick start" $? 2
says "and says why" '--people: "x" is not a whole number'
absent "and goes no further" failed/few.h5
for kind in visible real pairs; do
  mkdir -p one/evaluation-$kind two/evaluation-$kind
  echo '{"rank_1":0.5,"tar":{"0.01":0.25,"0.001":0.125}}' >one/evaluation-$kind/metrics.json
  echo '{"rank_1":0.6,"tar":{"0.01":0.35,"0.001":null}}' >two/evaluation-$kind/metrics.json
done
check "table of one run" "$root/jobs/table" one
says "its figures" "^pre-trained on visible light alone +50\.00 +25\.00 +12\.50 *$"
check "table of two" "$root/jobs/table" one two # 50 and 60: mean 55, deviation sqrt(2 * 5^2 / 1) = 7.07
says "mean, deviation and what can't be had" "^pre-trained on visible light alone +55\.00 \+- +7\.07 +30\.00 \+- +7\.07 +n/a *$"
against() { echo "{\"rank_1\":0.5,\"tar\":{\"0.01\":0.25,\"0.001\":0.125},\"against\":{\"name\":\"real\",\"tar_at_far\":{\"0.01\":{\"difference\":$1,\"low\":-0.01,\"high\":0.03,\"p\":$2},\"0.001\":{\"difference\":null,\"low\":null,\"high\":null,\"p\":null}}}}"; }
against 0.02 0.25 >one/evaluation-pairs/metrics.json
against 0.01 0.5 >two/evaluation-pairs/metrics.json
check "table of what changed" "$root/jobs/table" one two # 2 and 1 points: mean 1.5, deviation sqrt(2 * 0.5^2 / 1) = 0.71
says "mean, and each with interval and p" "^fine-tuned with generated pairs too +1\.50 \+- +0\.71 +\+2\.0 \[-1\.0, \+3\.0\] p 0\.250 +\+1\.0 \[-1\.0, \+3\.0\] p 0\.500 *$"
is "where it is known" "$(grep -c '^change of TAR' "$output")" 1
mkdir -p gains/pairs
echo '{"rank_1":{"each":[0,1],"mean":{"difference":0.5,"low":0.4,"high":0.6,"p":0.9}},"tar_at_far":{"0.01":{"each":[0.02,0.01],"mean":{"difference":0.015,"low":-0.005,"high":0.02,"p":0.125}}}}' >gains/pairs/mean.json
check "table with the mean's interval" "$root/jobs/table" --gains gains one two
says "its interval and p" "^fine-tuned with generated pairs too +1\.50 \+- +0\.71 \[-0\.5, \+2\.0\] p 0\.125 +\+2\.0 \[-1\.0, \+3\.0\] p 0\.250 +\+1\.0 "
printf 'real:one\npairs:the other\n' >rows
check "table of other rows" "$root/jobs/table" --rows rows one
says "its figures" "^the other +50\.00 +25\.00 +12\.50 *$"
if grep -q pre-trained "$output"; then report bad "table of other rows" "has the usual ones"; else report good; fi

# Ablations of that quick start: it is not made again, nor is what the first round has finished.
ablations() { timeout -k 5 $((run_limit * 3)) "$root/jobs/ablations" "$build" ablations 1; }
mkdir ablations && cp -r demo ablations/seed-1
export VARIANTS="paper pull below-1" COUNTS= BELOW=1
check "ablations" ablations
says "its table" "^pull only \(DVG 2019\) +[0-9]+\.[0-9]+ +[0-9]+\.[0-9]+ +[0-9]+\.[0-9]+ *$"
is "what they gain" "$(cd ablations/gains && ls */mean.json | tr '\n' ' ')" "below-1/mean.json pairs/mean.json paper/mean.json pull/mean.json "
is "its rows" "$(cut -d: -f1 ablations/rows | tr '\n' ' ')" "visible real pairs paper pull below-1 "
is "made for the paper's way" "$(ls -d ablations/seed-1/*-paper | tr '\n' ' ')" \
  "ablations/seed-1/evaluation-paper ablations/seed-1/generator-paper ablations/seed-1/pairs-paper ablations/seed-1/recognizer-paper "
check "and again" ablations
is "makes nothing again" "$(grep -cE 'render|dvg-train' "$output")" 0
VARIANTS=nonsense expect_fail "an unknown row" 2 "VARIANTS: no row nonsense" ablations
expect_fail "table of an unfinished run" 1 "nothing/evaluation-visible/metrics.json: not there" "$root/jobs/table" nothing
summary
