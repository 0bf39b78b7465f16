#!/bin/bash
# The line on ranks, cores and threads at the start of a program; its warnings, and where they must not come.
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1

render() { timeout -k 5 "$run_limit" "$@" "$build/bin/dvg-prepare" render --people 1 --images 1 --size 36 --out "$(mktemp -u "$scratch/XXXX.h5")"; }
warnings() { grep -c ': warning: ' "$output.err"; }
# Launched as by somebody who did not ask for more ranks than cores, but whose list of hosts promises too many.
mapfile -t cores < <(lscpu -p=CPU,CORE,SOCKET | grep -v '^#' | sort -t, -k2,3 -u | cut -d, -f1)
careless() { env -u OMPI_MCA_rmaps_base_oversubscribe mpirun --host localhost:64 --bind-to none "$@"; }
export -f careless

check "alone" render env -u OMPI_MCA_rmaps_base_oversubscribe
says "one rank" '^1 rank on [0-9]+ cores?, 1 BLAS thread each, (not bound to cores|each with a core of its own)$'
is "no warning" "$(warnings)" 0

check "many, as was asked for" render mpirun --oversubscribe --bind-to none -n 4 taskset -c "${cores[0]}"
says "share cores" '^4 ranks on 1 core, 1 BLAS thread each, sharing cores$'
is "which is no warning" "$(warnings)" 0

check "too many" render bash -c 'careless -n 3 taskset -c "$@"' - "${cores[0]}"
says "are warned of" '^dvg-prepare render.*: warning: .*3 ranks on 1 core: '
is "once" "$(warnings)" 1

OPENBLAS_NUM_THREADS=8 check "threads" render mpirun -n 1
says "are not followed" '^OPENBLAS_NUM_THREADS=8 is not followed'
says "there is one" ', 1 BLAS thread each'
OPENBLAS_NUM_THREADS=1 check "one thread" render mpirun -n 1
is "is nothing to speak of" "$(grep -c 'not followed' "$output")" 0

if [ "$(basename "$build")" = sanitize ]; then skip "kernels of OpenBLAS: the address sanitizer wants to be loaded first"
elif grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then
  # Prescott: what OpenBLAS takes on a CPU it does not know. It can't be made to choose it by itself, so all but the environment is real.
  cat >chosen.c <<'END'
char *openblas_get_corename(void);
char *openblas_get_corename(void) { return "Prescott"; }
END
  check "a choice of OpenBLAS" gcc -shared -fPIC -o chosen.so chosen.c
  check "slow kernels" render env -u OPENBLAS_CORETYPE LD_PRELOAD="$scratch/chosen.so"
  says "are told of" '^OpenBLAS runs its Prescott kernels on this CPU: OPENBLAS_CORETYPE=(SkylakeX|Haswell) is faster'
  check "wanted ones" render env OPENBLAS_CORETYPE=Prescott LD_PRELOAD="$scratch/chosen.so"
  is "are wanted" "$(grep -c 'OpenBLAS runs' "$output")" 0
else skip "kernels of OpenBLAS: a CPU without AVX2"; fi

if [ ${#cores[@]} -lt 2 ]; then skip "binding: one core only"
else
  two=$build/bin/dvg-prepare
  uneven() { # two ranks on the first core, one on the second
    local job=(render --people 1 --images 1 --size 36 --out uneven.h5)
    timeout -k 5 "$run_limit" mpirun --oversubscribe -n 2 taskset -c "${cores[0]}" "$two" "${job[@]}" \
      : -n 1 taskset -c "${cores[1]}" "$two" "${job[@]}"
  }
  check "bound unevenly" uneven
  says "is warned of, whatever was asked for" 'warning: .*2 ranks are bound to 1 core, while this host has 2'
  is "by one rank" "$(warnings)" 1
  own() {
    local job=(render --people 1 --images 1 --size 36 --out own.h5)
    timeout -k 5 "$run_limit" mpirun --oversubscribe -n 1 taskset -c "${cores[0]}" "$two" "${job[@]}" \
      : -n 1 taskset -c "${cores[1]}" "$two" "${job[@]}"
  }
  check "bound to a core each" own
  says "is said" '^2 ranks on 2 cores, 1 BLAS thread each, each with a core of its own$'
  is "without a warning" "$(warnings)" 0
  check "as many as cores, unbound" render bash -c 'careless -n 2 taskset -c "$@"' - "${cores[0]},${cores[1]}"
  says "is said too" '^2 ranks on 2 cores, 1 BLAS thread each, not bound to cores$'
  is "and is no warning" "$(warnings)" 0
fi
summary
