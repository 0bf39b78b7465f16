#!/bin/bash
# dvg-evaluate: the same results for every number of ranks, the protocol's choices, and what it refuses.
# limit: 240 seconds; takes: 55 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

# People 0 to 5 in both domains; people 4 to 7 as a set of their own, so that some are strangers to the first.
run 1 dvg-prepare render --people 6 --images 3 --size 72 --out toy.h5 >/dev/null || exit 1
run 1 dvg-prepare render --people 4 --first-person 4 --images 2 --size 72 --out other.h5 >/dev/null || exit 1
run 1 dvg-prepare render --people 3 --first-person 100 --images 1 --size 72 --out strangers.h5 >/dev/null || exit 1
run 1 dvg-prepare render --people 1 --images 2 --size 72 --out alone.h5 >/dev/null || exit 1
run 1 make_weights --width 0.125 --size 64 --out f.h5 >/dev/null || exit 1
run 1 make_weights --net identity_sampler --width 0.125 --size 64 --out s.h5 >/dev/null || exit 1
run 1 make_weights --net generator --width 0.125 --size 64 --out g.h5 >/dev/null || exit 1
evaluate() { run "$1" dvg-evaluate --weights f.h5 "${@:2}"; }
metric() { sed -n "s/.*\"$2\":\([^,}]*\).*/\1/p" "$1/metrics.json"; }

# ---- the same for every number of ranks
check "evaluates without mpirun" evaluate 0 --images toy.h5 --out r0 --name "toy \"world\""
for table in '^gallery +VIS: 18 images of 6 people' '^probes +NIR: 18 images of 6 people' '^scores +54 genuine, 270 impostor' \
  '^rank-1 +[0-9.]+ %' '^rank-10 +[0-9.]+ %' '^TAR at FAR .*conservative' '^  0.1 +[0-9.]+ %' '^  1e-05 +n/a: needs more impostors' \
  '^EER +[0-9.]+ %' '^AUC +[0-9.]+'; do
  says "prints a table" "$table"
done
for n in 1 2 3 4; do
  check "evaluates on $n ranks" evaluate $n --images toy.h5 --out "r$n" --name "toy \"world\""
  for f in metrics.json evaluation.h5 roc.tsv roc.png cmc.tsv cmc.png scores.png; do check "$f on $n ranks" cmp r0/$f "r$n/$f"; done
done
is "one line of JSON" "$(wc -l <r0/metrics.json)" 1
is "the name in JSON" "$(sed -n 's/^{"name":"toy \\"world\\"",.*/yes/p' r0/metrics.json)" yes
is "TAR that can't be measured" "$(metric r0 1e-05)" null
is "ROC ends with all accepted" "$(tail -n 1 r0/roc.tsv | cut -f 1,2)" "$(printf '1\t1')"
is "ROC has a header" "$(head -n 1 r0/roc.tsv)" "$(printf 'far\ttar\tthreshold')"
check "its artifact is intact" run 1 dvg-inspect r0/evaluation.h5 --verify
says "lineage" '^ +images +toy.h5 +sha256 [0-9a-f]{64}'

# ---- more ranks than probes, more ranks than images
check "few images on 1" evaluate 1 --images strangers.h5 --out few1
check "few images on 4" evaluate 4 --images strangers.h5 --out few4
check "few images alike" cmp few1/evaluation.h5 few4/evaluation.h5
is "rank-5 of a gallery of 3" "$(metric few1 rank_5)" null

# ---- choosing the gallery
check "one gallery image a person" evaluate 2 --images toy.h5 --gallery-per-person 1 --out g1
is "is one a person" "$(metric g1 gallery_images)" 6
check "first images" evaluate 1 --images toy.h5 --gallery-per-person 2 --out g2
check "drawn images" evaluate 1 --images toy.h5 --gallery-per-person 2 --gallery-choice random --seed 5 --out d2
check "drawn images on 3 ranks" evaluate 3 --images toy.h5 --gallery-per-person 2 --gallery-choice random --seed 5 --out d2b
is "two a person" "$(metric d2 gallery_images)" 12
check "drawn alike" cmp d2/evaluation.h5 d2b/evaluation.h5
check "drawn differ from the first" test "$(metric d2 auc)" != "$(metric g2 auc)"
check "one domain against itself" evaluate 2 --images toy.h5 --probe-domain VIS --gallery-per-person 1 --out vis
is "what is no gallery image is a probe" "$(metric vis probe_images)" 12
check "domains the other way round" evaluate 1 --images toy.h5 --gallery-domain NIR --probe-domain VIS --out back

# ---- two files: people are matched by name
check "the same file twice" evaluate 2 --gallery-images toy.h5 --probe-images toy.h5 --out twice --name "toy \"world\""
check "is the same" cmp r0/metrics.json twice/metrics.json
cp toy.h5 copy.h5
check "a copy of the file" evaluate 1 --images toy.h5 --probe-images copy.h5 --out copied --name "toy \"world\""
check "is the same too" cmp r0/metrics.json copied/metrics.json
check "two files" evaluate 3 --images toy.h5 --probe-images other.h5 --out two
says "says who is a stranger" '4 probes show people without gallery image'
is "counts strangers" "$(metric two probes_without_gallery)" 4
is "their scores are impostors" "$(metric two genuine)/$(metric two impostor)" 12/132

# ---- FARs
check "a FAR of one's own" evaluate 1 --images toy.h5 --far 0.5,0.05 --out far
is "is reported" "$(sed -n 's/.*"tar_at_far":{"0.5":[0-9.e-]*,"0.05":[0-9.e-]*}.*/yes/p' far/metrics.json)" yes
expect_fail "a FAR that needs more impostors" 2 'far 0\.0001 needs 10000 impostor scores, there are 270' \
  evaluate 2 --images toy.h5 --far 0.1,1e-4 --out nofar
expect_fail "a FAR that is none" 2 "'x' is no rate" evaluate 2 --images toy.h5 --far 0.1,x --out nofar
expect_fail "a FAR of 0" 2 "'0' is no rate" evaluate 1 --images toy.h5 --far 0 --out nofar
absent "nothing is written then" nofar nofar/evaluation.h5

# ---- intervals, both conventions, the cumulative match characteristic
is "an interval a FAR" "$(sed -n 's/.*"tar_at_far_interval":{"0.1":\[[0-9.]*,[0-9.]*\],"0.01":\[[0-9.]*,[0-9.]*\],"0.001":\[null,null\].*/yes/p' r0/metrics.json)" yes
check "the other convention" evaluate 2 --images toy.h5 --far-convention liberal --bootstrap 0 --out liberal
says "is named" '^TAR at FAR .*liberal'
is "and without intervals" "$(sed -n 's/.*"rank_1_interval":\[null,null\].*/yes/p' liberal/metrics.json)" yes
is "CMC of 18 images" "$(wc -l <r0/cmc.tsv)" 19
is "CMC begins at rank-1" "$(sed -n '2s/^1\t//p' r0/cmc.tsv | cut -c 1-6)" "$(metric r0 rank_1 | cut -c 1-6)"
is "CMC ends with all" "$(tail -n 1 r0/cmc.tsv)" "$(printf '18\t1')"

# ---- two recognisers
run 1 make_weights --width 0.125 --size 64 --seed 2 --out f2.h5 >/dev/null || exit 1
for n in 0 3; do
  check "against another on $n" run $n dvg-evaluate --images toy.h5 --weights f2.h5 --against r0 --out against$n
done
says "prints the comparison" '^against +toy "world"'
says "McNemar" "at rank 1 here alone [0-9]+, there alone [0-9]+: p [0-9.e-]+, McNemar's exact test"
check "against: alike" diff -r against0 against3
check "the other way round" evaluate 2 --images toy.h5 --against against0 --out back_again
difference() { sed -n 's/.*"against":.*"rank_1":{"difference":\([^,]*\),"low":\([^,]*\),"high":\([^,]*\),.*/\1 \2 \3/p' "$1/metrics.json"; }
is "is the negative" "$(difference back_again | awk '{ print $1 + 0, $2 + 0, $3 + 0 }')" "$(difference against0 | awk '{ print -$1, -$3, -$2 }')"
is "here and there change places" "$(metric back_again only_here)/$(metric back_again only_there)" \
  "$(metric against0 only_there)/$(metric against0 only_here)"
check "against itself" evaluate 1 --images toy.h5 --against r0 --out itself
is "no difference" "$(difference itself)" "0 0 0"
expect_fail "another gallery" 3 'g1/evaluation.h5: is of another gallery' evaluate 2 --images toy.h5 --against g1 --out no
expect_fail "other images" 3 'few1/evaluation.h5: its gallery_digest is another one' evaluate 2 --images toy.h5 --against few1 --out no
expect_fail "another seed" 3 'r0/evaluation.h5: its seed is 1, not 2' evaluate 2 --images toy.h5 --seed 2 --against r0 --out no
expect_fail "another convention" 3 'its far_convention is another one' evaluate 2 --images toy.h5 --far-convention liberal --against r0 --out no
expect_fail "no evaluation" 4 'absent/evaluation.h5: cannot open' evaluate 3 --images toy.h5 --against absent --out no

# ---- what several trainings gain
gains() { run "$1" dvg-evaluate "${@:2}"; }
mean_figures() { sed -n 's/.*"rank_1":{"each":\[\([^]]*\)\],"mean":{"difference":\([^,]*\),"low":\([^,]*\),"high":\([^,]*\),"p":\([^}]*\)}}.*/\1 \2 \3 \4/p' "$1/mean.json"; }
for n in 0 3; do check "the mean of one on $n" gains $n --mean-of against0 --against r0 --out "mean$n"; done
says "says of which" '^mean of +against0/evaluation.h5 against r0/evaluation.h5'
check "alike" cmp mean0/mean.json mean3/mean.json
is "is what that one says" "$(mean_figures mean0)" "$(difference against0 | sed 's/^\([^ ]*\)/\1 \1/')"
check "the mean of one and its opposite" gains 2 --mean-of against0,back_again --against r0,against0 --out opposite
is "is nothing" "$(mean_figures opposite | cut -d ' ' -f 2-)" "0 0 0"
is "of two differences" "$(mean_figures opposite | cut -d ' ' -f 1 | awk -F, '{ print NF, $1 + $2 }')" "2 0"
check "of other images" gains 2 --mean-of against0,few1 --against r0,few1 --out apart
is "as many FARs as all have" "$(sed -n 's/.*"tar_at_far":{"0.1":.*"0.01".*/more/p' apart/mean.json)" ""
expect_fail "lists of other lengths" 2 'mean-of names 2 evaluations, --against 1' gains 2 --mean-of r0,r1 --against r0 --out no
expect_fail "against nothing" 2 'mean-of needs --against' gains 2 --mean-of r0 --out no
expect_fail "with images" 2 'goes with no images' evaluate 2 --images toy.h5 --mean-of r0 --against r1 --out no
expect_fail "two galleries" 3 'g1/evaluation.h5: is of another gallery' gains 2 --mean-of r0 --against g1 --out no
expect_fail "two conventions" 3 'liberal/evaluation.h5: its far_convention is another one' gains 1 --mean-of r0,liberal --against r0,liberal --out no
expect_fail "one that isn't there" 4 'absent/evaluation.h5: cannot open' gains 2 --mean-of r0,absent --against r0,r0 --out no
absent "nothing is written then" no/mean.json

# ---- a protocol as a file
check "the images' list" run 0 dvg-inspect toy.h5 --export folder --out exported
# fold NAME FILTER: lines of a protocol, of the lines of the list (image, person, domain, ...) that the awk condition FILTER lets pass.
fold() { awk -F '\t' -v fold="$1" 'NR > 1 && ('"$2"') { printf "%s\t%s\t#%d\n", fold, $3 == "VIS" ? "gallery" : "probe", NR - 2 }' exported/list.tsv; }
fold all 1 >one.tsv
{ echo "# three folds"; echo; fold a 1; fold b 'NR < 26'; fold c 'NR > 14 || $3 == "VIS"'; } >three.tsv
check "one fold" evaluate 2 --images toy.h5 --protocol one.tsv --out one
for m in rank_1 rank_5 auc eer; do is "one fold: $m" "$(metric one/fold-all $m)" "$(metric r0 $m)"; done
for n in 0 1 3; do check "three folds on $n" evaluate $n --images toy.h5 --protocol three.tsv --far 0.1 --out "three$n"; done
says "mean and deviation" '^rank_1 +[0-9.]+ \+- [0-9.]+ %'
for n in 1 3; do check "three folds: alike on $n" diff -r three0 "three$n"; done
is "a line a fold" "$(cut -f 1 three0/folds.tsv | tr '\n' ' ')" "fold a b c mean deviation "
is "mean and deviation of rank-1" "$(awk -F '\t' 'NR > 1 && NR < 5 { n++; s += $2; q += $2 * $2 }
  END { printf "%.6f %.6f", s / n, sqrt((q - s * s / n) / (n - 1)) }' three0/folds.tsv)" \
  "$(awk -F '\t' '$1 == "mean" { m = $2 } $1 == "deviation" { printf "%.6f %.6f", m, $2 }' three0/folds.tsv)"
is "in JSON" "$(sed -n 's/.*"folds":3,.*"rank_1":{"mean":\([^,]*\),.*/\1/p' three0/metrics.json | cut -c 1-8)" \
  "$(awk -F '\t' '$1 == "mean" { print $2 }' three0/folds.tsv | cut -c 1-8)"
check "folds against folds" run 2 dvg-evaluate --images toy.h5 --weights f2.h5 --protocol three.tsv --far 0.1 --against three0 --out three_against
is "each against its own" "$(grep -c '"against":' three_against/fold-*/metrics.json | grep -c ':1$')" 3
# Images by their names, as the list gives where each comes from; people of two files are matched by name.
{
  awk -F '\t' 'NR == 26 || NR == 32 { printf "x\tgallery\t%s\n", $16 }' exported/list.tsv
  printf 'x\tprobe\t#0\nx\tprobe\t#1\n'
} >two.tsv
check "two files" evaluate 2 --gallery-images toy.h5 --probe-images other.h5 --protocol two.tsv --out two_files
is "their scores" "$(metric two_files/fold-x genuine)/$(metric two_files/fold-x impostor)" 2/2
bad_fold() { # name, exit code, message, protocol
  printf '%b' "$4" >bad.tsv
  expect_fail "$1" "$2" "$3" evaluate 2 --images toy.h5 --protocol bad.tsv --out no
}
bad_fold "a list without tabs" 3 "bad.tsv:1: is not a fold, gallery or probe, and an image" 'a gallery #1\n'
bad_fold "neither gallery nor probe" 3 "bad.tsv:2: 'proben' is neither gallery nor probe" 'a\tgallery\t#1\na\tproben\t#2\n'
bad_fold "an image that isn't there" 3 "bad.tsv:1: toy.h5 has no image '#36'" 'a\tgallery\t#36\n'
bad_fold "an image twice" 3 "bad.tsv: fold a names image '.*' twice as gallery" 'a\tgallery\t#1\na\tgallery\t#1\na\tprobe\t#2\n'
bad_fold "in the gallery and a probe" 3 "bad.tsv: fold a has image '.*' in the gallery and as a probe" 'a\tgallery\t#1\na\tprobe\t#1\n'
bad_fold "no probes" 3 "bad.tsv: fold a has no probe images" 'a\tgallery\t#1\n'
bad_fold "a fold that is a path" 3 "bad.tsv:1: '../a' is no name of a fold" '../a\tgallery\t#1\n'
bad_fold "an empty list" 3 "bad.tsv: names no images" '# nothing\n'
bad_fold "one person" 3 "fold a: gallery and probes show one person only" 'a\tgallery\t#0\na\tprobe\t#1\n'
expect_fail "not CASIA" 3 'three.tsv: has 3 folds, CASIA NIR-VIS 2.0 has 10' \
  evaluate 2 --images toy.h5 --protocol three.tsv --benchmark casia-nir-vis-2 --out no
for f in 1 2 3 4 5 6 7 8 9 10; do fold $f 1; done >ten.tsv
expect_fail "not CASIA's galleries" 3 'ten.tsv: fold 1, number 1, has 18 gallery images, that of CASIA NIR-VIS 2.0 has 358' \
  evaluate 2 --images toy.h5 --protocol ten.tsv --benchmark casia-nir-vis-2 --out no
expect_fail "no protocol" 4 'absent.tsv' evaluate 3 --images toy.h5 --protocol absent.tsv --out no
expect_fail "a benchmark of nothing" 2 'benchmark checks a list' evaluate 2 --images toy.h5 --benchmark casia-nir-vis-2 --out no

# ---- generated pairs
check "generates" run 1 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 21 --per-shard 8 --out pairs
for n in 1 2 3 4; do check "judges pairs on $n ranks" evaluate $n --pairs pairs --out "p$n"; done
says "prints MS" '^MS +-?[0-9.]+'
says "prints MIS" '^MIS +-?[0-9.]+'
says "prints the cosine to the identity" '^to identity +-?[0-9.]+ +mean cosine of VIS'
for n in 2 3 4; do check "pairs on $n ranks" cmp p1/evaluation.h5 "p$n/evaluation.h5"; done
for n in 2 3 4; do check "pairs' JSON on $n ranks" cmp p1/metrics.json "p$n/metrics.json"; done
check "a sample of the pairs" evaluate 2 --pairs pairs --pairs-sample 5 --out sample
is "is as large as asked" "$(metric sample sampled)/$(metric sample items)" 5/21
cp -r pairs dropped
check "a person revoked" run 0 dvg-generate --bank toy.h5 --out dropped --revoke drop --revoke-people "#0"
drew=$(sed -n 's/^dropped: \([0-9]*\) of 21 pairs drew on .*/\1/p' "$output")
check "without rejected pairs" evaluate 2 --pairs dropped --out rejected
is "are as many as were written" "$(metric rejected items)" $((21 - drew))
if [ "$drew" -gt 0 ]; then report good; else report bad "a person revoked" "nobody drew on them"; fi
check "images and pairs together" evaluate 2 --images toy.h5 --pairs pairs --out both
# A used folder: what another run left and this one doesn't make goes, and evaluation.h5 first of all.
cp -r both used
check "pairs alone into the same folder" evaluate 2 --pairs pairs --out used
is "leaves no ROC of the other run" "$(ls used | tr '\n' ' ')" "evaluation.h5 metrics.json scores.h5 "
check "is that of a new folder" cmp p1/evaluation.h5 used/evaluation.h5
rm -r used && cp -r both used && rm used/roc.png && mkdir used/roc.png
expect_fail "a plot that can't be written" 4 'used/roc.png' evaluate 2 --images toy.h5 --out used
absent "no evaluation of another run beside new metrics" used/evaluation.h5
is "have both" "$(metric both ms)/$(metric both auc)" "$(metric p1 ms)/$(metric r0 auc)"

# ---- what is refused
expect_fail "missing images" 4 'absent.h5: cannot open' evaluate 3 --images absent.h5 --out no
expect_fail "missing weights" 4 'absent.h5: cannot open' run 3 dvg-evaluate --images toy.h5 --weights absent.h5 --out no
expect_fail "another network" 3 "s.h5: holds the network 'identity_sampler'" run 2 dvg-evaluate --images toy.h5 --weights s.h5 --out no
run 1 make_weights --width 0.125 --size 96 --out large.h5 >/dev/null || exit 1
expect_fail "images too small" 3 'toy.h5: images of 72 x 72 are smaller than the 96 x 96' \
  run 3 dvg-evaluate --images toy.h5 --weights large.h5 --out no
expect_fail "pairs too small" 3 'pairs: images of 64 x 64 are smaller than the 96 x 96' \
  run 3 dvg-evaluate --pairs pairs --weights large.h5 --out no
expect_fail "another schema" 3 "f.h5: is a 'weights' file, not 'images'" evaluate 2 --images f.h5 --out no
expect_fail "no weights" 2 'weights' run 2 dvg-evaluate --images toy.h5 --out no
expect_fail "nothing to evaluate" 2 'nothing to evaluate' evaluate 2 --out no
expect_fail "pairs against an evaluation" 2 'against compares recognition' evaluate 2 --pairs absent --against r0 --out no
expect_fail "probes alone" 2 'probe-images needs' evaluate 2 --probe-images toy.h5 --out no
expect_fail "an unknown gallery domain" 3 'toy.h5.*SKETCH' evaluate 2 --images toy.h5 --gallery-domain SKETCH --out no
expect_fail "an unknown probe domain" 3 'toy.h5.*SKETCH' evaluate 2 --images toy.h5 --probe-domain SKETCH --out no
expect_fail "an unknown option" 2 'unknown option --nonsense' evaluate 2 --images toy.h5 --nonsense 1 --out no
expect_fail "a bad value" 2 'gallery-per-person' evaluate 2 --images toy.h5 --gallery-per-person -1 --out no
expect_fail "no probes left" 3 'there are no probes' evaluate 2 --images toy.h5 --probe-domain VIS --out no
expect_fail "only strangers" 3 'shows a person of the gallery' evaluate 2 --images toy.h5 --probe-images strangers.h5 --out no
expect_fail "one person only" 3 'one person only' evaluate 2 --images alone.h5 --out no
# With a network that gives vectors without length, embedding the images would be the first error.
if /usr/bin/python3 -c 'import h5py' 2>/dev/null; then
  cp f.h5 zero.h5
  /usr/bin/python3 -c 'import h5py
for k in "fc.weight", "fc.bias": h5py.File("zero.h5", "r+")[k][...] = 0'
  expect_fail "no embeddings" 6 'has no embedding' run 2 dvg-evaluate --weights zero.h5 --images toy.h5 --out no
  expect_fail "no pair set is said before" 4 'absent/index.h5: cannot open' run 2 dvg-evaluate --weights zero.h5 --images toy.h5 \
    --pairs absent --out no
else skip "no pair set is said before images are embedded: no h5py"; fi
expect_fail "no pair set" 4 'absent/index.h5: cannot open' evaluate 3 --pairs absent --out no
head -c 30000 toy.h5 >cut.h5
expect_fail "truncated images" 3 'cut.h5: .*truncated' evaluate 2 --images cut.h5 --out no
expect_fail "an output folder that can't be" 4 'f.h5' evaluate 3 --images toy.h5 --out f.h5/no
absent "nothing is left of it" no/evaluation.h5 no/metrics.json
cp -r pairs broken && rm broken/shard-000001.h5
expect_fail "a pair set without a shard" 4 'broken/shard-000001.h5: cannot open' evaluate 1 --pairs broken --out no

summary
