/*
 * change.h - how anything about a service changes: stored, then said, then made so.
 *
 * One transaction holds the overlay, the rollout that caused it, the event and the audit
 * record. When it fails nothing has changed. The exception is an urgent change (a revert),
 * which is published before it is stored and stays when storing fails.
 */
#pragma once
#include "control/engine/events.h"
#include "control/engine/publish.h"

struct engine;

struct change {
    const char *service;
    json_t *doc;      /* stolen: the service's overlay from now on; NULL: as it is */
    struct fact fact; /* .type NULL: no event; .service is filled in */
    const char *what; /* for the audit: "weights.set"; NULL: none (only a rollout's tick) */
    const char *actor, *reason;
    const char *rollout; /* id of the rollout whose DOCUMENT is stored with it, or NULL */
    const json_t *document;
    bool urgent;
    uint64_t generation; /* out: the snapshot that will carry it; 0: none */
};

/*
 * 0: stored and under way to the workers; CB (may be NULL) tells when it is live. When nothing
 * is to be published (no doc) CB must be NULL. -1: nothing has changed, except if urgent;
 * change_error says why.
 */
int change_apply(struct engine *e, struct change *c, publish_cb *cb, void *arg) MUST_CHECK;
const char *change_error(const struct engine *e);
