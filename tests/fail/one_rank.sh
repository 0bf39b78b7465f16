#!/bin/bash
# One of two ranks can't go on while the other one could: the job ends within 10 s, non-zero, with one line that names rank and cause.
# limit: 240 seconds; takes: 20 seconds
. "$(dirname "$0")/../stages/lib.sh"
cd "$scratch" || exit 1
export OPENBLAS_NUM_THREADS=1 # or it makes threads before main, whose memory depends on the machine
python=/usr/bin/python3

# Both ranks have the same arguments but see another folder, as when a disk of a machine isn't mounted.
mkdir near
cd near || exit 1
check "images" run 0 dvg-prepare render --people 4 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
check "features" run 0 dvg-extract --images toy.h5 --weights f.h5 --per-shard 4 --out features
check "pairs" run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 8 --per-shard 4 --out pairs
check "larger images" run 0 dvg-prepare render --people 1 --images 1 --size 128 --out toy128.h5
check "a generator of larger images" run 0 make_weights --net generator --width 0.05 --size 128 --out g128.h5
cd ..

# apart SETUP PROGRAM ARGUMENTS...: rank 0 in the folder near, rank 1 in far, there after the shell commands SETUP.
apart() {
  local setup=$1 program
  program=$(tool "$2")
  shift 2
  timeout -k 5 "$run_limit" mpirun --oversubscribe -n 1 bash -c 'cd near; exec "$@"' - "$program" "$@" : \
    -n 1 bash -c "cd far; $setup"'; exec "$@"' - "$program" "$@"
}
rank1() { # name, code, cause, setup, command...
  expect_fail "$1" "$2" "error: \(rank 1 of 2 on [^)]+\) $3" apart "${@:4}"
  rm -rf far out && cp -r near far
}
cp -r near far
sampler="dvg-train-sampler --features features --width 0.05 --batch 8 --micro-batch 4 --epochs 3 --out ../out"
generator="dvg-train-generator --images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR --size 32 --width 0.05 --batch 4 --steps 3 --out ../out"
recognizer="dvg-train-recognizer --images toy.h5 --start f.h5 --pairs pairs --domain NIR --batch 4 --generated 4 --micro-batch 2 --head-batch 4 --steps 3 --out ../out"
generate="dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 16 --per-shard 4 --out ../out"

# shellcheck disable=SC2086 # words
{
  check "all is well without" apart : $sampler
  rm -rf out
  rank1 "no features" 4 "features/index.h5: " "rm features/index.h5" $sampler
  rank1 "a shard is missing" 4 "features/shard-000002.h5: " "rm features/shard-000002.h5" $sampler
  rank1 "no images for the generator" 4 "toy.h5: " "rm toy.h5" $generator
  rank1 "truncated images" 3 "toy.h5: " "truncate -s 5000 toy.h5" $generator
  rank1 "no images for the recogniser" 4 "toy.h5: " "rm toy.h5" $recognizer
  rank1 "no pairs" 4 "pairs/index.h5: " "rm -r pairs" $recognizer
  rank1 "a shard of pairs is damaged" 3 "pairs/shard-000001.h5: " "truncate -s 3000 pairs/shard-000001.h5" $recognizer
  rank1 "no bank" 4 "toy.h5: " "rm toy.h5" $generate
  rank1 "no images to extract from" 4 "toy.h5: " "rm toy.h5" dvg-extract --images toy.h5 --weights f.h5 --out ../out

  # Other arguments on one rank, by mistake.
  other() { # arguments of rank 0, of rank 1
    timeout -k 5 "$run_limit" mpirun --oversubscribe -n 1 "$(tool dvg-generate)" $1 : -n 1 "$(tool dvg-generate)" $2
  }
  good="--generator near/g.h5 --sampler near/s.h5 --bank near/toy.h5 --domain NIR --count 4 --out other"
  expect_fail "rank 1 has an unknown option" 2 "rank 1 of 2 .*the arguments of this rank are refused" other "$good" "$good --nonsense 1"
  expect_fail "rank 1 has work, rank 0 shows help" 2 "rank 1 of 2 .*the arguments of this rank" other --help "$good"
  expect_fail "rank 0 has work, rank 1 shows help" 2 "rank 1 of 2 .*the arguments of this rank" other "$good" --help

  # The address sanitizer needs terabytes of address space, and is slow.
  if [ "$(basename "$build")" = sanitize ]; then skip "limits: not under the address sanitizer"
  else
    # MPI needs some room too, so the shards are large: 6.3 MB.
    rank1 "no room for its shard" 4 "../out/shard-000001.h5.*(large|space|write)" "ulimit -f 6000" dvg-generate --generator g128.h5 \
      --sampler s.h5 --bank toy128.h5 --domain NIR --count 128 --per-shard 64 --out ../out
    rank1 "no memory for the network" 5 "no memory for network values" "ulimit -d 250000" $sampler --batch 20000 --micro-batch 20000
    rank1 "no memory for BLAS" 5 "ends all ranks: no memory for the work space of BLAS" "ulimit -d 90000" $sampler
  fi

  if [ -x $python ] && $python -c 'import h5py' 2>/dev/null; then
    rank1 "not a number" 3 "features: feature [0-9]+ is not of length 1" "$python -c '
import h5py
for k in range(4): h5py.File(\"features/shard-%06d.h5\" % k, \"r+\")[\"feature\"][...] = float(\"nan\")'" $sampler
    teacher() { $python -c 'import h5py, numpy, sys; h5py.File(sys.argv[1], "w")["feature"] = numpy.eye(int(sys.argv[2]), 20)' "$@"; }
    teacher near/teacher.h5 16
    teacher far/teacher.h5 3
    rank1 "its teacher is another one" 3 "teacher.h5: has 3 features for 16 images" : dvg-train-recognizer --pretrain \
      --images toy.h5 --size 32 --width 0.05 --batch 4 --micro-batch 2 --steps 2 --distill teacher.h5 --out ../out
  else skip "not a number: $python has no h5py"; fi
}
summary
