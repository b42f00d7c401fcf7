/*
 * workers.h - the controller's end of the supervisor's socket: what the proxy runs right now.
 *
 * Snapshots go down and are *applied* when every worker that is up has acked them or a newer
 * one; a worker that starts later gets the newest from the supervisor before it accepts. All
 * callbacks come from the loop, never from inside a call made here.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"
#include "proxy/event/ipc.h"
#include "proxy/event/loop.h"

#define WORKERS_TIMEOUT_MS 5000 /* for the workers' answer to a snapshot */

struct workers;

/* One worker slot as the supervisor last described it. */
struct workers_row {
    unsigned slot;
    enum ipc_worker_state state;
    long pid; /* 0 when there is none */
    uint64_t restarts;
    uint64_t backoff_ms; /* how long the supervisor waits before the next start; 0: not */
    uint64_t generation; /* routing snapshot acked by this process; 0: none yet */
    uint64_t sequence;   /* flag-set snapshot acked by this process; 0: none yet */
    char reason[128];    /* why it is not up ("killed by signal 9"), or empty */
};

/* Everything in here is optional: NULL is not called. Text and documents are valid during the
 * callback; a descriptor belongs to the callback. */
struct workers_callbacks {
    /* The effective config (conf_dump without redaction; conf_parse reads it) of the file at
     * PATH. GENERATION and SEQUENCE are the highest relayed so far: the next must be higher. */
    void (*config)(void *arg, struct str doc, struct str path, uint64_t generation,
                   uint64_t sequence);
    /* The certificates in use: a JSON array of {"listener" or "service","file","names",
     * "not_after"}, the last in ms since 1970. */
    void (*certificates)(void *arg, struct str doc);
    /* How health checks speak TLS: DOC is of proxy/event/tls_spec.h, without listeners. */
    void (*check_tls)(void *arg, struct str doc);
    /* ROW changed its state, pid or reason. Also told once for each slot at the start. */
    void (*worker)(void *arg, const struct workers_row *row);
    /* A reload is over, asked for by workers_request_reload or by SIGHUP. OK: the new config
     * came just before. Otherwise DIAGS is a JSON array of the mistakes. */
    void (*reloaded)(void *arg, bool ok, struct str diags);
    /* Accept the control API on FD: KIND is "control", "control_tcp" or "telemetry". */
    void (*listen_api)(void *arg, struct str kind, int fd);
    /* The proxy is going down and will be gone in DEADLINE_MS at the latest. */
    void (*draining)(void *arg, uint64_t deadline_ms);
    /* The supervisor is gone: nothing is left to control. */
    void (*gone)(void *arg);
};

/* FD is the supervisor's socket (3 in sluice-control), taken over. CALLBACKS is borrowed. */
struct workers *workers_open(struct loop *l, int fd, const struct workers_callbacks *callbacks,
                             void *arg);
/* No callback comes after this, also not of publications that are under way. */
void workers_close(struct workers *w);

/* ERROR == NULL: live in every worker that is up. Otherwise what went wrong, with the slots:
 * "worker 1: refused: ...", "no answer from workers 0, 2 within 5 s". Some workers may have
 * applied it all the same. */
typedef void workers_applied_cb(void *arg, const char *error);

/*
 * Send DOC, which is a routing snapshot (config/snapshot.h) or a flag-set snapshot
 * (config/flagset.h), to all workers. Its number must be higher than that of any before; the
 * supervisor drops others. CB (may be NULL) is called exactly once, never before this returns.
 */
void workers_publish_snapshot(struct workers *w, uint64_t generation, struct str doc,
                              workers_applied_cb *cb, void *arg);
void workers_publish_flags(struct workers *w, uint64_t sequence, struct str doc,
                           workers_applied_cb *cb, void *arg);

/* Have the supervisor read the config file again; the answer is `reloaded`. */
void workers_request_reload(struct workers *w);
/* Tell the supervisor that the control API is being served. */
void workers_ready(struct workers *w);

/* Slots in order; the array lives as long as W and its rows change with the callbacks. */
const struct workers_row *workers_rows(const struct workers *w, size_t *n);
