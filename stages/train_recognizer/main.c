#include "stages/train_recognizer/train_recognizer.h"

int main(int argc, char **argv) {
  return dvg_stage_main(argc, argv, &dvg_stage_train_recognizer);
}
