/*
 * pending.c - requests that wait for a connection to their version.
 *
 * Invariant: a stream is in the queue of its version's breaker exactly while it is in QUEUE.
 */
#include "proxy/stream/pending.h"

#include "proxy/stream/metrics.h"

/* A live target with an idle connection, or BALANCE_NONE. */
static uint32_t idle_target(const struct balance *b)
{
    for (uint32_t i = 0; i < b->nlive; i++)
        if (b->targets[b->live[i]].ep->idle_count)
            return b->live[i];
    return BALANCE_NONE;
}

enum attempt_begin pending_start(struct stream *s, uint32_t i)
{
    struct balance *b = &s->version->balance;
    struct breaker *k = s->version->breaker;
    enum attempt_begin r = attempt_start(s, &b->targets[i]);
    uint32_t other;

    if (r != ATTEMPT_FULL || !breaker_turn(k, &s->waiter) || k->idle == 0)
        return r;
    other = b->policy == CONF_BALANCE_RING_HASH ? BALANCE_NONE : idle_target(b);
    if (other != BALANCE_NONE)
        r = attempt_start(s, &b->targets[other]);
    if (r == ATTEMPT_FULL && breaker_evict(k))
        r = attempt_start(s, &b->targets[i]);
    return r;
}

static void on_ready(void *arg)
{
    stream_try(arg);
}

void pending_wait(struct stream *s)
{
    bool anew = !s->waiter.breaker;

    s->waiter.ready = on_ready;
    s->waiter.arg = s;
    if (!breaker_wait(s->version->breaker, &s->waiter)) {
        metrics_pending(s, END_PENDING_FULL);
        stream_fail(s, END_PENDING_FULL, 0, STR_NONE);
        return;
    }
    s->paused = true;
    if (anew)
        deadline_start(&s->delay, s->service->pending);
}

void pending_leave(struct stream *s)
{
    if (!s->waiter.breaker)
        return;
    breaker_forget(&s->waiter);
    deadline_stop(&s->delay);
    s->paused = false;
}

void pending_expired(struct stream *s)
{
    metrics_pending(s, END_PENDING_TIMEOUT);
    stream_fail(s, END_PENDING_TIMEOUT, 0, STR_NONE);
}
