#include "stages/train_generator/train_generator.h"

int main(int argc, char **argv) {
  return dvg_stage_main(argc, argv, &dvg_stage_train_generator);
}
