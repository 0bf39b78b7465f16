# A long test run in parts, each with a count of its own; sourced by what runs them one after the other.
# shellcheck shell=bash
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# part NAME COMMAND...: runs what ends its output with `N passed, N failed[, N skipped]`, and adds that.
part() {
  local name=$1 code started=$SECONDS
  shift
  echo "==== $name"
  "$@" | tee "$log"
  code=$?
  if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    if [ "${BASH_REMATCH[2]}" = 0 ] && [ $code != 0 ]; then
      echo "FAIL  $name: exit code $code"
      failed=$((failed + 1))
    fi
  else
    echo "FAIL  $name: no closing line, exit code $code"
    failed=$((failed + 1))
  fi
  echo "==== $name: $((SECONDS - started)) s"
}
