/*
 * notices.h - telling others what happens to rollouts: webhooks, Slack, PagerDuty, e-mail.
 *
 * A notice is in the store before the first try and leaves it after the last, so nothing is
 * forgotten by a restart; what is acknowledged is not sent again, what the receiver got without
 * our hearing so is sent twice with the same id. Notices for one target leave in the order of
 * the events; a target that does not answer delays no other one, and never a rollout.
 */
#pragma once
#include "control/rollout/machine.h"

#include <jansson.h>

struct engine;
struct notices;

#define NOTICES_MAX     1000              /* waiting ones; what comes then is dropped, loudly */
#define NOTICES_FROM_MS 1000              /* wait after the first failure; doubled each time */
#define NOTICES_MOST_MS (5 * 60 * 1000)   /* but not above this */
#define NOTICES_LIFE_MS (24ull * 3600000) /* of one; then it is given up */

struct notices *notices_new(struct engine *e); /* hears of events from now on */
void notices_free(struct notices *ns);
/* Go on with what an earlier run has left. Rollouts must have been read. */
void notices_resume(struct notices *ns);
/*
 * Send EV to ENTRY of R's "notify" (NULL: a no-op), whatever events that asks for; KEY names
 * the notice. It is stored in the caller's transaction: -1 means that it cannot be and the
 * transaction is doomed; it is sent all the same.
 */
MUST_CHECK int notices_add(struct notices *ns, const json_t *entry, const json_t *ev,
                           const struct rollout *r, const char *key);
