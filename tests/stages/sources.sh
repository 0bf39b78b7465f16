#!/bin/bash
# Image sets as people hold them: the same images through list, folder, RecordIO, tar and images file, in dvg-prepare
# and in dvg-extract, on any number of ranks; frames; landmarks of their own file; what is refused, and how.
# limit: 420 seconds; takes: 20 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1
has_h5py=no
/usr/bin/python3 -c 'import h5py' 2>/dev/null && has_h5py=yes

check "images" run 0 make_images --people 3 --images 2 --domains VIS --rec --out set
mkdir one && cp -r set/VIS/p* one # a folder a person
# Tar shards as the tools of the system make them: key.png and key.cls, or key.json.
mkdir tar json
cp -r set/VIS tar && cp -r set/VIS json
for f in tar/VIS/*/*.png; do basename "$(dirname "$f")" >"${f%.png}.cls"; done
for f in json/VIS/*/*.png; do echo "{\"identity\": \"$(basename "$(dirname "$f")")\", \"score\": 0.5}" >"${f%.png}.json"; done
tar --sort=name -cf all.tar -C tar VIS
tar --sort=name -czf all.tgz -C json VIS
tar --sort=name -cf part-0.tar -C tar VIS/p00
tar --sort=name -cf part-1.tar -C tar VIS/p01 VIS/p02

# ---- pack: one content digest

pack() { # ranks, output, arguments
  local n=$1 out=$2
  shift 2
  run "$n" dvg-prepare pack --out "$out" "$@"
}
check "a list" pack 0 list.h5 --list set/list.txt
want=$(digest)
same() { # name, ranks, arguments
  local name=$1
  shift
  check "$name" pack "$1" same.h5 "${@:2}"
  is "$name: the same content digest" "$(digest)" "$want"
}
same "a folder" 0 --folder one
same "RecordIO" 3 --rec set/set.rec
cp set/set.rec plain.rec
same "RecordIO without index" 0 --rec plain.rec
same "tar" 0 --tar all.tar
same "gzip tar, JSON" 3 --tar all.tgz
same "a range of tars" 0 --tar 'part-{0..1}.tar'
check "is whole" run 0 dvg-inspect same.h5 --verify
check "an images file" pack 0 again.h5 --images list.h5
check "another domain" pack 0 nir.h5 --rec set/set.rec --domains NIR
is "is another content" "$([ "$(digest)" = "$want" ] && echo same || echo differs)" differs

# ---- frames

check "crops of ArcFace's size" run 0 make_images --people 2 --images 1 --domains VIS --size 112 --rec --out arcface
check "their mapping" pack 0 arcface.h5 --rec arcface/set.rec --fit arcface-112
says "to the recogniser's frame" "2 images of 2 people in 1 domain, 144 x 144 x 3"
expect_fail "of another size" 3 "set/VIS/p00/000.png: is 72 x 72, but --fit arcface-112" pack 0 x.h5 --list set/list.txt --fit arcface-112

# ---- landmarks

check "larger pictures" run 0 make_images --people 3 --images 2 --domains VIS --size 200 --rec --out large
awk -F'\t' 'NR > 1 { printf "%s", $1; for (i = 5; i <= 14; i++) printf "\t%s", $i; print "" }' large/index.tsv >large.txt
awk -F'\t' 'NR > 1 { printf "set.rec:%d", NR - 1; for (i = 5; i <= 14; i++) printf " %s", $i; print "" }' large/index.tsv >rec.txt
check "by the list's columns" pack 0 a.h5 --list large/index.tsv --fit landmarks
want=$(digest)
same "by their own file" 0 --list large/list.txt --fit landmarks --landmarks large.txt
same "of records" 3 --rec large/set.rec --fit landmarks --landmarks rec.txt
check "on the fly" pack 0 fly.h5 --rec large/set.rec --landmarks rec.txt --size 72
says "its size" "72 x 72 x 3"
check "as align does" run 0 dvg-prepare align --rec large/set.rec --landmarks rec.txt --out aligned.h5
landmarks() { # name, code, pattern, landmarks, arguments
  expect_fail "$1" "$2" "$3" pack 0 x.h5 --rec large/set.rec --landmarks "$4" "${@:5}"
}
sed 's/rec:3 /rec:33 /' rec.txt >unknown.txt
landmarks "an unknown item" 3 "unknown.txt:3: landmarks for an unknown item: set.rec:33" unknown.txt
sed 3d rec.txt >missing.txt
landmarks "none for an item" 3 "set.rec:3: there are no landmarks for it" missing.txt
sed '4s/ [0-9.]*$/ 1e/' rec.txt >bad.txt
landmarks "a bad number" 3 "bad.txt:4: not a number: 1e" bad.txt
sed '4s/ [0-9.]*$//' rec.txt >short.txt
landmarks "a number too few" 3 "short.txt:4: not a name and ten numbers: set.rec:4" short.txt
landmarks "another fit" 2 "landmarks aligns" rec.txt --fit resize --size 64
landmarks "no file" 4 "nothing.txt" nothing.txt
expect_fail "two kinds" 3 "large/index.tsv: has landmarks of its own" pack 3 x.h5 --list large/index.tsv --landmarks large.txt
check "--skip-bad" pack 3 skip.h5 --rec large/set.rec --landmarks missing.txt --skip-bad
says "leaves it out" "warning: .*1 of 6 files are bad and left out"

# ---- extract, in place

check "weights" run 0 make_weights --net lightcnn29v2 --width 0.125 --size 64 --classes 7 --out f.h5
extract() { # ranks, folder, arguments
  local n=$1 out=$2
  shift 2
  run "$n" dvg-extract --weights f.h5 --per-shard 2 --out "$out" "$@"
}
equal() { # folder: feature and identity are those of the folder `packed`
  if [ $has_h5py = no ]; then skip "$1: the same features: no h5py"; return; fi
  check "$1: the same features" /usr/bin/python3 -c 'import h5py, numpy, sys
a, b = (h5py.File(f"{d}/index.h5") for d in sys.argv[1:])
assert all(numpy.array_equal(a[k][()], b[k][()]) for k in ("feature", "identity"))
assert b["feature"].shape[0] == len(numpy.unique(b["source"][()]))' packed "$1"
}
check "packed" extract 0 packed --images list.h5
check "extract a list" extract 0 from_list --list set/list.txt
equal from_list
check "extract a folder" extract 0 from_folder --folder one
equal from_folder
for n in 0 2 3; do
  check "extract RecordIO on $n" extract $n rec$n --rec set/set.rec
  check "the same on $n" diff -r rec0 rec$n
done
equal rec0
for n in 0 3; do check "extract a gzip tar on $n" extract $n tgz$n --tar all.tgz; done
check "the same on 3" diff -r tgz0 tgz3
equal tgz0
rm rec0/shard-000001.h5 rec0/index.h5
check "resume" extract 2 rec0 --rec set/set.rec
says "makes one" "6 images in 3 shards, 2 of them now"
check "resumed: the same" diff -r rec0 rec2
expect_fail "other images into the same folder" 3 "rec0" extract 0 rec0 --rec large/set.rec --fit resize

expect_fail "images of another size" 3 "set.rec:[0-9]*: is 200 x 200, but the network takes 72 x 72 or its crop of 64 x 64; choose with --fit" \
  extract 3 size --rec large/set.rec
check "scaled" extract 0 scaled --rec large/set.rec --fit resize
check "cropped" extract 0 cropped --list large/list.txt --fit center-crop
check "aligned" extract 0 flown --rec large/set.rec --landmarks rec.txt
check "packed aligned" extract 0 packed2 --images fly.h5
rm -rf packed && mv packed2 packed
equal flown
sed 's/ [0-9.]*$/ 150/' rec.txt >bad_places.txt
expect_fail "aligned by other landmarks" 3 "flown" extract 0 flown --rec large/set.rec --landmarks bad_places.txt
expect_fail "no landmarks for one" 3 "set.rec:3: there are no landmarks" extract 3 x --rec large/set.rec --landmarks missing.txt
expect_fail "no source" 2 "give one of --images, --list, --folder, --rec, --tar" extract 3 x
expect_fail "two sources" 2 "give one of" extract 0 x --rec set/set.rec --tar all.tar
expect_fail "two domains in RecordIO" 2 "tells no domains" extract 0 x --rec set/set.rec --domain VIS,NIR
expect_fail "folders of domains" 3 "set: no image in its folders, which hold folders: if they are DOMAIN/PERSON, name the domains .--domains" \
  pack 3 x.h5 --folder set
expect_fail "folders of domains, to extract" 3 "set: no image in its folders, .*dvg-extract --domain" extract 2 x --folder set
mkdir -p bare/p01 bare/p02 && touch bare/p01/notes.txt bare/file
expect_fail "folders without images" 3 "bare: no image .of those wanted. is listed" pack 2 x.h5 --folder bare
expect_fail "no file" 4 "nothing.rec" extract 3 x --rec nothing.rec
expect_fail "no RecordIO" 3 "all.tar" extract 0 x --rec all.tar

# ---- bad images: the first is named, or all are left out and listed

cp -r tar bad
for f in bad/VIS/p01/000.png bad/VIS/p02/001.png; do head -c 700 "${f/bad/tar}" >"$f"; done
tar --sort=name -cf bad.tar -C bad VIS
expect_fail "bad images" 3 "bad.tar: VIS/p01/000.png: .*truncated" extract 3 ones --tar bad.tar --per-shard 1
expect_fail "bad images of pack" 3 "bad.tar: VIS/p01/000.png: .*truncated" pack 3 x.h5 --tar bad.tar
for n in 0 3; do
  check "skipped on $n" extract $n skipped$n --tar bad.tar --skip-bad
  says "counted" "warning: .*2 of 6 files are bad and left out"
done
check "the same on 3" diff -r skipped0 skipped3
is "listed" "$(tr '\n' ' ' <skipped3/bad.txt)" "VIS/p01/000.png VIS/p02/001.png "
sed 's,p02/000.png,p02/gone.png,' set/list.txt >set/gone.txt
expect_fail "a missing file" 4 "set/VIS/p02/gone.png: cannot read: No such file" extract 3 x --list set/gone.txt
is "nothing is left" "$(ls x 2>/dev/null | wc -l)" 0
is "no temporary file anywhere" "$(find . -name '*.part')" ""
summary
