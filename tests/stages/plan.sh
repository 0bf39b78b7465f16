#!/bin/bash
# --plan: what is predicted is what a run then takes, within 10 % and 20 MB; it writes nothing and asks for no step.
# limit: 300 seconds; takes: 15 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

# planned WHAT: megabytes of a line of the last plan; the last one where there are more.
planned() { sed -n "s/^  $1  *\([0-9.]*\) MB.*/\1/p" "$scratch/log/plan" | tail -n 1; }
peak() { sed -n 's/.*: peak memory of a rank \([0-9.]*\) MB$/\1/p' "$output" | tail -n 1; }
# near NAME GOT WANT PART MORE: within PART of WANT and MORE beside.
near() {
  if awk -v got="$2" -v want="$3" -v part="$4" -v more="$5" 'BEGIN { d = got - want; exit !(got > 0 && want > 0 && (d < 0 ? -d : d) <= part * want + more) }'; then report good
  else report bad "$1" "got '$2', want '$3'"; fi
}
# plan NAME RANKS OUT COMMAND...: the plan, then the run, against each other.
plan() {
  local name="$1 on $2" n=$2 out=$3
  shift 3
  check "$name: plans" run "$n" "$@" --out "$out" --plan
  cp "$output" "$scratch/log/plan"
  absent "$name: the plan writes nothing" "$out"
  check "$name: runs" run "$n" "$@" --out "$out"
  near "$name: memory" "$(planned 'a rank needs')" "$(peak)" 0.1 20
}
# checkpoint NAME FILE: its size as planned. Tables and settings of the file are some tens of kB.
checkpoint() { near "$1: the checkpoint" "$(planned 'a checkpoint')" "$(awk -v n="$(stat -c %s "$2")" 'BEGIN { print n / 1e6 }')" 0.02 0.2; }
# adam NAME: two moments and one 64-bit sum of each trained weight; of all weights one value and one gradient.
adam() {
  near "$1: sums" "$(planned 'the sum of gradients')" "$(planned 'optimiser state')" 0.01 0.1
  near "$1: gradients" "$(planned 'network gradients')" "$(awk -v m="$(planned 'optimiser state')" 'BEGIN { print m / 2 }')" 0.01 0.1
}

check "images" run 0 dvg-prepare render --people 6 --images 2 --size 72 --out toy.h5
check "recogniser" run 0 make_weights --width 0.5 --size 64 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.5 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.5 --size 64 --out g.h5

plan "dvg-extract" 2 features dvg-extract --images toy.h5 --weights f.h5 --per-shard 6
plan "dvg-generate" 1 pairs dvg-generate --generator g.h5 --sampler s.h5 --recognizer f.h5 --bank toy.h5 --domain NIR --count 20 --per-shard 10
plan "dvg-generate" 2 pairs2 dvg-generate --generator g.h5 --sampler s.h5 --recognizer f.h5 --bank toy.h5 --domain NIR --count 20 --per-shard 10
plan "dvg-train-sampler" 1 sampler dvg-train-sampler --features features --epochs 2 --batch 8 --micro-batch 4
adam "dvg-train-sampler"
checkpoint "dvg-train-sampler" sampler/sampler.checkpoint.h5
generator=(dvg-train-generator --images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR --width 0.5 --size 64 --steps 2 --batch 8)
plan "dvg-train-generator" 1 G "${generator[@]}" --micro-batch 4
adam "dvg-train-generator"
checkpoint "dvg-train-generator" G/generator.checkpoint.h5
large=$(planned 'network values and gradients')
plan "dvg-train-generator" 2 G2 "${generator[@]}" --micro-batch 2
small=$(planned 'network values and gradients')
near "a micro-batch of half the pairs: its values" "$(awk -v s="$small" 'BEGIN { print 2 * s }')" "$large" 0.2 1
plan "dvg-train-recognizer" 1 F dvg-train-recognizer --images toy.h5 --start f.h5 --pairs pairs --domain NIR --head-epochs 1 --head-batch 8 --steps 2 \
  --batch 8 --generated 8 --micro-batch 4 --rate 0.00001
says "dvg-train-recognizer: both phases" "phase2: peak memory"
checkpoint "dvg-train-recognizer" F/phase2.checkpoint.h5
is "dvg-train-recognizer: a plan a phase" "$(grep -c '^plan of phase[12] on 1 rank' "$scratch/log/plan")" 2
near "dvg-train-recognizer: SGD has one moment" "$(planned 'optimiser state')" "$(awk -v m="$(planned 'the sum of gradients')" 'BEGIN { print m / 2 }')" 0.01 0.1

# A plan in the folder of a finished run disturbs nothing.
sum=$(find G -type f -exec sha256sum {} + | sort)
check "a plan beside a result" run 1 "${generator[@]}" --micro-batch 2 --out G --plan
is "a plan beside a result: nothing changed" "$(find G -type f -exec sha256sum {} + | sort)" "$sum"
expect_fail "a plan of what is not there" 4 "nothing.h5" run 2 dvg-extract --images nothing.h5 --weights f.h5 --out no --plan
summary
