/*
 * plane.c - the data plane of one worker: snapshots, life, drain.
 *
 * Invariant: conns, streams and attempts are freed by graves of the loop, and the plane's own
 * grave is dug last, so that what they go back to is still there.
 */
#include "proxy/stream/plane.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/event/ring.h"
#include "proxy/stream/accept.h"
#include "proxy/stream/attempt.h"
#include "proxy/stream/conn.h"
#include "proxy/stream/conn2.h"
#include "proxy/stream/mirror.h"
#include "proxy/stream/mirror_state.h"
#include "proxy/stream/ofrep_events.h"
#include "proxy/stream/plane_state.h"
#include "proxy/stream/preface.h"

#include <errno.h>
#include <signal.h>

#define PLANE_MAGIC   0x706c616eu
#define KEEP_CONNS    4096
#define KEEP_STREAMS  1024
#define KEEP_MIRRORS  64
#define KEEP_PREFACES 64

static void on_flush(void *arg)
{
    struct plane *p = arg;

    access_log_flush(&p->log);
}

/* ---- what comes from above ---- */

static void use_io_uring(struct plane *p, enum conf_io_uring want)
{
    bool have = want != CONF_IO_URING_OFF;

    if (want == p->io_uring)
        return;
    p->io_uring = want;
    if (have && p->ios.ring)
        return;
    io_set_use_ring(&p->ios, have ? ring_new() : NULL);
    if (want == CONF_IO_URING_ON && !p->ios.ring)
        log_warn("no io_uring here, output is sent one by one: %s", strerror(errno));
    else if (have && !p->ios.ring)
        log_info("no io_uring here, output is sent one by one: %s", strerror(errno));
}

int plane_apply_snapshot(struct plane *p, struct str doc, uint64_t *generation, char **why)
{
    struct tables *old = p->tables;
    struct listener *l;
    struct snapshot snap;
    struct tables_env env = {
        .pool = &p->pool,
        .shadows = &p->shadows,
        .secrets = &p->secrets,
        .deadlines = p->deadlines,
        .workers = p->opt.workers,
        .now_us = loop_now_us(p->loop),
        .nth = p->snapshots + 1,
        .phase = p->opt.slot * (SPLIT_POINTS / STATS_MAX_WORKERS),
    };

    if (snapshot_parse(doc, &snap, why) < 0)
        return -1;
    env.seed = rng_next(&p->rng);
    p->tables = tables_new(&snap, &env, old);
    p->snapshots++;
    LIST_FOREACH (l, &p->listeners, link)
        listener_find_conf(l);
    tables_unref(old);
    use_io_uring(p, p->tables->conf->io_uring);
    overload_set(p, &p->tables->conf->overload);
    access_log_set(&p->log, &p->tables->conf->access_log);
    *generation = snap.generation;
    stat_set(&p->stats->generation, snap.generation);
    return 0;
}

int plane_apply_flags(struct plane *p, struct str doc, uint64_t sequence, char **why)
{
    struct flagset *set = flagset_compile(doc, why);

    if (!set)
        return -1;
    flagset_unref(p->flags);
    p->flags = set;
    stat_set(&p->stats->flags_version, sequence);
    ofrep_events_tell(p);
    return 0;
}

int plane_apply_tls(struct plane *p, struct str doc, char **why)
{
    struct listener *l;

    if (secrets_apply(&p->secrets, doc, why) < 0)
        return -1;
    LIST_FOREACH (l, &p->listeners, link)
        listener_set_tls(l);
    return 0;
}

void plane_set_ticket_keys(struct plane *p, struct str keys)
{
    ASSERT(tls_tickets_set(&p->secrets.tickets, keys));
}

void plane_set_limits(struct plane *p, struct limits *l)
{
    p->limits = l;
}

void plane_set_log(struct plane *p, int fd)
{
    access_log_open(&p->log, fd);
}

/* ---- life and death ---- */

static void init_queues(struct plane *p)
{
    p->deadlines = deadlines_new(p->loop);
    p->linger_queue = deadline_queue(p->deadlines, CLIENT_LINGER_MS);
    p->watch_queue = deadline_queue(p->deadlines, CLIENT_WATCH_MS);
    p->last_queue = deadline_queue(p->deadlines, CLIENT_LAST_MS);
    p->expect_queue = deadline_queue(p->deadlines, EXPECT_MS);
}

static void on_drain_deadline(void *arg);

struct plane *plane_new(struct loop *l, const struct plane_options *o)
{
    struct plane *p = xcalloc(1, sizeof(*p));

    ASSERT(o->slab < STATS_MAX_WORKERS);
    p->magic = PLANE_MAGIC;
    p->loop = l;
    p->opt = *o;
    p->stats = &o->stats->slabs[o->slab];
    rng_seed(&p->rng, o->seed);
    signal(SIGPIPE, SIG_IGN); /* a log reader that went away is an error of write */
    io_set_init(&p->ios, l);
    init_queues(p);
    pool_init(&p->pool, &p->ios, p->deadlines, p->stats, o->workers);
    pool_init(&p->shadows, &p->ios, p->deadlines, p->stats, o->workers);
    breakers_init(&p->pool.breakers, l, o->stats, o->slab);
    slab_init(&p->conns, sizeof(struct conn), KEEP_CONNS);
    conn2_slabs(&p->conn2s, &p->lanes);
    slab_init(&p->streams, sizeof(struct stream), KEEP_STREAMS);
    slab_init(&p->attempts, sizeof(struct attempt), KEEP_STREAMS);
    slab_init(&p->mirrors, sizeof(struct mirror), KEEP_MIRRORS);
    slab_init(&p->prefaces, sizeof(struct preface), KEEP_PREFACES);
    p->flag_ctx = flag_ctx_new();
    secrets_init(&p->secrets);
    access_log_init(&p->log, &p->stats->log_dropped);
    accept_init(p);
    LIST_INIT(&p->copies);
    LIST_INIT(&p->open);
    LIST_INIT(&p->prefaces_open);
    timer_init(&p->drain_timer, l, on_drain_deadline, p);
    overload_init(p);
    ofrep_events_init(p);
    loop_add_flusher(l, &p->flusher, on_flush, p);
    return p;
}

static void on_grave(void *arg)
{
    struct plane *p = CAST(plane, PLANE_MAGIC, arg);

    loop_remove_flusher(p->loop, &p->flusher);
    io_set_release(&p->ios);
    deadlines_free(p->deadlines);
    slab_release(&p->conns);
    slab_release(&p->conn2s);
    slab_release(&p->lanes);
    slab_release(&p->streams);
    slab_release(&p->attempts);
    slab_release(&p->prefaces);
    slab_release(&p->mirrors);
    pool_release_slabs(&p->pool);
    pool_release_slabs(&p->shadows);
    secrets_release(&p->secrets);
    p->magic = 0;
    xfree(p);
}

/* Nobody has asked for anything yet on these. */
static void close_prefaces(struct plane *p)
{
    struct preface *f;

    while ((f = LIST_FIRST(&p->prefaces_open)))
        preface_close(f);
}

void plane_free(struct plane *p)
{
    struct conn *c;

    if (!p)
        return;
    timer_stop(&p->drain_timer);
    overload_stop(p);
    p->on_drained = NULL;
    accept_release(p);
    close_prefaces(p);
    while ((c = LIST_FIRST(&p->open)))
        conn_close(c);
    mirror_close_all(p);
    loop_unpost(p->loop, &p->drain_done);
    access_log_open(&p->log, -1);
    tables_unref(p->tables);
    pool_release(&p->pool);
    pool_release(&p->shadows);
    flag_ctx_free(p->flag_ctx);
    ofrep_release(&p->ofrep);
    flagset_unref(p->flags);
    loop_bury(p->loop, &p->grave, on_grave, p);
}

static void on_drain_done(void *arg)
{
    struct plane *p = CAST(plane, PLANE_MAGIC, arg);

    access_log_flush(&p->log);
    if (p->on_drained)
        p->on_drained(p->drained_arg);
}

void plane_check_drained(struct plane *p)
{
    if (!p->draining || p->nopen > 0 || !LIST_EMPTY(&p->listeners) ||
        !LIST_EMPTY(&p->prefaces_open))
        return;
    timer_stop(&p->drain_timer);
    loop_post(p->loop, &p->drain_done, on_drain_done, p);
}

void plane_conn_closed(struct plane *p)
{
    p->nopen--;
    stat_set(&p->stats->connections, p->nopen);
    plane_check_drained(p);
}

static void on_drain_deadline(void *arg)
{
    struct plane *p = CAST(plane, PLANE_MAGIC, arg);
    struct conn *c, *next;

    accept_release(p);
    close_prefaces(p);
    for (c = LIST_FIRST(&p->open); c; c = next) {
        next = LIST_NEXT(c, link);
        conn_close(c);
    }
    plane_check_drained(p);
}

void plane_drain(struct plane *p, uint64_t deadline_ms, enum ports ports, loop_cb *done,
                 void *arg)
{
    struct conn *c, *next;
    struct preface *f;

    p->on_drained = done;
    p->drained_arg = arg;
    p->draining = true;
    p->hurrying = ports == PORTS_CLOSED;
    timer_start(&p->drain_timer, deadline_ms);
    if (ports == PORTS_TAKEN_OVER)
        accept_release(p);
    else
        accept_drain(p);
    LIST_FOREACH (f, &p->prefaces_open, link)
        if (p->hurrying)
            deadline_start(&f->deadline, p->last_queue);
    ofrep_events_close_all(p);
    for (c = LIST_FIRST(&p->open); c; c = next) {
        next = LIST_NEXT(c, link);
        conn_drain(c);
    }
    plane_check_drained(p);
}
