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

// Steps of a sum between two branches.
#define STEPS (LANES < 8 ? LANES : 8)

// What the products after this one read, fetched into the L2 cache meanwhile: V and U of the deep layers are
// more than it holds, and the hardware's own prefetching ends with each page. A tile moves the places on.
struct ahead {
  const float *a, *b;
};
#define LINE_FLOATS 16
// Lines for each STEPS of a tile, so that the tiles of a product fetch about as much as they read.
#define AHEAD_A ((STEPS * MAX_ROWS + LINE_FLOATS - 1) / LINE_FLOATS)
#define AHEAD_B ((STEPS * LANES + 31) / 32)

// No more than a hint: the places may be beyond their array.
INLINE const float *fetch(const float *lines, const int n) {
  UNROLL for (int i = 0; i < n; i++) __builtin_prefetch(lines + i * LINE_FLOATS, 0, 2);
  return lines + n * LINE_FLOATS;
}

// What a core is short of is instructions, as soon as its other hardware thread takes half of them (on a rented
// machine perhaps a stranger's). AVX-512 multiplies by a number in memory as it does by a register, if the
// address is a register and a constant: so most rows of a step read their number twice instead of keeping it.
// The first ones don't: no more than two loads for two FMAs.
#if LANES == 16
#define ROWS_READ_ONCE 4
#else
#define ROWS_READ_ONCE MAX_ROWS
#endif
#define MEMORY_MAY_HAVE_CHANGED() __asm__ volatile("" ::: "memory")

// One step of the inner sum: sum (rows x vecs) += column of a, row_step apart, * row of b.
INLINE void product_step(vec sum[MAX_ROWS][2], const int rows, const int vecs, const float *a,
                         const int64_t row_step, const float *b) {
  const vec b0 = load(b), b1 = vecs > 1 ? load(b + LANES) : b0;
  UNROLL for (int i = 0; i < rows; i++) {
    const float factor = a[i * row_step];
    sum[i][0] += factor * b0;
    if (vecs > 1 && i < ROWS_READ_ONCE) sum[i][1] += factor * b1;
  }
  if (vecs == 1 || rows <= ROWS_READ_ONCE) return;
  MEMORY_MAY_HAVE_CHANGED();
  UNROLL for (int i = ROWS_READ_ONCE; i < rows; i++) sum[i][1] += a[i * row_step] * b1;
}

// The same where the sum is over channels, of which a place may hold two.
#if BFLOAT16
INLINE void pair_step(vec sum[MAX_ROWS][2], const int rows, const int vecs, const float *a,
                      const int64_t row_step, const float *b) {
  const vec b0 = load(b), b1 = vecs > 1 ? load(b + LANES) : b0;
  UNROLL for (int i = 0; i < rows; i++) {
    sum[i][0] = add_products(sum[i][0], a + i * row_step, b0);
    if (vecs > 1) sum[i][1] = add_products(sum[i][1], a + i * row_step, b1);
  }
}
#else
#define pair_step product_step
#endif

// Hides how an address was computed, so that gcc doesn't make others from the same sum.
INLINE const float *plain_address(const float *p) {
  __asm__("" : "+r"(p));
  return p;
}

// The operands of c (rows x vecs) = or += a (rows x inner) b (inner x vecs), as far as they change from call to
// call.
struct tile {
  float *c;
  int64_t c_row; // floats from one row of c to the next
  const float *a;
  int64_t a_step;
  const float *b; // its rows follow each other
  int64_t inner;
  int add;
  struct ahead ahead;
};

#define BLOCK PLACES(LANES) // of LANES channels
// Where a[row][p] is.
enum order {
  COLUMNS, // row + p * a_step
  BLOCKS,  // p / BLOCK * a_step + row * BLOCK + p % BLOCK, of channels in places
};

INLINE void product_tile(struct tile *t, const int rows, const int vecs, const enum order order) {
  const int64_t row_step = order == COLUMNS ? 1 : BLOCK;
  const int64_t step = order == COLUMNS ? t->a_step : 1, c_row = t->c_row, inner = t->inner;
  const float *a = t->a, *b = t->b;
  float *const c = t->c;
  struct ahead next = t->ahead;
  vec sum[MAX_ROWS][2];
  UNROLL for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vec){0};
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++)
      __builtin_prefetch(c + i * c_row + j * LANES, 1);
  int64_t p = 0;
  for (; p + STEPS <= inner; p += STEPS) {
    UNROLL for (int i = 0; i < STEPS; i++) {
      if (order == COLUMNS) {
        product_step(sum, rows, vecs, a, row_step, b + i * vecs * LANES);
        a = plain_address(a + step);
      } else pair_step(sum, rows, vecs, a + i, row_step, b + i * vecs * LANES);
    }
    next.a = fetch(next.a, AHEAD_A);
    next.b = fetch(next.b, AHEAD_B);
    if (order == BLOCKS) a += STEPS;
    if (order == BLOCKS && (p + STEPS) % BLOCK == 0) a += t->a_step - BLOCK;
    b += STEPS * vecs * LANES;
  }
  for (; p < inner; p++, a += step, b += vecs * LANES)
    (order == COLUMNS ? product_step : pair_step)(sum, rows, vecs, a, row_step, b);
  t->ahead = next;
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
    float *to = c + i * c_row + j * LANES;
    store(to, t->add ? load(to) + sum[i][j] : sum[i][j]);
  }
}

// A function for each shape of a tile: gcc has all registers for each.
typedef void tile_function(struct tile *t);
#define TILE(rows, vecs, order)                                                                                \
  static __attribute__((noinline)) void tile_##rows##_##vecs##_##order(struct tile *t) {                       \
    product_tile(t, rows, vecs, order);                                                                        \
  }
#define TILES(rows) TILE(rows, 1, COLUMNS) TILE(rows, 2, COLUMNS) TILE(rows, 1, BLOCKS) TILE(rows, 2, BLOCKS)
#define NAMES(rows)                                                                                            \
  {{tile_##rows##_1_COLUMNS, tile_##rows##_1_BLOCKS}, {tile_##rows##_2_COLUMNS, tile_##rows##_2_BLOCKS}},
#if MAX_ROWS == 12
#define EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
EACH_HEIGHT(TILES)
static tile_function *const tile_functions[MAX_ROWS][2][2] = {EACH_HEIGHT(NAMES)};

// c (any number of rows x vecs). The last rows are cut into halves: a tile of one or two rows would leave the
// FMA units waiting for their own results.
static void multiply_rows(struct tile t, enum order order, int64_t rows, int vecs) {
  const int64_t row_step = order == COLUMNS ? 1 : BLOCK;
  while (rows > 0) {
    const int64_t height = rows >= 2 * MAX_ROWS ? MAX_ROWS : rows > MAX_ROWS ? (rows + 1) / 2 : rows;
    tile_functions[height - 1][vecs - 1][order](&t);
    t.a += height * row_step;
    t.c += height * t.c_row;
    rows -= height;
  }
}

// ---- the product of any two matrices: blocks of b, then of a, are copied to where a tile reads them in order

#define BLOCK_DEPTH 256
#define BLOCK_A_ROW (BLOCK_DEPTH + 16)    // rows at a power of two would share few sets of the cache
#define BLOCK_WIDTH (256 / PANEL * PANEL) // with the depth 256 KB, in the L2 cache

static inline int64_t multiply_floats(void) {
  return BLOCK_DEPTH * BLOCK_WIDTH + MAX_ROWS * BLOCK_A_ROW;
}

static inline int64_t multiply_larger_depth(void) {
  return BLOCK_DEPTH;
}

// Row i of a matrix that isn't transposed, from column j on: where it is stored and, with a winner, which
// values are its own.
struct row {
  const float *at;
  const signed char *winner; // or NULL
  int flip;                  // -1: those that didn't win
};

INLINE struct row row_of(const struct matrix *a, int64_t i, int64_t j) {
  if (!a->winner) return (struct row){a->at + i * a->row + j, NULL, 0};
  const int64_t stored = i < a->half ? i : i - a->half;
  return (struct row){a->at + stored * a->row + j, a->winner + stored * a->winner_row + j,
                      i < a->half ? 0 : -1};
}

INLINE float own_value(struct row r, int64_t j) {
  return !r.winner || (r.winner[j] ^ r.flip) ? r.at[j] : 0;
}

INLINE vec own_values(struct row r, int64_t j) {
  if (!r.winner) return load(r.at + j);
  return (vec)((lanes_int)load(r.at + j) & (load_bytes(r.winner + j) ^ r.flip));
}

// to[panel][p][lane] = row p, column panel * PANEL + lane, of a part of b that begins at (first, column), zeros
// beyond n columns.
static inline void pack_rows(float *to, const struct matrix *b, int64_t first, int64_t column, int64_t depth,
                             int64_t n) {
  for (int64_t p = 0; p < depth; p++) {
    const struct row r = row_of(b, first + p, column);
    int64_t j = 0;
    for (; j + PANEL <= n; j += PANEL) {
      float *lanes = to + (j * depth + p * PANEL);
      store(lanes, own_values(r, j));
      store(lanes + LANES, own_values(r, j + LANES));
    }
    if (j < n)
      for (int64_t l = 0; l < PANEL; l++) to[j * depth + p * PANEL + l] = l < n - j ? own_value(r, j + l) : 0;
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

// The same two of a matrix with offsets. LANES columns in a row are mostly neighbours in memory.
INLINE int are_neighbours(const int32_t *column_at) {
  int same = 1;
  for (int l = 1; l < LANES; l++) same &= column_at[l] == column_at[0] + l;
  return same;
}

static void pack_rows_at(float *to, const struct matrix *b, int64_t first, int64_t column, int64_t depth,
                         int64_t n) {
  const int32_t *row_at = b->row_at + first, *column_at = b->column_at + column;
  for (int64_t j = 0; j < round_up(n, PANEL); j += LANES) {
    float *lanes = to + j / PANEL * PANEL * depth + j % PANEL;
    if (j + LANES <= n && are_neighbours(column_at + j)) {
      const float *from = b->at + column_at[j];
      for (int64_t p = 0; p < depth; p++) store(lanes + p * PANEL, load(from + row_at[p]));
      continue;
    }
    for (int64_t p = 0; p < depth; p++)
      for (int64_t l = 0; l < LANES; l++)
        lanes[p * PANEL + l] = j + l < n ? b->at[row_at[p] + column_at[j + l]] : 0;
  }
}

static void pack_columns_at(float *to, const struct matrix *b, int64_t first, int64_t column, int64_t depth,
                            int64_t n) {
  const int32_t *row_at = b->row_at + column, *column_at = b->column_at + first;
  for (int64_t j = 0; j < round_up(n, PANEL); j += LANES) {
    float *lanes = to + j / PANEL * PANEL * depth + j % PANEL;
    const float *from[LANES];
    for (int l = 0; l < LANES; l++) from[l] = b->at + row_at[at_most(j + l, n - 1)];
    for (int64_t p = 0; p < depth; p += LANES) {
      if (p + LANES <= depth && are_neighbours(column_at + p)) {
        vec r[LANES];
        UNROLL for (int l = 0; l < LANES; l++) r[l] = load(from[l] + column_at[p]);
        transpose(r);
        UNROLL for (int l = 0; l < LANES; l++) store(lanes + (p + l) * PANEL, r[l]);
        continue;
      }
      for (int64_t q = p; q < at_most(p + LANES, depth); q++)
        for (int l = 0; l < LANES; l++) lanes[q * PANEL + l] = from[l][column_at[q]];
    }
  }
}

static inline void pack_b(float *to, const struct matrix *b, int64_t first, int64_t column, int64_t depth,
                          int64_t n) {
  if (b->row_at && b->transposed) pack_columns_at(to, b, first, column, depth, n);
  else if (b->row_at) pack_rows_at(to, b, first, column, depth, n);
  else if (b->transposed) pack_columns(to, b->at + column * b->row + first, b->row, depth, n);
  else pack_rows(to, b, first, column, depth, n);
}

// Rows of a, in the order of memory: rows of BLOCK_A_ROW, or columns of MAX_ROWS if transposed.
static inline void pack_a(float *to, const struct matrix *a, int64_t i, int64_t p, int64_t rows,
                          int64_t depth) {
  if (a->transposed) {
    for (int64_t q = 0; q < depth; q++, to += MAX_ROWS) {
      const float *column = a->at + (p + q) * a->row + i;
      if (rows == MAX_ROWS) memcpy(to, column, MAX_ROWS * sizeof(float)); // a size known here: no loop
      else
        for (int64_t r = 0; r < rows; r++) to[r] = column[r];
    }
    return;
  }
  for (int64_t k = 0; k < rows; k++, to += BLOCK_A_ROW) {
    const struct row r = row_of(a, i + k, p);
    int64_t q = 0;
    for (; q + LANES <= depth; q += LANES) store(to + q, own_values(r, q));
    for (; q < depth; q++) to[q] = own_value(r, q);
  }
}

// sum (rows x PANEL) = a (rows x depth) b (a panel of depth), in registers.
INLINE void tile_sums(vec sum[MAX_ROWS][2], const int rows, const float *a, const int64_t row_step,
                      const int64_t inner_step, const float *b, int64_t depth) {
  const float *next = b + depth * PANEL;
  UNROLL for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vec){0};
  int64_t p = 0;
  for (; p + 4 <= depth; p += 4) {
    UNROLL for (int i = 0; i < 4; i++) product_step(sum, rows, 2, a + i * inner_step, row_step, b + i * PANEL);
    next = fetch(next, AHEAD_B);
    a += 4 * inner_step;
    b += 4 * PANEL;
  }
  for (; p < depth; p++, a += inner_step, b += PANEL) product_step(sum, rows, 2, a, row_step, b);
}

// Where a tile goes: PANEL columns.
struct target {
  float *at;
  int64_t row;
  int add;
  const float *bias[2]; // of its rows, and in a maximum of those they are compared with; NULL: none
  signed char *winner;  // only of a maximum; NULL: none
  int64_t winner_row;
};

INLINE void put_sums(const struct target *t, vec sum[MAX_ROWS][2], const int rows) {
  if (t->add)
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < 2; j++) sum[i][j] +=
        load(t->at + i * t->row + j * LANES);
  if (t->bias[0])
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < 2; j++) sum[i][j] += t->bias[0][i];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < 2; j++)
      store(t->at + i * t->row + j * LANES, sum[i][j]);
}

// The larger of the rows i and i + pairs of sums.
INLINE void put_larger_any(const struct target *t, vec sum[MAX_ROWS][2], const int pairs,
                           const int with_winner) {
  UNROLL for (int i = 0; i < pairs; i++) UNROLL for (int j = 0; j < 2; j++) {
    const vec x = sum[i][j], y = sum[pairs + i][j];
    const lanes_int first = first_wins(x, y);
    store(t->at + i * t->row + j * LANES, choose(first, x, y));
    if (with_winner) store_bytes(t->winner + i * t->winner_row + j * LANES, first);
  }
}

INLINE void put_larger(const struct target *t, vec sum[MAX_ROWS][2], const int pairs) {
  if (t->bias[0])
    UNROLL for (int i = 0; i < 2 * pairs; i++) UNROLL for (int j = 0; j < 2; j++) sum[i][j] +=
        t->bias[i / pairs][i % pairs];
  if (t->winner) put_larger_any(t, sum, pairs, 1);
  else put_larger_any(t, sum, pairs, 0);
}

INLINE void block_tile(const struct target *t, const int rows, const float *a, const int64_t row_step,
                       const int64_t inner_step, const float *b, int64_t depth, const int larger) {
  vec sum[MAX_ROWS][2];
  tile_sums(sum, rows, a, row_step, inner_step, b, depth);
  if (larger) put_larger(t, sum, rows / 2);
  else put_sums(t, sum, rows);
}

// Up to MAX_ROWS rows of a that pack_a copied, one panel of b; of a maximum, an even number.
#define BLOCK_CASE(n)                                                                                          \
  case n:                                                                                                      \
    block_tile(t, n, a, row_step, inner_step, b, depth, larger);                                               \
    break;
INLINE void block_tile_any(const struct target *t, int64_t rows, const float *a, const int64_t row_step,
                           const int64_t inner_step, const float *b, int64_t depth, const int larger) {
  if (!larger || rows % 2 == 0) switch (rows) {
      BLOCK_CASE(2)
      BLOCK_CASE(4)
      BLOCK_CASE(6)
#if MAX_ROWS == 12
      BLOCK_CASE(8)
      BLOCK_CASE(10)
      BLOCK_CASE(12)
#endif
    }
  if (!larger) switch (rows) {
      BLOCK_CASE(1)
      BLOCK_CASE(3)
      BLOCK_CASE(5)
#if MAX_ROWS == 12
      BLOCK_CASE(7)
      BLOCK_CASE(9)
      BLOCK_CASE(11)
#endif
    }
}

static void sum_tile(const struct target *t, int64_t rows, const float *a, int transposed, const float *b,
                     int64_t depth) {
  if (transposed) block_tile_any(t, rows, a, 1, MAX_ROWS, b, depth, 0);
  else block_tile_any(t, rows, a, BLOCK_A_ROW, 1, b, depth, 0);
}

static void larger_tile(const struct target *t, int64_t rows, const float *a, int transposed, const float *b,
                        int64_t depth) {
  (void)transposed; // it never is
  block_tile_any(t, rows, a, BLOCK_A_ROW, 1, b, depth, 1);
}

// A tile of which n < PANEL columns are wanted: whole in a place of its own, from where these are copied. rows:
// of the target.
static void edge_tile(const struct target *t, int64_t rows, int64_t a_rows, const float *a, int transposed,
                      const float *b, int64_t depth, int64_t n) {
  float value[MAX_ROWS * PANEL];
  signed char winner[MAX_ROWS * PANEL];
  const struct target whole = {value, PANEL, t->add, {t->bias[0], t->bias[1]}, t->winner ? winner : NULL,
                               PANEL};
  for (int64_t i = 0; t->add && i < rows; i++)
    for (int64_t j = 0; j < PANEL; j++) value[i * PANEL + j] = j < n ? t->at[i * t->row + j] : 0;
  (a_rows > rows ? larger_tile : sum_tile)(&whole, a_rows, a, transposed, b, depth);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++) {
      t->at[i * t->row + j] = value[i * PANEL + j];
      if (t->winner) t->winner[i * t->winner_row + j] = winner[i * PANEL + j];
    }
}

// The rows i .. i + rows - 1 of c, of a block of b that is packed: `width` columns from the target on.
static void block_row(struct target t, int64_t rows, int64_t a_rows, const float *a, int transposed,
                      const float *b, int64_t depth, int64_t width) {
  int64_t l = 0;
  for (; l + PANEL <= width; l += PANEL) {
    (a_rows > rows ? larger_tile : sum_tile)(&t, a_rows, a, transposed, b + l * depth, depth);
    t.at += PANEL;
    if (t.winner) t.winner += PANEL;
  }
  if (l < width) edge_tile(&t, rows, a_rows, a, transposed, b + l * depth, depth, width - l);
}

// Each sum runs over k in order, in parts of BLOCK_DEPTH, wherever in c it is; then comes the bias.
static void multiply(const struct product *p, float *scratch) {
  float *block_b = scratch, *block_a = scratch + BLOCK_DEPTH * BLOCK_WIDTH;
  for (int64_t k = 0; k < p->k; k += BLOCK_DEPTH) {
    const int64_t depth = at_most(p->k - k, BLOCK_DEPTH);
    const float *bias = k + depth == p->k ? p->bias : NULL;
    for (int64_t j = 0; j < p->n; j += BLOCK_WIDTH) {
      const int64_t width = at_most(p->n - j, BLOCK_WIDTH);
      pack_b(block_b, &p->b, k, j, depth, width);
      for (int64_t i = 0; i < p->m; i += MAX_ROWS) {
        const int64_t rows = at_most(p->m - i, MAX_ROWS);
        const struct target t = {.at = p->c + i * p->c_row + j,
                                 .row = p->c_row,
                                 .add = p->add || k > 0,
                                 .bias = {bias ? bias + i : NULL, NULL}};
        pack_a(block_a, &p->a, i, k, rows, depth);
        block_row(t, rows, rows, block_a, p->a.transposed, block_b, depth, width);
      }
    }
  }
}

static void multiply_larger(const struct product *p, signed char *winner, int64_t winner_row, float *scratch) {
  float *block_b = scratch, *block_a = scratch + BLOCK_DEPTH * BLOCK_WIDTH;
  const int64_t half = p->m / 2;
  for (int64_t j = 0; j < p->n; j += BLOCK_WIDTH) {
    const int64_t width = at_most(p->n - j, BLOCK_WIDTH);
    pack_b(block_b, &p->b, 0, j, p->k, width);
    for (int64_t i = 0; i < half; i += MAX_ROWS / 2) {
      const int64_t rows = at_most(half - i, MAX_ROWS / 2);
      struct target t = {.at = p->c + i * p->c_row + j, .row = p->c_row, .winner_row = winner_row};
      if (winner) t.winner = winner + i * winner_row + j;
      for (int h = 0; p->bias && h < 2; h++) t.bias[h] = p->bias + h * half + i;
      pack_a(block_a, &p->a, i, 0, rows, p->k);
      pack_a(block_a + rows * BLOCK_A_ROW, &p->a, half + i, 0, rows, p->k);
      block_row(t, rows, 2 * rows, block_a, 0, block_b, p->k, width);
    }
  }
}

#endif
