#define _GNU_SOURCE // sched_getaffinity, CPU_SET
#include "mpi/placement.h"

#include <cblas.h>
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

// ---- the cores of one rank

// The first hardware thread of the core that `cpu` is a thread of; `cpu` itself where Linux doesn't tell.
static int core_of(int cpu) {
  char path[96];
  int first = cpu;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  FILE *f = fopen(path, "r");
  if (!f) return cpu;
  if (fscanf(f, "%d", &first) != 1 || first < 0 || first >= CPU_SETSIZE) first = cpu;
  fclose(f);
  return first;
}

// The cores that this process may use, each named by its first thread; none where its affinity cannot be read
// (more processors than the set holds), and then nothing is judged.
static void find_cores(cpu_set_t *cores) {
  cpu_set_t threads;
  CPU_ZERO(cores);
  if (sched_getaffinity(0, sizeof threads, &threads) != 0) return;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &threads)) CPU_SET(core_of(cpu), cores);
}

// ---- the ranks of one host

struct host {
  int n_ranks, n_cores; // here; the cores that any of them may use
  int n_mine;           // cores of this rank
  int n_rivals;         // ranks that may use cores of this rank alone, itself included
};

static int is_within(const cpu_set_t *inner, const cpu_set_t *outer) {
  cpu_set_t both;
  CPU_AND(&both, inner, outer);
  return CPU_EQUAL(&both, inner);
}

// Collective over the ranks of a host. Without memory for their sets nothing is known of the host.
static void look_at_host(struct host *h) {
  MPI_Comm here;
  cpu_set_t mine, any, *all = NULL;
  *h = (struct host){0};
  find_cores(&mine);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  MPI_Comm_size(here, &h->n_ranks);
  int good = DVG_NEW(&all, h->n_ranks, "the cores of a host's ranks") == DVG_OK;
  MPI_Allreduce(MPI_IN_PLACE, &good, 1, MPI_INT, MPI_MIN, here);
  if (good) {
    MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, here);
    CPU_ZERO(&any);
    for (int r = 0; r < h->n_ranks; r++) {
      CPU_OR(&any, &any, &all[r]);
      h->n_rivals += is_within(&all[r], &mine);
    }
    h->n_cores = CPU_COUNT(&any);
    h->n_mine = CPU_COUNT(&mine);
  }
  dvg_free(&all);
  MPI_Comm_free(&here);
}

// ---- all of them

struct placement {
  int n_hosts;
  int fewest_ranks, most_ranks, fewest_cores, most_cores; // on a host
  int n_bound;                                            // ranks with one core
  int n_crowded, first_crowded; // ranks that share fewer cores than they are; the first one
};

static int smallest(int value) {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  return value;
}

static int largest(int value) {
  return -smallest(-value);
}

static int is_crowded(const struct host *h) {
  return h->n_mine > 0 && h->n_rivals > h->n_mine;
}

static struct placement gather(const struct dvg_world *w, const struct host *h) {
  struct placement p;
  int64_t sums[3] = {h->n_mine == 1, is_crowded(h), 0};
  double share = 1.0 / h->n_ranks; // n_ranks of them make one host
  MPI_Allreduce(MPI_IN_PLACE, &share, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  dvg_world_sum(w, sums, 2);
  p.n_hosts = (int)(share + 0.5);
  p.fewest_ranks = smallest(h->n_ranks);
  p.most_ranks = largest(h->n_ranks);
  p.fewest_cores = smallest(h->n_cores);
  p.most_cores = largest(h->n_cores);
  p.n_bound = (int)sums[0];
  p.n_crowded = (int)sums[1];
  p.first_crowded = smallest(is_crowded(h) ? w->rank : INT_MAX);
  return p;
}

static const char *range(char text[32], int from, int to) {
  snprintf(text, 32, from == to ? "%d" : "%d to %d", from, to);
  return text;
}

static const char *binding(const struct dvg_world *w, const struct placement *p) {
  if (p->n_crowded > 0) return "sharing cores";
  if (p->n_bound == w->size) return "each with a core of its own";
  return p->n_bound > 0 ? "some bound to a core" : "not bound to cores";
}

static void say_line(const struct dvg_world *w, const struct placement *p) {
  char ranks[32], cores[32];
  range(ranks, p->fewest_ranks, p->most_ranks);
  range(cores, p->fewest_cores, p->most_cores);
  int threads = openblas_get_num_threads();
  if (p->n_hosts == 1)
    dvg_info("%d rank%s on %s core%s, %d BLAS thread%s each, %s", w->size, w->size == 1 ? "" : "s", cores,
             p->most_cores == 1 ? "" : "s", threads, threads == 1 ? "" : "s", binding(w, p));
  else
    dvg_info("%d ranks on %d hosts, %s on each with %s cores, %d BLAS thread%s each, %s", w->size, p->n_hosts,
             ranks, cores, threads, threads == 1 ? "" : "s", binding(w, p));
}

// Set by mpirun --oversubscribe, and by those who set it themselves.
static int is_allowed(void) {
  const char *value = getenv("OMPI_MCA_rmaps_base_oversubscribe");
  return value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
}

// By the first of the crowded ranks, whose host the warning then names.
static void say_crowded(const struct placement *p, const struct host *h) {
  char others[64] = "";
  if (p->n_crowded > h->n_rivals)
    snprintf(others, sizeof others, " (in all %d ranks are so crowded)", p->n_crowded);
  if (h->n_mine < h->n_cores)
    dvg_warn("%d ranks are bound to %d core%s, while this host has %d for them%s: bind each rank to one of its "
             "own (mpirun --map-by core --bind-to core)",
             h->n_rivals, h->n_mine, h->n_mine == 1 ? "" : "s", h->n_cores, others);
  else
    dvg_warn("%d ranks on %d core%s%s: they get into each other's way; a rank a core is fastest", h->n_rivals,
             h->n_mine, h->n_mine == 1 ? "" : "s", others);
}

// Threads are ours to set: a wish for more would change the order of sums, so it is not followed, but not in
// silence.
static void say_threads(void) {
  static const char *const names[] = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = getenv(names[i]);
    if (value && atoi(value) > 1) {
      dvg_info("%s=%s is not followed: a rank a core, one thread a rank", names[i], value);
      return;
    }
  }
}

// The kernels for wide vectors, the widest first; on other architectures OpenBLAS's choice stands.
const char *dvg_placement_better_blas(const char *core) {
#if defined(__x86_64__)
  static const char *const wide[] = {"Sapphirerapids", "Cooperlake", "SkylakeX", "Zen", "Haswell", "Excavator"};
  enum { N_AVX512 = 3, N = sizeof wide / sizeof *wide };
  int at = 0;
  while (at < N && strcasecmp(core, wide[at]) != 0) at++;
  if (at >= N_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return "SkylakeX";
  if (at == N && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#else
  (void)core;
#endif
  return NULL;
}

// Whoever has set OPENBLAS_CORETYPE has chosen. It is read when the library is loaded, so we can't set it, and it
// changes the last bits of results, so we would not.
static void say_blas(void) {
  const char *core = openblas_get_corename(), *better = dvg_placement_better_blas(core);
  if (better && !getenv("OPENBLAS_CORETYPE"))
    dvg_info("OpenBLAS runs its %s kernels on this CPU: OPENBLAS_CORETYPE=%s is faster (results differ in their last bits)",
             core, better);
}

void dvg_placement_say(const struct dvg_world *w) {
  struct host h;
  look_at_host(&h);
  struct placement p = gather(w, &h);
  say_line(w, &p);
  say_threads();
  say_blas();
  if (w->rank == p.first_crowded && (!is_allowed() || h.n_mine < h.n_cores)) say_crowded(&p, &h);
}
