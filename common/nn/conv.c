#include "common/nn/conv.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/lanes.h"
#include "common/nn/layers.h"
#include "common/nn/winograd.h"

static int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
static int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}

// ---- which kernels

static int can_run(const struct winograd_kernels *kernels) {
#if defined(__x86_64__)
  if (kernels == &dvg_winograd_avx512_bf16 && !__builtin_cpu_supports("avx512bf16")) return 0;
  if (kernels == &dvg_winograd_avx512 || kernels == &dvg_winograd_avx512_bf16)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
  if (kernels == &dvg_winograd_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return kernels == &dvg_winograd_generic;
}

// The best table that this CPU runs, or the one called `name`; NULL if it can't. Less than float32 is only
// taken by its name.
static const struct winograd_kernels *find_kernels(const char *name) {
  static const struct winograd_kernels *const best_first[] = {
      &dvg_winograd_avx512, &dvg_winograd_avx2, &dvg_winograd_generic, &dvg_winograd_avx512_bf16};
  for (int i = 0; i < 4; i++) {
    const int meant = name ? strcmp(name, best_first[i]->name) == 0 : best_first[i] != &dvg_winograd_avx512_bf16;
    if (meant && can_run(best_first[i])) return best_first[i];
  }
  return NULL;
}

static const struct winograd_kernels *selected;

static const struct winograd_kernels *winograd(void) {
  if (!selected) {
    const char *wish = getenv("DVG_KERNELS");
    selected = wish ? find_kernels(wish) : NULL;
    if (!selected) selected = find_kernels(NULL);
  }
  return selected;
}

const char *dvg_conv_kernels(void) {
  return winograd()->name;
}

int dvg_conv_use_kernels(const char *name) {
  const struct winograd_kernels *kernels = find_kernels(name);
  if (kernels) selected = kernels;
  return kernels != NULL;
}

int dvg_conv_use_bfloat16(void) {
  return dvg_conv_use_kernels(dvg_winograd_avx512_bf16.name);
}

// ---- products of matrices

static int blas_size(int64_t n) {
  assert(n >= 0 && n <= INT_MAX);
  return (int)n;
}

static struct matrix rows_of(const float *at, int64_t row) {
  return (struct matrix){.at = at, .row = row};
}
static struct matrix columns_of(const float *at, int64_t row) {
  return (struct matrix){.at = at, .row = row, .transposed = 1};
}

// By BLAS, for the linear maps: c (m x n) = or += a (m x k) b (k x n), row-major; a and b may be stored
// transposed.
static void blas_multiply(float *c, int64_t c_row, struct matrix a, struct matrix b, int64_t m, int64_t n,
                          int64_t k, int add) {
  if (m == 0 || n == 0) return;
  cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
              blas_size(m), blas_size(n), blas_size(k), 1.0f, a.at, blas_size(a.row), b.at, blas_size(b.row),
              add ? 1.0f : 0.0f, c, blas_size(c_row));
}

// The same for the convolutions, by our own kernels: as fast as OpenBLAS at its best, three times as fast where
// it doesn't know the CPU and falls back to SSE3 (0.3.21 on Xeons newer than itself), and each sum's order
// depends on its length alone. `scratch` begins with what this needs, here and wherever it is passed on.
static void multiply(float *c, int64_t c_row, struct matrix a, struct matrix b, int64_t m, int64_t n, int64_t k,
                     int add, float *scratch) {
  const struct product p = {.c = c, .c_row = c_row, .a = a, .b = b, .m = m, .n = n, .k = k, .add = add};
  winograd()->multiply(&p, scratch);
}

// The gradient of K channels: as it is or, with a winner, from that of their maximum.
static struct matrix gradient_of(const float *at, int64_t row, const signed char *winner, int64_t K) {
  return (struct matrix){.at = at, .row = row, .winner = winner, .winner_row = row, .half = K / 2};
}

static float *behind_multiply(float *scratch) {
  return scratch + winograd()->multiply_floats();
}

enum { CHUNK = 1024 };

// total + the sum of x, in lanes, then in double: the largest planes have 16384 places, too many for one float.
WIDE static double add_sum(double total, const float *restrict x, int64_t n) {
  int64_t i = 0;
  while (n - i >= 16) {
    float lane[16] = {0};
    const int64_t end = i + at_most((n - i) / 16 * 16, CHUNK);
    for (; i < end; i += 16)
      for (int l = 0; l < 16; l++) lane[l] += x[i + l];
    for (int l = 0; l < 16; l++) total += lane[l];
  }
  for (; i < n; i++) total += x[i];
  return total;
}

// The values of a maximum's gradient that are a channel's own, zeros for the others: the one that won, with
// flip -1 the one that lost.
WIDE static void take_own(float *restrict own, const float *restrict x, const signed char *restrict winner,
                          int flip, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    bits &= (uint32_t)(winner[i] ^ flip);
    memcpy(&own[i], &bits, sizeof bits);
  }
}

// The sum of n values of a row of a matrix.
static double sum_of(const struct matrix *a, int64_t row, int64_t first, int64_t n) {
  double total = 0;
  float own[CHUNK];
  const int64_t stored = a->winner ? row % a->half : row;
  const float *x = a->at + stored * a->row + first;
  if (!a->winner) return add_sum(0, x, n);
  const signed char *winner = a->winner + stored * a->winner_row + first;
  for (int64_t i = 0; i < n; i += CHUNK) {
    const int64_t part = at_most(n - i, CHUNK);
    take_own(own, x + i, winner + i, row < a->half ? 0 : -1, part);
    total = add_sum(total, own, part);
  }
  return total;
}

// sums (K) += the sums of the rows of dy (K, n_images parts), each part by itself.
static void add_row_sums(double *sums, const struct matrix *dy, int64_t K, int64_t n_images, int64_t part) {
  for (int64_t k = 0; k < K; k++)
    for (int64_t n = 0; n < n_images; n++) sums[k] += sum_of(dy, k, n * part, part);
}

// dbias (K) += sums of dy (N,K,places) or, with a winner, of the gradient of the maximum.
static void add_bias_gradient(float *dbias, const float *dy, const signed char *winner, int64_t N, int64_t K,
                              int64_t places) {
  const int64_t step = (winner ? K / 2 : K) * places;
  for (int64_t k = 0; k < K; k++) {
    double sum = 0;
    for (int64_t n = 0; n < N; n++) {
      const struct matrix of_image = gradient_of(dy + n * step, places, winner ? winner + n * step : NULL, K);
      sum += sum_of(&of_image, k, 0, places);
    }
    dbias[k] += (float)sum;
  }
}

// ---- shapes

enum path { WINOGRAD, POINTWISE, COLUMNS, TRANSPOSED };

static enum path path_of(const struct dvg_conv *s) {
  if (s->transposed) {
    assert(s->kernel == 2 && s->stride == 2 && s->pad == 0);
    return TRANSPOSED;
  }
  if (s->kernel == 3 && s->stride == 1 && s->pad == 1) return WINOGRAD;
  if (s->kernel == 1 && s->stride == 1 && s->pad == 0) return POINTWISE;
  return COLUMNS;
}

int64_t dvg_conv_P(const struct dvg_conv *s) {
  return s->transposed ? 2 * s->H : (s->H + 2 * s->pad - s->kernel) / s->stride + 1;
}

int64_t dvg_conv_Q(const struct dvg_conv *s) {
  return s->transposed ? 2 * s->W : (s->W + 2 * s->pad - s->kernel) / s->stride + 1;
}

static struct winograd_shape winograd_shape(const struct dvg_conv *s, int64_t N, int backward) {
  return (struct winograd_shape){backward ? s->K : s->C, backward ? s->C : s->K, s->H, s->W, N};
}

// ---- im2col: strips of rows of the output, or several whole images where they are small, that fit the cache

struct strips {
  int64_t P, Q;
  int64_t depth;            // rows of the matrix of columns: C kernel kernel
  int64_t n_images;         // images in a strip; 1 if a strip is part of an image
  int64_t n_rows;           // rows of the output in a strip; P if n_images > 1
  int64_t phase_H, phase_W; // of a phase of a strip's input
};

static struct strips make_strips(const struct dvg_conv *s) {
  struct strips t = {
      .P = dvg_conv_P(s), .Q = dvg_conv_Q(s), .depth = s->C * s->kernel * s->kernel, .n_images = 1};
  // 64 Ki floats of columns, half of a usual L2; but no fewer places than a product needs to be worth packing
  // the weights.
  const int64_t places = at_most(at_least(65536 / t.depth, 256), 1024);
  t.n_rows = at_least(at_most(places / at_least(t.Q, 1), t.P), 1);
  if (t.n_rows == t.P) t.n_images = at_least(places / (t.P * t.Q), 1);
  t.phase_H = t.n_rows + (s->kernel - 1) / s->stride;
  t.phase_W = t.Q + (s->kernel - 1) / s->stride;
  return t;
}

static int64_t strip_places(const struct strips *t) {
  return t->n_images * t->n_rows * t->Q;
}

// Floats of all phases of one image's part of a strip.
static int64_t phases_floats(const struct dvg_conv *s, const struct strips *t) {
  return s->C * s->stride * s->stride * t->phase_H * t->phase_W;
}

// What a strip needs, on 64-byte boundaries.
struct strip_scratch {
  double *sums;                // of the bias gradient, K
  int32_t *row_at, *column_at; // of the matrix of columns in the phases: depth, places
  float *columns;              // depth x places, or the phases
  float *output; // K x places: of several images, whose channels aren't where y has them, or of a maximum that
                 // is pooled
};

static int64_t whole_lines(int64_t n_floats) {
  return (n_floats + 15) / 16 * 16;
}

static int64_t columns_floats(const struct dvg_conv *s, const struct strips *t) {
  return whole_lines(at_least(t->depth * strip_places(t), t->n_images * phases_floats(s, t)));
}

static int64_t strips_scratch(const struct dvg_conv *s) {
  const struct strips t = make_strips(s);
  return whole_lines(2 * s->K) + whole_lines(t.depth) + whole_lines(strip_places(&t)) + columns_floats(s, &t) +
         s->K * strip_places(&t);
}

static struct strip_scratch lay_out(float *scratch, const struct dvg_conv *s, const struct strips *t) {
  float *sums = behind_multiply(scratch), *row_at = sums + whole_lines(2 * s->K),
        *column_at = row_at + whole_lines(t->depth), *columns = column_at + whole_lines(strip_places(t));
  return (struct strip_scratch){(double *)(void *)sums, (int32_t *)(void *)row_at, (int32_t *)(void *)column_at,
                                columns, columns + columns_floats(s, t)};
}

// The places q of an output row whose input column q * stride - pad + j is inside of the image: [*begin, *end).
static void inside(int64_t *begin, int64_t *end, const struct dvg_conv *s, int64_t Q, int64_t j) {
  const int64_t low = s->pad - j, high = s->W + s->pad - j; // low <= q * stride < high
  *begin = low > 0 ? at_most((low + s->stride - 1) / s->stride, Q) : 0;
  *end = high > 0 ? at_most((high + s->stride - 1) / s->stride, Q) : 0;
  *end = at_least(*end, *begin);
}

// to[i * step] += from[i]. A step that the compiler knows becomes shuffles of whole registers.
INLINE void scatter_add(float *restrict to, const float *restrict from, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i * step] += from[i];
}
WIDE static void scatter_add_every(float *to, const float *from, int64_t step, int64_t n) {
  if (step == 1) scatter_add(to, from, 1, n);
  else if (step == 2) scatter_add(to, from, 2, n);
  else scatter_add(to, from, step, n);
}

// ---- im2col without the matrix: of an image with its padding, each of the stride^2 phases holds every
// stride-th row and column. A row of the matrix of columns is a window of one phase, so that a product can pack
// its panels from there.

// One row of a phase: to[q] = row[q * stride + j], zeros outside of the image.
INLINE void phase_row(float *restrict to, const float *restrict row, int64_t W, int64_t width, int64_t j,
                      int64_t stride) {
  const int64_t begin = at_most(j < 0 ? (-j + stride - 1) / stride : 0, width);
  const int64_t end = at_least(at_most(W > j ? (W - j + stride - 1) / stride : 0, width), begin);
  for (int64_t q = 0; q < begin; q++) to[q] = 0;
  for (int64_t q = begin; q < end; q++) to[q] = row[q * stride + j];
  for (int64_t q = end; q < width; q++) to[q] = 0;
}

INLINE void image_to_phases_of(float *phases, const float *x, const struct dvg_conv *s, const struct strips *t,
                               int64_t first, const int64_t stride) {
  for (int64_t c = 0; c < s->C; c++)
    for (int64_t i = 0; i < stride; i++)
      for (int64_t j = 0; j < stride; j++)
        for (int64_t p = 0; p < t->phase_H; p++, phases += t->phase_W) {
          const int64_t h = (first + p) * stride + i - s->pad;
          if (h < 0 || h >= s->H) memset(phases, 0, (size_t)t->phase_W * sizeof(float));
          else phase_row(phases, x + (c * s->H + h) * s->W, s->W, t->phase_W, j - s->pad, stride);
        }
}

// Of one image, for the rows of the output from `first` on.
WIDE static void image_to_phases(float *phases, const float *x, const struct dvg_conv *s,
                                 const struct strips *t, int64_t first) {
  if (s->stride == 1) image_to_phases_of(phases, x, s, t, first, 1);
  else if (s->stride == 2) image_to_phases_of(phases, x, s, t, first, 2);
  else image_to_phases_of(phases, x, s, t, first, s->stride);
}

// Where the rows and columns of the matrix are in the phases of a strip.
static void find_columns(const struct strip_scratch *w, const struct dvg_conv *s, const struct strips *t) {
  const int64_t of_phase = t->phase_H * t->phase_W, of_image = phases_floats(s, t), r = s->stride;
  assert(t->n_images * of_image <= INT32_MAX);
  int32_t *at = w->row_at;
  for (int64_t c = 0; c < s->C; c++)
    for (int64_t i = 0; i < s->kernel; i++)
      for (int64_t j = 0; j < s->kernel; j++)
        *at++ = (int32_t)(((c * r + i % r) * r + j % r) * of_phase + i / r * t->phase_W + j / r);
  at = w->column_at;
  for (int64_t n = 0; n < t->n_images; n++)
    for (int64_t p = 0; p < t->n_rows; p++)
      for (int64_t q = 0; q < t->Q; q++) *at++ = (int32_t)(n * of_image + p * t->phase_W + q);
}

// The transpose: adds the columns to dx.
static void columns_to_image(float *dx, const float *columns, int64_t row, const struct dvg_conv *s,
                             const struct strips *t, int64_t first, int64_t n_rows) {
  for (int64_t c = 0; c < s->C; c++)
    for (int64_t i = 0; i < s->kernel; i++)
      for (int64_t j = 0; j < s->kernel; j++, columns += row) {
        int64_t begin, end;
        inside(&begin, &end, s, t->Q, j);
        for (int64_t p = 0; p < n_rows; p++) {
          const int64_t h = (first + p) * s->stride - s->pad + i;
          if (h < 0 || h >= s->H) continue;
          const float *from = columns + p * t->Q + begin;
          float *to = dx + (c * s->H + h) * s->W + (begin * s->stride - s->pad + j);
          scatter_add_every(to, from, s->stride, end - begin);
        }
      }
}

// ---- strips at work

enum operation { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHT };

// What a strip works on. Exactly one of x, y, weight is the result.
struct tensors {
  float *x, *y, *weight;
  const float *bias; // of a forward, or NULL
  float *dbias;      // of the gradient of the weights, or NULL
  int mfm, pool; // y (N,K/2,P,Q) or (N,K/2,P/2,Q/2) is the maximum or its gradient; strips of several images
                 // don't have that
  signed char *winner; // of the maximum; a forward's may be NULL
};

// y = the strip's maximum, pooled; `maximum` (K, places) is scratch.
static void pool_strip(const struct tensors *a, const struct dvg_conv *s, const struct strips *t, int64_t image,
                       int64_t first, int64_t n_rows, const float *maximum, const signed char *winner) {
  const int64_t places = n_rows * t->Q, plane = t->P / 2 * (t->Q / 2);
  for (int64_t k = 0; k < s->K / 2; k++) {
    const int64_t at = (image * (s->K / 2) + k) * plane + first / 2 * (t->Q / 2);
    dvg_pool_forward(a->y + at, maximum + k * places, 1, n_rows, t->Q);
    if (a->winner) dvg_pool_mfm_codes(a->winner + at, maximum + k * places, winner + k * places, n_rows, t->Q);
  }
}

// dy (K, places) = the gradient of all channels.
static void unpool_strip(float *dy, const struct tensors *a, const struct dvg_conv *s, const struct strips *t,
                         int64_t image, int64_t first, int64_t n_rows) {
  const int64_t places = n_rows * t->Q, plane = t->P / 2 * (t->Q / 2), half = s->K / 2;
  for (int64_t k = 0; k < half; k++) {
    const int64_t at = (image * half + k) * plane + first / 2 * (t->Q / 2);
    dvg_pool_mfm_backward(dy + k * places, dy + (half + k) * places, a->y + at, a->winner + at, n_rows, t->Q);
  }
}

static void forward_strip(float *y, int64_t y_row, signed char *winner, const struct tensors *a,
                          const struct dvg_conv *s, const struct matrix *columns, int64_t depth, int64_t places,
                          float *scratch) {
  const struct product p = {.c = y,
                            .c_row = y_row,
                            .a = rows_of(a->weight, depth),
                            .b = *columns,
                            .m = s->K,
                            .n = places,
                            .k = depth,
                            .bias = a->bias};
  if (a->mfm) winograd()->multiply_larger(&p, winner, y_row, scratch);
  else winograd()->multiply(&p, scratch);
}

// Several images' outputs, (image, K, place) <-> (K, image, place).
static void gather_images(float *to, const float *y, int64_t K, int64_t n_images, int64_t part) {
  for (int64_t n = 0; n < n_images; n++)
    for (int64_t k = 0; k < K; k++)
      memcpy(to + (k * n_images + n) * part, y + (n * K + k) * part, (size_t)part * sizeof(float));
}
static void scatter_images(float *y, const float *from, int64_t K, int64_t n_images, int64_t part) {
  for (int64_t n = 0; n < n_images; n++)
    for (int64_t k = 0; k < K; k++)
      memcpy(y + (n * K + k) * part, from + (k * n_images + n) * part, (size_t)part * sizeof(float));
}

// One strip: n_images from `image`, the rows first .. first + n_rows - 1 of each.
static void work_on_strip(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                          const struct strips *t, int64_t image, int64_t n_images, int64_t first,
                          int64_t n_rows, float *scratch) {
  const int64_t part = n_rows * t->Q, places = n_images * part, plane = t->P * t->Q,
                x_image = s->C * s->H * s->W;
  const struct strip_scratch w = lay_out(scratch, s, t);
  // One image's output is a matrix where it is; several are gathered (K, image, place) or scattered.
  const int apart = n_images > 1 || a->pool;
  const int64_t at = image * (a->mfm ? s->K / 2 : s->K) * plane + first * t->Q, y_row = apart ? places : plane;
  float *y = apart ? w.output : a->y + at;
  signed char *winner = !a->winner ? NULL
                        : a->pool  ? (signed char *)(w.output + s->K / 2 * places)
                                   : a->winner + at;
  const struct matrix dy = gradient_of(y, y_row, a->pool ? NULL : winner, s->K);
  if (a->pool && operation != FORWARD) unpool_strip(y, a, s, t, image, first, n_rows);
  if (n_images > 1 && operation != FORWARD) gather_images(y, a->y + at, s->K, n_images, part);
  if (operation != BACKWARD_DATA)
    for (int64_t n = 0; n < n_images; n++)
      image_to_phases(w.columns + n * phases_floats(s, t), a->x + (image + n) * x_image, s, t, first);
  const struct matrix columns = {.at = w.columns,
                                 .row_at = w.row_at,
                                 .column_at = w.column_at,
                                 .transposed = operation == BACKWARD_WEIGHT};

  if (operation == FORWARD) {
    forward_strip(y, y_row, winner, a, s, &columns, t->depth, places, scratch);
    if (a->pool) pool_strip(a, s, t, image, first, n_rows, y, winner);
    if (n_images > 1) scatter_images(a->y + at, y, s->K, n_images, part);
  } else if (operation == BACKWARD_DATA) {
    multiply(w.columns, places, columns_of(a->weight, t->depth), dy, t->depth, places, s->K, 0, scratch);
    for (int64_t n = 0; n < n_images; n++)
      columns_to_image(a->x + (image + n) * x_image, w.columns + n * part, places, s, t, first, n_rows);
  } else {
    multiply(a->weight, t->depth, dy, columns, s->K, t->depth, places, 1, scratch);
    if (a->dbias) add_row_sums(w.sums, &dy, s->K, n_images, part);
  }
}

static void work_on_strips(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                           int64_t N, int add, float *scratch) {
  const struct strips t = make_strips(s);
  assert(!a->mfm || t.n_images == 1);
  const struct strip_scratch w = lay_out(scratch, s, &t);
  double *sums = w.sums;
  if (operation != BACKWARD_DATA) find_columns(&w, s, &t);
  else if (!add) memset(a->x, 0, (size_t)(N * s->C * s->H * s->W) * sizeof(float));
  if (a->dbias) memset(sums, 0, (size_t)s->K * sizeof *sums);
  for (int64_t image = 0; image < N; image += t.n_images)
    for (int64_t first = 0; first < t.P; first += t.n_rows)
      work_on_strip(operation, a, s, &t, image, at_most(t.n_images, N - image), first,
                    at_most(t.n_rows, t.P - first), scratch);
  for (int64_t k = 0; a->dbias && k < s->K; k++) a->dbias[k] += (float)sums[k];
}

// ---- transposed 2x2 stride 2: each input place becomes a 2x2 block; no two overlap

// Some rows of an image's input and, of the output, the twice as many that they become; K channels of W, 2W
// places a row.
struct block_rows {
  int64_t K, H, W, first, n_rows;
};

// Rows at once, whose blocks are 64 Ki floats: half of a usual L2.
static int64_t rows_at_once(const struct dvg_conv *s) {
  return at_least(at_most(65536 / (4 * s->K * s->W), s->H), 1);
}

// Between the rows of y (K, 2H, 2W) and the matrix (K 2 2, n_rows W) that a product makes of an image.
WIDE static void blocks_to_image(float *restrict y, const float *restrict blocks, const float *bias,
                                 const struct block_rows *r) {
  const int64_t W = r->W, places = r->n_rows * W;
  for (int64_t k = 0; k < r->K; k++)
    for (int64_t h = 0; h < 2 * r->n_rows; h++) {
      const float *restrict left = blocks + (4 * k + h % 2 * 2) * places + h / 2 * W, *restrict right =
                                                                                          left + places;
      float *restrict to = y + ((k * r->H + r->first) * 2 + h) * 2 * W;
      const float b = bias ? bias[k] : 0;
      for (int64_t w = 0; w < W; w++) {
        to[2 * w] = left[w] + b;
        to[2 * w + 1] = right[w] + b;
      }
    }
}

WIDE static void image_to_blocks(float *restrict blocks, const float *restrict y, const struct block_rows *r) {
  const int64_t W = r->W, places = r->n_rows * W;
  for (int64_t k = 0; k < r->K; k++)
    for (int64_t h = 0; h < 2 * r->n_rows; h++) {
      float *restrict left = blocks + (4 * k + h % 2 * 2) * places + h / 2 * W, *restrict right = left + places;
      const float *restrict from = y + ((k * r->H + r->first) * 2 + h) * 2 * W;
      for (int64_t w = 0; w < W; w++) {
        left[w] = from[2 * w];
        right[w] = from[2 * w + 1];
      }
    }
}

// Some rows of one image: x (C, H W), y (K, 2H 2W).
static void work_on_blocks(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                           int64_t image, const struct block_rows *r, int add, float *scratch) {
  const int64_t plane = s->H * s->W, places = r->n_rows * s->W, rows = 4 * s->K;
  float *blocks = behind_multiply(scratch), *x = a->x + image * s->C * plane + r->first * s->W,
        *y = a->y + image * rows * plane;
  if (operation != FORWARD) image_to_blocks(blocks, y, r);
  if (operation == BACKWARD_DATA)
    multiply(x, plane, rows_of(a->weight, rows), rows_of(blocks, places), s->C, places, rows, add, scratch);
  if (operation == BACKWARD_WEIGHT)
    multiply(a->weight, rows, rows_of(x, plane), columns_of(blocks, places), s->C, rows, places, 1, scratch);
  if (operation != FORWARD) return;
  multiply(blocks, places, columns_of(a->weight, rows), rows_of(x, plane), rows, places, s->C, 0, scratch);
  blocks_to_image(y, blocks, a->bias, r);
}

static void work_on_transposed(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                               int64_t N, int add, float *scratch) {
  const int64_t n_rows = rows_at_once(s);
  for (int64_t n = 0; n < N; n++)
    for (int64_t first = 0; first < s->H; first += n_rows)
      work_on_blocks(operation, a, s, n,
                     &(struct block_rows){s->K, s->H, s->W, first, at_most(n_rows, s->H - first)}, add,
                     scratch);
}

// ---- public

int64_t dvg_conv_scratch(const struct dvg_conv *s, int64_t N) {
  switch (path_of(s)) {
  case WINOGRAD: {
    const struct winograd_kernels *kernels = winograd();
    const struct winograd_shape forward = winograd_shape(s, N, 0), backward = winograd_shape(s, N, 1);
    return at_least(at_least(kernels->convolve_floats(&forward), kernels->convolve_floats(&backward)),
                    kernels->gradient_floats(&forward));
  }
  case COLUMNS:
    return winograd()->multiply_floats() + strips_scratch(s);
  case TRANSPOSED:
    return winograd()->multiply_floats() + 4 * s->K * rows_at_once(s) * s->W;
  default:
    return winograd()->multiply_floats();
  }
}

int64_t dvg_conv_packed(const struct dvg_conv *s, enum dvg_filters use) {
  if (path_of(s) != WINOGRAD || (use == DVG_FILTERS_MFM && s->K % 2 != 0)) return 0;
  const struct winograd_shape shape = winograd_shape(s, 1, use == DVG_FILTERS_BACKWARD);
  return winograd()->packed_floats(shape.in, shape.out, use);
}

void dvg_conv_pack(const struct dvg_conv *s, float *packed, const float *weight, enum dvg_filters use) {
  if (dvg_conv_packed(s, use) == 0) return;
  const struct winograd_shape shape = winograd_shape(s, 1, use == DVG_FILTERS_BACKWARD);
  winograd()->pack(packed, weight, shape.in, shape.out, use);
}

static void winograd_forward(const struct dvg_conv *s, struct winograd_output y, const float *x,
                             const float *packed, const float *bias, int64_t N, float *scratch) {
  const struct winograd_shape shape = winograd_shape(s, N, 0);
  winograd()->convolve(&shape, &y, (struct winograd_input){.at = x}, packed, bias, scratch);
}

static void winograd_backward_data(const struct dvg_conv *s, float *dx, struct winograd_input dy,
                                   const float *packed, int64_t N, int add, float *scratch) {
  const struct winograd_shape shape = winograd_shape(s, N, 1);
  const struct winograd_output to = {.at = dx, .base = add ? dx : NULL};
  winograd()->convolve(&shape, &to, dy, packed, NULL, scratch);
}

static void winograd_backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                                     struct winograd_input dy, int64_t N, float *scratch) {
  const struct winograd_shape shape = winograd_shape(s, N, 0);
  winograd()->weight_gradient(&shape, dweight, dbias, x, dy, scratch);
}

// ---- 1x1: an image is a matrix as it is

static void work_on_image(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                          int64_t image, int add, float *scratch) {
  const int64_t places = s->H * s->W, at = image * (a->mfm ? s->K / 2 : s->K) * places;
  float *x = a->x + image * s->C * places, *y = a->y + at;
  signed char *winner = a->winner ? a->winner + at : NULL;
  const struct matrix dy = gradient_of(y, places, winner, s->K), columns = rows_of(x, places);
  if (operation == FORWARD) forward_strip(y, places, winner, a, s, &columns, s->C, places, scratch);
  else if (operation == BACKWARD_DATA)
    multiply(x, places, columns_of(a->weight, s->C), dy, s->C, places, s->K, add, scratch);
  else multiply(a->weight, s->C, dy, columns_of(x, places), s->K, s->C, places, 1, scratch);
}

// All shapes but those of WINOGRAD.
static void work(enum operation operation, const struct tensors *a, const struct dvg_conv *s, int64_t N,
                 int add, float *scratch) {
  if (path_of(s) == POINTWISE)
    for (int64_t n = 0; n < N; n++) work_on_image(operation, a, s, n, add, scratch);
  else if (path_of(s) == TRANSPOSED) work_on_transposed(operation, a, s, N, add, scratch);
  else work_on_strips(operation, a, s, N, add, scratch);
}

void dvg_conv_forward(const struct dvg_conv *s, float *y, const float *x, const float *weight,
                      const float *packed, const float *bias, int64_t N, float *scratch) {
  const struct tensors a = {.x = (float *)x, .y = y, .weight = (float *)weight, .bias = bias};
  if (path_of(s) == WINOGRAD)
    winograd_forward(s, (struct winograd_output){.at = y}, x, packed, bias, N, scratch);
  else work(FORWARD, &a, s, N, 0, scratch);
}

void dvg_conv_forward_sums(const struct dvg_conv *s, float *y, double *sums, const float *x,
                           const float *packed, const float *bias, int64_t N, float *scratch) {
  assert(path_of(s) == WINOGRAD);
  memset(sums, 0, (size_t)(N * s->K * 2) * sizeof *sums);
  winograd_forward(s, (struct winograd_output){.at = y, .sums = sums}, x, packed, bias, N, scratch);
}

int dvg_conv_joins_mfm(const struct dvg_conv *s) {
  if (s->K % 2 != 0) return 0;
  const int64_t depth = winograd()->multiply_larger_depth();
  switch (path_of(s)) {
  case WINOGRAD:
    return 1;
  case POINTWISE:
    return s->C <= depth;
  case COLUMNS: {
    const struct strips t = make_strips(s);
    return t.depth <= depth && t.n_images == 1;
  }
  default:
    return 0;
  }
}

int dvg_conv_joins_pool(const struct dvg_conv *s) {
  if (!dvg_conv_joins_mfm(s) || dvg_conv_P(s) % 2 != 0 || dvg_conv_Q(s) % 2 != 0) return 0;
  return path_of(s) == WINOGRAD || (path_of(s) == COLUMNS && make_strips(s).n_rows % 2 == 0);
}

int64_t dvg_conv_winner_bytes(const struct dvg_conv *s, int64_t N, int pool) {
  if (!(pool ? dvg_conv_joins_pool(s) : dvg_conv_joins_mfm(s))) return 0;
  const int64_t H = dvg_conv_P(s) / (pool ? 2 : 1), W = dvg_conv_Q(s) / (pool ? 2 : 1);
  return path_of(s) == WINOGRAD ? winograd()->winner_bytes(s->K, H, W, N) : N * (s->K / 2) * H * W;
}

void dvg_conv_forward_mfm(const struct dvg_conv *s, const struct dvg_conv_maximum *y, const float *x,
                          const float *weight, const float *packed, const float *bias, int64_t N,
                          float *scratch) {
  const struct tensors a = {.x = (float *)x,
                            .y = y->y,
                            .weight = (float *)weight,
                            .bias = bias,
                            .mfm = 1,
                            .pool = y->pool,
                            .winner = y->winner};
  const struct winograd_output out = {
      .use = WINOGRAD_MFM, .at = y->y, .pool = y->pool, .base = y->base, .winner = y->winner};
  assert(y->pool ? dvg_conv_joins_pool(s) && !y->base : dvg_conv_joins_mfm(s));
  assert(!y->base || path_of(s) == WINOGRAD);
  if (path_of(s) == WINOGRAD) winograd_forward(s, out, x, packed, bias, N, scratch);
  else work(FORWARD, &a, s, N, 0, scratch);
}

static void backward_data(const struct dvg_conv *s, float *dx, const struct dvg_conv_gradient *dy,
                          const float *weight, const float *packed, int64_t N, int add, float *scratch) {
  const struct tensors a = {.x = dx,
                            .y = (float *)dy->dy,
                            .weight = (float *)weight,
                            .mfm = dy->winner != NULL,
                            .pool = dy->pool,
                            .winner = (signed char *)dy->winner};
  if (path_of(s) == WINOGRAD)
    winograd_backward_data(s, dx, (struct winograd_input){dy->dy, dy->winner, dy->pool}, packed, N, add,
                           scratch);
  else work(BACKWARD_DATA, &a, s, N, add, scratch);
}

void dvg_conv_backward_data(const struct dvg_conv *s, float *dx, const float *dy, const float *weight,
                            const float *packed, int64_t N, int add, float *scratch) {
  backward_data(s, dx, &(struct dvg_conv_gradient){.dy = dy}, weight, packed, N, add, scratch);
}

void dvg_conv_backward_data_mfm(const struct dvg_conv *s, float *dx, const struct dvg_conv_gradient *dy,
                                const float *weight, const float *packed, int64_t N, int add, float *scratch) {
  assert(dy->winner && dvg_conv_winner_bytes(s, N, dy->pool) > 0);
  backward_data(s, dx, dy, weight, packed, N, add, scratch);
}

static void backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                            const struct dvg_conv_gradient *dy, int64_t N, float *scratch) {
  const struct tensors a = {.x = (float *)x,
                            .y = (float *)dy->dy,
                            .weight = dweight,
                            .dbias = dbias,
                            .mfm = dy->winner != NULL,
                            .pool = dy->pool,
                            .winner = (signed char *)dy->winner};
  if (path_of(s) == WINOGRAD)
    winograd_backward_weight(s, dweight, dbias, x, (struct winograd_input){dy->dy, dy->winner, dy->pool}, N,
                             scratch);
  else work(BACKWARD_WEIGHT, &a, s, N, 1, scratch);
  if (dbias && (path_of(s) == POINTWISE || path_of(s) == TRANSPOSED))
    add_bias_gradient(dbias, dy->dy, dy->winner, N, s->K, dvg_conv_P(s) * dvg_conv_Q(s));
}

void dvg_conv_backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                              const float *dy, int64_t N, float *scratch) {
  backward_weight(s, dweight, dbias, x, &(struct dvg_conv_gradient){.dy = dy}, N, scratch);
}

void dvg_conv_backward_weight_mfm(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                                  const struct dvg_conv_gradient *dy, int64_t N, float *scratch) {
  assert(dy->winner && dvg_conv_winner_bytes(s, N, dy->pool) > 0);
  backward_weight(s, dweight, dbias, x, dy, N, scratch);
}

// ---- linear maps

void dvg_linear_forward(float *y, const float *x, const float *weight, const float *bias, int64_t N, int64_t C,
                        int64_t K) {
  if (bias)
    for (int64_t n = 0; n < N; n++) memcpy(y + n * K, bias, (size_t)K * sizeof(float));
  blas_multiply(y, K, rows_of(x, C), columns_of(weight, C), N, K, C, bias != NULL);
}

void dvg_linear_backward_data(float *dx, const float *dy, const float *weight, int64_t N, int64_t C, int64_t K,
                              int add) {
  blas_multiply(dx, C, rows_of(dy, K), rows_of(weight, C), N, C, K, add);
}

void dvg_linear_backward_weight(float *dweight, float *dbias, const float *x, const float *dy, int64_t N,
                                int64_t C, int64_t K) {
  blas_multiply(dweight, C, columns_of(dy, K), rows_of(x, C), K, C, N, 1);
  if (!dbias) return;
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) dbias[k] += dy[n * K + k];
}
