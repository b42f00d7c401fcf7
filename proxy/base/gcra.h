/*
 * gcra.h - the arithmetic of a rate limit: the generic cell rate algorithm. Pure.
 *
 * All that is remembered of a key is one time, at which its bucket is full again. A request
 * moves it on by `step`; it is refused when that would put it more than `room` ahead of now.
 * A time that has passed means a full bucket, so forgetting such a key loses nothing.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct gcra {
    uint64_t step_ns; /* what a request costs: period / requests */
    uint64_t room_ns; /* requests at once, times step */
};

struct gcra_verdict {
    bool allowed;
    uint64_t full_ns;   /* the time to remember: unchanged when refused */
    uint64_t wait_ns;   /* refused: until one would be let through */
    uint64_t remaining; /* requests that would be let through now */
};

/* REQUESTS (>= 1) a PER_MS, BURST (>= 1) at once. BURST * PER_MS stays below 2^43. */
struct gcra gcra_of(uint32_t requests, uint64_t per_ms, uint32_t burst);
/* FULL_NS is what is remembered (0: nothing), NOW_NS of the same clock. */
struct gcra_verdict gcra_eval(const struct gcra *g, uint64_t full_ns, uint64_t now_ns);
