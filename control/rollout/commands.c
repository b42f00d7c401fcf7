/*
 * commands.c - what operators may ask of a rollout, and when.
 *
 * A command that is refused changes nothing; rollout_refusal says why, before anything is done.
 */
#include "control/rollout/commands.h"
#include "control/rollout/moves.h"
#include "proxy/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static void do_promote(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    enum rollout_state at = r->state == ROLLOUT_HOLDING ? r->back : r->state;
    char who[128], text[160];

    if (at == ROLLOUT_BAKING) {
        move_finalize(r, ev, fx);
    } else if (r->applied) {
        move_advance(r, ev, fx);
    } else {
        snprintf(text, sizeof(text), "the step's hold is skipped%s", move_by(who, ev));
        r->skip = true;
        if (r->state == ROLLOUT_HOLDING) {
            move_resume(r, ev, fx, text);
            return;
        }
        move_touch(r, ev, fx);
        move_say(fx, "rollout.resumed", "%s", text);
    }
}

static void do_abort(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char who[128], why[160];

    if (r->state == ROLLOUT_ABORTING)
        return; /* it is under way */
    if (r->state == ROLLOUT_REVERT_STUCK) {
        move_weight(r, 0, fx);
        fx->changed = true;
        return;
    }
    snprintf(why, sizeof(why), "aborted%s", move_by(who, ev));
    move_abort(r, ROLLOUT_DID_ABORT, why, ev, fx);
}

static void do_approve(struct rollout *r, const struct rollout_event *ev,
                       struct rollout_effects *fx)
{
    const struct spec_task *task = spec_task(&r->spec, r->step);

    str_copy(r->approvals[r->napprovals++], ROLLOUT_AUTHOR_MAX,
             str_of(ev->actor ? ev->actor : "unknown"));
    if (r->napprovals >= task->need) {
        move_advance(r, ev, fx);
        return;
    }
    move_touch(r, ev, fx);
    move_say(fx, "rollout.approved", "%" PRIu32 " of %" PRIu32 " approvals of \"%s\", by %s",
             r->napprovals, task->need, task->name, r->approvals[r->napprovals - 1]);
}

static void do_retry(struct rollout *r, const struct rollout_event *ev,
                     struct rollout_effects *fx)
{
    char who[128], text[160];

    snprintf(text, sizeof(text), "the check runs again%s", move_by(who, ev));
    r->check = ROLLOUT_CHECKING;
    fx->run_task = true;
    move_resume(r, ev, fx, text);
}

void command_do(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx)
{
    char who[128], text[160];

    switch (ev->type) {
    case ROLLOUT_START:
        move_enter(r, ROLLOUT_WARMING, ev, fx);
        move_say(fx, "rollout.started", "%s: %s to %s%s", r->service, r->stable,
                 r->spec.version, move_by(who, ev));
        break;
    case ROLLOUT_PROMOTE:
        do_promote(r, ev, fx);
        break;
    case ROLLOUT_PAUSE:
        snprintf(text, sizeof(text), "paused%s", move_by(who, ev));
        move_hold(r, ROLLOUT_MANUAL, ev, fx, text);
        break;
    case ROLLOUT_RESUME:
        snprintf(text, sizeof(text), "resumed%s", move_by(who, ev));
        move_resume(r, ev, fx, text);
        break;
    case ROLLOUT_ABORT:
        do_abort(r, ev, fx);
        break;
    case ROLLOUT_UNDO:
        snprintf(text, sizeof(text), "undone%s", move_by(who, ev));
        move_abort(r, ROLLOUT_DID_UNDO, text, ev, fx);
        break;
    case ROLLOUT_SUPERSEDE:
        snprintf(text, sizeof(text), "superseded%s", move_by(who, ev));
        move_abort(r, ROLLOUT_DID_SUPERSEDE, text, ev, fx);
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
