#include "mpi/world.h"

#include <cblas.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "common/base/log.h"
#include "mpi/notice.h"

// MPI counts are ints, and some transports cut a message above 1 GiB wrongly: big data go in pieces.
static const size_t piece_bytes = (size_t)64 << 20;
static const int64_t piece_values = (int64_t)1 << 24;

enum { GATHER_TAG = 3 };

// What Open MPI never frees is not ours to report, and no suppression can name it: it unloads plugins in
// MPI_Init and all of them in MPI_Finalize. So the leak checker looks away during the one and does its work
// before the other.
#ifdef __SANITIZE_ADDRESS__
static void ignore_leaks(int ignore) {
  ignore ? __lsan_disable() : __lsan_enable();
}
static void check_leaks(void) {
  __lsan_do_leak_check();
}
#else
static void ignore_leaks(int ignore) {
  (void)ignore;
}
static void check_leaks(void) {}
#endif

static volatile sig_atomic_t stop_signal;

static void on_signal(int number) {
  stop_signal = number;
}

static void watch_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART; // a signal is no reason for a read or write to fail
  sigaction(SIGTERM, &action, NULL);
  signal(SIGXFSZ, SIG_IGN); // a file-size limit becomes an ordinary write error, said in one line
  sigaction(SIGUSR1, &action, NULL);
  action.sa_flags |= (int)SA_RESETHAND; // the second Ctrl-C ends the program at once
  sigaction(SIGINT, &action, NULL);
}

// A job's exit code is taken modulo 256 and 126 to 255 mean other things to shells, so only 1..125 say "failed"
// for sure.
static int exit_code(enum dvg_status status) {
  int code = (int)status;
  return code >= 0 && code <= 125 ? code : (int)DVG_ERROR_INTERNAL;
}

// OpenBLAS asks for its work space at the first large product, and where there is none it asks again for ever:
// a rank under a memory limit would hang instead of failing. So we look first, then let it take the space,
// which it keeps.
static void reserve_blas_memory(const struct dvg_world *w) {
  enum { SIDE = 128 };
  static const size_t needed = (size_t)128 << 20; // on x86-64 and arm64
  static float a[SIDE * SIDE], b[SIDE * SIDE];
  void *probe = mmap(NULL, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) dvg_world_abort(w, DVG_ERROR_MEMORY, "no memory for the work space of BLAS: 128 MB");
  munmap(probe, needed);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, b, SIDE);
}

void dvg_world_init(struct dvg_world *w, const char *program, int *argc, char ***argv) {
  ignore_leaks(1);
  MPI_Init(argc, argv);
  ignore_leaks(0);
  MPI_Comm_rank(MPI_COMM_WORLD, &w->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &w->size);
  dvg_log_setup(program, w->rank, w->size);
  openblas_set_num_threads(1); // threads would change the order of sums, and ranks already fill the cores
  reserve_blas_memory(w);
  watch_signals(); // after MPI_Init, which may set handlers of its own
}

// Lines are said without a look at what becomes of them: lost ones, on a full disk say, are found at the end.
// Their errno is long gone.
static enum dvg_status check_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return DVG_OK;
  return dvg_fail(DVG_ERROR_IO, "standard output: cannot write all of it; is the disk full?");
}

int dvg_world_finish(const struct dvg_world *w, enum dvg_status status) {
  if (status == DVG_OK) status = check_output();
  status = dvg_world_agree(w, status);
  check_leaks();
  MPI_Finalize();
  return exit_code(status);
}

// Ordered by weight: fine, stopped, errors. DVG_STOPPED is the largest status code but lighter than an error; 1
// is no status.
static int weight(enum dvg_status status) {
  return status == DVG_STOPPED ? 1 : (int)status;
}

enum dvg_status dvg_world_agree(const struct dvg_world *w, enum dvg_status status) {
  (void)w;
  int mine = weight(status), worst = 0;
  MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return worst == 1 ? DVG_STOPPED : (enum dvg_status)worst;
}

enum dvg_status dvg_world_root_first(const struct dvg_world *w, enum dvg_status (*open)(void *),
                                     void *context) {
  enum dvg_status status = w->rank == 0 ? open(context) : DVG_OK;
  status = dvg_world_agree(w, status);
  if (status != DVG_OK) return status;
  if (w->rank != 0) status = open(context);
  return dvg_world_agree(w, status);
}

_Noreturn void dvg_world_abort(const struct dvg_world *w, enum dvg_status status, const char *why) {
  (void)w;
  int code = exit_code(status);
  if (code == 0) code = (int)DVG_ERROR_INTERNAL; // MPI_Abort with 0 would report success
  dvg_log_quiet(0);
  (void)dvg_fail(status, "ends all ranks: %s", why);
  fflush(NULL);
  MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

int dvg_world_stop_flag(void) {
  return stop_signal != 0 || dvg_notice_seen();
}

int dvg_world_stop_requested(const struct dvg_world *w) {
  return dvg_world_max(w, dvg_world_stop_flag()) != 0;
}

void dvg_world_broadcast(const struct dvg_world *w, void *data, size_t n_bytes, int root) {
  (void)w;
  for (size_t done = 0; done < n_bytes; done += piece_bytes) {
    size_t n = n_bytes - done < piece_bytes ? n_bytes - done : piece_bytes;
    MPI_Bcast((char *)data + done, (int)n, MPI_BYTE, root, MPI_COMM_WORLD);
  }
}

void dvg_world_sum(const struct dvg_world *w, int64_t *values, int64_t n) {
  if (w->size == 1) return;
  for (int64_t done = 0; done < n; done += piece_values) {
    int64_t count = n - done < piece_values ? n - done : piece_values;
    MPI_Allreduce(MPI_IN_PLACE, values + done, (int)count, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  }
}

void dvg_world_sum_inexact(const struct dvg_world *w, float *values, int64_t n) {
  if (w->size == 1) return;
  for (int64_t done = 0; done < n; done += piece_values) {
    int64_t count = n - done < piece_values ? n - done : piece_values;
    MPI_Allreduce(MPI_IN_PLACE, values + done, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  }
}

int64_t dvg_world_max(const struct dvg_world *w, int64_t value) {
  (void)w;
  int64_t largest = value;
  MPI_Allreduce(&value, &largest, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
  return largest;
}

// One rank after the other, in pieces: for results whose size would overflow MPI_Gather's counts.
static void gather_pieces(const struct dvg_world *w, char *all, const char *mine, size_t n_bytes) {
  if (w->rank == 0) memcpy(all, mine, n_bytes);
  for (int r = 1; r < w->size; r++)
    for (size_t done = 0; done < n_bytes; done += piece_bytes) {
      int n = (int)(n_bytes - done < piece_bytes ? n_bytes - done : piece_bytes);
      if (w->rank == 0)
        MPI_Recv(all + (size_t)r * n_bytes + done, n, MPI_BYTE, r, GATHER_TAG, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
      else if (w->rank == r) MPI_Send(mine + done, n, MPI_BYTE, 0, GATHER_TAG, MPI_COMM_WORLD);
    }
}

// All ranks decide alike: they give the same n_bytes.
static int fits_one_call(const struct dvg_world *w, size_t n_bytes) {
  return n_bytes <= piece_bytes / (size_t)w->size;
}

void dvg_world_gather(const struct dvg_world *w, void *all, const void *mine, size_t n_bytes) {
  if (fits_one_call(w, n_bytes))
    MPI_Gather(mine, (int)n_bytes, MPI_BYTE, all, (int)n_bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
  else gather_pieces(w, all, mine, n_bytes);
}

void dvg_world_allgather(const struct dvg_world *w, void *all, const void *mine, size_t n_bytes) {
  if (fits_one_call(w, n_bytes)) {
    MPI_Allgather(mine, (int)n_bytes, MPI_BYTE, all, (int)n_bytes, MPI_BYTE, MPI_COMM_WORLD);
    return;
  }
  gather_pieces(w, all, mine, n_bytes);
  dvg_world_broadcast(w, all, (size_t)w->size * n_bytes, 0);
}

void dvg_world_barrier(const struct dvg_world *w) {
  (void)w;
  MPI_Barrier(MPI_COMM_WORLD);
}
