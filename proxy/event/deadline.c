/*
 * deadline.c - timeouts without timer calls.
 *
 * Invariant: a queue that is not empty has its timer armed, for its head or for something
 * earlier that has left since.
 */
#include "proxy/event/deadline.h"

#include "proxy/base/check.h"
#include "proxy/base/mem.h"

struct deadline_queue {
    LIST_ENTRY(deadline_queue) link; /* of deadlines, which owns it */
    TAILQ_HEAD(, deadline) running;
    struct loop *loop;
    struct timer timer;
    uint64_t after_ms;
};

struct deadlines {
    struct loop *loop;
    LIST_HEAD(, deadline_queue) queues;
};

struct deadlines *deadlines_new(struct loop *l)
{
    struct deadlines *ds = xcalloc(1, sizeof(*ds));

    ds->loop = l;
    LIST_INIT(&ds->queues);
    return ds;
}

void deadlines_free(struct deadlines *ds)
{
    struct deadline_queue *q;

    if (!ds)
        return;
    while ((q = LIST_FIRST(&ds->queues))) {
        ASSERT(TAILQ_EMPTY(&q->running));
        LIST_REMOVE(q, link);
        timer_stop(&q->timer);
        xfree(q);
    }
    xfree(ds);
}

static void arm(struct deadline_queue *q)
{
    struct deadline *head = TAILQ_FIRST(&q->running);
    uint64_t now = loop_now_us(q->loop);

    if (head)
        timer_start(&q->timer, head->at_us > now ? (head->at_us - now + 999) / 1000 : 0);
}

static void on_timer(void *arg)
{
    struct deadline_queue *q = arg;
    struct deadline *d;

    while ((d = TAILQ_FIRST(&q->running)) && d->at_us <= loop_now_us(q->loop)) {
        deadline_stop(d);
        d->cb(d->arg); /* may start and stop any deadline, this one too */
    }
    arm(q);
}

struct deadline_queue *deadline_queue(struct deadlines *ds, uint64_t after_ms)
{
    struct deadline_queue *q;

    if (after_ms == 0)
        return NULL;
    LIST_FOREACH (q, &ds->queues, link)
        if (q->after_ms == after_ms)
            return q;
    q = xcalloc(1, sizeof(*q));
    TAILQ_INIT(&q->running);
    q->loop = ds->loop;
    q->after_ms = after_ms;
    timer_init(&q->timer, ds->loop, on_timer, q);
    LIST_INSERT_HEAD(&ds->queues, q, link);
    return q;
}

void deadline_init(struct deadline *d, loop_cb *cb, void *arg)
{
    *d = (struct deadline){.cb = cb, .arg = arg};
}

void deadline_start(struct deadline *d, struct deadline_queue *q)
{
    deadline_stop(d);
    if (!q)
        return;
    d->queue = q;
    d->at_us = loop_now_us(q->loop) + q->after_ms * 1000;
    TAILQ_INSERT_TAIL(&q->running, d, link);
    if (!timer_pending(&q->timer))
        arm(q);
}

void deadline_stop(struct deadline *d)
{
    if (!d->queue)
        return;
    TAILQ_REMOVE(&d->queue->running, d, link);
    d->queue = NULL;
}
