/*
 * upconn2.c - HTTP/2 connections to an endpoint.
 *
 * Invariant: a session is fed in on_readable and emptied in on_turn, which runs once a turn
 * after all events; everything else only notes what there is to do. A settled connection
 * without lanes is counted as idle, others are not.
 */
#include "proxy/upstream/upconn2.h"

#include "config/endpoint.h"
#include "proxy/upstream/lane.h"

#include <errno.h>

#define UPCONN2_MAGIC 0x75706332u

static void on_turn(void *arg);
static void on_serve(void *arg);

static struct loop *loop_of(const struct upconn2 *u)
{
    return u->ep->pool->ios->loop;
}

void upconn2_stir(struct upconn2 *u)
{
    if (!u->closed)
        loop_post(loop_of(u), &u->turn, on_turn, u);
}

void upconn2_stir_waiting(struct endpoint *ep)
{
    loop_post(ep->pool->ios->loop, &ep->share.post, on_serve, ep);
}

/* ---- room ---- */

static bool is_worn(const struct upconn2 *u)
{
    return u->leaving || u->ep->users == 0 || u->carried >= UPCONN2_CARRIES ||
           loop_now_us(loop_of(u)) - u->opened_us >= UPCONN2_AGE_US ||
           (u->ep->tls && u->tls_epoch != tls_client_epoch(u->ep->tls));
}

bool upconn2_has_room(const struct upconn2 *u)
{
    return u->settled && u->busy < h2_client_room(u->session) && !is_worn(u);
}

/* Lanes that connections under way will take. */
static unsigned coming(const struct endpoint *ep)
{
    return ep->share.opening * (ep->share.room ? ep->share.room : 1);
}

/* There are as many as may be. One that takes no more lanes is not among them: under long
 * exchanges it may stay for days, and whoever comes then wants another. */
static bool is_full(struct endpoint *ep)
{
    struct upconn2 *u;

    if (ep->share.nconns < UPCONN2_MOST)
        return false;
    LIST_FOREACH (u, &ep->share.conns, link)
        if (u->settled && !u->retired && is_worn(u)) {
            u->retired = true;
            ep->share.nconns--;
        }
    return ep->share.nconns >= UPCONN2_MOST;
}

bool upconn2_admits(struct endpoint *ep)
{
    const struct share *s = &ep->share;
    const struct upconn2 *u;

    if (s->nwaiting < coming(ep) || is_full(ep))
        return true;
    LIST_FOREACH (u, &s->conns, link)
        if (s->nwaiting == 0 && upconn2_has_room(u))
            return true;
    return false;
}

void upconn2_attach(struct upconn2 *u, struct lane *l)
{
    if (u->busy++ == 0) {
        deadline_stop(&u->idle);
        pool_spare(u->ep, -1);
    }
    u->carried++;
    TAILQ_INSERT_TAIL(&u->lanes, l, link);
}

static void rest(struct upconn2 *u)
{
    deadline_start(&u->idle, u->ep->pool->idle_queue);
    pool_spare(u->ep, 1);
}

void upconn2_detach(struct upconn2 *u, struct lane *l)
{
    TAILQ_REMOVE(&u->lanes, l, link);
    if (--u->busy == 0)
        rest(u);
    upconn2_stir(u);
    if (u->ep->share.nwaiting)
        upconn2_stir_waiting(u->ep);
    else
        breaker_room(u->ep->breaker);
}

/* ---- the end ---- */

static void bury(void *arg)
{
    struct upconn2 *u = CAST(upconn2, UPCONN2_MAGIC, arg);
    struct endpoint *ep = u->ep;

    h2_client_free(u->session);
    u->magic = 0;
    slab_put(&ep->pool->upconn2s, u);
    pool_closed(ep);
}

/* It was opened for somebody and took nobody: the first one that waits asks elsewhere. So a
 * server that ends its connections at once is not sent more of them than there are tries. */
static void disappoint(struct upconn2 *u)
{
    struct lane *l = TAILQ_FIRST(&u->ep->share.waiting);

    if (l && u->settled && u->carried == 0)
        lane_lose(l, CODEC_RESET);
}

static void close_it(struct upconn2 *u)
{
    struct share *s = &u->ep->share;

    if (u->closed)
        return;
    u->closed = true;
    disappoint(u);
    if (u->settled)
        pool_spare(u->ep, -1);
    else
        s->opening--;
    s->nconns -= !u->retired;
    LIST_REMOVE(u, link);
    loop_unpost(loop_of(u), &u->turn);
    deadline_stop(&u->idle);
    deadline_stop(&u->quiet);
    io_close(&u->io);
    breaker_leave(u->ep->breaker, STATS_CONNECTIONS);
    if (s->nwaiting)
        upconn2_stir_waiting(u->ep);
    loop_bury(loop_of(u), &u->grave, bury, u);
}

/* Nobody is on it: say goodbye. */
static void finish(struct upconn2 *u)
{
    struct str bytes;

    h2_client_goaway(u->session);
    while ((bytes = h2_client_send(u->session)).n)
        io_write(&u->io, bytes);
    io_flush(&u->io);
    close_it(u);
}

/* Those that it was opened for fail with it; it may have been meant for others, never for fewer
 * than one. */
static void fail_waiting(struct endpoint *ep, enum codec_abort why)
{
    struct share *s = &ep->share;
    unsigned n = s->room ? s->room : 1;
    struct lane *l;

    while (n-- && (l = TAILQ_FIRST(&s->waiting)))
        lane_lose(l, why);
}

/* It is gone, and with it what was on it. */
static void lose(struct upconn2 *u, enum codec_abort why)
{
    struct lane *l;

    while ((l = TAILQ_FIRST(&u->lanes)))
        lane_lose(l, why);
    if (!u->settled)
        fail_waiting(u->ep, why == CODEC_RESET ? CODEC_REFUSED : why);
    close_it(u);
}

bool upconn2_evict(struct endpoint *ep)
{
    struct upconn2 *u;

    LIST_FOREACH (u, &ep->share.conns, link)
        if (u->settled && u->busy == 0) {
            finish(u);
            return true;
        }
    return false;
}

void upconn2_abandon(struct endpoint *ep)
{
    struct upconn2 *u, *next;

    for (u = LIST_FIRST(&ep->share.conns); u; u = next) {
        next = LIST_NEXT(u, link);
        if (!u->settled)
            close_it(u);
    }
}

/* ---- turns ---- */

static void send_frames(struct upconn2 *u)
{
    while (u->io.out_bytes <= UPCONN2_HIGH) {
        struct str bytes = h2_client_send(u->session);

        if (bytes.n == 0)
            return;
        io_write(&u->io, bytes);
    }
    io_want_drained(&u->io);
}

static bool is_free(const struct upconn2 *u)
{
    return u->settled && u->busy == 0 && (is_worn(u) || breaker_yields(u->ep->breaker));
}

static void on_turn(void *arg)
{
    struct upconn2 *u = CAST(upconn2, UPCONN2_MAGIC, arg);

    if (is_free(u)) {
        finish(u);
        return;
    }
    send_frames(u);
    if (!h2_client_over(u->session))
        return;
    io_flush(&u->io); /* why it ends */
    lose(u, u->leaving ? CODEC_RESET : CODEC_BAD);
}

/* ---- who waits ---- */

static void fill(struct upconn2 *u)
{
    struct lane *l;

    while (upconn2_has_room(u) && (l = TAILQ_FIRST(&u->ep->share.waiting)))
        lane_board(l, u);
}

static void on_serve(void *arg)
{
    struct endpoint *ep = arg;
    struct share *s = &ep->share;
    struct upconn2 *u;

    LIST_FOREACH (u, &s->conns, link)
        fill(u);
    while (s->nwaiting > coming(ep) && !is_full(ep) &&
           breaker_enter(ep->breaker, STATS_CONNECTIONS))
        if (!upconn2_open(ep))
            fail_waiting(ep, CODEC_REFUSED);
}

void upconn2_settled(struct upconn2 *u)
{
    struct share *s = &u->ep->share;

    if (u->closed)
        return;
    s->room = h2_client_room(u->session);
    if (!u->settled) {
        u->settled = true;
        s->opening--;
        rest(u);
    }
    if (s->nwaiting)
        upconn2_stir_waiting(u->ep);
}

void upconn2_leaving(struct upconn2 *u)
{
    u->leaving = true;
    upconn2_stir(u);
}

/* ---- io ---- */

static void on_idle(void *arg)
{
    finish(CAST(upconn2, UPCONN2_MAGIC, arg));
}

static void on_quiet(void *arg)
{
    struct upconn2 *u = CAST(upconn2, UPCONN2_MAGIC, arg);

    if (u->pinged || !u->settled) {
        lose(u, CODEC_RESET);
        return;
    }
    u->pinged = true;
    h2_client_ping(u->session);
    deadline_start(&u->quiet, u->ep->pool->pong_queue);
    upconn2_stir(u);
}

static void on_readable(struct upconn2 *u)
{
    struct block *in = u->io.in;

    u->heard++;
    u->pinged = false;
    deadline_start(&u->quiet, u->ep->pool->quiet_queue);
    h2_client_recv(u->session, block_str(in), loop_now_us(loop_of(u)));
    in->start = in->end;
    upconn2_stir(u);
}

static void on_open(struct upconn2 *u)
{
    if (u->ep->tls && io_tls_protocol(&u->io) != TLS_HTTP2)
        lose(u, CODEC_REFUSED);
}

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct upconn2 *u = CAST(upconn2, UPCONN2_MAGIC, owner);

    (void)io;
    switch (ev) {
    case IO_OPEN:
        on_open(u);
        break;
    case IO_DATA:
        on_readable(u);
        break;
    case IO_DRAINED:
        upconn2_stir(u);
        break;
    case IO_EOF:
    case IO_ERROR:
        lose(u, CODEC_RESET);
        break;
    }
}

static bool speak_tls(struct upconn2 *u)
{
    struct endpoint *ep = u->ep;

    if (!ep->tls)
        return true;
    u->tls_epoch = tls_client_epoch(ep->tls);
    return io_connect_tls(&u->io, ep->tls, &ep->session,
                          endpoint_identity(str_of(ep->name), str_of(ep->from)), TLS_HTTP2);
}

/* ---- the beginning ---- */

struct upconn2 *upconn2_open(struct endpoint *ep)
{
    struct pool *p = ep->pool;
    struct upconn2 *u = slab_get(&p->upconn2s);

    *u = (struct upconn2){
        .magic = UPCONN2_MAGIC, .ep = ep, .opened_us = loop_now_us(p->ios->loop)};
    if (io_connect(&u->io, p->ios, (const struct sockaddr *)&ep->sa, ep->sa_len, on_io, u) <
        0) {
        int why = errno;

        slab_put(&p->upconn2s, u);
        breaker_leave(ep->breaker, STATS_CONNECTIONS);
        errno = why;
        return NULL;
    }
    TAILQ_INIT(&u->lanes);
    deadline_init(&u->idle, on_idle, u);
    deadline_init(&u->quiet, on_quiet, u);
    u->session = h2_client_new(&lane_events, u, &p->ios->blocks, ep->tls != NULL, u->opened_us);
    u->io.bulk = true;
    LIST_INSERT_HEAD(&ep->share.conns, u, link);
    ep->share.nconns++;
    ep->share.opening++;
    pool_opened(ep);
    if (!speak_tls(u)) {
        close_it(u);
        errno = EPROTO;
        return NULL;
    }
    deadline_start(&u->quiet, p->quiet_queue);
    upconn2_stir(u);
    return u;
}
