#include "mpi/distribute.h"

#include <mpi.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/notice.h"

enum { BLOCK_TAG = 1, ASK_TAG = 4, SHARE_TAG = 5 };

static const size_t piece_bytes = (size_t)64 << 20; // MPI counts are ints: big blocks go in pieces

// One round of the ordered work: each rank has computed one block, rank 0 collects and consumes them in order.
struct ordered {
  const struct dvg_world *w;
  const struct dvg_ordered_work *work;
  size_t block_bytes;
  int n_pieces;          // messages a block
  char *records;         // this rank's block
  char *received;        // rank 0: the blocks of ranks 1..size-1
  MPI_Request *requests; // rank 0: n_pieces for each of them
};

static int64_t items_in(const struct dvg_ordered_work *work, int64_t block) {
  int64_t first = block * work->block;
  if (first >= work->n_items) return 0;
  return work->n_items - first < work->block ? work->n_items - first : work->block;
}

static int piece_length(size_t n_bytes, int piece) {
  size_t done = (size_t)piece * piece_bytes;
  if (done >= n_bytes) return 0;
  return (int)(n_bytes - done < piece_bytes ? n_bytes - done : piece_bytes);
}

static enum dvg_status ordered_create(struct ordered *o) {
  const struct dvg_ordered_work *work = o->work;
  if (work->n_items < 0 || work->block < 1 ||
      (work->record_bytes && (size_t)work->block > SIZE_MAX / 2 / work->record_bytes))
    return dvg_fail(DVG_ERROR_INTERNAL, "ordered work: %lld items in blocks of %lld records of %zu bytes",
                    (long long)work->n_items, (long long)work->block, work->record_bytes);
  o->block_bytes = (size_t)work->block * work->record_bytes;
  o->n_pieces = (int)((o->block_bytes + piece_bytes - 1) / piece_bytes);
  DVG_TRY(dvg_alloc((void **)&o->records, work->block, work->record_bytes, "a block of records"));
  if (o->w->rank != 0) return DVG_OK;
  DVG_TRY(dvg_alloc((void **)&o->received, o->w->size - 1, o->block_bytes, "the blocks of other ranks"));
  return DVG_NEW(&o->requests, (int64_t)(o->w->size - 1) * o->n_pieces, "message requests");
}

static void ordered_free(struct ordered *o) {
  dvg_free(&o->records);
  dvg_free(&o->received);
  dvg_free(&o->requests);
}

static void send_block(const struct ordered *o, int64_t block) {
  size_t n_bytes = (size_t)items_in(o->work, block) * o->work->record_bytes;
  for (int p = 0; p < o->n_pieces; p++)
    MPI_Send(o->records + (size_t)p * piece_bytes, piece_length(n_bytes, p), MPI_BYTE, 0, BLOCK_TAG,
             MPI_COMM_WORLD);
}

// Rank 0: receives from all at the same time, consumes in order. The other ranks compute their next blocks
// meanwhile.
static enum dvg_status collect(const struct ordered *o, int64_t first_block) {
  const struct dvg_ordered_work *work = o->work;
  for (int r = 1; r < o->w->size; r++) {
    size_t n_bytes = (size_t)items_in(work, first_block + r) * work->record_bytes;
    for (int p = 0; p < o->n_pieces; p++)
      MPI_Irecv(o->received + (size_t)(r - 1) * o->block_bytes + (size_t)p * piece_bytes,
                piece_length(n_bytes, p), MPI_BYTE, r, BLOCK_TAG, MPI_COMM_WORLD,
                &o->requests[(r - 1) * o->n_pieces + p]);
  }
  enum dvg_status status = DVG_OK;
  for (int r = 0; r < o->w->size; r++) {
    const char *records = o->records;
    if (r > 0) { // also after a failure: the senders wait
      MPI_Waitall(o->n_pieces, &o->requests[(r - 1) * o->n_pieces], MPI_STATUSES_IGNORE);
      records = o->received + (size_t)(r - 1) * o->block_bytes;
    }
    int64_t count = items_in(work, first_block + r);
    if (status == DVG_OK && count > 0)
      status = work->consume((first_block + r) * work->block, count, records, work->context);
  }
  return status;
}

static enum dvg_status ordered_run(struct ordered *o, struct dvg_progress *progress) {
  const struct dvg_ordered_work *work = o->work;
  int64_t n_blocks = work->n_items / work->block + (work->n_items % work->block != 0);
  enum dvg_status status = DVG_OK;
  for (int64_t first = 0; first < n_blocks; first += o->w->size) {
    int64_t block = first + o->w->rank, count = items_in(work, block);
    // `status` is rank 0's of consuming the round before: it joins the agreement of this one.
    if (status == DVG_OK && dvg_world_stop_flag()) status = DVG_STOPPED;
    if (status == DVG_OK && count > 0)
      status = work->compute(o->records, block * work->block, count, work->context);
    status = dvg_world_agree(o->w, status);
    if (status != DVG_OK) return status;
    if (o->w->rank != 0) {
      send_block(o, block);
      continue;
    }
    status = collect(o, first);
    int64_t done = (first + o->w->size) * work->block;
    if (work->what && done < work->n_items) dvg_progress_at(progress, done);
  }
  return dvg_world_agree(o->w, status);
}

enum dvg_status dvg_distribute_ordered(const struct dvg_world *w, const struct dvg_ordered_work *work) {
  struct ordered o = {.w = w, .work = work};
  struct dvg_progress progress;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_world_agree(w, ordered_create(&o)));
  if (work->what) dvg_progress_start(&progress, work->what, 0, work->n_items);
  DVG_TRY_GOTO(ordered_run(&o, &progress));
  if (work->what) dvg_progress_end(&progress, work->n_items);
done:
  ordered_free(&o);
  return status;
}

// ---- independent tasks

// What is left to hand out. Rank 0 alone hands out; the others know as much for the first shares.
static struct {
  struct dvg_world world;
  const unsigned char *pending;
  int64_t next, left;            // tasks before `next` are handed out; pending ones from there on
  int64_t done;                  // as far as rank 0 was told
  int n_gone;                    // ranks that were told there is nothing more
  int closed;                    // nothing more is handed out
  int64_t unsaid;                // another rank's: tasks done that rank 0 wasn't told of yet
  int asked;                     // and whether an answer is on its way
  int at_last;                   // and whether it is at the last task of its share,
  double began, paused, took;    // when that began and paused last, how long the task before took; seconds
  struct dvg_progress *progress; // or NULL
} deal;

// A range of task numbers; those pending in it are one rank's.
struct share {
  int64_t first, end;
  int64_t left; // pending tasks that nobody had when it was handed out
};

// What a rank tells rank 0 when it asks for more.
struct asking {
  int64_t done, failed; // tasks since it asked before; whether it takes no more
};

static struct share hand_out(int64_t count) {
  struct share s = {deal.next, deal.next, 0};
  for (; count > 0 && deal.left > 0; s.end++)
    if (deal.pending[s.end]) {
      count--;
      deal.left--;
    }
  deal.next = s.end;
  s.left = deal.left;
  return s;
}

// A few shares for each rank: large at first, for there to be few messages, and single tasks at the end, for
// all to end together, even if one rank is some times slower than the others.
static int64_t share_size(void) {
  enum { SHARES = 6 };
  int64_t size = deal.left / ((int64_t)deal.world.size * SHARES);
  return size > 1 ? size : 1;
}

static struct share first_share(void) {
  struct share mine = {0, 0, 0};
  int64_t size = share_size();
  for (int r = 0; r < deal.world.size; r++) {
    struct share s = hand_out(size);
    if (r == deal.world.rank) mine = s;
  }
  mine.left = deal.left;
  return mine;
}

static struct share next_share(void) {
  return hand_out(deal.closed ? 0 : share_size());
}

static void add_done(int64_t n) {
  deal.done += n;
  if (deal.progress && deal.done < deal.progress->total) dvg_progress_at(deal.progress, deal.done);
}

static void answer_one(int from) {
  struct asking asking;
  MPI_Recv(&asking, sizeof asking, MPI_BYTE, from, ASK_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  add_done(asking.done);
  if (asking.failed) deal.closed = 1;
  struct share share = next_share();
  if (share.first == share.end) deal.n_gone++;
  MPI_Send(&share, sizeof share, MPI_BYTE, from, SHARE_TAG, MPI_COMM_WORLD); // is waited for
}

// Rank 0, in passing.
static void answer_all(void) {
  for (;;) {
    int there = 0;
    MPI_Status from;
    MPI_Iprobe(MPI_ANY_SOURCE, ASK_TAG, MPI_COMM_WORLD, &there, &from);
    if (!there) return;
    answer_one(from.MPI_SOURCE);
  }
}

// Rank 0, when it has nothing else to do: until all others are gone.
static void answer_last(void) {
  while (deal.n_gone < deal.world.size - 1) {
    MPI_Status from;
    MPI_Probe(MPI_ANY_SOURCE, ASK_TAG, MPI_COMM_WORLD, &from);
    answer_one(from.MPI_SOURCE);
  }
}

static void ask(int failed) {
  const struct asking asking = {deal.unsaid, failed};
  MPI_Send(&asking, sizeof asking, MPI_BYTE, 0, ASK_TAG, MPI_COMM_WORLD);
  deal.unsaid = 0;
  deal.asked = 1;
}

static struct share answer(void) {
  struct share share;
  MPI_Recv(&share, sizeof share, MPI_BYTE, 0, SHARE_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  deal.asked = 0;
  return share;
}

// Rank 0 answers when its own task pauses: a rank asks before its last task, not to wait then. Not towards the
// end, when what a slow rank has reserved would be waited for by all.
static int asks_ahead(struct share share) {
  enum { TASKS_A_RANK = 4 };
  return deal.world.rank != 0 && share.left >= (int64_t)deal.world.size * TASKS_A_RANK;
}

// ... but when its task pauses, and what is left of it, by the one before, is no more than two such stretches:
// one for rank 0's task to pause as well, one because it may be over before the next.
static void ask_in_time(void) {
  double now = dvg_seconds(), stretch = now - deal.paused;
  deal.paused = now;
  if (deal.at_last && !deal.asked && now + 2 * stretch >= deal.began + deal.took) ask(0);
}

static enum dvg_status run_share(struct share share, enum dvg_status (*task)(int64_t i, void *context),
                                 void *context) {
  for (int64_t i = share.first; i < share.end; i++) {
    if (!deal.pending[i]) continue;
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    int is_last = i == share.end - 1; // a share ends with a pending task
    if (is_last && asks_ahead(share)) ask(0);
    deal.at_last = is_last && deal.took > 0;
    deal.began = deal.paused = dvg_seconds();
    enum dvg_status status = task(i, context);
    deal.at_last = 0;
    if (status != DVG_OK) return status;
    deal.took = dvg_seconds() - deal.began;
    if (deal.world.rank == 0) add_done(1);
    else deal.unsaid++;
  }
  return DVG_OK;
}

// A rank leaves only when rank 0 has nothing for it, also after a failure: so rank 0 knows when all are gone.
static enum dvg_status run_tasks(enum dvg_status (*task)(int64_t i, void *context), void *context) {
  enum dvg_status status = DVG_OK;
  for (struct share share = first_share();;) {
    if (status == DVG_OK) status = run_share(share, task, context);
    if (status != DVG_OK) {
      deal.closed = 1;
      dvg_notice_send();
    }
    if (deal.world.rank == 0) share = next_share();
    else {
      if (!deal.asked) ask(status != DVG_OK);
      share = answer();
    }
    if (share.first == share.end) break;
  }
  if (deal.world.rank == 0) answer_last();
  return status;
}

enum dvg_status dvg_distribute_tasks(const struct dvg_world *w, int64_t n, const unsigned char *pending,
                                     enum dvg_status (*task)(int64_t i, void *context), void *context,
                                     const char *what) {
  DVG_TRY(dvg_notice_begin(w));
  int64_t n_pending = 0;
  for (int64_t i = 0; i < n; i++) n_pending += pending[i] != 0;
  memset(&deal, 0, sizeof deal);
  deal.world = *w;
  deal.pending = pending;
  deal.left = n_pending;
  struct dvg_progress progress;
  if (what) {
    dvg_progress_start(&progress, what, 0, n_pending);
    deal.progress = &progress;
  }
  dvg_notice_serve(w->rank == 0 ? answer_all : ask_in_time);
  enum dvg_status status = run_tasks(task, context);
  dvg_notice_end();
  deal.progress = NULL;
  status = dvg_world_agree(w, status);
  if (status == DVG_OK && what) dvg_progress_end(&progress, n_pending);
  return status;
}
