// The product of matrices, for winograd_kernels.c alone: a tile of up to MAX_ROWS x 2 vectors of the result is
// kept in registers.
#ifndef DVG_NN_PRODUCT_KERNELS_H
#define DVG_NN_PRODUCT_KERNELS_H

#include <string.h>

#include "common/nn/vectors.h"
#include "common/nn/winograd.h"

#if LANES == 16 || defined(__aarch64__)
#define MAX_ROWS 12 // 32 vector registers
#else
#define MAX_ROWS 6 // 16 vector registers
#endif

// What the products after this one read, fetched into the L2 cache meanwhile: V and U of the deep layers are
// more than it holds, and the hardware's own prefetching ends with each page. A tile moves the places on.
struct ahead {
  const float *a, *b;
};
#define LINE_FLOATS 16
// Lines for each four steps of a tile, so that the tiles of a product fetch about as much as they read.
#define AHEAD_A ((4 * MAX_ROWS + LINE_FLOATS - 1) / LINE_FLOATS)
#define AHEAD_B ((LANES + 7) / 8)

// No more than a hint: the places may be beyond their array.
INLINE const float *fetch(const float *lines, const int n) {
  UNROLL for (int i = 0; i < n; i++) __builtin_prefetch(lines + i * LINE_FLOATS, 0, 2);
  return lines + n * LINE_FLOATS;
}

// One step of the inner sum: sum (rows x vecs) += column of a * row of b.
INLINE void product_step(vec sum[MAX_ROWS][2], const int rows, const int vecs, const float *a,
                         const int64_t row_step, const float *b) {
  const vec b0 = load(b), b1 = vecs > 1 ? load(b + LANES) : b0;
  UNROLL for (int i = 0; i < rows; i++) {
    const float factor = a[i * row_step];
    sum[i][0] += factor * b0;
    if (vecs > 1) sum[i][1] += factor * b1;
  }
}

// c (rows x vecs) = or += a (rows x inner) b (inner x vecs); a[i][p] is at a[i * row_step + p * inner_step].
INLINE void product_tile(const int rows, const int vecs, float *c, int64_t c_row, const float *a,
                         const int64_t row_step, const int64_t inner_step, const float *b, int64_t inner,
                         int add, struct ahead *ahead) {
  vec sum[MAX_ROWS][2];
  struct ahead next = *ahead;
  UNROLL for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vec){0};
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++)
      __builtin_prefetch(c + i * c_row + j * LANES, 1);
  int64_t p = 0;
  for (; p + 4 <= inner; p += 4) { // fewer iterations: the branch predictor learns where they end
    UNROLL for (int i = 0; i < 4; i++)
        product_step(sum, rows, vecs, a + i * inner_step, row_step, b + i * vecs * LANES);
    next.a = fetch(next.a, AHEAD_A);
    next.b = fetch(next.b, AHEAD_B);
    a += 4 * inner_step;
    b += 4 * vecs * LANES;
  }
  for (; p < inner; p++) {
    product_step(sum, rows, vecs, a, row_step, b);
    a += inner_step;
    b += vecs * LANES;
  }
  *ahead = next;
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
    float *to = c + i * c_row + j * LANES;
    store(to, add ? load(to) + sum[i][j] : sum[i][j]);
  }
}

#define PRODUCT_CASE(n)                                                                                        \
  case n:                                                                                                      \
    product_tile(n, vecs, c, c_row, a, row_step, inner_step, b, inner, add, &ahead);                           \
    break;

// c (any number of rows x vecs). The last rows are cut into halves: a tile of one or two rows would leave the
// FMA units waiting for their own results.
INLINE void product(int64_t rows, const int vecs, float *c, int64_t c_row, const float *a,
                    const int64_t row_step, const int64_t inner_step, const float *b, int64_t inner, int add,
                    struct ahead ahead) {
  for (; rows >= 2 * MAX_ROWS; rows -= MAX_ROWS) {
    product_tile(MAX_ROWS, vecs, c, c_row, a, row_step, inner_step, b, inner, add, &ahead);
    a += MAX_ROWS * row_step;
    c += MAX_ROWS * c_row;
  }
  while (rows > 0) {
    const int64_t height = rows > MAX_ROWS ? (rows + 1) / 2 : rows;
    switch (height) {
      PRODUCT_CASE(1)
      PRODUCT_CASE(2)
      PRODUCT_CASE(3)
      PRODUCT_CASE(4)
      PRODUCT_CASE(5)
      PRODUCT_CASE(6)
#if MAX_ROWS == 12
      PRODUCT_CASE(7)
      PRODUCT_CASE(8)
      PRODUCT_CASE(9)
      PRODUCT_CASE(10)
      PRODUCT_CASE(11)
      PRODUCT_CASE(12)
#endif
    }
    a += height * row_step;
    c += height * c_row;
    rows -= height;
  }
}

// c (rows x vecs) = a b, where the steps of a row of a are neighbours (V's channels).
static inline void product_rows(float *c, int64_t c_row, const float *a, int64_t a_row, const float *b,
                                int64_t rows, int64_t inner, int vecs, int add, struct ahead ahead) {
  if (vecs == 2) product(rows, 2, c, c_row, a, a_row, 1, b, inner, add, ahead);
  else product(rows, 1, c, c_row, a, a_row, 1, b, inner, add, ahead);
}

// c (rows x vecs) = or += a b, where the rows of a step of a are neighbours (V transposed).
static inline void product_columns(float *c, int64_t c_row, const float *a, int64_t a_column, const float *b,
                                   int64_t rows, int64_t inner, int vecs, int add, struct ahead ahead) {
  if (vecs == 2) product(rows, 2, c, c_row, a, 1, a_column, b, inner, add, ahead);
  else product(rows, 1, c, c_row, a, 1, a_column, b, inner, add, ahead);
}

// ---- the product of any two matrices: blocks of b, then of a, are copied to where a tile reads them in order

#define BLOCK_DEPTH 256
#define BLOCK_WIDTH (256 / PANEL * PANEL) // with the depth 256 KB, in the L2 cache
#define BLOCK_A_ROW (BLOCK_DEPTH + 16)    // rows at a power of two would share few sets of the cache

static inline int64_t multiply_floats(void) {
  return BLOCK_DEPTH * BLOCK_WIDTH + MAX_ROWS * BLOCK_A_ROW;
}

// to[panel][p][lane] = b[p][panel * PANEL + lane], zeros beyond n.
static inline void pack_rows(float *to, const float *b, int64_t row, int64_t depth, int64_t n) {
  for (int64_t p = 0; p < depth; p++, b += row)
    for (int64_t j = 0; j < n; j += PANEL) {
      float *lanes = to + (j * depth + p * PANEL);
      if (n - j >= PANEL) {
        store(lanes, load(b + j));
        store(lanes + LANES, load(b + j + LANES));
      } else {
        for (int64_t l = 0; l < PANEL; l++) lanes[l] = l < n - j ? b[j + l] : 0;
      }
    }
}

// The same of a transposed b; the lanes beyond n repeat the last column.
static inline void pack_columns(float *to, const float *b, int64_t row, int64_t depth, int64_t n) {
  for (int64_t j = 0; j < round_up(n, PANEL); j += LANES) {
    float *lanes = to + j / PANEL * PANEL * depth + j % PANEL;
    const float *column[LANES];
    for (int l = 0; l < LANES; l++) column[l] = b + at_most(j + l, n - 1) * row;
    int64_t p = 0;
    for (; p + LANES <= depth; p += LANES) {
      vec r[LANES];
      UNROLL for (int l = 0; l < LANES; l++) r[l] = load(column[l] + p);
      transpose(r);
      UNROLL for (int l = 0; l < LANES; l++) store(lanes + (p + l) * PANEL, r[l]);
    }
    for (; p < depth; p++)
      for (int l = 0; l < LANES; l++) lanes[p * PANEL + l] = column[l][p];
  }
}

// A tile's rows of a, in the order of memory: rows of BLOCK_A_ROW, or columns of MAX_ROWS if transposed.
static inline void pack_a(float *to, struct matrix a, int64_t i, int64_t p, int64_t rows, int64_t depth) {
  if (a.transposed)
    for (int64_t q = 0; q < depth; q++, to += MAX_ROWS) {
      const float *column = a.at + (p + q) * a.row + i;
      if (rows == MAX_ROWS) memcpy(to, column, MAX_ROWS * sizeof(float)); // a size known here: no loop
      else
        for (int64_t r = 0; r < rows; r++) to[r] = column[r];
    }
  else
    for (int64_t r = 0; r < rows; r++)
      memcpy(to + r * BLOCK_A_ROW, a.at + (i + r) * a.row + p, (size_t)depth * sizeof(float));
}

// Up to MAX_ROWS rows of c, one panel of b, of which n columns are wanted.
static inline void multiply_tile(float *c, int64_t c_row, const float *a, int transposed, const float *b,
                                 int64_t rows, int64_t depth, int64_t n, int add) {
  float edge[MAX_ROWS * PANEL];
  const int whole = n >= PANEL;
  float *to = whole ? c : edge;
  const int64_t to_row = whole ? c_row : PANEL;
  const struct ahead ahead = {a, b + depth * PANEL};
  if (transposed) product_columns(to, to_row, a, MAX_ROWS, b, rows, depth, 2, whole && add, ahead);
  else product_rows(to, to_row, a, BLOCK_A_ROW, b, rows, depth, 2, whole && add, ahead);
  if (whole) return;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++) c[i * c_row + j] = (add ? c[i * c_row + j] : 0) + edge[i * PANEL + j];
}

// Each sum runs over k in order, in parts of BLOCK_DEPTH, wherever in c it is.
static inline void multiply(float *c, int64_t c_row, struct matrix a, struct matrix b, int64_t m, int64_t n,
                            int64_t k, int add, float *scratch) {
  float *block_b = scratch, *block_a = scratch + BLOCK_DEPTH * BLOCK_WIDTH;
  for (int64_t p = 0; p < k; p += BLOCK_DEPTH) {
    const int64_t depth = at_most(k - p, BLOCK_DEPTH);
    for (int64_t j = 0; j < n; j += BLOCK_WIDTH) {
      const int64_t width = at_most(n - j, BLOCK_WIDTH);
      if (b.transposed) pack_columns(block_b, b.at + j * b.row + p, b.row, depth, width);
      else pack_rows(block_b, b.at + p * b.row + j, b.row, depth, width);
      for (int64_t i = 0; i < m; i += MAX_ROWS) {
        const int64_t rows = at_most(m - i, MAX_ROWS);
        pack_a(block_a, a, i, p, rows, depth);
        for (int64_t l = 0; l < width; l += PANEL)
          multiply_tile(c + i * c_row + j + l, c_row, block_a, a.transposed, block_b + l * depth, rows, depth,
                        width - l, add || p > 0);
      }
    }
  }
}

#endif
