/*
 * units.c - the small notations that values are written in. Pure.
 */
#include "config/units.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <sys/un.h>

static const struct unit {
    const char *name;
    uint64_t ms;
} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    c = ascii_lower(c);
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

static struct str take_run(struct str *rest, bool digits)
{
    size_t n = 0;

    while (n < rest->n && is_digit(rest->p[n]) == digits)
        n++;

    struct str run = {rest->p, n};

    *rest = str_skip(*rest, n);
    return run;
}

bool conf_duration(struct str s, uint64_t *ms)
{
    uint64_t sum = 0;
    size_t next = 0; /* units come once each, from large to small */

    if (s.n == 0)
        return false;
    while (s.n > 0) {
        uint64_t number;
        struct str digits = take_run(&s, true), unit = take_run(&s, false);

        if (!str_to_u64(digits, 1000000000000u, &number))
            return false;
        while (next < ARRAY_LEN(units) && !str_eq(unit, str_of(units[next].name)))
            next++;
        if (next == ARRAY_LEN(units))
            return false;
        sum += number * units[next++].ms; /* below 4 * 10^12 * 3.6 * 10^6 */
    }
    *ms = sum;
    return true;
}

struct str conf_duration_text(struct arena *a, uint64_t ms)
{
    char buf[96];
    size_t n = 0;

    if (ms == 0)
        return STR("0s");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= units[i].ms)
            n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%llu%s",
                                  (unsigned long long)(ms / units[i].ms), units[i].name);
        ms %= units[i].ms;
    }
    return arena_str(a, (struct str){buf, n});
}

static const struct {
    const char *name;
    unsigned shift;
} sizes[] = {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}};

bool unit_size(struct str s, uint64_t *bytes)
{
    struct str digits = take_run(&s, true);
    uint64_t number;

    if (!str_to_u64(digits, UINT32_MAX, &number))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        if (str_eq(s, str_of(sizes[i].name))) {
            *bytes = number << sizes[i].shift; /* below 2^62 */
            return true;
        }
    return false;
}

struct str unit_size_text(struct arena *a, uint64_t bytes)
{
    size_t i = 0;

    while (bytes & ((1ull << sizes[i].shift) - 1) || (bytes == 0 && sizes[i].shift))
        i++;
    return arena_printf(a, "%llu%s", (unsigned long long)(bytes >> sizes[i].shift),
                        sizes[i].name);
}

bool conf_name_ok(struct str s)
{
    if (s.n == 0 || s.n > 64 || !is_alnum(s.p[0]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && !memchr("._-", s.p[i], 3))
            return false;
    return true;
}

static bool parse_ip(int family, struct str s, void *out)
{
    char text[INET6_ADDRSTRLEN];

    if (s.n >= sizeof(text) || memchr(s.p ? s.p : "", '\0', s.n))
        return false;
    str_copy(text, sizeof(text), s);
    return inet_pton(family, text, out) == 1;
}

bool unit_ip(struct str s)
{
    struct in6_addr any;

    return parse_ip(AF_INET, s, &any) || parse_ip(AF_INET6, s, &any);
}

bool unit_loopback(struct str s)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (parse_ip(AF_INET, s, &v4))
        return ntohl(v4.s_addr) >> 24 == 127;
    return parse_ip(AF_INET6, s, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool unit_hostname(struct str s)
{
    bool letter = false;

    if (s.n == 0 || s.n > 253)
        return false;
    while (s.n > 0) {
        struct str label = str_cut(&s, '.');

        if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++) {
            if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
                return false;
            letter |= !is_digit(label.p[i]);
        }
    }
    return letter; /* digits and dots alone would be a mistyped address */
}

bool conf_address(struct arena *a, struct str s, struct str *host, uint16_t *port)
{
    struct str name, number;
    uint64_t value;

    if (s.n > 0 && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        struct in6_addr any;

        if (!end)
            return false;
        name = (struct str){s.p + 1, (size_t)(end - s.p) - 1};
        number = str_skip(s, name.n + 2);
        if (!parse_ip(AF_INET6, name, &any) || !str_starts(number, STR(":")))
            return false;
        number = str_skip(number, 1);
    } else {
        number = s;
        name = str_cut(&number, ':');
        if (name.n == s.n || (!unit_ip(name) && !unit_hostname(name)))
            return false;
    }
    if (number.n > 5 || !str_to_u64(number, 65535, &value))
        return false;
    *host = arena_str(a, name);
    *port = (uint16_t)value;
    return true;
}

bool unit_endpoint(struct arena *a, struct str s, struct str *host, uint16_t *port)
{
    struct str prefix = STR("unix:"), path = str_skip(s, prefix.n);

    if (!str_starts(s, prefix))
        return conf_address(a, s, host, port) && *port != 0;
    if (path.n < 2 || path.n >= sizeof(((struct sockaddr_un *)0)->sun_path) ||
        path.p[0] != '/' || memchr(path.p, '\0', path.n))
        return false;
    *host = arena_str(a, path);
    *port = 0;
    return true;
}

bool unit_token(struct str s)
{
    if (s.n == 0 || s.n > 256)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && !memchr("!#$%&'*+-.^_`|~", s.p[i], 15))
            return false;
    return true;
}

bool unit_path(struct str s, bool query)
{
    if (s.n == 0 || s.n > 4096 || s.p[0] != '/')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '#' || (s.p[i] == '?' && !query))
            return false;
    return true;
}

size_t unit_utf8_length(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;

    if (n == 0 || n > s.n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool unit_text(struct str s)
{
    while (s.n > 0) {
        size_t n = unit_utf8_length(s);

        if (n == 0 || (unsigned char)s.p[0] < ' ' || s.p[0] == 0x7f)
            return false;
        s = str_skip(s, n);
    }
    return true;
}

bool unit_mode(struct str s, uint32_t *mode)
{
    uint32_t bits = 0;

    if (s.n < 3 || s.n > 4 || (s.n == 4 && s.p[0] != '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '7')
            return false;
        bits = bits << 3 | (uint32_t)(s.p[i] - '0');
    }
    *mode = bits;
    return true;
}

bool unit_percent(double percent, uint32_t *hundredths)
{
    double exact = percent * 100, near = nearbyint(exact);

    if (!(percent >= 0 && percent <= 100) || fabs(exact - near) > 1e-6)
        return false;
    *hundredths = (uint32_t)near;
    return true;
}

struct str unit_percent_text(struct arena *a, uint32_t hundredths)
{
    uint32_t whole = hundredths / 100, rest = hundredths % 100;

    if (rest == 0)
        return arena_printf(a, "%u", whole);
    if (rest % 10 == 0)
        return arena_printf(a, "%u.%u", whole, rest / 10);
    return arena_printf(a, "%u.%02u", whole, rest);
}
