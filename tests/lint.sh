#!/bin/bash
# What grep can hold: who may call what, headers that stand alone, nothing left to do. Called by tests/run.
# limit: 300 seconds
set -u
cd "$(dirname "$0")/.." || exit 1

passed=0 failed=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

check() { # name, findings: none is a pass
  if [ -z "$2" ]; then passed=$((passed + 1)); return; fi
  failed=$((failed + 1))
  echo "$1:"
  while IFS= read -r line; do echo "  $line"; done <<<"$2"
}

# Copies without comments, so that prose may name anything.
mapfile -t sources < <(find common mpi io stages tests -name '*.[ch]' 2>/dev/null | sort)
for f in "${sources[@]}"; do
  mkdir -p "$scratch/$(dirname "$f")"
  gcc -fpreprocessed -dD -E -P -x c "$f" -o "$scratch/$f" 2>/dev/null || cp "$f" "$scratch/$f"
done

uses() { # pattern, folders ...
  local pattern=$1
  shift
  (cd "$scratch" && grep -rHE "$pattern" "$@" 2>/dev/null)
}

check "MPI is for mpi/ only" "$(uses '(^|[^A-Za-z0-9_])(P?MPI_[A-Z]|mpi\.h)' common io stages tests | grep -v -E '^tests/(check|mpi/test_distribute).c:')"
check "HDF5 is for io/ only" "$(uses '(^|[^A-Za-z0-9_])(H5[A-Z]+[a-z_]|hdf5(_hl)?\.h)' common mpi stages)"
check "common/ includes common/ only" "$(uses '#include "(mpi|io|stages|tests)/' common)"
check "common/base includes itself only" "$(uses '#include "common/(nn|models|toy)/' common/base)"
check "common/nn includes base and itself only" "$(uses '#include "common/(models|toy)/' common/nn)"
check "mpi/ includes common/base and itself only" "$(uses '#include "(io|stages|tests|common/(nn|models|toy))/' mpi)"
check "io/ includes common/ and itself only" "$(uses '#include "(mpi|stages|tests)/' io)"
check "programs don't include tests" "$(uses '#include "tests/' stages)"

# Spelled apart, or this line would find itself.
words="TO""DO|FIX""ME|XX""X"
check "something is left to do" "$(grep -rnE "\\b($words)\\b" Makefile README.md common mpi io stages jobs tests 2>/dev/null)"

# Programs never set what only tests may need.
check "programs don't allow themselves to run as root" "$(grep -rn 'ALLOW_RUN_AS_ROOT' common mpi io stages 2>/dev/null)"

flags=$(pkg-config --cflags ompi-c openblas hdf5 libpng libjpeg libcrypto libarchive libcjson cunit)
findings=$(for h in "${sources[@]}"; do
  case $h in *.h) ;; *) continue ;; esac
  # shellcheck disable=SC2086 # the flags are words
  gcc -std=gnu11 -Wall -Wextra -Werror -I. $flags -x c -fsyntax-only -include "$h" /dev/null 2>&1 | head -n 3
done)
check "a header doesn't compile alone" "$findings"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
