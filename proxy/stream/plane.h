/*
 * plane.h - the data plane of one worker: everything between its listening sockets and the
 * upstreams. The worker process (proxy/proc) owns one and feeds it what comes over ipc.
 *
 * No call here blocks. Snapshots are built into tables beside the current ones and swapped at
 * once; a stream keeps the snapshot that it was routed with until it ends.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/limits.h"
#include "proxy/base/stats.h"
#include "proxy/base/str.h"
#include "proxy/event/loop.h"

struct plane;

struct plane_options {
    unsigned slot;       /* of this worker: splits start at different points */
    unsigned slab;       /* its counters */
    unsigned workers;    /* how many there are: pools are capped at total / workers */
    struct stats *stats; /* mapped writable; the plane writes slabs[slab] only */
    uint64_t seed;       /* of its random numbers; tests fix it */
};

struct plane *plane_new(struct loop *l, const struct plane_options *o);
void plane_free(struct plane *p); /* closes what is open, at once */

/* Accept on FD (non-blocking, listening), which the plane now owns. A NAME "web@3" is another
 * socket of the listener "web". */
void plane_listen(struct plane *p, const char *name, int fd);
/* Accept who is in its queue and close it; connections stay. */
void plane_unlisten(struct plane *p, const char *name);

/* 0: live for every request that is routed from now on. -1: refused, the old one stays, and
 * *WHY is a malloc'd reason (xfree). DOC may be unmapped afterwards. */
int plane_apply_snapshot(struct plane *p, struct str doc, uint64_t *generation,
                         char **why) MUST_CHECK;
int plane_apply_flags(struct plane *p, struct str doc, uint64_t sequence,
                      char **why) MUST_CHECK;

/* Certificates, keys and policies (proxy/event/tls_spec.h): listeners named in DOC speak TLS
 * from the next connection on, the others do not. -1: refused, as above. */
int plane_apply_tls(struct plane *p, struct str doc, char **why) MUST_CHECK;
/* Keys of session tickets, newest first (proxy/event/tls_server.h). */
void plane_set_ticket_keys(struct plane *p, struct str keys);

/* Where limits of routes are counted; borrowed, before the first snapshot. */
void plane_set_limits(struct plane *p, struct limits *l);

/* Access log lines go to FD (owned by the plane; the previous one is flushed and closed);
 * -1: nowhere. */
void plane_set_log(struct plane *p, int fd);

enum ports {
    PORTS_CLOSED,    /* nobody listens there afterwards */
    PORTS_TAKEN_OVER /* others accept on the same sockets: leave them to those */
};

/*
 * Accept no more, answer what is in flight with Connection: close, and be over: DONE runs once
 * nothing is open any more; after DEADLINE_MS what is left is cut.
 *
 * PORTS_CLOSED: those who connect at the moment get in (accept.h) and have CLIENT_LAST_MS to
 * ask something; idle connections are closed. PORTS_TAKEN_OVER: the proxy stays, so there is no
 * hurry; a connection that waits for a request goes on until an answer has told it.
 */
void plane_drain(struct plane *p, uint64_t deadline_ms, enum ports ports, loop_cb *done,
                 void *arg);
