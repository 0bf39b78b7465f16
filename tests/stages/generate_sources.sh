#!/bin/bash
# dvg-generate: pairs of noise alone (--attributes prior), and of real people's identities (--identities).
# limit: 300 seconds
. "$(dirname "$0")/lib_train.sh"

check "bank" run 0 dvg-prepare render --people 3 --images 3 --size 36 --out toy.h5
check "people" run 0 dvg-prepare render --people 9 --images 2 --domains VIS --size 36 --out visible.h5
check "generator" run 0 make_weights --net generator --variational --width 0.1 --size 32 --out g.h5
check "a generator without a prior" run 0 make_weights --net generator --width 0.1 --size 32 --out plain.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.1 --out s.h5
check "recogniser" run 0 make_weights --width 0.1 --size 32 --out f.h5
check "features" run 2 dvg-extract --images visible.h5 --weights f.h5 --per-shard 4 --out features
settings="--domain NIR --count 23 --per-shard 5"
noise="--generator g.h5 --sampler s.h5 --preset paper"
real="--generator g.h5 --identities features --bank toy.h5"
# shellcheck disable=SC2086 # words
generate() { run "$1" dvg-generate $settings --out "$2" "${@:3}"; }

# ---- the same bytes

for kind in noise real; do
  for n in 0 2 3; do
    # shellcheck disable=SC2086
    check "$kind on $n" generate $n $kind$n ${!kind} --recognizer f.h5
    [ $n = 0 ] || check "$kind on $n: the same files" diff -r ${kind}0 $kind$n
  done
  check "$kind verifies" run 2 dvg-inspect ${kind}0 --verify
  rm ${kind}2/shard-000003.h5
  # shellcheck disable=SC2086
  check "$kind: repairs" run 2 dvg-generate --repair --out ${kind}2 ${!kind} --recognizer f.h5
  check "$kind: repairs to the same" diff -r ${kind}0 ${kind}2
  # shellcheck disable=SC2086
  check "$kind: one alone" run 0 dvg-generate --only 17 --like ${kind}0 --out $kind.h5 ${!kind} --recognizer f.h5
done
check "both from real people and from noise" generate 2 both --preset paper --generator g.h5 --identities features --min-consistency 0.9999 --attempts 3 --recognizer f.h5

# shellcheck disable=SC2086
check "a bank that nobody asks" generate 2 unasked $noise --recognizer f.h5 --bank toy.h5
check "a bank that nobody asks: the same" diff -r noise0 unasked

if [ $has_h5py = yes ]; then
  cat >sources.py <<'END'
import h5py, numpy
def read(name):
    file, shard = h5py.File(f"{name}/index.h5"), h5py.File(f"{name}/shard-000000.h5")
    return {key: file[key][()] for key in file if not key.startswith("shard_")}, dict(shard.attrs)
text = lambda value: value.decode() if isinstance(value, bytes) else value
noise, attributes = read("noise0")
assert text(attributes["identity_source"]) == text(attributes["attribute_source"]) == "noise"
assert "bank" not in text(attributes["inputs"]) and "identity_person" not in noise
for domain in "NIR", "VIS":
    assert (noise[f"attribute_{domain}"] == -1).all() and (noise[f"person_{domain}"] == -1).all()
    assert len({image.tobytes() for image in noise[f"image_{domain}"]}) == 23
assert (noise["identity_item"] == 64 * noise["number"]).all()
real, attributes = read("real0")
features = h5py.File("features/index.h5")
feature, identity = features["feature"][()], features["identity"][()]
assert text(attributes["identity_source"]) == "features" and "identities" in text(attributes["inputs"])
assert "attribute_source" not in attributes and (real["attribute_NIR"] >= 0).all()
for rows in real, read("both")[0]:
    assert (rows["identity"] == feature[rows["identity_item"]]).all(), "identities are not the features"
    assert (rows["identity_person"] == identity[rows["identity_item"]]).all()
    assert len(set(rows["identity_item"])) > 8 and (rows["identity_item"] < 18).all()
assert read("both")[0]["attempt"].any() and text(read("both")[1]["attribute_source"]) == "noise"
for kind, all_rows in ("noise", noise), ("real", real):
    with h5py.File(f"{kind}.h5") as one:
        assert all((one[key][0] == all_rows[key][17]).all() for key in all_rows), kind
END
  check "the ledger names the sources" $python sources.py
else skip "the ledger names the sources: $python has no h5py"; fi

# ---- what is refused

bad() { # name, code, pattern, arguments
  expect_fail "$1" "$2" "$3" generate 2 x "${@:4}"
  absent "$1: no pairs" x/index.h5 x/shard-000000.h5
}
bad "no prior" 3 "plain.h5: was trained without --kl" --generator plain.h5 --sampler s.h5 --attributes prior
bad "no bank" 2 "missing option: --bank" --generator g.h5 --sampler s.h5
bad "no identities" 2 "missing option: --sampler" --generator g.h5 --bank toy.h5
bad "two sources" 2 "--sampler and --identities" --generator g.h5 --bank toy.h5 --sampler s.h5 --identities features
bad "no such features" 4 "nowhere" --generator g.h5 --bank toy.h5 --identities nowhere
expect_fail "nobody to revoke" 2 "--attributes prior draws on no image: there is nobody to revoke" run 2 dvg-generate --revoke-people ann --out noise0
expect_fail "other identities" 3 "real0.*(other inputs|inputs)" generate 2 real0 --generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5
if [ $has_h5py = yes ]; then
  cp -r features bent
  check "bends a feature" $python -c '
import h5py
with h5py.File("bent/shard-000001.h5", "r+") as file: file["feature"][...] *= 2'
  expect_fail "a feature of another length" 3 "bent: feature [0-9]+ is not of length 1" generate 1 x --generator g.h5 --bank toy.h5 --identities bent
fi
summary
