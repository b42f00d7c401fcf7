/* httpd_text.c - escapes of targets, and which hosts are this machine. */
#include "control/link/httpd_text.h"

#include "control/link/httpd.h"
#include "proxy/http/uri.h"

static struct str unescape(struct arena *a, struct str s, bool plus)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        int hi, lo;

        if (s.p[i] != '%') {
            out[n++] = plus && s.p[i] == '+' ? ' ' : s.p[i];
            continue;
        }
        if (s.n - i < 3 || (hi = uri_hex(s.p[i + 1])) < 0 || (lo = uri_hex(s.p[i + 2])) < 0 ||
            hi + lo == 0)
            return STR_NONE;
        out[n++] = (char)(hi * 16 + lo);
        i += 2;
    }
    out[n] = '\0';
    return (struct str){out, n};
}

struct str httpd_unescape(struct arena *a, struct str s)
{
    return unescape(a, s, false);
}

struct str httpd_query_value(struct arena *a, struct str query, const char *name)
{
    while (query.n) {
        struct str value = str_cut(&query, '&'), key = str_cut(&value, '=');

        key = unescape(a, key, true);
        if (key.p && str_eq(key, str_of(name)))
            return unescape(a, value, true);
    }
    return STR_NONE;
}

static bool is_loopback_v4(struct str s)
{
    unsigned parts = 0;
    uint64_t n, first = 0;

    while (s.n) {
        if (!str_to_u64(str_cut(&s, '.'), 255, &n))
            return false;
        first = parts++ ? first : n;
    }
    return parts == 4 && first == 127;
}

bool httpd_is_loopback(struct str authority)
{
    struct uri_authority a;

    return uri_authority_parse(authority, &a) &&
           (str_ieq(a.host, STR("localhost")) || str_eq(a.host, STR("[::1]")) ||
            is_loopback_v4(a.host));
}
