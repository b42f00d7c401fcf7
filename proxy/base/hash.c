/* hash.c - XXH64 and MurmurHash3_x86_32 from their specifications. Pure. */
#include "proxy/base/hash.h"

#define P1 0x9E3779B185EBCA87u
#define P2 0xC2B2AE3D27D4EB4Fu
#define P3 0x165667B19E3779F9u
#define P4 0x85EBCA77C2B2AE63u
#define P5 0x27D4EB2F165667C5u

static inline uint64_t rotl64(uint64_t x, int r)
{
    return (x << r) | (x >> (64 - r));
}

static inline uint32_t rotl32(uint32_t x, int r)
{
    return (x << r) | (x >> (32 - r));
}

static inline uint64_t read64(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v; /* little-endian hosts only; the Makefile refuses others */
}

static inline uint32_t read32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t xx_round(uint64_t acc, uint64_t in)
{
    return rotl64(acc + in * P2, 31) * P1;
}

static inline uint64_t xx_merge(uint64_t h, uint64_t acc)
{
    return (h ^ xx_round(0, acc)) * P1 + P4;
}

uint64_t hash64(struct str s, uint64_t seed)
{
    const char *p = s.p, *end = s.p + s.n;
    uint64_t h;

    if (s.n >= 32) {
        uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;

        for (; end - p >= 32; p += 32) {
            a = xx_round(a, read64(p));
            b = xx_round(b, read64(p + 8));
            c = xx_round(c, read64(p + 16));
            d = xx_round(d, read64(p + 24));
        }
        h = rotl64(a, 1) + rotl64(b, 7) + rotl64(c, 12) + rotl64(d, 18);
        h = xx_merge(xx_merge(xx_merge(xx_merge(h, a), b), c), d);
    } else {
        h = seed + P5;
    }
    h += s.n;
    for (; end - p >= 8; p += 8)
        h = rotl64(h ^ xx_round(0, read64(p)), 27) * P1 + P4;
    if (end - p >= 4) {
        h = rotl64(h ^ (uint64_t)read32(p) * P1, 23) * P2 + P3;
        p += 4;
    }
    for (; p < end; p++)
        h = rotl64(h ^ (uint8_t)*p * P5, 11) * P1;
    h = (h ^ (h >> 33)) * P2;
    h = (h ^ (h >> 29)) * P3;
    return h ^ (h >> 32);
}

static inline uint32_t murmur_k(uint32_t k)
{
    return rotl32(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

uint32_t hash_murmur3(struct str s, uint32_t seed)
{
    uint32_t h = seed, tail = 0;
    size_t i = 0;

    for (; i + 4 <= s.n; i += 4)
        h = rotl32(h ^ murmur_k(read32(s.p + i)), 13) * 5 + 0xe6546b64u;
    for (size_t k = s.n; k > i; k--)
        tail = tail << 8 | (uint8_t)s.p[k - 1];
    if (i < s.n)
        h ^= murmur_k(tail);
    h ^= (uint32_t)s.n;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return h ^ (h >> 16);
}
