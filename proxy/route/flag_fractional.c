/*
 * flag_fractional.c - which bucket of `fractional` a key falls into.
 *
 * The CBOR of a key is written to the scratch room of the evaluation piece by piece, which
 * makes it one text, and given back.
 */
#include "proxy/route/flag_fractional.h"

#include "proxy/base/hash.h"

#include <math.h>

uint32_t flag_hash_text(struct str key)
{
    return hash_murmur3(key, 0);
}

/* ---- CBOR ---- */

struct cbor {
    struct flag_scratch *s;
    char *begin, *at;
};

static void put_bytes(struct cbor *c, const void *p, size_t n)
{
    if (c->s->full || (size_t)(c->s->end - c->at) < n) {
        c->s->full = true;
        return;
    }
    if (n)
        memcpy(c->at, p, n);
    c->at += n;
}

/* WIDTH bytes of N, most significant first, behind the byte KIND. */
static void put_wide(struct cbor *c, unsigned kind, uint64_t n, unsigned width)
{
    unsigned char b[9] = {(unsigned char)kind};

    for (unsigned i = 0; i < width; i++)
        b[1 + i] = (unsigned char)(n >> 8 * (width - 1 - i));
    put_bytes(c, b, 1 + width);
}

static void put_head(struct cbor *c, unsigned major, uint64_t n)
{
    if (n < 24)
        put_wide(c, major << 5 | (unsigned)n, 0, 0);
    else if (n < 0x100)
        put_wide(c, major << 5 | 24, n, 1);
    else if (n < 0x10000)
        put_wide(c, major << 5 | 25, n, 2);
    else if (n < 0x100000000)
        put_wide(c, major << 5 | 26, n, 4);
    else
        put_wide(c, major << 5 | 27, n, 8);
}

/* IEEE 754 binary16 of X, if it holds X exactly. */
static bool half_of(float x, uint16_t *out)
{
    uint32_t u, sign, mantissa, shift;
    int exponent;

    memcpy(&u, &x, sizeof(u));
    sign = u >> 31 << 15;
    mantissa = u & 0x7fffff;
    exponent = (int)(u >> 23 & 255) - 127;
    if (exponent >= -14 && exponent <= 15 && (mantissa & 0x1fff) == 0) {
        *out = (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 | mantissa >> 13);
        return true;
    }
    if (exponent < -24 || exponent >= -14)
        return false;
    mantissa |= 0x800000; /* subnormal there */
    shift = (uint32_t)(-exponent - 1);
    *out = (uint16_t)(sign | mantissa >> shift);
    return (mantissa & ((1u << shift) - 1)) == 0;
}

static void put_float(struct cbor *c, double x)
{
    float f = (float)x;
    uint64_t wide;
    uint32_t word;
    uint16_t half;

    if ((double)f != x) {
        memcpy(&wide, &x, sizeof(wide));
        put_wide(c, 0xfb, wide, 8);
    } else if (half_of(f, &half)) {
        put_wide(c, 0xf9, half, 2);
    } else {
        memcpy(&word, &f, sizeof(word));
        put_wide(c, 0xfa, word, 4);
    }
}

/* Integral numbers are integers as far as CBOR has them; there is one zero. */
static void put_number(struct cbor *c, double x)
{
    if (x != trunc(x) || x < -9223372036854775808.0 || x >= 18446744073709551616.0)
        put_float(c, x);
    else if (x < 0)
        put_head(c, 1, (uint64_t)(-(int64_t)x - 1));
    else
        put_head(c, 0, (uint64_t)x);
}

static void put_text(struct cbor *c, struct str s)
{
    put_head(c, 3, s.n);
    put_bytes(c, s.p, s.n);
}

static void put_value(struct cbor *c, const struct flag_value *v);

/* By the bytes of encoded names, shorter ones first; of two the same the first, which counts,
 * stays first. */
static bool comes_before(const struct flag_member *a, const struct flag_member *b)
{
    int order;

    if (a->name.n != b->name.n)
        return a->name.n < b->name.n;
    order = a->name.n ? memcmp(a->name.p, b->name.p, a->name.n) : 0;
    return order ? order < 0 : a < b;
}

static void sort(const struct flag_member **v, uint32_t n)
{
    for (uint32_t gap = n / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < n; i++) {
            const struct flag_member *m = v[i];
            uint32_t k = i;

            for (; k >= gap && comes_before(m, v[k - gap]); k -= gap)
                v[k] = v[k - gap];
            v[k] = m;
        }
}

static void put_object(struct cbor *c, const struct flag_value *v)
{
    /* The order lies at the far end of the room, so that the text stays in one piece. */
    size_t size = (v->n * sizeof(struct flag_member *) + 15) & ~(size_t)15;
    const struct flag_member **order;
    uint32_t n = 0;

    if ((size_t)(c->s->end - c->at) < size) {
        c->s->full = true;
        return;
    }
    c->s->end -= size;
    order = (const struct flag_member **)(void *)c->s->end;
    for (uint32_t i = 0; i < v->n; i++)
        order[i] = &v->members[i];
    sort(order, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        if (n == 0 || !str_eq(order[n - 1]->name, order[i]->name))
            order[n++] = order[i];
    }
    put_head(c, 5, n);
    for (uint32_t i = 0; i < n && !c->s->full; i++) {
        put_text(c, order[i]->name);
        put_value(c, &order[i]->value);
    }
    c->s->end += size;
}

static void put_value(struct cbor *c, const struct flag_value *v)
{
    switch (v->kind) {
    case FLAG_NULL:
        put_wide(c, 0xf6, 0, 0);
        break;
    case FLAG_BOOL:
        put_wide(c, v->boolean ? 0xf5 : 0xf4, 0, 0);
        break;
    case FLAG_NUMBER:
        put_number(c, v->number);
        break;
    case FLAG_STRING:
        put_text(c, v->text);
        break;
    case FLAG_ARRAY:
        put_head(c, 4, v->n);
        for (uint32_t i = 0; i < v->n && !c->s->full; i++)
            put_value(c, &v->items[i]);
        break;
    case FLAG_OBJECT:
        put_object(c, v);
        break;
    }
}

uint32_t flag_hash_value(struct flag_scratch *s, const struct flag_value *key)
{
    struct cbor c = {s, s->at, s->at};

    put_value(&c, key);
    return hash_murmur3((struct str){c.begin, (size_t)(c.at - c.begin)}, 0);
}

/* ---- picking ---- */

/* A share of a hundred in floating point; three hashes fall into no bucket, which is a variant
 * that does not exist. */
static struct flag_value pick_first(uint32_t hash, const struct flag_bucket *b, size_t n,
                                    int64_t total)
{
    double at = fabs((double)(int32_t)hash) / INT32_MAX * 100, below = 0;

    for (size_t i = 0; i < n; i++) {
        below += 100 * (double)b[i].weight / (double)total;
        if (at < below)
            return b[i].variant;
    }
    return flag_text(STR(""));
}

struct flag_value flag_fractional_pick(enum flag_bucketing gen, uint32_t hash,
                                       const struct flag_bucket *b, size_t n)
{
    int64_t total = 0, below = 0, at;

    for (size_t i = 0; i < n; i++)
        total += b[i].weight;
    if (total <= 0 || total > INT32_MAX)
        return FLAG_VALUE_NULL;
    if (gen == FLAG_BUCKETING_V1)
        return pick_first(hash, b, n, total);
    at = (int64_t)(((uint64_t)hash * (uint64_t)total) >> 32);
    for (size_t i = 0; i < n; i++) {
        below += b[i].weight;
        if (at < below)
            return b[i].variant;
    }
    return FLAG_VALUE_NULL;
}
