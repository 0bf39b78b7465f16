// Conditions on columns: what holds, and what is refused where.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/query.h"
#include "tests/check.h"

static double value_of(const char *name) {
  return strcmp(name, "a") == 0               ? 1
         : strcmp(name, "b") == 0             ? 2
         : strcmp(name, "cos_NIR/x-1.5") == 0 ? -0.25
                                              : NAN;
}

static int holds(const char *text) {
  struct dvg_query q;
  double value[DVG_QUERY_COLUMNS];
  CHECK_OK(dvg_query_parse(&q, "--where", text));
  for (int k = 0; k < q.n_columns; k++) value[k] = value_of(q.column[k]);
  return dvg_query_holds(&q, value);
}

static void conditions(void) {
  static const struct {
    const char *text;
    int holds;
  } cases[] = {
      {"a<2", 1},
      {"a < 1", 0},
      {"a<=1", 1},
      {"b>1", 1},
      {"b>2", 0},
      {"b>=2", 1},
      {"a=1", 1},
      {"a==2", 0},
      {"a!=2", 1},
      {"1 < b", 1},
      {"a < b", 1},
      {"b < a", 0},
      {"cos_NIR/x-1.5 < -0.2", 1},
      {"a > 0.5e0 and b < 3", 1},
      {"a > 0.5 and b < 2", 0},
      {"a > 2 or b = 2", 1},
      {"a > 2 or b = 3", 0},
      {"a = 1 or a = 1 and b = 3", 1}, // "and" binds more
      {"(a = 1 or a = 1) and b = 3", 0},
      {"not a = 2", 1},
      {"not a = 1 or b = 2", 1}, // "not" binds most
      {"not (a = 1 or b = 2)", 0},
      {"not not a = 1", 1},
      {"nan_column < 1 or nan_column >= 1", 0},
      {"nan_column != 1", 1},
      {"not (nan_column < 1)", 1},
      {"  a\t= 1 ", 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (holds(cases[i].text) != cases[i].holds) {
      printf("  '%s'\n", cases[i].text);
      CU_FAIL("a condition");
    }
}

static void columns(void) {
  struct dvg_query q;
  CHECK_OK(dvg_query_parse(&q, "--where", "leak < 0.4 and cos > leak and not cos = and_more"));
  CU_ASSERT_EQUAL_FATAL(q.n_columns, 3);
  CU_ASSERT_STRING_EQUAL(q.column[0], "leak");
  CU_ASSERT_STRING_EQUAL(q.column[1], "cos");
  CU_ASSERT_STRING_EQUAL(q.column[2], "and_more");
}

static void refused(void) {
  static const char *const cases[] = {"",        "a",      "a <",     "a < < 1", "a < 1 and", "a < 1 b < 2",
                                      "(a < 1",  "a < 1)", "a ~ 1",   "1",       "a < 1x",    "and a < 1 ",
                                      "a = 'x'", "not",    "((a)=1)", "a & b",   "a < -",     "a => 1"};
  dvg_log_quiet(1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct dvg_query q;
    const enum dvg_status status = dvg_query_parse(&q, "--where", cases[i]);
    if (status != DVG_ERROR_USAGE) printf("  '%s'\n", cases[i]);
    CU_ASSERT_EQUAL(status, DVG_ERROR_USAGE);
  }
  // Neither depth nor length without bound.
  char text[4000];
  struct dvg_query q;
  memset(text, '(', sizeof text);
  text[sizeof text - 1] = 0;
  CU_ASSERT_EQUAL(dvg_query_parse(&q, "--where", text), DVG_ERROR_USAGE);
  for (size_t i = 0; i + 4 < sizeof text; i += 4) memcpy(text + i, "not ", 5);
  CU_ASSERT_EQUAL(dvg_query_parse(&q, "--where", text), DVG_ERROR_USAGE);
  for (size_t i = 0; i + 8 < sizeof text; i += 8) memcpy(text + i, "1=1 and ", 9);
  CU_ASSERT_EQUAL(dvg_query_parse(&q, "--where", text), DVG_ERROR_USAGE);
  text[0] = 0;
  for (int k = 0; k < 40; k++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "%sc%d<1", k ? " or " : "", k);
  CU_ASSERT_EQUAL(dvg_query_parse(&q, "--where", text), DVG_ERROR_USAGE);
  memset(text, 'a', 100);
  snprintf(text + 100, sizeof text - 100, " < 1");
  CU_ASSERT_EQUAL(dvg_query_parse(&q, "--where", text), DVG_ERROR_USAGE);
  dvg_log_quiet(0);
}

const struct dvg_test dvg_tests[] = {
    {"conditions", conditions}, {"columns", columns}, {"what is refused", refused}, {NULL, NULL}};
