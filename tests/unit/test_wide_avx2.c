// What a CPU with AVX2 and without AVX-512 computes, against what this one does: see wide.h.
#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
#define CAN_RUN __builtin_cpu_supports("avx2")
#else
#define WIDE
#define CAN_RUN 0
#endif
#include "tests/unit/wide.h"
