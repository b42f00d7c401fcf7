/*
 * publish.h - making it so: from the desired state to all workers.
 *
 * Changes of one loop turn become one snapshot. Generations rise strictly, above everything
 * that any worker may have seen. A snapshot that every worker has applied is saved as
 * state_dir/snapshot.json, which the workers start from when there is no controller yet. One
 * that was refused or not confirmed is tried again every PUBLISH_RETRY_MS with a new number.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"
#include "proxy/event/loop.h"

#define PUBLISH_RETRY_MS 2000
#define PUBLISH_SAVE_MS  10000 /* the same for one that could not be saved */

struct desired;
struct publish;
struct store;
struct workers;

struct publish_result {
    uint64_t generation;
    uint64_t at_us, at_ms; /* when the last worker confirmed: monotonic, wall */
    const char *error;     /* NULL: live on every worker. Valid during the call */
};
typedef void publish_cb(void *arg, const struct publish_result *r);

struct publish_options {
    struct loop *loop;
    struct workers *workers;
    struct desired *desired;
    struct store *store;  /* keeps the stats cells that new names were given */
    struct str state_dir; /* copied */
    uint64_t generation;  /* highest that may have been seen */
    publish_cb *applied;  /* told of every outcome, before those who asked for it */
    void *arg;
};
struct publish *publish_new(const struct publish_options *o);
void publish_free(struct publish *p); /* callbacks that wait are not called */

/* Publish the desired state as it will be at the end of this turn. CB (may be NULL) runs once,
 * never before this returns. Returns the generation that it will have. */
uint64_t publish_request(struct publish *p, publish_cb *cb, void *arg);
/* What was requested goes out now, not at the end of the turn: for reverts. */
void publish_flush(struct publish *p);
/* Take CB(ARG) off: it is not called any more. */
void publish_forget(struct publish *p, publish_cb *cb, void *arg);

uint64_t publish_applied(const struct publish *p); /* newest live everywhere; 0: none yet */
/* What is wrong at the moment ("worker 1: refused: ..."), or NULL. */
const char *publish_trouble(const struct publish *p);
