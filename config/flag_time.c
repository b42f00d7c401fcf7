/* flag_time.c - RFC 3339 section 5.6, with the "T" and "Z" in upper case. */
#include "config/flag_time.h"

#include <time.h>

/* N digits and, unless it is 0, the character THEN. False: something else is there. */
static bool number(struct str *s, size_t n, char then, int *out)
{
    *out = 0;
    if (s->n < n + (then != 0))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        *out = *out * 10 + (s->p[i] - '0');
    }
    if (then && s->p[n] != then)
        return false;
    *s = str_skip(*s, n + (then != 0));
    return true;
}

static bool skip_fraction(struct str *s)
{
    size_t n = 1;

    if (!s->n || s->p[0] != '.')
        return true;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    *s = str_skip(*s, n);
    return n > 1;
}

/* "Z", "+01:00": seconds east. */
static bool offset(struct str s, int *out)
{
    int hours, minutes, sign = s.n && s.p[0] == '-' ? -1 : 1;

    *out = 0;
    if (str_eq(s, STR("Z")))
        return true;
    if (!s.n || (s.p[0] != '+' && s.p[0] != '-'))
        return false;
    s = str_skip(s, 1);
    if (!number(&s, 2, ':', &hours) || !number(&s, 2, 0, &minutes) || s.n)
        return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

bool flag_time_parse(struct str s, uint64_t *unix_s)
{
    struct tm tm = {0};
    int east;
    time_t t;

    if (!number(&s, 4, '-', &tm.tm_year) || !number(&s, 2, '-', &tm.tm_mon) ||
        !number(&s, 2, 'T', &tm.tm_mday) || !number(&s, 2, ':', &tm.tm_hour) ||
        !number(&s, 2, ':', &tm.tm_min) || !number(&s, 2, 0, &tm.tm_sec) ||
        !skip_fraction(&s) || !offset(s, &east))
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    t = timegm(&tm) - east;
    *unix_s = (uint64_t)t;
    return t >= 0;
}
