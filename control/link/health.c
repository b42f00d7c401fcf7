/*
 * health.c - active health checks: one target an endpoint, one timer each, one fetch at a time.
 *
 * Invariant: a target has either its timer running or a fetch under way, never both; a target
 * that left the configuration has neither and is freed at once.
 */
#include "control/link/health.h"

#include "control/link/fetch.h"
#include "control/link/grpc_health.h"
#include "control/link/health_tls.h"
#include "control/link/reach.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "proxy/http/grpc.h"

#include <stdio.h>

struct target { /* owned by health; strings behind it */
    struct health *health;
    char *service, *version, *endpoint;
    char *asked; /* name of a gRPC service, may be empty */
    struct reach reach;
    struct conf_health conf; /* without its texts: they are in reach and asked */
    struct timer timer;
    struct fetch *fetch;
    enum health_state state;
    bool up, wanted;
    uint32_t good, bad; /* results in a row */
    uint64_t since_ms, checks, failures;
    char error[160];
    LIST_ENTRY(target) link;      /* all */
    LIST_ENTRY(target) hash_link; /* of its bucket */
};

#define BUCKETS       1024
#define FIRST_MS      20   /* first checks are spread over this much */
#define FIELDS_MAX    4096 /* bytes of an answer's fields that are looked at */
#define FIRST_MS_EACH 5    /* and this much for each target, at most one interval */

struct health {
    struct loop *loop;
    struct fetcher *fetcher;
    struct rng rng;
    struct health_tls *tls; /* NULL: nothing was said yet */
    size_t ntargets;
    health_cb *cb;
    void *arg;
    LIST_HEAD(, target) targets;
    LIST_HEAD(, target) buckets[BUCKETS];
};

static unsigned bucket_of(struct str service, struct str version, struct str endpoint)
{
    return (unsigned)(hash64(service, hash64(version, hash64(endpoint, 0))) % BUCKETS);
}

static struct target *find(const struct health *h, struct str service, struct str version,
                           struct str endpoint)
{
    struct target *t;

    LIST_FOREACH (t, &h->buckets[bucket_of(service, version, endpoint)], hash_link)
        if (str_eq(str_of(t->endpoint), endpoint) && str_eq(str_of(t->version), version) &&
            str_eq(str_of(t->service), service))
            return t;
    return NULL;
}

static void fill_row(const struct target *t, struct health_row *row)
{
    *row = (struct health_row){.state = t->state,
                               .up = t->up,
                               .error = t->error,
                               .since_ms = t->since_ms,
                               .checks = t->checks,
                               .bad = t->failures};
}

/* --- checking --- */

/* The next check: interval, give or take a tenth. */
static void schedule(struct target *t)
{
    uint64_t ms = t->conf.interval_ms, tenth = ms / 10;

    if (tenth)
        ms += rng_below(&t->health->rng, (uint32_t)(2 * tenth + 1)) - tenth;
    timer_start(&t->timer, ms);
}

/* The first check: soon, but spread so that many targets are not asked at once. */
static void start_first(struct target *t)
{
    uint64_t spread = FIRST_MS + t->health->ntargets * FIRST_MS_EACH;

    if (spread > t->conf.interval_ms)
        spread = t->conf.interval_ms;
    timer_start(&t->timer, rng_below(&t->health->rng, (uint32_t)spread + 1));
}

/* One result: does it change the state? Pure but for T. */
static bool note_result(struct target *t, bool ok)
{
    enum health_state before = t->state;

    t->checks++;
    t->failures += !ok;
    t->good = ok ? t->good + 1 : 0;
    t->bad = ok ? 0 : t->bad + 1;
    if (before == HEALTH_UNKNOWN)
        t->state = ok ? HEALTH_UP : HEALTH_DOWN;
    else if (before == HEALTH_UP && t->bad >= t->conf.fall)
        t->state = HEALTH_DOWN;
    else if (before == HEALTH_DOWN && t->good >= t->conf.rise)
        t->state = HEALTH_UP;
    t->up = t->state == HEALTH_UP;
    return t->state != before;
}

/* Is the answer R, which came with HTTP status 2xx, a good one of gRPC? */
static bool read_call(struct target *t, const struct fetch_result *r)
{
    int status = grpc_status_of_lines(r->headers);

    if (status < 0)
        snprintf(t->error, sizeof(t->error), "no grpc-status");
    else if (status != GRPC_OK)
        snprintf(t->error, sizeof(t->error), "grpc-status %d", status);
    else if (!grpc_health_serving(r->body))
        snprintf(t->error, sizeof(t->error), "not serving");
    else
        return true;
    return false;
}

/* Is R good? If not, T says why. */
static bool read_answer(struct target *t, const struct fetch_result *r)
{
    bool grpc = t->conf.by == CONF_CHECK_GRPC;

    t->error[0] = '\0';
    if (r->error)
        snprintf(t->error, sizeof(t->error), "%s", r->error);
    else if (r->status && (r->status < 200 || r->status >= (grpc ? 300 : 400)))
        snprintf(t->error, sizeof(t->error), "HTTP %d", r->status);
    else
        return !grpc || read_call(t, r);
    return false;
}

static void on_answer(void *arg, const struct fetch_result *r)
{
    struct target *t = arg;
    struct health *h = t->health;
    bool ok = read_answer(t, r);
    struct health_row row;

    t->fetch = NULL;
    schedule(t);
    if (!note_result(t, ok))
        return;
    t->since_ms = loop_wall_ms(h->loop);
    fill_row(t, &row);
    h->cb(h->arg, str_of(t->service), str_of(t->version), str_of(t->endpoint), &row);
}

static const char *const grpc_headers[] = {"Content-Type: application/grpc", "TE: trailers",
                                           NULL};

static void on_due(void *arg)
{
    struct target *t = arg;
    const struct tls_upstream_spec *tls = health_tls(t->health, str_of(t->service));
    struct fetch_options o = {.timeout_ms = t->conf.timeout_ms,
                              .connect_only = t->conf.by == CONF_CHECK_TCP,
                              .fresh = true};
    char room[GRPC_HEALTH_ASK];

    if (t->reach.secure && !tls) {
        start_first(t);
        return;
    }
    reach_use(&t->reach, tls, &o);
    if (t->conf.by == CONF_CHECK_GRPC) {
        o.http2 = true;
        o.headers = grpc_headers;
        o.headers_max = FIELDS_MAX;
        o.body = grpc_health_ask(room, str_of(t->asked));
        o.body_max = GRPC_HEALTH_TELL;
    }
    t->fetch = fetch_start(t->health->fetcher, &o, on_answer, t);
}

/* --- targets --- */

static void target_free(struct target *t)
{
    timer_stop(&t->timer);
    fetch_cancel(t->fetch);
    t->health->ntargets--;
    LIST_REMOVE(t, link);
    LIST_REMOVE(t, hash_link);
    xfree(t->service);
    xfree(t->version);
    xfree(t->endpoint);
    reach_release(&t->reach);
    xfree(t->asked);
    xfree(t);
}

static struct target *target_new(struct health *h, const struct conf_service *s,
                                 const struct conf_version *v, const struct conf_endpoint *e)
{
    struct target *t = xcalloc(1, sizeof(*t));

    t->health = h;
    t->service = xstrndup(s->name.p, s->name.n);
    t->version = xstrndup(v->name.p, v->name.n);
    t->endpoint = xstrndup(e->name.p, e->name.n);
    t->up = e->up;
    h->ntargets++;
    timer_init(&t->timer, h->loop, on_due, t);
    LIST_INSERT_HEAD(&h->targets, t, link);
    LIST_INSERT_HEAD(&h->buckets[bucket_of(s->name, v->name, e->name)], t, hash_link);
    return t;
}

/* Bring T in line with what the configuration says now. */
static void target_configure(struct target *t, const struct conf_service *s,
                             const struct conf_version *v, const struct conf_endpoint *e)
{
    bool was = t->conf.enabled;

    t->conf = s->health;
    t->conf.path = t->conf.service = STR_NONE;
    if (!t->conf.enabled) {
        timer_stop(&t->timer);
        fetch_cancel(t->fetch);
        t->fetch = NULL;
        t->state = HEALTH_UNKNOWN;
        t->up = e->up;
        return;
    }
    xfree(t->asked);
    t->asked = xasprintf("%.*s", STR_ARG(s->health.service));
    reach_set(&t->reach, s, v, e,
              s->health.by == CONF_CHECK_GRPC ? STR(GRPC_HEALTH_PATH) : s->health.path);
    if (was)
        return; /* the check under way or due uses the new url and interval from then on */
    t->good = t->bad = 0;
    start_first(t);
}

struct health *health_new(struct loop *l, struct fetcher *f, uint64_t seed, health_cb *cb,
                          void *arg)
{
    struct health *h = xcalloc(1, sizeof(*h));

    h->loop = l;
    h->fetcher = f;
    h->cb = cb;
    h->arg = arg;
    rng_seed(&h->rng, seed);
    LIST_INIT(&h->targets);
    for (int i = 0; i < BUCKETS; i++)
        LIST_INIT(&h->buckets[i]);
    return h;
}

void health_free(struct health *h)
{
    struct target *t;

    if (!h)
        return;
    while ((t = LIST_FIRST(&h->targets)))
        target_free(t);
    health_tls_free(h->tls);
    xfree(h);
}

static void configure_version(struct health *h, const struct conf_service *s,
                              const struct conf_version *v)
{
    for (size_t i = 0; i < v->nendpoints; i++) {
        const struct conf_endpoint *e = &v->endpoints[i];
        struct target *t = find(h, s->name, v->name, e->name);

        if (e->host.n == 0) /* a name without an answer: nobody to ask */
            continue;
        if (!t)
            t = target_new(h, s, v, e);
        t->wanted = true;
        target_configure(t, s, v, e);
    }
}

void health_configure(struct health *h, const struct conf *c)
{
    struct target *t, *next;

    LIST_FOREACH (t, &h->targets, link)
        t->wanted = false;
    for (size_t i = 0; i < c->nservices; i++)
        for (size_t j = 0; j < c->services[i].nversions; j++)
            configure_version(h, &c->services[i], &c->services[i].versions[j]);
    for (t = LIST_FIRST(&h->targets); t; t = next) {
        next = LIST_NEXT(t, link);
        if (!t->wanted)
            target_free(t);
    }
}

const struct tls_upstream_spec *health_tls(const struct health *h, struct str service)
{
    return health_tls_of(h->tls, service);
}

bool health_set_tls(struct health *h, struct str doc)
{
    struct health_tls *next = health_tls_new(doc);

    if (!next)
        return false;
    health_tls_free(h->tls);
    h->tls = next;
    return true;
}

bool health_get(const struct health *h, struct str service, struct str version,
                struct str endpoint, struct health_row *row)
{
    const struct target *t = find(h, service, version, endpoint);

    if (t)
        fill_row(t, row);
    return t != NULL;
}
