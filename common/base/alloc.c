#include "common/base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/log.h"

enum { ALIGNMENT = 64, FIRST_ROOM = 16 };

enum dvg_status dvg_alloc(void **out, int64_t count, size_t bytes, const char *what) {
  if (count < 0 || (bytes > 0 && (uint64_t)count > (SIZE_MAX / 2) / bytes))
    return dvg_fail(DVG_ERROR_MEMORY, "no memory for %s: %lld elements of %zu bytes", what, (long long)count,
                    bytes);
  size_t n_bytes = (size_t)count * bytes;
  size_t rounded = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (rounded == 0) rounded = ALIGNMENT;
  void *p = aligned_alloc(ALIGNMENT, rounded);
  if (!p) return dvg_fail(DVG_ERROR_MEMORY, "no memory for %s: %zu bytes", what, n_bytes);
  memset(p, 0, rounded);
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

int64_t dvg_peak_memory(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (int64_t)usage.ru_maxrss * 1024;
}
