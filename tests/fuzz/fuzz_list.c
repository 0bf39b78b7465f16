// Lists of images, both forms. The first byte chooses what is asked of them.
#include "io/images.h"
#include "tests/fuzz/fuzz.h"

void dvg_fuzz_seeds(void) {
  static const char plain[] = "0# a list\na/VIS/1.png 17\n/b/NIR/2.jpg\tAnn \n\nc.png 17 NIR\n";
  static const char tsv[] =
      "1split\tpath\tidentity\tdomain\tleft_eye_x\tleft_eye_y\tright_eye_x\tright_eye_y\tnose_x\tnose_y\t"
      "left_mouth_x\tleft_mouth_y\tright_mouth_x\tright_mouth_y\r\n"
      "train\ta.png\tAnn\tVIS\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10.5\r\nval\tb.png\tBob\tNIR\t\t\t\t\t\t\t\t\t\t\n";
  dvg_fuzz_seed("plain", plain, sizeof plain - 1);
  dvg_fuzz_seed("tsv", tsv, sizeof tsv - 1);
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  static const struct dvg_list_filter filters[] = {
      {"", ""}, {"VIS,NIR", ""}, {"", "split=train,val"}, {"NIR", "split=train;domain=NIR"}};
  if (n_bytes == 0) return;
  struct dvg_list list;
  if (dvg_list_read(&list, dvg_fuzz_file(data + 1, n_bytes - 1), &filters[data[0] % 4]) != DVG_OK) return;
  dvg_list_free(&list);
}
