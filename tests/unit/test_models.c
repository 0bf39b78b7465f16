// The networks: parameters and multiplications as published, names and shapes of the authors' files, ranges of
// the outputs. That they compute the right thing is for tests/reference/test_networks.py.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/models/models.h"
#include "common/nn/graph_internal.h" // to count multiplications
#include "common/nn/layers.h"
#include "tests/check.h"

static const struct dvg_model published = {1, 128, 0}, small = {0.25, 64, 0};

struct net {
  struct dvg_graph *g;
  struct dvg_params p;
  struct dvg_scope s;
  struct dvg_model m;
  int output; // the main one
};

static void start(struct net *n, struct dvg_model m) {
  *n = (struct net){.m = m};
  CHECK_OK(dvg_graph_create(&n->g));
  dvg_params_init(&n->p);
  n->s = (struct dvg_scope){&n->p, ""};
}

static void end(struct net *n) {
  dvg_graph_free(&n->g);
  dvg_params_free(&n->p);
}

static int code(struct net *n, const char *name, int64_t N) {
  return dvg_graph_input(n->g, name, N, DVG_CODE, 1, 1);
}

static void build_lightcnn(struct net *n, int64_t N) {
  n->output = dvg_lightcnn(n->g, n->s, n->m, dvg_graph_input(n->g, "image", N, 1, n->m.size, n->m.size));
}
static void build_encoder(struct net *n, int64_t N) {
  n->output = dvg_encoder(n->g, n->s, n->m, dvg_graph_input(n->g, "image", N, 3, n->m.size, n->m.size));
}
static void build_style(struct net *n, int64_t N) {
  n->output = dvg_encoder_style(n->g, n->s, n->m, code(n, "z", N));
}
static void build_decoder(struct net *n, int64_t N) {
  int identity = code(n, "identity", N), z = code(n, "z", N);
  int style = dvg_graph_input(n->g, "style", N, dvg_style_values(n->m), 1, 1);
  int features = dvg_decoder(n->g, n->s, n->m, identity, z, style);
  dvg_decoder_head(n->g, n->s, "nir", features);
  n->output = dvg_decoder_head(n->g, n->s, "vis", features);
}
static void build_discriminator(struct net *n, int64_t N) {
  n->output = dvg_discriminator(n->g, n->s, n->m, dvg_graph_input(n->g, "image", N, 3, n->m.size, n->m.size));
}
static void build_sampler(struct net *n, int64_t N) {
  n->output = dvg_identity_sampler(n->g, n->s, n->m, code(n, "noise", N));
}

// Multiply-adds of one image in convolutions and linear maps.
static int64_t multiplications(const struct net *n) {
  int64_t sum = 0;
  for (int i = 0; i < n->g->n_nodes; i++) {
    const struct node *k = &n->g->nodes[i];
    if (!k->params) continue;
    int64_t weights = k->params->list[k->weight].count,
            of = k->op == &dvg_op_linear ? 1 : k->shape.H * k->shape.W;
    // A transposed convolution of stride 2 uses a quarter of its weights at each place of its output.
    sum += weights * of / (k->conv.transposed ? 4 : 1);
  }
  return sum;
}

static void check_shape(const struct net *n, const char *name, int n_dims, int64_t a, int64_t b, int64_t c,
                        int64_t d) {
  const int64_t want[4] = {a, b, c, d};
  int64_t i = dvg_params_find(&n->p, name);
  int good = i >= 0 && n->p.list[i].n_dims == n_dims;
  for (int k = 0; good && k < n_dims; k++) good = n->p.list[i].dims[k] == want[k];
  if (!good) printf("  %s is missing or has another shape\n", name);
  CU_ASSERT(good);
}

static void check_output(const struct net *n, int64_t N, int64_t C, int64_t H) {
  struct dvg_shape s = dvg_graph_shape(n->g, n->output);
  CU_ASSERT_EQUAL(s.N, N);
  CU_ASSERT_EQUAL(s.C, C);
  CU_ASSERT_EQUAL(s.H, H);
  CU_ASSERT_EQUAL(s.W, H);
}

// ---- the published sizes: 10.48 M parameters, 3.62 G multiplications; 2.62 M + 3.28 M, 0.314 G; 2.03 M, 1.444
// G. The exact numbers were counted on another implementation (tests/reference/networks.py).

static void lightcnn(void) {
  struct net n;
  start(&n, published);
  build_lightcnn(&n, 1);
  check_output(&n, 1, 256, 1);
  CU_ASSERT_EQUAL(n.p.n_params, 60); // 29 convolutions and fc, weight and bias each
  CU_ASSERT_EQUAL(n.p.n_values, 10475872);
  CU_ASSERT_EQUAL(multiplications(&n), 3617062912);
  check_shape(&n, "conv1.filter.weight", 4, 96, 1, 5, 5);
  check_shape(&n, "block1.0.conv1.filter.weight", 4, 96, 48, 3, 3);
  check_shape(&n, "block2.1.conv2.filter.bias", 1, 192, 0, 0, 0);
  check_shape(&n, "group1.conv_a.filter.weight", 4, 96, 48, 1, 1);
  check_shape(&n, "group3.conv_a.filter.weight", 4, 384, 192, 1, 1);
  check_shape(&n, "group3.conv.filter.weight", 4, 256, 192, 3, 3);
  check_shape(&n, "block3.2.conv1.filter.weight", 4, 384, 192, 3, 3);
  check_shape(&n, "block4.3.conv2.filter.weight", 4, 256, 128, 3, 3);
  check_shape(&n, "group4.conv.filter.bias", 1, 256, 0, 0, 0);
  check_shape(&n, "fc.weight", 2, 256, 8192, 0, 0);
  CU_ASSERT_EQUAL(dvg_params_find(&n.p, "block2.2.conv1.filter.weight"), -1);
  int items = dvg_graph_integers(n.g, "item", 1);
  n.output = dvg_lightcnn_classifier(n.g, n.s, n.output, 725, 1, items);
  check_output(&n, 1, 725, 1);
  check_shape(&n, "fc2_.weight", 2, 725, 256, 0, 0);
  CU_ASSERT_EQUAL(n.p.n_params, 61); // no bias
  end(&n);
}

static void encoder(void) {
  struct net n;
  start(&n, published);
  build_encoder(&n, 1);
  check_output(&n, 1, 256, 1);
  CU_ASSERT_EQUAL(n.p.n_values, 2618944);
  int64_t image = multiplications(&n);
  CU_ASSERT_EQUAL(image, 317325312 - 3276800); // 0.314 G without the style's three maps
  check_shape(&n, "conv.0.conv.weight", 4, 32, 3, 5, 5);
  check_shape(&n, "conv.3.conv.weight", 4, 256, 128, 3, 3);
  check_shape(&n, "conv.5.conv.bias", 1, 256, 0, 0, 0);
  check_shape(&n, "fc_enc.weight", 2, 256, 4096, 0, 0);
  check_shape(&n, "fc_enc.bias", 1, 256, 0, 0, 0);
  CU_ASSERT_EQUAL(n.p.n_params, 14);
  int64_t before = n.p.n_values;
  build_style(&n, 1);
  check_output(&n, 1, 448, 1);
  CU_ASSERT_EQUAL(n.p.n_values - before, 3280320);
  CU_ASSERT_EQUAL(multiplications(&n) - image, 256 * 1024 + 1024 * 2048 + 2048 * 448);
  check_shape(&n, "fc_style.0.weight", 2, 1024, 256, 0, 0);
  check_shape(&n, "fc_style.2.weight", 2, 2048, 1024, 0, 0);
  check_shape(&n, "fc_style.4.bias", 1, 448, 0, 0, 0);
  end(&n);
}

static void decoder(void) {
  struct net n;
  start(&n, published);
  build_decoder(&n, 1);
  check_output(&n, 1, 3, 128);
  CU_ASSERT_EQUAL(n.p.n_values, 2033190);
  CU_ASSERT_EQUAL(multiplications(&n), 1444413440 + 3 * 32 * 128 * 128); // one head, and the other
  check_shape(&n, "fc.0.weight", 2, 2048, 512, 0, 0);
  check_shape(&n, "conv.0.conv.weight", 4, 128, 128, 2, 2);
  check_shape(&n, "conv.1.conv1.conv.weight", 4, 128, 128, 3, 3);
  check_shape(&n, "conv.4.conv.weight", 4, 128, 64, 2, 2); // transposed: in, out
  check_shape(&n, "conv.7.conv2.conv.weight", 4, 64, 64, 3, 3);
  check_shape(&n, "conv.8.conv.weight", 4, 64, 32, 2, 2);
  check_shape(&n, "conv.11.conv2.conv.weight", 4, 32, 32, 3, 3);
  check_shape(&n, "conv.12.conv.bias", 1, 32, 0, 0, 0);
  check_shape(&n, "nir_output.weight", 4, 3, 32, 1, 1);
  check_shape(&n, "vis_output.weight", 4, 3, 32, 1, 1);
  CU_ASSERT_EQUAL(n.p.n_params, 44);
  end(&n);
}

static void discriminator(void) {
  struct net n;
  start(&n, published);
  build_discriminator(&n, 2);
  struct dvg_shape s = dvg_graph_shape(n.g, n.output);
  CU_ASSERT(s.N == 2 && s.C == 1 && s.H == 8 && s.W == 8); // a verdict on each 16x16 pixels
  CU_ASSERT_EQUAL(n.p.n_params, 10);
  CU_ASSERT_EQUAL(n.p.n_values,
                  64 * 48 + 64 + 128 * 1024 + 128 + 256 * 2048 + 256 + 512 * 4096 + 512 + 512 * 9 + 1);
  check_shape(&n, "conv.0.weight", 4, 64, 3, 4, 4);
  check_shape(&n, "conv.3.weight", 4, 512, 256, 4, 4);
  check_shape(&n, "output.weight", 4, 1, 512, 3, 3);
  end(&n);
}

static void sampler(void) {
  struct net n;
  start(&n, published);
  build_sampler(&n, 2);
  check_output(&n, 2, 256, 1);
  CU_ASSERT_EQUAL(n.p.n_values, 256 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 512 + 512 + 512 * 256 + 256);
  check_shape(&n, "fc.0.weight", 2, 1024, 256, 0, 0);
  check_shape(&n, "fc.4.weight", 2, 512, 1024, 0, 0);
  check_shape(&n, "fc.6.bias", 1, 256, 0, 0, 0);
  end(&n);
  start(&n, published);
  int mean, log_variance;
  dvg_identity_encoder(n.g, n.s, n.m, code(&n, "embedding", 2), &mean, &log_variance);
  CU_ASSERT(mean != log_variance && dvg_graph_shape(n.g, mean).C == 256 &&
            dvg_graph_shape(n.g, log_variance).C == 256);
  check_shape(&n, "fc.0.weight", 2, 512, 256, 0, 0);
  check_shape(&n, "fc.4.weight", 2, 1024, 1024, 0, 0);
  end(&n);
}

// ---- other sizes

static void small_sizes(void) {
  struct net n;
  start(&n, small);
  build_lightcnn(&n, 3);
  check_output(&n, 3, 256, 1);
  check_shape(&n, "conv1.filter.weight", 4, 24, 1, 5, 5);
  check_shape(&n, "block3.0.conv1.filter.weight", 4, 96, 48, 3, 3);
  check_shape(&n, "fc.weight", 2, 256, 32 * 4 * 4, 0, 0);
  end(&n);
  start(&n, small);
  build_encoder(&n, 3);
  check_output(&n, 3, 256, 1);
  check_shape(&n, "conv.5.conv.weight", 4, 64, 64, 3, 3);
  check_shape(&n, "fc_enc.weight", 2, 256, 64 * 2 * 2, 0, 0); // down to 2x2
  build_style(&n, 3);
  check_shape(&n, "fc_style.2.weight", 2, 512, 256, 0, 0);
  check_shape(&n, "fc_style.4.weight", 2, 7 * 2 * 8, 512, 0, 0);
  CU_ASSERT_EQUAL(dvg_style_values(small), 7 * 2 * 8);
  end(&n);
  start(&n, small);
  build_decoder(&n, 3);
  check_output(&n, 3, 3, 64);
  check_shape(&n, "fc.0.weight", 2, 32 * 2 * 2, 512, 0, 0); // starts at 2x2; codes keep 256 values
  check_shape(&n, "conv.12.conv.weight", 4, 8, 8, 3, 3);
  end(&n);
  start(&n, small);
  build_sampler(&n, 3);
  check_output(&n, 3, 256, 1);
  check_shape(&n, "fc.2.weight", 2, 256, 256, 0, 0);
  end(&n);
}

static void scaled_channels(void) {
  CU_ASSERT_EQUAL(dvg_model_channels(published, 48), 48);
  CU_ASSERT_EQUAL(dvg_model_channels(small, 48), 12);
  CU_ASSERT_EQUAL(dvg_model_channels((struct dvg_model){0.3, 64, 0}, 48), 14); // 14.4
  CU_ASSERT_EQUAL(dvg_model_channels((struct dvg_model){0.3, 64, 0}, 32), 10); // 9.6
  CU_ASSERT_EQUAL(dvg_model_channels((struct dvg_model){0.001, 64, 0}, 48), 1);
  CU_ASSERT_EQUAL(dvg_model_channels((struct dvg_model){2, 64, 0}, 48), 96);
}

// ---- what comes out

static enum dvg_status fill(void *context, const char *name, struct dvg_shape s, const float *values,
                            const int64_t *integers) {
  uint64_t *seed = context;
  (void)integers;
  dvg_test_fill((float *)values, dvg_shape_count(s), ++*seed, 1);
  for (int64_t i = 0; strcmp(name, "image") == 0 && i < dvg_shape_count(s); i++) // in [0,1]
    ((float *)values)[i] = 1 / (1 + expf(-values[i]));
  return DVG_OK;
}

static const float *run(struct net *n, int training) {
  uint64_t seed = 0;
  dvg_graph_keep(n->g, n->output);
  CHECK_OK(dvg_graph_plan(n->g, training));
  dvg_params_initialize(&n->p, 5);
  CHECK_OK(dvg_graph_each_input(n->g, fill, &seed));
  dvg_graph_forward(n->g);
  return dvg_graph_values(n->g, n->output);
}

static void check_unit_rows(const char *what, const float *y, int64_t N) {
  float norms[8];
  double ones[8];
  for (int64_t i = 0; i < N; i++) {
    double sum = 0;
    for (int64_t k = 0; k < DVG_CODE; k++) sum += (double)y[i * DVG_CODE + k] * y[i * DVG_CODE + k];
    norms[i] = (float)sqrt(sum);
    ones[i] = 1;
  }
  CHECK_CLOSE(what, norms, ones, N, 1e-6);
}

static int rows_differ(const float *y, int64_t row) {
  double sum = 0;
  for (int64_t k = 0; k < row; k++) sum += fabs((double)y[k] - y[row + k]);
  return sum / (double)row > 1e-6;
}

static void ranges(void) {
  struct net n;
  start(&n, small);
  build_encoder(&n, 3);
  const float *y = run(&n, 0);
  check_unit_rows("z", y, 3);
  CU_ASSERT(rows_differ(y, DVG_CODE));
  end(&n);

  start(&n, small);
  build_sampler(&n, 3);
  y = run(&n, 0);
  check_unit_rows("sampled identity", y, 3);
  CU_ASSERT(rows_differ(y, DVG_CODE));
  end(&n);

  start(&n, small);
  build_lightcnn(&n, 3);
  y = run(&n, 0);
  double length = 0;
  for (int k = 0; k < DVG_CODE; k++) length += (double)y[k] * y[k];
  CU_ASSERT(isfinite(length) && length > 0 && fabs(length - 1) > 1e-3); // not normalised
  CU_ASSERT(rows_differ(y, DVG_CODE));
  end(&n);

  start(&n, small);
  build_decoder(&n, 3);
  y = run(&n, 0);
  int64_t row = 3 * 64 * 64;
  float low = 1, high = 0;
  for (int64_t i = 0; i < 3 * row; i++) {
    low = fminf(low, y[i]), high = fmaxf(high, y[i]);
    if (!(y[i] >= 0 && y[i] <= 1)) CU_FAIL("a pixel outside of [0,1]");
  }
  CU_ASSERT(high - low > 0.01f);
  CU_ASSERT(rows_differ(y, row));
  end(&n);
}

// The variational encoder is the other one and a second last layer; the mean is what the other one normalises.
static void variational_encoder(void) {
  struct net n;
  int mean, log_variance;
  start(&n, small);
  build_encoder(&n, 2);
  dvg_encoder_posterior(n.g, n.s, n.m, 0, &mean, &log_variance);
  CU_ASSERT_EQUAL(n.p.n_params, 14 + 2);
  check_shape(&n, "fc_log_variance.weight", 2, 256, 64 * 2 * 2, 0, 0);
  check_shape(&n, "fc_log_variance.bias", 1, 256, 0, 0, 0);
  dvg_graph_keep(n.g, mean), dvg_graph_keep(n.g, log_variance);
  const float *z = run(&n, 0), *mu = dvg_graph_values(n.g, mean), *l = dvg_graph_values(n.g, log_variance);
  for (int64_t i = 0; i < 2; i++) {
    float unit[DVG_CODE], norm;
    double want[DVG_CODE];
    dvg_l2_forward(unit, &norm, mu + i * DVG_CODE, 1, DVG_CODE);
    for (int k = 0; k < DVG_CODE; k++) want[k] = unit[k];
    CHECK_CLOSE("normalised mean", z + i * DVG_CODE, want, DVG_CODE, 0);
    CU_ASSERT(fabsf(norm - 1) > 1e-3f);
  }
  CU_ASSERT(rows_differ(l, DVG_CODE) && memcmp(mu, l, DVG_CODE * sizeof *l) != 0);
  end(&n);
}

// Planned for training or not, a network gives the same bits; the latter in much less memory.
static void training_changes_nothing(void) {
  static void (*const builds[])(struct net *, int64_t) = {build_lightcnn, build_encoder, build_style,
                                                          build_decoder,  build_sampler, build_discriminator};
  for (int i = 0; i < 6; i++) {
    struct net a, b;
    start(&a, small), start(&b, small);
    builds[i](&a, 2), builds[i](&b, 2);
    dvg_graph_loss_dot(a.g, "loss", a.output, a.output, 1, 1);
    const float *y = run(&a, 1), *z = run(&b, 0);
    int64_t count = dvg_shape_count(dvg_graph_shape(a.g, a.output));
    CU_ASSERT_EQUAL(memcmp(y, z, (size_t)count * sizeof *y), 0);
    dvg_graph_backward(a.g);
    CU_ASSERT_EQUAL(memcmp(y, z, (size_t)count * sizeof *y), 0); // kept
    end(&a), end(&b);
  }
}

static void inference_memory(void) {
  static void (*const builds[])(struct net *, int64_t) = {build_lightcnn, build_decoder};
  for (int i = 0; i < 2; i++) {
    struct net n;
    start(&n, small);
    builds[i](&n, 8);
    CHECK_OK(dvg_graph_plan(n.g, 0));
    int64_t all = 0;
    for (int k = 0; k < n.g->n_nodes; k++) all += dvg_shape_count(n.g->nodes[k].shape) * (int64_t)sizeof(float);
    int64_t scratch = n.g->scratch_count * (int64_t)sizeof(float);
    CU_ASSERT(dvg_graph_bytes(n.g) - scratch < all / 4);
    end(&n);
  }
}

// Initialisation draws each parameter by name: a network's values don't depend on what else is in the set.
static void initialisation_by_name(void) {
  struct net a, b;
  start(&a, small), start(&b, small);
  build_encoder(&a, 1);
  build_style(&b, 1), build_encoder(&b, 1);
  CHECK_OK(dvg_graph_plan(a.g, 0));
  CHECK_OK(dvg_graph_plan(b.g, 0));
  dvg_params_initialize(&a.p, 5), dvg_params_initialize(&b.p, 5);
  const struct dvg_param *p = &a.p.list[dvg_params_find(&a.p, "conv.3.conv.weight")];
  const struct dvg_param *q = &b.p.list[dvg_params_find(&b.p, "conv.3.conv.weight")];
  CU_ASSERT(p->first != q->first);
  CU_ASSERT_EQUAL(memcmp(a.p.value + p->first, b.p.value + q->first, (size_t)p->count * sizeof(float)), 0);
  float bound = 1 / sqrtf(32 * 9), largest = 0;
  double sum = 0;
  for (int64_t k = 0; k < p->count; k++) {
    largest = fmaxf(largest, fabsf(a.p.value[p->first + k]));
    sum += a.p.value[p->first + k];
  }
  CU_ASSERT(largest <= bound && largest > 0.99f * bound);
  CU_ASSERT(fabs(sum / (double)p->count) < 0.02 * (double)bound);
  end(&a), end(&b);
}

static void wrong_sizes_are_refused(void) {
  struct net n;
  dvg_log_quiet(1);
  start(&n, published);
  dvg_encoder(n.g, n.s, n.m,
              code(&n, "no image", 1)); // one place is too few for nothing: refused at fc_enc or before
  dvg_decoder(n.g, n.s, n.m, code(&n, "a", 2), code(&n, "b", 3), code(&n, "style", 2));
  CU_ASSERT_EQUAL(dvg_graph_plan(n.g, 0), DVG_ERROR_INTERNAL);
  end(&n);
  start(&n, published);
  dvg_decoder(n.g, n.s, n.m, code(&n, "a", 2), code(&n, "b", 2), code(&n, "style", 2)); // 448 values are needed
  CU_ASSERT_EQUAL(dvg_graph_plan(n.g, 0), DVG_ERROR_INTERNAL);
  end(&n);
  start(&n, small);
  dvg_lightcnn(n.g, n.s, n.m, dvg_graph_input(n.g, "image", 1, 1, 8, 8)); // four pools
  CU_ASSERT_EQUAL(dvg_graph_plan(n.g, 0), DVG_ERROR_INTERNAL);
  end(&n);
  dvg_log_quiet(0);
}

const struct dvg_test dvg_tests[] = {{"lightcnn", lightcnn},
                                     {"encoder", encoder},
                                     {"variational encoder", variational_encoder},
                                     {"decoder", decoder},
                                     {"discriminator", discriminator},
                                     {"sampler", sampler},
                                     {"small sizes", small_sizes},
                                     {"scaled channels", scaled_channels},
                                     {"ranges", ranges},
                                     {"training changes nothing", training_changes_nothing},
                                     {"inference memory", inference_memory},
                                     {"initialisation by name", initialisation_by_name},
                                     {"wrong sizes are refused", wrong_sizes_are_refused},
                                     {NULL, NULL}};
