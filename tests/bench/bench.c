// Speed of this machine and of the networks on one core; tests/bench/run asks, in turn with PyTorch, and draws
// the table.
//
//     bench WIDTH SIZE BATCH
//
// reads requests `NAME SECONDS` and answers each with one line on standard output:
//     NAME  items of a step  seconds of a step (median)  floating point operations of a step  bytes  minor page
//     faults a step  steps  peak bytes of the process
// A step is measured again and again for about SECONDS, after one that does not count. Seconds are those of the
// processor, so that others on the machine count less. Operations are effective ones: two for each
// multiplication that the layers' definition asks for, however it is computed. Bytes: of the graph's arena; of
// the memory moved (read, copy). `info` answers with name, version, kernels and BLAS; `blas` with the
// OPENBLAS_CORETYPE that suits this CPU better, or nothing.
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/models/models.h"
#include "common/nn/graph_internal.h" // the layers' shapes, to count operations
#include "common/nn/optimizer.h"
#include "mpi/placement.h"
#include "stages/train_generator/train_generator.h"
#include "stages/train_recognizer/train_recognizer.h"
#include "stages/train_sampler/train_sampler.h"
#include "tests/bench/median.h"

enum { MAX_STEPS = 4096, CLASSES = 1000, FACES = 4096, CHAINS = 12 };

// ---- timing

struct result {
  double items, seconds, operations, bytes, faults, peak_bytes;
  int64_t steps;
};

static int64_t minor_faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

static double processor_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Starts the peak of memory anew; where the kernel doesn't let us, it is that of all measures so far.
static void reset_peak(void) {
  FILE *f = fopen("/proc/self/clear_refs", "w");
  if (!f) return;
  fputs("5", f);
  fclose(f);
}

static double peak_bytes(void) {
  char line[256];
  long long kilobytes = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) break;
  if (f) fclose(f);
  return 1024.0 * (double)kilobytes;
}

// Fills seconds, faults, steps and peak_bytes of *r.
static void measure(struct result *r, double seconds, void (*step)(void *), void *context) {
  static double times[MAX_STEPS];
  step(context);
  int64_t n = 0, faults = minor_faults();
  const double start = processor_seconds();
  for (double last = start; n < MAX_STEPS && (n < 3 || last - start < seconds); n++) {
    step(context);
    const double now = processor_seconds();
    times[n] = now - last;
    last = now;
  }
  r->faults = (double)(minor_faults() - faults) / (double)n;
  r->seconds = dvg_median(times, n);
  r->steps = n;
  r->peak_bytes = peak_bytes();
}

// ---- the machine

// CHAINS independent sums keep all FMA units busy: their latency times their number is at most 10. Contraction
// is off elsewhere.
#define CHAIN_FUNCTION(name, lanes, attributes)                                                                \
  __attribute__((noinline, optimize("fp-contract=fast"), attributes)) static float name(                       \
      int64_t rounds, const volatile float *factors) {                                                         \
    typedef float vec __attribute__((vector_size(4 * lanes)));                                                 \
    const vec a = (vec){0} + factors[0], b = (vec){0} + factors[1];                                            \
    vec sum[CHAINS];                                                                                           \
    _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) sum[i] = b * (float)i;                           \
    for (int64_t r = 0; r < rounds; r++) {                                                                     \
      _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * a + b;                       \
    }                                                                                                          \
    float total = 0;                                                                                           \
    for (int i = 0; i < CHAINS; i++)                                                                           \
      for (int l = 0; l < lanes; l++) total += sum[i][l];                                                      \
    return total;                                                                                              \
  }
CHAIN_FUNCTION(chains_4, 4, unused)
#if defined(__x86_64__)
CHAIN_FUNCTION(chains_8, 8, target("avx2,fma"))
CHAIN_FUNCTION(chains_16, 16, target("avx512f,fma"))
#endif

struct chains {
  float (*run)(int64_t, const volatile float *);
  int64_t rounds;
  int lanes;
  volatile float factors[2], total;
};

static void run_chains(void *context) {
  struct chains *c = context;
  c->total = c->run(c->rounds, c->factors);
}

static enum dvg_status measure_peak(struct result *r, double seconds) {
  struct chains c = {chains_4, 200000, 4, {0.75f, 0.5f}, 0};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) c.run = chains_16, c.lanes = 16;
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) c.run = chains_8, c.lanes = 8;
#endif
  r->items = 1;
  r->operations = 2.0 * CHAINS * c.lanes * (double)c.rounds;
  measure(r, seconds, run_chains, &c);
  return DVG_OK;
}

struct memory {
  uint64_t *from, *to;
  int64_t n;
  volatile uint64_t total;
};

static void read_memory(void *context) {
  struct memory *m = context;
  uint64_t sum[8] = {0};
  for (int64_t i = 0; i < m->n; i += 8)
    for (int k = 0; k < 8; k++) sum[k] += m->from[i + k];
  for (int k = 0; k < 8; k++) m->total += sum[k];
}

static void copy_memory(void *context) {
  struct memory *m = context;
  memcpy(m->to, m->from, (size_t)m->n * sizeof *m->to);
}

// Arrays of 256 MB, far beyond the caches.
static enum dvg_status measure_memory(struct result *r, double seconds, int copy) {
  struct memory m = {NULL, NULL, INT64_C(1) << 25, 0};
  enum dvg_status status = DVG_NEW(&m.from, m.n, "memory to read");
  if (status == DVG_OK && copy) status = DVG_NEW(&m.to, m.n, "memory to write");
  if (status == DVG_OK) {
    for (int64_t i = 0; i < m.n; i++) m.from[i] = (uint64_t)i; // untouched pages are all the same one
    r->items = 1;
    r->bytes = (double)m.n * (copy ? 16 : 8);
    measure(r, seconds, copy ? copy_memory : read_memory, &m);
  }
  dvg_free(&m.from);
  dvg_free(&m.to);
  return status;
}

// ---- networks

struct net {
  struct dvg_model model;
  int64_t N, step;
  int training, adam;
  struct dvg_graph *g;
  struct dvg_params own, *params; // what is trained: its own or that of a stage's step
  // Of generator_step, of sampler_training alone; a graph knows its parameters by their address.
  struct dvg_generator_step generator;
  struct dvg_sampler_step sampler;
  float *moment1, *moment2;
};

static enum dvg_status build_lightcnn(struct net *n) {
  DVG_TRY(dvg_graph_create(&n->g));
  struct dvg_scope s = {n->params, ""};
  int image = dvg_graph_input(n->g, "image", n->N, 1, n->model.size, n->model.size);
  int embedding = dvg_lightcnn(n->g, s, n->model, image);
  dvg_graph_keep(n->g, embedding);
  if (!n->training) return DVG_OK;
  int items = dvg_graph_integers(n->g, "item", n->N), labels = dvg_graph_integers(n->g, "label", n->N);
  int logits = dvg_lightcnn_classifier(n->g, s, embedding, CLASSES, 1, items);
  dvg_graph_loss_softmax(n->g, "softmax", logits, labels, 1 / (double)n->N, 1);
  return DVG_OK;
}

static enum dvg_status build_encoder(struct net *n) {
  DVG_TRY(dvg_graph_create(&n->g));
  struct dvg_scope s = {n->params, ""};
  int image = dvg_graph_input(n->g, "image", n->N, 3, n->model.size, n->model.size);
  int z = dvg_encoder(n->g, s, n->model, image);
  dvg_graph_keep(n->g, z);
  dvg_graph_keep(n->g, dvg_encoder_style(n->g, s, n->model, z));
  return DVG_OK;
}

static enum dvg_status build_decoder(struct net *n) {
  DVG_TRY(dvg_graph_create(&n->g));
  struct dvg_scope s = {n->params, ""};
  int identity = dvg_graph_input(n->g, "identity", n->N, DVG_CODE, 1, 1);
  int z = dvg_graph_input(n->g, "z", n->N, DVG_CODE, 1, 1);
  int style = dvg_graph_input(n->g, "style", n->N, dvg_style_values(n->model), 1, 1);
  int image = dvg_decoder_head(n->g, s, "vis", dvg_decoder(n->g, s, n->model, identity, z, style));
  dvg_graph_keep(n->g, image);
  n->adam = 1;
  if (!n->training) return DVG_OK;
  int target = dvg_graph_input(n->g, "target", n->N, 3, n->model.size, n->model.size);
  double count = (double)(n->N * 3 * n->model.size * n->model.size);
  dvg_graph_loss_l1(n->g, "pixel", image, target, 1 / count, 1);
  return DVG_OK;
}

static enum dvg_status build_sampler(struct net *n) {
  DVG_TRY(dvg_graph_create(&n->g));
  struct dvg_scope s = {n->params, ""};
  int noise = dvg_graph_input(n->g, "noise", n->N, DVG_CODE, 1, 1);
  dvg_graph_keep(n->g, dvg_identity_sampler(n->g, s, n->model, noise));
  return DVG_OK;
}

// A whole step of dvg-train-sampler's VAE on N features.
static enum dvg_status build_sampler_training(struct net *n) {
  const struct dvg_sampler_settings set = {
      .batch = n->N, .micro_batch = n->N, .kl = 0.002, .width = n->model.width};
  enum dvg_status status = dvg_sampler_build(&n->sampler, &set, DVG_CODE);
  n->g = n->sampler.graph;
  n->params = &n->sampler.params;
  n->adam = 1;
  return status;
}

// A whole step of dvg-train-generator on N people, as published: both encoders, six decoder passes, the
// recogniser on four images of each. A step of a stage also turns the gradient into fixed point and sums it
// over the ranks.
static enum dvg_status build_generator(struct net *n) {
  const struct dvg_generator_settings set = {.domain = "NIR",
                                             .visible = "VIS",
                                             .batch = n->N,
                                             .micro_batch = n->N,
                                             .size = n->model.size,
                                             .width = n->model.width,
                                             .orthogonal = 50,
                                             .pixel = 100,
                                             .pixel_swapped = 0.1,
                                             .pixel_sampled = 0.1,
                                             .identity = 0.1,
                                             .identity_domain = 1,
                                             .identity_pair = 0.05};
  enum dvg_status status = dvg_generator_build(&n->generator, &set, n->model, &n->model, 0);
  n->g = n->generator.graph;
  n->params = &n->generator.params;
  n->adam = 1;
  return status;
}

// A whole step of dvg-train-recognizer, phase II: of N images half are real, half are generated pairs.
static enum dvg_status build_recognizer(struct net *n) {
  const struct dvg_recognizer_settings set = {
      .contrast = DVG_CONTRAST_PUBLIC, .contrast_weight = 0.001, .push = 0.1, .margin = 0.5};
  struct dvg_recognizer_phase phase = {
      .index = 2, .batch = n->N / 2, .n_micro = 1, .real = n->N - n->N / 4 * 2, .pairs = n->N / 4};
  enum dvg_status status = dvg_recognizer_build(&phase, n->params, &set, n->model, CLASSES, 0);
  n->g = phase.graph;
  return status;
}

static enum dvg_status fill(void *context, const char *name, struct dvg_shape s, const float *values,
                            const int64_t *integers) {
  (void)context;
  struct dvg_rng r;
  dvg_rng_init(&r, 1, DVG_STREAM_TEST, dvg_rng_name(name));
  for (int64_t i = 0; values && i < s.N * s.C * s.H * s.W; i++) ((float *)values)[i] = dvg_rng_uniform(&r);
  for (int64_t i = 0; integers && i < s.N; i++) ((int64_t *)integers)[i] = dvg_rng_below(&r, s.N);
  return DVG_OK;
}

// The product once forward; in training once more for the weights where these are trained, and for the input
// where that needs a gradient.
static double operations(const struct net *n) {
  double total = 0;
  for (int i = 0; i < n->g->n_nodes; i++) {
    const struct node *x = &n->g->nodes[i];
    if (x->op != &dvg_op_conv && x->op != &dvg_op_linear) continue;
    const struct dvg_param *weight = &x->params->list[x->weight];
    const struct dvg_shape in = n->g->nodes[x->in[0]].shape;
    int64_t places = 1;
    if (x->op == &dvg_op_conv) places = x->conv.transposed ? in.H * in.W : x->shape.H * x->shape.W;
    const int products = 1 + (x->needs_gradient ? !weight->frozen + n->g->nodes[x->in[0]].needs_gradient : 0);
    total += 2.0 * (double)(x->shape.N * weight->count * places) * products;
  }
  return total;
}

static void run_step(void *context) {
  struct net *n = context;
  struct dvg_params *p = n->params;
  static const struct dvg_sgd sgd = {1e-4, 0.9, 2e-4};
  static const struct dvg_adam adam = {1e-4, 0.5, 0.999, 1e-8, 0};
  dvg_graph_forward(n->g);
  if (!n->training) return;
  memset(p->gradient, 0, (size_t)p->n_values * sizeof *p->gradient);
  dvg_graph_backward(n->g);
  n->step++;
  if (n->adam) dvg_adam_step(&adam, p->value, n->moment1, n->moment2, p->gradient, p->n_values, n->step);
  else dvg_sgd_step(&sgd, p->value, n->moment1, p->gradient, p->n_values);
  dvg_params_changed(p);
}

static enum dvg_status measure_planned(struct result *r, double seconds, struct net *n) {
  DVG_TRY(dvg_graph_plan(n->g, n->training));
  if (n->training) DVG_TRY(DVG_NEW(&n->moment1, n->params->n_values, "optimiser state"));
  if (n->training) DVG_TRY(DVG_NEW(&n->moment2, n->params->n_values, "optimiser state"));
  dvg_params_initialize(n->params, 1);
  struct dvg_params *const frozen[] = {&n->generator.recognizer, &n->generator.sampler};
  for (uint64_t i = 0; i < 2; i++)
    if (frozen[i]->n_params > 0) dvg_params_initialize(frozen[i], 2 + i);
  DVG_TRY(dvg_graph_each_input(n->g, fill, n));
  r->items = (double)n->N;
  r->operations = operations(n);
  r->bytes = (double)dvg_graph_bytes(n->g);
  measure(r, seconds, run_step, n);
  return DVG_OK;
}

static enum dvg_status measure_net(struct result *r, double seconds, struct dvg_model model, int64_t N,
                                   int training, enum dvg_status (*build)(struct net *)) {
  struct net n = {.model = model, .N = N, .training = training};
  n.params = &n.own;
  dvg_params_init(&n.own);
  reset_peak();
  enum dvg_status status = build(&n);
  if (status == DVG_OK) status = measure_planned(r, seconds, &n);
  if (n.generator.graph) dvg_generator_free(&n.generator);
  else if (n.sampler.graph) dvg_sampler_free(&n.sampler);
  else dvg_graph_free(&n.g);
  dvg_params_free(&n.own);
  dvg_free(&n.moment1);
  dvg_free(&n.moment2);
  return status;
}

// ---- all scores of FACES probes against FACES gallery images

struct faces {
  float *probe, *gallery, *score;
};

static void compare(void *context) {
  struct faces *f = context;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, FACES, FACES, DVG_CODE, 1, f->probe, DVG_CODE,
              f->gallery, DVG_CODE, 0, f->score, FACES);
}

static enum dvg_status measure_similarity(struct result *r, double seconds) {
  struct faces f = {0};
  const struct dvg_shape shape = {FACES, DVG_CODE, 1, 1};
  enum dvg_status status = DVG_NEW(&f.probe, FACES * DVG_CODE, "probes");
  if (status == DVG_OK) status = DVG_NEW(&f.gallery, FACES * DVG_CODE, "gallery");
  if (status == DVG_OK) status = DVG_NEW(&f.score, (int64_t)FACES * FACES, "scores");
  if (status == DVG_OK) status = fill(NULL, "probe", shape, f.probe, NULL);
  if (status == DVG_OK) status = fill(NULL, "gallery", shape, f.gallery, NULL);
  if (status == DVG_OK) {
    r->items = (double)FACES * FACES;
    r->operations = 2.0 * DVG_CODE * r->items;
    r->bytes = 4.0 * (2.0 * FACES * DVG_CODE + r->items);
    measure(r, seconds, compare, &f);
  }
  dvg_free(&f.probe);
  dvg_free(&f.gallery);
  dvg_free(&f.score);
  return status;
}

// ---- requests

static const struct {
  const char *name;
  enum dvg_status (*build)(struct net *);
  int training;
  double times_batch; // the sampler's steps are too short for one batch; a generator's item is six images
} nets[] = {{"lightcnn_forward", build_lightcnn, 0, 1},         {"lightcnn_training", build_lightcnn, 1, 1},
            {"encoder_forward", build_encoder, 0, 1},           {"decoder_forward", build_decoder, 0, 1},
            {"decoder_training", build_decoder, 1, 1},          {"sampler_forward", build_sampler, 0, 4},
            {"sampler_training", build_sampler_training, 1, 4}, {"generator_step", build_generator, 1, 0.5},
            {"recognizer_step", build_recognizer, 1, 1}};

static enum dvg_status answer(struct result *r, const char *name, double seconds, struct dvg_model model,
                              int64_t N) {
  if (strcmp(name, "peak") == 0) return measure_peak(r, seconds);
  if (strcmp(name, "read") == 0) return measure_memory(r, seconds, 0);
  if (strcmp(name, "copy") == 0) return measure_memory(r, seconds, 1);
  if (strcmp(name, "similarity") == 0) return measure_similarity(r, seconds);
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
    if (strcmp(name, nets[i].name) == 0)
      return measure_net(r, seconds, model, (int64_t)((double)N * nets[i].times_batch), nets[i].training,
                         nets[i].build);
  return dvg_fail(DVG_ERROR_USAGE, "nothing called %s to measure", name);
}

int main(int argc, char **argv) {
  dvg_log_setup("bench", 0, 1);
  const struct dvg_model model = {argc == 4 ? atof(argv[1]) : 0, argc == 4 ? atoll(argv[2]) : 0, 0};
  const int64_t N = argc == 4 ? atoll(argv[3]) : 0;
  if (!(model.width > 0) || model.size <= 0 || N <= 0) {
    fprintf(stderr, "usage: bench WIDTH SIZE BATCH\n");
    return DVG_ERROR_USAGE;
  }
  openblas_set_num_threads(1);
  char line[256], name[64];
  while (fgets(line, sizeof line, stdin)) {
    double seconds = 1;
    if (sscanf(line, "%63s %lf", name, &seconds) < 1) continue;
    if (strcmp(name, "blas") == 0) {
      const char *better = dvg_placement_better_blas(openblas_get_corename());
      printf("%s\n", better ? better : "");
    } else if (strcmp(name, "info") == 0) {
      printf("info\t%s\t%s\t%s\n", DVG_VERSION, dvg_conv_kernels(), openblas_get_config());
    } else {
      struct result r = {0};
      enum dvg_status status = answer(&r, name, seconds, model, N);
      if (status != DVG_OK) return (int)status;
      printf("%s\t%.0f\t%.9g\t%.17g\t%.0f\t%.1f\t%lld\t%.0f\n", name, r.items, r.seconds, r.operations, r.bytes,
             r.faults, (long long)r.steps, r.peak_bytes);
    }
    fflush(stdout);
  }
  return 0;
}
