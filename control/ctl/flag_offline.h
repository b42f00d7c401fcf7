/*
 * flag_offline.h - `sluicectl flag eval`: flags and contexts from files, results as JSON lines.
 *
 * No server is asked; the evaluator is the one that the workers run.
 */
#pragma once
#include "proxy/base/check.h"

#include <stdint.h>
#include <stdio.h>

/*
 * FLAGS: a flagd document (or a flag-set snapshot). CONTEXTS: lines {"context":{…}} for all
 * flags, or {"flag":"key","context":{…}} for one; NULL: the empty context. NOW_UNIX is what
 * rules see as $flagd.timestamp. Writes
 *   {"i":line,"flag":key,"value":…,"variant":…,"reason":…,"errorCode":…}
 * to OUT, members left out when not set. 0, or -1 with a malloc'd reason in *WHY (xfree).
 */
int flag_offline(const char *flags, const char *contexts, uint64_t now_unix, FILE *out,
                 char **why) MUST_CHECK;
