/* traffic.c - draws requests; latencies through an alias table over the judge's buckets. */
#include "bench/judge/traffic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIGMA      0.5
#define MEDIAN_US  125000.0 /* 400 ms at p99 */
#define Z_97       1.8807936081512509
#define BURST      5
#define ZIPF       0.8
#define BROKEN     0.005
#define BROKEN_ERR 0.6

struct alias { /* Walker: one draw from N weights in constant time */
    uint32_t n;
    double *keep;
    uint32_t *other;
};

struct traffic_run {
    struct traffic t;
    struct rng rng;
    struct alias latency[TRAFFIC_NLATENCIES];
    struct alias users;
    double *point;                 /* of each user, 0..1: below SHARE it is the canary's */
    bool *broken;                  /* each user */
    struct clients *errors, *seen; /* each user */
};

static void alias_init(struct alias *a, const double *weight, uint32_t n)
{
    uint32_t *small = calloc(n, sizeof(*small)), *large = calloc(n, sizeof(*large));
    uint32_t nsmall = 0, nlarge = 0;
    double sum = 0;

    *a = (struct alias){n, calloc(n, sizeof(double)), calloc(n, sizeof(uint32_t))};
    for (uint32_t i = 0; i < n; i++)
        sum += weight[i];
    for (uint32_t i = 0; i < n; i++) {
        a->keep[i] = weight[i] * n / sum;
        a->other[i] = i;
        if (a->keep[i] < 1)
            small[nsmall++] = i;
        else
            large[nlarge++] = i;
    }
    while (nsmall > 0 && nlarge > 0) {
        uint32_t s = small[--nsmall], l = large[nlarge - 1];

        a->other[s] = l;
        a->keep[l] -= 1 - a->keep[s];
        if (a->keep[l] < 1) {
            nlarge--;
            small[nsmall++] = l;
        }
    }
    while (nsmall > 0)
        a->keep[small[--nsmall]] = 1;
    free(small);
    free(large);
}

static uint32_t alias_draw(const struct alias *a, struct rng *r)
{
    double u = rng_unit(r) * a->n;
    uint32_t i = (uint32_t)u;

    return u - i < a->keep[i] ? i : a->other[i];
}

static void alias_release(struct alias *a)
{
    free(a->keep);
    free(a->other);
}

/* Chance that a latency of KIND is below US. */
static double below(enum traffic_latency kind, double us)
{
    double scale = kind == TRAFFIC_SHIFTED ? 1.5 : kind == TRAFFIC_COLD ? 2 : 1;
    double z = log(us / (MEDIAN_US * scale)) / SIGMA, p = erfc(-z / M_SQRT2) / 2;

    if (kind == TRAFFIC_TAIL) {
        double tail = erfc(-(z - log(1.5) / SIGMA) / M_SQRT2) / 2;

        return z < Z_97 ? p : fmax(tail, 0.97);
    }
    return p;
}

static void latency_init(struct alias *a, enum traffic_latency kind)
{
    double weight[HIST_BUCKETS], last = 0;

    for (int i = 0; i < HIST_BUCKETS; i++) {
        double p = i + 1 < HIST_BUCKETS ? below(kind, (double)hist_upper_us(i)) : 1;

        weight[i] = p - last;
        last = p;
    }
    alias_init(a, weight, HIST_BUCKETS);
}

static void users_init(struct traffic_run *r)
{
    double *weight = calloc(TRAFFIC_USERS, sizeof(*weight));

    r->point = calloc(TRAFFIC_USERS, sizeof(*r->point));
    r->broken = calloc(TRAFFIC_USERS, sizeof(*r->broken));
    for (uint32_t i = 0; i < TRAFFIC_USERS; i++) {
        weight[i] = pow(i + 1, -ZIPF);
        r->point[i] = rng_unit(&r->rng);
        r->broken[i] = r->t.clients == TRAFFIC_BROKEN && rng_unit(&r->rng) < BROKEN;
    }
    alias_init(&r->users, weight, TRAFFIC_USERS);
    free(weight);
}

struct traffic_run *traffic_new(const struct traffic *t, uint64_t seed)
{
    struct traffic_run *r = calloc(1, sizeof(*r));

    r->t = *t;
    rng_seed(&r->rng, seed);
    latency_init(&r->latency[TRAFFIC_EQUAL], TRAFFIC_EQUAL);
    if (t->latency != TRAFFIC_EQUAL)
        latency_init(&r->latency[t->latency], t->latency);
    if (t->clients != TRAFFIC_SINGLE) {
        r->errors = calloc(1, sizeof(*r->errors));
        r->seen = calloc(1, sizeof(*r->seen));
    }
    if (t->clients >= TRAFFIC_BROKEN)
        users_init(r);
    return r;
}

void traffic_free(struct traffic_run *r)
{
    for (int i = 0; i < TRAFFIC_NLATENCIES; i++)
        alias_release(&r->latency[i]);
    alias_release(&r->users);
    free(r->point);
    free(r->broken);
    free(r->errors);
    free(r->seen);
    free(r);
}

static unsigned poisson(struct rng *r, double mean)
{
    double limit, product = 1;
    unsigned n = 0;

    for (; mean > 30; mean -= 30)
        n += poisson(r, 30);
    for (limit = exp(-mean); (product *= rng_unit(r)) > limit;)
        n++;
    return n;
}

struct moment {            /* of one second */
    double stable, canary; /* error rates */
    enum traffic_latency slow;
};

static struct moment moment_at(const struct traffic *t, double t_s)
{
    double boost = t->outage > 0 && t_s >= 100 && t_s < 220 ? t->outage : 1;
    bool onset = t_s >= t->onset_s, slow = onset;

    if (t->latency == TRAFFIC_COLD)
        slow = t_s >= 0 && t_s < 20;
    return (struct moment){boost * t->stable, boost * (onset ? t->canary : t->stable),
                           slow ? t->latency : TRAFFIC_EQUAL};
}

/* An error of the client whose hash is HASH. */
static void arm_error(struct traffic_run *r, struct judge_arm *arm, uint64_t hash)
{
    unsigned nth = r->errors ? clients_event(r->errors, hash) : 1;

    arm->errors++;
    arm->events += nth == 1 || (nth && !r->t.once);
}

static void arm_answer(struct traffic_run *r, struct judge_arm *arm, enum traffic_latency slow)
{
    arm->n++;
    arm->hist[alias_draw(&r->latency[slow], &r->rng)]++;
}

static void plain_request(struct traffic_run *r, struct judge_arm *arm, double err,
                          enum traffic_latency slow)
{
    arm_answer(r, arm, slow);
    arm->assigned++;
    if (r->t.clients == TRAFFIC_BURSTS && rng_unit(&r->rng) < err / BURST) {
        uint64_t client = rng_next(&r->rng);

        for (int i = 0; i < BURST; i++) {
            if (i > 0)
                arm_answer(r, arm, slow);
            arm_error(r, arm, client);
        }
    } else if (r->t.clients == TRAFFIC_SINGLE && rng_unit(&r->rng) < err) {
        arm_error(r, arm, 0);
    }
}

static void user_request(struct traffic_run *r, const struct moment *m, double share,
                         struct judge_window *w)
{
    uint32_t user = alias_draw(&r->users, &r->rng);
    bool canary = r->point[user] < share;
    struct judge_arm *arm = canary ? &w->canary : &w->stable;
    double err = r->broken[user] ? BROKEN_ERR : canary ? m->canary : m->stable;

    arm_answer(r, arm, canary ? m->slow : TRAFFIC_EQUAL);
    arm->assigned += clients_event(r->seen, user) == 1;
    if (rng_unit(&r->rng) < err)
        arm_error(r, arm, user);
}

void traffic_second(struct traffic_run *r, double t_s, double share, struct judge_window *w,
                    struct judge_arm *baseline)
{
    struct moment m = moment_at(&r->t, t_s);

    memset(w, 0, sizeof(*w));
    w->share = share;
    if (r->t.clients >= TRAFFIC_BROKEN) {
        for (unsigned n = poisson(&r->rng, r->t.rps); n > 0; n--)
            user_request(r, &m, share, w);
    } else {
        for (unsigned n = poisson(&r->rng, r->t.rps * (1 - share)); n > 0; n--)
            plain_request(r, &w->stable, m.stable, TRAFFIC_EQUAL);
        for (unsigned n = poisson(&r->rng, r->t.rps * share); n > 0; n--)
            plain_request(r, &w->canary, m.canary, m.slow);
    }
    if (!baseline)
        return;
    memset(baseline, 0, sizeof(*baseline));
    for (unsigned n = poisson(&r->rng, r->t.rps * share); n > 0; n--)
        plain_request(r, baseline, m.stable, TRAFFIC_EQUAL);
}
