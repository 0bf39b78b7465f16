#!/bin/bash
# dvg-train-generator the paper's way: variational encoders and discriminators, the same bits for any number of ranks and after any interruption.
# limit: 420 seconds; takes: 25 seconds
. "$(dirname "$0")/lib_train.sh"
files="generator.h5 generator.checkpoint.h5"
losses="pixel.nir pixel.vis pixel_sampled.nir pixel_sampled.vis orthogonal.nir orthogonal.vis identity.nir identity.vis identity.pair
  identity_sampled.nir identity_sampled.vis identity_sampled.pair"
kl="kl.nir kl.vis"
judges="adversarial.nir adversarial.vis discriminator_real.nir discriminator_real.vis discriminator_sampled.nir discriminator_sampled.vis"
swapped="pixel_swapped.nir pixel_swapped.vis"

check "images" run 0 dvg-prepare render --people 5 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5
inputs="--images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR"
settings="--size 32 --width 0.05 --batch 9 --micro-batch 3 --log-every 3 --sheet-every 4"
# shellcheck disable=SC2086 # words
train() { run "$1" dvg-train-generator $inputs $settings --preset paper --kl-warmup 0.5 --steps ${steps:-6} --out "$2" "${@:3}"; }
# shellcheck disable=SC2086
start() { launch "$1" dvg-train-generator $inputs $settings --preset paper --kl-warmup 0.5 --steps ${steps:-6} --out "$2" "${@:3}"; }

# ---- the same bits

for n in 0 1 2 3 4 8; do
  check "train on $n" train $n on$n --dump-step 3 --dump dump$n.h5
  [ $n = 0 ] || same "on $n" on$n on0
  [ $n = 0 ] || check "on $n: the dump" cmp dump$n.h5 dump0.h5
done
check_log "the log" on0 "$losses $kl $judges"
train 2 stopped --stop-after 2 >"$output" 2>"$output.err"
is "stops after 2" $? 75
check_dump "the dump" dump0.h5 stopped/generator.checkpoint.h5 "image.nir image.vis identity noise eps.nir eps.vis" "$losses $kl $judges"
train 8 stopped --stop-after 4 >"$output" 2>"$output.err"
is "stops after 4, on 8" $? 75
check "goes on" train 3 stopped
same "stopped" stopped on0
steps=30
check "undisturbed" train 2 whole
survives 2 KILL all 137 killed whole
steps=2

# ---- what is in the files

check "the generator" run 0 dvg-inspect on0/generator.h5 --list
says "is variational" "variational +1"
says "has log-variances" "encoder.nir.fc_log_variance.weight"
if grep -q 'discriminator\.' "$output"; then report bad "the generator" "has discriminators in it"; else report good; fi
check "the checkpoint" run 0 dvg-inspect on0/generator.checkpoint.h5 --list
says "has the discriminators' momentum" "moment2/discriminator.nir.conv.3.weight"

# ---- each step from the public code to the paper is an option of its own

public() { check "$1" train 2 "${1// /_}" --preset public "${@:3}" && check_log "$1: the log" "${1// /_}" "$2"; }
public "public" "$losses $swapped"
check "the public code's encoders" run 0 dvg-inspect public/generator.h5 --list
if grep -qE "variational|variance" "$output"; then report bad "the public code's encoders" "are variational"; else report good; fi
public "variational" "$losses $swapped $kl" --kl 0.01
public "adversarial" "$losses $swapped $judges" --adversarial 0.1
public "no swapped pixels" "$losses" --pixel-swapped 0

# ---- the discriminators' own rate

for n in 0 2 3; do check "own rate on $n" train $n rate$n --discriminator-rate 0.25; done
for n in 2 3; do same "own rate on $n" rate$n rate0; done
if [ $has_h5py = yes ]; then
  for rate in 1 0.25 0; do
    train 2 first$rate --discriminator-rate $rate --stop-after 1 --dump-step 1 --dump first$rate.h5 >"$output" 2>"$output.err"
    is "one step at $rate" $? 75
  done
  cat >rates.py <<'END_PYTHON'
import h5py, numpy as np
def datasets(group):
    found = {}
    group.visititems(lambda name, item: found.update({name: item[()].astype("f8")}) if isinstance(item, h5py.Dataset) else None)
    return found
def moved(rate): # by Adam's first step
    after, before = (datasets(h5py.File(f)["weight"]) for f in (f"first{rate}/generator.checkpoint.h5", f"first{rate}.h5"))
    return {name: after[name] - before[name] for name in after}
whole, quarter, none = moved("1"), moved("0.25"), moved("0")
judges = [name for name in whole if name.startswith("discriminator.")]
assert len(judges) == 20 and len(whole) > 100
for name in whole:
    if name in judges:
        assert np.abs(whole[name]).max() > 1e-4 and np.abs(quarter[name] - whole[name] / 4).max() < 1e-7 and not none[name].any(), name
    else:
        assert (quarter[name] == whole[name]).all() and (none[name] == whole[name]).all(), name
END_PYTHON
  check "own rate: a step" $python rates.py
fi

# ---- real people's features in place of the sampler

check "people" run 0 dvg-prepare render --people 9 --images 2 --domains VIS --size 36 --out visible.h5
check "features" run 2 dvg-extract --images visible.h5 --weights f.h5 --per-shard 4 --out features
for n in 0 3; do check "real identities on $n" train $n real$n --sampler "" --identities features --dump-step 2 --dump real$n.h5; done
same "real identities" real3 real0
check "real identities: the dump" cmp real3.h5 real0.h5
if [ $has_h5py = yes ]; then
  check "they are the features" $python -c '
import h5py
rows = {row.tobytes() for row in h5py.File("features/index.h5")["feature"][()]}
used = [row.tobytes() for micro in h5py.File("real0.h5")["input"].values() for row in micro["identity_sampled"][()].reshape(-1, 256)]
assert len(used) == 9 and set(used) <= rows and len(set(used)) > 3'
fi
expect_fail "no identities" 2 "--sampler or --identities" train 2 x --sampler ""
expect_fail "two sources of identities" 2 "--sampler or --identities" train 2 x --identities features
expect_fail "other identities" 3 "other inputs" train 2 real0 --identities "" --sampler s.h5
expect_fail "a negative weight" 2 "kl.*-1" train 2 x --kl -1
expect_fail "an unknown preset" 2 "preset.*private" train 2 x --preset private
summary
