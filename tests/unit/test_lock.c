// One writer a folder: refused while the first lives, taken over when it is dead, here or elsewhere.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/lock.h"
#include "tests/check.h"

static volatile int n_lost, stopping;
static void lost(void) {
  n_lost++;
}
static int stop(void) {
  return stopping;
}

static struct dvg_lock_settings settings(void) {
  return (struct dvg_lock_settings){
      .folder = dvg_test_folder(), .program = "dvg-test", .beat = 0.05, .stop = stop, .lost = lost};
}

// What is said on standard error while it is taken, in `said`; errors of a refusal belong to it.
static enum dvg_status take(struct dvg_lock **l, char *said, size_t n_bytes) {
  struct dvg_lock_settings s = settings();
  dvg_test_listen();
  enum dvg_status status = dvg_lock_take(l, &s);
  snprintf(said, n_bytes, "%s", dvg_test_heard());
  return status;
}

static void refuses(const char *pattern) {
  struct dvg_lock *l = NULL;
  char said[1024];
  CU_ASSERT_EQUAL(take(&l, said, sizeof said), DVG_ERROR_IO);
  CU_ASSERT_PTR_NULL(l);
  CU_ASSERT_TRUE(strstr(said, pattern) != NULL);
}

static void nothing_is_left(void) {
  CU_ASSERT_EQUAL(rmdir(dvg_test_folder()), 0); // not a file
  CU_ASSERT_EQUAL(mkdir(dvg_test_folder(), 0700), 0);
}

static void takes_and_leaves_nothing(void) {
  struct dvg_lock *l = NULL;
  char said[1024];
  CHECK_OK(take(&l, said, sizeof said));
  CU_ASSERT_PTR_NOT_NULL(l);
  CU_ASSERT_STRING_EQUAL(said, "");
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("dvg.lock")));
  dvg_lock_release(&l);
  CU_ASSERT_PTR_NULL(l);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("dvg.lock")));
  nothing_is_left();
  dvg_lock_release(&l);
}

static pid_t holder(int lives) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    struct dvg_lock *l = NULL;
    struct dvg_lock_settings s = settings();
    if (dvg_lock_take(&l, &s) != DVG_OK) _exit(1);
    if (write(ready[1], "x", 1) != 1 || !lives) _exit(0);
    for (;;) pause();
  }
  char byte;
  CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  close(ready[1]);
  return child;
}

static void is_refused_while_the_first_lives(void) {
  pid_t child = holder(1);
  char pattern[128], said[1024];
  snprintf(pattern, sizeof pattern, ": is being written by dvg-test, process %d on ", (int)child);
  refuses(pattern);
  kill(child, SIGKILL);
  struct dvg_lock *l = NULL;
  usleep(20000); // a zombie: not waited for yet
  CHECK_OK(take(&l, said, sizeof said));
  dvg_lock_release(&l);
  waitpid(child, NULL, 0);
}

static void another_process_of_its_number_is_not_it(void) {
  char *text = NULL, other[1024];
  pid_t child = holder(1);
  CHECK_OK(dvg_path_read_text(dvg_test_path("dvg.lock"), 2000, &text));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  // The same, but of this living process, which was started at another time.
  snprintf(other, sizeof other, "%.*spid %d%s", (int)(strstr(text, "pid ") - text), text, (int)getpid(),
           strchr(strstr(text, "pid "), '\n'));
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.lock"), other));
  struct dvg_lock *l = NULL;
  CHECK_OK(take(&l, other, sizeof other));
  dvg_lock_release(&l);
  free(text);
}

#define ELSEWHERE(beat)                                                                                        \
  "program dvg-generate\nhost node7\npid 1\nstarted 5\nboot 1-2\nspace pid:[1]\nsince "                        \
  "2026-01-01T00:00:00Z\nbeat " beat "\n"

static void one_elsewhere_is_dead_after_six_beats(void) {
  struct dvg_lock *l = NULL;
  char said[1024];
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.lock"), ELSEWHERE("0.05")));
  double start = dvg_seconds();
  CHECK_OK(take(&l, said, sizeof said));
  CU_ASSERT_TRUE(dvg_seconds() - start >= 0.3);
  dvg_lock_release(&l);
}

static void one_elsewhere_lives_by_its_touches(void) {
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.lock"),
                               ELSEWHERE("10"))); // a busy machine may take a while to the first touch
  pid_t child = fork();
  for (int i = 0; child == 0; i++) {
    struct timespec when[2] = {{i, 0}, {i, 0}}; // whatever its clock says
    utimensat(AT_FDCWD, dvg_test_path("dvg.lock"), when, 0);
    usleep(20000);
  }
  refuses(": is being written by dvg-generate, process 1 on node7, since 2026-01-01T00:00:00Z");
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("dvg.lock")));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  stopping = 1;
  struct dvg_lock *l = NULL;
  char said[1024];
  CU_ASSERT_EQUAL(take(&l, said, sizeof said), DVG_STOPPED);
  stopping = 0;
  unlink(dvg_test_path("dvg.lock"));
}

static void any_content_will_do(void) {
  static const char *const texts[] = {"beat 0.01\n", "\nbeat 0.01\npid -5\nstarted x\nboot\nspace \n",
                                      "program\n\nhost\n\nbeat 1e-3\npid 99999999999999999999\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct dvg_lock *l = NULL;
    char said[1024];
    CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.lock"), texts[i]));
    stopping = i == 0; // its first line isn't a beat of ours: a minute to wait
    CU_ASSERT_EQUAL(take(&l, said, sizeof said), i == 0 ? DVG_STOPPED : DVG_OK);
    stopping = 0;
    dvg_lock_release(&l);
  }
  unlink(dvg_test_path("dvg.lock"));
}

static void it_beats(void) {
  struct dvg_lock *l = NULL;
  char said[1024];
  struct stat first, later;
  CHECK_OK(take(&l, said, sizeof said));
  CU_ASSERT_EQUAL(stat(dvg_test_path("dvg.lock"), &first), 0);
  do {
    usleep(20000);
    CU_ASSERT_EQUAL(stat(dvg_test_path("dvg.lock"), &later), 0);
  } while (later.st_mtim.tv_sec == first.st_mtim.tv_sec &&
           later.st_mtim.tv_nsec == first.st_mtim.tv_nsec); // or the runner's limit
  dvg_lock_release(&l);
}

static void says_when_it_is_lost(void) {
  struct dvg_lock *l = NULL;
  char said[1024];
  CHECK_OK(take(&l, said, sizeof said));
  n_lost = 0;
  usleep(120000);
  CU_ASSERT_EQUAL(n_lost, 0);
  dvg_log_quiet(1);
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.lock"), ELSEWHERE("0.05")));
  while (!n_lost) usleep(20000);
  usleep(120000);
  dvg_log_quiet(0);
  CU_ASSERT_EQUAL(n_lost, 1);
  dvg_lock_release(&l);
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("dvg.lock"))); // it is the other one's
  unlink(dvg_test_path("dvg.lock"));
}

// Tries to take it when `go` ends, answers with one byte, and holds what it has until `end` ends.
static void contend(int go, int answer, int end) {
  struct dvg_lock *l = NULL;
  struct dvg_lock_settings s = settings();
  char byte;
  dvg_log_quiet(1);
  if (read(go, &byte, 1) != 0) _exit(2);
  enum dvg_status taken = dvg_lock_take(&l, &s);
  byte = taken == DVG_OK ? 'w' : taken == DVG_ERROR_IO ? 'r' : '?';
  if (write(answer, &byte, 1) != 1 || read(end, &byte, 1) != 0) _exit(2);
  _exit(0);
}

// Many at once over the file of a dead one: one wins.
static void one_of_many_wins(void) {
  enum { N = 6 };
  for (int round = 0; round < 30; round++) {
    waitpid(holder(0), NULL, 0);
    pid_t child[N];
    char answers[N];
    int go[2], answer[2], end[2], n_won = 0, n_refused = 0;
    CU_ASSERT_EQUAL(pipe(go) + pipe(answer) + pipe(end), 0);
    for (int i = 0; i < N; i++) {
      child[i] = fork();
      if (child[i] > 0) continue;
      close(go[1]);
      close(end[1]);
      contend(go[0], answer[1], end[0]);
    }
    close(go[0]);
    close(go[1]);
    close(answer[1]);
    for (int i = 0; i < N && read(answer[0], answers + i, 1) == 1; i++) {
      n_won += answers[i] == 'w';
      n_refused += answers[i] == 'r';
    }
    close(answer[0]);
    close(end[0]);
    close(end[1]);
    for (int i = 0; i < N; i++) waitpid(child[i], NULL, 0);
    CU_ASSERT_EQUAL(n_won, 1);
    CU_ASSERT_EQUAL(n_refused, N - 1);
    unlink(dvg_test_path("dvg.lock"));
    nothing_is_left();
  }
}

// One died while it held the claim to a dead one's place, another one the claim to that claim.
static void claims_of_dead_ones_are_no_hindrance(void) {
  char *text = NULL, digest[DVG_DIGEST_TEXT], said[1024], name[128] = "dvg.lock";
  struct dvg_lock *l = NULL;
  waitpid(holder(0), NULL, 0);
  CHECK_OK(dvg_path_read_text(dvg_test_path("dvg.lock"), 2000, &text));
  CHECK_OK(dvg_digest_of(digest, text, strlen(text)));
  for (int i = 0; i < 2; i++) {
    size_t n = strlen(name);
    snprintf(name + n, sizeof name - n, ".%.16s.part", digest);
    CHECK_OK(dvg_path_write_text(dvg_test_path(name), text)); // the same text, so the same digest
  }
  CHECK_OK(take(&l, said, sizeof said));
  dvg_lock_release(&l);
  nothing_is_left();
  free(text);
}

// The status of taking a part, or with n_parts 0 the whole.
static enum dvg_status take_part(struct dvg_lock **l, int64_t part, int64_t n_parts) {
  struct dvg_lock_settings s = settings();
  s.part = part;
  s.n_parts = n_parts;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_lock_take(l, &s);
  dvg_log_quiet(0);
  return status;
}

static void parts_live_side_by_side(void) {
  struct dvg_lock *a = NULL, *b = NULL, *c = NULL;
  CHECK_OK(take_part(&a, 1, 3));
  CHECK_OK(take_part(&b, 3, 3));
  CU_ASSERT_EQUAL(take_part(&c, 3, 3), DVG_ERROR_IO); // taken
  CU_ASSERT_EQUAL(take_part(&c, 1, 2), DVG_ERROR_IO); // may have the same shards
  CU_ASSERT_EQUAL(take_part(&c, 0, 0), DVG_ERROR_IO);
  CU_ASSERT_PTR_NULL(c);
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("dvg.part-1-of-2.lock"))); // a refused one leaves nothing
  CU_ASSERT_FALSE(dvg_path_exists(dvg_test_path("dvg.lock")));
  dvg_lock_release(&a);
  CU_ASSERT_EQUAL(take_part(&c, 0, 0), DVG_ERROR_IO);
  dvg_lock_release(&b);
  CHECK_OK(take_part(&c, 0, 0));
  CU_ASSERT_EQUAL(take_part(&a, 1, 3), DVG_ERROR_IO);
  CU_ASSERT_PTR_NULL(a);
  dvg_lock_release(&c);
  nothing_is_left();
}

static void dead_parts_are_no_hindrance(void) {
  char *text = NULL;
  struct dvg_lock *a = NULL;
  waitpid(holder(0), NULL, 0);
  CHECK_OK(dvg_path_read_text(dvg_test_path("dvg.lock"), 2000, &text));
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.part-2-of-3.lock"), text));
  CHECK_OK(take_part(&a, 1, 4)); // beside a dead whole and a dead part of another number
  dvg_lock_release(&a);
  CU_ASSERT_TRUE(dvg_path_exists(dvg_test_path("dvg.part-2-of-3.lock")));
  CHECK_OK(take_part(&a, 2, 3)); // in its place
  dvg_lock_release(&a);
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.part-2-of-3.lock"), text));
  CHECK_OK(take_part(&a, 0, 0));
  dvg_lock_release(&a);
  nothing_is_left();
  free(text);
}

static void is_seen_from_outside(void) {
  struct dvg_lock_holder h;
  struct timespec old[2] = {{1, 0}, {1, 0}};
  int n_alive = -1;
  CU_ASSERT_EQUAL(dvg_lock_look(&h, &n_alive, dvg_test_folder()), 0);
  CU_ASSERT_EQUAL(n_alive, 0);
  CU_ASSERT_EQUAL(dvg_lock_look(&h, NULL, "/nowhere"), 0);
  pid_t child = holder(1);
  CU_ASSERT_EQUAL(dvg_lock_look(&h, &n_alive, dvg_test_folder()), 1);
  CU_ASSERT_TRUE(n_alive == 1 && h.alive && h.pid == child);
  CU_ASSERT_STRING_EQUAL(h.program, "dvg-test");
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  CU_ASSERT_EQUAL(dvg_lock_look(&h, &n_alive, dvg_test_folder()), 1);
  CU_ASSERT_TRUE(n_alive == 0 && !h.alive && h.pid == child);
  // Elsewhere, by when it was touched; one that lives comes first.
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.part-2-of-3.lock"), ELSEWHERE("10")));
  CU_ASSERT_EQUAL(dvg_lock_look(&h, &n_alive, dvg_test_folder()), 2);
  CU_ASSERT_TRUE(n_alive == 1 && h.alive && h.pid == 1);
  CU_ASSERT_STRING_EQUAL(h.host, "node7");
  CU_ASSERT_STRING_EQUAL(h.since, "2026-01-01T00:00:00Z");
  utimensat(AT_FDCWD, dvg_test_path("dvg.part-2-of-3.lock"), old, 0);
  CU_ASSERT_EQUAL(dvg_lock_look(&h, &n_alive, dvg_test_folder()), 2);
  CU_ASSERT_TRUE(n_alive == 0 && !h.alive);
  CHECK_OK(dvg_path_write_text(dvg_test_path("dvg.lock.part"), ELSEWHERE("10"))); // no lock
  CU_ASSERT_EQUAL(dvg_lock_look(&h, &n_alive, dvg_test_folder()), 2);
  unlink(dvg_test_path("dvg.lock.part"));
  unlink(dvg_test_path("dvg.part-2-of-3.lock"));
  unlink(dvg_test_path("dvg.lock"));
  nothing_is_left();
}

const struct dvg_test dvg_tests[] = {
    {"takes, leaves nothing", takes_and_leaves_nothing},
    {"is refused while the first lives", is_refused_while_the_first_lives},
    {"another process of its number is not it", another_process_of_its_number_is_not_it},
    {"one elsewhere is dead after six beats", one_elsewhere_is_dead_after_six_beats},
    {"one elsewhere lives by its touches", one_elsewhere_lives_by_its_touches},
    {"any content will do", any_content_will_do},
    {"it beats", it_beats},
    {"says when it is lost", says_when_it_is_lost},
    {"one of many wins", one_of_many_wins},
    {"claims of dead ones are no hindrance", claims_of_dead_ones_are_no_hindrance},
    {"parts live side by side", parts_live_side_by_side},
    {"dead parts are no hindrance", dead_parts_are_no_hindrance},
    {"is seen from outside", is_seen_from_outside},
    {NULL, NULL}};
