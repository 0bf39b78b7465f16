#!/bin/bash
# make install: everything lands below DESTDIR and PREFIX, the jobs find the programs there, man pages and completion know every option.
# limit: 120 seconds; takes: 20 seconds
# shellcheck disable=SC2154 # lib.sh sets build, scratch, output
# shellcheck source=tests/stages/lib.sh
. "$(dirname "$0")/lib.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
mode=$(basename "$build")
prefix=$scratch/stage/opt/dvg

check "make install" make -s -C "$root" MODE="$mode" BUILD="$build" install PREFIX=/opt/dvg DESTDIR="$scratch/stage"
is "nothing beside the prefix" "$(find "$scratch/stage" -type f | grep -cv "^$prefix/")" 0
is "the programs" "$(ls "$prefix/bin")" "$(cd "$build/bin" && ls dvg-*)"
check "one of them runs" run 0 "$prefix/bin/dvg-inspect" --version
check "module file" grep -q "^prepend-path PATH /opt/dvg/bin$" "$prefix"/share/dvgface/modulefiles/dvgface/*
printf '%s\n' "visible_with = render" "pairs_with = render" "ranks = 1" >"$scratch/my.conf"
check "installed jobs" "$prefix/share/dvgface/jobs/pipeline" --dry-run "$scratch/my.conf"
says "find the programs" "$prefix/bin/dvg-generate --generator"

# Every option of every program stands in its page and is completed.
complete_words() { # words...; the last one is to be completed
  bash -c '. "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _dvg_complete; printf "%s\n" "${COMPREPLY[@]}"' - \
    "$prefix/share/bash-completion/completions/dvg-generate" "$@"
}
for page in "$prefix"/share/man/man1/*.1; do
  name=$(basename "$page" .1)
  words=("$name")
  [[ $name != dvg-prepare-* ]] || words=(dvg-prepare "${name#dvg-prepare-}")
  check "$name --help" run 0 "$prefix/bin/${words[0]}" "${words[@]:1}" --help
  wanted=$(grep -oE '^  --(\[no-\])?[a-z0-9-]+' "$output" | sed 's/^ *//; s/\[no-\]//' | sort)
  is "$name: its page" "$(sed 's/\\-/-/g' "$page" | grep -oE '^\.B --(\[no-\])?[a-z0-9-]+' | sed 's/^.B //; s/\[no-\]//' | sort)" "$wanted"
  is "$name: its completion" "$(complete_words "${words[@]}" -- | grep -v -e '^--no-' | sort)" "$wanted"
done
is "sub-commands" "$(complete_words dvg-prepare '' | tr '\n' ' ')" "render pack align "
is "choices" "$(complete_words dvg-generate --revoke '' | tr '\n' ' ')" "list drop remake "
is "the beginning of a choice" "$(complete_words dvg-generate --revoke dr)" drop
is "a file is not ours to complete" "$(complete_words dvg-generate --bank '')" ""
if command -v groff >/dev/null; then
  is "the pages are sound" "$(groff -man -Tutf8 -ww -z "$prefix"/share/man/man1/*.1 2>&1)" ""
else skip "the pages are sound: no groff here"; fi

# ---- the recipes, as far as they can be tried without Spack and Apptainer

recipe=$root/jobs/install/spack/package.py definition=$root/jobs/install/dvgface.def
if command -v python3 >/dev/null; then
  check "Spack's recipe is Python" python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$recipe"
else skip "Spack's recipe: no python3 here"; fi
asked=$(sed -n '/^DEPENDENCIES/,/[^\\]$/p' "$root/Makefile" | grep -oE '[a-z0-9-]+:' | tr -d : |
  sed 's/^ompi-c$/openmpi/; s/^libjpeg$/libjpeg-turbo/; s/^libcrypto$/openssl/; s/^libcjson$/cjson/' | sort)
is "its libraries are the Makefile's" "$(sed -nE 's/^ *depends_on\("([a-z0-9-]+)[^"]*"\).*/\1/p' "$recipe" | sort)" "$asked"

section() { awk -v want="%$1" -v k="$2" '/^%/ { on = $1 == want && ++n[$1] == k; next } /^Bootstrap/ { on = 0 } on' "$definition"; }
for k in 1 2; do
  section post $k >"$scratch/post"
  check "Apptainer's %post $k is there" test -s "$scratch/post"
  check "and shell" sh -n "$scratch/post"
done
section test 1 >"$scratch/test"
sed "s|/tmp/|$scratch/|g; s|/opt/dvgface/bin|$prefix/bin|" "$scratch/test" >"$scratch/test.here"
check "its %test, here" sh -e "$scratch/test.here"
mkdir "$scratch/src"
section files 1 | while read -r from _; do cp -r "$root/$from" "$scratch/src"; done
read -ra flags <<<"$(pkg-config --cflags ompi-c openblas hdf5 libpng libjpeg libcrypto libarchive libcjson cunit)"
compile() { (cd "$scratch/src" && gcc -std=gnu11 -DDVG_VERSION='""' -I. "${flags[@]}" -MM {mpi,io,stages}/*.c {common,stages}/*/*.c); }
check "its %files are enough to compile" compile
check "and to install" make -s -n -C "$scratch/src" install PREFIX=/opt/dvgface
check "with the scripts" test -x "$scratch/src/jobs/install/docs" -a -x "$scratch/src/jobs/install-dependencies"
if command -v dpkg-query >/dev/null; then
  lacking=$(for f in "$prefix"/bin/*; do ldd "$f"; done | sed -nE 's/^\s*(lib(mpi|openblas|hdf5_serial|png16|jpeg|crypto|archive|cjson)\.[^ ]*) => ([^ ]*).*/\3/p' | sort -u |
    while read -r f; do dpkg-query -S "$(readlink -f "$f")"; done | cut -d : -f 1 | sort -u |
    while read -r p; do grep -qw -- "$p" <(section post 2) || echo "$p"; done)
  is "its packages have the programs' libraries" "$lacking" ""
else skip "the image's packages: no dpkg here"; fi
summary
