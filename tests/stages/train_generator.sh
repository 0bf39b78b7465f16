#!/bin/bash
# dvg-train-generator: the same bits for any number of ranks and after any interruption; its log, sheets and dumps; what is refused.
# limit: 420 seconds; takes: 70 seconds
. "$(dirname "$0")/lib_train.sh"
files="generator.h5 generator.checkpoint.h5"
terms="orthogonal.nir orthogonal.vis pixel.nir pixel.vis pixel_swapped.nir pixel_swapped.vis pixel_sampled.nir pixel_sampled.vis
  identity.nir identity.vis identity.pair identity_sampled.nir identity_sampled.vis identity_sampled.pair"

# 5 people in both domains, one in each domain alone: 20 images to train on.
check "faces" run 0 make_images --people 7 --images 2 --size 36 --out set
grep -v -e "p05.* NIR" -e "p06.* VIS" set/list.txt >set/lonely.txt
check "images" run 0 dvg-prepare pack --list set/lonely.txt --out toy.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5

# 20 images in steps of 9 in 3 micro-batches: the second epoch begins in the middle of a step, and a fourth rank has no work.
inputs="--images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR"
settings="--size 32 --width 0.05 --batch 9 --micro-batch 3 --final-rate 0.1 --log-every 3 --sheet-every 4"
# shellcheck disable=SC2086 # words
train() { run "$1" dvg-train-generator $inputs $settings --steps ${steps:-8} --out "$2" "${@:3}"; }
# shellcheck disable=SC2086
start() { launch "$1" dvg-train-generator $inputs $settings --steps ${steps:-8} --out "$2" "${@:3}"; }

# ---- the same bits

for n in 0 1 2 3 4; do
  check "train on $n" train $n on$n --dump-step 5 --dump dump$n.h5
  says "who is left out" "5 people in both NIR and VIS, 20 images; 2 people in one of them only are left out"
  [ $n = 0 ] || same "on $n" on$n on0
  [ $n = 0 ] || same_log "on $n" on$n on0
  [ $n = 0 ] || check "on $n: the dump" cmp dump$n.h5 dump0.h5
  [ $n = 0 ] || check "on $n: the sheets" diff -r on$n/sheets on0/sheets
done
check "train on 8" train 8 on8
same "on 8" on8 on0
is "the files" "$(cd on2 && find . -type f | sort | tr '\n' ' ')" \
  "./generator.checkpoint.h5 ./generator.h5 ./log.jsonl ./sheets/generator-000004.png ./sheets/generator-000008.png "
for f in on2/sheets/*.png; do is_png "$f" "$f"; done
check_log "the log" on2 "$terms"
is "its lines" "$(sed 's/.*"step":\([0-9]*\),.*/\1/' on2/log.jsonl | tr '\n' ' ')" "3 6 8 "
check "is a weight file" run 0 dvg-inspect on2/generator.h5 --verify
says "of a generator" "generator, width 0.05, size 32"
check "another seed" train 2 seed --seed 2
differ "another seed" seed/generator.h5 on0/generator.h5
check "more in a step than there is" train 3 large --batch 24 --micro-batch 8 --steps 2
check "more in a step than there is, on 8" train 8 large8 --batch 24 --micro-batch 8 --steps 2
same "more in a step than there is" large large8
check "by epochs" train 2 epochs --steps 0 --epochs 2
says "steps by epochs" "generator 4 of 4"
check "one pair for 3 ranks" train 3 single --batch 1 --micro-batch 1 --steps 2
check "one pair for 1" train 0 alone --batch 1 --micro-batch 1 --steps 2
same "one pair" single alone

check "two people" run 0 dvg-prepare render --people 2 --images 1 --size 36 --out few.h5
check "four images on 8" train 8 few8 --images few.h5 --batch 3 --micro-batch 1 --steps 3
check "four images on 1" train 1 few1 --images few.h5 --batch 3 --micro-batch 1 --steps 3
same "four images" few8 few1

# The rate of another batch, by hand: 0.0002 at 36 is half of it at 9; it rises over the first steps.
check "the rate of a batch" train 2 scaled --rate 0.0002 --rate-batch 36 --rate-warmup 6
check "the same by hand" train 0 by_hand --rate 0.0001 --rate-warmup 6
same_log "the rate of a batch" scaled by_hand
check "the rate rises" grep -q '"step":3,.*"rate":4.341e-05' scaled/log.jsonl # 0.0001 of a cosine at 2 of 8, times 3 of 6

# Without a loss on exchanged identities they are not painted.
check "nothing exchanged" train 2 unswapped --pixel-swapped 0 --dump-step 5 --dump unswapped.h5
check "nothing exchanged, on 3" train 3 unswapped3 --pixel-swapped 0
same "nothing exchanged" unswapped unswapped3
check_log "nothing exchanged: the log" unswapped "${terms/pixel_swapped.nir pixel_swapped.vis /}"

# What the frozen recogniser sees is drawn for the item, not for the rank.
check "jittered judge" train 2 glances --judge-jitter 0.5
check "jittered judge, on 3" train 3 glances3 --judge-jitter 0.5
same "jittered judge" glances glances3
check_log "jittered judge: the log" glances "$terms"
differ "jittered judge" glances/generator.h5 on0/generator.h5

# ---- stop and go on

train 3 stopped --stop-after 4 >"$output" 2>"$output.err"
is "stops after 4" $? 75
says "says so" "stopped after step 4 of 8; the same command continues"
absent "no weights yet" stopped/generator.h5
check_dump "the dump" dump0.h5 stopped/generator.checkpoint.h5 "image.nir image.vis identity identity_swapped noise" "$terms"
train 2 stopped --stop-after 5 >"$output" 2>"$output.err"
is "stops again after 5" $? 75
train 8 stopped --stop-after 6 >"$output" 2>"$output.err"
is "stops a third time, on 8" $? 75
check "goes on" train 1 stopped
says "from there" "continuing after step 6 of 8"
same "stopped three times" stopped on0
check_log "stopped three times: its log" stopped "$terms"
check "once more" train 4 stopped
same "once more" stopped on0

# ---- killed at any instant

steps=60
check "undisturbed" train 2 whole
survives 2 KILL 1 "[1-9][0-9]*" killed_rank whole
survives 2 KILL all 137 killed_all whole
survives 2 TERM 1 75 terminated whole
survives 2 TERM job "75|143|1" terminated_job whole
steps=8

# ---- what is refused

bad() { # name, code, pattern, further arguments
  expect_fail "$1" "$2" "$3" train 2 x "${@:4}"
  absent "$1: no weights" x/generator.h5 x/generator.checkpoint.h5
}
grep VIS set/list.txt >set/vis.txt
grep -e "p0[0-2].* NIR" -e "p0[3-6].* VIS" set/list.txt >set/apart.txt
check "one domain" run 0 dvg-prepare pack --list set/vis.txt --out vis.h5
check "nobody twice" run 0 dvg-prepare pack --list set/apart.txt --out apart.h5
check "small images" run 0 dvg-prepare render --people 2 --images 1 --size 24 --out small.h5
check "a larger net" run 0 make_weights --width 0.05 --size 64 --out f64.h5
head -c 3000 toy.h5 >cut_images.h5
head -c 3000 f.h5 >cut.h5
bad "no images" 4 "nothing.h5" --images nothing.h5
bad "no recogniser" 4 "nothing.h5" --recognizer nothing.h5
bad "no sampler" 4 "nothing.h5" --sampler nothing.h5
bad "images without the domain" 3 "vis.h5.*'NIR'.*VIS" --images vis.h5
bad "nobody in both domains" 3 "apart.h5: nobody has images in both NIR and VIS" --images apart.h5
bad "twice the same domain" 2 "--domain and --visible are both VIS" --domain VIS
bad "the same domain in lower case" 2 "--domain and --visible are both vis" --domain vis
bad "small images" 3 "small.h5: images of 24 x 24 are smaller than --size 32" --images small.h5
bad "another size" 3 "f64.h5: takes images of size 64, but --size is 32" --recognizer f64.h5
bad "a sampler as recogniser" 3 "s.h5.*identity_sampler.*lightcnn29v2" --recognizer s.h5
bad "a recogniser as sampler" 3 "f.h5.*lightcnn29v2.*identity_sampler" --sampler f.h5
bad "weights as images" 3 "f.h5.*weights.*images" --images f.h5
bad "images as weights" 3 "toy.h5.*images.*weights" --sampler toy.h5
bad "truncated images" 3 "cut_images.h5" --images cut_images.h5
bad "truncated weights" 3 "cut.h5" --recognizer cut.h5
bad "unknown option" 2 "nonsense" --nonsense 1
bad "bad value" 2 "rate.*fast" --rate fast
bad "no such size" 2 "--size 40 is no multiple of 32" --size 40
bad "a step beyond the last" 2 "--dump-step 9 lies beyond the last step, 8" --dump-step 9 --dump x.h5
bad "micro-batch" 2 "--micro-batch 2 does not divide --batch 9" --micro-batch 2
expect_fail "the folder is in a file" 4 "toy.h5" train 2 toy.h5/x

# The checkpoint of another run.
expect_fail "another seed" 3 "stopped/generator.checkpoint.h5: .*other settings.*seed" train 2 stopped --seed 12
expect_fail "a shorter run" 3 "stopped/generator.checkpoint.h5: .*other settings.*steps" train 2 stopped --steps 7
check "other weights" run 0 make_weights --width 0.05 --size 32 --seed 2 --out other.h5
expect_fail "another recogniser" 3 "stopped/generator.checkpoint.h5: .*other inputs.*recognizer f.h5" train 2 stopped --recognizer other.h5
mkdir earlier && cp stopped/generator.h5 earlier
expect_fail "the weights of another run" 3 "earlier/generator.h5: .*other settings.*seed" train 2 earlier --seed 12
check "the weights of another run are kept" cmp earlier/generator.h5 stopped/generator.h5
mkdir broken && head -c 3000 stopped/generator.checkpoint.h5 >broken/generator.checkpoint.h5
expect_fail "truncated checkpoint" 3 "broken/generator.checkpoint.h5" train 2 broken
same "untouched" stopped on0

expect_fail "diverges" 6 "generator, step [0-9]+, micro-batch [0-9]: .*(loss term|gradient)" train 2 diverged --pixel 1e6 --pixel-swapped 1e6 --pixel-sampled 1e6
if [ $has_h5py = yes ]; then
  check "claim another width" $python -c '
import h5py, shutil
for net in "f", "s":
    shutil.copy(net + ".h5", net + "_wide.h5")
    with h5py.File(net + "_wide.h5", "r+") as file: file.attrs["width"] = 16.0'
  bad "a recogniser of another width" 3 "f_wide.h5: [0-9]+ parameters do not fit its width 16 and size 32: conv1" --recognizer f_wide.h5
  bad "a sampler of another width" 3 "s_wide.h5: [0-9]+ parameters do not fit its width 16 .*: fc.0.weight" --sampler s_wide.h5
  cp f.h5 silent.h5
  check "gives zero vectors" $python -c '
import h5py
with h5py.File("silent.h5", "r+") as file:
    for name in "fc.weight", "fc.bias": file[name][...] = 0'
  bad "no embedding" 6 "toy.h5: image [0-9]+ \\(.+\\) has no embedding" --recognizer silent.h5
  expect_fail "no embedding: no features either" 6 "toy.h5: image 0 \\(.+\\): has no embedding" run 1 dvg-extract --images toy.h5 --weights silent.h5 --out none
  absent "no embedding: no features either" none/index.h5 none/shard-000000.h5
  cp f.h5 poisoned.h5
  check "poisons" $python -c 'import h5py; h5py.File("poisoned.h5", "r+")["fc.bias"][7] = float("nan")'
  bad "a weight that is no number" 3 "poisoned.h5: fc.bias is not finite at 7" --recognizer poisoned.h5
else skip "a weight that is no number: $python has no h5py"; fi
summary
