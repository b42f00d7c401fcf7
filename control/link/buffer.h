/*
 * buffer.h - bytes that are appended at one end and taken from the other.
 *
 * A zeroed one is empty and owns nothing; it grows as needed, limits are the caller's.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct buffer { /* bytes [at, n) are unread */
    char *p;
    size_t at, n, cap;
};

static inline size_t buffer_left(const struct buffer *b)
{
    return b->n - b->at;
}

/* What is unread; valid until something is appended. */
static inline struct str buffer_str(const struct buffer *b)
{
    return (struct str){b->p + b->at, b->n - b->at};
}

void buffer_room(struct buffer *b, size_t more); /* MORE bytes may be written to b->p + b->n */
void buffer_add(struct buffer *b, struct str s);
void buffer_printf(struct buffer *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buffer_release(struct buffer *b); /* empty again, and owns nothing */
