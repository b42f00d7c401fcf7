/*
 * loop.c - one event loop a process, over libevent.
 *
 * The order of a turn is the contract: events, posts, flushers, graves. Nothing is freed before
 * the graves, so a callback further up the stack may still look at what was closed below it.
 */
#include "proxy/event/loop.h"

#include "proxy/base/check.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

struct loop {
    struct event_base *base;
    uint64_t now_us, wall_ms;
    bool fresh; /* the clock was read in this turn */
    bool stop;
    STAILQ_HEAD(, post) posts;
    STAILQ_HEAD(, flusher) flushers;
    STAILQ_HEAD(, grave) graves;
};

void loop_touch(struct loop *l)
{
    if (l->fresh)
        return;
    l->now_us = clock_mono_us();
    l->wall_ms = clock_wall_ms();
    l->fresh = true;
}

struct loop *loop_new(void)
{
    struct event_config *cfg = event_config_new();
    struct loop *l = xcalloc(1, sizeof(*l));

    ASSERT(cfg);
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
    l->base = event_base_new_with_config(cfg);
    ASSERT(l->base);
    event_config_free(cfg);
    STAILQ_INIT(&l->posts);
    STAILQ_INIT(&l->flushers);
    STAILQ_INIT(&l->graves);
    loop_touch(l);
    return l;
}

static void run_posted(struct loop *l)
{
    struct post *p;

    while ((p = STAILQ_FIRST(&l->posts))) {
        STAILQ_REMOVE_HEAD(&l->posts, link);
        p->queued = false;
        p->cb(p->arg);
    }
}

static void bury(struct loop *l)
{
    struct grave *g;

    while ((g = STAILQ_FIRST(&l->graves))) {
        STAILQ_REMOVE_HEAD(&l->graves, link);
        g->cb(g->arg);
    }
}

static void end_turn(struct loop *l)
{
    struct flusher *f;

    loop_touch(l);
    run_posted(l);
    STAILQ_FOREACH (f, &l->flushers, link)
        f->cb(f->arg);
    run_posted(l); /* what the flush found out */
    bury(l);
}

void loop_turn(struct loop *l)
{
    /* What was posted or closed outside of a turn does not wait for an event. */
    int flags = EVLOOP_ONCE;

    if (!STAILQ_EMPTY(&l->posts) || !STAILQ_EMPTY(&l->graves))
        flags |= EVLOOP_NONBLOCK;
    l->fresh = false;
    ASSERT(event_base_loop(l->base, flags) >= 0);
    end_turn(l);
}

void loop_run(struct loop *l)
{
    l->stop = false;
    while (!l->stop)
        loop_turn(l);
}

void loop_stop(struct loop *l)
{
    l->stop = true;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    bury(l);
    event_base_free(l->base);
    xfree(l);
}

uint64_t loop_now_us(const struct loop *l)
{
    return l->now_us;
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->now_us / 1000;
}

uint64_t loop_wall_ms(const struct loop *l)
{
    return l->wall_ms;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_post(struct loop *l, struct post *p, loop_cb *cb, void *arg)
{
    if (p->queued)
        return;
    p->cb = cb;
    p->arg = arg;
    p->queued = true;
    STAILQ_INSERT_TAIL(&l->posts, p, link);
}

void loop_unpost(struct loop *l, struct post *p)
{
    if (!p->queued)
        return;
    STAILQ_REMOVE(&l->posts, p, post, link);
    p->queued = false;
}

void loop_add_flusher(struct loop *l, struct flusher *f, loop_cb *cb, void *arg)
{
    f->cb = cb;
    f->arg = arg;
    STAILQ_INSERT_TAIL(&l->flushers, f, link);
}

void loop_remove_flusher(struct loop *l, struct flusher *f)
{
    STAILQ_REMOVE(&l->flushers, f, flusher, link);
}

void loop_bury(struct loop *l, struct grave *g, loop_cb *cb, void *arg)
{
    g->cb = cb;
    g->arg = arg;
    STAILQ_INSERT_TAIL(&l->graves, g, link);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    loop_touch(w->loop);
    w->cb(w->arg, (unsigned)what);
}

void watch_start(struct watch *w, struct loop *l, int fd, unsigned what, watch_cb *cb,
                 void *arg)
{
    w->cb = cb;
    w->arg = arg;
    w->loop = l;
    event_assign(&w->ev, l->base, fd, (short)(what | EV_PERSIST), on_ready, w);
    ASSERT(event_add(&w->ev, NULL) == 0);
}

void watch_stop(struct watch *w)
{
    if (w->cb)
        event_del(&w->ev);
    w->cb = NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;

    (void)fd;
    (void)what;
    loop_touch(t->loop);
    t->cb(t->arg);
}

void timer_init(struct timer *t, struct loop *l, loop_cb *cb, void *arg)
{
    t->cb = cb;
    t->arg = arg;
    t->loop = l;
    event_assign(&t->ev, l->base, -1, 0, on_timer, t);
}

void timer_start(struct timer *t, uint64_t delay_ms)
{
    struct timeval tv = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};

    ASSERT(t->cb);
    ASSERT(event_add(&t->ev, &tv) == 0);
}

void timer_stop(struct timer *t)
{
    if (t->cb)
        event_del(&t->ev);
}

bool timer_pending(const struct timer *t)
{
    return t->cb && event_pending(&t->ev, EV_TIMEOUT, NULL);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct sig *s = arg;

    (void)signo;
    (void)what;
    loop_touch(s->loop);
    s->cb(s->arg);
}

void sig_start(struct sig *s, struct loop *l, int signo, loop_cb *cb, void *arg)
{
    s->cb = cb;
    s->arg = arg;
    s->loop = l;
    event_assign(&s->ev, l->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, s);
    ASSERT(event_add(&s->ev, NULL) == 0);
}

void sig_stop(struct sig *s)
{
    if (s->cb)
        event_del(&s->ev);
    s->cb = NULL;
}
