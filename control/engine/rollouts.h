/*
 * rollouts.h - the shell around the rollout machine: clock, counters, store, workers.
 *
 * The machine (control/rollout) decides; here its events are made (a tick each ROLLOUTS_TICK_MS
 * while something is active, counters since the last tick, weights that became live) and its
 * effects carried out. A transition is stored before it is published, so that a controller that
 * was killed goes on where the store says; only a weight of 0 is published first.
 */
#pragma once
#include "control/engine/publish.h"
#include "control/rollout/machine.h"

#include <jansson.h>

#define ROLLOUTS_TICK_MS   250
#define ROLLOUTS_SAVE_MS   1000 /* evidence without a transition is stored this often */
#define ROLLOUTS_SETTLE_MS 3000 /* after the end: requests still in flight are counted */
#define ROLLOUTS_KEPT      200  /* the newest, active ones not counted */
#define ROLLOUTS_DECISIONS 200  /* newest verdicts kept of each */
#define ROLLOUTS_STORY     200 /* transitions kept of each; the oldest, later ones are left out */

struct engine;
struct rollouts;

/* Counters of one version as of the last tick. */
struct rollout_cursor {
    uint64_t judged, errors, events, routed, clients;
    uint64_t taken; /* routed and overridden */
    uint64_t hist[HIST_BUCKETS];
};

struct rollout_entry { /* owned by rollouts; read-only for others */
    TAILQ_ENTRY(rollout_entry) link;
    struct rollout r;
    uint64_t number; /* N of "r-N" */
    uint64_t boot;   /* shared memory that the cursors are of */
    struct rollout_cursor stable, canary;
    uint64_t exposed, bad;        /* requests and errors on the canary so far */
    uint64_t published;           /* generation that carries r.weight */
    uint64_t verdict_us;          /* monotonic: the verdict or command that took it back; 0 */
    uint64_t reverted_us;         /* monotonic: weight 0 live everywhere; 0: not */
    uint64_t reverted_ms;         /* the same moment by the wall clock */
    uint64_t saved_ms, judged_ms; /* monotonic: last save, last kept decision */
    json_t *decisions;            /* newest last */
    json_t *story;                /* its transitions, oldest first */
    bool keyed;                   /* the split deals out clients, not requests */
    bool settling;                /* terminal, numbers still move */
};

struct rollouts *rollouts_new(struct engine *e);
void rollouts_free(struct rollouts *rs);
/* Load what the store has and go on with what is active. */
void rollouts_resume(struct rollouts *rs);

/* Why a command was not carried out: an HTTP status, a stable code, a sentence. */
struct refusal {
    int status;
    const char *code;
    char pointer[SPEC_POINTER_MAX];
    char message[SPEC_MESSAGE_MAX + 128];
};
/* Fills R; returns -1. */
int refuse(struct refusal *r, int status, const char *code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Who asks, and why (may be ""). */
struct requester {
    const char *actor, *reason;
};

/*
 * Start SPEC on SERVICE. NULL: WHY says what is in the way and nothing has changed. Otherwise
 * CB tells when the registration is live on all workers; but not of one that is pending, behind
 * another one that is under way (SPEC's "supersede"): nothing is published yet.
 */
const struct rollout_entry *rollouts_start(struct rollouts *rs, const char *service,
                                           const struct spec *spec, struct requester who,
                                           publish_cb *cb, void *arg, struct refusal *why);
/* The same checks without doing anything: 0 or -1. */
int rollouts_check(struct rollouts *rs, const char *service, const struct spec *spec,
                   struct refusal *why) MUST_CHECK;
/*
 * A command of an operator. 1: done, and CB tells when its weight is live everywhere. 0: done,
 * no weight has changed and CB is not called. -1: refused, WHY says so.
 */
int rollouts_command(struct rollouts *rs, const char *id, enum rollout_event_type command,
                     struct requester who, publish_cb *cb, void *arg,
                     struct refusal *why) MUST_CHECK;

const struct rollout_entry *rollouts_get(const struct rollouts *rs, const char *id);
/* The one that owns SERVICE's weights, or NULL. */
const struct rollout_entry *rollouts_active(const struct rollouts *rs, const char *service);
/* The newest of SERVICE that can still be undone, or NULL. */
const struct rollout_entry *rollouts_undoable(const struct rollouts *rs, const char *service);
/* All, newest first; NULL ends. */
const struct rollout_entry *rollouts_first(const struct rollouts *rs);
const struct rollout_entry *rollouts_next(const struct rollout_entry *r);

/* A snapshot was answered by the workers, or health changed: what hangs on it goes on. */
void rollouts_applied(struct rollouts *rs, const struct publish_result *r);
void rollouts_health(struct rollouts *rs);
/* The config was read again: rollouts of services that are gone are aborted. */
void rollouts_reloaded(struct rollouts *rs);

/* CB is told of every change of any rollout, from the loop. */
struct rollouts_watcher;
typedef void rollouts_cb(void *arg, const struct rollout_entry *r);
struct rollouts_watcher *rollouts_watch(struct rollouts *rs, rollouts_cb *cb, void *arg);
void rollouts_unwatch(struct rollouts *rs, struct rollouts_watcher *w);
