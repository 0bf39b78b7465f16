#!/bin/bash
# make install: everything lands below DESTDIR and PREFIX, the jobs find the programs there, man pages and completion know every option.
# limit: 120 seconds
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
summary
