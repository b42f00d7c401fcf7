/*
 * fetch.h - HTTP requests of the controller, and its e-mail, by libcurl on the loop.
 *
 * A fetch calls back exactly once, on a later turn, unless it is cancelled. http and https
 * only, or smtp and smtps for mail; no redirects, no proxy from the environment, no cookies;
 * connections are kept and reused.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"
#include "proxy/event/loop.h"

struct tls_upstream_spec;
struct fetcher; /* one a process: connections and the multi handle */
struct fetch;   /* one request under way; owned by the fetcher */

struct fetcher *fetcher_new(struct loop *l);
void fetcher_free(struct fetcher *f); /* what is under way is cancelled */

struct fetch_mail {              /* RFC 5321; what is sent is the body of the options */
    const char *from;            /* "sluice@shop.example" */
    const char *const *to;       /* NULL-terminated */
    const char *user, *password; /* both or neither */
    bool secure;                 /* smtp: no TLS, no mail; else TLS where the server has it */
};

struct fetch_options {          /* all of it is copied */
    const char *method;         /* NULL: GET */
    const char *url;            /* "http://127.0.0.1:9001/up" */
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    struct str body;            /* sent when .p is not NULL */
    uint64_t timeout_ms;        /* for all of it; 0: 10 s */
    size_t body_max;            /* bytes kept of the answer; the rest is not waited for */
    size_t headers_max;         /* bytes kept of its fields; more are left out */
    const char *socket;  /* connect to this UNIX socket, whatever the URL says; or NULL */
    const char *address; /* "HOST:PORT": connect there, whatever the URL says; or NULL */
    bool http2;          /* by ALPN for https, by prior knowledge for http; else HTTP/1.1 */
    bool proxy_header;   /* begin the connection with a PROXY header, version 1 */
    bool connect_only;   /* no request: status 0 and no error when it connected */
    const struct tls_upstream_spec
        *tls;                      /* https: how it is spoken and whom to trust, or NULL */
    bool fresh;                    /* a new connection, closed afterwards: for health checks */
    const struct fetch_mail *mail; /* the URL is a mail server's */
};

struct fetch_result {
    int status;         /* 200; 0: no answer, or none was asked for; of mail 250, or why not */
    const char *error;  /* NULL: as asked; else why not: "Connection refused" */
    struct str headers; /* lines "Name: value" CR LF of the final head and the trailers; as
                           body */
    struct str body;    /* valid during the callback */
    bool truncated;     /* there was more than body_max */
    uint64_t took_ms;
};
typedef void fetch_cb(void *arg, const struct fetch_result *r);

/* Never NULL; a bad URL is an error in the result. The handle is gone once CB was called. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_options *o, fetch_cb *cb,
                          void *arg);
void fetch_cancel(struct fetch *f); /* CB is not called; NULL is a no-op */
