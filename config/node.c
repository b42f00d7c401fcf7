/*
 * node.c - the tree of a document, and where its parts stand.
 *
 * A node's parent and index stay those of the file it was read from, also after an include has
 * hung it into another tree: pointers in messages are true for the file they name.
 */
#include "config/node.h"

struct node *node_get(const struct node *object, struct str key)
{
    for (struct node *n = object->first; n; n = n->next)
        if (str_eq(n->key, key))
            return n;
    return NULL;
}

void node_append(struct node *parent, struct node *child)
{
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->n++;
}

/* Write the reference token of N at the end of BUF, backwards; returns its new start. */
static char *put_token(char *end, const struct node *n)
{
    if (n->parent->kind == NODE_ARRAY) {
        size_t i = n->index;

        do
            *--end = (char)('0' + i % 10);
        while ((i /= 10) > 0);
    } else {
        for (size_t i = n->key.n; i-- > 0;) {
            char c = n->key.p[i];

            *--end = c == '~' ? '0' : c == '/' ? '1' : c;
            if (c == '~' || c == '/')
                *--end = '~';
        }
    }
    *--end = '/';
    return end;
}

struct str node_pointer(struct arena *a, const struct node *n)
{
    size_t room = 1;

    for (const struct node *p = n; p->parent; p = p->parent)
        room += 1 + (p->key.n * 2 > 20 ? p->key.n * 2 : 20);

    char *buf = arena_alloc(a, room), *end = buf + room - 1, *at = end;

    *end = '\0';
    for (; n->parent; n = n->parent)
        at = put_token(at, n);
    return (struct str){at, (size_t)(end - at)};
}

const char *node_kind_name(enum node_kind kind)
{
    static const char *const names[] = {
        [NODE_OBJECT] = "an object", [NODE_ARRAY] = "an array",     [NODE_STRING] = "a string",
        [NODE_NUMBER] = "a number",  [NODE_BOOL] = "true or false", [NODE_NULL] = "null",
    };

    return names[kind];
}

bool node_whole(const struct node *n, int64_t min, int64_t max, int64_t *value)
{
    if (!n || n->kind != NODE_NUMBER || !n->whole || n->number.integer < min ||
        n->number.integer > max)
        return false;
    *value = n->number.integer;
    return true;
}

void source_index(struct arena *a, struct source *s)
{
    const char *end = s->text.p + s->text.n;
    size_t n = 1;

    for (const char *p = s->text.p; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        n++;

    size_t *lines = arena_alloc(a, n * sizeof(*lines));

    lines[0] = 0;
    s->lines = lines;
    s->nlines = n;
    for (size_t i = 1, at = 0; i < n; i++) {
        const char *nl = memchr(s->text.p + at, '\n', s->text.n - at);

        at = (size_t)(nl - s->text.p) + 1;
        lines[i] = at;
    }
}

void source_place(const struct source *s, size_t at, unsigned *line, unsigned *column,
                  struct str *line_text)
{
    size_t lo = 0, hi = s->nlines;

    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;

        if (s->lines[mid] <= at)
            lo = mid;
        else
            hi = mid;
    }

    size_t start = s->lines[lo], end = lo + 1 < s->nlines ? s->lines[lo + 1] - 1 : s->text.n;

    *line = (unsigned)lo + 1;
    *column = 1;
    for (size_t i = start; i < at && i < s->text.n; i++)
        *column += (s->text.p[i] & 0xc0) != 0x80; /* continuation bytes have no column */
    if (end > start && s->text.p[end - 1] == '\r')
        end--;
    *line_text = (struct str){s->text.p + start, end - start};
}
