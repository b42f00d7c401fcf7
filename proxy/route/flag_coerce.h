/*
 * flag_coerce.h - how JSONLogic turns values into other kinds: ECMAScript's rules, bounded.
 *
 * Text that has to be made (numbers, joined arrays) comes from the scratch room of an
 * evaluation; when that is used up the evaluation is over and results no longer matter.
 */
#pragma once
#include "config/flag_value.h"

struct flag_scratch {
    char *at, *end;
    bool full; /* once set it stays: the evaluation has failed */
};
/* N bytes, aligned for values; NULL when full. */
void *flag_scratch_take(struct flag_scratch *s, size_t n);

bool flag_truthy(const struct flag_value *v); /* JSONLogic: [] and {} are false */
double flag_to_number(struct flag_scratch *s, const struct flag_value *v);   /* Number(v) */
double flag_parse_float(struct flag_scratch *s, const struct flag_value *v); /* parseFloat(v) */
/* String(v). JOINED: null is the empty text, as inside Array.prototype.join. */
struct str flag_to_text(struct flag_scratch *s, const struct flag_value *v, bool joined);

/* PARTS one after the other, BY between them. */
struct str flag_concat(struct flag_scratch *s, const struct str *parts, size_t n,
                       struct str by);

bool flag_strict_equal(const struct flag_value *a, const struct flag_value *b);
bool flag_loose_equal(struct flag_scratch *s, const struct flag_value *a,
                      const struct flag_value *b);
/* a < b, and with OR_EQUAL a <= b; false when they cannot be compared. */
bool flag_less(struct flag_scratch *s, const struct flag_value *a, const struct flag_value *b,
               bool or_equal);
