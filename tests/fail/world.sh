#!/bin/bash
# How a job ends when one rank can't go on: exit code, time, and one line that names rank and cause.
# limit: 240 seconds; takes: 25 seconds
set -u
cd "$(dirname "$0")/../.." || exit 1

# shellcheck source=tests/selftest/build.sh
. tests/selftest/build.sh
passed=0 failed=0
build "$scratch/ends" tests/selftest/ends.c

verdict() { # name, whether it is good
  if [ "$2" = 1 ]; then passed=$((passed + 1)); return; fi
  failed=$((failed + 1))
  echo "$1:"
  sed 's/^/  /' "$scratch/output"
}

# expect RANKS HOW CODE PATTERN: ends within 10 s with that exit code and one line like PATTERN ("": no message of ours).
expect() {
  local code good=1
  timeout -k 5 10 mpirun --oversubscribe -n "$1" "$scratch/ends" "$2" >"$scratch/output" 2>&1
  code=$?
  [ $code = "$3" ] || good=0
  if [ -n "$4" ]; then [ "$(grep -cE -- "$4" "$scratch/output")" = 1 ] || good=0
  else ! grep -q '^ends:' "$scratch/output" || good=0; fi
  [ $good = 1 ] || echo "exit code $code, want $3" >>"$scratch/output"
  verdict "$2 on $1 ranks" $good
}

for n in 1 2 3; do
  where=""
  [ $n = 1 ] || where="\\(rank 1 of $n on [^)]+\\) "
  expect $n fine 0 ""
  expect $n abort 4 "^ends: error: ${where}ends all ranks: the disk is gone$"
  expect $n abort-with-nothing 7 "^ends: error: ${where}ends all ranks: no reason$"
  expect $n error 3 "^ends: error: ${where}file.png: broken$"
  expect $n stopped 75 ""
  expect $n odd-status 7 ""
done

# mpirun passes SIGUSR1 on to its ranks, as batch systems do before time is out.
mpirun --oversubscribe -n 2 "$scratch/ends" wait-for-signal >"$scratch/output" 2>&1 &
job=$!
for _ in $(seq 100); do
  grep -q waiting "$scratch/output" && break
  sleep 0.1
done
kill -USR1 $job
good=0
( sleep 15; kill -KILL $job 2>/dev/null ) &
watchdog=$!
wait $job
[ $? = 75 ] && good=1
kill $watchdog 2>/dev/null
verdict "SIGUSR1" $good

echo "$passed passed, $failed failed"
[ $failed = 0 ]
