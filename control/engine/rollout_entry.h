/*
 * rollout_entry.h - may a rollout begin, and the entry that it begins as.
 */
#pragma once
#include "control/engine/rollouts.h"

/*
 * May SPEC begin on SERVICE, as far as versions and weights go? 0, or -1 and WHY. Whether
 * another rollout owns the service is for the caller to know.
 */
int rollout_entry_check(const struct engine *e, const char *service, const struct spec *spec,
                        struct refusal *why) MUST_CHECK;
/* Rollout NUMBER, pending, of a SPEC that was checked. Its stable version is "" while the new
 * one has all the weight. The caller's, until it is in a list. */
struct rollout_entry *rollout_entry_new(const struct engine *e, uint64_t number,
                                        const char *service, const struct spec *spec,
                                        const char *actor);
/* Make L, which waited, as if it were made now; its id, age and story stay. */
void rollout_entry_renew(const struct engine *e, struct rollout_entry *l);
void rollout_entry_free(struct rollout_entry *l);

/* The cell of a version in the counters; 0: there is no such version. */
uint32_t rollout_entry_cell(const struct engine *e, const char *service, const char *version);
/* Can the new version of R take traffic? */
bool rollout_entry_ready(const struct engine *e, const struct rollout *r);
