/*
 * pool.h - the endpoints a worker talks to, and its idle connections to each.
 *
 * An endpoint is known by its address and how it is spoken to, and lives as long as a snapshot
 * names it or a connection to it is open: a new snapshot finds the connections of the old one.
 * Idle connections are kept most recently used first, so surplus ones age at the end and close.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/stats.h"
#include "proxy/event/deadline.h"
#include "proxy/event/io.h"
#include "proxy/event/tls_client.h"
#include "proxy/upstream/breaker.h"
#include "proxy/upstream/latency.h"
#include "proxy/upstream/record.h"

#define POOL_IDLE_TOTAL 1024  /* idle connections to one endpoint, all workers together */
#define POOL_IDLE_MS    50000 /* below the keep-alive time of common servers (60-75 s) */

struct lane;
struct upconn;
struct upconn1;
struct upconn2;
TAILQ_HEAD(lane_list, lane);

struct share { /* HTTP/2: the connections of an endpoint and who waits for one */
    LIST_HEAD(, upconn2) conns;
    struct lane_list waiting;
    unsigned nconns; /* but for those that take no more exchanges */
    unsigned nwaiting;
    unsigned opening; /* connections whose settings have not come */
    uint32_t room;    /* exchanges that the last one took at once */
    struct post post;
};

struct standing {           /* what outlier.c remembers of an endpoint; zeroed at first */
    uint32_t failed_in_row; /* since the last good answer */
    uint32_t pauses;        /* close to each other */
    uint32_t unjudged;      /* answers since its times were looked at */
    bool on_trial;          /* back from a pause, no good answer yet */
    struct record record;
};

struct endpoint { /* owned by the pool */
    uint32_t magic;
    LIST_ENTRY(endpoint) link;
    struct pool *pool;
    struct sockaddr_storage sa; /* IPv4, IPv6 or UNIX */
    socklen_t sa_len;
    enum conf_upstream protocol;
    struct tls_client *tls; /* NULL: plain; borrowed, outlives the pool */
    struct tls_session session;
    struct breaker *breaker; /* a reference; NULL: any number of connections */
    LIST_ENTRY(endpoint) breaker_link;
    char *name;           /* "127.0.0.1:9001" */
    char *from;           /* the name whose answer it is, or "" */
    unsigned users;       /* snapshots that name it */
    unsigned in_flight;   /* attempts under way */
    unsigned connections; /* open, idle ones included */
    unsigned idle_count;
    uint32_t cell; /* stats cell of the newest snapshot */
    struct latency latency;
    struct standing standing;
    uint64_t up_since_us;      /* it came up beside others; 0: it always was */
    uint64_t up_in;            /* the last snapshot, as they are counted, that said it is up */
    uint64_t ejected_until_us; /* 0 or a time of the past: not ejected */
    TAILQ_HEAD(upconn_list, upconn1) idle;
    struct share share;
};

struct pool { /* owned by the plane */
    struct io_set *ios;
    struct deadline_queue *idle_queue;
    struct stats_slab *stats;
    struct slab upconns, upconn2s, lanes;
    struct deadline_queue *quiet_queue, *pong_queue; /* of upconn2 */
    struct breakers breakers;
    unsigned open;      /* connections */
    unsigned idle_max;  /* an endpoint, this worker */
    unsigned ejections; /* so far: who lists live endpoints looks again when it moves */
    LIST_HEAD(, endpoint) endpoints[2048]; /* by hash of the name */
};

void pool_init(struct pool *p, struct io_set *ios, struct deadlines *ds,
               struct stats_slab *stats, unsigned workers);
void pool_release(struct pool *p); /* closes idle connections; none may be lent */

void pool_release_slabs(struct pool *p);  /* the turn after it is over */
uint64_t pool_used(const struct pool *p); /* bytes of what is open */

/* The endpoint at C's address, spoken to in PROTOCOL by TLS (NULL: plain) and counted by
 * BREAKER (may be NULL), with one more user; gauges go to C's cell from now on. */
struct endpoint *pool_use(struct pool *p, const struct conf_endpoint *c,
                          enum conf_upstream protocol, struct tls_client *tls,
                          struct breaker *breaker);
/* Snapshot number NTH of this worker, from 1, says that EP is up. */
void pool_note_up(struct endpoint *ep, uint64_t nth, uint64_t now_us);
/* One user less; without users its idle connections are closed and it goes with the last. */
void pool_leave(struct pool *p, struct endpoint *ep);
/* The most recently used idle connection, or a lane on a shared one, lent to the caller
 * (upconn_borrow); NULL: there is none, open one. FRESH: one that was idle will not do. ON_OPEN
 * runs when it is not open yet (upconn_is_open) and opens. */
struct upconn *pool_take(struct endpoint *ep, bool fresh, loop_cb *on_open);

/* Close up to N idle connections, of each endpoint the least recently used first; they are gone
 * when the turn is. Returns how many. */
uint64_t pool_trim(struct pool *p, uint64_t n);

/* No traffic for EP until UNTIL_US, as far as others can take it. */
void pool_eject(struct endpoint *ep, uint64_t until_us, enum stats_ejection why);

/* Close one idle connection of EP. False: there is none. */
bool pool_evict(struct endpoint *ep);

/* For upconn: a connection was opened, is gone, becomes idle (false: no room, close it), stops
 * being idle. */
void pool_opened(struct endpoint *ep);
void pool_closed(struct endpoint *ep);
bool pool_put(struct endpoint *ep, struct upconn1 *u) MUST_CHECK;
void pool_remove(struct endpoint *ep, struct upconn1 *u);
/* A shared connection has nothing to do (+1), or has again (-1). */
void pool_spare(struct endpoint *ep, int change);
