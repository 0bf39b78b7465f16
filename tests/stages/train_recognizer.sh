#!/bin/bash
# dvg-train-recognizer: the same bits for any number of ranks and after any interruption, in pre-training and in both phases; its
# log, sheets and dumps; what is refused.
# limit: 480 seconds; takes: 80 seconds
. "$(dirname "$0")/lib_train.sh"

check "images" run 0 dvg-prepare render --people 5 --images 2 --size 36 --out toy.h5
check "weights to start from" run 0 make_weights --width 0.05 --size 32 --seed 3 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
check "pairs" run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 11 --per-shard 4 --out pairs

base="--images toy.h5 --jitter 0.5"
# shellcheck disable=SC2086 # words
train() { run "$1" dvg-train-recognizer $base $settings --out "$2" "${@:3}"; }
# shellcheck disable=SC2086
start() { launch "$1" dvg-train-recognizer $base $settings --out "$2" "${@:3}"; }
stop() { # name, step, command...
  "${@:3}" >"$output" 2>"$output.err" </dev/null
  is "$1" $? 75
  says "$1: says so" "stopped after step $2 of"
}
on_ranks() { # name, what is trained with --dump-step 4
  for n in 0 1 2 3 4; do
    check "$1 on $n" train $n "$1$n" --dump-step 4 --dump "$1$n.h5"
    [ $n = 0 ] || same "$1 on $n" "$1$n" "${1}0"
    [ $n = 0 ] || same_log "$1 on $n" "$1$n" "${1}0"
    [ $n = 0 ] || check "$1 on $n: the dump" cmp "$1$n.h5" "${1}0.h5"
    [ $n = 0 ] || check "$1 on $n: the sheets" diff -r "$1$n/sheets" "${1}0/sheets"
  done
  check "$1 on 8" train 8 "${1}8"
  same "$1 on 8" "${1}8" "${1}0"
  for f in "${1}2"/sheets/*.png; do is_png "$f" "$f"; done
}

# ---- pre-training: 10 visible images in steps of 6 in 3 micro-batches; a fourth rank has no work

files="recognizer.h5 pretrain.checkpoint.h5"
pretrain="--pretrain --size 32 --width 0.05 --batch 6 --micro-batch 2 --rate 0.0005 --flip --log-every 3 --sheet-every 4"
settings="$pretrain --steps 8"
on_ranks pretrain
is "pretrain: the files" "$(cd pretrain2 && find . -type f | sort | tr '\n' ' ')" \
  "./log.jsonl ./pretrain.checkpoint.h5 ./recognizer.h5 ./sheets/pretrain-000004.png ./sheets/pretrain-000008.png "
check_log "pretrain: the log" pretrain2 classification
check "pretrain: is a weight file" run 0 dvg-inspect pretrain2/recognizer.h5 --verify
says "pretrain: of a recogniser" "lightcnn29v2, width 0.05, size 32"
stop "pretrain: stops" 3 train 3 stopped --stop-after 3
absent "pretrain: no weights yet" stopped/recognizer.h5
check_dump "pretrain: the dump" pretrain0.h5 stopped/pretrain.checkpoint.h5 "image label item" classification
stop "pretrain: stops again, on 8" 5 train 8 stopped --stop-after 5
check "pretrain: goes on" train 2 stopped
same "pretrain: stopped" stopped pretrain0
check "from other weights" train 2 started --start f.h5
check "from other weights on 1" train 1 started1 --start f.h5
same "from other weights" started started1
check "with Adam and a falling rate" train 3 adam --optimizer adam --schedule cosine --weight-decay 0.01
check "with Adam on 1" train 1 adam1 --optimizer adam --schedule cosine --weight-decay 0.01
same "with Adam" adam adam1
for o in sgd adam; do
  [ $o = sgd ] && by_hand=0.00025 || by_hand=0.0005
  check "the rate of a batch, $o" train 2 scaled-$o --optimizer $o --rate 0.001 --rate-batch 24 --rate-warmup 4
  check "the same by hand, $o" train 0 by_hand-$o --optimizer $o --rate $by_hand --rate-warmup 4
  same_log "the rate of a batch, $o" scaled-$o by_hand-$o
done
check "two people" run 0 dvg-prepare render --people 2 --images 1 --size 36 --out couple.h5
for n in 1 8; do check "two images on $n" train $n few$n --images couple.h5 --batch 3 --micro-batch 1; done
same "two images" few8 few1
check "more in a step than there is" train 3 large --batch 24 --micro-batch 3 --steps 2
check "more in a step than there is, on 8" train 8 large8 --batch 24 --micro-batch 3 --steps 2
same "more in a step than there is" large large8
check "by epochs" train 2 epochs --steps 0 --epochs 3
says "steps by epochs" "pretrain 3 of 3"
check "more in a micro-batch than a sheet can show" train 1 crowd --steps 1 --batch 300 --micro-batch 300

# ---- a teacher: rows of all 20 images; in another order with the images' names

if [ $has_h5py = yes ]; then
  cat >teacher.py <<'END'
import h5py, numpy
names = [text.decode() for text in h5py.File("toy.h5")["name"][()]]
feature = numpy.random.RandomState(1).standard_normal((len(names), 12)).astype("f4")
def write(path, feature, names=None):
    with h5py.File(path, "w") as file:
        file["feature"] = feature
        if names is not None: file["path"] = names
write("teacher.h5", feature)
order = numpy.random.RandomState(2).permutation(len(names))
write("named.h5", feature[order], [names[i] for i in order])
write("few.h5", feature[:-1])
write("strangers.h5", feature, ["nobody"] * len(names))
broken = feature.copy()
broken[5, 3] = numpy.inf
write("broken.h5", broken)
END
  check "teachers" $python teacher.py
  check "by teacher and labels" train 2 taught --distill teacher.h5 --dump-step 1 --dump taught.h5
  check_log "by teacher and labels: the log" taught "classification teacher length"
  check "by teacher and labels on 1" train 1 taught1 --distill teacher.h5
  same "by teacher and labels" taught taught1
  check "by the teacher's names" train 2 named --distill named.h5
  check "by teacher alone" train 3 alone --distill teacher.h5 --labels 0 --distill-weight 2 --dump-step 4 --dump alone.h5
  check_log "by teacher alone: the log" alone "teacher length"
  stop "by teacher alone: stops" 3 train 2 alone_stopped --distill teacher.h5 --labels 0 --distill-weight 2 --stop-after 3
  check_dump "by teacher alone: the dump" alone.h5 alone_stopped/pretrain.checkpoint.h5 "image target" "teacher length"
  check "by teacher alone: goes on" train 1 alone_stopped --distill teacher.h5 --labels 0 --distill-weight 2
  same "by teacher alone" alone_stopped alone
  expect_fail "a short teacher" 3 "few.h5: has 19 features for 20 images" train 2 x --distill few.h5
  expect_fail "a teacher of others" 3 "strangers.h5: has no embedding of image" train 2 x --distill strangers.h5
  expect_fail "a teacher with infinity" 3 "broken.h5: feature of image 5 is not finite" train 2 x --distill broken.h5
else skip "teachers: $python has no h5py"; fi
expect_fail "no teacher" 4 "nothing.h5" train 2 x --distill nothing.h5
expect_fail "a teacher without features" 3 "toy.h5.*feature" train 2 x --distill toy.h5

# ---- pre-training, killed at any instant

settings="$pretrain --steps 80"
check "undisturbed" train 2 whole
survives 2 KILL 1 "[1-9][0-9]*" killed_rank whole
survives 2 TERM job "75|143|1" terminated_job whole
echo "half of a file" >whole/pretrain.checkpoint.h5.part
check "a finished training cleans up" train 2 whole
absent "a finished training cleans up" whole/pretrain.checkpoint.h5.part

# ---- both phases: the classifier alone for 5 steps, then all for 6

files="recognizer.h5 phase1.checkpoint.h5 phase2.checkpoint.h5"
both="--start f.h5 --domain NIR --pairs pairs --generated 6 --head-epochs 1 --head-batch 4 --batch 6 --micro-batch 2 --log-every 3 --sheet-every 4"
settings="$both --steps 6 --contrast both --contrast-weight 0.5"
on_ranks both
check_log "both: the log" both2 "classification pull push push_back"
is "both: its lines" "$(sed 's/.*"phase":"\(.*\)","step":\([0-9]*\),.*/\1-\2/' both2/log.jsonl | tr '\n' ' ')" \
  "phase1-3 phase1-5 phase2-3 phase2-6 "
stop "phase II: stops" 3 train 3 late --head-epochs 1 --stop-after 3 # phase I has this step too
check "phase II: starts" grep -q . late/phase1.checkpoint.h5
absent "phase I comes first" late/phase2.checkpoint.h5
stop "phase II: stops again" 1 train 2 late --stop-after 1
stop "phase II: and again" 2 train 8 late --stop-after 2
stop "phase II: once more" 3 train 1 late --stop-after 3
check_dump "phase II: the dump" both0.h5 late/phase2.checkpoint.h5 "image label item negative" "classification pull push push_back"
check "phase II: goes on" train 2 late
says "phase I: is there" "phase1: continuing after step 5 of 5"
same "phase II: stopped" late both0
check_log "phase II: its log" late "classification pull push push_back"
if [ $has_h5py = yes ]; then
  check "phase I trains the classifier alone" $python -c '
import h5py
before, after = h5py.File("f.h5"), h5py.File("late/phase1.checkpoint.h5")
names = [name for name in before if name.endswith(("weight", "bias")) and not name.startswith("fc2_")]
assert len(names) > 50
assert all((before[name][()] == after["weight/recognizer." + name][()]).all() for name in names)
assert {name.split(".")[0] for name in after["moment1"]} == {"head"}'
else skip "phase I trains the classifier alone: $python has no h5py"; fi
# A step of more than there is, with fewer photographs and pairs than ranks.
check "two pairs" run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 2 --out two
for n in 1 8; do
  check "both: few on $n" train $n few_both$n --images couple.h5 --pairs two --generated 12 --head-batch 12 --batch 12 --micro-batch 2 --steps 3
done
same "both: few" few_both8 few_both1
for c in public:"classification pull push" pull:"classification pull" none:"classification"; do
  kind=${c%%:*} pairs=pairs
  [ $kind = none ] && pairs=""
  check "$kind" train 2 $kind --contrast $kind --pairs "$pairs"
  check_log "$kind: the log" $kind "${c#*:}"
  check "$kind on 1" train 1 ${kind}1 --contrast $kind --pairs "$pairs"
  same "$kind" $kind ${kind}1
done
# Rejected pairs have no images: nobody learns from them.
cp -r pairs dropped
check "two people revoked" run 0 dvg-generate --bank toy.h5 --out dropped --revoke drop --revoke-people '#0,#1'
check "with rejected pairs" train 2 rejected --pairs dropped --jitter 0 --dump-step 4 --dump rejected.h5
says "says how many" "^dropped: [3-9] pairs; [2-8] were rejected$"
if [ $has_h5py = yes ]; then
  check "with rejected pairs: black images are not learnt from" $python -c '
import h5py
inputs = h5py.File("rejected.h5")["input"]
images = [inputs[micro]["image"][()].reshape(-1, 32 * 32) for micro in inputs]
assert sum(len(x) for x in images) == 6 + 2 * 6 and all((x.std(axis=1) > 0).all() for x in images)'
else skip "with rejected pairs: $python has no h5py"; fi
# Real pairs beside generated ones, and alone.
settings="$settings --jitter 0 --real-pairs 0.5"
on_ranks mixed
stop "mixed: stops" 2 train 3 mixed_late --stop-after 2
check "mixed: goes on" train 1 mixed_late
same "mixed: stopped" mixed_late mixed0
settings="$settings --pairs= --real-pairs 1"
on_ranks own
check_log "real pairs alone: the log" own2 "classification pull push push_back"
if [ $has_h5py = yes ]; then
  cat >real_pairs.py <<'END_OF_PYTHON'
# real_pairs.py DUMP N: the first N of two pairs in each micro-batch are crops of one person's images in NIR and in VIS, of different people.
import sys
import h5py, numpy as np

images = h5py.File("toy.h5")
domains = [name.decode() for name in images["domain_name"][()]]
gray = images["image"][()].astype(np.float64) @ [0.299, 0.587, 0.114] / 255

def source_of(plane):
    for k in range(len(gray)):
        for top in range(5):
            for left in range(5):
                if np.abs(gray[k, top : top + 32, left : left + 32] - plane).max() < 2e-3:
                    return images["identity"][k], domains[images["domain"][k]]
    return None

inputs, n = h5py.File(sys.argv[1])["input"], int(sys.argv[2])
assert len(inputs) == 3
for micro in inputs:
    planes = inputs[micro]["image"][()].reshape(-1, 32, 32)  # two images, two pairs in NIR, and in VIS
    assert len(planes) == 6
    people = []
    for i in range(2):
        one, other = source_of(planes[2 + i]), source_of(planes[4 + i])
        if i < n:
            assert one and other and one[0] == other[0] and (one[1], other[1]) == ("NIR", "VIS"), (one, other)
            people.append(one[0])
        else:
            assert one is None and other is None, (one, other)
    assert len(set(people)) == n, people
END_OF_PYTHON
  check "real pairs beside generated ones" $python real_pairs.py mixed0.h5 1
  check "real pairs alone" $python real_pairs.py own0.h5 2
else skip "real pairs: $python has no h5py"; fi
bad_real() { expect_fail "$1" "$2" "$3" train 2 refused "${@:4}"; }
bad_real "too few people" 3 "toy.h5: 5 people in both domains are too few for 6 real pairs in a micro-batch" --generated 18
bad_real "a part for generated pairs that aren't given" 2 "--real-pairs 0.5 leaves a part for --pairs, which are not given" --real-pairs 0.5
bad_real "a part that is none" 2 "--real-pairs 0.1 of 2 pairs in a micro-batch are none, or all" --real-pairs 0.1 --pairs pairs
bad_real "pairs for nothing" 2 "--pairs are not used with .*--real-pairs 1" --pairs pairs
bad_real "real pairs for nothing" 2 "--real-pairs are not used with" --contrast none
settings="$both --steps 6 --contrast both --contrast-weight 0.5"

check "without phase I" train 2 direct --head-epochs 0
absent "without phase I" direct/phase1.checkpoint.h5
check "faces of 4, one in visible light only" run 0 make_images --people 4 --images 2 --size 36 --out set
grep -v "p03.* NIR" set/list.txt >set/lonely.txt
check "their images" run 0 dvg-prepare pack --list set/lonely.txt --out lonely.h5
check "people of one domain" train 1 lonely --images lonely.h5 --steps 1
says "people of one domain: says so" "3 people in both NIR and VIS, 1 in one of them only, who are trained on as well; 14 images"
settings="$both --steps 60"
check "undisturbed" train 2 two_phases
files="recognizer.h5 phase1.checkpoint.h5" # the last one is what a kill waits for: that of phase I
survives 2 KILL all 137 killed_in_phase1 two_phases
files="recognizer.h5 phase1.checkpoint.h5 phase2.checkpoint.h5"
survives 2 KILL 1 "[1-9][0-9]*" killed_in_phase2 two_phases
survives 2 TERM 1 75 terminated two_phases
settings="$both --steps 6 --contrast both --contrast-weight 0.5"

# The weights of another run are not replaced: those to start from, in the folder of their training.
check "keeps" cp -r pretrain1 kept
expect_fail "into the folder of the start" 3 "pretrain1/recognizer.h5: .*other settings" train 2 pretrain1 --start pretrain1/recognizer.h5
check "into the folder of the start: nothing has changed" diff -r pretrain1 kept

# ---- what is refused

bad() { # name, code, pattern, further arguments
  expect_fail "$1" "$2" "$3" train 2 x "${@:4}"
  absent "$1: no weights" x/recognizer.h5
}
check "one domain" run 0 dvg-prepare render --people 3 --images 2 --domains VIS --size 36 --out vis.h5
check "small images" run 0 dvg-prepare render --people 2 --images 1 --size 24 --out small.h5
check "other domains" run 0 make_weights --net generator --width 0.05 --size 32 --domains sketch,vis --out sketch.h5
check "sketches" run 0 dvg-prepare render --people 2 --images 1 --domains VIS,SKETCH --size 36 --out sketches.h5
check "pairs of sketches" run 0 dvg-generate --generator sketch.h5 --sampler s.h5 --bank sketches.h5 --domain SKETCH --count 5 --out sketch_pairs
check "a larger net" run 0 make_weights --width 0.05 --size 64 --out f64.h5
check "large images" run 0 dvg-prepare render --people 2 --images 2 --size 64 --out large.h5
check "features" run 0 dvg-extract --images toy.h5 --weights f.h5 --out features
head -c 3000 f.h5 >cut.h5
cp -r pairs cut_pairs && head -c 3000 pairs/shard-000002.h5 >cut_pairs/shard-000002.h5
mkdir empty
bad "no images" 4 "nothing.h5" --images nothing.h5
bad "no start" 4 "nothing.h5" --start nothing.h5
bad "start is needed" 2 "--start is needed" --start ""
bad "domain is needed" 2 "--domain is needed" --domain ""
bad "twice the same domain" 2 "--domain and --visible are both VIS" --domain VIS
bad "the same domain in lower case" 2 "--domain and --visible are both vis" --domain vis
bad "no pairs" 4 "nothing/index.h5" --pairs nothing
bad "an empty folder" 4 "empty/index.h5" --pairs empty
bad "features as pairs" 3 "features/index.h5.*features.*pairs" --pairs features
bad "pairs of other domains" 3 "sketch_pairs/shard-000000.h5.*image_NIR" --pairs sketch_pairs
bad "a truncated shard" 3 "cut_pairs/shard-000002.h5" --pairs cut_pairs
bad "pairs too small" 3 "pairs: images of size 32 are smaller than the network's 64" --start f64.h5 --images large.h5
if [ $has_h5py = yes ]; then
  cp -r pairs uneven
  check "makes one domain's images larger" $python -c '
import glob, h5py, numpy
for path in glob.glob("uneven/shard-*.h5"):
    with h5py.File(path, "r+") as file:
        n = len(file["image_NIR"])
        del file["image_NIR"]
        file["image_NIR"] = numpy.zeros((n, 64, 64, 3), "u1")'
  bad "pairs of two sizes" 3 "uneven: images are 64 x 64 x 3 in NIR, but 32 x 32 x 3 in VIS" --pairs uneven
  cp f.h5 wide.h5
  check "claims another width" $python -c 'import h5py; h5py.File("wide.h5", "r+").attrs["width"] = 16.0'
  bad "weights of another width" 3 "wide.h5: [0-9]+ parameters do not fit its width 16 and size 32: conv1" --start wide.h5
else skip "pairs of two sizes, weights of another width: $python has no h5py"; fi
bad "images without the domain" 3 "vis.h5.*'NIR'.*VIS" --images vis.h5
bad "small images" 3 "small.h5: images of 24 x 24 are smaller than the network's 32" --images small.h5
bad "a sampler to start from" 3 "s.h5.*identity_sampler.*lightcnn29v2" --start s.h5
bad "weights as images" 3 "f.h5.*weights.*images" --images f.h5
bad "truncated start" 3 "cut.h5" --start cut.h5
bad "unknown option" 2 "nonsense" --nonsense 1
bad "no such contrast" 2 "contrast.*strong" --contrast strong
bad "out of range" 2 "momentum" --momentum 2
bad "micro-batch" 2 "--micro-batch 4 does not divide --batch 6" --micro-batch 4
bad "micro-batch of phase I" 2 "--micro-batch 3 does not divide --head-batch 4" --micro-batch 3
bad "pairs that can't be shared out" 2 "--generated 5 can't be shared out over 3 micro-batches" --generated 5
bad "no negative to push" 2 "--generated 3 gives one pair a micro-batch" --generated 3
bad "pairs for nothing" 2 "--pairs are not used with" --contrast none
bad "no pairs of them" 2 "--pairs are not used with" --generated 0
bad "another width than the start's" 2 "f.h5: has width 0.05, but --width is 0.5" --width 0.5
bad "another size than the start's" 2 "f.h5: has size 32, but --size is 64" --size 64
bad "a dump of no step" 2 "--dump needs --dump-step" --dump x.h5
bad "a step beyond both phases" 2 "--dump-step 7 lies beyond the last step, 6" --dump-step 7 --dump x.h5
bad "a teacher" 2 "--distill goes with --pretrain" --distill f.h5
expect_fail "the folder is in a file" 4 "toy.h5" train 2 toy.h5/x
expect_fail "another seed" 3 "late/phase1.checkpoint.h5: .*other settings.*seed" train 2 late --seed 12
check "other pairs" run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 11 --per-shard 4 --seed 2 --out other_pairs
expect_fail "other pairs" 3 "late/phase1.checkpoint.h5: .*other inputs.*pairs" train 2 late --pairs other_pairs
same "untouched" late both0
settings=$pretrain
expect_fail "pairs to pre-train with" 2 "--pairs are not used with" train 2 x --pairs pairs
expect_fail "no width" 2 "--width 0.001 is less than 0.01" train 2 x --width 0.001
expect_fail "nothing to learn" 2 "--labels 0 without --distill" train 2 x --labels 0
expect_fail "no such size" 2 "--size 40 is no multiple of 32" train 2 x --size 40
expect_fail "no visible images" 3 "toy.h5.*'RGB'" train 2 x --visible RGB
expect_fail "diverges" 6 "pretrain, step [0-9]+, micro-batch [0-9]: .*(loss term|gradient)" train 2 diverged --rate 10 --epochs 40
summary
