/*
 * pool.c - endpoints by address and their idle connections.
 *
 * A connection is in exactly one place: lent to an attempt, idle here, or closed and waiting
 * for the end of the turn.
 */
#include "proxy/upstream/pool.h"

#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/upstream/lane.h"
#include "proxy/upstream/upconn1.h"

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
    p->quiet_queue = deadline_queue(ds, UPCONN2_QUIET_MS);
    p->pong_queue = deadline_queue(ds, UPCONN2_PONG_MS);
    slab_init(&p->upconns, sizeof(struct upconn1), 1024);
    slab_init(&p->upconn2s, sizeof(struct upconn2), 64);
    slab_init(&p->lanes, sizeof(struct lane), 1024);
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
    loop_unpost(ep->pool->ios->loop, &ep->share.post);
    LIST_REMOVE(ep, link);
    tls_session_clear(&ep->session);
    if (ep->breaker)
        LIST_REMOVE(ep, breaker_link);
    breaker_unref(ep->breaker);
    xfree(ep->name);
    xfree(ep->from);
    xfree(ep);
}

bool pool_evict(struct endpoint *ep)
{
    if (TAILQ_EMPTY(&ep->idle))
        return upconn2_evict(ep);
    upconn1_close(TAILQ_LAST(&ep->idle, upconn_list));
    return true;
}

static void close_idle(struct endpoint *ep)
{
    while (pool_evict(ep))
        continue;
    upconn2_abandon(ep);
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

void pool_release_slabs(struct pool *p)
{
    slab_release(&p->upconns);
    slab_release(&p->upconn2s);
    slab_release(&p->lanes);
}

uint64_t pool_used(const struct pool *p)
{
    const struct slab *slabs[] = {&p->upconns, &p->upconn2s, &p->lanes};
    uint64_t sum = 0;

    for (size_t i = 0; i < ARRAY_LEN(slabs); i++)
        sum += (uint64_t)slabs[i]->nused * slabs[i]->size;
    return sum;
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

struct endpoint *pool_use(struct pool *p, const struct conf_endpoint *c,
                          enum conf_upstream protocol, struct tls_client *tls,
                          struct breaker *breaker)
{
    uint64_t h = hash64(c->name, 0) % ARRAY_LEN(p->endpoints);
    struct endpoint *ep;

    LIST_FOREACH (ep, &p->endpoints[h], link)
        if (ep->tls == tls && ep->breaker == breaker && ep->protocol == protocol &&
            str_eq(str_of(ep->name), c->name) && str_eq(str_of(ep->from), c->from))
            break;
    if (!ep) {
        ep = xcalloc(1, sizeof(*ep));
        ep->magic = ENDPOINT_MAGIC;
        ep->pool = p;
        ep->protocol = protocol;
        ep->tls = tls;
        ep->breaker = breaker_ref(breaker);
        if (breaker)
            LIST_INSERT_HEAD(&breaker->endpoints, ep, breaker_link);
        ep->name = xstrndup(c->name.p, c->name.n);
        ep->from = xstrndup(c->from.n > 0 ? c->from.p : "", c->from.n);
        TAILQ_INIT(&ep->idle);
        LIST_INIT(&ep->share.conns);
        TAILQ_INIT(&ep->share.waiting);
        ep->share.room = H2_CLIENT_STREAMS;
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

struct upconn *pool_take(struct endpoint *ep, bool fresh, loop_cb *on_open)
{
    struct upconn1 *u;

    if (ep->protocol != CONF_UPSTREAM_HTTP1)
        return lane_take(ep, on_open); /* what is dead is not among them any more */
    if (fresh)
        return NULL;
    while ((u = TAILQ_FIRST(&ep->idle)) && upconn1_stale(u))
        upconn1_close(u);
    if (!u)
        return NULL;
    pool_remove(ep, u);
    return &u->up;
}

uint64_t pool_trim(struct pool *p, uint64_t n)
{
    struct endpoint *ep;
    uint64_t closed = 0;

    for (size_t i = 0; i < ARRAY_LEN(p->endpoints); i++)
        LIST_FOREACH (ep, &p->endpoints[i], link)
            while (closed < n && pool_evict(ep))
                closed++;
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

bool pool_put(struct endpoint *ep, struct upconn1 *u)
{
    if (ep->users == 0 || ep->idle_count >= ep->pool->idle_max || breaker_yields(ep->breaker))
        return false;
    TAILQ_INSERT_HEAD(&ep->idle, u, idle_link);
    ep->idle_count++;
    breaker_idle(ep->breaker, 1);
    publish(ep);
    return true;
}

void pool_remove(struct endpoint *ep, struct upconn1 *u)
{
    TAILQ_REMOVE(&ep->idle, u, idle_link);
    ep->idle_count--;
    breaker_idle(ep->breaker, -1);
    publish(ep);
}

void pool_spare(struct endpoint *ep, int change)
{
    ep->idle_count = (unsigned)((int)ep->idle_count + change);
    breaker_idle(ep->breaker, change);
    publish(ep);
}
