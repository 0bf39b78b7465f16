// Landmarks in a text file of their own, both forms.
#include <string.h>

#include "io/landmarks.h"
#include "tests/fuzz/fuzz.h"

void dvg_fuzz_seeds(void) {
  static const char plain[] = "# c\na.jpg 1 2 3 4 5 6 7 8 9 10\nb c.jpg\t-1\t2e0\t3\t4\t5\t6\t7\t8\t9\t.5\r\n";
  static const char tsv[] = "x\tname\tleft_eye_x\tleft_eye_y\tright_eye_x\tright_eye_y\tnose_x\tnose_y\t"
                            "left_mouth_x\tleft_mouth_y\tright_mouth_x\tright_mouth_y\n"
                            "\ta.png\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10.5\n";
  dvg_fuzz_seed("plain", plain, sizeof plain - 1);
  dvg_fuzz_seed("tsv", tsv, sizeof tsv - 1);
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  struct dvg_landmarks l;
  if (dvg_landmarks_read(&l, dvg_fuzz_file(data, n_bytes)) == DVG_OK) dvg_landmarks_free(&l);
}
