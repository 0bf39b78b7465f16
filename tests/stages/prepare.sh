#!/bin/bash
# dvg-prepare: the same file for any number of ranks; what is refused, and how.
# limit: 420 seconds; takes: 40 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

# ---- render

small="--people 3 --images 3 --size 48"
for n in 0 1 2 3 4; do check "render on $n" run $n dvg-prepare render $small --out "r$n.h5"; done
for n in 1 2 3 4; do check "render is the same on $n" cmp r0.h5 "r$n.h5"; done
check "more ranks than images" run 4 dvg-prepare render --people 1 --images 1 --size 48 --domains VIS --out one.h5
check "all domains, paired, gray" run 2 dvg-prepare render $small --domains THERMAL,VIS,SKETCH,NIR --paired --gray \
  --out all.h5 --sheet sheets/all.png
is "the sheet is a PNG" "$(head -c 8 sheets/all.png | od -An -tx1 | tr -d ' \n')" 89504e470d0a1a0a
check "another seed" run 0 dvg-prepare render $small --seed 2 --out seed.h5
is "differs" "$(cmp -s r0.h5 seed.h5 && echo same || echo differs)" differs

expect_fail "unknown option" 2 "people-count" run 2 dvg-prepare render --people-count 3 --out x.h5
expect_fail "bad value" 2 "people.*(three|-1)" run 2 dvg-prepare render --people three --out x.h5
expect_fail "out of range" 2 "size" run 2 dvg-prepare render --size 3 --out x.h5
expect_fail "no --out" 2 "out" run 2 dvg-prepare render
expect_fail "unknown domain" 2 "UV" run 3 dvg-prepare render --domains VIS,UV --out x.h5
expect_fail "domain twice" 2 "VIS.*twice" run 3 dvg-prepare render --domains VIS,VIS --out x.h5
expect_fail "image numbers" 2 "image numbers end" run 2 dvg-prepare render --first-image 200000 --images 100000 --out x.h5
expect_fail "unknown command" 2 "draw" run 2 dvg-prepare draw
expect_fail "no command" 2 "command" run 2 dvg-prepare
expect_fail "the folder is a file" 4 "r0.h5" run 3 dvg-prepare render $small --out r0.h5/x.h5
mkdir folder.h5
expect_fail "the output is a folder" 4 "folder.h5" run 3 dvg-prepare render $small --out folder.h5
expect_fail "the sheet can't be written" 4 "r0.h5" run 3 dvg-prepare render $small --out x.h5 --sheet r0.h5/x.png
absent "nothing is left" x.h5
# A disk without room, as far as a test can have one: files may not grow beyond 20 MB. The signal is ignored in the program
# itself, since mpirun gives its children the default again.
cat >without_room <<END
#!/bin/bash
trap '' XFSZ
ulimit -f 20000
exec "$(tool dvg-prepare)" "\$@"
END
chmod +x without_room

# ---- pack

check "image files" run 0 make_images --out set --people 4
for n in 0 1 2 3 4; do check "pack on $n" run $n dvg-prepare pack --list set/list.txt --domains VIS,NIR --out "p$n.h5"; done
for n in 1 2 3 4; do check "pack is the same on $n" cmp p0.h5 "p$n.h5"; done
check "pack a folder" run 2 dvg-prepare pack --folder set --domains VIS,NIR --out folder_set.h5 --sheet folder.png
check "a folder is as good as its list" cmp p0.h5 folder_set.h5
check "where" run 2 dvg-prepare pack --list set/index.tsv --where "split=train" --out train.h5
says "half of the people" "8 images of 2 people in 2 domains, 72 x 72 x 3"
check "one domain" run 2 dvg-prepare pack --list set/index.tsv --domains NIR --size 72 --channels gray --out nir.h5
says "one channel" "8 images of 4 people in 1 domain, 72 x 72 x 1"
check "crop" run 2 dvg-prepare pack --list set/list.txt --fit center-crop --size 64 --out crop.h5
says "its size" "64 x 64 x 3"
check "fit by scaling" run 2 dvg-prepare pack --list set/list.txt --fit resize --size 50 --out fit.h5
check "more people" run 0 make_images --out people --people 9 --images 1
check "a sheet of large images" run 2 dvg-prepare pack --list people/list.txt --size 1024 --fit resize --channels gray --out l.h5 --sheet l.png
check "store smaller" run 2 dvg-prepare pack --list set/list.txt --size 72 --resize 36 --out half.h5
says "half the size" "36 x 36 x 3"
check "JPEG" run 0 make_images --out jpeg --people 2 --jpeg
check "pack JPEG" run 3 dvg-prepare pack --list jpeg/list.txt --out jpeg.h5
grep -v 'NIR.p01' set/list.txt >set/lonely.txt
check "people of one domain are kept" run 2 dvg-prepare pack --list set/lonely.txt --out lonely.h5
says "and counted" "warning: .*1 of 4 people have images in one domain only: kept here, left out when the generator is trained"
says "kept" "14 images of 4 people"

head -n 1 set/list.txt >set/first.txt
for n in 0 3; do
  expect_fail "disk full on $n" 4 "full.h5.*(large|space|write)" run $n ./without_room pack --list set/first.txt \
    --fit resize --size 4096 --out full.h5
  absent "disk full: no file" full.h5
done

# ---- pack: what is refused. An earlier result must survive.

cp p0.h5 out.h5
refused() { # name, exit code, pattern, arguments of pack
  local name=$1 code=$2 pattern=$3
  shift 3
  expect_fail "$name" "$code" "$pattern" run 3 dvg-prepare pack --out out.h5 "$@"
  absent "$name: no half file" out.h5.part
}
cp -r set bad
refused "missing list" 4 "bad/nothing.txt" --list bad/nothing.txt
refused "missing folder" 4 "bad/nothing" --folder bad/nothing
sed 's,p02/000.png,p02/gone.png,' set/list.txt >bad/gone.txt
refused "missing files" 4 "VIS/p02/gone.png.*No such file.*1 more" --list bad/gone.txt
head -c 2000 set/NIR/p01/001.png >bad/NIR/p01/001.png
refused "truncated PNG" 3 "NIR/p01/001.png" --list bad/list.txt
echo "this is no image" >bad/NIR/p01/001.png
refused "no image" 3 "NIR/p01/001.png" --list bad/list.txt
# One a block at this size, so that each of the three ranks meets one at the same time.
for i in 0 1 2; do head -c $((900 + i)) set/VIS/p00/000.png >bad/cut$i.png; done
sed -e '7s/[^ ]*/cut0.png/; 8s/[^ ]*/cut1.png/; 9s/[^ ]*/cut2.png/' set/list.txt >bad/cut.txt
refused "the first of three" 3 "cut0.png" --list bad/cut.txt --fit resize --size 512
sed 's,cut0.png,VIS/p03/000.png,' bad/cut.txt >bad/cut2.txt
refused "the first of two" 3 "rank 1 of 3.*cut1.png" --list bad/cut2.txt --fit resize --size 512
: >bad/NIR/p01/001.png
refused "empty file" 3 "NIR/p01/001.png" --list bad/list.txt
rm bad/NIR/p01/001.png && mkdir bad/NIR/p01/001.png
refused "a folder" 4 "NIR/p01/001.png" --list bad/list.txt
head -c 1500 jpeg/NIR/p01/001.jpg >jpeg/cut.jpg
sed 's/NIR.p01.001.jpg/cut.jpg/' jpeg/list.txt >jpeg/cut.txt
refused "truncated JPEG" 3 "cut.jpg" --list jpeg/cut.txt
sed '3s/ .*//' set/list.txt >bad/no_identity.txt
refused "line without identity" 3 "no_identity.txt:3: " --list bad/no_identity.txt
: >bad/empty.txt
refused "empty list" 3 "empty.txt" --list bad/empty.txt
mkdir bad/empty
refused "empty folder" 3 "bad/empty" --folder bad/empty
refused "no such domain" 3 "SKETCH" --list set/list.txt --domains VIS,SKETCH
refused "nothing selected" 3 "index.tsv" --list set/index.tsv --where "split=nowhere"
refused "no such column" 3 "fold" --list set/index.tsv --where "fold=1"
refused "list and folder" 2 "give one of --images, --list, --folder, --rec, --tar" --list set/list.txt --folder set
refused "neither" 2 "give one of --images, --list, --folder, --rec, --tar"
refused "fit without size" 2 "needs --size" --list set/list.txt --fit center-crop
refused "unknown fit" 2 "fit" --list set/list.txt --fit guess --size 64
refused "another size than asked for" 3 "VIS/p00/000.png: is 72 x 72, but --size says 64 x 64" --list set/list.txt --size 64
refused "too small for a crop" 3 "VIS/p00/000.png.*too small" --list set/list.txt --size 80 --fit center-crop

check "images of another size" run 0 make_images --out other --people 1 --size 60 --gray
cp set/list.txt set/mixed.txt
for d in VIS NIR; do for i in 000 001; do echo "$PWD/other/$d/p00/$i.png other $d"; done; done >>set/mixed.txt
refused "sizes differ" 3 "other/VIS/p00/000.png: is 60 x 60, but the first image .VIS/p00/000.png. is 72 x 72.*align.*--fit" \
  --list set/mixed.txt --channels gray
refused "channels differ" 3 "other/VIS/p00/000.png: is gray.* --channels" --list set/mixed.txt
check "unless chosen" run 2 dvg-prepare pack --list set/mixed.txt --fit resize --size 64 --channels rgb --out mixed.h5
check "the earlier result is untouched" cmp p0.h5 out.h5

# ---- pack --skip-bad

for n in 1 3; do
  check "skip-bad on $n" run $n dvg-prepare pack --list bad/gone.txt --skip-bad --out "skip$n.h5"
  says "what is left out" "3 of 16 files are bad and left out"
  says "what is left" "13 images of 4 people"
done
check "skip-bad of files that are no images" run 3 dvg-prepare pack --list bad/cut.txt --skip-bad --out cut.h5
says "are counted" "warning: .*4 of 16 files are bad and left out"
is "and no errors" "$(grep -c 'error:' "$output.err")" 0
check "skip-bad is the same on 3" cmp skip1.h5 skip3.h5
grep 'NIR.p01.001' bad/list.txt >bad/only.txt
expect_fail "nothing left" 3 "no good file is left" run 2 dvg-prepare pack --list bad/only.txt --skip-bad --out x.h5
absent "nothing left, no file" x.h5

# ---- align

check "larger pictures" run 0 make_images --out large --people 3 --size 256
for n in 1 3; do check "align on $n" run $n dvg-prepare align --list large/index.tsv --out "a$n.h5" --sheet align.png; done
check "align is the same on 3" cmp a1.h5 a3.h5
check "align to 72" run 2 dvg-prepare align --list large/index.tsv --size 72 --domains VIS --channels gray --out a72.h5
says "its size" "6 images of 3 people in 1 domain, 72 x 72 x 1"
expect_fail "no landmarks" 3 "VIS/p00/000.png: the list has no landmarks" run 3 dvg-prepare align --list large/list.txt --out x.h5
awk -F'\t' -v OFS='\t' 'NR == 4 { for (i = 5; i <= 14; i++) $i = 7 } { print }' large/index.tsv >large/flat.tsv
expect_fail "no face" 3 "VIS/p01/000.png: its landmarks" run 3 dvg-prepare align --list large/flat.tsv --out x.h5
awk -F'\t' -v OFS='\t' 'NR == 4 { $7 = "nan" } { print }' large/index.tsv >large/nan.tsv
expect_fail "not a number" 3 "nan.tsv:4: " run 3 dvg-prepare align --list large/nan.tsv --out x.h5
# A mouth above the eyes, and a landmark far away; the message may come from any rank.
awk -F'\t' -v OFS='\t' 'NR == 4 { $12 = $14 = 3 } NR == 9 { $9 = 9000 } { print }' large/index.tsv >large/odd.tsv
for n in 1 3; do
  expect_fail "a mouth above the eyes, on $n" 3 "VIS/p01/000.png: cannot align: the mouth is above" run $n dvg-prepare align \
    --list large/odd.tsv --out x.h5
done
check "align --skip-bad" run 3 dvg-prepare align --list large/odd.tsv --skip-bad --out odd.h5
says "leaves them out" "warning: .*2 of 12 files are bad and left out"
is "without an error" "$(grep -c 'error:' "$output.err")" 0
absent "align leaves nothing" x.h5
is "no temporary file anywhere" "$(find . -name '*.part')" ""
summary
