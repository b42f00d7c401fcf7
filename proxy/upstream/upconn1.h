/*
 * upconn1.h - one HTTP/1.1 connection to an endpoint, with at most one exchange on it.
 *
 * Lent to a borrower; idle in the pool; or closed. A connection goes back to the pool only if
 * both messages ended, nothing lies behind the answer and both sides want to keep it; any doubt
 * destroys it.
 */
#pragma once
#include "proxy/http/h1_block.h"
#include "proxy/http/h1_parse.h"
#include "proxy/upstream/upconn.h"

enum upconn1_state {
    UPCONN1_CONNECTING, /* lent; the request may be queued already */
    UPCONN1_IDLE,       /* in the pool */
    UPCONN1_HEAD,       /* lent; the next bytes are an answer's head */
    UPCONN1_BODY,       /* lent; in the answer's body */
    UPCONN1_ENDED,      /* lent; the answer is complete */
    UPCONN1_CLOSED
};

struct upconn1 { /* owned by its endpoint, from upconn1_connect to upconn1_close */
    uint32_t magic;
    enum upconn1_state state;
    struct upconn up;
    struct io io;
    TAILQ_ENTRY(upconn1) idle_link;
    struct deadline deadline; /* idle in the pool */
    struct grave grave;
    struct h1_parser parser;
    struct h1_body body;
    uint64_t queued, before; /* bytes of requests: so far, and until this exchange */
    uint64_t tls_epoch;      /* of what it was opened with; 0: plain */
    enum method asked;
    uint8_t interim;
    bool reused;        /* it carried an exchange before */
    bool heard;         /* something came back in this exchange */
    bool chunked;       /* the request's body */
    bool request_ended; /* all of the request is queued */
    bool dirty;         /* not to be used again */
    bool upgrade;       /* the request asked for a tunnel: 101 is an answer */
    bool single;        /* it speaks for one client: never pooled */
};

/* See upconn_connect. */
struct upconn *upconn1_connect(struct endpoint *ep, loop_cb *on_open);
/* Right after it: HEADER (PROXY protocol) goes first, and the connection carries one exchange.
 */
void upconn1_announce(struct upconn *u, struct str header);
/* It was opened with TLS settings that are not the present ones: not to be used again. */
bool upconn1_stale(const struct upconn1 *u);
void upconn1_close(struct upconn1 *u); /* idempotent; no callback follows */
