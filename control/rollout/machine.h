/*
 * machine.h - the life of one rollout: (state, event) -> effects.
 *
 * Pure: no clock, no I/O. The engine feeds events in and carries effects out; whatever happens
 * to the process in between, loading the last saved rollout and sending ROLLOUT_RESTART
 * continues it. Every effect may therefore be carried out twice.
 *
 *   pending ─▶ warming ─▶ stepping ◀──▶ holding        terminal: succeeded (undo may reopen
 *                            │                          it), reverted, rolled_back, superseded
 *                            ▼
 *                        promoting ─▶ baking ─▶ finalizing ─▶ succeeded ──undo──┐
 *   any of these ──abort, regressed, supersede──▶ aborting ◀────────────────────┘
 *   aborting ─▶ reverted | rolled_back | superseded, or revert_stuck until that succeeds
 *
 * A pending rollout waits for another one of its service; stopped, it is over at once.
 *
 * Inside stepping: *shifting* until all workers applied the weight, then *observing* for the
 * minimum time, then *gate* until the evidence, the time or an approval opens it. A step that
 * is a check is asked for once (run_task) and waits at its gate for ROLLOUT_CHECKED; one that
 * is an approval holds until enough people have approved. Steps behind the weight 100 are done
 * before it bakes.
 *
 * Kept always: a weight above 0 only after an endpoint was up; the weight rises only to the
 * next step's, only from an opened gate or by promote; 100 % only past all gates; nothing but
 * an event from here changes a rollout; each change of state reports exactly one event; no data
 * neither aborts nor advances; a check that may have run and must not run twice is not asked
 * for again but by a person. A rollout that has no verdict to fear still needs one request on
 * the canary in every step.
 *
 * How the engine drives it: after every rollout_apply that returns 0 save the rollout, append
 * the event and apply set_weight in ONE store transaction; then publish; then send
 * ROLLOUT_APPLIED once every worker acked. A tick each second at most 1 s apart; each tick with
 * counters goes through rollout_observe and then ROLLOUT_VERDICT.
 */
#pragma once
#include "control/rollout/spec.h"

#define ROLLOUT_ID_MAX      32
#define ROLLOUT_SERVICE_MAX 64
#define ROLLOUT_AUTHOR_MAX  64
#define ROLLOUT_MESSAGE_MAX 240
#define ROLLOUT_APPLY_MS    10000  /* shifting longer than this: holding{stale_worker} */
#define ROLLOUT_REVERT_MS   30000  /* aborting longer than this: revert_stuck */
#define ROLLOUT_PREPARE_MS  300000 /* warming longer than this: aborting */
#define ROLLOUT_ENDPOINT_MS 10000  /* weight but no endpoint up longer than this: aborting */

#define ROLLOUT_STATES(X)                                                                      \
    X(PENDING, "pending")       /* created, owns nothing yet; may wait for another one */      \
    X(WARMING, "warming")       /* waits for an endpoint of the version to be up */            \
    X(STEPPING, "stepping")     /* at a step's weight, judged */                               \
    X(HOLDING, "holding")       /* weight stays until the reason goes or someone decides */    \
    X(PROMOTING, "promoting")   /* 100 % asked for, not yet applied everywhere */              \
    X(BAKING, "baking")         /* at 100 %, still watched */                                  \
    X(FINALIZING, "finalizing") /* the version becomes the service's stable one */             \
    X(ABORTING, "aborting")     /* weight 0 asked for, not yet applied everywhere */           \
    X(REVERT_STUCK, "revert_stuck") /* aborting, and a worker does not confirm: act */         \
    X(SUCCEEDED, "succeeded")                                                                  \
    X(REVERTED, "reverted")                                                                    \
    X(ROLLED_BACK, "rolled_back")                                                              \
    X(SUPERSEDED, "superseded")
enum rollout_state {
#define X(id, name) ROLLOUT_##id,
    ROLLOUT_STATES(X)
#undef X
        ROLLOUT_NSTATES
};

enum rollout_reason { /* why it holds */
                      ROLLOUT_NO_REASON,
                      ROLLOUT_MANUAL,    /* paused by an operator */
                      ROLLOUT_APPROVAL,  /* the step asks for a promote */
                      ROLLOUT_UNDECIDED, /* max passed without certificate */
                      ROLLOUT_NO_DATA, /* time passed without a single request on the canary */
                      ROLLOUT_STALE_WORKER, /* a worker does not apply the weight */
                      ROLLOUT_NO_ENDPOINT,  /* every endpoint of the canary is down */
                      ROLLOUT_SRM,          /* the split is not what was asked for */
                      ROLLOUT_CHECK_FAILED, /* a check did not pass: retry, promote or abort */
                      ROLLOUT_HOOK_UNKNOWN, /* whether a check ran is not known */
                      ROLLOUT_NREASONS
};

enum rollout_phase { ROLLOUT_NO_PHASE, ROLLOUT_SHIFTING, ROLLOUT_OBSERVING, ROLLOUT_GATE };

enum rollout_event_type {
    /* facts: never refused, ignored where they mean nothing */
    ROLLOUT_TICK,
    ROLLOUT_APPLIED,      /* .weight is live on all workers, since .generation */
    ROLLOUT_APPLY_FAILED, /* publishing .weight failed; the engine will not try again itself */
    ROLLOUT_ENDPOINTS,    /* .ready: at least one canary endpoint is up and not drained */
    ROLLOUT_VERDICT,      /* .report: from rollout_observe */
    ROLLOUT_CHECKED,      /* the check of .step has ended: .ok, .why says what it saw */
    ROLLOUT_RESTART,      /* the controller came back: asks for the weight again */
    /* commands: refused (-1) where they are not valid */
    ROLLOUT_START,
    ROLLOUT_PROMOTE, /* skip the current hold, approval or bake */
    ROLLOUT_PAUSE,
    ROLLOUT_RESUME,
    ROLLOUT_ABORT, /* valid in every state that is not terminal */
    ROLLOUT_UNDO,  /* only after succeeded, while retained */
    ROLLOUT_SUPERSEDE,
    ROLLOUT_APPROVE, /* by .actor; in a step that is an approval */
    ROLLOUT_RETRY,   /* run the check that failed, or may have run, again */
    ROLLOUT_NEVENTS
};

/* What became of the check of the current step. */
enum rollout_check {
    ROLLOUT_UNCHECKED,
    ROLLOUT_CHECKING,
    ROLLOUT_PASSED,
    ROLLOUT_FAILED,
    ROLLOUT_NCHECKS
};

struct rollout_event {
    enum rollout_event_type type;
    uint64_t wall_ms; /* for the record */
    uint64_t mono_ms; /* for the timers; any origin, which may differ after a restart */
    uint32_t weight;
    uint64_t generation;
    bool ready;
    uint32_t step;
    bool ok;
    const struct judge_report *report;
    const char *actor; /* commands: who; may be NULL */
    const char *why;   /* commands: reason given; may be NULL. ROLLOUT_CHECKED: not NULL */
};

/* How it ended, or is about to. Filled by the machine unless said otherwise. */
enum rollout_outcome {
    ROLLOUT_OPEN, /* no result yet */
    ROLLOUT_DID_SUCCEED,
    ROLLOUT_DID_REGRESS, /* the judge said so */
    ROLLOUT_DID_ABORT,   /* an operator, or on_undecided: abort */
    ROLLOUT_DID_FAIL,    /* no endpoint came up, or all of them stayed down */
    ROLLOUT_DID_UNDO,
    ROLLOUT_DID_SUPERSEDE,
    ROLLOUT_NOUTCOMES
};
struct rollout_result {
    enum rollout_outcome outcome;
    bool by_judge;          /* class, evalue, limit, excess are meaningful */
    enum judge_class class; /* that regressed */
    double evalue, limit, excess;
    char reason[ROLLOUT_MESSAGE_MAX];
    uint64_t verdict_at_ms;  /* wall: decided */
    uint64_t reverted_at_ms; /* wall: weight 0 live on all workers; 0: not (yet) */
    uint64_t exposed, bad;   /* canary requests and errors up to now; the engine may refine */
    int64_t last_request_ms; /* last request begun on the canary minus verdict; engine sets */
};

struct rollout { /* a value without pointers, owned by the engine */
    char id[ROLLOUT_ID_MAX];
    char service[ROLLOUT_SERVICE_MAX + 1];
    char stable[SPEC_NAME_MAX + 1]; /* version that holds the rest of the weight */
    char author[ROLLOUT_AUTHOR_MAX];
    struct spec spec; /* spec.version is the canary */
    enum rollout_state state;
    enum rollout_state back; /* holding: where resume returns to */
    enum rollout_reason reason;
    uint32_t step;        /* index of the current step; 0 before the first */
    uint32_t weight;      /* of the canary, asked for */
    bool applied;         /* weight is live everywhere */
    bool level;           /* it was at the last observation too */
    bool ready;           /* an endpoint is up, as last told */
    bool skip;            /* promote: pass the gate as soon as the weight is applied */
    bool warned;          /* mode observe: "regressed" was reported */
    bool failed;          /* publishing it failed: asked for again at the next tick */
    uint64_t index;       /* +1 with every change that a watcher should see */
    uint64_t generation;  /* newest applied */
    uint64_t mono_ms;     /* of the latest event */
    uint64_t phase_ms;    /* active time: shifting, warming, baking, aborting */
    uint64_t observed_ms; /* judged time at the step's weight: no pauses, no warm-up */
    uint64_t exposed_ms;  /* active time with weight since an endpoint came up: warm-up */
    uint64_t down_ms;     /* time with weight and without an endpoint */
    uint64_t created_ms, updated_ms, finished_ms; /* wall */
    uint64_t first_request_ms; /* wall: first window with a request on the canary; 0: none */
    uint64_t step_started_ms[SPEC_STEPS], step_ended_ms[SPEC_STEPS];
    enum judge_verdict verdict;        /* latest */
    uint64_t step_n;                   /* canary requests judged in this step */
    enum rollout_check check;          /* of the current step */
    char checked[ROLLOUT_MESSAGE_MAX]; /* what the latest check saw */
    uint32_t napprovals;               /* of the current step */
    char approvals[SPEC_APPROVERS][ROLLOUT_AUTHOR_MAX];
    struct rollout_result result;
    struct judge judge;
};

struct rollout_effects {
    bool changed;    /* something was changed: save the rollout */
    bool set_weight; /* publish WEIGHT for the canary, the rest for stable; then APPLIED */
    uint32_t weight;
    bool drain;    /* the canary gets no more traffic: drain its endpoints */
    bool settle;   /* the canary is the service's version now: weights are the service's own */
    bool finish;   /* reached a terminal state */
    bool run_task; /* run the check of the current step, then ROLLOUT_CHECKED */
    const char *type; /* event to append ("rollout.step"), static; NULL: none */
    char message[ROLLOUT_MESSAGE_MAX]; /* its text, or why a command was refused */
};

/* In state pending. ID, SERVICE, STABLE and AUTHOR are copied (cut to their room). */
void rollout_init(struct rollout *r, const char *id, const char *service, const char *stable,
                  const char *author, const struct spec *spec, uint64_t wall_ms);
/*
 * Let EV happen. 0: done (or a fact that changed nothing: !fx->changed). -1: a command that is
 * not valid in this state; nothing changed and fx->message says why.
 */
MUST_CHECK int rollout_apply(struct rollout *r, const struct rollout_event *ev,
                             struct rollout_effects *fx);
/*
 * Give one tick's counters to the judge; *REPORT is what ROLLOUT_VERDICT must carry. W's
 * warming flag is set from the rollout. True when the rollout is in a state that is judged;
 * else W is ignored and no verdict is to be sent.
 */
bool rollout_observe(struct rollout *r, struct judge_window *w, uint64_t wall_ms,
                     struct judge_report *report);

bool rollout_accepts(const struct rollout *r, enum rollout_event_type command,
                     uint64_t wall_ms);
/* Why command EV would be refused now, a sentence; NULL: it would not. */
const char *rollout_refusal(const struct rollout *r, const struct rollout_event *ev);
bool rollout_terminal(enum rollout_state s);
bool rollout_warm(const struct rollout *r);                   /* warm-up is over */
enum rollout_phase rollout_phase(const struct rollout *r);    /* inside stepping */
const char *rollout_state_name(enum rollout_state s);         /* "stepping" */
const char *rollout_reason_name(enum rollout_reason reason);  /* "no_data"; NULL: none */
const char *rollout_phase_name(enum rollout_phase phase);     /* "observing"; NULL: none */
const char *rollout_outcome_name(enum rollout_outcome o);     /* "regressed"; NULL: open */
const char *rollout_check_name(enum rollout_check check);     /* "passed"; NULL: unchecked */
const char *rollout_event_name(enum rollout_event_type type); /* "promote" */
