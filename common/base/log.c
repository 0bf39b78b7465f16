#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
  const char *program;
  int rank, size, quiet;
  char host[64];
} log_state = {"dvg", 0, 1, 0, "localhost"};

void dvg_log_setup(const char *program, int rank, int size) {
  log_state.program = program;
  log_state.rank = rank;
  log_state.size = size;
  if (gethostname(log_state.host, sizeof log_state.host) != 0) strcpy(log_state.host, "unknown");
  log_state.host[sizeof log_state.host - 1] = 0;
}

void dvg_log_quiet(int quiet) {
  log_state.quiet = quiet;
}

void dvg_info(const char *format, ...) {
  if (log_state.rank != 0 || log_state.quiet) return;
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
}

// One write for the whole line, so that lines of several ranks do not mix.
static void say(const char *kind, const char *format, va_list args) {
  if (log_state.quiet) return;
  char line[2048];
  int n = log_state.size > 1 ? snprintf(line, sizeof line, "%s: %s(rank %d of %d on %s) ", log_state.program,
                                        kind, log_state.rank, log_state.size, log_state.host)
                             : snprintf(line, sizeof line, "%s: %s", log_state.program, kind);
  if (n < 0) n = 0;
  int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
  if (m > 0) n += m;
  if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
  line[n] = '\n';
  line[n + 1] = 0;
  fflush(stdout);
  fputs(line, stderr);
}

void dvg_warn(const char *format, ...) {
  va_list args;
  va_start(args, format);
  say("warning: ", format, args);
  va_end(args);
}

enum dvg_status dvg_fail(enum dvg_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say("error: ", format, args);
  va_end(args);
  return status;
}

double dvg_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void format_duration(char *text, size_t n_bytes, double seconds) {
  long s = seconds < 0 ? 0 : (long)(seconds + 0.5);
  if (s >= 3600) snprintf(text, n_bytes, "%ld h %02ld min", s / 3600, s / 60 % 60);
  else if (s >= 60) snprintf(text, n_bytes, "%ld min %02ld s", s / 60, s % 60);
  else snprintf(text, n_bytes, "%ld s", s);
}

// mpirun gives every rank a terminal of its own, whatever its output goes to: under it, lines are the safe choice.
static int on_terminal(void) { return isatty(STDOUT_FILENO) && !getenv("OMPI_COMM_WORLD_SIZE"); }

static void show_progress(const struct dvg_progress *p, int64_t done, int last) {
  double elapsed = dvg_seconds() - p->started;
  double rate = elapsed > 0 ? (double)(done - p->first) / elapsed : 0;
  char time[40];
  format_duration(time, sizeof time, last || rate <= 0 ? elapsed : (double)(p->total - done) / rate);
  int terminal = on_terminal();
  printf("%s  %lld of %lld %s, %.1f a second, %s%s%s", terminal ? "\r\033[K" : "", (long long)done,
         (long long)p->total, p->what, rate, last ? "took " : "ETA ", time, terminal && !last ? "" : "\n");
  fflush(stdout);
}

void dvg_progress_start(struct dvg_progress *p, const char *what, int64_t first, int64_t total) {
  *p = (struct dvg_progress){.what = what, .first = first, .total = total, .started = dvg_seconds()};
  p->interval = on_terminal() ? 0.5 : 10;
  p->spoke = p->started;
}

void dvg_progress_at(struct dvg_progress *p, int64_t done) {
  if (log_state.rank != 0 || log_state.quiet || dvg_seconds() - p->spoke < p->interval) return;
  p->spoke = dvg_seconds();
  show_progress(p, done, 0);
}

void dvg_progress_end(struct dvg_progress *p, int64_t done) {
  if (log_state.rank == 0 && !log_state.quiet) show_progress(p, done, 1);
}
