// dvg-prepare: image sets from the toy world, from folders and lists, from landmarks.
#include "stages/prepare/prepare.h"

int main(int argc, char **argv) {
  static const struct dvg_stage *const stages[] = {&dvg_prepare_render, &dvg_prepare_pack, &dvg_prepare_align,
                                                   NULL};
  return dvg_stage_main_of(argc, argv, stages);
}
