/*
 * metrics.h - everything that is counted, as Prometheus text (0.0.4) or OpenMetrics (1.0.0).
 *
 * Pure but for reading the shared counters: the caller describes what exists (names and cells)
 * in a struct metrics and gets text. Every list may be empty; text is borrowed. Label values
 * are escaped here; a family without samples is left out.
 */
#pragma once
#include "proxy/base/stats.h"
#include "proxy/base/str.h"

enum metrics_format { METRICS_TEXT, METRICS_OPEN };

#define METRICS_TYPE      "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPEN_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct metrics_version { /* one for each version of each service */
    struct str service, version;
    uint32_t cell;  /* stats_slab.versions; 0: not counted */
    double weight;  /* set: 0..1 */
    double traffic; /* actual: 0..1; NaN: no traffic, no sample */
};
struct metrics_endpoint {
    struct str service, version, endpoint;
    uint32_t cell; /* stats_slab.endpoints; 0: not counted */
    bool up;
};
struct metrics_name { /* one for each name of endpoints that is looked up */
    struct str name;
    bool up; /* the latest questions were answered */
    uint64_t addresses, lookups, failures;
};
struct metrics_rollout { /* one for each rollout that has not ended */
    struct str service, id, strategy, version, stable;
    struct str state; /* "stepping" */
    unsigned step;    /* from 1 */
};
struct metrics_evalue {
    struct str service, class_name; /* "error", "latency_p50" */
    double value;
};
struct metrics_result { /* sluice_rollouts_total: rollouts that ended, since the store exists */
    struct str service, result; /* "succeeded", "reverted", "aborted" */
    uint64_t count;
};
struct metrics_revert { /* of reverted rollouts, newest for each service */
    struct str service;
    double latency_s;      /* sluice_rollback_latency_seconds: verdict -> off on all workers */
    uint64_t bad_requests; /* sluice_bad_version_requests_total: exposed, sum */
};
struct metrics_flag { /* one for each counted (flag, variant, reason) */
    struct str flag, variant, reason;
    uint64_t count;
};

struct metrics_certificate { /* one for each that is in use */
    struct str owner;        /* "listener web", "service shop" */
    struct str file, names;
    double not_after;   /* seconds since 1970 */
    struct str ocsp;    /* file of the response; empty: none */
    double ocsp_update; /* when that one ends, as not_after; 0: it does not say */
};

enum metrics_redis { METRICS_REDIS_OFF, METRICS_REDIS_UP, METRICS_REDIS_DOWN };

struct metrics {
    const struct stats *stats;
    const struct metrics_version *versions;
    size_t nversions;
    const struct metrics_endpoint *endpoints;
    size_t nendpoints;
    const struct metrics_name *names;
    size_t nnames;
    const struct metrics_rollout *rollouts;
    size_t nrollouts;
    const struct metrics_evalue *evalues;
    size_t nevalues;
    const struct metrics_result *results;
    size_t nresults;
    const struct metrics_revert *reverts;
    size_t nreverts;
    const struct metrics_flag *flags;
    size_t nflags;
    const struct metrics_certificate *certificates;
    size_t ncertificates;
    const char *version; /* of the build */
    enum metrics_redis redis;
    double flags_stale_seconds; /* negative: no flags, no sample */
    bool flags_regressed;       /* Redis shows an older version than is served */
    size_t flags_quarantined;
    bool config_ok;      /* the last reload (or start) took */
    uint64_t generation; /* newest routing snapshot */
    uint64_t workers_up;
};

/* The text, malloc'd (xfree), NUL-terminated; its length in *N. */
char *metrics_text(const struct metrics *m, enum metrics_format format, size_t *n);
