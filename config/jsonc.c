/*
 * jsonc.c - JSON with comments and trailing commas, read strictly (RFC 8259).
 *
 * The scanner stops at the first mistake of grammar: what follows one cannot be trusted. The
 * blanked text has the length of the original, so jansson's error offsets are ours as well.
 */
#include "config/jsonc.h"
#include "config/diag.h"
#include "config/names.h"

struct scan {
    struct arena *a;
    const struct source *src;
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
    if (n->kind == NODE_BOOL && !str_eq(word, STR("true")) && !str_eq(word, STR("false")))
        return fail(s, from, "expected a value", "strings stand in double quotes");
    return true;
}

static bool scan_value(struct scan *s, struct node *n);

/* The key of a member, up to and with its colon. */
static bool scan_key(struct scan *s, struct node *n)
{
    n->key_at = s->at;
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

        child->src = s->src;
        child->parent = n;
        child->index = n->n;
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

    n->at = s->at;
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
    n->end = s->at;
    return ok;
}

static struct node *scan_document(struct scan *s)
{
    struct node *root = arena_zalloc(s->a, sizeof(*root));

    root->src = s->src;
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

/* Keys with escapes are decoded by jansson, so that "\u0061" and "a" are the same key. */
static void decode_key(struct scan *s, struct node *n)
{
    if (!memchr(n->key.p, '\\', n->key.n))
        return;

    json_t *key = json_loadb(n->key.p - 1, n->key.n + 2, JSON_DECODE_ANY, NULL);

    n->key = arena_str(s->a, str_of(json_string_value(key)));
    json_decref(key);
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

static void attach(struct scan *s, struct node *n, json_t *json)
{
    n->json = json;
    if (n->kind == NODE_OBJECT) {
        for (struct node *c = n->first; c; c = c->next)
            decode_key(s, c);
        if (n->n != json_object_size(json))
            drop_duplicates(s, n);
    }
    for (struct node *c = n->first; c; c = c->next)
        attach(s, c,
               n->kind == NODE_OBJECT ? json_object_getn(json, c->key.p, c->key.n)
                                      : json_array_get(json, c->index));
}

/* The key or scalar of the tree that byte AT is in, or NULL. */
static struct node *node_around(struct node *n, size_t at)
{
    for (struct node *c = n->first; c; c = c->next)
        if (at <= c->end)
            return c->first && at >= c->at ? node_around(c, at) : c;
    return n;
}

/* What the scanner leaves to jansson: escapes, UTF-8, huge numbers. */
static void report_value(struct scan *s, struct node *root, const json_error_t *error)
{
    struct node *n = node_around(root, error->position > 0 ? (size_t)error->position : 0);
    const char *tail = strstr(error->text, " near ");
    size_t length = tail ? (size_t)(tail - error->text) : strlen(error->text);
    bool in_key = n->key.p && (size_t)error->position <= n->at;

    if (n->kind == NODE_NUMBER && !in_key)
        (void)diag_at(s->d, n, AT_VALUE, "number is too large");
    else if (strstr(error->text, "NUL"))
        (void)diag_at(s->d, n, in_key ? AT_KEY : AT_VALUE,
                      "bad string: \\u0000 is not allowed");
    else
        (void)diag_at(s->d, n, in_key ? AT_KEY : AT_VALUE, "bad string: %.*s", (int)length,
                      error->text);
}

bool jsonc_parse(struct arena *a, struct source *src, struct conf_diags *d, struct jsonc *out)
{
    struct scan s = {.a = a, .src = src, .d = d, .n = src->text.n};
    json_error_t error;

    source_index(a, src);
    if (src->text.n > JSONC_MAX_BYTES)
        return fail(&s, 0, "the document is larger than 4 MiB", NULL);

    /* The copy is kept: keys of nodes point into it. */
    struct str copy = arena_str(a, src->text);

    s.text = (char *)(uintptr_t)copy.p;
    out->root = scan_document(&s);
    if (!out->root)
        return false;
    out->json = json_loadb(s.text, s.n, JSON_DECODE_ANY, &error);
    if (!out->json) {
        report_value(&s, out->root, &error);
        return false;
    }
    attach(&s, out->root, out->json);
    return true;
}

void jsonc_release(struct jsonc *j)
{
    json_decref(j->json);
    j->json = NULL;
}
