// Winograd F(4x4,3x3): forward, gradient of the data, gradient of the weights.
//
// An image is cut into tiles of 4x4 outputs. The 6x6 inputs under a tile, the 3x3 filter and the 4x4 gradient
// of the outputs each have a transform to 36 numbers, in which the convolution is 36 independent products of
// matrices:
//     forward          M[f] (tiles x out) = V[f] (tiles x in)    U[f] (in x out)       y  = inverse(M)
//     weights         dU[f] (in x out)    = V[f]^T (in x tiles)  D[f] (tiles x out)    dw = filter_gradient(dU)
// with 36 products per 16 outputs instead of 144. The gradient of the data is `forward` with turned filters.
//
// Tiles are taken in blocks of whole rows of tiles, about BLOCK_TILES. The channels are the lanes of the
// vectors: rows of LANES channels are transposed into a small window first. A last group of less than LANES
// channels reads its last channel into the idle lanes; nothing that is kept depends on those.
//
// Matrices that a product reads or writes by vectors (U, M, D, dU) are stored in panels of two vectors, the
// last one perhaps of one: [panel][f][row][lane]; for V see tiles_of_v. Each sum runs over its channels in
// order, whatever the block or the row it is in: so an image's result does not depend on the other images.
//
// A max-feature-map compares channel c with channel c + out/2: its filters are stored so that a panel holds a
// vector of the first half and the same one of the second half, and the larger is taken before anything is
// transposed.
//
// With BFLOAT16 `forward` takes two channels at a time: in U and in V, a place holds the numbers of an even and of
// the next, odd channel, each rounded to bfloat16, instead of one float. M and all sums are floats, and so is all
// of `weights`.
//
// This file is compiled once per instruction set; DVG_KERNELS names the table it exports.
#include <stddef.h>
#include <string.h>

#include "common/nn/product_kernels.h"
#include "common/nn/vectors.h"
#include "common/nn/winograd.h"
#include "common/nn/winograd_transforms.h"

#define FREQUENCIES 36
// Tiles in a block: enough that reading U again for each block is cheap, few enough that V and M stay in the L2
// cache.
#if LANES == 16
#define BLOCK_TILES 64 // CPUs with AVX-512 have L2 caches of 1 or 2 MB
#else
#define BLOCK_TILES 32
#endif

// ---- from rows of channels to vectors of channels, and back

// window[p - begin] = vector of the channels' values at place p, for begin <= p < end. The channels
// (n_channels, at most LANES) are `places` floats each, `stride` floats apart. Also overwrites up to LANES - 1
// vectors before and after.
static void load_channels(float *window, const float *x, int64_t stride, int64_t n_channels, int64_t places,
                          int64_t begin, int64_t end) {
  const float *channel[LANES];
  for (int l = 0; l < LANES; l++) channel[l] = x + at_most(l, n_channels - 1) * stride;
  if (places < LANES) {
    for (int64_t p = begin; p < end; p++)
      for (int l = 0; l < LANES; l++) window[(p - begin) * LANES + l] = channel[l][p];
    return;
  }
  for (int64_t p = begin; p < end; p += LANES) {
    const int64_t start = at_most(p, places - LANES); // never read beyond the channel
    vec r[LANES];
    UNROLL for (int l = 0; l < LANES; l++) r[l] = load(channel[l] + start);
    transpose(r);
    float *to = window + (start - begin) * LANES;
    UNROLL for (int l = 0; l < LANES; l++) store(to + l * LANES, r[l]);
  }
}

// The inverse for n_places: y[l * stride + p] = window[p][l] for l < n_channels, plus base at the same place
// (NULL: nothing).
INLINE void store_channels_any(float *y, const float *base, int64_t stride, int64_t n_channels,
                               int64_t n_places, const float *window) {
  int64_t p = 0;
  for (; p + LANES <= n_places; p += LANES) {
    vec r[LANES];
    UNROLL for (int l = 0; l < LANES; l++) r[l] = load(window + (p + l) * LANES);
    transpose(r);
    UNROLL for (int l = 0; l < LANES; l++) if (l < n_channels) {
      const int64_t at = l * stride + p;
      store(y + at, base ? load(base + at) + r[l] : r[l]);
    }
  }
  for (; p < n_places; p++)
    for (int64_t l = 0; l < n_channels; l++)
      y[l * stride + p] = (base ? base[l * stride + p] : 0) + window[p * LANES + l];
}

static void store_channels(float *y, const float *base, int64_t stride, int64_t n_channels, int64_t n_places,
                           const float *window) {
  if (base && n_channels == LANES) store_channels_any(y, base, stride, LANES, n_places, window);
  else if (base) store_channels_any(y, base, stride, n_channels, n_places, window);
  else if (n_channels == LANES) store_channels_any(y, NULL, stride, LANES, n_places, window);
  else store_channels_any(y, NULL, stride, n_channels, n_places, window);
}

// ---- the order of output channels in packed filters and in M

// The `count` channels from `first` on are the lanes of a vector.
struct channels {
  int64_t first, count;
};

static int64_t vectors_of(int64_t out, int mfm) {
  return mfm ? (out / 2 + LANES - 1) / LANES * 2 : (out + LANES - 1) / LANES;
}

static struct channels channels_of(int64_t vector, int64_t out, int mfm) {
  if (!mfm) return (struct channels){vector * LANES, at_most(out - vector * LANES, LANES)};
  const int64_t half = out / 2, begin = vector / 2 * LANES;
  return (struct channels){vector % 2 * half + begin, at_most(half - begin, LANES)};
}

// ---- the grid of tiles and the layout of scratch

struct grid {
  int64_t H, W;
  int64_t across, down; // tiles of an image
  int64_t rows;         // rows of tiles of all images
  int64_t block_rows;   // rows of tiles in a block
};

static struct grid make_grid(const struct winograd_shape *s) {
  struct grid g = {s->H, s->W, (s->W + 3) / 4, (s->H + 3) / 4, 0, 0};
  g.rows = s->N * g.down;
  g.block_rows = at_most((BLOCK_TILES + g.across - 1) / g.across, g.rows);
  return g;
}

// Distance between two frequencies: the pad keeps the 36 streams of a transform out of the same sets of the
// cache.
INLINE int64_t frequency_stride(int64_t tiles, int64_t width) {
  return tiles * width + 48;
}

// A window holds four rows of an image as vectors, and what load_channels writes beyond.
INLINE int64_t window_floats(int64_t W) {
  return (4 * W + 2 * LANES) * LANES;
}
INLINE float *window_start(float *window) {
  return window + LANES * LANES;
}

// Scratch is cut into pieces on 64-byte boundaries; the same function with scratch NULL counts them.
static float *take(float **scratch, int64_t *used, int64_t n_floats) {
  float *piece = *scratch ? *scratch + *used : NULL;
  *used += round_up(n_floats, 16);
  return piece;
}

struct work {
  float *v;  // transformed input, see tiles_of_v
  float *m;  // transformed output (one panel) or gradient of the output (all panels)
  float *du; // gradient of the filters in the transform domain
  float
      *window[2][2]; // rows of the image as vectors: for each vector of a panel, for odd and even rows of tiles
  float *pooled;     // rows of the gradient of a pool as vectors
  float *dbias;
  int64_t floats;
};

static struct work lay_out(float *scratch, const struct winograd_shape *s, const struct grid *g, int gradient) {
  const int64_t tiles = g->block_rows * g->across;
  const int64_t out = round_up(s->out, LANES), m_width = gradient ? out : PANEL;
  struct work w = {0};
  w.v = take(&scratch, &w.floats, FREQUENCIES * frequency_stride(tiles, round_up(s->in, LANES)));
  w.m = take(&scratch, &w.floats, FREQUENCIES * frequency_stride(tiles, m_width));
  for (int i = 0; i < 4; i++) w.window[i / 2][i % 2] = take(&scratch, &w.floats, window_floats(4 * g->across));
  w.pooled = take(&scratch, &w.floats, window_floats(2 * g->across));
  if (gradient) {
    w.du = take(&scratch, &w.floats, FREQUENCIES * frequency_stride(s->in, out));
    w.dbias = take(&scratch, &w.floats, out);
  }
  return w;
}

static int64_t convolve_floats(const struct winograd_shape *s) {
  const struct grid g = make_grid(s);
  return lay_out(NULL, s, &g, 0).floats;
}

static int64_t gradient_floats(const struct winograd_shape *s) {
  const struct grid g = make_grid(s);
  return lay_out(NULL, s, &g, 1).floats;
}

// ---- image -> transform domain

// window = the rows first .. first+3 of n_channels planes, as vectors; zeros outside of the image.
static void load_rows(float *window, const float *plane, int64_t n_channels, const struct grid *g,
                      int64_t first) {
  const int64_t places = g->H * g->W, row = g->W * LANES;
  const int64_t begin = at_most(at_least(first, 0), g->H), end = at_most(first + 4, g->H);
  load_channels(window + (begin - first) * row, plane, places, n_channels, places, begin * g->W, end * g->W);
  for (int64_t y = 0; y < 4; y++)
    if (first + y < 0 || first + y >= g->H) memset(window + y * row, 0, (size_t)row * sizeof(float));
}

// From rows that load_rows gave: the values of the channels that won stay in `first_half`, the others go to
// `second_half`, each with zeros in between. winner is that of the plane, `first` the first row.
static void split_rows(float *first_half, float *second_half, const signed char *winner, const struct grid *g,
                       int64_t first) {
  for (int64_t y = 0; y < 4; y++) {
    float *a = first_half + y * g->W * LANES, *b = second_half + y * g->W * LANES;
    if (first + y < 0 || first + y >= g->H) {
      memset(b, 0, (size_t)(g->W * LANES) * sizeof(float));
      continue;
    }
    const signed char *won = winner + (first + y) * g->W * LANES;
    for (int64_t i = 0; i < g->W * LANES; i += LANES) {
      const lanes_int mask = load_bytes(won + i);
      const lanes_int value = (lanes_int)load(a + i);
      store(a + i, (vec)(value & mask));
      store(b + i, (vec)(value & ~mask));
    }
  }
}

// One row of the image, of the rows of its pool that it is in (odd: the lower one): a value's mean goes to its
// four places, and the value itself to the largest; each to the channel that won there.
static void unpool_row(float *first_half, float *second_half, const float *dy, const signed char *code,
                       int64_t n_places, int odd) {
  for (int64_t j = 0; j < n_places; j++) {
    const vec value = load(dy + j * LANES), mean = rounded(0.25f * value);
    const lanes_int bits = load_bytes(code + j * LANES);
    UNROLL for (int i = 0; i < 2; i++) {
      const int place = 2 * odd + i;
      const lanes_int largest = (bits >> 4) == place, won = (bits & (1 << place)) != 0;
      const lanes_int all = (lanes_int)(mean + (vec)((lanes_int)value & largest));
      store(first_half + (2 * j + i) * LANES, (vec)(all & won));
      store(second_half + (2 * j + i) * LANES, (vec)(all & ~won));
    }
  }
}

// The rows first .. first+3 of both halves of the channels, from the pool's gradient: `dy` and `code` are of
// the plane, `pooled` is scratch.
static void unpool_rows(float *const window[2], float *pooled, const float *dy, const signed char *code,
                        const struct grid *g, int64_t first) {
  const int64_t H = g->H / 2, W = g->W / 2, row = g->W * LANES;
  const int64_t begin = at_least(first, 0) / 2, end = (at_most(first + 4, g->H) + 1) / 2;
  load_channels(pooled, dy, H * W, LANES, H * W, begin * W, end * W);
  for (int64_t y = 0; y < 4; y++) {
    float *a = window[0] + y * row, *b = window[1] + y * row;
    const int64_t at = (first + y) / 2;
    if (first + y >= 0 && first + y < g->H)
      unpool_row(a, b, pooled + (at - begin) * W * LANES, code + at * W * LANES, W, (first + y) % 2 != 0);
    else memset(a, 0, (size_t)row * sizeof(float)), memset(b, 0, (size_t)row * sizeof(float));
  }
}

// Where a pair of vectors of channels is found in x (N, channels, H, W), or in the half of it that won.
struct pair {
  int64_t first[2]; // their first channels
  int64_t count[2]; // and numbers of channels, 0: none
};

static struct pair pair_at(int64_t vector, int64_t channels, int mfm) {
  struct pair p;
  for (int h = 0; h < 2; h++) {
    const struct channels c = channels_of(vector + h, channels, mfm);
    p.first[h] = c.first, p.count[h] = at_least(c.count, 0);
  }
  return p;
}

// The rows first .. first+3 of an image's pair -> two windows.
static void load_pair(float *const window[2], float *pooled, const struct pair *p, struct winograd_input x,
                      int64_t channels, int64_t image, const struct grid *g, int64_t first) {
  const int64_t places = g->H * g->W;
  if (x.pool) {
    const int64_t at = (image * (channels / 2) + p->first[0]) * (places / 4);
    unpool_rows(window, window_start(pooled), x.at + at, x.winner + at, g, first);
    return;
  }
  if (x.winner) {
    const int64_t half = channels / 2, plane = image * half + p->first[0];
    load_rows(window[0], x.at + plane * places, p->count[0], g, first);
    split_rows(window[0], window[1], x.winner + plane * places, g, first);
    return;
  }
  for (int h = 0; h < 2 && p->count[h] > 0; h++)
    load_rows(window[h], x.at + (image * channels + p->first[h]) * places, p->count[h], g, first);
}

// The vertical transform of the four columns x .. x+3: two rows from `above`, four from `below`, `row` floats
// apart.
INLINE void data_columns(vec columns[4][6], const float *above, const float *below, int64_t row, int64_t x,
                         int64_t W) {
  const int inside = x >= 0 && x + 4 <= W;
  UNROLL for (int j = 0; j < 4; j++) {
    if (inside || (x + j >= 0 && x + j < W)) {
      const int64_t at = (x + j) * LANES;
      const vec d[6] = {load(above + at),       load(above + row + at),     load(below + at),
                        load(below + row + at), load(below + 2 * row + at), load(below + 3 * row + at)};
      transform_data(columns[j], d);
    } else {
      UNROLL for (int i = 0; i < 6; i++) columns[j][i] = (vec){0};
    }
  }
}

// One row of tiles of `vecs` vectors of channels -> v. Neighbouring tiles share two columns, so the vertical
// transform goes through the row once, four columns at a time, and each tile is finished from the last two
// groups. Two vectors take turns at each tile; the second goes `second` floats behind the first.
INLINE void transform_data_row(float *v, int64_t second, int64_t stride, int64_t width, float *const above[2],
                               float *const below[2], const int vecs, const int paired, const struct grid *g) {
  vec group[2][2][4][6];
  const int64_t row = g->W * LANES;
  for (int h = 0; h < vecs; h++) data_columns(group[h][0], above[h], below[h], row, -1, g->W);
  for (int64_t t = 0; t < g->across; t++)
    for (int h = 0; h < vecs; h++) {
      vec(*left)[6] = group[h][t & 1], (*right)[6] = group[h][~t & 1];
      data_columns(right, above[h], below[h], row, 4 * t + 3, g->W);
      float *to = v + t * width + h * second;
      ROLLED for (int i = 0; i < 6; i++, to += 6 * stride) {
        const vec d[6] = {left[0][i], left[1][i], left[2][i], left[3][i], right[0][i], right[1][i]};
        vec out[6];
        transform_data(out, d);
        UNROLL for (int j = 0; j < 6; j++) (paired ? store_paired : store)(to + j * stride, out[j]);
      }
    }
}

// Where V[frequency][tile][channel] is: products that sum over the channels want the tiles of LANES channels
// together, those that sum over the tiles all channels of a tile.
struct tiles_of_v {
  float *at;
  int64_t frequency, tile, lanes; // floats from one to the next; from one LANES channels to the next
  int paired;                     // with BFLOAT16: a place holds two channels
};

// The tile rows first .. last-1 of x (N, channels, H, W) -> v.
static void transform_input(const struct tiles_of_v *v, struct winograd_input x, int64_t channels,
                            const struct grid *g, int64_t first, int64_t last, const struct work *w) {
  const int64_t vectors = vectors_of(channels, x.winner != NULL);
  for (int64_t vector = 0; vector < vectors; vector += 2) {
    const struct pair p = pair_at(vector, channels, x.winner != NULL);
    for (int64_t r = first; r < last; r++) {
      const int64_t image = r / g->down, tile_row = r % g->down, y = tile_row * 4;
      float *whole[2], *above[2], *below[2];
      for (int h = 0; h < 2; h++) {
        // A window holds the rows 4i-3 .. 4i: a row of tiles needs the last two of its own and all of the next
        // one.
        whole[h] = window_start(w->window[h][tile_row & 1]);
        above[h] = whole[h] + 2 * g->W * LANES;
        below[h] = window_start(w->window[h][~tile_row & 1]);
      }
      if (r == first || y == 0) load_pair(whole, w->pooled, &p, x, channels, image, g, y - 3);
      load_pair(below, w->pooled, &p, x, channels, image, g, y + 1);
      float *to = v->at + (r - first) * g->across * v->tile + p.first[0] / LANES * v->lanes;
      const int64_t second = (p.first[1] - p.first[0]) / LANES * v->lanes;
      const int whole_pair = p.count[1] > 0, paired = BFLOAT16 && v->paired;
      if (paired && whole_pair) transform_data_row(to, second, v->frequency, v->tile, above, below, 2, 1, g);
      else if (paired) transform_data_row(to, 0, v->frequency, v->tile, above, below, 1, 1, g);
      else if (whole_pair) transform_data_row(to, second, v->frequency, v->tile, above, below, 2, 0, g);
      else transform_data_row(to, 0, v->frequency, v->tile, above, below, 1, 0, g);
    }
  }
}

// One row of tiles of `vecs` vectors of dy, from four rows of vectors -> d.
INLINE void transform_gradient_row(float *d, int64_t stride, int64_t width, float *const window[2],
                                   const int vecs, const struct grid *g) {
  const int64_t row = g->W * LANES;
  for (int64_t t = 0; t < g->across; t++)
    for (int h = 0; h < vecs; h++) {
      vec columns[4][6];
      UNROLL for (int j = 0; j < 4; j++) {
        const float *at = window[h] + (4 * t + j) * LANES;
        vec y[4] = {{0}};
        if (4 * t + j < g->W) {
          UNROLL for (int i = 0; i < 4; i++) y[i] = load(at + i * row);
        }
        transform_gradient(columns[j], y);
      }
      float *to = d + t * width + h * LANES;
      ROLLED for (int i = 0; i < 6; i++, to += 6 * stride) {
        const vec y[4] = {columns[0][i], columns[1][i], columns[2][i], columns[3][i]};
        vec out[6];
        transform_gradient(out, y);
        UNROLL for (int j = 0; j < 6; j++) store(to + j * stride, out[j]);
      }
    }
}

INLINE vec sum_of_places(const float *window, int64_t n_places) {
  vec sum[4] = {{0}};
  for (int64_t p = 0; p < n_places; p += 4)
    UNROLL for (int i = 0; i < 4; i++) sum[i] += load(window + (p + i) * LANES);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// The tile rows first .. last-1 of dy (N, channels, H, W) -> d, in panels, and their sums added to w->dbias.
static void transform_output_gradient(float *d, int64_t stride, struct winograd_input dy, int64_t channels,
                                      const struct grid *g, int64_t first, int64_t last, const struct work *w) {
  const int64_t tiles = (last - first) * g->across, vectors = vectors_of(channels, dy.winner != NULL);
  float *const window[2] = {window_start(w->window[0][0]), window_start(w->window[1][0])};
  for (int64_t vector = 0; vector < vectors; vector += 2) {
    const struct pair p = pair_at(vector, channels, dy.winner != NULL);
    const int64_t panel = vector * LANES;
    const int vecs = p.count[1] > 0 ? 2 : 1;
    vec sum[2] = {{0}};
    for (int64_t r = first; r < last; r++) {
      load_pair(window, w->pooled, &p, dy, channels, r / g->down, g, r % g->down * 4);
      for (int h = 0; h < vecs; h++) sum[h] += sum_of_places(window[h], 4 * g->W);
      float *to = d + panel * tiles + (r - first) * g->across * vecs * LANES;
      if (vecs == 2) transform_gradient_row(to, stride, PANEL, window, 2, g);
      else transform_gradient_row(to, stride, LANES, window, 1, g);
    }
    for (int h = 0; h < vecs; h++) {
      float *dbias = w->dbias + panel + h * LANES;
      store(dbias, load(dbias) + sum[h]);
    }
  }
}

// ---- transform domain -> image

// Where a tile of outputs goes, as vectors, `row` floats from one row to the next; n_rows and n_columns of it
// are wanted. `larger`: the larger of a value and what is there already stays, a NaN of the latter before all,
// and `winner`, unless NULL, gets the bytes of the comparison, whose lanes are all ones or zeros.
struct tile_place {
  float *at;
  int64_t row;
  int64_t n_rows, n_columns;
  int larger;
  signed char *winner;
};

INLINE void keep_tile(const struct tile_place *to, vec y[4][4], const int64_t n_rows, const int64_t n_columns,
                      const int larger, signed char *winner) {
  UNROLL for (int i = 0; i < 4; i++) {
    if (i >= n_rows) return;
    UNROLL for (int j = 0; j < 4; j++) {
      const int64_t place = i * to->row + j * LANES;
      if (j >= n_columns) break;
      if (larger) {
        const vec x = load(to->at + place);
        const lanes_int first = first_wins(x, y[i][j]);
        if (winner) store_bytes(winner + place, first);
        y[i][j] = choose(first, x, y[i][j]);
      }
      store(to->at + place, y[i][j]);
    }
  }
}

// One tile of outputs. AVX-512 has registers for all that is between the two transforms. There is one copy of
// this: in a second one, gcc might contract other multiplications with the same addition, and the outputs would
// depend on what becomes of them.
static __attribute__((noinline)) void inverse_tile(const struct tile_place *to, const float *m, int64_t stride,
                                                   const float *bias) {
  vec columns[4][6], y[4][4];
  const vec b = load(bias);
  UNROLL for (int j = 0; j < 6; j++, m = plain_address(m + stride)) {
    vec in[6], out[4];
    UNROLL for (int i = 0; i < 6; i++) in[i] = load(m + i * 6 * stride);
    transform_inverse(out, in);
    UNROLL for (int i = 0; i < 4; i++) columns[i][j] = out[i];
  }
  UNROLL for (int i = 0; i < 4; i++) {
    transform_inverse(y[i], columns[i]);
    UNROLL for (int j = 0; j < 4; j++) y[i][j] += b;
  }
  if (to->n_rows < 4 || to->n_columns < 4) keep_tile(to, y, to->n_rows, to->n_columns, to->larger, to->winner);
  else if (!to->larger) keep_tile(to, y, 4, 4, 0, NULL);
  else if (to->winner) keep_tile(to, y, 4, 4, 1, to->winner);
  else keep_tile(to, y, 4, 4, 1, NULL);
}

// A row of tiles of `vecs` vectors, n_rows of outputs; the vectors take turns at each tile, as they share m's
// cache lines. With mfm, the larger of the two goes to the first window.
static void inverse_row(float *const window[2], const float *m, int64_t stride, const float *bias, int vecs,
                        int mfm, signed char *winner, const struct grid *g, int64_t n_rows) {
  for (int64_t t = 0; t < g->across; t++) {
    const int64_t left = 4 * t * LANES;
    for (int h = 0; h < vecs; h++) {
      const int larger = mfm && h == 1;
      const struct tile_place to = {
          window[mfm ? 0 : h] + left, g->W * LANES, n_rows,
          at_most(g->W - 4 * t, 4),   larger,       larger && winner ? winner + left : NULL};
      inverse_tile(&to, m + (t * vecs + h) * LANES, stride, bias + h * LANES);
    }
  }
}

// The pool of the larger of a and b, n_rows of W places -> a, and its codes. In place: a value is written where
// its places have been read.
INLINE void pool_larger_any(float *a, const float *b, signed char *code, int64_t n_rows, int64_t W) {
  for (int64_t i = 0; i < n_rows / 2; i++)
    for (int64_t j = 0; j < W / 2; j++) {
      const int64_t to = (i * (W / 2) + j) * LANES;
      vec m[4];
      lanes_int bits = {0};
      UNROLL for (int k = 0; k < 4; k++) {
        const int64_t at = ((2 * i + k / 2) * W + 2 * j + k % 2) * LANES;
        const vec x = load(a + at), y = load(b + at);
        const lanes_int first = first_wins(x, y);
        m[k] = choose(first, x, y);
        bits |= first & (1 << k);
      }
      const vec top = choose(m[0] > m[1], m[0], m[1]), low = choose(m[2] > m[3], m[2], m[3]);
      store(a + to, choose(top > low, top, low) + rounded(0.25f * ((m[0] + m[1]) + (m[2] + m[3]))));
      if (!code) continue;
      const lanes_int is_low = low - top > 0, in_top = m[1] - m[0] > 0, in_low = m[3] - m[2] > 0;
      bits |= (16 & in_top & ~is_low) | (32 & is_low) | (16 & in_low & is_low);
      store_bytes(code + to, bits);
    }
}
static void pool_larger(float *a, const float *b, signed char *code, int64_t n_rows, int64_t W) {
  if (code) pool_larger_any(a, b, code, n_rows, W);
  else pool_larger_any(a, b, NULL, n_rows, W);
}

// sums[2 l] += sum, sums[2 l + 1] += sum of squares of the places of lane l. Squares of floats are exact in
// double; two chains, as an addition takes its time.
static void add_sums(double *sums, int64_t n_channels, const float *window, int64_t n_places) {
  wide_vec sum[2] = {{0}}, square[2] = {{0}};
  int64_t p = 0;
  for (; p + 2 <= n_places; p += 2) UNROLL for (int i = 0; i < 2; i++) {
      const wide_vec value = __builtin_convertvector(load(window + (p + i) * LANES), wide_vec);
      sum[i] += value;
      square[i] += value * value;
    }
  if (p < n_places) {
    const wide_vec value = __builtin_convertvector(load(window + p * LANES), wide_vec);
    sum[0] += value;
    square[0] += value * value;
  }
  for (int64_t l = 0; l < n_channels; l++) {
    sums[2 * l] += sum[0][l] + sum[1][l];
    sums[2 * l + 1] += square[0][l] + square[1][l];
  }
}

// Into the cache, while the tiles are transformed.
static void fetch_base(const float *base, int64_t stride, int64_t n_channels, int64_t n_places) {
  for (int64_t l = 0; l < n_channels; l++)
    for (int64_t p = 0; p < n_places; p += LINE_FLOATS) __builtin_prefetch(base + l * stride + p);
}

// The tile rows first .. last-1 of the panel that begins at vector number `vector`: m -> y (N, channels, H, W).
static void transform_output(const struct winograd_output *y, const float *m, int64_t stride, int64_t vector,
                             const int vecs, int64_t channels, const float *bias, const struct grid *g,
                             int64_t first, int64_t last, const struct work *w) {
  const int64_t places = g->H * g->W;
  const int mfm = y->use == WINOGRAD_MFM;
  float *const window[2] = {window_start(w->window[0][0]), window_start(w->window[1][0])};
  struct channels part[2] = {{0}};
  float b[PANEL] = {0};
  for (int h = 0; h < vecs; h++) {
    part[h] = channels_of(vector + h, channels, mfm);
    for (int64_t l = 0; bias && l < part[h].count; l++) b[h * LANES + l] = bias[part[h].first + l];
  }
  if (mfm) channels /= 2;
  for (int64_t r = first; r < last; r++) {
    const float *tiles = m + (r - first) * g->across * vecs * LANES;
    const int64_t top = r % g->down * 4, n_rows = at_most(g->H - top, 4), n_places = n_rows * g->W;
    for (int h = 0; y->base && h < (mfm ? 1 : vecs); h++)
      fetch_base(y->base + (r / g->down * channels + part[h].first) * places + top * g->W, places,
                 part[h].count, n_places);
    const int64_t plane_0 = r / g->down * channels + part[0].first;
    if (y->pool) {
      const int64_t pool = places / 4, row = top / 2 * (g->W / 2);
      inverse_row(window, tiles, stride, b, vecs, 0, NULL, g, n_rows);
      pool_larger(window[0], window[1], y->winner ? y->winner + (plane_0 * pool + row * LANES) : NULL, n_rows,
                  g->W);
      store_channels(y->at + plane_0 * pool + row, NULL, pool, part[0].count, n_places / 4, window[0]);
      continue;
    }
    inverse_row(window, tiles, stride, b, vecs, mfm,
                y->winner ? y->winner + (plane_0 * places + top * g->W * LANES) : NULL, g, n_rows);
    for (int h = 0; h < (mfm ? 1 : vecs); h++) {
      const int64_t plane = r / g->down * channels + part[h].first;
      const int64_t at = (plane * g->H + top) * g->W;
      store_channels(y->at + at, y->base ? y->base + at : NULL, places, part[h].count, n_places, window[h]);
      if (y->sums) add_sums(y->sums + 2 * plane, part[h].count, window[h], n_places);
    }
  }
}

// ---- filters

#define FILTERS_AT_ONCE 16 // filters per lane between two transpositions; bounds the window on the stack

// Filters of LANES outputs and one input, 9 vectors -> 36. odd: of a pair of inputs, the second.
static void pack_filter(float *u, int64_t stride, const float *g, int backward, int odd) {
  vec columns[6][3];
  UNROLL for (int j = 0; j < 3; j++) {
    vec in[3], out[6];
    UNROLL for (int i = 0; i < 3; i++) in[i] = load(g + (backward ? 8 - (i * 3 + j) : i * 3 + j) * LANES);
    transform_filter(out, in);
    UNROLL for (int i = 0; i < 6; i++) columns[i][j] = out[i];
  }
  UNROLL for (int i = 0; i < 6; i++) {
    vec out[6];
    transform_filter(out, columns[i]);
    UNROLL for (int j = 0; j < 6; j++) store_of_pair(u + (i * 6 + j) * stride, out[j], odd);
  }
}

static int64_t packed_floats(int64_t in, int64_t out, enum dvg_filters use) {
  return FREQUENCIES * PLACES(in) * vectors_of(out, use == DVG_FILTERS_MFM) * LANES;
}

// -> u[panel][frequency][place of in][lane].
static void pack(float *packed, const float *weight, int64_t in, int64_t out, enum dvg_filters use) {
  const int mfm = use == DVG_FILTERS_MFM, backward = use == DVG_FILTERS_BACKWARD;
  const int64_t vectors = vectors_of(out, mfm);
  float window[(9 * FILTERS_AT_ONCE + 2 * LANES) * LANES];
  for (int64_t vector = 0; vector < vectors; vector++) {
    const int64_t panel = vector / 2 * 2, width = at_most(vectors - panel, 2) * LANES;
    const int64_t k = channels_of(vector, out, mfm).first, n = channels_of(vector, out, mfm).count;
    float *u = packed + panel * LANES * FREQUENCIES * PLACES(in) + (vector - panel) * LANES;
    for (int64_t c = 0; c < in; c += FILTERS_AT_ONCE) {
      const int64_t n_filters = at_most(in - c, FILTERS_AT_ONCE);
      if (backward) // the output's channels are the inner ones of weight: each input channel is a run of 9
                    // floats per lane
        for (int64_t i = 0; i < n_filters; i++)
          load_channels(window + (i * 9 + LANES) * LANES, weight + ((c + i) * out + k) * 9, 9, n, 9, 0, 9);
      else
        load_channels(window + LANES * LANES, weight + k * in * 9, in * 9, n, in * 9, c * 9,
                      (c + n_filters) * 9);
      for (int64_t i = 0; i < n_filters; i++)
        pack_filter(u + PLACE_OF(c + i) * width, PLACES(in) * width, window + (i * 9 + LANES) * LANES, backward,
                    BFLOAT16 && (c + i) % 2);
    }
  }
}

// dweight (out,in,3,3) += gradient from du, in panels [panel][frequency][in][lane].
static void unpack_gradient(float *dweight, const float *du, int64_t stride, int64_t in, int64_t out, int mfm) {
  float window[9 * FILTERS_AT_ONCE * LANES];
  const int64_t vectors = vectors_of(out, mfm);
  for (int64_t vector = 0; vector < vectors; vector++) {
    const int64_t panel = vector / 2 * PANEL, width = at_most(vectors * LANES - panel, PANEL);
    const struct channels part = channels_of(vector, out, mfm);
    for (int64_t c = 0; c < in; c += FILTERS_AT_ONCE) {
      const int64_t n_filters = at_most(in - c, FILTERS_AT_ONCE);
      for (int64_t f = 0; f < n_filters; f++) {
        const float *u = du + panel * in + (c + f) * width + vector % 2 * LANES;
        vec columns[3][6];
        UNROLL for (int j = 0; j < 6; j++) {
          vec d[6], out3[3];
          UNROLL for (int i = 0; i < 6; i++) d[i] = load(u + (i * 6 + j) * stride);
          transform_filter_gradient(out3, d);
          UNROLL for (int i = 0; i < 3; i++) columns[i][j] = out3[i];
        }
        UNROLL for (int i = 0; i < 3; i++) {
          vec out3[3];
          transform_filter_gradient(out3, columns[i]);
          UNROLL for (int j = 0; j < 3; j++) store(window + (f * 9 + i * 3 + j) * LANES, out3[j]);
        }
      }
      float *at = dweight + (part.first * in + c) * 9;
      store_channels(at, at, in * 9, part.count, n_filters * 9, window);
    }
  }
}

// ---- the convolution and its gradient

// A vector's worth of channels must be whole: the winners of both halves share their lanes.
static int64_t winner_bytes(int64_t channels, int64_t H, int64_t W, int64_t N) {
  return channels % PANEL == 0 ? channels / 2 * H * W * N : 0;
}

static void convolve(const struct winograd_shape *s, const struct winograd_output *y, struct winograd_input x,
                     const float *packed, const float *bias, float *scratch) {
  const struct grid g = make_grid(s);
  const struct work w = lay_out(scratch, s, &g, 0);
  const int64_t places = PLACES(s->in), in_width = PLACES(round_up(s->in, LANES));
  const int64_t vectors = vectors_of(s->out, y->use == WINOGRAD_MFM);
  for (int64_t first = 0; first < g.rows; first += g.block_rows) {
    const int64_t last = at_most(first + g.block_rows, g.rows), tiles = (last - first) * g.across;
    const int64_t v_stride = frequency_stride(tiles, in_width);
    const struct tiles_of_v v = {w.v, v_stride, BLOCK, tiles * BLOCK, BFLOAT16};
    transform_input(&v, x, s->in, &g, first, last, &w);
    for (int64_t vector = 0; vector < vectors; vector += 2) {
      const int vecs = (int)at_most(vectors - vector, 2);
      const int64_t width = vecs * LANES, m_stride = frequency_stride(tiles, width);
      const float *u = packed + vector * LANES * FREQUENCIES * places;
      for (int64_t f = 0; f < FREQUENCIES; f++)
        multiply_rows((struct tile){w.m + f * m_stride,
                                    width,
                                    w.v + f * v_stride,
                                    tiles * BLOCK,
                                    u + f * places * width,
                                    places,
                                    0,
                                    {w.v + (f + 1) % FREQUENCIES * v_stride, u + (f + 1) * places * width}},
                      BLOCKS, tiles, vecs);
      transform_output(y, w.m, m_stride, vector, vecs, s->out, bias, &g, first, last, &w);
    }
  }
}

static void weight_gradient(const struct winograd_shape *s, float *dweight, float *dbias, const float *x,
                            struct winograd_input dy, float *scratch) {
  if (s->N == 0) return;
  const struct grid g = make_grid(s);
  const struct work w = lay_out(scratch, s, &g, 1);
  const int64_t in_width = round_up(s->in, LANES), out_width = round_up(s->out, LANES);
  const int64_t du_stride = frequency_stride(s->in, out_width);
  memset(w.dbias, 0, (size_t)out_width * sizeof(float));
  for (int64_t first = 0; first < g.rows; first += g.block_rows) {
    const int64_t last = at_most(first + g.block_rows, g.rows), tiles = (last - first) * g.across;
    const int64_t v_stride = frequency_stride(tiles, in_width), d_stride = frequency_stride(tiles, out_width);
    const struct tiles_of_v v = {w.v, v_stride, in_width, LANES, 0};
    transform_input(&v, (struct winograd_input){.at = x}, s->in, &g, first, last, &w);
    transform_output_gradient(w.m, d_stride, dy, s->out, &g, first, last, &w);
    for (int64_t f = 0; f < FREQUENCIES; f++) {
      const float *v_f = w.v + f * v_stride;
      for (int64_t panel = 0; panel < out_width; panel += PANEL) {
        const float *d = w.m + f * d_stride + panel * tiles;
        const int64_t width = at_most(out_width - panel, PANEL);
        multiply_rows((struct tile){w.du + f * du_stride + panel * s->in,
                                    width,
                                    v_f,
                                    in_width,
                                    d,
                                    tiles,
                                    first > 0,
                                    {panel == 0 ? v_f + v_stride : v_f, d + width * tiles}},
                      COLUMNS, s->in, (int)(width / LANES));
      }
    }
  }
  unpack_gradient(dweight, w.du, du_stride, s->in, s->out, dy.winner != NULL);
  for (int64_t vector = 0; dbias && vector < out_width / LANES; vector++) {
    const struct channels part = channels_of(vector, s->out, dy.winner != NULL);
    for (int64_t l = 0; l < part.count; l++) dbias[part.first + l] += w.dbias[vector * LANES + l];
  }
}

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
#define JOIN_OF(a, b) a##b
#define JOIN(a, b) JOIN_OF(a, b)

const struct winograd_kernels JOIN(dvg_winograd_, DVG_KERNELS) = {
    .name = TEXT(DVG_KERNELS),
    .packed_floats = packed_floats,
    .pack = pack,
    .winner_bytes = winner_bytes,
    .convolve_floats = convolve_floats,
    .gradient_floats = gradient_floats,
    .convolve = convolve,
    .weight_gradient = weight_gradient,
    .multiply_floats = multiply_floats,
    .multiply = multiply,
    .multiply_larger_depth = multiply_larger_depth,
    .multiply_larger = multiply_larger,
};
