// One writer a folder: a lock file that needs neither flock nor clocks that agree, which NFS and Lustre don't promise.
//
// <folder>/dvg.lock is text, "key value" a line: program, host, pid, started (the process, in clock ticks after boot), boot (its id), space (its
// namespace of process ids), since (UTC), beat (seconds). It is written under a name of its own and linked, so it appears as a whole. The holder
// touches it every `beat` seconds, from a thread that does nothing else. Whether a holder still lives is seen
//     in the same boot and namespace by its pid and start time, at once;
//     elsewhere by whether its file is touched within 6 beats, by our own clock: a minute.
// The file of a dead one is replaced by rename, by who holds the claim to its place, dvg.lock.<digest of its text>.part: a lock file in the same
// form, so many that come at once can't win twice. A holder that finds its file gone or another's (it had been suspended for minutes) is told by
// `lost`, at the next beat.
//
// Parts: runs that write different files of one folder may do so side by side. Each holds dvg.part-I-of-N.lock, in the same form. A part is refused while
// dvg.lock or a part of another N has a living holder, a run of the whole while any part has: each takes its own file first and looks at the others' then,
// so that of two that come at once at least one sees the other. Files of parts that died are removed by the next run of the whole.
#ifndef DVG_IO_LOCK_H
#define DVG_IO_LOCK_H

#include <stdint.h>

#include "common/base/status.h"

struct dvg_lock; // held, by one process; any number of folders

struct dvg_lock_settings {
  const char *folder, *program; // copied
  double beat;                  // seconds
  int (*stop)(void);            // or NULL: whether to give up waiting for a sign of life
  void (*lost)(void);           // or NULL: called once, from the lock's thread, when the lock isn't ours any more
  int64_t part, n_parts;        // 1 <= part <= n_parts; 0, 0: the whole folder
  const char *file;             // or NULL: a file in the folder to be held for a moment, whatever else is locked; waits for its turn
};
enum { DVG_LOCK_BEAT = 10 }; // what programs take

// Not collective: one rank takes it for all. DVG_ERROR_IO, naming who holds it since when, while that one lives, or when the folder can't be
// written; DVG_STOPPED when `stop` said so. Waits up to 6 beats of the holder where life is seen by touches only.
DVG_CHECKED enum dvg_status dvg_lock_take(struct dvg_lock **l, const struct dvg_lock_settings *s);
// Removes the file if it is still ours, and frees. Nothing to do for NULL.
void dvg_lock_release(struct dvg_lock **l);

// ---- seen from outside

struct dvg_lock_holder {
  char program[64], host[128], since[32];
  int64_t pid;
  int alive;
};
// Not collective. Who holds a folder, or one of its parts, or died holding it: one that lives before one that is dead. Returns how many locks there are, 0
// where there is none or nothing can be read; *n_alive (or NULL) is how many of their holders live. Only reads and never waits: where life is seen by
// touches only, a file touched within 6 beats by our own clock is that of a living one.
int dvg_lock_look(struct dvg_lock_holder *h, int *n_alive, const char *folder);

#endif
