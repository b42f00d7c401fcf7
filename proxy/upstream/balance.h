/*
 * balance.h - which endpoint of a version takes an attempt. A policy is one file and one row.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/rng.h"

struct endpoint;

/* One endpoint of a version that may get traffic: up and not draining. */
struct target {
    struct endpoint *ep; /* borrowed from the pool through the tables */
    uint32_t cell;       /* stats */
};

struct balance { /* a version's choice: what a policy looks at and what it remembers */
    enum conf_balance policy;
    const struct target *targets;
    uint32_t n;
    uint32_t cursor;
};

/* An index below N > 0. AVOID (may be NULL) was tried already: another one, if there is one. */
uint32_t balance_pick(struct balance *b, struct rng *r, const struct endpoint *avoid);

/* The policies; N > 0. */
uint32_t lb_round_robin(struct balance *b, struct rng *r);
uint32_t lb_p2c(struct balance *b, struct rng *r);
