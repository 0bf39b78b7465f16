#include "common/base/query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

enum { NUMBER, COLUMN, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL, AND, OR, NOT };
enum { DEEPEST = 64 }; // parentheses and "not"s within each other

struct parser {
  struct dvg_query *q;
  const char *option, *text, *at;
  int depth;
};

static enum dvg_status fail(const struct parser *p, const char *wanted) {
  return dvg_fail(DVG_ERROR_USAGE, "%s '%s': %s wanted at character %lld%s%.16s", p->option, p->text, wanted,
                  (long long)(p->at - p->text) + 1, *p->at ? ": " : ", the end", p->at);
}

static void skip_blanks(struct parser *p) {
  while (isspace((unsigned char)*p->at)) p->at++;
}

static int is_name(char c) {
  return isalnum((unsigned char)c) || (c && strchr("_-./", c));
}

// Whether `word` comes next; then it is passed.
static int take_word(struct parser *p, const char *word) {
  const size_t n = strlen(word);
  skip_blanks(p);
  if (strncmp(p->at, word, n) != 0 || is_name(p->at[n])) return 0;
  p->at += n;
  return 1;
}

static int take_sign(struct parser *p, char sign) {
  skip_blanks(p);
  if (*p->at != sign) return 0;
  p->at++;
  return 1;
}

static enum dvg_status add_step(struct parser *p, int operation, double number) {
  if (p->q->n_steps == DVG_QUERY_STEPS)
    return dvg_fail(DVG_ERROR_USAGE, "%s '%.40s...': is too long", p->option, p->text);
  p->q->step[p->q->n_steps++] = (struct dvg_query_step){operation, number};
  return DVG_OK;
}

static enum dvg_status parse_column(struct parser *p) {
  size_t n = 0;
  while (is_name(p->at[n])) n++;
  if (n >= DVG_QUERY_NAME) return fail(p, "a shorter name");
  int k = 0;
  while (k < p->q->n_columns && (strncmp(p->q->column[k], p->at, n) != 0 || p->q->column[k][n])) k++;
  if (k == DVG_QUERY_COLUMNS) return fail(p, "one of fewer columns");
  if (k == p->q->n_columns) {
    memcpy(p->q->column[k], p->at, n);
    p->q->column[k][n] = 0;
    p->q->n_columns++;
  }
  p->at += n;
  return add_step(p, COLUMN, k);
}

static enum dvg_status parse_value(struct parser *p) {
  skip_blanks(p);
  if (isalpha((unsigned char)*p->at)) return parse_column(p);
  char *end = (char *)p->at;
  const double number = strtod(p->at, &end);
  if (end == p->at || is_name(*end)) return fail(p, "a number or the name of a column");
  p->at = end;
  return add_step(p, NUMBER, number);
}

static enum dvg_status parse_comparison(struct parser *p) {
  static const struct {
    char text[3];
    int operation;
  } comparisons[] = {{"<=", LESS_EQUAL}, {">=", GREATER_EQUAL}, {"==", EQUAL}, {"!=", NOT_EQUAL},
                     {"<", LESS},        {">", GREATER},        {"=", EQUAL}};
  DVG_TRY(parse_value(p));
  skip_blanks(p);
  for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++) {
    const size_t n = strlen(comparisons[i].text);
    if (strncmp(p->at, comparisons[i].text, n) != 0) continue;
    p->at += n;
    DVG_TRY(parse_value(p));
    return add_step(p, comparisons[i].operation, 0);
  }
  return fail(p, "a comparison (<, <=, >, >=, =, !=)");
}

static enum dvg_status parse_condition(struct parser *p);

static enum dvg_status parse_factor(struct parser *p) {
  if (take_word(p, "not")) {
    if (p->depth++ == DEEPEST) return fail(p, "a less nested condition");
    DVG_TRY(parse_factor(p));
    p->depth--;
    return add_step(p, NOT, 0);
  }
  if (!take_sign(p, '(')) return parse_comparison(p);
  if (p->depth++ == DEEPEST) return fail(p, "a less nested condition");
  DVG_TRY(parse_condition(p));
  p->depth--;
  return take_sign(p, ')') ? DVG_OK : fail(p, "a closing parenthesis");
}

static enum dvg_status parse_term(struct parser *p) {
  DVG_TRY(parse_factor(p));
  while (take_word(p, "and")) {
    DVG_TRY(parse_factor(p));
    DVG_TRY(add_step(p, AND, 0));
  }
  return DVG_OK;
}

static enum dvg_status parse_condition(struct parser *p) {
  DVG_TRY(parse_term(p));
  while (take_word(p, "or")) {
    DVG_TRY(parse_term(p));
    DVG_TRY(add_step(p, OR, 0));
  }
  return DVG_OK;
}

enum dvg_status dvg_query_parse(struct dvg_query *q, const char *option, const char *text) {
  struct parser p = {.q = q, .option = option, .text = text, .at = text};
  *q = (struct dvg_query){.n_steps = 0};
  DVG_TRY(parse_condition(&p));
  skip_blanks(&p);
  return *p.at ? fail(&p, "'and', 'or' or the end") : DVG_OK;
}

// ---- evaluation

int dvg_query_holds(const struct dvg_query *q, const double *value) {
  double stack[DVG_QUERY_STEPS];
  int top = 0;
  for (int i = 0; i < q->n_steps; i++) {
    const struct dvg_query_step *s = &q->step[i];
    if (s->operation == NUMBER) stack[top++] = s->number;
    else if (s->operation == COLUMN) stack[top++] = value[(int)s->number];
    else if (s->operation == NOT) stack[top - 1] = stack[top - 1] == 0;
    else {
      const double b = stack[--top], a = stack[top - 1];
      int holds = 0;
      switch (s->operation) {
      case LESS:
        holds = a < b;
        break;
      case LESS_EQUAL:
        holds = a <= b;
        break;
      case GREATER:
        holds = a > b;
        break;
      case GREATER_EQUAL:
        holds = a >= b;
        break;
      case EQUAL:
        holds = a == b;
        break;
      case NOT_EQUAL:
        holds = a != b;
        break;
      case AND:
        holds = a != 0 && b != 0;
        break;
      case OR:
        holds = a != 0 || b != 0;
        break;
      }
      stack[top - 1] = holds;
    }
  }
  return top == 1 && stack[0] != 0;
}
