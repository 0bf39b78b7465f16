#include "stages/generate/generate.h"

int main(int argc, char **argv) {
  return dvg_stage_main(argc, argv, &dvg_stage_generate);
}
