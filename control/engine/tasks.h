/*
 * tasks.h - the checks of rollouts, carried out: smoke requests and hooks over HTTP.
 *
 * A task is one step of one rollout; TASKS_CB is called once for it, on a later turn, unless it
 * is cancelled. Every try of it, also after a restart of the controller, carries the same
 * Idempotency-Key, so that a receiver can tell a repetition.
 */
#pragma once
#include "control/rollout/machine.h"

struct engine;
struct tasks; /* all that run */

/* OK, or WHY says what was seen (also when OK). Valid during the call. */
typedef void tasks_cb(void *arg, const char *rollout, uint32_t step, bool ok, const char *why);

struct tasks *tasks_new(struct engine *e, tasks_cb *cb, void *arg);
void tasks_free(struct tasks *ts); /* what runs is cancelled */

/* Run the check of R's current step; what R had running is cancelled. R is not kept. */
void tasks_run(struct tasks *ts, const struct rollout *r);
/* Whatever runs for the rollout ID is cancelled. */
void tasks_cancel(struct tasks *ts, const char *id);
