// What a CPU without AVX2 computes, against what this one does: see wide.h.
#define WIDE
#include "tests/unit/wide.h"
