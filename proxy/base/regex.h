/*
 * regex.h - regular expressions with bounded cost (PCRE2, bytes, no JIT).
 *
 * Patterns come from the operator, subjects from peers. A match has limits on steps, depth and
 * memory, so the worst pattern costs a bounded time; what reaches a limit is neither a match
 * nor none. No JIT: workers need no writable and executable memory.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#define REGEX_PATTERN_MAX 1024 /* bytes */

struct regex; /* has room for one match: for one thread */

struct regex_error {
    char text[128];
    size_t at; /* byte of the pattern */
};

enum regex_result { REGEX_NO, REGEX_YES, REGEX_LIMIT };

/* NULL: E says why and where. */
struct regex *regex_new(struct str pattern, struct regex_error *e) MUST_CHECK;
void regex_free(struct regex *re);
unsigned regex_groups(const struct regex *re); /* number of capturing groups */

/* Does RE match anywhere in S? Once RE has grown to its size, it does not allocate. */
enum regex_result regex_match(const struct regex *re, struct str s);
/*
 * S, the subject of the last regex_match, which was REGEX_YES, with the part that matched
 * replaced by WITH, in which $0 to $9 are the groups. Into OUT; false: more than CAP bytes.
 */
bool regex_replace(const struct regex *re, struct str s, struct str with, char *out, size_t cap,
                   struct str *result) MUST_CHECK;
