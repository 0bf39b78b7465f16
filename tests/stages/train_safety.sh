#!/bin/bash
# What a training keeps, whatever happens: its last checkpoints, its folder for itself, its state when a signal comes or numbers go wrong.
# limit: 240 seconds; takes: 25 seconds
. "$(dirname "$0")/lib_train.sh"
files="sampler.h5 sampler.checkpoint.h5"

check "images" run 0 dvg-prepare render --people 7 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5
check "features" run 0 dvg-extract --images toy.h5 --weights f.h5 --per-shard 10 --out features
settings="--features features --width 0.05 --batch 9 --micro-batch 3 --epochs 3 --spread-tolerance 0 --log-every 5"
# shellcheck disable=SC2086 # words
train() { run "$1" dvg-train-sampler $settings --out "$2" "${@:3}"; }
# shellcheck disable=SC2086
start() { launch "$1" dvg-train-sampler $settings --out "$2" "${@:3}"; }
check "undisturbed" train 0 whole

# ---- the last checkpoints

newest=sampler.checkpoint.h5 before=sampler.checkpoint-1.h5 new=sampler.checkpoint.new.h5
expect_stop() { # name, command...: exit code 75 without an error
  local name=$1
  shift
  "$@" >"$output" 2>"$output.err" </dev/null
  is "$name" "$?" 75
  is "$name: no error" "$(grep -c error: "$output.err")" 0
}
checkpoints() { (cd "$1" && echo sampler.checkpoint*); }
step_of() { run 0 dvg-inspect "$1" | sed -n 's/^checkpoint *step \([0-9]*\) of .*/\1/p'; }
expect_stop "stops after 5" train 0 stopped --stop-after 5 --checkpoint-every 1
is "two are kept" "$(checkpoints stopped)" "$before $newest"
is "the newest" "$(step_of stopped/$newest)" 5
is "the one before" "$(step_of stopped/$before)" 4

# goes_on NAME RANKS STEP FOLDER: from that step to the bits of the undisturbed run.
goes_on() {
  check "$1: goes on" train "$2" "$4"
  says "$1: from there" "sampler: continuing after step $3 of 12"
  cp "$output.err" said
  same "$1" "$4" whole
  is "$1: two are kept" "$(checkpoints "$4")" "$before $newest"
}
damaged() { # name, ranks, folder: says in one line which one it goes on from
  goes_on "$1" "$2" 4 "$3"
  is "$1: in one line" "$(sed "s/(rank 0 of [0-9] on [^)]*) //" said)" \
    "dvg-train-sampler: warning: $3/$newest: is damaged or unreadable; going on from the one before, $3/$before"
}
cp -r stopped cut && head -c 3000 stopped/$newest >cut/$newest
damaged "cut short" 0 cut
cp -r stopped empty && : >empty/$newest
damaged "empty" 0 empty
cp -r stopped flipped
printf '\x55' | dd of=flipped/$newest bs=1 seek=$(($(stat -c %s flipped/$newest) * 2 / 3)) conv=notrunc status=none
damaged "another byte" 3 flipped
head -c 3000 whole/$newest >cut/$newest
rm cut/$before && cp stopped/$newest cut/$before
goes_on "the last one of all" 0 5 cut

# Killed between two renames.
cp -r stopped gap && rm gap/$newest
goes_on "no newest" 0 4 gap
is "no newest: no warning" "$(cat said)" ""
cp -r stopped midway && mv midway/$newest midway/$new
goes_on "a new one" 0 5 midway
cp -r stopped half && head -c 3000 stopped/$newest >half/$new
goes_on "half a new one" 0 5 half

# No silent start from the beginning, nothing touched.
cp -r stopped lost && head -c 3000 stopped/$newest >lost/$newest && head -c 2000 stopped/$before >lost/$before && cp -r lost lost_before
expect_fail "all damaged" 3 "lost/$newest: is damaged or unreadable, and there is no other" train 2 lost
check "all damaged: untouched" diff -r lost lost_before
cp -r stopped other && head -c 3000 stopped/$newest >other/$newest && cp -r other other_before
expect_fail "of another run" 3 "other/$before: .*other settings" train 0 other --seed 2
check "of another run: untouched" diff -r other other_before

expect_stop "keeps three" train 0 three --stop-after 4 --checkpoint-every 1 --keep-checkpoints 3
is "three" "$(checkpoints three)" "$before sampler.checkpoint-2.h5 $newest"
expect_stop "keeps one from now on" train 0 three --stop-after 5 --keep-checkpoints 1
is "one" "$(checkpoints three)" "$newest"
expect_stop "one only" train 0 three --stop-after 7 --checkpoint-every 1 --keep-checkpoints 1
is "still one" "$(checkpoints three)" "$newest"
check "one: goes on" train 0 three
same "one" three whole

# ---- one run a folder

hit_then() { # SIGNAL: to the launched run, now. Sets $code
  kill "-$1" "$(cat pid.0)"
  wait $job 2>/dev/null
  code=$?
}
base=$settings
settings="$base --epochs 2000"
start 0 shared --checkpoint-every 1
while [ ! -e shared/$newest ] && kill -0 $job 2>/dev/null; do sleep 0.02; done
first=$(cat pid.0)
expect_fail "a second run" 4 "rank 0 of 2 .* shared: is being written by dvg-train-sampler, process $first on [^ ]+, since 20" train 2 shared
expect_fail "a second run of another kind" 4 "shared: is being written by dvg-train-sampler, process $first" \
  run 0 dvg-extract --images toy.h5 --weights f.h5 --out shared
check "the first goes on" kill -0 "$first"
hit_then KILL
is "killed" $code 137
check "its lock is left" test -e shared/dvg.lock
# The kill may have come between the writing of a checkpoint and the last of its renames.
last=$(find shared -name "$newest" -o -name "$new" | sort | tail -n 1)
expect_fail "an error" 3 "$last: .*other settings" train 0 shared --seed 2
says "an error: takes over" "shared: process $first on .*, which wrote here, is dead: going on in its place"
absent "an error: no lock is left" shared/dvg.lock
step=$(step_of "$last")
expect_stop "takes over" train 3 shared --stop-after $((step + 1))
says "takes over: goes on" "sampler: continuing after step $step of"
absent "takes over: no lock is left" shared/dvg.lock

# Each program that writes into a folder; this shell holds it.
mkdir held
cat >held/dvg.lock <<END
program bash
host here
pid $$
started $(sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 20)
boot $(cat /proc/sys/kernel/random/boot_id)
space $(readlink /proc/$$/ns/pid)
END
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
held() { expect_fail "held: $2" 4 "held: is being written by bash, process $$ on here" run "$@" --out held; }
held 0 dvg-extract --images toy.h5 --weights f.h5
held 2 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 5
held 0 dvg-train-generator --images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR --size 32 --width 0.05 --steps 1
held 0 dvg-train-recognizer --pretrain --images toy.h5 --size 32 --width 0.05 --steps 1
held 0 dvg-evaluate --images toy.h5 --weights f.h5 --gallery-domain VIS --probe-domain NIR
is "held: nothing else is there" "$(ls -A held)" dvg.lock

# ---- signals: a checkpoint at the next step, exit code 75

settings="$base --epochs 400"
for signal in TERM USR1 INT; do
  for n in 0 2; do
    where=$signal$n
    start $n "$where" --checkpoint-every 1
    hit $signal $((n / 2)) "$where/$newest"
    is "$signal to one of $n" "$code" 75
    says "$signal to one of $n: says so" "^stopped after step [0-9]+ of 1600; the same command continues"
    is "$signal to one of $n: no error" "$(grep -c error: "$output.err")" 0
    stopped=$(sed -n 's/^stopped after step \([0-9]*\) .*/\1/p' "$output")
    is "$signal to one of $n: at that step" "$(step_of "$where/$newest")" "$stopped"
    absent "$signal to one of $n: no lock is left" "$where/dvg.lock"
  done
done
# The second Ctrl-C doesn't wait for the end of the step, a long one.
start 0 twice --batch 20000 --micro-batch 20000 --width 1
while [ ! -e twice/dvg.lock ] && kill -0 $job 2>/dev/null; do sleep 0.02; done
kill -INT "$(cat pid.0)"
sleep 0.3
check "one Ctrl-C: ends its step first" kill -0 "$(cat pid.0)"
hit_then INT
is "the second Ctrl-C" $code 130
settings=$base

summary
