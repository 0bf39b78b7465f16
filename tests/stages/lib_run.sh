# A small run folder, as jobs make it, for the tests that look at one; sources lib.sh.
#     make_run FOLDER       toy.h5 f/ features/ sampler/ pairs/ judged/ in a new folder
. "$(dirname "$0")/lib.sh"
python=/usr/bin/python3

make_run() {
  mkdir "$1"
  check "images" run 0 dvg-prepare render --people 7 --images 2 --size 36 --out "$1/toy.h5"
  check "recogniser" run 0 dvg-train-recognizer --pretrain --images "$1/toy.h5" --size 32 --width 0.05 --batch 4 --micro-batch 4 --steps 3 \
    --log-every 1 --out "$1/f"
  check "features" run 0 dvg-extract --images "$1/toy.h5" --weights "$1/f/recognizer.h5" --per-shard 10 --out "$1/features"
  check "sampler" run 0 dvg-train-sampler --features "$1/features" --width 0.05 --batch 9 --micro-batch 9 --epochs 8 --final-rate 1 --log-every 5 --out "$1/sampler"
  [ -e g.h5 ] || check "generator" run 0 make_weights --net generator --width 0.05 --size 32 --out g.h5
  check "pairs" run 0 dvg-generate --generator g.h5 --sampler "$1/sampler/sampler.h5" --recognizer "$1/f/recognizer.h5" --bank "$1/toy.h5" --domain NIR \
    --count 20 --per-shard 8 --out "$1/pairs"
  check "judged" run 0 dvg-evaluate --images "$1/toy.h5" --weights "$1/f/recognizer.h5" --gallery-domain VIS --probe-domain NIR --far 0.5,0.1 \
    --pairs "$1/pairs" --name "seven people" --out "$1/judged"
}

# held FOLDER BOOT: a lock in it, in the form of io/lock.h, whose process is this script; of another machine with another BOOT.
held() {
  local started
  started=$(sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 20)
  printf 'program dvg-train-sampler\nhost elsewhere\npid %d\nstarted %s\nboot %s\nspace %s\nsince 2026-01-02T03:04:05Z\nbeat 10\n' \
    $$ "$started" "$2" "$(readlink /proc/self/ns/pid)" >"$1/dvg.lock"
}
this_boot=$(cat /proc/sys/kernel/random/boot_id)
