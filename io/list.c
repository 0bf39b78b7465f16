// Lists of images: parsing. All strings of a list lie in one block: the text of the file, cut at its
// separators, and a copy of the domains that were asked for.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/list_parse.h"
#include "io/names.h"

enum {
  MAX_COLUMNS = DVG_LIST_MAX_COLUMNS,
  MAX_CONDITIONS = 16,
  MAX_DOMAINS = 256, // they are numbered with a byte
};
const int64_t dvg_list_max_bytes = (int64_t)1 << 30;

const char *const dvg_landmark_columns[10] = {"left_eye_x",    "left_eye_y",   "right_eye_x",  "right_eye_y",
                                              "nose_x",        "nose_y",       "left_mouth_x", "left_mouth_y",
                                              "right_mouth_x", "right_mouth_y"};

// ---- the parser

struct condition {
  int column;
  char *values[MAX_COLUMNS];
  int n_values;
};

struct parser {
  const char *name; // of the list, for messages
  struct dvg_list *list;
  int64_t line, rows_room;
  int is_tsv, n_columns, path, identity, domain, landmarks[10], any_landmarks;
  int domains_given;
  char *fallback_domain;
  struct dvg_names paths, people, domains;
  int64_t *domain_rows; // kept rows by domain, to find domains without any
  struct condition *where;
  int n_where;
};

int dvg_list_split(char *text, char separator, char **pieces, int room) {
  int n = 0;
  for (char *at = text;; at++) {
    if (n == room) return -1;
    pieces[n++] = at;
    at = strchr(at, separator);
    if (!at) return n;
    *at = 0;
  }
}

int dvg_list_split_blanks(char *text, char **pieces, int room) {
  int n = 0;
  for (char *at = text + strspn(text, " \t"); *at; at += strspn(at, " \t")) {
    if (n == room) return -1;
    pieces[n++] = at;
    at += strcspn(at, " \t");
    if (*at) *at++ = 0;
  }
  return n;
}

static enum dvg_status bad_line(const struct parser *p, const char *what, const char *detail) {
  return dvg_fail(DVG_ERROR_INPUT, "%s:%lld: %s%.200s", p->name, (long long)p->line, what, detail);
}

int dvg_list_column(char *const *columns, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(columns[i], name) == 0) return i;
  return -1;
}

// "column=value,value;column=value" against the header. `where` is a copy, cut here.
static enum dvg_status read_where(struct parser *p, char *where, char *const *columns, int n_columns) {
  char *parts[MAX_CONDITIONS];
  int n = dvg_list_split(where, ';', parts, MAX_CONDITIONS);
  if (n < 0) return dvg_fail(DVG_ERROR_USAGE, "where: more than %d conditions", MAX_CONDITIONS);
  DVG_TRY(DVG_NEW(&p->where, n, "conditions"));
  for (int i = 0; i < n; i++) {
    char *equals = strchr(parts[i], '=');
    if (!equals || equals == parts[i])
      return dvg_fail(DVG_ERROR_USAGE, "where: '%s' is not column=value[,value...]", parts[i]);
    *equals = 0;
    struct condition *c = &p->where[p->n_where++];
    c->column = dvg_list_column(columns, n_columns, parts[i]);
    if (c->column < 0) return bad_line(p, "the header has no column ", parts[i]);
    c->n_values = dvg_list_split(equals + 1, ',', c->values, MAX_COLUMNS);
    if (c->n_values < 0)
      return dvg_fail(DVG_ERROR_USAGE, "where: more than %d values of %s", MAX_COLUMNS, parts[i]);
  }
  return DVG_OK;
}

static enum dvg_status read_header(struct parser *p, char *line, char *where) {
  char *columns[MAX_COLUMNS];
  int n = dvg_list_split(line, '\t', columns, MAX_COLUMNS);
  if (n < 0) return bad_line(p, "too many columns", "");
  for (int i = 0; i < n; i++)
    if (dvg_list_column(columns, i, columns[i]) >= 0) return bad_line(p, "two columns are called ", columns[i]);
  p->n_columns = n;
  p->path = dvg_list_column(columns, n, "path");
  p->identity = dvg_list_column(columns, n, "identity");
  p->domain = dvg_list_column(columns, n, "domain");
  int n_landmarks = 0, missing = 0;
  for (int i = 0; i < 10; i++) {
    p->landmarks[i] = dvg_list_column(columns, n, dvg_landmark_columns[i]);
    if (p->landmarks[i] >= 0) n_landmarks++;
    else missing = i;
  }
  if (n_landmarks > 0 && n_landmarks < 10)
    return bad_line(p, "some landmark columns are there, but not ", dvg_landmark_columns[missing]);
  p->any_landmarks = n_landmarks == 10;
  return *where ? read_where(p, where, columns, n) : DVG_OK;
}

static int is_wanted(const struct parser *p, char *const *cells) {
  for (int i = 0; i < p->n_where; i++) {
    const struct condition *c = &p->where[i];
    if (dvg_list_column(c->values, c->n_values, cells[c->column]) < 0) return 0;
  }
  return 1;
}

int dvg_list_number(float *value, const char *cell) {
  char *end;
  *value = strtof(cell, &end);
  return *cell && end != cell && !*end && isfinite(*value);
}

static enum dvg_status read_landmarks(const struct parser *p, char *const *cells, struct dvg_list_row *row) {
  int n_empty = 0;
  for (int i = 0; i < 10; i++) {
    const char *cell = cells[p->landmarks[i]];
    if (!*cell) n_empty++;
    else if (!dvg_list_number(&row->landmarks[i], cell)) return bad_line(p, "not a number: ", cell);
  }
  if (n_empty > 0 && n_empty < 10) return bad_line(p, "some landmarks are empty", "");
  row->has_landmarks = n_empty == 0;
  return DVG_OK;
}

// The number of a row's domain; -1 for one that isn't wanted. `given` is what the list says, NULL: nothing.
static enum dvg_status find_domain(struct parser *p, const char *path, char *given, int64_t *domain) {
  *domain = -1;
  if (given && !*given) return bad_line(p, "no domain: ", path);
  if (given && p->domains_given) {
    *domain = dvg_names_find(&p->domains, given);
  } else if (p->domains_given) {
    for (int64_t i = 0; i < p->domains.n; i++) {
      if (!strstr(path, p->domains.name[i])) continue;
      if (*domain >= 0) return bad_line(p, "the names of several domains are in the path: ", path);
      *domain = i;
    }
    if (*domain < 0) return bad_line(p, "unknown domain: none of the wanted ones is in the path ", path);
  } else {
    DVG_TRY(dvg_names_add(&p->domains, given ? given : p->fallback_domain, domain));
    if (*domain >= MAX_DOMAINS) return bad_line(p, "more than 256 domains", "");
  }
  return DVG_OK;
}

static enum dvg_status add_row(struct parser *p, struct dvg_list_row *row, char *identity, int64_t domain) {
  int64_t place_in_list, before = p->paths.n;
  DVG_TRY(dvg_names_add(&p->paths, row->path, &place_in_list));
  if (p->paths.n == before) return bad_line(p, "repeated path: ", row->path);
  DVG_TRY(dvg_names_add(&p->people, identity, &row->identity));
  row->domain = (int32_t)domain;
  row->line = p->line;
  p->domain_rows[domain]++;
  struct dvg_list *list = p->list;
  if (list->n_rows == p->rows_room) {
    int64_t room = p->rows_room ? 2 * p->rows_room : 64;
    struct dvg_list_row *rows = NULL;
    DVG_TRY(DVG_NEW(&rows, room, "rows of a list"));
    if (list->n_rows) memcpy(rows, list->rows, (size_t)list->n_rows * sizeof *rows);
    dvg_free(&list->rows);
    list->rows = rows;
    p->rows_room = room;
  }
  list->rows[list->n_rows++] = *row;
  return DVG_OK;
}

static enum dvg_status read_row(struct parser *p, char *line) {
  char *cells[MAX_COLUMNS] = {0}, *given = NULL;
  struct dvg_list_row row = {0};
  int path = 0, identity = 1;
  if (p->is_tsv) {
    int n = dvg_list_split(line, '\t', cells, MAX_COLUMNS);
    if (n != p->n_columns) {
      char counts[64];
      snprintf(counts, sizeof counts, "%d columns, the header has %d", n < 0 ? MAX_COLUMNS : n, p->n_columns);
      return bad_line(p, "has ", counts);
    }
    path = p->path;
    identity = p->identity;
    if (p->domain >= 0) given = cells[p->domain];
    if (!is_wanted(p, cells)) return DVG_OK;
    if (p->any_landmarks) DVG_TRY(read_landmarks(p, cells, &row));
  } else {
    int n = dvg_list_split_blanks(line, cells, 4);
    if (n > 3 || n < 0) return bad_line(p, "more than path, identity and domain: ", cells[0]);
    if (n < 2) return bad_line(p, "no identity after the path: ", cells[0]);
    if (n == 3) given = cells[2];
  }
  row.path = cells[path];
  if (!*row.path) return bad_line(p, "no path", "");
  if (!*cells[identity]) return bad_line(p, "no identity: ", row.path);
  int64_t domain;
  DVG_TRY(find_domain(p, row.path, given, &domain));
  return domain < 0 ? DVG_OK : add_row(p, &row, cells[identity], domain);
}

static int is_header(const char *line) {
  int has_path = 0, has_identity = 0;
  for (const char *at = line;; at++) {
    size_t n = strcspn(at, "\t");
    has_path |= n == 4 && memcmp(at, "path", 4) == 0;
    has_identity |= n == 8 && memcmp(at, "identity", 8) == 0;
    at += n;
    if (!*at) return has_path && has_identity;
  }
}

char *dvg_list_line(char **text, size_t *n_bytes) {
  char *line = *text;
  if (!*line) return NULL;
  size_t n = strcspn(line, "\n");
  *text += line[n] ? n + 1 : n;
  *n_bytes = n;
  if (n > 0 && line[n - 1] == '\r') line[n - 1] = 0;
  line[n] = 0;
  return line;
}

static enum dvg_status read_lines(struct parser *p, char *text, char *where) {
  int seen_first = 0;
  size_t n;
  if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; // a byte order mark
  for (char *line; (line = dvg_list_line(&text, &n));) {
    p->line++;
    if (n > DVG_LIST_MAX_LINE) return bad_line(p, "a line longer than 65536 bytes", "");
    if (line[0] == '#' || line[strspn(line, " \t")] == 0) continue;
    if (!seen_first++) {
      p->is_tsv = is_header(line);
      if (p->is_tsv) {
        DVG_TRY(read_header(p, line, where));
        continue;
      }
      if (*where)
        return dvg_fail(DVG_ERROR_USAGE, "%s: 'where' needs a list with a header (columns path, identity, ...)",
                        p->name);
    }
    DVG_TRY(read_row(p, line));
  }
  return DVG_OK;
}

static enum dvg_status read_domains(struct parser *p, char *domains) {
  char *names[MAX_DOMAINS];
  if (!*domains) return DVG_OK;
  p->domains_given = 1;
  int n = dvg_list_split(domains, ',', names, MAX_DOMAINS);
  if (n < 0) return dvg_fail(DVG_ERROR_USAGE, "domains: more than %d", MAX_DOMAINS);
  for (int i = 0; i < n; i++) {
    int64_t index;
    if (!*names[i]) return dvg_fail(DVG_ERROR_USAGE, "domains: an empty name");
    DVG_TRY(dvg_names_add(&p->domains, names[i], &index));
    if (index != i) return dvg_fail(DVG_ERROR_USAGE, "domains: '%s' twice", names[i]);
  }
  return DVG_OK;
}

static enum dvg_status check_result(const struct parser *p) {
  if (p->list->n_rows == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: no image (of those wanted) is listed", p->name);
  for (int64_t i = 0; i < p->domains.n; i++)
    if (p->domain_rows[i] == 0)
      return dvg_fail(DVG_ERROR_INPUT, "%s: no image of the domain '%s'", p->name, p->domains.name[i]);
  return DVG_OK;
}

enum dvg_status dvg_list_parse(struct dvg_list *out, char *text, const char *name, const char *root,
                               const struct dvg_list_filter *filter) {
  static const char fallback[] = "VIS";
  const char *domains = filter && filter->domains ? filter->domains : "";
  const char *where = filter && filter->where ? filter->where : "";
  size_t n_text = strlen(text) + 1, n_domains = strlen(domains) + 1, n_where = strlen(where) + 1;
  struct dvg_list list = {0};
  struct parser p = {.name = name, .list = &list};
  char *memory = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(
      dvg_alloc((void **)&memory, (int64_t)(n_text + n_domains + n_where + sizeof fallback), 1, "a list"));
  list.memory = memory;
  char *domains_copy = memory + n_text, *where_copy = domains_copy + n_domains;
  p.fallback_domain = where_copy + n_where;
  memcpy(memory, text, n_text);
  memcpy(domains_copy, domains, n_domains);
  memcpy(where_copy, where, n_where);
  memcpy(p.fallback_domain, fallback, sizeof fallback);
  DVG_TRY_GOTO(dvg_text(&list.root, "%s", root));
  DVG_TRY_GOTO(DVG_NEW(&p.domain_rows, MAX_DOMAINS, "domains"));
  DVG_TRY_GOTO(read_domains(&p, domains_copy));
  DVG_TRY_GOTO(read_lines(&p, memory, where_copy));
  DVG_TRY_GOTO(check_result(&p));
  list.n_people = p.people.n;
  list.n_domains = p.domains.n;
  list.people = p.people.name;
  list.domains = p.domains.name;
  p.people.name = p.domains.name = NULL;
  *out = list;
done:
  dvg_names_free(&p.paths);
  dvg_names_free(&p.people);
  dvg_names_free(&p.domains);
  dvg_free(&p.domain_rows);
  dvg_free(&p.where);
  dvg_free(&text);
  if (status != DVG_OK) dvg_list_free(&list);
  return status;
}

enum dvg_status dvg_list_read(struct dvg_list *list, const char *path, const struct dvg_list_filter *filter) {
  char *text = NULL, *root = NULL;
  DVG_TRY(dvg_path_read_text(path, dvg_list_max_bytes, &text));
  enum dvg_status status = dvg_path_folder(&root, path);
  if (status == DVG_OK) status = dvg_list_parse(list, text, path, root, filter);
  else dvg_free(&text);
  dvg_free(&root);
  return status;
}

void dvg_list_free(struct dvg_list *list) {
  dvg_free(&list->rows);
  dvg_free(&list->people);
  dvg_free(&list->domains);
  dvg_free(&list->memory);
  dvg_free(&list->root);
  *list = (struct dvg_list){0};
}

enum dvg_status dvg_list_path(char **path, const struct dvg_list *list, int64_t row) {
  const char *name = list->rows[row].path;
  if (*name == '/') return dvg_text(path, "%s", name);
  return dvg_text(path, "%s/%s", list->root, name);
}
