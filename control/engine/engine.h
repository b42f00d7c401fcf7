/*
 * engine.h - the controller without its API: every part, and who owns what.
 *
 * The engine begins when the supervisor's first IPC_CONFIG arrives: that names the state
 * directory, hence the store, hence everything else. From then on the parts below are never
 * NULL until engine_free. Parts are used directly through their own headers (desired.h for what
 * should be, publish.h for making it so, events.h for saying so, rollouts.h for deciding).
 *
 * Invariant: what an API answer or an event claims is in the store before it is said, except an
 * automatic revert, which is published first and stored next.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"
#include "proxy/base/vec.h"
#include "proxy/event/loop.h"

struct desired;
struct dns;
struct events;
struct fetcher;
struct flagsync;
struct health;
struct escalation;
struct notices;
struct publish;
struct rollouts;
struct sampler;
struct stats;
struct store;
struct workers;
struct workers_row;

/* Somebody waits for the end of a reload. Called once, never from inside a call made here. */
typedef void engine_reload_cb(void *arg, bool ok, struct str diags); /* DIAGS: a JSON array */
struct engine_reload {
    engine_reload_cb *cb;
    void *arg;
};

#define ENGINE_MAGIC 0x454e474eu /* ENGN */

struct engine { /* owned by main; its parts are owned by it */
    uint32_t magic;
    struct loop *loop;       /* borrowed */
    struct stats *stats;     /* borrowed, mapped read-only */
    struct workers *workers; /* borrowed */
    struct store *store;
    struct events *events;
    struct desired *desired;
    struct publish *publish;
    struct fetcher *fetcher;
    struct health *health;
    struct dns *dns;
    struct sampler *sampler;
    struct rollouts *rollouts;
    struct notices *notices;
    struct escalation *escalation;
    struct flagsync *flagsync;
    uint64_t started_ms; /* wall clock */
    uint64_t started_us; /* monotonic */
    uint64_t boot;       /* names this shared memory: counters start again with another */
    bool draining;       /* the proxy goes down: readyz says 503 */
    bool store_failing;  /* the latest write did not work */
    char *config_path;
    char revision[17];           /* of the effective config: hex */
    uint64_t config_loaded_ms;   /* wall clock */
    bool config_rejected;        /* the latest reload was refused */
    struct json_t *certificates; /* in use: an array as of IPC_CERTIFICATES, or NULL */
    VEC(struct engine_reload) reloads;
};

/*
 * Build everything from the effective config DOC of the file PATH. GENERATION and SEQUENCE are
 * the highest snapshot numbers that the workers may have seen. NULL: *WHY is a malloc'd reason
 * (xfree); a store that cannot be opened is one. Texts are copied.
 */
struct engine_options {
    struct loop *loop;
    struct stats *stats;
    struct workers *workers;
    uint64_t boot; /* names the shared memory that STATS maps */
    struct str doc, path;
    uint64_t generation, sequence;
};
struct engine *engine_new(const struct engine_options *o, char **why) MUST_CHECK;
void engine_free(struct engine *e);

/* A later IPC_CONFIG: the file was read again. Weights, API versions and rollouts stay. */
void engine_config(struct engine *e, struct str doc, struct str path);
/* The supervisor's answer to a reload; DIAGS is a JSON array, empty text when OK. */
void engine_reloaded(struct engine *e, bool ok, struct str diags);
/* The certificates in use have changed; DOC as of IPC_CERTIFICATES. */
void engine_certificates(struct engine *e, struct str doc);
/* How health checks speak TLS; DOC as of IPC_CHECK_TLS. */
void engine_check_tls(struct engine *e, struct str doc);
void engine_worker(struct engine *e, const struct workers_row *row);

#define ENGINE_CERT_WARN_MS (14ull * 24 * 3600 * 1000) /* before a certificate ends */
#define ENGINE_OCSP_WARN_MS (12ull * 3600 * 1000)      /* before an OCSP response ends */

/* Ask for a reload. CB runs once: the new config is live on all workers, or DIAGS says why not.
 */
void engine_request_reload(struct engine *e, engine_reload_cb *cb, void *arg);

/* What an operator should know: appends strings to the JSON array LIST. */
struct json_t;
void engine_warnings(const struct engine *e, struct json_t *list);

/* The desired view has changed: health checks and sampling follow it. */
void engine_retrack(struct engine *e);
