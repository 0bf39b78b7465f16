// The text of a list, however it came to be, becomes a dvg_list. Private to io/list*.c.
#ifndef DVG_IO_LIST_PARSE_H
#define DVG_IO_LIST_PARSE_H

#include "io/images.h"

// Parses `text` (n_bytes and a NUL), which it takes over in every case. `name` is for messages, `root` what
// relative paths refer to.
DVG_CHECKED enum dvg_status dvg_list_parse(struct dvg_list *list, char *text, const char *name,
                                           const char *root, const struct dvg_list_filter *filter);

#endif
