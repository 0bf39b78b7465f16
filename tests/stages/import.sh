#!/bin/bash
# dvg-import: what it takes and writes back without PyTorch's help, what it says, what it refuses. With PyTorch: reference/test_import.py.
# limit: 180 seconds; takes: 20 seconds
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

for net in lightcnn29v2 generator; do
  "$(tool make_weights)" --net $net --width 0.125 --size 64 --out $net.h5 >/dev/null || exit 1
done
import() { run "$1" dvg-import "${@:2}"; }
small="--width 0.125 --size 64"
# Names, shapes and values of a weight file, without what it was made from.
values() { run 0 dvg-import --export --in "$1" --out values.safetensors >/dev/null && sha256sum <values.safetensors; }

# ---- there and back
lightcnn=$(values lightcnn29v2.h5)
check "exports for PyTorch" import 0 --export --in lightcnn29v2.h5 --out f.pth
check "exports on 2 ranks" import 2 --export --in lightcnn29v2.h5 --out f2.pth
check "the same bytes" cmp f.pth f2.pth
check "exports safetensors on 3 ranks" import 3 --export --in lightcnn29v2.h5 --out f.safetensors
is "the same bytes on 3 ranks" "$(sha256sum <f.safetensors)" "$lightcnn"
for n in 1 2 3; do
  check "imports on $n ranks" import $n --net lightcnn29v2 $small --in f.pth --out new/f-$n.h5
  says "says what it made, $n ranks" '^new/f-.\.h5: lightcnn29v2, 60 parameters with 197780 values, digest [0-9a-f]{64}$'
done
check "imports the same bytes" cmp new/f-1.h5 new/f-3.h5
is "with the same values" "$(values new/f-2.h5)" "$lightcnn"
check "imports safetensors without mpirun" import 0 --net lightcnn29v2 $small --in f.safetensors --out s.h5
is "with the same values: safetensors" "$(values s.h5)" "$lightcnn"
check "is a weight file" run 0 dvg-inspect new/f-2.h5 --verify
says "with lineage" "^ +weights +f.pth +sha256 $(sha256sum <f.pth | cut -c 1-64)\$"
says "with settings" "net = lightcnn29v2"

# ---- the generator: one file, three files
generator=$(values generator.h5)
for part in encoder.nir encoder.vis decoder; do
  check "exports $part" import 0 --export --in generator.h5 --part $part. --out $part.pth
done
check "exports the generator" import 0 --export --in generator.h5 --out g.pth
check "imports it from one file" import 0 --net generator $small --in g.pth --out g1.h5
is "has the same values: one file" "$(values g1.h5)" "$generator"
parts="--encoders encoder.nir.pth,encoder.vis.pth --decoder decoder.pth"
check "imports it from three files" import 2 --net generator $small $parts --out g3.h5
is "has the same values: three files" "$(values g3.h5)" "$generator"
check "other domains" import 0 --net generator $small $parts --domains Sketch,VIS --heads nir,vis --out gs.h5
check "lists them" run 0 dvg-inspect gs.h5 --list
says "domains in lower case" 'domains +sketch,vis'
says "a renamed head" '^  decoder.sketch_output.weight'
says "a renamed encoder" '^  encoder.sketch.fc_enc.weight'
says "all three files" '^ +decoder +decoder.pth +sha256'

# ---- lists
check "lists" import 2 --list --net lightcnn29v2 $small --in decoder.pth
says "a key with shape, type and fate" '^  vis_output.weight +3x4x1x1 +float32 +ignored: lightcnn29v2 has no such parameter$'
says "what is missing" '^  conv1.filter.weight +12x1x5x5 +missing$'
check "lists without a network" import 0 --list --in f.safetensors
says "in the state_dict" '^  fc.bias +256 +float32 +in the state_dict$'

# ---- refusals
refuses() { expect_fail "$1" "$2" "$3" import "${@:4}" --out refused.h5; absent "$1: leaves nothing" refused.h5; }
for n in 1 2 3; do
  refuses "another width, $n ranks" 3 'f.pth: does not make lightcnn29v2 of width 0.25 and size 64: 59 problems named above' \
    $n --net lightcnn29v2 --width 0.25 --size 64 --in f.pth
done
says "a wrong shape by name" 'conv1.filter.weight \(12x1x5x5, float32\) refused: shape 24x1x5x5 is needed'
is "all of them in one run" "$(grep -c 'warning: .*refused: shape' "$output.err")" 59
refuses "another network" 3 'decoder.pth: does not make lightcnn29v2.*: 60 problems' 0 --net lightcnn29v2 $small --in decoder.pth
says "a missing parameter by name" 'decoder.pth: conv1.filter.weight \(12x1x5x5\) is missing'
refuses "a file that is not there" 4 'nothing.pth: cannot open: No such file' 2 --net encoder --in nothing.pth
head -c 5000 f.pth >cut.pth
refuses "a truncated container" 3 'cut.pth: is a damaged zip container: .*truncated' 2 --net lightcnn29v2 $small --in cut.pth
head -c 5000 f.safetensors >cut.safetensors
refuses "a truncated safetensors" 3 'cut.safetensors: is .*truncated' 0 --net lightcnn29v2 $small --in cut.safetensors
printf '\200\002cposix\nsystem\nX\015\000\000\000touch injured\205R.' >bad.pth
refuses "a pickle that would execute" 3 "bad.pth: its pickle asks for 'posix system', which tensors don't need; nothing was executed" \
  2 --net lightcnn29v2 --in bad.pth
absent "nothing was executed" injured
usage() { refuses "$1" 2 "$1" 0 "${@:2}"; }
usage '--net is needed' --in s.pth
usage '--in is needed' --net encoder
usage '--in is needed, or both --encoders and --decoder' --net generator --decoder d.pth
usage 'two files are needed' --net generator --encoders b --decoder d
usage "'' is no path" --net generator --encoders b, --decoder d
usage 'are for --net generator' --net encoder --encoders a,b --decoder d
usage 'two different names' --net decoder --domains VIS,vis --in decoder.pth
usage '--heads is for' --net encoder --heads a,b --in decoder.pth
usage 'no multiple of 32' --net encoder --size 72 --in decoder.pth
usage 'exclude each other' --list --export --in s.h5
usage '--part is for --export' --net encoder --part x. --in decoder.pth
usage 'no parameter that begins so' --export --part x. --in s.h5
refuses "export of something else" 3 'f.pth: ' 0 --export --in f.pth
expect_fail "no place to write" 2 '--out is needed' import 2 --net encoder --in f.pth
mkdir taken
expect_fail "a folder in the way" 4 'taken' import 2 --net lightcnn29v2 $small --in f.pth --out taken
expect_fail "a folder in the way of an export" 4 'taken' import 0 --export --in s.h5 --out taken
is "no halves" "$(ls -d -- *.part new/*.part 2>/dev/null)" ""
summary
