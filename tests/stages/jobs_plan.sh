#!/bin/bash
# jobs/plan: its counts, files and bytes against a pipeline that was really run; how it counts images; what it notes and submits. Its times are no matter here.
# limit: 400 seconds; takes: 70 seconds
# shellcheck disable=SC2154 # lib.sh sets build, scratch, output, run_limit
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/stages/lib_jobs.sh
. "$(dirname "$0")/lib_jobs.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$scratch" || exit 1
unset SLURM_JOB_ID SLURM_NTASKS

plan() { timeout -k 5 $((run_limit * 4)) "$root/jobs/plan" --seconds 1 --tsv plan.tsv "$@"; }
planned() { awk -F'\t' -v p="$1" -v c="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == c) k = i } $2 == p { print $k }' plan.tsv; }
lines() { grep -cE -- "$1" "$output"; }

toy_config toy.conf run "count = 30" "ranks_per_node = 2" "time = 02:00:00" "extract_options = --per-shard 3" "generate_tasks = 2" \
  "pretrain_options = --epochs 3 --batch 4 --micro-batch 2 --checkpoint-every 5 --sheet-every 4" \
  "train_generator_options = --epochs 2 --batch 4 --micro-batch 2" \
  "train_recognizer_options = --head-epochs 2 --head-batch 4 --batch 2 --generated 4 --real-pairs 0.5 --micro-batch 2 --epochs 1 --optimizer adam"
expect_fail "no configuration" 2 "usage: jobs/plan" plan
expect_fail "unknown option" 2 "usage: jobs/plan" plan --fast toy.conf
expect_fail "no seconds" 2 "not a positive number" "$root/jobs/plan" --seconds 0 toy.conf

check "plan" plan toy.conf
n_files=$(sed -n 's/^all .* in \([0-9]*\) files$/\1/p' "$output")
absent "it leaves nothing" run
is "a line a stage and phase" "$(wc -l <plan.tsv)" 10
is "each with a time" "$(awk -F'\t' 'NR > 1 && $5 > 0' plan.tsv | wc -l)" 9
is "more ranks than micro-batches are noted" "$(lines '^note: train-recognizer: a step has 1 micro-batches, so 1 of 2 ranks wait')" 1
is "a job a stage, and an array, with the times" "$(lines '=dvg-.* --time=00:05:00 .*\.sbatch toy\.conf')" 9
check "the pipeline" timeout -k 5 $((run_limit * 3)) "$root/jobs/pipeline" toy.conf

for phase in pretrain sampler generator phase1 phase2; do
  steps=$(cat run/*/log.jsonl | sed -nE "s/.*\"phase\":\"$phase\",.*\"of\":([0-9]+),.*/\1/p" | tail -n 1)
  case $phase in sampler | generator) phase=train-$phase ;; esac
  is "steps of $phase" "$(planned $phase n)" "$steps"
done
is "images" "$(planned prepare n)" $((8 * 2 + 2 * 3 * 2 + 2 * 4 * 2))
is "features" "$(planned extract n)" 16
is "pairs" "$(planned generate n)" 30

# stage PHASES FILES...: how many files, and their size within a tenth; the last file is the record of the command.
stage() {
  local phases=$1 p files=0 bytes=0 there
  shift
  for p in $phases; do files=$((files + $(planned "$p" files | grep . || echo 0))) bytes=$((bytes + $(planned "$p" bytes | grep . || echo 0))); done
  is "$phases: files" "$files" "$(find "$@" -type f | wc -l)"
  there=$(find "$@" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
  if awk -v a="$bytes" -v b="$there" 'BEGIN { exit !(a > 0.9 * b && a < 1.1 * b) }'; then report good
  else report bad "$phases: bytes" "planned $bytes, there are $there"; fi
}
stage prepare run/*.h5 run/steps/prepare-*
stage pretrain run/recognizer-visible run/steps/pretrain
stage train-sampler run/sampler run/steps/train-sampler
stage train-generator run/generator run/steps/train-generator
stage generate run/generated run/steps/generate
stage "phase1 phase2" run/recognizer run/steps/train-recognizer
is "extract: files" "$(planned extract files)" "$(find run/features run/steps/extract -type f | wc -l)"
is "evaluate: files" "$(planned evaluate files)" "$(find run/evaluation-* run/steps/evaluate-* -type f | wc -l)"
is "all files, with the log" "$(awk -F'\t' '{ n += $7 } END { print n + 1 }' plan.tsv)/$n_files" "$(find run -type f | wc -l)/$(find run -type f | wc -l)"

# Images of one's own: counted in lists and folders, under names of one's own; and less to do.
check "a folder of them" "$build/bin/dvg-inspect" run/pairs.h5 --export folder --out own
mv own/VIS own/PHOTO && mv own/NIR own/INK
printf '%s\n' "# path identity" "" "a.png ann VIS" "b.png ann NIR" "c.png bob VIS" >list.txt
photo=$(find own/PHOTO -name '*.png' | head -n 1)
printf '%s\t%s\n' path identity "$photo" ann "$PWD/$photo" bob >list.tsv
toy_config own.conf other "visible_with =" "visible = list.txt" "pairs_with =" "pairs = own" "pairs_options = --domains PHOTO,INK" "test_with =" "test_options =" "test = list.tsv" \
  "domain = INK" "visible_domain = PHOTO" "sampler = run/sampler/sampler.h5" "recognizer = run/recognizer-visible/recognizer.h5" "time = 0:00:01" \
  "ranks_per_node = 1" "ranks = 1"
check "plan" plan own.conf
is "images that are needed: of the folder and the TSV, prepared here" "$(planned prepare n)" $((12 + 2))
is "stages that are needed" "$(cut -f 1 plan.tsv | sort -u | tr '\n' ' ')" "evaluate generate prepare stage train-generator train-recognizer "
is "what takes longer than a job may" "$(lines '^  # .* stopped and requeued after 0:00:01 each')" 5
echo "$photo.png	cid" >>list.tsv
plan own.conf >"$output" 2>"$output.err"
is "an image of the list that is not there" $? 2
says "is named" "plan: error: .*$photo\.png"
summary
