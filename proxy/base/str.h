/*
 * str.h - a borrowed slice of bytes.
 *
 * Passed by value, never owns, never NUL-terminated unless the owner says so. Text from a
 * peer stays a slice of the buffer it arrived in; C strings exist only at the edges.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_INIT(lit)                                                                          \
    {                                                                                          \
        (lit), sizeof(lit) - 1                                                                 \
    }
#define STR_ARG(s) (int)(s).n, (s).p /* printf("%.*s", STR_ARG(host)) */
#define STR_NONE   ((struct str){NULL, 0})

static inline struct str str_of(const char *c)
{
    return (struct str){c, c ? strlen(c) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* Drop the first N bytes (at most all of them). */
static inline struct str str_skip(struct str s, size_t n)
{
    n = n < s.n ? n : s.n;
    return (struct str){s.p + n, s.n - n};
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_ieq(struct str a, struct str b);       /* ASCII case-insensitive */
int str_cmp(struct str a, struct str b);        /* bytewise, shorter first */
struct str str_trim(struct str s);              /* SP and HTAB at both ends */
struct str str_cut(struct str *rest, char sep); /* token before SEP; REST moves behind it */
bool str_to_u64(struct str s, uint64_t max, uint64_t *out); /* 1*DIGIT, at most MAX */
size_t str_copy(char *dst, size_t cap, struct str s); /* truncates; always NUL-terminated */
