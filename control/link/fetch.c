/*
 * fetch.c - libcurl's multi interface, driven by the loop.
 *
 * libcurl says which sockets it wants watched and when it wants to be called; each socket has a
 * watch, the whole one timer. Finished transfers are collected by a posted call, so that no
 * callback ever comes from inside fetch_start or from inside libcurl.
 */
#include "control/link/fetch.h"

#include "proxy/base/mem.h"
#include "proxy/event/tls_spec.h"

#include <curl/curl.h>

#define FETCH_MAGIC 0x46455443u /* FETC */
#define DEFAULT_MS  10000

struct socket_watch { /* owned by the fetcher; one for each socket of libcurl's */
    struct fetcher *fetcher;
    curl_socket_t fd;
    struct watch watch;
    struct grave grave;
    LIST_ENTRY(socket_watch) link;
};

struct fetch { /* owned by the fetcher until its callback */
    uint32_t magic;
    struct fetcher *fetcher;
    CURL *curl;
    struct curl_slist *headers, *connect_to, *recipients;
    fetch_cb *cb;
    void *arg;
    char *request_body;
    size_t request_size, request_sent; /* of mail */
    bool mail;
    char *body, *fields;
    size_t n, body_max, nfields, fields_max;
    bool truncated;
    CURLcode bad_start; /* not CURLE_OK: it could not even begin */
    char error[CURL_ERROR_SIZE];
    LIST_ENTRY(fetch) link;
};

struct fetcher {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    struct post collect;
    LIST_HEAD(, fetch) fetches;
    LIST_HEAD(, socket_watch) sockets;
};

static void fetch_free(struct fetch *f)
{
    LIST_REMOVE(f, link);
    if (f->curl) {
        curl_multi_remove_handle(f->fetcher->multi, f->curl);
        curl_easy_cleanup(f->curl);
    }
    curl_slist_free_all(f->headers);
    curl_slist_free_all(f->connect_to);
    curl_slist_free_all(f->recipients);
    xfree(f->request_body);
    xfree(f->body);
    xfree(f->fields);
    f->magic = 0;
    xfree(f);
}

/* --- results --- */

static void finish(struct fetch *f, CURLcode code)
{
    struct fetch_result r = {0};
    fetch_cb *cb = f->cb;
    void *arg = f->arg;
    long status = 0;
    curl_off_t took = 0;

    if (f->curl) {
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(f->curl, CURLINFO_TOTAL_TIME_T, &took);
    }
    if (code == CURLE_WRITE_ERROR && f->truncated) /* we stopped it; the answer is good */
        code = CURLE_OK;
    r.took_ms = (uint64_t)(took / 1000);
    r.headers = (struct str){f->fields ? f->fields : "", f->nfields};
    r.body = (struct str){f->body ? f->body : "", f->n};
    r.truncated = f->truncated;
    r.status = code == CURLE_OK || (f->mail && status >= 400) ? (int)status : 0;
    if (code == CURLE_OPERATION_TIMEDOUT)
        r.error = "timed out";
    else if (code != CURLE_OK)
        r.error = f->error[0] ? f->error : curl_easy_strerror(code);
    f->cb = NULL; /* a cancel from inside the callback finds nothing to do */
    cb(arg, &r);
    fetch_free(f);
}

static struct fetch *next_finished(struct fetcher *fr, CURLcode *code)
{
    CURLMsg *m;
    struct fetch *f;
    int left;
    char *p = NULL;

    while ((m = curl_multi_info_read(fr->multi, &left)))
        if (m->msg == CURLMSG_DONE) {
            *code = m->data.result;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
            return CAST(fetch, FETCH_MAGIC, (void *)p);
        }
    LIST_FOREACH (f, &fr->fetches, link)
        if (f->bad_start != CURLE_OK && f->cb) {
            *code = f->bad_start;
            return f;
        }
    return NULL;
}

/* Posted. A callback may start and cancel fetches, but not free the fetcher. */
static void collect(void *arg)
{
    struct fetcher *fr = arg;
    struct fetch *f;
    CURLcode code;

    while ((f = next_finished(fr, &code)))
        finish(f, code);
}

/* --- libcurl's wishes --- */

static void act(struct fetcher *fr, curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(fr->multi, fd, events, &running);
    loop_post(fr->loop, &fr->collect, collect, fr);
}

static void on_timer_due(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket_ready(void *arg, unsigned what)
{
    struct socket_watch *s = arg;

    act(s->fetcher, s->fd,
        (what & WATCH_READ ? CURL_CSELECT_IN : 0) |
            (what & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
    struct fetcher *fr = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(&fr->timer);
    else
        timer_start(&fr->timer, (uint64_t)ms);
    return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct fetcher *fr = arg;
    struct socket_watch *s = socket_arg;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (!s)
            return 0;
        watch_stop(&s->watch);
        LIST_REMOVE(s, link);
        loop_bury(fr->loop, &s->grave, xfree, s);
        return 0;
    }
    if (!s) {
        s = xcalloc(1, sizeof(*s));
        s->fetcher = fr;
        s->fd = fd;
        LIST_INSERT_HEAD(&fr->sockets, s, link);
        curl_multi_assign(fr->multi, fd, s);
    }
    watch_stop(&s->watch);
    watch_start(&s->watch, fr->loop, fd,
                (what & CURL_POLL_IN ? (unsigned)WATCH_READ : 0) |
                    (what & CURL_POLL_OUT ? (unsigned)WATCH_WRITE : 0),
                on_socket_ready, s);
    return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct fetch *f = CAST(fetch, FETCH_MAGIC, arg);
    size_t room = f->body_max - f->n, take = n < room ? n : room;

    (void)size; /* always 1 */
    if (take) {
        f->body = xrealloc(f->body, f->n + take + 1);
        memcpy(f->body + f->n, p, take);
        f->n += take;
        f->body[f->n] = '\0';
    }
    f->truncated = take < n;
    return take; /* less than N ends the transfer */
}

/* A line at a time; a status line begins a head, the last one is the answer's. */
static size_t on_field(char *p, size_t size, size_t n, void *arg)
{
    struct fetch *f = CAST(fetch, FETCH_MAGIC, arg);

    (void)size; /* always 1 */
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
        f->nfields = 0;
    } else if (n > 2 && n <= f->fields_max - f->nfields) {
        f->fields = xrealloc(f->fields, f->nfields + n);
        memcpy(f->fields + f->nfields, p, n);
        f->nfields += n;
    }
    return n;
}

/* --- life --- */

struct fetcher *fetcher_new(struct loop *l)
{
    struct fetcher *fr = xcalloc(1, sizeof(*fr));

    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    fr->loop = l;
    fr->multi = curl_multi_init();
    ASSERT(fr->multi);
    LIST_INIT(&fr->fetches);
    LIST_INIT(&fr->sockets);
    timer_init(&fr->timer, l, on_timer_due, fr);
    curl_multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
    curl_multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
    curl_multi_setopt(fr->multi, CURLMOPT_MAXCONNECTS, 64L);
    return fr;
}

void fetcher_free(struct fetcher *fr)
{
    struct fetch *f;
    struct socket_watch *s;

    if (!fr)
        return;
    while ((f = LIST_FIRST(&fr->fetches)))
        fetch_free(f);
    curl_multi_cleanup(fr->multi);
    while ((s = LIST_FIRST(&fr->sockets))) {
        watch_stop(&s->watch);
        LIST_REMOVE(s, link);
        xfree(s);
    }
    timer_stop(&fr->timer);
    loop_unpost(fr->loop, &fr->collect);
    xfree(fr);
    curl_global_cleanup();
}

/* The name in the URL stays what is asked for, in Host and in the ClientHello. */
static void send_to(struct fetch *f, const char *address)
{
    char *rule = xasprintf("::%s", address);

    f->connect_to = curl_slist_append(NULL, rule);
    curl_easy_setopt(f->curl, CURLOPT_CONNECT_TO, f->connect_to);
    xfree(rule);
}

/* A text of PEM for OPTION; empty: none. The library keeps a copy. */
static void set_pem(CURL *c, CURLoption option, struct str pem)
{
    struct curl_blob blob = {(void *)(uintptr_t)pem.p, pem.n, CURL_BLOB_COPY};

    if (pem.n)
        curl_easy_setopt(c, option, &blob);
}

/* As proxy/event/tls_client.c does it for traffic. */
static void set_tls(CURL *c, const struct tls_upstream_spec *tls)
{
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, tls->verify == TLS_VERIFY_NONE ? 0L : 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, tls->verify == TLS_VERIFY_FULL ? 2L : 0L);
    set_pem(c, CURLOPT_CAINFO_BLOB, tls->ca);
    set_pem(c, CURLOPT_SSLCERT_BLOB, tls->cert);
    set_pem(c, CURLOPT_SSLKEY_BLOB, tls->key);
    if (tls->ca.n) /* theirs alone */
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
}

/* The text of a mail, a piece at a time. */
static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
    struct fetch *f = CAST(fetch, FETCH_MAGIC, arg);
    size_t left = f->request_size - f->request_sent, take = left < n * size ? left : n * size;

    memcpy(to, f->request_body + f->request_sent, take);
    f->request_sent += take;
    return take;
}

static void set_mail(struct fetch *f, const struct fetch_mail *m)
{
    CURL *c = f->curl;

    f->mail = true;
    for (size_t i = 0; m->to[i]; i++)
        f->recipients = curl_slist_append(f->recipients, m->to[i]);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_MAIL_FROM, m->from);
    curl_easy_setopt(c, CURLOPT_MAIL_RCPT, f->recipients);
    curl_easy_setopt(c, CURLOPT_USE_SSL, (long)(m->secure ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (m->user) {
        curl_easy_setopt(c, CURLOPT_USERNAME, m->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, m->password);
    }
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(c, CURLOPT_READDATA, f);
}

static void set_body(struct fetch *f, struct str body)
{
    f->request_body = xstrndup(body.p, body.n);
    f->request_size = body.n;
    if (f->mail)
        return;
    curl_easy_setopt(f->curl, CURLOPT_POSTFIELDSIZE, (long)body.n);
    curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, f->request_body);
}

static void set_options(struct fetch *f, const struct fetch_options *o)
{
    CURL *c = f->curl;

    curl_easy_setopt(c, CURLOPT_PRIVATE, f);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(c, CURLOPT_URL, o->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(o->timeout_ms ? o->timeout_ms : DEFAULT_MS));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    if (f->fields_max) {
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_field);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    }
    if (o->http2)
        curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    if (o->socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, o->socket);
    if (o->address)
        send_to(f, o->address);
    if (o->proxy_header)
        curl_easy_setopt(c, CURLOPT_HAPROXYPROTOCOL, 1L);
    if (o->connect_only)
        curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    if (o->fresh) {
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    }
    if (o->tls)
        set_tls(c, o->tls);
    if (o->mail)
        set_mail(f, o->mail);
    if (o->body.p)
        set_body(f, o->body);
    if (o->method && strcmp(o->method, "GET") != 0)
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, o->method);
    for (size_t i = 0; o->headers && o->headers[i]; i++)
        f->headers = curl_slist_append(f->headers, o->headers[i]);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, f->headers);
}

struct fetch *fetch_start(struct fetcher *fr, const struct fetch_options *o, fetch_cb *cb,
                          void *arg)
{
    struct fetch *f = xcalloc(1, sizeof(*f));

    MAGIC_SET(f, FETCH_MAGIC);
    f->fetcher = fr;
    f->cb = cb;
    f->arg = arg;
    f->body_max = o->body_max;
    f->fields_max = o->headers_max;
    LIST_INSERT_HEAD(&fr->fetches, f, link);
    f->curl = curl_easy_init();
    ASSERT(f->curl);
    set_options(f, o);
    if (curl_multi_add_handle(fr->multi, f->curl) != CURLM_OK) {
        f->bad_start = CURLE_FAILED_INIT;
        loop_post(fr->loop, &fr->collect, collect, fr);
    }
    return f;
}

void fetch_cancel(struct fetch *f)
{
    if (f && CAST(fetch, FETCH_MAGIC, f)->cb)
        fetch_free(f);
}
