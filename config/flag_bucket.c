/* flag_bucket.c - the buckets of `fractional`: a variant and its share. */
#include "config/flag_bucket.h"

#include <math.h>

bool flag_bucket_read(struct flag_bucket *b, const struct flag_value *variant,
                      const struct flag_value *weight)
{
    b->variant = *variant;
    b->weight = 1;
    if (variant->kind == FLAG_ARRAY || variant->kind == FLAG_OBJECT)
        return false;
    if (!weight || weight->kind == FLAG_NULL)
        return true;
    if (weight->kind != FLAG_NUMBER || weight->number != trunc(weight->number) ||
        weight->number > INT32_MAX) /* NaN is not its own trunc */
        return false;
    b->weight = weight->number > 0 ? (int64_t)weight->number : 0;
    return true;
}

bool flag_bucket_read_pair(struct flag_bucket *b, const struct flag_value *pair)
{
    return pair->kind == FLAG_ARRAY && pair->n > 0 &&
           flag_bucket_read(b, &pair->items[0], pair->n > 1 ? &pair->items[1] : NULL);
}
