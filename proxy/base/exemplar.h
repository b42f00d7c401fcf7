/*
 * exemplar.h - a recent exchange for each octave of latency: its trace, its time.
 *
 * One writer, any reader, in shared memory: a slot has a sequence that is odd while it is
 * written, and who reads one that moved takes nothing. A slot is written once a second at most,
 * so that a busy worker hardly ever pays for it.
 */
#pragma once
#include "proxy/base/hist.h"
#include "proxy/base/str.h"

#include <stdatomic.h>

#define EXEMPLAR_TRACE 32 /* hex digits of a trace id */
#define EXEMPLARS      (HIST_BUCKETS / HIST_PER_OCTAVE)
#define EXEMPLAR_MS    1000

struct exemplar_slot { /* zeroed: empty */
    _Atomic uint64_t seq, trace[2], us, at_ms;
};

struct exemplar {
    char trace[EXEMPLAR_TRACE + 1];
    uint64_t us, at_ms; /* how long it took, and when it was over (Unix) */
};

/* An exchange with trace id TRACE (EXEMPLAR_TRACE hex digits; others are not kept) took US. */
void exemplar_note(struct exemplar_slot slots[EXEMPLARS], struct str trace, uint64_t us,
                   uint64_t at_ms);
/* What is in SLOT; false: nothing, or it is being written. */
bool exemplar_read(const struct exemplar_slot *slot, struct exemplar *out);
void exemplar_clear(struct exemplar_slot slots[EXEMPLARS]);
