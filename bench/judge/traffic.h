/*
 * traffic.h - simulated traffic to two versions, a second at a time.
 *
 * Requests are a Poisson stream, dealt out by weight; errors binomial; latency log-normal with
 * sigma 0.5 and stable's p99 at 400 ms. Seeded: the same seed is the same traffic.
 */
#pragma once
#include "control/rollout/judge.h"
#include "proxy/base/clients.h"
#include "proxy/base/rng.h"

#define TRAFFIC_USERS 5000

enum traffic_clients {
    TRAFFIC_SINGLE, /* every request stands alone */
    TRAFFIC_BURSTS, /* a client that fails does so five times in a row */
    TRAFFIC_BROKEN, /* 5,000 sticky users (Zipf 0.8), 0.5 % of whom fail 60 % on any version */
    TRAFFIC_STICKY, /* the same users, none of them broken */
};
enum traffic_latency {
    TRAFFIC_EQUAL,
    TRAFFIC_SHIFTED, /* the canary: all times 1.5 */
    TRAFFIC_TAIL,    /* the slowest 3 % times 1.5 */
    TRAFFIC_COLD,    /* all times 2 in the first 20 s */
    TRAFFIC_NLATENCIES
};

struct traffic { /* what the two versions are like */
    const char *name;
    double rps, stable, canary; /* error rates, 0..1 */
    enum traffic_latency latency;
    enum traffic_clients clients;
    double outage;  /* both versions' errors times this during 100..219 s; 0: none */
    double onset_s; /* the canary is like stable before */
    bool once;      /* only a client's first error counts, not its 1st, 3rd, 7th, ... */
};

struct traffic_run; /* one stream of it */

struct traffic_run *traffic_new(const struct traffic *t, uint64_t seed);
void traffic_free(struct traffic_run *r);
/* The second that begins T_S after the rollout's start (negative: before it), with SHARE of the
 * requests for the canary. BASELINE may be NULL: another arm of stable as large as the canary.
 */
void traffic_second(struct traffic_run *r, double t_s, double share, struct judge_window *w,
                    struct judge_arm *baseline);
