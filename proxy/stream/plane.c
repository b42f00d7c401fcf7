/*
 * plane.c - the data plane of one worker: listeners, snapshots, drain.
 *
 * Invariant: conns, streams and attempts are freed by graves of the loop, and the plane's own
 * grave is dug last, so that what they go back to is still there.
 */
#include "proxy/stream/plane.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/ring.h"
#include "proxy/stream/attempt.h"
#include "proxy/stream/conn.h"
#include "proxy/stream/conn2.h"
#include "proxy/stream/mirror.h"
#include "proxy/stream/mirror_state.h"
#include "proxy/stream/ofrep_events.h"
#include "proxy/stream/plane_state.h"
#include "proxy/stream/preface.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

#define PLANE_MAGIC     0x706c616eu
#define ACCEPTS_A_TURN  64
#define ACCEPT_PAUSE_MS 100 /* after running out of descriptors, or nearly */
#define KEEP_CONNS      4096
#define KEEP_STREAMS    1024
#define KEEP_MIRRORS    64
#define KEEP_PREFACES   64

static void on_flush(void *arg)
{
    struct plane *p = arg;

    access_log_flush(&p->log);
}

/* ---- listeners ---- */

struct listener *listener_ref(struct listener *l)
{
    l->refs++;
    return l;
}

void listener_unref(struct listener *l)
{
    if (--l->refs)
        return;
    tls_server_unref(l->tls);
    xfree(l->name);
    xfree(l);
}

static void set_timeouts(struct listener *l)
{
    struct deadlines *ds = l->plane->deadlines;
    struct conf_client_timeouts t = {CLIENT_HEAD_MS, CLIENT_IDLE_MS, CLIENT_STALL_MS};

    if (l->conf)
        t = l->conf->timeouts;
    l->ping = deadline_queue(ds, l->conf ? l->conf->http2.ping_ms : 0);
    l->head = deadline_queue(ds, t.head_ms);
    l->idle = deadline_queue(ds, t.idle_ms);
    l->stall = deadline_queue(ds, t.stall_ms);
}

/* What the newest snapshot says about L. */
static void find_conf(struct listener *l)
{
    const struct tables *t = l->plane->tables;
    struct str rest = str_of(l->name), name = str_cut(&rest, '@');

    l->conf = NULL;
    for (size_t i = 0; t && i < t->conf->nlisteners; i++)
        if (str_eq(t->conf->listeners[i].name, name))
            l->conf = &t->conf->listeners[i];
    set_timeouts(l);
}

static void pause_accepting(struct plane *p)
{
    struct listener *l;

    LIST_FOREACH (l, &p->listeners, link)
        watch_stop(&l->watch);
    timer_start(&p->accept_timer, ACCEPT_PAUSE_MS);
}

static void accept_failed(struct plane *p)
{
    stat_add(&p->stats->accept_failed, 1);
    pause_accepting(p);
}

static void on_acceptable(void *arg, unsigned what)
{
    struct listener *l = arg;

    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        int fd;

        if (overload_is_full(l->plane)) {
            pause_accepting(l->plane);
            return;
        }
        fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            if (l->conf && l->conf->proxy_protocol.nfrom)
                preface_open(l, fd, &peer);
            else
                conn_open(l, fd, (struct sockaddr *)&peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_failed(l->plane);
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static void on_accept_timer(void *arg)
{
    struct plane *p = CAST(plane, PLANE_MAGIC, arg);
    struct listener *l;

    LIST_FOREACH (l, &p->listeners, link)
        watch_start(&l->watch, p->loop, l->fd, WATCH_READ, on_acceptable, l);
}

/* What the newest document says about L. */
static void set_tls(struct listener *l)
{
    struct str rest = str_of(l->name);
    struct tls_server *s = secrets_server(&l->plane->secrets, str_cut(&rest, '@'));

    tls_server_unref(l->tls);
    l->tls = tls_server_ref(s);
}

void plane_listen(struct plane *p, const char *name, int fd)
{
    struct listener *l = xcalloc(1, sizeof(*l));
    int one = 1;

    l->refs = 1;
    l->plane = p;
    l->name = xstrdup(name);
    l->fd = fd;
    find_conf(l);
    set_tls(l);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited */
    LIST_INSERT_HEAD(&p->listeners, l, link);
    if (!timer_pending(&p->accept_timer))
        watch_start(&l->watch, p->loop, fd, WATCH_READ, on_acceptable, l);
}

static void listener_close(struct listener *l)
{
    watch_stop(&l->watch);
    LIST_REMOVE(l, link);
    sys_close(l->fd);
    l->fd = -1;
    l->conf = NULL;
    listener_unref(l);
}

void plane_unlisten(struct plane *p, const char *name)
{
    struct listener *l, *next;

    for (l = LIST_FIRST(&p->listeners); l; l = next) {
        next = LIST_NEXT(l, link);
        if (!name || strcmp(l->name, name) == 0)
            listener_close(l);
    }
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
        find_conf(l);
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
        set_tls(l);
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
    p->expect_queue = deadline_queue(p->deadlines, EXPECT_MS);
}

static void on_drain_deadline(void *arg);

struct plane *plane_new(struct loop *l, const struct plane_options *o)
{
    struct plane *p = xcalloc(1, sizeof(*p));

    ASSERT(o->slot < STATS_MAX_WORKERS);
    p->magic = PLANE_MAGIC;
    p->loop = l;
    p->opt = *o;
    p->stats = &o->stats->slabs[o->slot];
    rng_seed(&p->rng, o->seed);
    signal(SIGPIPE, SIG_IGN); /* a log reader that went away is an error of write */
    io_set_init(&p->ios, l);
    init_queues(p);
    pool_init(&p->pool, &p->ios, p->deadlines, p->stats, o->workers);
    pool_init(&p->shadows, &p->ios, p->deadlines, p->stats, o->workers);
    breakers_init(&p->pool.breakers, l, o->stats, o->slot, o->workers);
    slab_init(&p->conns, sizeof(struct conn), KEEP_CONNS);
    conn2_slabs(&p->conn2s, &p->lanes);
    slab_init(&p->streams, sizeof(struct stream), KEEP_STREAMS);
    slab_init(&p->attempts, sizeof(struct attempt), KEEP_STREAMS);
    slab_init(&p->mirrors, sizeof(struct mirror), KEEP_MIRRORS);
    slab_init(&p->prefaces, sizeof(struct preface), KEEP_PREFACES);
    p->flag_ctx = flag_ctx_new();
    secrets_init(&p->secrets);
    access_log_init(&p->log, &p->stats->log_dropped);
    LIST_INIT(&p->listeners);
    LIST_INIT(&p->copies);
    LIST_INIT(&p->open);
    LIST_INIT(&p->prefaces_open);
    timer_init(&p->drain_timer, l, on_drain_deadline, p);
    timer_init(&p->accept_timer, l, on_accept_timer, p);
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
    timer_stop(&p->accept_timer);
    overload_stop(p);
    p->on_drained = NULL;
    plane_unlisten(p, NULL);
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

void plane_conn_closed(struct plane *p)
{
    p->nopen--;
    stat_set(&p->stats->connections, p->nopen);
    if (p->draining && p->nopen == 0) {
        timer_stop(&p->drain_timer);
        loop_post(p->loop, &p->drain_done, on_drain_done, p);
    }
}

static void on_drain_deadline(void *arg)
{
    struct plane *p = CAST(plane, PLANE_MAGIC, arg);
    struct conn *c, *next;

    for (c = LIST_FIRST(&p->open); c; c = next) {
        next = LIST_NEXT(c, link);
        conn_close(c);
    }
}

void plane_drain(struct plane *p, uint64_t deadline_ms, loop_cb *done, void *arg)
{
    struct conn *c, *next;

    p->on_drained = done;
    p->drained_arg = arg;
    p->draining = true;
    plane_unlisten(p, NULL);
    close_prefaces(p);
    timer_start(&p->drain_timer, deadline_ms);
    ofrep_events_close_all(p);
    for (c = LIST_FIRST(&p->open); c; c = next) {
        next = LIST_NEXT(c, link);
        conn_drain(c);
    }
    if (p->nopen == 0) {
        timer_stop(&p->drain_timer);
        loop_post(p->loop, &p->drain_done, on_drain_done, p);
    }
}
