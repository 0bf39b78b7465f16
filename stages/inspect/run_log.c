#include "stages/inspect/run_log.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"

enum { LATELY = 5, MOST_LINE = 1 << 20 };

// ---- the file's end

// *text = the last bytes of a file and a NUL; NULL where there is nothing to read. Never waits, for a pipe say.
static enum dvg_status read_end(char **text, size_t *n_bytes, int *cut, const char *path, int64_t most_bytes) {
  struct stat s;
  *text = NULL;
  *n_bytes = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return DVG_OK;
  enum dvg_status status = DVG_OK;
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size <= 0) goto done;
  const int64_t first = s.st_size > most_bytes ? s.st_size - most_bytes : 0, wanted = s.st_size - first;
  *cut = first > 0;
  DVG_TRY_GOTO(dvg_alloc((void **)text, wanted + 1, 1, "a log"));
  while ((int64_t)*n_bytes < wanted) {
    ssize_t n = pread(fd, *text + *n_bytes, (size_t)(wanted - (int64_t)*n_bytes), first + (int64_t)*n_bytes);
    if (n <= 0) break; // it has become shorter: what is there counts
    *n_bytes += (size_t)n;
  }
done:
  close(fd);
  return status;
}

// ---- one line

static struct dvg_log_phase *find_phase(struct dvg_run_log *log, const char *name) {
  for (int i = 0; i < log->n_phases; i++)
    if (strncmp(log->phase[i].name, name, DVG_LOG_NAME - 1) == 0) return &log->phase[i];
  if (log->n_phases == DVG_LOG_PHASES) return NULL;
  struct dvg_log_phase *p = &log->phase[log->n_phases++];
  snprintf(p->name, sizeof p->name, "%s", name);
  return p;
}

// The term's column, which has room for point `at` and NaN in what was before it.
static enum dvg_status find_term(struct dvg_log_term **out, struct dvg_log_phase *p, const char *name) {
  *out = NULL;
  for (int i = 0; i < p->n_terms; i++)
    if (strncmp(p->term[i].name, name, DVG_LOG_NAME - 1) == 0) *out = &p->term[i];
  if (*out || p->n_terms == DVG_LOG_TERMS) return DVG_OK;
  struct dvg_log_term *t = &p->term[p->n_terms];
  for (int64_t i = 0; i < p->n; i++) {
    DVG_TRY(DVG_GROW(&t->value, i, "a log"));
    t->value[i] = NAN;
  }
  snprintf(t->name, sizeof t->name, "%s", name);
  p->n_terms++;
  *out = t;
  return DVG_OK;
}

static double number(const cJSON *object, const char *name) {
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(object, name);
  return cJSON_IsNumber(x) ? x->valuedouble : NAN;
}

// A new last point of the phase, all its terms unknown yet.
static enum dvg_status add_point(struct dvg_log_phase *p, const struct dvg_log_point *x) {
  while (p->n > 0 && p->point[p->n - 1].step >= x->step) p->n--; // a run that began again further back
  DVG_TRY(DVG_GROW(&p->point, p->n, "a log"));
  for (int i = 0; i < p->n_terms; i++) {
    DVG_TRY(DVG_GROW(&p->term[i].value, p->n, "a log"));
    p->term[i].value[p->n] = NAN;
  }
  p->point[p->n++] = *x;
  return DVG_OK;
}

static enum dvg_status take_terms(struct dvg_log_phase *p, const cJSON *terms) {
  const cJSON *x;
  cJSON_ArrayForEach(x, terms) {
    struct dvg_log_term *t;
    if (!cJSON_IsNumber(x) || !x->string) continue;
    DVG_TRY(find_term(&t, p, x->string));
    if (t) t->value[p->n - 1] = x->valuedouble;
  }
  return DVG_OK;
}

static enum dvg_status take_line(struct dvg_run_log *log, const char *line, size_t n_bytes) {
  cJSON *root = n_bytes <= MOST_LINE ? cJSON_ParseWithLength(line, n_bytes) : NULL;
  const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "phase");
  const double step = number(root, "step"), of = number(root, "of");
  enum dvg_status status = DVG_OK;
  struct dvg_log_phase *p = NULL;
  if (cJSON_IsString(name) && step >= 0 && step < 9e15 && of >= 0 && of < 9e15)
    p = find_phase(log, name->valuestring);
  if (!p) {
    log->n_bad++;
    goto done;
  }
  const struct dvg_log_point x = {(int64_t)step, number(root, "loss"), number(root, "rate"),
                                  number(root, "seconds")};
  DVG_TRY_GOTO(add_point(p, &x));
  p->of = (int64_t)of;
  status = take_terms(p, cJSON_GetObjectItemCaseSensitive(root, "terms"));
done:
  cJSON_Delete(root);
  return status;
}

enum dvg_status dvg_run_log_read(struct dvg_run_log *log, const char *path, int64_t most_bytes) {
  char *text = NULL;
  size_t n_bytes;
  *log = (struct dvg_run_log){.n_phases = 0};
  enum dvg_status status = read_end(&text, &n_bytes, &log->cut, path, most_bytes);
  const char *line = text, *end = text ? text + n_bytes : NULL;
  if (log->cut && line) { // it begins in the middle of a line
    line = memchr(line, '\n', n_bytes);
    line = line ? line + 1 : end;
  }
  while (status == DVG_OK && line < end) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) break; // its writer isn't done with it
    status = take_line(log, line, (size_t)(stop - line));
    line = stop + 1;
  }
  dvg_free(&text);
  return status;
}

void dvg_run_log_free(struct dvg_run_log *log) {
  for (int i = 0; i < log->n_phases; i++) {
    struct dvg_log_phase *p = &log->phase[i];
    for (int k = 0; k < DVG_LOG_TERMS; k++) dvg_free(&p->term[k].value);
    dvg_free(&p->point);
  }
  *log = (struct dvg_run_log){.n_phases = 0};
}

// ---- how fast

double dvg_log_speed(const struct dvg_log_phase *p) {
  if (p->n == 0) return NAN;
  const struct dvg_log_point *last = &p->point[p->n - 1];
  int64_t i = p->n - 1;
  while (i > 0 && p->n - i <= LATELY && p->point[i - 1].seconds < p->point[i].seconds) i--;
  const double seconds = last->seconds - p->point[i].seconds;
  if (seconds > 0) return (double)(last->step - p->point[i].step) / seconds;
  // One line alone tells it if its run began with the phase.
  return p->n == 1 && last->seconds > 0 ? (double)last->step / last->seconds : NAN;
}

double dvg_log_seconds(const struct dvg_log_phase *p) {
  double total = 0;
  for (int64_t i = 0; i < p->n; i++)
    if (i + 1 == p->n || p->point[i + 1].seconds < p->point[i].seconds)
      total += isfinite(p->point[i].seconds) ? p->point[i].seconds : 0;
  return total;
}
