/*
 * flag_fractional.h - which bucket of `fractional` a key falls into.
 *
 * There are three generations, and a set says which one it was made for (flag_program.h): the
 * same key falls into other buckets in another one. The second is what flagd does today.
 */
#pragma once
#include "config/flag_bucket.h"
#include "config/flag_program.h"
#include "proxy/route/flag_coerce.h"

/* Hash of a key of the first and second generation: its bytes. */
uint32_t flag_hash_text(struct str key);
/* Of the third: deterministic CBOR (RFC 8949 4.2.1) of a value, written in S. */
uint32_t flag_hash_value(struct flag_scratch *s, const struct flag_value *key);

struct flag_value flag_fractional_pick(enum flag_bucketing gen, uint32_t hash,
                                       const struct flag_bucket *b, size_t n);
