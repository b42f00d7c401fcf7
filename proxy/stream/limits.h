/*
 * limits.h - how much a service takes at a time, over all workers.
 *
 * What the others have under way is read from their slabs every LIMITS_FRESH_US at most; a
 * worker knows its own to the last request. In between a limit can be passed by what came to
 * the other workers meanwhile.
 */
#pragma once
#include "proxy/stream/stream.h"

#define LIMITS_FRESH_US 10000

/* May the service of S take one more? */
bool limits_admit(struct stream *s);
