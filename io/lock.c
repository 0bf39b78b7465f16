#include "io/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "io/artifact.h"

enum { MISSED = 6, TEXT = 1024, MAX_TRIES = 2400, MAX_CLAIMS = 4, STACK_BYTES = 512 << 10 };

struct holder {
  char program[64], host[128], boot[64], space[64], since[32];
  int64_t pid, started;
  double beat;
};

struct dvg_lock {
  char *folder, *file, *path, *mine; // the file's name and path; what is written first
  char text[TEXT];                   // what is in the file while it is ours
  struct holder me;
  struct dvg_lock_settings settings;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int running, ending;
};

// ---- who we are, who holds it

// The text of a small file; 0 and errno if it can't be read. What is longer is cut.
static int read_small(const char *path, char text[TEXT]) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 0;
  ssize_t n = read(fd, text, TEXT - 1);
  int cause = errno;
  close(fd);
  errno = cause;
  if (n < 0) return 0;
  text[n] = 0;
  return 1;
}

// When a living process was started, in ticks after boot; 0 if there is none. A zombie lives no more.
static int64_t start_of(int64_t pid) {
  char path[64], text[TEXT], state;
  int64_t started = 0;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
  if (!read_small(path, text)) return 0;
  const char *p = strrchr(text, ')'); // the name before it may hold anything
  if (!p || sscanf(p, ") %c", &state) != 1 || state == 'Z' || state == 'X') return 0;
  for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
  return p && sscanf(p, " %" SCNd64, &started) == 1 ? started : 0;
}

static void describe_me(struct holder *me, const struct dvg_lock_settings *s) {
  char text[TEXT] = "";
  time_t now = time(NULL);
  struct tm utc;
  *me = (struct holder){.pid = getpid(), .beat = s->beat};
  me->started = start_of(me->pid);
  snprintf(me->program, sizeof me->program, "%s", s->program);
  if (gethostname(me->host, sizeof me->host - 1) != 0) strcpy(me->host, "unknown");
  if (read_small("/proc/sys/kernel/random/boot_id", text)) sscanf(text, "%63s", me->boot);
  ssize_t n = readlink("/proc/self/ns/pid", me->space, sizeof me->space - 1);
  me->space[n > 0 ? n : 0] = 0;
  strftime(me->since, sizeof me->since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

static void print_holder(char text[TEXT], const struct holder *h) {
  snprintf(text, TEXT,
           "program %s\nhost %s\npid %" PRId64 "\nstarted %" PRId64 "\nboot %s\nspace %s\nsince %s\nbeat %g\n",
           h->program, h->host, h->pid, h->started, h->boot, h->space, h->since, h->beat);
}

static void take_text(char *value, size_t n_bytes, const char *text, const char *key) {
  const char *line = strstr(text, key);
  if (line) snprintf(value, n_bytes, "%.*s", (int)strcspn(line + strlen(key), "\n"), line + strlen(key));
}

// Keys that are missing, in a file that isn't ours say, stay empty.
static void parse_holder(struct holder *h, const char *text) {
  char number[3][32] = {"", "", ""};
  *h = (struct holder){.program = "unknown", .host = "unknown", .since = "unknown"};
  take_text(h->program, sizeof h->program, text, "program ");
  take_text(h->host, sizeof h->host, text, "\nhost ");
  take_text(h->boot, sizeof h->boot, text, "\nboot ");
  take_text(h->space, sizeof h->space, text, "\nspace ");
  take_text(h->since, sizeof h->since, text, "\nsince ");
  take_text(number[0], sizeof number[0], text, "\npid ");
  take_text(number[1], sizeof number[1], text, "\nstarted ");
  take_text(number[2], sizeof number[2], text, "\nbeat ");
  h->pid = strtoll(number[0], NULL, 10);
  h->started = strtoll(number[1], NULL, 10);
  h->beat = strtod(number[2], NULL);
  if (!(h->beat > 0 && h->beat <= DVG_LOCK_BEAT)) h->beat = DVG_LOCK_BEAT;
}

// ---- whether the holder lives

enum sign { DEAD, ALIVE, CHANGED };

// Opened, not just looked at: that makes NFS ask the server. 0 if it isn't there any more.
static int touched(const char *path, struct timespec *when) {
  struct stat s;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), good = fd >= 0 && fstat(fd, &s) == 0;
  if (fd >= 0) close(fd);
  if (good) *when = s.st_mtim;
  return good;
}

static enum dvg_status watch(const struct dvg_lock *l, const char *path, const struct holder *h,
                             enum sign *sign) {
  struct timespec before, now;
  double until = dvg_seconds() + MISSED * h->beat;
  *sign = CHANGED;
  if (!touched(path, &before)) return DVG_OK;
  dvg_info("%s: is locked by %s, process %" PRId64 " on %s, since %s; looking for a sign of life for %.0f s",
           l->folder, h->program, h->pid, h->host, h->since, ceil(MISSED * h->beat));
  while (dvg_seconds() < until) {
    if (l->settings.stop && l->settings.stop()) return DVG_STOPPED;
    usleep(50000);
    if (!touched(path, &now)) return DVG_OK;
    if (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec) continue;
    *sign = ALIVE;
    return DVG_OK;
  }
  *sign = DEAD;
  return DVG_OK;
}

// Whether a holder's process can be looked for by its id.
static int is_near(const struct holder *h, const struct holder *me) {
  return me->started && h->started && *h->boot && *h->space && strcmp(h->boot, me->boot) == 0 &&
         strcmp(h->space, me->space) == 0;
}

static enum dvg_status look(const struct dvg_lock *l, const char *path, const struct holder *h,
                            enum sign *sign) {
  if (!is_near(h, &l->me)) return watch(l, path, h, sign);
  *sign = start_of(h->pid) == h->started ? ALIVE : DEAD;
  return DVG_OK;
}

// ---- taking it

static int write_new(const char *path, const char *text, int flags) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  if (fd < 0) return 0;
  size_t n_bytes = strlen(text);
  ssize_t n = write(fd, text, n_bytes);
  int good = n == (ssize_t)n_bytes, cause = n < 0 ? errno : ENOSPC;
  if (close(fd) != 0 && good) {
    good = 0;
    cause = errno;
  }
  if (good) return 1;
  unlink(path);
  errno = cause;
  return 0;
}

// Whether `path` is our file now; 0 with EEXIST when it is another's.
static int put(const struct dvg_lock *l, const char *path) {
  if (!write_new(l->mine, l->text, O_TRUNC)) return 0;
  struct stat s;
  int good = link(l->mine, path) == 0, cause = errno;
  // A server whose answer was lost says EEXIST of what it has done.
  if (!good && stat(l->mine, &s) == 0 && s.st_nlink == 2) good = 1;
  unlink(l->mine);
  if (good) return 1;
  if (cause == EPERM || cause == ENOTSUP || cause == ENOSYS) // no links here
    return write_new(path, l->text, O_EXCL);
  errno = cause;
  return 0;
}

static enum dvg_status refuse(const struct dvg_lock *l, const struct holder *h) {
  return dvg_fail(DVG_ERROR_IO, "%s: is being written by %s, process %" PRId64 " on %s, since %s", l->folder,
                  h->program, h->pid, h->host, h->since);
}

static enum dvg_status take(struct dvg_lock *l, const char *path, int n_claims);

// Makes `path`, the file of a dead holder with the text `dead`, ours: *won. One process at a time has the claim
// to that place, a lock file itself, and looks again when it has it: no file of a living one is ever touched.
static enum dvg_status replace(struct dvg_lock *l, const char *path, const char *dead, int n_claims, int *won) {
  char *claim = NULL, text[TEXT], digest[DVG_DIGEST_TEXT];
  enum dvg_status status;
  *won = 0;
  DVG_TRY_GOTO(dvg_digest_of(digest, dead, strlen(dead)));
  DVG_TRY_GOTO(dvg_text(&claim, "%s.%.16s.part", path, digest));
  DVG_TRY_GOTO(take(l, claim, n_claims + 1));
  if (read_small(path, text) && strcmp(text, dead) == 0) {
    *won = write_new(l->mine, l->text, O_TRUNC) && rename(l->mine, path) == 0;
    if (!*won) status = dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
  }
  unlink(claim);
done:
  dvg_free(&claim);
  return status;
}

// With `n_claims` claims held: claims upon claims, as deep as processes died in the middle of replacing each
// other.
static enum dvg_status take(struct dvg_lock *l, const char *path, int n_claims) {
  char text[TEXT];
  struct holder h;
  enum sign sign = CHANGED;
  const int waits = n_claims > 0 || l->settings.file; // for two minutes; it should be done in a moment
  for (int i = 0, won = 0; i < MAX_TRIES && n_claims <= MAX_CLAIMS; i++) {
    if (l->settings.stop && l->settings.stop()) return DVG_STOPPED;
    if (put(l, path)) return DVG_OK;
    // ENOENT: another one, taking it, has cleaned up what we had prepared.
    if (errno != EEXIST && !(errno == ENOENT && access(l->folder, F_OK) == 0))
      return dvg_fail(DVG_ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (!read_small(path, text)) {
      if (errno == ENOENT) continue;
      return dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
    }
    parse_holder(&h, text);
    DVG_TRY(look(l, path, &h, &sign));
    if (sign == CHANGED) continue;
    if (sign == ALIVE && waits) {
      usleep(50000);
      continue;
    }
    if (sign == ALIVE) return refuse(l, &h);
    DVG_TRY(replace(l, path, text, n_claims, &won));
    if (!won) continue;
    if (n_claims == 0)
      dvg_info("%s: process %" PRId64 " on %s, which wrote here, is dead: going on in its place", l->folder,
               h.pid, h.host);
    return DVG_OK;
  }
  if (sign == ALIVE) return refuse(l, &h);
  return dvg_fail(DVG_ERROR_IO, "%s: changes hands all the time", path);
}

// ---- parts of a folder

// Whether two locks of a folder can't be held at once. `file` is ours, or no lock: never.
static int excludes(const struct dvg_lock *l, const char *file) {
  int64_t part, n_parts;
  int end = 0;
  if (l->settings.file || strcmp(file, l->file) == 0) return 0;
  if (strcmp(file, "dvg.lock") == 0) return 1;
  if (sscanf(file, "dvg.part-%" SCNd64 "-of-%" SCNd64 ".lock%n", &part, &n_parts, &end) != 2) return 0;
  return end > 0 && !file[end] && n_parts != l->settings.n_parts;
}

// One that is dead is no hindrance; a run of the whole clears it away, and no part can take it meanwhile and
// live.
static enum dvg_status look_at_other(const struct dvg_lock *l, const char *path) {
  char text[TEXT];
  struct holder h;
  enum sign sign = CHANGED;
  for (int i = 0; i < MAX_TRIES && sign == CHANGED; i++) {
    if (!read_small(path, text)) {
      if (errno == ENOENT) return DVG_OK;
      return dvg_fail(DVG_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
    }
    parse_holder(&h, text);
    DVG_TRY(look(l, path, &h, &sign));
  }
  if (sign == CHANGED) return dvg_fail(DVG_ERROR_IO, "%s: changes hands all the time", path);
  if (sign == ALIVE) return refuse(l, &h);
  return l->settings.n_parts == 0 ? dvg_path_remove(path) : DVG_OK;
}

static enum dvg_status look_at_others(const struct dvg_lock *l) {
  char *path = NULL;
  enum dvg_status status = DVG_OK;
  DIR *folder = opendir(l->folder);
  if (!folder) return dvg_fail(DVG_ERROR_IO, "%s: cannot list: %s", l->folder, strerror(errno));
  for (const struct dirent *e; status == DVG_OK && (e = readdir(folder));) {
    if (!excludes(l, e->d_name)) continue;
    status = dvg_text(&path, "%s/%s", l->folder, e->d_name);
    if (status == DVG_OK) status = look_at_other(l, path);
    dvg_free(&path);
  }
  closedir(folder);
  return status;
}

// ---- keeping it

static int is_ours(const struct dvg_lock *l) {
  char text[TEXT];
  if (!read_small(l->path, text)) return errno != ENOENT; // a server that is away for a while is no loss
  return strcmp(text, l->text) == 0;
}

static void *keep(void *context) {
  struct dvg_lock *l = context;
  pthread_mutex_lock(&l->mutex);
  while (!l->ending) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)l->me.beat;
    until.tv_nsec += (long)(fmod(l->me.beat, 1) * 1e9);
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    if (pthread_cond_timedwait(&l->changed, &l->mutex, &until) != ETIMEDOUT) continue;
    if (!is_ours(l)) {
      dvg_warn("%s: the lock of this run is gone or another's", l->path);
      if (l->settings.lost) l->settings.lost();
      break;
    }
    utimensat(AT_FDCWD, l->path, NULL, 0); // one that fails isn't missed: the next comes soon
  }
  pthread_mutex_unlock(&l->mutex);
  return NULL;
}

// Signals are for the main thread.
static enum dvg_status start_keeping(struct dvg_lock *l) {
  sigset_t all, before;
  pthread_attr_t small;
  pthread_condattr_t steady;
  pthread_condattr_init(&steady);
  pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
  pthread_cond_init(&l->changed, &steady);
  pthread_mutex_init(&l->mutex, NULL);
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int cause = pthread_create(&l->thread, &small, keep, l);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&small);
  pthread_condattr_destroy(&steady);
  l->running = cause == 0;
  if (cause == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_MEMORY, "%s: no thread to keep the lock: %s", l->folder, strerror(cause));
}

static enum dvg_status prepare(struct dvg_lock *l, const struct dvg_lock_settings *s) {
  l->settings = *s;
  describe_me(&l->me, s);
  print_holder(l->text, &l->me);
  DVG_TRY(dvg_text(&l->folder, "%s", s->folder));
  if (s->n_parts > 0)
    DVG_TRY(dvg_text(&l->file, "dvg.part-%" PRId64 "-of-%" PRId64 ".lock", s->part, s->n_parts));
  else DVG_TRY(dvg_text(&l->file, "%s", s->file ? s->file : "dvg.lock"));
  DVG_TRY(dvg_text(&l->path, "%s/%s", s->folder, l->file));
  return dvg_text(&l->mine, "%s.%s.%" PRId64 ".part", l->path, l->me.host, l->me.pid);
}

static void free_lock(struct dvg_lock **l) {
  dvg_free(&(*l)->folder);
  dvg_free(&(*l)->file);
  dvg_free(&(*l)->path);
  dvg_free(&(*l)->mine);
  dvg_free(l);
}

enum dvg_status dvg_lock_take(struct dvg_lock **out, const struct dvg_lock_settings *s) {
  struct dvg_lock *l = NULL;
  char prefix[TEXT];
  enum dvg_status status;
  DVG_TRY(DVG_NEW(&l, 1, "lock"));
  DVG_TRY_GOTO(prepare(l, s));
  DVG_TRY_GOTO(take(l, l->path, 0));
  *out = l;
  snprintf(prefix, sizeof prefix, "%s.", l->file);
  status = dvg_path_remove_parts(s->folder, prefix); // of those killed in the middle of taking it
  if (status == DVG_OK) status = look_at_others(l);
  if (status == DVG_OK) status = start_keeping(l);
  if (status != DVG_OK) dvg_lock_release(out);
  return status;
done:
  free_lock(&l);
  return status;
}

void dvg_lock_release(struct dvg_lock **lock) {
  struct dvg_lock *l = *lock;
  if (!l) return;
  if (l->running) {
    pthread_mutex_lock(&l->mutex);
    l->ending = 1;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
  }
  if (is_ours(l)) unlink(l->path);
  free_lock(lock);
}

// ---- seen from outside

static int is_lock_name(const char *file) {
  int64_t part, n_parts;
  int end = 0;
  if (strcmp(file, "dvg.lock") == 0) return 1;
  return sscanf(file, "dvg.part-%" SCNd64 "-of-%" SCNd64 ".lock%n", &part, &n_parts, &end) == 2 && end > 0 &&
         !file[end];
}

// Whether the holder of the file lives, as far as one look can tell.
static int seems_alive(const char *path, const struct holder *h, const struct holder *me) {
  struct timespec when, now;
  if (is_near(h, me)) return start_of(h->pid) == h->started;
  if (!touched(path, &when)) return 0;
  clock_gettime(CLOCK_REALTIME, &now);
  return difftime(now.tv_sec, when.tv_sec) + (double)(now.tv_nsec - when.tv_nsec) * 1e-9 <= MISSED * h->beat;
}

int dvg_lock_look(struct dvg_lock_holder *out, int *n_alive, const char *folder) {
  const struct dvg_lock_settings nobody = {.program = "", .beat = DVG_LOCK_BEAT};
  struct holder me, h;
  int n = 0, alive = 0;
  char *path = NULL, text[TEXT];
  DIR *list = opendir(folder);
  describe_me(&me, &nobody);
  for (const struct dirent *e; list && (e = readdir(list));) {
    if (!is_lock_name(e->d_name) || dvg_text(&path, "%s/%s", folder, e->d_name) != DVG_OK) continue;
    if (read_small(path, text)) {
      parse_holder(&h, text);
      const int lives = seems_alive(path, &h, &me);
      if (n++ == 0 || (lives && !out->alive)) {
        *out = (struct dvg_lock_holder){.pid = h.pid, .alive = lives};
        snprintf(out->program, sizeof out->program, "%s", h.program);
        snprintf(out->host, sizeof out->host, "%s", h.host);
        snprintf(out->since, sizeof out->since, "%s", h.since);
      }
      alive += lives;
    }
    dvg_free(&path);
  }
  if (list) closedir(list);
  if (n_alive) *n_alive = alive;
  return n;
}
