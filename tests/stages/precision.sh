#!/bin/bash
# --precision bf16: near what float32 gives, and the same bytes on any number of ranks; or said that the CPU can't.
# limit: 200 seconds; takes: 12 seconds
. "$(dirname "$0")/lib_train.sh"

check "images" run 0 dvg-prepare render --people 3 --images 3 --size 72 --out toy.h5
check "generator" run 0 make_weights --net generator --width 0.2 --size 64 --out g.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.1 --out s.h5
check "recogniser" run 0 make_weights --width 0.2 --size 64 --out f.h5
extract() { run "$1" dvg-extract --images toy.h5 --weights f.h5 --per-shard 5 --out "$2" "${@:3}"; }
generate() {
  run "$1" dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5 --domain NIR --count 11 --per-shard 4 --out "$2" "${@:3}"
}
expect_fail "no such precision" 2 "precision" extract 1 none --precision float16

if ! grep -qw avx512_bf16 /proc/cpuinfo; then
  skip "bfloat16: a CPU without AVX512_BF16"
  for stage in extract generate; do
    expect_fail "$stage: this CPU can't" 3 "error: --precision bf16: this CPU has no bfloat16 products" $stage 2 none --precision bf16
  done
  absent "nothing was begun" none
  summary
fi

for stage in extract generate; do
  check "$stage in float32" $stage 2 $stage-float
  for n in 1 2 3 4; do
    check "$stage in bfloat16 on $n" $stage $n $stage-$n --precision bf16
    [ $n = 1 ] || check "$stage: the same files on $n" diff -r $stage-1 $stage-$n
  done
  check "$stage: says with what" run 0 dvg-inspect --json $stage-1/shard-000001.h5
  says "the kernels" '"machine":"avx512_bf16 kernels, '
  says "the setting" '"precision":"bf16"'
  expect_fail "$stage: not into what float32 made" 3 "other settings" $stage 2 $stage-float --precision bf16
  rm $stage-2/shard-000001.h5
  check "$stage: resumed" $stage 3 $stage-2 --precision bf16
  check "$stage: the same files" diff -r $stage-1 $stage-2
done
check "a pair alone" run 0 dvg-generate --only 6 --like generate-1 --out pair.h5 --generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5
cp -r generate-1 damaged && rm damaged/shard-000002.h5
check "repair" run 2 dvg-generate --repair --out damaged --generator g.h5 --sampler s.h5 --bank toy.h5 --recognizer f.h5
check "repair: the same files" diff -r generate-1 damaged

if [ $has_h5py = yes ]; then
  cat >near.py <<'END'
import h5py, numpy
exact, near = (h5py.File(f"extract-{name}/index.h5")["feature"][()] for name in ("float", "1"))
cosine = (exact * near).sum(1)
print("cosines of features", cosine.min(), cosine.mean())
assert cosine.min() > 0.999 and not numpy.array_equal(exact, near)
exact, near = (h5py.File(f"generate-{name}/index.h5") for name in ("float", "1"))
for name in "image_NIR", "image_VIS":
    error = numpy.abs(exact[name][()].astype(int) - near[name][()])
    print(name, error.mean(), error.max())
    assert 0 < error.mean() < 2, name
for name in "identity", "attribute_NIR", "person_VIS", "identity_item":
    assert numpy.array_equal(exact[name][()], near[name][()]), name
assert numpy.abs(exact["cos_pair"][()] - near["cos_pair"][()]).max() < 0.02
alone = h5py.File("pair.h5")
assert numpy.array_equal(alone["image_VIS"][0], near["image_VIS"][6])
END
  check "near float32" /usr/bin/python3 near.py
  cat "$output"
else skip "near float32: python3-h5py"; fi
summary
