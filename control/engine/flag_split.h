/*
 * flag_split.h - a flag with another split of its users: for rollouts of flags.
 *
 * Buckets keep their order, whatever order the shares are named in, so that growth moves
 * nobody who need not move. Pure.
 */
#pragma once
#include "proxy/base/check.h"

#include <stddef.h>

struct json_t;

struct flag_share {
    const char *variant;
    unsigned weight;
};

/*
 * FLAG (a flagd definition) with SHARES in its one "fractional", wherever that stands in its
 * rule; a flag without a rule gets one. Buckets that are not named get 0; shares that have no
 * bucket yet come before the last one, which is taken for the control. A new reference, or NULL
 * and a malloc'd reason in *WHY (xfree): a share names no variant, all are 0, or the rule has
 * no fractional, several, or one whose buckets are computed.
 */
struct json_t *flag_split(const struct json_t *flag, const struct flag_share *shares, size_t n,
                          char **why) MUST_CHECK;
