/*
 * sampler.c - totals from shared memory, and a ring of one-second samples of tracked cells.
 *
 * A ring slot holds the difference of two consecutive totals, so a window is the sum of slots
 * and can never be negative: totals read under an unchanged, even fold_seq never go back.
 * Histogram differences are kept as (bucket, count) pairs, because most buckets are empty.
 */
#include "control/engine/sampler.h"

#include "proxy/base/check.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <time.h>

#define PERIOD_MS 1000
#define RETRIES   1000 /* a fold takes far less; afterwards its supervisor died in it */

struct pair {
    uint16_t bucket;
    uint32_t count;
};

struct slot { /* what happened in one second */
    uint64_t span_us;
    uint64_t requests, judged, errors, routed;
    struct pair *pairs; /* owned */
    size_t npairs;
};

struct series { /* of one version's cell */
    char *name; /* "shop/v1": who has the cell */
    uint32_t cell;
    bool wanted;
    uint64_t at_us;             /* when LAST was read */
    struct sampler_totals last; /* totals at the newest sample */
    struct slot slots[SAMPLER_SECONDS];
    size_t n; /* samples so far; the newest is slots[(n - 1) % SAMPLER_SECONDS] */
};

struct endpoint_slot {
    uint64_t span_us, requests, errors;
};

struct endpoint_series {
    char *name;
    uint32_t cell;
    bool wanted;
    uint64_t at_us;
    struct sampler_endpoint_totals last;
    struct endpoint_slot slots[SAMPLER_SECONDS];
    size_t n;
};

struct sampler { /* owned by the engine */
    struct loop *loop;
    const struct stats *stats;
    struct timer timer;
    sampler_ejection_cb *ejection;
    void *ejection_arg;
    struct series *versions[STATS_VERSIONS];            /* by cell; NULL: not tracked */
    struct endpoint_series *endpoints[STATS_ENDPOINTS]; /* by cell */
};

/* --- totals --- */

/* Begin to read. A fold under way is waited for: it takes microseconds to milliseconds. */
static uint64_t read_begin(const struct stats *st)
{
    uint64_t seq = stat_get(&st->fold_seq);

    for (int i = 0; i < RETRIES && seq & 1; i++) {
        struct timespec pause = {.tv_nsec = 100000};

        nanosleep(&pause, NULL);
        seq = stat_get(&st->fold_seq);
    }
    atomic_thread_fence(memory_order_seq_cst);
    return seq;
}

/* True: a fold came in between, what was read is not a sum of anything. */
static bool read_again(const struct stats *st, uint64_t seq)
{
    atomic_thread_fence(memory_order_seq_cst);
    return stat_get(&st->fold_seq) != seq;
}

static const struct stats_slab *slab(const struct stats *st, unsigned i)
{
    return &st->slabs[i == 0 ? STATS_RETIRED : i - 1];
}

static unsigned nslabs(const struct stats *st)
{
    return stats_slabs(st) + 1;
}

static void add_version(const struct stats_version *v, struct sampler_totals *t)
{
    uint64_t last = stat_get(&v->last_routed_us);

    for (int i = 0; i < STATS_NCODES; i++)
        for (int j = 0; j < STATS_NMETHODS; j++) {
            uint64_t n = stat_get(&v->requests[i][j]);

            t->by_code[i][j] += n;
            t->requests += n;
        }
    for (int i = 0; i < GRPC_STATUS_COUNT; i++)
        t->grpc[i] += stat_get(&v->grpc[i]);
    t->judged += stat_get(&v->judged);
    t->judged_events += stat_get(&v->judged_events);
    t->judged_clients += stat_get(&v->judged_clients);
    t->errors += stat_get(&v->errors);
    t->connect_failed += stat_get(&v->connect_failed);
    t->retries += stat_get(&v->retries);
    t->client_aborts += stat_get(&v->client_aborts);
    t->hedges += stat_get(&v->hedges);
    t->hedges_won += stat_get(&v->hedges_won);
    t->pending_overflows += stat_get(&v->pending_overflows);
    t->pending_timeouts += stat_get(&v->pending_timeouts);
    for (int i = 0; i < STATS_NMIRROR; i++)
        t->mirrored[i] += stat_get(&v->mirrored[i]);
    t->mirror_sum_us += stat_get(&v->mirror_sum_us);
    t->routed += stat_get(&v->routed);
    t->overridden += stat_get(&v->overridden);
    t->bytes_in += stat_get(&v->bytes_in);
    t->bytes_out += stat_get(&v->bytes_out);
    t->duration_sum_us += stat_get(&v->duration_sum_us);
    t->first_byte_sum_us += stat_get(&v->first_byte_sum_us);
    for (int i = 0; i < HIST_BUCKETS; i++) {
        t->duration[i] += stat_get(&v->duration[i]);
        t->first_byte[i] += stat_get(&v->first_byte[i]);
        t->mirror_duration[i] += stat_get(&v->mirror_duration[i]);
        t->judged_time[i] += stat_get(&v->judged_time[i]);
    }
    t->in_flight += stat_get(&v->in_flight);
    for (int i = 0; i < STATS_NHELD; i++)
        t->held[i] += stat_get(&v->held[i]);
    if (last > t->last_routed_us)
        t->last_routed_us = last;
}

void sampler_totals(const struct stats *st, uint32_t cell, struct sampler_totals *out)
{
    uint64_t seq;
    int tries = 0;

    ASSERT(cell < STATS_VERSIONS);
    do {
        seq = read_begin(st);
        memset(out, 0, sizeof(*out));
        for (unsigned i = 0; i < nslabs(st); i++)
            add_version(&slab(st, i)->versions[cell], out);
    } while (read_again(st, seq) && tries++ < RETRIES);
}

void sampler_held(const struct stats *st, uint32_t cell, uint64_t held[STATS_NHELD])
{
    for (int k = 0; k < STATS_NHELD; k++) {
        held[k] = 0;
        for (unsigned i = 0; cell && cell < STATS_VERSIONS && i < stats_slabs(st); i++)
            held[k] += stat_get(&st->slabs[i].versions[cell].held[k]);
    }
}

bool sampler_exemplar(const struct stats *st, uint32_t cell, int first, int last,
                      struct exemplar *out)
{
    bool found = false;

    ASSERT(cell < STATS_VERSIONS && first >= 0 && last < HIST_BUCKETS);
    for (unsigned i = 0; i < nslabs(st); i++)
        for (int k = first / HIST_PER_OCTAVE; k <= last / HIST_PER_OCTAVE; k++) {
            struct exemplar e;

            if (!exemplar_read(&slab(st, i)->versions[cell].exemplars[k], &e) ||
                hist_bucket(e.us) < first || hist_bucket(e.us) > last)
                continue;
            if (found && e.at_ms <= out->at_ms)
                continue;
            *out = e;
            found = true;
        }
    return found;
}

void sampler_endpoint_totals(const struct stats *st, uint32_t cell,
                             struct sampler_endpoint_totals *out)
{
    uint64_t seq, now = clock_mono_us();
    int tries = 0;

    ASSERT(cell < STATS_ENDPOINTS);
    do {
        seq = read_begin(st);
        memset(out, 0, sizeof(*out));
        for (unsigned i = 0; i < nslabs(st); i++) {
            const struct stats_endpoint *e = &slab(st, i)->endpoints[cell];

            out->requests += stat_get(&e->requests);
            out->errors += stat_get(&e->errors);
            out->connect_failed += stat_get(&e->connect_failed);
            for (int k = 0; k < STATS_NEJECTED; k++)
                out->ejections[k] += stat_get(&e->ejections[k]);
            out->ejected += stat_get(&e->ejected_until_us) > now;
            out->in_flight += stat_get(&e->in_flight);
            out->connections += stat_get(&e->connections);
            out->idle += stat_get(&e->idle);
        }
    } while (read_again(st, seq) && tries++ < RETRIES);
}

static void add_slab(const struct stats_slab *s, struct sampler_process *p)
{
    p->connections_total += stat_get(&s->connections_total);
    p->requests_total += stat_get(&s->requests_total);
    p->rejected += stat_get(&s->rejected);
    p->no_route += stat_get(&s->no_route);
    p->no_endpoint += stat_get(&s->no_endpoint);
    for (int i = 0; i < STATS_NBAD; i++) {
        p->violations[i] += stat_get(&s->violations[i]);
        p->forgiven[i] += stat_get(&s->forgiven[i]);
    }
    p->log_dropped += stat_get(&s->log_dropped);
    p->rate_limited += stat_get(&s->rate_limited);
    p->concurrency_limited += stat_get(&s->concurrency_limited);
    p->faults += stat_get(&s->faults);
    p->accept_failed += stat_get(&s->accept_failed);
    p->connections += stat_get(&s->connections);
    p->requests_in_flight += stat_get(&s->requests_in_flight);
    p->overload_refused += stat_get(&s->overload_refused);
    p->overload_closed += stat_get(&s->overload_closed);
    p->memory_used += stat_get(&s->memory_used);
    p->descriptors_used += stat_get(&s->descriptors_used);
    p->overloaded += stat_get(&s->overloaded) != 0;
}

void sampler_process(const struct stats *st, struct sampler_process *out)
{
    uint64_t seq;
    int tries = 0;

    do {
        seq = read_begin(st);
        memset(out, 0, sizeof(*out));
        for (unsigned i = 0; i < nslabs(st); i++)
            add_slab(slab(st, i), out);
    } while (read_again(st, seq) && tries++ < RETRIES);
    out->worker_restarts = stat_get(&st->worker_restarts);
    out->controller_restarts = stat_get(&st->controller_restarts);
}

void sampler_flag(const struct stats *st, uint32_t cell, uint64_t out[STATS_FLAG_REASONS])
{
    uint64_t seq;
    int tries = 0;

    ASSERT(cell < STATS_FLAG_CELLS);
    do {
        seq = read_begin(st);
        for (unsigned r = 0; r < STATS_FLAG_REASONS; r++) {
            out[r] = 0;
            for (unsigned i = 0; i < nslabs(st); i++)
                out[r] += stat_get(&slab(st, i)->flag_evaluations[cell][r]);
        }
    } while (read_again(st, seq) && tries++ < RETRIES);
}

/* --- samples --- */

/* NOW - THEN; a read that gave up on a fold may have been high: then nothing happened. */
static uint64_t diff(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

static void keep_histogram(struct slot *s, const uint64_t now[HIST_BUCKETS],
                           const uint64_t then[HIST_BUCKETS])
{
    struct pair pairs[HIST_BUCKETS];
    size_t n = 0;

    for (int i = 0; i < HIST_BUCKETS; i++) {
        uint64_t d = diff(now[i], then[i]);

        if (d)
            pairs[n++] = (struct pair){(uint16_t)i, d < UINT32_MAX ? (uint32_t)d : UINT32_MAX};
    }
    if (n)
        s->pairs = xrealloc(s->pairs, n * sizeof(*pairs));
    if (n)
        memcpy(s->pairs, pairs, n * sizeof(*pairs));
    s->npairs = n;
}

static void sample_version(struct sampler *s, struct series *v, uint64_t now_us)
{
    struct slot *slot = &v->slots[v->n % SAMPLER_SECONDS];
    struct sampler_totals now;

    sampler_totals(s->stats, v->cell, &now);
    slot->span_us = now_us - v->at_us;
    slot->requests = diff(now.requests, v->last.requests);
    slot->judged = diff(now.judged, v->last.judged);
    slot->errors = diff(now.errors, v->last.errors);
    slot->routed = diff(now.routed, v->last.routed);
    keep_histogram(slot, now.duration, v->last.duration);
    v->last = now;
    v->at_us = now_us;
    v->n++;
}

/* Has the time come to say something about ejections of E? */
static bool ejection_news(const struct endpoint_series *e,
                          const struct sampler_endpoint_totals *now, struct sampler_ejection *x)
{
    bool more = false;

    for (int k = 0; k < STATS_NEJECTED; k++)
        if (now->ejections[k] > e->last.ejections[k]) {
            x->why = (enum stats_ejection)k;
            more = true;
        }
    x->workers = now->ejected;
    return (more && now->ejected) || (e->last.ejected && !now->ejected);
}

static void tell_ejections(const struct sampler *s, const struct endpoint_series *e,
                           const struct sampler_endpoint_totals *now)
{
    struct sampler_ejection x = {0};

    if (!s->ejection || !ejection_news(e, now, &x))
        return;
    x.endpoint = str_of(e->name);
    x.service = str_cut(&x.endpoint, '/');
    x.version = str_cut(&x.endpoint, '/');
    s->ejection(s->ejection_arg, &x);
}

static void sample_endpoint(struct sampler *s, struct endpoint_series *e, uint64_t now_us)
{
    struct endpoint_slot *slot = &e->slots[e->n % SAMPLER_SECONDS];
    struct sampler_endpoint_totals now;

    sampler_endpoint_totals(s->stats, e->cell, &now);
    slot->span_us = now_us - e->at_us;
    slot->requests = diff(now.requests, e->last.requests);
    slot->errors = diff(now.errors, e->last.errors);
    tell_ejections(s, e, &now);
    e->last = now;
    e->at_us = now_us;
    e->n++;
}

static void sample_all(struct sampler *s, uint64_t now_us)
{
    for (size_t i = 0; i < STATS_VERSIONS; i++)
        if (s->versions[i])
            sample_version(s, s->versions[i], now_us);
    for (size_t i = 0; i < STATS_ENDPOINTS; i++)
        if (s->endpoints[i])
            sample_endpoint(s, s->endpoints[i], now_us);
}

static void on_second(void *arg)
{
    struct sampler *s = arg;

    sample_all(s, loop_now_us(s->loop));
    timer_start(&s->timer, PERIOD_MS);
}

/* --- what is tracked --- */

static void version_free(struct series *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < SAMPLER_SECONDS; i++)
        xfree(v->slots[i].pairs);
    xfree(v->name);
    xfree(v);
}

static void endpoint_free(struct endpoint_series *e)
{
    if (!e)
        return;
    xfree(e->name);
    xfree(e);
}

/* NAME (taken over) has CELL. */
static void track_version(struct sampler *s, uint32_t cell, char *name)
{
    struct series *v = s->versions[cell];

    if (v && strcmp(v->name, name) == 0) {
        v->wanted = true;
        xfree(name);
        return;
    }
    version_free(v);
    s->versions[cell] = v = xcalloc(1, sizeof(*v));
    v->name = name;
    v->cell = cell;
    v->wanted = true;
    v->at_us = loop_now_us(s->loop);
    sampler_totals(s->stats, cell, &v->last);
}

static void track_endpoint(struct sampler *s, uint32_t cell, char *name)
{
    struct endpoint_series *e = s->endpoints[cell];

    if (e && strcmp(e->name, name) == 0) {
        e->wanted = true;
        xfree(name);
        return;
    }
    endpoint_free(e);
    s->endpoints[cell] = e = xcalloc(1, sizeof(*e));
    e->name = name;
    e->cell = cell;
    e->wanted = true;
    e->at_us = loop_now_us(s->loop);
    sampler_endpoint_totals(s->stats, cell, &e->last);
}

static void track_service(struct sampler *s, const struct conf_service *svc)
{
    for (size_t i = 0; i < svc->nversions; i++) {
        const struct conf_version *v = &svc->versions[i];

        if (v->cell && v->cell < STATS_VERSIONS)
            track_version(s, v->cell,
                          xasprintf("%.*s/%.*s", STR_ARG(svc->name), STR_ARG(v->name)));
        for (size_t j = 0; j < v->nendpoints; j++) {
            const struct conf_endpoint *e = &v->endpoints[j];

            if (e->cell && e->cell < STATS_ENDPOINTS)
                track_endpoint(s, e->cell,
                               xasprintf("%.*s/%.*s/%.*s", STR_ARG(svc->name), STR_ARG(v->name),
                                         STR_ARG(e->name)));
        }
    }
}

void sampler_track(struct sampler *s, const struct conf *c)
{
    for (size_t i = 0; i < STATS_VERSIONS; i++)
        if (s->versions[i])
            s->versions[i]->wanted = false;
    for (size_t i = 0; i < STATS_ENDPOINTS; i++)
        if (s->endpoints[i])
            s->endpoints[i]->wanted = false;
    for (size_t i = 0; i < c->nservices; i++)
        track_service(s, &c->services[i]);
    for (size_t i = 0; i < STATS_VERSIONS; i++)
        if (s->versions[i] && !s->versions[i]->wanted) {
            version_free(s->versions[i]);
            s->versions[i] = NULL;
        }
    for (size_t i = 0; i < STATS_ENDPOINTS; i++)
        if (s->endpoints[i] && !s->endpoints[i]->wanted) {
            endpoint_free(s->endpoints[i]);
            s->endpoints[i] = NULL;
        }
}

struct sampler *sampler_new(struct loop *l, const struct stats *stats)
{
    struct sampler *s = xcalloc(1, sizeof(*s));

    s->loop = l;
    s->stats = stats;
    timer_init(&s->timer, l, on_second, s);
    timer_start(&s->timer, PERIOD_MS);
    return s;
}

void sampler_on_ejection(struct sampler *s, sampler_ejection_cb *cb, void *arg)
{
    s->ejection = cb;
    s->ejection_arg = arg;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    timer_stop(&s->timer);
    for (size_t i = 0; i < STATS_VERSIONS; i++)
        version_free(s->versions[i]);
    for (size_t i = 0; i < STATS_ENDPOINTS; i++)
        endpoint_free(s->endpoints[i]);
    xfree(s);
}

/* --- windows --- */

static const struct series *series_of(const struct sampler *s, uint32_t cell)
{
    return cell && cell < STATS_VERSIONS ? s->versions[cell] : NULL;
}

/* How many of the newest N samples fit into WINDOW_MS; at least one when there is one. */
static size_t newest(size_t n, uint64_t window_ms)
{
    size_t have = n < SAMPLER_SECONDS ? n : SAMPLER_SECONDS;
    size_t want = (size_t)((window_ms + PERIOD_MS - 1) / PERIOD_MS);

    if (want == 0)
        want = 1;
    return want < have ? want : have;
}

static void add_slot(const struct slot *s, struct sampler_window *w,
                     uint64_t counts[HIST_BUCKETS])
{
    w->requests += s->requests;
    w->judged += s->judged;
    w->errors += s->errors;
    w->routed += s->routed;
    for (size_t i = 0; i < s->npairs; i++)
        counts[s->pairs[i].bucket] += s->pairs[i].count;
}

static double quantile_ms(const uint64_t counts[HIST_BUCKETS], double q)
{
    int bucket = hist_quantile(counts, q);

    return bucket < 0 ? 0 : (double)hist_upper_us(bucket) / 1000;
}

void sampler_window(const struct sampler *s, const uint32_t *cells, size_t n,
                    uint64_t window_ms, struct sampler_window *out)
{
    uint64_t counts[HIST_BUCKETS] = {0}, longest = 0;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        const struct series *v = series_of(s, cells[i]);
        uint64_t span = 0;

        for (size_t k = v ? newest(v->n, window_ms) : 0; k > 0; k--) {
            const struct slot *slot = &v->slots[(v->n - k) % SAMPLER_SECONDS];

            add_slot(slot, out, counts);
            span += slot->span_us;
        }
        longest = span > longest ? span : longest;
        out->in_flight += v ? v->last.in_flight : 0;
    }
    out->span_ms = longest / 1000;
    out->rps = longest ? (double)out->requests * 1e6 / (double)longest : 0;
    out->error_ratio = out->judged ? (double)out->errors / (double)out->judged : 0;
    out->p50_ms = quantile_ms(counts, .50);
    out->p95_ms = quantile_ms(counts, .95);
    out->p99_ms = quantile_ms(counts, .99);
}

void sampler_endpoint_window(const struct sampler *s, uint32_t cell, uint64_t window_ms,
                             struct sampler_endpoint_window *out)
{
    const struct endpoint_series *e =
        cell && cell < STATS_ENDPOINTS ? s->endpoints[cell] : NULL;
    uint64_t span = 0;

    memset(out, 0, sizeof(*out));
    if (!e)
        return;
    for (size_t k = newest(e->n, window_ms); k > 0; k--) {
        const struct endpoint_slot *slot = &e->slots[(e->n - k) % SAMPLER_SECONDS];

        out->requests += slot->requests;
        out->errors += slot->errors;
        span += slot->span_us;
    }
    out->in_flight = e->last.in_flight;
    out->span_ms = span / 1000;
    out->rps = span ? (double)out->requests * 1e6 / (double)span : 0;
}

bool sampler_shares(const struct sampler *s, const uint32_t *cells, size_t n,
                    uint64_t window_ms, double *out)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        const struct series *v = series_of(s, cells[i]);

        out[i] = 0;
        for (size_t k = v ? newest(v->n, window_ms) : 0; k > 0; k--)
            out[i] += (double)v->slots[(v->n - k) % SAMPLER_SECONDS].routed;
        sum += out[i];
    }
    for (size_t i = 0; i < n && sum > 0; i++)
        out[i] = out[i] * 100 / sum;
    return sum > 0;
}
