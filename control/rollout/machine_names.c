/* machine_names.c - states, reasons and events by the names that users see. */
#include "control/rollout/machine.h"

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
