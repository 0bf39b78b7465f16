#include "stages/inspect/inspect.h"

int main(int argc, char **argv) {
  return dvg_inspect_main(argc, argv);
}
