#include "common/nn/conv.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/lanes.h"
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
  if (kernels == &dvg_winograd_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
  if (kernels == &dvg_winograd_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return kernels == &dvg_winograd_generic;
}

// The best table that this CPU runs, or the one called `name`; NULL if it can't.
static const struct winograd_kernels *find_kernels(const char *name) {
  static const struct winograd_kernels *const best_first[] = {&dvg_winograd_avx512, &dvg_winograd_avx2,
                                                              &dvg_winograd_generic};
  for (int i = 0; i < 3; i++)
    if (can_run(best_first[i]) && (!name || strcmp(name, best_first[i]->name) == 0)) return best_first[i];
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

// The values of a maximum's gradient that are a channel's own, zeros for the others: the one that won, with flip -1 the one that lost.
WIDE static void take_own(float *restrict own, const float *restrict x, const signed char *restrict winner, int flip, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    bits &= (uint32_t)(winner[i] ^ flip);
    memcpy(&own[i], &bits, sizeof bits);
  }
}

static double sum_of(const float *x, const signed char *winner, int flip, int64_t n) {
  double total = 0;
  float own[CHUNK];
  if (!winner) return add_sum(0, x, n);
  for (int64_t i = 0; i < n; i += CHUNK) {
    const int64_t part = at_most(n - i, CHUNK);
    take_own(own, x + i, winner + i, flip, part);
    total = add_sum(total, own, part);
  }
  return total;
}

// dbias (K) += sums of dy (N,K,places); with a winner of dy (N,K/2,places), each value belonging to one of two channels.
static void add_bias_gradient(float *dbias, const float *dy, const signed char *winner, int64_t N, int64_t K, int64_t places) {
  for (int64_t k = 0; k < K; k++) {
    double sum = 0;
    for (int64_t n = 0; n < N; n++) {
      const int64_t half = K / 2, at = (winner ? n * half + k % half : n * K + k) * places;
      sum += sum_of(dy + at, winner ? winner + at : NULL, k < half ? 0 : -1, places);
    }
    dbias[k] += (float)sum;
  }
}

static void fill(float *y, float value, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = value;
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
  int64_t depth;    // rows of the matrix of columns: C kernel kernel
  int64_t n_images; // images in a strip; 1 if a strip is part of an image
  int64_t n_rows;   // rows of the output in a strip; P if n_images > 1
};

static struct strips make_strips(const struct dvg_conv *s) {
  struct strips t = {dvg_conv_P(s), dvg_conv_Q(s), s->C * s->kernel * s->kernel, 1, 0};
  // 64 Ki floats of columns, half of a usual L2; but no fewer places than a product needs to be worth packing
  // the weights.
  const int64_t places = at_most(at_least(65536 / t.depth, 256), 1024);
  t.n_rows = at_least(at_most(places / at_least(t.Q, 1), t.P), 1);
  if (t.n_rows == t.P) t.n_images = at_least(places / (t.P * t.Q), 1);
  return t;
}

static int64_t strip_places(const struct strips *t) {
  return t->n_images * t->n_rows * t->Q;
}

static int64_t strips_scratch(const struct dvg_conv *s) {
  const struct strips t = make_strips(s);
  // the columns (on a 64-byte boundary), and an output of several images, whose channels aren't where y has
  // them
  return (t.depth * strip_places(&t) + 15) / 16 * 16 + s->K * strip_places(&t);
}

// The places q of an output row whose input column q * stride - pad + j is inside of the image: [*begin, *end).
static void inside(int64_t *begin, int64_t *end, const struct dvg_conv *s, int64_t Q, int64_t j) {
  const int64_t low = s->pad - j, high = s->W + s->pad - j; // low <= q * stride < high
  *begin = low > 0 ? at_most((low + s->stride - 1) / s->stride, Q) : 0;
  *end = high > 0 ? at_most((high + s->stride - 1) / s->stride, Q) : 0;
  *end = at_least(*end, *begin);
}

// to[i] = from[i * step], and its transpose to[i * step] += from[i]. A step that the compiler knows becomes shuffles of whole registers.
INLINE void gather(float *restrict to, const float *restrict from, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
}
INLINE void scatter_add(float *restrict to, const float *restrict from, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i * step] += from[i];
}
WIDE static void gather_every(float *to, const float *from, int64_t step, int64_t n) {
  if (step == 1) gather(to, from, 1, n);
  else if (step == 2) gather(to, from, 2, n);
  else gather(to, from, step, n);
}
WIDE static void scatter_add_every(float *to, const float *from, int64_t step, int64_t n) {
  if (step == 1) scatter_add(to, from, 1, n);
  else if (step == 2) scatter_add(to, from, 2, n);
  else scatter_add(to, from, step, n);
}

// Calls for each row of the matrix of columns and each row of the output: one row of inputs <-> Q floats.
// Rows first .. first + n_rows - 1 of the output of one image; `row` floats from one row of columns to the
// next.
static void image_to_columns(float *columns, int64_t row, const float *x, const struct dvg_conv *s,
                             const struct strips *t, int64_t first, int64_t n_rows) {
  for (int64_t c = 0; c < s->C; c++)
    for (int64_t i = 0; i < s->kernel; i++)
      for (int64_t j = 0; j < s->kernel; j++, columns += row) {
        int64_t begin, end;
        inside(&begin, &end, s, t->Q, j);
        for (int64_t p = 0; p < n_rows; p++) {
          const int64_t h = (first + p) * s->stride - s->pad + i;
          float *to = columns + p * t->Q;
          if (h < 0 || h >= s->H) {
            memset(to, 0, (size_t)t->Q * sizeof(float));
            continue;
          }
          const float *from = x + (c * s->H + h) * s->W + (begin * s->stride - s->pad + j);
          fill(to, 0, begin);
          gather_every(to + begin, from, s->stride, end - begin);
          fill(to + end, 0, t->Q - end);
        }
      }
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

enum operation { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHT };

// What a strip works on. Exactly one of x, y, weight is the result.
struct tensors {
  float *x, *y, *weight;
  const float *bias;   // of a forward, or NULL
  int mfm;             // y (N,K/2,P,Q) is the maximum or its gradient; strips of several images don't have that
  signed char *winner; // of the maximum; a forward's may be NULL
};

static void forward_strip(float *y, int64_t y_row, signed char *winner, const struct tensors *a, const struct dvg_conv *s,
                          const float *columns, int64_t depth, int64_t places, float *scratch) {
  const struct product p = {.c = y,
                            .c_row = y_row,
                            .a = rows_of(a->weight, depth),
                            .b = rows_of(columns, places),
                            .m = s->K,
                            .n = places,
                            .k = depth,
                            .bias = a->bias};
  if (a->mfm) winograd()->multiply_larger(&p, winner, y_row, scratch);
  else winograd()->multiply(&p, scratch);
}

// One strip: n_images from `image`, the rows first .. first + n_rows - 1 of each.
static void work_on_strip(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                          const struct strips *t, int64_t image, int64_t n_images, int64_t first,
                          int64_t n_rows, float *scratch) {
  const int64_t part = n_rows * t->Q, places = n_images * part, plane = t->P * t->Q,
                x_image = s->C * s->H * s->W;
  float *columns = behind_multiply(scratch), *gathered = columns + (t->depth * strip_places(t) + 15) / 16 * 16;
  // One image's output is a matrix where it is; several are gathered (K, image, place) or scattered.
  const int64_t at = image * (a->mfm ? s->K / 2 : s->K) * plane + first * t->Q;
  float *y = n_images > 1 ? gathered : a->y + at;
  signed char *winner = a->winner ? a->winner + at : NULL;
  const int64_t y_row = n_images > 1 ? places : plane;
  const struct matrix dy = gradient_of(y, y_row, winner, s->K);
  if (n_images > 1 && operation != FORWARD)
    for (int64_t n = 0; n < n_images; n++)
      for (int64_t k = 0; k < s->K; k++)
        memcpy(y + k * places + n * part, a->y + ((image + n) * s->K + k) * plane,
               (size_t)part * sizeof(float));
  if (operation != BACKWARD_DATA)
    for (int64_t n = 0; n < n_images; n++)
      image_to_columns(columns + n * part, places, a->x + (image + n) * x_image, s, t, first, n_rows);

  if (operation == FORWARD) {
    forward_strip(y, y_row, winner, a, s, columns, t->depth, places, scratch);
    if (n_images > 1)
      for (int64_t n = 0; n < n_images; n++)
        for (int64_t k = 0; k < s->K; k++)
          memcpy(a->y + ((image + n) * s->K + k) * plane, y + k * places + n * part,
                 (size_t)part * sizeof(float));
  } else if (operation == BACKWARD_DATA) {
    multiply(columns, places, columns_of(a->weight, t->depth), dy, t->depth, places, s->K, 0, scratch);
    for (int64_t n = 0; n < n_images; n++)
      columns_to_image(a->x + (image + n) * x_image, columns + n * part, places, s, t, first, n_rows);
  } else {
    multiply(a->weight, t->depth, dy, columns_of(columns, places), s->K, t->depth, places, 1, scratch);
  }
}

static void work_on_strips(enum operation operation, const struct tensors *a, const struct dvg_conv *s, int64_t N,
                           float *scratch) {
  const struct strips t = make_strips(s);
  assert(!a->mfm || t.n_images == 1);
  for (int64_t image = 0; image < N; image += t.n_images)
    for (int64_t first = 0; first < t.P; first += t.n_rows)
      work_on_strip(operation, a, s, &t, image, at_most(t.n_images, N - image), first, at_most(t.n_rows, t.P - first),
                    scratch);
}

// ---- transposed 2x2 stride 2: each input place becomes a 2x2 block; no two overlap

// Between the rows of y (K, 2H, 2W) and the matrix (K 2 2, H W) that a product makes of an image.
static void blocks_to_image(float *y, const float *blocks, const float *bias, int64_t K, int64_t H, int64_t W) {
  for (int64_t k = 0; k < K; k++)
    for (int64_t h = 0; h < H; h++)
      for (int64_t i = 0; i < 2; i++) {
        const float *left = blocks + ((k * 2 + i) * 2 * H + h) * W, *right = left + H * W;
        float *to = y + ((k * H + h) * 2 + i) * 2 * W;
        const float b = bias ? bias[k] : 0;
        for (int64_t w = 0; w < W; w++) {
          to[2 * w] = left[w] + b;
          to[2 * w + 1] = right[w] + b;
        }
      }
}

static void image_to_blocks(float *blocks, const float *y, int64_t K, int64_t H, int64_t W) {
  for (int64_t k = 0; k < K; k++)
    for (int64_t h = 0; h < H; h++)
      for (int64_t i = 0; i < 2; i++) {
        float *left = blocks + ((k * 2 + i) * 2 * H + h) * W, *right = left + H * W;
        const float *from = y + ((k * H + h) * 2 + i) * 2 * W;
        for (int64_t w = 0; w < W; w++) {
          left[w] = from[2 * w];
          right[w] = from[2 * w + 1];
        }
      }
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
    return winograd()->multiply_floats() + 4 * s->K * s->H * s->W;
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
  winograd()->convolve(&shape, &y, (struct winograd_input){x, NULL}, packed, bias, scratch);
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

// Planes of y: all, or those of the maximum.
static int64_t channels_of_y(const struct dvg_conv *s, int mfm) {
  return mfm ? s->K / 2 : s->K;
}

// y and what becomes of it: all channels, or (mfm) their maximum.
struct output {
  float *at;
  const float *base;
  int mfm;
  signed char *winner;
};

static void pointwise_forward(const struct dvg_conv *s, const struct output *y, const float *x, const float *weight, const float *bias,
                              int64_t N, float *scratch) {
  const int64_t places = s->H * s->W, step = channels_of_y(s, y->mfm) * places;
  for (int64_t n = 0; n < N; n++) {
    const struct product p = {.c = y->at + n * step,
                              .c_row = places,
                              .a = rows_of(weight, s->C),
                              .b = rows_of(x + n * s->C * places, places),
                              .m = s->K,
                              .n = places,
                              .k = s->C,
                              .bias = bias};
    if (y->mfm) winograd()->multiply_larger(&p, y->winner ? y->winner + n * step : NULL, places, scratch);
    else winograd()->multiply(&p, scratch);
  }
}

static void forward(const struct dvg_conv *s, const struct output *y, const float *x, const float *weight, const float *packed,
                    const float *bias, int64_t N, float *scratch) {
  const int64_t places = s->H * s->W;
  switch (path_of(s)) {
  case WINOGRAD:
    winograd_forward(s,
                     (struct winograd_output){
                         .use = y->mfm ? WINOGRAD_MFM : WINOGRAD_ALL, .at = y->at, .base = y->base, .winner = y->winner},
                     x, packed, bias, N, scratch);
    break;
  case POINTWISE:
    pointwise_forward(s, y, x, weight, bias, N, scratch);
    break;
  case COLUMNS: {
    const struct tensors a = {
        .x = (float *)x, .y = y->at, .weight = (float *)weight, .bias = bias, .mfm = y->mfm, .winner = y->winner};
    work_on_strips(FORWARD, &a, s, N, scratch);
    break;
  }
  case TRANSPOSED: {
    float *blocks = behind_multiply(scratch);
    for (int64_t n = 0; n < N; n++) {
      multiply(blocks, places, columns_of(weight, 4 * s->K), rows_of(x + n * s->C * places, places), 4 * s->K,
               places, s->C, 0, scratch);
      blocks_to_image(y->at + n * s->K * 4 * places, blocks, bias, s->K, s->H, s->W);
    }
    break;
  }
  }
}

void dvg_conv_forward(const struct dvg_conv *s, float *y, const float *x, const float *weight,
                      const float *packed, const float *bias, int64_t N, float *scratch) {
  forward(s, &(struct output){.at = y}, x, weight, packed, bias, N, scratch);
}

void dvg_conv_forward_sums(const struct dvg_conv *s, float *y, double *sums, const float *x, const float *packed,
                           const float *bias, int64_t N, float *scratch) {
  assert(path_of(s) == WINOGRAD);
  memset(sums, 0, (size_t)(N * s->K * 2) * sizeof *sums);
  winograd_forward(s, (struct winograd_output){.at = y, .sums = sums}, x, packed, bias, N,
                   scratch);
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

int64_t dvg_conv_winner_bytes(const struct dvg_conv *s, int64_t N) {
  if (!dvg_conv_joins_mfm(s)) return 0;
  if (path_of(s) == WINOGRAD) return winograd()->winner_bytes(s->K, s->H, s->W, N);
  return N * (s->K / 2) * dvg_conv_P(s) * dvg_conv_Q(s);
}

void dvg_conv_forward_mfm(const struct dvg_conv *s, const struct dvg_conv_maximum *y, const float *x, const float *weight,
                          const float *packed, const float *bias, int64_t N, float *scratch) {
  const struct output out = {.at = y->y, .base = y->base, .mfm = 1, .winner = y->winner};
  assert(dvg_conv_joins_mfm(s) && (!y->base || path_of(s) == WINOGRAD));
  forward(s, &out, x, weight, packed, bias, N, scratch);
}

static void backward_data(const struct dvg_conv *s, float *dx, const float *dy, const signed char *winner,
                          const float *weight, const float *packed, int64_t N, int add, float *scratch) {
  const int64_t places = s->H * s->W, y_step = channels_of_y(s, winner != NULL) * places;
  switch (path_of(s)) {
  case WINOGRAD:
    winograd_backward_data(s, dx, (struct winograd_input){dy, winner}, packed, N, add, scratch);
    break;
  case POINTWISE:
    for (int64_t n = 0; n < N; n++)
      multiply(dx + n * s->C * places, places, columns_of(weight, s->C),
               gradient_of(dy + n * y_step, places, winner ? winner + n * y_step : NULL, s->K), s->C, places, s->K, add,
               scratch);
    break;
  case COLUMNS: {
    const struct tensors a = {
        .x = dx, .y = (float *)dy, .weight = (float *)weight, .mfm = winner != NULL, .winner = (signed char *)winner};
    if (!add) memset(dx, 0, (size_t)(N * s->C * places) * sizeof(float));
    work_on_strips(BACKWARD_DATA, &a, s, N, scratch);
    break;
  }
  case TRANSPOSED: {
    float *blocks = behind_multiply(scratch);
    for (int64_t n = 0; n < N; n++) {
      image_to_blocks(blocks, dy + n * s->K * 4 * places, s->K, s->H, s->W);
      multiply(dx + n * s->C * places, places, rows_of(weight, 4 * s->K), rows_of(blocks, places), s->C, places,
               4 * s->K, add, scratch);
    }
    break;
  }
  }
}

void dvg_conv_backward_data(const struct dvg_conv *s, float *dx, const float *dy, const float *weight,
                            const float *packed, int64_t N, int add, float *scratch) {
  backward_data(s, dx, dy, NULL, weight, packed, N, add, scratch);
}

void dvg_conv_backward_data_mfm(const struct dvg_conv *s, float *dx, const float *dy, const signed char *winner,
                                const float *weight, const float *packed, int64_t N, int add, float *scratch) {
  assert(dvg_conv_winner_bytes(s, N) > 0);
  backward_data(s, dx, dy, winner, weight, packed, N, add, scratch);
}

static void backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x, const float *dy,
                            const signed char *winner, int64_t N, float *scratch) {
  const int64_t places = s->H * s->W, y_step = channels_of_y(s, winner != NULL) * places;
  switch (path_of(s)) {
  case WINOGRAD:
    winograd_backward_weight(s, dweight, dbias, x, (struct winograd_input){dy, winner}, N, scratch);
    return; // with the bias
  case POINTWISE:
    for (int64_t n = 0; n < N; n++)
      multiply(dweight, s->C, gradient_of(dy + n * y_step, places, winner ? winner + n * y_step : NULL, s->K),
               columns_of(x + n * s->C * places, places), s->K, s->C, places, 1, scratch);
    break;
  case COLUMNS: {
    const struct tensors a = {
        .x = (float *)x, .y = (float *)dy, .weight = dweight, .mfm = winner != NULL, .winner = (signed char *)winner};
    work_on_strips(BACKWARD_WEIGHT, &a, s, N, scratch);
    break;
  }
  case TRANSPOSED: {
    float *blocks = behind_multiply(scratch);
    for (int64_t n = 0; n < N; n++) {
      image_to_blocks(blocks, dy + n * s->K * 4 * places, s->K, s->H, s->W);
      multiply(dweight, 4 * s->K, rows_of(x + n * s->C * places, places), columns_of(blocks, places), s->C, 4 * s->K,
               places, 1, scratch);
    }
    break;
  }
  }
  if (dbias) add_bias_gradient(dbias, dy, winner, N, s->K, dvg_conv_P(s) * dvg_conv_Q(s));
}

void dvg_conv_backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                              const float *dy, int64_t N, float *scratch) {
  backward_weight(s, dweight, dbias, x, dy, NULL, N, scratch);
}

void dvg_conv_backward_weight_mfm(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                                  const float *dy, const signed char *winner, int64_t N, float *scratch) {
  assert(dvg_conv_winner_bytes(s, N) > 0);
  backward_weight(s, dweight, dbias, x, dy, winner, N, scratch);
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
