#include "common/base/alloc.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/base/log.h"

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20, FIRST_ROOM = 16, LARGE = 1 << 16, MAX_LARGE = 4096 };

// ---- what large pieces are for, see dvg_memory_uses

static struct {
  pthread_mutex_t mutex;
  int n;
  struct {
    const void *at;
    struct dvg_memory_use use;
  } piece[MAX_LARGE]; // more than these are not told apart from the rest of the process
} large = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void remember(const void *p, size_t n_bytes, const char *what) {
  if (n_bytes < LARGE) return;
  pthread_mutex_lock(&large.mutex);
  if (large.n < MAX_LARGE) {
    large.piece[large.n].at = p;
    large.piece[large.n++].use = (struct dvg_memory_use){what, (int64_t)n_bytes};
  }
  pthread_mutex_unlock(&large.mutex);
}

static void forget(void *p) {
  if (!p || malloc_usable_size(p) < LARGE) return;
  pthread_mutex_lock(&large.mutex);
  for (int i = 0; i < large.n; i++)
    if (large.piece[i].at == p) {
      large.piece[i] = large.piece[--large.n];
      break;
    }
  pthread_mutex_unlock(&large.mutex);
}

static int most_first(const void *a, const void *b) {
  const struct dvg_memory_use *x = a, *y = b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : strcmp(x->what, y->what);
}

int dvg_memory_uses(struct dvg_memory_use *use, int room) {
  int n = 0;
  pthread_mutex_lock(&large.mutex);
  for (int i = 0; i < large.n; i++) {
    const struct dvg_memory_use *piece = &large.piece[i].use;
    int k = 0;
    while (k < n && strcmp(use[k].what, piece->what) != 0) k++;
    if (k == room) continue;
    if (k == n) use[n++] = (struct dvg_memory_use){piece->what, 0};
    use[k].bytes += piece->bytes;
  }
  pthread_mutex_unlock(&large.mutex);
  qsort(use, (size_t)n, sizeof *use, most_first);
  return n;
}

// ----

enum dvg_status dvg_alloc(void **out, int64_t count, size_t bytes, const char *what) {
  if (count < 0 || (bytes > 0 && (uint64_t)count > (SIZE_MAX / 2) / bytes))
    return dvg_fail(DVG_ERROR_MEMORY, "no memory for %s: %lld elements of %zu bytes", what, (long long)count,
                    bytes);
  size_t n_bytes = (size_t)count * bytes;
  size_t rounded = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (rounded == 0) rounded = ALIGNMENT;
  void *p;
  if (posix_memalign(&p, rounded < HUGE_PAGE ? ALIGNMENT : HUGE_PAGE, rounded) != 0)
    return dvg_fail(DVG_ERROR_MEMORY, "no memory for %s: %zu bytes", what, n_bytes);
  // A convolution walks through more pages of 4 KB than the processor knows at a time: in large ones its training step takes a
  // tenth less. All of it is written at once, so no memory is taken in vain. Where the kernel has none, nothing is lost.
  if (rounded >= HUGE_PAGE) (void)madvise(p, rounded, MADV_HUGEPAGE);
  memset(p, 0, rounded);
  remember(p, rounded, what);
  *out = p;
  return DVG_OK;
}

enum dvg_status dvg_grow(void **list, int64_t n, size_t bytes, const char *what) {
  if (n != 0 && (n < FIRST_ROOM || (n & (n - 1)))) return DVG_OK;
  void *larger = NULL;
  DVG_TRY(dvg_alloc(&larger, n ? 2 * n : FIRST_ROOM, bytes, what));
  if (n) memcpy(larger, *list, (size_t)n * bytes);
  dvg_free(list);
  *list = larger;
  return DVG_OK;
}

void dvg_free_at(void **pointer) {
  forget(*pointer);
  free(*pointer);
  *pointer = NULL;
}

enum dvg_status dvg_text(char **out, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n < 0) return dvg_fail(DVG_ERROR_INTERNAL, "cannot format text: %s", format);
  DVG_TRY(dvg_alloc((void **)out, (int64_t)n + 1, 1, "text"));
  va_start(args, format);
  vsnprintf(*out, (size_t)n + 1, format, args);
  va_end(args);
  return DVG_OK;
}

int64_t dvg_present_memory(void) {
  long long kilobytes = 0;
  char line[256];
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmRSS: %lld kB", &kilobytes) == 1) break;
  if (f) fclose(f);
  return 1024 * (int64_t)kilobytes;
}

int64_t dvg_peak_memory(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const int64_t marked = (int64_t)usage.ru_maxrss * 1024, present = dvg_present_memory();
  return marked > present ? marked : present; // the kernel moves the mark now and then only
}
