/*
 * plane_state.h - what hangs off the plane: shared by the files of this folder only.
 *
 * Ownership: plane -> listener -> conn -> stream -> attempt, plane -> pool -> upconn. All other
 * pointers are borrowed.
 */
#pragma once
#include "config/flagset.h"
#include "proxy/base/limits.h"
#include "proxy/base/rng.h"
#include "proxy/event/deadline.h"
#include "proxy/event/io.h"
#include "proxy/route/ofrep.h"
#include "proxy/stream/access_log.h"
#include "proxy/stream/overload.h"
#include "proxy/stream/plane.h"
#include "proxy/stream/secrets.h"
#include "proxy/stream/tables.h"
#include "proxy/upstream/pool.h"

/* Towards clients; all other durations come from the configuration. */
#define CLIENT_HEAD_MS  10000 /* these three: of a listener that no snapshot names yet */
#define CLIENT_IDLE_MS  60000
#define CLIENT_STALL_MS 30000
#define CLIENT_LINGER_MS                                                                       \
    5000 /* without a byte, reading on after an early answer, so that it is received */
#define CLIENT_WATCH_MS                                                                        \
    10 /* an answer to a first request that took so long: watch the client */
#define CLIENT_LAST_MS                                                                         \
    1000               /* a drain leaves that to who is connected and has not asked yet        \
                        */
#define EXPECT_MS 1000 /* a body held back for 100 (Continue) goes up after this */

/* A listening socket, or what connections that came in there still ask after it is closed. */
struct listener {
    LIST_ENTRY(listener) link;
    unsigned refs; /* the plane's while it listens, and one for each connection */
    struct plane *plane;
    struct watch watch;
    char *name;
    int fd;                                     /* -1: closed */
    struct tls_server *tls;                     /* a reference; NULL: plain */
    const struct conf_listener *conf;           /* in plane->tables; NULL: not named there */
    struct deadline_queue *head, *idle, *stall; /* for its clients */
    struct deadline_queue *ping;                /* of HTTP/2 */
};
struct listener *listener_ref(struct listener *l);
void listener_unref(struct listener *l);

struct plane {
    uint32_t magic;
    struct loop *loop;
    struct plane_options opt;
    struct stats_slab *stats; /* of this worker */
    struct rng rng;
    struct io_set ios;
    enum conf_io_uring io_uring; /* as asked for; ios has a ring if the kernel agreed */
    struct deadlines *deadlines;
    struct deadline_queue *linger_queue, *expect_queue, *watch_queue, *last_queue;
    struct pool pool;
    struct pool shadows; /* connections for copies, apart from those that answer clients */
    struct slab conns, conn2s, lanes, streams, attempts, prefaces, mirrors;
    size_t h2_memory;      /* bytes that sessions of HTTP/2 hold */
    uint64_t snapshots;    /* applied so far */
    struct tables *tables; /* the newest snapshot; NULL before the first */
    struct flagset *flags; /* the newest flag set; NULL before the first */
    struct flag_ctx *flag_ctx;
    struct ofrep ofrep;
    LIST_HEAD(, ofrep_call) event_calls; /* streams of events that are open */
    struct timer event_timer;
    struct secrets secrets;
    struct access_log log;
    struct limits *limits; /* shared with the other workers; NULL: routes have none */
    LIST_HEAD(, listener) listeners;
    LIST_HEAD(, mirror) copies;
    LIST_HEAD(, conn) open; /* connections of clients */
    LIST_HEAD(, preface) prefaces_open;
    unsigned nopen;
    struct timer drain_timer, accept_timer, leaving_timer;
    struct overload overload;
    struct flusher flusher;
    struct post drain_done;
    loop_cb *on_drained;
    void *drained_arg;
    struct grave grave;
    bool draining; /* answers say Connection: close */
    bool hurrying; /* and connections that wait for a request are closed */
};

/* A conn is gone. */
void plane_conn_closed(struct plane *p);
/* Something that a drain waits for is gone: it may be over. */
void plane_check_drained(struct plane *p);
