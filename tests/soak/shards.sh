#!/bin/bash
# A set of 100,000 shards: written, indexed, checked, read at random, verified, and opened in h5py; prints times and memory.
#   tests/soak/shards.sh BUILD_DIR [NUMBER_OF_SHARDS] [RANKS]
# In a folder under TMPDIR: 100,000 shards take 2 GB. On a disk each shard waits for two syncs; TMPDIR=/dev/shm shows what is left.
set -u
export LC_ALL=C OPENBLAS_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
if [ $# -lt 1 ] || [ ! -x "$1/tests/bench/shards" ]; then
  echo "usage: tests/soak/shards.sh BUILD_DIR [NUMBER_OF_SHARDS] [RANKS]; BUILD_DIR is made by make tests" >&2
  exit 2
fi
program=$(cd "$1" && pwd)/tests/bench/shards
shards=${2:-100000} ranks=${3:-2}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/dvg-soak-XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0

check() { # name, command ...
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAIL  $name"
  fi
}

check "a large set" mpirun --oversubscribe --bind-to none -n "$ranks" "$program" "$scratch/set" "$shards"
echo "$(du -sm "$scratch/set" | cut -f 1) MB, index.h5 $(stat -c %s "$scratch/set/index.h5") bytes"

cat >"$scratch/read.py" <<'END'
import random, resource, sys, time
import h5py
start = time.time()
def say(what):
    global start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print("%-44s %9.3f s   peak %6.1f MB" % ("h5py: " + what, time.time() - start, memory))
    start = time.time()
file = h5py.File(sys.argv[1] + "/index.h5")
items = len(file["number"])
say("open")
assert items == int(sys.argv[2]) * 10 - 3 and file["image_NIR"].shape == (items, 2, 2, 3)
draw = random.Random(1)
for k in range(300):
    i = draw.randrange(items)
    assert file["number"][i] == i
say("300 rows at random, each by file[name][i]")
number = file["number"]  # while it is there, all that it has read from stays open
for k in range(300):
    i = draw.randrange(items)
    assert number[i] == i
say("300 more through one handle")
number = None
for first in range(0, min(items, 50000), 5000):
    part = file["number"][first:first + 5000]
    assert (part == range(first, first + len(part))).all()
say("50,000 rows, 5,000 a slice")
END
python=/usr/bin/python3
if $python -c 'import h5py' 2>/dev/null; then check "h5py" $python "$scratch/read.py" "$scratch/set" "$shards"
else echo "SKIP  $python has no h5py"; fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
