/*
 * flag_trial.h - what flags would do, without serving them: for who reviews a change.
 */
#pragma once
#include "config/flagset.h"
#include "control/engine/flagsync.h"

/* The set that is served with KEY's flag as FLAG (NULL: as it is); NULL before the first set.
 */
struct flagset *flag_trial_set(const struct flagsync *f, const char *key,
                               const struct json_t *flag) MUST_CHECK;

/*
 * What DOC, a flag-set snapshot (flag_doc.h), would be: {"valid","errors":[{"flag","message"}],
 * "warnings":[{"flag","code","message"}]}. An error is what would quarantine a flag. Warnings
 * compare with what is served: "reordered" (fractional buckets: users move who need not),
 * "type_changed", "variant_removed"; others are "needs_unknown", "expired" and "schema", which
 * is what flagd's schema refuses and evaluators take.
 */
struct json_t *flag_trial_validate(const struct flagsync *f, const struct json_t *doc,
                                   uint64_t now_unix) MUST_CHECK;

#define FLAG_TRIAL_USERS 100000 /* at most */
/*
 * KEY evaluated for USERS targeting keys ("user-0" …) in CONTEXT by BEFORE and AFTER:
 * {"users","before":{variant:users},"after":{…},"moved","moves":[{"from","to","users"}]}.
 * No variant is "". BEFORE may be NULL, and either may lack the flag.
 */
struct json_t *flag_trial_simulate(const struct flagset *before, const struct flagset *after,
                                   const char *key, const struct json_t *context,
                                   unsigned users, uint64_t now_unix) MUST_CHECK;

/* FLAG of SET for CONTEXT: result, who decided, and the steps of its rule. NULL: CONTEXT is too
 * deep. */
struct json_t *flag_trial_explain(struct flagset *set, int flag, const struct json_t *context,
                                  uint64_t now_unix) MUST_CHECK;
