#include "stages/train_sampler/train_sampler.h"

int main(int argc, char **argv) {
  return dvg_stage_main(argc, argv, &dvg_stage_train_sampler);
}
