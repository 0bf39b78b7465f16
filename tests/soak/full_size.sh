#!/bin/bash
# The networks of full width at 128x128: each trainer, extraction and generation on 1 to 4 ranks must give the same bytes; prints their digests.
#   tests/soak/full_size.sh BUILD_DIR [MAX_RANKS]
# Needs 8 GB of memory at 4 ranks, and minutes of time.
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/../stages/lib.sh"
max_ranks=${2:-4}
export OPENBLAS_NUM_THREADS=1
run_limit=3600
cd "$scratch" || exit 1

check "images" run 0 dvg-prepare render --people 6 --images 2 --size 144 --out toy.h5
check "recogniser" run 0 make_weights --width 1 --size 128 --out f.h5
check "features" run 0 dvg-extract --images toy.h5 --weights f.h5 --per-shard 4 --out features
check "sampler" run 0 make_weights --net identity_sampler --width 1 --out s.h5

# on RANKS: every stage. The name of an input is part of a digest: the pairs are those of one rank for all.
on() {
  local n=$1
  check "extract on $n" run "$n" dvg-extract --images toy.h5 --weights f.h5 --per-shard 4 --out "extract_$n"
  check "pretrain on $n" run "$n" dvg-train-recognizer --pretrain --images toy.h5 --size 128 --width 1 --batch 9 --micro-batch 3 --steps 2 --out "pretrain_$n"
  check "sampler on $n" run "$n" dvg-train-sampler --features features --batch 9 --micro-batch 3 --epochs 2 --out "sampler_$n"
  check "generator on $n" run "$n" dvg-train-generator --images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR --size 128 \
    --batch 3 --micro-batch 1 --steps 2 --out "generator_$n"
  check "generate on $n" run "$n" dvg-generate --generator "generator_$n/generator.h5" --sampler s.h5 --bank toy.h5 --domain NIR --recognizer f.h5 \
    --count 11 --per-shard 3 --out "generate_$n"
  check "recogniser on $n" run "$n" dvg-train-recognizer --images toy.h5 --start f.h5 --pairs generate_1 --domain NIR \
    --batch 6 --generated 6 --micro-batch 2 --head-batch 6 --head-epochs 1 --steps 2 --out "recognizer_$n"
}

for ((n = 1; n <= max_ranks; n++)); do
  start=$SECONDS
  on $n
  echo "$n ranks: $((SECONDS - start)) s"
done
for result in extract_@ generate_@ {pretrain,recognizer}_@/recognizer.h5 sampler_@/sampler.h5 generator_@/generator.h5; do
  first=
  for ((n = 1; n <= max_ranks; n++)); do
    check "$result on $n" run 0 dvg-inspect "${result/@/$n}" --verify
    now=$(grep -oE '[0-9a-f]{64}$' "$output" | tail -n 1)
    [ -n "$first" ] || { first=$now && echo "${result%%_*} $now"; }
    is "$result on $n" "$now" "$first"
    [[ $now =~ ^[0-9a-f]{64}$ ]] || report bad "$result on $n" "no digest"
  done
done
summary
