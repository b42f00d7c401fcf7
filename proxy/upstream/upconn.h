/*
 * upconn.h - what an exchange with an endpoint goes over, as its borrower sees it.
 *
 * All of an HTTP/1.1 connection (upconn1.h) or one stream of a shared HTTP/2 connection
 * (lane.h): lent to an attempt (the borrower), which gets the answer through its codec_ops, and
 * given back by upconn_return. Who it is made by tells pool.h: pool_take and upconn_connect.
 */
#pragma once
#include "proxy/http/codec.h"
#include "proxy/upstream/pool.h"

#define UPCONN_INTERIM_MAX 32     /* 1xx heads before the final one */
#define UPCONN_HIGH        131072 /* queued bytes above which data() says enough */

struct upconn;
struct upconn_kind { /* the functions below, as one protocol does them */
    bool (*head)(struct upconn *u, const struct head *req, const struct message *m);
    void (*text)(struct upconn *u, enum method asked, struct str head, bool has_body,
                 uint64_t body);
    bool (*data)(struct upconn *u, struct block *b);
    bool (*copy)(struct upconn *u, struct str s);
    void (*end)(struct upconn *u, struct str trailers);
    void (*resume)(struct upconn *u);
    bool (*is_open)(const struct upconn *u);
    bool (*keeps_up)(const struct upconn *u);
    uint32_t (*unsent)(const struct upconn *u);
    size_t (*untaken)(const struct upconn *u);
    bool (*was_dead)(const struct upconn *u, enum codec_abort why);
    bool (*unreached)(const struct upconn *u);
    void (*give_back)(struct upconn *u);
    void (*borrowed)(struct upconn *u);
};

struct upconn { /* embedded in what it is */
    const struct upconn_kind *kind;
    struct endpoint *ep;
    const struct codec_ops *ops; /* the borrower's */
    void *borrower;
    loop_cb *on_open;
    struct head *head;       /* the borrower's room for the answer */
    struct str trailer_room; /* the borrower's; empty: trailers may be dropped */
    bool tunnel;             /* switched: what follows is nobody's business but the peers' */
};

/* Open a connection to EP for a borrower, who made sure that there may be one more
 * (breaker_enter): it counts until it is closed. NULL: errno; nothing follows. ON_OPEN runs
 * once the request is on its way. */
struct upconn *upconn_connect(struct endpoint *ep, loop_cb *on_open);
/* The answer goes to OPS with SELF; its head is parsed into HEAD. Right after pool_take or
 * upconn_connect. */
void upconn_borrow(struct upconn *u, const struct codec_ops *ops, void *self,
                   struct head *head);
/* Keep the answer's trailers in ROOM (CAP bytes, valid until upconn_return). */
static inline void upconn_keep_trailers(struct upconn *u, char *room, size_t cap)
{
    u->trailer_room = (struct str){room, cap};
}

/* It was open when it was lent: on_open will not run. */
static inline bool upconn_is_open(const struct upconn *u)
{
    return u->kind->is_open(u);
}

/* Queue the head of the request REQ as M says. False: it does not fit (431). */
static inline MUST_CHECK bool upconn_head(struct upconn *u, const struct head *req,
                                          const struct message *m)
{
    return u->kind->head(u, req, m);
}

/* Instead: HEAD is its text but for the empty line, and for the length of its body of BODY
 * bytes if it has one. */
static inline void upconn_text(struct upconn *u, enum method asked, struct str head,
                               bool has_body, uint64_t body)
{
    u->kind->text(u, asked, head, has_body, body);
}

/* The same contracts as codec_ops; upconn_copy copies instead of taking over. */
static inline bool upconn_data(struct upconn *u, struct block *b)
{
    return u->kind->data(u, b);
}

static inline bool upconn_copy(struct upconn *u, struct str s)
{
    return u->kind->copy(u, s);
}

static inline void upconn_end(struct upconn *u, struct str trailers) /* lines, or empty */
{
    u->kind->end(u, trailers);
}

static inline void upconn_resume(struct upconn *u)
{
    u->kind->resume(u);
}

/* Of an open one: the endpoint has room for all that was queued so far. */
static inline bool upconn_keeps_up(const struct upconn *u)
{
    return u->kind->keeps_up(u);
}

/* Bytes that wait here to be sent; the other counts also what the endpoint has not taken from
 * the kernel, and costs a system call. */
static inline uint32_t upconn_unsent(const struct upconn *u)
{
    return u->kind->unsent(u);
}

static inline size_t upconn_untaken(const struct upconn *u)
{
    return u->kind->untaken(u);
}

/* The exchange broke off by WHY because a kept connection had been dead all along, or because
 * the endpoint left the request alone: nothing came back, and it is nobody's failure. */
static inline bool upconn_was_dead(const struct upconn *u, enum codec_abort why)
{
    return u->kind->was_dead(u, why);
}

/* No part of the request can have been looked at. */
static inline bool upconn_unreached(const struct upconn *u)
{
    return u->kind->unreached(u);
}

/* The borrower is done: what is clean is kept, the rest closed. */
static inline void upconn_return(struct upconn *u)
{
    u->kind->give_back(u);
}
