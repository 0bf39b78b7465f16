// What a look at a run rests on: logs that somebody writes meanwhile, figures for people, foreign text made
// harmless, the order of stages.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/alloc.h"
#include "io/artifact.h"
#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"
#include "stages/inspect/run_log.h"
#include "stages/inspect/run_scan.h"
#include "tests/check.h"

static struct dvg_run_log read_log(const char *text, int64_t most_bytes) {
  struct dvg_run_log log;
  CHECK_OK(dvg_path_write_text(dvg_test_path("log.jsonl"), text));
  CHECK_OK(dvg_run_log_read(&log, dvg_test_path("log.jsonl"), most_bytes));
  return log;
}

#define LINE(phase, step, loss, terms, seconds)                                                                \
  "{\"phase\":\"" phase "\",\"step\":" #step ",\"of\":100,\"loss\":" #loss ",\"terms\":{" terms                \
  "},\"rate\":0.5,\"seconds\":" #seconds "}\n"

static void reads_a_log(void) {
  struct dvg_run_log log =
      read_log(LINE("a", 10, 3.5, "\"x\":1", 2) LINE("a", 20, 2.5, "\"x\":2,\"y\":7", 4)
                   LINE("b", 30, -1, "\"z\":0", 3) "{\"phase\":\"b\",\"step\":40,\"of\":100,\"lo",
               1 << 20);
  CU_ASSERT_EQUAL(log.n_phases, 2);
  CU_ASSERT_EQUAL(log.n_bad, 0); // the last line isn't whole yet
  const struct dvg_log_phase *a = &log.phase[0];
  CU_ASSERT_STRING_EQUAL(a->name, "a");
  CU_ASSERT_TRUE(a->n == 2 && a->of == 100 && a->n_terms == 2);
  CU_ASSERT_TRUE(a->point[1].step == 20 && a->point[1].loss == 2.5 && a->point[1].rate == 0.5);
  CU_ASSERT_TRUE(a->term[0].value[0] == 1 && a->term[0].value[1] == 2);
  CU_ASSERT_TRUE(isnan(a->term[1].value[0]) && a->term[1].value[1] == 7); // it came later
  CU_ASSERT_TRUE(log.phase[1].n == 1 && log.phase[1].point[0].loss == -1);
  CU_ASSERT_EQUAL(dvg_log_speed(a), 5);
  CU_ASSERT_EQUAL(dvg_log_speed(&log.phase[1]), 10);
  CU_ASSERT_EQUAL(dvg_log_seconds(a), 4);
  dvg_run_log_free(&log);
}

static void reads_a_log_of_several_runs(void) {
  // Stopped after 20, gone on for two more; 40 comes again after a kill.
  struct dvg_run_log log = read_log(LINE("a", 10, 1, "", 5) LINE("a", 20, 1, "", 9) LINE("a", 30, 1, "", 1)
                                        LINE("a", 40, 1, "", 2) LINE("a", 40, 6, "", 3) LINE("a", 50, 1, "", 7),
                                    1 << 20);
  const struct dvg_log_phase *a = &log.phase[0];
  CU_ASSERT_EQUAL(a->n, 5);
  CU_ASSERT_TRUE(a->point[3].step == 40 && a->point[3].loss == 6);
  CU_ASSERT_EQUAL(dvg_log_seconds(a), 9 + 7);
  CU_ASSERT_DOUBLE_EQUAL(dvg_log_speed(a), 20 / 6.0, 1e-12); // of the run that goes on now
  dvg_run_log_free(&log);
}

static void reads_what_is_left_of_a_log(void) {
  struct dvg_run_log log = read_log("", 100);
  CU_ASSERT_EQUAL(log.n_phases, 0);
  dvg_run_log_free(&log);
  CHECK_OK(dvg_run_log_read(&log, dvg_test_path("nowhere"), 100));
  CU_ASSERT_EQUAL(log.n_phases, 0);
  CHECK_OK(dvg_run_log_read(&log, dvg_test_folder(), 100));
  CU_ASSERT_EQUAL(log.n_phases, 0);
  log = read_log("\n[]\n7\nnonsense\n{}\n{\"phase\":\"a\",\"step\":-1,\"of\":2}\n{\"phase\":\"a\",\"step\":"
                 "1e99,\"of\":2}\n"
                 "{\"phase\":\"a\",\"step\":1,\"of\":2,\"terms\":[1,2],\"loss\":\"x\"}\n",
                 1 << 20);
  CU_ASSERT_EQUAL(log.n_bad, 7);
  CU_ASSERT_TRUE(log.n_phases == 1 && log.phase[0].n == 1 && isnan(log.phase[0].point[0].loss));
  dvg_run_log_free(&log);
  const size_t last = strlen(LINE("a", 30, 1, "", 5));
  log = read_log(LINE("a", 10, 1, "", 5) LINE("a", 20, 1, "", 5) LINE("a", 30, 1, "", 5), (int64_t)last + 10);
  CU_ASSERT_TRUE(log.cut && log.n_bad == 0 && log.phase[0].n == 1 && log.phase[0].point[0].step == 30);
  dvg_run_log_free(&log);
}

static void reads_many_phases_and_terms(void) {
  char text[20000] = "", line[400];
  for (int i = 0; i < 2 * DVG_LOG_PHASES; i++) {
    snprintf(line, sizeof line, "{\"phase\":\"p%d\",\"step\":1,\"of\":2,\"terms\":{\"t\":1}}\n", i);
    strcat(text, line);
  }
  for (int i = 0; i < 2 * DVG_LOG_TERMS; i++) {
    snprintf(line, sizeof line, "{\"phase\":\"p0\",\"step\":%d,\"of\":2,\"terms\":{\"t%d%0100d\":1}}\n", i + 2,
             i, 1);
    strcat(text, line);
  }
  struct dvg_run_log log = read_log(text, 1 << 20);
  CU_ASSERT_EQUAL(log.n_phases, DVG_LOG_PHASES);
  CU_ASSERT_EQUAL(log.n_bad, DVG_LOG_PHASES);
  CU_ASSERT_EQUAL(log.phase[0].n_terms, DVG_LOG_TERMS);
  CU_ASSERT_EQUAL(log.phase[0].n, 1 + 2 * DVG_LOG_TERMS);
  dvg_run_log_free(&log);
}

static void says_figures(void) {
  char text[DVG_FIGURE];
  CU_ASSERT_STRING_EQUAL(dvg_say_count(text, 0), "0");
  CU_ASSERT_STRING_EQUAL(dvg_say_count(text, 999), "999");
  CU_ASSERT_STRING_EQUAL(dvg_say_count(text, 1000), "1,000");
  CU_ASSERT_STRING_EQUAL(dvg_say_count(text, INT64_MAX), "9,223,372,036,854,775,807");
  CU_ASSERT_STRING_EQUAL(dvg_say_count(text, -1), "");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, 9.44), "9.4 s");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, 9.96), "10 s");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, 59.6), "1 min 00 s");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, 3599), "59 min 59 s");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, 7500), "2 h 05 min");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, 200000), "2 d 7 h");
  CU_ASSERT_STRING_EQUAL(dvg_say_time(text, NAN), "");
  CU_ASSERT_STRING_EQUAL(dvg_say_rate(text, 0.05), "1/20 s");
  CU_ASSERT_STRING_EQUAL(dvg_say_rate(text, 3.1249), "3.12");
  CU_ASSERT_STRING_EQUAL(dvg_say_rate(text, 26600), "26,600");
  CU_ASSERT_STRING_EQUAL(dvg_say_rate(text, 0), "");
  CU_ASSERT_STRING_EQUAL(dvg_say_value(text, 0.0599768), "0.05998");
  CU_ASSERT_EQUAL(dvg_program_length("dvg-prepare render 0.1.0"), strlen("dvg-prepare render"));
  CU_ASSERT_EQUAL(dvg_program_length(""), 0);
}

// *text = what `put` writes; static.
static const char *written(void (*put)(FILE *, const char *), const char *from) {
  static char text[400];
  char *made = NULL;
  size_t n;
  FILE *to = open_memstream(&made, &n);
  put(to, from);
  fclose(to);
  snprintf(text, sizeof text, "%s", made);
  free(made);
  return text;
}

static void put_plain(FILE *to, const char *text) {
  dvg_put_plain(to, text, 12, 0);
}
static void put_ascii(FILE *to, const char *text) {
  dvg_put_plain(to, text, 12, 1);
}

static void makes_text_harmless(void) {
  CU_ASSERT_STRING_EQUAL(written(dvg_html_put, "<a href=\"x\">'&amp;'</a>"),
                         "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&#39;&lt;/a&gt;");
  CU_ASSERT_STRING_EQUAL(written(dvg_html_put, "a\001\033\tb\n"), "a\ufffd\ufffd\tb\n");
  // A stray byte, an over-long '/', half a character, a surrogate, what lies beyond Unicode, U+FFFF.
  CU_ASSERT_STRING_EQUAL(
      written(dvg_html_put, "\xff|\xc0\xaf|\xe2\x82|\xed\xa0\x80|\xf4\x90\x80\x80|\xef\xbf\xbf"),
      "\ufffd|\ufffd\ufffd|\ufffd\ufffd|\ufffd\ufffd\ufffd|\ufffd\ufffd\ufffd\ufffd|\ufffd");
  CU_ASSERT_STRING_EQUAL(written(dvg_html_put, "\u00fc\u20ac\U0001f600"), "\u00fc\u20ac\U0001f600");
  CU_ASSERT_STRING_EQUAL(written(put_plain, "a\033[31mb\xc2\x85\u202e\x9b"), "a?[31mb???");
  CU_ASSERT_STRING_EQUAL(written(put_plain, "\u00fcber\u20ac"), "\u00fcber\u20ac");
  CU_ASSERT_STRING_EQUAL(written(put_ascii, "\u00fcber\u20ac"), "?ber?");
  CU_ASSERT_STRING_EQUAL(written(put_plain, "0123456789ab"), "0123456789ab");
  CU_ASSERT_STRING_EQUAL(written(put_plain, "0123456789abc"), "012345678...");
  CU_ASSERT_EQUAL(dvg_columns("\u00fcber\u20ac\xff"), 6);
}

static void write_file(const char *name, const char *inputs, char digest[DVG_DIGEST_TEXT]) {
  struct dvg_artifact *a = NULL;
  char role[32], from[32], sum[DVG_DIGEST_TEXT];
  CHECK_OK(dvg_artifact_create(&a, dvg_test_path(name), "weights", 1, "test 1", "x = 1\n"));
  CHECK_OK(dvg_artifact_set_text(a, "name", name));
  for (int n; sscanf(inputs, "%31s %31s %64s%n", role, from, sum, &n) == 3; inputs += n)
    CHECK_OK(dvg_artifact_add_input(a, role, from, sum));
  CHECK_OK(dvg_artifact_commit(&a, digest));
}

// Of the files z <- a <- k <- b: each comes after what it was made from, whatever their names are.
static void orders_stages(void) {
  char digest[4][DVG_DIGEST_TEXT], inputs[400];
  mkdir(dvg_test_path("run"), 0700);
  write_file("run/z.h5", "", digest[0]);
  snprintf(inputs, sizeof inputs, "start z.h5 %s", digest[0]);
  write_file("run/a.h5", inputs, digest[1]);
  snprintf(inputs, sizeof inputs, "start a.h5 %s other gone.h5 %064d", digest[1], 0);
  write_file("run/k.h5", inputs, digest[2]);
  snprintf(inputs, sizeof inputs, "start k.h5 %s first z.h5 %s", digest[2], digest[0]);
  write_file("run/b.h5", inputs, digest[3]);
  struct dvg_run r;
  CHECK_OK(dvg_run_scan(&r, dvg_test_path("run"), 1000));
  CU_ASSERT_EQUAL(r.n, 4);
  static const char *const order[] = {"z.h5", "a.h5", "k.h5", "b.h5"};
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_STRING_EQUAL(r.stage[i].name, order[i]);
    CU_ASSERT_STRING_EQUAL(r.stage[i].digest, digest[i]);
  }
  CU_ASSERT_EQUAL(r.n_edges, 5);
  static const int64_t edges[][2] = {{0, 1}, {-1, 2}, {1, 2}, {0, 3}, {2, 3}};
  for (int e = 0; e < 5; e++) CU_ASSERT_TRUE(r.edge[e].from == edges[e][0] && r.edge[e].to == edges[e][1]);
  CU_ASSERT_STRING_EQUAL(r.edge[1].name, "gone.h5");
  dvg_run_free(&r);
}

const struct dvg_test dvg_tests[] = {{"reads a log", reads_a_log},
                                     {"reads a log of several runs", reads_a_log_of_several_runs},
                                     {"reads what is left of a log", reads_what_is_left_of_a_log},
                                     {"reads many phases and terms", reads_many_phases_and_terms},
                                     {"says figures", says_figures},
                                     {"makes text harmless", makes_text_harmless},
                                     {"orders stages", orders_stages},
                                     {NULL, NULL}};
