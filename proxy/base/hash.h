/*
 * hash.h - two published hashes, byte for byte equal on every machine.
 *
 * hash64 (XXH64) places keys: splits and stickiness depend on its exact values for ever.
 * murmur3 (x86, 32 bit) is what flagd's `fractional` is defined over. Neither resists an
 * attacker who picks keys: tables over peer-chosen keys take a random seed.
 */
#pragma once
#include "proxy/base/str.h"

uint64_t hash64(struct str s, uint64_t seed);
uint32_t hash_murmur3(struct str s, uint32_t seed);

/* Spread the bits of X (splitmix64's finaliser): for numbers that are keys already. */
static inline uint64_t hash_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
