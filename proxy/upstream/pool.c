/*
 * pool.c - endpoints by address and their idle connections.
 *
 * A connection is in exactly one place: lent to an attempt, idle here, or closed and waiting
 * for the end of the turn.
 */
#include "proxy/upstream/pool.h"

#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/upstream/upconn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#define ENDPOINT_MAGIC 0x656e6470u

void pool_init(struct pool *p, struct io_set *ios, struct deadlines *ds,
               struct stats_slab *stats, unsigned workers)
{
    *p = (struct pool){.ios = ios, .stats = stats};
    p->idle_queue = deadline_queue(ds, POOL_IDLE_MS);
    p->idle_max = POOL_IDLE_TOTAL / (workers ? workers : 1);
    slab_init(&p->upconns, sizeof(struct upconn), 1024);
    for (size_t i = 0; i < ARRAY_LEN(p->endpoints); i++)
        LIST_INIT(&p->endpoints[i]);
}

static void publish(const struct endpoint *ep)
{
    struct stats_endpoint *s = &ep->pool->stats->endpoints[ep->cell];

    if (ep->cell == 0 || ep->cell >= STATS_ENDPOINTS)
        return;
    stat_set(&s->connections, ep->connections);
    stat_set(&s->idle, ep->idle_count);
    stat_set(&s->ejected_until_us, ep->ejected_until_us);
}

static void set_cell(struct endpoint *ep, uint32_t cell)
{
    struct stats_endpoint *s = &ep->pool->stats->endpoints[ep->cell];

    if (ep->cell == cell)
        return;
    if (ep->cell && ep->cell < STATS_ENDPOINTS) {
        stat_set(&s->connections, 0);
        stat_set(&s->idle, 0);
        stat_set(&s->ejected_until_us, 0);
    }
    ep->cell = cell;
    publish(ep);
}

/* Free EP when nobody names it and nothing is open to it. */
static void endpoint_check(struct endpoint *ep)
{
    if (ep->users || ep->connections || ep->in_flight)
        return;
    set_cell(ep, 0);
    LIST_REMOVE(ep, link);
    tls_session_clear(&ep->session);
    if (ep->breaker)
        LIST_REMOVE(ep, breaker_link);
    breaker_unref(ep->breaker);
    xfree(ep->name);
    xfree(ep->from);
    xfree(ep);
}

static void close_idle(struct endpoint *ep)
{
    struct upconn *u, *next;

    for (u = TAILQ_FIRST(&ep->idle); u; u = next) {
        next = TAILQ_NEXT(u, idle_link);
        upconn_close(u);
    }
}

void pool_release(struct pool *p)
{
    struct endpoint *ep, *next;

    for (size_t i = 0; i < ARRAY_LEN(p->endpoints); i++)
        for (ep = LIST_FIRST(&p->endpoints[i]); ep; ep = next) {
            next = LIST_NEXT(ep, link);
            ep->users++; /* stays while its connections go */
            close_idle(ep);
            ep->users = 0;
            endpoint_check(ep);
        }
}

static void set_address(struct endpoint *ep, const struct conf_endpoint *c)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ep->sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ep->sa;
    struct sockaddr_un *local = (struct sockaddr_un *)&ep->sa;

    if (c->port == 0) { /* its length was checked when it was loaded */
        local->sun_family = AF_UNIX;
        str_copy(local->sun_path, sizeof(local->sun_path), c->host);
        ep->sa_len = sizeof(*local);
    } else if (inet_pton(AF_INET, c->host.p, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(c->port);
        ep->sa_len = sizeof(*v4);
    } else if (inet_pton(AF_INET6, c->host.p, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(c->port);
        ep->sa_len = sizeof(*v6);
    } /* else: every connection to it fails with EINVAL, which is what it deserves */
}

struct endpoint *pool_use(struct pool *p, const struct conf_endpoint *c, struct tls_client *tls,
                          struct breaker *breaker)
{
    uint64_t h = hash64(c->name, 0) % ARRAY_LEN(p->endpoints);
    struct endpoint *ep;

    LIST_FOREACH (ep, &p->endpoints[h], link)
        if (ep->tls == tls && ep->breaker == breaker && str_eq(str_of(ep->name), c->name) &&
            str_eq(str_of(ep->from), c->from))
            break;
    if (!ep) {
        ep = xcalloc(1, sizeof(*ep));
        ep->magic = ENDPOINT_MAGIC;
        ep->pool = p;
        ep->tls = tls;
        ep->breaker = breaker_ref(breaker);
        if (breaker)
            LIST_INSERT_HEAD(&breaker->endpoints, ep, breaker_link);
        ep->name = xstrndup(c->name.p, c->name.n);
        ep->from = xstrndup(c->from.n > 0 ? c->from.p : "", c->from.n);
        TAILQ_INIT(&ep->idle);
        set_address(ep, c);
        LIST_INSERT_HEAD(&p->endpoints[h], ep, link);
    }
    ep->users++;
    set_cell(ep, c->cell);
    return ep;
}

void pool_note_up(struct endpoint *ep, uint64_t nth, uint64_t now_us)
{
    if (nth > 1 && ep->up_in + 1 < nth)
        ep->up_since_us = now_us;
    ep->up_in = nth;
}

void pool_leave(struct pool *p, struct endpoint *ep)
{
    (void)p;
    ASSERT(ep->magic == ENDPOINT_MAGIC && ep->users > 0);
    if (--ep->users)
        return;
    ep->users++;
    close_idle(ep);
    ep->users--;
    set_cell(ep, 0); /* what is still open ends uncounted: the cell may get another owner */
    endpoint_check(ep);
}

struct upconn *pool_take(struct endpoint *ep)
{
    struct upconn *u;

    while ((u = TAILQ_FIRST(&ep->idle)) && upconn_stale(u))
        upconn_close(u);
    if (u)
        pool_remove(ep, u);
    return u;
}

uint64_t pool_trim(struct pool *p, uint64_t n)
{
    struct endpoint *ep;
    uint64_t closed = 0;

    for (size_t i = 0; i < ARRAY_LEN(p->endpoints); i++)
        LIST_FOREACH (ep, &p->endpoints[i], link)
            for (; closed < n && !TAILQ_EMPTY(&ep->idle); closed++)
                upconn_close(TAILQ_LAST(&ep->idle, upconn_list));
    return closed;
}

void pool_eject(struct endpoint *ep, uint64_t until_us, enum stats_ejection why)
{
    ep->ejected_until_us = until_us;
    ep->pool->ejections++;
    publish(ep);
    if (ep->cell && ep->cell < STATS_ENDPOINTS)
        stat_add(&ep->pool->stats->endpoints[ep->cell].ejections[why], 1);
}

void pool_opened(struct endpoint *ep)
{
    ep->connections++;
    ep->pool->open++;
    publish(ep);
}

void pool_closed(struct endpoint *ep)
{
    ep->connections--;
    ep->pool->open--;
    publish(ep);
    endpoint_check(ep);
}

bool pool_put(struct endpoint *ep, struct upconn *u)
{
    if (ep->users == 0 || ep->idle_count >= ep->pool->idle_max || breaker_yields(ep->breaker))
        return false;
    TAILQ_INSERT_HEAD(&ep->idle, u, idle_link);
    ep->idle_count++;
    breaker_idle(ep->breaker, 1);
    publish(ep);
    return true;
}

void pool_remove(struct endpoint *ep, struct upconn *u)
{
    TAILQ_REMOVE(&ep->idle, u, idle_link);
    ep->idle_count--;
    breaker_idle(ep->breaker, -1);
    publish(ep);
}
