/* uri.c - authorities, paths, escapes. */
#include "proxy/http/uri.h"

#include "proxy/http/chars.h"

int uri_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at the front of S stands for; -1: not an escape. */
static int escape(struct str s)
{
    int high, low;

    if (s.n < 3 || s.p[0] != '%' || (high = uri_hex(s.p[1])) < 0 || (low = uri_hex(s.p[2])) < 0)
        return -1;
    return high << 4 | low;
}

/* Every "%" begins an escape of a byte that is neither CTL nor a delimiter of authorities. */
static bool name_ok(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        int c;
        if (host.p[i] != '%')
            continue;
        c = escape(str_skip(host, i));
        if (c <= 0x20 || c == 0x7f || strchr("/?#@:[]\\%", c))
            return false;
        i += 2;
    }
    return host.n && chars_run(host.p, host.n, CHAR_HOST) == host.n;
}

static bool literal_ok(struct str v6)
{
    size_t colons = 0;

    for (size_t i = 0; i < v6.n; i++) {
        colons += v6.p[i] == ':';
        if (v6.p[i] != ':' && v6.p[i] != '.' && uri_hex(v6.p[i]) < 0)
            return false;
    }
    return colons >= 2 && v6.n <= 45;
}

static bool port_ok(struct str s, uint16_t *port)
{
    uint64_t n;

    if (s.n < 2 || s.n > 6 || s.p[0] != ':' || !str_to_u64(str_skip(s, 1), UINT16_MAX, &n))
        return false;
    *port = (uint16_t)n;
    return n > 0;
}

bool uri_authority_parse(struct str s, struct uri_authority *a)
{
    size_t n;

    *a = (struct uri_authority){0};
    if (s.n && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        if (!end || !literal_ok((struct str){s.p + 1, (size_t)(end - s.p) - 1}))
            return false;
        n = (size_t)(end - s.p) + 1;
    } else {
        const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
        n = colon ? (size_t)(colon - s.p) : s.n;
        if (!name_ok((struct str){s.p, n}))
            return false;
    }
    a->host = (struct str){s.p, n};
    return n == s.n || port_ok(str_skip(s, n), &a->port);
}

struct str uri_host_lower(struct str host, char *out, size_t cap)
{
    size_t n = host.n;

    if (n > 1 && host.p[n - 1] == '.')
        n--;
    if (n > cap)
        n = cap;
    for (size_t i = 0; i < n; i++)
        out[i] = ascii_lower(host.p[i]);
    return (struct str){out, n};
}

void uri_split(struct str target, struct str *path, struct str *query)
{
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;

    *path = target;
    *query = STR_NONE;
    if (mark) {
        path->n = (size_t)(mark - target.p);
        *query = str_skip(target, path->n + 1);
    }
}

/* The last segment of OUT[0..n), which begins behind a "/", is over: remove it if it is a dot
 * segment. LAST: no "/" follows it. Returns the new length. */
static size_t end_segment(const char *out, size_t n, bool last)
{
    size_t start = n;

    while (out[start - 1] != '/')
        start--;
    if (n - start == 1 && out[start] == '.')
        return last ? start : start - 1;
    if (n - start != 2 || out[start] != '.' || out[start + 1] != '.')
        return n;
    if (start > 1)
        do
            start--;
        while (out[start - 1] != '/');
    return last ? start : start - 1;
}

enum uri_path uri_path_normalise(struct str path, char *out, size_t cap, struct str *normal)
{
    size_t n = 0;

    if (path.n == 0)
        path = STR("/");
    if (path.n > cap)
        return URI_PATH_LONG;
    if (path.p[0] != '/' && !str_eq(path, STR("*")))
        return URI_PATH_BAD;
    out[n++] = path.p[0];
    for (size_t i = 1; i < path.n; i++) {
        char c = path.p[i];
        if (c == '%') {
            int byte = escape(str_skip(path, i));
            if (byte <= 0)
                return URI_PATH_BAD;
            if (char_is((char)byte, CHAR_UNRESERVED)) {
                out[n++] = (char)byte;
            } else {
                out[n++] = '%';
                out[n++] = "0123456789ABCDEF"[byte >> 4];
                out[n++] = "0123456789ABCDEF"[byte & 15];
            }
            i += 2;
            continue;
        }
        if (c == '\\' || (uint8_t)c <= 0x20 || c == 0x7f)
            return URI_PATH_BAD;
        if (c == '/')
            n = end_segment(out, n, false);
        out[n++] = c;
    }
    if (out[0] == '/')
        n = end_segment(out, n, true);
    *normal = (struct str){out, n};
    return URI_PATH_OK;
}

struct str uri_decode(struct str s, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n && n < cap; i++) {
        int byte = escape(str_skip(s, i));
        out[n++] = byte >= 0 ? (char)byte : s.p[i];
        if (byte >= 0)
            i += 2;
    }
    return (struct str){out, n};
}
