/* rng.h - xoshiro256**: fast, seedable, not for secrets. Ids and secrets use rng_secure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
double rng_unit(struct rng *r);                /* [0, 1) */
uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1; n > 0 */
void rng_secure(void *buf, size_t n);          /* getrandom(2) */
