# What jobs/quick-start and jobs/real-faces share: from a recogniser that knows visible light, and few real pairs, to generated pairs and a comparison
# of the recogniser trained with and without them. Sourced by bash scripts that have set $build, $out and the sizes named below.
# shellcheck shell=bash
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi # in a container
export OPENBLAS_NUM_THREADS=1
[ -x "$build/bin/dvg-prepare" ] || { echo "${0##*/}: error: $build/bin: holds no programs: run make" >&2; exit 2; }
mkdir -p "$out"
: "${RANKS:=2}" "${SEED:=1}" "${PAIRS:=6000}" "${TUNE_STEPS:=400}" "${TUNE_RATE:=0.0005}" "${MICRO:=4}"
# The paper's losses: a sampled identity is held to no photograph, and the recogniser's opinion of it weighs more.
: "${GENERATOR_LOSSES:=--identity 1 --pixel-swapped 0 --pixel-sampled 0}"

set -o pipefail # a stage that fails ends the script, with its exit code
# Runs a program on all ranks; its whole output goes to OUT/log, the lines that say how it goes to the terminal.
stage() { # program, arguments
  printf '\n[%4d s] %s %s\n' $SECONDS "$1" "$2"
  mpirun --oversubscribe -n "$RANKS" "$build/bin/$1" "${@:2}" 2>&1 | tee -a "$out/log" | { grep --line-buffered -vE '^  [a-z-]+ +[^ ]*$' || true; }
}

# Trains the recogniser START further on the few real images: with the same steps and rates, whatever else it is given.
tune() { # START, arguments
  stage dvg-train-recognizer --images "$out/few.h5" --start "$1" --domain "$DOMAIN" --seed "$SEED" --jitter 0.5 --optimizer adam --rate "$TUNE_RATE" \
    --schedule cosine --weight-decay 0 --head-epochs 8 --head-batch 32 --head-rate 0.003 --batch 32 --micro-batch $((MICRO * 2)) \
    --steps "$TUNE_STEPS" --log-every 200 "${@:2}"
}

# What the few real pairs alone can teach the recogniser START. It will judge identity in both modalities, so it has to know both a little: from one that
# knows visible light only, the generator learns images of the other modality that look like visible ones.
train_judge() { tune "$1" --contrast none --out "$out/recognizer-adapted"; }
F=$out/recognizer-adapted/recognizer.h5 Fs=$out/sampler/sampler.h5

# Identity features of the large set, and the sampler of new identities.
sample_identities() {
  stage dvg-extract --images "$out/visible.h5" --weights "$F" --out "$out/features" --per-shard 512
  stage dvg-train-sampler --features "$out/features" --out "$out/sampler" --width 0.5 --epochs "$SAMPLER_EPOCHS" --batch 128 --seed "$SEED" --log-every 200
}

# The dual generator, from the few people seen in both modalities. At the full rate from the first step on, some learn to paint a spot of glaring colour
# on many visible images, and keep to it.
train_generator() { # FOLDER, arguments: where new identities come from, losses
  stage dvg-train-generator --images "$out/few.h5" --recognizer "$F" --domain "$DOMAIN" --out "$out/$1" --size "$SIZE" --width "$GENERATOR_WIDTH" \
    --steps "$GENERATOR_STEPS" --rate 0.0005 --rate-warmup 100 --final-rate 0.1 --micro-batch "$MICRO" --seed "$SEED" "${@:2}"
}

# Pairs from noise.
generate() { # FOLDER, GENERATOR_FOLDER, arguments: their number, where identities and attributes come from
  stage dvg-generate --generator "$out/$2/generator.h5" --recognizer "$F" --domain "$DOMAIN" --per-shard 250 --out "$out/$1" --seed "$SEED" "${@:3}"
}

# The judge further, on the few real images by their labels, and on pairs by contrast: of real images alone, or half of them generated. So it is these
# that make the difference, not the contrast.
contrast() { # FOLDER, arguments: where the pairs come from
  tune "$F" --generated 32 --contrast both --contrast-weight 1 --push 1 --margin 0.3 --out "$out/$1" "${@:2}"
}
tune_without() { contrast "$1" --real-pairs 1; } # FOLDER
tune_with() { contrast "$1" --pairs "$out/$2" --real-pairs 0.5 "${@:3}"; } # FOLDER, PAIRS_FOLDER, arguments

# Probes in the other modality against a gallery in visible light, of people never seen.
evaluate() { # KIND, WEIGHTS, arguments
  stage dvg-evaluate --images "$out/test.h5" --weights "$2" --probe-domain "$DOMAIN" --gallery-domain VIS --gallery-per-person 1 \
    --out "$out/evaluation-$1" --name "$1" "${@:3}" >/dev/null
}
# ... and what generated pairs changed: differences, their intervals and p-values.
evaluate_against_real() { evaluate "$1" "$2" --against "$out/evaluation-real"; } # KIND, WEIGHTS

# compare START: OUT/visible.h5 (many people), few.h5 (few, in both modalities) and test.h5 are there; ends with the table.
compare() {
  train_judge "$1"
  sample_identities
  # shellcheck disable=SC2086 # words
  train_generator generator --sampler "$Fs" $GENERATOR_LOSSES
  generate pairs generator --count "$PAIRS" --sampler "$Fs" --bank "$out/few.h5"
  "$build/bin/dvg-inspect" "$out/pairs" --sheet "$out/pairs.png" --rows 12 >>"$out/log"
  tune_without recognizer-real
  tune_with recognizer-pairs pairs
  evaluate visible "$1"
  evaluate real "$out/recognizer-real/recognizer.h5"
  evaluate_against_real pairs "$out/recognizer-pairs/recognizer.h5"
  printf '\n'
  "$(dirname "$0")/table" "$out"
  "$build/bin/dvg-inspect" --report "$out/report.html" "$out" >>"$out/log"
  cat <<END

look at  $out/report.html              all of this as one page
         $out/pairs.png                generated pairs with their cosines
         $out/generator/sheets/        what the generator learnt: input, reconstructed, sampled
         $out/few.png                  the few real pairs
         $out/evaluation-pairs/roc.png
took     $SECONDS s on $RANKS ranks
END
}
