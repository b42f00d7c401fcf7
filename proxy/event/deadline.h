/*
 * deadline.h - timeouts without timer calls: one queue for each duration.
 *
 * All deadlines of a queue last equally long, so the queue is in order by appending. A queue
 * has one timer, armed for its head and re-armed only when it fires: starting, moving and
 * stopping a deadline is list work. A deadline fires up to a millisecond late, never early.
 */
#pragma once
#include "proxy/event/loop.h"

struct deadlines; /* the queues of one loop, by duration */
struct deadline_queue;

struct deadline {
    TAILQ_ENTRY(deadline) link;
    struct deadline_queue *queue; /* NULL: not running */
    uint64_t at_us;
    loop_cb *cb;
    void *arg;
};

struct deadlines *deadlines_new(struct loop *l);
void deadlines_free(struct deadlines *ds); /* no deadline may be running */
/*
 * The queue for AFTER_MS, made when there is none yet; valid until deadlines_free. NULL for 0,
 * which means never. Durations come from the configuration, so there are few.
 */
struct deadline_queue *deadline_queue(struct deadlines *ds, uint64_t after_ms);

void deadline_init(struct deadline *d, loop_cb *cb, void *arg);
/* Run CB once when the queue's duration has passed from now; replaces a running deadline.
 * Q == NULL: only stops. */
void deadline_start(struct deadline *d, struct deadline_queue *q);
void deadline_stop(struct deadline *d);
