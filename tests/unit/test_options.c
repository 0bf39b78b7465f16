// common/base/options: the command line, config files, presets, what goes before what, and what is refused how.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "tests/check.h"

struct settings {
  int64_t count, kind, fast, offset, threads;
  double rate;
  char *out, *note, *scratch;
};

static const struct dvg_option table[] = {
    DVG_OPTION_INT(struct settings, count, "count", "1000", 1, INT64_MAX, "pairs to make"),
    DVG_OPTION_INT(struct settings, offset, "offset", "-2", -5, 5, "where to begin"),
    DVG_OPTION_REAL(struct settings, rate, "rate", "0.001", 0, 1, "learning rate"),
    DVG_OPTION_CHOICE(struct settings, kind, "kind", "rgb", "grey|rgb|near-infrared", "kind of image"),
    DVG_OPTION_FLAG(struct settings, fast, "fast", "no", "leave the checks out"),
    DVG_OPTION_TEXT(struct settings, note, "note", "", "goes into the artifact"),
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "folder for the shards"),
    DVG_OPTION_PATH(struct settings, scratch, "scratch", "/tmp", "folder for the rest"),
    DVG_OPTION_LOCAL_INT(struct settings, threads, "threads", "1", 1, 8, "threads"),
    DVG_OPTION_END};

static const char *const paper[] = {"count", "200", "kind", "grey", NULL};
static const char *const small[] = {"count", "20", "out", "small-out", NULL};
static const struct dvg_preset presets[] = {{"paper", paper}, {"small", small}, {NULL, NULL}};

static struct settings s;
static struct dvg_options o;
static const struct dvg_option *table_in_use = table;

// Parses the words (separated by |) as command line.
static enum dvg_status parse(const char *words, const struct dvg_preset *with) {
  static char line[2048];
  char *argv[32] = {(char *)"program"};
  int argc = 1;
  snprintf(line, sizeof line, "%s", words);
  for (char *rest = line, *word; *words && (word = strsep(&rest, "|")) != NULL && argc < 32;)
    argv[argc++] = word;
  memset(&s, 0xee, sizeof s); // whatever was there must not matter
  o = (struct dvg_options){.program = "dvg-test",
                           .summary = "tests the options",
                           .table = table_in_use,
                           .presets = with,
                           .values = &s};
  return dvg_options_parse(&o, argc, argv);
}

static void parse_good(const char *words) {
  CHECK_OK(parse(words, NULL));
}

// ---- what the program says, caught in files

static char said[16384];

// Runs parse() with standard output and standard error caught in `said`.
static enum dvg_status parse_caught(const char *words, const struct dvg_preset *with) {
  char path[4096];
  snprintf(path, sizeof path, "%s/said", dvg_test_folder());
  fflush(NULL);
  int kept[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
  FILE *f = fopen(path, "w+");
  dup2(fileno(f), STDOUT_FILENO);
  dup2(fileno(f), STDERR_FILENO);
  enum dvg_status status = parse(words, with);
  fflush(NULL);
  dup2(kept[0], STDOUT_FILENO);
  dup2(kept[1], STDERR_FILENO);
  close(kept[0]);
  close(kept[1]);
  rewind(f);
  said[fread(said, 1, sizeof said - 1, f)] = 0;
  fclose(f);
  return status;
}

static int has(const char *part) {
  if (strstr(said, part)) return 1;
  fprintf(stderr, "  not said: %s\n  said: %s\n", part, said);
  return 0;
}

// Refused with `status` and one line that has `part`.
static int refused_as(const char *words, const struct dvg_preset *with, enum dvg_status want,
                      const char *part) {
  enum dvg_status status = parse_caught(words, with);
  dvg_options_free(&o);
  const char *end = strchr(said, '\n');
  int one_line = end && end[1] == 0;
  if (status != want || !one_line) fprintf(stderr, "  \"%s\": status %d, said: %s\n", words, (int)status, said);
  return status == want && one_line && has(part) && o.help == 0;
}

static int refused(const char *words, const char *part) {
  return refused_as(words, NULL, DVG_ERROR_USAGE, part);
}

// A config file with this content; returns its path.
static const char *config(const char *name, const char *content) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", dvg_test_folder(), name);
  FILE *f = fopen(path, "w");
  fputs(content, f);
  fclose(f);
  return path;
}

// `before` | --config | path | `after`
static const char *with_config(const char *content, const char *more) {
  static char words[8192];
  snprintf(words, sizeof words, "--config|%s%s%s", config("settings.conf", content), *more ? "|" : "", more);
  return words;
}

// ---- tests

static void defaults_hold(void) {
  parse_good("--out|x");
  CU_ASSERT_EQUAL(s.count, 1000);
  CU_ASSERT_EQUAL(s.offset, -2);
  CU_ASSERT_EQUAL(s.rate, 0.001);
  CU_ASSERT_EQUAL(s.kind, 1);
  CU_ASSERT_EQUAL(s.fast, 0);
  CU_ASSERT_EQUAL(s.threads, 1);
  CU_ASSERT_STRING_EQUAL(s.note, "");
  CU_ASSERT_STRING_EQUAL(s.out, "x");
  CU_ASSERT_STRING_EQUAL(s.scratch, "/tmp");
  CU_ASSERT_EQUAL(o.help, 0);
  dvg_options_free(&o);
  CU_ASSERT_PTR_NULL(s.out);
}

static void all_forms_are_read(void) {
  parse_good("--count=7|--offset|-5|--rate=1e-3|--kind|near-infrared|--fast|--out=a=b|--note|two words");
  CU_ASSERT_EQUAL(s.count, 7);
  CU_ASSERT_EQUAL(s.offset, -5);
  CU_ASSERT_EQUAL(s.rate, 1e-3);
  CU_ASSERT_EQUAL(s.kind, 2);
  CU_ASSERT_EQUAL(s.fast, 1);
  CU_ASSERT_STRING_EQUAL(s.out, "a=b");
  CU_ASSERT_STRING_EQUAL(s.note, "two words");
  dvg_options_free(&o);
  parse_good("--fast|--no-fast|--out|x|--count|9223372036854775807|--note=--fast");
  CU_ASSERT_EQUAL(s.fast, 0);
  CU_ASSERT_EQUAL(s.count, INT64_MAX);
  CU_ASSERT_STRING_EQUAL(s.note, "--fast");
  dvg_options_free(&o);
  parse_good("--fast=yes|--out|x|--out|y|--count|3|--count=4"); // the later one wins
  CU_ASSERT_EQUAL(s.fast, 1);
  CU_ASSERT_STRING_EQUAL(s.out, "y");
  CU_ASSERT_EQUAL(s.count, 4);
  dvg_options_free(&o);
}

static void bad_values_are_refused(void) {
  static const char *const not_whole[] = {"", "abc", "1x", " 1", "1 ", "1.5", "1e3", "0x10", "10k"};
  for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; i++) {
    char words[64];
    snprintf(words, sizeof words, "--out|x|--count=%s", not_whole[i]);
    CU_ASSERT_TRUE(refused(words, "--count: \""));
  }
  CU_ASSERT_TRUE(refused("--out|x|--count|0", "--count: 0 is out of range: 1 or more"));
  CU_ASSERT_TRUE(refused("--out|x|--count|9223372036854775808", "out of range"));
  CU_ASSERT_TRUE(refused("--out|x|--offset|-6", "--offset: -6 is out of range: -5 to 5"));
  CU_ASSERT_TRUE(refused("--out|x|--offset|6", "out of range"));
  static const char *const not_real[] = {"", "abc", "0.1x", " 0.1", "nan", "0,1"};
  for (size_t i = 0; i < sizeof not_real / sizeof *not_real; i++) {
    char words[64];
    snprintf(words, sizeof words, "--out|x|--rate=%s", not_real[i]);
    CU_ASSERT_TRUE(refused(words, "is not a number"));
  }
  CU_ASSERT_TRUE(refused("--out|x|--rate|inf", "--rate: inf is out of range: 0 to 1"));
  CU_ASSERT_TRUE(refused("--out|x|--rate|1e999", "out of range"));
  CU_ASSERT_TRUE(refused("--out|x|--rate|1.0001", "out of range"));
  // Not even where there is no bound.
  static const struct dvg_option unbounded[] = {
      DVG_OPTION_REAL(struct settings, rate, "rate", "1", -INFINITY, INFINITY, "a"), DVG_OPTION_END};
  table_in_use = unbounded;
  CU_ASSERT_TRUE(refused("--rate|inf", "--rate: inf is out of range"));
  CU_ASSERT_TRUE(refused("--rate|nan", "is not a number"));
  parse_good("--rate|-1e300");
  CU_ASSERT_EQUAL(s.rate, -1e300);
  dvg_options_free(&o);
  table_in_use = table;
  CU_ASSERT_TRUE(refused("--out|x|--kind|red", "--kind: \"red\" is none of grey|rgb|near-infrared"));
  CU_ASSERT_TRUE(refused("--out|x|--kind|gre", "is none of"));
  CU_ASSERT_TRUE(refused("--out|x|--kind=", "is none of"));
  CU_ASSERT_TRUE(refused("--out|x|--fast=maybe", "--fast: \"maybe\" is neither yes nor no"));
  CU_ASSERT_TRUE(refused("--out=", "--out must not be empty"));
}

static void bad_names_are_refused(void) {
  CU_ASSERT_TRUE(refused("--out|x|--cuont|5", "unknown option --cuont; did you mean --count?"));
  CU_ASSERT_TRUE(refused("--out|x|--cuont=5", "unknown option --cuont; did you mean --count?"));
  CU_ASSERT_TRUE(refused("--hepl", "did you mean --help?"));
  CU_ASSERT_TRUE(refused("--completely-different", "unknown option --completely-different; see --help"));
  CU_ASSERT_TRUE(refused("--out|x|--no-count", "unknown option --no-count"));
  CU_ASSERT_TRUE(refused("--out|x|--preset|paper", "unknown option --preset")); // this program has none
  CU_ASSERT_TRUE(refused("--out|x|stray", "unexpected argument \"stray\""));
  CU_ASSERT_TRUE(refused("--out|x|-c|5", "unexpected argument \"-c\""));
  CU_ASSERT_TRUE(refused("--out|x|--", "unexpected argument \"--\""));
  CU_ASSERT_TRUE(refused("--out|x|--fast|yes", "unexpected argument \"yes\"")); // flags take no next word
  CU_ASSERT_TRUE(refused("--out", "--out needs a value"));
  CU_ASSERT_TRUE(refused("--out|--count|3", "--out needs a value"));
  CU_ASSERT_TRUE(refused("--config", "--config needs a value"));
  char words[400] = "--out|x|--";
  for (int i = 0; i < 300; i++) strcat(words, "n");
  CU_ASSERT_TRUE(refused(words, "unknown option"));
}

static void missing_options_are_all_named(void) {
  CU_ASSERT_TRUE(refused("", "missing option: --out; see --help"));
  static const struct dvg_option two[] = {DVG_OPTION_PATH(struct settings, out, "out", NULL, "a"),
                                          DVG_OPTION_PATH(struct settings, note, "note", "", "b"),
                                          DVG_OPTION_INT(struct settings, count, "count", NULL, 0, 9, "c"),
                                          DVG_OPTION_END};
  table_in_use = two;
  CU_ASSERT_TRUE(refused("", "missing options: --out, --count; see --help"));
  table_in_use = table;
}

static void config_files_are_read(void) {
  CHECK_OK(parse(with_config("# a comment\n"
                             "\n"
                             "  count=5\r\n"
                             "rate = 0.5   # half\n"
                             "out = folder with spaces#1\n"
                             "fast = yes\n"
                             "note = \" quoted \\\"\\\\n\\n# \"  # and a comment\n"
                             "kind = grey\n"
                             "kind = near-infrared",
                             ""),
                 NULL));
  CU_ASSERT_EQUAL(s.count, 5);
  CU_ASSERT_EQUAL(s.rate, 0.5);
  CU_ASSERT_STRING_EQUAL(s.out, "folder with spaces#1");
  CU_ASSERT_EQUAL(s.fast, 1);
  CU_ASSERT_STRING_EQUAL(s.note, " quoted \"\\n\n# ");
  CU_ASSERT_EQUAL(s.kind, 2);
  dvg_options_free(&o);
}

static void bad_config_files_are_refused(void) {
  CU_ASSERT_TRUE(refused(with_config("count = 1\n\ncuont = 5\n", "--out|x"),
                         "settings.conf:3: unknown option cuont; did you mean count?"));
  CU_ASSERT_TRUE(
      refused(with_config("count = x\n", "--out|x"), "settings.conf:1: count: \"x\" is not a whole number"));
  CU_ASSERT_TRUE(refused(with_config("count\n", "--out|x"), "settings.conf:1: this is not name = value"));
  CU_ASSERT_TRUE(refused(with_config("= 5\n", "--out|x"), "settings.conf:1: this is not name = value"));
  CU_ASSERT_TRUE(
      refused(with_config("note = \"open\n", "--out|x"), "settings.conf:1: this is not name = value"));
  CU_ASSERT_TRUE(
      refused(with_config("note = \"open\\", "--out|x"), "settings.conf:1: this is not name = value"));
  CU_ASSERT_TRUE(
      refused(with_config("note = \"a\" b\n", "--out|x"), "settings.conf:1: this is not name = value"));
  CU_ASSERT_TRUE(refused(with_config("config = other\n", "--out|x"), "settings.conf:1: unknown option config"));
  CU_ASSERT_TRUE(
      refused_as("--config|/nowhere/at/all|--out|x", NULL, DVG_ERROR_IO, "/nowhere/at/all: cannot open: "));
  char words[4200];
  snprintf(words, sizeof words, "--config|%s|--out|x", dvg_test_folder());
  CU_ASSERT_TRUE(refused_as(words, NULL, DVG_ERROR_IO, "cannot read: "));
  char path[4200];
  snprintf(path, sizeof path, "%s/binary", dvg_test_folder());
  FILE *f = fopen(path, "w");
  fwrite("count = 3\0\n", 1, 11, f);
  fclose(f);
  snprintf(words, sizeof words, "--config|%s/binary|--out|x", dvg_test_folder());
  CU_ASSERT_TRUE(refused_as(words, NULL, DVG_ERROR_INPUT, "binary: not a text file"));
  f = fopen(path, "w");
  for (int i = 0; i < 1 << 20; i++) fputs("#\n", f);
  fclose(f);
  CU_ASSERT_TRUE(refused_as(words, NULL, DVG_ERROR_INPUT, "binary: too long"));
}

static void presets_are_used(void) {
  CHECK_OK(parse("--out|x", presets)); // the first is the default
  CU_ASSERT_EQUAL(s.count, 200);
  CU_ASSERT_EQUAL(s.kind, 0);
  dvg_options_free(&o);
  CHECK_OK(parse("--preset|small", presets)); // a preset can give what must be given
  CU_ASSERT_EQUAL(s.count, 20);
  CU_ASSERT_EQUAL(s.kind, 1);
  CU_ASSERT_STRING_EQUAL(s.out, "small-out");
  dvg_options_free(&o);
  CHECK_OK(parse("--out|x|--preset=small|--preset=paper", presets));
  CU_ASSERT_EQUAL(s.count, 200);
  dvg_options_free(&o);
  CU_ASSERT_TRUE(
      refused_as("--preset|large", presets, DVG_ERROR_USAGE, "--preset: \"large\" is none of paper|small"));
}

static void later_sources_win(void) {
  // Table 1000, preset 20, config 30, command line 40; wherever the words stand.
  CHECK_OK(parse("--preset|small", presets));
  CU_ASSERT_EQUAL(s.count, 20);
  dvg_options_free(&o);
  CHECK_OK(parse(with_config("count = 30\n", "--preset|small"), presets));
  CU_ASSERT_EQUAL(s.count, 30);
  CU_ASSERT_STRING_EQUAL(s.out, "small-out");
  dvg_options_free(&o);
  char words[8300];
  snprintf(words, sizeof words, "--count|40|%s", with_config("count = 30\n", "--preset|small"));
  CHECK_OK(parse(words, presets));
  CU_ASSERT_EQUAL(s.count, 40);
  dvg_options_free(&o);
  // The config file may name the preset, wherever in it; the command line overrides it.
  CHECK_OK(parse(with_config("kind = grey\npreset = paper\npreset = small # the later one\n", ""), presets));
  CU_ASSERT_EQUAL(s.count, 20);
  CU_ASSERT_EQUAL(s.kind, 0);
  dvg_options_free(&o);
  CHECK_OK(parse(with_config("preset = small\nout = y\n", "--preset|paper"), presets));
  CU_ASSERT_EQUAL(s.count, 200);
  dvg_options_free(&o);
}

static void help_shows_everything(void) {
  CU_ASSERT_EQUAL(parse_caught("--help", presets), DVG_OK); // although --out is missing
  CU_ASSERT_EQUAL(o.help, 1);
  CU_ASSERT_TRUE(has("dvg-test: tests the options\nusage: dvg-test "));
  CU_ASSERT_TRUE(has("--count N") && has("pairs to make [1 or more; default 200]")); // of the first preset
  CU_ASSERT_TRUE(has("--offset N") && has("[-5 to 5; default -2]"));
  CU_ASSERT_TRUE(has("--rate X") && has("[0 to 1; default 0.001]"));
  CU_ASSERT_TRUE(has("--kind grey|rgb|near-infrared") && has("[default grey]"));
  CU_ASSERT_TRUE(has("--[no-]fast") && has("[default no]"));
  CU_ASSERT_TRUE(has("--note TEXT") && has("[default none]"));
  CU_ASSERT_TRUE(has("folder for the shards [required]"));
  CU_ASSERT_TRUE(has("--preset NAME") && has("paper|small [paper]"));
  CU_ASSERT_TRUE(has("--config FILE") && has("--help") && has("--version"));
  dvg_options_free(&o);
  CU_ASSERT_EQUAL(parse_caught(with_config("rate = 0.25\n", "--help|--preset|small"), presets), DVG_OK);
  CU_ASSERT_TRUE(has("default 20]") && has("default 0.25]") && has("default small-out]"));
  dvg_options_free(&o);
  CU_ASSERT_EQUAL(parse_caught("--version", NULL), DVG_OK);
  CU_ASSERT_EQUAL(o.help, 1);
  CU_ASSERT_STRING_EQUAL(said, "dvg-test " DVG_VERSION "\n");
  dvg_options_free(&o);
}

static void printed_settings_read_back(void) {
  static const char *const notes[] = {"",       "plain", " spaces ",     "a # b",  "#",     "a#b", "\"quoted\"",
                                      "back\\", "a\"b",  "two\nlines\n", "a = b ", "tab\t", "\"",  "x\r"};
  static const double rates[] = {0, 1, 0.1, 1.0 / 3, 1e-300, 0x1.fffffffffffffp-2, 5e-324};
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
    parse_good("--out|some where|--offset|-3|--kind|grey|--fast|--count|9223372036854775807");
    CHECK_OK(dvg_options_set(&o, "note", notes[i]));
    s.rate = rates[i % (sizeof rates / sizeof *rates)];
    double rate = s.rate;
    char *first = NULL, *second = NULL;
    CHECK_OK(dvg_options_print(&first, &o, 0));
    dvg_options_free(&o);
    CHECK_OK(parse(with_config(first, ""), NULL));
    CU_ASSERT_EQUAL(s.rate, rate);
    CU_ASSERT_STRING_EQUAL(s.note, notes[i]);
    CU_ASSERT_EQUAL(s.count, INT64_MAX);
    CHECK_OK(dvg_options_print(&second, &o, 0));
    CU_ASSERT_STRING_EQUAL(first, second);
    dvg_free(&first);
    dvg_free(&second);
    dvg_options_free(&o);
  }
}

static void stored_settings_leave_local_ones_out(void) {
  parse_good("--out|x");
  char *text = NULL;
  CHECK_OK(dvg_options_print(&text, &o, 1));
  CU_ASSERT_STRING_EQUAL(text, "count = 1000\noffset = -2\nrate = 0.001\nkind = rgb\nfast = no\nnote = \n");
  dvg_free(&text);
  dvg_options_free(&o);
}

static void single_options_are_set(void) {
  parse_good("--out|x");
  CHECK_OK(dvg_options_set(&o, "count", "12"));
  CHECK_OK(dvg_options_set(&o, "out", "y"));
  CU_ASSERT_EQUAL(s.count, 12);
  CU_ASSERT_STRING_EQUAL(s.out, "y");
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_options_set(&o, "count", "0"), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_options_set(&o, "cuont", "5"), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_options_set(&o, "out", ""), DVG_ERROR_USAGE);
  dvg_options_log(&o);
  dvg_log_quiet(0);
  CU_ASSERT_EQUAL(s.count, 12); // a refused value changes nothing
  CU_ASSERT_STRING_EQUAL(s.out, "y");
  // Several at once, as stored settings have them; what they don't name stays.
  CHECK_OK(dvg_options_apply(&o, "count = 13\nnote = \"two\\nlines\"\n", "set/request.h5"));
  CU_ASSERT_EQUAL(s.count, 13);
  CU_ASSERT_STRING_EQUAL(s.note, "two\nlines");
  CU_ASSERT_STRING_EQUAL(s.out, "y");
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_options_apply(&o, "cuont = 5\n", "set/request.h5"), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_options_apply(&o, "count\n", "set/request.h5"), DVG_ERROR_USAGE);
  dvg_log_quiet(0);
  dvg_options_free(&o);
}

const struct dvg_test dvg_tests[] = {
    {"defaults hold", defaults_hold},
    {"all forms are read", all_forms_are_read},
    {"bad values are refused", bad_values_are_refused},
    {"bad names are refused", bad_names_are_refused},
    {"missing options are all named", missing_options_are_all_named},
    {"config files are read", config_files_are_read},
    {"bad config files are refused", bad_config_files_are_refused},
    {"presets are used", presets_are_used},
    {"later sources win", later_sources_win},
    {"help shows everything", help_shows_everything},
    {"printed settings read back", printed_settings_read_back},
    {"stored settings leave local ones out", stored_settings_leave_local_ones_out},
    {"single options are set", single_options_are_set},
    {NULL, NULL}};
