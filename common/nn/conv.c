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
  winograd()->multiply(c, c_row, a, b, m, n, k, add, scratch);
}

static float *behind_multiply(float *scratch) {
  return scratch + winograd()->multiply_floats();
}

// Sums in lanes, then in double: the largest planes have 16384 places, too many for one float.
static double sum_of(const float *x, int64_t n) {
  double total = 0;
  int64_t i = 0;
  while (n - i >= 16) {
    float lane[16] = {0};
    const int64_t end = i + at_most((n - i) / 16, 64) * 16;
    for (; i < end; i += 16)
      for (int l = 0; l < 16; l++) lane[l] += x[i + l];
    for (int l = 0; l < 16; l++) total += lane[l];
  }
  for (; i < n; i++) total += x[i];
  return total;
}

// dbias (K) += sums of dy (N,K,places).
static void add_bias_gradient(float *dbias, const float *dy, int64_t N, int64_t K, int64_t places) {
  for (int64_t k = 0; k < K; k++) {
    double sum = 0;
    for (int64_t n = 0; n < N; n++) sum += sum_of(dy + (n * K + k) * places, places);
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

// What a strip works on. Exactly one of the three is the result.
struct tensors {
  float *x, *y, *weight;
};

// One strip: n_images from `image`, the rows first .. first + n_rows - 1 of each.
static void work_on_strip(enum operation operation, const struct tensors *a, const struct dvg_conv *s,
                          const struct strips *t, int64_t image, int64_t n_images, int64_t first,
                          int64_t n_rows, float *scratch) {
  const int64_t part = n_rows * t->Q, places = n_images * part, plane = t->P * t->Q,
                x_image = s->C * s->H * s->W;
  float *columns = behind_multiply(scratch), *gathered = columns + (t->depth * strip_places(t) + 15) / 16 * 16;
  // One image's output is a matrix where it is; several are gathered (K, image, place) or scattered.
  float *y = n_images > 1 ? gathered : a->y + image * s->K * plane + first * t->Q;
  const int64_t y_row = n_images > 1 ? places : plane;
  if (n_images > 1 && operation != FORWARD)
    for (int64_t n = 0; n < n_images; n++)
      for (int64_t k = 0; k < s->K; k++)
        memcpy(y + k * places + n * part, a->y + ((image + n) * s->K + k) * plane,
               (size_t)part * sizeof(float));
  if (operation != BACKWARD_DATA)
    for (int64_t n = 0; n < n_images; n++)
      image_to_columns(columns + n * part, places, a->x + (image + n) * x_image, s, t, first, n_rows);

  if (operation == FORWARD) {
    multiply(y, y_row, (struct matrix){a->weight, t->depth, 0}, (struct matrix){columns, places, 0}, s->K,
             places, t->depth, 0, scratch);
    if (n_images > 1)
      for (int64_t n = 0; n < n_images; n++)
        for (int64_t k = 0; k < s->K; k++)
          memcpy(a->y + ((image + n) * s->K + k) * plane, y + k * places + n * part,
                 (size_t)part * sizeof(float));
  } else if (operation == BACKWARD_DATA) {
    multiply(columns, places, (struct matrix){a->weight, t->depth, 1}, (struct matrix){y, y_row, 0}, t->depth,
             places, s->K, 0, scratch);
    for (int64_t n = 0; n < n_images; n++)
      columns_to_image(a->x + (image + n) * x_image, columns + n * part, places, s, t, first, n_rows);
  } else {
    multiply(a->weight, t->depth, (struct matrix){y, y_row, 0}, (struct matrix){columns, places, 1}, s->K,
             t->depth, places, 1, scratch);
  }
}

static void add_bias(float *y, const float *bias, int64_t K, int64_t row, int64_t places) {
  for (int64_t k = 0; k < K; k++)
    for (int64_t p = 0; p < places; p++) y[k * row + p] += bias[k];
}

static void work_on_strips(enum operation operation, const struct tensors *a, const float *bias,
                           const struct dvg_conv *s, int64_t N, float *scratch) {
  const struct strips t = make_strips(s);
  const int64_t plane = t.P * t.Q;
  for (int64_t image = 0; image < N; image += t.n_images) {
    const int64_t n_images = at_most(t.n_images, N - image);
    for (int64_t first = 0; first < t.P; first += t.n_rows) {
      const int64_t n_rows = at_most(t.n_rows, t.P - first);
      work_on_strip(operation, a, s, &t, image, n_images, first, n_rows, scratch);
      if (operation == FORWARD && bias)
        for (int64_t n = image; n < image + n_images; n++)
          add_bias(a->y + n * s->K * plane + first * t.Q, bias, s->K, plane, n_rows * t.Q);
    }
  }
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
  const struct winograd_output to = {.use = add ? WINOGRAD_ADD : WINOGRAD_OVERWRITE, .at = dx};
  winograd()->convolve(&shape, &to, dy, packed, NULL, scratch);
}

static void winograd_backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                                     struct winograd_input dy, int64_t N, float *scratch) {
  const struct winograd_shape shape = winograd_shape(s, N, 0);
  winograd()->weight_gradient(&shape, dweight, dbias, x, dy, scratch);
}

void dvg_conv_forward(const struct dvg_conv *s, float *y, const float *x, const float *weight,
                      const float *packed, const float *bias, int64_t N, float *scratch) {
  const int64_t places = s->H * s->W;
  switch (path_of(s)) {
  case WINOGRAD:
    winograd_forward(s, (struct winograd_output){.use = WINOGRAD_OVERWRITE, .at = y}, x, packed, bias, N, scratch);
    break;
  case POINTWISE:
    for (int64_t n = 0; n < N; n++) {
      float *image = y + n * s->K * places;
      multiply(image, places, (struct matrix){weight, s->C, 0},
               (struct matrix){x + n * s->C * places, places, 0}, s->K, places, s->C, 0, scratch);
      if (bias) add_bias(image, bias, s->K, places, places);
    }
    break;
  case COLUMNS: {
    const struct tensors a = {(float *)x, y, (float *)weight};
    work_on_strips(FORWARD, &a, bias, s, N, scratch);
    break;
  }
  case TRANSPOSED: {
    float *blocks = behind_multiply(scratch);
    for (int64_t n = 0; n < N; n++) {
      multiply(blocks, places, (struct matrix){weight, 4 * s->K, 1},
               (struct matrix){x + n * s->C * places, places, 0}, 4 * s->K, places, s->C, 0, scratch);
      blocks_to_image(y + n * s->K * 4 * places, blocks, bias, s->K, s->H, s->W);
    }
    break;
  }
  }
}

void dvg_conv_forward_sums(const struct dvg_conv *s, float *y, double *sums, const float *x, const float *packed,
                           const float *bias, int64_t N, float *scratch) {
  assert(path_of(s) == WINOGRAD);
  memset(sums, 0, (size_t)(N * s->K * 2) * sizeof *sums);
  winograd_forward(s, (struct winograd_output){.use = WINOGRAD_OVERWRITE, .at = y, .sums = sums}, x, packed, bias, N,
                   scratch);
}

int64_t dvg_conv_winner_bytes(const struct dvg_conv *s, int64_t N) {
  return dvg_conv_packed(s, DVG_FILTERS_MFM) > 0 ? winograd()->winner_bytes(s->K, s->H, s->W, N) : 0;
}

void dvg_conv_forward_mfm(const struct dvg_conv *s, float *y, signed char *winner, const float *x,
                          const float *packed, const float *bias, int64_t N, float *scratch) {
  assert(dvg_conv_packed(s, DVG_FILTERS_MFM) > 0);
  winograd_forward(s, (struct winograd_output){.use = WINOGRAD_MFM, .at = y, .winner = winner}, x, packed, bias, N,
                   scratch);
}

void dvg_conv_backward_data_mfm(const struct dvg_conv *s, float *dx, const float *dy, const signed char *winner,
                                const float *packed, int64_t N, int add, float *scratch) {
  assert(dvg_conv_winner_bytes(s, N) > 0);
  winograd_backward_data(s, dx, (struct winograd_input){dy, winner}, packed, N, add, scratch);
}

void dvg_conv_backward_weight_mfm(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                                  const float *dy, const signed char *winner, int64_t N, float *scratch) {
  assert(dvg_conv_winner_bytes(s, N) > 0);
  winograd_backward_weight(s, dweight, dbias, x, (struct winograd_input){dy, winner}, N, scratch);
}

void dvg_conv_backward_data(const struct dvg_conv *s, float *dx, const float *dy, const float *weight,
                            const float *packed, int64_t N, int add, float *scratch) {
  const int64_t places = s->H * s->W;
  switch (path_of(s)) {
  case WINOGRAD:
    winograd_backward_data(s, dx, (struct winograd_input){dy, NULL}, packed, N, add, scratch);
    break;
  case POINTWISE:
    for (int64_t n = 0; n < N; n++)
      multiply(dx + n * s->C * places, places, (struct matrix){weight, s->C, 1},
               (struct matrix){dy + n * s->K * places, places, 0}, s->C, places, s->K, add, scratch);
    break;
  case COLUMNS: {
    const struct tensors a = {dx, (float *)dy, (float *)weight};
    if (!add) memset(dx, 0, (size_t)(N * s->C * places) * sizeof(float));
    work_on_strips(BACKWARD_DATA, &a, NULL, s, N, scratch);
    break;
  }
  case TRANSPOSED: {
    float *blocks = behind_multiply(scratch);
    for (int64_t n = 0; n < N; n++) {
      image_to_blocks(blocks, dy + n * s->K * 4 * places, s->K, s->H, s->W);
      multiply(dx + n * s->C * places, places, (struct matrix){weight, 4 * s->K, 0},
               (struct matrix){blocks, places, 0}, s->C, places, 4 * s->K, add, scratch);
    }
    break;
  }
  }
}

void dvg_conv_backward_weight(const struct dvg_conv *s, float *dweight, float *dbias, const float *x,
                              const float *dy, int64_t N, float *scratch) {
  const int64_t places = s->H * s->W;
  switch (path_of(s)) {
  case WINOGRAD:
    winograd_backward_weight(s, dweight, dbias, x, (struct winograd_input){dy, NULL}, N, scratch);
    return; // with the bias
  case POINTWISE:
    for (int64_t n = 0; n < N; n++)
      multiply(dweight, s->C, (struct matrix){dy + n * s->K * places, places, 0},
               (struct matrix){x + n * s->C * places, places, 1}, s->K, s->C, places, 1, scratch);
    break;
  case COLUMNS: {
    const struct tensors a = {(float *)x, (float *)dy, dweight};
    work_on_strips(BACKWARD_WEIGHT, &a, NULL, s, N, scratch);
    break;
  }
  case TRANSPOSED: {
    float *blocks = behind_multiply(scratch);
    for (int64_t n = 0; n < N; n++) {
      image_to_blocks(blocks, dy + n * s->K * 4 * places, s->K, s->H, s->W);
      multiply(dweight, 4 * s->K, (struct matrix){x + n * s->C * places, places, 0},
               (struct matrix){blocks, places, 1}, s->C, 4 * s->K, places, 1, scratch);
    }
    break;
  }
  }
  if (dbias) add_bias_gradient(dbias, dy, N, s->K, dvg_conv_P(s) * dvg_conv_Q(s));
}

// ---- linear maps

void dvg_linear_forward(float *y, const float *x, const float *weight, const float *bias, int64_t N, int64_t C,
                        int64_t K) {
  if (bias)
    for (int64_t n = 0; n < N; n++) memcpy(y + n * K, bias, (size_t)K * sizeof(float));
  blas_multiply(y, K, (struct matrix){x, C, 0}, (struct matrix){weight, C, 1}, N, K, C, bias != NULL);
}

void dvg_linear_backward_data(float *dx, const float *dy, const float *weight, int64_t N, int64_t C, int64_t K,
                              int add) {
  blas_multiply(dx, C, (struct matrix){dy, K, 0}, (struct matrix){weight, C, 0}, N, C, K, add);
}

void dvg_linear_backward_weight(float *dweight, float *dbias, const float *x, const float *dy, int64_t N,
                                int64_t C, int64_t K) {
  blas_multiply(dweight, C, (struct matrix){dy, K, 1}, (struct matrix){x, C, 0}, K, C, N, 1);
  if (!dbias) return;
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) dbias[k] += dy[n * K + k];
}
