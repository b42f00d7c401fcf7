/*
 * spec.h - what an operator asks for when a version rolls out.
 *
 * A plain value without pointers, valid by construction: spec_read checks everything and an
 * unknown field is an error with a JSON pointer. Durations are milliseconds, weights are
 * hundredths of a per cent (0..10000).
 *
 *   { "version": "v2", "endpoints": ["127.0.0.1:9003"], "strategy": "canary",
 *     "warmup": "30s",
 *     "gates": [ {"http": {"name":"ci", "url":"https://ci.example/v2", "method":"GET"}} ],
 *     "smoke": [ {"name":"home", "request":"GET /", "expect":{"status":200}} ],
 *     "steps": [ {"weight": 5, "hold": {"min":"2m","max":"15m","until":"evidence"}},
 *                {"approve": {"need":1, "of":["ann","bob"], "not_author":true,
 * "expires":"4h"}},
 *                {"weight": 50, "hold": "5m"}, {"weight": 100},
 *                {"http": {"name":"tell", "url":"http://127.0.0.1:8000/done"}} ],
 *     "judge": { "mode":"enforce", "alpha":0.01, "certify":0.05, "on_undecided":"hold",
 *                "tolerance":1.0, "max_error_rate":0.05, "unit":"client" },
 *     "bake": {"for":"0s"}, "retain": {"for":"30m"},
 *     "owners": ["team-shop"], "links": {"dashboard": "https://grafana.example/?v={{version}}"}
 * }
 *
 * "hold": "5m" is short for {"min":"5m","until":"time"}. "preset": "cautious", "normal" or
 * "fast" stands for steps. Weights rise strictly; the last is 100 and has no hold (bake is the
 * wait at 100). "unit" is what counts as one error: of a "client" its 1st, 3rd, 7th, ..., or
 * its first ("client_once"), where the service's split is sticky; "request" elsewhere and if it
 * is asked for. "version" is the only field without a default besides steps or preset.
 *
 * "supersede": "reject" (the default), "restart" or "queue" says what becomes of it while
 * another rollout of the service is under way.
 *
 * "strategy": "bluegreen" is one switch: without steps it is {"weight": 100} alone.
 *
 * Everything that is done is a step, in the order in which it is done: the gates and the smoke
 * checks come before the first weight, the smoke checks once more behind the last step. A step
 * that is no weight leaves the weight as it is.
 */
#pragma once
#include "control/rollout/judge.h"

struct json_t;

#define SPEC_STEPS        32   /* gates and smoke checks, twice, are among them */
#define SPEC_TASKS        16   /* checks and approvals */
#define SPEC_TEXT         8192 /* bytes of all their texts */
#define SPEC_RETRIES      10
#define SPEC_APPROVERS    8
#define SPEC_ENDPOINTS    64
#define SPEC_NAME_MAX     64 /* longest version name, without NUL */
#define SPEC_ENDPOINT_MAX 120
#define SPEC_POINTER_MAX  96
#define SPEC_MESSAGE_MAX  160
#define SPEC_DURATION_MAX (30ull * 24 * 3600 * 1000)

enum spec_until { SPEC_EVIDENCE, SPEC_TIME, SPEC_APPROVAL, SPEC_NUNTIL };
enum spec_mode { SPEC_ENFORCE, SPEC_OBSERVE, SPEC_NMODES };
enum spec_undecided { SPEC_HOLD, SPEC_ADVANCE, SPEC_ABORT, SPEC_NUNDECIDED };

enum spec_supersede {               /* another rollout of the service is under way */
                      SPEC_REJECT,  /* then this one does not begin */
                      SPEC_RESTART, /* that one is taken back first */
                      SPEC_QUEUE,   /* this one begins after it */
                      SPEC_NSUPERSEDES
};
enum spec_strategy { SPEC_CANARY, SPEC_BLUEGREEN, SPEC_NSTRATEGIES };

enum spec_kind {
    SPEC_WEIGHT,  /* this share of the traffic, then its hold */
    SPEC_SMOKE,   /* a request to every endpoint of the version that is up, and what it must get
                   */
    SPEC_HTTP,    /* a request to somebody else, and what the answer must be like */
    SPEC_APPROVE, /* people who must agree */
    SPEC_NKINDS
};
enum spec_list { SPEC_OF_STEPS, SPEC_OF_GATES, SPEC_OF_SMOKE }; /* where it is written */

struct spec_step {
    enum spec_kind kind;
    enum spec_list list;
    uint32_t task;   /* but for SPEC_WEIGHT: index in tasks */
    uint32_t weight; /* 1..10000; of other kinds that of the step before, 0: none yet */
    enum spec_until until;
    uint64_t min_ms; /* at least this long at the weight, after the warm-up */
    uint64_t max_ms; /* then on_undecided decides; 0: no limit; >= min_ms */
};

enum spec_failure { SPEC_FAIL_HOLD, SPEC_FAIL_ABORT, SPEC_NFAILURES };

struct spec_task { /* offsets are of spec_text; 0: none */
    char name[SPEC_NAME_MAX + 1];
    uint32_t method, url; /* of a smoke check url is the path */
    uint32_t headers;     /* a JSON object of strings */
    uint32_t body;
    uint32_t expect;     /* JSON, as expect.h wants it */
    uint64_t timeout_ms; /* of one try */
    uint32_t retries;    /* tries after the first */
    bool idempotent;     /* may run again when nobody knows whether it ran */
    enum spec_failure on_failure;
    /* approvals */
    uint32_t need;       /* 1..SPEC_APPROVERS */
    uint32_t of;         /* JSON array of names; 0: anybody */
    bool not_author;     /* who started the rollout does not count */
    uint64_t expires_ms; /* then the rollout goes back; 0: never */
};

struct spec {
    char version[SPEC_NAME_MAX + 1];
    char endpoints[SPEC_ENDPOINTS][SPEC_ENDPOINT_MAX]; /* "host:port"; none: already known */
    uint32_t nendpoints;
    enum spec_strategy strategy;
    uint32_t nsteps; /* 1..SPEC_STEPS; the last has weight 10000 */
    struct spec_step steps[SPEC_STEPS];
    uint32_t ntasks;
    struct spec_task tasks[SPEC_TASKS];
    uint32_t text_used;
    char text[SPEC_TEXT];
    uint64_t warmup_ms, bake_ms, retain_ms;
    uint32_t owners;             /* spec_text: a JSON array of names; 0: none */
    uint32_t links;              /* spec_text: a JSON object of names and URLs; 0: none */
    uint32_t notify, escalation; /* spec_text: JSON arrays, as spec_notify.h says; 0: none */
    enum spec_supersede supersede;
    enum spec_mode mode;
    enum spec_undecided on_undecided;
    struct judge_config judge; /* ranges checked; epochs already set from the steps */
};

struct spec_error {
    char pointer[SPEC_POINTER_MAX]; /* "/steps/1/weight" */
    char message[SPEC_MESSAGE_MAX]; /* "must be above the step before (5)" */
};

#define SPEC_ERRORS 20
struct spec_errors {
    uint32_t n; /* of them; at most SPEC_ERRORS are kept */
    struct spec_error v[SPEC_ERRORS];
};

/* Read a parsed JSON object (borrowed). 0, or -1 and *ERRS has every mistake, in the order of
 * reading; *OUT is then undefined. */
MUST_CHECK int spec_read_all(const struct json_t *doc, struct spec *out,
                             struct spec_errors *errs);
/* The same with the first mistake only. */
MUST_CHECK int spec_read(const struct json_t *doc, struct spec *out, struct spec_error *err);
/* The same document with every default written out; spec_read gives the same spec back. Owned
 * by the caller (json_decref). */
struct json_t *spec_write(const struct spec *s);

/* What is kept at OFFSET, "" for 0; valid as long as S. */
static inline const char *spec_text(const struct spec *s, uint32_t offset)
{
    return s->text + offset;
}
/* The task of STEP, which is no weight. */
static inline const struct spec_task *spec_task(const struct spec *s, uint32_t step)
{
    return &s->tasks[s->steps[step].task];
}

/* "1500ms", "30s", "5m", "2h", "1d", "0s": milliseconds up to SPEC_DURATION_MAX. False: not a
 * duration. */
bool spec_duration(const char *text, uint64_t *ms);
#define SPEC_DURATION_TEXT 32
/* The shortest exact form. Returns BUF. */
const char *spec_duration_text(char buf[SPEC_DURATION_TEXT], uint64_t ms);

const char *spec_strategy_name(enum spec_strategy s); /* "canary", "bluegreen" */
const char *spec_kind_name(enum spec_kind k);         /* "weight", "smoke", "http", "approve" */
const char *spec_until_name(enum spec_until u);       /* "evidence", "time", "approval" */
const char *spec_mode_name(enum spec_mode m);         /* "enforce", "observe" */
const char *spec_unit_name(enum judge_unit u);        /* "request", "client", "client_once" */
const char *spec_undecided_name(enum spec_undecided u); /* "hold", "advance", "abort" */
