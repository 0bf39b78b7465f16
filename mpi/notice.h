// Private to mpi/: how a rank in the middle of independent tasks hears that another one failed or was told to stop.
#ifndef DVG_MPI_NOTICE_H
#define DVG_MPI_NOTICE_H

#include "common/base/status.h"
#include "mpi/world.h"

// Collective. From here to the end notices may be sent.
DVG_CHECKED enum dvg_status dvg_notice_begin(const struct dvg_world *w);

// Not collective. Asks all other ranks to take no more tasks. At most one message to each rank, however often it is called.
void dvg_notice_send(void);

// Not collective. Whether another rank has sent a notice; always 0 outside begin and end. Calls `serve` of dvg_notice_serve first.
int dvg_notice_seen(void);

// Not collective. What a rank does for the others while it is in the middle of a task of its own; NULL: nothing. Forgotten at the end.
void dvg_notice_serve(void (*serve)(void));

// Collective. Receives what is still under way.
void dvg_notice_end(void);

#endif
