#!/bin/bash
# The ledger of generated pairs: what is damaged is named and made again, one pair by its number, rejected pairs, revoked people.
# limit: 360 seconds; takes: 25 seconds
. "$(dirname "$0")/lib_train.sh"

check "bank" run 0 dvg-prepare render --people 3 --images 3 --size 36 --out toy.h5
check "generator" run 0 make_weights --net generator --width 0.1 --size 32 --out g.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.1 --out s.h5
check "recogniser" run 0 make_weights --width 0.1 --size 32 --out f.h5
check "another sampler" run 0 make_weights --net identity_sampler --width 0.1 --seed 2 --out other.h5
inputs="--generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5 --domain NIR"
# shellcheck disable=SC2086 # words
generate() { run "$1" dvg-generate $inputs --count 23 --per-shard 5 --out "$2" "${@:3}"; }
check "a set" generate 2 set0
cp -r set0 set1

# ---- repair, and one pair

models="--generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5"
# shellcheck disable=SC2086 # words
with_models() { run "$1" dvg-generate $models --out "$2" "${@:3}"; }
rm -r set1/shard-000000.h5 set1/index.h5
printf x | dd of=set1/shard-000003.h5 bs=1 seek=20000 conv=notrunc 2>"$output.err"
before=$(stat -c %y set1/shard-00000[124].h5)
expect_fail "is not whole" 3 "set1/shard-000003.h5: " run 2 dvg-inspect set1 --verify
says "what is pending" "^pairs: 23 requested = 13 written \\+ 0 rejected .* \\+ 10 pending$"
check "repairs" with_models 3 set1 --repair
says "just that" "3 of 5 shards are there already"
is "and leaves the rest" "$(stat -c %y set1/shard-00000[124].h5)" "$before"
check "repaired: the same files" diff -r set0 set1
expect_fail "another sampler repairs nothing" 3 "set1/request.h5.*other inputs" with_models 0 set1 --repair --sampler other.h5
expect_fail "what isn't there can't be repaired" 3 "nothing: is no set of pairs" with_models 0 nothing --repair
check "one pair by its number" with_models 2 pair.h5 --only 17 --like set0
# shellcheck disable=SC2086 # words
check "the same without the set" run 0 dvg-generate $inputs --per-shard 5 --only 17 --out pair2.h5
check "the same file" cmp pair.h5 pair2.h5
check "a pair that the set doesn't have" with_models 0 pair99.h5 --only 99 --like set0

# ---- numbers beyond 2^32

for n in 0 3; do check "far on $n" generate $n far$n --first 5000000003 --count 12; done
check "far: the same files" diff -r far0 far3
check "far: verifies" run 0 dvg-inspect far0 --verify
check "far: one pair" with_models 0 pair_far.h5 --only 5000000008 --like far0
expect_fail "numbers end" 2 "pair numbers end at 9e15" generate 0 x --first 8999999999999999 --count 2

# ---- rejected pairs

consistent="--min-consistency 0.9996535 --attempts 2 --per-shard 8"
# shellcheck disable=SC2086 # words
for n in 0 2 3; do check "consistent pairs on $n" generate $n good$n --count 40 $consistent; done
for n in 2 3; do check "consistent pairs on $n: the same files" diff -r good0 good$n; done
check "rejects" run 2 dvg-inspect good0 --verify --sheet good.png
says "some, not all" "^pairs: 40 requested = [1-9][0-9]* written \\+ [1-9][0-9]* rejected \\([1-9][0-9]* inconsistent, 0 revoked\\) \\+ 0 pending$"
written=$(sed -n 's/^pairs: 40 requested = \([0-9]*\) written.*/\1/p' "$output")
check "export" run 2 dvg-inspect good0 --export folder --out exported
is "rejected pairs are not exported" "$(grep -c "^[A-Z]*/p[0-9]*/" exported/list.tsv)" $((2 * written))
# shellcheck disable=SC2086 # words
check "consistent pairs in shards of another size" generate 0 good_small --count 33 $consistent --per-shard 3
# shellcheck disable=SC2086 # words
check "none is good enough" generate 0 none --count 4 --min-consistency 1 --attempts 2
expect_fail "nothing to look at" 3 "none: all of its 4 pairs are rejected" run 2 dvg-inspect none --sheet none.png
expect_fail "nothing to judge by" 2 "min-consistency needs a --recognizer" generate 0 x --min-consistency 0.5 --recognizer ""

# ---- revocation

check "one domain" run 0 dvg-prepare render --people 2 --images 1 --domains VIS --size 36 --out vis.h5
revoke() { run "$1" dvg-generate --bank toy.h5 --out "$2" "${@:3}"; } # without networks
pairs_of() { cut -f 1 "$1" | sort -nu | wc -l; }
check "lists who drew on a person" revoke 2 good0 --revoke-people 000001 --listing list.tsv
drew=$(pairs_of list.tsv)
says "how many" "good0: $drew of 40 pairs drew on the 6 images named"
is "the person alone" "$(cut -f 5 list.tsv | sort -u)" 000001
check "by number, to standard output" revoke 0 good0 --revoke-people "#1"
grep -P "\t" "$output" >said.tsv
check "the same list" cmp list.tsv said.tsv
check "lists who drew on an image" revoke 0 good0 --revoke-images 000001/NIR/000005 --listing image.tsv
says "fewer" "good0: [1-9] of 40 pairs drew on the 1 images named"
printf 'person 000001\nimage #0\n\n' >gone.txt
check "a list changes nothing" diff -r good0 good2

for mode in drop remake; do
  for n in 0 3; do
    cp -r good0 $mode$n
    if [ $mode = drop ]; then check "$mode on $n" revoke $n drop$n --revoke drop --revoke-people 000001
    else check "$mode on $n" with_models $n remake$n --revoke remake --revoke-people 000001; fi
  done
  check "$mode: the same files" diff -r ${mode}0 ${mode}3
  check "$mode: verifies" run 0 dvg-inspect ${mode}0 --verify
  [ $mode = drop ] && says "the ledger knows" "^pairs: 40 requested = .* $drew revoked\\) \\+ 0 pending$"
  check "$mode: nobody draws on the person" revoke 0 ${mode}0 --revoke-people 000001
  says "none at all" "${mode}0: 0 of 40 pairs drew"
  # What results depends on what is revoked, not on how it came to be: made with the revocation from the start, in steps, grown.
  mkdir ${mode}_new && cp ${mode}0/request.h5 ${mode}_new
  # shellcheck disable=SC2086 # words
  check "$mode from the start" generate 2 ${mode}_new --count 40 $consistent
  check "$mode from the start: the same files" diff -r ${mode}0 ${mode}_new
done
check "an image more" with_models 2 remake0 --revoke remake --revoke-file gone.txt
cp -r good0 remake2
check "both at once, the other way round" with_models 3 remake2 --revoke remake --revoke-images "#0" --revoke-people 000001
check "in steps or at once: the same files" diff -r remake0 remake2
check "one pair of what was made again" with_models 0 pair_remade.h5 --only "$(sed -n '1s/\t.*//p' list.tsv)" --like remake2
rm drop0/shard-000002.h5
expect_fail "a damaged set drops nothing" 3 "drop0: 1 of 5 shards are missing or damaged: repair the set first" \
  revoke 2 drop0 --revoke drop --revoke-images "#0"
check "repair respects what is revoked" with_models 2 drop0 --repair
check "repaired after a revocation: the same files" diff -r drop0 drop3
expect_fail "the other way" 2 "drop3: revoked pairs are dropped here: --revoke drop" with_models 0 drop3 --revoke remake --revoke-people "#0"
expect_fail "an unknown person" 2 "toy.h5 has no person 'nobody'" revoke 0 drop3 --revoke-people nobody
expect_fail "an unknown image" 2 "toy.h5 has no image '#99'" revoke 0 drop3 --revoke-images "#99"
printf 'person 000001\nnonsense\n' >bad.txt
expect_fail "a bad list" 2 "bad.txt:2: is neither" revoke 0 drop3 --revoke-file bad.txt
expect_fail "another bank" 3 "vis.h5: is not the bank" run 0 dvg-generate --bank vis.h5 --out drop3 --revoke-people "#0"
expect_fail "nobody to revoke" 2 "revoke without" generate 0 x --revoke drop
expect_fail "three things at once" 2 "choose one" with_models 0 drop3 --repair --revoke-people "#0"
check "the refusals changed nothing" diff -r drop0 drop3

if [ $has_h5py = yes ]; then
  cat >ledger.py <<'END'
import h5py, numpy
def read(name): return {key: value[()] for key, value in h5py.File(name).items() if not key.startswith("shard_")}
good, drop, remake = (read(f"{name}/index.h5") for name in ("good0", "drop0", "remake_new"))
written = good["fate"] == 0
assert (good["reason"] == good["fate"]).all() and (good["attempt"][~written] == 1).all() and good["attempt"][written].max() == 1
assert ((good["cos_pair"] >= numpy.float32(0.9996535)) == written).all()
assert not good["image_NIR"][~written].any() and not good["image_VIS"][~written].any() and good["image_NIR"][written].any(axis=(1, 2, 3)).all()
assert (good["identity_item"] == 64 * good["number"] + good["attempt"]).all()
small = read("good_small/index.h5")
assert all(numpy.array_equal(small[key], good[key][:33]) for key in good)
hit = written & (good["person_NIR"] == 1)
assert 0 < hit.sum() < written.sum(), hit
for other in drop, remake:
    assert all(numpy.array_equal(other[key][~hit], good[key][~hit]) for key in good)
assert (drop["fate"][hit] == 1).all() and (drop["reason"][hit] == 2).all() and (drop["person_NIR"][hit] == 1).all()
for key in "image_NIR", "image_VIS", "identity", "cos_pair", "cos_NIR", "cos_VIS": assert not drop[key][hit].any(), key
assert (remake["fate"][hit] == 0).all() and (remake["person_NIR"][hit] != 1).all() and (remake["attempt"][hit] > good["attempt"][hit]).all()
for pair, whole, number in ("pair", "set0", 17), ("pair_far", "far0", 5000000008), ("pair_remade", "remake2", None):
    whole, pair = read(f"{whole}/index.h5"), read(f"{pair}.h5")
    row = list(whole["number"]).index(number or pair["number"][0])
    assert all(numpy.array_equal(whole[key][row:row + 1], pair[key]) for key in whole), number
assert list(read("far3/index.h5")["number"]) == list(range(5000000003, 5000000015))
END
  check "the ledger" $python ledger.py
else skip "the ledger: $python has no h5py"; fi

summary
