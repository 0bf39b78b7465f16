#!/bin/bash
# dvg-generate: the same shards for any number of ranks and after any interruption; a pair depends on its number alone; what is refused.
# limit: 360 seconds; takes: 60 seconds
. "$(dirname "$0")/lib_train.sh"

check "bank" run 0 dvg-prepare render --people 3 --images 3 --size 36 --out toy.h5
check "generator" run 0 make_weights --net generator --width 0.1 --size 32 --out g.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.1 --out s.h5
check "recogniser" run 0 make_weights --width 0.1 --size 32 --out f.h5
inputs="--generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5 --domain NIR"
# shellcheck disable=SC2086 # words
generate() { run "$1" dvg-generate $inputs --count ${count:-23} --per-shard 5 --out "$2" "${@:3}"; }

# ---- the same bytes

for n in 0 1 2 3 4; do
  check "generate on $n" generate $n set$n
  says "tells all" "set$n: 23 pairs in 5 shards, .* root digest [0-9a-f]{64}$"
  [ $n = 0 ] && root=$(digest)
  is "the root digest on $n" "$(digest)" "$root"
  [ $n = 0 ] || check "the same files on $n" diff -r set0 set$n
done
is "the files" "$(ls set0 | tr '\n' ' ')" \
  "card.json card.md index.h5 request.h5 shard-000000.h5 shard-000001.h5 shard-000002.h5 shard-000003.h5 shard-000004.h5 "
check "verifies" run 2 dvg-inspect set0 --verify
check "more ranks than shards" generate 4 one_shard --per-shard 100
check "attributes of any two images" generate 2 any --attributes any
check "attributes of any two images on 1" generate 1 any1 --attributes any
check "attributes of any two images: the same files" diff -r any any1
check "another seed" generate 2 seed --seed 2
if [ "$(digest)" = "$root" ]; then report bad "another seed" "gives the same"; else report good; fi
check "without scores" generate 2 bare --recognizer ""
check "a pair a shard" generate 3 ones --per-shard 1 --count 11

# A pair depends on its number: not on the shards' size, the number of pairs, its neighbours in a batch, or whether it is scored.
if [ $has_h5py = yes ]; then
  cat >pairs.py <<'END'
import h5py, numpy, sys
sets = {name: h5py.File(f"{name}/index.h5") for name in ("set0", "one_shard", "ones", "bare", "seed")}
columns = {"image_NIR", "image_VIS", "attribute_NIR", "attribute_VIS", "person_NIR", "person_VIS", "identity", "identity_item", "number", "fate",
           "reason", "attempt"}
scores = {"cos_pair", "cos_NIR", "cos_VIS"}
whole = {name: sets["set0"][name][()] for name in columns | scores}
for name, file in sets.items():
    have = {key for key in file if not key.startswith("shard_")}
    assert have == (columns if name == "bare" else columns | scores), (name, have)
    same = all(numpy.array_equal(file[key][()], whole[key][: len(file[key])]) for key in have - {"number"})
    assert same == (name != "seed"), name
assert list(whole["number"]) == list(range(23)) and not whole["fate"].any() and not whole["reason"].any() and not whole["attempt"].any()
assert (whole["identity_item"] == 64 * whole["number"]).all()
assert whole["image_NIR"].shape == (23, 32, 32, 3) and whole["image_NIR"].dtype == numpy.uint8
assert numpy.allclose(numpy.linalg.norm(whole["identity"], axis=1), 1, atol=1e-5)
bank = h5py.File("toy.h5")
domains = [text.decode() for text in bank["domain_name"][()]]
for domain in "NIR", "VIS":
    rows = whole["attribute_" + domain]
    assert (bank["identity"][()][rows] == whole["person_" + domain]).all()
    assert (bank["domain"][()][rows] == domains.index(domain)).all() and len(set(rows)) > 3, rows
people = {name: [bank["identity"][()][pairs[f"attribute_{d}"][()]] for d in ("NIR", "VIS")]
          for name, pairs in (("person", whole), ("any", h5py.File("any/index.h5")))}
assert (people["person"][0] == people["person"][1]).all() and len(set(people["person"][0])) == 3, people
assert (people["any"][0] != people["any"][1]).any() and len(set(people["any"][0])) == 3, people
assert numpy.array_equal(h5py.File("any/index.h5")["identity"][()], whole["identity"])
for key in scores: assert (abs(whole[key]) <= 1.00001).all(), whole[key]
END
  check "a pair depends on its number alone" $python pairs.py
else skip "a pair depends on its number alone: $python has no h5py"; fi

# ---- again, and after damage

stamp() { stat -c '%n %y' "$1"/shard-*; }
before=$(stamp set0)
check "nothing to do" generate 2 set0
says "says so" "5 of 5 shards are there already"
is "and the root digest stays" "$(digest)" "$root"
is "and the shards" "$(stamp set0)" "$before"
rm set0/shard-000001.h5 set0/shard-000004.h5 set0/index.h5
check "makes what is missing" generate 3 set0
says "and no more" "3 of 5 shards are there already"
is "made again: the root digest" "$(digest)" "$root"
check "made again: the same files" diff -r set0 set1
rm set0/shard-000002.h5
echo "half of a file" >set0/shard-000002.h5.part
head -c 3000 set1/shard-000003.h5 >set0/shard-000003.h5
check "half a shard and a truncated one" generate 2 set0
says "are made again" "shard-000003.h5: not readable, will be made again"
check "half a shard: the same files" diff -r set0 set1

# ---- killed at any instant

count=500
check "uninterrupted" generate 2 whole
whole=$(digest)
# shellcheck disable=SC2086 # words
interrupted() { # signal, whom, codes
  local folder=set_$1_$2
  launch 2 dvg-generate $inputs --count $count --per-shard 5 --out $folder
  hit "$1" "$2" $folder/shard-000001.h5
  if [[ $code =~ ^($3)$ ]]; then report good
  else report bad "$1 to $2" "exit code $code, want $3"; fi
  # mpirun passes SIGTERM on in its own time, in which a short run may end well: then it is the whole set already.
  if [ "$1 $2" = "TERM job" ] && [ -e $folder/index.h5 ]; then check "$1 to $2: it had ended" diff -r $folder whole
  else absent "$1 to $2: no index yet" $folder/index.h5; fi
  check "$1 to $2: goes on" generate 3 $folder
  says "$1 to $2: not from the start" "[1-9][0-9]* of 100 shards are there already"
  is "$1 to $2: the root digest" "$(digest)" "$whole"
  check "$1 to $2: the same files" diff -r $folder whole
}
interrupted KILL all 137
interrupted KILL 1 "[1-9][0-9]*"
interrupted TERM 1 75
interrupted USR1 job 75
interrupted TERM job "75|143|1"

# ---- a slow rank: the others go on with what it hasn't begun, not just with a third each

# shellcheck disable=SC2086 # words
launch 3 dvg-generate $inputs --count $count --per-shard 5 --out slow
tries=0
while [ ! -e slow/shard-000000.h5 ] && [ $tries -lt 3000 ]; do sleep 0.02; tries=$((tries + 1)); done
check "the last rank stops" kill -STOP "$(cat pid.2)"
n_shards() { find slow -name 'shard-*.h5' | wc -l; }
tries=0
while [ "$(n_shards)" -lt 85 ] && [ $tries -lt 1500 ]; do sleep 0.02; tries=$((tries + 1)); done
check "the others make what is left" test "$(n_shards)" -ge 85
absent "which is not all" slow/index.h5
kill -CONT "$(cat pid.2)"
wait $job
is "it ends well" $? 0
check "a slow rank: the same files" diff -r slow whole
count=23

# ---- other settings into the same folder

for o in "--per-shard 4" "--first 1" "--seed 2" "--attempts 2"; do
  # shellcheck disable=SC2086 # words
  expect_fail "other settings: $o" 3 "set0/request.h5.*other settings" generate 2 set0 $o
done
expect_fail "fewer pairs" 3 "set0: 23 pairs were asked for; --count 22 would throw some away" generate 2 set0 --count 22
check "other weights" run 0 make_weights --net identity_sampler --width 0.1 --seed 2 --out other.h5
expect_fail "another sampler" 3 "set0/request.h5.*other inputs" generate 2 set0 --sampler other.h5
expect_fail "no recogniser" 3 "set0/request.h5.*other inputs" generate 2 set0 --recognizer ""
check "the earlier result is untouched" diff -r set0 set1

# ---- more of the same

for n in 0 1 3; do # the last shard full, nearly empty, and both
  case $n in 0) steps="10 23" ;; 1) steps="11 23" ;; 3) steps="4 15 16 23" ;; esac
  for k in $steps; do check "to $k pairs" generate $n grown$n --count "$k"; done
  check "grown on $n: the same files" diff -r grown$n set0
done
check "a part" generate 0 cut --count 12
before=$(stat -c %y cut/shard-000000.h5 cut/shard-000001.h5)
check "and grows" generate 2 cut --count 23
is "without the full shards" "$(stat -c %y cut/shard-000000.h5 cut/shard-000001.h5)" "$before"

# ---- in parts, side by side

generate 1 parts --part 1/3 >one.log 2>&1 </dev/null &
one=$!
generate 1 parts --part 2/3 >two.log 2>&1 </dev/null &
two=$!
wait $one
is "part 1 of 3" "$?" 0
wait $two
is "part 2 of 3" "$?" 0
is "their shards" "$(ls parts | tr '\n' ' ')" "request.h5 shard-000000.h5 shard-000001.h5 shard-000003.h5 shard-000004.h5 "
expect_fail "a part of another set" 3 "parts/request.h5.*other settings" generate 1 parts --part 3/3 --seed 2
expect_fail "a part of fewer pairs" 3 "--count 22 would throw some away" generate 1 parts --part 3/3 --count 22
check "the rest and the index" generate 2 parts
says "just the rest" "4 of 5 shards are there already"
check "parts: the same files" diff -r parts set0
check "a part grows" generate 2 cut --count 33 --part 7/7
says "and knows its own" "part 7 of 7 is done, 1 shards"
absent "what changes has no index" cut/index.h5
check "and the rest" generate 2 cut --count 33

# ---- what is refused

bad() { # name, code, pattern, further arguments
  expect_fail "$1" "$2" "$3" generate 2 x "${@:4}"
  is "$1: nothing is left" "$(find x -type f 2>/dev/null | wc -l)" 0
}
check "one domain" run 0 dvg-prepare render --people 2 --images 1 --domains VIS --size 36 --out vis.h5
check "large images" run 0 dvg-prepare render --people 2 --images 1 --size 64 --out large.h5
check "small images" run 0 dvg-prepare render --people 2 --images 1 --size 24 --out small.h5
check "a larger recogniser" run 0 make_weights --width 0.1 --size 64 --out f64.h5
head -c 3000 g.h5 >cut.h5
head -c 3000 toy.h5 >cut_images.h5
bad "no generator" 4 "nothing.h5" --generator nothing.h5
bad "no sampler" 4 "nothing.h5" --sampler nothing.h5
bad "no bank" 4 "nothing.h5" --bank nothing.h5
bad "no recogniser" 4 "nothing.h5" --recognizer nothing.h5
bad "a sampler as generator" 3 "s.h5.*identity_sampler.*generator" --generator s.h5
bad "a generator as sampler" 3 "g.h5.*generator.*identity_sampler" --sampler g.h5
bad "a sampler as recogniser" 3 "s.h5.*identity_sampler.*lightcnn29v2" --recognizer s.h5
bad "a recogniser for larger images" 3 "f64.h5: takes images of size 64, but g.h5 paints 32" --recognizer f64.h5
bad "weights as bank" 3 "g.h5.*weights.*images" --bank g.h5
bad "pairs as bank" 3 "set0/shard-000000.h5.*pairs.*images" --bank set0/shard-000000.h5
bad "truncated generator" 3 "cut.h5" --generator cut.h5
bad "truncated bank" 3 "cut_images.h5" --bank cut_images.h5
bad "a bank without the domain" 3 "vis.h5.*'NIR'.*VIS" --bank vis.h5
bad "small images" 3 "small.h5: images of 24 x 24 are smaller than the generator's 32" --bank small.h5
bad "a generator of other domains" 3 "g.h5: paints the domains nir,vis, but sketch,vis are asked for" --domain SKETCH
bad "twice the same domain" 3 "g.h5: paints the domains nir,vis, but vis,vis are asked for" --domain VIS
bad "no such part" 2 "--part 0/2: is not I/N" --part 0/2
bad "one pair of a part" 2 "--part is for making a set" --part 1/2 --only 3
bad "unknown option" 2 "nonsense" --nonsense 1
bad "bad value" 2 "count.*many" --count many
bad "out of range" 2 "per-shard" --per-shard 0
bad "too many shards" 2 "shards" --count 5000000 --per-shard 1
expect_fail "the folder is a file" 4 "toy.h5" generate 2 toy.h5
expect_fail "the folder is in a file" 4 "toy.h5" generate 2 toy.h5/x
if [ $has_h5py = yes ]; then
  cp g.h5 poisoned.h5
  check "poisons" $python -c '
import h5py
file = h5py.File("poisoned.h5", "r+")
name = sorted(name for name in file if name.startswith("decoder."))[0]
file[name][(0,) * file[name].ndim] = float("nan")'
  check "claims another width and size" $python -c '
import h5py, shutil
for net, width, size in ("g", 16, 32), ("g", 0.1, 64), ("f", 16, 32):
    path = f"{net}_{width}_{size}.h5"
    shutil.copy(net + ".h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["width"] = float(width)
        file.attrs["size"] = size'
  fits="parameters? do(es)? not fit its"
  bad "a generator of another width" 3 "g_16_32.h5: [0-9]+ $fits width 16 .*encoder.nir.*has shape .* is needed.*; \.\.\.$" --generator g_16_32.h5
  bad "a generator of another size" 3 "g_0.1_64.h5: [0-9]+ $fits width 0.1 and size 64: encoder.nir" --generator g_0.1_64.h5 --bank large.h5
  bad "a recogniser of another width" 3 "f_16_32.h5: [0-9]+ $fits width 16 .*: conv1.filter.weight has shape" --recognizer f_16_32.h5
  cp f.h5 silent.h5
  check "gives zero vectors" $python -c '
import h5py
with h5py.File("silent.h5", "r+") as file:
    for name in "fc.weight", "fc.bias": file[name][...] = 0'
  expect_fail "no embedding" 6 "silent.h5: gives an image no embedding" generate 1 x --recognizer silent.h5
  is "no embedding: no shard" "$(find x -name 'shard*' | wc -l)" 0
  check "other settings where nothing is yet" generate 2 x --count 3
  rm -r x
  bad "a weight that is no number" 3 "poisoned.h5: decoder.* is not finite at 0" --generator poisoned.h5
else skip "a weight that is no number: $python has no h5py"; fi
summary
