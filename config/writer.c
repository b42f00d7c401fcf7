/*
 * writer.c - JSON text, written front to back.
 *
 * Own code instead of json_dumps for two reasons: percentages such as 33.33 come out as they
 * were written, and a dump needs no second tree.
 */
#include "config/writer.h"
#include "config/units.h"
#include "proxy/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void writer_init(struct writer *w, unsigned indent)
{
    *w = (struct writer){.indent = indent, .fresh = true};
}

static char *room(struct writer *w, size_t n)
{
    if (w->cap - w->n < n + 1) {
        w->cap = w->cap * 2 > w->n + n + 1 ? w->cap * 2 : w->n + n + 1;
        w->cap = w->cap < 256 ? 256 : w->cap;
        w->p = xrealloc(w->p, w->cap);
    }
    return w->p + w->n;
}

void writer_put(struct writer *w, struct str bytes)
{
    char *p = room(w, bytes.n);

    if (bytes.n > 0)
        memcpy(p, bytes.p, bytes.n);
    w->n += bytes.n;
}

void writer_printf(struct writer *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n <= 0)
        return;

    char *p = room(w, (size_t)n);

    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    w->n += (size_t)n;
}

static void put_escaped(struct writer *w, struct str s)
{
    unsigned char c = (unsigned char)s.p[0];

    if (c == '"' || c == '\\')
        writer_printf(w, "\\%c", c);
    else if (c == '\n')
        writer_put(w, STR("\\n"));
    else if (c == '\t')
        writer_put(w, STR("\\t"));
    else if (c < 0x20 || c == 0x7f)
        writer_printf(w, "\\u%04x", c);
    else
        writer_put(w, STR("\xef\xbf\xbd"));
}

static void put_string(struct writer *w, struct str s)
{
    writer_put(w, STR("\""));
    while (s.n > 0) {
        size_t plain = 0, n = 0;

        while (plain < s.n && (unsigned char)s.p[plain] >= 0x20 && s.p[plain] != '"' &&
               s.p[plain] != '\\' && s.p[plain] != 0x7f &&
               (n = unit_utf8_length(str_skip(s, plain))) > 0)
            plain += n;
        writer_put(w, (struct str){s.p, plain});
        s = str_skip(s, plain);
        if (s.n > 0)
            put_escaped(w, s);
        s = str_skip(s, 1);
    }
    writer_put(w, STR("\""));
}

static void put_newline(struct writer *w)
{
    if (w->indent == 0)
        return;
    if (w->flat)
        writer_put(w, STR(" "));
    else
        writer_printf(w, "\n%*s", (int)(w->depth * w->indent), "");
}

static void put_key(struct writer *w, struct str key)
{
    if (!w->fresh)
        writer_put(w, STR(","));
    if (w->depth > 0 && !(w->flat && w->fresh))
        put_newline(w);
    w->fresh = false;
    if (key.p) {
        put_string(w, key);
        writer_put(w, w->indent ? STR(": ") : STR(":"));
    }
}

void writer_open(struct writer *w, struct str key, char bracket)
{
    put_key(w, key);
    writer_put(w, (struct str){&bracket, 1});
    w->depth++;
    w->fresh = true;
}

void writer_open_flat(struct writer *w, struct str key, char bracket)
{
    writer_open(w, key, bracket);
    if (!w->flat)
        w->flat = w->depth;
}

void writer_close(struct writer *w, char bracket)
{
    w->depth--;
    if (!w->fresh && !w->flat)
        put_newline(w);
    if (w->flat > w->depth)
        w->flat = 0;
    w->fresh = false;
    writer_put(w, (struct str){&bracket, 1});
}

void writer_text(struct writer *w, struct str key, struct str text)
{
    put_key(w, key);
    put_string(w, text);
}

void writer_uint(struct writer *w, struct str key, uint64_t number)
{
    put_key(w, key);
    writer_printf(w, "%llu", (unsigned long long)number);
}

void writer_bool(struct writer *w, struct str key, bool value)
{
    writer_raw(w, key, value ? STR("true") : STR("false"));
}

void writer_raw(struct writer *w, struct str key, struct str value)
{
    put_key(w, key);
    writer_put(w, value);
}

char *writer_take(struct writer *w)
{
    *room(w, 0) = '\0';

    char *p = w->p;

    writer_init(w, w->indent);
    return p;
}

struct str writer_take_arena(struct writer *w, struct arena *a)
{
    struct str s = arena_str(a, (struct str){w->p, w->n});

    xfree(w->p);
    writer_init(w, w->indent);
    return s;
}
