#!/bin/bash
# A large gallery: random features of a million people against 10,000 probes, 10^10 scores, exact; prints times and memory.
#   tests/soak/gallery.sh BUILD_DIR [GALLERY] [PROBES] [RANKS]
# In a folder under TMPDIR: a gallery of a million takes 1 GB.
set -u
export LC_ALL=C OPENBLAS_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
if [ $# -lt 1 ] || [ ! -x "$1/tests/reference/make_features" ]; then
  echo "usage: tests/soak/gallery.sh BUILD_DIR [GALLERY] [PROBES] [RANKS]; BUILD_DIR is made by make tests" >&2
  exit 2
fi
build=$(cd "$1" && pwd) gallery=${2:-1000000} probes=${3:-10000} ranks=${4:-2}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/dvg-soak-XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
make_features=$build/tests/reference/make_features
"$make_features" --out "$scratch/gallery" --items "$gallery" --people "$gallery" --noise 1.2 --seed 1 || exit 1
"$make_features" --out "$scratch/probes" --items "$probes" --people "$probes" --noise 1.2 --seed 2 || exit 1

# Of each rank: processor time and the largest memory that it had.
cat >"$scratch/rank.sh" <<'END'
exec /usr/bin/python3 -c '
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("rank %s: processor %.1f s, peak %.0f MB" % (os.environ.get("OMPI_COMM_WORLD_RANK", "0"), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024), file=sys.stderr)
sys.exit(code)' "$@"
END
far=0.1 # down to ten impostors
for ((k = 2; gallery * probes > 10 ** (k + 1); k++)); do far+=,1e-$k; done
started=$(date +%s)
mpirun --oversubscribe --bind-to none -n "$ranks" bash "$scratch/rank.sh" "$build/bin/dvg-evaluate" --gallery-features "$scratch/gallery" \
  --probe-features "$scratch/probes" --far "$far" --out "$scratch/evaluation"
code=$?
echo "$gallery x $probes scores on $ranks ranks: $(($(date +%s) - started)) s, exit code $code"
counted=$(sed -n 's/.*"genuine":\([0-9]*\),"impostor":\([0-9]*\).*/\1 \2/p' "$scratch/evaluation/metrics.json")
if [ $code = 0 ] && [ "$counted" = "$probes $((gallery * probes - probes))" ]; then echo "2 passed, 0 failed"; else
  echo "FAIL  scores: $counted"
  echo "0 passed, 1 failed"
  exit 1
fi
