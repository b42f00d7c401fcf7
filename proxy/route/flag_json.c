/*
 * flag_json.c - JSON text to flag values, on the request path.
 *
 * Elements of a container wait on a stack until it ends and move to the arena then, so a value
 * is written once and takes no more room than it has elements. Members move in reverse: who
 * looks for a name finds the last one first. Depth is bounded, so recursion is.
 */
#include "proxy/route/flag_json.h"

#include <math.h>
#include <stdlib.h>

#define NUMERAL_MAX 512 /* bytes of a number */
#define EXACT       15  /* digits that a double always holds */

struct reader {
    struct flag_json *j;
    struct arena *a;
    const char *begin, *p, *end;
    unsigned depth, values;
};

static bool fail(struct reader *r, const char *why)
{
    r->j->why = why;
    r->j->at = (size_t)(r->p - r->begin);
    return false;
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool take_word(struct reader *r, struct str word)
{
    if ((size_t)(r->end - r->p) < word.n || memcmp(r->p, word.p, word.n) != 0)
        return fail(r, "this is no JSON value");
    r->p += word.n;
    return true;
}

/* ---- numbers ---- */

static size_t digits(struct reader *r)
{
    const char *from = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return (size_t)(r->p - from);
}

/* RFC 8259 6. */
static bool scan_number(struct reader *r, bool *whole)
{
    bool zero;

    r->p += *r->p == '-';
    zero = r->p < r->end && *r->p == '0';
    if (zero)
        r->p++;
    else if (!digits(r))
        return fail(r, "this is no JSON value");
    *whole = true;
    if (r->p < r->end && *r->p == '.') {
        *whole = false;
        r->p++;
        if (!digits(r))
            return fail(r, "digits are missing behind the point");
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        *whole = false;
        r->p++;
        r->p += r->p < r->end && (*r->p == '+' || *r->p == '-');
        if (!digits(r))
            return fail(r, "digits are missing in the exponent");
    }
    return true;
}

static double small_integer(struct str s)
{
    bool minus = s.p[0] == '-';
    int64_t n = 0;

    for (size_t i = minus; i < s.n; i++)
        n = n * 10 + (s.p[i] - '0');
    return minus ? -(double)n : (double)n; /* -0 is a number of its own */
}

static bool read_number(struct reader *r, struct flag_value *out)
{
    struct str s = {r->p, 0};
    char text[NUMERAL_MAX];
    bool whole;
    double x;

    if (!scan_number(r, &whole))
        return false;
    s.n = (size_t)(r->p - s.p);
    if (whole && s.n <= EXACT) {
        *out = flag_number(small_integer(s));
        return true;
    }
    if (s.n >= sizeof(text))
        return fail(r, "a number has more than 511 characters");
    str_copy(text, sizeof(text), s);
    x = strtod(text, NULL);
    if (isinf(x))
        return fail(r, "a number is out of range");
    *out = flag_number(x);
    return true;
}

/* ---- text ---- */

unsigned flag_json_utf8(const char *p, const char *end)
{
    /* RFC 3629 */
    const unsigned char *u = (const unsigned char *)p;
    unsigned n = u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;

    if (n == 0 || (size_t)(end - p) < n)
        return 0;
    for (unsigned i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
        (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
        return 0; /* longer than needed, a surrogate, or beyond U+10FFFF */
    return n;
}

static bool read_hex(struct reader *r, uint32_t *out)
{
    *out = 0;
    if (r->end - r->p < 4)
        return fail(r, "\\u wants four hexadecimal digits");
    for (int i = 0; i < 4; i++, r->p++) {
        char c = ascii_lower(*r->p);
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (d < 0)
            return fail(r, "\\u wants four hexadecimal digits");
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

/* Behind "\u": one code point, which two escapes may spell. */
static bool read_code_point(struct reader *r, uint32_t *c)
{
    uint32_t low;

    if (!read_hex(r, c))
        return false;
    if (*c == 0)
        return fail(r, "U+0000 in a text");
    if (*c < 0xd800 || *c > 0xdfff)
        return true;
    if (*c > 0xdbff || r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
        return fail(r, "a lone surrogate");
    r->p += 2;
    if (!read_hex(r, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(r, "a lone surrogate");
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

/* Behind a backslash; no escape is shorter than what it stands for. */
static bool read_escape(struct reader *r, char **to)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *at;
    uint32_t c;

    if (r->p == r->end)
        return fail(r, "a text does not end");
    if (*r->p == 'u') {
        r->p++;
        if (!read_code_point(r, &c))
            return false;
        *to = put_utf8(*to, c);
        return true;
    }
    at = *r->p ? strchr(names, *r->p) : NULL;
    if (!at)
        return fail(r, "an unknown escape");
    *(*to)++ = values[at - names];
    r->p++;
    return true;
}

/* To the next byte that means something: a quote, a backslash. */
static bool read_plain(struct reader *r)
{
    while (r->p < r->end && *r->p != '"' && *r->p != '\\') {
        unsigned n = (unsigned char)*r->p < 0x80 ? 1 : flag_json_utf8(r->p, r->end);

        if ((unsigned char)*r->p < 0x20)
            return fail(r, "a control character in a text");
        if (n == 0)
            return fail(r, "this is not UTF-8");
        r->p += n;
    }
    return r->p < r->end || fail(r, "a text does not end");
}

/* A text with escapes: copied, from FROM, where its first character is. */
static bool read_escaped(struct reader *r, const char *from, struct str *out)
{
    const char *quote = r->p;
    char *text, *to;

    while (quote < r->end && *quote != '"')
        quote += *quote == '\\' ? 2 : 1;
    if (quote >= r->end)
        return fail(r, "a text does not end");
    text = to = arena_alloc(r->a, (size_t)(quote - from) + 1);
    for (;;) {
        const char *plain;

        to = mempcpy(to, from, (size_t)(r->p - from));
        if (*r->p == '"')
            break;
        r->p++;
        if (!read_escape(r, &to))
            return false;
        plain = r->p;
        if (!read_plain(r))
            return false;
        from = plain;
    }
    *out = (struct str){text, (size_t)(to - text)};
    return true;
}

/* Behind the quote. */
static bool read_text(struct reader *r, struct str *out)
{
    const char *from = r->p;

    if (!read_plain(r))
        return false;
    *out = (struct str){from, (size_t)(r->p - from)};
    if (*r->p == '\\' && !read_escaped(r, from, out))
        return false;
    r->p++;
    return true;
}

/* ---- values ---- */

static bool read_value(struct reader *r, struct flag_value *out);

static bool read_element(struct reader *r, bool named)
{
    struct flag_member m = {0};

    if (named) {
        if (!take(r, '"'))
            return fail(r, "a member begins with its name in quotes");
        if (!read_text(r, &m.name))
            return false;
        if (!take(r, ':'))
            return fail(r, "a colon is missing");
    }
    if (!read_value(r, &m.value))
        return false;
    *vec_add(&r->j->stack) = m;
    return true;
}

/* What lies on the stack above BASE, as an array or an object. */
static struct flag_value collect(struct reader *r, size_t base, bool named)
{
    const struct flag_member *from = r->j->stack.v + base;
    uint32_t n = (uint32_t)(r->j->stack.n - base);
    struct flag_value v = {.kind = named ? FLAG_OBJECT : FLAG_ARRAY, .n = n};

    if (named) {
        struct flag_member *members = arena_alloc(r->a, (n + 1) * sizeof(*members));

        for (uint32_t i = 0; i < n; i++)
            members[i] = from[n - 1 - i];
        v.members = members;
    } else {
        struct flag_value *items = arena_alloc(r->a, (n + 1) * sizeof(*items));

        for (uint32_t i = 0; i < n; i++)
            items[i] = from[i].value;
        v.items = items;
    }
    r->j->stack.n = base;
    return v;
}

/* Behind the bracket. */
static bool read_container(struct reader *r, bool named, struct flag_value *out)
{
    size_t base = r->j->stack.n;
    char close = named ? '}' : ']';

    if (r->depth >= FLAG_JSON_DEPTH)
        return fail(r, "nested deeper than 64 levels");
    r->depth++;
    if (!take(r, close)) {
        do {
            if (!read_element(r, named))
                return false;
        } while (take(r, ','));
        if (!take(r, close))
            return fail(r, named ? "a comma or } is missing" : "a comma or ] is missing");
    }
    r->depth--;
    *out = collect(r, base, named);
    return true;
}

static bool read_value(struct reader *r, struct flag_value *out)
{
    struct str text;

    skip_blanks(r);
    if (r->p == r->end)
        return fail(r, "a value is missing");
    if (++r->values > FLAG_JSON_VALUES)
        return fail(r, "more than 10000 values");
    switch (*r->p) {
    case '{':
    case '[':
        r->p++;
        return read_container(r, r->p[-1] == '{', out);
    case '"':
        r->p++;
        if (!read_text(r, &text))
            return false;
        *out = flag_text(text);
        return true;
    case 't':
        *out = flag_bool(true);
        return take_word(r, STR("true"));
    case 'f':
        *out = flag_bool(false);
        return take_word(r, STR("false"));
    case 'n':
        *out = FLAG_VALUE_NULL;
        return take_word(r, STR("null"));
    default:
        return read_number(r, out);
    }
}

bool flag_json_parse(struct flag_json *j, struct arena *a, struct str text,
                     struct flag_value *out)
{
    struct reader r = {.j = j, .a = a, .begin = text.p, .p = text.p};

    r.end = text.n ? text.p + text.n : text.p;
    j->stack.n = 0;
    if (!read_value(&r, out))
        return false;
    skip_blanks(&r);
    return r.p == r.end || fail(&r, "something follows the value");
}

void flag_json_release(struct flag_json *j)
{
    vec_release(&j->stack);
}
