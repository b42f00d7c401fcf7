/*
 * conn.h - one connection of a client: the HTTP/1 codec of the server side.
 *
 * Requests are read one after the other; what a client sends ahead waits in the connection's
 * block until the exchange before it is over. After a malformed request nothing more is parsed.
 */
#pragma once
#include "proxy/stream/stream.h"

#include <netinet/in.h>

#define CONN_STATES(X)                                                                         \
    X(IDLE, "between requests; owns no buffer")                                                \
    X(HEAD, "in a request's head")                                                             \
    X(BODY, "in a request's body")                                                             \
    X(BUSY, "the request is read, its answer is not complete")                                 \
    X(REST, "answered early: the rest of the request's body is thrown away")                   \
    X(HTTP2, "the first bytes were those of HTTP/2: conn2.h")                                  \
    X(TUNNEL, "switched to another protocol: bytes are passed on")                             \
    X(CLOSING, "the last output is being sent")                                                \
    X(LINGER, "FIN is sent; input is thrown away so that the answer is received")              \
    X(CLOSED, "freed when the turn is over")
enum conn_state {
#define X(s, text) CONN_##s,
    CONN_STATES(X)
#undef X
        CONN_NSTATES
};

struct conn { /* owned by the plane, from conn_open to conn_close */
    uint32_t magic;
    enum conn_state state;
    struct plane *plane;
    struct listener *listener; /* it came in there */
    LIST_ENTRY(conn) link;
    struct io io;
    union {
        struct stream *stream; /* owned; NULL while IDLE; not in HTTP2 */
        struct conn2 *conn2;   /* owned; in HTTP2 */
    };
    struct block *held;       /* the head's block, when the body outgrew it */
    struct deadline deadline; /* what it is for follows from the state */
    struct post next;         /* go on with bytes that are here already */
    struct grave grave;
    const struct io_tls_facts *tls; /* the io's; NULL: plain */
    uint32_t kept_end;              /* end of the body bytes kept in io.in; 0: no request yet */
    uint32_t waiting_bytes;         /* untaken when the deadline was started: to see progress */
    uint32_t discarded;             /* bytes thrown away in LINGER; in REST, those to be */
    bool close;                     /* no request after this one */
    bool last;                      /* the client said so itself */
    bool cut;                       /* the answer broke off: close at once */
    bool chunked;                   /* the answer's body */
    bool sending;                   /* the deadline watches the client take the answer */
    bool answered;                  /* the answer is complete */
    char ip[INET6_ADDRSTRLEN];
};

/* Take over an accepted, non-blocking FD and read what is there. PEER is who it counts as. */
void conn_open(struct listener *l, int fd, const struct sockaddr *peer);
/* At once, whatever state it is in; an exchange ends as END_DRAINED. */
void conn_close(struct conn *c);
/* For conn2.c: it has said all it has to say. */
void conn_finish(struct conn *c);
/* What is queued is on its way: the client has `timeouts.stall` to take some of it. */
void conn_await_taking(struct conn *c);
/* That time is over. True: it took some since then, if slowly, and has the same time again. */
bool conn_is_taking(struct conn *c) MUST_CHECK;
/* The plane drains: close after the exchange, or now; one that has asked nothing yet, or whose
 * next request lies in the kernel, is heard first. */
void conn_drain(struct conn *c);
