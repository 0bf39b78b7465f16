#!/bin/bash
# Kills real runs of every stage at random instants - one rank, mpirun or all, by SIGKILL or a signal that asks to stop - and goes on with
# another number of ranks, until they are done: then all files must be those of a run that nobody disturbed, and nothing else.
# $KILLS (6) by SIGKILL, chosen by $SEED (1); about a third as many polite ones come on top. Prints kills, resumes and losses; a loss is any
# difference, error or hang.
# limit: 240 seconds; takes: 25 seconds
. "$(dirname "$0")/../stages/lib.sh"
cd "$scratch" || exit 1
kills=${KILLS:-6} seed=${SEED:-1}
RANDOM=$seed
n_kills=0 n_asked=0 n_resumes=0 n_done=0 n_early=0

check "visible images" run 0 dvg-prepare render --people 6 --images 2 --size 36 --out toy.h5
check "sampler" run 0 make_weights --net identity_sampler --width 0.05 --out s.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5
check "generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
check "features" run 0 dvg-extract --images toy.h5 --weights f.h5 --per-shard 8 --out features
check "pairs" run 0 dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --count 11 --per-shard 4 --out pairs
# What begins with results that are there finds them in base_STAGE.
models="--generator g.h5 --sampler s.h5 --bank toy.h5"
few="dvg-generate $models --domain NIR --recognizer f.h5 --per-shard 2"
read -r -d '' -a words <<<"$few"
check "few pairs" run 0 "${words[@]}" --count 5 --out base_grow
check "more pairs" run 0 "${words[@]}" --count 30 --out base_drop
cp -r base_drop base_remake
cp -r base_drop base_repair
rm base_repair/shard-00000[16].h5 base_repair/shard-00001?.h5
printf x | dd of=base_repair/shard-000003.h5 bs=1 seek=9000 conv=notrunc 2>/dev/null
check "photographs" run 0 dvg-inspect toy.h5 --export folder --out photographs

often="--checkpoint-every 1 --log-every 7 --sheet-every 9"
declare -A command=(
  [sampler]="dvg-train-sampler --features features --width 0.05 --batch 9 --micro-batch 3 --epochs 12 --spread-tolerance 0 $often"
  [extract]="dvg-extract --images toy.h5 --weights f.h5 --per-shard 1"
  [generate]="dvg-generate --generator g.h5 --sampler s.h5 --bank toy.h5 --domain NIR --recognizer f.h5 --count 30 --per-shard 1"
  [generator]="dvg-train-generator --images toy.h5 --recognizer f.h5 --sampler s.h5 --domain NIR --size 32 --width 0.05 --batch 5 --micro-batch 1
    --steps 25 $often"
  [recognizer]="dvg-train-recognizer --images toy.h5 --start f.h5 --pairs pairs --domain NIR --batch 4 --generated 4 --micro-batch 2
    --head-batch 4 --head-epochs 4 --steps 12 $often"
  [pretrain]="dvg-train-recognizer --pretrain --images toy.h5 --size 32 --width 0.05 --batch 6 --micro-batch 2 --steps 20 $often"
  [evaluate]="dvg-evaluate --images toy.h5 --weights f.h5 --gallery-domain VIS --probe-domain NIR"
  [render]="dvg-prepare render --people 40 --images 4 --size 36"
  [pack]="dvg-prepare pack --list photographs/list.tsv --size 36"
  [export]="dvg-inspect base_drop --export folder"
  [webdataset]="dvg-inspect base_drop --export webdataset"
  [grow]="$few --count 30"
  [repair]="dvg-generate $models --recognizer f.h5 --repair"
  [drop]="dvg-generate $models --recognizer f.h5 --revoke-people #1,#4 --revoke drop"
  [remake]="dvg-generate $models --recognizer f.h5 --revoke-people #1,#4 --revoke remake"
)
declare -A file=([render]=toy.h5 [pack]=faces.h5) # of stages that write one file: its name
names=(sampler extract generate generator recognizer pretrain evaluate render pack export webdataset grow repair drop remake)
[ "$kills" -ge ${#names[@]} ] || names=("${names[@]:0:kills}")
declare -A lasts tries killed # milliseconds of an undisturbed run; kills since the folder is there, and of all

now() { echo $(($(date +%s%N) / 1000000)); }

# launch STAGE RANKS: in the background, into the folder (or a file in it). Sets $job.
launch() {
  local start=() out=$1 words
  [ -e "$1" ] || [ ! -d "base_$1" ] || cp -r "base_$1" "$1"
  [ -z "${file[$1]:-}" ] || { mkdir -p "$1" && out=$1/${file[$1]}; }
  read -r -d '' -a words <<<"${command[$1]}"
  rm -f pid.*
  [ "$2" = 0 ] || start=(mpirun --timeout "$run_limit" --oversubscribe -n "$2")
  # shellcheck disable=SC2016 # each rank expands it
  "${start[@]}" bash -c 'echo $$ >pid.${OMPI_COMM_WORLD_RANK:-0}; exec "$@"' - "$(tool "${words[0]}")" "${words[@]:1}" --out "$out" \
    >"$output" 2>"$output.err" </dev/null &
  job=$!
}

# Every process of the launched job is gone within the time that a failing job has.
all_gone() {
  local pid end
  end=$(($(now) + fail_limit * 1000))
  for pid in $(cat pid.* 2>/dev/null); do
    while kill -0 "$pid" 2>/dev/null; do
      [ "$(now)" -lt $end ] || return 1
      sleep 0.02
    done
  done
}

# await SECONDS: waits for the job, but no longer. Sets $code, and $stuck: whether mpirun had to be killed. PMIx can lock itself up at the
# end of mpirun when all its ranks are gone (seen once in 400 kills, Open MPI 4.1.4): then mpirun is killed, and what counts is that no
# rank lived. 1 where one did.
await() {
  local end=$(($(now) + $1 * 1000)) pid hung=0
  stuck=0
  while kill -0 $job 2>/dev/null && [ "$(now)" -lt $end ]; do sleep 0.02; done
  if kill -0 $job 2>/dev/null; then
    for pid in $(cat pid.* 2>/dev/null); do
      ! grep -qs '^State:[[:space:]]*[^Z[:space:]]' "/proc/$pid/status" || hung=1
    done
    stuck=1
    echo "mpirun, process $job, had to be killed; a rank was alive: $hung" >&2
    # shellcheck disable=SC2046 # words
    kill -KILL $job $(cat pid.* 2>/dev/null) 2>/dev/null
  fi
  wait $job 2>/dev/null
  code=$?
  return $hung
}

# What is there is all that should be, and just that.
compare() {
  local differences
  sed -i 's/,"seconds":.*//' "$1"/log.jsonl 2>/dev/null
  differences=$(diff -rq -x '*.checkpoint-1.h5' "$1" "whole_$1")
  is "$1 after ${tries[$1]:-0} kills on $2" "$differences" ""
  n_done=$((n_done + 1))
  rm -rf "$1"
  tries[$1]=0
}

# To the end, by nobody disturbed.
finish() {
  local code
  [ "${tries[$1]:-0}" = 0 ] || n_resumes=$((n_resumes + 1))
  launch "$1" "$2"
  await "$run_limit"
  is "$1 on $2 goes on after ${tries[$1]:-0} kills" $code 0
  # Growth makes the last shard of fewer pairs again, and says so.
  is "$1 on $2 reads nothing half-written" "$(grep -v 'grow/shard-000002.h5: not of 2 rows' "$output.err" | grep -cE ': (error|warning): ')" 0
  if [ ! -d "whole_$1" ]; then
    cp -r "$1" "whole_$1"
    sed -i 's/,"seconds":.*//' "whole_$1"/log.jsonl 2>/dev/null
  fi
  compare "$1" "$2"
}

# strike STAGE RANKS: kills it somewhere; it may be done before.
strike() {
  local signal=KILL victims r code after=$((RANDOM * lasts[$1] / 32768)) what
  [ $((RANDOM % 4)) != 0 ] || { local all=(TERM USR1 INT) && signal=${all[RANDOM % 3]}; }
  [ "${tries[$1]:-0}" = 0 ] || n_resumes=$((n_resumes + 1))
  launch "$1" "$2"
  sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
  r=$((RANDOM % ($2 > 0 ? $2 : 1)))
  what="$signal to $1 on $2 after $after ms (kill $((n_kills + n_asked + 1)) of seed $seed)"
  victims=$(cat pid.$r 2>/dev/null)
  if [ $signal = KILL ]; then
    case $((RANDOM % 3)) in
      0) victims="$job $(cat pid.* 2>/dev/null)" ;; # the machine dies
      1) victims=$job ;;
    esac
  fi
  # shellcheck disable=SC2086 # words
  if ! kill -$signal ${victims:-$job} 2>/dev/null; then
    n_early=$((n_early + 1))
    wait $job
    is "$what: was done before" $? 0
    compare "$1" "$2"
    return
  fi
  if ! await $fail_limit || ! all_gone; then report bad "$what" "did not end within $fail_limit s"; fi
  if [ $signal = KILL ]; then n_kills=$((n_kills + 1)); else n_asked=$((n_asked + 1)); fi
  tries[$1]=$((${tries[$1]:-0} + 1))
  killed[$1]=$((${killed[$1]:-0} + 1))
  case $signal in
    KILL) report good ;; # whatever it ended with; done or not is seen below
    *) # asked to stop: in time for it, or before the program watches for signals, or when all was done
      if [[ $code =~ ^(0|75|130|138|143|1)$ ]] || [ $stuck = 1 ]; then report good
      else report bad "$what" "exit code $code"; fi ;;
  esac
  # Nothing half-written is ever read: every file there under its own name is an HDF5 file with its digest. (The index of a set that is repaired
  # names what is missing.)
  [ $((RANDOM % 8)) != 0 ] || for r in "$1"/*.h5; do
    [ ! -e "$r" ] || [ "$r" = repair/index.h5 ] || check "$what: $r" run 0 dvg-inspect "$r" --verify
  done
}

for name in "${names[@]}"; do
  start=$(now)
  finish "$name" 0
  lasts[$name]=$(($(now) - start))
done
n_done=0
all_ranks=(0 0 2 3 0 2 4 8)
for ((i = 0; n_kills < kills; i++)); do
  name=${names[i % ${#names[@]}]}
  ranks=${all_ranks[RANDOM % ${#all_ranks[@]}]}
  if [ "${tries[$name]:-0}" -ge 5 ]; then finish "$name" "$ranks"
  else strike "$name" "$ranks"; fi
  [ $((i % 50)) != 49 ] || echo "so far: $((n_kills + n_asked)) kills, $n_resumes resumes, $n_done done, $failed losses" >&2
done
for name in "${names[@]}"; do [ "${tries[$name]:-0}" = 0 ] || finish "$name" 2; done
for name in "${names[@]}"; do echo "  $name: ${killed[$name]:-0} kills and requests to stop"; done
echo "seed $seed: $n_kills kills, $n_asked requests to stop, $n_resumes resumes, $n_done runs compared, $n_early done before the signal," \
  "$failed losses"
summary
