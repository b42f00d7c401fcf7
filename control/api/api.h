/*
 * api.h - the control API: from a request on a socket to a handler, and the answer back.
 *
 * One table (routes.c) says which handler answers which method and path; one file a resource
 * (api_*.c) holds the handlers. Before a handler runs, the body has been read whole (1 MiB),
 * checked for its type, parsed and measured (depth 32), the path's parameters are decoded and
 * the caller is known. A handler answers *exactly once*, now or on a later turn: the request
 * stays valid until it does, also when the client has left (the answer then goes nowhere).
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#include <jansson.h>

struct api;
struct engine;
struct loop;

#define API_BODY_MAX  (1u << 20) /* bytes */
#define API_DEPTH_MAX 32
#define API_WAIT_MAX  60000 /* ms that a long poll may take */

struct api_request;
typedef void api_handler(struct api_request *req);

/* Flags of a route. */
enum {
    API_BODY = 1,      /* takes a JSON object; it is required: 400 without */
    API_BODY_MAY = 2,  /* takes a JSON object or nothing */
    API_TELEMETRY = 4, /* also on the telemetry address */
    API_MUTATES = 8,   /* changes something: audited, ?dry_run=1, Idempotency-Key */
    API_BODY_OWN = 16, /* the handler reads the text itself: api_text() */
};

/*
 * PATH is made of segments; "{name}" takes a whole segment, "{name}:verb" one that ends in
 * ":verb". Rows are tried in order, so a verb stands before the bare parameter.
 */
struct api_route {
    const char *method, *path;
    api_handler *handler;
    unsigned flags;
};

/* Both are borrowed. */
struct api *api_new(struct loop *l, struct engine *e);
/* Before the engine: open requests are dropped, those with a gone callback are told. */
void api_free(struct api *a);
/* Serve on FD (listening, now owned). TELEMETRY: only the routes marked so. 0, or -1: errno. */
int api_listen(struct api *a, int fd, bool telemetry) MUST_CHECK;

/* --- what a handler may ask --- */
struct engine *api_engine(const struct api_request *req);
/* Zeroed memory that lives as long as the request: for what waits with it. */
void *api_alloc(struct api_request *req, size_t n);
struct loop *api_loop(const struct api_request *req);
/* Decoded parameter of the path; never NULL for a name in the route's pattern. */
const char *api_param(const struct api_request *req, const char *name);
/* Decoded value of the query, NULL when absent, "" for "?x". Valid until the answer. */
const char *api_query(const struct api_request *req, const char *name);
bool api_query_flag(const struct api_request *req, const char *name); /* present and not 0 */
/* A header field of the request, or NULL. */
const char *api_header(const struct api_request *req, const char *name);
/* True when Accept prefers TYPE ("text/event-stream") by naming it. */
bool api_accepts(const struct api_request *req, const char *type);
/* The parsed body, borrowed; NULL when there is none (API_BODY_MAY). An object otherwise.
 * A member "reason" of a POST's body has been taken out: it is api_reason(). */
json_t *api_body(const struct api_request *req);
/* The body as it came; or empty. Valid until the answer. */
struct str api_text(const struct api_request *req);
/* Who: "uid 1000 (ann)" from SO_PEERCRED, "127.0.0.1" over TCP. */
const char *api_actor(const struct api_request *req);
/* Why: ?reason=, or a POST's "reason"; "" when not said. */
const char *api_reason(const struct api_request *req);
bool api_dry_run(const struct api_request *req);

/*
 * Integer or duration in the query ("30s"). True when it is absent (OUT keeps its value) or
 * good. False: a 400 has been sent; the handler returns.
 */
bool api_query_u64(struct api_request *req, const char *name, uint64_t max, uint64_t *out);
bool api_query_ms(struct api_request *req, const char *name, uint64_t max, uint64_t *out);
/*
 * Are all members of OBJ among the NULL-terminated NAMES? False: a 400 with a pointer (AT is
 * the pointer of OBJ, "" for the body) and a did-you-mean has been sent.
 */
bool api_fields(struct api_request *req, const json_t *obj, const char *at,
                const char *const names[]);

/* --- answers: each of these ends the request, which is gone when they return --- */
/* BODY is stolen. */
void api_reply(struct api_request *req, int status, json_t *body);
/* application/problem+json; CODE is stable ("not_found"), POINTER may be NULL. */
void api_problem(struct api_request *req, int status, const char *code, const char *pointer,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);
/* As api_problem with MORE's members beside the standard ones; MORE is stolen. */
void api_problem_more(struct api_request *req, int status, const char *code, json_t *more,
                      const char *fmt, ...) PRINTF_LIKE(5, 6);
void api_reply_raw(struct api_request *req, int status, const char *type, struct str body);
void api_reply_empty(struct api_request *req, int status); /* 204 */

/* Before the answer: a field of its head. */
void api_set_header(struct api_request *req, const char *name, const char *value);

/* --- answers that come in pieces (SSE) --- */
void api_stream_start(struct api_request *req, int status, const char *type);
void api_stream_write(struct api_request *req, struct str data);
void api_stream_end(struct api_request *req); /* ends the request */

/*
 * Tell GONE when the client leaves before the answer; for long polls and streams, which would
 * wait for nothing. GONE must end the request (any answer will do) or note to do it later.
 */
void api_on_gone(struct api_request *req, void (*gone)(void *arg), void *arg);
