#include "stages/precision.h"

#include "common/base/log.h"
#include "common/nn/conv.h"

enum dvg_status dvg_precision_choose(const struct dvg_world *w, int64_t precision) {
  enum dvg_status status = DVG_OK;
  if (precision == DVG_PRECISION_BF16 && !dvg_conv_use_bfloat16())
    status = dvg_fail(DVG_ERROR_INPUT, "--precision bf16: this CPU has no bfloat16 products (AVX512_BF16)");
  return dvg_world_agree(w, status);
}
