/*
 * upconn.h - one HTTP/1.1 connection to an endpoint, with at most one exchange on it.
 *
 * Lent to an attempt (the borrower), which gets the answer through its codec_ops; idle in the
 * pool; or closed. A connection goes back to the pool only if both messages ended, nothing
 * lies behind the answer and both sides want to keep it; any doubt destroys it.
 */
#pragma once
#include "proxy/http/codec.h"
#include "proxy/http/h1_block.h"
#include "proxy/http/h1_parse.h"
#include "proxy/upstream/pool.h"

#define UPCONN_INTERIM_MAX 32     /* 1xx heads before the final one */
#define UPCONN_HIGH        131072 /* queued bytes above which data() says enough */

enum upconn_state {
    UPCONN_CONNECTING, /* lent; the request may be queued already */
    UPCONN_IDLE,       /* in the pool */
    UPCONN_HEAD,       /* lent; the next bytes are an answer's head */
    UPCONN_BODY,       /* lent; in the answer's body */
    UPCONN_ENDED,      /* lent; the answer is complete */
    UPCONN_CLOSED
};

struct upconn { /* owned by its endpoint, from upconn_connect to upconn_close */
    uint32_t magic;
    enum upconn_state state;
    struct io io;
    struct endpoint *ep;
    TAILQ_ENTRY(upconn) idle_link;
    struct deadline deadline; /* idle in the pool */
    struct grave grave;
    const struct codec_ops *ops; /* the borrower's */
    void *borrower;
    loop_cb *on_open;
    struct head *head; /* the borrower's room for the answer */
    struct h1_parser parser;
    struct h1_body body;
    uint64_t queued, before; /* bytes of requests: so far, and until this exchange */
    uint64_t tls_epoch;      /* of what it was opened with; 0: plain */
    enum method asked;
    uint8_t interim;
    bool reused;             /* it carried an exchange before */
    bool heard;              /* something came back in this exchange */
    bool chunked;            /* the request's body */
    bool request_ended;      /* all of the request is queued */
    bool dirty;              /* not to be used again */
    bool upgrade;            /* the request asked for a tunnel: 101 is an answer */
    bool tunnel;             /* switched: what follows is nobody's business but the peers' */
    struct str trailer_room; /* the borrower's; empty: trailers are dropped */
    bool single;             /* it speaks for one client: never pooled */
};

/* Connect to EP for a borrower, who made sure that there may be one more (breaker_enter): it
 * counts until it is closed. NULL: errno; nothing follows. ON_OPEN runs once connected. */
struct upconn *upconn_connect(struct endpoint *ep, loop_cb *on_open);
/* The answer goes to OPS with SELF; its head is parsed into HEAD. Right after pool_take or
 * upconn_connect. */
void upconn_borrow(struct upconn *u, const struct codec_ops *ops, void *self,
                   struct head *head);

/* Right after upconn_connect: HEADER (PROXY protocol) goes first, and the connection carries
 * one exchange. */
void upconn_announce(struct upconn *u, struct str header);
/* Keep the answer's trailers in ROOM (CAP bytes, valid until upconn_return). */
void upconn_keep_trailers(struct upconn *u, char *room, size_t cap);

/* Queue the head of the request REQ as M says. False: it does not fit (431). */
bool upconn_head(struct upconn *u, const struct head *req, const struct message *m) MUST_CHECK;
/* Instead: a request whose text, framing included, comes by upconn_copy alone. */
void upconn_begin(struct upconn *u, enum method asked);
/* The same contracts as codec_ops; upconn_copy copies instead of taking over. */
bool upconn_data(struct upconn *u, struct block *b);
bool upconn_copy(struct upconn *u, struct str s);
void upconn_end(struct upconn *u, struct str trailers); /* lines, or empty */
void upconn_resume(struct upconn *u);
/* Of a connected one: the kernel has room for all that was queued so far. */
bool upconn_keeps_up(const struct upconn *u);

/* The exchange broke off by WHY because a kept connection had been dead all along: its peer
 * closed it and nothing came back. */
bool upconn_was_dead(const struct upconn *u, enum codec_abort why);
/* It was opened with TLS settings that are not the present ones: not to be used again. */
bool upconn_stale(const struct upconn *u);
/* The peer had closed this connection before any byte of the exchange reached it. (A peer that
 * received some has acknowledged them with its FIN at the latest; a reset proves nothing.) */
bool upconn_unreached(const struct upconn *u);
/* The borrower is done: back to the pool if that is clean, else closed. */
void upconn_return(struct upconn *u);
void upconn_close(struct upconn *u); /* idempotent; no callback follows */
