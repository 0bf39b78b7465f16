#include "stages/plan.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { MAX_USES = 64, NAME = 48 };

// What the largest rank has, as others can receive it.
struct memory {
  int64_t peak, present;
  int n;
  struct {
    char what[NAME];
    int64_t bytes;
  } use[MAX_USES];
};

static double megabytes(int64_t bytes) {
  return (double)bytes / 1e6;
}

static void look(struct memory *m) {
  struct dvg_memory_use use[MAX_USES];
  m->peak = dvg_peak_memory();
  m->present = dvg_present_memory();
  m->n = dvg_memory_uses(use, MAX_USES);
  for (int i = 0; i < m->n; i++) {
    strncpy(m->use[i].what, use[i].what, NAME - 1);
    m->use[i].bytes = use[i].bytes;
  }
}

// Collective. Everybody gets what the rank with the highest peak has, the first of these.
static void take_largest(struct memory *m, const struct dvg_world *w) {
  const int64_t peak = dvg_world_max(w, m->peak);
  const int64_t root = -dvg_world_max(w, m->peak == peak ? -w->rank : -w->size);
  dvg_world_broadcast(w, m, sizeof *m, (int)root);
}

// What a hundredth of all and less is for is told in one line.
static void say_memory(const struct memory *m) {
  int64_t known = 0, small = 0;
  for (int i = 0; i < m->n; i++) {
    known += m->use[i].bytes;
    if (m->use[i].bytes >= m->peak / 100)
      dvg_info("  %-36s %10.1f MB", m->use[i].what, megabytes(m->use[i].bytes));
    else small += m->use[i].bytes;
  }
  if (small > 0) dvg_info("  %-36s %10.1f MB", "smaller pieces", megabytes(small));
  if (m->present > known)
    dvg_info("  %-36s %10.1f MB", "program, MPI and other libraries", megabytes(m->present - known));
  if (m->peak > m->present)
    dvg_info("  %-36s %10.1f MB", "for a while, to set all up", megabytes(m->peak - m->present));
  dvg_info("  %-36s %10.1f MB", "a rank needs", megabytes(m->peak));
}

void dvg_plan_say(const struct dvg_world *w, const struct dvg_plan *plan) {
  struct memory m = {0};
  look(&m);
  take_largest(&m, w);
  dvg_info("plan of %s on %d %s: %.2f M parameters, %.2f M of them trained", plan->name, w->size,
           w->size == 1 ? "rank" : "ranks", (double)plan->n_values / 1e6, (double)plan->n_trained / 1e6);
  say_memory(&m);
  if (plan->checkpoint_bytes > 0)
    dvg_info("  %-36s %10.1f MB on disk, %lld are kept", "a checkpoint", megabytes(plan->checkpoint_bytes),
             (long long)plan->n_checkpoints);
}

void dvg_plan_say_peak(const struct dvg_world *w, const char *name) {
  dvg_info("%s: peak memory of a rank %.1f MB", name, megabytes(dvg_world_max(w, dvg_peak_memory())));
}
