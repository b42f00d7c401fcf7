/*
 * rule_kayenta.c - the Mann-Whitney interval that NetflixACAJudge-v1.0 decides by.
 *
 * The shift between two samples is the d for which their ranks, after taking d off the canary,
 * are balanced; its 98 % interval is where the normal approximation with ties and continuity
 * correction says +-2.326. All three are roots of a falling step function, found to 1e-4.
 */
#include "control/rollout/rules.h"

#include <math.h>
#include <stdlib.h>

#define Z_98      2.3263478740408408
#define TOLERANCE 0.25 /* of the shift's size: smaller ones are taken for none */
#define PRECISE   1e-4

struct ranked {
    double value;
    bool canary;
};

struct samples {
    const double *canary, *baseline;
    size_t n, m;
};

static int by_value(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;

    return (x > y) - (x < y);
}

/* Sum of the canary's ranks, equal values sharing theirs; *TIES: sum of t^3 - t over them. */
static double rank_sum(const struct ranked *all, size_t n, double *ties)
{
    double sum = 0;

    *ties = 0;
    for (size_t i = 0, end; i < n; i = end) {
        double rank, t;

        for (end = i + 1; end < n && !(all[end].value > all[i].value);)
            end++;
        t = (double)(end - i);
        rank = ((double)i + 1 + (double)end) / 2;
        *ties += t * t * t - t;
        for (size_t k = i; k < end; k++)
            sum += all[k].canary ? rank : 0;
    }
    return sum;
}

/* z of the canary less D; CORRECT by half a rank towards the middle. */
static double z_of(const struct samples *s, double d, bool correct)
{
    struct ranked all[2 * RULE_POINTS];
    double n = (double)s->n, m = (double)s->m, ties, w, sigma;

    for (size_t i = 0; i < s->n; i++)
        all[i] = (struct ranked){s->canary[i] - d, true};
    for (size_t i = 0; i < s->m; i++)
        all[s->n + i] = (struct ranked){s->baseline[i], false};
    qsort(all, s->n + s->m, sizeof(*all), by_value);
    w = rank_sum(all, s->n + s->m, &ties) - n * (n + 1) / 2 - n * m / 2;
    if (correct)
        w -= w > 0 ? 0.5 : w < 0 ? -0.5 : 0;
    sigma = sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))));
    return sigma > 0 ? w / sigma : 0;
}

/* Where z falls through Z, in LOW..HIGH. */
static double root(const struct samples *s, double low, double high, double z, bool correct)
{
    if (z_of(s, low, correct) <= z)
        return low;
    if (z_of(s, high, correct) >= z)
        return high;
    while (high - low > PRECISE) {
        double mid = low + (high - low) / 2;

        if (z_of(s, mid, correct) > z)
            low = mid;
        else
            high = mid;
    }
    return low + (high - low) / 2;
}

static void extent(const double *v, size_t n, double *min, double *max)
{
    *min = *max = v[0];
    for (size_t i = 1; i < n; i++) {
        *min = fmin(*min, v[i]);
        *max = fmax(*max, v[i]);
    }
}

bool rule_mann_whitney(const double *canary, size_t n, const double *baseline, size_t m,
                       double out[3])
{
    struct samples s = {canary, baseline, n, m};
    double low, high, base_low, base_high;

    ASSERT(n > 0 && m > 0 && n <= RULE_POINTS && m <= RULE_POINTS);
    extent(canary, n, &low, &high);
    extent(baseline, m, &base_low, &base_high);
    out[0] = out[1] = out[2] = low - base_low;
    if (high > low || base_high > base_low) { /* else the shift is exactly that */
        double from = low - base_high, to = high - base_low;

        out[0] = root(&s, from, to, Z_98, true);
        out[1] = root(&s, from, to, 0, false);
        out[2] = root(&s, from, to, -Z_98, true);
    }
    /* Where most points are equal, z jumps at 0 and the roots lie anywhere within PRECISE of
     * it. */
    return out[0] > PRECISE && out[0] > TOLERANCE * fabs(out[1]);
}
