#!/bin/bash
# The dataset card of a pair set: what it says is true, for any number of ranks; it never stands beside another state of the set.
# limit: 120 seconds; takes: 10 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1
python=/usr/bin/python3

check "people" run 0 dvg-prepare render --people 3 --images 2 --size 36 --out 'bank |`x` & co.h5'
check "recogniser" run 0 make_weights --width 0.125 --size 32 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.125 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.125 --size 32 --out g.h5
generate() {
  run "$1" dvg-generate --generator g.h5 --sampler s.h5 --recognizer f.h5 --bank 'bank |`x` & co.h5' --domain NIR --per-shard 8 --out "$2" "${@:3}"
}
for n in 0 3; do check "pairs on $n" generate $n on$n --count 20; done
check "the same files" diff -r on0 on3
check "a title" grep -qx '# 20 pairs of synthetic faces: NIR and VIS' on0/card.md
check "where from" grep -q 'Identities come from noise, by the identity sampler, attributes (pose, light, expression) from real images of the bank' on0/card.md
check "counts" grep -qx 'Asked for: 20 pairs; written: 20; rejected as inconsistent: 0, as revoked: 0\.' on0/card.md
check "a name that would end the table" grep -qE '^\| bank \| `bank \?\?x\? & co.h5` \| `[0-9a-f]{64}` \|$' on0/card.md
check "is intact" run 0 dvg-inspect on0 --verify
check "the root digest" grep -q "Root digest \`$(grep -oE '[0-9a-f]{64}$' "$output" | tail -n 1)\`" on0/card.md
# Between two of the cosines, so that about half are rejected.
consistency=$($python -c 'import h5py, numpy; print("%.9g" % numpy.sort(h5py.File("on0/index.h5")["cos_pair"][()].astype(float))[9:11].mean())' 2>/dev/null || echo 0.9996)
check "some are rejected" generate 2 picky --count 20 --min-consistency "$consistency" --attempts 1
check "once more on 0" generate 0 picky0 --count 20 --min-consistency "$consistency" --attempts 1
check "the same card" cmp picky/card.json picky0/card.json
if $python -c 'import h5py' 2>/dev/null; then
  python_check "as a program reads it" "$consistency" <<'END'
import json, sys
import h5py, numpy
card = json.load(open("picky/card.json"))
with h5py.File("picky/index.h5") as file:
    written = file["fate"][()] == 0
    scores = {name: file[name][()][written] for name in file if name.startswith("cos_")}
assert card["requested"] == 20 and card["written"] == written.sum() and card["rejected_inconsistent"] == (~written).sum() and 0 < written.sum() < 20, card
assert card["rejected_revoked"] == 0 and card["domains"] == ["NIR", "VIS"] and card["image_size"] == 32, card
assert {i["role"]: i["name"] for i in card["made_from"]} == {"generator": "g.h5", "sampler": "s.h5", "bank": "bank |`x` & co.h5", "recognizer": "f.h5"}, card
assert float(card["settings"]["min-consistency"]) == float(sys.argv[1]) and card["settings"]["seed"] == "1", card["settings"]
assert set(card["scores"]) == set(scores) == {"cos_pair", "cos_NIR", "cos_VIS"}, card["scores"]
for name, values in scores.items():
    want = values.astype(float)
    have = card["scores"][name]
    assert abs(have["mean"] - want.mean()) < 1e-9 and have["least"] == want.min() and have["largest"] == want.max(), (name, have)
assert len(card["known_limits"]) >= 3
END
else skip "card.json: $python has no h5py"; fi

# ---- a set that changes
generate 2 on0 --count 30 >"$output" 2>"$output.err" &
job=$!
while kill -0 $job 2>/dev/null && [ -e on0/card.md ] && [ -e on0/index.h5 ]; do sleep 0.01; done
is "no card of before beside a set that grows" "$(grep -l '20 pairs' on0/card.md 2>/dev/null)" ""
wait $job
is "it grows" $? 0
check "the new card" grep -qx '# 30 pairs of synthetic faces: NIR and VIS' on0/card.md
rm on0/card.md
check "the same command" generate 0 on0 --count 30
check "makes it again" test -s on0/card.md
summary
