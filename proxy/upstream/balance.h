/*
 * balance.h - which endpoint of a version takes an attempt. A policy is one file and one row.
 *
 * A balance knows all endpoints of its version that are not draining. Those that get traffic
 * now, the live ones, are listed apart and found again when an ejection begins or ends, so
 * policies look at nothing else.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/rng.h"

#define BALANCE_NONE UINT32_MAX

struct endpoint;
struct ring_point;

/* One endpoint of a version that is not draining. */
struct target {
    struct endpoint *ep; /* borrowed from the pool through the tables */
    uint32_t cell;       /* stats */
    bool up;             /* the health check says so */
    uint32_t weight;     /* its part beside the others, > 0 */
};

struct balance { /* a version's choice: what a policy looks at and what it remembers */
    enum conf_balance policy;
    const struct target *targets;
    uint32_t n;
    uint32_t panic;            /* with fewer than this per cent live, all are */
    uint32_t *live;            /* indices of targets that get traffic now */
    uint32_t *place;           /* of each target in live, or BALANCE_NONE */
    uint32_t nlive;            /* 0: nobody can answer */
    uint32_t cursor;           /* where the next turn begins */
    bool even;                 /* all live ones weigh the same */
    uint64_t *below;           /* not even: weights of live up to and with each */
    int64_t *credit;           /* not even: what each target has saved up for its turn */
    uint64_t slow_us;          /* so long a newcomer gets less; 0: never */
    struct ring_point *points; /* ring_hash only, in order */
    uint32_t npoints;
    const unsigned *ejections; /* the pool's count: live is found again when it moves */
    unsigned seen;             /* of *ejections */
    uint64_t until_us;         /* live holds until then at most */
};

/* What a choice depends on besides the endpoints. */
struct pick {
    struct rng *rng;
    uint64_t now_us;
    uint64_t key;                 /* hash of who asks; ring_hash only */
    const struct endpoint *avoid; /* tried already: another, if there is one; may be NULL */
};

/* Over the N targets, which live in A or longer, as B itself. *EJECTIONS: see struct balance.
 */
void balance_init(struct balance *b, struct arena *a, const struct conf_service *c,
                  const struct target *targets, uint32_t n, const unsigned *ejections);
/*
 * An index of targets; BALANCE_NONE when none is live. One that came up less than slow_us ago
 * (endpoint.up_since_us, or the end of its ejection) is passed over in part of its turns: it
 * begins with a tenth of its share and has all of it at the end.
 */
uint32_t balance_pick(struct balance *b, const struct pick *p);

/* The policies: a position in live, which is not empty. */
uint32_t lb_round_robin(struct balance *b, const struct pick *p);
uint32_t lb_least_requests(struct balance *b, const struct pick *p);
uint32_t lb_p2c(struct balance *b, const struct pick *p);
uint32_t lb_ring_hash(struct balance *b, const struct pick *p);
/* Take turns so that each gets its part evenly (smooth weighted round robin): the position
 * whose credit is highest after SHARE(target) was added to each, and the sum taken from it. */
uint32_t lb_turn(struct balance *b, uint64_t (*share)(const struct target *t));
#define BALANCE_RING_POINTS 1048576 /* 8 MiB; and one for each target that would have none */
/* Lay the points of B's targets on the ring. */
void lb_ring_init(struct balance *b, struct arena *a);
