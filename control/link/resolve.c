/*
 * resolve.c - one question, by a channel of its own.
 *
 * c-ares answers from inside its own functions, where its channel must not be closed: an answer
 * is noted there, and told by a posted call.
 */
#include "control/link/resolve.h"

#include "control/link/dns_ares.h"
#include "proxy/base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

struct resolve { /* owned by itself until it has called back */
    struct loop *loop;
    struct dns_ares ares; /* not open: HOST is a number, or there is no channel to be had */
    resolve_cb *cb;
    void *arg;
    uint16_t port;
    struct sockaddr_storage found[RESOLVE_MAX];
    size_t n;
    char why[120];
    struct post tell;
    struct grave grave;
};

static void bury(struct resolve *r)
{
    dns_ares_close(&r->ares);
    loop_unpost(r->loop, &r->tell);
    loop_bury(r->loop, &r->grave, xfree, r);
}

static void on_tell(void *arg)
{
    struct resolve *r = arg;

    bury(r);
    r->cb(r->arg, r->n ? r->found : NULL, r->n, r->why);
}

static void take(struct resolve *r, const struct sockaddr *sa)
{
    struct sockaddr_storage *to = &r->found[r->n];

    if (sa->sa_family == AF_INET) {
        memcpy(to, sa, sizeof(struct sockaddr_in));
        ((struct sockaddr_in *)(void *)to)->sin_port = htons(r->port);
    } else {
        memcpy(to, sa, sizeof(struct sockaddr_in6));
        ((struct sockaddr_in6 *)(void *)to)->sin6_port = htons(r->port);
    }
    r->n++;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct resolve *r = arg;

    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    for (const struct ares_addrinfo_node *n = result ? result->nodes : NULL; n; n = n->ai_next)
        if (r->n < RESOLVE_MAX && (n->ai_family == AF_INET || n->ai_family == AF_INET6))
            take(r, n->ai_addr);
    if (result)
        ares_freeaddrinfo(result);
    snprintf(r->why, sizeof(r->why), "%s",
             status == ARES_ENOTFOUND  ? "no such name"
             : status == ARES_ETIMEOUT ? "no answer to a question for its address"
             : status != ARES_SUCCESS  ? ares_strerror(status)
             : r->n == 0               ? "the name has no addresses"
                                       : "");
    loop_post(r->loop, &r->tell, on_tell, r);
}

static bool take_number(struct resolve *r, const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        take(r, (struct sockaddr *)&v4);
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        take(r, (struct sockaddr *)&v6);
    return r->n > 0;
}

struct resolve *resolve_start(struct loop *l, const struct conf_dns *conf, const char *host,
                              uint16_t port, resolve_cb *cb, void *arg)
{
    /* not sorted: that would open sockets to what a stranger says */
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolve *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->cb = cb;
    r->arg = arg;
    r->port = port;
    if (take_number(r, host)) {
        loop_post(l, &r->tell, on_tell, r);
        return r;
    }
    int rc = dns_ares_open(&r->ares, l, conf);
    if (rc != ARES_SUCCESS) {
        on_answer(r, rc, 0, NULL);
        return r;
    }
    ares_getaddrinfo(r->ares.channel, host, NULL, &hints, on_answer, r);
    dns_ares_arm(&r->ares);
    return r;
}

void resolve_cancel(struct resolve *r)
{
    if (r)
        bury(r);
}
