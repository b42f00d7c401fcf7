/*
 * loop.h - one event loop a process: descriptors, timers, signals, posted calls, the graveyard.
 *
 * A turn is: wait for events, run their callbacks, run what was posted, run the flush hooks,
 * free what was closed. Time is read once a turn. Callbacks run only from loop_run. The only
 * floor that includes libevent; other code embeds the small objects below.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;
struct loop *loop_new(void);
void loop_free(struct loop *l); /* every watch, timer and signal must be stopped before */
void loop_run(struct loop *l);  /* returns after loop_stop */
void loop_turn(struct loop *l); /* one turn, waits for an event; loop_run is this repeated */
void loop_stop(struct loop *l);
uint64_t loop_now_us(const struct loop *l);   /* monotonic, of this turn */
uint64_t loop_now_ms(const struct loop *l);   /* loop_now_us / 1000 */
uint64_t loop_wall_ms(const struct loop *l);  /* wall clock, of this turn */
struct event_base *loop_base(struct loop *l); /* for proxy/event and control/link only */
/*
 * Every callback that libevent makes begins with this: the first one of a turn reads the clock.
 * The small objects below do it; code with struct events of its own has to.
 */
void loop_touch(struct loop *l);

typedef void loop_cb(void *arg);

/* A call on this turn's end, after all events. Owner keeps the object alive until it ran. */
struct post {
    STAILQ_ENTRY(post) link;
    loop_cb *cb;
    void *arg;
    bool queued;
};
void loop_post(struct loop *l, struct post *p, loop_cb *cb, void *arg); /* no-op when queued */
void loop_unpost(struct loop *l, struct post *p);

/* Called every turn after the posted calls, until removed: coalesced writes. */
struct flusher {
    STAILQ_ENTRY(flusher) link;
    loop_cb *cb;
    void *arg;
};
void loop_add_flusher(struct loop *l, struct flusher *f, loop_cb *cb, void *arg);
void loop_remove_flusher(struct loop *l, struct flusher *f); /* not from a flusher */

/* Close now, free later: CB(arg) runs when the turn is over. At most once an object. */
struct grave {
    STAILQ_ENTRY(grave) link;
    loop_cb *cb;
    void *arg;
};
void loop_bury(struct loop *l, struct grave *g, loop_cb *cb, void *arg);

/* Descriptor readiness. Persistent until watch_stop; the descriptor is not owned. */
enum { WATCH_READ = EV_READ, WATCH_WRITE = EV_WRITE, WATCH_EDGE = EV_ET };
struct watch;
typedef void watch_cb(void *arg, unsigned what); /* what: WATCH_READ | WATCH_WRITE */
struct watch {
    struct event ev;
    watch_cb *cb;
    void *arg;
    struct loop *loop;
};
void watch_start(struct watch *w, struct loop *l, int fd, unsigned what, watch_cb *cb,
                 void *arg);
void watch_stop(struct watch *w); /* also fine on a zeroed or stopped watch */

/*
 * One-shot timer (libevent's heap): control-plane rates only, never per request. By the
 * kernel's coarse clock: it may come a tick early, 10 ms at most.
 */
struct timer {
    struct event ev;
    loop_cb *cb;
    void *arg;
    struct loop *loop;
};
void timer_init(struct timer *t, struct loop *l, loop_cb *cb, void *arg);
void timer_start(struct timer *t, uint64_t delay_ms); /* restarts when pending */
void timer_stop(struct timer *t);                     /* also fine on a zeroed timer */
bool timer_pending(const struct timer *t);

struct sig {
    struct event ev;
    loop_cb *cb;
    void *arg;
    struct loop *loop;
};
void sig_start(struct sig *s, struct loop *l, int signo, loop_cb *cb, void *arg);
void sig_stop(struct sig *s);
