/* mem.c - allocation that cannot fail, counted. The only file that calls malloc and free. */
#include "proxy/base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define HUGE ((size_t)2 << 20)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static uint64_t allocations;

static void *checked(void *p, size_t n)
{
    allocations++;
    if (!p) {
        fprintf(stderr, "out of memory: %zu bytes\n", n);
        abort();
    }
    return p;
}

void *xmalloc(size_t n)
{
    return checked(malloc(n ? n : 1), n);
}

void *xcalloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size ? size : 1), n * size);
}

void *xrealloc(void *p, size_t n)
{
    return checked(realloc(p, n ? n : 1), n);
}

char *xstrndup(const char *s, size_t n)
{
    char *d = xmalloc(n + 1);

    memcpy(d, s, n);
    d[n] = '\0';
    return d;
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;
    char *s;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    s = xmalloc((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void xfree(void *p)
{
    free(p);
}

/* N bytes from a multiple of HUGE on: what is too much before and behind goes back. */
static char *map_aligned(size_t n)
{
    char *p = mmap(NULL, n + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before = p == MAP_FAILED ? 0 : -(uintptr_t)p % HUGE;

    if (p == MAP_FAILED)
        return NULL;
    if (before > 0)
        munmap(p, before);
    munmap(p + before + n, HUGE - before);
    return p + before;
}

void *mem_map(size_t n)
{
    size_t whole = (n + PAGE - 1) & ~(PAGE - 1);
    char *p = checked(map_aligned(whole), n);

    if (n >= HUGE)
        (void)madvise(p, whole, MADV_HUGEPAGE); /* where there are none, small ones do */
    (void)madvise(p, whole, MADV_POPULATE_WRITE);
    return p;
}

void mem_unmap(void *p, size_t n)
{
    munmap(p, n);
}

uint64_t mem_allocations(void)
{
    return allocations;
}

void mem_trim(void)
{
    (void)malloc_trim(0);
}
