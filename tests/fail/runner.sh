#!/bin/bash
# The runner's own test: fed tests that fail, hang or die, on one rank only, tests/run must report failure; fed good ones,
# success. The programs of tests/selftest are built into a scratch copy of the tree's shape.
# limit: 240 seconds; takes: 35 seconds
set -u
cd "$(dirname "$0")/../.." || exit 1

# shellcheck source=tests/selftest/build.sh
. tests/selftest/build.sh
passed=0 failed=0

# place NAME KIND: KIND/NAME of tests/selftest into a tree of its own, $scratch/NAME.
place() {
  local tree=$scratch/$1 define=()
  [ "$2" = mpi ] && define=(-DDVG_CHECK_MPI)
  mkdir -p "$tree/tests/$2" "$tree/build/tests/$2"
  cp "tests/selftest/$1.c" "$tree/tests/$2/"
  build "$tree/build/tests/$2/$1" "${define[@]}" "tests/selftest/$1.c" tests/check.c
}

# script NAME: a shell test from standard input into $scratch/NAME.
script() {
  mkdir -p "$scratch/$1/tests/stages" "$scratch/$1/build"
  cat >"$scratch/$1/tests/stages/$1.sh"
  chmod +x "$scratch/$1/tests/stages/$1.sh"
}

# expect NAME EXIT_CODE PATTERN [LIMIT [SECONDS_TO_GO]]: runs the tree's tests; the output must have a line that matches.
expect() {
  local name=$1 want=$2 pattern=$3 code
  DVG_TEST_UNTIL=${5:+$(($(date +%s) + $5))} DVG_TEST_ROOT=$scratch/$name DVG_TEST_LIMIT=${4:-30} DVG_TEST_RANKS="2 3" tests/run "$scratch/$name/build" \
    >"$scratch/output" 2>&1
  code=$?
  if [ $code = "$want" ] && grep -qE -- "$pattern" "$scratch/output"; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  echo "$name: exit code $code, want $want, and a line like: $pattern"
  sed 's/^/  /' "$scratch/output"
}

place fails_on_one_rank mpi
expect fails_on_one_rank 1 '^2 passed, 2 failed, 0 skipped$'
# The reader must see who failed, and where.
expect fails_on_one_rank 1 'rank 1 of 2: tests/selftest/fails_on_one_rank.c:[0-9]+: fails on rank 1: '

place hangs_on_one_rank mpi
expect hangs_on_one_rank 1 '^0 passed, 2 failed, 0 skipped$' 4
expect hangs_on_one_rank 1 'no end within 4 s' 4

expect hangs_on_one_rank 1 '^0 passed, 0 failed, 2 skipped$' 30 4
expect hangs_on_one_rank 1 'SKIP .* cut off, no time left' 30 4
expect hangs_on_one_rank 1 'SKIP .* no time left' 30 0

place crashes_on_one_rank mpi
expect crashes_on_one_rank 1 '^0 passed, 2 failed, 0 skipped$'

place leaves_early unit
expect leaves_early 1 'no closing line, exit code 0'

place passes mpi
place passes unit
expect passes 0 '^6 passed, 0 failed, 0 skipped$'

mkdir -p "$scratch/not_built/tests/unit" "$scratch/not_built/build"
touch "$scratch/not_built/tests/unit/forgotten.c"
expect not_built 1 'unit/forgotten: not built'

mkdir -p "$scratch/nothing/tests" "$scratch/nothing/build"
expect nothing 1 'nothing ran'

script says_nothing <<'END'
#!/bin/sh
echo all good
END
expect says_nothing 1 'no closing line'

script lies_by_code <<'END'
#!/bin/sh
echo "3 passed, 1 failed"
END
expect lies_by_code 1 'exit code 0 after'

script lies_by_line <<'END'
#!/bin/sh
echo "3 passed, 0 failed"
exit 1
END
expect lies_by_line 1 'exit code 1 after'

script skips <<'END'
#!/bin/sh
test -d "$1" || exit 1
echo "3 passed, 0 failed, 2 skipped"
END
expect skips 0 '^3 passed, 0 failed, 2 skipped$'

# The longest starts first; when time is short, the shortest.
for name in a_short b_long c_middle; do
  mkdir -p "$scratch/in_order/tests/stages" "$scratch/in_order/build"
  printf '#!/bin/sh\n# takes: %d seconds\necho "1 passed, 0 failed"\n' "$(case $name in *long) echo 30 ;; *middle) echo 9 ;; *) echo 1 ;; esac)" \
    >"$scratch/in_order/tests/stages/$name.sh"
  chmod +x "$scratch/in_order/tests/stages/$name.sh"
done
export DVG_TEST_JOBS=1
order() { # NAMES [LIMIT SECONDS_TO_GO]
  expect in_order 0 '^3 passed, 0 failed, 0 skipped$' "${@:2}"
  if [ "$(sed -n 's|^ok  *stages/\([a-z_]*\)\.sh .*|\1|p' "$scratch/output" | tr '\n' ' ')" = "$1 " ]; then passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "not in the order $1:"
    sed 's/^/  /' "$scratch/output"
  fi
}
order "b_long c_middle a_short"
order "a_short c_middle b_long" 30 60

echo "$passed passed, $failed failed"
[ $failed = 0 ]
