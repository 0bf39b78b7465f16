// Options: one table a program gives the parser, --help with defaults, the --config file, the printed settings and
// the settings stored in artifacts, so that these can't drift apart.
//
//     struct settings { int64_t count; double rate; const char *out; int64_t kind; };
//     static const struct dvg_option options[] = {
//         DVG_OPTION_INT(struct settings, count, "count", "1000", 1, INT64_MAX, "pairs to make"),
//         DVG_OPTION_PATH(struct settings, out, "out", NULL, "folder for the shards"), ...
//         DVG_OPTION_END};
//
// A default of NULL means that the option must be given; "" on a text or path means none. Values come from, later
// wins: the table, the preset, the config file, the command line (`--name value`, `--name=value`, flags `--name`,
// `--no-name` and `--name=no`). Every program also has --help, --version, --config FILE and, with presets, --preset NAME.
// A config file has `name = value` a line, `preset = name` too; # at the start of a line or after a space starts a
// comment; a text with such things in it stands in double quotes, with \" \\ \n for ", \ and a new line.
#ifndef DVG_BASE_OPTIONS_H
#define DVG_BASE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

enum dvg_option_kind {
  DVG_OPTION_KIND_END,
  DVG_OPTION_KIND_FLAG,   // int64_t 0 or 1
  DVG_OPTION_KIND_INT,    // int64_t in [min, max]
  DVG_OPTION_KIND_REAL,   // double in [min, max], finite
  DVG_OPTION_KIND_TEXT,   // char *, owned by the parsed options
  DVG_OPTION_KIND_CHOICE  // int64_t, the place in `choices` ("a|b|c")
};

struct dvg_option {
  const char *name, *fallback, *help, *choices;
  size_t offset;
  double min, max;
  enum dvg_option_kind kind;
  int local; // does not change the result (where things lie, how often to speak): not stored, free to change on resume
};

#define DVG_OPTION_FLAG(s, m, n, d, h) {n, d, h, NULL, offsetof(s, m), 0, 1, DVG_OPTION_KIND_FLAG, 0}
#define DVG_OPTION_INT(s, m, n, d, lo, hi, h)                                                                \
  {n, d, h, NULL, offsetof(s, m), (double)(lo), (double)(hi), DVG_OPTION_KIND_INT, 0}
#define DVG_OPTION_REAL(s, m, n, d, lo, hi, h) {n, d, h, NULL, offsetof(s, m), lo, hi, DVG_OPTION_KIND_REAL, 0}
#define DVG_OPTION_TEXT(s, m, n, d, h) {n, d, h, NULL, offsetof(s, m), 0, 0, DVG_OPTION_KIND_TEXT, 0}
#define DVG_OPTION_CHOICE(s, m, n, d, c, h) {n, d, h, c, offsetof(s, m), 0, 0, DVG_OPTION_KIND_CHOICE, 0}
#define DVG_OPTION_PATH(s, m, n, d, h) {n, d, h, NULL, offsetof(s, m), 0, 0, DVG_OPTION_KIND_TEXT, 1}
#define DVG_OPTION_LOCAL_INT(s, m, n, d, lo, hi, h)                                                          \
  {n, d, h, NULL, offsetof(s, m), (double)(lo), (double)(hi), DVG_OPTION_KIND_INT, 1}
#define DVG_OPTION_LOCAL_REAL(s, m, n, d, lo, hi, h) {n, d, h, NULL, offsetof(s, m), lo, hi, DVG_OPTION_KIND_REAL, 1}
#define DVG_OPTION_LOCAL_CHOICE(s, m, n, d, c, h) {n, d, h, c, offsetof(s, m), 0, 0, DVG_OPTION_KIND_CHOICE, 1}
#define DVG_OPTION_LOCAL_FLAG(s, m, n, d, h) {n, d, h, NULL, offsetof(s, m), 0, 1, DVG_OPTION_KIND_FLAG, 1}
#define DVG_OPTION_END {NULL, NULL, NULL, NULL, 0, 0, 0, DVG_OPTION_KIND_END, 0}

// A preset is a list of settings under one name, chosen with --preset.
struct dvg_preset {
  const char *name;
  const char *const *settings; // "name", "value", "name", "value", ..., NULL
};

struct dvg_options {
  const char *program, *summary; // summary: one line for --help
  const struct dvg_option *table;
  const struct dvg_preset *presets; // ends with {NULL, NULL}; or NULL. The first is the default.
  void *values;                     // the program's settings struct, which the table's offsets refer to
  int help;                         // out: --help or --version was asked for and printed (rank 0); end with success
};

// Fills o->values from table, preset, config file and command line. Not collective: every rank parses the same
// arguments. DVG_ERROR_USAGE with one line naming option and value; DVG_ERROR_IO for a config file that can't be read.
// The caller releases the texts with dvg_options_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_options_parse(struct dvg_options *o, int argc, char **argv);
void dvg_options_free(struct dvg_options *o);

// Sets one option as if it had been on the command line (tests; stages called from tests).
DVG_CHECKED enum dvg_status dvg_options_set(struct dvg_options *o, const char *name, const char *value);

// Sets all options that a text of `name = value` lines names, as dvg_options_print makes it and a config file has it. `where` stands in messages.
DVG_CHECKED enum dvg_status dvg_options_apply(struct dvg_options *o, const char *text, const char *where);

// All options with their values, one a line "name = value", in table order: the form of a config file.
// `stored_only` leaves the local ones out: the settings that artifacts carry and that a resumed run must repeat.
// The caller frees *out with dvg_free.
DVG_CHECKED enum dvg_status dvg_options_print(char **out, const struct dvg_options *o, int stored_only);

// Logs the table of settings (rank 0).
void dvg_options_log(const struct dvg_options *o);

#endif
