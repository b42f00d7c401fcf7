/*
 * machine.c - the life of one rollout.
 *
 * What an event means in a state; what is then done is a transition (moves.h), at most one an
 * event, or a command (commands.h).
 */
#include "control/rollout/machine.h"
#include "control/rollout/commands.h"
#include "control/rollout/moves.h"
#include "proxy/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICK_MAX_MS 5000 /* more between two events is not time that anybody watched */

bool rollout_terminal(enum rollout_state s)
{
    return s == ROLLOUT_SUCCEEDED || s == ROLLOUT_REVERTED || s == ROLLOUT_ROLLED_BACK ||
           s == ROLLOUT_SUPERSEDED;
}

bool rollout_warm(const struct rollout *r)
{
    return r->exposed_ms >= r->spec.warmup_ms;
}

enum rollout_phase rollout_phase(const struct rollout *r)
{
    if (r->state != ROLLOUT_STEPPING)
        return ROLLOUT_NO_PHASE;
    if (!r->applied)
        return ROLLOUT_SHIFTING;
    if (r->spec.steps[r->step].kind != SPEC_WEIGHT)
        return ROLLOUT_GATE;
    return r->observed_ms < r->spec.steps[r->step].min_ms ? ROLLOUT_OBSERVING : ROLLOUT_GATE;
}

void rollout_init(struct rollout *r, const char *id, const char *service, const char *stable,
                  const char *author, const struct spec *spec, uint64_t wall_ms)
{
    memset(r, 0, sizeof(*r));
    str_copy(r->id, sizeof(r->id), str_of(id));
    str_copy(r->service, sizeof(r->service), str_of(service));
    str_copy(r->stable, sizeof(r->stable), str_of(stable));
    str_copy(r->author, sizeof(r->author), str_of(author));
    r->spec = *spec;
    r->state = ROLLOUT_PENDING;
    r->index = 1;
    r->created_ms = r->updated_ms = wall_ms;
    judge_init(&r->judge, &spec->judge);
}

/* The hold's longest time is over without an answer. */
static void out_of_time(struct rollout *r, const struct rollout_event *ev,
                        struct rollout_effects *fx)
{
    if (r->step_n == 0)
        move_hold(r, ROLLOUT_NO_DATA, ev, fx, "no request reached the version in this step");
    else if (r->spec.on_undecided == SPEC_ADVANCE)
        move_advance(r, ev, fx);
    else if (r->spec.on_undecided == SPEC_ABORT)
        move_abort(r, ROLLOUT_DID_ABORT, "undecided at the end of the step", ev, fx);
    else
        move_hold(r, ROLLOUT_UNDECIDED, ev, fx,
                  "the longest time passed without a certificate");
}

/*
 * A hold begins when the warm-up is over: latency is not judged before, so time spent warming
 * up has watched nothing.
 */
static bool observing(const struct rollout *r)
{
    return r->spec.mode != SPEC_ENFORCE || rollout_warm(r);
}

/* A step that is a check has ended. */
static void checked(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx)
{
    const struct spec_task *task = spec_task(&r->spec, r->step);
    char why[ROLLOUT_MESSAGE_MAX];

    if (r->check == ROLLOUT_PASSED) {
        move_advance(r, ev, fx);
        return;
    }
    snprintf(why, sizeof(why), "%s \"%s\": %.150s", spec_kind_name(r->spec.steps[r->step].kind),
             task->name, r->checked);
    if (task->on_failure == SPEC_FAIL_ABORT)
        move_abort(r, ROLLOUT_DID_FAIL, why, ev, fx);
    else
        move_hold(r, ROLLOUT_CHECK_FAILED, ev, fx, why);
}

/* Stepping, weight live, a step that is no weight: may it go on? */
static void task_gate(struct rollout *r, const struct rollout_event *ev,
                      struct rollout_effects *fx)
{
    const struct spec_task *task = spec_task(&r->spec, r->step);
    bool approval = r->spec.steps[r->step].kind == SPEC_APPROVE;
    char text[96];

    if (approval && r->napprovals >= task->need) {
        move_advance(r, ev, fx);
    } else if (approval) {
        snprintf(text, sizeof(text), "\"%s\" waits for %" PRIu32 " of %" PRIu32 " approvals",
                 task->name, task->need - r->napprovals, task->need);
        move_hold(r, ROLLOUT_APPROVAL, ev, fx, text);
    } else if (r->check == ROLLOUT_PASSED || r->check == ROLLOUT_FAILED) {
        checked(r, ev, fx);
    }
}

/* Stepping, weight live: may it go on? */
static void gate(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    const struct spec_step *step = &r->spec.steps[r->step];
    bool judged = step->until == SPEC_EVIDENCE && r->spec.mode == SPEC_ENFORCE;

    if (step->kind != SPEC_WEIGHT)
        task_gate(r, ev, fx);
    else if (r->skip)
        move_advance(r, ev, fx);
    else if (r->observed_ms < step->min_ms || !observing(r))
        return;
    else if (step->until == SPEC_APPROVAL)
        move_hold(r, ROLLOUT_APPROVAL, ev, fx, "the step waits for a promote");
    else if (r->step_n > 0 && (!judged || r->verdict == JUDGE_CERTIFIED))
        move_advance(r, ev, fx);
    else if (!judged || (step->max_ms > 0 && r->observed_ms >= step->max_ms))
        out_of_time(r, ev, fx);
}

/* Nobody approved in time. */
static bool approval_expired(const struct rollout *r, uint64_t wall_ms)
{
    const struct spec_step *step = &r->spec.steps[r->step];
    uint64_t ms = step->kind == SPEC_APPROVE ? spec_task(&r->spec, r->step)->expires_ms : 0;

    return r->reason == ROLLOUT_APPROVAL && ms > 0 &&
           wall_ms >= r->step_started_ms[r->step] + ms;
}

/* The evidence is there, for the weight that is live. */
static bool may_advance(const struct rollout *r)
{
    return r->applied && r->ready && r->step_n > 0 && r->verdict == JUDGE_CERTIFIED;
}

/* Holding: has the reason gone by itself? */
static void held(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    if (r->reason == ROLLOUT_NO_DATA && r->step_n > 0)
        move_resume(r, ev, fx, "requests arrive");
    else if (r->reason == ROLLOUT_UNDECIDED && may_advance(r))
        move_advance(r, ev, fx);
    else if (approval_expired(r, ev->wall_ms))
        move_abort(r, ROLLOUT_DID_ABORT, "nobody approved in time", ev, fx);
    else if (r->reason == ROLLOUT_STALE_WORKER && r->applied)
        move_resume(r, ev, fx, "all workers applied the weight");
    else if (r->reason == ROLLOUT_NO_ENDPOINT && r->ready)
        move_resume(r, ev, fx, "an endpoint is up");
    else if (r->reason == ROLLOUT_SRM && ev->report && !ev->report->imbalance)
        move_resume(r, ev, fx, "the split is what was asked for");
}

/* In a state where the canary gets traffic on purpose. */
static bool exposed(const struct rollout *r)
{
    return r->weight > 0 && (r->state == ROLLOUT_STEPPING || r->state == ROLLOUT_HOLDING ||
                             r->state == ROLLOUT_PROMOTING || r->state == ROLLOUT_BAKING);
}

/* What a state does when time passes or facts have changed. */
static void proceed(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx)
{
    if (exposed(r) && r->down_ms >= ROLLOUT_ENDPOINT_MS) {
        move_abort(r, ROLLOUT_DID_FAIL, "every endpoint is down", ev, fx);
        return;
    }
    switch (r->state) {
    case ROLLOUT_WARMING:
        if (r->ready)
            move_step(r, 0, ev, fx);
        else if (r->phase_ms >= ROLLOUT_PREPARE_MS)
            move_abort(r, ROLLOUT_DID_FAIL, "no endpoint came up", ev, fx);
        break;
    case ROLLOUT_STEPPING:
        if (!r->ready)
            move_hold(r, ROLLOUT_NO_ENDPOINT, ev, fx, "every endpoint is down");
        else if (r->applied)
            gate(r, ev, fx);
        else if (r->phase_ms >= ROLLOUT_APPLY_MS)
            move_hold(r, ROLLOUT_STALE_WORKER, ev, fx, "a worker does not apply the weight");
        break;
    case ROLLOUT_HOLDING:
        held(r, ev, fx);
        break;
    case ROLLOUT_PROMOTING:
        if (r->applied && (r->ready || r->step + 1 == r->spec.nsteps))
            move_advance(r, ev, fx);
        else if (!r->applied && r->phase_ms >= ROLLOUT_APPLY_MS)
            move_hold(r, ROLLOUT_STALE_WORKER, ev, fx, "a worker does not apply the weight");
        break;
    case ROLLOUT_BAKING:
        if (r->phase_ms >= r->spec.bake_ms)
            move_finalize(r, ev, fx);
        break;
    case ROLLOUT_FINALIZING:
        if (ev->type == ROLLOUT_TICK)
            move_succeed(r, ev, fx);
        break;
    case ROLLOUT_ABORTING:
        if (r->applied) {
            move_reverted(r, ev, fx);
        } else if (r->phase_ms >= ROLLOUT_REVERT_MS) {
            move_enter(r, ROLLOUT_REVERT_STUCK, ev, fx);
            move_say(fx, "rollout.revert_stuck", "a worker does not confirm weight 0 of %s",
                     r->spec.version);
        }
        break;
    case ROLLOUT_REVERT_STUCK:
        if (r->applied)
            move_reverted(r, ev, fx);
        break;
    default:
        break;
    }
}

/* Add the time since the last event to the timers that run in this state. */
static void elapse(struct rollout *r, const struct rollout_event *ev,
                   struct rollout_effects *fx)
{
    uint64_t ms = ev->mono_ms > r->mono_ms ? ev->mono_ms - r->mono_ms : 0;

    if (ms > TICK_MAX_MS)
        ms = r->mono_ms == 0 ? 0 : TICK_MAX_MS;
    r->mono_ms = ev->mono_ms;
    if (ms == 0 || r->state == ROLLOUT_PENDING || rollout_terminal(r->state))
        return;
    fx->changed = true;
    if (exposed(r) && r->applied && r->ready)
        r->exposed_ms += ms;
    if (exposed(r) && !r->ready)
        r->down_ms += ms;
    if (r->state == ROLLOUT_STEPPING && r->applied && observing(r))
        r->observed_ms += ms;
    else if (r->state != ROLLOUT_HOLDING)
        r->phase_ms += ms;
}

static void on_applied(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    if (ev->weight != r->weight || ev->generation < r->generation ||
        r->state == ROLLOUT_PENDING || rollout_terminal(r->state))
        return;
    r->generation = ev->generation;
    if (!r->applied) {
        r->applied = true;
        r->phase_ms = 0;
    }
    r->failed = false;
    move_touch(r, ev, fx);
    proceed(r, ev, fx);
}

static void on_apply_failed(struct rollout *r, const struct rollout_event *ev,
                            struct rollout_effects *fx)
{
    if (ev->weight != r->weight || r->applied)
        return;
    r->failed = true;
    fx->changed = true;
}

static void on_endpoints(struct rollout *r, const struct rollout_event *ev,
                         struct rollout_effects *fx)
{
    if (ev->ready == r->ready || rollout_terminal(r->state))
        return;
    r->ready = ev->ready;
    r->down_ms = 0;
    if (r->ready)
        r->exposed_ms = 0; /* fresh processes: warm up again */
    fx->changed = true;
    proceed(r, ev, fx);
}

static void on_verdict(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    const struct judge_report *report = ev->report;

    if (!exposed(r))
        return;
    r->verdict = report->verdict;
    r->step_n = report->step_n;
    fx->changed = true;
    if (report->verdict != JUDGE_REGRESSED) {
        if (report->imbalance && r->state == ROLLOUT_STEPPING && r->spec.mode == SPEC_ENFORCE)
            move_hold(r, ROLLOUT_SRM, ev, fx, report->reason);
        else
            proceed(r, ev, fx);
    } else if (r->spec.mode == SPEC_ENFORCE) {
        move_regressed(r, ev, fx);
    } else if (!r->warned) {
        r->warned = true;
        move_touch(r, ev, fx);
        move_say(fx, "rollout.verdict", "would be aborted, regressed, %s", report->reason);
    } else {
        proceed(r, ev, fx);
    }
}

static void on_checked(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    if (ev->step != r->step || r->check != ROLLOUT_CHECKING || rollout_terminal(r->state))
        return;
    r->check = ev->ok ? ROLLOUT_PASSED : ROLLOUT_FAILED;
    memset(r->checked, 0, sizeof(r->checked));
    str_copy(r->checked, sizeof(r->checked), str_of(ev->why));
    move_touch(r, ev, fx);
    proceed(r, ev, fx);
}

/* A check was under way when the controller went: again, unless it must not run twice. */
static void restart_check(struct rollout *r, const struct rollout_event *ev,
                          struct rollout_effects *fx)
{
    if (r->state != ROLLOUT_STEPPING && r->state != ROLLOUT_HOLDING)
        return;
    if (r->reason == ROLLOUT_HOOK_UNKNOWN)
        return; /* people know */
    if (spec_task(&r->spec, r->step)->idempotent) {
        fx->run_task = true;
        return;
    }
    move_hold(r, ROLLOUT_HOOK_UNKNOWN, ev, fx,
              "the controller ended while the check ran: retry, promote or abort");
}

/* Nobody knows what became of the last weight: ask for it again and wait for it. */
static void on_restart(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    bool baking = r->state == ROLLOUT_BAKING ||
                  (r->state == ROLLOUT_HOLDING && r->back == ROLLOUT_BAKING);

    r->mono_ms = ev->mono_ms;
    if (r->state == ROLLOUT_PENDING || rollout_terminal(r->state))
        return;
    fx->changed = true;
    fx->settle = r->state == ROLLOUT_FINALIZING;
    if (r->state == ROLLOUT_WARMING)
        return;
    if (baking) { /* its clock runs on */
        fx->set_weight = true;
        fx->weight = r->weight;
        return;
    }
    move_weight(r, r->weight, fx);
    if (r->check == ROLLOUT_CHECKING)
        restart_check(r, ev, fx);
}

static void on_tick(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx)
{
    proceed(r, ev, fx);
    if (!r->failed || fx->set_weight || rollout_terminal(r->state))
        return;
    r->failed = false;
    fx->set_weight = true;
    fx->weight = r->weight;
    fx->changed = true;
}

int rollout_apply(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    const char *no;

    memset(fx, 0, sizeof(*fx));
    if (ev->type >= ROLLOUT_START && (no = rollout_refusal(r, ev))) {
        snprintf(fx->message, sizeof(fx->message), "cannot %s a rollout that is %s: %s",
                 rollout_event_name(ev->type), rollout_state_name(r->state), no);
        return -1;
    }
    if (ev->type == ROLLOUT_RESTART) {
        on_restart(r, ev, fx);
        return 0;
    }
    elapse(r, ev, fx);
    if (ev->type == ROLLOUT_TICK)
        on_tick(r, ev, fx);
    else if (ev->type == ROLLOUT_APPLIED)
        on_applied(r, ev, fx);
    else if (ev->type == ROLLOUT_APPLY_FAILED)
        on_apply_failed(r, ev, fx);
    else if (ev->type == ROLLOUT_ENDPOINTS)
        on_endpoints(r, ev, fx);
    else if (ev->type == ROLLOUT_VERDICT)
        on_verdict(r, ev, fx);
    else if (ev->type == ROLLOUT_CHECKED)
        on_checked(r, ev, fx);
    else
        command_do(r, ev, fx);
    return 0;
}

bool rollout_observe(struct rollout *r, struct judge_window *w, uint64_t wall_ms,
                     struct judge_report *report)
{
    if (r->state == ROLLOUT_PENDING || rollout_terminal(r->state))
        return false;
    if (w->canary.n > 0 && r->first_request_ms == 0)
        r->first_request_ms = wall_ms;
    r->result.exposed += w->canary.n;
    r->result.bad += w->canary.errors;
    if (r->judge.begun == 0)
        judge_step(&r->judge, w); /* learns stable's latency before it is needed */
    if (!exposed(r))
        return false;
    w->warming = !rollout_warm(r);
    w->share = r->level && r->applied ? r->weight / 10000.0 : 0;
    r->level = r->applied;
    judge_step(&r->judge, w);
    judge_explain(&r->judge, report);
    return true;
}
