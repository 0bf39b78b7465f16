// Memory: 64-byte aligned (a cache line, an AVX-512 vector), zeroed, sizes checked for overflow; pieces of 2 MB and more in huge pages where the kernel has them.
#ifndef DVG_BASE_ALLOC_H
#define DVG_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

// *out = `count` zeroed elements of `bytes` each (an empty request gives a valid pointer). The caller frees with
// dvg_free. `what` names the memory in the message when there is none: DVG_ERROR_MEMORY.
DVG_CHECKED enum dvg_status dvg_alloc(void **out, int64_t count, size_t bytes, const char *what);

// Typed form: float *x; DVG_TRY(DVG_NEW(&x, n, "images"));
#define DVG_NEW(out, count, what) dvg_alloc((void **)(out), (count), sizeof(**(out)), (what))

// Room for one more behind the n elements of a list that only grows by this: it then has room for the next power of two, at least
// 16, zeroed behind the n; the list is moved when it was full. As dvg_alloc, on failure it stays as it was.
DVG_CHECKED enum dvg_status dvg_grow(void **list, int64_t n, size_t bytes, const char *what);
// Typed form: DVG_GROW(&x, n, "images"); x[n++] = ...
#define DVG_GROW(list, n, what) dvg_grow((void **)(list), (n), sizeof(**(list)), (what))

// Frees and sets the pointer to NULL: dvg_free(&x).
#define dvg_free(pointer) dvg_free_at((void **)(pointer))
void dvg_free_at(void **pointer);

// *out = a formatted string. The caller frees with dvg_free.
DVG_CHECKED enum dvg_status dvg_text(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// What the large pieces of memory (64 KiB and more) that are allocated now are for, by the `what` they were asked for with, the most first:
// at most `room` entries; returns how many there are.
struct dvg_memory_use {
  const char *what; // that of dvg_alloc, which must outlive its memory, as a literal does
  int64_t bytes;
};
int dvg_memory_uses(struct dvg_memory_use *use, int room);

// Present and peak resident memory of this process in bytes.
int64_t dvg_present_memory(void);
int64_t dvg_peak_memory(void);

#endif
