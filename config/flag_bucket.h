/*
 * flag_bucket.h - the buckets of `fractional`: a variant and its share.
 *
 * Buckets that are written as literals are read once, at compile.
 */
#pragma once
#include "config/flag_value.h"
#include "proxy/base/check.h"

struct flag_bucket {
    struct flag_value variant;
    int64_t weight; /* what is below 0 counts as 0 */
};

/* A bucket from its parts; WEIGHT NULL or null: 1. False: the whole operator is null. */
bool flag_bucket_read(struct flag_bucket *b, const struct flag_value *variant,
                      const struct flag_value *weight) MUST_CHECK;
/* The same from [variant, weight]. */
bool flag_bucket_read_pair(struct flag_bucket *b, const struct flag_value *pair) MUST_CHECK;

/* The arguments of an operator from FIRST on, all of them literals. */
struct flag_buckets {
    uint32_t first, n;
    struct flag_bucket b[];
};
