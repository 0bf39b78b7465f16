# What the tests of the trainers share; sources lib.sh. A test defines what it trains and what must come out the same:
#
#     . "$(dirname "$0")/lib_train.sh"
#     files="sampler.h5 sampler.checkpoint.h5"
#     train() { run "$1" dvg-train-sampler --out "$2" ... "${@:3}"; }      # ranks, folder, further arguments
#     start() { launch "$1" dvg-train-sampler --out "$2" ... "${@:3}"; }   # the same in the background
. "$(dirname "$0")/lib.sh"
python=/usr/bin/python3
cd "$scratch" || exit 1

# same NAME FOLDER FOLDER: all of $files are there, bit by bit the same.
same() {
  local f
  for f in $files; do check "$1: $f" cmp "$2/$f" "$3/$f"; done
}

# differ NAME FILE FILE
differ() {
  if cmp -s "$2" "$3"; then report bad "$1" "gives the same"; else report good; fi
}

# same_log NAME FOLDER FOLDER: but for the time it took.
same_log() {
  local f
  for f in "$2" "$3"; do sed 's/,"seconds":.*//' "$f/log.jsonl" >"$scratch/log/$(basename "$f").timeless"; done
  check "$1: the log" diff "$scratch/log/$(basename "$2").timeless" "$scratch/log/$(basename "$3").timeless"
}

# launch N PROGRAM ARGUMENTS...: like run, in the background. Sets $job; each rank leaves its process id in the file pid.RANK.
launch() {
  local n=$1 program start=()
  program=$(tool "$2")
  shift 2
  rm -f pid.*
  [ "$n" = 0 ] || start=(mpirun --timeout "$run_limit" --oversubscribe -n "$n")
  # shellcheck disable=SC2016 # each rank expands it
  "${start[@]}" bash -c 'echo $$ >pid.${OMPI_COMM_WORLD_RANK:-0}; exec "$@"' - "$program" "$@" >"$output" 2>"$output.err" </dev/null &
  job=$!
}

# hit SIGNAL WHOM FILE: as soon as FILE is there, signals the launched job: `job` itself (mpirun), a rank by its number, or `all`
# of them, as when a machine dies. Sets $code to what the job ends with; a job that is not there any more is a failure.
hit() {
  local tries=0 victims pid
  while [ ! -e "$3" ] && kill -0 $job 2>/dev/null && [ $tries -lt $((run_limit * 50)) ]; do
    sleep 0.02
    tries=$((tries + 1))
  done
  case $2 in
    job) victims=$job ;;
    all) victims="$job $(cat pid.*)" ;;
    *) victims=$(cat "pid.$2") ;;
  esac
  # shellcheck disable=SC2086 # words
  if kill "-$1" $victims 2>/dev/null; then report good
  else report bad "$1 to $2" "it had already ended"; fi
  wait $job 2>/dev/null
  code=$?
  for pid in $(cat pid.*); do # whoever lost mpirun needs a moment to see it
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 500 ]; do
      sleep 0.02
      tries=$((tries + 1))
    done
  done
}

# survives RANKS SIGNAL WHOM CODES FOLDER WANTED: a launched run that is hit after its first checkpoint ends with one of CODES
# ("75|143"); the same command, run on by another number of ranks, gives what is in the folder WANTED.
survives() {
  local name="$2 to $3 of $1 ranks" first=${files##* }
  start "$1" "$5" --checkpoint-every 1
  hit "$2" "$3" "$5/${first}"
  if [[ $code =~ ^($4)$ ]]; then report good
  else report bad "$name" "exit code $code, want $4"; fi
  echo "half of a file" >"$5/${first}.part"
  [ ! -d "$5/sheets" ] || echo "half of a sheet" >"$5/sheets/${first%%.*}-000001.png.part"
  check "$name: goes on" train 3 "$5" --checkpoint-every 50
  says "$name: not from the start" "continuing after step [1-9]"
  same "$name" "$5" "$6"
  is "$name: nothing half is left" "$(find "$5" -name '*.part' | wc -l)" 0
  check_log "$name: its log" "$5" ""
}

is_png() { is "$1" "$(head -c 8 "$2" | od -An -tx1 | tr -d ' \n')" 89504e470d0a1a0a; }

# check_log NAME FOLDER TERMS: log.jsonl has a JSON object in each line; in each phase the steps ascend without repetition to the
# last one; the last phase has the loss terms TERMS ("": any).
check_log() {
  if [ -x $python ]; then check "$1" $python "$scratch/log/check_log.py" "$2/log.jsonl" "$3"
  else skip "$1: there is no $python"; fi
}
cat >"$scratch/log/check_log.py" <<'END'
import json, math, sys

path, terms = sys.argv[1], sys.argv[2].split()
reached = {}
for number, line in enumerate(open(path), 1):
    where = f"{path}, line {number}"
    assert line.endswith("\n"), f"{where}: is cut short"
    entry = json.loads(line)
    assert list(entry) == ["phase", "step", "of", "loss", "terms", "rate", "seconds"], f"{where}: has {list(entry)}"
    phase, step = entry["phase"], entry["step"]
    assert step > reached.get(phase, (0, 0))[0], f"{where}: step {step} of {phase} comes again"
    reached[phase] = step, entry["of"]
    values = [entry["loss"], entry["rate"], entry["seconds"], *entry["terms"].values()]
    assert all(math.isfinite(v) for v in values), f"{where}: {values}"
for phase, (step, of) in reached.items():
    assert step == of, f"{path}: {phase} ends at step {step} of {of}"
if terms:
    assert sorted(entry["terms"]) == sorted(terms), f"{path}: terms {sorted(entry['terms'])}"
END

# check_dump NAME FILE CHECKPOINT INPUTS TERMS: the dump of step K has the weights of the checkpoint of step K-1, a finite gradient
# of each trained one, for each micro-batch the INPUTS, and value and weight of each of the TERMS.
has_h5py=no
[ -x $python ] && $python -c 'import h5py' 2>/dev/null && has_h5py=yes
check_dump() {
  if [ $has_h5py = yes ]; then check "$1" $python "$scratch/log/check_dump.py" "${@:2}"
  else skip "$1: $python has no h5py"; fi
}
cat >"$scratch/log/check_dump.py" <<'END'
import sys
import h5py, numpy

def datasets(group):
    found = {}
    group.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found

dump, checkpoint = h5py.File(sys.argv[1]), h5py.File(sys.argv[2])
inputs, terms = set(sys.argv[3].split()), set(sys.argv[4].split())
assert int(dump.attrs["step"]) == int(checkpoint.attrs["step"]) + 1
here, there = datasets(dump["weight"]), datasets(checkpoint["weight"])
assert here and set(here) == set(there), set(here) ^ set(there)
for name in here:
    assert here[name].dtype == numpy.float32 and numpy.array_equal(here[name], there[name]), name
gradient = datasets(dump["gradient"])
assert set(gradient) == set(datasets(checkpoint["moment1"])), "gradients are not those of the trained weights"
for name, values in gradient.items():
    assert values.shape == here[name].shape and numpy.isfinite(values).all(), name
assert any(values.any() for values in gradient.values())
n_micro = int(dump.attrs["n_micro"])
assert set(dump["input"]) == {str(micro) for micro in range(n_micro)}, set(dump["input"])
for micro in range(n_micro):
    assert set(dump[f"input/{micro}"]) == inputs, set(dump[f"input/{micro}"])
for kind in "term.", "weight.":
    have = {name[len(kind):] for name in dump.attrs if name.startswith(kind)}
    assert have == terms, have
END
