/* tables.c - a routing snapshot as the worker uses it. */
#include "proxy/stream/tables.h"

#include "config/names.h"
#include "proxy/base/mem.h"

#define TABLES_MAGIC 0x7461626cu
#define MIRROR_LEAST 131072 /* bytes that copies may hold in each worker */

/* V's endpoints in POOL. Those of copies are counted nowhere. */
static void fill_targets(struct tables *t, struct version_row *v, struct pool *pool,
                         const struct conf_service *s, const struct tables_env *env)
{
    struct tls_client *tls = s->tls.enabled ? secrets_client(t->secrets, s->name) : NULL;
    const struct conf_version *c = v->conf;
    struct arena *a = &t->conf->arena;
    uint32_t n = 0;

    v->used = arena_zalloc(a, c->nendpoints * sizeof(struct endpoint *));
    v->targets = arena_zalloc(a, c->nendpoints * sizeof(struct target));
    for (size_t i = 0; i < c->nendpoints; i++) {
        struct conf_endpoint e = c->endpoints[i];

        e.cell = pool == t->shadows ? 0 : e.cell;
        v->used[i] = pool_use(pool, &e, c->protocol, tls, v->breaker);
        if (!e.drain && e.host.n > 0)
            v->targets[n++] = (struct target){v->used[i], e.cell, e.up, e.weight};
        if (e.up && !e.drain)
            pool_note_up(v->used[i], env->nth, env->now_us);
    }
    balance_init(&v->balance, a, s, v->targets, n, &pool->ejections);
}

static void fill_version(struct tables *t, struct version_row *v, const struct conf_version *c,
                         const struct conf_service *s, const struct tables_env *env)
{
    v->conf = c;
    v->breaker = breaker_use(&t->pool->breakers, s->name, c, &s->limits);
    fill_targets(t, v, t->pool, s, env);
}

/* Of N for all workers, what one of them has: not less than 1. */
static uint32_t part(uint32_t n, unsigned workers)
{
    return workers > 1 ? (n + workers - 1) / workers : n;
}

/* Its version may be gone: then nothing is copied. */
static void fill_mirror(struct tables *t, struct service_row *s, const struct tables_env *env)
{
    const struct conf_mirror *c = &s->conf->mirror;
    long k = c->enabled && c->percent ? conf_version_find(s->conf, c->to) : -1;

    if (k < 0)
        return;
    s->mirror = arena_zalloc(&t->conf->arena, sizeof(*s->mirror));
    s->mirror->to.conf = s->versions[k].conf;
    fill_targets(t, &s->mirror->to, t->shadows, s->conf, env);
    s->mirror->timeout = deadline_queue(env->deadlines, c->timeout_ms);
    s->mirror->most = part(c->max_requests, env->workers);
    s->mirror->most_held = part(c->max_memory, env->workers);
    if (s->mirror->most_held < MIRROR_LEAST)
        s->mirror->most_held = MIRROR_LEAST;
    s->mirror->budget = xcalloc(1, sizeof(*s->mirror->budget));
    s->mirror->budget->refs = 1;
}

static void leave_budget(struct mirror_budget *b)
{
    if (--b->refs == 0)
        xfree(b);
}

static void keep_mirror(struct mirror_row *m, const struct mirror_row *old)
{
    leave_budget(m->budget);
    m->budget = old->budget;
    m->budget->refs++;
    m->credit = old->credit;
}

static void keep_cursors(struct service_row *s, const struct service_row *old)
{
    split_resume(&s->split, &old->split);
    s->budget = old->budget;
    s->hedge_budget = old->hedge_budget;
    if (s->mirror && old->mirror)
        keep_mirror(s->mirror, old->mirror);
    if (s->hedge_times && old->hedge_times)
        *s->hedge_times = *old->hedge_times;
    for (size_t i = 0; i < s->conf->nversions; i++) {
        long k = conf_version_find(old->conf, s->conf->versions[i].name);

        if (k >= 0)
            s->versions[i].balance.cursor = old->versions[k].balance.cursor;
    }
}

static void fill_service(struct tables *t, struct service_row *s, const struct conf_service *c,
                         const struct tables_env *env)
{
    struct deadlines *ds = env->deadlines;
    struct arena *a = &t->conf->arena;
    size_t n = c->nversions;

    s->conf = c;
    s->salt = split_salt(c->name);
    s->connect = deadline_queue(ds, c->timeouts.connect_ms);
    s->first_byte = deadline_queue(ds, c->timeouts.first_byte_ms);
    s->idle = deadline_queue(ds, c->timeouts.idle_ms);
    s->per_try = deadline_queue(ds, c->retry.per_try_ms);
    if (c->hedge.percentile)
        s->hedge_times = arena_zalloc(a, sizeof(*s->hedge_times));
    s->hedge = deadline_queue(ds, c->hedge.after_ms);
    s->pending = deadline_queue(ds, c->limits.pending_timeout_ms);
    s->request = deadline_queue(ds, c->timeouts.request_ms);
    s->versions = arena_zalloc(a, n * sizeof(struct version_row));
    for (size_t i = 0; i < n; i++)
        fill_version(t, &s->versions[i], &c->versions[i], c, env);
    split_init(&s->split, arena_zalloc(a, n * sizeof(struct split_range)), c, env->phase);
    fill_mirror(t, s, env);
}

static void fill_route(struct route_row *row, const struct conf_route *r, struct deadlines *ds)
{
    if (r->rate.requests)
        row->rate = gcra_of(r->rate.requests, r->rate.per_ms, r->rate.burst);
    row->fault_queue = deadline_queue(ds, r->fault.delay_ms);
    row->timeout = deadline_queue(ds, r->timeout_ms);
}

/* The rows of OLD, which may be NULL, by their names. */
static void name_services(struct names *names, const struct tables *old)
{
    size_t n = old ? old->conf->nservices : 0;

    names_init(names, n);
    for (size_t i = 0; i < n; i++)
        (void)names_add(names, old->services[i].conf->name, &old->services[i]);
}

struct tables *tables_new(struct snapshot *snap, const struct tables_env *env,
                          struct tables *old)
{
    struct tables *t = xcalloc(1, sizeof(*t));
    size_t n = snap->conf->nservices;
    struct names before;

    name_services(&before, old);
    t->magic = TABLES_MAGIC;
    t->refs = 1;
    t->generation = snap->generation;
    t->conf = snap->conf;
    t->pool = env->pool;
    t->shadows = env->shadows;
    t->secrets = env->secrets;
    t->router = router_new(t->conf, env->seed);
    t->services = arena_zalloc(&t->conf->arena, n * sizeof(struct service_row));
    for (size_t i = 0; i < n; i++) {
        const struct service_row *was = names_find(&before, t->conf->services[i].name);

        fill_service(t, &t->services[i], &t->conf->services[i], env);
        if (was)
            keep_cursors(&t->services[i], was);
    }
    names_release(&before);
    t->routes = arena_zalloc(&t->conf->arena, t->conf->nroutes * sizeof(struct route_row) + 1);
    for (size_t i = 0; i < t->conf->nroutes; i++)
        fill_route(&t->routes[i], &t->conf->routes[i], env->deadlines);
    return t;
}

struct tables *tables_ref(struct tables *t)
{
    if (t)
        t->refs++;
    return t;
}

static void leave_version(struct pool *pool, const struct version_row *v)
{
    for (size_t i = 0; i < v->conf->nendpoints; i++)
        pool_leave(pool, v->used[i]);
    breaker_unref(v->breaker);
}

static void leave_endpoints(struct tables *t)
{
    for (size_t i = 0; i < t->conf->nservices; i++) {
        const struct service_row *s = &t->services[i];

        for (size_t k = 0; k < s->conf->nversions; k++)
            leave_version(t->pool, &s->versions[k]);
        if (!s->mirror)
            continue;
        leave_version(t->shadows, &s->mirror->to);
        leave_budget(s->mirror->budget);
    }
}

void tables_unref(struct tables *t)
{
    if (!t)
        return;
    ASSERT(t->magic == TABLES_MAGIC && t->refs > 0);
    if (--t->refs)
        return;
    leave_endpoints(t);
    router_free(t->router);
    conf_free(t->conf);
    t->magic = 0;
    xfree(t);
}
