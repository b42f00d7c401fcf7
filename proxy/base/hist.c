/* hist.c - latency buckets. Pure; integer arithmetic only, so every host agrees on the edges.
 */
#include "proxy/base/hist.h"

/* ceil(2^16 * 2^(i/16)) for i = 1..15: the inner edges of an octave, 16.16 fixed point. */
static const uint32_t inner[HIST_PER_OCTAVE - 1] = {
    68438, 71468,  74632,  77936,  81387,  84990,  88753,  92682,
    96786, 101071, 105546, 110218, 115098, 120194, 125515,
};

int hist_bucket(uint64_t us)
{
    uint64_t units = us / HIST_MIN_US, scaled;
    int octave, lo = 0, hi = HIST_PER_OCTAVE - 1;

    if (units == 0)
        return 0;
    octave = 63 - __builtin_clzll(units);
    if (octave >= HIST_BUCKETS / HIST_PER_OCTAVE)
        return HIST_BUCKETS - 1;
    scaled = (us << 16) / ((uint64_t)HIST_MIN_US << octave);
    while (lo < hi) { /* first inner edge above SCALED */
        int mid = (lo + hi) / 2;

        if (scaled < inner[mid])
            hi = mid;
        else
            lo = mid + 1;
    }
    return octave * HIST_PER_OCTAVE + lo;
}

uint64_t hist_upper_us(int bucket)
{
    int octave = bucket / HIST_PER_OCTAVE, sub = bucket % HIST_PER_OCTAVE;
    uint64_t base = (uint64_t)HIST_MIN_US << octave;

    if (sub == HIST_PER_OCTAVE - 1)
        return base * 2;
    return (base * inner[sub] + 65535) >> 16;
}

uint64_t hist_total(const uint64_t counts[HIST_BUCKETS])
{
    uint64_t sum = 0;

    for (int i = 0; i < HIST_BUCKETS; i++)
        sum += counts[i];
    return sum;
}

int hist_quantile(const uint64_t counts[HIST_BUCKETS], double q)
{
    uint64_t total = hist_total(counts), want, sum = 0;

    if (total == 0)
        return -1;
    want = (uint64_t)(q * (double)total);
    if (want >= total)
        want = total - 1;
    for (int i = 0; i < HIST_BUCKETS; i++)
        if ((sum += counts[i]) > want)
            return i;
    return HIST_BUCKETS - 1;
}

uint64_t hist_above(const uint64_t counts[HIST_BUCKETS], int bucket)
{
    uint64_t sum = 0;

    for (int i = bucket + 1; i < HIST_BUCKETS; i++)
        sum += counts[i];
    return sum;
}
