# What jobs/pipeline and jobs/slurm/* share: the configuration, the stages' commands, how one runs, stops and is skipped.
# Sourced by bash scripts that have set $root to the project's folder.
# shellcheck shell=bash
set -u -o pipefail
export LC_ALL=C
export OPENBLAS_NUM_THREADS=1 # a rank a core: threads on top would only get into each other's way
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi # containers
# A host that is gone sends nothing, not even that it is gone. Open MPI's daemons ask each other, but by default so rarely that a job hangs for eight
# minutes. So: after 30 seconds of silence, every 5 seconds, and the 6th time without an answer ends the job on all hosts. A minute in all, in which a
# network may recover.
export OMPI_MCA_oob_tcp_keepalive_time="${OMPI_MCA_oob_tcp_keepalive_time:-30}"
export OMPI_MCA_oob_tcp_keepalive_intvl="${OMPI_MCA_oob_tcp_keepalive_intvl:-5}"
export OMPI_MCA_oob_tcp_keepalive_probes="${OMPI_MCA_oob_tcp_keepalive_probes:-6}"

stages=(prepare pretrain extract train-sampler train-generator generate train-recognizer evaluate)
sets=(visible pairs test) # image sets that prepare makes
stopped=75                # exit code of the programs: stopped by a signal, all is saved, run again
lost=205                  # exit code of mpirun: a host, or the way to it, is lost; no program has one beyond 125

die() { # message: a mistake in what we were told
  echo "${0##*/}: error: $1" >&2
  exit 2
}

# ---- configuration

# Beside the sources, or where `make install` puts them: PREFIX/bin of PREFIX/share/dvgface.
programs=$root/build/release/bin
[ -f "$root/Makefile" ] || programs=$(cd "$root/../.." && pwd)/bin

# Every key that there is, with its default. A stage's own nodes, time and options are keys of their own: generate_nodes ...
declare -A conf=(
  [out]=runs/dvgface [programs]="$programs" [seed]=1 [size]=128 [width]=1 [visible_domain]=VIS [domain]=NIR
  [recognizer]='' [sampler]='' [generator]='' [count]=100000 [per_shard]=1000
  [ranks]=0 [launcher]='mpirun --oversubscribe --bind-to none'
  [slurm_launcher]='mpirun --map-by core --bind-to core' [account]='' [partition]='' [nodes]=1 [ranks_per_node]='' [time]=24:00:00
  [memory_per_rank]=2G [max_restarts]=100 [slurm_options]=''
)
for s in "${stages[@]}"; do
  conf[${s//-/_}_nodes]='' conf[${s//-/_}_time]='' conf[${s//-/_}_options]=''
done
# Stages that several jobs can share: their shards are independent.
shared_stages=(extract generate)
for s in "${shared_stages[@]}"; do conf[${s}_tasks]=1; done
for s in "${sets[@]}"; do conf[$s]='' conf[${s}_with]='' conf[${s}_options]=''; done

# trim TEXT: $trimmed is it without blanks around.
trim() {
  trimmed=${1#"${1%%[![:space:]]*}"}
  trimmed=${trimmed%"${trimmed##*[![:space:]]}"}
}

# The same form as the programs' own configuration files: `key = value`, # starts a comment at the start of a line or after
# a blank, "quotes" protect.
read_config() { # file
  local line key value n=0
  if [ ! -r "$1" ] || [ -d "$1" ]; then die "$1: cannot read this configuration"; fi
  while IFS= read -r line || [ -n "$line" ]; do
    n=$((n + 1))
    trim "$line"
    [[ -z $trimmed || $trimmed == '#'* ]] && continue
    [[ $trimmed == *=* ]] || die "$1:$n: no 'key = value': $trimmed"
    trim "${trimmed#*=}" && value=$trimmed
    trim "${line%%=*}" && key=$trimmed
    if [[ $value =~ ^\"([^\"]*)\"([[:space:]]+#.*)?$ ]]; then value=${BASH_REMATCH[1]}
    else
      [[ $value == '#'* ]] && value=''
      trim "${value%%[[:space:]]#*}" && value=$trimmed
    fi
    [ -n "${conf[$key]+there}" ] || die "$1:$n: unknown key $key"
    conf[$key]=$value
  done <"$1"
}

check_number() { # key, kind: whole or positive
  local pattern='^[0-9]+$'
  [ "$2" = positive ] && pattern='^[1-9][0-9]*$'
  [[ ${conf[$1]} =~ $pattern ]] || die "$config: $1 = ${conf[$1]}: not a $2 number"
}

# needed STAGE: whether the configuration asks for it. Weights that the user has make the stages before them needless.
needed() {
  case $1 in
    pretrain) [ -z "${conf[recognizer]}" ] ;;
    extract | train-sampler) [ -z "${conf[sampler]}" ] ;;
    train-generator) [ -z "${conf[generator]}" ] ;;
    *) true ;;
  esac
}
needed_set() { # visible|pairs|test
  case $1 in
    visible) needed pretrain || needed extract ;;
    pairs) true ;;
    test) [ -n "${conf[test]}" ] || [ "${conf[test_with]}" = render ] ;;
  esac
}

# Says now what would end a job in the middle of the night.
check_config() {
  local s path with
  for s in count per_shard nodes "${shared_stages[@]/%/_tasks}"; do check_number "$s" positive; done
  for s in ranks seed max_restarts; do check_number $s whole; done
  [ -n "${conf[out]}" ] || die "$config: out is empty"
  for s in recognizer sampler generator; do
    [ -z "${conf[$s]}" ] || [ -r "${conf[$s]}" ] || die "$config: $s = ${conf[$s]}: no such file"
  done
  for s in "${sets[@]}"; do
    needed_set "$s" || continue
    path=${conf[$s]} with=${conf[${s}_with]}
    case $with in
      render) [ -z "$path" ] || die "$config: $s = $path, but ${s}_with = render draws the images: leave one out" ;;
      '' | pack | align)
        [ -n "$path" ] || die "$config: $s is empty: give a list, a folder or an images file"
        [ -r "$path" ] || die "$config: $s = $path: no such file or folder"
        [ "$with" != align ] || [ -f "$path" ] || die "$config: $s = $path: ${s}_with = align takes a list"
        ;;
      *) die "$config: ${s}_with = $with: not pack, align or render" ;;
    esac
  done
  for s in prepare train-generator evaluate; do
    [ -x "${conf[programs]}/dvg-$s" ] || die "$config: programs = ${conf[programs]}: no dvg-$s there (run make)"
  done
}

load_config() { # file
  config=$1
  read_config "$config"
  check_config
}

# ---- running one command

part='' # I/N: of the stage's shards, this job's
dry_run='' child='' signals=0 code=0

quoted() { # words
  local line
  line=$(printf ' %q' "$@")
  echo "${line:1}"
}

# mpirun (or srun) hands SIGUSR1 on to the ranks, which stop at their next step; of SIGTERM it would kill them a second later. That
# is for the second time, when we no longer wait.
stop() {
  signals=$((signals + 1))
  [ -n "$child" ] || return 0
  if [ $signals = 1 ]; then kill -USR1 "$child" 2>/dev/null
  else kill -TERM "$child" 2>/dev/null; fi
}
catch_signals() { trap stop USR1 TERM; }

n_ranks() {
  local cores
  if [ -n "${SLURM_NTASKS:-}" ]; then echo "$SLURM_NTASKS"
  elif [ "${conf[ranks]}" != 0 ]; then echo "${conf[ranks]}"
  else # cores, not threads of cores
    cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l)
    if [ "$cores" -lt 1 ] || [ "$(nproc)" -lt "$cores" ]; then nproc
    else echo "$cores"; fi
  fi
}

# In the background, because bash runs no handler while it waits for a command in the foreground.
run_command() { # words; sets code
  local before=$signals
  "$@" </dev/null &
  child=$!
  [ $signals = "$before" ] || kill -USR1 "$child" 2>/dev/null # one that came too early to be handed on
  while true; do
    before=$signals
    wait "$child"
    code=$?
    [ $signals != "$before" ] || break # else the handler may have ended the wait
  done
  child=''
}

# Whether a step's result stands: it was made by this command, and from no older inputs. Otherwise the program is called and
# decides itself, by the digests and settings in its files: it continues, says that all is there, or refuses.
up_to_date() { # record, result, command
  local word
  [ -f "$1" ] && [ -e "$2" ] && [ "$(cat "$1")" = "$(quoted "${@:3}")" ] || return 1
  for word in "${@:4}"; do
    [ -d "$word" ] && [ -f "$word/index.h5" ] && word=$word/index.h5
    [ -f "$word" ] && [ "$word" != "$2" ] && [ "$word" -nt "$1" ] && return 1
  done
  return 0
}

# step NAME RESULT PROGRAM ARGUMENTS...: ends the script unless the step ends well.
step() {
  local name=$1 result=$2 record=${conf[out]}/steps/$1 launcher=launcher started=$SECONDS
  shift 2
  [ -z "${SLURM_JOB_ID:-}" ] || launcher=slurm_launcher
  read -ra launcher <<<"${conf[$launcher]} -n $(n_ranks)"
  if [ -n "$dry_run" ]; then
    quoted "${launcher[@]}" "${conf[programs]}/$1" "${@:2}"
    return
  fi
  if [ -n "$part" ]; then result=${conf[out]} # its shards are the program's to know, and its record would be no one's
  elif up_to_date "$record" "$result" "$@"; then
    echo "== $name: there already: $result"
    return
  fi
  [ $signals = 0 ] || exit $stopped
  echo "== $name: $(quoted "$@")"
  mkdir -p "${conf[out]}/steps" || exit 4
  run_command "${launcher[@]}" "${conf[programs]}/$1" "${@:2}"
  # Whatever a launcher makes of it: who was told to stop has stopped. A real failure will come back in the next run.
  if [ $code != 0 ] && [ $signals != 0 ]; then code=$stopped; fi
  if [ $code = $stopped ]; then
    echo "== $name: stopped by a signal; the same command continues"
    exit $stopped
  fi
  if [ $code = $lost ]; then
    echo "== $name: a host was lost, or the way to it; the same command continues where it had saved" >&2
    exit $lost
  fi
  if [ $code != 0 ]; then
    echo "== $name: failed, exit code $code" >&2 # why is the program's to say
    exit $code
  fi
  [ -e "$result" ] || { echo "${0##*/}: error: $name: ended well, but there is no $result" >&2; exit 1; }
  [ -z "$part" ] || return 0
  quoted "$@" >"$record.part" && mv "$record.part" "$record" || exit 4
  echo "== $name: done in $((SECONDS - started)) s: $result"
}

# ---- the stages

# words KEY: $more is the options of that key, split at blanks.
words() { read -ra more <<<"${conf[$1]}"; }

images_of() { # set: its images file, which may be the user's own
  case ${conf[$1]} in
    *.h5 | *.hdf5) echo "${conf[$1]}" ;;
    *) echo "${conf[out]}/$1.h5" ;;
  esac
}

stage_prepare() {
  local s path with source more
  for s in "${sets[@]}"; do
    needed_set "$s" || continue
    path=${conf[$s]} with=${conf[${s}_with]:-pack} source=()
    [ "$(images_of "$s")" != "$path" ] || continue
    if [ -d "$path" ]; then source=(--folder "$path")
    elif [ -n "$path" ]; then source=(--list "$path"); fi
    if [ "$with" = render ]; then source+=(--seed "${conf[seed]}"); fi
    words "${s}_options"
    step "prepare-$s" "$(images_of "$s")" dvg-prepare "$with" --out "$(images_of "$s")" "${source[@]}" ${more[@]+"${more[@]}"}
  done
}

# The options that one stage's command has before the user's own, which win by coming last.
run_stage() { # stage
  local out=${conf[out]} visible pairs test recognizer sampler generator more
  needed "$1" || return 0
  visible=$(images_of visible) pairs=$(images_of pairs) test=$(images_of test)
  recognizer=${conf[recognizer]:-$out/recognizer-visible/recognizer.h5}
  sampler=${conf[sampler]:-$out/sampler/sampler.h5}
  generator=${conf[generator]:-$out/generator/generator.h5}
  words "${1//-/_}_options"
  [ -z "$part" ] || more+=(--part "$part")
  more=(--seed "${conf[seed]}" ${more[@]+"${more[@]}"})
  case $1 in
    prepare) stage_prepare ;;
    pretrain)
      step pretrain "$recognizer" dvg-train-recognizer --pretrain --images "$visible" --visible "${conf[visible_domain]}" \
        --size "${conf[size]}" --width "${conf[width]}" --out "$out/recognizer-visible" "${more[@]}"
      ;;
    extract) # nothing random there
      step extract "$out/features/index.h5" dvg-extract --images "$visible" --weights "$recognizer" \
        --domain "${conf[visible_domain]}" --out "$out/features" "${more[@]:2}"
      ;;
    train-sampler)
      step train-sampler "$sampler" dvg-train-sampler --features "$out/features" --width "${conf[width]}" --out "$out/sampler" \
        "${more[@]}"
      ;;
    train-generator)
      step train-generator "$generator" dvg-train-generator --images "$pairs" --recognizer "$recognizer" --sampler "$sampler" \
        --domain "${conf[domain]}" --visible "${conf[visible_domain]}" --size "${conf[size]}" --width "${conf[width]}" \
        --out "$out/generator" "${more[@]}"
      ;;
    generate)
      step generate "$out/generated/index.h5" dvg-generate --generator "$generator" --sampler "$sampler" --bank "$pairs" \
        --recognizer "$recognizer" --domain "${conf[domain]}" --visible "${conf[visible_domain]}" --count "${conf[count]}" \
        --per-shard "${conf[per_shard]}" --out "$out/generated" "${more[@]}"
      ;;
    train-recognizer)
      step train-recognizer "$out/recognizer/recognizer.h5" dvg-train-recognizer --images "$pairs" --start "$recognizer" \
        --pairs "$out/generated" --domain "${conf[domain]}" --visible "${conf[visible_domain]}" --out "$out/recognizer" "${more[@]}"
      ;;
    evaluate) # how good the generated pairs are, in the eyes of the recogniser before; that one and the new one, compared
      more=(--probe-domain "${conf[domain]}" --gallery-domain "${conf[visible_domain]}" "${more[@]}")
      if needed_set test; then more=(--images "$test" "${more[@]}"); fi
      step evaluate-before "$out/evaluation-before/evaluation.h5" dvg-evaluate --weights "$recognizer" --pairs "$out/generated" \
        --name before --out "$out/evaluation-before" "${more[@]}"
      [[ " ${more[*]}" == *" --"*images* ]] || return 0 # no test images, no recognition
      step evaluate-after "$out/evaluation-after/evaluation.h5" dvg-evaluate --weights "$out/recognizer/recognizer.h5" \
        --name after --out "$out/evaluation-after" "${more[@]}"
      ;;
  esac
}

# ---- under Slurm

# slurm_job STAGE CONFIGURATION: the body of a job. Slurm tells this shell SIGUSR1 before the time is over (--signal=B:USR1@300);
# the job then goes back into the queue under its own number, so that those that depend on it keep waiting.
slurm_job() {
  [ $# = 2 ] || die "usage: sbatch jobs/slurm/$1.sbatch CONFIGURATION"
  load_config "$2"
  catch_signals
  trap 'back_into_queue $?' EXIT
  if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then part=$SLURM_ARRAY_TASK_ID/${DVG_TASKS:?the number of parts}; fi
  run_stage "$1"
}

# A job whose shell survives a lost node would end as failed before Slurm knows of the loss, and with it the chain.
back_into_queue() { # exit code of the stage
  [ "$1" = $stopped ] || [ "$1" = $lost ] || return 0
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "${conf[max_restarts]}" ]; then
    echo "${0##*/}: error: restarted $SLURM_RESTART_COUNT times already (max_restarts)" >&2
    return 0
  fi
  echo "== back into the queue"
  local job=$SLURM_JOB_ID # a task of an array goes by the array's number, lest all of it be requeued
  [ -z "${SLURM_ARRAY_JOB_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
  scontrol requeue "$job" ||
    echo "${0##*/}: error: Slurm did not requeue the job: submit again to continue" >&2
}
