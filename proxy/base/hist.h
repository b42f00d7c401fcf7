/*
 * hist.h - latency buckets: 16 an octave (4.4 % wide), 100 us to about 105 s.
 *
 * A histogram is HIST_BUCKETS counters; adding two adds their counters. Bucket 0 also takes all
 * that is faster, the last one all that is slower. The edges are fixed for ever: stored
 * evidence depends on them.
 */
#pragma once
#include <stdint.h>

#define HIST_BUCKETS    320
#define HIST_PER_OCTAVE 16
#define HIST_MIN_US     100

int hist_bucket(uint64_t us);       /* 0..HIST_BUCKETS-1 */
uint64_t hist_upper_us(int bucket); /* exclusive upper edge, microseconds */
/* Bucket that holds quantile Q (0..1) of COUNTS, or -1 when empty. */
int hist_quantile(const uint64_t counts[HIST_BUCKETS], double q);
uint64_t hist_total(const uint64_t counts[HIST_BUCKETS]);
/* How many lie in buckets above BUCKET. */
uint64_t hist_above(const uint64_t counts[HIST_BUCKETS], int bucket);
