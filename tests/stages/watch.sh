#!/bin/bash
# dvg-inspect --watch: what it says of a run is true, while the run changes and when pieces are missing; it disturbs nothing.
# limit: 420 seconds; takes: 40 seconds
. "$(dirname "$0")/lib_run.sh"
cd "$scratch" || exit 1
watch() { run "$1" dvg-inspect --watch "${@:2}"; }
commas() { sed ':a; s/\B[0-9]\{3\}\>/,&/; ta' <<<"$1"; }
page() { tail -n +2 "$output"; } # without folder and time
stage() { # name, state, program, stage, what follows
  says "$1" "^ $2 +$3 +$4 *${5:-}"
}

make_run run
find run -printf '%p %T@ %s\n' | sort >before
check "a run" watch 0 run
cp "$output" said
says "counts the stages" '^ run   0 running, 6 done, 0 stopped   20[0-9-]+ [0-9:]+ UTC$'
stage "images" done "prepare render" toy.h5 '28 images of 7 people$'
stage "recogniser" done train-recognizer f '3 steps'
stage "features" done extract features '28 items'
stage "sampler" done train-sampler sampler '32 steps'
stage "pairs" done generate pairs '20 pairs'
stage "evaluation" done evaluate judged '14 probes$'
is "in the order of the pipeline" "$(awk '$1 == "done" { print $3 == "toy.h5" || $2 == "prepare" ? "toy.h5" : $3 }' said | tr '\n' ' ')" \
  "toy.h5 f features sampler pairs judged "
says "the last loss" "sampler loss +$(tail -n 1 run/sampler/log.jsonl | sed 's/.*"loss":\([-0-9.e]*\),.*/\1/' | xargs printf '%.4g') "
is "nothing but ASCII" "$(LC_ALL=C grep -c '[^ -~]' said)" 0
is "nothing is written" "$(find run -printf '%p %T@ %s\n' | sort | diff before - | wc -l)" 0
for way in "run --watch" "--file run --watch" "--watch --once run/" "--watch --interval 5 --file=run"; do
  # shellcheck disable=SC2086 # words
  check "as $way" run 1 dvg-inspect $way
  is "the same as $way" "$(page)" "$(tail -n +2 said)"
done
check "on 3 ranks" watch 3 run
is "the same on 3 ranks" "$(page)" "$(tail -n +2 said)"
check "in UTF-8" env LC_ALL=C.UTF-8 "$(tool dvg-inspect)" --watch run
says "has blocks" '▁|█'
check "the folder itself is a training" watch 0 run/sampler
says "one stage" '^ done +train-sampler +sampler +32 steps'

# ---- states

cp -r run half && rm half/pairs/index.h5 half/pairs/shard-000001.h5 half/features/index.h5 half/features/shard-000002.h5 half/judged/evaluation.h5 half/sampler/sampler.h5
check "an unfinished run" watch 0 half
stage "pairs are missing" stopped generate pairs '\[#+\.+\]  60 %  12 of 20 pairs'
stage "features are missing" stopped extract features '\[#+\.+\]  71 %  20 of 28 items'
stage "no result of a training" stopped train-sampler sampler '\[#+\] 100 %  32 steps'
is "no evaluation" "$(grep -c judged "$output")" 0
says "the losses of the unfinished one" ' cosine +[-0-9.e]+ '
held half/pairs "$this_boot"
check "a lock that is held" watch 0 half
stage "is running" running generate pairs '.* 60 %  12 of 20 pairs.*  elsewhere since 2026-01-02T03:04:05Z$'
sed -i "s/^started .*/started 1/" half/pairs/dvg.lock
check "a lock of a dead one" watch 0 half
stage "is stopped" stopped generate pairs ".*  elsewhere: process $$ is dead; the same command continues\$"
held half/pairs another-boot
check "a lock of another machine" watch 0 half
stage "that was touched" running generate pairs
touch -d '5 minutes ago' half/pairs/dvg.lock
check "a lock of another machine" watch 0 half
stage "that wasn't touched" stopped generate pairs
mv half/pairs/dvg.lock half/pairs/dvg.part-2-of-3.lock && touch half/pairs/dvg.part-2-of-3.lock
check "a part's lock" watch 0 half
stage "counts too" running generate pairs
mkdir half/new && held half/new "$this_boot"
check "a lock alone" watch 0 half
stage "is what its program makes" running train-sampler new ' *elsewhere since'
: >half/drawn.h5.part
check "images being drawn" watch 0 half
stage "are running" running prepare drawn.h5
touch -d '5 minutes ago' half/drawn.h5.part
check "images that nobody draws" watch 0 half
stage "are stopped" stopped prepare drawn.h5

# ---- a real training, looked at all the time

settings="--features run/features --width 0.05 --batch 9 --micro-batch 9 --epochs 250 --spread-tolerance 0 --log-every 20 --checkpoint-every 100"
mkdir live
# shellcheck disable=SC2086 # words
"$(tool dvg-train-sampler)" $settings --out live/sampler >log/live 2>&1 &
job=$!
n=0 seen=0 bad=0
while kill -0 $job 2>/dev/null && [ $n -lt 500 ]; do
  watch 0 live >"$output" 2>"$output.err" || bad=$((bad + 1))
  grep -qE '^ running +train-sampler +sampler +\[.* of [0-9,]+ steps .*to go' "$output" && seen=$((seen + 1))
  n=$((n + 1))
done
wait $job
is "the training ends well" $? 0
is "each look too" "$bad" 0
if [ $seen -gt 0 ]; then report good
else report bad "a look at it running" "none of $n saw progress"; fi
# shellcheck disable=SC2086
check "the same without being watched" run 0 dvg-train-sampler $settings --out alone
check "gives the same weights" cmp live/sampler/sampler.h5 alone/sampler.h5
# shellcheck disable=SC2086
"$(tool dvg-train-sampler)" $settings --epochs 100000 --out live/killed >log/live 2>&1 &
job=$!
n=0
until [ -s live/killed/log.jsonl ] || [ $n -gt 500 ]; do sleep 0.05 && n=$((n + 1)); done
kill -9 $job && wait $job 2>/dev/null
check "a training that was killed" watch 0 live
stage "is stopped" stopped train-sampler killed ".*process [0-9]+ is dead"
step=$(tail -n 1 live/killed/log.jsonl | sed 's/.*"step":\([0-9]*\),.*/\1/')
printf '{"phase":"sampler","step":%d,"of":300000,"loss":1' $((step + 20)) >>live/killed/log.jsonl
check "a line that is cut short" watch 0 live
stage "doesn't count" stopped train-sampler killed ".* $(commas "$step") of [0-9,]+ steps "
printf ',"terms":{"a":2,"b":null},"rate":1,"seconds":2}\nno JSON\n{"phase":3}\n{"step":7}\n[]\n\n' >>live/killed/log.jsonl
check "the line's rest, and lines of nonsense" watch 0 live
says "the line counts then" "sampler loss +1 "
stage "with its step" stopped train-sampler killed ".* $(commas $((step + 20))) of 300,000 steps "

# ---- what is there and isn't

mkdir empty
check "an empty folder" watch 0 empty
says "has nothing yet" '^ nothing here yet$'
expect_fail "no folder" 4 "nowhere: cannot read this folder: No such file" watch 2 nowhere
expect_fail "a file" 4 "run/toy.h5: cannot read this folder: Not a directory" watch 2 run/toy.h5
mkdir -p odd/fifo odd/text odd/cut && mkfifo odd/fifo/log.jsonl odd/fifo/index.h5 odd/fifo/dvg.lock odd/log odd/pipe.h5
echo "no HDF5" >odd/text/index.h5
echo "no HDF5" >odd/a.h5
head -c 3000 run/toy.h5 >odd/b.h5
head -c 2000 run/pairs/index.h5 >odd/cut/index.h5
head -c 2000 run/pairs/shard-000000.h5 >odd/cut/shard-000000.h5
cp run/toy.h5 odd
check "odd files" watch 0 odd
stage "what is whole" done "prepare render" toy.h5
is "what is no artifact isn't one" "$(grep -cE ' (a|b|pipe)\.h5' "$output")" 0
is "without a word" "$(wc -c <"$output.err")" 0
mkdir $'odd/esc\033[31m\302\233]' && cp run/f/* $'odd/esc\033[31m\302\233]' 2>/dev/null
check "a name with escape sequences" env LC_ALL=C.UTF-8 "$(tool dvg-inspect)" --watch odd
is "can't reach the terminal" "$(LC_ALL=C grep -c $'\033\|\302\233' "$output")" 0
says "is there" 'esc\?\[31m\?\]'

# Folders that come and go in the middle of a look.
mkdir gone
(for _ in $(seq 20); do cp -r run/* gone && rm -r gone/*; done) 2>/dev/null &
job=$!
bad=0 n=0
while kill -0 $job 2>/dev/null; do
  watch 0 gone >"$output" 2>"$output.err" && [ ! -s "$output.err" ] || bad=$((bad + 1))
  n=$((n + 1))
done
is "files that vanish ($n looks)" "$bad" 0

# ---- a terminal

if $python -c 'import pty' 2>/dev/null; then
  for end in q interrupt; do
    python_check "on a terminal, $end" "$(tool dvg-inspect)" $end <<'END'
import fcntl, os, pty, select, signal, struct, sys, termios, time
program, end = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 9, 60, 0, 0))
    os.execv(program, [program, "--watch", "run", "--interval", "0.2"])
said, until, before = b"", time.time() + 20, termios.tcgetattr(terminal)
while said.count(b"\x1b[H") < 4 and time.time() < until:
    if select.select([terminal], [], [], 0.1)[0]: said += os.read(terminal, 65536)
assert said.count(b"\x1b[H") >= 4, "is not drawn again"
assert not termios.tcgetattr(terminal)[3] & termios.ECHO
os.write(terminal, b"xq" if end == "q" else b"\x03")
while time.time() < until:
    try: more = os.read(terminal, 65536)
    except OSError: break
    if not more: break
    said += more
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert said.startswith(b"\x1b[?1049h") and said.rstrip().endswith(b"\x1b[?25h\x1b[?1049l"), said[-40:]
page = said.split(b"\x1b[H")[1].split(b"\x1b[H")[0].decode()
assert "toy.h5" in page and "no room for more" in page and page.count("\r\n") <= 9, page
import re
for line in page.split("\r\n"):
    assert len(re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", line)) <= 60, line
END
  done
else skip "on a terminal: no $python with pty"; fi

# ---- what is refused

expect_fail "with --verify" 2 "--watch is of a whole run" watch 2 run --verify
expect_fail "with --json" 2 "--watch is of a whole run" watch 0 run --json
expect_fail "with a report" 2 "--watch or --report: one at a time" watch 0 run --report x.html
expect_fail "once of nothing" 2 "--once is of --watch" run 0 dvg-inspect run/toy.h5 --once
expect_fail "no interval" 2 "interval: 0 is out of range" watch 0 run --interval 0
expect_fail "no folder named" 2 "file" watch 0
expect_fail "two folders" 2 "half" watch 0 run half
to_full() { "$(tool dvg-inspect)" --watch run >/dev/full; }
expect_fail "no room for the page" 4 "standard output: cannot write all" to_full
summary
