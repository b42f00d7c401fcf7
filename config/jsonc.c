/*
 * jsonc.c - JSON with comments and trailing commas, read strictly (RFC 8259).
 *
 * The scanner stops at the first mistake of grammar: what follows one cannot be trusted. What
 * jansson is asked to decode was found to be one string before.
 */
#include "config/jsonc.h"
#include "config/diag.h"
#include "config/names.h"
#include "config/units.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

struct scan {
    struct arena *a;
    const struct source *src, *shown; /* the text; the same if nodes are to have places */
    struct conf_diags *d;
    char *text; /* the copy that gets blanked, NUL-terminated */
    size_t n, at;
    unsigned depth;
};

static bool fail(struct scan *s, size_t at, const char *message, const char *hint)
{
    struct conf_diag *g = diag_syntax(s->d, s->src, at, "%s", message);

    if (hint)
        diag_hint(s->d, g, "%s", hint);
    return false;
}

static char peek(const struct scan *s)
{
    return s->text[s->at]; /* the NUL behind the text stops every scan */
}

static void blank(struct scan *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (s->text[i] != '\n' && s->text[i] != '\r')
            s->text[i] = ' ';
}

/* At "/": blank the comment and move behind it. */
static bool skip_comment(struct scan *s)
{
    size_t from = s->at;
    const char *end;

    if (s->text[from + 1] == '/') {
        end = memchr(s->text + from, '\n', s->n - from);
        s->at = end ? (size_t)(end - s->text) : s->n;
    } else if (s->text[from + 1] == '*') {
        end = memmem(s->text + from + 2, s->n - from - 2, "*/", 2);
        if (!end)
            return fail(s, from, "comment is never closed", "close it with */");
        s->at = (size_t)(end - s->text) + 2;
    } else {
        return fail(s, from, "unexpected '/'",
                    "comments are // to the end of the line or /* */");
    }
    blank(s, from, s->at);
    return true;
}

static bool skip_space(struct scan *s)
{
    for (;;) {
        while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
            s->at++;
        if (peek(s) != '/')
            return true;
        if (!skip_comment(s))
            return false;
    }
}

/* At the opening quote: move behind the closing one. Escapes are left to jansson. */
static bool scan_string(struct scan *s)
{
    size_t from = s->at++;

    for (;; s->at++) {
        unsigned char c = (unsigned char)peek(s);

        if (c == '"')
            break;
        if (c == '\\' && s->at + 1 < s->n && (unsigned char)s->text[s->at + 1] >= 0x20)
            s->at++;
        else if (c == '\n' || s->at >= s->n)
            return fail(s, from, "string is never closed", NULL);
        else if (c < 0x20)
            return fail(s, s->at, "control character in a string",
                        "write it as an escape: \\t, \\u0001");
    }
    s->at++;
    return true;
}

static size_t scan_digits(struct scan *s)
{
    size_t from = s->at;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at - from;
}

static bool scan_number(struct scan *s)
{
    size_t from = s->at;

    if (peek(s) == '-')
        s->at++;

    bool zero = peek(s) == '0';
    size_t digits = scan_digits(s);

    if (digits == 0 || (zero && digits > 1))
        return fail(s, from, "not a number",
                    digits ? "numbers have no leading zeros" : "a digit must follow '-'");
    if (peek(s) == '.') {
        s->at++;
        if (scan_digits(s) == 0)
            return fail(s, from, "not a number", "a digit must follow '.'");
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (scan_digits(s) == 0)
            return fail(s, from, "not a number", "a digit must follow the exponent");
    }
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-' || c == '.' || c == '$';
}

static bool scan_word(struct scan *s, struct node *n)
{
    size_t from = s->at;

    while (is_word(peek(s)))
        s->at++;

    struct str word = {s->text + from, s->at - from};

    if (word.n == 0)
        return fail(s, from, from < s->n ? "expected a value" : "the document ends too early",
                    s->text[from] == '\'' ? "strings stand in double quotes" : NULL);
    n->kind = str_eq(word, STR("null")) ? NODE_NULL : NODE_BOOL;
    n->truth = str_eq(word, STR("true"));
    if (n->kind == NODE_BOOL && !n->truth && !str_eq(word, STR("false")))
        return fail(s, from, "expected a value", "strings stand in double quotes");
    return true;
}

static bool scan_value(struct scan *s, struct node *n);

/* The key of a member, up to and with its colon. */
static bool scan_key(struct scan *s, struct node *n)
{
    n->key_at = (uint32_t)s->at;
    if (peek(s) != '"')
        return fail(s, s->at,
                    s->at < s->n ? "expected a key in double quotes"
                                 : "the document ends too early",
                    peek(s) == ',' ? "one comma too many" : NULL);
    if (!scan_string(s))
        return false;
    n->key = (struct str){s->text + n->key_at + 1, s->at - n->key_at - 2};
    if (!skip_space(s))
        return false;
    if (peek(s) != ':')
        return fail(s, s->at, "expected ':' after the key", NULL);
    s->at++;
    return true;
}

/* Behind a child: a comma (blanked when nothing follows it) or the closing bracket. */
static bool scan_separator(struct scan *s, char close, bool *more)
{
    if (!skip_space(s))
        return false;
    *more = peek(s) == ',';
    if (*more) {
        size_t comma = s->at++;

        if (!skip_space(s))
            return false;
        if (peek(s) != close)
            return true;
        s->text[comma] = ' ';
        *more = false;
    }
    if (peek(s) == close) {
        s->at++;
        return true;
    }
    if (s->at >= s->n)
        return fail(s, s->at,
                    close == '}' ? "the document ends inside an object"
                                 : "the document ends inside an array",
                    NULL);
    return fail(s, s->at, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'",
                peek(s) == '"' || is_word(peek(s)) ? "a comma is missing before it" : NULL);
}

static bool scan_container(struct scan *s, struct node *n, char close)
{
    bool more;

    if (++s->depth > JSONC_MAX_DEPTH)
        return fail(s, s->at, "nested too deeply: at most 32 levels", NULL);
    s->at++;
    if (!skip_space(s))
        return false;
    more = peek(s) != close;
    if (!more)
        s->at++;
    while (more) {
        struct node *child = arena_zalloc(s->a, sizeof(*child));

        child->src = s->shown;
        child->parent = n;
        child->index = (uint32_t)n->n;
        if (close == '}' && !scan_key(s, child))
            return false;
        if (!skip_space(s) || !scan_value(s, child) || !scan_separator(s, close, &more))
            return false;
        node_append(n, child);
    }
    s->depth--;
    return true;
}

static bool scan_value(struct scan *s, struct node *n)
{
    bool ok;

    n->at = (uint32_t)s->at;
    switch (peek(s)) {
    case '{':
        n->kind = NODE_OBJECT;
        ok = scan_container(s, n, '}');
        break;
    case '[':
        n->kind = NODE_ARRAY;
        ok = scan_container(s, n, ']');
        break;
    case '"':
        n->kind = NODE_STRING;
        ok = scan_string(s);
        break;
    case '-':
    case '0' ... '9':
        n->kind = NODE_NUMBER;
        ok = scan_number(s);
        break;
    default:
        ok = scan_word(s, n);
    }
    n->end = (uint32_t)s->at;
    return ok;
}

static struct node *scan_document(struct scan *s)
{
    struct node *root = arena_zalloc(s->a, sizeof(*root));

    root->src = s->shown;
    if (!skip_space(s))
        return NULL;
    if (s->at >= s->n) {
        fail(s, s->at, "the document is empty", "it begins with {");
        return NULL;
    }
    if (!scan_value(s, root) || !skip_space(s))
        return NULL;
    if (s->at < s->n) {
        fail(s, s->at, "unexpected text after the end of the document", NULL);
        return NULL;
    }
    return root;
}

/* RAW is UTF-8 without escapes: nothing is left to decode. */
static bool is_plain(struct str raw)
{
    unsigned char any = 0;

    for (size_t i = 0; i < raw.n; i++)
        any |= (unsigned char)raw.p[i];
    if (raw.n > 0 && memchr(raw.p, '\\', raw.n))
        return false;
    for (size_t step; any >= 0x80 && raw.n > 0; raw = str_skip(raw, step))
        if ((step = unit_utf8_length(raw)) == 0)
            return false;
    return true;
}

static bool report_string(struct scan *s, const struct node *n, enum diag_where where,
                          const char *why)
{
    const char *tail = strstr(why, " near ");
    size_t length = tail ? (size_t)(tail - why) : strlen(why);

    if (strstr(why, "NUL"))
        (void)diag_at(s->d, n, where, "bad string: \\u0000 is not allowed");
    else
        (void)diag_at(s->d, n, where, "bad string: %.*s", (int)length, why);
    return false;
}

/* RAW stands between the quotes of N's key or value. */
static bool decode_string(struct scan *s, const struct node *n, enum diag_where where,
                          struct str raw, struct str *out)
{
    json_error_t error;
    json_t *json;

    *out = raw;
    if (is_plain(raw))
        return true;
    json = json_loadb(raw.p - 1, raw.n + 2, JSON_DECODE_ANY, &error);
    if (!json)
        return report_string(s, n, where, error.text);
    *out = arena_str(s->a, (struct str){json_string_value(json), json_string_length(json)});
    json_decref(json);
    return true;
}

static bool decode_number(struct scan *s, struct node *n)
{
    const char *text = s->text + n->at;

    n->whole = true;
    for (const char *p = text; p < s->text + n->end; p++)
        n->whole &= *p != '.' && *p != 'e' && *p != 'E';
    errno = 0;
    n->number.integer = n->whole ? strtoll(text, NULL, 10) : 0;
    n->number.real = n->whole ? (double)n->number.integer : strtod(text, NULL);
    if (errno != ERANGE || (!n->whole && fabs(n->number.real) <= 1))
        return true;
    (void)diag_at(s->d, n, AT_VALUE, "number is too large");
    return false;
}

static void report_duplicate(struct scan *s, const struct node *n, const struct node *first)
{
    struct conf_diag *g = diag_at(s->d, n, AT_KEY, "duplicate key \"%.*s\"", STR_ARG(n->key));

    diag_hint(s->d, g, "first given at %.*s", STR_ARG(diag_where(s->d, first)));
}

/*
 * More members than distinct keys: report the pairs, and keep of each the last one in the tree,
 * whose value is the one that jansson kept.
 */
static void drop_duplicates(struct scan *s, struct node *object)
{
    struct names seen;
    struct node *n, *next, *first;

    names_init(&seen, object->n);
    for (n = object->first; n; n = n->next) {
        if ((first = names_add(&seen, n->key, n)))
            report_duplicate(s, n, first);
        first = first ? first : n;
        first->target = n; /* the last one so far */
    }
    n = object->first;
    object->first = object->last = NULL;
    object->n = 0;
    for (; n; n = next) {
        next = n->next;
        first = names_find(&seen, n->key);
        if (first->target == n)
            node_append(object, n);
    }
    names_release(&seen);
}

#define FEW_MEMBERS 16

static bool has_duplicates(const struct node *object)
{
    struct names seen;
    bool twice = false;

    if (object->n <= FEW_MEMBERS) {
        for (const struct node *n = object->first; n; n = n->next)
            for (const struct node *before = object->first; before != n; before = before->next)
                if (str_eq(before->key, n->key))
                    return true;
        return false;
    }
    names_init(&seen, object->n);
    for (struct node *n = object->first; n && !twice; n = n->next)
        twice = names_add(&seen, n->key, n) != NULL;
    names_release(&seen);
    return twice;
}

static bool decode_keys(struct scan *s, struct node *object)
{
    for (struct node *c = object->first; c; c = c->next)
        if (!decode_string(s, c, AT_KEY, c->key, &c->key))
            return false;
    if (has_duplicates(object))
        drop_duplicates(s, object);
    return true;
}

/* Values and keys, from the text. False: one is bad, and reported. */
static bool decode(struct scan *s, struct node *n)
{
    struct str raw = {s->text + n->at + 1, n->end - n->at - 2};

    if (n->kind == NODE_STRING)
        return decode_string(s, n, AT_VALUE, raw, &n->written);
    if (n->kind == NODE_NUMBER)
        return decode_number(s, n);
    if (n->kind == NODE_OBJECT && !decode_keys(s, n))
        return false;
    for (struct node *c = n->first; c; c = c->next)
        if (!decode(s, c))
            return false;
    return true;
}

static struct node *parse(struct scan *s)
{
    struct str copy = arena_str(s->a, s->src->text); /* nodes point into it */
    struct node *root;

    s->text = (char *)(uintptr_t)copy.p;
    s->n = copy.n;
    root = scan_document(s);
    return root && decode(s, root) ? root : NULL;
}

struct node *jsonc_parse(struct arena *a, struct source *src, struct conf_diags *d)
{
    struct scan s = {.a = a, .src = src, .shown = src, .d = d};
    struct node *root;

    source_index(a, src);
    if (src->text.n > JSONC_MAX_BYTES) {
        fail(&s, 0, "the document is larger than 4 MiB", NULL);
        return NULL;
    }
    root = parse(&s);
    src->plain = (struct str){s.text, s.n};
    return root;
}

struct node *jsonc_parse_made(struct arena *a, struct str text, struct conf_diags *d)
{
    struct source src = {.text = text};
    struct scan s = {.a = a, .src = &src, .d = d};

    source_index(a, &src);
    if (text.n <= UINT32_MAX)
        return parse(&s);
    fail(&s, 0, "the document is larger than 4 GiB", NULL);
    return NULL;
}
