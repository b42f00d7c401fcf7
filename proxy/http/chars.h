/*
 * chars.h - classes of bytes in HTTP messages, and scans that look at many at once.
 *
 * The scans never read at or past p + n. SSE2 or AVX2 as the compiler was told, else bytes.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    CHAR_TOKEN = 1,  /* RFC 9110 5.6.2 */
    CHAR_VALUE = 2,  /* field-vchar, SP and HTAB, obs-text (RFC 9110 5.5) */
    CHAR_TARGET = 4, /* 0x21..0x7e but "#": what browsers send, more than RFC 3986 */
    CHAR_HOST = 8,   /* reg-name (RFC 3986 3.2.2) but "," */
    CHAR_DIGIT = 16,
    CHAR_UNRESERVED = 32 /* RFC 3986 2.3 */
};

extern const uint8_t char_class[256];

static inline uint8_t char_is(char c, unsigned classes)
{
    return char_class[(uint8_t)c] & classes;
}

size_t chars_value(const char *p, size_t n);  /* length of the run of CHAR_VALUE */
size_t chars_target(const char *p, size_t n); /* length of the run of CHAR_TARGET */

static inline size_t chars_run(const char *p, size_t n, unsigned classes)
{
    size_t i = 0;

    while (i < n && char_is(p[i], classes))
        i++;
    return i;
}
