/*
 * wait.h - follow one rollout until it has come where the caller wants it.
 *
 * SIGINT detaches (exit 130) and the rollout goes on. A connection that is lost, as while the
 * controller is restarted, is tried again for 30 seconds.
 */
#pragma once
#include "control/ctl/ctl.h"

#define WAIT_RETRY_MS 30000

enum wait_mode {
    WAIT_COMPLETE, /* until it ends; a decision that is needed: CTL_DECISION */
    WAIT_PAUSED,   /* until it waits for somebody, or ends: both are CTL_OK when good */
    WAIT_FOLLOW    /* until it ends, whatever it waits for */
};

/*
 * Progress goes to TO: a live view when that is a terminal, else one line a change. TIMEOUT_MS
 * 0: none. Returns the exit code; *LAST (may be NULL) is the last document seen, to be
 * decref'd, or NULL.
 */
int wait_rollout(struct ctl *c, const char *id, enum wait_mode mode, uint64_t timeout_ms,
                 FILE *to, json_t **last) MUST_CHECK;
/* "complete", "paused", "" -> true and *MODE. */
bool wait_mode_parse(const char *s, enum wait_mode *mode);
