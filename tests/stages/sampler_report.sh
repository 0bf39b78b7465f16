#!/bin/bash
# dvg-train-sampler: what its report says of real and sampled identities, and people held out.
# limit: 180 seconds
. "$(dirname "$0")/lib_train.sh"
files="sampler.h5 sampler.checkpoint.h5"

check "images" run 0 dvg-prepare render --people 7 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 dvg-train-recognizer --pretrain --images toy.h5 --size 32 --width 0.05 --batch 4 --micro-batch 4 --steps 2 --out f
check "features" run 0 dvg-extract --images toy.h5 --weights f/recognizer.h5 --per-shard 10 --out features
settings="--features features --width 0.05 --batch 9 --micro-batch 3 --epochs 1 --spread-tolerance 0"
# shellcheck disable=SC2086 # words
train() { run "$1" dvg-train-sampler $settings --out "$2" "${@:3}"; }

for n in 0 3; do check "train on $n" train $n on$n; done
for f in identities.tsv identities-variance.tsv identities-nearest.png; do check "on 3: $f" cmp on3/$f on0/$f; done
is "the numbers" "$(cut -f 1 on0/identities.tsv | tr '\n' ' ')" \
  "number identities training_identities cosine_mean cosine_deviation nearest_mean nearest_largest training_mean training_largest coverage directions "
if [ $has_h5py = yes ]; then
  cat >identities.py <<'END'
import h5py, numpy
file = h5py.File("features/index.h5")
_, first = numpy.unique(file["identity"][()], return_index=True)
x = file["feature"][()][first].astype(float)
cosines = x @ x.T
pairs = cosines[numpy.triu_indices(len(x), 1)]
nearest = (cosines - 3 * numpy.eye(len(x))).max(1)
variances = numpy.linalg.eigvalsh(numpy.cov(x.T, bias=True))[::-1]
want = dict(identities=len(x), cosine_mean=pairs.mean(), cosine_deviation=pairs.std(), nearest_mean=nearest.mean(), training_largest=nearest.max(),
            coverage=1, directions=variances.sum() ** 2 / (variances**2).sum())
lines = [line.split("\t") for line in open("on0/identities.tsv").read().splitlines()[1:]]
got = {line[0]: float(line[1]) for line in lines}
for name, value in want.items(): assert abs(got[name] - value) <= 1e-4 * abs(value), (name, got[name], value)
got = numpy.loadtxt("on0/identities-variance.tsv", skiprows=1)
assert (got[:, 0] == numpy.arange(1, 257)).all() and abs(got[:, 1] - variances).max() < 1e-6 * variances[0], abs(got[:, 1] - variances).max()
assert (got[:, 2] >= -1e-9).all() and got[:, 2].any()
END
  check "the real ones' numbers, by numpy" $python identities.py
else skip "the real ones' numbers: $python has no h5py"; fi
check "more people" run 0 dvg-prepare render --people 16 --images 2 --domains VIS --size 36 --out more.h5
check "their features" run 2 dvg-extract --images more.h5 --weights f/recognizer.h5 --per-shard 10 --out more
for n in 0 3; do check "some held out, on $n" train $n held$n --features more --held-out 0.4; done
same "some held out" held3 held0
check "some held out: the report" cmp held3/identities.tsv held0/identities.tsv
is "how many" "$(sed -n '2,3p' held0/identities.tsv | tr '\t\n' '  ')" "identities 6 1000 training_identities 10 10 "
expect_fail "too few held out" 3 "features: --held-out 0.4 leaves 3 people to compare with, more than 5 are needed" train 2 x --held-out 0.4
summary
