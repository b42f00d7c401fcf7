/*
 * mem.h - allocation that cannot fail, counted.
 *
 * Sizes that a peer controls are checked against a limit before they reach this file; after
 * that running out of memory is a crash, and the supervisor restarts the process.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
void xfree(void *p); /* NULL is a no-op */

/* N bytes (rounded up to whole pages) outside the heap, zeroed, their pages present at once: to
 * touch a page that is not there costs many times what it costs to be given it. mem_unmap gives
 * it all back to the system. */
void *mem_map(size_t n) __attribute__((malloc, returns_nonnull));
void mem_unmap(void *p, size_t n);

/* Give what is free back to the system: after much was allocated for a short time. */
void mem_trim(void);

/* Calls of xmalloc, xcalloc, xrealloc and mem_map so far in this process: tests assert on
 * differences.
 */
uint64_t mem_allocations(void);
