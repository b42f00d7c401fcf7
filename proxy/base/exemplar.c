/* exemplar.c - a recent exchange for each octave of latency. */
#include "proxy/base/exemplar.h"

#include <inttypes.h>
#include <stdio.h>

#define RELAXED memory_order_relaxed

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_half(const char *p, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < EXEMPLAR_TRACE / 2; i++) {
        if (digit(p[i]) < 0)
            return false;
        *out = *out << 4 | (uint64_t)digit(p[i]);
    }
    return true;
}

static void store(struct exemplar_slot *s, const uint64_t trace[2], uint64_t us, uint64_t at_ms)
{
    uint64_t seq = atomic_load_explicit(&s->seq, RELAXED);

    atomic_store_explicit(&s->seq, seq + 1, RELAXED);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&s->trace[0], trace[0], RELAXED);
    atomic_store_explicit(&s->trace[1], trace[1], RELAXED);
    atomic_store_explicit(&s->us, us, RELAXED);
    atomic_store_explicit(&s->at_ms, at_ms, RELAXED);
    atomic_store_explicit(&s->seq, seq + 2, memory_order_release);
}

void exemplar_note(struct exemplar_slot slots[EXEMPLARS], struct str trace, uint64_t us,
                   uint64_t at_ms)
{
    struct exemplar_slot *s = &slots[hist_bucket(us) / HIST_PER_OCTAVE];
    uint64_t half[2];

    if (at_ms < atomic_load_explicit(&s->at_ms, RELAXED) + EXEMPLAR_MS)
        return;
    if (trace.n == EXEMPLAR_TRACE && read_half(trace.p, &half[0]) &&
        read_half(trace.p + EXEMPLAR_TRACE / 2, &half[1]))
        store(s, half, us, at_ms);
}

bool exemplar_read(const struct exemplar_slot *slot, struct exemplar *out)
{
    struct exemplar_slot *s = (struct exemplar_slot *)slot; /* loads only */
    uint64_t seq = atomic_load_explicit(&s->seq, memory_order_acquire), a, b;

    a = atomic_load_explicit(&s->trace[0], RELAXED);
    b = atomic_load_explicit(&s->trace[1], RELAXED);
    out->us = atomic_load_explicit(&s->us, RELAXED);
    out->at_ms = atomic_load_explicit(&s->at_ms, RELAXED);
    atomic_thread_fence(memory_order_acquire);
    if (seq == 0 || seq % 2 || atomic_load_explicit(&s->seq, RELAXED) != seq)
        return false;
    snprintf(out->trace, sizeof(out->trace), "%016" PRIx64 "%016" PRIx64, a, b);
    return true;
}

void exemplar_clear(struct exemplar_slot slots[EXEMPLARS])
{
    static const uint64_t none[2];

    for (int i = 0; i < EXEMPLARS; i++) {
        if (atomic_load_explicit(&slots[i].seq, RELAXED) == 0)
            continue;
        store(&slots[i], none, 0, 0);
        atomic_store_explicit(&slots[i].seq, 0, memory_order_release);
    }
}
