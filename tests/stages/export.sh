#!/bin/bash
# dvg-inspect --export: what is exported reads back equal, in each form, on any number of ranks; continuing; what is refused.
# limit: 240 seconds; takes: 20 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

run 0 dvg-prepare render --people 6 --images 3 --domains VIS,NIR --size 72 --out toy.h5 >/dev/null || exit 1
run 0 make_weights --width 0.125 --size 64 --out f.h5 >/dev/null || exit 1
run 0 make_weights --net identity_sampler --width 0.125 --size 64 --out s.h5 >/dev/null || exit 1
run 0 make_weights --net generator --width 0.125 --size 64 --out g.h5 >/dev/null || exit 1
run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 21 --per-shard 8 --recognizer f.h5 --out pairs >/dev/null || exit 1
run 0 dvg-extract --images toy.h5 --weights f.h5 --per-shard 16 --out features >/dev/null || exit 1
export_to() { run "$1" dvg-inspect "$2" --export "$3" --out "$4" "${@:5}"; } # ranks, source, form, folder

for form in folder webdataset recordio; do
  for source in pairs toy.h5 features; do check "$form of $source" export_to 0 $source $form $form-$source; done
  for n in 2 3; do
    check "$form on $n ranks" export_to $n pairs $form $form-$n
    check "$form on $n ranks: the same bytes" diff -r $form-pairs $form-$n
    rm -rf "$form-$n"
  done
done
is "says that all is there" "$(grep -l '"finished":"yes"' ./*/export.json | wc -l)" 9
absent "nothing half written" ./*/*.part
is "a tar of each shard" "$(cd webdataset-pairs && echo *.tar)" "pairs-000000.tar pairs-000001.tar pairs-000002.tar"

check "more ranks than tars" export_to 4 toy.h5 webdataset webdataset-4
check "more ranks than tars: the same bytes" diff -r webdataset-toy.h5 webdataset-4
rm -r webdataset-4

# People whose names can be no folders'.
run 0 make_images --out few --people 2 --images 1 >/dev/null
image() { sed -n "s/ .*//;$1p" few/list.txt; }
printf 'path\tidentity\n%s\t../up\n%s\tAnn Lee\n%s\t../up\n' "$(image 1)" "$(image 2)" "$(image 3)" >few/odd.tsv
check "odd names" run 0 dvg-prepare pack --list few/odd.tsv --size 64 --fit resize --channels rgb --out odd.h5
check "a folder of odd names" export_to 0 odd.h5 folder odd
is "has numbers for folders" "$(cd odd/VIS && echo */*)" "00000000/00000000.png 00000000/00000002.png 00000001/00000001.png"
is "the list has the names" "$(cut -f 2 odd/list.tsv | tr '\n' ' ')" "identity ../up Ann Lee ../up "
check "records of people who come and go" export_to 0 odd.h5 recordio odd-records
is "stand together" "$(cut -f 1,4 odd-records/train.tsv | tr '\t\n' ', ')" "key,item 1,0 2,2 3,1 "

# ---- by other programs' eyes
mkdir untarred
for f in webdataset-pairs/*.tar; do tar xf "$f" -C untarred; done
is "tar members" "$(ls untarred | wc -l)" $((21 * 4))
for k in 00000000 00000007 00000020; do
  check "an image of a tar is that of the folder" cmp untarred/$k.NIR.png folder-pairs/NIR/p$k/$k.png
  check "the other one too" cmp untarred/$k.VIS.png folder-pairs/VIS/p$k/$k.png
done
check "pack reads the folder of pairs" run 0 dvg-prepare pack --list folder-pairs/list.tsv --out packed-pairs.h5
check "pack reads the folder of images" run 0 dvg-prepare pack --list folder-toy.h5/list.tsv --domains VIS,NIR --out packed-toy.h5
check "with JPEG" export_to 0 toy.h5 folder jpeg --quality 90
check "pack reads JPEG" run 0 dvg-prepare pack --list jpeg/list.tsv --out packed-jpeg.h5
is "JPEG files" "$(find jpeg -name '*.jpg' | wc -l)" 36
python=/usr/bin/python3
if [ -x $python ] && $python -c 'import h5py, numpy' 2>/dev/null; then
  cat >read.py <<'END'
import csv, glob, io, json, struct, sys, tarfile
import h5py, numpy as np

def rows(path):
    return list(csv.DictReader(open(path), delimiter="\t", quoting=csv.QUOTE_NONE))

def records(folder):
    """Key, label and image of all records, by a reader of its own."""
    data = open(folder + "/train.rec", "rb").read()
    offsets = dict(map(int, line.split("\t")) for line in open(folder + "/train.idx"))
    found, at = {}, 0
    while at < len(data):
        start, record = at, b""
        while True:
            magic, word = struct.unpack_from("<II", data, at)
            assert magic == 0xCED7230A
            kind, n = word >> 29, word & (1 << 29) - 1
            record += (b"" if kind in (0, 1) else struct.pack("<I", magic)) + data[at + 8 : at + 8 + n]
            at += 8 + (n + 3) // 4 * 4
            if kind in (0, 3):
                break
        flag, label, key, _ = struct.unpack_from("<IfQQ", record)
        labels = struct.unpack_from("<%df" % flag, record, 24) if flag else (label,)
        assert offsets[key] == start
        found[key] = labels, record[24 + 4 * flag :]
    assert len(found) == len(offsets)
    return found

def samples(pattern):
    found = {}
    for path in sorted(glob.glob(pattern)):
        for member in tarfile.open(path):
            key, kind = member.name.split(".", 1)
            assert member.mtime == 0 and member.isreg()
            found.setdefault(int(key), {})[kind] = tarfile.open(path).extractfile(member).read()
    return found

def pairs():
    made, packed, tars, recs = h5py.File("pairs/index.h5"), h5py.File("packed-pairs.h5"), samples("webdataset-pairs/*.tar"), records("recordio-pairs")
    listed = rows("folder-pairs/list.tsv")
    domains = [d.decode() if isinstance(d, bytes) else d for d in packed["domain_name"][:]]
    assert domains == ["NIR", "VIS"] and packed["image"].shape[0] == 42 == len(listed)
    assert np.array_equal(np.load("folder-pairs/identity.npy"), made["identity"][:])
    assert recs[0][0] == (43, 64) and len(recs) == 1 + 42 + 21
    for i, row in enumerate(listed):
        k, domain = i // 2, domains[i % 2]
        assert np.array_equal(packed["image"][i], made["image_" + domain][k])
        assert packed["identity"][i] == k and int(row["label"]) == k and int(row["number"]) == made["number"][k]
        assert all(np.float32(row[name]) == made[name][k] for name in ("cos_pair", "cos_NIR", "cos_VIS"))
        image = open("folder-pairs/" + row["path"], "rb").read()
        assert recs[i + 1] == ((k,), image) and tars[k][domain + ".png"] == image
        said = json.loads(tars[k]["json"])
        assert said["identity"] == row["identity"] and said["label"] == k
        assert all(np.float32(said[name]) == made[name][k] for name in ("cos_pair", "cos_NIR", "cos_VIS"))
        assert np.array_equal(np.load(io.BytesIO(tars[k]["identity.npy"])), made["identity"][k])
    for k in range(21):
        assert recs[43 + k] == ((1 + 2 * k, 3 + 2 * k), b"")
    assert open("recordio-pairs/property").read() == "21,%d,%d\n" % made["image_NIR"].shape[1:3]

def images():
    made, packed, jpeg = (h5py.File(name) for name in ("toy.h5", "packed-toy.h5", "packed-jpeg.h5"))
    for name in ("image", "identity", "domain", "person", "domain_name", "landmarks"):
        assert np.array_equal(made[name][:], packed[name][:]), name
    assert np.abs(made["image"][:].astype(int) - jpeg["image"][:].astype(int)).mean() < 6
    assert np.array_equal(np.load("folder-toy.h5/truth_identity.npy"), made["truth_identity"][:])
    tars, recs, listed = samples("webdataset-toy.h5/*.tar"), records("recordio-toy.h5"), rows("folder-toy.h5/list.tsv")
    for row in rows("recordio-toy.h5/train.tsv"):
        k = int(row["item"])
        image = open("folder-toy.h5/" + listed[k]["path"], "rb").read()
        assert recs[int(row["key"])] == ((made["identity"][k],), image) and tars[k]["png"] == image
        said = json.loads(tars[k]["json"])
        assert [said[n] for n in ("identity", "domain")] == [listed[k][n] for n in ("identity", "domain")]
        assert np.array_equal(np.float32(said["landmarks"]), made["landmarks"][k])
    labels = [recs[key][0][0] for key in range(1, 37)]
    assert labels == sorted(labels)

def features():
    made, tars, recs = h5py.File("features/index.h5"), samples("webdataset-features/*.tar"), records("recordio-features")
    assert np.array_equal(np.load("folder-features/feature.npy"), made["feature"][:])
    for row in rows("recordio-features/train.tsv"):
        k, key = int(row["item"]), int(row["key"])
        assert recs[key][0] == (made["identity"][k],) and int(row["source"]) == made["source"][k]
        for data in (recs[key][1], tars[k]["feature.npy"]):
            assert np.array_equal(np.load(io.BytesIO(data)), made["feature"][k])
        assert json.loads(tars[k]["json"])["label"] == made["identity"][k]

globals()[sys.argv[1]]()
END
  for what in pairs images features; do check "$what read back equal" $python read.py $what; done
else
  skip "what others read: no h5py"
fi

# ---- again
inode() { stat -c %i "$@"; }
cp -r webdataset-pairs whole
kept=$(inode webdataset-pairs/pairs-000000.tar)
rm webdataset-pairs/pairs-000001.tar
echo part >webdataset-pairs/pairs-000002.tar.part
check "a tar is missing" export_to 2 pairs webdataset webdataset-pairs
check "is made again" diff -r whole webdataset-pairs
is "the others are kept" "$(inode webdataset-pairs/pairs-000000.tar)" "$kept"
check "a folder again" export_to 0 pairs folder folder-pairs/
says "says what was written" '^export +folder-pairs/: 21 items, 42 images of 21 people$'
check "a record file again" export_to 0 pairs recordio recordio-pairs
run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 21 --seed 2 --out other >/dev/null || exit 1
expect_fail "another set into the folder" 3 'webdataset-pairs/export.json: is of another export' export_to 2 other webdataset webdataset-pairs
expect_fail "another form into the folder" 3 'webdataset-pairs/export.json: is of another export' export_to 0 pairs folder webdataset-pairs
expect_fail "another quality" 3 'folder-pairs/export.json: is of another export' export_to 0 pairs folder folder-pairs --quality 80
check "and nothing has changed" diff -r whole webdataset-pairs

# ---- what is refused
mkdir full && echo mine >full/file
expect_fail "a folder with something in it" 3 'full: is not empty, and what is in it is no export' export_to 0 pairs folder full
is "is left alone" "$(ls full)" file
expect_fail "no --out" 2 'export and --out belong together' run 0 dvg-inspect pairs --export folder
expect_fail "--out alone" 2 'export and --out belong together' run 0 dvg-inspect pairs --out no
expect_fail "--quality alone" 2 'quality is of the images' run 0 dvg-inspect pairs --quality 80
expect_fail "an unknown form" 2 "zip" export_to 0 pairs zip no
expect_fail "weights" 3 "f.h5: an export is of images, pairs or features, this is 'weights'" export_to 3 f.h5 folder no
expect_fail "a file as --out" 4 "f.h5: is not a folder" export_to 0 pairs recordio f.h5
cp -r pairs bad && rm bad/shard-000001.h5
expect_fail "a shard is missing" 4 'bad/shard-000001.h5' export_to 2 bad webdataset no
absent "nothing was written" no
check "JSON says nothing else" export_to 0 pairs webdataset quiet --json
is "one line" "$(wc -l <"$output")" 1

summary
