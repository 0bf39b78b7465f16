#include "stages/import/import.h"

int main(int argc, char **argv) {
  return dvg_stage_main(argc, argv, &dvg_stage_import);
}
