# What the tests of programs share. A test is a bash script with BUILD_DIR as its argument:
#
#     . "$(dirname "$0")/lib.sh"        # sets $build, $scratch (a folder of its own, removed at the end)
#     check "renders" run 2 dvg-prepare render --out "$scratch/a.h5"
#     expect_fail "refuses" 2 "unknown option" run 2 dvg-prepare render --nonsense 1
#     check "is the same" cmp a b
#     summary
#
# Every program runs under a time limit: a hang is a failure. Nothing here is about one program.
set -u
export LC_ALL=C
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# More ranks than cores, and containers that forbid a process to read another one's memory.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# What it would choose here in the end; looking for network cards first takes longer than most of the runs.
export OMPI_MCA_pml=ob1

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  echo "usage: $0 BUILD_DIR" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/dvg-stage-XXXXXX") || exit 2
mkdir "$scratch/log"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

case $(basename "$build") in
  sanitize) slower=${DVG_TEST_SCALE:-4} ;;
  *) slower=${DVG_TEST_SCALE:-1} ;;
esac
run_limit=$((60 * slower))  # seconds for one program
fail_limit=$((10 * slower)) # seconds in which a failing program must have ended on all ranks
passed=0 failed=0 skipped=0
output=$scratch/log/output # of the last command: standard output; $output.err: standard error

# tool NAME: path of a program, of bin/ or of tests/reference/; a path stays what it is.
tool() {
  if [[ $1 == */* ]]; then echo "$1"
  elif [ -x "$build/bin/$1" ]; then echo "$build/bin/$1"
  else echo "$build/tests/reference/$1"; fi
}

# run N PROGRAM ARGUMENTS...: under mpirun with N ranks; with N = 0 by itself, without mpirun.
run() {
  local n=$1 program
  program=$(tool "$2")
  shift 2
  if [ "$n" = 0 ]; then timeout -k 5 "$run_limit" "$program" "$@"
  else timeout -k 5 "$run_limit" mpirun --oversubscribe -n "$n" "$program" "$@"; fi
}

report() { # good|bad, name, reason
  if [ "$1" = good ]; then
    passed=$((passed + 1))
    return 0
  fi
  failed=$((failed + 1))
  echo "FAIL  $2: $3"
  for f in "$output" "$output.err"; do [ -s "$f" ] && tail -n 30 "$f" | cut -c 1-400 | sed 's/^/    /'; done
  return 1
}

# check NAME COMMAND...: passes if the command ends with 0.
check() {
  local name=$1 code
  shift
  "$@" >"$output" 2>"$output.err" </dev/null
  code=$?
  if [ $code = 0 ]; then report good
  else report bad "$name" "exit code $code"; fi
}

# python_check NAME ARGUMENTS... <<'END': passes if the Python program on standard input, which check itself would not see, ends with 0.
python_check() {
  local name=$1
  cat >"$scratch/log/program.py"
  shift
  check "$name" env PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 timeout -k 5 "$run_limit" /usr/bin/python3 "$scratch/log/program.py" "$@"
}

# says NAME PATTERN: the last command's output has a line that matches.
says() {
  if grep -qE -- "$2" "$output" "$output.err"; then report good
  else report bad "$1" "no line like: $2"; fi
}

# expect_fail NAME CODE PATTERN COMMAND...: passes if the command ends with CODE in time, and its standard error has exactly
# one error line, which matches. mpirun is told not to wait for a second or two between its signals to ranks that have said all by then.
expect_fail() {
  local name=$1 want=$2 pattern=$3 code start time n_errors
  shift 3
  start=$(date +%s%N)
  OMPI_MCA_odls_base_sigkill_timeout=0 "$@" >"$output" 2>"$output.err" </dev/null
  code=$?
  time=$((($(date +%s%N) - start) / 1000000))
  n_errors=$(grep -cE '^[a-z_-]+( [a-z-]+)?: error: ' "$output.err")
  if [ $code != "$want" ]; then report bad "$name" "exit code $code, want $want"
  elif [ $time -ge $((fail_limit * 1000)) ]; then report bad "$name" "took $time ms"
  elif [ "$n_errors" != 1 ]; then report bad "$name" "$n_errors error lines, want 1"
  elif ! grep -E ': error: ' "$output.err" | grep -qE -- "$pattern"; then report bad "$name" "no error like: $pattern"
  else report good; fi
}

# is NAME GOT WANT
is() {
  if [ "$2" = "$3" ]; then report good
  else report bad "$1" "got '$2', want '$3'"; fi
}

# absent NAME FILE...: none of these is there, finished or half written.
absent() {
  local name=$1 f
  shift
  for f in "$@"; do
    if [ -e "$f" ] || [ -e "$f.part" ]; then
      report bad "$name" "$f is there"
      return
    fi
  done
  report good
}

# skip REASON: counts a test that cannot run here.
skip() {
  skipped=$((skipped + 1))
  echo "SKIP  $1"
}

# The digest that the last command printed at the end of a line.
digest() {
  sed -n 's/.*digest \([0-9a-f]\{64\}\)$/\1/p' "$output" | tail -n 1
}

summary() {
  if [ $skipped = 0 ]; then echo "$passed passed, $failed failed"
  else echo "$passed passed, $failed failed, $skipped skipped"; fi
  [ $failed = 0 ]
  exit
}
