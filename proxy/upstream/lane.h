/*
 * lane.h - one exchange on an HTTP/2 connection: a stream, as upconn.h wants it.
 *
 * The request's head is kept as the text of an HTTP/1.1 head until there is a connection with
 * room, so a lane may wait. The answer's head is told at once, within the reading of its frame;
 * all else in a call of the lane's own at the end of the turn.
 */
#pragma once
#include "proxy/upstream/upconn2.h"

struct lane { /* owned by its endpoint, from lane_take or lane_connect to give_back */
    uint32_t magic;
    struct upconn up;
    struct pool *pool; /* outlives the endpoint */
    struct h2_exchange x;
    struct upconn2 *conn; /* NULL: it waits for one, or lost it */
    TAILQ_ENTRY(lane) link;
    struct post post;
    struct grave grave;
    struct block *text;        /* the request's head, until it is sent */
    struct block *trailers;    /* of the request */
    struct block *fields;      /* trailers of the answer */
    struct block_list in, out; /* bodies on their way */
    uint32_t out_bytes;
    uint32_t owed;  /* bytes of the window to be given back when the borrower goes on */
    uint64_t heard; /* of the connection, when the request was sent */
    enum codec_abort why;
    uint8_t interim;
    bool waiting;   /* in the endpoint's list */
    bool bodyless;  /* the request */
    bool ended;     /* all of the request is queued */
    bool asking;    /* data() said enough */
    bool full;      /* the borrower said enough */
    bool opened;    /* tell the borrower that the request is on its way */
    bool over;      /* the answer is complete */
    bool told;      /* and the borrower knows it */
    bool broken;    /* it broke off by `why` */
    bool untouched; /* of what it sent, the server looked at nothing */
    bool stale;     /* it broke off with a kept connection that said nothing any more */
    bool reused;    /* the connection had carried others before */
};

extern const struct h2_client_events lane_events;

/* On a connection with room, or waiting for one; NULL: another connection is needed. */
struct upconn *lane_take(struct endpoint *ep, loop_cb *on_open);
/* See upconn_connect. */
struct upconn *lane_connect(struct endpoint *ep, loop_cb *on_open);
/* For upconn2: U is L's now, it waits no more; the connection is gone; no connection came. */
void lane_board(struct lane *l, struct upconn2 *u);
void lane_lose(struct lane *l, enum codec_abort why);
