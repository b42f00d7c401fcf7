/*
 * h2_client.h - HTTP/2, the client's side: bytes in, bytes out, events to a table of functions.
 *
 * The counterpart of h2_session.h with the same rules: no socket and no clock, nothing is sent
 * or received from within an event, windows of streams are given back through
 * h2_client_consume alone, that of the connection at once.
 *
 * An exchange is the owner's; the session knows it from h2_client_request until it is closed or
 * left, whichever comes first. What is wrong with one answer ends that stream alone; what is
 * wrong with the connection ends the session (h2_client_over).
 */
#pragma once
#include "proxy/http/h2_map.h"
#include "proxy/http/h2_piece.h"

#define H2_CLIENT_STREAMS 100    /* at once on a connection, if the server takes so many */
#define H2_CLIENT_WINDOW  262144 /* bytes of one answer that may be on their way */

struct h2_exchange { /* embedded in its owner, zeroed at first */
    int32_t id;      /* 0: the session does not know it */
    enum method asked;
    bool answered; /* the final head came */
    bool bad;      /* refused for what it is */
};

enum h2_close {
    H2_CLOSE_DONE,     /* both messages are complete */
    H2_CLOSE_RESET,    /* the server, or the session, broke it off */
    H2_CLOSE_BAD,      /* the answer is malformed */
    H2_CLOSE_UNTOUCHED /* the server did not process it (RFC 9113 8.7): it may be repeated */
};

struct h2_client_events {
    /* A head of the answer, interim ones first: take it with h2_fields_response. LAST: nothing
     * comes after it. False, here and below: it is malformed, end it. */
    bool (*head)(void *self, struct h2_exchange *x, struct h2_fields *f, bool last);
    bool (*data)(void *self, struct h2_exchange *x, struct str bytes);
    void (*end)(void *self, struct h2_exchange *x, struct str trailers); /* lines, or empty */
    struct h2_piece (*pull)(void *self, struct h2_exchange *x, char *to, size_t cap);
    void (*closed)(void *self, struct h2_exchange *x, enum h2_close how);
    void (*settled)(void *self); /* settings came: h2_client_room may have changed */
    void (*leaving)(void *self); /* GOAWAY came: no more requests on this connection */
    void (*pong)(void *self);
};

struct h2_client;
struct h2_client *h2_client_new(const struct h2_client_events *ev, void *self,
                                struct blocks *blocks, bool secure, uint64_t now_us);
void h2_client_free(struct h2_client *s); /* not from an event; no event follows */

/* As h2_session_recv and h2_session_send. */
void h2_client_recv(struct h2_client *s, struct str in, uint64_t now_us);
struct str h2_client_send(struct h2_client *s);
/* Nothing more will be read, and all has been sent. */
bool h2_client_over(const struct h2_client *s);
/* Requests that may be under way at once; 0 until the server's settings came. */
uint32_t h2_client_room(const struct h2_client *s);

/* Send the request whose head is TEXT, an HTTP/1.1 head with its empty line, as X. LAST: it has
 * no body. False: no stream can be opened any more. */
bool h2_client_request(struct h2_client *s, struct h2_exchange *x, struct str text,
                       bool last) MUST_CHECK;
void h2_client_more(struct h2_client *s, struct h2_exchange *x); /* pull gives again */
void h2_client_consume(struct h2_client *s, struct h2_exchange *x, size_t n);
/* The owner of X forgets it: no event follows, and what is not complete is cancelled. */
void h2_client_leave(struct h2_client *s, struct h2_exchange *x);
void h2_client_ping(struct h2_client *s);
void h2_client_goaway(struct h2_client *s); /* with all exchanges left: the end of it */
