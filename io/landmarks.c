#include "io/landmarks.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/list_parse.h"
#include "io/names.h"

enum { N_NUMBERS = 10, MAX_COLUMNS = DVG_LIST_MAX_COLUMNS };

struct dvg_landmarks_state {
  char *text;
  struct dvg_names names;
};

struct parser {
  const char *path;
  struct dvg_landmarks *l;
  int64_t line;
  int has_header, n_columns, name, number[N_NUMBERS];
};

static enum dvg_status bad_line(const struct parser *p, const char *what, const char *detail) {
  return dvg_fail(DVG_ERROR_INPUT, "%s:%lld: %s%.200s", p->path, (long long)p->line, what, detail);
}

static int is_header(const char *line) {
  return strstr(line, dvg_landmark_columns[0]) && strchr(line, '\t');
}

static enum dvg_status read_header(struct parser *p, char *line) {
  char *columns[MAX_COLUMNS];
  p->has_header = 1;
  p->n_columns = dvg_list_split(line, '\t', columns, MAX_COLUMNS);
  if (p->n_columns < 0) return bad_line(p, "too many columns", "");
  p->name = dvg_list_column(columns, p->n_columns, "name");
  if (p->name < 0) p->name = dvg_list_column(columns, p->n_columns, "path");
  if (p->name < 0) return bad_line(p, "the header has no column name or path", "");
  for (int i = 0; i < N_NUMBERS; i++) {
    p->number[i] = dvg_list_column(columns, p->n_columns, dvg_landmark_columns[i]);
    if (p->number[i] < 0) return bad_line(p, "the header has no column ", dvg_landmark_columns[i]);
  }
  return DVG_OK;
}

static enum dvg_status read_row(struct parser *p, char *line) {
  char *cells[MAX_COLUMNS] = {0};
  int n = p->has_header || strchr(line, '\t') ? dvg_list_split(line, '\t', cells, MAX_COLUMNS)
                                              : dvg_list_split_blanks(line, cells, MAX_COLUMNS);
  if (n != p->n_columns)
    return bad_line(p, p->has_header ? "not as many columns as the header" : "not a name and ten numbers: ",
                    p->has_header ? "" : cells[0]);
  if (!*cells[p->name]) return bad_line(p, "no name", "");
  struct dvg_landmarks *l = p->l;
  DVG_TRY(DVG_GROW(&l->points, l->n, "landmarks"));
  DVG_TRY(DVG_GROW(&l->line, l->n, "landmarks"));
  for (int i = 0; i < N_NUMBERS; i++)
    if (!dvg_list_number(&l->points[l->n][i], cells[p->number[i]]))
      return bad_line(p, "not a number: ", cells[p->number[i]]);
  int64_t place;
  DVG_TRY(dvg_names_add(&l->state->names, cells[p->name], &place));
  if (place != l->n) return bad_line(p, "landmarks again for ", cells[p->name]);
  l->line[l->n++] = p->line;
  return DVG_OK;
}

static enum dvg_status read_lines(struct parser *p, char *text) {
  int seen_first = 0;
  size_t n;
  if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; // a byte order mark
  for (char *line; (line = dvg_list_line(&text, &n));) {
    p->line++;
    if (n > DVG_LIST_MAX_LINE) return bad_line(p, "a line longer than 65536 bytes", "");
    if (line[0] == '#' || line[strspn(line, " \t")] == 0) continue;
    if (!seen_first++ && is_header(line)) DVG_TRY(read_header(p, line));
    else DVG_TRY(read_row(p, line));
  }
  return p->l->n ? DVG_OK : dvg_fail(DVG_ERROR_INPUT, "%s: has no landmarks", p->path);
}

enum dvg_status dvg_landmarks_read(struct dvg_landmarks *out, const char *path) {
  struct dvg_landmarks l = {0};
  struct parser p = {.path = path, .l = &l, .n_columns = 1 + N_NUMBERS};
  for (int i = 0; i < N_NUMBERS; i++) p.number[i] = i + 1;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&l.state, 1, "landmarks"));
  DVG_TRY_GOTO(dvg_path_read_text(path, dvg_list_max_bytes, &l.state->text));
  DVG_TRY_GOTO(read_lines(&p, l.state->text));
  *out = l;
  return DVG_OK;
done:
  dvg_landmarks_free(&l);
  return status;
}

void dvg_landmarks_free(struct dvg_landmarks *l) {
  if (l->state) {
    dvg_free(&l->state->text);
    dvg_names_free(&l->state->names);
  }
  dvg_free(&l->state);
  dvg_free(&l->points);
  dvg_free(&l->line);
  *l = (struct dvg_landmarks){0};
}

int64_t dvg_landmarks_find(const struct dvg_landmarks *l, const char *name) {
  return dvg_names_find(&l->state->names, name);
}

const char *dvg_landmarks_name(const struct dvg_landmarks *l, int64_t place) {
  return l->state->names.name[place];
}
