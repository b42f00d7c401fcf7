/*
 * machine.c - the life of one rollout.
 *
 * One event makes at most one change of state, through rollout_enter, which checks the edge
 * table; each change says what happened in one event line. The weight is written by ask_weight
 * alone: up only from step_enter, down to 0 only from abort_begin.
 */
#include "control/rollout/machine.h"
#include "proxy/base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TICK_MAX_MS 5000 /* more between two events is not time that anybody watched */

#define TO(s) (1u << ROLLOUT_##s)
static const unsigned edges[ROLLOUT_NSTATES] = {
    [ROLLOUT_PENDING] = TO(WARMING) | TO(ABORTING),
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

/* Commands by state; what else they need is in refusal(). */
#define CMD(c) (1u << ROLLOUT_##c)
#define STOPS  (CMD(ABORT) | CMD(SUPERSEDE))
static const unsigned commands[ROLLOUT_NSTATES] = {
    [ROLLOUT_PENDING] = CMD(START) | STOPS,
    [ROLLOUT_WARMING] = CMD(PAUSE) | STOPS,
    [ROLLOUT_STEPPING] = CMD(PAUSE) | CMD(PROMOTE) | STOPS,
    [ROLLOUT_HOLDING] =
        CMD(PAUSE) | CMD(RESUME) | CMD(PROMOTE) | CMD(APPROVE) | CMD(RETRY) | STOPS,
    [ROLLOUT_PROMOTING] = STOPS,
    [ROLLOUT_BAKING] = CMD(PAUSE) | CMD(PROMOTE) | STOPS,
    [ROLLOUT_FINALIZING] = STOPS,
    [ROLLOUT_ABORTING] = CMD(ABORT),
    [ROLLOUT_REVERT_STUCK] = CMD(ABORT),
    [ROLLOUT_SUCCEEDED] = CMD(UNDO),
};

const char *rollout_state_name(enum rollout_state s)
{
    static const char *const names[] = {
#define X(id, name) name,
        ROLLOUT_STATES(X)
#undef X
    };

    ASSERT((unsigned)s < ROLLOUT_NSTATES);
    return names[s];
}

const char *rollout_reason_name(enum rollout_reason reason)
{
    static const char *const names[ROLLOUT_NREASONS] = {
        NULL,           "manual",      "approval", "undecided",    "no_data",
        "stale_worker", "no_endpoint", "srm",      "check_failed", "hook_unknown",
    };

    ASSERT((unsigned)reason < ROLLOUT_NREASONS);
    return names[reason];
}

const char *rollout_phase_name(enum rollout_phase phase)
{
    static const char *const names[] = {NULL, "shifting", "observing", "gate"};

    ASSERT((unsigned)phase < ARRAY_LEN(names));
    return names[phase];
}

const char *rollout_outcome_name(enum rollout_outcome o)
{
    static const char *const names[ROLLOUT_NOUTCOMES] = {
        NULL, "succeeded", "regressed", "aborted", "failed", "rolled_back", "superseded",
    };

    ASSERT((unsigned)o < ROLLOUT_NOUTCOMES);
    return names[o];
}

const char *rollout_event_name(enum rollout_event_type type)
{
    static const char *const names[ROLLOUT_NEVENTS] = {
        "tick",    "applied",   "apply_failed", "endpoints", "verdict", "checked",
        "restart", "start",     "promote",      "pause",     "resume",  "abort",
        "undo",    "supersede", "approve",      "retry",
    };

    ASSERT((unsigned)type < ROLLOUT_NEVENTS);
    return names[type];
}

const char *rollout_check_name(enum rollout_check check)
{
    static const char *const names[ROLLOUT_NCHECKS] = {NULL, "running", "passed", "failed"};

    ASSERT((unsigned)check < ROLLOUT_NCHECKS);
    return names[check];
}

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

/* The event line of this change; there is at most one. */
static void PRINTF_LIKE(3, 4)
    say(struct rollout_effects *fx, const char *type, const char *fmt, ...)
{
    va_list ap;

    ASSERT(!fx->type);
    fx->type = type;
    va_start(ap, fmt);
    vsnprintf(fx->message, sizeof(fx->message), fmt, ap);
    va_end(ap);
}

/* " by ann: reason", for the end of a line; empty for facts. */
static const char *by(char buf[128], const struct rollout_event *ev)
{
    bool why = ev->why && *ev->why;

    buf[0] = '\0';
    if (ev->actor || why)
        snprintf(buf, 128, "%s%.40s%s%.70s", ev->actor ? " by " : "",
                 ev->actor ? ev->actor : "", why ? ": " : "", why ? ev->why : "");
    return buf;
}

static void touch(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    r->index++;
    r->updated_ms = ev->wall_ms;
    fx->changed = true;
}

/* The only writer of r->state. */
static void rollout_enter(struct rollout *r, enum rollout_state to,
                          const struct rollout_event *ev, struct rollout_effects *fx)
{
    ASSERT(edges[r->state] & (1u << to));
    r->state = to;
    if (to != ROLLOUT_HOLDING)
        r->reason = ROLLOUT_NO_REASON;
    touch(r, ev, fx);
}

static void ask_weight(struct rollout *r, uint32_t weight, struct rollout_effects *fx)
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
    ask_weight(r, weight, fx);
    rollout_enter(r, weight == 10000 ? ROLLOUT_PROMOTING : ROLLOUT_STEPPING, ev, fx);
    say(fx, "rollout.step", "step %" PRIu32 " of %" PRIu32 ": %s to %g %%%s", r->step + 1,
        r->spec.nsteps, r->spec.version, weight / 100.0, by(who, ev));
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
    rollout_enter(r, ROLLOUT_STEPPING, ev, fx);
    say(fx, "rollout.step", "step %" PRIu32 " of %" PRIu32 ": %s \"%s\" at %g %%%s",
        r->step + 1, r->spec.nsteps, spec_kind_name(kind), spec_task(&r->spec, r->step)->name,
        r->weight / 100.0, by(who, ev));
}

static void step_enter(struct rollout *r, uint32_t step, const struct rollout_event *ev,
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

static void hold(struct rollout *r, enum rollout_reason reason, const struct rollout_event *ev,
                 struct rollout_effects *fx, const char *text)
{
    if (r->state != ROLLOUT_HOLDING)
        r->back = r->state;
    rollout_enter(r, ROLLOUT_HOLDING, ev, fx);
    r->reason = reason;
    say(fx, "rollout.holding", "holding at %g %% (%s): %s", r->weight / 100.0,
        rollout_reason_name(reason), text);
}

static void resume(struct rollout *r, const struct rollout_event *ev,
                   struct rollout_effects *fx, const char *text)
{
    enum rollout_reason was = r->reason;

    rollout_enter(r, r->back, ev, fx);
    say(fx, "rollout.resumed", "no longer holding (%s): %s", rollout_reason_name(was), text);
}

/* Back to 0, before anything else. WHY is the reason for the record. */
static void abort_begin(struct rollout *r, enum rollout_outcome outcome, const char *why,
                        const struct rollout_event *ev, struct rollout_effects *fx)
{
    uint32_t from = r->weight;

    r->result.outcome = outcome;
    r->result.verdict_at_ms = ev->wall_ms;
    str_copy(r->result.reason, sizeof(r->result.reason), str_of(why));
    if (r->weight > 0 && r->state != ROLLOUT_SUCCEEDED)
        r->step_ended_ms[r->step] = ev->wall_ms;
    ask_weight(r, 0, fx);
    rollout_enter(r, ROLLOUT_ABORTING, ev, fx);
    say(fx, "rollout.aborting", "%s from %g %% to 0: %.180s", r->spec.version, from / 100.0,
        why);
}

static void abort_regressed(struct rollout *r, const struct rollout_event *ev,
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
    abort_begin(r, ROLLOUT_DID_REGRESS, why, ev, fx);
}

static void finish(struct rollout *r, enum rollout_state to, const struct rollout_event *ev,
                   struct rollout_effects *fx)
{
    rollout_enter(r, to, ev, fx);
    r->finished_ms = ev->wall_ms;
    fx->finish = true;
}

/* Weight 0 is live on all workers. */
static void abort_end(struct rollout *r, const struct rollout_event *ev,
                      struct rollout_effects *fx)
{
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
    enum rollout_outcome o = r->result.outcome;

    ASSERT(ends[o].type);
    finish(r, ends[o].state, ev, fx);
    r->result.reverted_at_ms = ev->wall_ms;
    fx->drain = true;
    say(fx, ends[o].type, "%s is at 0 %% on all workers, %" PRIu64 " ms after the decision",
        r->spec.version,
        ev->wall_ms > r->result.verdict_at_ms ? ev->wall_ms - r->result.verdict_at_ms : 0);
}

static void finalize(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char who[128];

    rollout_enter(r, ROLLOUT_FINALIZING, ev, fx);
    r->step_ended_ms[r->step] = ev->wall_ms;
    fx->settle = true;
    say(fx, "rollout.finalizing", "%s becomes the version of %s%s", r->spec.version, r->service,
        by(who, ev));
}

/* 100 % is live everywhere and every step is done. */
static void promoted(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char text[SPEC_DURATION_TEXT];

    if (r->spec.bake_ms == 0) {
        finalize(r, ev, fx);
        return;
    }
    r->phase_ms = 0;
    rollout_enter(r, ROLLOUT_BAKING, ev, fx);
    say(fx, "rollout.baking", "%s has 100 %%, watched for %s", r->spec.version,
        spec_duration_text(text, r->spec.bake_ms));
}

/* The current step is done. */
static void advance(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx)
{
    if (r->step + 1 < r->spec.nsteps)
        step_enter(r, r->step + 1, ev, fx);
    else
        promoted(r, ev, fx);
}

static void succeed(struct rollout *r, const struct rollout_event *ev,
                    struct rollout_effects *fx)
{
    finish(r, ROLLOUT_SUCCEEDED, ev, fx);
    r->result.outcome = ROLLOUT_DID_SUCCEED;
    r->result.verdict_at_ms = ev->wall_ms;
    say(fx, "rollout.succeeded", "%s serves %s; %s is kept for undo", r->spec.version,
        r->service, r->stable);
}

/* The hold's longest time is over without an answer. */
static void out_of_time(struct rollout *r, const struct rollout_event *ev,
                        struct rollout_effects *fx)
{
    if (r->step_n == 0)
        hold(r, ROLLOUT_NO_DATA, ev, fx, "no request reached the version in this step");
    else if (r->spec.on_undecided == SPEC_ADVANCE)
        advance(r, ev, fx);
    else if (r->spec.on_undecided == SPEC_ABORT)
        abort_begin(r, ROLLOUT_DID_ABORT, "undecided at the end of the step", ev, fx);
    else
        hold(r, ROLLOUT_UNDECIDED, ev, fx, "the longest time passed without a certificate");
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
        advance(r, ev, fx);
        return;
    }
    snprintf(why, sizeof(why), "%s \"%s\": %.150s", spec_kind_name(r->spec.steps[r->step].kind),
             task->name, r->checked);
    if (task->on_failure == SPEC_FAIL_ABORT)
        abort_begin(r, ROLLOUT_DID_FAIL, why, ev, fx);
    else
        hold(r, ROLLOUT_CHECK_FAILED, ev, fx, why);
}

/* Stepping, weight live, a step that is no weight: may it go on? */
static void task_gate(struct rollout *r, const struct rollout_event *ev,
                      struct rollout_effects *fx)
{
    const struct spec_task *task = spec_task(&r->spec, r->step);
    bool approval = r->spec.steps[r->step].kind == SPEC_APPROVE;
    char text[96];

    if (approval && r->napprovals >= task->need) {
        advance(r, ev, fx);
    } else if (approval) {
        snprintf(text, sizeof(text), "\"%s\" waits for %" PRIu32 " of %" PRIu32 " approvals",
                 task->name, task->need - r->napprovals, task->need);
        hold(r, ROLLOUT_APPROVAL, ev, fx, text);
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
        advance(r, ev, fx);
    else if (r->observed_ms < step->min_ms || !observing(r))
        return;
    else if (step->until == SPEC_APPROVAL)
        hold(r, ROLLOUT_APPROVAL, ev, fx, "the step waits for a promote");
    else if (r->step_n > 0 && (!judged || r->verdict == JUDGE_CERTIFIED))
        advance(r, ev, fx);
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
        resume(r, ev, fx, "requests arrive");
    else if (r->reason == ROLLOUT_UNDECIDED && may_advance(r))
        advance(r, ev, fx);
    else if (approval_expired(r, ev->wall_ms))
        abort_begin(r, ROLLOUT_DID_ABORT, "nobody approved in time", ev, fx);
    else if (r->reason == ROLLOUT_STALE_WORKER && r->applied)
        resume(r, ev, fx, "all workers applied the weight");
    else if (r->reason == ROLLOUT_NO_ENDPOINT && r->ready)
        resume(r, ev, fx, "an endpoint is up");
    else if (r->reason == ROLLOUT_SRM && ev->report && !ev->report->imbalance)
        resume(r, ev, fx, "the split is what was asked for");
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
        abort_begin(r, ROLLOUT_DID_FAIL, "every endpoint is down", ev, fx);
        return;
    }
    switch (r->state) {
    case ROLLOUT_WARMING:
        if (r->ready)
            step_enter(r, 0, ev, fx);
        else if (r->phase_ms >= ROLLOUT_PREPARE_MS)
            abort_begin(r, ROLLOUT_DID_FAIL, "no endpoint came up", ev, fx);
        break;
    case ROLLOUT_STEPPING:
        if (!r->ready)
            hold(r, ROLLOUT_NO_ENDPOINT, ev, fx, "every endpoint is down");
        else if (r->applied)
            gate(r, ev, fx);
        else if (r->phase_ms >= ROLLOUT_APPLY_MS)
            hold(r, ROLLOUT_STALE_WORKER, ev, fx, "a worker does not apply the weight");
        break;
    case ROLLOUT_HOLDING:
        held(r, ev, fx);
        break;
    case ROLLOUT_PROMOTING:
        if (r->applied && (r->ready || r->step + 1 == r->spec.nsteps))
            advance(r, ev, fx);
        else if (!r->applied && r->phase_ms >= ROLLOUT_APPLY_MS)
            hold(r, ROLLOUT_STALE_WORKER, ev, fx, "a worker does not apply the weight");
        break;
    case ROLLOUT_BAKING:
        if (r->phase_ms >= r->spec.bake_ms)
            finalize(r, ev, fx);
        break;
    case ROLLOUT_FINALIZING:
        if (ev->type == ROLLOUT_TICK)
            succeed(r, ev, fx);
        break;
    case ROLLOUT_ABORTING:
        if (r->applied) {
            abort_end(r, ev, fx);
        } else if (r->phase_ms >= ROLLOUT_REVERT_MS) {
            rollout_enter(r, ROLLOUT_REVERT_STUCK, ev, fx);
            say(fx, "rollout.revert_stuck", "a worker does not confirm weight 0 of %s",
                r->spec.version);
        }
        break;
    case ROLLOUT_REVERT_STUCK:
        if (r->applied)
            abort_end(r, ev, fx);
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
    touch(r, ev, fx);
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
            hold(r, ROLLOUT_SRM, ev, fx, report->reason);
        else
            proceed(r, ev, fx);
    } else if (r->spec.mode == SPEC_ENFORCE) {
        abort_regressed(r, ev, fx);
    } else if (!r->warned) {
        r->warned = true;
        touch(r, ev, fx);
        say(fx, "rollout.verdict", "would be aborted, regressed, %s", report->reason);
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
    touch(r, ev, fx);
    proceed(r, ev, fx);
}

/* A check was under way when the controller went: again, unless it must not run twice. */
static void restart_check(struct rollout *r, const struct rollout_event *ev,
                          struct rollout_effects *fx)
{
    if (r->state != ROLLOUT_STEPPING && r->state != ROLLOUT_HOLDING)
        return;
    if (spec_task(&r->spec, r->step)->idempotent) {
        fx->run_task = true;
        return;
    }
    hold(r, ROLLOUT_HOOK_UNKNOWN, ev, fx,
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
    ask_weight(r, r->weight, fx);
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

static void do_promote(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    enum rollout_state at = r->state == ROLLOUT_HOLDING ? r->back : r->state;
    char who[128], text[160];

    if (at == ROLLOUT_BAKING) {
        finalize(r, ev, fx);
    } else if (r->applied) {
        advance(r, ev, fx);
    } else {
        snprintf(text, sizeof(text), "the step's hold is skipped%s", by(who, ev));
        r->skip = true;
        if (r->state == ROLLOUT_HOLDING) {
            resume(r, ev, fx, text);
            return;
        }
        touch(r, ev, fx);
        say(fx, "rollout.resumed", "%s", text);
    }
}

static void do_abort(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char who[128], why[160];

    if (r->state == ROLLOUT_ABORTING)
        return; /* it is under way */
    if (r->state == ROLLOUT_REVERT_STUCK) {
        ask_weight(r, 0, fx);
        fx->changed = true;
        return;
    }
    snprintf(why, sizeof(why), "aborted%s", by(who, ev));
    abort_begin(r, ROLLOUT_DID_ABORT, why, ev, fx);
}

static void do_approve(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    const struct spec_task *task = spec_task(&r->spec, r->step);

    str_copy(r->approvals[r->napprovals++], ROLLOUT_AUTHOR_MAX,
             str_of(ev->actor ? ev->actor : "unknown"));
    if (r->napprovals >= task->need) {
        advance(r, ev, fx);
        return;
    }
    touch(r, ev, fx);
    say(fx, "rollout.approved", "%" PRIu32 " of %" PRIu32 " approvals of \"%s\", by %s",
        r->napprovals, task->need, task->name, r->approvals[r->napprovals - 1]);
}

static void do_retry(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char who[128], text[160];

    snprintf(text, sizeof(text), "the check runs again%s", by(who, ev));
    r->check = ROLLOUT_CHECKING;
    fx->run_task = true;
    resume(r, ev, fx, text);
}

static void do_command(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    char who[128], text[160];

    switch (ev->type) {
    case ROLLOUT_START:
        rollout_enter(r, ROLLOUT_WARMING, ev, fx);
        say(fx, "rollout.started", "%s: %s to %s%s", r->service, r->stable, r->spec.version,
            by(who, ev));
        break;
    case ROLLOUT_PROMOTE:
        do_promote(r, ev, fx);
        break;
    case ROLLOUT_PAUSE:
        snprintf(text, sizeof(text), "paused%s", by(who, ev));
        hold(r, ROLLOUT_MANUAL, ev, fx, text);
        break;
    case ROLLOUT_RESUME:
        snprintf(text, sizeof(text), "resumed%s", by(who, ev));
        resume(r, ev, fx, text);
        break;
    case ROLLOUT_ABORT:
        do_abort(r, ev, fx);
        break;
    case ROLLOUT_UNDO:
        snprintf(text, sizeof(text), "undone%s", by(who, ev));
        abort_begin(r, ROLLOUT_DID_UNDO, text, ev, fx);
        break;
    case ROLLOUT_SUPERSEDE:
        snprintf(text, sizeof(text), "superseded%s", by(who, ev));
        abort_begin(r, ROLLOUT_DID_SUPERSEDE, text, ev, fx);
        break;
    case ROLLOUT_APPROVE:
        do_approve(r, ev, fx);
        break;
    case ROLLOUT_RETRY:
        do_retry(r, ev, fx);
        break;
    default:
        ASSERT(!"a command");
    }
}

/* Is ACTOR, "ann" or "uid 1000 (ann)", called NAME? */
static bool is_called(const char *actor, const char *name)
{
    struct str a = str_of(actor), n = str_of(name);
    const char *open = strrchr(actor, '(');

    if (str_eq(a, n))
        return true;
    return open && a.p[a.n - 1] == ')' &&
           str_eq((struct str){open + 1, (size_t)(a.p + a.n - 1 - (open + 1))}, n);
}

/* LIST is a JSON array of names as spec_task.c keeps it: compact, so each is in quotes. */
static bool is_listed(const char *list, const char *actor)
{
    char name[SPEC_NAME_MAX + 1];

    for (const char *p = list; (p = strchr(p, '"')); p++) {
        size_t n = strcspn(++p, "\"");
        str_copy(name, sizeof(name), (struct str){p, n});
        if (is_called(actor, name))
            return true;
        p += n;
    }
    return false;
}

static const char *approval_refusal(const struct rollout *r, const char *actor)
{
    const struct spec_task *task;

    if (r->spec.steps[r->step].kind != SPEC_APPROVE || r->reason != ROLLOUT_APPROVAL)
        return "the step waits for no approval";
    task = spec_task(&r->spec, r->step);
    if (r->napprovals + 1 >= task->need && !r->ready)
        return "no endpoint of the version is up";
    if (!actor)
        return NULL;
    if (task->not_author && strcmp(actor, r->author) == 0)
        return "who started it may not approve it";
    if (task->of && !is_listed(spec_text(&r->spec, task->of), actor))
        return "the approval is not yours to give";
    for (uint32_t i = 0; i < r->napprovals; i++)
        if (strcmp(r->approvals[i], actor) == 0)
            return "you have approved already";
    return NULL;
}

static const char *promote_refusal(const struct rollout *r)
{
    bool holding = r->state == ROLLOUT_HOLDING;

    if (!r->ready)
        return "no endpoint of the version is up";
    if (holding && r->reason == ROLLOUT_STALE_WORKER)
        return "a worker has not applied the weight";
    if (holding && r->back != ROLLOUT_STEPPING && r->back != ROLLOUT_BAKING)
        return "there is no hold to skip: resume";
    if ((holding ? r->back : r->state) == ROLLOUT_STEPPING &&
        r->spec.steps[r->step].kind == SPEC_APPROVE)
        return "the step is an approval: approve";
    return NULL;
}

const char *rollout_refusal(const struct rollout *r, const struct rollout_event *ev)
{
    enum rollout_event_type command = ev->type;
    bool holding = r->state == ROLLOUT_HOLDING;

    if (!(commands[r->state] & (1u << command)))
        return "not valid in this state";
    if (command == ROLLOUT_PAUSE && holding && r->reason == ROLLOUT_MANUAL)
        return "it is paused already";
    if (command == ROLLOUT_PAUSE && holding && r->back == ROLLOUT_PROMOTING)
        return "100 % is being applied";
    if (command == ROLLOUT_RESUME && r->reason != ROLLOUT_MANUAL)
        return "it is not paused: promote goes on, abort goes back";
    if (command == ROLLOUT_PROMOTE)
        return promote_refusal(r);
    if (command == ROLLOUT_APPROVE)
        return approval_refusal(r, ev->actor);
    if (command == ROLLOUT_RETRY && r->reason != ROLLOUT_CHECK_FAILED &&
        r->reason != ROLLOUT_HOOK_UNKNOWN)
        return "no check has failed";
    if (command == ROLLOUT_UNDO && ev->wall_ms > r->finished_ms + r->spec.retain_ms)
        return "the version before is no longer retained";
    return NULL;
}

bool rollout_accepts(const struct rollout *r, enum rollout_event_type command, uint64_t wall_ms)
{
    struct rollout_event ev = {.type = command, .wall_ms = wall_ms};

    return command >= ROLLOUT_START && command < ROLLOUT_NEVENTS && !rollout_refusal(r, &ev);
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
        do_command(r, ev, fx);
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
