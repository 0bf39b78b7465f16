#include "mpi/notice.h"

#include <mpi.h>

#include "common/base/alloc.h"

enum { NOTICE_TAG = 2 };

static struct {
  struct dvg_world world;
  int active, sent;
  int n_received;
  MPI_Request *requests; // one per rank
  void (*serve)(void);
} notice;

enum dvg_status dvg_notice_begin(const struct dvg_world *w) {
  notice.world = *w;
  notice.sent = notice.n_received = 0;
  enum dvg_status status = dvg_world_agree(w, DVG_NEW(&notice.requests, w->size, "message requests"));
  if (status != DVG_OK) {
    dvg_free(&notice.requests);
    return status;
  }
  for (int r = 0; r < w->size; r++) notice.requests[r] = MPI_REQUEST_NULL;
  notice.active = 1;
  return DVG_OK;
}

void dvg_notice_send(void) {
  if (!notice.active || notice.sent) return;
  notice.sent = 1;
  for (int r = 0; r < notice.world.size; r++)
    if (r != notice.world.rank)
      MPI_Isend(NULL, 0, MPI_BYTE, r, NOTICE_TAG, MPI_COMM_WORLD, &notice.requests[r]);
}

static void receive_one(int from) {
  MPI_Recv(NULL, 0, MPI_BYTE, from, NOTICE_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  notice.n_received++;
}

void dvg_notice_serve(void (*serve)(void)) {
  notice.serve = serve;
}

int dvg_notice_seen(void) {
  if (notice.serve) notice.serve();
  if (!notice.active || notice.n_received) return notice.active;
  int there = 0;
  MPI_Status from;
  MPI_Iprobe(MPI_ANY_SOURCE, NOTICE_TAG, MPI_COMM_WORLD, &there, &from);
  if (there) receive_one(from.MPI_SOURCE);
  return there;
}

void dvg_notice_end(void) {
  // Every sender wrote to every other rank, so the number of senders tells how many messages are still to come.
  int64_t n_senders = notice.sent;
  dvg_world_sum(&notice.world, &n_senders, 1);
  while (notice.n_received < n_senders - notice.sent) receive_one(MPI_ANY_SOURCE);
  MPI_Waitall(notice.world.size, notice.requests, MPI_STATUSES_IGNORE);
  notice.active = 0;
  notice.serve = NULL;
  dvg_free(&notice.requests);
}
