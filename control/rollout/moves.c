/*
 * moves.c - the transitions.
 *
 * Each goes through move_enter, which checks the edge table, and says what happened in one
 * event line. The weight is written by move_weight alone: up only from move_step, down to 0
 * only from move_abort.
 */
#include "control/rollout/moves.h"
#include "proxy/base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TO(s) (1u << ROLLOUT_##s)
static const unsigned edges[ROLLOUT_NSTATES] = {
    [ROLLOUT_PENDING] = TO(WARMING) | TO(REVERTED) | TO(SUPERSEDED),
    [ROLLOUT_WARMING] = TO(STEPPING) | TO(PROMOTING) | TO(HOLDING) | TO(ABORTING),
    [ROLLOUT_STEPPING] =
        TO(STEPPING) | TO(PROMOTING) | TO(HOLDING) | TO(BAKING) | TO(FINALIZING) | TO(ABORTING),
    [ROLLOUT_HOLDING] = TO(HOLDING) | TO(WARMING) | TO(STEPPING) | TO(PROMOTING) | TO(BAKING) |
                        TO(FINALIZING) | TO(ABORTING),
    [ROLLOUT_PROMOTING] =
        TO(STEPPING) | TO(HOLDING) | TO(BAKING) | TO(FINALIZING) | TO(ABORTING),
    [ROLLOUT_BAKING] = TO(HOLDING) | TO(FINALIZING) | TO(ABORTING),
    [ROLLOUT_FINALIZING] = TO(SUCCEEDED) | TO(ABORTING),
    [ROLLOUT_ABORTING] = TO(REVERT_STUCK) | TO(REVERTED) | TO(ROLLED_BACK) | TO(SUPERSEDED),
    [ROLLOUT_REVERT_STUCK] = TO(REVERTED) | TO(ROLLED_BACK) | TO(SUPERSEDED),
    [ROLLOUT_SUCCEEDED] = TO(ABORTING), /* undo */
};

/* The event line of this change; there is at most one. */
void move_say(struct rollout_effects *fx, const char *type, const char *fmt, ...)
{
    va_list ap;

    ASSERT(!fx->type);
    fx->type = type;
    va_start(ap, fmt);
    vsnprintf(fx->message, sizeof(fx->message), fmt, ap);
    va_end(ap);
}

/* " by ann: reason", for the end of a line; empty for facts. */
const char *move_by(char buf[128], const struct rollout_event *ev)
{
    bool why = ev->why && *ev->why;

    buf[0] = '\0';
    if (ev->actor || why)
        snprintf(buf, 128, "%s%.40s%s%.70s", ev->actor ? " by " : "",
                 ev->actor ? ev->actor : "", why ? ": " : "", why ? ev->why : "");
    return buf;
}

void move_touch(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    r->index++;
    r->updated_ms = ev->wall_ms;
    fx->changed = true;
}

bool move_allowed(enum rollout_state a, enum rollout_state b)
{
    return edges[a] & (1u << b);
}

/* The only writer of r->state. */
void move_enter(struct rollout *r, enum rollout_state to, const struct rollout_event *ev,
                struct rollout_effects *fx)
{
    ASSERT(move_allowed(r->state, to));
    r->state = to;
    if (to != ROLLOUT_HOLDING)
        r->reason = ROLLOUT_NO_REASON;
    move_touch(r, ev, fx);
}

void move_weight(struct rollout *r, uint32_t weight, struct rollout_effects *fx)
{
    r->weight = weight;
    r->applied = r->level = false;
    r->failed = false;
    r->phase_ms = 0;
    fx->set_weight = true;
    fx->weight = weight;
}

static void weight_enter(struct rollout *r, const struct rollout_event *ev,
                         struct rollout_effects *fx)
{
    uint32_t weight = r->spec.steps[r->step].weight;
    char who[128];

    ASSERT(weight > r->weight);
    r->verdict = JUDGE_UNDECIDED;
    r->step_n = 0;
    judge_begin(&r->judge);
    move_weight(r, weight, fx);
    move_enter(r, weight == 10000 ? ROLLOUT_PROMOTING : ROLLOUT_STEPPING, ev, fx);
    move_say(fx, "rollout.step", "step %" PRIu32 " of %" PRIu32 ": %s to %g %%%s", r->step + 1,
             r->spec.nsteps, r->spec.version, weight / 100.0, move_by(who, ev));
}

/* The weight stays as it is: what is live is what was asked for. */
static void task_enter(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    enum spec_kind kind = r->spec.steps[r->step].kind;
    char who[128];

    r->applied = true;
    if (kind != SPEC_APPROVE) {
        r->check = ROLLOUT_CHECKING;
        fx->run_task = true;
    }
    move_enter(r, ROLLOUT_STEPPING, ev, fx);
    move_say(fx, "rollout.step", "step %" PRIu32 " of %" PRIu32 ": %s \"%s\" at %g %%%s",
             r->step + 1, r->spec.nsteps, spec_kind_name(kind),
             spec_task(&r->spec, r->step)->name, r->weight / 100.0, move_by(who, ev));
}

void move_step(struct rollout *r, uint32_t step, const struct rollout_event *ev,
               struct rollout_effects *fx)
{
    ASSERT(r->ready && step < r->spec.nsteps && (step == 0 || step == r->step + 1));
    if (step > 0)
        r->step_ended_ms[r->step] = ev->wall_ms;
    r->step = step;
    r->step_started_ms[step] = ev->wall_ms;
    r->observed_ms = 0;
    r->skip = false;
    r->check = ROLLOUT_UNCHECKED;
    r->napprovals = 0;
    memset(r->approvals, 0, sizeof(r->approvals));
    if (r->spec.steps[step].kind == SPEC_WEIGHT)
        weight_enter(r, ev, fx);
    else
        task_enter(r, ev, fx);
}

void move_hold(struct rollout *r, enum rollout_reason reason, const struct rollout_event *ev,
               struct rollout_effects *fx, const char *text)
{
    if (r->state != ROLLOUT_HOLDING)
        r->back = r->state;
    move_enter(r, ROLLOUT_HOLDING, ev, fx);
    r->reason = reason;
    move_say(fx, "rollout.holding", "holding at %g %% (%s): %s", r->weight / 100.0,
             rollout_reason_name(reason), text);
}

void move_resume(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx,
                 const char *text)
{
    enum rollout_reason was = r->reason;

    move_enter(r, r->back, ev, fx);
    move_say(fx, "rollout.resumed", "no longer holding (%s): %s", rollout_reason_name(was),
             text);
}

/* How it is over, by its outcome. */
static const struct {
    enum rollout_state state;
    const char *type;
} ends[ROLLOUT_NOUTCOMES] = {
    [ROLLOUT_DID_REGRESS] = {ROLLOUT_REVERTED, "rollout.reverted"},
    [ROLLOUT_DID_ABORT] = {ROLLOUT_REVERTED, "rollout.reverted"},
    [ROLLOUT_DID_FAIL] = {ROLLOUT_REVERTED, "rollout.reverted"},
    [ROLLOUT_DID_UNDO] = {ROLLOUT_ROLLED_BACK, "rollout.rolled_back"},
    [ROLLOUT_DID_SUPERSEDE] = {ROLLOUT_SUPERSEDED, "rollout.superseded"},
};

/* One that has not begun owns no weight: nothing is taken back, nothing is published. */
static void never_begin(struct rollout *r, const char *why, const struct rollout_event *ev,
                        struct rollout_effects *fx)
{
    enum rollout_outcome o = r->result.outcome;

    move_enter(r, ends[o].state, ev, fx);
    r->finished_ms = r->result.reverted_at_ms = ev->wall_ms;
    fx->finish = true;
    move_say(fx, ends[o].type, "%s has not begun, and will not: %.180s", r->spec.version, why);
}

/* Back to 0, before anything else. WHY is the reason for the record. */
void move_abort(struct rollout *r, enum rollout_outcome outcome, const char *why,
                const struct rollout_event *ev, struct rollout_effects *fx)
{
    uint32_t from = r->weight;

    r->result.outcome = outcome;
    r->result.verdict_at_ms = ev->wall_ms;
    str_copy(r->result.reason, sizeof(r->result.reason), str_of(why));
    if (r->state == ROLLOUT_PENDING) {
        never_begin(r, why, ev, fx);
        return;
    }
    if (r->weight > 0 && r->state != ROLLOUT_SUCCEEDED)
        r->step_ended_ms[r->step] = ev->wall_ms;
    move_weight(r, 0, fx);
    move_enter(r, ROLLOUT_ABORTING, ev, fx);
    move_say(fx, "rollout.aborting", "%s from %g %% to 0: %.180s", r->spec.version,
             from / 100.0, why);
}

void move_regressed(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx)
{
    const struct judge_report *report = ev->report;
    const struct judge_finding *f = &report->classes[report->class];
    char why[ROLLOUT_MESSAGE_MAX];

    r->result.by_judge = true;
    r->result.class = report->class;
    r->result.evalue = f->evalue;
    r->result.limit = f->limit;
    r->result.excess = f->excess;
    snprintf(why, sizeof(why), "regressed, %s", report->reason);
    move_abort(r, ROLLOUT_DID_REGRESS, why, ev, fx);
}

static void finish(struct rollout *r, enum rollout_state to, const struct rollout_event *ev,
                   struct rollout_effects *fx)
{
    move_enter(r, to, ev, fx);
    r->finished_ms = ev->wall_ms;
    fx->finish = true;
}

/* Weight 0 is live on all workers. */
void move_reverted(struct rollout *r, const struct rollout_event *ev,
                   struct rollout_effects *fx)
{
    enum rollout_outcome o = r->result.outcome;

    ASSERT(ends[o].type);
    finish(r, ends[o].state, ev, fx);
    r->result.reverted_at_ms = ev->wall_ms;
    fx->drain = true;
    move_say(fx, ends[o].type,
             "%s is at 0 %% on all workers, %" PRIu64 " ms after the decision", r->spec.version,
             ev->wall_ms > r->result.verdict_at_ms ? ev->wall_ms - r->result.verdict_at_ms : 0);
}

void move_finalize(struct rollout *r, const struct rollout_event *ev,
                   struct rollout_effects *fx)
{
    char who[128];

    move_enter(r, ROLLOUT_FINALIZING, ev, fx);
    r->step_ended_ms[r->step] = ev->wall_ms;
    fx->settle = true;
    move_say(fx, "rollout.finalizing", "%s becomes the version of %s%s", r->spec.version,
             r->service, move_by(who, ev));
}

/* 100 % is live everywhere and every step is done. */
static void promoted(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char text[SPEC_DURATION_TEXT];

    if (r->spec.bake_ms == 0) {
        move_finalize(r, ev, fx);
        return;
    }
    r->phase_ms = 0;
    move_enter(r, ROLLOUT_BAKING, ev, fx);
    move_say(fx, "rollout.baking", "%s has 100 %%, watched for %s", r->spec.version,
             spec_duration_text(text, r->spec.bake_ms));
}

/* The current step is done. */
void move_advance(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    if (r->step + 1 < r->spec.nsteps)
        move_step(r, r->step + 1, ev, fx);
    else
        promoted(r, ev, fx);
}

void move_succeed(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    finish(r, ROLLOUT_SUCCEEDED, ev, fx);
    r->result.outcome = ROLLOUT_DID_SUCCEED;
    r->result.verdict_at_ms = ev->wall_ms;
    move_say(fx, "rollout.succeeded", "%s serves %s; %s is kept for undo", r->spec.version,
             r->service, r->stable);
}
