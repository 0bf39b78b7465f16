#include "common/nn/layers.h"

// Where a pixel comes from: four places of a plane, clamped to it, and their weights.
struct source {
  int64_t at[4];
  float weight[4];
};

// The places below and above x in [0, n - 1], and how far x is from the lower one.
static float split(int64_t at[2], float x, int64_t n) {
  const float last = (float)(n - 1);
  x = x > 0 ? x < last ? x : last : 0; // a NaN goes to 0: never beyond the plane
  at[0] = (int64_t)x;
  at[1] = at[0] < n - 1 ? at[0] + 1 : at[0];
  return x - (float)at[0];
}

static struct source source_of(const float *map, int64_t i, int64_t j, int64_t H, int64_t W) {
  const float middle_x = 0.5f * (float)(W - 1), middle_y = 0.5f * (float)(H - 1);
  const float u = (float)j - middle_x, v = (float)i - middle_y;
  int64_t column[2], row[2];
  const float right = split(column, map[0] * u + map[1] * v + map[2] + middle_x, W);
  const float down = split(row, map[3] * u + map[4] * v + map[5] + middle_y, H);
  return (struct source){
      {row[0] * W + column[0], row[0] * W + column[1], row[1] * W + column[0], row[1] * W + column[1]},
      {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right}};
}

void dvg_warp_forward(float *y, const float *x, const float *maps, int64_t N, int64_t C, int64_t H, int64_t W) {
  for (int64_t n = 0; n < N; n++)
    for (int64_t i = 0; i < H; i++)
      for (int64_t j = 0; j < W; j++) {
        const struct source s = source_of(maps + 6 * n, i, j, H, W);
        for (int64_t c = 0; c < C; c++) {
          const float *plane = x + (n * C + c) * H * W;
          y[((n * C + c) * H + i) * W + j] = s.weight[0] * plane[s.at[0]] + s.weight[1] * plane[s.at[1]] +
                                             s.weight[2] * plane[s.at[2]] + s.weight[3] * plane[s.at[3]];
        }
      }
}

void dvg_warp_backward(float *dx, const float *dy, const float *maps, int64_t N, int64_t C, int64_t H,
                       int64_t W) {
  for (int64_t n = 0; n < N; n++)
    for (int64_t i = 0; i < H; i++)
      for (int64_t j = 0; j < W; j++) {
        const struct source s = source_of(maps + 6 * n, i, j, H, W);
        for (int64_t c = 0; c < C; c++) {
          float *plane = dx + (n * C + c) * H * W;
          const float d = dy[((n * C + c) * H + i) * W + j];
          for (int k = 0; k < 4; k++) plane[s.at[k]] += s.weight[k] * d;
        }
      }
}
