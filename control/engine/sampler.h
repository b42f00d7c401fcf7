/*
 * sampler.h - evidence: reads the workers' counters and remembers the last two minutes.
 *
 * Two kinds of answers. *Totals* are sums over all worker slabs and the retired one, read now:
 * they never go back while the shared memory lives (a worker's death, a restart of the
 * controller do not change them), so the judge keeps the totals of its last tick and takes
 * differences. *Windows* are rates and quantiles over the last seconds, from one sample a
 * second of every tracked cell.
 *
 * A cell that is given to another name starts an empty window (sampler_track sees it); totals
 * are of the cell, whoever had it.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/base/stats.h"
#include "proxy/event/loop.h"

#define SAMPLER_SECONDS 128 /* a window is at most that long */

struct sampler;

/* STATS is borrowed, mapped read-only. Samples once a second by itself. */
struct sampler *sampler_new(struct loop *l, const struct stats *stats);
void sampler_free(struct sampler *s);

/* Workers have begun to leave an endpoint alone since the last sample, or none does any more.
 */
struct sampler_ejection {
    struct str service, version, endpoint;
    uint64_t workers;        /* that do so now; 0: it is back with all */
    enum stats_ejection why; /* the newest reason, if it is not back */
};
typedef void sampler_ejection_cb(void *arg, const struct sampler_ejection *e);
/* CB is called once a sample and endpoint at most, from the loop. */
void sampler_on_ejection(struct sampler *s, sampler_ejection_cb *cb, void *arg);
/* Sample the cells that C names (cell 0 is skipped); C may be freed afterwards. Cells that keep
 * their name keep their samples. */
void sampler_track(struct sampler *s, const struct conf *c);

/* --- totals: monotone, read from shared memory now --- */
struct sampler_totals { /* of one version */
    uint64_t requests;  /* answers sent */
    uint64_t judged, errors, connect_failed, retries, client_aborts;
    uint64_t grpc[GRPC_STATUS_COUNT]; /* calls, by how they ended */
    uint64_t judged_events, judged_clients, judged_time[HIST_BUCKETS]; /* see stats.h */
    uint64_t pending_overflows, pending_timeouts, hedges, hedges_won;
    uint64_t mirrored[STATS_NMIRROR], mirror_sum_us, mirror_duration[HIST_BUCKETS];
    uint64_t routed, overridden;
    uint64_t bytes_in, bytes_out;
    uint64_t duration_sum_us, first_byte_sum_us;
    uint64_t duration[HIST_BUCKETS], first_byte[HIST_BUCKETS];
    uint64_t last_routed_us;    /* clock_mono_us of the latest exchange begun; 0: none */
    uint64_t in_flight;         /* a gauge: now */
    uint64_t held[STATS_NHELD]; /* gauges */
    uint64_t by_code[STATS_NCODES][STATS_NMETHODS];
};
void sampler_totals(const struct stats *stats, uint32_t cell, struct sampler_totals *out);
/* The newest exchange of version CELL whose duration lies in the buckets FIRST..LAST of its
 * histogram; false: none. */
bool sampler_exemplar(const struct stats *stats, uint32_t cell, int first, int last,
                      struct exemplar *out) MUST_CHECK;

/* Only what circuit breakers hold of the version. */
void sampler_held(const struct stats *stats, uint32_t cell, uint64_t held[STATS_NHELD]);

struct sampler_endpoint_totals {
    uint64_t requests, errors, connect_failed;
    uint64_t ejections[STATS_NEJECTED];
    uint64_t in_flight, connections, idle; /* gauges */
    uint64_t ejected;                      /* workers that avoid it now */
};
void sampler_endpoint_totals(const struct stats *stats, uint32_t cell,
                             struct sampler_endpoint_totals *out);

struct sampler_process { /* the proxy as a whole */
    uint64_t connections_total, requests_total, rejected, no_route, no_endpoint;
    uint64_t violations[STATS_NBAD], forgiven[STATS_NBAD];
    uint64_t log_dropped, accept_failed;
    uint64_t rate_limited, concurrency_limited, faults;
    uint64_t overload_refused, overload_closed;
    uint64_t connections, requests_in_flight;           /* gauges */
    uint64_t memory_used, descriptors_used, overloaded; /* gauges; workers above a mark */
    uint64_t worker_restarts, controller_restarts;
};
void sampler_process(const struct stats *stats, struct sampler_process *out);
/* Evaluations counted in flag cell CELL, by enum flag_reason. */
void sampler_flag(const struct stats *stats, uint32_t cell, uint64_t out[STATS_FLAG_REASONS]);

/* --- windows --- */
struct sampler_window {
    uint64_t span_ms;  /* what the samples cover: at most what was asked; 0: none yet */
    uint64_t requests; /* in the span */
    uint64_t judged, errors;
    uint64_t routed;
    double rps;                    /* requests a second */
    double error_ratio;            /* errors / judged; 0 when nothing was judged */
    double p50_ms, p95_ms, p99_ms; /* of duration, upper bucket edges; 0 when empty */
    uint64_t in_flight;            /* now */
};
/* Sum over CELLS (the versions of a service; one cell for one version). */
void sampler_window(const struct sampler *s, const uint32_t *cells, size_t n,
                    uint64_t window_ms, struct sampler_window *out);

struct sampler_endpoint_window {
    uint64_t span_ms, requests, errors, in_flight;
    double rps;
};
void sampler_endpoint_window(const struct sampler *s, uint32_t cell, uint64_t window_ms,
                             struct sampler_endpoint_window *out);

/*
 * Realised share: out[i] = share of cells[i] in the split decisions (overrides left out) of all
 * N cells within the window, 0..100 (per cent). False and all zero: no decision was made.
 */
bool sampler_shares(const struct sampler *s, const uint32_t *cells, size_t n,
                    uint64_t window_ms, double *out);
