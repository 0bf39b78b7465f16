#!/bin/bash
# Scores of generated pairs beside the set, and the choice of pairs by them: in training and in exports, without generating anything again.
# limit: 120 seconds; takes: 20 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

check "people" run 0 dvg-prepare render --people 6 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 make_weights --width 0.125 --size 32 --out f.h5
check "another one" run 0 make_weights --width 0.125 --size 32 --seed 7 --out judge.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.125 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.125 --size 32 --out g.h5
generate() { run 2 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 30 --per-shard 8 --out "$@"; }
check "pairs" generate pairs --recognizer f.h5
check "other pairs" generate others --seed 2
check "training identities" run 0 dvg-extract --images toy.h5 --weights judge.h5 --per-shard 8 --out features
judge() { run "$1" dvg-evaluate --weights judge.h5 --pairs pairs --training features --leak-far 0.05 --out "$2" "${@:3}"; }

# ---- scores
for n in 0 1 3; do check "scores on $n" judge $n scores$n --pairs-sample 0; done
says "the leak meter" '^ +[0-9.]+ % +of the pairs are at -?[0-9.]+ or beyond, which 0.05 of the pairs of different training people reach'
says "Frechet distance" '^Frechet +[0-9.]+ +distance of NIR'
for n in 1 3; do check "the same on $n" diff -r scores0 scores$n; done
check "are an artifact" run 2 dvg-inspect scores0/scores.h5 --verify
says "of these pairs" '^ +pairs +pairs +sha256 [0-9a-f]{64}'
check "some of the pairs" judge 2 some --pairs-sample 10
absent "no scores of some" some/scores.h5
check "once more" judge 2 scores3 --pairs-sample 10
absent "scores of before are gone" scores3/scores.h5

# ---- exports
export_where() { run "$1" dvg-inspect pairs --export folder --out "$2" "${@:3}"; }
n_pairs() { grep -c "^NIR" "$1/list.tsv"; }
check "by the shards' own columns" export_where 2 first --where 'number < 7'
is "seven" "$(n_pairs first)" 7
check "by scores" export_where 2 good --where 'leak < 2 and (number >= 10 and not number > 12 or number = 20)' --scores scores0/scores.h5
is "four" "$(n_pairs good)" 4
is "these" "$(sed -n 's/^NIR\/p0*\([0-9]*\)\/.*/\1/p' good/list.tsv | tr '\n' ' ')" "10 11 12 20 "
check "on 3 ranks" export_where 3 good3 --where 'leak < 2 and (number >= 10 and not number > 12 or number = 20)' --scores scores0/scores.h5
check "the same files" diff -r good good3
check "a half and" export_where 2 half --where 'cos_NIR > cos_VIS' --scores scores0/scores.h5
check "the other half" export_where 2 rest --where 'not cos_NIR > cos_VIS' --scores scores0/scores.h5
is "are all" "$(($(n_pairs half) + $(n_pairs rest)))" 30
expect_fail "another condition in the same folder" 3 "is of another export" export_where 2 half --where 'cos_NIR < cos_VIS' --scores scores0/scores.h5

# ---- training
train() {
  run "$1" dvg-train-recognizer --images toy.h5 --start f.h5 --pairs pairs --domain NIR --batch 4 --generated 4 --micro-batch 2 --head-batch 4 --head-epochs 1 \
    --steps 3 --out "$2" "${@:3}"
}
some=(--where 'number < 9' --scores scores0/scores.h5)
for n in 0 3; do check "trains on $n" train $n t$n "${some[@]}"; done
says "with some" "pairs: 9 pairs fulfil 'number < 9', 21 don't"
check "the same weights" cmp t0/recognizer.h5 t3/recognizer.h5
check "the scores are among the inputs" run 0 dvg-inspect t0/recognizer.h5
says "by their digest" '^ +scores +scores.h5 +sha256 [0-9a-f]{64}'
check "trains with all" train 2 all
check "which is something else" test "$(sha256sum <all/recognizer.h5)" != "$(sha256sum <t0/recognizer.h5)"

# ---- what is refused
expect_fail "no condition" 2 "where 'number <': a number or the name of a column wanted at character 9" train 2 no --where 'number <'
expect_fail "no such column" 2 "neither pairs nor any --scores has a column 'leak'" train 2 no --where 'leak < 1'
expect_fail "a column of images" 2 "has a column 'image_NIR'" export_where 2 no --where 'image_NIR < 1'
expect_fail "none left" 3 "none of its 30 pairs fulfils" train 3 no --where 'number < 0'
expect_fail "other pairs" 3 "scores0/scores.h5: scores of other pairs than those in others" \
  run 2 dvg-inspect others --export folder --out no --where 'leak < 1' --scores scores0/scores.h5
expect_fail "scores without a condition" 2 "scores are for --where" train 2 no --scores scores0/scores.h5
expect_fail "a condition on images" 2 "choose among pairs, toy.h5 holds images" run 2 dvg-inspect toy.h5 --export folder --out no --where 'a < 1'
expect_fail "a condition on no pairs" 2 "choose among --pairs, which are not used" train 2 no --contrast none --where 'number < 3'
expect_fail "too few impostors" 3 "features: a FAR of 1e-06 needs 1000000 pairs of different people, there are 240" judge 2 no --leak-far 1e-6
expect_fail "no training identities" 4 "absent/index.h5: cannot open" judge 2 no --training absent
# Cosines between embeddings by different weights mean nothing.
check "features by others" run 2 dvg-extract --images toy.h5 --weights f.h5 --per-shard 8 --out theirs
expect_fail "training identities by other weights" 3 'theirs: was made with other weights \([0-9a-f]{12}\.\.\.\) than judge.h5 \([0-9a-f]{12}\.\.\.\)' \
  judge 3 no --training theirs
run 0 make_features --items 40 --width 64 --out short >/dev/null
expect_fail "training identities of another length" 3 "short: has features of 64 values, but identities of judge.h5 have 256" judge 2 no --training short
absent "nothing is judged then" no/evaluation.h5 no/scores.h5
expect_fail "training identities of no pairs" 2 "training is for --pairs" run 2 dvg-evaluate --images toy.h5 --weights f.h5 --training features --out no
summary
