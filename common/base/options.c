#include "common/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

enum { NAME_COLUMN = 26, LONGEST_NAME = 63 };

// ---- the table

static void *place_of(const struct dvg_options *o, const struct dvg_option *option) {
  return (char *)o->values + option->offset;
}

static int64_t count_options(const struct dvg_options *o) {
  int64_t n = 0;
  while (o->table[n].kind != DVG_OPTION_KIND_END) n++;
  return n;
}

static const struct dvg_option *find_option(const struct dvg_options *o, const char *name) {
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++)
    if (strcmp(t->name, name) == 0) return t;
  return NULL;
}

// ---- unknown names

// Levenshtein's distance: how many letters to insert, drop or replace.
static int distance(const char *a, const char *b) {
  int row[LONGEST_NAME + 1];
  int n = (int)strlen(b);
  if (n > LONGEST_NAME) return n;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 0; a[i]; i++) {
    int diagonal = row[0];
    row[0] = i + 1;
    for (int j = 1; j <= n; j++) {
      int best = diagonal + (a[i] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[n];
}

static void consider(const char **nearest, int *least, const char *name, const char *candidate) {
  int d = distance(name, candidate);
  if (d < *least) {
    *least = d;
    *nearest = candidate;
  }
}

// `dashes` is "--" for the command line, "" for files.
static enum dvg_status unknown(const struct dvg_options *o, const char *where, const char *dashes,
                               const char *name) {
  const char *nearest = NULL;
  int least = (int)strlen(name) / 3 + 2; // farther than that it is no misspelling
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++)
    consider(&nearest, &least, name, t->name);
  if (*dashes) {
    consider(&nearest, &least, name, "help");
    consider(&nearest, &least, name, "version");
    consider(&nearest, &least, name, "config");
  }
  if (o->presets) consider(&nearest, &least, name, "preset");
  if (nearest)
    return dvg_fail(DVG_ERROR_USAGE, "%sunknown option %s%s; did you mean %s%s?", where, dashes, name, dashes,
                    nearest);
  return dvg_fail(DVG_ERROR_USAGE, "%sunknown option %s%s%s", where, dashes, name,
                  *dashes ? "; see --help" : "");
}

// ---- values from and to text

// "1 or more", "0 to 1", ...; text[0] = 0 if anything goes.
static void describe_range(char *text, size_t n_bytes, const struct dvg_option *t) {
  // INT64_MAX and INT64_MIN are no bounds that a reader wants to see.
  int whole = t->kind == DVG_OPTION_KIND_INT;
  int open_below = !isfinite(t->min) || (whole && t->min <= -0x1p63);
  int open_above = !isfinite(t->max) || (whole && t->max >= 0x1p63);
  text[0] = 0;
  if (!open_below && !open_above) snprintf(text, n_bytes, "%.15g to %.15g", t->min, t->max);
  else if (!open_below) snprintf(text, n_bytes, "%.15g or more", t->min);
  else if (!open_above) snprintf(text, n_bytes, "%.15g or less", t->max);
}

static enum dvg_status out_of_range(const struct dvg_option *t, const char *where, const char *value) {
  char range[80];
  describe_range(range, sizeof range, t);
  return dvg_fail(DVG_ERROR_USAGE, "%s%s: %s is out of range%s%s", where, t->name, value, *range ? ": " : "",
                  range);
}

static enum dvg_status set_int(const struct dvg_option *t, int64_t *out, const char *where, const char *value) {
  char *end;
  errno = 0;
  long long v = strtoll(value, &end, 10);
  if (*value == 0 || isspace((unsigned char)*value) || *end != 0)
    return dvg_fail(DVG_ERROR_USAGE, "%s%s: \"%s\" is not a whole number", where, t->name, value);
  if (errno == ERANGE || (double)v < t->min || (double)v > t->max) return out_of_range(t, where, value);
  *out = v;
  return DVG_OK;
}

static enum dvg_status set_real(const struct dvg_option *t, double *out, const char *where, const char *value) {
  char *end;
  double v = strtod(value, &end);
  if (*value == 0 || isspace((unsigned char)*value) || *end != 0 || isnan(v))
    return dvg_fail(DVG_ERROR_USAGE, "%s%s: \"%s\" is not a number", where, t->name, value);
  if (!isfinite(v) || !(v >= t->min && v <= t->max)) return out_of_range(t, where, value);
  *out = v;
  return DVG_OK;
}

static enum dvg_status set_flag(const struct dvg_option *t, int64_t *out, const char *where,
                                const char *value) {
  static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
  for (int i = 0; i < 4; i++) {
    int is_yes = strcmp(value, yes[i]) == 0;
    if (!is_yes && strcmp(value, no[i]) != 0) continue;
    *out = is_yes;
    return DVG_OK;
  }
  return dvg_fail(DVG_ERROR_USAGE, "%s%s: \"%s\" is neither yes nor no", where, t->name, value);
}

static enum dvg_status set_choice(const struct dvg_option *t, int64_t *out, const char *where,
                                  const char *value) {
  size_t n = strlen(value);
  int64_t number = 0;
  for (const char *c = t->choices; c; number++) {
    const char *end = strchr(c, '|');
    size_t length = end ? (size_t)(end - c) : strlen(c);
    if (length == n && strncmp(c, value, n) == 0) {
      *out = number;
      return DVG_OK;
    }
    c = end ? end + 1 : NULL;
  }
  return dvg_fail(DVG_ERROR_USAGE, "%s%s: \"%s\" is none of %s", where, t->name, value, t->choices);
}

static enum dvg_status set_text(const struct dvg_option *t, char **out, const char *where, const char *value) {
  // `--out "$OUT"` with OUT unset would otherwise count as given.
  if (*value == 0 && !t->fallback) return dvg_fail(DVG_ERROR_USAGE, "%s%s must not be empty", where, t->name);
  char *copy;
  DVG_TRY(dvg_text(&copy, "%s", value));
  dvg_free(out);
  *out = copy;
  return DVG_OK;
}

// `where` stands before the option's name in messages: "--", or "file:line: ".
static enum dvg_status set_value(struct dvg_options *o, const struct dvg_option *t, const char *where,
                                 const char *value) {
  void *place = place_of(o, t);
  switch (t->kind) {
  case DVG_OPTION_KIND_FLAG:
    return set_flag(t, place, where, value);
  case DVG_OPTION_KIND_INT:
    return set_int(t, place, where, value);
  case DVG_OPTION_KIND_REAL:
    return set_real(t, place, where, value);
  case DVG_OPTION_KIND_TEXT:
    return set_text(t, place, where, value);
  case DVG_OPTION_KIND_CHOICE:
    return set_choice(t, place, where, value);
  case DVG_OPTION_KIND_END:
    break;
  }
  return dvg_fail(DVG_ERROR_INTERNAL, "option %s has no kind", t->name);
}

// The shortest decimal that reads back as the same number.
static void format_real(char *text, size_t n_bytes, double v) {
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, n_bytes, "%.*g", digits, v);
    if (strtod(text, NULL) == v) return;
  }
}

static enum dvg_status format_choice(char **out, const struct dvg_option *t, int64_t number) {
  const char *c = t->choices;
  for (int64_t i = 0; i < number && c; i++) c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL;
  if (!c || number < 0)
    return dvg_fail(DVG_ERROR_INTERNAL, "option %s has no choice %lld", t->name, (long long)number);
  return dvg_text(out, "%.*s", (int)strcspn(c, "|"), c);
}

// Text that could be taken for something else in a config file goes in quotes.
static enum dvg_status format_text(char **out, const char *text) {
  size_t n = strlen(text);
  int plain = n == 0 || (!isspace((unsigned char)text[0]) && !isspace((unsigned char)text[n - 1]) &&
                         text[0] != '"' && text[0] != '#');
  for (size_t i = 0; i < n; i++)
    if (text[i] == '\n' || text[i] == '\r' || (text[i] == '#' && i > 0 && isspace((unsigned char)text[i - 1])))
      plain = 0;
  if (plain) return dvg_text(out, "%s", text);
  char *quoted;
  DVG_TRY(DVG_NEW(&quoted, (int64_t)(2 * n + 3), "text"));
  char *p = quoted;
  *p++ = '"';
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '"' || text[i] == '\\' || text[i] == '\n') *p++ = '\\';
    *p++ = text[i] == '\n' ? 'n' : text[i];
  }
  *p++ = '"';
  *out = quoted;
  return DVG_OK;
}

static enum dvg_status format_value(char **out, const struct dvg_options *o, const struct dvg_option *t) {
  const void *place = place_of(o, t);
  char number[64];
  switch (t->kind) {
  case DVG_OPTION_KIND_FLAG:
    return dvg_text(out, "%s", *(const int64_t *)place ? "yes" : "no");
  case DVG_OPTION_KIND_INT:
    return dvg_text(out, "%lld", (long long)*(const int64_t *)place);
  case DVG_OPTION_KIND_REAL:
    format_real(number, sizeof number, *(const double *)place);
    return dvg_text(out, "%s", number);
  case DVG_OPTION_KIND_TEXT: {
    const char *text = *(char *const *)place;
    return format_text(out, text ? text : "");
  }
  case DVG_OPTION_KIND_CHOICE:
    return format_choice(out, t, *(const int64_t *)place);
  case DVG_OPTION_KIND_END:
    break;
  }
  return dvg_fail(DVG_ERROR_INTERNAL, "option %s has no kind", t->name);
}

// ---- one run of the parser

struct parser {
  struct dvg_options *o;
  unsigned char *given; // by a preset, the config file or the command line; one per option of the table
  int help, version;
  const char *config_path, *preset_name; // NULL: none; borrowed
  char *config_preset;                   // owned: the preset that the config file names, or NULL
  char *config_text;                     // the whole file, or NULL
};

static enum dvg_status set_by_name(struct parser *p, const char *where, const char *name, const char *value) {
  const struct dvg_option *t = find_option(p->o, name);
  if (!t) return unknown(p->o, where, "", name);
  DVG_TRY(set_value(p->o, t, where, value));
  p->given[t - p->o->table] = 1;
  return DVG_OK;
}

static enum dvg_status set_defaults(struct dvg_options *o) {
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++)
    if (t->kind == DVG_OPTION_KIND_TEXT)
      *(char **)place_of(o, t) = NULL; // before the first failure can call free
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++)
    if (t->fallback) DVG_TRY(set_value(o, t, "default of ", t->fallback));
  return DVG_OK;
}

static void preset_names(char *text, size_t n_bytes, const struct dvg_options *o) {
  size_t n = 0;
  text[0] = 0;
  for (const struct dvg_preset *c = o->presets; c->name && n < n_bytes; c++)
    n += (size_t)snprintf(text + n, n_bytes - n, "%s%s", n ? "|" : "", c->name);
}

static enum dvg_status apply_preset(struct parser *p) {
  const struct dvg_preset *preset = p->o->presets;
  if (!preset || !preset->name) return DVG_OK;
  while (p->preset_name && preset->name && strcmp(preset->name, p->preset_name) != 0) preset++;
  if (!preset->name) {
    char names[512];
    preset_names(names, sizeof names, p->o);
    return dvg_fail(DVG_ERROR_USAGE, "--preset: \"%s\" is none of %s", p->preset_name, names);
  }
  char where[128];
  snprintf(where, sizeof where, "preset %s: ", preset->name);
  for (const char *const *s = preset->settings; s && s[0]; s += 2) DVG_TRY(set_by_name(p, where, s[0], s[1]));
  return DVG_OK;
}

// ---- the config file

// Read once and whole: it may be a pipe, and it is gone through twice.
static enum dvg_status read_config(struct parser *p) {
  enum { LARGEST = 1 << 20 };
  const char *path = p->config_path;
  FILE *f = fopen(path, "r");
  if (!f) return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&p->config_text, LARGEST + 2, "the config file"));
  errno = 0;
  size_t n = fread(p->config_text, 1, LARGEST + 1, f);
  if (ferror(f)) status = dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
  else if (n > LARGEST) status = dvg_fail(DVG_ERROR_INPUT, "%s: too long for a config file", path);
  else if (strlen(p->config_text) != n) status = dvg_fail(DVG_ERROR_INPUT, "%s: not a text file", path);
done:
  fclose(f);
  return status;
}

static char *skip_space(char *s) {
  while (isspace((unsigned char)*s)) s++;
  return s;
}

static void trim_end(char *s) {
  size_t n = strlen(s);
  while (n > 0 && isspace((unsigned char)s[n - 1])) s[--n] = 0;
}

// Takes the quotes and escapes off in place; what follows the closing quote may be a comment only.
static int unquote(char *s) {
  char *out = s, *in = s + 1;
  for (; *in != '"'; in++) {
    int escaped = *in == '\\';
    in += escaped;
    if (*in == 0) return 0;
    *out++ = escaped && *in == 'n' ? '\n' : *in;
  }
  in = skip_space(in + 1);
  *out = 0;
  return *in == 0 || *in == '#';
}

static void cut_comment(char *s) {
  for (char *c = s; *c; c++)
    if (*c == '#' && (c == s || isspace((unsigned char)c[-1]))) {
      *c = 0;
      return;
    }
}

// Splits a line in place. Returns 1 for a setting, 0 for an empty line, -1 for anything else.
static int split_line(char *line, char **name, char **value) {
  line = skip_space(line);
  if (*line == 0 || *line == '#') return 0;
  char *equals = strchr(line, '=');
  if (!equals) return -1;
  *equals = 0;
  trim_end(line);
  *name = line;
  *value = skip_space(equals + 1);
  if (**value == '"') return unquote(*value) ? 1 : -1;
  cut_comment(*value);
  trim_end(*value);
  return **name ? 1 : -1;
}

// Applies the settings, or with `preset_only` just looks for the preset's name, which must be known before.
static enum dvg_status apply_config(struct parser *p, int preset_only) {
  char *copy, *next;
  DVG_TRY(dvg_text(&copy, "%s", p->config_text));
  enum dvg_status status = DVG_OK;
  int number = 1;
  for (char *line = copy; line && status == DVG_OK; line = next, number++) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    char *name, *value, where[512];
    int kind = split_line(line, &name, &value);
    if (kind == 0) continue;
    snprintf(where, sizeof where, "%s:%d: ", p->config_path, number);
    if (kind < 0) status = dvg_fail(DVG_ERROR_USAGE, "%sthis is not name = value", where);
    else if (strcmp(name, "preset") == 0 && p->o->presets) {
      if (!preset_only) continue;
      dvg_free(&p->config_preset);
      status = dvg_text(&p->config_preset, "%s", value);
    } else if (!preset_only) status = set_by_name(p, where, name, value);
  }
  dvg_free(&copy);
  return status;
}

// ---- the command line

struct argument {
  char name[LONGEST_NAME + 1];
  const char *value; // after '=', or NULL
};

static enum dvg_status split_argument(struct argument *a, const char *text) {
  if (strcmp(text, "-h") == 0) text = "--help";
  if (strncmp(text, "--", 2) != 0 || text[2] == 0)
    return dvg_fail(DVG_ERROR_USAGE, "unexpected argument \"%s\": options are --name value; see --help", text);
  size_t n = strcspn(text + 2, "=");
  a->value = text[2 + n] ? text + 2 + n + 1 : NULL;
  snprintf(a->name, sizeof a->name, "%.*s", (int)n, text + 2);
  return DVG_OK;
}

// The value of the argument at *i, which may be the next argument.
static enum dvg_status take_value(const struct argument *a, const char **value, int *i, int argc, char **argv) {
  if (a->value) *value = a->value;
  else if (*i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0) *value = argv[++*i];
  else return dvg_fail(DVG_ERROR_USAGE, "--%s needs a value", a->name);
  return DVG_OK;
}

static enum dvg_status take_argument(struct parser *p, const struct argument *a, int *i, int argc,
                                     char **argv) {
  struct dvg_options *o = p->o;
  const char *value = NULL;
  if (strcmp(a->name, "help") == 0 || strcmp(a->name, "version") == 0) return DVG_OK;
  if (strcmp(a->name, "config") == 0 || (strcmp(a->name, "preset") == 0 && o->presets))
    return take_value(a, &value, i, argc, argv);
  const struct dvg_option *t = find_option(o, a->name);
  const char *positive = strncmp(a->name, "no-", 3) == 0 ? a->name + 3 : NULL;
  if (!t && positive && (t = find_option(o, positive)) != NULL) {
    if (t->kind != DVG_OPTION_KIND_FLAG || a->value) return unknown(o, "", "--", a->name);
    value = "no";
  } else if (!t) return unknown(o, "", "--", a->name);
  else if (t->kind == DVG_OPTION_KIND_FLAG) value = a->value ? a->value : "yes";
  else DVG_TRY(take_value(a, &value, i, argc, argv));
  DVG_TRY(set_value(o, t, "--", value));
  p->given[t - o->table] = 1;
  return DVG_OK;
}

// What must be known before values are set. Leaves all errors but a missing file or preset name to the second
// walk.
static enum dvg_status look_ahead(struct parser *p, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    struct argument a;
    if (strcmp(argv[i], "-h") != 0 && strncmp(argv[i], "--", 2) != 0)
      continue; // a value, or an error for later
    if (argv[i][2] == 0 && argv[i][1] == '-') continue;
    DVG_TRY(split_argument(&a, argv[i]));
    if (strcmp(a.name, "help") == 0) p->help = 1;
    else if (strcmp(a.name, "version") == 0) p->version = 1;
    else if (strcmp(a.name, "config") == 0) DVG_TRY(take_value(&a, &p->config_path, &i, argc, argv));
    else if (strcmp(a.name, "preset") == 0 && p->o->presets)
      DVG_TRY(take_value(&a, &p->preset_name, &i, argc, argv));
  }
  return DVG_OK;
}

static enum dvg_status require_all(const struct parser *p) {
  char missing[1024] = "";
  size_t n = 0;
  int n_missing = 0;
  for (const struct dvg_option *t = p->o->table; t->kind != DVG_OPTION_KIND_END; t++) {
    if (t->fallback || p->given[t - p->o->table]) continue;
    if (n < sizeof missing)
      n += (size_t)snprintf(missing + n, sizeof missing - n, "%s--%s", n_missing ? ", " : "", t->name);
    n_missing++;
  }
  if (n_missing == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_USAGE, "missing option%s: %s; see --help", n_missing > 1 ? "s" : "", missing);
}

// ---- --help

static void help_line(const char *left, const char *help, const char *detail) {
  const char *open = *detail ? " [" : "", *close = *detail ? "]" : "";
  if (strlen(left) < NAME_COLUMN) dvg_info("  %-*s %s%s%s%s", NAME_COLUMN - 1, left, help, open, detail, close);
  else {
    dvg_info("  %s", left);
    dvg_info("  %-*s %s%s%s%s", NAME_COLUMN - 1, "", help, open, detail, close);
  }
}

static enum dvg_status help_option(const struct parser *p, const struct dvg_option *t) {
  static const char *const kinds[] = {"", "", " N", " X", " TEXT", ""};
  char left[256], range[80] = "", *value;
  if (t->kind == DVG_OPTION_KIND_FLAG) snprintf(left, sizeof left, "--[no-]%s", t->name);
  else if (t->kind == DVG_OPTION_KIND_CHOICE) snprintf(left, sizeof left, "--%s %s", t->name, t->choices);
  else snprintf(left, sizeof left, "--%s%s", t->name, kinds[t->kind]);
  if (t->kind == DVG_OPTION_KIND_INT || t->kind == DVG_OPTION_KIND_REAL) describe_range(range, sizeof range, t);
  int required = !t->fallback && !p->given[t - p->o->table];
  if (required) DVG_TRY(dvg_text(&value, "required"));
  else DVG_TRY(format_value(&value, p->o, t));
  char *detail;
  enum dvg_status status = dvg_text(&detail, "%s%s%s%s", range, *range ? "; " : "", required ? "" : "default ",
                                    *value ? value : "none");
  dvg_free(&value);
  if (status != DVG_OK) return status;
  help_line(left, t->help, detail);
  dvg_free(&detail);
  return DVG_OK;
}

static enum dvg_status help(const struct parser *p) {
  const struct dvg_options *o = p->o;
  dvg_info("%s: %s", o->program, o->summary);
  dvg_info("usage: %s [--name value | --name=value]...", o->program);
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++) DVG_TRY(help_option(p, t));
  if (o->presets && o->presets[0].name) {
    char names[512], what[600];
    preset_names(names, sizeof names, o);
    snprintf(what, sizeof what, "a set of defaults: %s", names);
    help_line("--preset NAME", what, p->preset_name ? p->preset_name : o->presets[0].name);
  }
  help_line("--config FILE", "settings, `name = value` a line; the command line overrides them",
            p->config_path ? p->config_path : "none");
  help_line("--help", "this; with --preset and --config, their defaults", "");
  help_line("--version", "the version", "");
  return DVG_OK;
}

// ---- public

static enum dvg_status run_parser(struct parser *p, int argc, char **argv) {
  DVG_TRY(look_ahead(p, argc, argv));
  if (p->version && !p->help) {
    dvg_info("%s %s", p->o->program, DVG_VERSION);
    p->o->help = 1;
    return DVG_OK;
  }
  if (p->config_path) {
    DVG_TRY(read_config(p));
    DVG_TRY(apply_config(p, 1));
    if (!p->preset_name) p->preset_name = p->config_preset;
  }
  DVG_TRY(apply_preset(p));
  if (p->config_text) DVG_TRY(apply_config(p, 0));
  if (p->help) {
    p->o->help = 1;
    return help(p);
  }
  for (int i = 1; i < argc; i++) {
    struct argument a;
    DVG_TRY(split_argument(&a, argv[i]));
    DVG_TRY(take_argument(p, &a, &i, argc, argv));
  }
  return require_all(p);
}

enum dvg_status dvg_options_parse(struct dvg_options *o, int argc, char **argv) {
  struct parser p = {.o = o};
  o->help = 0;
  enum dvg_status status;
  DVG_TRY_GOTO(set_defaults(o));
  DVG_TRY_GOTO(DVG_NEW(&p.given, count_options(o), "the options"));
  DVG_TRY_GOTO(run_parser(&p, argc, argv));
done:
  dvg_free(&p.given);
  dvg_free(&p.config_text);
  dvg_free(&p.config_preset);
  return status;
}

void dvg_options_free(struct dvg_options *o) {
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++)
    if (t->kind == DVG_OPTION_KIND_TEXT) dvg_free((char **)place_of(o, t));
}

enum dvg_status dvg_options_set(struct dvg_options *o, const char *name, const char *value) {
  const struct dvg_option *t = find_option(o, name);
  if (!t) return unknown(o, "", "--", name);
  return set_value(o, t, "--", value);
}

enum dvg_status dvg_options_apply(struct dvg_options *o, const char *text, const char *where) {
  struct parser p = {.o = o, .config_path = where};
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&p.given, count_options(o), "the options"));
  DVG_TRY_GOTO(dvg_text(&p.config_text, "%s", text));
  status = apply_config(&p, 0);
done:
  dvg_free(&p.given);
  dvg_free(&p.config_text);
  return status;
}

enum dvg_status dvg_options_print(char **out, const struct dvg_options *o, int stored_only) {
  char *all;
  DVG_TRY(dvg_text(&all, "%s", ""));
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++) {
    if (stored_only && t->local) continue;
    char *value, *longer;
    enum dvg_status status = format_value(&value, o, t);
    if (status == DVG_OK) {
      status = dvg_text(&longer, "%s%s = %s\n", all, t->name, value);
      dvg_free(&value);
    }
    dvg_free(&all);
    if (status != DVG_OK) return status;
    all = longer;
  }
  *out = all;
  return DVG_OK;
}

void dvg_options_log(const struct dvg_options *o) {
  dvg_info("%s %s", o->program, DVG_VERSION);
  for (const struct dvg_option *t = o->table; t->kind != DVG_OPTION_KIND_END; t++) {
    char *value;
    if (format_value(&value, o, t) != DVG_OK) return;
    dvg_info("  %-*s %s", NAME_COLUMN - 1, t->name, value);
    dvg_free(&value);
  }
}
