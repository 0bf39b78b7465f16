// All image decoders: PNG, JPEG, PGM, PPM, BMP.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "io/image.h"
#include "tests/fuzz/fuzz.h"

static void seed_picture(int64_t C) {
  struct dvg_image image;
  unsigned char *jpeg = NULL;
  size_t n_bytes = 0;
  char name[32], path[1024];
  if (dvg_image_create(&image, 13, 10, C) != DVG_OK) return;
  for (int64_t i = 0; i < 130 * C; i++) image.pixels[i] = (unsigned char)(i * 7);
  snprintf(name, sizeof name, "picture%d.jpg", (int)C);
  if (dvg_image_encode_jpeg(&image, 80, &jpeg, &n_bytes) == DVG_OK) dvg_fuzz_seed(name, jpeg, n_bytes);
  snprintf(path, sizeof path, "%s/picture%d.png", dvg_fuzz_folder(), (int)C);
  if (dvg_image_write_png(&image, path) != DVG_OK) return;
  dvg_free(&jpeg);
  dvg_image_free(&image);
}

// A BMP of 2 x 2 pixels with a palette of two colours.
static void seed_bmp(const char *name, int bits, int compression, const char *pixels, size_t n_pixels) {
  unsigned char file[128] = "BM";
  int n_colors = bits > 8 ? 0 : 2;
  file[10] = (unsigned char)(54 + 4 * n_colors);
  file[14] = 40;
  file[18] = file[22] = 2;
  file[26] = 1;
  file[28] = (unsigned char)bits;
  file[30] = (unsigned char)compression;
  file[46] = (unsigned char)n_colors;
  memset(file + 58, 0x55, n_colors ? 3 : 0);
  memcpy(file + file[10], pixels, n_pixels);
  dvg_fuzz_seed(name, file, file[10] + n_pixels);
}

void dvg_fuzz_seeds(void) {
  seed_picture(1);
  seed_picture(3);
  dvg_fuzz_seed("p2", "P2 # c\n2 2\n15\n1 2 3 15\n", 23);
  dvg_fuzz_seed("p3", "P3\n1 1\n255\n1 2 3\n", 17);
  dvg_fuzz_seed("p5", "P5\n2 1\n999\n\0\1\1\2", 15);
  dvg_fuzz_seed("p6", "P6\n1 1\n255\nabc", 14);
  seed_bmp("bmp1", 1, 0, "\x80\0\0\0\x40\0\0\0", 8);
  seed_bmp("bmp4", 4, 0, "\x10\0\0\0\x01\0\0\0", 8);
  seed_bmp("bmp8", 8, 0, "\1\0\0\0\0\1\0\0", 8);
  seed_bmp("bmp24", 24, 0, "abcdef\0\0ghijkl\0\0", 16);
  seed_bmp("bmp32", 32, 0, "abcdefghijklmnop", 16);
  seed_bmp("rle8", 8, 1, "\2\1\0\0\0\2\1\0\1\1\0\1", 12);
}

void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) {
  struct dvg_image image;
  if (dvg_image_decode(&image, data, n_bytes, "input") == DVG_OK) dvg_image_free(&image);
}
