// Private to io/recordio*.c: the numbers of the format.
#ifndef DVG_IO_RECORDIO_FORMAT_H
#define DVG_IO_RECORDIO_FORMAT_H

#include "common/base/status.h"

#define DVG_RECORDIO_MAGIC 0xced7230aU

enum {
  DVG_RECORDIO_LENGTH_BITS = 29,
  DVG_RECORDIO_MAX_PART = (1 << DVG_RECORDIO_LENGTH_BITS) - 1,
  DVG_RECORDIO_HEADER = 24, // flag, label, id, id2
  DVG_RECORDIO_HEAD = 32    // with the two labels of a range
};

enum { DVG_RECORDIO_WHOLE, DVG_RECORDIO_FIRST, DVG_RECORDIO_MIDDLE, DVG_RECORDIO_LAST };

// *index = path with its ending replaced by .idx (caller frees).
DVG_CHECKED enum dvg_status dvg_recordio_index_path(char **index, const char *path);

#endif
