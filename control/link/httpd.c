/*
 * httpd.c - connections of the control API: accept, read a request, hand it over, write.
 *
 * A connection reads one request at a time. While that one is answered the socket is still
 * watched, so that a client who leaves is noticed. Answers are queued and written at the end of
 * the turn; nothing here calls out except the handler (on_input) and the posted gone callback.
 */
#include "control/link/httpd.h"

#include "control/link/buffer.h"
#include "control/link/httpd_text.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/status.h"
#include "proxy/http/uri.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONN_MAGIC    0x48434f4eu /* HCON */
#define REQUEST_MAGIC 0x48524551u /* HREQ */
#define READ_CHUNK    16384u
#define ACCEPT_BURST  16         /* connections taken in one turn */
#define ACCEPT_PAUSE  100        /* ms, after running out of descriptors */
#define LINGER_MS     1000       /* for what a refused client still sends */
#define LINGER_MAX    (4u << 20) /* bytes of it */

enum conn_state {
    CONN_IDLE,     /* no byte of the next request is here; deadline: idle */
    CONN_READ,     /* head or body is coming in; deadline: read */
    CONN_HANDLED,  /* the handler has the request; deadline: write, while a stream is behind */
    CONN_ANSWERED, /* the answer is complete and being written; deadline: write */
    CONN_LINGER, /* our side is shut; swallows what a refused client sends; deadline: linger */
    CONN_CLOSED  /* waits for its burial */
};

struct conn { /* owned by httpd */
    uint32_t magic;
    struct httpd *httpd;
    enum conn_state state;
    int fd, tag;
    struct watch readable, writable;
    bool reading, writing; /* which of the two are started */
    struct timer deadline;
    struct buffer in, out;
    struct h1_parser parser; /* of the head that is coming in */
    struct head head;
    struct httpd_request *req; /* owned while CONN_READ, then by the handler */
    bool close_after;          /* the answer under way is the last one */
    bool refused;              /* closed with input unread: linger */
    size_t swallowed;
    struct httpd_peer peer;
    struct post advance;
    struct grave grave;
    TAILQ_ENTRY(conn) link;
};

struct httpd_request { /* owned by conn until the handler is called, then by its answer */
    uint32_t magic;
    struct httpd *httpd;
    struct conn *conn; /* NULL: the client is gone */
    struct head head;  /* of a copy of the bytes, with NULs behind what is handed out */
    struct str path, query;
    struct h1_body framing;
    struct arena arena;
    struct buffer body;   /* of the request */
    struct buffer fields; /* of the answer's head */
    struct httpd_peer peer;
    int tag;
    bool handed, started;
    loop_cb *gone;
    void *gone_arg;
    struct post gone_post;
    TAILQ_ENTRY(httpd_request) link;
};

struct listener { /* owned by httpd */
    struct httpd *httpd;
    int fd, tag;
    bool unix_socket;
    struct watch watch;
    struct timer pause;
    TAILQ_ENTRY(listener) link;
};

struct httpd {
    struct loop *loop;
    httpd_handler *cb;
    void *arg;
    size_t nconns;
    TAILQ_HEAD(, listener) listeners;
    TAILQ_HEAD(, conn) conns;
    TAILQ_HEAD(, httpd_request) requests;
};

/* --- the end of things --- */

static void request_free(struct httpd_request *req)
{
    loop_unpost(req->httpd->loop, &req->gone_post);
    TAILQ_REMOVE(&req->httpd->requests, req, link);
    arena_release(&req->arena);
    buffer_release(&req->body);
    buffer_release(&req->fields);
    req->magic = 0;
    xfree(req);
}

static void tell_gone(void *arg)
{
    struct httpd_request *req = CAST(httpd_request, REQUEST_MAGIC, arg);

    req->gone(req->gone_arg);
}

static void conn_free(void *arg)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);

    buffer_release(&c->in);
    buffer_release(&c->out);
    c->magic = 0;
    xfree(c);
}

static void set_reading(struct conn *c, bool on);
static void set_writing(struct conn *c, bool on);

static void conn_close(struct conn *c)
{
    struct httpd_request *req = c->req;

    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    set_reading(c, false);
    set_writing(c, false);
    timer_stop(&c->deadline);
    loop_unpost(c->httpd->loop, &c->advance);
    sys_close(c->fd);
    c->fd = -1;
    TAILQ_REMOVE(&c->httpd->conns, c, link);
    c->httpd->nconns--;
    c->req = NULL;
    if (req && !req->handed) {
        request_free(req);
    } else if (req) {
        req->conn = NULL;
        if (req->gone)
            loop_post(c->httpd->loop, &req->gone_post, tell_gone, req);
    }
    loop_bury(c->httpd->loop, &c->grave, conn_free, c);
}

/* --- writing --- */

static const char *http_date(char buf[40], uint64_t wall_ms)
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(buf, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return buf;
}

/* Write what the socket takes. False: the connection was closed. */
static bool flush(struct conn *c)
{
    while (buffer_left(&c->out)) {
        ssize_t n = send(c->fd, c->out.p + c->out.at, buffer_left(&c->out), MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!timer_pending(&c->deadline))
                timer_start(&c->deadline, HTTPD_WRITE_MS);
            set_writing(c, true);
            return true;
        }
        if (n < 0) {
            conn_close(c);
            return false;
        }
        c->out.at += (size_t)n;
        if (c->state == CONN_HANDLED || c->state == CONN_ANSWERED)
            timer_stop(&c->deadline); /* progress */
    }
    set_writing(c, false);
    return true;
}

/* The head of an answer. LENGTH < 0: not known before. */
static void write_head(struct conn *c, int status, const char *type, long long length,
                       bool chunked, const struct buffer *fields)
{
    char date[40];

    buffer_printf(&c->out, "HTTP/1.1 %d %.*s\r\nServer: sluice\r\nDate: %s\r\n", status,
                  STR_ARG(status_reason(status)),
                  http_date(date, loop_wall_ms(c->httpd->loop)));
    if (type)
        buffer_printf(&c->out, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n", type);
    if (length >= 0 && status != 204 && status != 304)
        buffer_printf(&c->out, "Content-Length: %lld\r\n", length);
    if (chunked)
        buffer_add(&c->out, STR("Transfer-Encoding: chunked\r\n"));
    if (fields)
        buffer_add(&c->out, (struct str){fields->p, fields->n});
    if (c->close_after)
        buffer_add(&c->out, STR("Connection: close\r\n"));
    buffer_add(&c->out, STR("\r\n"));
}

static void advance(void *arg);

static void answered(struct conn *c)
{
    c->state = CONN_ANSWERED;
    loop_post(c->httpd->loop, &c->advance, advance, c);
}

/* An answer of our own, and the last one of this connection. */
static void refuse(struct conn *c, int status, const char *code, const char *why)
{
    static const char methods[] = "Allow: GET, HEAD, POST, PUT, DELETE\r\n";
    const struct buffer allow = {.p = (char *)(uintptr_t)methods, .n = sizeof(methods) - 1};
    char body[320];
    int n =
        snprintf(body, sizeof(body),
                 "{\"type\":\"about:blank\",\"title\":\"%.*s\",\"status\":%d,\"detail\":\"%s\","
                 "\"code\":\"%s\"}\n",
                 STR_ARG(status_reason(status)), status, why, code);

    c->close_after = c->refused = true;
    write_head(c, status, "application/problem+json", n, false, status == 405 ? &allow : NULL);
    buffer_add(&c->out, (struct str){body, (size_t)n});
    if (c->req)
        request_free(c->req);
    c->req = NULL;
    answered(c);
}

/* --- reading --- */

static struct httpd_request *request_new(struct conn *c)
{
    struct httpd_request *req = xcalloc(1, sizeof(*req));

    MAGIC_SET(req, REQUEST_MAGIC);
    req->httpd = c->httpd;
    req->conn = c;
    req->peer = c->peer;
    req->tag = c->tag;
    arena_init(&req->arena, NULL, 0);
    TAILQ_INSERT_TAIL(&c->httpd->requests, req, link);
    return req;
}

/* May this head go on? On TCP a web page must not reach us under a name of its own (DNS
 * rebinding) nor post forms at us from another site. */
static bool admit(struct conn *c, struct httpd_request *req)
{
    struct str site = httpd_header(req, "sec-fetch-site");
    bool reads = req->head.method == METHOD_GET || req->head.method == METHOD_HEAD;

    if (c->peer.unix_socket)
        return true;
    if (!httpd_is_loopback(head_authority(&req->head))) {
        refuse(c, 421, "host", "this Host is not served here");
        return false;
    }
    if (!reads && (str_eq(site, STR("cross-site")) || str_eq(site, STR("same-site")))) {
        refuse(c, 403, "cross_site", "requests from other sites may not change anything");
        return false;
    }
    return true;
}

/* S lies in the request's own copy of the head: put a NUL behind it. */
static void terminate(struct str s)
{
    ((char *)(uintptr_t)s.p)[s.n] = '\0';
}

/* The head moves from the input to memory of the request. */
static void keep_head(struct conn *c, struct httpd_request *req)
{
    char *text = arena_alloc(&req->arena, c->head.size);
    const struct head *h = &req->head;

    memcpy(text, c->in.p + c->in.at, c->head.size);
    c->in.at += c->head.size;
    req->head = c->head;
    head_rebase(&req->head, text);
    uri_split(head_path(h), &req->path, &req->query);
    terminate(head_span(h, h->method_text));
    terminate(head_path(h));
    if (req->query.p)
        terminate(req->path);
    else
        req->query = STR("");
    if (req->path.n == 0)
        req->path = STR("/");
    for (size_t i = 0; i < h->nfields; i++)
        terminate(head_value(h, &h->fields[i]));
}

/* The bytes of a head, when it is whole. True: it is, and well-formed. */
static bool parse_head(struct conn *c)
{
    struct str in = buffer_str(&c->in);
    size_t n = in.n < HTTPD_HEAD_MAX ? in.n : HTTPD_HEAD_MAX;

    switch (h1_parse(&c->parser, &c->head, in.p, n)) {
    case H1_DONE:
        return true;
    case H1_BAD:
        refuse(c, c->parser.status, "syntax", c->parser.why);
        return false;
    case H1_MORE:
        if (n == HTTPD_HEAD_MAX)
            refuse(c, 431, "head_size", "the header section is larger than 16 KiB");
        return false;
    }
    return false;
}

/* The head, when it is whole. True: there is one now. */
static bool take_head(struct conn *c)
{
    struct httpd_request *req;

    if (!parse_head(c))
        return false;
    c->req = req = request_new(c);
    keep_head(c, req);
    if (!admit(c, req))
        return false;
    if (req->head.framing == FRAMING_LENGTH && req->head.length > HTTPD_BODY_MAX) {
        refuse(c, 413, "body_size", "the body is larger than 1 MiB");
        return false;
    }
    c->close_after = !req->head.keep_alive;
    h1_body_init(&req->framing, req->head.framing, req->head.length);
    if (req->head.expect && !h1_body_done(&req->framing) && !buffer_left(&c->in)) {
        buffer_add(&c->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
        return flush(c);
    }
    return true;
}

/* What is here of the body. True: it is whole. */
static bool take_body(struct conn *c)
{
    struct httpd_request *req = c->req;
    struct str in = buffer_str(&c->in), data;
    enum h1_body_event e;

    while ((e = h1_body_next(&req->framing, &in, &data)) == H1_BODY_DATA) {
        if (req->body.n + data.n > HTTPD_BODY_MAX) {
            refuse(c, 413, "body_size", "the body is larger than 1 MiB");
            return false;
        }
        buffer_add(&req->body, data);
    }
    c->in.at = c->in.n - in.n;
    if (e == H1_BODY_BAD)
        refuse(c, 400, "syntax", req->framing.why);
    return e == H1_BODY_END;
}

/* Make something of the input. Calls the handler, as the last thing. */
static void on_input(struct conn *c)
{
    struct httpd_request *req;

    if (c->state == CONN_IDLE && buffer_left(&c->in)) {
        c->state = CONN_READ;
        h1_parser_request(&c->parser);
        timer_start(&c->deadline, HTTPD_READ_MS);
    }
    if (c->state != CONN_READ || (!c->req && !take_head(c)) || !take_body(c))
        return;
    req = c->req;
    buffer_add(&req->body, (struct str){"", 1});
    req->body.n--;
    timer_stop(&c->deadline);
    c->state = CONN_HANDLED;
    req->handed = true;
    c->httpd->cb(c->httpd->arg, req);
}

static void swallow(struct conn *c)
{
    c->swallowed += buffer_left(&c->in);
    c->in.at = c->in.n;
    if (c->swallowed > LINGER_MAX)
        conn_close(c);
}

static void on_readable(void *arg, unsigned what)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);
    ssize_t n;

    (void)what;
    buffer_room(&c->in, READ_CHUNK);
    n = recv(c->fd, c->in.p + c->in.n, READ_CHUNK, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 0 && c->state == CONN_ANSWERED) { /* may still read what it asked for */
        c->close_after = true;
        set_reading(c, false);
        return;
    }
    if (n <= 0) {
        conn_close(c);
        return;
    }
    c->in.n += (size_t)n;
    if (c->state == CONN_LINGER)
        swallow(c);
    else if (c->state == CONN_HANDLED || c->state == CONN_ANSWERED)
        set_reading(c, buffer_left(&c->in) < HTTPD_HEAD_MAX); /* pipelined: later */
    else
        on_input(c);
}

static void finish_answer(struct conn *c)
{
    if (c->close_after && c->refused) {
        shutdown(c->fd, SHUT_WR);
        c->state = CONN_LINGER;
        c->in.at = c->in.n;
        set_reading(c, true);
        timer_start(&c->deadline, LINGER_MS);
    } else if (c->close_after) {
        conn_close(c);
    } else {
        c->state = CONN_IDLE;
        timer_start(&c->deadline, HTTPD_IDLE_MS);
        set_reading(c, true);
        buffer_release(&c->out);
        if (buffer_left(&c->in) == 0)
            buffer_release(&c->in);
        on_input(c);
    }
}

/* Posted when there is something to write or an answer was completed. */
static void advance(void *arg)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);

    if (flush(c) && c->state == CONN_ANSWERED && !buffer_left(&c->out))
        finish_answer(c);
}

static void on_writable(void *arg, unsigned what)
{
    (void)what;
    advance(arg);
}

static void on_deadline(void *arg)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);

    if (c->state == CONN_READ)
        refuse(c, 408, "slow", "the request did not arrive within 10 s");
    else
        conn_close(c);
}

static void set_reading(struct conn *c, bool on)
{
    if (on && !c->reading)
        watch_start(&c->readable, c->httpd->loop, c->fd, WATCH_READ, on_readable, c);
    else if (!on && c->reading)
        watch_stop(&c->readable);
    c->reading = on;
}

static void set_writing(struct conn *c, bool on)
{
    if (on && !c->writing)
        watch_start(&c->writable, c->httpd->loop, c->fd, WATCH_WRITE, on_writable, c);
    else if (!on && c->writing)
        watch_stop(&c->writable);
    c->writing = on;
}

/* --- accepting --- */

static void find_peer(struct conn *c, bool unix_socket)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct ucred cred = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t cred_len = sizeof(cred);
    char host[48], port[8];

    c->peer = (struct httpd_peer){
        .unix_socket = unix_socket, .uid = (uid_t)-1, .gid = (gid_t)-1, .address = "unix"};
    if (unix_socket) {
        if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0) {
            c->peer.pid = cred.pid;
            c->peer.uid = cred.uid;
            c->peer.gid = cred.gid;
        }
        return;
    }
    if (getpeername(c->fd, (struct sockaddr *)&sa, &len) < 0 ||
        getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(c->peer.address, sizeof(c->peer.address), "unknown");
    else
        snprintf(c->peer.address, sizeof(c->peer.address),
                 sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void conn_open(struct listener *ln, int fd)
{
    struct httpd *h = ln->httpd;
    struct conn *c;

    if (h->nconns >= HTTPD_CONNECTIONS_MAX + ACCEPT_BURST) { /* too many to say so politely */
        sys_close(fd);
        return;
    }
    c = xcalloc(1, sizeof(*c));
    MAGIC_SET(c, CONN_MAGIC);
    c->httpd = h;
    c->fd = fd;
    c->tag = ln->tag;
    TAILQ_INSERT_TAIL(&h->conns, c, link);
    h->nconns++;
    find_peer(c, ln->unix_socket);
    timer_init(&c->deadline, h->loop, on_deadline, c);
    if (h->nconns > HTTPD_CONNECTIONS_MAX) {
        refuse(c, 503, "connections", "too many connections");
        return;
    }
    timer_start(&c->deadline, HTTPD_READ_MS);
    set_reading(c, true);
}

static void on_pause_over(void *arg);

static void on_acceptable(void *arg, unsigned what)
{
    struct listener *ln = arg;

    (void)what;
    for (int i = 0; i < ACCEPT_BURST; i++) {
        int fd = accept4(ln->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            conn_open(ln, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            log_warn("control API: accept: %s", strerror(errno));
            watch_stop(&ln->watch);
            timer_start(&ln->pause, ACCEPT_PAUSE);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_pause_over(void *arg)
{
    struct listener *ln = arg;

    watch_start(&ln->watch, ln->httpd->loop, ln->fd, WATCH_READ, on_acceptable, ln);
}

int httpd_listen(struct httpd *h, int fd, int tag)
{
    struct listener *ln;
    int domain;
    socklen_t len = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || sys_nonblock(fd) < 0)
        return -1;
    ln = xcalloc(1, sizeof(*ln));
    ln->httpd = h;
    ln->fd = fd;
    ln->tag = tag;
    ln->unix_socket = domain == AF_UNIX;
    TAILQ_INSERT_TAIL(&h->listeners, ln, link);
    timer_init(&ln->pause, h->loop, on_pause_over, ln);
    watch_start(&ln->watch, h->loop, fd, WATCH_READ, on_acceptable, ln);
    return 0;
}

struct httpd *httpd_new(struct loop *l, httpd_handler *cb, void *arg)
{
    struct httpd *h = xcalloc(1, sizeof(*h));

    h->loop = l;
    h->cb = cb;
    h->arg = arg;
    TAILQ_INIT(&h->listeners);
    TAILQ_INIT(&h->conns);
    TAILQ_INIT(&h->requests);
    return h;
}

void httpd_stop_listening(struct httpd *h)
{
    struct listener *ln;

    while ((ln = TAILQ_FIRST(&h->listeners))) {
        TAILQ_REMOVE(&h->listeners, ln, link);
        watch_stop(&ln->watch);
        timer_stop(&ln->pause);
        sys_close(ln->fd);
        xfree(ln);
    }
}

void httpd_free(struct httpd *h)
{
    struct conn *c;
    struct httpd_request *req;

    if (!h)
        return;
    httpd_stop_listening(h);
    while ((c = TAILQ_FIRST(&h->conns)))
        conn_close(c);
    while ((req = TAILQ_FIRST(&h->requests)))
        request_free(req);
    xfree(h);
}

size_t httpd_connections(const struct httpd *h)
{
    return h->nconns;
}

/* --- the request --- */

struct str httpd_method(const struct httpd_request *req)
{
    return head_span(&req->head, req->head.method_text);
}

struct str httpd_path(const struct httpd_request *req)
{
    return req->path;
}

struct str httpd_query(const struct httpd_request *req)
{
    return req->query;
}

struct str httpd_body(const struct httpd_request *req)
{
    return (struct str){req->body.p, req->body.n};
}

struct str httpd_header(const struct httpd_request *req, const char *name)
{
    const struct field *f = head_find(&req->head, str_of(name), 0);

    return f ? head_value(&req->head, f) : STR_NONE;
}

const struct httpd_peer *httpd_peer(const struct httpd_request *req)
{
    return &req->peer;
}

int httpd_tag(const struct httpd_request *req)
{
    return req->tag;
}

struct arena *httpd_arena(struct httpd_request *req)
{
    return &req->arena;
}

void httpd_on_gone(struct httpd_request *req, loop_cb *cb, void *arg)
{
    req->gone = cb;
    req->gone_arg = arg;
    if (!cb)
        loop_unpost(req->httpd->loop, &req->gone_post);
    else if (!req->conn)
        loop_post(req->httpd->loop, &req->gone_post, tell_gone, req);
}

bool httpd_gone(const struct httpd_request *req)
{
    return !req->conn;
}

/* --- the answer --- */

void httpd_set_header(struct httpd_request *req, const char *name, const char *value)
{
    ASSERT(!req->started && !strpbrk(name, "\r\n") && !strpbrk(value, "\r\n"));
    buffer_printf(&req->fields, "%s: %s\r\n", name, value);
}

static bool is_head(const struct httpd_request *req)
{
    return req->head.method == METHOD_HEAD;
}

/* REQ is answered: let go of it. */
static void request_end(struct httpd_request *req)
{
    struct conn *c = req->conn;

    if (c) {
        c->req = NULL;
        answered(c);
    }
    request_free(req);
}

void httpd_reply(struct httpd_request *req, int status, const char *type, struct str body)
{
    struct conn *c = CAST(httpd_request, REQUEST_MAGIC, req)->conn;

    ASSERT(req->handed && (!req->started || !c));
    if (c) {
        write_head(c, status, type, (long long)body.n, false, &req->fields);
        if (!is_head(req) && status != 204 && status != 304)
            buffer_add(&c->out, body);
    }
    request_end(req);
}

void httpd_start(struct httpd_request *req, int status, const char *type)
{
    struct conn *c = CAST(httpd_request, REQUEST_MAGIC, req)->conn;

    ASSERT(req->handed && !req->started);
    req->started = true;
    if (!c)
        return;
    c->close_after |= req->head.minor == 0; /* its end is the end of the connection */
    write_head(c, status, type, -1, req->head.minor == 1, &req->fields);
    loop_post(c->httpd->loop, &c->advance, advance, c);
}

bool httpd_send(struct httpd_request *req, struct str data)
{
    struct conn *c = CAST(httpd_request, REQUEST_MAGIC, req)->conn;
    bool chunked = req->head.minor == 1;

    ASSERT(req->started);
    if (!c || is_head(req) || data.n == 0)
        return c != NULL;
    if (chunked)
        buffer_printf(&c->out, "%zx\r\n", data.n);
    buffer_add(&c->out, data);
    if (chunked)
        buffer_add(&c->out, STR("\r\n"));
    if (!flush(c))
        return false;
    if (buffer_left(&c->out) <= HTTPD_BACKLOG_MAX)
        return true;
    conn_close(c);
    return false;
}

void httpd_end(struct httpd_request *req)
{
    struct conn *c = CAST(httpd_request, REQUEST_MAGIC, req)->conn;

    ASSERT(req->started);
    if (c && req->head.minor == 1 && !is_head(req))
        buffer_add(&c->out, STR("0\r\n\r\n"));
    request_end(req);
}
