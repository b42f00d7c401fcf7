/* suggest.h - the nearest known name to a mistyped one. */
#pragma once
#include "proxy/base/str.h"

/* Edits (insert, delete, replace, swap of neighbours) from A to B; more than 2 counts as 3. */
unsigned suggest_distance(struct str a, struct str b);
/* Index of the nearest of NAMES at a distance of at most 2 (1 for words under 4 letters), or
 * -1.
 */
long suggest_pick(struct str word, const struct str *names, size_t n);
