/*
 * judge.h - when a version is worse, and when it is good enough.
 *
 * A conditional e-process on bad events. Given that a bad event happened (an error, or a
 * request slower than the stable version's own p50, p90 or p99), it belongs to the canary with
 * the canary's share of the traffic if the versions are equal. The product of likelihood ratios
 * against "r times as bad" is a supermartingale, so by Ville's inequality its chance of ever
 * passing 1/alpha is at most alpha, however often one looks. No base rate is needed: an outage
 * that both versions share says nothing.
 *
 * The second process certifies: it tests "the canary's error rate is at least max_error_rate",
 * and rejecting that is the licence to go on. While any class has evidence against the canary
 * that is as strong, the licence is withheld. No data moves neither.
 *
 * The third guards the split: it tests "requests come to the canary with the weight's share".
 * A split that is not what was asked for makes the other two say nothing of worth.
 *
 * What counts as one event: where requests are dealt out one by one, a request; where clients
 * are (a split with a key), a client's 1st, 3rd, 7th, 15th... bad event (proxy/base/clients.h),
 * and the share is the weight that was asked for, as heavy clients bend the one that came.
 *
 * Pure: no clock, no I/O, no allocation. struct judge is a plain value without pointers of a
 * little over 2 KiB; a saved and loaded one continues exactly as the original would have.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JUDGE_EPOCHS       10 /* start epochs: one a step; later steps share the last */
#define JUDGE_ERROR_GRID   6  /* alternative ratios of events that are rare */
#define JUDGE_LATENCY_GRID 5
#define JUDGE_CEILING_GRID 4
#define JUDGE_SPLIT_GRID   6
#define JUDGE_CERTS        3   /* alternative rates of the certificate */
#define JUDGE_SPLIT_LIMIT  1e4 /* 1 / the chance to doubt a split that is right */
#define JUDGE_REASON_MAX   160
#define JUDGE_SAVED_MAX    3072 /* room that judge_save needs at most */

enum judge_class {
    JUDGE_ERROR,    /* "error": error ratio beside stable's */
    JUDGE_P50,      /* "latency_p50": share of requests slower than stable's p50 */
    JUDGE_P90,      /* "latency_p90" */
    JUDGE_P99,      /* "latency_p99" */
    JUDGE_FEEDBACK, /* "feedback": bad events that others report, beside stable's */
    JUDGE_CEILING,  /* "error_ceiling": error rate above max_error_rate, needs no control */
    JUDGE_NCLASSES
};
#define JUDGE_QUANTILES 3 /* JUDGE_P50.. */
enum judge_unit {         /* what "events" of an arm are, where it is not every request */
                  JUDGE_REQUEST,
                  JUDGE_CLIENT,      /* a client's 1st, 3rd, 7th, ... */
                  JUDGE_CLIENT_ONCE, /* its first only: exact for bursts too, blind to those
                                        that go on */
                  JUDGE_NUNITS
};
enum judge_verdict { JUDGE_UNDECIDED, JUDGE_REGRESSED, JUDGE_CERTIFIED, JUDGE_NVERDICTS };

struct judge_config {
    double alpha;          /* chance of a false "regressed" per rollout; (0, 0.5]; 0.01 */
    double certify;        /* chance of a false certificate per step; (0, 0.5]; 0.05 */
    double tolerance;      /* r0: a canary up to r0 times as bad is no regression; [1, 10]; 1 */
    double max_error_rate; /* the certificate's p_max; (0, 1); 0.05 */
    double min_excess;     /* error ratio above stable's that matters; [0, 1); 0.001 */
    uint32_t ceiling;      /* 1: surely above max_error_rate is regressed beside a control too;
                              0: only where there is none, at 100 % */
    uint32_t epochs;       /* how many steps will begin; 1..JUDGE_EPOCHS */
    uint32_t clients;      /* enum judge_unit */
    uint32_t feedback;     /* 1: reports from outside are a class; 0: they are ignored */
};

/* What one tick counted. Deltas, summed over workers; a sampler reads errors before n. */
struct judge_arm {
    uint64_t n;                     /* requests that count for the judge */
    uint64_t errors;                /* of those; cut to n */
    uint64_t events;                /* errors as counted by client; cut to errors */
    uint64_t feedback;              /* reports; cut to n */
    uint64_t assigned;              /* decisions of the split: requests, or new clients */
    uint64_t hist[HIST_BUCKETS];    /* first-byte time of answered ones; need not sum to n */
    uint64_t slow[JUDGE_QUANTILES]; /* instead of hist, see below; cut to n */
};
struct judge_window {
    struct judge_arm stable, canary;
    double share; /* of the canary as asked for, 0..1, live on all workers all tick; 0: not */
    bool warming; /* an endpoint is in its warm-up: count errors, leave latency out */
    bool counted; /* "slow" says how many were above the thresholds of whoever counted; hist is
                     not looked at */
};

struct judge_count {
    uint64_t n, bad;
};
struct judge_tally { /* one class since some moment */
    struct judge_count stable, canary;
    uint64_t canary_far; /* latency: slower than the threshold by a bucket or more */
};

struct judge {
    struct judge_config conf;
    uint32_t begun; /* epochs begun; 0: nothing is judged yet */
    /* log likelihood ratios. Single precision: an e-value is good to three digits */
    float error[JUDGE_EPOCHS][JUDGE_ERROR_GRID];
    float feedback[JUDGE_EPOCHS][JUDGE_ERROR_GRID];
    float latency[JUDGE_QUANTILES][JUDGE_EPOCHS][JUDGE_LATENCY_GRID];
    float ceiling[JUDGE_CEILING_GRID];
    float split[JUDGE_SPLIT_GRID];            /* since the latest epoch */
    float cert[JUDGE_CERTS];                  /* likewise */
    struct judge_tally total[JUDGE_NCLASSES]; /* since the first epoch */
    struct judge_tally step[JUDGE_NCLASSES];  /* since the latest epoch */
    struct judge_count assigned;              /* likewise; bad: to the canary */
    double asked; /* of those, what the weights would have given the canary */
    uint32_t past_total;
    uint16_t past[HIST_BUCKETS]; /* stable's histogram of earlier ticks, halved when large */
};

/* For humans, and for the record. */
struct judge_finding {
    enum judge_verdict verdict;
    double evalue, limit;     /* regressed needs evalue >= limit; the certificate: see report */
    double excess;            /* bad ratio of canary minus stable's, 0..1, total or step */
    struct judge_tally tally; /* since the rollout's start */
    uint64_t threshold_us;    /* latency: "slow" is at or above this; 0: none yet */
    bool active;              /* this class is judged at all */
};
struct judge_report {
    enum judge_verdict verdict; /* of the whole: any regressed, else certified, else not */
    enum judge_class class;     /* the one that decided, or with the largest evalue/limit */
    struct judge_finding classes[JUDGE_NCLASSES];
    double certificate;        /* e-value of "error rate below max_error_rate" */
    double certificate_limit;  /* 1 / certify */
    uint64_t step_n;           /* canary requests judged since the latest epoch */
    double split, split_limit; /* e-value of "the split is not what was asked for" */
    bool imbalance;            /* it is not: no certificate is worth anything */
    double share, share_asked; /* canary's of the decisions since the latest epoch, 0..1 */
    char reason[JUDGE_REASON_MAX];
};

void judge_defaults(struct judge_config *conf);
/* CONF's ranges are the caller's duty (spec.c checks them); asserted. */
void judge_init(struct judge *j, const struct judge_config *conf);
/* A step begins: evidence is also collected anew from here, and the certificate starts over. */
void judge_begin(struct judge *j);
/* Take one tick's counts. Before the first judge_begin counts are ignored. */
enum judge_verdict judge_step(struct judge *j, const struct judge_window *w);
/* The numbers behind the verdict that judge_step just returned, or would on no data. */
void judge_explain(const struct judge *j, struct judge_report *out);

/* Bucket of the histogram whose upper edge is latency class C's threshold in the next tick; -1:
 * too few requests of stable yet. */
int judge_threshold(const struct judge *j, enum judge_class c);

const char *judge_class_name(enum judge_class c);     /* "error", "latency_p50", … */
const char *judge_verdict_name(enum judge_verdict v); /* "undecided", … */

/*
 * Bytes for the store: versioned, with a checksum. judge_save returns the size, at most
 * JUDGE_SAVED_MAX. judge_load: 0, or -1 when the bytes are cut, damaged, of another version or
 * hold impossible values; *J is then untouched.
 */
size_t judge_save(const struct judge *j, unsigned char out[JUDGE_SAVED_MAX]);
MUST_CHECK int judge_load(struct judge *j, const unsigned char *bytes, size_t n);
