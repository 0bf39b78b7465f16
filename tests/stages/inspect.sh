#!/bin/bash
# dvg-inspect: what it says of each kind of artifact, that it finds damage, its sheets, what it refuses.
# limit: 240 seconds; takes: 40 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

run 1 dvg-prepare render --people 6 --images 3 --size 72 --out toy.h5 >/dev/null || exit 1
run 1 make_weights --width 0.125 --size 64 --out f.h5 >/dev/null || exit 1
run 1 make_weights --net identity_sampler --width 0.125 --size 64 --out s.h5 >/dev/null || exit 1
run 1 make_weights --net generator --width 0.125 --size 64 --out g.h5 >/dev/null || exit 1
for scored in "" "--recognizer f.h5"; do
  # shellcheck disable=SC2086 # options are words
  run 1 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 21 --per-shard 8 $scored \
    --out "pairs${scored:+-scored}" >/dev/null || exit 1
done
inspect() { run "$1" dvg-inspect "${@:2}"; }
is_png() { is "$1" "$(head -c 8 "$2" | od -An -tx1 | tr -d ' \n')" 89504e470d0a1a0a; }
python=/usr/bin/python3
is_json() { # name: the last output is one line of JSON
  cp "$output" said.json
  is "$1: one line" "$(wc -l <said.json)" 1
  if [ -x $python ]; then check "$1: JSON" $python -m json.tool said.json; fi
  cp said.json "$output"
}
# Changes one byte at a place in a file.
damage() { printf '\x5a' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

# ---- files
check "images without mpirun" inspect 0 toy.h5
is "no table of settings in front" "$(head -n 1 "$output")" toy.h5
for line in '^schema +images, version 1$' '^made by +dvg-prepare render ' '^sha256 +[0-9a-f]{64}$' '^images +36 of 72 x 72, colour, of 6 people' \
  '^  NIR +18$' '^  people = 6$' '^  image +u8 +36 x 72 x 72 x 3$' '^  domain_name +text +2$'; do
  says "of images" "$line"
done
cp "$output" bare
check "with --file" inspect 1 --file toy.h5
is "is the same" "$(cat "$output")" "$(cat bare)"
check "with --file=" inspect 3 --file=toy.h5
is "is the same on 3 ranks" "$(cat "$output")" "$(cat bare)"
check "weights" inspect 2 f.h5
says "of weights" '^network +lightcnn29v2, width 0.125, size 64: 60 parameters with 197780 values'
says "are not all named" '^datasets +60 with 197780 values'
check "weights, with --list" inspect 2 f.h5 --list
says "are all named" '^  conv1.filter.weight +f32 +12 x 1 x 5 x 5$'
check "evaluates" run 2 dvg-evaluate --images toy.h5 --weights f.h5 --out ev
check "evaluation" inspect 1 ev/evaluation.h5 --verify
says "lineage of an evaluation" "^ +images +toy.h5 +sha256 $(sed -n 's/^sha256 *//p' bare)\$"
says "attributes of an evaluation" '^  auc +[01]'
check "extracts" run 1 dvg-extract --images toy.h5 --weights f.h5 --out features
check "begins to train" run 1 dvg-train-sampler --features features --width 0.125 --batch 4 --micro-batch 2 --epochs 2 --out sampler
check "a checkpoint" inspect 2 sampler/sampler.checkpoint.h5
says "step of a checkpoint" '^checkpoint +step [0-9]+ of [0-9]+'
check "JSON of a file" inspect 2 toy.h5 --json
is_json "JSON of a file"
check "JSON of weights" inspect 0 f.h5 --json --verify
is_json "JSON of weights"
says "JSON has what was verified" '"verified":"[0-9a-f]{64}"'
says "what it was computed with" '"machine":"[a-z0-9]+ kernels, OpenBLAS [0-9.]+ [A-Za-z0-9]+"'

# ---- sets
check "a set" inspect 1 pairs
for line in '^schema +pairs, version 2, a set of 21 items in 3 shards of 8$' '^root sha256 +[0-9a-f]{64}$' '^ +sampler +s.h5 +sha256 '; do
  says "of a set" "$line"
done
check "a set with a slash" inspect 1 pairs/ --list
says "its shards are named" '^  shard-000002.h5 +5 items from 16 +sha256 [0-9a-f]{64}$'
check "a set of features" inspect 1 features --verify
says "of features" '^schema +features, version'
check "its index" inspect 1 pairs/index.h5
says "is an index" '^schema +index, version 1'
check "JSON of a set" inspect 2 pairs --json
is_json "JSON of a set"

# ---- digests
sum=$(sed -n 's/^sha256 *//p' bare)
check "verifies a file" inspect 2 toy.h5 --verify
is "says so" "$(tail -n 1 "$output")" "verified: $sum"
for n in 1 2 3 4; do
  check "verifies a set on $n ranks" inspect $n pairs --verify
  says "says so on $n ranks" '^verified: [0-9a-f]{64}$'
done
exec 9<toy.h5 && flock -x 9 # whoever holds it, and whatever the environment asks of HDF5
HDF5_USE_FILE_LOCKING=TRUE check "verifies a locked file" inspect 1 toy.h5 --verify
exec 9<&-
cp toy.h5 bad.h5 && damage bad.h5 200000
expect_fail "a byte of a file is changed" 3 "bad.h5.*image" inspect 2 bad.h5 --verify
cp -r pairs bad && damage bad/shard-000001.h5 100000
for n in 1 2 4; do expect_fail "a byte of a shard is changed, on $n" 3 'bad/shard-000001.h5' inspect $n bad --verify; done
cp pairs/shard-000000.h5 bad/shard-000001.h5
expect_fail "a shard is another one" 3 'bad/shard-000001.h5: is not the shard' inspect 3 bad --verify
rm bad/shard-000001.h5
expect_fail "a shard is missing" 4 'bad/shard-000001.h5: cannot open: No such file' inspect 3 bad --verify
says "its pairs are pending" '^pairs: 21 requested = 13 written .* 8 pending$'
damage bad/shard-000000.h5 100000
all_bad() { ! inspect "$1" bad --verify; }
for n in 1 3; do
  check "all that is bad, on $n" all_bad $n
  is "is named, on $n" "$(grep -c ': error: .*shard-00000[01].h5: ' "$output.err")" 2
done
rm -f bad/index.h5
expect_fail "damage without an index" 3 'bad/shard-000000.h5' inspect 2 bad --verify
says "and what is there" '^pairs: 21 requested = 5 written .* 16 pending$'
cp pairs/shard-000000.h5 bad
expect_fail "a set isn't finished" 3 "bad: the set isn't finished: 8 pairs are pending" inspect 2 bad --verify
rm -f bad/index.h5
expect_fail "a set is unfinished" 3 "bad: a folder without index.h5, but with shards: the set isn't finished" inspect 3 bad

# ---- sheets
check "a sheet of images" inspect 2 toy.h5 --sheet sheets/toy.png --people 4 --per-person 2
is_png "images" sheets/toy.png
check "a sheet on 1 rank" inspect 1 toy.h5 --sheet again.png --people 4 --per-person 2
check "is the same" cmp sheets/toy.png again.png
check "a sheet of the last person" inspect 1 toy.h5 --sheet last.png --first 5
check "a sheet of pairs" inspect 1 pairs --sheet pairs.png
is_png "pairs" pairs.png
check "a sheet of scored pairs" inspect 1 pairs-scored --sheet scored.png --rows 2 --columns 3 --first 10
is_png "scored pairs" scored.png
check "a sheet with JSON" inspect 1 pairs --sheet both.png --json
is_json "a sheet with JSON"
run 0 make_images --out few --people 5 --images 1 >/dev/null
run 0 make_images --out many --people 1 --images 3 >/dev/null
for set in few many; do
  check "large images" run 1 dvg-prepare pack --list $set/list.txt --size 2048 --fit resize --channels gray --out $set.h5
  check "a sheet of large images" inspect 1 $set.h5 --sheet $set.png
  if [ $set = few ]; then says "people are left out" "warning: the sheet has room for 4 of 5 people"
  else says "images are left out" "warning: the sheet has room for 2 of 3 images of a person in a domain"; fi
  is_png "large images" $set.png
done
expect_fail "a sheet of people beyond the last" 2 'first 6: toy.h5 has 6 people' inspect 2 toy.h5 --sheet no.png --first 6
expect_fail "a sheet of pairs beyond the last" 2 'first 21: pairs has 21 pairs' inspect 2 pairs --sheet no.png --first 21
expect_fail "a sheet of weights" 3 "f.h5: a sheet shows 'images' files and folders of 'pairs', this is 'weights'" inspect 2 f.h5 --sheet no.png
expect_fail "a sheet of one shard" 3 'name its folder' inspect 2 pairs/shard-000000.h5 --sheet no.png
expect_fail "a sheet that can't be written" 4 'toy.h5: is not a folder' inspect 2 toy.h5 --sheet toy.h5/no.png
absent "no sheet then" no.png

# ---- what is refused
echo "hello" >text
: >empty
mkdir folder
head -c 30000 toy.h5 >cut.h5
expect_fail "not there" 4 'nothing.h5: cannot open' inspect 3 nothing.h5
expect_fail "a text file" 3 'text: is not an HDF5 file' inspect 3 text
expect_fail "an empty file" 3 'empty: is empty' inspect 3 empty
expect_fail "a truncated file" 3 'cut.h5: .*truncated' inspect 3 cut.h5
expect_fail "a folder of something else" 3 'folder: a folder without index.h5: not a sharded set' inspect 3 folder
expect_fail "no argument" 2 'file' inspect 2
expect_fail "an unknown option" 2 'unknown option --nonsense' inspect 2 toy.h5 --nonsense
expect_fail "two files" 2 "f.h5" inspect 2 toy.h5 f.h5
if [ -x $python ] && $python -c 'import h5py' 2>/dev/null; then
  $python -c 'import h5py; h5py.File("foreign.h5", "w")["x"] = 1'
  expect_fail "somebody else's HDF5" 3 "foreign.h5: is an HDF5 file, but not one of dvgface's" inspect 2 foreign.h5
else
  skip "somebody else's HDF5: no h5py"
fi
apart() { # arguments of rank 0, of rank 1
  timeout -k 5 "$run_limit" mpirun --oversubscribe -n 1 "$(tool dvg-inspect)" $1 : -n 1 "$(tool dvg-inspect)" $2
}
expect_fail "rank 1 shows help" 2 "rank 1 of 2 .*the arguments of this rank" apart toy.h5 --help
expect_fail "rank 0 shows help" 2 "rank 1 of 2 .*the arguments of this rank" apart --help toy.h5
expect_fail "rank 1 is refused" 2 "rank 1 of 2 .*the arguments of this rank" apart toy.h5 "toy.h5 --nonsense"
# Without mpirun, whose pipe is never full.
to_full() { "$(tool dvg-inspect)" "$@" >/dev/full; }
expect_fail "no room for its output" 4 "standard output: cannot write all" to_full toy.h5
expect_fail "no room for its JSON" 4 "standard output: cannot write all" to_full toy.h5 --json
expect_fail "no room for the help" 4 "standard output: cannot write all" to_full --help
check "help" inspect 1 --help
says "help names the options" '--per-person'

summary
