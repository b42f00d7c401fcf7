/* rng.c - xoshiro256** (Blackman, Vigna 2018), seeded through splitmix64. */
#include "proxy/base/rng.h"

#include "proxy/base/check.h"
#include "proxy/base/hash.h"

#include <errno.h>
#include <sys/random.h>

static inline uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = hash_mix(seed += 0x9e3779b97f4a7c15u);
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    ASSERT(n > 0);
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

void rng_secure(void *buf, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t m = getrandom((char *)buf + got, n - got, 0);

        ASSERT(m > 0 || errno == EINTR);
        if (m > 0)
            got += (size_t)m;
    }
}
