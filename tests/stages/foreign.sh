#!/bin/bash
# Identities of another recogniser, of other lengths than 256, from its embeddings to pairs: dvg-extract --embeddings, dvg-train-sampler, dvg-train-generator
# --image-features, dvg-generate, dvg-evaluate. The same bytes on any number of ranks; what does not fit is refused where two files meet.
# limit: 420 seconds
. "$(dirname "$0")/lib_train.sh"
if [ $has_h5py = no ]; then
  skip "embeddings are made with h5py, which $python has not"
  summary
fi

check "faces" run 0 dvg-prepare render --people 8 --images 2 --size 36 --out toy.h5
check "others" run 0 dvg-prepare render --people 8 --images 2 --size 36 --seed 2 --out other.h5
check "recogniser" run 0 make_weights --width 0.05 --size 32 --out f.h5

# What another recogniser may give: float64 and of any size; a place a person, noise an image. In order, and in disorder with names; for both files of images.
cat >embed.py <<'END_PYTHON'
import h5py, numpy as np
faces = h5py.File("toy.h5")
names, identity = faces["name"][()], faces["identity"][()]
for L in 33, 64, 97, 256, 512, 1000:
    r = np.random.default_rng(L)
    x = (r.normal(size=(identity.max() + 1, L))[identity] + 0.3 * r.normal(size=(len(identity), L))) * r.uniform(1, 9, (len(identity), 1))
    h5py.File(f"e{L}.h5", "w")["feature"] = x
    np.save(f"e{L}.npy", (x / np.linalg.norm(x, axis=1)[:, None]).astype("f4"))
with h5py.File("named.h5", "w") as file:
    order = np.random.default_rng(1).permutation(len(names))
    x = h5py.File("e97.h5")["feature"][()]
    file["feature"] = np.concatenate([x[order], x[:3]])
    file["path"] = list(names[order]) + [b"a", b"b", b"c"]
def bad(name, x, path=None):
    with h5py.File(name, "w") as file:
        file["feature"] = x
        if path is not None: file["path"] = path
bad("short.h5", x[:-1])
bad("strangers.h5", x, [b"x" + n for n in names])
bad("twice.h5", np.concatenate([x, x[3:4]]), list(names) + [names[3]])
bad("paths.h5", x, names[:-1])
bad("flat.h5", x[:, 0])
y = x.copy(); y[5] = 0; bad("zero.h5", y)
y = x.copy(); y[5, 3] = np.nan; bad("nan.h5", y)
bad("longest.h5", np.ones((len(names), 4097)))
END_PYTHON
check "embeddings" $python embed.py

# ---- features

extract() { run "$1" dvg-extract --images toy.h5 --embeddings "$2" --per-shard 5 --out "$3" "${@:4}"; }
for L in 33 64 97 256 512 1000; do
  check "features of $L" extract 2 e$L.h5 f$L
  check "features of $L: intact" run 1 dvg-inspect f$L --verify
done
for n in 0 1 3; do
  check "features on $n" extract $n e97.h5 f97on$n
  check "features on $n: the same" diff -r f97 f97on$n
done
check "features by name" extract 2 named.h5 named
check "a domain's features" extract 2 named.h5 nir --domain NIR
cat >features.py <<'END_PYTHON'
import glob, h5py, numpy as np
def read(folder, key): return np.concatenate([h5py.File(p)[key][()] for p in sorted(glob.glob(folder + "/shard-*.h5"))])
faces = h5py.File("toy.h5")
for L in 33, 64, 97, 256, 512, 1000:
    assert np.abs(read(f"f{L}", "feature") - np.load(f"e{L}.npy")).max() < 1e-6, L
    assert (read(f"f{L}", "identity") == faces["identity"][()]).all()
for key in "feature", "identity", "source":
    assert (read("named", key) == read("f97", key)).all(), key
source = read("nir", "source")
assert 0 < len(source) < len(read("f97", "source")) and (read("nir", "feature") == read("f97", "feature")[source]).all()
END_PYTHON
check "features are the embeddings" $python features.py

bad_features() { # name, code, pattern, file, further arguments
  expect_fail "$1" "$2" "$3" extract 2 "$4" x "${@:5}"
  absent "$1: nothing" x/index.h5 x/shard-000000.h5
}
bad_features "a short file" 3 "short.h5: has 31 features for 32 images" short.h5
bad_features "embeddings of others" 3 "strangers.h5: has no embedding of image" strangers.h5
bad_features "two of one image" 3 "twice.h5: has several embeddings of image" twice.h5
bad_features "fewer paths" 3 "paths.h5: has 31 paths for 32 features" paths.h5
bad_features "no vectors" 3 "flat.h5: 'feature' is no set of vectors" flat.h5
bad_features "two sources" 2 "--weights or --embeddings" e97.h5 --weights f.h5
expect_fail "zero" 3 "zero.h5: feature 5 has no direction" extract 2 zero.h5 x
expect_fail "no number" 3 "nan.h5: feature 5 has no direction" extract 2 nan.h5 y
expect_fail "no source" 2 "--weights or --embeddings" run 2 dvg-extract --images toy.h5 --out x
expect_fail "cut anew" 2 "--embeddings has the features already" extract 2 e97.h5 x --fit resize
rm -rf x y

# ---- the sampler, on any length

files="sampler.h5 sampler.checkpoint.h5"
sampler() { run "$1" dvg-train-sampler --features "$2" --width 0.05 --batch 8 --micro-batch 4 --epochs 3 --out "$3" "${@:4}"; }
for L in 33 64 97 512 1000; do
  check "sampler of $L" sampler 2 f$L s$L
  check "sampler of $L on 1" sampler 1 f$L s${L}on1
  same "sampler of $L" s$L s${L}on1
  check "sampler of $L: its report" cmp s$L/identities.tsv s${L}on1/identities.tsv
  is "directions of $L" "$(grep -c '^[0-9]' s$L/identities-variance.tsv)" $L
  check "sampler of $L: is described" run 0 dvg-inspect s$L/sampler.h5 --verify
  says "sampler of $L: says its length" "code +$L"
done
check "sampler of 256" sampler 2 f256 s256
sampler 2 f97 stopped --stop-after 5 >"$output" 2>"$output.err"
is "sampler: stops" $? 75
check "sampler: goes on" sampler 3 f97 stopped
same "sampler: goes on" stopped s97
check "too long" extract 2 longest.h5 flongest
expect_fail "too long for codes" 3 "flongest: 'feature' is no set of vectors of up to 4096 values" sampler 2 flongest x

# ---- the generator

files="generator.h5 generator.checkpoint.h5"
generator() { # ranks, length, folder
  run "$1" dvg-train-generator --images toy.h5 --recognizer f.h5 --image-features f$2 --sampler s$2/sampler.h5 --domain NIR --size 32 --width 0.05 \
    --batch 4 --micro-batch 2 --steps 4 --log-every 2 --out "$3" "${@:4}"
}
terms="orthogonal.nir orthogonal.vis pixel.nir pixel.vis pixel_swapped.nir pixel_swapped.vis pixel_sampled.nir pixel_sampled.vis
  identity.nir identity.vis identity.pair identity_sampled.pair"
for L in 97 256 512; do
  check "generator of $L" generator 2 $L g$L --dump-step 2 --dump g$L.dump.h5
  says "says who judges" "identities are the $L values of f$L; f.h5 judges"
  check "generator of $L on 1" generator 1 $L g${L}on1
  same "generator of $L" g$L g${L}on1
  check_log "generator of $L: its log" g$L "$terms"
done
check "generator of 97 on 3" generator 3 97 g97on3
same "generator of 97 on 3" g97 g97on3
check "the paper's generator" generator 2 97 p97 --preset paper
check "real identities" generator 2 97 r97 --sampler "" --identities f97
check "without the identity loss" generator 2 97 n97 --identity 0
for L in 97 256; do check "a sampler of nobody's identities, $L" run 0 make_weights --net identity_sampler --width 0.05 --code $L --out any$L.h5; done
check "stays a generator of F's identities" run 2 dvg-train-generator --images toy.h5 --recognizer f.h5 --sampler any256.h5 --domain NIR --size 32 \
  --width 0.05 --batch 4 --micro-batch 2 --steps 4 --out own

cat >step.py <<'END_PYTHON'
import h5py, numpy as np
# The first dumped micro-batches: codes are the embeddings of the other recogniser, "photograph" those of F, of the same image.
for L in 97, 256, 512:
    dump, embedding = h5py.File(f"g{L}.dump.h5"), np.load(f"e{L}.npy")
    assert dump.attrs["code"] == L
    own = {}
    for micro in dump["input"]:
        inputs = dump["input"][micro]
        code, photograph = inputs["identity"][()].reshape(-1, L), inputs["photograph"][()].reshape(-1, 256)
        swapped = inputs["identity_swapped"][()].reshape(-1, L)
        for x, f in zip(code, photograph):
            row = np.abs(embedding - x).max(axis=1).argmin()
            assert np.abs(embedding[row] - x).max() < 1e-6
            assert abs(np.linalg.norm(f) - 1) < 1e-3
            assert row not in own or (own[row] == f).all()
            own[row] = f
        assert all(np.abs(embedding - x).max(axis=1).min() < 1e-6 for x in swapped) and (swapped != code).any(axis=1).all()
    file = h5py.File(f"g{L}/generator.h5")
    assert file["decoder.fc.0.weight"].shape[1] == 2 * L and file["encoder.nir.fc_enc.weight"].shape[0] == L
    assert file.attrs["foreign"] == 1 and file.attrs.get("code", 256) == L
own = h5py.File("own/generator.h5")
assert "foreign" not in own.attrs and "code" not in own.attrs
END_PYTHON
check "a step's codes" $python step.py

# ---- pairs

generate() { run "$1" dvg-generate --domain NIR --count 11 --per-shard 4 --recognizer f.h5 --out "$2" "${@:3}"; }
with97="--generator g97/generator.h5 --sampler s97/sampler.h5 --bank toy.h5"
with256="--generator g256/generator.h5 --sampler s256/sampler.h5 --bank toy.h5"
prior97="--generator p97/generator.h5 --sampler s97/sampler.h5 --preset paper"
real97="--generator r97/generator.h5 --identities f97 --bank toy.h5"
for kind in with97 with256 prior97 real97; do
  # shellcheck disable=SC2086
  for n in 0 3; do check "$kind on $n" generate $n $kind$n ${!kind}; done
  check "$kind: the same" diff -r ${kind}0 ${kind}3
  check "$kind: intact" run 2 dvg-inspect ${kind}0 --verify
done
# shellcheck disable=SC2086
check "one alone" run 0 dvg-generate --only 7 --like with970 --out one.h5 $with97 --recognizer f.h5
check "exports" run 2 dvg-inspect with970 --export webdataset --out tars
for n in 0 3; do check "judges them on $n" run $n dvg-evaluate --pairs with970 --weights f.h5 --pairs-sample 0 --out judged$n; done
check "judged alike" cmp judged0/scores.h5 judged3/scores.h5
check "judges those of 256" run 2 dvg-evaluate --pairs with2560 --weights f.h5 --pairs-sample 0 --out judged256
check "trains on them" run 2 dvg-train-recognizer --images toy.h5 --start f.h5 --pairs with970 --domain NIR --head-epochs 1 --head-batch 8 --steps 2 --batch 8 --generated 8 --micro-batch 4 --out f2
cat >pairs.py <<'END_PYTHON'
import glob, io, json, tarfile, h5py, numpy as np
def read(folder, key): return np.concatenate([h5py.File(p)[key][()] for p in sorted(glob.glob(folder + "/shard-*.h5"))])
for folder, L in ("with970", 97), ("with2560", 256), ("prior970", 97), ("real970", 97):
    identity, shard = read(folder, "identity"), h5py.File(folder + "/shard-000000.h5")
    assert identity.shape == (11, L) and np.abs(np.linalg.norm(identity, axis=1) - 1).max() < 1e-3
    assert shard.attrs["foreign"] == 1 and "cos_pair" in shard and "cos_NIR" not in shard and "cos_VIS" not in shard, folder
assert (read("real970", "identity") == read("f97", "feature")[read("real970", "identity_item")]).all()
assert (h5py.File("one.h5")["identity"][0] == read("with970", "identity")[7]).all()
with tarfile.open(sorted(glob.glob("tars/*.tar"))[0]) as tar:
    assert np.load(io.BytesIO(tar.extractfile("00000000.identity.npy").read())).tolist() == read("with970", "identity")[0].tolist()
scores = h5py.File("judged0/scores.h5")
for name in "judged0", "judged256":
    scores, m = h5py.File(name + "/scores.h5"), json.load(open(name + "/metrics.json"))
    assert "cos_pair" in scores and "nearest" in scores and "cos_NIR" not in scores
    assert all(v is None for v in m["pairs"]["to_identity"].values()), m
x = read("with970", "identity").astype(float)
want = (x @ x.T)[~np.eye(11, dtype=bool)].mean()
m = json.load(open("judged0/metrics.json"))["pairs"]
assert m["identities"] == 11 and abs(m["mis_intended"] - want) < 1e-6, (m, want)
END_PYTHON
check "what the pairs say" $python pairs.py
check "drops without networks" run 2 dvg-generate --revoke drop --revoke-identities 2,5 --bank toy.h5 --out real970
check "drops without networks: is intact" run 2 dvg-inspect real970 --verify

# ---- what does not fit

bad() { # name, pattern, command
  expect_fail "$1" 3 "$2" "${@:3}"
  absent "$1: nothing" x/generator.h5 x/index.h5 x/shard-000000.h5
}
plain="--images toy.h5 --recognizer f.h5 --domain NIR --size 32 --width 0.05 --batch 4 --micro-batch 2 --steps 1 --out x"
# shellcheck disable=SC2086
{
  bad "a foreign sampler alone" "s97/sampler.h5: gives identities of 97 values, but those of f.h5 have 256 \(--image-features" \
    run 2 dvg-train-generator $plain --sampler s97/sampler.h5
  bad "foreign identities alone" "f97: has features of 97 values, but identities of f.h5 have 256" run 2 dvg-train-generator $plain --identities f97
  bad "a sampler of another length" "s64/sampler.h5: gives identities of 64 values, but those of f97 have 97$" \
    run 2 dvg-train-generator $plain --image-features f97 --sampler s64/sampler.h5
  bad "identities of another length" "f64: has features of 64 values, but identities of f97 have 97" \
    run 2 dvg-train-generator $plain --image-features f97 --identities f64
  bad "identities of another recogniser" "named: was made with other weights \([0-9a-f]{12}\.\.\.\) than f97" \
    run 2 dvg-train-generator $plain --image-features f97 --identities named
  bad "features of other images" "f97: was made with other images .* than other.h5" \
    run 2 dvg-train-generator $plain --images other.h5 --image-features f97 --sampler s97/sampler.h5
  bad "features of some images" "nir: has no feature of image [0-9]+ of toy.h5" \
    run 2 dvg-train-generator $plain --image-features nir --sampler any97.h5
  another="knows the identities of another recogniser \([0-9a-f]{12}\.\.\.\) than"
  bad "a sampler of another recogniser's features" "s97/sampler.h5: $another nir" \
    run 2 dvg-train-generator $plain --image-features nir --sampler s97/sampler.h5
  bad "a sampler of another recogniser" "s256/sampler.h5: $another f.h5" run 2 dvg-train-generator $plain --sampler s256/sampler.h5
  bad "real identities of another recogniser" "f256: was made with other weights .* than f.h5" run 2 dvg-train-generator $plain --identities f256
  bad "pairs by a sampler of another recogniser" "s256/sampler.h5: $another own/generator.h5" \
    run 2 dvg-generate --domain NIR --generator own/generator.h5 --sampler s256/sampler.h5 --bank toy.h5 --count 4 --out x
  bad "pairs of identities of another recogniser" "f256: was made with other weights .* than own/generator.h5" \
    run 2 dvg-generate --domain NIR --generator own/generator.h5 --identities f256 --bank toy.h5 --count 4 --out x
  bad "a sampler for another generator" "s64/sampler.h5: gives identities of 64 values, but g97/generator.h5 takes 97" \
    generate 2 x $with97 --sampler s64/sampler.h5
  bad "F's own sampler" "s256/sampler.h5: gives identities of 256 values, but g97/generator.h5 takes 97" generate 2 x $with97 --sampler s256/sampler.h5
  bad "features for another generator" "f64: has features of 64 values, but identities of g97/generator.h5 have 97" \
    generate 2 x $with97 --sampler "" --identities f64
}
cp s97/sampler.h5 lies.h5
check "claim another length" $python -c 'import h5py; h5py.File("lies.h5", "r+").attrs["code"] = 64'
check "one that takes it" run 0 make_weights --net generator --width 0.05 --size 32 --code 64 --out g64.h5
bad "claims another length" "lies.h5: 2 parameters do not fit its .*: fc.6" run 2 dvg-generate --domain NIR --generator g64.h5 --sampler lies.h5 --bank toy.h5 --out x
check "claim no length" $python -c 'import h5py; h5py.File("lies.h5", "r+").attrs["code"] = 0'
bad "claims no length" "lies.h5: codes of 0 values make no network" run 2 dvg-generate --domain NIR --generator g97/generator.h5 --sampler lies.h5 --bank toy.h5 --out x

# ---- to other programs and back

check "export" run 0 dvg-import --export --in s97/sampler.h5 --out s97.safetensors
check "import" run 0 dvg-import --net identity_sampler --width 0.05 --code 97 --in s97.safetensors --out back.h5
check "the same sampler" generate 2 back --generator g97/generator.h5 --sampler back.h5 --bank toy.h5
cmp -s back/shard-000000.h5 with970/shard-000000.h5 # the lineage differs
check "the same pairs" $python -c '
import h5py
a, b = h5py.File("back/shard-000000.h5"), h5py.File("with970/shard-000000.h5")
assert all((a[key][()] == b[key][()]).all() for key in b)'
expect_fail "import of another length" 3 "2 problems named above" run 0 dvg-import --net identity_sampler --width 0.05 --in s97.safetensors --out x.h5
expect_fail "a recogniser has 256" 2 "--code 97: embeddings of lightcnn29v2 have 256" run 0 dvg-import --net lightcnn29v2 --code 97 --in s97.safetensors --out x.h5
summary
