/*
 * arena.h - many small allocations, freed together.
 *
 * The first chunk may live inside the owner (a slab slot), so that an ordinary request never
 * reaches malloc. Memory is 16-byte aligned. Not thread-safe; one owner.
 */
#pragma once
#include "proxy/base/str.h"

struct arena_chunk;
struct arena {
    char *at, *end;             /* free room of the current chunk */
    char *first, *first_end;    /* borrowed first chunk, or NULL */
    struct arena_chunk *chunks; /* owned, newest first */
    size_t next;                /* size of the next chunk to allocate */
};

/* FIRST (may be NULL) is borrowed room of CAP bytes, used before anything is allocated. */
void arena_init(struct arena *a, void *first, size_t cap);
void arena_reset(struct arena *a);   /* forget everything, free owned chunks, keep FIRST */
void arena_release(struct arena *a); /* as reset; not usable until init */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));  /* not zeroed */
void *arena_zalloc(struct arena *a, size_t n) __attribute__((returns_nonnull)); /* zeroed */
struct str arena_str(struct arena *a, struct str s); /* a copy, NUL-terminated behind .n */
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
