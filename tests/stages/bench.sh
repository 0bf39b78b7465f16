#!/bin/bash
# tests/bench/run, in its quick way: every measure of bench.json is there and greater than nothing. None of the figures is judged.
# limit: 600 seconds; takes: 40 seconds
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")/../.." && pwd)
python=/usr/bin/python3
run_limit=$((500 * slower))

# It writes into the folder of the build: one of its own.
mkdir -p "$scratch/build/tests"
ln -s "$build/bin" "$scratch/build/bin"
ln -s "$build/tests/bench" "$build/tests/reference" "$scratch/build/tests"
check "runs" env RANKS="1 2 3" timeout -k 5 $run_limit "$here/tests/bench/run" "$scratch/build" --quick
for line in "one core: peak [1-9][0-9.]* GFLOP/s" "sampler_training +[1-9]" "extract +images +[1-9]" "generate +pairs +[1-9]" \
  "recognizer +images +[1-9]" "generator +pairs +[1-9]" "sum of 0.1 M values over 2 ranks: exact [0-9]" "RecordIO: 5000 JPEGs" \
  "what else runs lowers these figures"; do
  says "the table: $line" "$line"
done

cat >"$scratch/log/check.py" <<'END_OF_PYTHON'
import json, os, sys

bench = json.load(open(sys.argv[1]))
steps = "lightcnn_forward lightcnn_training encoder_forward decoder_forward decoder_training sampler_forward sampler_training"
steps += " generator_step recognizer_step similarity"
assert [m["name"] for m in bench["measures"]] == steps.split(), bench["measures"]
for m in bench["measures"]:
    assert m["items_per_second"] > 0 and m["gflops"] > 0 and m["peak_bytes"] > 0, m
    if bench["pytorch"]:
        assert m["pytorch"]["ratio"] > 0 and m["pytorch_tuned"]["ratio"] > 0, m
has_bfloat16 = " avx512_bf16" in open("/proc/cpuinfo").read()
assert sorted(bench["bf16"]) == (["decoder_forward", "lightcnn_forward"] if has_bfloat16 else []), bench["bf16"]
assert all(m["items_per_second"] > 0 and m["ratio"] > 0 for m in bench["bf16"].values()), bench["bf16"]
flops = {m["name"]: m["gflop_per_item"] for m in bench["measures"]}
# Three products a layer in training but for the first one's input; the encoder is about as large as the decoder.
assert 4 < flops["sampler_training"] / flops["sampler_forward"] < 8, flops
assert [s["name"] for s in bench["stages"]] == ["extract", "generate", "recognizer", "generator"], bench["stages"]
for s in bench["stages"]:
    one, two, three = (s["items_per_second"][n] for n in "123")
    cores = os.sysconf("SC_NPROCESSORS_ONLN")
    for n, rate, used in ("2", two, min(2, cores)), ("3", three, min(3, cores)), ("apart", s["items_per_second"]["apart"], cores):
        efficiency = s["efficiency"][n]
        assert rate > 0 and abs(efficiency - rate / (used * one)) < 1e-3 * efficiency, s
r = bench["reduction"]
assert r["values"] == 100000 and r["ranks"] == 2, r
assert all(r[k] > 0 for k in ("add_seconds", "finish_seconds", "share_seconds", "float_allreduce_seconds", "ratio")), r
END_OF_PYTHON
if [ -x $python ]; then check "bench.json" $python "$scratch/log/check.py" "$scratch/build/bench.json"
else skip "bench.json: there is no $python"; fi

# What can't be measured must not look as if it had been.
expect_nothing() { # name, command...
  "${@:2}" >"$output" 2>"$output.err" </dev/null
  if [ $? = 0 ]; then report bad "$1" "ends well"; else report good; fi
}
expect_nothing "an unknown option" "$here/tests/bench/run" "$scratch/build" --slow
mkdir -p "$scratch/broken/tests" "$scratch/data"
ln -s "$build/tests/reference" "$scratch/broken/tests"
mkdir "$scratch/broken/bin"
for f in "$build"/bin/*; do ln -s "$f" "$scratch/broken/bin"; done
rm "$scratch/broken/bin/dvg-extract"
printf '#!/bin/bash\necho "no rate"\n' >"$scratch/broken/bin/dvg-extract"
chmod +x "$scratch/broken/bin/dvg-extract"
expect_nothing "a stage that tells no rate" "$here/tests/bench/stages" "$scratch/broken" "$scratch/data" "$scratch/stages.json" --quick
says "a stage that tells no rate: is named" "extract on 1 ranks tells no rate"
expect_nothing "ranks without a first" env RANKS="2 4" "$here/tests/bench/stages" "$build" "$scratch/data" "$scratch/stages.json" --quick
says "is refused" "RANKS=2 4: not 1 and then others"
summary
