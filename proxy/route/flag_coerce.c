/*
 * flag_coerce.c - ECMAScript's conversions for JSON values.
 *
 * ECMA-262: ToNumber 7.1.4, Number::toString 6.1.6.1.20, IsLooselyEqual 7.2.13,
 * IsLessThan 7.2.12. Texts are compared by bytes of UTF-8, which is the order of code points.
 */
#include "proxy/route/flag_coerce.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 512 /* bytes of a numeral that are looked at */
#define DIGITS_MAX 17  /* of a double */

void *flag_scratch_take(struct flag_scratch *s, size_t n)
{
    char *p = s->at;

    n = (n + 15) & ~(size_t)15;
    if ((size_t)(s->end - s->at) < n) {
        s->full = true;
        return NULL;
    }
    s->at += n;
    return p;
}

bool flag_truthy(const struct flag_value *v)
{
    switch (v->kind) {
    case FLAG_BOOL:
        return v->boolean;
    case FLAG_NUMBER:
        return v->number != 0 && !isnan(v->number);
    case FLAG_STRING:
        return v->text.n > 0;
    case FLAG_ARRAY:
    case FLAG_OBJECT:
        return v->n > 0;
    default:
        return false;
    }
}

/* ---- numbers from text ---- */

static struct str trim(struct str s)
{
    while (s.n && strchr(" \t\n\r\v\f", s.p[0]) && s.p[0])
        s = str_skip(s, 1);
    while (s.n && strchr(" \t\n\r\v\f", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

static size_t digits(struct str s, size_t at)
{
    size_t n = 0;

    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

/* Length of the decimal literal that S begins with; 0: none. */
static size_t decimal_prefix(struct str s)
{
    size_t at = s.n && (s.p[0] == '+' || s.p[0] == '-');
    size_t whole = digits(s, at), fraction = 0, exponent;

    at += whole;
    if (at < s.n && s.p[at] == '.') {
        fraction = digits(s, at + 1);
        if (whole || fraction)
            at += 1 + fraction;
    }
    if (!whole && !fraction)
        return 0;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        size_t sign = at + 1 < s.n && (s.p[at + 1] == '+' || s.p[at + 1] == '-');

        exponent = digits(s, at + 1 + sign);
        if (exponent)
            at += 1 + sign + exponent;
    }
    return at;
}

static double decimal(struct str s)
{
    char text[NUMBER_MAX];

    str_copy(text, sizeof(text), s); /* more digits than that change nothing we can tell */
    return strtod(text, NULL);
}

static bool infinity_prefix(struct str s, double *out)
{
    bool sign = s.n && (s.p[0] == '+' || s.p[0] == '-');

    *out = sign && s.p[0] == '-' ? -INFINITY : INFINITY;
    return str_starts(str_skip(s, sign), STR("Infinity"));
}

static double radix(struct str s, unsigned base)
{
    double n = 0;

    if (s.n == 0)
        return NAN;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                            : 99;

        if (d >= base)
            return NAN;
        n = n * base + d;
    }
    return n;
}

static double text_to_number(struct str s)
{
    double inf;

    s = trim(s);
    if (s.n == 0)
        return 0;
    if (s.n > 2 && s.p[0] == '0') {
        char kind = ascii_lower(s.p[1]);

        if (kind == 'x' || kind == 'o' || kind == 'b')
            return radix(str_skip(s, 2), kind == 'x' ? 16 : kind == 'o' ? 8 : 2);
    }
    if (infinity_prefix(s, &inf))
        return s.n - (s.p[0] == '+' || s.p[0] == '-') == 8 ? inf : NAN;
    return decimal_prefix(s) == s.n ? decimal(s) : NAN;
}

double flag_to_number(struct flag_scratch *s, const struct flag_value *v)
{
    switch (v->kind) {
    case FLAG_NULL:
        return 0;
    case FLAG_BOOL:
        return v->boolean;
    case FLAG_NUMBER:
        return v->number;
    default:
        return text_to_number(flag_to_text(s, v, false));
    }
}

double flag_parse_float(struct flag_scratch *s, const struct flag_value *v)
{
    struct str text;
    double inf;

    if (v->kind == FLAG_NUMBER)
        return v->number;
    text = trim(flag_to_text(s, v, false));
    if (infinity_prefix(text, &inf))
        return inf;
    text.n = decimal_prefix(text);
    return text.n ? decimal(text) : NAN;
}

/* ---- text from values ---- */

/* DIGITS (no point) with the point behind POINT of them, as Number::toString lays it out. */
static struct str lay_out(char *out, size_t cap, bool minus, const char *d, int n, int point)
{
    const char *sign = minus ? "-" : "";
    int len;

    if (n <= point && point <= 21)
        len = snprintf(out, cap, "%s%s%.*s", sign, d, point - n, "000000000000000000000");
    else if (0 < point && point <= 21)
        len = snprintf(out, cap, "%s%.*s.%s", sign, point, d, d + point);
    else if (-6 < point && point <= 0)
        len = snprintf(out, cap, "%s0.%.*s%s", sign, -point, "000000", d);
    else
        len =
            snprintf(out, cap, "%s%c%s%se%+d", sign, d[0], n > 1 ? "." : "", d + 1, point - 1);
    return (struct str){out, (size_t)len};
}

static struct str number_to_text(struct flag_scratch *s, double x)
{
    char e[40], d[DIGITS_MAX + 1], *out = flag_scratch_take(s, 48);
    int n = 0;

    if (!out)
        return STR("");
    if (isnan(x))
        return STR("NaN");
    if (isinf(x))
        return x < 0 ? STR("-Infinity") : STR("Infinity");
    if (x == trunc(x) && fabs(x) < 1e15)
        return (struct str){out, (size_t)snprintf(out, 48, "%lld", (long long)x)};
    for (int precision = 14; precision < DIGITS_MAX; precision++) {
        snprintf(e, sizeof(e), "%.*e", precision, fabs(x));
        if (strtod(e, NULL) == fabs(x))
            break;
    }
    for (const char *p = e; *p != 'e'; p++) {
        if (*p != '.')
            d[n++] = *p;
    }
    while (n > 1 && d[n - 1] == '0')
        n--;
    d[n] = 0;
    return lay_out(out, 48, x < 0, d, n, (int)strtol(strchr(e, 'e') + 1, NULL, 10) + 1);
}

struct str flag_concat(struct flag_scratch *s, const struct str *parts, size_t n, struct str by)
{
    size_t room = n > 1 ? (n - 1) * by.n : 0;
    char *out, *to;

    for (size_t i = 0; i < n; i++)
        room += parts[i].n;
    out = to = flag_scratch_take(s, room);
    if (!out)
        return STR("");
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && by.n)
            to = mempcpy(to, by.p, by.n);
        if (parts[i].n)
            to = mempcpy(to, parts[i].p, parts[i].n);
    }
    return (struct str){out, room};
}

static struct str join(struct flag_scratch *s, const struct flag_value *v)
{
    struct str *parts = flag_scratch_take(s, v->n * sizeof(*parts));

    if (!parts)
        return STR("");
    for (uint32_t i = 0; i < v->n; i++)
        parts[i] = flag_to_text(s, &v->items[i], true);
    return flag_concat(s, parts, v->n, STR(","));
}

struct str flag_to_text(struct flag_scratch *s, const struct flag_value *v, bool joined)
{
    switch (v->kind) {
    case FLAG_NULL:
        return joined ? STR("") : STR("null");
    case FLAG_BOOL:
        return v->boolean ? STR("true") : STR("false");
    case FLAG_NUMBER:
        return number_to_text(s, v->number);
    case FLAG_STRING:
        return v->text;
    case FLAG_ARRAY:
        return join(s, v);
    default:
        return STR("[object Object]");
    }
}

/* ---- comparison ---- */

bool flag_strict_equal(const struct flag_value *a, const struct flag_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case FLAG_NULL:
        return true;
    case FLAG_BOOL:
        return a->boolean == b->boolean;
    case FLAG_NUMBER:
        return a->number == b->number;
    case FLAG_STRING:
        return str_eq(a->text, b->text);
    default: /* objects are equal to themselves only */
        return a->n == b->n && a->items == b->items;
    }
}

static bool is_compound(const struct flag_value *v)
{
    return v->kind == FLAG_ARRAY || v->kind == FLAG_OBJECT;
}

/* ToPrimitive: arrays and objects become their text. */
static struct flag_value primitive(struct flag_scratch *s, const struct flag_value *v)
{
    return is_compound(v) ? flag_text(flag_to_text(s, v, false)) : *v;
}

bool flag_loose_equal(struct flag_scratch *s, const struct flag_value *a,
                      const struct flag_value *b)
{
    struct flag_value x, y;

    if (a->kind == b->kind)
        return flag_strict_equal(a, b);
    if (a->kind == FLAG_NULL || b->kind == FLAG_NULL || (is_compound(a) && is_compound(b)))
        return false;
    x = primitive(s, a);
    y = primitive(s, b);
    if (x.kind == y.kind)
        return flag_strict_equal(&x, &y);
    return flag_to_number(s, &x) == flag_to_number(s, &y);
}

bool flag_less(struct flag_scratch *s, const struct flag_value *a, const struct flag_value *b,
               bool or_equal)
{
    struct flag_value x = primitive(s, a), y = primitive(s, b);
    double m, n;

    if (x.kind == FLAG_STRING && y.kind == FLAG_STRING) {
        int order = str_cmp(x.text, y.text);

        return order < 0 || (or_equal && order == 0);
    }
    m = flag_to_number(s, &x);
    n = flag_to_number(s, &y);
    return m < n || (or_equal && m == n);
}
