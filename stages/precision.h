// --precision: of extraction and generation, which only run networks forward.
#ifndef DVG_STAGES_PRECISION_H
#define DVG_STAGES_PRECISION_H

#include "mpi/world.h"

enum { DVG_PRECISION_FLOAT32, DVG_PRECISION_BF16 };
#define DVG_PRECISION_CHOICES "float32|bf16"
#define DVG_PRECISION_HELP                                                                                              \
  "bf16: 3x3 convolutions multiply in bfloat16, faster and less exact; needs a CPU that can (AVX512_BF16)"

// Collective. Chooses the kernels of this process, before any network is set up; DVG_ERROR_INPUT where the CPU of some rank can't.
DVG_CHECKED enum dvg_status dvg_precision_choose(const struct dvg_world *w, int64_t precision);

#endif
