/*
 * h2_budget.h - what a peer may make an HTTP/2 connection do, counted on the bare frames.
 *
 * The scanner looks at every frame header before the session does, unknown types and empty
 * CONTINUATIONs included, so no frame is free. Frames that carry nothing are paid out of one
 * bucket, streams that end by a reset out of another; real data and finished exchanges pay
 * back. A server pays for each head that ends nothing, and its ends pay back two: an interim
 * head an answer is free, heads without end are not. Attacks: http/2 rapid reset, made you
 * reset, CONTINUATION, SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA and unknown frame
 * floods (RFC 9113 10.5).
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"
#include "proxy/http/h2_numbers.h"

#define H2_CONTROL_MOST  1000 /* frames without use in hand */
#define H2_CONTROL_RATE  100  /* so many a second come back */
#define H2_RESETS_MOST   100
#define H2_RESETS_RATE   10
#define H2_CONTINUATIONS 8     /* behind one HEADERS */
#define H2_BLOCK_MAX     65536 /* bytes of a header block on the wire */

struct h2_budget {
    uint64_t at_us;  /* when the buckets were filled up last */
    int32_t control; /* tokens left */
    int32_t resets;
    struct h2_numbers numbers;
    uint32_t skip;  /* bytes up to the next frame header */
    uint32_t block; /* bytes of the header block that is being read */
    uint8_t continuations;
    uint32_t blocks; /* that began */
    bool in_block;   /* the last frame of one has not come */
    bool in_last;    /* it has begun */
    bool lies;       /* the budget is broken by what no peer may send */
    bool server;     /* the peer answers: its HEADERS open no streams, and come in any order */
    uint8_t have;    /* of head */
    uint8_t head[9];
    const char *why; /* NULL: within the budget */
};

void h2_budget_init(struct h2_budget *b, uint64_t now_us);
/* The same for a peer that is a server. */
void h2_budget_init_server(struct h2_budget *b, uint64_t now_us);
/* Look at IN, the next bytes of the connection (its preface is part of them). How many of them
 * may be handed to the session: fewer than all when the budget is broken, then `why` is set. */
size_t h2_budget_look(struct h2_budget *b, struct str in, uint64_t now_us) MUST_CHECK;
/* The number of the header block that is incomplete; 0: none is. */
uint32_t h2_budget_in_block(const struct h2_budget *b);
/* A stream ended by a reset of ours. False: that was one too many. */
bool h2_budget_reset(struct h2_budget *b);
void h2_budget_done(struct h2_budget *b); /* an exchange was completed */
void h2_budget_sent(struct h2_budget *b); /* a frame of data went out: it will be credited */
