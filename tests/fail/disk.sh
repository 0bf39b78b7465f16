#!/bin/bash
# A disk that fails, or a death, at the n-th call that changes a file of the output folder (inject.c): one line that names the file, exit
# code 4 within 10 s on all ranks; what was finished before stays as it is; the same command then ends with the undisturbed run's bytes.
# DVG_SOAK=1: at every call; else at some of them, in turn by each kind of failure. COMMANDS="drop remake": of these functions alone.
# limit: 360 seconds; takes: 60 seconds
. "$(dirname "$0")/../stages/lib.sh"
cd "$scratch" || exit 1
scratch=$(pwd -P) # as the kernel names it
soak=${DVG_SOAK:-}
[ -z "$soak" ] || trap 'echo "at: $name"' USR1

if [ "$(basename "$build")" = sanitize ]; then
  skip "the address sanitizer wants to be loaded first"
  summary
fi
check "images" run 0 dvg-prepare render --people 4 --images 2 --size 36 --out toy.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5
check "generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
check "features" run 0 dvg-extract --images toy.h5 --weights f.h5 --out features

train() { run "$1" dvg-train-sampler --features features --width 0.05 --batch 8 --micro-batch 4 --epochs 2 --spread-tolerance 0 \
  --checkpoint-every 1 --log-every 1 --sheet-every 1 --out "$2"; }
extract() { run "$1" dvg-extract --images toy.h5 --weights f.h5 --per-shard 6 --out "$2"; }
models="--generator g.h5 --sampler s.h5 --bank toy.h5"
# shellcheck disable=SC2086 # words
pairs() { run "$1" dvg-generate $models --domain NIR --per-shard 2 --out "$2" --count "$3"; }
generate() { pairs "$1" "$2" 6; }
# What changes a set that is there begins with a copy of base_COMMAND.
grow() { generate "$@"; }
# shellcheck disable=SC2086
repair() { run "$1" dvg-generate $models --out "$2" --repair; }
# shellcheck disable=SC2086
drop() { run "$1" dvg-generate $models --out "$2" --revoke drop --revoke-people "#1"; }
# shellcheck disable=SC2086
remake() { run "$1" dvg-generate $models --out "$2" --revoke remake --revoke-people "#1"; }
export_folder() { run "$1" dvg-inspect base_drop --export folder --out "$2"; }
export_tar() { run "$1" dvg-inspect base_drop --export webdataset --out "$2"; }
pack() { run "$1" dvg-prepare pack --images toy.h5 --size 32 --fit resize --out "$2/faces.h5"; }
import() { run "$1" dvg-import --net lightcnn29v2 --width 0.05 --size 32 --in f.safetensors --out "$2/f.h5"; }
check "three pairs" pairs 0 base_grow 3
check "six pairs" pairs 0 base_drop 6
cp -r base_drop base_remake
cp -r base_drop base_repair
rm base_repair/shard-000000.h5
printf x | dd of=base_repair/shard-000002.h5 bs=1 seek=9000 conv=notrunc 2>"$output.err"
mkdir base_pack base_import
check "a foreign file" run 0 dvg-import --export --in f.h5 --out f.safetensors

# injected AT HOW RANKS RANK COMMAND: into the folder out. A full disk stays full, a folder that vanished stays away.
injected() {
  local calls=1
  case $2 in ENOSPC | EDQUOT | EROFS | ESTALE) calls=1000000 ;; esac
  DVG_INJECT_FOLDER=$scratch/out DVG_INJECT_AT=$1 DVG_INJECT_HOW=$2 DVG_INJECT_FOR=$calls DVG_INJECT_RANK=$4 \
    DVG_INJECT_COUNT=$scratch/count LD_PRELOAD=$build/tests/fail/inject.so "$5" "$3" out
}

# The folder out before COMMAND: none, or what it begins with.
prepare() {
  rm -rf out
  [ ! -d "base_$1" ] || cp -r "base_$1" out
}

# What is there under its own name is whole: the undisturbed run's file, or the one before it, or a checkpoint. Nothing of it may get lost.
finished() {
  local f of
  while IFS= read -r f; do
    of=${f#out/}
    if cmp -s "$f" "base_$1/$of"; then report good
    elif [ "$of" = export.json ] && grep -q '"finished": *"no"' "$f"; then report good # as it says
    else check "$name: $f is whole" cmp "$f" "whole_$1/$of"; fi
  done < <(find out -type f ! -name '*.part' ! -name '*.checkpoint*' ! -name log.jsonl ! -name dvg.lock)
  for f in out/*.checkpoint*.h5; do [ ! -e "$f" ] || grep -q 'continuing after step' said || report bad "$name" "$f is ignored"; done
}

# strike COMMAND RANKS RANK AT HOW: fails there, goes on undisturbed.
strike() {
  local code n_errors start time
  name="$1 on $2: $5 at call $4 of rank $3"
  prepare "$1"
  rm -f count.hit
  injected "$4" "$5" "$2" "$3" "$1" >"$output" 2>"$output.err" </dev/null
  code=$?
  time=$(date +%s)
  start=$(stat -c %Y count.hit 2>/dev/null || echo "$time")
  time=$((time - start))
  n_errors=$(grep -c ': error: ' "$output.err")
  # A call may fail that nothing rests on, closing an empty file say. Then nobody may have noticed.
  if [ $time -gt $fail_limit ]; then report bad "$name" "took $time s to end"
  elif [ "$5" = KILL ] && [ $code != 137 ]; then report bad "$name" "exit code $code"
  elif [ "$5" = KILL ]; then report good
  elif [ $code = 0 ] && [ "$n_errors" = 0 ]; then report good
  elif [ $code != 4 ] || [ "$n_errors" != 1 ]; then report bad "$name" "exit code $code, $n_errors error lines"
  elif ! grep -qE ': error: (\(rank [0-9]+ of [0-9]+ on [^)]+\) )?out' "$output.err"; then report bad "$name" "the line names no file"
  else report good; fi
  [ ! -d out ] || cp -r out before
  "$1" $(($2 > 0 ? 3 : 0)) out >"$output" 2>"$output.err" </dev/null
  is "$name: goes on" $? 0
  cp "$output" said
  # Growth makes the last shard of fewer pairs again, and says so.
  is "$name: silently" "$(grep -v 'out/shard-000001.h5: not of 2 rows' "$output.err" | grep -cE ': (error|warning): ')" 0
  mv out after
  if [ -d before ]; then
    mv before out
    finished "$1"
    rm -rf out
  fi
  check "$name: the same" diff -r -x log.jsonl -x '*.checkpoint-1.h5' after "whole_$1"
  rm -rf after
}

# places N MANY: MANY numbers spread from 1 to N; all of them in a soak.
places() {
  local i many=$2
  [ -z "$soak" ] || many=$1
  for ((i = 0; i < many; i++)); do echo $((1 + i * ($1 - 1) / (many - 1))); done
}

kinds=(KILL ENOSPC EIO EDQUOT KILL EROFS ESTALE)
turn=0
for command in ${COMMANDS:-train extract generate grow repair drop remake export_folder export_tar pack import}; do
  prepare $command
  check "$command: undisturbed" $command 0 out
  mv out whole_$command
  prepare $command
  check "$command: counted" injected 0 EIO 0 0 $command
  check "$command: untouched" diff -r -x log.jsonl out whole_$command
  n_calls=$(cat count)
  case $command in train | extract | generate) many=5 ;; *) many=3 ;; esac
  for at in $(places "$n_calls" $many); do
    if [ -z "$soak" ]; then
      strike $command 0 0 "$at" "${kinds[turn++ % ${#kinds[@]}]}"
    else
      for kind in KILL EIO ENOSPC; do strike $command 0 0 "$at" $kind; done
      [ $((at % 7)) != 1 ] || for kind in EDQUOT EROFS ESTALE; do strike $command 0 0 "$at" $kind; done
    fi
  done
done
[ -z "${COMMANDS:-}" ] || summary

# Another rank than the first: all end.
for at in $(places 40 2); do strike generate 2 1 "$at" EIO; done
strike extract 2 1 12 ENOSPC
strike train 2 0 90 KILL
strike remake 2 1 6 EIO
strike drop 2 1 4 KILL

# The folder goes away in the middle of a training.
name="the folder vanishes"
(
  while [ ! -e out/sampler.checkpoint-1.h5 ]; do sleep 0.02; done
  mv out gone
) &
expect_fail "$name" 4 "error: (\(rank 0 of 2 on [^)]+\) )?out" run 2 dvg-train-sampler --features features --width 0.05 --batch 8 --micro-batch 4 --epochs 20000 \
  --spread-tolerance 0 --checkpoint-every 1 --log-every 1 --out out
wait
check "$name: a checkpoint is there" run 0 dvg-inspect gone/sampler.checkpoint-1.h5 --verify
rm -rf out
summary
