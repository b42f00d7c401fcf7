/* slab.c - a free list of objects of one size, most recently used first. */
#include "proxy/base/slab.h"

#include "proxy/base/check.h"
#include "proxy/base/mem.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_RECYCLES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_RECYCLES 0
#endif
#endif
#ifndef SLAB_RECYCLES
#define SLAB_RECYCLES 1
#endif

void slab_init(struct slab *s, size_t size, size_t keep)
{
    ASSERT(size >= sizeof(void *));
    *s = (struct slab){.size = size, .keep = SLAB_RECYCLES ? keep : 0};
}

void slab_release(struct slab *s)
{
    while (s->free) {
        void *p = s->free;

        memcpy(&s->free, p, sizeof(void *));
        xfree(p);
    }
    s->nfree = 0;
}

void *slab_get(struct slab *s)
{
    void *p = s->free;

    s->nused++;
    if (!p)
        return xmalloc(s->size);
    memcpy(&s->free, p, sizeof(void *));
    s->nfree--;
    return p;
}

void slab_put(struct slab *s, void *p)
{
    if (!p)
        return;
    s->nused--;
    if (s->nfree >= s->keep) {
        xfree(p);
        return;
    }
    memcpy(p, &s->free, sizeof(void *));
    s->free = p;
    s->nfree++;
}
