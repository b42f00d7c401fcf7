/*
 * stream.h - one exchange: a request, the attempts to have it answered, the answer.
 *
 * Protocol-neutral: the connection below speaks through codec_ops and calls the functions here.
 * The request's body goes up and the answer comes down independently, each a half with a
 * state of its own, so early answers and 100 (Continue) are edges and not special cases.
 */
#pragma once
#include "proxy/http/codec.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parse.h"
#include "proxy/route/sticky.h"
#include "proxy/stream/ending.h"
#include "proxy/stream/plane_state.h"
#include "proxy/stream/rpc.h"

struct attempt;
struct mirror;
struct ofrep_call;
struct stream;

#define STREAM_STATES(X)                                                                       \
    X(READ, "reading the request head")                                                        \
    X(ROUTE, "choosing a service, a version and an endpoint")                                  \
    X(QUEUE, "waiting for a connection to the version")                                        \
    X(PAUSE, "between two tries")                                                              \
    X(WAIT, "an attempt is under way, nothing is answered yet")                                \
    X(ANSWER, "the answer is going down")                                                      \
    X(DONE, "over; freed when the turn is")
enum stream_state {
#define X(s, text) STREAM_##s,
    STREAM_STATES(X)
#undef X
        STREAM_NSTATES
};

enum half { HALF_IDLE, HALF_OPEN, HALF_ENDED, HALF_ABORTED };

#define STREAM_MAGIC   0x7374726du
#define REQUEST_ID_MAX 128
#define STREAM_ROOM    3072 /* of the arena, inside the stream */

/* The connection to the client, as the stream sees it. */
struct downstream {
    const struct codec_ops *ops;
    /* The stream is over and forgets the connection. */
    void (*over)(void *self, struct stream *s);
    void *self;
    const struct listener *listener; /* NULL: nobody is trusted */
    int fd;                          /* borrowed: to ask for its addresses */
    const struct io_tls_facts *tls;  /* NULL: plain */
    bool http2;
};

struct stream { /* owned by its conn, from stream_new to stream_finish */
    uint32_t magic;
    enum stream_state state;
    enum half up, down; /* the request's body, the answer */
    enum ending why;
    struct plane *plane;
    struct downstream to;
    struct str peer;   /* address of the connection's other end, as text; the conn's */
    struct str client; /* the same, or what a trusted peer said of it */
    struct tables *tables;
    const struct conf_route *route; /* NULL until routed; the tables' */
    struct service_row *service;    /* NULL until routed */
    struct version_row *version;    /* NULL until chosen */
    LIST_HEAD(, attempt) attempts;  /* more than one: they race (hedge.h) */
    struct attempt *attempt;        /* of them, the oldest, and once there is an answer, its */
    struct mirror *mirror;          /* a copy that waits for the body; NULL: none */
    struct ofrep_call *call;        /* it is for flags and goes nowhere; NULL: it is not */
    struct deadline expect;
    struct deadline delay; /* of a fault; in QUEUE, of waiting; in WAIT, until a hedge */
    struct deadline total; /* of the whole exchange */
    struct rpc rpc;        /* if it is a gRPC call */
    struct waiter waiter;
    struct grave grave;

    uint64_t wall_ms;
    uint64_t entered_us[STREAM_NSTATES];
    uint64_t upstream_us;         /* last attempt: request forwarded to answer's head */
    uint64_t max_body;            /* of the request, in bytes */
    uint64_t bytes_in, bytes_out; /* of bodies */
    int status;                   /* of the final answer; 0: none yet */
    unsigned tries;               /* attempts so far */
    unsigned extra_tries; /* of them, those that do not count: after dead pooled connections,
                             hedges */
    unsigned hedges;
    bool overridden;
    bool trusted;        /* the peer may say who it speaks for */
    bool hold;           /* the body waits for 100 (Continue) */
    bool replayable;     /* all of the request so far is in memory */
    bool fresh;          /* the next attempt takes no pooled connection */
    bool paused;         /* held back by a fault or in QUEUE, PAUSE: so is its body */
    bool entered;        /* counts as under way on its route */
    bool minted;         /* send the sticky cookie */
    uint64_t lb_key;     /* hash of who asks; ring_hash only */
    uint64_t client_key; /* hash of the split's key, for the judge; 0: none, or nobody asks */
    bool warming;        /* the answer came of an endpoint in its warm-up */
    bool tunnel;         /* the answer was 101: bytes go both ways until one ends */
    bool hedging;        /* the attempt that begins now is one beside another */
    bool retrying;       /* counts as a retry under way */
    const struct endpoint *tried[CONF_RETRY_ATTEMPTS]; /* compared only */
    struct timer *pause;      /* the arena's; NULL: there never was one */
    struct str endpoint_name; /* of the last attempt; the snapshot's */
    struct str kept;          /* what of the body is in memory, from its beginning */
    struct str trailers;      /* of the request: lines, or empty */
    struct str request_id, trace_id;
    struct str host;         /* lower case, without port */
    struct str path;         /* normalised, without query */
    struct str limit_fields; /* about the rate limit, for the answer */
    struct str forward_path; /* path and query to send on; empty: as they came */
    struct str flag_lines;   /* X-Flag-* for the upstream */
    struct str websocket;    /* our key, for a client that has none; or empty */
    char key[STICKY_KEY];
    struct arena arena;
    struct h1_parser parser; /* of the request; here because idle connections have no stream */
    struct h1_body body;
    struct head req;
    char room[STREAM_ROOM];
};

struct stream *stream_new(struct plane *p, struct downstream to, struct str peer);

/* The head is in s->req: route it and send it on. */
void stream_start(struct stream *s);
/* A request that admit_start held back goes on. */
void stream_proceed(struct stream *s);
/* One that waited for a connection, or between tries, looks for a connection again. */
void stream_try(struct stream *s);
/* What its route needs at hand; only once it is routed. */
const struct route_row *stream_route_row(const struct stream *s);
/* "HTTP/1.1", as the access log says it; "1.1" and so on from its sixth byte. */
struct str stream_protocol(const struct stream *s);
/* More of the request's body. BYTES stay where they are as long as s->replayable; the other
 * takes the block over. False: enough for now, wait for ops->resume. */
bool stream_body_kept(struct stream *s, struct str bytes);
bool stream_body(struct stream *s, struct block *b);
void stream_body_end(struct stream *s, struct str trailers); /* lines; stay where they are */
/* The body is not held back for 100 (Continue) any longer. */
void stream_release_body(struct stream *s);
/* The kept bytes moved or go away: no more attempts. */
void stream_forget_body(struct stream *s);
/* The client can take more of the answer. */
void stream_resume(struct stream *s);

/* Answer for WHY if nothing was answered yet (STATUS 0: the usual one; WHAT: more text, may be
 * empty), then end. The only way to end an exchange with an error. */
void stream_fail(struct stream *s, enum ending why, int status, struct str what);
/* Give an answer of our own: EXTRA are good field lines, BODY is copied. */
void stream_reply(struct stream *s, enum ending why, int status, struct str extra,
                  struct str body);
/* The head of such an answer; stream_answer_data and stream_answer_end are to follow. */
void stream_open_answer(struct stream *s, int status, struct str extra);
/* The only ending: logs, counts, releases. Idempotent. */
void stream_finish(struct stream *s, enum ending why);

/* For attempt.c: the answer as it comes, and the end of an attempt without one. */
void stream_interim(struct stream *s, const struct message *m);
void stream_answer(struct stream *s, const struct message *m);
/* STATUS came from the upstream: true if another attempt was made instead of passing it on. */
bool stream_retry_status(struct stream *s, int status) MUST_CHECK;
bool stream_answer_data(struct stream *s, struct block *b);
void stream_answer_end(struct stream *s, struct str trailers);
/* WHY; NOTHING_SENT: no byte of it can have reached the upstream; STALE: a pooled connection
 * was dead. Takes another attempt if that is safe, else fails the stream. */
void stream_attempt_failed(struct attempt *a, enum ending why, bool nothing_sent, bool stale);
