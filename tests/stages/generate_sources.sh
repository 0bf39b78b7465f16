#!/bin/bash
# dvg-generate: pairs of noise alone (--attributes prior), and of real people's identities (--identities).
# limit: 300 seconds; takes: 25 seconds
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
# ---- people whose features are identities, revoked

if [ $has_h5py = yes ]; then
  drew=$($python -c 'import h5py
print(sum(p in (2, 5) for p in h5py.File("real0/index.h5")["identity_person"][()]))')
  check "some pairs, not all, are theirs" test "$drew" -gt 0 -a "$drew" -lt 23
  check "lists whose identities" run 2 dvg-generate --bank toy.h5 --out real0 --revoke-identities 5,2 --listing who.tsv
  is "each once" "$(grep -cP '^[0-9]+\tidentity\t[0-9]+\t-\t#[25]$' who.tsv)/$(wc -l <who.tsv)" "$drew/$drew"
  for n in 0 3; do
    rm -rf drop$n remake$n
    cp -r real0 drop$n
    cp -r real0 remake$n
    check "drop on $n" run $n dvg-generate --bank toy.h5 --out drop$n --revoke drop --revoke-identities 2,5
    # shellcheck disable=SC2086
    check "remake on $n" run $n dvg-generate $real --recognizer f.h5 --out remake$n --revoke remake --revoke-identities 5,2,2
  done
  check "drop: alike" diff -r drop0 drop3
  check "remake: alike" diff -r remake0 remake3
  cat >revoked.py <<'END'
import h5py, numpy
def read(name):
    file = h5py.File(f"{name}/index.h5")
    return {key: file[key][()] for key in file if not key.startswith("shard_")}
real, drop, remake = read("real0"), read("drop0"), read("remake0")
gone = numpy.isin(real["identity_person"], (2, 5))
assert (drop["fate"] == gone).all() and (drop["reason"] == 2 * gone).all()
assert not drop["identity"][gone].any() and not drop["image_NIR"][gone].any() and not drop["image_VIS"][gone].any()
assert (remake["fate"] == 0).all() and not numpy.isin(remake["identity_person"], (2, 5)).any()
assert (remake["attempt"][gone] > 0).all() and remake["image_NIR"][gone].any()
for rows in drop, remake:
    for key in real:
        assert (rows[key][~gone] == real[key][~gone]).all(), key
END
  check "only their pairs change" $python revoked.py
  rm drop0/shard-000002.h5
  # shellcheck disable=SC2086
  check "repair respects them" run 2 dvg-generate $real --recognizer f.h5 --repair --out drop0
  check "repaired to the same" diff -r drop0 drop3
  check "without a bank" run 0 dvg-generate --out both --revoke drop --revoke-identities 0,1,2,3,4,5,6,7
  check "verifies" run 2 dvg-inspect drop3 --verify
fi
# shellcheck disable=SC2086
expect_fail "nobody's identities" 2 "identities of noise0 are drawn from noise, nobody's" run 2 dvg-generate --out noise0 --revoke-identities 2
expect_fail "no number" 2 "'x' is no number of a person" run 2 dvg-generate --bank toy.h5 --out real0 --revoke-identities 1,x

summary
