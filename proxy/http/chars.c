/* chars.c - the table of classes, and the scans: one mask of stop bytes per vector. */
#include "proxy/http/chars.h"

#if defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#define ALNUM (CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_UNRESERVED)
#define MARK  (CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET)
#define OTHER (CHAR_VALUE | CHAR_TARGET)

const uint8_t char_class[256] = {
    ['\t'] = CHAR_VALUE,
    [' '] = CHAR_VALUE,
    ['!'] = MARK | CHAR_HOST,
    ['"'] = OTHER,
    ['#'] = CHAR_TOKEN | CHAR_VALUE,
    ['$'] = MARK | CHAR_HOST,
    ['%'] = MARK | CHAR_HOST,
    ['&'] = MARK | CHAR_HOST,
    ['\''] = MARK | CHAR_HOST,
    ['('] = OTHER | CHAR_HOST,
    [')'] = OTHER | CHAR_HOST,
    ['*'] = MARK | CHAR_HOST,
    ['+'] = MARK | CHAR_HOST,
    [','] = OTHER,
    ['-'] = MARK | CHAR_HOST | CHAR_UNRESERVED,
    ['.'] = MARK | CHAR_HOST | CHAR_UNRESERVED,
    ['/'] = OTHER,
    ['0' ... '9'] = ALNUM | CHAR_DIGIT,
    [':'] = OTHER,
    [';'] = OTHER | CHAR_HOST,
    ['<'] = OTHER,
    ['='] = OTHER | CHAR_HOST,
    ['>'] = OTHER,
    ['?'] = OTHER,
    ['@'] = OTHER,
    ['A' ... 'Z'] = ALNUM,
    ['['] = OTHER,
    ['\\'] = OTHER,
    [']'] = OTHER,
    ['^'] = MARK,
    ['_'] = MARK | CHAR_HOST | CHAR_UNRESERVED,
    ['`'] = MARK,
    ['a' ... 'z'] = ALNUM,
    ['{'] = OTHER,
    ['|'] = MARK,
    ['}'] = OTHER,
    ['~'] = MARK | CHAR_HOST | CHAR_UNRESERVED,
    [0x80 ... 0xff] = CHAR_VALUE,
};

#if defined(__AVX2__)
#define WIDE 32
typedef __m256i wide;
#define WIDE_LOAD(p)   _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define WIDE_ALL(c)    _mm256_set1_epi8((char)(c))
#define WIDE_EQ(a, b)  _mm256_cmpeq_epi8(a, b)
#define WIDE_MIN(a, b) _mm256_min_epu8(a, b)
#define WIDE_MAX(a, b) _mm256_max_epu8(a, b)
#define WIDE_OR(a, b)  _mm256_or_si256(a, b)
#define WIDE_BUT(a, b) _mm256_andnot_si256(b, a)
#define WIDE_MASK(a)   (unsigned)_mm256_movemask_epi8(a)
#elif defined(__SSE2__)
#define WIDE           16
typedef __m128i wide;
#define WIDE_LOAD(p)   _mm_loadu_si128((const __m128i *)(const void *)(p))
#define WIDE_ALL(c)    _mm_set1_epi8((char)(c))
#define WIDE_EQ(a, b)  _mm_cmpeq_epi8(a, b)
#define WIDE_MIN(a, b) _mm_min_epu8(a, b)
#define WIDE_MAX(a, b) _mm_max_epu8(a, b)
#define WIDE_OR(a, b)  _mm_or_si128(a, b)
#define WIDE_BUT(a, b) _mm_andnot_si128(b, a)
#define WIDE_MASK(a)   (unsigned)_mm_movemask_epi8(a)
#endif

#ifdef WIDE
/* One bit a byte that is not CHAR_VALUE: 0..0x1f but HTAB, and DEL. */
static unsigned not_value(wide v)
{
    wide low = WIDE_EQ(WIDE_MIN(v, WIDE_ALL(0x1f)), v);

    low = WIDE_BUT(low, WIDE_EQ(v, WIDE_ALL('\t')));
    return WIDE_MASK(WIDE_OR(low, WIDE_EQ(v, WIDE_ALL(0x7f))));
}

/* One bit a byte that is not CHAR_TARGET: 0..0x20, 0x7f..0xff and "#". */
static unsigned not_target(wide v)
{
    wide low = WIDE_EQ(WIDE_MIN(v, WIDE_ALL(0x20)), v);
    wide high = WIDE_EQ(WIDE_MAX(v, WIDE_ALL(0x7f)), v);

    return WIDE_MASK(WIDE_OR(WIDE_OR(low, high), WIDE_EQ(v, WIDE_ALL('#'))));
}
#endif

size_t chars_value(const char *p, size_t n)
{
    size_t i = 0;

#ifdef WIDE
    for (; n - i >= WIDE; i += WIDE) {
        unsigned stops = not_value(WIDE_LOAD(p + i));
        if (stops)
            return i + (unsigned)__builtin_ctz(stops);
    }
#endif
    return i + chars_run(p + i, n - i, CHAR_VALUE);
}

size_t chars_target(const char *p, size_t n)
{
    size_t i = 0;

#ifdef WIDE
    for (; n - i >= WIDE; i += WIDE) {
        unsigned stops = not_target(WIDE_LOAD(p + i));
        if (stops)
            return i + (unsigned)__builtin_ctz(stops);
    }
#endif
    return i + chars_run(p + i, n - i, CHAR_TARGET);
}
