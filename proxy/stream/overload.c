/* overload.c - when a worker has too much to do. */
#include "proxy/stream/overload.h"

#include "proxy/base/log.h"
#include "proxy/stream/conn2.h"
#include "proxy/stream/plane_state.h"

#include <sys/resource.h>

#define PASSES 8 /* over the connections, when many are to be closed */

struct usage {
    uint64_t memory, descriptors;
};

static uint64_t slab_used(const struct slab *s)
{
    return (uint64_t)s->nused * s->size;
}

/* Of what grows with the work. The rest of a worker is its configuration. */
static uint64_t memory_used(const struct plane *p)
{
    return slab_used(&p->ios.blocks.small) + slab_used(&p->ios.blocks.large) +
           slab_used(&p->ios.tls) + (uint64_t)p->ios.tls.nused * OVERLOAD_TLS_BYTES +
           slab_used(&p->conns) + slab_used(&p->conn2s) + slab_used(&p->lanes) + p->h2_memory +
           slab_used(&p->streams) + slab_used(&p->attempts) + slab_used(&p->mirrors) +
           slab_used(&p->prefaces) + pool_used(&p->pool) + pool_used(&p->shadows);
}

static uint64_t descriptors_used(const struct plane *p)
{
    return p->nopen + p->prefaces.nused + p->pool.open + p->shadows.open + OVERLOAD_OTHER_FDS;
}

bool overload_is_full(const struct plane *p)
{
    return descriptors_used(p) >= p->overload.ceiling;
}

static struct usage usage(const struct plane *p)
{
    struct usage u = {.memory = memory_used(p), .descriptors = descriptors_used(p)};

    stat_set(&p->stats->memory_used, u.memory);
    stat_set(&p->stats->descriptors_used, u.descriptors);
    return u;
}

/* 0: any number. The limit may be changed from outside while we run. */
static uint64_t descriptor_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
        return 0;
    return r.rlim_cur;
}

/* ---- connections that wait for nothing ---- */

static bool is_idle(const struct conn *c)
{
    return c->state == CONN_IDLE || (c->state == CONN_HTTP2 && conn2_is_idle(c->conn2));
}

struct idle { /* those of clients, and when they would time out */
    uint64_t n, first_us, last_us;
};

static struct idle idle(const struct plane *p)
{
    struct idle i = {.first_us = UINT64_MAX};
    const struct conn *c;

    LIST_FOREACH (c, &p->open, link) {
        if (!is_idle(c))
            continue;
        i.n++;
        i.first_us = c->deadline.at_us < i.first_us ? c->deadline.at_us : i.first_us;
        i.last_us = c->deadline.at_us > i.last_us ? c->deadline.at_us : i.last_us;
    }
    return i;
}

/* Close N of them at most, which would time out until then. Returns how many. */
static uint64_t close_until(struct plane *p, uint64_t until_us, uint64_t n)
{
    struct conn *c, *next;
    uint64_t closed = 0;

    for (c = LIST_FIRST(&p->open); c && closed < n; c = next) {
        next = LIST_NEXT(c, link);
        if (!is_idle(c) || c->deadline.at_us > until_us)
            continue;
        if (c->state == CONN_HTTP2)
            conn2_part(c->conn2);
        conn_close(c);
        closed++;
    }
    stat_add(&p->stats->overload_closed, closed);
    return closed;
}

/* Close N, about those that were idle the longest: as if they had come evenly. */
static void close_idle(struct plane *p, uint64_t n)
{
    for (int pass = 0; pass < PASSES && n; pass++) {
        struct idle i = idle(p);
        uint64_t span = i.last_us - i.first_us;

        if (i.n == 0)
            return;
        n -= close_until(p, n < i.n ? i.first_us + span / i.n * n : i.last_us, n);
    }
}

/* Close N connections that nobody uses, towards endpoints first: clients feel nothing of it. */
static void make_room(struct plane *p, uint64_t n, struct usage *u)
{
    uint64_t closed = pool_trim(&p->shadows, n);

    closed += pool_trim(&p->pool, n - closed);
    close_idle(p, n - closed);
    *u = usage(p);
    u->descriptors -= closed; /* they go when the turn does */
}

/* ---- the marks ---- */

/* Is what is USED too much? Once it is, it stays so until a tenth below MARK; 0: no mark. */
static unsigned over(uint64_t used, uint64_t mark, unsigned was, unsigned bit)
{
    uint64_t from = was & bit ? mark - mark / 10 : mark;

    return mark && used >= from ? bit : 0;
}

static void enter(struct plane *p, unsigned now, const struct usage *u)
{
    struct overload *o = &p->overload;

    if ((now != 0) != (o->over != 0)) {
        o->since_us = loop_now_us(p->loop);
        if (now)
            log_warn("overloaded: %llu connections, %llu MiB in use; new requests are refused",
                     (unsigned long long)u->descriptors, (unsigned long long)u->memory >> 20);
        else
            log_info("not overloaded any more");
    }
    o->over = now;
    stat_set(&p->stats->overloaded, now);
}

static void sample(struct plane *p)
{
    struct overload *o = &p->overload;
    uint64_t limit = descriptor_limit(), mark = limit * o->mark.descriptors / 100;
    struct usage u = usage(p);
    unsigned now;

    o->ceiling = mark ? mark + (limit - mark) / 2 : UINT64_MAX;
    if (over(u.descriptors, mark, o->over, STATS_OVER_DESCRIPTORS)) {
        make_room(p, u.descriptors - (mark - mark / 10) + 1, &u);
    }
    now = over(u.memory, o->mark.memory, o->over, STATS_OVER_MEMORY) |
          over(u.descriptors, mark, o->over, STATS_OVER_DESCRIPTORS);
    if (now || loop_now_us(p->loop) - o->since_us >= OVERLOAD_LEAST_MS * 1000)
        enter(p, now, &u);
}

static void on_timer(void *arg)
{
    struct plane *p = arg;

    sample(p);
    timer_start(&p->overload.timer, OVERLOAD_SAMPLE_MS);
}

void overload_init(struct plane *p)
{
    p->overload.ceiling = UINT64_MAX;
    timer_init(&p->overload.timer, p->loop, on_timer, p);
}

void overload_stop(struct plane *p)
{
    timer_stop(&p->overload.timer);
}

void overload_set(struct plane *p, const struct conf_overload *mark)
{
    p->overload.mark = *mark;
    if (mark->memory || mark->descriptors) {
        on_timer(p);
        return;
    }
    overload_stop(p);
    p->overload.over = 0;
    p->overload.ceiling = UINT64_MAX;
    stat_set(&p->stats->overloaded, 0);
}
