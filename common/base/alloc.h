// Memory: 64-byte aligned (a cache line, an AVX-512 vector), zeroed, sizes checked for overflow.
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

// Frees and sets the pointer to NULL: dvg_free(&x).
#define dvg_free(pointer) dvg_free_at((void **)(pointer))
void dvg_free_at(void **pointer);

// *out = a formatted string. The caller frees with dvg_free.
DVG_CHECKED enum dvg_status dvg_text(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Peak resident memory of this process in bytes.
int64_t dvg_peak_memory(void);

#endif
