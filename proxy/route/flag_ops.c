/*
 * flag_ops.c - flagd's operators and the two of JSONLogic that look into text.
 */
#include "proxy/route/flag_ops.h"

#include <math.h>

#define SAFE_INTEGER 9007199254740991u /* versions count no further */

static bool both_text(const struct flag_value *a, const struct flag_value *b)
{
    return a->kind == FLAG_STRING && b->kind == FLAG_STRING;
}

struct flag_value flag_op_starts_with(const struct flag_value *s, const struct flag_value *part)
{
    return both_text(s, part) ? flag_bool(str_starts(s->text, part->text)) : FLAG_VALUE_NULL;
}

struct flag_value flag_op_ends_with(const struct flag_value *s, const struct flag_value *part)
{
    return both_text(s, part) ? flag_bool(str_ends(s->text, part->text)) : FLAG_VALUE_NULL;
}

/* ---- sem_ver ---- */

struct version {
    uint64_t part[3]; /* major, minor, patch */
    struct str pre;   /* "alpha.1", or empty */
};

static bool is_numeral(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n > 0;
}

static bool read_part(struct str s, uint64_t *out)
{
    return is_numeral(s) && (s.n == 1 || s.p[0] != '0') && str_to_u64(s, SAFE_INTEGER, out);
}

/* Identifiers of [0-9A-Za-z-] between dots, none empty; PRE: numerals without leading zero. */
static bool identifiers_ok(struct str s, bool pre)
{
    bool more = true;

    while (more) {
        struct str id = str_cut(&s, '.');

        more = s.n > 0 || (s.p && s.p[-1] == '.');
        if (id.n == 0 || (pre && is_numeral(id) && id.n > 1 && id.p[0] == '0'))
            return false;
        for (size_t i = 0; i < id.n; i++) {
            char c = ascii_lower(id.p[i]);

            if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && c != '-')
                return false;
        }
    }
    return true;
}

/* Take what stands behind the first MARK off the end of *S. False: MARK is not there. */
static bool split_at(struct str *s, char mark, struct str *tail)
{
    const char *q = s->n ? memchr(s->p, mark, s->n) : NULL;

    if (!q)
        return false;
    *tail = (struct str){q + 1, s->n - (size_t)(q - s->p) - 1};
    s->n = (size_t)(q - s->p);
    return true;
}

static bool version_parse(struct str s, struct version *v)
{
    struct str build, rest;
    bool has_build, has_pre;
    int n = 0;

    *v = (struct version){0};
    if (s.n && (s.p[0] == 'v' || s.p[0] == 'V'))
        s = str_skip(s, 1);
    has_build = split_at(&s, '+', &build);
    has_pre = split_at(&s, '-', &v->pre);
    if ((has_build && !identifiers_ok(build, false)) ||
        (has_pre && !identifiers_ok(v->pre, true)))
        return false;
    for (rest = s; n < 3; n++) {
        struct str part = rest;
        bool more = split_at(&part, '.', &rest);

        if (!read_part(part, &v->part[n]))
            return false;
        if (!more)
            return n == 2 || (!has_pre && !has_build);
    }
    return false;
}

/* SemVer 2.0.0, 11.4: numerals below words, numerals by value, longer ones above. */
static int compare_identifier(struct str a, struct str b)
{
    bool x = is_numeral(a), y = is_numeral(b);

    if (x != y)
        return x ? -1 : 1;
    if (x && a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return str_cmp(a, b);
}

static int compare_pre(struct str a, struct str b)
{
    if (a.n == 0 || b.n == 0)
        return (a.n == 0) - (b.n == 0); /* a release is above its previews */
    while (a.n && b.n) {
        int order = compare_identifier(str_cut(&a, '.'), str_cut(&b, '.'));

        if (order)
            return order;
    }
    return (a.n > 0) - (b.n > 0);
}

static int version_compare(const struct version *a, const struct version *b)
{
    for (int i = 0; i < 3; i++) {
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    }
    return compare_pre(a->pre, b->pre);
}

struct flag_value flag_op_sem_ver(struct flag_scratch *s, const struct flag_value *a,
                                  const struct flag_value *op, const struct flag_value *b)
{
    struct version x, y;
    struct str o = op->text;
    int order;

    if (op->kind != FLAG_STRING || !version_parse(flag_to_text(s, a, false), &x) ||
        !version_parse(flag_to_text(s, b, false), &y))
        return FLAG_VALUE_NULL;
    order = version_compare(&x, &y);
    if (str_eq(o, STR("=")))
        return flag_bool(order == 0);
    if (str_eq(o, STR("!=")))
        return flag_bool(order != 0);
    if (str_eq(o, STR("<")))
        return flag_bool(order < 0);
    if (str_eq(o, STR("<=")))
        return flag_bool(order <= 0);
    if (str_eq(o, STR(">")))
        return flag_bool(order > 0);
    if (str_eq(o, STR(">=")))
        return flag_bool(order >= 0);
    if (str_eq(o, STR("^")))
        return flag_bool(x.part[0] == y.part[0]);
    if (str_eq(o, STR("~")))
        return flag_bool(x.part[0] == y.part[0] && x.part[1] == y.part[1]);
    return FLAG_VALUE_NULL;
}

/* ---- text ---- */

static bool is_lead(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t code_points(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += is_lead(s.p[i]);
    return n;
}

/* Bytes before code point N. */
static size_t offset_of(struct str s, size_t n)
{
    size_t i = 0;

    for (; i < s.n; i++) {
        if (is_lead(s.p[i]) && n-- == 0)
            break;
    }
    return i;
}

static size_t clamp(double x, size_t max)
{
    return !(x > 0) ? 0 : x < (double)max ? (size_t)x : max;
}

struct flag_value flag_op_substr(struct str text, double start, const double *length)
{
    size_t n = code_points(text), from, to = n;

    start = isnan(start) ? 0 : trunc(start);
    from = clamp(start < 0 ? (double)n + start : start, n);
    if (length && *length < 0) /* leave that many off the end */
        to = from + clamp((double)(n - from) + trunc(*length), n - from);
    else if (length)
        to = from + clamp(trunc(*length), n - from);
    from = offset_of(text, from);
    to = offset_of(text, to);
    return flag_text((struct str){text.p + from, to - from});
}

bool flag_op_in(struct flag_scratch *s, const struct flag_value *needle,
                const struct flag_value *haystack)
{
    struct str part;

    if (haystack->kind == FLAG_ARRAY) {
        for (uint32_t i = 0; i < haystack->n; i++) {
            if (flag_strict_equal(needle, &haystack->items[i]))
                return true;
        }
        return false;
    }
    if (haystack->kind != FLAG_STRING || haystack->text.n == 0)
        return false;
    part = flag_to_text(s, needle, false);
    return part.n == 0 || memmem(haystack->text.p, haystack->text.n, part.p, part.n) != NULL;
}
