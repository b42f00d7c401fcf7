/*
 * h2_session.h - HTTP/2, the server's side: bytes in, bytes out, events to a table of
 * functions.
 *
 * The only room of nghttp2. No socket and no clock: the owner hands in what it received, asks
 * for what is to be sent when its turn is over, and never does either from an event. Inside an
 * event it may answer, reset and consume.
 *
 * Flow control: the peer may send as much on a stream as its window, and gets it back through
 * h2_session_consume alone; the window of the connection is given back at once, so that a
 * stream that nobody reads does not stall the others. Memory is bounded by windows times
 * streams.
 */
#pragma once
#include "proxy/http/codec.h"
#include "proxy/http/h2_map.h"
#include "proxy/http/h2_piece.h"

#define H2_PREFACE STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

enum h2_code { /* RFC 9113 7 */
               H2_NO_ERROR = 0,
               H2_PROTOCOL_ERROR = 1,
               H2_INTERNAL_ERROR = 2,
               H2_REFUSED = 7,
               H2_CANCEL = 8,
               H2_CALM = 11
};

struct h2_events {
    /* A request's head: take it with h2_fields_request. The stream is known as what this
     * returns. LAST: nothing comes after it. */
    void *(*head)(void *self, int32_t id, struct h2_fields *f, bool last);
    void (*data)(void *self, void *stream, struct str bytes);
    void (*end)(void *self, void *stream, struct str trailers); /* good lines, or empty */
    /* Copy at most CAP bytes of the answer; none and not last: h2_session_more comes later. */
    struct h2_piece (*pull)(void *self, void *stream, char *to, size_t cap);
    /* The answer is out before the request is in: is the rest of that wanted? */
    bool (*wants)(void *self, void *stream);
    /* The stream is no more, by both ends or by a reset. */
    void (*closed)(void *self, void *stream);
    void (*violation)(void *self); /* a frame or field was refused inside */
    void (*pong)(void *self);      /* the PING of h2_session_warn came back */
};

struct h2_session;
/* What it holds besides BLOCKS is kept in *MEMORY, in bytes. STREAMS: how many the peer may
 * have open at once. */
struct h2_session *h2_session_new(const struct h2_events *ev, void *self, struct blocks *blocks,
                                  size_t *memory, uint32_t streams, uint64_t now_us);
void h2_session_free(struct h2_session *s); /* not from an event; no event follows */

/* Bytes that came. What is wrong with them ends the session by GOAWAY: see h2_session_over. */
void h2_session_recv(struct h2_session *s, struct str in, uint64_t now_us);
/* The next bytes to be sent, valid until the next call; empty: there are none. */
struct str h2_session_send(struct h2_session *s);
/* Nothing more will be read, and all has been sent. */
bool h2_session_over(const struct h2_session *s);
/* The number of the header block that is incomplete; 0: none is. */
uint32_t h2_session_in_head(const struct h2_session *s);

/* Head M of the answer to ID. An interim one may be followed by others; 101 opens a tunnel and
 * is told as 200 (RFC 8441 5). */
void h2_session_head(struct h2_session *s, int32_t id, const struct message *m);
void h2_session_more(struct h2_session *s, int32_t id); /* pull has something to give again */
void h2_session_consume(struct h2_session *s, int32_t id, size_t n);
void h2_session_reset(struct h2_session *s, int32_t id, enum h2_code code);
void h2_session_ping(struct h2_session *s); /* to be answered by whoever is there */
/* Say that the end is near, with a PING behind it; then that no later stream is answered. */
void h2_session_warn(struct h2_session *s);
void h2_session_goaway(struct h2_session *s, enum h2_code code);
