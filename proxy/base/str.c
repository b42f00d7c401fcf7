/* str.c - a borrowed slice of bytes. Pure; nothing here allocates. */
#include "proxy/base/str.h"

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    const char *q = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct str tok = {rest->p, q ? (size_t)(q - rest->p) : rest->n};

    *rest = str_skip(*rest, tok.n + (q != NULL));
    return tok;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned char)s.p[i] - '0';

        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

size_t str_copy(char *dst, size_t cap, struct str s)
{
    size_t n = s.n < cap ? s.n : cap - 1;

    if (n)
        memcpy(dst, s.p, n);
    dst[n] = '\0';
    return n;
}
