/*
 * flag_ops.h - flagd's own operators, on values that are computed already.
 *
 * Anything that does not fit gives null, never an error.
 */
#pragma once
#include "proxy/route/flag_coerce.h"

/* starts_with, ends_with: bytes of two texts. */
struct flag_value flag_op_starts_with(const struct flag_value *s,
                                      const struct flag_value *part);
struct flag_value flag_op_ends_with(const struct flag_value *s, const struct flag_value *part);

/* sem_ver: "=" "!=" "<" "<=" ">" ">=", "^" same major, "~" same major and minor. */
struct flag_value flag_op_sem_ver(struct flag_scratch *s, const struct flag_value *a,
                                  const struct flag_value *op, const struct flag_value *b);

/* substr(text, start[, length]): code points, negative ones count from the end. */
struct flag_value flag_op_substr(struct str text, double start, const double *length);
/* in: part of a text, element of an array. */
bool flag_op_in(struct flag_scratch *s, const struct flag_value *needle,
                const struct flag_value *haystack);
