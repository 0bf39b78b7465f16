// Conditions on the columns of a table, as a user writes them: "cos_pair > 0.5 and not (leak >= 0.4 or attempt != 0)".
//
//     condition = term { "or" term }          term = factor { "and" factor }
//     factor    = "not" factor | "(" condition ")" | value comparison value
//     comparison = "<" "<=" ">" ">=" "=" "==" "!="          value = number | column
//
// A column's name is letters, digits, '_', '-', '.', '/', and begins with a letter. A comparison with NaN is false, but "!=" is true.
#ifndef DVG_BASE_QUERY_H
#define DVG_BASE_QUERY_H

#include <stdint.h>

#include "common/base/status.h"

enum { DVG_QUERY_STEPS = 256, DVG_QUERY_COLUMNS = 32, DVG_QUERY_NAME = 64 };

struct dvg_query_step {
  int operation; // internal
  double number; // of a number; index of a column
};

// Postfix; values of columns are looked up by index.
struct dvg_query {
  int n_steps, n_columns;
  struct dvg_query_step step[DVG_QUERY_STEPS];
  char column[DVG_QUERY_COLUMNS][DVG_QUERY_NAME];
};

// Not collective. DVG_ERROR_USAGE names `option`, the text and the place of what is wrong.
DVG_CHECKED enum dvg_status dvg_query_parse(struct dvg_query *q, const char *option, const char *text);
// Not collective. Whether a row fulfils it; value[k] is that of column[k].
int dvg_query_holds(const struct dvg_query *q, const double *value);

#endif
