/*
 * flag_guard.h - what must hold before a flag's rule is asked: its window and its
 * prerequisites.
 *
 * In the metadata of a flag, where flagd's own tools ignore them:
 *   "proxy.from", "proxy.until"   RFC 3339; outside of [from, until) the default variant
 *   "proxy.needs"                 "payments=on,region!=off": flags and the variants that the
 *                                 same request must (or must not) get; else the default variant
 * A flag that is needed has no needs itself, so there are no cycles and no chains. A flag that
 * is not there does not satisfy anything.
 */
#pragma once
#include "config/flag_program.h"

#define FLAG_NEEDS_MAX 16 /* of one flag */

struct json_t;

/* The guard of METADATA, or NULL with WHY empty (none) or set (a reason for quarantine). The
 * flags that are needed are found by flag_guard_link. */
struct flag_guard *flag_guard_parse(struct arena *a, const struct json_t *metadata, char *why,
                                    size_t cap);
/* All flags of SET are read: find the needs of D. False: WHY says what is wrong. */
bool flag_guard_link(const struct flagset *set, const struct flag_def *d, char *why,
                     size_t cap);
