#!/bin/bash
# dvg-extract: the same shards for any number of ranks and after any interruption; what is refused, and how.
# limit: 420 seconds; takes: 35 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

check "images" run 2 dvg-prepare render --people 5 --images 2 --size 72 --out images.h5
check "weights" run 0 make_weights --net lightcnn29v2 --width 0.125 --size 64 --classes 7 --out f.h5
extract() { # ranks, folder, further arguments
  local n=$1 out=$2
  shift 2
  run "$n" dvg-extract --images images.h5 --weights f.h5 --per-shard 6 --out "$out" "$@"
}

# ---- the same bytes

for n in 0 1 2 3 4; do
  check "extract on $n" extract $n "set$n"
  says "tells all" "20 images in 4 shards, 20 of them now .* a second, root digest [0-9a-f]{64}$"
  [ $n = 0 ] && root=$(digest)
  is "the root digest on $n" "$(digest)" "$root"
  check "the same files on $n" diff -r set0 "set$n"
done
is "the files" "$(ls set0 | tr '\n' ' ')" \
  "index.h5 shard-000000.h5 shard-000001.h5 shard-000002.h5 shard-000003.h5 "

# ---- in parts, by runs that know nothing of each other

check "part 2 of 3" extract 1 parts --part 2/3
says "its shards" "parts: part 2 of 3 is done, 1 shards"
is "and no index" "$(ls parts)" shard-000001.h5
check "part 1 of 3" extract 2 parts --part 1/3
check "part 1 of 3 again" extract 1 parts --part 1/3
says "is there" "2 of 2 shards are there already"
check "the rest and the index" extract 2 parts
says "makes what is missing" "3 of 4 shards are there already"
check "parts: the same files" diff -r set0 parts
expect_fail "no such part" 2 '--part 4/3: is not I/N' extract 2 none --part 4/3
absent "nothing was begun" none
check "more ranks than shards" extract 4 one_shard --per-shard 100
says "is said" "1 shards? for 4 ranks"
check "one domain" extract 3 nir --domain NIR
says "half of the images" "10 images in 2 shards"

# ---- again, and after damage

check "nothing to do" extract 2 set0
says "says so" "4 of 4 shards are there already"
is "and the root digest stays" "$(digest)" "$root"
rm set0/shard-000001.h5 set0/shard-000003.h5 set0/index.h5
check "resume on 3" extract 3 set0
says "makes two" "20 images in 4 shards, 8 of them now"
is "resumed: the root digest" "$(digest)" "$root"
check "resumed: the same files" diff -r set0 set1
echo "half of a file" >set0/shard-000002.h5.part
rm set0/shard-000002.h5
check "a half-written shard" extract 2 set0
check "is replaced" diff -r set0 set1

# Damaged in its data, truncated, and no shard at all: made again, named in warnings, and no errors.
for n in 1 3; do
  printf '\x5a\x5a\x5a\x5a' | dd of=set0/shard-000001.h5 bs=1 seek=4096 conv=notrunc 2>/dev/null
  is "a byte is changed" "$(cmp -s set0/shard-000001.h5 set1/shard-000001.h5 && echo same || echo differs)" differs
  truncate -s 3000 set0/shard-000002.h5
  echo text >set0/shard-000003.h5
  check "damaged shards on $n" extract $n set0
  says "one is kept" "1 of 4 shards are there already"
  says "one is named" "warning: .*set0/shard-000001.h5: its content is not that of its digest, will be made again"
  says "another is" "warning: .*set0/shard-000002.h5: not readable, will be made again"
  is "and no errors" "$(grep -c 'error:' "$output.err")" 0
  check "are made again" diff -r set0 set1
done

# ---- other settings into the same folder

expect_fail "another shard size" 3 "set0" extract 2 set0 --per-shard 5
expect_fail "another domain" 3 "set0" extract 2 set0 --domain VIS
check "other weights" run 0 make_weights --width 0.125 --size 64 --seed 2 --out other.h5
expect_fail "other weights" 3 "set0" run 2 dvg-extract --images images.h5 --weights other.h5 --per-shard 6 --out set0
check "the earlier result is untouched" diff -r set0 set1

# ---- killed at any instant

check "a larger net" run 0 make_weights --width 1 --size 64 --out wide.h5
wide="--images images.h5 --weights wide.h5 --per-shard 1"
check "uninterrupted" run 2 dvg-extract $wide --out whole
whole=$(digest)
interrupt() { # signal, folder: alone, hit as soon as there are two shards; sets $code
  "$(tool dvg-extract)" $wide --out "$2" >"$output" 2>"$output.err" </dev/null &
  local pid=$! tries=0
  while [ ! -e "$2/shard-000001.h5" ] && [ $tries -lt 600 ]; do
    sleep 0.02
    tries=$((tries + 1))
  done
  kill "-$1" $pid
  wait $pid 2>/dev/null
  code=$?
}
interrupt KILL killed
is "killed" "$code" 137
is "no index yet" "$(ls killed | grep -c index.h5)" 0
check "continues on 2" run 2 dvg-extract $wide --out killed
says "not from the start" "[1-9][0-9]* of 20 shards are there already"
is "killed: the root digest" "$(digest)" "$whole"
check "killed: the same files" diff -r killed whole
for s in TERM USR1; do
  interrupt $s stopped$s
  is "$s: asks to be run again" "$code" 75
  is "$s: no half file" "$(ls stopped$s | grep -c part)" 0
  check "$s: continues on 3" run 3 dvg-extract $wide --out stopped$s
  check "$s: the same files" diff -r stopped$s whole
done

# ---- what is refused

bad() { # name, code, pattern, images, weights, further arguments
  local name=$1 code=$2 pattern=$3 images=$4 weights=$5
  shift 5
  expect_fail "$name" "$code" "$pattern" run 3 dvg-extract --images "$images" --weights "$weights" --out x "$@"
  is "$name: nothing is left" "$(ls x 2>/dev/null | wc -l)" 0
}
check "another net" run 0 make_weights --net identity_sampler --width 0.125 --out sampler.h5
check "a generator" run 0 make_weights --net generator --width 0.125 --size 64 --out generator.h5
check "a net for larger images" run 0 make_weights --width 0.125 --size 128 --out large.h5
head -c 5000 f.h5 >cut.h5
head -c 5000 images.h5 >cut_images.h5
echo "no HDF5" >text.h5
bad "no images" 4 "nothing.h5" nothing.h5 f.h5
bad "no weights" 4 "nothing.h5" images.h5 nothing.h5
bad "the sampler's weights" 3 "sampler.h5.*identity_sampler.*lightcnn29v2" images.h5 sampler.h5
bad "the generator's weights" 3 "generator.h5.*lightcnn29v2" images.h5 generator.h5
bad "images as weights" 3 "images.h5.*images.*weights" images.h5 images.h5
bad "weights as images" 3 "f.h5.*weights.*images" f.h5 f.h5
bad "features as images" 3 "index.h5.*index.*images" set1/index.h5 f.h5
bad "truncated weights" 3 "cut.h5" images.h5 cut.h5
bad "truncated images" 3 "cut_images.h5" cut_images.h5 f.h5
bad "no HDF5" 3 "text.h5" text.h5 f.h5
bad "images too small" 3 "images.h5: images of 72 x 72 are smaller than the 128 x 128" images.h5 large.h5
bad "no such domain" 3 "images.h5.*SKETCH.*VIS, NIR" images.h5 f.h5 --domain SKETCH
bad "bad value" 2 "per-shard" images.h5 f.h5 --per-shard 0
bad "no number" 2 "per-shard.*many" images.h5 f.h5 --per-shard many
bad "unknown option" 2 "shards" images.h5 f.h5 --shards 3
expect_fail "no --out" 2 "out" run 2 dvg-extract --images images.h5 --weights f.h5
expect_fail "the folder is a file" 4 "f.h5" extract 3 f.h5
expect_fail "the folder is in a file" 4 "f.h5" extract 3 f.h5/set
expect_fail "the folder can't be made" 4 "/proc/features" extract 3 /proc/features
for n in 1 2; do expect_fail "a folder that takes no file, on $n" 4 "/proc: cannot write into this folder" extract $n /proc; done
summary
