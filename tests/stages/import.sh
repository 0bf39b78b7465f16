#!/bin/bash
# dvg-import: what it takes and writes back without PyTorch's help, what it says, what it refuses. PyTorch: reference/test_import.py.
# limit: 180 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

for net in lightcnn29v2 identity_sampler generator; do
  run 1 make_weights --net $net --width 0.125 --size 64 --out $net.h5 >/dev/null || exit 1
done
import() { run "$1" dvg-import "${@:2}"; }
small="--width 0.125 --size 64"
# The values of a weight file, without what it was made from.
values() { run 1 dvg-inspect "$1" --list | sed -n '/^datasets/,$p'; run 1 dvg-import --export --in "$1" --out values.safetensors >/dev/null && sha256sum <values.safetensors; }

# ---- there and back, alone and on ranks
for n in 0 1 2 3; do
  ending=$([ $((n % 2)) = 0 ] && echo pth || echo safetensors)
  check "exports on $n ranks" import $n --export --in lightcnn29v2.h5 --out back-$n.$ending
  check "imports on $n ranks" import $n --net lightcnn29v2 $small --in back-$n.$ending --out f-$n.h5
  is "has the same values on $n ranks" "$(values f-$n.h5)" "$(values lightcnn29v2.h5)"
done
is "exports the same bytes on 0 and 2 ranks" "$(sha256sum <back-0.pth)" "$(sha256sum <back-2.pth)"
check "imports from PyTorch's container again" import 2 --net lightcnn29v2 $small --in back-2.pth --out f-0-again.h5
check "lineage is kept" run 1 dvg-inspect f-2.h5
says "lineage names the file" "^ +weights +back-2.pth +sha256 $(sha256sum <back-2.pth | cut -c 1-64)\$"
says "settings are kept" "net = lightcnn29v2"
check "a recogniser that can be used" run 1 dvg-inspect f-0.h5 --verify

check "exports a sampler" import 1 --export --in identity_sampler.h5 --out s.pth
check "imports a sampler" import 1 --net identity_sampler $small --in s.pth --out s.h5
is "has the same values: sampler" "$(values s.h5)" "$(values identity_sampler.h5)"

# ---- the generator: one file, three files
for part in encoder.nir encoder.vis decoder; do
  check "exports $part" import 1 --export --in generator.h5 --part $part. --out $part.pth
done
check "exports the generator" import 1 --export --in generator.h5 --out g.pth
check "imports it from one file" import 2 --net generator $small --in g.pth --out g1.h5
check "imports it from three files" import 2 --net generator $small --encoders encoder.nir.pth,encoder.vis.pth --decoder decoder.pth --out g3.h5
is "has the same values: one file" "$(values g1.h5)" "$(values generator.h5)"
is "has the same values: three files" "$(values g3.h5)" "$(values generator.h5)"
check "other domains" import 1 --net generator $small --encoders encoder.nir.pth,encoder.vis.pth --decoder decoder.pth \
  --domains Sketch,VIS --heads nir,vis --out gs.h5
check "lists them" run 1 dvg-inspect gs.h5 --list
says "domains in lower case" 'domains +sketch,vis'
says "a renamed head" '^  decoder.sketch_output.weight'
says "a renamed encoder" '^  encoder.sketch.fc_enc.weight'
check "an encoder alone" import 1 --net encoder $small --in encoder.vis.pth --out e.h5
check "a decoder alone" import 1 --net decoder $small --in decoder.pth --out d.h5

# ---- lists
check "lists" import 2 --list --net lightcnn29v2 $small --in s.pth
says "a key with shape, type and fate" '^  fc.0.weight +128x256 +float32 +ignored: lightcnn29v2 has no such parameter$'
says "what is missing" '^  conv1.filter.weight +12x1x5x5 +missing$'
says "what is there but wrong, or not" '^  fc.weight +256x256 +missing$|^  fc.weight'
check "lists without a network" import 1 --list --in s.pth
says "in the state_dict" '^  fc.0.weight +128x256 +float32 +in the state_dict$'
is "writes nothing" "$(ls -- *.part 2>/dev/null)" ""

# ---- refusals
refuses() { expect_fail "$1" "$2" "$3" import "${@:4}" --out refused.h5; absent "$1: leaves nothing" refused.h5; }
for n in 1 2 3; do
  refuses "another width, $n ranks" 3 'error: .*back-0.pth: does not make lightcnn29v2 of width 0.25 and size 64: 60 problems named above' \
    $n --net lightcnn29v2 --width 0.25 --size 64 --in back-0.pth
done
says "a wrong shape by name" 'conv1.filter.weight \(12x1x5x5, float32\) refused: shape 24x1x5x5 is needed'
is "all of them in one run" "$(grep -c 'warning: .*refused: shape' "$output.err")" 60
refuses "another network" 3 's.pth: does not make lightcnn29v2.*: 60 problems' 2 --net lightcnn29v2 $small --in s.pth
says "a missing parameter by name" 'back.*is missing|s.pth: conv1.filter.weight \(12x1x5x5\) is missing'
refuses "a file that is not there" 4 'nothing.pth: cannot open: No such file' 2 --net encoder --in nothing.pth
head -c 5000 back-0.pth >cut.pth
refuses "a truncated container" 3 'cut.pth: is a damaged zip container: .*truncated' 2 --net lightcnn29v2 $small --in cut.pth
head -c 5000 back-1.safetensors >cut.safetensors
refuses "a truncated safetensors" 3 'cut.safetensors: is .*truncated' 2 --net lightcnn29v2 $small --in cut.safetensors
printf '\200\002cposix\nsystem\nX\015\000\000\000touch injured\205R.' >bad.pth
refuses "a pickle that would execute" 3 "bad.pth: its pickle asks for 'posix system', which tensors don't need; nothing was executed" \
  2 --net lightcnn29v2 --in bad.pth
absent "nothing was executed" injured
echo words >words.pth
refuses "something else" 3 'words.pth: is neither a PyTorch file nor safetensors' 1 --net encoder --in words.pth
refuses "no network" 2 '--net is needed' 2 --in s.pth
refuses "no file" 2 '--in is needed' 2 --net encoder
refuses "no file of a generator" 2 '--in is needed, or both --encoders and --decoder' 1 --net generator --decoder d.pth
refuses "too many files" 2 '--in is needed, or both' 1 --net generator --in a --encoders b,c --decoder d
refuses "one encoder" 2 'two files are needed' 1 --net generator --encoders b --decoder d
refuses "an empty path" 2 "'' is no path" 1 --net generator --encoders b, --decoder d
refuses "encoders of another network" 2 'are for --net generator' 1 --net encoder --encoders a,b --decoder d
refuses "one domain twice" 2 'two different names' 1 --net decoder --domains VIS,vis --in decoder.pth
refuses "a domain with a dot" 2 'two different names' 1 --net decoder --domains a.b,vis --in decoder.pth
refuses "heads without decoder" 2 '--heads is for' 1 --net encoder --heads a,b --in decoder.pth
refuses "a size" 2 'no multiple of 32' 1 --net encoder --size 72 --in decoder.pth
refuses "list and export" 2 'exclude each other' 1 --list --export --in s.h5
refuses "a part that is not there" 2 'no parameter that begins so' 1 --export --part x. --in s.h5
refuses "export of something else" 3 's.pth: ' 2 --export --in s.pth
expect_fail "no place to write" 2 '--out is needed' import 2 --net encoder --in s.pth
mkdir taken
expect_fail "a folder in the way" 4 'taken' import 2 --net identity_sampler $small --in s.pth --out taken
expect_fail "a folder in the way of an export" 4 'taken' import 2 --export --in s.h5 --out taken
summary
