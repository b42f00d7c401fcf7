/*
 * breaker.c - limits on connections and retries of a version, and the queue for connections.
 *
 * Invariant: the slab shows `held` and since when the first of the queue waits; the timer runs
 * while somebody waits, and while there are idle connections that another worker may want.
 */
#include "proxy/upstream/breaker.h"

#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/upstream/pool.h"

void breakers_init(struct breakers *set, struct loop *l, struct stats *stats, unsigned slab)
{
    *set = (struct breakers){.loop = l, .stats = stats, .slab = slab};
    for (size_t i = 0; i < ARRAY_LEN(set->all); i++)
        LIST_INIT(&set->all[i]);
}

/* ---- the slabs ---- */

static void publish(const struct breaker *k)
{
    const struct waiter *first = TAILQ_FIRST(&k->queue);

    if (!k->counters)
        return;
    for (int i = 0; i < STATS_NHELD; i++)
        stat_set(&k->counters->held[i], k->held[i]);
    stat_set(&k->counters->waiting_since_us, first ? first->since_us : 0);
}

static uint64_t elsewhere(const struct breaker *k, enum stats_held what)
{
    uint64_t sum = 0;

    for (unsigned i = 0; k->cell && i < stats_slabs(k->set->stats); i++)
        if (i != k->set->slab)
            sum += stat_get(&k->set->stats->slabs[i].versions[k->cell].held[what]);
    return sum;
}

static bool add(struct breaker *k, enum stats_held what, uint64_t max)
{
    if (k->held[what] >= max)
        return false;
    k->held[what]++;
    publish(k);
    atomic_thread_fence(memory_order_seq_cst);
    if (max == UINT64_MAX || k->held[what] + elsewhere(k, what) <= max)
        return true;
    k->held[what]--;
    publish(k);
    return false;
}

/* What other workers have, and who waits there. */
static void look_around(struct breaker *k)
{
    uint64_t now = loop_now_us(k->set->loop);

    if (k->looked_us && now - k->looked_us < BREAKER_FRESH_US)
        return;
    k->looked_us = now;
    k->elsewhere_since_us = 0;
    k->elsewhere_open = (unsigned)elsewhere(k, STATS_CONNECTIONS);
    for (unsigned i = 0; k->cell && i < stats_slabs(k->set->stats); i++) {
        uint64_t since = stat_get(&k->set->stats->slabs[i].versions[k->cell].waiting_since_us);

        if (i != k->set->slab && since &&
            (!k->elsewhere_since_us || since < k->elsewhere_since_us))
            k->elsewhere_since_us = since;
    }
}

static bool others_first(struct breaker *k)
{
    const struct waiter *first = TAILQ_FIRST(&k->queue);

    look_around(k);
    return k->elsewhere_since_us &&
           (!first || k->elsewhere_since_us + BREAKER_GRACE_US < first->since_us);
}

bool breaker_yields(struct breaker *k)
{
    if (!k || k->max_connections == 0)
        return false;
    return others_first(k) ||
           k->held[STATS_CONNECTIONS] + k->elsewhere_open > k->max_connections;
}

/* ---- turns ---- */

static void on_post(void *arg);
static void on_timer(void *arg);

static void watch_over(struct breaker *k)
{
    if (timer_pending(&k->timer))
        return;
    if (!TAILQ_EMPTY(&k->queue))
        timer_start(&k->timer, BREAKER_POLL_MS);
    else if (k->idle && k->max_connections)
        timer_start(&k->timer, BREAKER_SPARE_MS);
}

/* Something is free: the first one takes it later in this turn. */
static void call_next(struct breaker *k)
{
    if (!TAILQ_EMPTY(&k->queue))
        loop_post(k->set->loop, &k->post, on_post, k);
}

static void serve(struct breaker *k)
{
    struct waiter *w;

    breaker_ref(k); /* the last one that waits may be the last user */
    while ((w = TAILQ_FIRST(&k->queue))) {
        w->ready(w->arg);
        if (TAILQ_FIRST(&k->queue) == w)
            break; /* nothing for it, nothing for those behind it */
    }
    watch_over(k);
    breaker_unref(k);
}

static void on_post(void *arg)
{
    serve(arg);
}

static void on_timer(void *arg)
{
    struct breaker *k = arg;

    for (unsigned n = k->idle; n && TAILQ_EMPTY(&k->queue) && breaker_yields(k); n--)
        (void)breaker_evict(k);
    serve(k);
}

/* ---- lives ---- */

static struct breaker *find(struct breakers *set, const char *name)
{
    struct breaker_row *row = &set->all[hash64(str_of(name), 0) % ARRAY_LEN(set->all)];
    struct breaker *k;

    LIST_FOREACH (k, row, link)
        if (strcmp(k->name, name) == 0)
            return k;
    k = xcalloc(1, sizeof(*k));
    k->set = set;
    k->name = xstrdup(name);
    TAILQ_INIT(&k->queue);
    LIST_INIT(&k->endpoints);
    timer_init(&k->timer, set->loop, on_timer, k);
    LIST_INSERT_HEAD(row, k, link);
    set->n++;
    return k;
}

/* A version that is gone, but for a long exchange, had CELL: it is shown nowhere any more. */
static void take_cell(struct breakers *set, uint32_t cell)
{
    struct breaker *k = set->shown[cell];

    if (k) {
        k->cell = 0;
        k->counters = NULL;
    }
}

/* From now on the gauges of CELL are K's. */
static void set_cell(struct breaker *k, uint32_t cell)
{
    if (cell >= STATS_VERSIONS)
        cell = 0;
    if (cell && cell != k->cell)
        take_cell(k->set, cell);
    if (k->counters && cell != k->cell) {
        for (int i = 0; i < STATS_NHELD; i++)
            stat_set(&k->counters->held[i], 0);
        stat_set(&k->counters->waiting_since_us, 0);
    }
    if (cell != k->cell)
        k->set->shown[k->cell] = NULL;
    k->cell = cell;
    if (cell)
        k->set->shown[cell] = k;
    k->counters = cell ? &k->set->stats->slabs[k->set->slab].versions[cell] : NULL;
    publish(k);
}

struct breaker *breaker_use(struct breakers *set, struct str service,
                            const struct conf_version *version,
                            const struct conf_limits *limits)
{
    struct breaker *k;
    char *name;

    if (limits->max_connections == 0 && limits->max_retries == 0)
        return NULL;
    name = xasprintf("%.*s/%.*s", STR_ARG(service), STR_ARG(version->name));
    k = find(set, name);
    xfree(name);
    k->users++;
    k->max_connections = limits->max_connections;
    k->max_pending = limits->max_pending;
    k->max_retries = limits->max_retries;
    set_cell(k, version->cell);
    call_next(k);
    watch_over(k);
    return k;
}

struct breaker *breaker_ref(struct breaker *k)
{
    if (k)
        k->users++;
    return k;
}

void breaker_unref(struct breaker *k)
{
    if (!k || --k->users)
        return;
    ASSERT(TAILQ_EMPTY(&k->queue) && LIST_EMPTY(&k->endpoints));
    set_cell(k, 0);
    timer_stop(&k->timer);
    loop_unpost(k->set->loop, &k->post);
    LIST_REMOVE(k, link);
    k->set->n--;
    xfree(k->name);
    xfree(k);
}

/* ---- connections and retries ---- */

bool breaker_enter(struct breaker *k, enum stats_held what)
{
    uint32_t max;

    if (!k)
        return true;
    max = what == STATS_CONNECTIONS ? k->max_connections : k->max_retries;
    if (what == STATS_CONNECTIONS && max && others_first(k))
        return false;
    return add(k, what, max ? max : UINT64_MAX);
}

void breaker_leave(struct breaker *k, enum stats_held what)
{
    if (!k)
        return;
    ASSERT(k->held[what] > 0);
    k->held[what]--;
    publish(k);
    if (what == STATS_CONNECTIONS)
        call_next(k);
}

void breaker_room(struct breaker *k)
{
    if (k)
        call_next(k);
}

void breaker_idle(struct breaker *k, int change)
{
    if (!k)
        return;
    k->idle = (unsigned)((int)k->idle + change);
    if (change > 0) {
        call_next(k);
        watch_over(k);
    }
}

bool breaker_evict(struct breaker *k)
{
    struct endpoint *ep;

    LIST_FOREACH (ep, &k->endpoints, breaker_link)
        if (pool_evict(ep))
            return true;
    return false;
}

/* ---- the queue ---- */

bool breaker_turn(const struct breaker *k, const struct waiter *w)
{
    return !k || TAILQ_EMPTY(&k->queue) || TAILQ_FIRST(&k->queue) == w;
}

bool breaker_wait(struct breaker *k, struct waiter *w)
{
    if (w->breaker)
        return true;
    if (!add(k, STATS_PENDING, k->max_pending))
        return false;
    w->breaker = k;
    w->since_us = loop_now_us(k->set->loop);
    TAILQ_INSERT_TAIL(&k->queue, w, link);
    publish(k);
    if (TAILQ_FIRST(&k->queue) == w)
        timer_start(&k->timer, BREAKER_POLL_MS); /* earlier than for idle connections */
    return true;
}

void breaker_forget(struct waiter *w)
{
    struct breaker *k = w->breaker;

    if (!k)
        return;
    w->breaker = NULL;
    TAILQ_REMOVE(&k->queue, w, link);
    k->held[STATS_PENDING]--;
    publish(k);
    call_next(k);
}
