#!/bin/bash
# 1,000,000 pairs of a tiny network (64x64, width 0.125): begun, killed by SIGKILL, continued, verified, and read in h5py; prints time, size, memory.
#   tests/soak/million.sh BUILD_DIR [PAIRS] [RANKS]       KILL_AFTER=200: seconds until the kill
# In a folder under TMPDIR, 26 GB of it; skipped where there is less.
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/../stages/lib.sh"
pairs=${2:-1000000} ranks=${3:-2} kill_after=${KILL_AFTER:-200}
export OPENBLAS_NUM_THREADS=1
run_limit=14400
cd "$scratch" || exit 1

needed=$((pairs * 26 / 1000)) # MB
room=$(df -m --output=avail . | tail -n 1)
if [ "$room" -lt "$needed" ]; then
  skip "a million pairs: $needed MB needed, $room MB free"
  summary
fi

check "visible images" run 0 dvg-prepare render --people 40 --images 2 --size 64 --out toy.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.125 --out s.h5
check "recogniser" run 0 make_weights --width 0.125 --size 64 --out f.h5
check "generator" run 0 make_weights --net generator --width 0.125 --size 64 --out g.h5
settings=(--generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --recognizer f.h5 --count "$pairs" --per-shard 1000)

# generate N: as `run N dvg-generate`; each rank leaves its process number.
generate() {
  rm -f pid.*
  # shellcheck disable=SC2016 # each rank expands it
  mpirun --oversubscribe -n "$1" bash -c 'echo $$ >pid.$OMPI_COMM_WORLD_RANK; exec "$@"' - "$(tool dvg-generate)" "${settings[@]}" --out pairs
}

# watch: peak memory of the ranks, as far as they were seen, into the file memory; until killed.
watch() {
  # shellcheck disable=SC2046 # words
  while sleep 1; do grep -hs VmHWM $(sed 's:.*:/proc/&/status:' pid.* 2>/dev/null) /dev/null >>memory; done
}

start=$SECONDS
generate "$ranks" >"$output" 2>"$output.err" </dev/null &
job=$!
sleep "$kill_after"
# shellcheck disable=SC2046 # words
kill -KILL $(cat pid.*) $(pgrep -P $job) $job
wait $job 2>/dev/null
echo "killed after $((SECONDS - start)) s, with $(find pairs -name 'shard-*.h5' | wc -l) shards"
is "no index before the end" "$(ls pairs/index.h5 2>/dev/null)" ""

start=$SECONDS
watch &
watcher=$!
check "goes on" generate "$ranks"
kill $watcher
sed -n '$p' "$output"
echo "went on for $((SECONDS - start)) s; peak memory of a rank: $(sort -n -k 2 memory | tail -n 1 | tr -s '[:space:]' ' ')"
echo "$(du -sm pairs | cut -f 1) MB in $(find pairs -name 'shard-*.h5' | wc -l) shards; index.h5 $(stat -c %s pairs/index.h5) bytes"

start=$SECONDS
check "verified" run "$ranks" dvg-inspect pairs --verify
sed -n '$p' "$output"
echo "verified in $((SECONDS - start)) s"

cat >read.py <<'END'
import random, sys, time
import h5py
start = time.time()
file = h5py.File("pairs/index.h5")
number = file["number"]
assert len(number) == int(sys.argv[1]) and file["image_NIR"].shape == (len(number), 64, 64, 3)
print("h5py: open %.3f s" % (time.time() - start))
start = time.time()
draw = random.Random(1)
for k in range(300):
    i = draw.randrange(len(number))
    assert number[i] == i and file["image_NIR"][i].any() and file["image_VIS"][i].any()
print("h5py: 300 pairs at random %.3f s" % (time.time() - start))
END
if /usr/bin/python3 -c 'import h5py' 2>/dev/null; then check "h5py" /usr/bin/python3 read.py "$pairs" && cat "$output"
else skip "/usr/bin/python3 has no h5py"; fi
summary
