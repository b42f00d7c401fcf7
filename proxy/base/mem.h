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

/* Give what is free back to the system: after much was allocated for a short time. */
void mem_trim(void);

/* Calls of xmalloc, xcalloc and xrealloc so far in this process: tests assert on differences.
 */
uint64_t mem_allocations(void);
