#include "stages/inspect/watch.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/world.h"
#include "stages/inspect/figures.h"

enum {
  BAR = 20,
  SPARK = 12,
  NAME_COLUMNS = 24,
  PROGRAM_COLUMNS = 17,
  INDENT = 10,
  LOG_BYTES = 256 << 10,
  WIDE = 100
};

// ---- pieces

enum ink { INK_BOLD = 1, INK_DIM = 2, INK_RED = 31, INK_GREEN = 32, INK_BLUE = 36 };

static void ink(FILE *to, const struct dvg_page *p, int code) {
  if (p->colour) fprintf(to, "\033[%dm", code); // 0: as before
}

// A text in a column of that width, and a blank.
static void put_column(FILE *to, const struct dvg_page *p, const char *text, int columns) {
  const int n = dvg_columns(text);
  dvg_put_plain(to, text, columns, p->ascii);
  fprintf(to, "%*s", (n < columns ? columns - n : 0) + 1, "");
}

static void put_bar(FILE *to, const struct dvg_page *p, double share) {
  static const char *const eighths[] = {"",       "\u258f", "\u258e", "\u258d",
                                        "\u258c", "\u258b", "\u258a", "\u2589"};
  const double full = fmin(fmax(share, 0), 1) * BAR;
  int n = (int)full;
  if (p->ascii) {
    fputc('[', to);
    for (int i = 0; i < BAR; i++) fputc(i < n ? '#' : '.', to);
    fputc(']', to);
    return;
  }
  for (int i = 0; i < n; i++) fputs("\u2588", to);
  const int rest = n < BAR ? (int)((full - n) * 8) : 0;
  fputs(eighths[rest], to);
  n += rest > 0;
  ink(to, p, INK_DIM);
  for (; n < BAR; n++) fputs("\u2591", to);
  ink(to, p, 0);
}

// A curve of so many characters, each the mean of its share of the values, from the least to the largest of
// them.
static void put_spark(FILE *to, const struct dvg_page *p, const double *value, int64_t n) {
  static const char *const blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                       "\u2585", "\u2586", "\u2587", "\u2588"};
  static const char *const marks[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
  double mean[SPARK], low = INFINITY, high = -INFINITY;
  const int width = n < SPARK ? (int)n : SPARK;
  for (int k = 0; k < width; k++) {
    const int64_t first = k * n / width, end = (k + 1) * n / width;
    int64_t m = 0;
    mean[k] = 0;
    for (int64_t i = first; i < end; i++)
      if (isfinite(value[i])) mean[k] += value[i], m++;
    mean[k] = m > 0 ? mean[k] / (double)m : NAN;
    low = fmin(low, mean[k]);
    high = fmax(high, mean[k]);
  }
  for (int k = 0; k < width; k++) {
    if (isnan(mean[k])) {
      fputc(' ', to);
      continue;
    }
    int level = high > low ? (int)((mean[k] - low) / (high - low) * 7.999) : 3;
    fputs(p->ascii ? marks[level] : blocks[level], to);
  }
}

// ---- a stage's line

static void put_state(FILE *to, const struct dvg_page *p, enum dvg_run_state state) {
  ink(to, p, state == DVG_RUN_RUNNING ? INK_BLUE : state == DVG_RUN_DONE ? INK_GREEN : INK_RED);
  fprintf(to, " %-8s", dvg_run_state_name(state));
  ink(to, p, 0);
  fputc(' ', to);
}

static void short_program(char text[64], const struct dvg_run_stage *s) {
  const char *from = strncmp(s->program, "dvg-", 4) == 0 ? s->program + 4 : s->program;
  snprintf(text, 64, "%.*s", (int)dvg_program_length(from), from);
  if (!text[0] && s->kind == DVG_RUN_IMAGES) strcpy(text, "prepare");
}

static void put_counts(FILE *to, const struct dvg_run_stage *s) {
  char done[DVG_FIGURE], total[DVG_FIGURE];
  dvg_say_count(done, s->done);
  dvg_say_count(total, s->total);
  if (!done[0]) return;
  fprintf(to, "%s", done);
  if (total[0] && s->total != s->done) fprintf(to, " of %s", total);
  fprintf(to, " %s", dvg_run_unit(s->kind));
  if (s->people >= 0) fprintf(to, " of %s people", dvg_say_count(total, s->people));
}

static void put_progress(FILE *to, const struct dvg_page *p, const struct dvg_run_stage *s) {
  char text[DVG_FIGURE];
  if (s->state != DVG_RUN_DONE && s->total > 0 && s->done >= 0) {
    const double share = (double)s->done / (double)s->total;
    put_bar(to, p, share);
    fprintf(to, " %3.0f %%  ", floor(100 * fmin(share, 1)));
  }
  put_counts(to, s);
  if (dvg_say_rate(text, s->speed)[0]) fprintf(to, "  %s%s", text, strncmp(text, "1/", 2) == 0 ? "" : "/s");
  if (s->state == DVG_RUN_RUNNING && dvg_say_time(text, s->eta)[0]) {
    ink(to, p, INK_BOLD);
    fprintf(to, "  %s to go", text);
    ink(to, p, 0);
  } else if (s->state == DVG_RUN_DONE && dvg_say_time(text, s->seconds)[0]) fprintf(to, "  took %s", text);
}

static void put_holder(FILE *to, const struct dvg_page *p, const struct dvg_run_stage *s) {
  if (s->n_locks == 0) return;
  ink(to, p, INK_DIM);
  fputs("  ", to);
  dvg_put_plain(to, s->holder.host, 32, p->ascii);
  if (s->state == DVG_RUN_RUNNING) {
    fputs(" since ", to);
    dvg_put_plain(to, s->holder.since, 20, p->ascii);
    if (s->n_locks > 1) fprintf(to, ", %d parts", s->n_locks);
  } else fprintf(to, ": process %lld is dead; the same command continues", (long long)s->holder.pid);
  ink(to, p, 0);
}

static void put_stage(FILE *to, const struct dvg_page *p, const struct dvg_run_stage *s) {
  char program[64];
  short_program(program, s);
  put_state(to, p, s->state);
  put_column(to, p, program, PROGRAM_COLUMNS);
  put_column(to, p, s->name, NAME_COLUMNS);
  put_progress(to, p, s);
  put_holder(to, p, s);
  fputc('\n', to);
}

// ---- losses

// "name 0.1234 curve"; the next one further on, or on a new line where there is no room.
static void put_curve(FILE *to, const struct dvg_page *p, int *column, const char *name, const double *value,
                      int64_t n) {
  enum { NAME = 22, CELL = NAME + 12 + SPARK };
  char text[DVG_FIGURE];
  if (*column + CELL > (p->width ? p->width : WIDE + INDENT)) {
    fprintf(to, "\n%*s", INDENT, "");
    *column = INDENT;
  }
  put_column(to, p, name, NAME);
  fprintf(to, "%9s ", dvg_say_value(text, value[n - 1]));
  ink(to, p, INK_BLUE);
  put_spark(to, p, value, n);
  ink(to, p, 0);
  fprintf(to, "%*s", (n < SPARK ? SPARK - (int)n : 0) + 2, "");
  *column += CELL + 2;
}

// The losses of the phase at work; of a finished training only the sum.
static enum dvg_status put_losses(FILE *to, const struct dvg_page *p, const struct dvg_run_stage *s) {
  double *loss = NULL;
  if (s->log.n_phases == 0) return DVG_OK;
  const struct dvg_log_phase *phase = &s->log.phase[s->log.n_phases - 1];
  int column = INDENT;
  DVG_TRY(DVG_NEW(&loss, phase->n, "a curve"));
  for (int64_t i = 0; i < phase->n; i++) loss[i] = phase->point[i].loss;
  char name[DVG_LOG_NAME + 8];
  snprintf(name, sizeof name, "%s loss", phase->name);
  fprintf(to, "%*s", INDENT, "");
  put_curve(to, p, &column, name, loss, phase->n);
  for (int i = 0; i < phase->n_terms && s->state != DVG_RUN_DONE; i++)
    put_curve(to, p, &column, phase->term[i].name, phase->term[i].value, phase->n);
  fputc('\n', to);
  dvg_free(&loss);
  return DVG_OK;
}

// ---- the page

static void put_head(FILE *to, const struct dvg_page *p, const struct dvg_run *r) {
  int64_t n[3] = {0, 0, 0};
  char now[32];
  const time_t t = time(NULL);
  struct tm utc;
  for (int64_t i = 0; i < r->n; i++) n[r->stage[i].state]++;
  strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&t, &utc));
  ink(to, p, INK_BOLD);
  fputc(' ', to);
  dvg_put_plain(to, r->folder, 60, p->ascii);
  ink(to, p, 0);
  fprintf(to, "   %lld running, %lld done, %lld stopped   ", (long long)n[DVG_RUN_RUNNING],
          (long long)n[DVG_RUN_DONE], (long long)n[DVG_RUN_STOPPED]);
  ink(to, p, INK_DIM);
  fprintf(to, "%s\n\n", now);
  ink(to, p, 0);
}

enum dvg_status dvg_watch_draw(FILE *to, const struct dvg_run *r, const struct dvg_page *page) {
  put_head(to, page, r);
  if (r->n == 0) fputs(" nothing here yet\n", to);
  for (int64_t i = 0; i < r->n; i++) {
    put_stage(to, page, &r->stage[i]);
    DVG_TRY(put_losses(to, page, &r->stage[i]));
  }
  if (r->n_left_out) fprintf(to, " and %lld more\n", (long long)r->n_left_out);
  return DVG_OK;
}

// ---- the terminal

// What the locale says about characters, by its name: the terminal may know more locales than this machine.
static int is_ascii_locale(void) {
  const char *name = getenv("LC_ALL");
  if (!name || !*name) name = getenv("LC_CTYPE");
  if (!name || !*name) name = getenv("LANG");
  const char *charset = name ? strchr(name, '.') : NULL;
  return !charset || (strncasecmp(charset, ".utf-8", 6) != 0 && strncasecmp(charset, ".utf8", 5) != 0);
}

// Whether a person is there. mpirun gives its programs a pseudo-terminal to write on, but none to read from.
static int is_terminal(void) {
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static struct dvg_page page_of_terminal(int *height) {
  struct winsize size = {.ws_col = 0};
  const char *plain = getenv("NO_COLOR"), *kind = getenv("TERM");
  struct dvg_page p = {.ascii = is_ascii_locale()};
  *height = 0;
  if (!is_terminal()) return p;
  p.width = 80;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    p.width = size.ws_col;
    *height = size.ws_row;
  }
  p.colour = !(plain && *plain) && kind && strcmp(kind, "dumb") != 0;
  return p;
}

// One line of the page, cut at the terminal's width; escape sequences, all of them ours, take no room.
static const char *put_line(FILE *to, const char *line, int width) {
  int column = 0;
  while (*line && *line != '\n') {
    const int n = *line == '\033' ? (int)strcspn(line, "m") + 1 : dvg_utf8_length(line);
    if (n == 0) return line + strlen(line); // it is ours, and whole
    if (*line == '\033' || column < width) fwrite(line, 1, (size_t)n, to);
    column += *line != '\033';
    line += n;
  }
  return *line ? line + 1 : line;
}

static void put_screen(const char *text, int width, int height) {
  fputs("\033[H", stdout);
  for (int row = 1; *text; row++) {
    if (height > 0 && row == height) {
      fputs(" ... (the window has no room for more)\033[K", stdout);
      break;
    }
    text = put_line(stdout, text, width);
    fputs("\033[K\n", stdout);
  }
  fputs("\033[J", stdout);
  fflush(stdout);
}

// *text = the page now; the caller frees it with free().
static enum dvg_status make_page(char **text, const char *folder, const struct dvg_page *page) {
  struct dvg_run r;
  size_t n_bytes;
  *text = NULL;
  enum dvg_status status = dvg_run_scan(&r, folder, LOG_BYTES);
  FILE *to = status == DVG_OK ? open_memstream(text, &n_bytes) : NULL;
  if (status == DVG_OK && !to) status = dvg_fail(DVG_ERROR_MEMORY, "no memory for a page");
  if (status == DVG_OK) status = dvg_watch_draw(to, &r, page);
  if (to && fclose(to) != 0 && status == DVG_OK) status = dvg_fail(DVG_ERROR_MEMORY, "no memory for a page");
  dvg_run_free(&r);
  return status;
}

// Waits, with an eye on the keyboard; whether the end was asked for.
static int wait_for_end(double seconds) {
  const double until = dvg_seconds() + seconds;
  while (!dvg_world_stop_flag()) {
    const double left = until - dvg_seconds();
    if (left <= 0) return 0;
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;
    // A second at most: a signal may have come just before.
    if (poll(&keys, 1, (int)(1000 * fmin(left, 1)) + 1) <= 0) continue;
    if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q') return 1;
  }
  return 1;
}

static enum dvg_status draw_until_end(const struct dvg_inspect *s) {
  char *text = NULL;
  int height;
  for (int n = 0;; n++) {
    const struct dvg_page page = page_of_terminal(&height);
    dvg_log_quiet(n > 0); // a folder that vanishes may come again
    enum dvg_status status = make_page(&text, s->file, &page);
    dvg_log_quiet(0);
    if (status != DVG_OK && (n == 0 || status != DVG_ERROR_IO)) {
      free(text);
      return status;
    }
    put_screen(status == DVG_OK ? text : " the folder cannot be read\n", page.width, height);
    free(text);
    if (wait_for_end(s->interval)) return DVG_OK;
  }
}

enum dvg_status dvg_watch_run(const struct dvg_inspect *s, int once) {
  if (once || s->once || !is_terminal()) {
    char *text = NULL;
    int height;
    const struct dvg_page page = page_of_terminal(&height);
    enum dvg_status status = make_page(&text, s->file, &page);
    if (status == DVG_OK) fputs(text, stdout);
    free(text);
    return status;
  }
  struct termios before, raw;
  if (tcgetattr(STDIN_FILENO, &before) != 0) return dvg_fail(DVG_ERROR_IO, "the terminal: %s", strerror(errno));
  raw = before;
  raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
  raw.c_cc[VSUSP] = _POSIX_VDISABLE; // stopped, it would leave the terminal as it is
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  fputs("\033[?1049h\033[?25l", stdout); // another screen, no cursor
  enum dvg_status status = draw_until_end(s);
  fputs("\033[?25h\033[?1049l", stdout);
  fflush(stdout);
  tcsetattr(STDIN_FILENO, TCSANOW, &before);
  return status;
}
