/*
 * spec.h - what an operator asks for when a version rolls out.
 *
 * A plain value without pointers, valid by construction: spec_read checks everything and an
 * unknown field is an error with a JSON pointer. Durations are milliseconds, weights are
 * hundredths of a per cent (0..10000).
 *
 *   { "version": "v2", "endpoints": ["127.0.0.1:9003"], "strategy": "canary",
 *     "warmup": "30s",
 *     "steps": [ {"weight": 5, "hold": {"min":"2m","max":"15m","until":"evidence"}},
 *                {"weight": 50, "hold": "5m"}, {"weight": 100} ],
 *     "judge": { "mode":"enforce", "alpha":0.01, "certify":0.05, "on_undecided":"hold",
 *                "tolerance":1.0, "max_error_rate":0.05, "unit":"request" },
 *     "bake": {"for":"0s"}, "retain": {"for":"30m"} }
 *
 * "hold": "5m" is short for {"min":"5m","until":"time"}. "preset": "cautious", "normal" or
 * "fast" stands for steps. Weights rise strictly; the last is 100 and has no hold (bake is the
 * wait at 100). "version" is the only field without a default besides steps or preset.
 */
#pragma once
#include "control/rollout/judge.h"

struct json_t;

#define SPEC_STEPS        32
#define SPEC_ENDPOINTS    64
#define SPEC_NAME_MAX     64 /* longest version name, without NUL */
#define SPEC_ENDPOINT_MAX 120
#define SPEC_POINTER_MAX  96
#define SPEC_MESSAGE_MAX  160
#define SPEC_DURATION_MAX (30ull * 24 * 3600 * 1000)

enum spec_until { SPEC_EVIDENCE, SPEC_TIME, SPEC_APPROVAL, SPEC_NUNTIL };
enum spec_mode { SPEC_ENFORCE, SPEC_OBSERVE, SPEC_NMODES };
enum spec_undecided { SPEC_HOLD, SPEC_ADVANCE, SPEC_ABORT, SPEC_NUNDECIDED };

struct spec_step {
    uint32_t weight; /* 1..10000 */
    enum spec_until until;
    uint64_t min_ms; /* at least this long at the weight, after the warm-up */
    uint64_t max_ms; /* then on_undecided decides; 0: no limit; >= min_ms */
};

struct spec {
    char version[SPEC_NAME_MAX + 1];
    char endpoints[SPEC_ENDPOINTS][SPEC_ENDPOINT_MAX]; /* "host:port"; none: already known */
    uint32_t nendpoints;
    uint32_t nsteps; /* 1..SPEC_STEPS; the last has weight 10000 */
    struct spec_step steps[SPEC_STEPS];
    uint64_t warmup_ms, bake_ms, retain_ms;
    enum spec_mode mode;
    enum spec_undecided on_undecided;
    struct judge_config judge; /* ranges checked; epochs already set from the steps */
};

struct spec_error {
    char pointer[SPEC_POINTER_MAX]; /* "/steps/1/weight" */
    char message[SPEC_MESSAGE_MAX]; /* "must be above the step before (5)" */
};

/* Read a parsed JSON object (borrowed). 0, or -1 and ERR filled; *OUT is then undefined. */
MUST_CHECK int spec_read(const struct json_t *doc, struct spec *out, struct spec_error *err);
/* The same document with every default written out; spec_read gives the same spec back. Owned
 * by the caller (json_decref). */
struct json_t *spec_write(const struct spec *s);

/* "1500ms", "30s", "5m", "2h", "1d", "0s": milliseconds up to SPEC_DURATION_MAX. False: not a
 * duration. */
bool spec_duration(const char *text, uint64_t *ms);
#define SPEC_DURATION_TEXT 32
/* The shortest exact form. Returns BUF. */
const char *spec_duration_text(char buf[SPEC_DURATION_TEXT], uint64_t ms);

const char *spec_until_name(enum spec_until u);         /* "evidence", "time", "approval" */
const char *spec_mode_name(enum spec_mode m);           /* "enforce", "observe" */
const char *spec_undecided_name(enum spec_undecided u); /* "hold", "advance", "abort" */
