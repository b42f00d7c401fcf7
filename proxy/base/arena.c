/*
 * arena.c - many small allocations, freed together.
 *
 * Chunks double from 4 KiB to 2 MiB. Those of big documents are mapped, not allocated: they
 * leave no holes in the heap, and a tree of 10,000 routes is built without a page fault a page.
 */
#include "proxy/base/arena.h"

#include "proxy/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define ALIGN     ((size_t)16)
#define CHUNK_MIN ((size_t)4096)
#define CHUNK_MAX ((size_t)2 << 20)
#define MAPPED    ((size_t)200 << 10) /* chunks from here on */

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(16) char data[];
};

void arena_init(struct arena *a, void *first, size_t cap)
{
    uintptr_t skew = (uintptr_t)first % ALIGN ? ALIGN - (uintptr_t)first % ALIGN : 0;

    if (!first || cap <= skew)
        skew = cap = 0;
    *a = (struct arena){.next = CHUNK_MIN};
    a->first = a->at = first ? (char *)first + skew : NULL;
    a->first_end = a->end = first ? (char *)first + cap : NULL;
}

void arena_reset(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        if (c->size >= MAPPED)
            mem_unmap(c, sizeof(*c) + c->size);
        else
            xfree(c);
    }
    a->chunks = NULL;
    a->at = a->first;
    a->end = a->first_end;
    a->next = CHUNK_MIN;
}

void arena_release(struct arena *a)
{
    arena_reset(a);
    *a = (struct arena){0};
}

static void arena_grow(struct arena *a, size_t n)
{
    struct arena_chunk *c;
    size_t size = n > a->next - sizeof(*c) ? n : a->next - sizeof(*c);

    c = size >= MAPPED ? mem_map(sizeof(*c) + size) : xmalloc(sizeof(*c) + size);
    c->next = a->chunks;
    c->size = size;
    a->chunks = c;
    a->at = c->data;
    a->end = c->data + size;
    if (a->next < CHUNK_MAX)
        a->next *= 2;
}

void *arena_alloc(struct arena *a, size_t n)
{
    char *p;

    n = (n + ALIGN - 1) & ~(ALIGN - 1);
    if ((size_t)(a->end - a->at) < n)
        arena_grow(a, n);
    p = a->at;
    a->at += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct str){p, (size_t)n};
}
