#!/bin/bash
# dvg-train-sampler: the same bits for any number of ranks and after any interruption; its log, sheets and dumps; what is refused.
# limit: 420 seconds; takes: 70 seconds
. "$(dirname "$0")/lib_train.sh"
files="sampler.h5 sampler.checkpoint.h5"

# Two steps give a recogniser weights made from data: its features differ between people.
check "images" run 0 dvg-prepare render --people 7 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 dvg-train-recognizer --pretrain --images toy.h5 --size 32 --width 0.05 --batch 4 --micro-batch 4 --steps 2 --out f
check "features" run 0 dvg-extract --images toy.h5 --weights f/recognizer.h5 --per-shard 10 --out features

# 28 features in steps of 9 in 3 micro-batches: the last step of an epoch takes from the next one, and a fourth rank has no work.
settings="--features features --width 0.05 --batch 9 --micro-batch 3 --epochs 6 --kl-warmup 2 --spread-tolerance 0 --log-every 5 --sheet-every 9"
# shellcheck disable=SC2086 # words
train() { run "$1" dvg-train-sampler $settings --out "$2" "${@:3}"; }
# shellcheck disable=SC2086
start() { launch "$1" dvg-train-sampler $settings --out "$2" "${@:3}"; }

# ---- the same bits

for n in 0 1 2 3 4; do
  check "train on $n" train $n on$n --dump-step 14 --dump dump$n.h5
  [ $n = 0 ] || same "on $n" on$n on0
  [ $n = 0 ] || same_log "on $n" on$n on0
  [ $n = 0 ] || check "on $n: the dump" cmp dump$n.h5 dump0.h5
done
check "train on 8" train 8 on8
same "on 8" on8 on0
is "the files" "$(cd on2 && find . -type f | sort | tr '\n' ' ')" \
  "./identities-cosines.png ./identities-nearest.png ./identities-training.png ./identities-variance.png ./identities-variance.tsv ./identities.tsv\
 ./log.jsonl ./sampler.checkpoint.h5 ./sampler.h5 ./sheets/sampler-000009.png ./sheets/sampler-000018.png ./sheets/sampler-000024.png "
for f in on2/sheets/*.png on2/*.png; do is_png "$f" "$f"; done
check_log "the log" on2 "cosine kl"
is "its lines" "$(sed 's/.*"step":\([0-9]*\),.*/\1/' on2/log.jsonl | tr '\n' ' ')" "5 10 15 20 24 "
is "its rates fall along a cosine" "$(sed 's/.*"rate":\([^,]*\),.*/\1/' on2/log.jsonl | tr '\n' ' ')" "0.0009337 0.0006944 0.0003769 0.0001123 1.423e-05 "
check "is a weight file" run 0 dvg-inspect on2/sampler.h5 --verify
says "of the sampler alone" "identity_sampler"
check "another seed" train 2 seed --seed 2
differ "another seed" seed/sampler.h5 on0/sampler.h5
check "fewer features than a step" train 3 large --batch 60 --micro-batch 10 --epochs 2
check "fewer features than a step, on 8" train 8 large8 --batch 60 --micro-batch 10 --epochs 2
same "fewer features than a step" large large8
check "two people" run 0 dvg-prepare render --people 2 --images 1 --size 36 --out few.h5
check "four features" run 0 dvg-extract --images few.h5 --weights f/recognizer.h5 --out few
check "four features on 8" train 8 few8 --features few --batch 3 --micro-batch 1 --epochs 3
check "four features on 1" train 1 few1 --features few --batch 3 --micro-batch 1 --epochs 3
same "four features" few8 few1
check "one micro-batch for 4 ranks" train 4 single --micro-batch 9 --epochs 2
check "one rank alone" train 0 alone --micro-batch 9 --epochs 2
same "one micro-batch" single alone

# ---- stop and go on

expect_stop() { # name, command...: exit code 75 without an error
  local name=$1
  shift
  "$@" >"$output" 2>"$output.err" </dev/null
  is "$name" "$?" 75
  is "$name: no error" "$(grep -c error: "$output.err")" 0
}
expect_stop "stops after 13" train 3 stopped --stop-after 13
says "says so" "stopped after step 13 of 24; the same command continues"
absent "no weights yet" stopped/sampler.h5
check_dump "the dump" dump0.h5 stopped/sampler.checkpoint.h5 "feature eps" "cosine kl"
expect_stop "stops again after 14" train 2 stopped --stop-after 14
expect_stop "stops a third time, on 8" train 8 stopped --stop-after 17
check "goes on" train 1 stopped
says "from there" "continuing after step 17 of 24"
same "stopped three times" stopped on0
check_log "stopped three times: its log" stopped "cosine kl"
check "once more" train 4 stopped
same "once more" stopped on0
# 4.2 million weights: five buckets of gradients, and of the moments that ranks share out (mpi/slices.h).
check "in buckets, alone" train 0 bucket --width 1 --epochs 2
check "in buckets, on 2" train 2 bucket2 --width 1 --epochs 2
same "in buckets, on 2" bucket2 bucket
expect_stop "in buckets, stops" train 3 bucket4 --width 1 --epochs 2 --stop-after 5
check "in buckets, goes on" train 4 bucket4 --width 1 --epochs 2
same "in buckets, stopped" bucket4 bucket

expect_stop "stops before a kill" train 1 cut --stop-after 10
printf '{"phase":"sampler","step":9' >>cut/log.jsonl
check "goes on after half a log line" train 2 cut
check_log "no half line" cut "cosine kl"
same_log "no half line" cut on0

mkdir -p no_sheet/sheets/sampler-000024.png
expect_fail "a sheet that can't be written" 4 "no_sheet/sheets/sampler-000024.png" train 2 no_sheet
check "a sheet that can't be written costs no step" train 1 no_sheet
says "a sheet that can't be written costs no step" "continuing after step 24 of 24"
same "a sheet that can't be written" no_sheet on0

check "ends early" train 2 early --spread-tolerance 1 --kl-warmup 0 --epochs 50
says "and says why" "near enough, done"
check "stays ended" train 1 early --spread-tolerance 1 --kl-warmup 0 --epochs 50
says "stays ended: by the checkpoint" "continuing after step"

# ---- killed at any instant

settings="$settings --epochs 25"
check "undisturbed" train 2 whole
survives 2 KILL 1 "[1-9][0-9]*" killed_rank whole
survives 2 KILL all 137 killed_all whole
survives 2 TERM 1 75 terminated whole
survives 2 USR1 job 75 warned whole
survives 2 TERM job "75|143|1" terminated_job whole

# ---- what is refused

bad() { # name, code, pattern, further arguments
  expect_fail "$1" "$2" "$3" train 2 x "${@:4}"
  absent "$1: no weights" x/sampler.h5 x/sampler.checkpoint.h5
}
head -c 3000 features/index.h5 >cut.h5
mkdir empty cut_index cut_shard && cp cut.h5 cut_index/index.h5
cp features/* cut_shard && head -c 3000 features/shard-000001.h5 >cut_shard/shard-000001.h5
bad "no features" 4 "nothing/index.h5" --features nothing
bad "an empty folder" 4 "empty/index.h5" --features empty
bad "a file as folder" 4 "toy.h5" --features toy.h5
bad "truncated index" 3 "cut_index/index.h5" --features cut_index
bad "truncated shard" 3 "cut_shard/shard-000001.h5" --features cut_shard
rm cut_shard/shard-000001.h5
bad "a shard is missing" 4 "cut_shard/shard-000001.h5" --features cut_shard
check "one person" run 0 dvg-prepare render --people 1 --images 3 --size 36 --out one.h5
check "features of one person" run 0 dvg-extract --images one.h5 --weights f/recognizer.h5 --out one
bad "one person" 3 "one: .*two people" --features one
check "a generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
check "pairs" run 0 dvg-generate --generator g.h5 --sampler on0/sampler.h5 --bank toy.h5 --domain NIR --count 5 --out pairs
bad "pairs as features" 3 "pairs/index.h5.*pairs.*features" --features pairs
bad "unknown option" 2 "nonsense" --nonsense 1
bad "bad value" 2 "rate.*fast" --rate fast
bad "out of range" 2 "width" --width 0
bad "micro-batch" 2 "micro-batch 2 does not divide --batch 9" --micro-batch 2
bad "dump without file" 2 "dump-step" --dump-step 3
bad "dump of no step" 2 "--dump needs --dump-step" --dump x.h5
bad "dump beyond the last step" 2 "--dump-step 101 lies beyond the last step, 100" --dump-step 101 --dump x.h5
expect_fail "no features named" 2 "features" run 2 dvg-train-sampler --out x
expect_fail "the folder is a file" 4 "toy.h5" train 2 toy.h5
long=x$(printf '/%0199d' 1 2 3 4 5)
expect_fail "a long name" 2 "--out x/0+\\.\\.\\. is longer than 940 characters" train 2 $long
absent "a long name" x/0*
expect_fail "the folder is in a file" 4 "toy.h5" train 2 toy.h5/x
expect_fail "the dump is in a file" 4 "toy.h5" train 2 y --dump-step 1 --dump toy.h5/dump.h5

# The checkpoint of another run. The settings are chosen so that the one's text lies within the other's.
same "before" stopped on0
settings=${settings% --epochs 25}
expect_fail "another seed" 3 "stopped/sampler.checkpoint.h5: .*other settings.*seed *=? *1\)" train 2 stopped --seed 12
expect_fail "another batch" 3 "stopped/sampler.checkpoint.h5: .*other settings.*batch *=? *9\)" train 2 stopped --batch 90 --micro-batch 9
check "other features" run 0 dvg-extract --images toy.h5 --weights f/recognizer.h5 --per-shard 10 --domain NIR --out nir
expect_fail "other features" 3 "stopped/sampler.checkpoint.h5: .*other inputs" train 2 stopped --features nir
mkdir earlier && cp stopped/sampler.h5 earlier
expect_fail "the weights of another run" 3 "earlier/sampler.h5: .*other inputs" train 2 earlier --features nir
check "the weights of another run are kept" cmp earlier/sampler.h5 stopped/sampler.h5
mkdir broken && cp stopped/sampler.h5 broken && head -c 3000 stopped/sampler.checkpoint.h5 >broken/sampler.checkpoint.h5
expect_fail "truncated checkpoint" 3 "broken/sampler.checkpoint.h5" train 2 broken
cp on0/sampler.h5 broken/sampler.checkpoint.h5
expect_fail "weights as checkpoint" 3 "broken/sampler.checkpoint.h5.*weights.*checkpoint" train 2 broken
same "untouched" stopped on0

# A training that diverges: every rank sees it, one speaks.
expect_fail "diverges" 6 "sampler, step [0-9]+, micro-batch [0-9]: .*(loss term|gradient)" train 2 diverged --rate 10 --kl 1000000 --kl-warmup 0
if [ $has_h5py = yes ]; then
  cp -r features poisoned
  check "poisons" $python -c 'import h5py; h5py.File("poisoned/shard-000000.h5", "r+")["feature"][3, 7] = float("nan")'
  expect_fail "a feature that is no number" 3 "poisoned: feature 3 is not of length 1" train 2 x --features poisoned
  cp -r features wide
  check "makes wider features" $python -c '
import glob, h5py, numpy
for path in glob.glob("wide/shard-*.h5"):
    with h5py.File(path, "r+") as file:
        n = len(file["feature"])
        del file["feature"]
        file["feature"] = numpy.ones((n, 4097), "f4")'
  bad "wider features" 3 "wide: .feature. is no set of vectors of up to 4096 values" --features wide
else skip "a feature that is no number: $python has no h5py"; fi
summary
