/* flag_time.h - points in time of flags: RFC 3339, as people and flag metadata write them. */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

/* "2026-11-22T21:00:00Z", "…T22:00:00.5+01:00": Unix seconds, fractions cut off. False: it is
 * not such a time, or before 1970. */
bool flag_time_parse(struct str s, uint64_t *unix_s) MUST_CHECK;
