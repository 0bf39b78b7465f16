# Sourced by scripts of tests/fail, in the root of the tree: builds the programs of tests/selftest from source, with what they
# need of the foundations, so that these tests work whatever state and build mode the rest is in.

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # where tests/run hasn't done it

packages=(ompi-c openblas libcrypto cunit)
read -ra found <<<"$(pkg-config --cflags "${packages[@]}")"
flags=(-std=gnu11 -O1 -g -fno-math-errno -I. "${found[@]}" '-DDVG_VERSION="test"')
read -ra found <<<"$(pkg-config --libs "${packages[@]}")"
libraries=("${found[@]}" -lm)

objects=()
mkdir -p "$scratch/objects"
for source in common/base/*.c mpi/*.c; do
  object=$scratch/objects/$(basename "$source" .c).o
  gcc "${flags[@]}" -c -o "$object" "$source" || exit 1
  objects+=("$object")
done

# build OUTPUT SOURCE ...: one program. Flags like -DNAME may stand among the sources.
build() {
  local output=$1
  shift
  gcc "${flags[@]}" -o "$output" "$@" "${objects[@]}" "${libraries[@]}" || exit 1
}
