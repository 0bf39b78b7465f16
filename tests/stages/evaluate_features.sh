#!/bin/bash
# dvg-evaluate of features: what it says of their images too, numpy too, on any number of ranks; and what it refuses.
# limit: 240 seconds; takes: 20 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1
metric() { sed -n "s/.*\"$2\":\([^,}]*\).*/\1/p" "$1/metrics.json"; }
features() { run 0 make_features "$@" >/dev/null || exit 1; }
compare() { run "$1" dvg-evaluate --gallery-features "$2" --probe-features "$3" "${@:4}"; }

# ---- the same as of images
run 1 dvg-prepare render --people 6 --images 3 --size 72 --out toy.h5 >/dev/null || exit 1
for seed in 1 2; do run 1 make_weights --width 0.125 --size 64 --seed $seed --out f$seed.h5 >/dev/null || exit 1; done
for domain in VIS NIR; do
  run 2 dvg-extract --images toy.h5 --weights f1.h5 --domain $domain --per-shard 7 --out $domain >/dev/null || exit 1
  run 2 dvg-extract --images toy.h5 --weights f2.h5 --domain $domain --per-shard 7 --out other-$domain >/dev/null || exit 1
done
check "of images" run 2 dvg-evaluate --images toy.h5 --weights f1.h5 --out images
check "of their features" compare 2 VIS NIR --out features
for f in metrics.json roc.tsv cmc.tsv scores.png; do check "the same $f" cmp images/$f features/$f; done
check "its artifact is intact" run 1 dvg-inspect features/evaluation.h5 --verify
says "lineage" '^ +gallery +VIS +sha256 [0-9a-f]{64}'
check "other weights against features" run 1 dvg-evaluate --images toy.h5 --weights f2.h5 --against features --out of_images
check "other features against images" compare 1 other-VIS other-NIR --against images --out of_features
unnamed() { sed 's/"digest":"[0-9a-f]*"//' "$1/metrics.json"; } # which evaluation it is compared with differs
is "the same comparison" "$(unnamed of_images)" "$(unnamed of_features)"

# ---- by themselves: more than a tile, a last one that is short, strangers, another length than 256
features --out G --items 1400 --people 650 --width 100 --noise 2 --per-shard 500
features --out P --items 150 --people 60 --first-person 600 --width 100 --noise 2 --seed 2 --per-shard 100
for n in 0 1 2 3 4; do check "on $n" compare $n G P --far 0.1,0.001,1e-4 --out "r$n"; done
for n in 1 2 3 4; do check "alike on $n" diff -r r0 "r$n"; done
check "the other convention" compare 2 G P --far 0.1,0.001,1e-4 --far-convention liberal --out liberal
is "strangers" "$(metric r0 probes_without_gallery)" 20
is "people of the probes" "$(metric r0 probe_people)" 60
if /usr/bin/python3 -c 'import h5py, numpy' 2>/dev/null; then
  cat >check_numbers.py <<'END'
import glob, json, h5py, numpy as np
def column(folder, name):
    return np.concatenate([h5py.File(p)[name][:] for p in sorted(glob.glob(folder + "/shard-*.h5"))])
person = {s: column(s, "identity") for s in "GP"}
exact = column("P", "feature").astype(float) @ column("G", "feature").astype(float).T
score = h5py.File("r0/evaluation.h5")["score"][:]
assert np.abs(score - exact).max() < 1e-6, np.abs(score - exact).max()
same = person["P"][:, None] == person["G"][None, :]
genuine, impostor = score[same], np.sort(score[~same])
m, liberal = (json.load(open(f + "/metrics.json")) for f in ("r0", "liberal"))
assert (m["genuine"], m["impostor"]) == (len(genuine), len(impostor)), m
for t in (0.1, 0.001, 0.0001):
    allowed = int(np.floor(t * len(impostor) + 1e-9))
    bar = impostor[-allowed - 1]  # the highest score that may not pass
    assert m["tar_at_far"]["%g" % t] == (genuine > bar).mean(), t
    assert liberal["tar_at_far"]["%g" % t] == (genuine >= bar).mean(), t
best = np.where(same, score, -2).max(1)
place = 1 + ((score >= best[:, None]) & ~same).sum(1)
asked = same.any(1)
for k in (1, 5, 10):
    assert m["rank_%d" % k] == (place[asked] <= k).mean(), k
assert 0 < m["rank_1"] < 1 and 0 < m["tar_at_far"]["0.0001"] < 1, m
below = np.searchsorted(impostor, genuine, "left")
equal = np.searchsorted(impostor, genuine, "right") - below
assert abs(m["auc"] - (below + equal / 2).mean() / len(impostor)) < 1e-12
levels = np.unique(score)[::-1]
far = 1 - np.searchsorted(impostor, levels, "left") / len(impostor)
tar = 1 - np.searchsorted(np.sort(genuine), levels, "left") / len(genuine)
k = int(np.argmax(far + tar >= 1))
assert far[k - 1] - 1e-12 <= m["eer"] <= far[k] + 1e-12, (far[k - 1], m["eer"], far[k])
END
  check "as numpy says" /usr/bin/python3 check_numbers.py
else skip "as numpy says: /usr/bin/python3 has no h5py"; fi

# ---- what is refused
features --out short --items 50 --people 50 --width 64
features --out foreign --items 50 --people 50 --width 100 --weights others
features --out long --items 1400 --people 650 --width 100 --long-item 1399 --per-shard 500
features --out apart --items 50 --people 50 --first-person 5000 --width 100
features --out elsewhere --items 50 --people 50 --width 100 --images others
expect_fail "another length" 3 'short: has features of 64 values, G of 100' compare 2 G short --out no
expect_fail "other weights" 3 'foreign: was made with other weights \([0-9a-f]{12}\.\.\.\) than G \([0-9a-f]{12}' compare 3 G foreign --out no
expect_fail "no unit vector in the gallery" 3 'long: feature 1399 is not of length 1' compare 3 long P --out no
expect_fail "no unit vector among the probes" 3 'long: feature 1399 is not of length 1' compare 2 G long --out no
expect_fail "nobody of the gallery" 3 'apart: no probe shows a person of the gallery, G' compare 2 G apart --out no
expect_fail "one set as both" 3 'G and G are the same features' compare 2 G G --out no
absent "nothing is written then" no/evaluation.h5
check "another source" compare 2 G elsewhere --out warned
says "is warned of" 'warning: .*features of different sources: people are matched by their number'
expect_fail "a gallery alone" 2 'need each other' compare 2 G "" --out no
expect_fail "features and images" 2 'in place of images' compare 1 G P --images toy.h5 --out no
expect_fail "some of each person" 2 'of features all are taken' compare 1 G P --gallery-per-person 1 --out no
expect_fail "a protocol" 2 'goes with no features' compare 1 G P --protocol some.tsv --out no
expect_fail "weights for nothing" 2 'features are made already' compare 1 G P --weights f1.h5 --out no
expect_fail "images without weights" 2 '--weights is missing' run 2 dvg-evaluate --images toy.h5 --out no
rm G/shard-000001.h5
expect_fail "a missing shard" 4 'shard-000001.h5' compare 3 G P --out no
summary
