/*
 * metrics.c - the counters as Prometheus or OpenMetrics text.
 *
 * One function a family; each begins with its HELP and TYPE and leaves both out when there is
 * no sample. Series are bounded: labels come from the configuration and from fixed tables only.
 */
#include "control/api/metrics.h"

#include "control/engine/sampler.h"
#include "proxy/base/check.h"
#include "proxy/base/mem.h"
#include "proxy/http/h1_parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct text {
    char *p;
    size_t n, cap;
    enum metrics_format format;
};

PRINTF_LIKE(2, 3) static void put(struct text *t, const char *fmt, ...)
{
    for (;;) {
        size_t room = t->cap - t->n;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(t->p + t->n, room, fmt, ap);
        va_end(ap);
        ASSERT(n >= 0);
        if ((size_t)n < room) {
            t->n += (size_t)n;
            return;
        }
        t->cap = t->cap * 2 + (size_t)n;
        t->p = xrealloc(t->p, t->cap);
    }
}

static void put_str(struct text *t, struct str s)
{
    if (t->cap - t->n <= s.n) { /* room for a NUL stays */
        t->cap = t->cap * 2 + s.n;
        t->p = xrealloc(t->p, t->cap);
    }
    if (s.n)
        memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

/* A label value between quotes; the formats escape three characters. */
static void put_value(struct text *t, struct str s)
{
    size_t plain = 0;

    put_str(t, STR("\""));
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '"' && s.p[i] != '\\' && s.p[i] != '\n')
            continue;
        put_str(t, (struct str){s.p + plain, i - plain});
        put_str(t, STR("\\"));
        plain = i;
        if (s.p[i] == '\n') {
            put_str(t, STR("n"));
            plain++;
        }
    }
    put_str(t, str_skip(s, plain));
    put_str(t, STR("\""));
}

/* `{a="b",c="d"} `: NAME and value in turn, up to a NULL name; nothing when there are none. */
struct label {
    const char *name;
    struct str value;
};

static void put_labels(struct text *t, const struct label *l)
{
    for (size_t i = 0; l[i].name; i++) {
        put_str(t, i ? STR(",") : STR("{"));
        put_str(t, str_of(l[i].name));
        put_str(t, STR("="));
        put_value(t, l[i].value);
    }
    put_str(t, l[0].name ? STR("} ") : STR(" "));
}

#define LABELS(...) ((const struct label[]){__VA_ARGS__, {NULL, STR_NONE}})
#define NO_LABELS   ((const struct label[]){{NULL, STR_NONE}})

static void put_u64(struct text *t, const char *name, const struct label *l, uint64_t v)
{
    put_str(t, str_of(name));
    put_labels(t, l);
    put(t, "%llu\n", (unsigned long long)v);
}

static void put_double(struct text *t, const char *name, const struct label *l, double v)
{
    put_str(t, str_of(name));
    put_labels(t, l);
    if (isinf(v))
        put(t, "%sInf\n", v < 0 ? "-" : "+");
    else
        put(t, "%.10g\n", v);
}

/* OpenMetrics names the family of a counter without the suffix of its samples. */
static void family(struct text *t, const char *name, const char *type, const char *help)
{
    struct str s = str_of(name), suffix = STR("_total");

    if (t->format == METRICS_OPEN && strcmp(type, "counter") == 0 && str_ends(s, suffix))
        s.n -= suffix.n;
    put(t, "# HELP %.*s %s\n# TYPE %.*s %s\n", STR_ARG(s), help, STR_ARG(s), type);
}

/* --- traffic --- */

static void put_requests(struct text *t, const struct metrics *m,
                         const struct sampler_totals *totals)
{
    char code[8];

    family(t, "sluice_requests_total", "counter", "Requests answered.");
    for (size_t i = 0; i < m->nversions; i++)
        for (int c = 0; c < STATS_NCODES; c++)
            for (int k = 0; k < STATS_NMETHODS; k++) {
                if (!totals[i].by_code[c][k])
                    continue;
                snprintf(code, sizeof(code), "%d", stats_code(c));
                put_u64(t, "sluice_requests_total",
                        LABELS({"service", m->versions[i].service},
                               {"version", m->versions[i].version}, {"code", str_of(code)},
                               {"method", str_of(stats_method_name((enum stats_method)k))}),
                        totals[i].by_code[c][k]);
            }
}

/*
 * Edges for people, near those of the histogram: a bucket is counted below an edge when it ends
 * at or below it, and the edge that is written is the end of that bucket, so counts are exact.
 */
static const uint32_t edges_us[] = {500,     1000,     2500,     5000,    10000,   25000,
                                    50000,   100000,   250000,   500000,  1000000, 2500000,
                                    5000000, 10000000, 30000000, 60000000};

/* The last bucket that ends at or below US. */
static int last_bucket(uint32_t us)
{
    int b = hist_bucket(us);

    return hist_upper_us(b) <= us ? b : b - 1;
}

struct histogram {
    const char *name;
    const uint64_t *counts; /* HIST_BUCKETS */
    uint64_t sum_us;
    const struct stats *exemplars; /* where examples of it are; NULL: it has none */
};

/* A trace that lies in the buckets FIRST..LAST, behind a sample (OpenMetrics 1.0). */
static void put_exemplar(struct text *t, const struct histogram *h,
                         const struct metrics_version *v, int first, int last)
{
    struct exemplar e;

    if (!h->exemplars || t->format != METRICS_OPEN || first > last ||
        !sampler_exemplar(h->exemplars, v->cell, first, last, &e))
        return;
    t->n--; /* the end of the line */
    put(t, " # {trace_id=\"%s\"} %.6g %llu.%03llu\n", e.trace, (double)e.us / 1e6,
        (unsigned long long)(e.at_ms / 1000), (unsigned long long)(e.at_ms % 1000));
}

static void put_histogram(struct text *t, const struct histogram *h,
                          const struct metrics_version *v)
{
    char series[96], le[32];
    uint64_t below = 0;
    int at = 0;

    snprintf(series, sizeof(series), "%s_bucket", h->name);
    for (size_t i = 0; i < ARRAY_LEN(edges_us); i++) {
        int first = at, last = last_bucket(edges_us[i]);

        while (at <= last)
            below += h->counts[at++];
        snprintf(le, sizeof(le), "%.6g", (double)hist_upper_us(last) / 1e6);
        put_u64(t, series,
                LABELS({"service", v->service}, {"version", v->version}, {"le", str_of(le)}),
                below);
        put_exemplar(t, h, v, first, last);
    }
    put_u64(t, series,
            LABELS({"service", v->service}, {"version", v->version}, {"le", STR("+Inf")}),
            hist_total(h->counts));
    put_exemplar(t, h, v, at, HIST_BUCKETS - 1);
    snprintf(series, sizeof(series), "%s_sum", h->name);
    put_double(t, series, LABELS({"service", v->service}, {"version", v->version}),
               (double)h->sum_us / 1e6);
    snprintf(series, sizeof(series), "%s_count", h->name);
    put_u64(t, series, LABELS({"service", v->service}, {"version", v->version}),
            hist_total(h->counts));
}

static void put_durations(struct text *t, const struct metrics *m,
                          const struct sampler_totals *totals)
{
    family(t, "sluice_request_duration_seconds", "histogram",
           "From the request's head to the last byte of the answer.");
    for (size_t i = 0; i < m->nversions; i++)
        put_histogram(t,
                      &(struct histogram){"sluice_request_duration_seconds", totals[i].duration,
                                          totals[i].duration_sum_us,
                                          m->versions[i].cell ? m->stats : NULL},
                      &m->versions[i]);
    family(t, "sluice_upstream_duration_seconds", "histogram",
           "From the forwarded request to the head of the answer, without connecting.");
    for (size_t i = 0; i < m->nversions; i++)
        put_histogram(t,
                      &(struct histogram){"sluice_upstream_duration_seconds",
                                          totals[i].first_byte, totals[i].first_byte_sum_us,
                                          NULL},
                      &m->versions[i]);
}

/* One counter or gauge of every version. OFFSET is of a uint64_t in struct sampler_totals. */
static void put_of_versions(struct text *t, const struct metrics *m,
                            const struct sampler_totals *totals, const char *name,
                            const char *type, const char *help, size_t offset)
{
    family(t, name, type, help);
    for (size_t i = 0; i < m->nversions; i++) {
        uint64_t v;

        memcpy(&v, (const char *)&totals[i] + offset, sizeof(v));
        put_u64(
            t, name,
            LABELS({"service", m->versions[i].service}, {"version", m->versions[i].version}),
            v);
    }
}

static void put_mirrored(struct text *t, const struct metrics *m,
                         const struct sampler_totals *totals)
{
    bool some = false;

    for (size_t i = 0; i < m->nversions; i++)
        for (int k = 0; k < STATS_NMIRROR; k++) {
            if (!totals[i].mirrored[k])
                continue;
            if (!some)
                family(t, "sluice_mirror_requests_total", "counter",
                       "Copies of requests, by result.");
            some = true;
            put_u64(t, "sluice_mirror_requests_total",
                    LABELS({"service", m->versions[i].service},
                           {"version", m->versions[i].version},
                           {"result", str_of(stats_mirror_name((enum stats_mirror)k))}),
                    totals[i].mirrored[k]);
        }
}

/* Of versions that answered any. */
static void put_mirror_times(struct text *t, const struct metrics *m,
                             const struct sampler_totals *totals)
{
    bool some = false;

    for (size_t i = 0; i < m->nversions; i++) {
        if (!hist_total(totals[i].mirror_duration))
            continue;
        if (!some)
            family(t, "sluice_mirror_duration_seconds", "histogram",
                   "From a copy sent to the end of its answer.");
        some = true;
        put_histogram(t,
                      &(struct histogram){"sluice_mirror_duration_seconds",
                                          totals[i].mirror_duration, totals[i].mirror_sum_us,
                                          NULL},
                      &m->versions[i]);
    }
}

static void put_grpc(struct text *t, const struct metrics *m,
                     const struct sampler_totals *totals)
{
    bool some = false;

    for (size_t i = 0; i < m->nversions; i++)
        for (int k = 0; k < GRPC_STATUS_COUNT; k++) {
            char code[12];

            if (!totals[i].grpc[k])
                continue;
            if (!some)
                family(t, "sluice_grpc_requests_total", "counter",
                       "Calls of gRPC, by how they ended.");
            some = true;
            snprintf(code, sizeof(code), "%d", k);
            put_u64(t, "sluice_grpc_requests_total",
                    LABELS({"service", m->versions[i].service},
                           {"version", m->versions[i].version}, {"grpc_status", str_of(code)}),
                    totals[i].grpc[k]);
        }
}

static void put_ratios(struct text *t, const struct metrics *m)
{
    family(t, "sluice_version_weight_ratio", "gauge", "Share of traffic that is set.");
    for (size_t i = 0; i < m->nversions; i++)
        put_double(
            t, "sluice_version_weight_ratio",
            LABELS({"service", m->versions[i].service}, {"version", m->versions[i].version}),
            m->versions[i].weight);
    family(t, "sluice_version_traffic_ratio", "gauge", "Share of traffic that was given.");
    for (size_t i = 0; i < m->nversions; i++)
        if (!isnan(m->versions[i].traffic))
            put_double(t, "sluice_version_traffic_ratio",
                       LABELS({"service", m->versions[i].service},
                              {"version", m->versions[i].version}),
                       m->versions[i].traffic);
}

/* Of versions whose service limits connections or retries; zero for the others. */
static void put_waiting(struct text *t, const struct metrics *m,
                        const struct sampler_totals *totals)
{
    put_of_versions(t, m, totals, "sluice_pending_requests", "gauge",
                    "Requests that wait for a connection.",
                    offsetof(struct sampler_totals, held[STATS_PENDING]));
    put_of_versions(t, m, totals, "sluice_limited_connections", "gauge",
                    "Connections that count against max_connections.",
                    offsetof(struct sampler_totals, held[STATS_CONNECTIONS]));
    put_of_versions(t, m, totals, "sluice_limited_retries", "gauge",
                    "Requests that count against max_retries.",
                    offsetof(struct sampler_totals, held[STATS_RETRYING]));
    put_of_versions(t, m, totals, "sluice_pending_overflows_total", "counter",
                    "Requests refused because too many waited for a connection.",
                    offsetof(struct sampler_totals, pending_overflows));
    put_of_versions(t, m, totals, "sluice_pending_timeouts_total", "counter",
                    "Requests that waited too long for a connection.",
                    offsetof(struct sampler_totals, pending_timeouts));
}

static void put_versions(struct text *t, const struct metrics *m)
{
    struct sampler_totals *totals;

    if (m->nversions == 0)
        return;
    totals = xcalloc(m->nversions, sizeof(*totals));
    for (size_t i = 0; i < m->nversions; i++)
        if (m->versions[i].cell && m->versions[i].cell < STATS_VERSIONS)
            sampler_totals(m->stats, m->versions[i].cell, &totals[i]);
    put_requests(t, m, totals);
    put_durations(t, m, totals);
    put_of_versions(t, m, totals, "sluice_requests_in_flight", "gauge", "Requests under way.",
                    offsetof(struct sampler_totals, in_flight));
    put_of_versions(t, m, totals, "sluice_upstream_connect_failures_total", "counter",
                    "Attempts that got no connection.",
                    offsetof(struct sampler_totals, connect_failed));
    put_of_versions(t, m, totals, "sluice_upstream_retries_total", "counter",
                    "Second and later attempts.", offsetof(struct sampler_totals, retries));
    put_of_versions(t, m, totals, "sluice_hedges_total", "counter",
                    "Attempts that began beside a slow one.",
                    offsetof(struct sampler_totals, hedges));
    put_of_versions(t, m, totals, "sluice_hedges_won_total", "counter",
                    "Of those, the ones that were answered first.",
                    offsetof(struct sampler_totals, hedges_won));
    put_of_versions(t, m, totals, "sluice_client_aborts_total", "counter",
                    "Requests whose client left first.",
                    offsetof(struct sampler_totals, client_aborts));
    put_waiting(t, m, totals);
    put_mirrored(t, m, totals);
    put_mirror_times(t, m, totals);
    put_grpc(t, m, totals);
    put_ratios(t, m);
    xfree(totals);
}

static void put_of_endpoints(struct text *t, const struct metrics *m,
                             const struct sampler_endpoint_totals *totals, const char *name,
                             const char *kind, const char *help, size_t offset)
{
    family(t, name, kind, help);
    for (size_t i = 0; i < m->nendpoints; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&totals[i] + offset, sizeof(value));
        put_u64(t, name,
                LABELS({"service", m->endpoints[i].service},
                       {"version", m->endpoints[i].version},
                       {"endpoint", m->endpoints[i].endpoint}),
                value);
    }
}

static void put_ejections(struct text *t, const struct metrics *m)
{
    struct sampler_endpoint_totals *totals = xcalloc(m->nendpoints, sizeof(*totals));

    for (size_t i = 0; i < m->nendpoints; i++)
        if (m->endpoints[i].cell && m->endpoints[i].cell < STATS_ENDPOINTS)
            sampler_endpoint_totals(m->stats, m->endpoints[i].cell, &totals[i]);
    put_of_endpoints(t, m, totals, "sluice_endpoint_ejected", "gauge",
                     "Workers that leave the endpoint alone because it fails or lags.",
                     offsetof(struct sampler_endpoint_totals, ejected));
    family(t, "sluice_endpoint_ejections_total", "counter",
           "Pauses that workers gave the endpoint.");
    for (size_t i = 0; i < m->nendpoints; i++)
        for (int k = 0; k < STATS_NEJECTED; k++)
            put_u64(t, "sluice_endpoint_ejections_total",
                    LABELS({"service", m->endpoints[i].service},
                           {"version", m->endpoints[i].version},
                           {"endpoint", m->endpoints[i].endpoint},
                           {"reason", str_of(stats_ejection_name((enum stats_ejection)k))}),
                    totals[i].ejections[k]);
    xfree(totals);
}

static void put_of_names(struct text *t, const struct metrics *m, const char *name,
                         const char *kind, const char *help, size_t offset)
{
    family(t, name, kind, help);
    for (size_t i = 0; i < m->nnames; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&m->names[i] + offset, sizeof(value));
        put_u64(t, name, LABELS({"name", m->names[i].name}), value);
    }
}

static void put_names(struct text *t, const struct metrics *m)
{
    if (m->nnames == 0)
        return;
    family(t, "sluice_dns_up", "gauge", "Was the name looked up the last time?");
    for (size_t i = 0; i < m->nnames; i++)
        put_u64(t, "sluice_dns_up", LABELS({"name", m->names[i].name}), m->names[i].up);
    put_of_names(t, m, "sluice_dns_addresses", "gauge", "Addresses in use for the name.",
                 offsetof(struct metrics_name, addresses));
    put_of_names(t, m, "sluice_dns_lookups_total", "counter", "Times the name was asked for.",
                 offsetof(struct metrics_name, lookups));
    put_of_names(t, m, "sluice_dns_failures_total", "counter",
                 "Times it was asked for without a full answer.",
                 offsetof(struct metrics_name, failures));
}

static void put_endpoints(struct text *t, const struct metrics *m)
{
    if (m->nendpoints == 0)
        return;
    family(t, "sluice_endpoint_up", "gauge", "May the endpoint get traffic (health)?");
    for (size_t i = 0; i < m->nendpoints; i++)
        put_u64(t, "sluice_endpoint_up",
                LABELS({"service", m->endpoints[i].service},
                       {"version", m->endpoints[i].version},
                       {"endpoint", m->endpoints[i].endpoint}),
                m->endpoints[i].up);
    put_ejections(t, m);
}

/* What strictness costs, and what leniency lets in. */
static void put_violations(struct text *t, const struct sampler_process *p)
{
    const char *name = "sluice_http_violations_total";

    family(t, name, "counter", "Messages that broke the protocol, by what was done with them.");
    for (int i = 0; i < STATS_NBAD; i++) {
        struct str kind = str_of(stats_violation_name((enum stats_violation)i));

        put_u64(t, name, LABELS({"kind", kind}, {"action", STR("refused")}), p->violations[i]);
        if (H1_LENIENT >> i & 1)
            put_u64(t, name, LABELS({"kind", kind}, {"action", STR("accepted")}),
                    p->forgiven[i]);
    }
}

static void put_process_counters(struct text *t, const struct metrics *m)
{
    struct sampler_process p;

    sampler_process(m->stats, &p);
    put_violations(t, &p);
#define ONE(name, type, help, value)                                                           \
    family(t, name, type, help);                                                               \
    put_u64(t, name, NO_LABELS, value)
    ONE("sluice_connections_total", "counter", "Client connections accepted.",
        p.connections_total);
    ONE("sluice_connections", "gauge", "Client connections open.", p.connections);
    ONE("sluice_no_route_total", "counter", "Requests that no route took.", p.no_route);
    ONE("sluice_no_endpoint_total", "counter", "Requests without a healthy endpoint.",
        p.no_endpoint);
    ONE("sluice_accept_failures_total", "counter", "Connections lost to a limit.",
        p.accept_failed);
    ONE("sluice_rate_limited_total", "counter", "Requests over the rate of their route.",
        p.rate_limited);
    ONE("sluice_concurrency_limited_total", "counter",
        "Requests over the number that may be under way on their route.",
        p.concurrency_limited);
    ONE("sluice_overload_refused_total", "counter",
        "Requests refused because a worker was above a mark of overload.", p.overload_refused);
    ONE("sluice_overload_closed_total", "counter",
        "Idle client connections closed for the same reason.", p.overload_closed);
    ONE("sluice_overloaded_workers", "gauge", "Workers above a mark of overload.",
        p.overloaded);
    ONE("sluice_used_memory_bytes", "gauge",
        "Buffers, requests and connections in use, all workers together.", p.memory_used);
    ONE("sluice_used_descriptors", "gauge", "Connections open, all workers together.",
        p.descriptors_used);
    ONE("sluice_faults_total", "counter", "Requests that a drill delayed or aborted.",
        p.faults);
    ONE("sluice_access_log_dropped_total", "counter", "Access log lines lost.", p.log_dropped);
    ONE("sluice_worker_restarts_total", "counter", "Workers started anew after an exit.",
        p.worker_restarts);
    ONE("sluice_controller_restarts_total", "counter", "Controllers started anew.",
        p.controller_restarts);
    ONE("sluice_workers_up", "gauge", "Workers that serve.", m->workers_up);
    ONE("sluice_generation", "gauge", "Newest routing snapshot.", m->generation);
    ONE("sluice_config_last_reload_successful", "gauge", "Did the last reload take?",
        m->config_ok);
#undef ONE
}

/* --- rollouts --- */

static void put_rollouts(struct text *t, const struct metrics *m)
{
    if (m->nrollouts == 0)
        return;
    family(t, "sluice_rollout_info", "gauge", "A rollout that has not ended.");
    for (size_t i = 0; i < m->nrollouts; i++)
        put_u64(t, "sluice_rollout_info",
                LABELS({"service", m->rollouts[i].service}, {"rollout", m->rollouts[i].id},
                       {"strategy", m->rollouts[i].strategy},
                       {"version", m->rollouts[i].version}, {"stable", m->rollouts[i].stable}),
                1);
    family(t, "sluice_rollout_state", "gauge", "1 for the state that the rollout is in.");
    for (size_t i = 0; i < m->nrollouts; i++)
        put_u64(t, "sluice_rollout_state",
                LABELS({"service", m->rollouts[i].service}, {"state", m->rollouts[i].state}),
                1);
    family(t, "sluice_rollout_step", "gauge", "Step of the rollout, from 1.");
    for (size_t i = 0; i < m->nrollouts; i++)
        put_u64(t, "sluice_rollout_step", LABELS({"service", m->rollouts[i].service}),
                m->rollouts[i].step);
}

static void put_judge(struct text *t, const struct metrics *m)
{
    if (m->nevalues)
        family(t, "sluice_judge_evalue", "gauge", "Evidence that the new version is worse.");
    for (size_t i = 0; i < m->nevalues; i++)
        put_double(
            t, "sluice_judge_evalue",
            LABELS({"service", m->evalues[i].service}, {"class", m->evalues[i].class_name}),
            m->evalues[i].value);
}

static void put_results(struct text *t, const struct metrics *m)
{
    if (m->nresults)
        family(t, "sluice_rollouts_total", "counter", "Rollouts that ended, by result.");
    for (size_t i = 0; i < m->nresults; i++)
        put_u64(t, "sluice_rollouts_total",
                LABELS({"service", m->results[i].service}, {"result", m->results[i].result}),
                m->results[i].count);
    if (m->nreverts == 0)
        return;
    family(t, "sluice_rollback_latency_seconds", "gauge",
           "Last revert: from the verdict to weight 0 on all workers.");
    for (size_t i = 0; i < m->nreverts; i++)
        put_double(t, "sluice_rollback_latency_seconds",
                   LABELS({"service", m->reverts[i].service}), m->reverts[i].latency_s);
    family(t, "sluice_bad_version_requests_total", "counter",
           "Requests that reverted versions got.");
    for (size_t i = 0; i < m->nreverts; i++)
        put_u64(t, "sluice_bad_version_requests_total",
                LABELS({"service", m->reverts[i].service}), m->reverts[i].bad_requests);
}

/* --- flags --- */

static void put_flags(struct text *t, const struct metrics *m)
{
    if (m->nflags)
        family(t, "sluice_flag_evaluations_total", "counter", "Flags decided by the workers.");
    for (size_t i = 0; i < m->nflags; i++)
        put_u64(t, "sluice_flag_evaluations_total",
                LABELS({"flag", m->flags[i].flag}, {"variant", m->flags[i].variant},
                       {"reason", m->flags[i].reason}),
                m->flags[i].count);
    if (m->flags_stale_seconds >= 0) {
        family(t, "sluice_flags_stale_seconds", "gauge", "Since the flags were confirmed.");
        put_double(t, "sluice_flags_stale_seconds", NO_LABELS, m->flags_stale_seconds);
        family(t, "sluice_flags_version_regressed", "gauge",
               "Does Redis show an older version than is served?");
        put_u64(t, "sluice_flags_version_regressed", NO_LABELS, m->flags_regressed);
        family(t, "sluice_flags_quarantined", "gauge", "Flags whose definition is bad.");
        put_u64(t, "sluice_flags_quarantined", NO_LABELS, m->flags_quarantined);
    }
    if (m->redis != METRICS_REDIS_OFF) {
        family(t, "sluice_redis_up", "gauge", "Is Redis there?");
        put_u64(t, "sluice_redis_up", NO_LABELS, m->redis == METRICS_REDIS_UP);
    }
}

/* --- this process --- */

static size_t open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one that reads */
}

/* /proc/self/stat: fields 22 (start), 23 (virtual bytes), 24 (resident pages). */
static void put_memory(struct text *t)
{
    char line[1024], *p;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    uint64_t vsize = 0, pages = 0;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    line[n] = '\0';
    p = strrchr(line, ')'); /* field 2 may hold anything */
    for (int i = 2; p && i < 23; i++)
        p = strchr(p + 1, ' ');
    if (!p)
        return;
    vsize = strtoull(p, &p, 10);
    pages = strtoull(p, NULL, 10);
    family(t, "process_virtual_memory_bytes", "gauge", "Virtual memory of the controller.");
    put_u64(t, "process_virtual_memory_bytes", NO_LABELS, vsize);
    family(t, "process_resident_memory_bytes", "gauge", "Resident memory of the controller.");
    put_u64(t, "process_resident_memory_bytes", NO_LABELS,
            pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void put_self(struct text *t, const struct metrics *m)
{
    struct rusage u;
    struct rlimit r;

    family(t, "sluice_build_info", "gauge", "Always 1; the version is a label.");
    put_u64(t, "sluice_build_info",
            LABELS({"version", str_of(m->version ? m->version : "unknown")}), 1);
    if (getrusage(RUSAGE_SELF, &u) == 0) {
        family(t, "process_cpu_seconds_total", "counter", "CPU time of the controller.");
        put_double(t, "process_cpu_seconds_total", NO_LABELS,
                   (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    }
    family(t, "process_open_fds", "gauge", "Open descriptors of the controller.");
    put_u64(t, "process_open_fds", NO_LABELS, open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        family(t, "process_max_fds", "gauge", "Limit of descriptors of the controller.");
        put_u64(t, "process_max_fds", NO_LABELS, r.rlim_cur);
    }
    put_memory(t);
}

/* --- certificates --- */

static void put_staples(struct text *t, const struct metrics *m)
{
    bool any = false;

    for (size_t i = 0; i < m->ncertificates; i++) {
        const struct metrics_certificate *c = &m->certificates[i];

        if (c->ocsp_update == 0)
            continue;
        if (!any)
            family(t, "sluice_ocsp_expiry_seconds", "gauge",
                   "When the OCSP response for a certificate ends, in seconds since 1970.");
        any = true;
        put_double(t, "sluice_ocsp_expiry_seconds",
                   LABELS({"of", c->owner}, {"file", c->ocsp}, {"names", c->names}),
                   c->ocsp_update);
    }
}

static void put_certificates(struct text *t, const struct metrics *m)
{
    if (m->ncertificates == 0)
        return;
    family(t, "sluice_certificate_expiry_seconds", "gauge",
           "When a certificate in use ends, in seconds since 1970.");
    for (size_t i = 0; i < m->ncertificates; i++) {
        const struct metrics_certificate *c = &m->certificates[i];

        put_double(t, "sluice_certificate_expiry_seconds",
                   LABELS({"of", c->owner}, {"file", c->file}, {"names", c->names}),
                   c->not_after);
    }
    put_staples(t, m);
}

char *metrics_text(const struct metrics *m, enum metrics_format format, size_t *n)
{
    struct text t = {.p = xmalloc(16384), .cap = 16384, .format = format};

    put_versions(&t, m);
    put_endpoints(&t, m);
    put_names(&t, m);
    put_process_counters(&t, m);
    put_rollouts(&t, m);
    put_judge(&t, m);
    put_results(&t, m);
    put_flags(&t, m);
    put_certificates(&t, m);
    put_self(&t, m);
    if (format == METRICS_OPEN)
        put_str(&t, STR("# EOF\n"));
    t.p[t.n] = '\0';
    *n = t.n;
    return t.p;
}
