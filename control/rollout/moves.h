/*
 * moves.h - the transitions of a rollout. Private to its machine.
 *
 * Each is one change of state with its one event line in FX; EV is what made it happen.
 */
#pragma once
#include "control/rollout/machine.h"

/* The event line of this change; there is at most one. */
void move_say(struct rollout_effects *fx, const char *type, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* " by ann: reason", for the end of a line; empty for facts. Returns BUF. */
const char *move_by(char buf[128], const struct rollout_event *ev);
/* A change that watchers should see. */
void move_touch(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx);
/* May a rollout go from A to B in one step? A state that is entered anew is an edge, too. */
bool move_allowed(enum rollout_state a, enum rollout_state b);
/* The only writer of r->state; asserts that there is such an edge. */
void move_enter(struct rollout *r, enum rollout_state to, const struct rollout_event *ev,
                struct rollout_effects *fx);
/* Ask for WEIGHT, in 0.01 %, and wait until it is live. */
void move_weight(struct rollout *r, uint32_t weight, struct rollout_effects *fx);
/* Into STEP: the first, or the one behind the current. An endpoint is up. */
void move_step(struct rollout *r, uint32_t step, const struct rollout_event *ev,
               struct rollout_effects *fx);
/* The current step is done: into the next, or the bake, or the end. */
void move_advance(struct rollout *r, const struct rollout_event *ev,
                  struct rollout_effects *fx);
void move_hold(struct rollout *r, enum rollout_reason reason, const struct rollout_event *ev,
               struct rollout_effects *fx, const char *text);
/* Back to the state that it held in. */
void move_resume(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx,
                 const char *text);
/* Back to 0, before anything else. WHY is the reason for the record. */
void move_abort(struct rollout *r, enum rollout_outcome outcome, const char *why,
                const struct rollout_event *ev, struct rollout_effects *fx);
/* The same by the verdict in EV. */
void move_regressed(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx);
/* Weight 0 is live on all workers: the end, by r->result.outcome. */
void move_reverted(struct rollout *r, const struct rollout_event *ev,
                   struct rollout_effects *fx);
void move_finalize(struct rollout *r, const struct rollout_event *ev,
                   struct rollout_effects *fx);
void move_succeed(struct rollout *r, const struct rollout_event *ev,
                  struct rollout_effects *fx);
