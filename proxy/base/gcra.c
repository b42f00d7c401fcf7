/* gcra.c - the generic cell rate algorithm. */
#include "proxy/base/gcra.h"

struct gcra gcra_of(uint32_t requests, uint64_t per_ms, uint32_t burst)
{
    uint64_t step = per_ms * 1000000 / requests;

    step = step ? step : 1;
    return (struct gcra){.step_ns = step, .room_ns = step * burst};
}

struct gcra_verdict gcra_eval(const struct gcra *g, uint64_t full_ns, uint64_t now_ns)
{
    uint64_t used = full_ns > now_ns ? full_ns - now_ns : 0;
    struct gcra_verdict v = {.allowed = used + g->step_ns <= g->room_ns};

    if (v.allowed) {
        used += g->step_ns;
        v.full_ns = now_ns + used;
        v.remaining = (g->room_ns - used) / g->step_ns;
    } else {
        v.full_ns = full_ns;
        v.wait_ns = used + g->step_ns - g->room_ns;
    }
    return v;
}
