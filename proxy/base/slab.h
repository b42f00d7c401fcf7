/*
 * slab.h - a free list of objects of one size.
 *
 * Memory comes from malloc once and then goes round: the steady state allocates nothing. In
 * sanitizer builds every object is its own allocation, so that a use after free is seen.
 */
#pragma once
#include <stddef.h>

struct slab {
    void *free;   /* singly linked through the first word */
    size_t size;  /* of an object, at least a pointer */
    size_t nfree; /* on the list */
    size_t nused; /* given out */
    size_t keep;  /* at most so many wait on the list, the rest goes back to malloc */
};

void slab_init(struct slab *s, size_t size, size_t keep);
void slab_release(struct slab *s); /* frees the list; objects in use stay the users' matter */
void *slab_get(struct slab *s) __attribute__((returns_nonnull)); /* not zeroed */
void slab_put(struct slab *s, void *p);                          /* NULL is a no-op */
