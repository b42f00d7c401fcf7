/*
 * latency.h - how slow an endpoint is: a peak that fades.
 *
 * A slower answer is believed at once, a faster one little by little; what was not confirmed
 * for LATENCY_FADE_US counts half, so that an endpoint that nobody asks is asked again.
 */
#pragma once
#include <stdint.h>

#define LATENCY_FADE_US 5000000u

struct latency { /* zeroed: unknown */
    uint64_t us, at_us;
};

/* Microseconds, 0: unknown. */
static inline uint64_t latency_at(const struct latency *l, uint64_t now_us)
{
    uint64_t age = now_us > l->at_us ? now_us - l->at_us : 0;

    return age < LATENCY_FADE_US / 64 ? l->us
                                      : l->us * LATENCY_FADE_US / (LATENCY_FADE_US + age);
}

static inline void latency_observe(struct latency *l, uint64_t took_us, uint64_t now_us)
{
    uint64_t had = latency_at(l, now_us);

    l->us = took_us >= had ? took_us : had - (had - took_us) / 8;
    l->at_us = now_us;
}
