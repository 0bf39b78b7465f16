// Messages to people: information from rank 0, warnings and errors from any rank, progress with ETA.
#ifndef DVG_BASE_LOG_H
#define DVG_BASE_LOG_H

#include <stdint.h>

#include "common/base/status.h"

#define DVG_PRINTF(text, first) __attribute__((format(printf, text, first)))

// Names the program, rank and host in later messages. `quiet` silences errors of this process too: for the
// one case in which all ranks are known to say the same (options). Before the first call: rank 0 of 1.
void dvg_log_setup(const char *program, int rank, int size);
void dvg_log_quiet(int quiet);

// One line on standard output, from rank 0 only.
void dvg_info(const char *format, ...) DVG_PRINTF(1, 2);

// One line on standard error, from any rank, with rank and host when there is more than one rank.
void dvg_warn(const char *format, ...) DVG_PRINTF(1, 2);

// Says the cause of a failure in one line on standard error and returns `status`:
//     return dvg_fail(DVG_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
enum dvg_status dvg_fail(enum dvg_status status, const char *format, ...) DVG_PRINTF(2, 3);

// Progress of long work, rank 0 only: a line each `interval` seconds (a bar that rewrites itself on a terminal).
struct dvg_progress {
  const char *what; // "pairs", "images": borrowed
  int64_t first, total; // work done before this run, all of it
  double started, spoke, interval; // seconds
};
void dvg_progress_start(struct dvg_progress *p, const char *what, int64_t first, int64_t total);
void dvg_progress_at(struct dvg_progress *p, int64_t done);
void dvg_progress_end(struct dvg_progress *p, int64_t done);

// Seconds of a monotonic clock with an arbitrary origin.
double dvg_seconds(void);

#endif
