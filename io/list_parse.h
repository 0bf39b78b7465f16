// The text of a list, however it came to be, becomes a dvg_list; what else reads tables uses its pieces.
// Private to io/.
#ifndef DVG_IO_LIST_PARSE_H
#define DVG_IO_LIST_PARSE_H

#include "io/images.h"

enum { DVG_LIST_MAX_LINE = 1 << 16, DVG_LIST_MAX_COLUMNS = 256 };
extern const int64_t dvg_list_max_bytes; // of a list's file
extern const char *const dvg_landmark_columns[10];

// Cut `text` at a separator, or at blanks and tabs; the number of pieces, -1 if there are more than `room`.
int dvg_list_split(char *text, char separator, char **pieces, int room);
int dvg_list_split_blanks(char *text, char **pieces, int room);
// The place of a column, or -1.
int dvg_list_column(char *const *columns, int n, const char *name);
// Whether `cell` is a finite number and nothing else.
int dvg_list_number(float *value, const char *cell);
// The next line of *text, cut there and without its line end, or NULL; *n_bytes = its length.
char *dvg_list_line(char **text, size_t *n_bytes);

// Parses `text` (n_bytes and a NUL), which it takes over in every case. `name` is for messages, `root` what
// relative paths refer to.
DVG_CHECKED enum dvg_status dvg_list_parse(struct dvg_list *list, char *text, const char *name,
                                           const char *root, const struct dvg_list_filter *filter);

#endif
