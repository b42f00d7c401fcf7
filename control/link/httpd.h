/*
 * httpd.h - a small HTTP/1.1 server for the control API, on sockets that others opened.
 *
 * Hands whole requests (head and body within limits) to one handler. A request is answered
 * *exactly once*, now or on a later turn, by httpd_reply or by httpd_start ... httpd_end, and
 * stays valid until then, also when the client has left: the answer then goes nowhere. All
 * callbacks come from the loop, never from inside a call made here.
 *
 * Mistakes that end before the handler sees anything (bad syntax 400, Host 421, slow client
 * 408, body 413, head 431, too many connections 503) are answered here as problem+json.
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"
#include "proxy/event/loop.h"

#include <sys/types.h>

#define HTTPD_HEAD_MAX        (16u << 10)  /* bytes of request line and header section: 431 */
#define HTTPD_BODY_MAX        (1u << 20)   /* bytes: 413 */
#define HTTPD_CONNECTIONS_MAX 256          /* open at once; one more gets 503 */
#define HTTPD_READ_MS         10000        /* from a request's first byte to its last: 408 */
#define HTTPD_IDLE_MS         60000        /* between requests: closed */
#define HTTPD_WRITE_MS        10000        /* without progress of a write: closed */
#define HTTPD_BACKLOG_MAX     (256u << 10) /* unsent bytes of a stream: the client is dropped */

struct httpd;
struct httpd_request;

struct httpd_peer {
    bool unix_socket;
    pid_t pid; /* SO_PEERCRED; 0 over TCP */
    uid_t uid; /* (uid_t)-1 over TCP */
    gid_t gid;
    char address[64]; /* "127.0.0.1:4711", "[::1]:4711"; "unix" */
};

typedef void httpd_handler(void *arg, struct httpd_request *req);

struct httpd *httpd_new(struct loop *l, httpd_handler *cb, void *arg);
/* Closes listeners and connections. Requests that are not answered yet become invalid. */
void httpd_free(struct httpd *h);
/*
 * Serve on FD, a listening socket (UNIX or TCP), taken over and made non-blocking. TAG comes
 * back as httpd_tag. On TCP only loopback names are taken as Host (DNS rebinding). 0, or -1 and
 * errno; FD stays the caller's then.
 */
MUST_CHECK int httpd_listen(struct httpd *h, int fd, int tag);
/* Stop accepting; what is open is served to its end. */
void httpd_stop_listening(struct httpd *h);
size_t httpd_connections(const struct httpd *h);

/* --- the request: all text is NUL-terminated behind .n and valid until it is answered --- */
struct str httpd_method(const struct httpd_request *req); /* "GET", as sent; HEAD stays HEAD */
struct str httpd_path(const struct httpd_request *req);   /* as sent, without the query */
struct str httpd_query(const struct httpd_request *req); /* behind '?', as sent; may be empty */
struct str httpd_body(const struct httpd_request *req);
/* First field of that name (case does not matter), or STR_NONE (.p == NULL). */
struct str httpd_header(const struct httpd_request *req, const char *name);
const struct httpd_peer *httpd_peer(const struct httpd_request *req);
int httpd_tag(const struct httpd_request *req);
/* Memory that lives as long as the request. */
struct arena *httpd_arena(struct httpd_request *req);

/*
 * Percent-decode S into A, NUL-terminated ('+' stays). STR_NONE: bad escape, or a NUL in it.
 * Value of NAME in a query string, decoded ('+' is a space): STR_NONE when absent or bad.
 */
struct str httpd_unescape(struct arena *a, struct str s);
struct str httpd_query_value(struct arena *a, struct str query, const char *name);

/* --- the answer --- */
/* A field of the answer's head; before httpd_reply or httpd_start. Values with CR or LF are a
 * bug. Content-Length, Date and Connection are added by themselves. */
void httpd_set_header(struct httpd_request *req, const char *name, const char *value);
/* The answer, and the end of REQ. TYPE may be NULL (no body then). For HEAD the body is
 * measured and left out. BODY is copied. Also ends a stream whose client is gone. */
void httpd_reply(struct httpd_request *req, int status, const char *type, struct str body);

/* An answer that comes in pieces. Not for HEAD: httpd_start sends the head and httpd_send drops
 * what it gets. */
void httpd_start(struct httpd_request *req, int status, const char *type);
/* False: the client is gone or so slow that it was dropped; the gone callback follows. */
bool httpd_send(struct httpd_request *req, struct str data);
void httpd_end(struct httpd_request *req); /* the end of REQ */

/* CB is told (once, from the loop) when the client leaves before the answer has ended. REQ is
 * still to be answered, from CB or later. NULL: nobody is told. */
void httpd_on_gone(struct httpd_request *req, loop_cb *cb, void *arg);
bool httpd_gone(const struct httpd_request *req);
