/*
 * upconn2.h - HTTP/2 connections to an endpoint, shared by exchanges (lanes).
 *
 * A lane is in exactly one list: of a connection that has room for it, or of those that wait at
 * the endpoint for one. What a connection cannot take goes to another, opened when the present
 * ones are full, up to UPCONN2_MOST. A connection leaves when the server says so, when it is
 * old or has carried enough, when it was idle for long, or when the endpoint is no longer
 * named; exchanges on it are completed first.
 */
#pragma once
#include "proxy/http/h2_client.h"
#include "proxy/upstream/upconn.h"

#define UPCONN2_MOST     32 /* connections that take lanes, each endpoint and worker */
#define UPCONN2_AGE_US   600000000ull /* then no more exchanges are put on it */
#define UPCONN2_CARRIES  100000       /* exchanges, one after the other */
#define UPCONN2_QUIET_MS 15000        /* without a byte from the server: PING */
#define UPCONN2_PONG_MS  10000        /* without an answer to that: it is dead */
#define UPCONN2_HIGH     131072       /* queued bytes above which no frames are made */

struct lane;
struct upconn2 { /* owned by its endpoint, from opening to closing */
    uint32_t magic;
    LIST_ENTRY(upconn2) link;
    struct endpoint *ep;
    struct io io;
    struct h2_client *session;
    struct lane_list lanes; /* on it */
    struct deadline idle, quiet;
    struct post turn;
    struct grave grave;
    uint64_t opened_us, tls_epoch;
    uint64_t heard;   /* reads so far: a lane sees whether anything came since it began */
    uint32_t busy;    /* lanes */
    uint32_t carried; /* lanes so far */
    bool settled;     /* the server's settings came: lanes may go on it */
    bool leaving;     /* no more lanes */
    bool retired;     /* and it does not count as one that takes some */
    bool pinged;
    bool closed;
};

/* Open one to EP, counted by the breaker already. NULL: errno, nothing follows. */
struct upconn2 *upconn2_open(struct endpoint *ep) MUST_CHECK;
/* It has room for one more. */
bool upconn2_has_room(const struct upconn2 *u);
/* May a lane be made: is there room, or will there be? Else a connection is needed. */
bool upconn2_admits(struct endpoint *ep);
/* Lanes that wait are looked after when the turn is over. */
void upconn2_stir_waiting(struct endpoint *ep);
/* A lane came, has something to do, or went: look after U when the turn is over. */
void upconn2_stir(struct upconn2 *u);
/* L is on it from now on; no longer. */
void upconn2_attach(struct upconn2 *u, struct lane *l);
void upconn2_detach(struct upconn2 *u, struct lane *l);
/* From the session: settings came; the server takes no more requests. */
void upconn2_settled(struct upconn2 *u);
void upconn2_leaving(struct upconn2 *u);
/* Close one without lanes. False: there is none. */
bool upconn2_evict(struct endpoint *ep);
/* Nobody waits at EP any more: close those whose settings have not come. */
void upconn2_abandon(struct endpoint *ep);
