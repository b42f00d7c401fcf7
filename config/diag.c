/*
 * diag.c - the list of mistakes: collecting, ordering, showing.
 *
 * Every string of an entry is a copy in the list's arena, so the list outlives the documents.
 */
#include "config/diag.h"
#include "config/suggest.h"
#include "config/units.h"
#include "config/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXCERPT_MOST = 160 }; /* characters of a source line that are shown */

void conf_diags_init(struct conf_diags *d)
{
    *d = (struct conf_diags){.list = {0}};
    arena_init(&d->arena, NULL, 0);
}

void conf_diags_release(struct conf_diags *d)
{
    vec_release(&d->list);
    arena_release(&d->arena);
}

PRINTF_LIKE(2, 0) static struct str format(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return STR("");

    char *buf = arena_alloc(a, (size_t)n + 1);

    vsnprintf(buf, (size_t)n + 1, fmt, ap);
    return (struct str){buf, (size_t)n};
}

PRINTF_LIKE(3, 0)
static struct conf_diag *add(struct conf_diags *d, struct str file, const char *fmt, va_list ap)
{
    if (d->list.n >= DIAGS_KEPT)
        return NULL;

    struct conf_diag *diag = vec_add(&d->list);

    *diag = (struct conf_diag){.file = arena_str(&d->arena, file),
                               .pointer = STR(""),
                               .message = format(&d->arena, fmt, ap),
                               .hint = STR(""),
                               .excerpt = STR("")};
    return diag;
}

/* Lines that no terminal shows are left out rather than cut in the middle of the mistake. */
static struct str excerpt_of(struct str line, unsigned column)
{
    size_t chars = 0, i = 0;

    if (column > EXCERPT_MOST)
        return STR("");
    for (; i < line.n; i++)
        if ((line.p[i] & 0xc0) != 0x80 && ++chars > EXCERPT_MOST)
            break;
    return (struct str){line.p, i};
}

static void set_place(struct conf_diags *d, struct conf_diag *diag, const struct source *s,
                      size_t at)
{
    struct str line;

    source_place(s, at, &diag->line, &diag->column, &line);
    diag->excerpt = arena_str(&d->arena, excerpt_of(line, diag->column));
}

void diag_place(struct conf_diags *d, struct conf_diag *diag, const struct node *n)
{
    if (!n->src)
        return;
    diag->file = arena_str(&d->arena, n->src->file);
    set_place(d, diag, n->src, n->at);
}

struct conf_diag *diag_at(struct conf_diags *d, const struct node *n, enum diag_where where,
                          const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct conf_diag *diag = add(d, n->src ? n->src->file : STR(""), fmt, ap);
    va_end(ap);
    if (!diag)
        return NULL;
    diag->pointer = node_pointer(&d->arena, n);
    if (n->src)
        set_place(d, diag, n->src, where == AT_KEY ? n->key_at : n->at);
    return diag;
}

struct conf_diag *diag_syntax(struct conf_diags *d, const struct source *s, size_t at,
                              const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct conf_diag *diag = add(d, s->file, fmt, ap);
    va_end(ap);
    if (diag)
        set_place(d, diag, s, at);
    return diag;
}

void diag_file(struct conf_diags *d, struct str file, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)add(d, file, fmt, ap);
    va_end(ap);
}

void diag_hint(struct conf_diags *d, struct conf_diag *diag, const char *fmt, ...)
{
    va_list ap;

    if (!diag)
        return;
    va_start(ap, fmt);
    diag->hint = format(&d->arena, fmt, ap);
    va_end(ap);
}

struct str diag_where(struct conf_diags *d, const struct node *n)
{
    unsigned line, column;
    struct str text;

    if (!n->src)
        return node_pointer(&d->arena, n);
    source_place(n->src, n->parent && n->parent->kind == NODE_OBJECT ? n->key_at : n->at, &line,
                 &column, &text);
    if (n->src->file.n == 0)
        return arena_printf(&d->arena, "line %u", line);
    return arena_printf(&d->arena, "%.*s:%u", STR_ARG(n->src->file), line);
}

void diag_suggest(struct conf_diags *d, struct conf_diag *diag, struct str word,
                  const struct str *names, size_t n)
{
    long i = suggest_pick(word, names, n);

    if (i >= 0)
        diag_hint(d, diag, "did you mean \"%.*s\"?", STR_ARG(names[i]));
}

/* By file in order of first mention, then by place. */
struct sort_key {
    size_t file, order;
    struct conf_diag diag;
};

static int by_place(const void *a, const void *b)
{
    const struct sort_key *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->diag.line != y->diag.line)
        return x->diag.line < y->diag.line ? -1 : 1;
    if (x->diag.column != y->diag.column)
        return x->diag.column < y->diag.column ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static size_t first_mention(const struct conf_diags *d, struct str file)
{
    size_t i = 0;

    while (!str_eq(d->list.v[i].file, file))
        i++;
    return i;
}

void diags_finish(struct conf_diags *d)
{
    size_t n = d->list.n;

    if (n == 0)
        return;

    struct sort_key *keys = arena_alloc(&d->arena, n * sizeof(*keys));

    for (size_t i = 0; i < n; i++)
        keys[i] = (struct sort_key){first_mention(d, d->list.v[i].file), i, d->list.v[i]};
    qsort(keys, n, sizeof(*keys), by_place);
    for (size_t i = 0; i < n; i++)
        d->list.v[i] = keys[i].diag;
    d->list.n = n < DIAGS_SHOWN ? n : DIAGS_SHOWN;
}

/* For a terminal: what could steer it, or is not UTF-8, becomes '?'. */
static void put_clean(struct writer *w, struct str s)
{
    while (s.n > 0) {
        size_t n = unit_utf8_length(s);
        unsigned char c = (unsigned char)s.p[0];
        bool control = (c < 0x20 && c != '\t') || c == 0x7f;

        writer_put(w, n == 0 || control ? STR("?") : (struct str){s.p, n});
        s = str_skip(s, n > 0 ? n : 1);
    }
}

/* Blanks as wide as the text before COLUMN: tabs stay tabs. */
static void put_caret(struct writer *w, struct str excerpt, unsigned column)
{
    unsigned at = 1;

    for (size_t i = 0; i < excerpt.n && at < column; i++) {
        if ((excerpt.p[i] & 0xc0) == 0x80)
            continue;
        writer_put(w, excerpt.p[i] == '\t' ? STR("\t") : STR(" "));
        at++;
    }
    writer_put(w, STR("^\n"));
}

static void put_diag(struct writer *w, const struct conf_diag *g)
{
    put_clean(w, g->file);
    if (g->file.n > 0)
        writer_put(w, STR(":"));
    if (g->line > 0)
        writer_printf(w, "%u:%u:", g->line, g->column);
    if (g->file.n > 0 || g->line > 0)
        writer_put(w, STR(" "));
    put_clean(w, g->pointer);
    writer_put(w, g->pointer.n > 0 ? STR(": ") : STR(""));
    put_clean(w, g->message);
    writer_put(w, STR("\n"));
    if (g->excerpt.n > 0) {
        writer_printf(w, "%5u | ", g->line);
        put_clean(w, g->excerpt);
        writer_put(w, STR("\n      | "));
        put_caret(w, g->excerpt, g->column);
    }
    if (g->hint.n > 0) {
        writer_put(w, STR("      = "));
        put_clean(w, g->hint);
        writer_put(w, STR("\n"));
    }
}

struct str conf_diags_text(struct arena *a, const struct conf_diags *d)
{
    struct writer w;

    writer_init(&w, 0);
    for (size_t i = 0; i < d->list.n; i++)
        put_diag(&w, &d->list.v[i]);
    return writer_take_arena(&w, a);
}

struct str conf_diags_json(struct arena *a, const struct conf_diags *d)
{
    struct writer w;

    writer_init(&w, 0);
    writer_open(&w, STR_NONE, '[');
    for (size_t i = 0; i < d->list.n; i++) {
        const struct conf_diag *g = &d->list.v[i];

        writer_open(&w, STR_NONE, '{');
        writer_text(&w, STR("file"), g->file);
        writer_uint(&w, STR("line"), g->line);
        writer_uint(&w, STR("column"), g->column);
        writer_text(&w, STR("pointer"), g->pointer);
        writer_text(&w, STR("message"), g->message);
        writer_text(&w, STR("hint"), g->hint);
        writer_close(&w, '}');
    }
    writer_close(&w, ']');
    return writer_take_arena(&w, a);
}
