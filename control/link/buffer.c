/* buffer.c - see buffer.h. Read bytes make room before memory grows. */
#include "control/link/buffer.h"

#include "proxy/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void buffer_room(struct buffer *b, size_t more)
{
    if (b->at == b->n)
        b->at = b->n = 0;
    if (b->at && b->n + more > b->cap) {
        memmove(b->p, b->p + b->at, b->n - b->at);
        b->n -= b->at;
        b->at = 0;
    }
    if (b->n + more <= b->cap)
        return;
    b->cap = b->cap * 2 > b->n + more ? b->cap * 2 : b->n + more;
    b->p = xrealloc(b->p, b->cap);
}

void buffer_add(struct buffer *b, struct str s)
{
    if (s.n == 0)
        return;
    buffer_room(b, s.n);
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    buffer_room(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buffer_release(struct buffer *b)
{
    xfree(b->p);
    *b = (struct buffer){0};
}
