/*
 * tables.h - a routing snapshot as the worker uses it: immutable answers, moving cursors.
 *
 * Built beside the current one and swapped at once. Reference-counted: the plane holds one, and
 * every stream that was routed with it until it ends. What moves is the sequence of a split
 * and the cursor of a balancer; both go on over a swap where they can.
 */
#pragma once
#include "config/snapshot.h"
#include "proxy/base/gcra.h"
#include "proxy/event/deadline.h"
#include "proxy/route/router.h"
#include "proxy/route/split.h"
#include "proxy/stream/secrets.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/retry_budget.h"

struct version_row {
    const struct conf_version *conf;
    struct endpoint **used;  /* one for each of conf->endpoints, borrowed from the pool */
    struct breaker *breaker; /* a reference; NULL: nothing is limited */
    struct balance balance;  /* over those that are not draining */
    struct target *targets;
};

struct mirror_budget { /* of a service's copies in this worker; goes on in the next tables */
    unsigned refs;
    uint64_t held; /* bytes of blocks */
};

struct mirror_row { /* copies of a service's requests: mirror.c */
    struct version_row to;
    struct deadline_queue *timeout;
    struct mirror_budget *budget; /* a reference */
    uint64_t most_held;           /* bytes, of this worker */
    uint32_t most;                /* copies under way at once in this worker */
    uint32_t credit;              /* per cent saved up for the next one without a key */
};

/* How long first attempts take until they are answered, or cut: faded by half every 10 s. */
struct hedge_times {
    uint64_t counts[HIST_BUCKETS];
    uint64_t faded_us, looked_us;
    struct deadline_queue *after; /* as of looked_us; NULL: too little is known */
};

struct service_row {
    const struct conf_service *conf;
    struct version_row *versions;
    struct mirror_row *mirror; /* NULL: none */
    struct split split;
    uint64_t salt;
    struct retry_budget budget, hedge_budget;
    struct hedge_times *hedge_times;     /* NULL: hedges come after a fixed time */
    uint64_t elsewhere, elsewhere_at_us; /* limits: requests in other workers, as of then */
    struct deadline_queue *connect, *first_byte, *idle, *pending, *per_try, *request, *hedge;
};

struct route_row { /* what a route's limits need at hand */
    struct gcra rate;
    struct deadline_queue *fault_queue, *timeout; /* timeout NULL: what the service says */
};

struct tables {
    uint32_t magic;
    unsigned refs;
    uint64_t generation;
    struct conf *conf; /* owned */
    struct pool *pool, *shadows;
    struct secrets *secrets;
    struct router *router;
    struct service_row *services; /* as conf->services */
    struct route_row *routes;     /* as conf->routes */
};

struct tables_env {       /* what tables borrow, all of it the plane's */
    struct pool *pool;    /* connections for clients' requests */
    struct pool *shadows; /* connections for copies */
    struct secrets *secrets;
    struct deadlines *deadlines;
    unsigned workers; /* that share what is limited */
    uint64_t now_us;
    uint64_t nth;   /* snapshot of this worker, from 1 */
    uint64_t seed;  /* of the router's hashes */
    uint32_t phase; /* see split_init */
};

/* Takes SNAP->conf over. OLD (may be NULL) is what it replaces. The caller has the first
 * reference. */
struct tables *tables_new(struct snapshot *snap, const struct tables_env *env,
                          struct tables *old);
struct tables *tables_ref(struct tables *t); /* NULL gives NULL */
void tables_unref(struct tables *t);
