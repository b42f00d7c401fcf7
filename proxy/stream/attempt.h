/*
 * attempt.h - one try to have a request answered by one endpoint.
 *
 * A retry is a new attempt. An attempt owns the upstream connection it has on loan and gives it
 * back, or destroys it, when it ends.
 */
#pragma once
#include "proxy/stream/stream.h"

struct attempt { /* owned by its stream */
    uint32_t magic;
    LIST_ENTRY(attempt) link; /* of the stream's */
    struct stream *stream;
    struct plane *plane;
    struct upconn *conn;
    struct endpoint *endpoint;
    struct stats_endpoint *stats; /* NULL: not counted */
    struct deadline deadline;     /* connect, first byte or idle */
    enum ending on_deadline;
    struct deadline patience; /* retry.per_try_timeout */
    struct grave grave;
    uint64_t forwarded_us;  /* connected, and the request on its way */
    uint32_t waiting_bytes; /* unsent when the deadline was started: to see progress */
    bool answered;          /* the final head came */
    bool hedge;             /* begun beside another one */
    struct head resp;
};

enum attempt_begin {
    ATTEMPT_UNDER_WAY,
    ATTEMPT_FAILED, /* connecting failed at once */
    ATTEMPT_FULL    /* no idle connection, and no more may be opened now: there is no attempt */
};
/* Try TARGET with what the stream has so far. */
enum attempt_begin attempt_start(struct stream *s, const struct target *t) MUST_CHECK;
bool attempt_body_kept(struct attempt *a, struct str bytes);
bool attempt_body(struct attempt *a, struct block *b);
void attempt_body_end(struct attempt *a);
/* The whole exchange took too long: count that against the endpoint. */
void attempt_expired(struct attempt *a);
/* The request is not complete, and what there is of it has gone on: whatever takes long now is
 * the client's doing. */
bool attempt_awaits_client(const struct attempt *a);
void attempt_resume(struct attempt *a); /* more of the answer, please */
/* Is it the only one of its stream? */
bool attempt_alone(const struct attempt *a);
/* Another one was faster: end it. */
void attempt_lose(struct attempt *a);
/* End it; its connection goes back to the pool if both messages are complete. */
void attempt_finish(struct attempt *a);
