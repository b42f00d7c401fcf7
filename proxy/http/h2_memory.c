/*
 * h2_memory.c - what nghttp2 holds, counted.
 *
 * Invariant: a block counts with its usable size, which malloc knows again when it is freed.
 */
#include "proxy/http/h2_memory.h"

#include "proxy/base/mem.h"

#include <malloc.h>

static void *on_malloc(size_t n, void *arg)
{
    size_t *used = arg;
    void *p = xmalloc(n);

    *used += malloc_usable_size(p);
    return p;
}

static void on_free(void *p, void *arg)
{
    size_t *used = arg;

    *used -= malloc_usable_size(p); /* 0 of NULL */
    xfree(p);
}

static void *on_calloc(size_t n, size_t size, void *arg)
{
    size_t *used = arg;
    void *p = xcalloc(n, size);

    *used += malloc_usable_size(p);
    return p;
}

static void *on_realloc(void *old, size_t n, void *arg)
{
    size_t *used = arg;
    void *p;

    *used -= malloc_usable_size(old);
    p = xrealloc(old, n);
    *used += malloc_usable_size(p);
    return p;
}

nghttp2_mem h2_memory(size_t *used)
{
    return (nghttp2_mem){
        .mem_user_data = used,
        .malloc = on_malloc,
        .free = on_free,
        .calloc = on_calloc,
        .realloc = on_realloc,
    };
}
