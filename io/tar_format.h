// Private to io/tar*.c.
#ifndef DVG_IO_TAR_FORMAT_H
#define DVG_IO_TAR_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

// The tar files that `source` stands for (io/tar.h), none of them opened. The caller frees with
// dvg_tar_names_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_tar_names(char ***names, int64_t *n, const char *source);
void dvg_tar_names_free(char ***names, int64_t n);

// *identity = what a cls (is_json 0) or a json member tells, NULL for none; *rank: 0 for json's `identity`, 1
// for cls, 2 and 3 for json's `label` and `cls`. *domain = json's domain, or NULL. The caller frees both with
// dvg_free. `where` is for messages: the file and the member.
DVG_CHECKED enum dvg_status dvg_tar_label(char **identity, int *rank, char **domain, const char *bytes,
                                          size_t n_bytes, int is_json, const char *where);

#endif
