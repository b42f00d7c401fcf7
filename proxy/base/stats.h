/*
 * stats.h - counters and histograms in shared memory: evidence flows up.
 *
 * One memfd holds a header and MAX_WORKERS+1 slabs. Slab i is written by worker i alone, with
 * relaxed stores and no locks (an upgrade gives the new workers slabs beside those of the old
 * ones); the last slab is the *retired* one, written by the supervisor alone. When a worker
 * dies the supervisor adds its counters to the retired slab and zeroes the worker's slab, so
 * sums over all slabs never go back and gauges never leak. Readers that see `fold_seq` odd or
 * changed around a sum take it again.
 *
 * A *cell* is the index of a version or endpoint in every slab. The controller hands cells out
 * (stable while the name lives, reused only after all workers have applied a snapshot without
 * it) and names them in the routing snapshot. Cell 0 is "no version": proxy-made answers.
 */
#pragma once
#include "proxy/base/clients.h"
#include "proxy/base/exemplar.h"
#include "proxy/base/grpc_status.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_MAGIC        0x534c4331u /* SLC1 */
#define STATS_MAX_WORKERS  64
#define STATS_VERSIONS     4096
#define STATS_ENDPOINTS    16384
#define STATS_FLAG_CELLS   4096
#define STATS_FLAG_REASONS 5                 /* as enum flag_reason */
#define STATS_RETIRED      STATS_MAX_WORKERS /* index of the retired slab */

/* A counter or gauge with one writer: plain relaxed load and store, no bus lock. */
typedef _Atomic uint64_t stat_t;

static inline void stat_add(stat_t *s, uint64_t n)
{
    atomic_store_explicit(s, atomic_load_explicit(s, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void stat_sub(stat_t *s, uint64_t n)
{
    atomic_store_explicit(s, atomic_load_explicit(s, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline void stat_set(stat_t *s, uint64_t n)
{
    atomic_store_explicit(s, n, memory_order_relaxed);
}

static inline uint64_t stat_get(const stat_t *s)
{
    return atomic_load_explicit((stat_t *)s, memory_order_relaxed);
}

/* Methods and codes that are counted apart; bounded, so series are bounded. */
#define STATS_METHODS(X)                                                                       \
    X(GET)                                                                                     \
    X(HEAD)                                                                                    \
    X(POST)                                                                                    \
    X(PUT)                                                                                     \
    X(PATCH)                                                                                   \
    X(DELETE)                                                                                  \
    X(OPTIONS)                                                                                 \
    X(OTHER)
enum stats_method {
#define X(m) STATS_METHOD_##m,
    STATS_METHODS(X)
#undef X
        STATS_NMETHODS
};
#define STATS_NCODES 64 /* codes of their own; the rest of a class is counted as x00 */

/* 0..STATS_NCODES-1 for a status 100..599; stats_code() is its inverse ("404"). */
int stats_code_index(int status);
int stats_code(int index); /* 0 for an unused index */
const char *stats_method_name(enum stats_method m);

/* What circuit breakers count of a version. */
enum stats_held {
    STATS_CONNECTIONS, /* open to its endpoints, idle ones included */
    STATS_PENDING,     /* requests that wait for one */
    STATS_RETRYING,    /* requests in their second or later try */
    STATS_NHELD
};

/* What became of a copy of a request (mirroring). */
#define STATS_MIRRORS(X)                                                                       \
    X(OK, "ok")         /* answered below 500 */                                               \
    X(ERROR, "error")   /* answered with 500 or above */                                       \
    X(FAILED, "failed") /* no answer: no endpoint, refused, reset, malformed */                \
    X(TIMEOUT, "timeout")                                                                      \
    X(BUSY, "busy")        /* not made: too many under way */                                  \
    X(MEMORY, "no_memory") /* not made: what is under way holds too much */                    \
    X(LARGE, "too_large")  /* not made: the body */                                            \
    X(CUT, "cut")          /* the client did not finish its request */
enum stats_mirror {
#define X(id, name) STATS_MIRROR_##id,
    STATS_MIRRORS(X)
#undef X
        STATS_NMIRROR
};
const char *stats_mirror_name(enum stats_mirror m);

/* Everything a version's traffic leaves behind. A *request* is an exchange with this version.
 */
struct stats_version {
    /* counters */
    stat_t requests[STATS_NCODES][STATS_NMETHODS]; /* answers sent, by code and method */
    stat_t grpc[GRPC_STATUS_COUNT];                /* calls, by how they ended */
    stat_t judged; /* exchanges that count for the judge: not client aborts */
    stat_t errors; /* of those: status >= 500, a gRPC error, upstream failure or timeout */
    stat_t connect_failed;     /* attempts that never got a connection */
    stat_t retries;            /* second and later attempts */
    stat_t hedges, hedges_won; /* attempts beside others; those that were answered first */
    stat_t client_aborts;
    stat_t pending_overflows, pending_timeouts; /* requests that got no connection in time */
    stat_t mirrored[STATS_NMIRROR];             /* copies meant for this version */
    stat_t mirror_sum_us, mirror_duration[HIST_BUCKETS]; /* copy sent to end of its answer */
    stat_t routed;              /* split decisions for this version, overrides left out */
    stat_t overridden;          /* decisions by override or flag */
    stat_t bytes_in, bytes_out; /* bodies: from clients, to clients */
    stat_t duration_sum_us, first_byte_sum_us;
    stat_t duration[HIST_BUCKETS];    /* whole exchange, head received to last byte sent */
    stat_t first_byte[HIST_BUCKETS];  /* request forwarded to response head; no connect time */
    stat_t judged_time[HIST_BUCKETS]; /* likewise, what the judge takes of it while it looks */
    stat_t judged_events;             /* of errors, those that count by client */
    stat_t judged_clients;            /* requests that were their clients' first */
    stat_t last_routed_us; /* gauge-like: clock_mono_us of the latest exchange begun */
    /* gauges: zeroed when the worker dies, never folded */
    stat_t in_flight;
    stat_t held[STATS_NHELD]; /* if the service limits it */
    stat_t waiting_since_us;  /* of the first that waits for a connection; 0: nobody */
    struct exemplar_slot exemplars[EXEMPLARS]; /* of duration; they go with the worker */
};

/* Why a worker leaves an endpoint alone, as labels of sluice_endpoint_ejections_total{reason}.
 */
#define STATS_EJECTIONS(X)                                                                     \
    X(ROW, "consecutive_errors")                                                               \
    X(SHARE, "failure_share")                                                                  \
    X(SLOW, "latency_factor")                                                                  \
    X(RELAPSE, "relapse") /* it came back and failed before it answered */
enum stats_ejection {
#define X(id, name) STATS_EJECTED_##id,
    STATS_EJECTIONS(X)
#undef X
        STATS_NEJECTED
};
const char *stats_ejection_name(enum stats_ejection e);

struct stats_endpoint {
    stat_t requests, errors, connect_failed; /* counters, as are */
    stat_t ejections[STATS_NEJECTED];
    stat_t in_flight, connections, idle; /* gauges */
    stat_t ejected_until_us; /* gauge: clock_mono_us; in the future: this worker avoids it */
};

/* Kinds of bad input, as labels of sluice_http_violations_total{kind}; at most 32, as sets of
 * them are words. */
#define STATS_VIOLATIONS(X)                                                                    \
    X(REQUEST_LINE, "request_line")                                                            \
    X(VERSION, "version")                                                                      \
    X(METHOD, "method")                                                                        \
    X(TARGET, "target")                                                                        \
    X(HOST, "host")                                                                            \
    X(FIELD_NAME, "field_name")                                                                \
    X(FIELD_VALUE, "field_value")                                                              \
    X(OBS_FOLD, "obs_fold")                                                                    \
    X(BARE_LF, "bare_lf")                                                                      \
    X(CONTENT_LENGTH, "content_length")                                                        \
    X(TRANSFER_ENCODING, "transfer_encoding")                                                  \
    X(CL_AND_TE, "cl_and_te")                                                                  \
    X(CHUNK, "chunk")                                                                          \
    X(TRAILER, "trailer")                                                                      \
    X(HEAD_SIZE, "head_size")                                                                  \
    X(URI_SIZE, "uri_size")                                                                    \
    X(FIELD_COUNT, "field_count")                                                              \
    X(LOOKALIKE, "lookalike")                                                                  \
    X(EXPECT, "expect")                                                                        \
    X(UPGRADE, "upgrade")                                                                      \
    X(TIMEOUT, "timeout")                                                                      \
    X(RESPONSE, "response")                                                                    \
    X(PROXY_HEADER, "proxy_header")                                                            \
    X(HTTP2, "http2")
enum stats_violation {
#define X(id, name) STATS_BAD_##id,
    STATS_VIOLATIONS(X)
#undef X
        STATS_NBAD
};
const char *stats_violation_name(enum stats_violation v);

enum stats_overload { STATS_OVER_MEMORY = 1, STATS_OVER_DESCRIPTORS = 2 };

struct stats_slab {
    /* who writes it */
    stat_t pid;           /* 0: nobody */
    stat_t started_ms;    /* wall clock */
    stat_t heartbeat_us;  /* monotonic; stored once a loop turn at most, at least each second */
    stat_t generation;    /* routing snapshot applied */
    stat_t flags_version; /* flag-set snapshot applied */
    /* counters */
    stat_t connections_total, requests_total, rejected, no_route, no_endpoint;
    stat_t violations[STATS_NBAD];
    stat_t forgiven[STATS_NBAD]; /* those that a lenient listener took all the same */
    stat_t log_dropped;          /* access log lines that could not be written */
    stat_t accept_failed;        /* descriptor or memory limit */
    stat_t loop_turns;
    stat_t rate_limited, concurrency_limited; /* requests refused by a limit of their route */
    stat_t faults;                            /* requests that a drill delayed or aborted */
    stat_t overload_refused;                  /* requests, above a mark */
    stat_t overload_closed;                   /* idle connections of clients, likewise */
    /* gauges */
    stat_t connections, requests_in_flight;
    stat_t memory_used;      /* bytes, of buffers, requests and connections */
    stat_t descriptors_used; /* by connections */
    stat_t overloaded;       /* bits of stats_overload */
    /* counters: evaluations by cell (a variant of a flag, or none of it) and reason; cell 0 is
     * everything that has no cell of its own */
    stat_t flag_evaluations[STATS_FLAG_CELLS][STATS_FLAG_REASONS];
    struct stats_version versions[STATS_VERSIONS];
    struct stats_endpoint endpoints[STATS_ENDPOINTS];
};

#define STATS_CLIENT_TABLES 32 /* services whose clients can be told apart at a time */

/* The one thing here that many write: whose events were seen, for one rollout. */
struct stats_clients {
    _Atomic uint64_t epoch; /* of the rollout; whoever brings another empties the tables */
    struct clients seen, errors;
};
/* Of table I (1..STATS_CLIENT_TABLES), emptied if it is not EPOCH's yet. What others count in
 * that moment may be lost. */
struct stats;
struct stats_clients *stats_clients(struct stats *s, uint32_t table, uint64_t epoch);

struct stats {
    uint32_t magic, workers;
    _Atomic uint32_t used;  /* of workers, from the first on, that may be in use */
    stat_t fold_seq;        /* odd while the supervisor folds a dead worker's slab */
    stat_t worker_restarts; /* written by the supervisor */
    stat_t controller_restarts;
    struct stats_slab slabs[STATS_MAX_WORKERS + 1];
    struct stats_clients clients[STATS_CLIENT_TABLES];
};

/* Slabs of workers that a reader has to look at. */
static inline unsigned stats_slabs(const struct stats *s)
{
    unsigned n = atomic_load_explicit((_Atomic uint32_t *)&s->used, memory_order_relaxed);

    return n < STATS_MAX_WORKERS ? n : STATS_MAX_WORKERS;
}

/* Slabs below N may be in use from now on. Supervisor only. */
void stats_use_slabs(struct stats *s, unsigned n);

/* A sealed-size memfd of sizeof(struct stats), pages appear as they are touched. -1: errno. */
int stats_create(unsigned workers);
/* Map it. WRITABLE for supervisor and workers. NULL: errno, or the magic does not match. */
struct stats *stats_map(int fd, int writable);
void stats_unmap(struct stats *s);
/* Supervisor only: add slab WORKER's counters to the retired slab and zero it. FD is what S was
 * mapped from: pages that nobody ever wrote are skipped, as reading them would allocate them.
 */
void stats_retire(struct stats *s, int fd, unsigned worker);
