/*
 * breaker.h - how many connections to the endpoints of a version may be open, and retries under
 * way, in all workers together; and who waits for a connection.
 *
 * Each worker holds its part in a gauge of its slab. It adds first and sums all slabs then, so
 * a limit is never passed; two that meet at the edge may both be refused, and try again.
 * Whoever waits is served first come, first served, within BREAKER_GRACE_US also between
 * workers: one whose connections are free gives way to another where somebody waits longer.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/base/stats.h"
#include "proxy/event/loop.h"

#define BREAKER_FRESH_US 10000 /* what others wait for is looked up at most that often */
#define BREAKER_GRACE_US 50000 /* a queue elsewhere goes first if it is older by more */
#define BREAKER_POLL_MS  10    /* while somebody waits here */
#define BREAKER_SPARE_MS 100   /* while connections are idle here that others could want */

struct breaker;
struct endpoint;

#define BREAKER_ROWS 256
struct breakers { /* those of one worker */
    struct loop *loop;
    struct stats *stats;
    unsigned slab;                                     /* this worker's */
    struct breaker *shown[STATS_VERSIONS];             /* by cell; 0: none */
    size_t n;                                          /* of all */
    LIST_HEAD(breaker_row, breaker) all[BREAKER_ROWS]; /* by hash of the name */
};

/* A request that waits for a connection. Zeroed: it does not. */
struct waiter { /* embedded in its owner */
    TAILQ_ENTRY(waiter) link;
    struct breaker *breaker; /* NULL: not waiting */
    uint64_t since_us;
    loop_cb *ready; /* try again; leaves the queue by breaker_forget if it got one */
    void *arg;
};

struct breaker { /* of a version; counted by snapshots and endpoints */
    LIST_ENTRY(breaker) link;
    struct breakers *set;
    char *name; /* "service/version" */
    unsigned users;
    uint32_t cell;                  /* of the version */
    struct stats_version *counters; /* in this worker's slab; NULL: nobody counts the version */
    uint32_t max_connections, max_pending, max_retries; /* 0: any, but of max_pending none */
    unsigned held[STATS_NHELD];                         /* here */
    unsigned idle; /* of the connections held here, those that nobody uses */
    TAILQ_HEAD(, waiter) queue;
    LIST_HEAD(, endpoint) endpoints; /* whose connections count */
    uint64_t looked_us, elsewhere_since_us;
    unsigned elsewhere_open;
    struct post post;
    struct timer timer;
};

void breakers_init(struct breakers *set, struct loop *l, struct stats *stats, unsigned slab);

/* The breaker of VERSION, made or changed to what LIMITS says, with one more user. NULL: there
 * is nothing to limit. */
struct breaker *breaker_use(struct breakers *set, struct str service,
                            const struct conf_version *version,
                            const struct conf_limits *limits);
struct breaker *breaker_ref(struct breaker *k); /* NULL gives NULL */
void breaker_unref(struct breaker *k);

/* May a new connection be opened (RETRYING: a retry begin)? Then it counts until
 * breaker_leave. Always for K == NULL. */
bool breaker_enter(struct breaker *k, enum stats_held what) MUST_CHECK;
void breaker_leave(struct breaker *k, enum stats_held what);
/* A connection became idle (+1), or is not any more (-1). */
void breaker_idle(struct breaker *k, int change);
/* A connection that many share has room for one more. */
void breaker_room(struct breaker *k);
/* Others wait longer, or there are too many: what is free here is to be closed, not kept. */
bool breaker_yields(struct breaker *k);
/* Close one idle connection. False: there is none. */
bool breaker_evict(struct breaker *k);

/* Is it W's turn: is nobody before it? */
bool breaker_turn(const struct breaker *k, const struct waiter *w);
/* Wait for a connection; W stays where it is if it waits already. READY runs on later turns.
 * False: too many wait. */
bool breaker_wait(struct breaker *k, struct waiter *w) MUST_CHECK;
void breaker_forget(struct waiter *w); /* idempotent */
